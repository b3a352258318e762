//! `deps --external`: every call that leaves the daemon's process.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::{DepsArgs, DepsFormat, Format};
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::validate::{config, refuse};
use crate::settings::Settings;
use crate::settings::external::{Call, Kind, Rule};

/// Shows what the settings lead to; no one is asked.
pub(super) fn external(args: &DepsArgs) -> Exit {
    let form = match args.output {
        DepsFormat::Json => Format::Json,
        DepsFormat::Text => Format::Text,
        DepsFormat::Dot | DepsFormat::Mermaid => {
            complain("allswell: a list of calls is no graph: `--output text` or `json`");
            return Exit::Invalid;
        }
    };
    let path = config(&args.from);
    let settings = match Settings::read(&path) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, form),
    };
    let calls = settings.external(&path);
    print(&match form {
        Format::Json => format!("{:#}\n", json_of(&calls)),
        Format::Text | Format::Junit | Format::Github | Format::Markdown => text_of(&calls),
    })
}

fn text_of(calls: &[Call]) -> String {
    let mut out = String::new();
    for kind in Kind::ALL {
        let theirs: Vec<&Call> = calls.iter().filter(|call| call.kind == kind).collect();
        if theirs.is_empty() {
            continue;
        }
        let Rule { what, timeout, retries, breaker, without, .. } = kind.rule();
        let _ = writeln!(out, "{}: {what}", kind.as_str());
        for Call { name, to, .. } in theirs {
            let _ = writeln!(out, "  {name}  {to}");
        }
        let _ = writeln!(out, "  timeout     {timeout}");
        let _ = writeln!(out, "  retries     {retries}");
        let _ = writeln!(out, "  breaker     {breaker}");
        let _ = writeln!(out, "  without it  {without}\n");
    }
    out.push_str("Nothing else leaves the process: no telemetry, no proxy of the environment, no other host.\n");
    out
}

fn json_of(calls: &[Call]) -> Value {
    let kinds = Kind::ALL.map(|kind| {
        let Rule { what, timeout, retries, breaker, without, .. } = kind.rule();
        let theirs = calls.iter().filter(|call| call.kind == kind);
        json!({
            "kind": kind.as_str(),
            "what": what,
            "timeout": timeout,
            "retries": retries,
            "breaker": breaker,
            "without": without,
            "calls": theirs.map(|call| json!({"name": call.name, "to": call.to})).collect::<Value>(),
        })
    });
    json!({"format": 1, "external": kinds})
}
