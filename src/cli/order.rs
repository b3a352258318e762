//! `rerun` and `waive`: what an operator orders.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::cli::args::{Output, Remote, RerunArgs, Rows, WaiveArgs};
use crate::cli::exit::Exit;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print};
use crate::secret::Reference;

/// Who gives the order, where `--by` is not given.
fn user() -> Option<String> {
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
    body["until"] = json!(args.until.map(|until| until.to_rfc3339()));
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

fn order(remote: &Remote, path: &str, body: &Value, said: impl FnOnce(u64) -> String) -> Exit {
    let daemon = match Daemon::new(remote) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    let answer = match daemon.post(path, body) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    let selection = text(&answer, "selection");
    if answer["under_way"] == true {
        let shown = match remote.output {
            Output::Json => format!("{answer:#}\n"),
            Output::Text => format!(
                "the order takes a while, and goes on ({selection}); /api/v1/events says when it is done, and `allswell history` what came of it\n"
            ),
        };
        return Exit::Confirmed.after(print(&shown));
    }
    let rows = number(&answer, "rows");
    let exit = if rows == 0 { Exit::Invalid } else { Exit::Confirmed };
    let shown = match remote.output {
        Output::Json => format!("{answer:#}\n"),
        Output::Text => format!("{} ({selection})\n", said(rows)),
    };
    exit.after(print(&shown))
}
