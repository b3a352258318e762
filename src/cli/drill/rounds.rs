//! `drill --loop`: every kind of alert goes out to each Alertmanager and back to allswell, and ends. Nobody is told of any.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{DrillArgs, Output};
use crate::cli::drill::Asked;
use crate::cli::exit::Exit;
use crate::cli::remote::Daemon;
use crate::cli::{complain, print, stop};
use crate::clock;
use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::{DRILL, DRILL_RECEIVER, Kind};
use crate::domain::alerting::seen::WATCHDOG;

/// How long an alert of a drill stands that nothing ends any more.
const LASTS: TimeDelta = TimeDelta::minutes(10);
/// How often we look what came back.
const LOOK_EACH: Duration = Duration::from_millis(200);
/// How many alerts go into one request.
const BATCH: usize = 256;

/// What became of one kind of alert at one Alertmanager, in milliseconds.
#[derive(Debug, Default, Clone, Copy)]
struct Round {
    back_ms: Option<i64>,
    ended_ms: Option<i64>,
}

/// One Alertmanager's part of a drill.
struct Part<'a> {
    asked: &'a Asked,
    drill: String,
    kinds: BTreeMap<Kind, (Labels, Round)>,
}

/// Sends everything out and waits for it.
pub(super) fn run(
    all: &[Labels],
    asked: &[Asked],
    args: &DrillArgs,
    runtime: &Arc<tokio::runtime::Runtime>,
) -> Exit {
    let daemon = match Daemon::on(&args.remote, Arc::clone(runtime)) {
        Ok(daemon) => daemon,
        Err(exit) => return exit,
    };
    // Where it does not answer, nothing could come back.
    if let Err(exit) = daemon.get("/api/v1/drills/none", &[]) {
        return exit;
    }
    let mut parts = Vec::new();
    for (place, asked) in asked.iter().enumerate() {
        match prepare(all, asked, place, args.anyway) {
            Ok(part) => parts.push(part),
            Err(why) => {
                complain(&format!(
                    "allswell: nothing was sent: Alertmanager {}: {why}",
                    asked.name
                ));
                return Exit::Invalid;
            }
        }
    }
    let stopped = CancellationToken::new();
    let exit = runtime.block_on(async {
        tokio::select! {
            exit = rounds(&mut parts, &daemon, args.within(TimeDelta::minutes(1)), &stopped) => exit,
            () = stop::on_signal(stopped.clone()) => Exit::Io,
        }
    });
    let shown = match args.remote.output {
        Output::Json => format!("{:#}\n", json_of(&parts)),
        Output::Text => text_of(&parts),
    };
    exit.after(print(&shown))
}

/// Everything that would be sent to one Alertmanager; why it is not, where a person would be told of it.
fn prepare<'a>(
    all: &[Labels],
    asked: &'a Asked,
    place: usize,
    anyway: bool,
) -> Result<Part<'a>, String> {
    let configured = asked.answer.as_ref().map_err(Clone::clone)?;
    if !anyway && let Some(stands) = &configured.stands {
        return Err(format!(
            "{stands} fires, and would inhibit what is sent: mend that first, or say `--anyway`"
        ));
    }
    use std::hash::{BuildHasher as _, RandomState};
    let drill = format!("{:012x}-{place}", RandomState::new().hash_one(place) >> 16);
    let mut kinds = BTreeMap::new();
    for labels in all {
        let marked = labels.all().clone().into_iter().chain([(DRILL.to_owned(), drill.clone())]);
        let marked = Labels::new(marked);
        for taken in configured.routes.taken(marked.all()) {
            let is_ours = taken.receiver == DRILL_RECEIVER;
            if !is_ours || taken.is_default {
                return Err(format!(
                    "a drill of {} would go to `{}`, and not come back: put the route first that \
                     `allswell alertmanager-config --drill` prints",
                    labels.get("alertname"),
                    taken.receiver
                ));
            }
        }
        // A rule without a condition holds for everything.
        let inhibits = |source: &Vec<crate::domain::alerting::routing::Matcher>| {
            source.iter().all(|matcher| matcher.holds(marked.all()))
        };
        if configured.inhibitions.iter().any(inhibits) {
            return Err(format!(
                "a drill of {} would inhibit real alerts: write `drill=\"\"` into `source_matchers` of each rule, as \
                 `allswell alertmanager-config` prints them",
                labels.get("alertname")
            ));
        }
        kinds.entry(Kind::of(labels)).or_insert((marked, Round::default()));
    }
    if !configured.brings_back {
        return Err(format!(
            "its receiver `{DRILL_RECEIVER}` has not one webhook and nothing else: what stands beside that would be told \
             of each drill"
        ));
    }
    Ok(Part { asked, drill, kinds })
}

