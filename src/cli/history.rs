//! `history`: the record of a check.

use std::fmt::Write as _;

use chrono::{DateTime, FixedOffset, NaiveTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::cli::args::{HistoryArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::remote::{Daemon, number, text};

pub(super) fn history(args: &HistoryArgs) -> Exit {
    match shown(args) {
        Ok((text, exit)) => exit.after(print(&text)),
        Err(exit) => exit,
    }
}

fn shown(args: &HistoryArgs) -> Result<(String, Exit), Exit> {
    let daemon = Daemon::new(&args.remote)?;
    let mut query = Vec::new();
    query.extend(args.zone.clone().map(|zone| ("tz", zone)));
    query.extend(args.open.then(|| ("open", "true".to_owned())));
    query.extend(args.from.clone().map(|from| ("from", from)));
    query.extend(args.to.clone().map(|to| ("to", to)));
    let id = utf8_percent_encode(&args.check, NON_ALPHANUMERIC);
    let path = format!("/api/v1/checks/{id}/windows");
    let mut windows = daemon.list(&path, "windows", &query, args.limit.get())?;
    windows.truncate(args.limit.get());
    // That nothing is open is good to know; that nothing is recorded is a slip of who asks.
    let exit = if windows.is_empty() && !args.open { Exit::Invalid } else { Exit::Confirmed };
    let text = match args.remote.output {
        Output::Json => format!("{:#}\n", json!({"format": 1, "windows": windows})),
        Output::Text if windows.is_empty() && args.open => "nothing is open there\n".to_owned(),
        Output::Text => report(&windows),
    };
    Ok((text, exit))
}

fn report(windows: &[Value]) -> String {
    let mut out = String::new();
    if windows.is_empty() {
        out.push_str("nothing is recorded there\n");
    }
    for window in windows {
        let short = |key| {
            let at = text(window, key);
            at.get(..19).map_or_else(|| at.to_owned(), |at| format!("{at}Z"))
        };
        let bounds = bounds(window).unwrap_or_else(|| short("start"));
        let state = match text(window, "verdict") {
            "" => text(window, "state"),
            verdict => verdict,
        };
        let mut words = vec![format!("{state:<11}"), bounds];
        let tz = text(window, "tz");
        if !tz.is_empty() {
            words.push(tz.to_owned());
        }
        let cause = text(window, "cause");
        if !cause.is_empty() {
            words.push(format!("({cause})"));
        }
        if let Some(evidence) = window.get("evidence").and_then(Value::as_u64) {
            words.push(format!("looked at {evidence}"));
        }
        let attempts = number(window, "attempts");
        if attempts > 1 {
            words.push(format!("{attempts} attempts"));
        }
        if number(window, "in_vain") > 0 && window["state"] == "recorded" && attempts > 1 {
            let again = if window["asked"] == true { ", and is tried again" } else { "" };
            words.push(format!("in vain at {}{again}", short("tried_at")));
        }
        if window["open"] == Value::Bool(true) {
            words.push("OPEN".into());
        }
        let overridden = text(window, "ruling");
        if !overridden.is_empty() {
            words.push(overridden.to_owned());
        }
        let _ = writeln!(out, "{}", words.join("  "));
        let note = text(window, "note");
        if !note.is_empty() && state != "confirmed" {
            let _ = writeln!(out, "             {note}");
        }
        if let Some(waiver) = window.get("waiver").filter(|waiver| !waiver.is_null()) {
            let until = match text(waiver, "until") {
                "" => String::new(),
                until => format!(", until {until}"),
            };
            let (by, because) = (text(waiver, "by"), text(waiver, "because"));
            let word = if overridden == "waived" { "waived" } else { "was waived" };
            let _ = writeln!(out, "             {word} by {by}{until}: {because}");
        }
    }
    out
}

/// From when to when, by the clocks of its zone as they stood at its beginning.
fn bounds(window: &Value) -> Option<String> {
    let offset = i32::try_from(window.get("utc_offset")?.as_i64()?).ok()?;
    let zone = FixedOffset::east_opt(offset)?;
    let at = |key| Some(text(window, key).parse::<DateTime<Utc>>().ok()?.with_timezone(&zone));
    let (start, end) = (at("start")?, at("end")?);
    let is_midnight = |at: &DateTime<FixedOffset>| at.time() == NaiveTime::MIN;
    let day = |at: &DateTime<FixedOffset>| at.format("%Y-%m-%d").to_string();
    let minute = |at: &DateTime<FixedOffset>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    let shown = match start == end {
        true => minute(&start),
        // A day is a day.
        false if is_midnight(&start) && end - start == TimeDelta::days(1) => day(&start),
        false => format!("{} – {}", minute(&start), minute(&end)),
    };
    let offset = if offset == 0 { "Z".to_owned() } else { format!(" {zone}") };
    Some(format!("{shown}{offset}"))
}
