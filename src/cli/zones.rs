//! `zones`: which rules of time zones are used, and who computes with others.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Months, TimeDelta, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Output, ZonesArgs};
use crate::cli::exit::Exit;
use crate::cli::validate::{Loaded, load, refuse, warn, zones as open_zones};
use crate::cli::windows::shown;
use crate::cli::{complain, print, stop};
use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::verdict::Verdict;
use crate::domain::sql::Engine;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::ZoneChoice;
use crate::domain::time::zone::{Rules, ZoneName};
use crate::engine::asking::Sources;
use crate::engine::zone_list;
use crate::manifest::Engines;
use crate::settings::Settings;
use crate::source::Source;
use crate::source::offsets::{self, KnownOffsets};
use crate::zones::{self as rules, Zones};

/// A release older than this is told.
const MONTHS_MAX: u32 = 9;
/// How far a database is asked for its offsets, to both sides of now.
const PROBED: TimeDelta = TimeDelta::days(2 * 366);

/// Which checks use a zone.
type Users = BTreeMap<ZoneName, BTreeSet<String>>;

pub(super) fn zones(args: &ZonesArgs) -> Exit {
    if !args.zone.is_empty() {
        return list(&open_zones(), &args.zone, args.output);
    }
    let Loaded { settings, catalogue, zones } = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    warn(catalogue.warnings().iter());
    let mut report = Report::new(clock::now(), &zones);
    let mut users = written(&catalogue);
    if args.offline {
        let from = |check: &&Arc<Check>| {
            matches!(check.window.as_ref().map(|w| &w.zones), Some(ZoneChoice::From(_)))
        };
        let lists = catalogue.checks().iter().filter(from).count();
        if lists > 0 {
            let checks = if lists == 1 { "check" } else { "checks" };
            let note =
                format!("the zones of {lists} {checks} come from queries, which were not asked");
            report.warnings.push(note);
        }
    } else {
        let sources = open(&settings);
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(&format!("cannot start: {error}"));
                return Exit::Io;
            }
        };
        let cancelled = CancellationToken::new();
        runtime.block_on(async {
            tokio::select! {
                () = report.ask(&catalogue, &sources, &mut users, &cancelled) => {}
                () = stop::on_signal(cancelled.clone()) => report.unasked = true,
            }
        });
        runtime.shutdown_background();
    }
    report.compare(&users);
    report.traps(&catalogue, &settings.engines());
    let exit = report.exit();
    exit.after(print(&match args.output {
        Output::Text => report.text(&users),
        Output::Json => format!("{}\n", report.json(&users)),
    }))
}

/// Lists the clock changes of some zones.
fn list(zones: &Zones, names: &[String], output: Output) -> Exit {
    let mut text = String::new();
    let mut all = Vec::new();
    for name in names {
        let known = ZoneName::parse(name).ok();
        let Some(rules) = known.and_then(|name| zones.rules(&name)) else {
            let hint = zones.named(name).err().map_or(String::new(), |refused| refused.hint);
            complain(&format!("`{name}` is no zone that anybody knows; {hint}"));
            return Exit::Invalid;
        };
        let _ = writeln!(text, "{name}: {} clock changes", rules.changes().len());
        for change in rules.changes() {
            let (at, before, after) = (shown(change.at), change.before, change.after);
            let _ = writeln!(text, "  {at}  {before} to {after}  {change}");
            all.push(json!({
                "zone": name, "at": at, "before": before.secs(), "after": after.secs(),
            }));
        }
    }
    print(&match output {
        Output::Text => text,
        Output::Json => format!("{}\n", json!({"format": 1, "changes": all})),
    })
}

/// The zones that checks name.
fn written(catalogue: &Catalogue) -> Users {
    let mut users = Users::new();
    for check in catalogue.checks() {
        let windows = check.window.iter().flat_map(|rule| rule.zones.written());
        let clock = match &check.schedule {
            Schedule::Cron(cron) => cron.zone.as_ref(),
            Schedule::Every(_) | Schedule::WindowEnd => None,
        };
        for zone in windows.chain(clock) {
            users.entry(zone.clone()).or_default().insert(check.id.to_string());
        }
    }
    users
}

fn open(settings: &Settings) -> Sources {
    let open = |entry: &crate::settings::SourceEntry| {
        (entry.name.clone(), Arc::new(Source::new(entry.open())))
    };
    settings.sources.iter().map(open).collect()
}

