//! `generations`, `approve`, `reject`, `rollback`: catalogues that a daemon runs, ran, or is to run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::{DecideArgs, GenerationsArgs, Output, RollBackArgs};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print};

pub(super) fn generations(args: &GenerationsArgs) -> Exit {
    let answer =
        Daemon::new(&args.remote).and_then(|daemon| daemon.get("/api/v1/generations", &[]));
    let answer = match answer {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if let Output::Json = args.remote.output {
        return print(&format!("{answer:#}\n"));
    }
    let all: Vec<&Value> = answer["generations"].as_array().into_iter().flatten().collect();
    if all.is_empty() {
        return print("no catalogue was loaded yet\n");
    }
    let mut out = String::new();
    for one in all {
        let fate = text(&one["candidate"], "fate");
        let state = match (one["active"] == Value::Bool(true), fate) {
            (true, _) => "active",
            (false, "waiting" | "rejected" | "outdated") => fate,
            (false, _) => "",
        };
        let line = format!(
            "{:<5} {state:<9} {}  {}",
            number(one, "id"),
            text(one, "loaded_at"),
            text(one, "loaded_by")
        );
        let _ = writeln!(out, "{}", line.trim_end());
        if fate == "waiting" {
            let _ =
                writeln!(out, "      it waits for approval: {}", text(&one["candidate"], "why"));
        } else if !text(&one["candidate"], "by").is_empty() {
            let (by, because) = (text(&one["candidate"], "by"), text(&one["candidate"], "because"));
            let _ = writeln!(out, "      {fate} by {by}: {because}");
        }
    }
    print(&out)
}

/// Gives a word for or against a catalogue that waits.
pub(super) fn decide(args: &DecideArgs, verb: &str) -> Exit {
    let Some(by) = who(args.by.as_ref()) else { return Exit::Invalid };
    let path = format!("/api/v1/generations/{}/{verb}", args.id);
    let body = json!({"by": by, "because": args.because});
    let answer = Daemon::new(&args.remote).and_then(|daemon| daemon.post(&path, &body));
    let answer = match answer {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if let Output::Json = args.remote.output {
        return print(&format!("{answer:#}\n"));
    }
    let said = match (verb, text(&answer, "loaded"), text(&answer, "why")) {
        ("approve", "", why) => {
            format!("generation {} is approved, and is loaded soon: {why}\n", args.id)
        }
        ("approve", loaded, _) => format!("{loaded}\n"),
        _ => format!("generation {} is rejected: the catalogue before it goes on\n", args.id),
    };
    print(&said)
}

/// Goes back to an earlier catalogue.
pub(super) fn roll_back(args: &RollBackArgs) -> Exit {
    let Some(by) = who(args.by.as_ref()) else { return Exit::Invalid };
    let body = json!({"generation": args.id, "by": by, "because": args.because});
    let answer =
        Daemon::new(&args.remote).and_then(|daemon| daemon.post("/api/v1/rollback", &body));
    let answer = match answer {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if let Output::Json = args.remote.output {
        return print(&format!("{answer:#}\n"));
    }
    let id = number(&answer, "generation");
    print(&match answer["changed"] == Value::Bool(true) {
        true => format!(
            "generation {id} with {} checks is active again; the files count again once they change\n",
            number(&answer, "checks")
        ),
        false => format!("generation {id} is active already\n"),
    })
}

fn who(by: Option<&String>) -> Option<String> {
    let by = by.cloned().or_else(user);
    if by.is_none() {
        complain("allswell: say who says so, with `--by`");
    }
    by
}
