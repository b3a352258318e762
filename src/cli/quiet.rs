//! `quiet`: no one is told of a check for a while, though nothing else changes.

use serde_json::{Value, json};

use crate::cli::args::{Output, QuietArgs};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::{Daemon, text};
use crate::cli::{complain, print};

pub(super) fn quiet(args: &QuietArgs) -> Exit {
    match asked(args) {
        Ok(text) => Exit::Confirmed.after(print(&text)),
        Err(exit) => exit,
    }
}

fn asked(args: &QuietArgs) -> Result<String, Exit> {
    let Some(check) = &args.check else {
        let answer = Daemon::new(&args.remote)?.get("/api/v1/quiet", &[])?;
        return Ok(match args.remote.output {
            Output::Json => format!("{answer:#}\n"),
            Output::Text => list(&answer),
        });
    };
    let Some(by) = args.by.clone().or_else(user) else {
        complain("allswell: say who wants it, with `--by`");
        return Err(Exit::Invalid);
    };
    let mut body = json!({"check": check, "by": by, "because": args.because});
    match (&args.lasts, args.end) {
        (Some(lasts), _) => body["for"] = json!(lasts),
        (None, true) => body["end"] = json!(true),
        (None, false) => {
            complain(
                "allswell: say for how long, with `--for 2h`, or `--end` where it is to be told again",
            );
            return Err(Exit::Invalid);
        }
    }
    let answer = Daemon::new(&args.remote)?.post("/api/v1/quiet", &body)?;
    if let Output::Json = args.remote.output {
        return Ok(format!("{answer:#}\n"));
    }
    Ok(match answer["quiet"].is_null() {
        true => format!("{check} is told of again\n"),
        false => format!(
            "nobody is told of {check} until {}; it is looked at as before, and `status` says how it is\n",
            text(&answer["quiet"], "until")
        ),
    })
}

/// The checks that are kept quiet, in a line each.
pub(super) fn list(answer: &Value) -> String {
    let all: Vec<&Value> = answer["quiet"].as_array().into_iter().flatten().collect();
    if all.is_empty() {
        return "no check is kept quiet\n".to_owned();
    }
    let line = |quiet: &Value| {
        let [check, until, by, because] =
            ["check", "until", "by", "because"].map(|key| text(quiet, key));
        let places = quiet["places"].as_array().into_iter().flatten();
        let open = places.filter(|place| !place["why_not"].is_null());
        let open = open.map(|place| {
            format!("\n  NOT SILENT: {}: {}", text(place, "alertmanager"), text(place, "why_not"))
        });
        format!("quiet until {until}: {check}, by {by}: {because}{}\n", open.collect::<String>())
    };
    all.into_iter().map(line).collect()
}
