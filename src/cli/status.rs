//! `status`: how a daemon and its series are.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::{HealthyArgs, Output, StatusArgs};
use crate::cli::exit::Exit;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print, quiet};
use crate::domain::alerting::alert::cut;

/// How much of a note helps at a glance, in bytes; JSON and `history` have all of it.
const NOTE_MAX: usize = 240;

pub(super) fn status(args: &StatusArgs) -> Exit {
    match shown(args) {
        Ok((text, exit)) => exit.after(print(&text)),
        Err(exit) => exit,
    }
}

fn shown(args: &StatusArgs) -> Result<(String, Exit), Exit> {
    let daemon = Daemon::new(&args.remote)?;
    let status = daemon.get("/api/v1/status", &[])?;
    let mut query = Vec::new();
    query.extend(args.check.clone().map(|check| ("check", check)));
    query.extend(args.owner.clone().map(|owner| ("owner", owner)));
    let checks = daemon.list("/api/v1/checks", "checks", &query, usize::MAX)?;
    let exit = exit(&status, &checks);
    let text = match args.remote.output {
        Output::Json => {
            let value = json!({"format": 1, "status": status, "checks": checks});
            format!("{value:#}\n")
        }
        Output::Text => report(&status, &checks, args.all, &daemon.name()),
    };
    Ok((text, exit))
}

/// Asks whether the process answers. That it is alive says nothing about the data.
pub(super) fn healthy(args: &HealthyArgs) -> Exit {
    let daemon = match Daemon::new(&args.remote) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    match daemon.look("/-/healthy") {
        Ok(answer) if answer.status == 200 => print(&answer.words),
        Ok(answer) => {
            complain(&format!("allswell: {} (HTTP {})", answer.words.trim(), answer.status));
            Exit::Io
        }
        Err(error) => {
            complain(&format!("allswell: {error}"));
            Exit::Io
        }
    }
}

/// Only what is proved ends with 0, and nothing is where nothing can be written.
fn exit(status: &Value, checks: &[Value]) -> Exit {
    let any = |wanted: &[&str]| checks.iter().any(|check| wanted.contains(&text(check, "state")));
    if any(&["violated"]) {
        Exit::Violated
    } else if checks.is_empty()
        || any(&["unconfirmed", "new", "paused"])
        || checks.iter().any(|check| waived(check) > 0)
        || status["ledger"]["up"] != Value::Bool(true)
        || !status["clock"].is_null()
        || status["last_load"]["good"] == Value::Bool(false)
        || ways(status).any(|way| !way["broken_since"].is_null())
        || status["webhooks"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|w| w["broken"] == Value::Bool(true))
    {
        Exit::Unconfirmed
    } else {
        Exit::Confirmed
    }
}

/// What became of the files that were read last.
fn of_files(out: &mut String, status: &Value) {
    let load = &status["last_load"];
    if load["good"] == Value::Bool(false) {
        let _ = writeln!(
            out,
            "THE LAST CATALOGUE WAS NOT TAKEN ({}): {}",
            text(load, "at"),
            text(load, "why").trim_end()
        );
    }
    if let Some(id) = load.get("waits_as").and_then(Value::as_i64) {
        let _ = writeln!(
            out,
            "A CHANGE OF CHECKS WAITS as generation {id} since {}: {}",
            text(load, "at"),
            text(load, "why").trim_end()
        );
    }
    if status["pinned"] == Value::Bool(true) {
        out.push_str(
            "THE FILES DO NOT COUNT until they change: an operator went back behind them\n",
        );
    }
}

/// What the sources could do, what protects them, and which of them are not as they should be.
fn of_sources(out: &mut String, status: &Value, all: bool) {
    let Some(Value::Object(sources)) = status.get("sources") else { return };
    for (name, source) in sources {
        let powers = text(source, "role");
        if !powers.is_empty() {
            let _ = writeln!(out, "source {name}: {powers}");
        }
    }
    for (name, source) in sources.iter().filter(|_| all) {
        for guard in source["protections"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "source {name}: {}: {}", text(guard, "by"), text(guard, "what"));
        }
    }
    for (name, source) in sources.iter().filter(|(_, s)| !s["moved_at"].is_null()) {
        let since = text(source, "moved_at");
        let _ = writeln!(
            out,
            "SOURCE {name} is a database that it never was before, since {since}: its checks are proved again"
        );
    }
    for (name, source) in sources.iter().filter(|(_, s)| text(s, "breaker") == "open") {
        let (since, why) = (text(source, "open_since"), text(source, "why"));
        let _ = writeln!(out, "SOURCE {name} fails since {since}, and is probed: {why}");
        let dark = text(source, "dark");
        if !dark.is_empty() {
            let _ = writeln!(out, "  without it: {dark}");
        }
    }
}

