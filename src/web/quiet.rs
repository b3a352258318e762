//! Keeping a check quiet for a while: a silence in every Alertmanager, and no word to webhooks.
//!
//! It is all or nothing: where one Alertmanager refuses or does not answer, what was made is expired again.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::alertmanager::Health;
use crate::domain::alerting::quiet::{QUIET_MAX, Quiet, by_hand};
use crate::domain::check::nearest::suggestion;
use crate::domain::time::duration;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{EndQuiet, KeepQuiet};
use crate::notify::deliveries::quiet_in;
use crate::web::access::Client;
use crate::web::filter::hinted;
use crate::web::filter::ids;
use crate::web::instants::instant;
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
use crate::web::problem::{Json, Problem};
use crate::web::{Here, Shared};

/// How long the Alertmanagers may take to be silent, and to tell again.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);
const UNDONE_WITHIN: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK_EACH: Duration = Duration::from_millis(50);
/// How long what one Alertmanager refuses may turn out to be an error of a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// An order to keep a check quiet, or to do so no longer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuietOrder {
    check: Text,
    #[serde(rename = "for")]
    lasts: Option<Text>,
    by: Option<Text>,
    because: Option<Text>,
    end: Option<bool>,
}

/// A check that is kept quiet, and where it is not.
fn shown(shared: &Shared, quiet: &Quiet) -> Value {
    let places = quiet_in(&shared.door.paths, quiet.id).into_iter();
    let places = places.map(|(health, settled)| {
        let why = match settled {
            Some(Ok(())) => None,
            Some(Err(why)) => Some(why),
            None => Some("its silence is not seen yet".to_owned()),
        };
        json!({"alertmanager": health.name, "why_not": why})
    });
    json!({
        "check": quiet.check,
        "by": quiet.by,
        "because": quiet.because,
        "from": instant(quiet.from),
        "until": instant(quiet.until),
        "places": places.collect::<Vec<_>>(),
    })
}

/// The checks that are kept quiet now.
pub(super) fn all(shared: &Shared, picture: &Snapshot) -> Vec<Value> {
    let now = picture.now();
    picture.quiets.iter().filter(|q| q.holds(now)).map(|quiet| shown(shared, quiet)).collect()
}

/// Lists the checks that are kept quiet.
pub(super) async fn quiets(State(shared): Here) -> Json {
    let picture = shared.picture();
    Json(StatusCode::OK, json!({"format": 1, "quiet": all(&shared, &picture)}))
}

/// Keeps a check quiet, or does so no longer.
pub(super) async fn quiet(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order) = ordered(&shared, request).await?;
    quiet_by(&shared, &client, order).await
}

/// Keeps a check quiet, by the order of a person who may give it.
pub(super) async fn quiet_by(
    shared: &Shared,
    client: &Client,
    order: QuietOrder,
) -> Result<Json, Problem> {
    let check = order.check.to_string();
    let (by, because) = (by_whom(client, order.by)?, line("because", order.because, BECAUSE_MAX)?);
    if order.end == Some(true) {
        let end = EndQuiet { check: check.clone(), id: None, by, because };
        return match done(shared.door.orders.end_quiet(end).await)? {
            0 => Err(Problem::new(StatusCode::NOT_FOUND, format!("`{check}` is not kept quiet"))),
            _ => Ok(Json(StatusCode::OK, json!({"format": 1, "ended": true}))),
        };
    }
    let picture = shared.picture();
    let known = ids(&picture);
    if !known.contains(&check.as_str()) {
        let detail = hinted(format!("no check is called `{check}`"), suggestion(&check, &known));
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let paths = &shared.door.paths;
    if paths.alertmanagers.is_empty() && paths.webhooks.is_empty() {
        let detail = "no Alertmanager and no webhook is set: nobody is told anyway";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let now = picture.now();
    let until = until(order.lasts, now)?;
    let keep = KeepQuiet { check, until, by, because };
    let id = done(shared.door.orders.keep_quiet(keep.clone()).await)?;
    let KeepQuiet { check, until, by, because } = keep;
    let mut unsettled = Unsettled { shared, check: &check, id, is_settled: false };
    let quiet = Quiet { id, check: check.clone(), by, because, from: now, until, ended_at: None };
    let failed = settle(shared, &quiet).await;
    unsettled.is_settled = true;
    match failed {
        None => Ok(Json(StatusCode::OK, json!({"format": 1, "quiet": shown(shared, &quiet)}))),
        Some(failed) => Err(undo(shared, &quiet, &failed).await),
    }
}

/// What ends one that was not settled.
fn ending(check: &str, id: i64, because: &str) -> EndQuiet {
    let (check, because) = (check.to_owned(), because.to_owned());
    EndQuiet { check, id: Some(id), by: "allswell".to_owned(), because }
}

/// One that is not settled yet: where who asked goes away before that, it is ended.
struct Unsettled<'a> {
    shared: &'a Shared,
    check: &'a str,
    id: i64,
    is_settled: bool,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let end = ending(self.check, self.id, "who asked for it went away");
            self.shared.door.orders.end_quiet_later(end);
        }
    }
}