/// What a source says.
struct Asked {
    source: String,
    engine: Engine,
    said: String,
    /// Zones in which it differs from our rules, with the first such instant.
    differs: Vec<(ZoneName, DateTime<Utc>)>,
    unknown: Vec<ZoneName>,
}

struct Report<'a> {
    now: DateTime<Utc>,
    zones: &'a Zones,
    asked: Vec<Asked>,
    /// Tables other than ours that differ in a zone in use, from when.
    witnesses: Vec<(String, ZoneName, DateTime<Utc>)>,
    warnings: Vec<String>,
    /// Whether a database could not be asked.
    unasked: bool,
}

impl<'a> Report<'a> {
    fn new(now: DateTime<Utc>, zones: &'a Zones) -> Self {
        let mut report = Self {
            now,
            zones,
            asked: Vec::new(),
            witnesses: Vec::new(),
            warnings: Vec::new(),
            unasked: false,
        };
        for database in zones.databases() {
            let Some(release) = &database.release else { continue };
            if release.about() + Months::new(MONTHS_MAX) < now.date_naive() {
                let used = database.origin == zones.chosen().origin;
                let who = if used { "allswell" } else { "what else runs on this host" };
                report.warnings.push(format!(
                    "{}: release {release} is older than {MONTHS_MAX} months, and {who} computes with \
                     it: update it",
                    database.origin
                ));
            }
        }
        report
    }

    /// Asks databases for the zones of checks, and for their offsets.
    async fn ask(
        &mut self,
        catalogue: &Catalogue,
        sources: &Sources,
        users: &mut Users,
        stop: &CancellationToken,
    ) {
        for check in catalogue.checks() {
            let Some(ZoneChoice::From(from)) = check.window.as_ref().map(|w| &w.zones) else {
                continue;
            };
            let listed = zone_list::list(check, from, self.zones, sources, stop).await;
            let trouble = match &listed.attempted.judgement.verdict {
                Verdict::Confirmed => None,
                Verdict::Violated(finding) => Some(finding.to_string()),
                Verdict::Unconfirmed(reason) => {
                    self.unasked = true;
                    Some(format!("{}: {}", reason.cause, reason.note))
                }
            };
            self.warnings.extend(trouble.map(|trouble| format!("{}: {trouble}", check.id)));
            let odd = listed.zones.iter().filter_map(|zone| self.zones.odd(zone));
            self.warnings.extend(odd.map(|odd| format!("{}: in the data, {odd}", check.id)));
            for zone in listed.zones {
                users.entry(zone).or_default().insert(check.id.to_string());
            }
        }
        let probes = self.probes(users);
        for (name, source) in sources {
            let mut asked = Asked {
                source: name.to_string(),
                engine: source.engine(),
                said: String::new(),
                differs: Vec::new(),
                unknown: Vec::new(),
            };
            match offsets::offsets(source, &probes, stop).await {
                Ok(KnownOffsets::NoZones) => {
                    asked.said = "computes with no zones: it gets bounds in UTC".into();
                }
                Ok(KnownOffsets::Offsets(offsets)) => self.hold(&mut asked, &probes, &offsets),
                Err(reason) => {
                    self.unasked = true;
                    asked.said = format!("could not be asked: {}: {}", reason.cause, reason.note);
                }
            }
            self.asked.push(asked);
        }
    }

    /// The instants at which databases are asked: around every change that any table at hand knows,
    /// and in the middle of the seasons, for a change that only the database knows.
    fn probes(&self, users: &Users) -> Vec<(ZoneName, i64)> {
        let (from, to) = (self.now - PROBED, self.now + PROBED);
        let mut probes = BTreeSet::new();
        for name in users.keys() {
            let mut tables: Vec<Rules> =
                self.zones.databases().iter().filter_map(|d| d.rules(name)).collect();
            tables.extend(rules::witness(name));
            let changes = tables.iter().flat_map(|t| t.changes_within(from, to)).map(|c| c.at);
            for at in changes {
                let at = at.timestamp();
                probes.extend([at - 1, at, at + 1].map(|at| (name.clone(), at)));
            }
            let months = (0..49).map(|month| from + TimeDelta::days(30 * month));
            probes.extend(months.chain([self.now]).map(|at| (name.clone(), at.timestamp())));
        }
        probes.into_iter().collect()
    }

