//! `suggest`: rules for a table that all of the last four weeks keep, as a file of checks.
//!
//! Nothing is written but to standard output. What the database holds itself is not proposed, nor what would have rung;
//! what is printed was run.

mod catalogue;
mod rules;
mod trial;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::cli::args::SuggestArgs;
use crate::cli::exit::Exit;
use crate::cli::suggest::catalogue::Catalogue;
use crate::cli::suggest::rules::{Rule, candidates, cut_by, keys, written};
use crate::cli::validate::{config, refuse, zones};
use crate::cli::{complain, print, stop};
use crate::clock;
use crate::domain::check::nearest::suggestion;
use crate::domain::check::reason::Reason;
use crate::domain::sql::Engine;
use crate::domain::table::TableName;
use crate::domain::time::period::Period;
use crate::domain::time::window::{Frame, Span};
use crate::domain::time::zone::ZoneName;
use crate::manifest::word;
use crate::settings::{Settings, SourceEntry};
use crate::source::Source;
use crate::zones::Zones;

/// How many windows have to keep a rule, and how many are looked at with `--sample`.
const DAYS: u32 = 28;
const DAYS_SAMPLED: u32 = 3;
/// Up to how many rows a table may have without `--sample`.
const ROWS_MAX: u64 = 5_000_000;
/// How many rows have to be there, so that what holds of them says something.
const ROWS_MIN: u64 = 20;

pub(super) fn suggest(args: &SuggestArgs) -> Exit {
    let settings = match Settings::read(&config(&args.from())) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, crate::cli::args::Format::Text),
    };
    match proposed(args, &settings, &zones()) {
        Ok((text, exit)) => exit.after(print(&text)),
        Err((message, exit)) => {
            complain(&format!("allswell: {message}"));
            exit
        }
    }
}

/// Proposes rules for a table: as a file of checks, with what came of them.
pub(super) fn proposed(
    args: &SuggestArgs,
    settings: &Settings,
    zones: &Zones,
) -> Result<(String, Exit), Failed> {
    Proposal::new(args, settings, zones)?.propose()
}

/// Why nothing is proposed, and how that ends.
pub(super) type Failed = (String, Exit);

fn failed(reason: &Reason) -> Failed {
    (format!("{}: {}", reason.cause, reason.note), Exit::Unconfirmed)
}

/// What a proposal is made with.
struct Proposal<'a> {
    args: &'a SuggestArgs,
    settings: &'a Settings,
    zones: &'a Zones,
    entry: &'a SourceEntry,
    table: TableName,
    zone: ZoneName,
    source: Source,
    now: DateTime<Utc>,
    runtime: tokio::runtime::Runtime,
    stop: CancellationToken,
    /// Whether there are days without rows, so that windows of a day would ring.
    has_gaps: bool,
    /// The columns of which the database takes NULL.
    nullable: BTreeSet<String>,
    /// What is not proposed, because it would have rung.
    rang: Vec<String>,
}