fn report(status: &Value, checks: &[Value], all: bool, address: &str) -> String {
    let mut out = String::new();
    let ready = match status.get("not_ready").and_then(Value::as_str) {
        None => "ready".to_owned(),
        Some(why) => format!("NOT READY: {why}"),
    };
    let _ = writeln!(out, "allswell {}, {ready}", text(status, "version"));
    match text(status, "pages") {
        "" => {}
        // Without `public_url` it is at the address that was asked.
        "/" => drop(writeln!(out, "pages {}/", address.trim_end_matches('/'))),
        pages => drop(writeln!(out, "pages {pages}/")),
    }
    if let Some(generation) = status.get("generation").filter(|g| !g.is_null()) {
        let _ = writeln!(
            out,
            "generation {} with {} checks, loaded {} ({})",
            number(generation, "id"),
            number(generation, "checks"),
            text(generation, "loaded_at"),
            text(generation, "loaded_by"),
        );
    }
    of_files(&mut out, status);
    of_sources(&mut out, status, all);
    told(&mut out, status);
    if status["quiet"].as_array().is_some_and(|quiet| !quiet.is_empty()) {
        out.push_str(&quiet::list(status));
    }
    compared(&mut out, status);
    let count = |state: &str| checks.iter().filter(|check| text(check, "state") == state).count();
    let words = ["confirmed", "violated", "unconfirmed", "new", "paused", "waived"];
    let counts: Vec<String> = words
        .iter()
        .map(|word| (word, count(word)))
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let _ = writeln!(out, "{} series: {}\n", checks.len(), counts.join(", "));
    let is_shown = |check: &&Value| {
        let news = ["failing_since", "changed", "thin", "quiet_until"]
            .iter()
            .any(|key| !check[*key].is_null());
        all || news || text(check, "state") != "confirmed" || waived(check) > 0
    };
    let rows: Vec<&Value> = checks.iter().filter(is_shown).collect();
    table(&mut out, &rows);
    out
}

/// The ways out that are not as they should be.
fn told(out: &mut String, status: &Value) {
    for path in ways(status) {
        let (name, why) = (text(path, "alertmanager"), text(path, "why"));
        if !path["broken_since"].is_null() {
            let since = text(path, "broken_since");
            let _ = writeln!(out, "ALERTS DO NOT GET THROUGH {name} since {since}: {why}");
        } else if !why.is_empty() {
            let _ = writeln!(out, "Alertmanager {name}: {why}");
        } else if path["expects_proof"] == Value::Bool(true) && path["proved_at"].is_null() {
            let _ = writeln!(out, "Alertmanager {name}: nothing has come back from it yet");
        }
        for (delivery, words) in
            [("unheard", "REACH NOBODY"), ("unknown", "go to receivers that are not known")]
        {
            let count = number(&path["alerts"], delivery);
            if count > 0 {
                let _ = writeln!(out, "{count} alerts {words} at {name}");
            }
        }
        let slow = text(path, "hold_too_short");
        if !slow.is_empty() {
            let _ = writeln!(out, "`hold` IS TOO SHORT FOR {name}: {slow}");
        }
    }
    for webhook in status["webhooks"].as_array().into_iter().flatten() {
        let (name, why) = (text(webhook, "webhook"), text(webhook, "why"));
        if !webhook["failing_since"].is_null() {
            let since = text(webhook, "failing_since");
            let _ = writeln!(out, "WEBHOOK {name} does not take everything since {since}: {why}");
        }
    }
    if !status["clock"].is_null() {
        let _ = writeln!(out, "WRONG CLOCK: {}", text(status, "clock"));
    }
    if !status["heartbeat"].is_null() && !status["heartbeat"]["why"].is_null() {
        let _ = writeln!(out, "NO HEARTBEAT: {}", text(&status["heartbeat"], "why"));
    }
}