    /// Holds a database's offsets against our rules.
    fn hold(&mut self, asked: &mut Asked, probes: &[(ZoneName, i64)], offsets: &[Option<i64>]) {
        let mut differs: BTreeMap<&ZoneName, DateTime<Utc>> = BTreeMap::new();
        let mut unknown: BTreeSet<&ZoneName> = BTreeSet::new();
        for ((name, at), offset) in probes.iter().zip(offsets) {
            let instant = DateTime::from_timestamp(*at, 0).unwrap_or_default();
            let ours = self.zones.rules(name).map(|r| i64::from(r.offset_at(instant).secs()));
            match offset {
                None => drop(unknown.insert(name)),
                Some(_) if *offset == ours => {}
                Some(_) => {
                    let first = differs.entry(name).or_insert(instant);
                    *first = instant.min(*first);
                }
            }
        }
        let all: BTreeSet<&ZoneName> = probes.iter().map(|(name, _)| name).collect();
        asked.said = if probes.is_empty() {
            "no check uses a zone, so nothing was asked".into()
        } else if asked.engine == Engine::MySql && unknown.len() == all.len() {
            self.warnings.push(format!(
                "{}: the server has no zone tables, so CONVERT_TZ is NULL without a word: load them \
                 with mysql_tzinfo_to_sql, or leave zones to allswell",
                asked.source
            ));
            "has no zone tables".into()
        } else if differs.is_empty() && unknown.is_empty() {
            format!("agrees on {} zones at {} instants", all.len(), probes.len())
        } else {
            format!("differs on {} of {} zones", differs.len() + unknown.len(), all.len())
        };
        asked.differs = differs.into_iter().map(|(name, at)| (name.clone(), at)).collect();
        if asked.said != "has no zone tables" {
            asked.unknown = unknown.into_iter().cloned().collect();
        }
    }

    /// Holds every table at hand against the one that is used.
    fn compare(&mut self, users: &Users) {
        let from = self.now - PROBED;
        for name in users.keys() {
            let Some(ours) = self.zones.rules(name) else { continue };
            let others =
                self.zones.databases().iter().filter(|d| d.origin != self.zones.chosen().origin);
            let others = others.map(|d| (d.origin.to_string(), d.rules(name)));
            let witness = ("chrono-tz".to_owned(), rules::witness(name));
            for (who, table) in others.chain([witness]) {
                let differs = table.and_then(|table| rules::first_difference(&ours, &table, from));
                if let Some(at) = differs {
                    self.witnesses.push((who, name.clone(), at));
                }
            }
        }
    }

    /// Finds SQL in which PostgreSQL takes a zone for an abbreviation without clock changes.
    fn traps(&mut self, catalogue: &Catalogue, engines: &Engines) {
        let postgres = |check: &&Arc<Check>| engines.get(&check.source) == Some(&Engine::Postgres);
        for check in catalogue.checks().iter().filter(postgres) {
            for word in literals(check) {
                let area = word.contains('/') || word.eq_ignore_ascii_case("utc");
                if !area {
                    self.warnings.push(format!(
                        "{}: `at time zone '{word}'`: PostgreSQL takes this for an abbreviation, \
                         without clock changes, or for an offset to the west: bind `:zone`, or write \
                         `Area/City`",
                        check.id
                    ));
                }
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.asked.iter().any(|a| !a.differs.is_empty() || !a.unknown.is_empty()) {
            Exit::Violated
        } else if self.unasked {
            Exit::Unconfirmed
        } else {
            Exit::Confirmed
        }
    }
}

/// The zones that stand as literals in a check's queries.
fn literals(check: &Check) -> Vec<String> {
    const OPENINGS: [&str; 3] = ["at time zone '", "timezone('", "timezone ('"];
    let mut found = Vec::new();
    for query in check.queries() {
        let words: Vec<&str> = query.text().split_whitespace().collect();
        let text = words.join(" ");
        let lowered = text.to_ascii_lowercase();
        for opening in OPENINGS {
            for (place, _) in lowered.match_indices(opening) {
                let rest = text.get(place + opening.len()..).unwrap_or_default();
                found.extend(rest.split('\'').next().map(str::to_owned));
            }
        }
    }
    found
}