impl<'a> Proposal<'a> {
    fn new(
        args: &'a SuggestArgs,
        settings: &'a Settings,
        zones: &'a Zones,
    ) -> Result<Self, Failed> {
        let invalid = |message: String| (message, Exit::Invalid);
        let table = TableName::parse(&args.table).map_err(|rule| invalid(rule.to_owned()))?;
        let names: Vec<&str> = settings.sources.iter().map(|entry| entry.name.as_str()).collect();
        let entry = match (&args.source, settings.sources.as_slice()) {
            (Some(name), all) => {
                all.iter().find(|entry| entry.name.as_str() == name).ok_or_else(|| {
                    let hint = suggestion(name, &names)
                        .map(|hint| format!("; {hint}"))
                        .unwrap_or_default();
                    invalid(format!("the settings have no source `{name}`{hint}"))
                })?
            }
            (None, [only]) => only,
            (None, _) => {
                return Err(invalid(format!(
                    "say which source, with `--source`: {}",
                    names.join(", ")
                )));
            }
        };
        let zone = ZoneName::parse(&args.zone).map_err(|rule| invalid(rule.to_owned()))?;
        if zones.rules(&zone).is_none() {
            return Err(invalid(format!("no zone is called `{zone}`")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| (format!("cannot start: {e}"), Exit::Io))?;
        let source = Source::new(entry.open());
        let (stop, now) = (CancellationToken::new(), clock::now());
        Ok(Self {
            args,
            settings,
            zones,
            entry,
            table,
            zone,
            source,
            now,
            runtime,
            stop,
            has_gaps: false,
            nullable: BTreeSet::new(),
            rang: Vec::new(),
        })
    }

    fn propose(&mut self) -> Result<(String, Exit), Failed> {
        let keeps_instants = self.source.engine() == Engine::Sqlite
            && !self.settings.without_instants().contains(&self.entry.name);
        let read = Catalogue::read(&self.source, &self.table, keeps_instants, &self.stop);
        let catalogue = self.block_on(read)?;
        if let Some(rows) = catalogue.rows.filter(|rows| *rows > ROWS_MAX && !self.args.sample) {
            let message = format!(
                "`{}` has about {rows} rows; `--sample` looks at those of the last {DAYS_SAMPLED} days only",
                self.table
            );
            return Err((message, Exit::Invalid));
        }
        let at = self.args.at.clone().or_else(|| cut_by(&catalogue).map(str::to_owned));
        if let Some(at) =
            self.args.at.as_ref().filter(|at| !catalogue.columns.iter().any(|c| c.name == **at))
        {
            let names: Vec<&str> = catalogue.columns.iter().map(|c| c.name.as_str()).collect();
            let hint = suggestion(at, &names).map(|hint| format!("; {hint}")).unwrap_or_default();
            return Err((format!("`{}` has no column `{at}`{hint}", self.table), Exit::Invalid));
        }
        if self.args.at.is_some() && self.source.engine() == Engine::Sqlite && !keeps_instants {
            let message = format!(
                "the settings do not say how `{}` stores instants: write `instants: sql` (or rfc3339, epoch_s, epoch_ms)",
                self.entry.name
            );
            return Err((message, Exit::Invalid));
        }
        if at.is_none() && self.args.sample {
            let message =
                "no column of instants tells which rows are the newest: name one with `--at`";
            return Err((message.to_owned(), Exit::Invalid));
        }
        let nullable = catalogue.columns.iter().filter(|column| column.takes_null);
        self.nullable = nullable.map(|column| column.name.clone()).collect();
        let span = at.as_ref().and_then(|_| self.span());
        let proposed = self.over(&catalogue, at.as_deref(), span)?;
        if proposed.1 != Exit::Unconfirmed || span.is_none() || self.args.sample {
            return Ok(proposed);
        }
        // A day that has no rows would ring each time.
        self.rang.clear();
        self.has_gaps = true;
        self.over(&catalogue, None, None)
    }

    /// How many days are looked at.
    fn days(&self) -> u32 {
        if self.args.sample { DAYS_SAMPLED } else { DAYS }
    }

    /// Proposes what all rows of a span keep, or of the whole table.
    fn over(
        &mut self,
        catalogue: &Catalogue,
        at: Option<&str>,
        span: Option<Span>,
    ) -> Result<(String, Exit), Failed> {
        let mut rules = candidates(catalogue, at, self.source.engine());
        let rows = self.sift(&mut rules, at, span)?;
        if rows < ROWS_MIN && span.is_none() {
            let message =
                format!("`{}` has {rows} rows: too few to tell a rule from chance", self.table);
            return Err((message, Exit::Unconfirmed));
        }
        if rows < ROWS_MIN && self.args.at.is_some() {
            let message = format!(
                "{rows} rows of the last {} days: does `--at` name a column of instants?",
                self.days()
            );
            return Err((message, Exit::Unconfirmed));
        }
        if rows < ROWS_MIN {
            return Ok((String::new(), Exit::Unconfirmed));
        }
        let mut unique = if self.args.sample { Vec::new() } else { keys(catalogue) };
        if !unique.is_empty() {
            self.sift(&mut unique, None, None)?;
        }
        if span.is_some() && !self.args.sample {
            rules.push(Rule::Volume);
        }
        self.printed(catalogue, rules, &unique, at, span)
    }

    fn block_on<T>(&self, work: impl Future<Output = Result<T, Reason>>) -> Result<T, Failed> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done.map_err(|reason| failed(&reason)),
                () = stop::on_signal(self.stop.clone()) => {
                    Err(("stopped: nothing is proposed".to_owned(), Exit::Unconfirmed))
                }
            }
        })
    }

    /// The last days that have ended and settled, as one.
    fn span(&self) -> Option<Span> {
        let rules = self.zones.rules(&self.zone)?;
        let day = Frame::Calendar(Period::DAY);
        let last = day.last_closed(&rules, self.now - TimeDelta::hours(2))?;
        let days = self.days();
        let first = day.earlier(&rules, last, days - 1);
        Some(Span { start: first.start, end: last.end, date: first.date, end_date: last.end_date })
    }

    /// The checks: of keys apart where the others have windows, because a window knows nothing of others.
    fn files(&self, rules: &[Rule], unique: &[Rule], at: Option<&str>) -> String {
        let id = slug(&self.table);
        if at.is_none() {
            let all: Vec<Rule> = rules.iter().chain(unique).cloned().collect();
            return if all.is_empty() {
                String::new()
            } else {
                self.file(&all, None, &format!("{id}-rows"))
            };
        }
        let mut checks = String::new();
        for (rules, at, what) in [(rules, at, "rows"), (unique, None, "keys")] {
            if !rules.is_empty() {
                checks.push_str(&self.file(rules, at, &format!("{id}-{what}")));
            }
        }
        checks
    }

    /// A file with a check of these rules.
    fn file(&self, rules: &[Rule], at: Option<&str>, id: &str) -> String {
        let mut text = format!(
            "  - id: {id}\n    why: It held when it was proposed. Say here what breaks where it does not.\n    source: {}\n",
            self.entry.name
        );
        if let Some(at) = at {
            let _ = writeln!(text, "    window: {{period: day, zone: {}, settle: 2h}}", self.zone);
            let _ = writeln!(text, "    at: {}", word(at));
        } else {
            text.push_str("    schedule: {every: 1d}\n");
        }
        let _ = writeln!(text, "    table: {}", word(&self.table.to_string()));
        text.push_str(&written(rules, &self.nullable));
        text
    }

    /// Runs the proposal day by day, leaves out what rings, and prints the rest with what came of it.
    fn printed(
        &mut self,
        catalogue: &Catalogue,
        mut rules: Vec<Rule>,
        unique: &[Rule],
        at: Option<&str>,
        span: Option<Span>,
    ) -> Result<(String, Exit), Failed> {
        for _ in 0..4 {
            let checks = self.files(&rules, unique, at.filter(|_| span.is_some()));
            if checks.is_empty() {
                return Err((
                    "nothing holds that the database does not hold itself".to_owned(),
                    Exit::Unconfirmed,
                ));
            }
            let (said, broken, exit) = self.verdicts(&checks, span)?;
            let before = rules.len();
            self.drop_broken(&mut rules, &broken);
            // A week without rows a week ago says nothing of how many are usual.
            let is_thin = exit == Exit::Unconfirmed && rules.contains(&Rule::Volume);
            rules.retain(|rule| !(is_thin && *rule == Rule::Volume));
            if rules.len() == before && exit != Exit::Violated {
                return Ok((self.text(catalogue, &checks, &said, span), exit));
            }
        }
        Err((
            "what was proposed did not hold when it was run: the data changes".to_owned(),
            Exit::Unconfirmed,
        ))
    }

    fn text(&self, catalogue: &Catalogue, checks: &str, said: &str, span: Option<Span>) -> String {
        let mut text = format!("# Proposed for `{}` of source `{}`", self.table, self.entry.name);
        let _ = match span {
            Some(span) => writeln!(text, ": each day from {} on keeps it.", span.date),
            None if self.has_gaps => writeln!(text, ": all rows keep it, and some days have none."),
            None => writeln!(
                text,
                ": all rows keep it. No column of instants cuts it into windows (`--at`)."
            ),
        };
        let _ = writeln!(text, "# Run as it stands: {said}.");
        let mut held: Vec<String> = Vec::new();
        let filled: Vec<&str> =
            catalogue.columns.iter().filter(|c| !c.takes_null).map(|c| c.name.as_str()).collect();
        if !filled.is_empty() {
            held.push(format!("never NULL: {}", filled.join(", ")));
        }
        let unique = catalogue
            .unique
            .iter()
            .map(|columns| columns.iter().cloned().collect::<Vec<_>>().join(" + "));
        held.extend(unique.map(|columns| format!("unique: {columns}")));
        held.extend(catalogue.foreign.iter().map(|column| format!("a foreign key: {column}")));
        held.extend(catalogue.checked.iter().map(|column| format!("a check: {column}")));
        for line in held {
            let _ = writeln!(text, "# The database holds this itself, {line}");
        }
        for line in &self.rang {
            let _ = writeln!(text, "# Would have rung, so it is left out: {line}");
        }
        let _ = write!(text, "version: 1\nowner: my-team\nchecks:\n{checks}");
        text
    }
}

/// The name of a table as the beginning of an id.
fn slug(table: &TableName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    table.to_string().chars().map(plain).take(50).collect()
}
