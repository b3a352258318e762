//! `rerun` and `waive`: what an operator orders.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::cli::args::{Output, Remote, RerunArgs, Rows, WaiveArgs};
use crate::cli::exit::Exit;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print};
use crate::secret::Reference;

/// How soon it is asked after an order, and how often at most.
const ASKED_AFTER: Duration = Duration::from_millis(20);
const ASKED_EACH: Duration = Duration::from_millis(500);
/// How often it is told how far an order is.
const TOLD_EACH: Duration = Duration::from_secs(5);

/// Who gives the order, where `--by` is not given.
pub(super) fn user() -> Option<String> {
    let user = Reference::Env("USER".to_owned()).read().ok()?;
    Some(user.expose_secret().to_owned())
}

fn body(rows: &Rows) -> Value {
    json!({
        "check": rows.check,
        "owner": rows.owner,
        "zones": rows.zone,
        "from": rows.from,
        "to": rows.to,
    })
}

pub(super) fn rerun(args: &RerunArgs) -> Exit {
    let mut body = body(&args.rows);
    body["by"] = json!(user().unwrap_or_else(|| "unknown".into()));
    if args.accept_evidence {
        body["accept_evidence"] = json!(true);
        body["because"] = json!(args.because);
    }
    let said = |rows| {
        match rows {
        0 => "nothing is recorded there, so that nothing is tried again: `allswell run CHECK --window FROM..TO` \
              looks at windows from before the check was there"
            .to_owned(),
        1 => "1 window or look is tried again as soon as there is a place for it".to_owned(),
        rows => {
            format!("{rows} windows or looks are tried again as soon as there is a place for them")
        }
    }
    };
    order(&args.remote, "/api/v1/rerun", &body, said)
}

pub(super) fn waive(args: &WaiveArgs) -> Exit {
    let Some(by) = args.by.clone().or_else(user) else {
        complain("allswell: say who vouches, with `--by`");
        return Exit::Invalid;
    };
    let mut body = body(&args.rows);
    body["by"] = json!(by);
    body["because"] = json!(args.because);
    if args.revoke {
        body["revoke"] = json!(true);
        let said = |rows| match rows {
            0 => "no waiver covers anything there: nothing was revoked".to_owned(),
            1 => "the waiver of 1 window or look is revoked".to_owned(),
            rows => format!("the waivers of {rows} windows or looks are revoked"),
        };
        return order(&args.remote, "/api/v1/waive", &body, said);
    }
    body["until"] = json!(args.until);
    let said = |rows| match rows {
        0 => "nothing is open there: nothing was waived".to_owned(),
        1 => "1 open window or look is waived; what opens later is not: `pause` is for that"
            .to_owned(),
        rows => format!(
            "{rows} open windows or looks are waived; what opens later is not: `pause` is for that"
        ),
    };
    order(&args.remote, "/api/v1/waive", &body, said)
}

/// Gives an order, and follows it until it is over.
fn order(remote: &Remote, path: &str, body: &Value, said: impl FnOnce(u64) -> String) -> Exit {
    let daemon = match Daemon::new(remote) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    let answer = daemon.post(path, body).and_then(|answer| follow(&daemon, answer));
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    let order = answer["order"].take();
    if let Output::Json = remote.output {
        let shown = print(&format!("{order:#}\n"));
        return exit_of(&order).after(shown);
    }
    let rows = number(&order, "rows");
    let selection = text(&order, "selection");
    match order["trouble"].as_str() {
        None => exit_of(&order).after(print(&format!("{} ({selection})\n", said(rows)))),
        Some(trouble) => {
            complain(&format!(
                "allswell: the order was carried out on {rows} windows or looks, and on no others: {trouble}\n\
                 give it again: what is done stays done ({selection})"
            ));
            exit_of(&order)
        }
    }
}

fn exit_of(order: &Value) -> Exit {
    match (order["trouble"].is_null(), number(order, "rows")) {
        (false, _) => Exit::Io,
        (true, 0) => Exit::Invalid,
        (true, _) => Exit::Confirmed,
    }
}

/// Asks after an order until it is over, and now and then says how far it is.
fn follow(daemon: &Daemon, mut answer: Value) -> Result<Value, Exit> {
    let (mut pause, mut told) = (ASKED_AFTER, tokio::time::Instant::now());
    while answer["order"]["ended_at"].is_null() {
        if told.elapsed() >= TOLD_EACH {
            told = tokio::time::Instant::now();
            let order = &answer["order"];
            complain(&format!(
                "allswell: order {}: {} windows or looks by now, {} series left; it goes on whether you wait or not",
                number(order, "id"),
                number(order, "rows"),
                number(order, "series_left")
            ));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(ASKED_EACH);
        answer = daemon.get(text(&answer["order"], "href"), &[])?;
    }
    Ok(answer)
}
