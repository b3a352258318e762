//! `validate --connect`: have the databases plan each query, and say what protects each source.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::ci::{Place, State, Suite};
use crate::cli::exit::Exit;
use crate::cli::validate::Loaded;
use crate::cli::{complain, stop};
use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::record::series::Series;
use crate::domain::sql::Engine;
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::{Look, Sources};
use crate::engine::plan::{Planned, plan};
use crate::source::Source;
use crate::source::protections::Protection;
use crate::zones::Zones;

/// What the databases said.
#[derive(Debug, Default)]
pub(super) struct Connected {
    sources: Vec<Seen>,
    checks: Vec<(Arc<Check>, Planned)>,
    /// Checks of sources that do not answer.
    skipped: usize,
}

/// What is known of a source.
#[derive(Debug)]
struct Seen {
    name: SourceName,
    engine: Engine,
    address: String,
    server: Option<String>,
    /// Why it does not answer, where it does not.
    trouble: Option<Reason>,
    /// Why its own `complete_until` is not taken, where it is not.
    unsaid: Option<Reason>,
    remark: Option<String>,
    protections: Vec<Protection>,
    complete: &'static str,
}

/// Asks every source that the checks name, and has it plan their queries.
pub(super) fn connect(loaded: &Loaded) -> Result<Connected, Exit> {
    let Loaded { settings, catalogue, zones } = loaded;
    let sources: Sources = settings
        .sources
        .iter()
        .map(|entry| (entry.name.clone(), Arc::new(Source::new(entry.open()))))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        complain(&format!("cannot start: {error}"));
        Exit::Io
    })?;
    let cancelled = CancellationToken::new();
    let said = runtime.block_on(async {
        tokio::select! {
            said = ask(&sources, catalogue.checks(), zones, &cancelled) => Ok(said),
            () = stop::on_signal(cancelled.clone()) => Err(Exit::Unconfirmed),
        }
    });
    runtime.shutdown_background();
    let Answers { troubles, unsaid, planned: checks } = said?;
    let skipped = catalogue.checks().len() - checks.len();
    let seen = settings.sources.iter().map(|entry| {
        let source = &sources[&entry.name];
        Seen {
            name: entry.name.clone(),
            engine: source.engine(),
            address: entry.dsn.to_string(),
            server: source.server(),
            trouble: troubles.get(&entry.name).cloned(),
            unsaid: unsaid.get(&entry.name).cloned(),
            remark: source.remark(),
            protections: source.protections(),
            complete: entry.says_complete(),
        }
    });
    Ok(Connected { sources: seen.collect(), checks, skipped })
}

/// What was asked, and came of it.
struct Answers {
    /// Sources that do not answer at all.
    troubles: BTreeMap<SourceName, Reason>,
    /// Sources whose own `complete_until` is not taken.
    unsaid: BTreeMap<SourceName, Reason>,
    planned: Vec<(Arc<Check>, Planned)>,
}

async fn ask(
    sources: &Sources,
    checks: &[Arc<Check>],
    zones: &Zones,
    stop: &CancellationToken,
) -> Answers {
    let (mut troubles, mut unsaid) = (BTreeMap::new(), BTreeMap::new());
    for (name, source) in sources {
        if let Err(reason) = source.probe(stop).await {
            troubles.insert(name.clone(), reason);
        } else if let Err(reason) = source.plan_complete_until(stop).await {
            unsaid.insert(name.clone(), reason);
        }
    }
    let mut planned = Vec::new();
    // What a source that does not answer would say is not known, and told once.
    let answers = |check: &Check| check.sources().iter().all(|name| !troubles.contains_key(*name));
    for check in checks.iter().filter(|check| answers(check)) {
        let look = look(check, zones);
        planned.push((Arc::clone(check), plan(check, &look, sources, stop).await));
    }
    Answers { troubles, unsaid, planned }
}

/// A window that the check has had, in one of its zones.
fn look(check: &Arc<Check>, zones: &Zones) -> Look {
    let now = clock::now();
    let rules = |name: &_| zones.rules(name);
    // Of zones that a query names, any will do, but for UTC: there a bound and a date are the same.
    let any = || {
        let zone = ZoneName::parse("America/New_York").ok()?;
        Some(vec![Series::in_zone(check, &zone, &rules)?])
    };
    let series = Series::of(check, &rules).or_else(any).and_then(|all| all.into_iter().next());
    let window = series.as_ref().and_then(|series| {
        let (rule, rules) = (series.window()?, &series.home.rules);
        let yesterday = now.date_naive().pred_opt()?;
        rule.frame.span_of(rules, yesterday).windows(rules, rule.split).into_iter().next()
    });
    match (series, window) {
        (Some(series), Some(window)) => Look::at(&series, window),
        (_, _) => Look::Present,
    }
}

