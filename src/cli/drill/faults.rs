//! `drill --faults`: which alarm comes for each critical check when something fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{DrillArgs, Format, From, Output};
use crate::cli::drill::Daemon;
use crate::cli::exit::Exit;
use crate::cli::test::suite;
use crate::cli::validate::{Loaded, refuse};
use crate::cli::{complain, print, stop};
use crate::daemon::drill::outcome::{Line, Rang};
use crate::daemon::drill::{Faults, drill};
use crate::domain::alerting::drill::Failure;
use crate::domain::check::nearest::suggestion;
use crate::domain::check::{Check, Severity};
use crate::manifest;

/// Plants the failures, and shows which alarms came.
pub(super) fn faults(loaded: Loaded, args: &DrillArgs) -> Exit {
    let from = From { config: args.config.clone(), paths: Vec::new() };
    let Loaded { settings, catalogue, zones } = loaded;
    let invalid = |why: String| {
        complain(&format!("allswell: {why}"));
        Exit::Invalid
    };
    let failures = match failures(&args.failure) {
        Ok(failures) => failures,
        Err(why) => return invalid(why),
    };
    let checks = match critical(catalogue.checks(), &args.check) {
        Ok(checks) => checks,
        Err(why) => return invalid(why),
    };
    let tests = match suite(&from, &settings, &catalogue, &zones) {
        Ok(tests) => tests,
        Err(faults) => return refuse(&faults, Format::Text),
    };
    let texts = match manifest::texts(&settings.checks) {
        Ok(texts) => texts,
        Err(faults) => return refuse(&faults, Format::Text),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return invalid(format!("cannot start: {error}")),
    };
    let notices = &settings.notices;
    if notices.alertmanagers.is_empty() && notices.webhooks.is_empty() {
        complain(
            "allswell: the settings name no Alertmanager and no webhook: in earnest, no alarm would leave",
        );
    }
    let zones = Arc::new(zones);
    let what = Faults {
        settings: &settings,
        texts,
        suite: &tests,
        checks: &checks,
        failures: &failures,
        zones,
    };
    let is_text = args.remote.output == Output::Text;
    let mut last = None;
    let seen = |line: &Line| {
        if is_text && last.replace(line.failure) != Some(line.failure) {
            complain(&format!("drilling {} …", line.failure.as_str()));
        }
    };
    let stopped = CancellationToken::new();
    let lines = runtime.block_on(async {
        tokio::select! {
            lines = drill(&what, seen) => lines,
            () = first_signal(&stopped) => Err("it was stopped; nothing of it is left".to_owned()),
        }
    });
    runtime.shutdown_background();
    let lines = match lines {
        Ok(lines) => lines,
        Err(why) => {
            complain(&format!("allswell: {why}"));
            return if stopped.is_cancelled() { Exit::Unconfirmed } else { Exit::Invalid };
        }
    };
    if args.check.is_empty() {
        record(&lines, &what, args);
    }
    let is_json = args.remote.output == Output::Json;
    let text = if is_json { format!("{:#}\n", json_of(&lines)) } else { text_of(&lines) };
    exit(&lines).after(print(&text))
}

/// Waits for the first signal: everything that a drill has made goes with it.
async fn first_signal(stopped: &CancellationToken) {
    let signals = stop::on_signal(stopped.clone());
    tokio::select! {
        () = signals => {}
        () = stopped.cancelled() => {}
    }
}

fn failures(wanted: &[String]) -> Result<Vec<Failure>, String> {
    if wanted.is_empty() {
        return Ok(Failure::ALL.to_vec());
    }
    let words: Vec<&str> = Failure::ALL.iter().map(|failure| failure.as_str()).collect();
    let of = |word: &String| {
        let found = Failure::ALL.into_iter().find(|failure| failure.as_str() == word);
        let hint = || suggestion(word, &words).unwrap_or_default();
        found.ok_or_else(|| format!("no failure is called `{word}`; {}", hint()))
    };
    wanted.iter().map(of).collect()
}

fn critical(all: &[Arc<Check>], wanted: &[String]) -> Result<Vec<Arc<Check>>, String> {
    let is_critical = |check: &&Arc<Check>| check.severity == Severity::Critical;
    let all: Vec<Arc<Check>> = all.iter().filter(is_critical).cloned().collect();
    if all.is_empty() {
        return Err("no check is critical: nothing has to ring".to_owned());
    }
    let ids: Vec<&str> = all.iter().map(|check| check.id.as_str()).collect();
    for id in wanted {
        if !ids.contains(&id.as_str()) {
            let hint = suggestion(id, &ids).unwrap_or_default();
            return Err(format!("no critical check is called `{id}`; {hint}"));
        }
    }
    let is_wanted =
        |check: &Arc<Check>| wanted.is_empty() || wanted.iter().any(|id| check.id.as_str() == id);
    Ok(all.into_iter().filter(is_wanted).collect())
}

fn exit(lines: &[Line]) -> Exit {
    let any = |is: fn(&Rang) -> bool| lines.iter().any(|line| is(&line.rang));
    if any(|rang| {
        matches!(rang, Rang::Silent { .. } | Rang::Late { .. } | Rang::NotCritical { .. })
    }) {
        Exit::Violated
    } else if any(|rang| matches!(rang, Rang::NotDrilled { .. }))
        || !any(|rang| matches!(rang, Rang::InTime { .. }))
    {
        Exit::Unconfirmed
    } else {
        Exit::Confirmed
    }
}

