//! `waivers`: who vouched for what, why, and whether it stands.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::args::{Output, WaiversArgs};
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::remote::{Daemon, number, text};

pub(super) fn waivers(args: &WaiversArgs) -> Exit {
    match shown(args) {
        Ok(text) => Exit::Confirmed.after(print(&text)),
        Err(exit) => exit,
    }
}

fn shown(args: &WaiversArgs) -> Result<String, Exit> {
    let daemon = Daemon::new(&args.remote)?;
    let mut waivers = daemon.list("/api/v1/waivers", "waivers", &[], args.limit.get())?;
    waivers.truncate(args.limit.get());
    if !args.all {
        waivers.retain(|waiver| number(waiver, "covers") > 0);
    }
    Ok(match args.remote.output {
        Output::Json => format!("{:#}\n", json!({"format": 1, "waivers": waivers})),
        Output::Text if waivers.is_empty() && args.all => "no waiver was given\n".to_owned(),
        Output::Text => report(&waivers),
    })
}

fn report(waivers: &[Value]) -> String {
    if waivers.is_empty() {
        return "no waiver covers anything\n".to_owned();
    }
    let mut out = String::new();
    for waiver in waivers {
        let until = match text(waiver, "until") {
            "" => "without an end".to_owned(),
            until => format!("until {until}"),
        };
        let (covers, rows) = (number(waiver, "covers"), number(waiver, "rows"));
        let (at, by) = (text(waiver, "at"), text(waiver, "by"));
        let _ = writeln!(out, "covers {covers} of {rows}  {until}  given {at} by {by}");
        let (selection, because) = (text(waiver, "selection"), text(waiver, "because"));
        let _ = writeln!(out, "             {selection}: {because}");
    }
    out
}