impl Connected {
    /// How the program ends: a query that a database does not take is as a fault of the file.
    pub(super) fn exit(&self) -> Exit {
        let unreachable = self.sources.iter().any(|seen| seen.trouble.is_some());
        let reasons = self.checks.iter().flat_map(|(_, planned)| &planned.refused);
        let unsaid = self.sources.iter().filter_map(|seen| seen.unsaid.as_ref());
        let mut causes = reasons.map(|(_, reason)| reason).chain(unsaid).map(|r| r.cause);
        let is_passing = |cause| matches!(cause, Cause::Connect | Cause::Busy | Cause::Timeout);
        if causes.clone().any(|cause| !is_passing(cause)) {
            Exit::Invalid
        } else if unreachable || causes.next().is_some() {
            Exit::Unconfirmed
        } else {
            Exit::Confirmed
        }
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for seen in &self.sources {
            let server = match (&seen.server, seen.engine) {
                (_, Engine::Sqlite) => "",
                (Some(server), _) => server,
                (None, _) => "not reached",
            };
            let comma = if server.is_empty() { "" } else { ", " };
            let _ = writeln!(text, "source {}: {}{comma}{server}", seen.name, seen.address);
            if let Some(Reason { cause, note, .. }) = &seen.trouble {
                let _ = writeln!(text, "  {cause}: {note}");
                continue;
            }
            for Protection { by, what } in &seen.protections {
                let _ = writeln!(text, "  {by:<21} {what}");
            }
            let complete = match &seen.unsaid {
                Some(Reason { cause, note, .. }) => &format!("{cause}: {note}"),
                None => seen.complete,
            };
            let _ = writeln!(text, "  {:<21} {complete}", "complete until");
        }
        let queries: usize = self.checks.iter().map(|(_, planned)| planned.queries).sum();
        let refused = self.checks.iter().filter(|(_, planned)| !planned.refused.is_empty());
        for (check, planned) in refused {
            let _ = writeln!(text, "{}:{}: {}", check.file, check.line, check.id);
            for (source, reason) in &planned.refused {
                let _ = writeln!(text, "  {source}: {}: {}", reason.cause, reason.note);
            }
        }
        self.warnings(&mut text);
        if self.skipped > 0 {
            let (noun, verb) =
                if self.skipped == 1 { ("check", "was") } else { ("checks", "were") };
            let _ = writeln!(
                text,
                "{} {noun} {verb} not planned: a source does not answer",
                self.skipped
            );
        }
        let taken = self.checks.iter().map(|(_, planned)| planned.queries - refusals(planned));
        let taken: usize = taken.sum();
        let verb = if queries == 1 { "was" } else { "were" };
        let _ = writeln!(
            text,
            "the databases would answer {taken} of {queries} queries that {verb} planned"
        );
        text
    }

    /// What is accepted, and may be otherwise than it looks.
    fn warnings(&self, text: &mut String) {
        let not_probed = self.checks.iter().filter(|(_, planned)| planned.not_probed);
        for (check, _) in not_probed {
            let _ = writeln!(
                text,
                "{}:{}: {}: not probed: its query is slow for windows without data, so nothing says that it keeps to its \
                 window",
                check.file, check.line, check.id
            );
        }
        let outer = self.checks.iter().filter(|(_, planned)| !planned.outer.is_empty());
        for (check, planned) in outer {
            for line in &planned.outer {
                let _ = writeln!(
                    text,
                    "{}:{}: {}: warning[outer_column]: {line}",
                    check.file, check.line, check.id
                );
            }
        }
    }

    /// Says whether the databases were asked about a check.
    pub(super) fn has_planned(&self, check: &Check) -> bool {
        self.checks.iter().any(|(planned, _)| planned.id == check.id)
    }

    /// What the databases do not take, and what they were not asked, for tools of continuous integration.
    pub(super) fn suites(&self) -> Vec<Suite> {
        let say = |Reason { cause, note, .. }: &Reason| format!("{cause}: {note}");
        let sources = self.sources.iter().flat_map(|seen| {
            let name = format!("source {}", seen.name);
            let trouble = seen.trouble.iter().map({
                let name = name.clone();
                move |why| Suite::plain(State::Error, &name, "unconfirmed", vec![say(why)])
            });
            let unsaid = seen.unsaid.iter();
            trouble.chain(
                unsaid
                    .map(move |why| Suite::plain(State::Failed, &name, "refused", vec![say(why)])),
            )
        });
        let checks = self.checks.iter().filter_map(|(check, planned)| {
            let found = planned.refused.iter();
            let found: Vec<String> =
                found.map(|(source, why)| format!("{source}: {}", say(why))).collect();
            let mut warned = planned.outer.clone();
            if planned.not_probed {
                warned.push("not probed: nothing says that it keeps to its window".to_owned());
            }
            let mut suite = match (found.is_empty(), warned.is_empty()) {
                (false, _) => Suite::plain(State::Failed, check.id.as_str(), "refused", found),
                (true, false) => Suite::plain(State::Warned, check.id.as_str(), "warning", warned),
                (true, true) => return None,
            };
            suite.place = Some(Place { file: check.file.clone(), line: check.line, column: 0 });
            Some(suite)
        });
        sources.chain(checks).collect()
    }

    /// As data.
    pub(super) fn json(&self) -> serde_json::Value {
        let sources = self.sources.iter().map(|seen| {
            let trouble = seen.trouble.as_ref();
            json!({
                "name": seen.name.as_str(),
                "server": seen.server,
                "address": seen.address,
                "cause": trouble.map(|reason| reason.cause.as_str()),
                "note": trouble.map(|reason| reason.note.as_str()),
                "remark": seen.remark,
                "complete_until": seen.complete,
                "complete_until_refused": seen.unsaid.as_ref().map(|reason| reason.note.as_str()),
                "protections": seen.protections.iter().map(|Protection { by, what }| json!({"by": by, "what": what})).collect::<Vec<_>>(),
            })
        });
        let checks = self.checks.iter().map(|(check, planned)| {
            let refused = planned.refused.iter().map(|(source, Reason { cause, note, .. })| {
                json!({"source": source.as_str(), "cause": cause.as_str(), "note": note})
            });
            json!({
                "check": check.id.as_str(),
                "queries": planned.queries,
                "refused": refused.collect::<Vec<_>>(),
                "probed": !planned.not_probed,
                "outer_columns": planned.outer,
            })
        });
        json!({"sources": sources.collect::<Vec<_>>(), "checks": checks.collect::<Vec<_>>()})
    }
}

/// How many queries of a check the databases do not take; a query that strays from its window was taken.
fn refusals(planned: &Planned) -> usize {
    planned.refused.len().min(planned.queries)
}
