//! `adopt`: alerts that stood before the ledger knew of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::{AdoptArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print};

pub(super) fn adopt(args: &AdoptArgs) -> Exit {
    let done = match &args.end {
        Some(check) => end(args, check),
        None => list(args),
    };
    match done {
        Ok(text) => Exit::Confirmed.after(print(&text)),
        Err(exit) => exit,
    }
}

fn list(args: &AdoptArgs) -> Result<String, Exit> {
    let answer = Daemon::new(&args.remote)?.get("/api/v1/adopted", &[])?;
    if let Output::Json = args.remote.output {
        return Ok(format!("{answer:#}\n"));
    }
    let adopted: Vec<&Value> = answer["adopted"].as_array().into_iter().flatten().collect();
    if adopted.is_empty() {
        return Ok("the ledger knows every alert that stands\n".to_owned());
    }
    let mut out = String::new();
    for alert in adopted {
        let (check, tz) = (text(alert, "check"), text(alert, "tz"));
        let (name, since) = (text(alert, "alertname"), text(alert, "since"));
        let gap = if tz.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{check}{gap}{tz}  {name} since {since}");
        let _ = writeln!(out, "             {}", text(alert, "summary"));
    }
    out.push_str(
        "Each ends when it is proved again, or by `allswell adopt --end CHECK --because …`.\n",
    );
    Ok(out)
}

fn end(args: &AdoptArgs, check: &str) -> Result<String, Exit> {
    let Some(by) = args.by.clone().or_else(user) else {
        complain("allswell: say who ends it, with `--by`");
        return Err(Exit::Invalid);
    };
    let mut body = json!({"check": check, "by": by, "because": args.because});
    if let Some(zone) = &args.zone {
        body["tz"] = json!(zone);
    }
    let answer = Daemon::new(&args.remote)?.post("/api/v1/adopted/end", &body)?;
    if let Output::Json = args.remote.output {
        return Ok(format!("{answer:#}\n"));
    }
    Ok(match number(&answer, "ended") {
        1 => "1 alert ends\n".to_owned(),
        count => format!("{count} alerts end\n"),
    })
}
