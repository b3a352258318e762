//! `drill --ring`: rings a receiver as a real alert would, with a word; who hears it says the word with `--heard`.

mod bells;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{DrillArgs, Output};
use crate::cli::drill::Asked;
use crate::cli::drill::ring::bells::{Bell, bells, failures};
use crate::cli::exit::Exit;
use crate::cli::remote::{Daemon, text};
use crate::cli::{complain, print, stop};
use crate::clock;
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{Kind, RING};

/// How long a ring stands that nothing ends any more.
const LASTS: TimeDelta = TimeDelta::minutes(10);
/// How often it is sent again while it is waited for.
const RESEND: Duration = Duration::from_secs(60);
/// How often it is looked whether a person heard it.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// Words that are easily read out.
const FIRST: [&str; 16] = [
    "amber", "brave", "calm", "dusty", "early", "fancy", "grand", "happy", "ivory", "jolly",
    "kind", "lucky", "mellow", "noble", "quiet", "rapid",
];
const SECOND: [&str; 16] = [
    "acorn", "badger", "cedar", "daisy", "ember", "falcon", "garnet", "heron", "island", "jasper",
    "kettle", "lemon", "maple", "needle", "otter", "pebble",
];

fn word() -> String {
    let bits = RandomState::new().hash_one("ring");
    let pick =
        |words: &[&'static str; 16], bits: u64| words[usize::try_from(bits % 16).unwrap_or(0)];
    format!("{}-{}-{}", pick(&FIRST, bits), pick(&SECOND, bits >> 8), (bits >> 16) % 90 + 10)
}

/// Rings a receiver, and waits until a person says that he heard it.
pub(super) fn ring(
    receiver: &str,
    all: &[Labels],
    asked: &[Asked],
    args: &DrillArgs,
    runtime: &Arc<tokio::runtime::Runtime>,
) -> Exit {
    let Some(by) = args.by.clone().or_else(super::super::order::user) else {
        complain("allswell: nothing was sent: say who rings, with `--by NAME`");
        return Exit::Invalid;
    };
    let word = word();
    let mut bells = match runtime.block_on(bells(receiver, all, asked, &word, args.anyway)) {
        Ok(bells) => bells,
        Err(why) => {
            complain(&format!("allswell: nothing was sent: {why}"));
            return Exit::Invalid;
        }
    };
    let daemon = match Daemon::on(&args.remote, Arc::clone(runtime)) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    let names: Vec<&str> = bells.iter().map(|bell| bell.name).collect();
    let as_what: BTreeSet<String> =
        bells.iter().map(|bell| super::routes::named(&Kind::of(&bell.labels))).collect();
    let as_what = as_what.into_iter().collect::<Vec<_>>().join(" and ");
    if !args.yes && !agreed(receiver, &as_what, &names) {
        complain("allswell: nothing was sent: `--yes` rings without a question");
        return Exit::Invalid;
    }
    let body = json!({
        "kind": "ring", "name": receiver, "word": word, "by": by,
        "note": format!("as {as_what}, by {}", names.join(", ")),
    });
    let begun = match daemon.post("/api/v1/drills", &body) {
        Ok(answer) => text(&answer, "begun_at").to_owned(),
        Err(exit) => return exit,
    };
    complain(&format!(
        "ringing {receiver}: who hears it says the word that the notification has, with \
         `allswell drill --heard WORD --by NAME`. Ctrl-C ends it"
    ));
    let stopped = CancellationToken::new();
    let ring = Ring { receiver, word: &word, begun: &begun, within: args.within(LASTS) };
    let rung = runtime.block_on(async {
        tokio::select! {
            rung = wait(&ring, &mut bells, &daemon, &stopped) => rung,
            // The first signal only cancels: what was sent is ended before anything else.
            () = stop::on_first_signal(&stopped) => Rung::default(),
        }
    });
    told(receiver, &rung, args.remote.output)
}

/// Asks a person whether to ring.
fn agreed(receiver: &str, as_what: &str, names: &[&str]) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    let question = format!(
        "This rings {receiver} now, as {as_what} would, by {}. Ring? [y/N] ",
        names.join(", ")
    );
    let mut out = std::io::stderr().lock();
    drop(out.write_all(question.as_bytes()).and_then(|()| out.flush()));
    let mut line = String::new();
    drop(stdin.lock().read_line(&mut line));
    matches!(line.trim(), "y" | "Y" | "yes")
}

/// What came of a ring.
#[derive(Debug, Default)]
struct Rung {
    by: Option<String>,
    took: Duration,
    why: Option<String>,
    is_stopped: bool,
}

/// A ring that was begun.
struct Ring<'a> {
    receiver: &'a str,
    word: &'a str,
    /// When, as the daemon wrote it down: a later one of the receiver is another one.
    begun: &'a str,
    within: Duration,
}