/// Until when it is to be quiet.
fn until(lasts: Option<Text>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let lasts = lasts.ok_or_else(|| Problem::bad("`for` is missing: 2h, say; 24h at most"))?;
    let lasts = duration::parse(&lasts).map_err(|rule| Problem::bad(format!("`for`: {rule}")))?;
    let lasts = TimeDelta::from_std(lasts).unwrap_or(TimeDelta::MAX);
    if lasts < TimeDelta::seconds(1) || lasts > QUIET_MAX {
        return Err(Problem::bad(
            "`for` is between 1s and 24h: what stands for longer is mended or paused",
        ));
    }
    Ok(now + lasts)
}

/// An Alertmanager that is not silent, and why.
type NotSilent = (Health, String);

/// Waits until all Alertmanagers are silent; says which are not, where some are not.
async fn settle(shared: &Shared, quiet: &Quiet) -> Option<Vec<NotSilent>> {
    let began = Instant::now();
    loop {
        let places = quiet_in(&shared.door.paths, quiet.id);
        let open = places.into_iter().filter(|(_, settled)| *settled != Some(Ok(())));
        let open: Vec<_> = open.collect();
        if open.is_empty() {
            return None;
        }
        let has_failed =
            |(_, settled): &(Health, Option<Result<(), String>>)| matches!(settled, Some(Err(_)));
        let is_over = open.iter().all(has_failed) && began.elapsed() >= PATIENCE;
        if is_over || began.elapsed() >= SETTLED_WITHIN {
            let why = |(health, settled): (Health, Option<Result<(), String>>)| {
                let why = settled.and_then(Result::err).or_else(|| health.why.clone());
                (health, why.unwrap_or_else(|| "it does not answer".to_owned()))
            };
            return Some(open.into_iter().map(why).collect());
        }
        sleep(LOOK_EACH).await;
    }
}

/// Takes back what was made; says which Alertmanager was in the way, and what makes it by hand.
async fn undo(shared: &Shared, quiet: &Quiet, failed: &[NotSilent]) -> Problem {
    let because = "not every Alertmanager was silent";
    let ended = done(shared.door.orders.end_quiet(ending(&quiet.check, quiet.id, because)).await);
    let began = Instant::now();
    let stands = || {
        let places = quiet_in(&shared.door.paths, quiet.id).into_iter();
        places.filter(|(_, settled)| *settled == Some(Ok(()))).map(|(health, _)| health.name)
    };
    while stands().next().is_some() && began.elapsed() < UNDONE_WITHIN {
        sleep(LOOK_EACH).await;
    }
    let left: Vec<String> = stands().collect();
    let undone = match (ended, left.as_slice()) {
        (Ok(_), []) => "what was made is expired: everybody is told as before".to_owned(),
        (Ok(_), left) => {
            format!("the silence in {} is not expired yet, and will be", left.join(", "))
        }
        (Err(_), _) => {
            format!("and that it is over was not written down: it ends at {}", instant(quiet.until))
        }
    };
    let (mut why, mut commands) = (Vec::new(), Vec::new());
    for (health, words) in failed {
        why.push(format!("{}: {words}", health.name));
        commands.push(by_hand(&health.address, quiet, &shared.picture().labels));
    }
    let detail = format!("{}; {undone}. By hand: {}", why.join("; "), commands.join(" ; "));
    Problem::new(StatusCode::BAD_GATEWAY, detail)
}