/// How many checks rang in time in a failure, where all did that it applies to.
fn whole(lines: &[Line], failure: Failure) -> Option<usize> {
    let theirs = lines.iter().filter(|line| line.failure == failure);
    let theirs: Vec<&Rang> = theirs.map(|line| &line.rang).collect();
    let rang = theirs.iter().filter(|rang| matches!(rang, Rang::InTime { .. })).count();
    let fine = |rang: &&&Rang| matches!(rang, Rang::InTime { .. } | Rang::DoesNotApply { .. });
    (rang > 0 && theirs.iter().filter(fine).count() == theirs.len()).then_some(rang)
}

/// Has the daemon write down which failures were drilled, where it runs these very checks.
fn record(lines: &[Line], what: &Faults<'_>, args: &DrillArgs) {
    let unwritten =
        |why: &str| complain(&format!("allswell: this drill is not written down: {why}"));
    let Some(by) = args.by.clone().or_else(super::super::order::user) else {
        return unwritten("say who drills, with `--by NAME`");
    };
    let Ok(daemon) = Daemon::new(&args.remote) else { return };
    let active = daemon.try_get("/api/v1/generations/active");
    if active.is_null() {
        return unwritten("no daemon answers; `--url` and $ALLSWELL_TOKEN say which one");
    }
    let files = active["files"].as_array().into_iter().flatten();
    let mut theirs: Vec<&str> = files.filter_map(|file| file["text"].as_str()).collect();
    let mut ours: Vec<&str> = what.texts.iter().map(|text| text.text.as_str()).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    if theirs != ours {
        return unwritten(&format!("{} runs other checks than these files", daemon.name()));
    }
    for failure in what.failures {
        let Some(rang) = whole(lines, *failure) else { continue };
        let note = format!("{rang} checks rang in time");
        let body = json!({
            "kind": "fault", "name": failure.as_str(), "proved": true, "note": note, "by": by,
        });
        if daemon.post("/api/v1/drills", &body).is_err() {
            return unwritten("the daemon did not take it");
        }
    }
}

fn seconds(secs: u64) -> String {
    let two = |first: u64, one: &str, second: u64, other: &str| match second {
        0 => format!("{first} {one}"),
        second => format!("{first} {one} {second} {other}"),
    };
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => two(secs / 60, "min", secs % 60, "s"),
        _ => two(secs / 3_600, "h", secs % 3_600 / 60, "min"),
    }
}

fn words(rang: &Rang) -> (&'static str, String) {
    let of = |alarm: &str, after: u64, by: u64| {
        format!("{alarm} after {}, has {}", seconds(after), seconds(by))
    };
    match rang {
        Rang::InTime { alarm, after_secs, by_secs } => ("OK", of(alarm, *after_secs, *by_secs)),
        Rang::Late { alarm, after_secs, by_secs } => ("LATE", of(alarm, *after_secs, *by_secs)),
        Rang::NotCritical { alarm, after_secs, by_secs } => {
            ("NOT CRITICAL", of(alarm, *after_secs, *by_secs))
        }
        Rang::Silent { why } => ("SILENT", why.clone()),
        Rang::DoesNotApply { why } => ("-", why.clone()),
        Rang::NotDrilled { why } => ("NOT DRILLED", why.clone()),
    }
}

fn text_of(lines: &[Line]) -> String {
    let mut out = String::new();
    let width = lines.iter().map(|line| line.check.as_str().len()).max().unwrap_or(0);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for failure in Failure::ALL {
        let mut theirs = lines.iter().filter(|line| line.failure == failure).peekable();
        if theirs.peek().is_some() {
            let _ = writeln!(out, "{}: {}", failure.as_str(), failure.what());
        }
        for line in theirs {
            let (state, said) = words(&line.rang);
            *counts.entry(state).or_default() += 1;
            let _ = writeln!(out, "  {state:<12}  {:<width$}  {said}", line.check.as_str());
        }
    }
    let order = ["OK", "LATE", "NOT CRITICAL", "SILENT", "NOT DRILLED", "-"];
    let counts: Vec<String> = order
        .iter()
        .filter_map(|state| counts.get(state).map(|count| (state, count)))
        .map(|(state, count)| match *state {
            "-" => format!("{count} do not apply"),
            state => format!("{count} {state}"),
        })
        .collect();
    let _ = writeln!(out, "\n{}", counts.join(", "));
    out
}

fn json_of(lines: &[Line]) -> Value {
    let one = |line: &Line| {
        let (state, _) = words(&line.rang);
        let state = match state {
            "-" => "does_not_apply".to_owned(),
            state => state.to_lowercase().replace(' ', "_"),
        };
        let (alarm, after, by, why) = match &line.rang {
            Rang::InTime { alarm, after_secs, by_secs }
            | Rang::NotCritical { alarm, after_secs, by_secs }
            | Rang::Late { alarm, after_secs, by_secs } => {
                (Some(alarm), Some(after_secs), Some(by_secs), None)
            }
            Rang::Silent { why } | Rang::DoesNotApply { why } | Rang::NotDrilled { why } => {
                (None, None, None, Some(why))
            }
        };
        json!({
            "failure": line.failure.as_str(), "check": line.check.as_str(), "state": state,
            "alarm": alarm, "after_secs": after, "has_secs": by, "why": why,
        })
    };
    json!({"format": 1, "drills": lines.iter().map(one).collect::<Vec<_>>()})
}