/// What compares rows, and how far it is.
fn compared(out: &mut String, status: &Value) {
    for comparing in status["comparing"].as_array().into_iter().flatten() {
        let (check, tz) = (text(comparing, "check"), text(comparing, "tz"));
        let ends = match text(comparing, "ends_at") {
            "" => String::new(),
            at => format!(", about until {at}"),
        };
        let _ = writeln!(
            out,
            "comparing rows of {check}{}{tz}: {} and {}, {} a second{ends}",
            if tz.is_empty() { "" } else { " " },
            number(comparing, "rows_left"),
            number(comparing, "rows_right"),
            number(comparing, "rows_per_second"),
        );
    }
}

/// What is to be known of a series beside its state.
fn marks(out: &mut String, row: &Value) {
    held_back(out, row);
    let failing = text(row, "failing_since");
    if !failing.is_empty() {
        let _ = writeln!(out, "             failing since {failing}: no waiting mends it");
    }
    let changed = text(row, "changed");
    if !changed.is_empty() {
        let _ = writeln!(out, "             changed: {changed}");
    }
    let thin = text(row, "thin");
    if !thin.is_empty() {
        let _ = writeln!(out, "             thin: {thin}");
    }
}

/// What keeps the alerts of a series from being told.
fn held_back(out: &mut String, row: &Value) {
    for alert in row["alerts"].as_array().into_iter().flatten() {
        let (delivery, name) = (text(alert, "delivery"), text(alert, "alertmanager"));
        let words = match delivery {
            "notified" => continue,
            "unheard" => {
                let receivers = alert["receivers"].as_array().into_iter().flatten();
                let receivers: Vec<&str> = receivers.filter_map(Value::as_str).collect();
                format!("REACHES NOBODY: {name} routes it to {}", receivers.join(", "))
            }
            "unknown" => format!("whether {name} tells anybody is not known"),
            "inhibited" => format!("{name} sends nothing: another alert inhibits it"),
            "muted" => format!("{name} sends nothing: a time interval mutes it"),
            _ => {
                let silences = alert["silences"].as_array().into_iter().flatten();
                let silences = silences.map(|silence| {
                    let [until, by, because] =
                        ["until", "by", "because"].map(|key| text(silence, key));
                    format!(" until {until} by {by}: {because}")
                });
                format!("silenced at {name}{}", silences.collect::<Vec<_>>().join(";"))
            }
        };
        let _ = writeln!(out, "             {words}");
    }
}

/// The ways to the Alertmanagers.
fn ways(status: &Value) -> impl Iterator<Item = &Value> {
    status["alert_paths"].as_array().into_iter().flatten()
}

fn waived(check: &Value) -> u64 {
    number(check, "waived")
}

fn table(out: &mut String, rows: &[&Value]) {
    if rows.is_empty() {
        return;
    }
    let named = |row: &Value| match text(row, "tz") {
        "" => text(row, "check").to_owned(),
        tz => format!("{} {tz}", text(row, "check")),
    };
    let width = rows.iter().map(|row| named(row).len()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        out,
        "{:<11}  {:<width$}  {:>9}  {:<20}  {:<20}",
        "STATE", "CHECK", "OPEN", "CONFIRMED UNTIL", "NEXT DUE"
    );
    for row in rows {
        let open = &row["open"];
        let open = number(open, "violated") + number(open, "unconfirmed");
        let or_dash = |key: &str| match text(row, key) {
            "" => "-".to_owned(),
            // Seconds are enough for people.
            at => format!("{}Z", at.get(..19).unwrap_or(at)),
        };
        let _ = writeln!(
            out,
            "{:<11}  {:<width$}  {open:>9}  {:<20}  {:<20}",
            text(row, "state"),
            named(row),
            or_dash("confirmed_until"),
            or_dash("next_due"),
        );
        if text(row, "state") != "confirmed" {
            let _ = writeln!(
                out,
                "             {}, owner {}, source {}, {}:{}",
                text(row, "severity"),
                text(row, "owner"),
                text(row, "source"),
                text(row, "file"),
                number(row, "line"),
            );
        }
        if waived(row) > 0 {
            let _ = writeln!(
                out,
                "             waived: {} (an operator vouches for what was found)",
                waived(row)
            );
        }
        let (until, because) = (text(row, "paused_until"), text(row, "paused_because"));
        if !until.is_empty() {
            let _ = writeln!(out, "             paused until {until}: {because}");
        }
        marks(out, row);
        let note = text(row, "note");
        if !note.is_empty() {
            let _ = writeln!(out, "             {}", cut(note, NOTE_MAX));
        }
        let runbook = text(row, "runbook");
        if !runbook.is_empty() && text(row, "state") != "confirmed" {
            let _ = writeln!(out, "             runbook {runbook}");
        }
    }
}