async fn rounds(
    parts: &mut [Part<'_>],
    daemon: &Daemon,
    within: Duration,
    stopped: &CancellationToken,
) -> Exit {
    let mut exit = Exit::Confirmed;
    for part in parts {
        for stands in [true, false] {
            // However it was stopped, what was sent is ended.
            if stands && stopped.is_cancelled() {
                break;
            }
            let sent_at = clock::now();
            if let Err(why) = send(part, stands, sent_at).await {
                complain(&format!("allswell: Alertmanager {}: {why}", part.asked.name));
                exit = Exit::Violated;
                continue;
            }
            let is_whole = wait(part, daemon, (stands, sent_at), within, stopped).await;
            if !is_whole {
                exit = Exit::Violated;
            }
        }
        if stopped.is_cancelled() {
            return Exit::Unconfirmed;
        }
    }
    exit
}

async fn send(part: &Part<'_>, stands: bool, now: DateTime<Utc>) -> Result<(), String> {
    let configured = part.asked.answer.as_ref().map_err(Clone::clone)?;
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let ends = if stands { now + LASTS } else { now };
    let alert = |(labels, _): &(Labels, Round)| {
        json!({
            "labels": labels.all(),
            "annotations": {"summary": format!("a drill of {}: nothing is wrong", labels.get("alertname"))},
            "startsAt": at(now.min(ends)),
            "endsAt": at(ends),
        })
    };
    let alerts: Vec<Value> = part.kinds.values().map(alert).collect();
    for batch in alerts.chunks(BATCH) {
        let body = Value::Array(batch.to_vec()).to_string();
        let receipt = configured.peer.deliver("/api/v2/alerts", body).await;
        let receipt = receipt.map_err(|error| error.to_string())?;
        if !(200..300).contains(&receipt.status) {
            return Err(format!("it answers with status {}", receipt.status));
        }
    }
    Ok(())
}

/// Waits until all of it came back; says whether it did.
async fn wait(
    part: &mut Part<'_>,
    daemon: &Daemon,
    (stands, sent_at): (bool, DateTime<Utc>),
    within: Duration,
    stopped: &CancellationToken,
) -> bool {
    let began = Instant::now();
    loop {
        let path = format!("/api/v1/drills/{}", part.drill);
        let back = daemon.ask(&path).await;
        for one in back["back"].as_array().into_iter().flatten() {
            let labels = one["labels"].as_object().into_iter().flatten();
            let labels = labels.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_owned())));
            let at = one["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
            let (Some(at), true) = (at, one["stands"] == stands) else { continue };
            let Some((_, round)) = part.kinds.get_mut(&Kind::of(&Labels::new(labels))) else {
                continue;
            };
            let took = (at - sent_at).num_milliseconds().max(0);
            let place = if stands { &mut round.back_ms } else { &mut round.ended_ms };
            place.get_or_insert(took);
        }
        let is_back = |(_, round): &(Labels, Round)| {
            if stands { round.back_ms.is_some() } else { round.ended_ms.is_some() }
        };
        if part.kinds.values().all(is_back) {
            return true;
        }
        if began.elapsed() >= within || stands && stopped.is_cancelled() {
            return false;
        }
        sleep(LOOK_EACH).await;
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

fn text_of(parts: &[Part<'_>]) -> String {
    let mut out = String::new();
    for part in parts {
        let _ = writeln!(out, "Alertmanager {}", part.asked.name);
        let name = |kind: &Kind| {
            let words = [&kind.alertname, &kind.severity, &kind.owner].map(String::as_str);
            words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        };
        let width = part.kinds.keys().map(|kind| name(kind).len()).max().unwrap_or(0);
        for (kind, (_, round)) in &part.kinds {
            let came = match (round.back_ms, round.ended_ms) {
                (Some(back), Some(ended)) => {
                    format!("back after {}, ended after {}", seconds(back), seconds(ended))
                }
                (Some(back), None) => {
                    format!("back after {}, ITS END DID NOT COME BACK", seconds(back))
                }
                (None, _) => "SILENT".to_owned(),
            };
            let _ = writeln!(out, "  {:<width$}  {came}", name(kind));
        }
    }
    out
}

fn json_of(parts: &[Part<'_>]) -> Value {
    let part = |part: &Part<'_>| {
        let kind = |(kind, (_, round)): (&Kind, &(Labels, Round))| {
            json!({
                "alertname": kind.alertname,
                "severity": kind.severity,
                "owner": kind.owner,
                "back_ms": round.back_ms,
                "ended_ms": round.ended_ms,
            })
        };
        json!({
            "alertmanager": part.asked.name,
            "alerts": part.kinds.iter().map(kind).collect::<Vec<_>>(),
        })
    };
    json!({"format": 1, "alertmanagers": parts.iter().map(part).collect::<Vec<_>>()})
}

/// A critical alert of allswell that fires and is no drill.
pub(super) fn critical(alerts: &Value) -> Option<String> {
    let mut names = BTreeSet::new();
    for alert in alerts.as_array().into_iter().flatten() {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default();
        if label("severity") == "critical"
            && label(DRILL).is_empty()
            && label("alertname") != WATCHDOG
        {
            names.insert(label("alertname").to_owned());
        }
    }
    names.into_iter().next()
}
