//! `look`: has a daemon look at the newest windows at once, and says what it saw.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::args::{LookArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::{Daemon, number, text};
use crate::cli::{complain, print};

/// How often it is asked whether verdicts are there.
const ASKED_EACH: Duration = Duration::from_millis(500);
/// After how long an order is given again: what was under way when it was given is not tried again.
const ORDERED_EACH: Duration = Duration::from_secs(30);

pub(super) fn look(args: &LookArgs) -> Exit {
    match verdicts(args) {
        Ok(answer) => told(&answer, args),
        Err(exit) => exit,
    }
}

/// Orders it, and waits for the verdicts as long as it is to.
fn verdicts(args: &LookArgs) -> Result<Value, Exit> {
    let daemon = Daemon::new(&args.remote)?;
    let by = args.by.clone().or_else(user).unwrap_or_else(|| "unknown".into());
    let order = json!({"check": args.check, "owner": args.owner, "by": by});
    let began = tokio::time::Instant::now();
    let mut ordered = began;
    let mut answer = daemon.post("/api/v1/look", &order)?;
    // Verdicts since the first order count, whichever order brought them.
    let href = text(&answer, "href").to_owned();
    while number(&answer, "waiting") > 0 && began.elapsed() < args.wait {
        std::thread::sleep(ASKED_EACH);
        if ordered.elapsed() >= ORDERED_EACH {
            ordered = tokio::time::Instant::now();
            daemon.post("/api/v1/look", &order)?;
        }
        answer = daemon.get(&href, &[])?;
    }
    Ok(answer)
}

fn told(answer: &Value, args: &LookArgs) -> Exit {
    let none = Vec::new();
    let looks = answer["looks"].as_array().unwrap_or(&none);
    let never_due = answer["never_due"].as_array().unwrap_or(&none);
    let waiting = number(answer, "waiting");
    let shown = match args.remote.output {
        Output::Json => print(&format!("{answer:#}\n")),
        Output::Text => {
            let paused = answer["paused"].as_array().unwrap_or(&none).iter();
            let paused = paused.map(|one| {
                format!("paused       {}  until {}\n", text(one, "check"), text(one, "until"))
            });
            let never = never_due.iter().map(|one| {
                let (check, next) = (text(one, "check"), text(one, "next_due"));
                format!("never due    {check}  first due {next}: nothing of it was looked at\n")
            });
            print(&looks.iter().map(line).chain(never).chain(paused).collect::<String>())
        }
    };
    if waiting > 0 {
        let windows =
            if waiting == 1 { "1 window has" } else { &format!("{waiting} windows have") };
        complain(&format!(
            "allswell: {windows} no verdict yet; the daemon looks as soon as there is a place, whether you wait or not \
             (`--wait`)"
        ));
    }
    proved(answer).after(shown)
}

/// Whether all of it is proved: what waits, and what was never due, is not.
fn proved(answer: &Value) -> Exit {
    let none = Vec::new();
    let looks = answer["looks"].as_array().unwrap_or(&none);
    let has = |verdict: &str| looks.iter().any(|look| text(look, "verdict") == verdict);
    let never_due = answer["never_due"].as_array().is_some_and(|never| !never.is_empty());
    if has("violated") {
        Exit::Violated
    } else if has("unconfirmed") || number(answer, "waiting") > 0 || looks.is_empty() || never_due {
        Exit::Unconfirmed
    } else {
        Exit::Confirmed
    }
}

/// A verdict in words, with what was found below it.
fn line(look: &Value) -> String {
    let verdict = match text(look, "verdict") {
        "" => "waiting",
        verdict => verdict,
    };
    let zone = look["tz"].as_str().map(|tz| format!(" {tz}")).unwrap_or_default();
    let evidence =
        look["evidence"].as_u64().map(|n| format!(", looked at {n}")).unwrap_or_default();
    let when = match (text(look, "start"), text(look, "end")) {
        // When it was looked, and not when that was due.
        (start, end) if start == end => match text(look, "ended_at") {
            "" => "waiting for a place".to_owned(),
            at => format!("at {at}"),
        },
        (start, end) => format!("{start} to {end}"),
    };
    let mut line = format!("{verdict:<12} {}  {when}{zone}{evidence}\n", text(look, "check"));
    // What came later than this window is not in it.
    if let (true, Some(next)) =
        (text(look, "start") != text(look, "end"), look["next_due"].as_str())
    {
        let _ = writeln!(
            line,
            "    {:<8} the window after it is due {next}, and not looked at before",
            "next"
        );
    }
    let label = if verdict == "violated" { "found" } else { "because" };
    if let Some(note) = look["note"].as_str() {
        let cause = look["cause"].as_str().map(|cause| format!("{cause}: ")).unwrap_or_default();
        let _ = writeln!(line, "    {label:<8} {cause}{note}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_or_was_never_due_is_not_proved_by_what_was_looked_at() {
        let confirmed = json!({"verdict": "confirmed"});
        let cases = [
            (json!({"looks": [confirmed]}), Exit::Confirmed),
            (json!({"looks": []}), Exit::Unconfirmed),
            (json!({"looks": [confirmed], "waiting": 1}), Exit::Unconfirmed),
            (json!({"looks": [confirmed], "never_due": [{"check": "leap"}]}), Exit::Unconfirmed),
            (json!({"looks": [confirmed, {"verdict": "unconfirmed"}]}), Exit::Unconfirmed),
            (
                json!({"looks": [{"verdict": "unconfirmed"}, {"verdict": "violated"}]}),
                Exit::Violated,
            ),
        ];
        for (answer, exit) in cases {
            assert_eq!(proved(&answer), exit, "{answer}");
        }
    }
}