async fn wait(
    ring: &Ring<'_>,
    bells: &mut [Bell<'_>],
    daemon: &Daemon,
    stopped: &CancellationToken,
) -> Rung {
    let began = Instant::now();
    let mut rung = Rung::default();
    let mut sent_at = None;
    while rung.by.is_none() && began.elapsed() < ring.within && !stopped.is_cancelled() {
        // It stands for as long as it is waited for.
        if sent_at.is_none_or(|at: Instant| at.elapsed() >= RESEND) {
            sent_at = Some(Instant::now());
            for bell in bells.iter() {
                if let Err(why) = send(bell, ring, true).await {
                    complain(&format!("allswell: Alertmanager {}: {why}", bell.name));
                    rung.why = Some(format!("{} did not take it: {why}", bell.name));
                }
            }
        }
        let drills = daemon.ask("/api/v1/drills").await;
        let is_ours =
            |one: &&Value| text(one, "kind") == "ring" && text(one, "name") == ring.receiver;
        if let Some(one) = drills["drills"].as_array().into_iter().flatten().find(is_ours) {
            if text(one, "begun_at") != ring.begun {
                rung.why = Some("another ring of this receiver was begun".to_owned());
                break;
            }
            if text(one, "proved_at") >= ring.begun {
                rung.by = Some(text(one, "by").to_owned());
                break;
            }
        }
        for bell in bells.iter_mut() {
            if let Some(why) = trouble(bell, ring).await {
                complain(&format!("allswell: Alertmanager {}: {why}", bell.name));
                rung.why = Some(format!("{}: {why}", bell.name));
            }
        }
        tokio::select! {
            () = stopped.cancelled() => {}
            () = sleep(LOOK_EACH) => {}
        }
    }
    rung.took = began.elapsed();
    rung.is_stopped = stopped.is_cancelled();
    for bell in bells.iter() {
        if let Err(why) = send(bell, ring, false).await {
            complain(&format!(
                "allswell: Alertmanager {}: the ring was not ended, and ends by itself within ten minutes: {why}",
                bell.name
            ));
        }
    }
    rung
}

/// What is wrong with a ring, told once.
async fn trouble(bell: &mut Bell<'_>, ring: &Ring<'_>) -> Option<String> {
    let failed = failures(bell.configured, ring.receiver).await;
    if let (Some(before), Some(now)) = (bell.failed, failed)
        && now > before
    {
        bell.failed = None;
        return Some(format!(
            "it counts {} notifications or requests that failed since",
            now - before
        ));
    }
    let filter = [("filter", format!("{RING}=\"{}\"", ring.word))];
    let (_, alerts) = bell.configured.peer.get("/api/v2/alerts", &filter).await.ok()?;
    let status = &alerts.as_array()?.first()?["status"];
    (status["state"] == "suppressed")
        .then(|| "the ring is held back: it is silenced, inhibited or muted".to_owned())
}

async fn send(bell: &Bell<'_>, ring: &Ring<'_>, stands: bool) -> Result<(), String> {
    let Ring { receiver, word, .. } = ring;
    let now = clock::now();
    let at = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let ends = if stands { now + LASTS } else { now };
    let alert = json!([{
        "labels": bell.labels.all(),
        "annotations": {
            "summary": format!("DRILL for {receiver}: nothing is wrong. The word is {word}"),
            "description": format!("Who reads this says so: allswell drill --heard {word} --by NAME"),
        },
        "startsAt": ring.begun,
        "endsAt": at(ends),
    }]);
    let receipt = bell.configured.peer.deliver("/api/v2/alerts", alert.to_string()).await;
    let receipt = receipt.map_err(|error| error.to_string())?;
    match receipt.status {
        200..=299 => Ok(()),
        status => Err(format!("it answers with status {status}")),
    }
}

fn told(receiver: &str, rung: &Rung, output: Output) -> Exit {
    let exit = match (&rung.by, rung.is_stopped) {
        (Some(_), _) => Exit::Confirmed,
        (None, true) => Exit::Unconfirmed,
        (None, false) => Exit::Violated,
    };
    let secs = rung.took.as_secs();
    let said = match output {
        Output::Json => {
            let took = rung.by.as_ref().map(|_| secs);
            let value = json!({
                "format": 1, "receiver": receiver, "heard_by": rung.by, "took_secs": took, "why": rung.why,
                "stopped": rung.is_stopped,
            });
            format!("{value:#}\n")
        }
        Output::Text => match (&rung.by, &rung.why) {
            (Some(by), _) => format!("{receiver}: HEARD by {by} after {secs} s\n"),
            (None, _) if rung.is_stopped => {
                format!("{receiver}: NOT HEARD: it was stopped after {secs} s, and is ended\n")
            }
            (None, Some(why)) => format!("{receiver}: NOT HEARD within {secs} s: {why}\n"),
            (None, None) => format!("{receiver}: NOT HEARD within {secs} s\n"),
        },
    };
    exit.after(print(&said))
}

/// Says that a word was heard.
pub(super) fn heard(word: &str, args: &DrillArgs) -> Exit {
    let daemon = match Daemon::new(&args.remote) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    let by = args.by.clone().or_else(super::super::order::user);
    let answer = daemon.post("/api/v1/drills/heard", &json!({"word": word, "by": by}));
    match answer {
        Ok(answer) => {
            let (receiver, took) = (text(&answer, "receiver"), answer["took_secs"].as_i64());
            let said = match args.remote.output {
                Output::Json => format!("{answer:#}\n"),
                Output::Text => format!("{receiver} was heard after {} s\n", took.unwrap_or(0)),
            };
            print(&said)
        }
        Err(exit) => exit,
    }
}
