//! "Look now": the newest windows of a check or of an owner, at once, with their verdicts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::domain::check::plain::in_one_line;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::{AttemptRow, Role, RowKey, RowOrder, Selected};
use crate::web::api::said;
use crate::web::filter::Filter;
use crate::web::instants::instant;
use crate::web::operator::{Text, by_whom, ordered, selected, stored};
use crate::web::orders::order_json;
use crate::web::problem::{Json, Problem, unreadable};
use crate::web::{Here, Shared};

/// How long an answer waits for verdicts before it says how far it is.
const WAITS: Duration = Duration::from_secs(8);
/// How often it looks whether they are there.
const ASKED_EACH: Duration = Duration::from_millis(100);
/// How many series are looked at by one order.
const SERIES_MAX: usize = 500;

/// An order to look now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookOrder {
    check: Option<Text>,
    owner: Option<Text>,
    by: Option<Text>,
}

/// Looks now, and answers with verdicts, or with how to ask for them.
pub(super) async fn look(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order) = ordered::<LookOrder>(&shared, request).await?;
    let picture = shared.picture();
    let (check, owner) = (order.check.as_deref(), order.owner.as_deref());
    let Selected { words, .. } = selected(&picture, check, owner)?;
    let series = looked_at(&picture, check, owner)?;
    let by = match (&client.name, order.by) {
        (None, None) => "operator".to_owned(),
        (_, written) => by_whom(&client, written)?,
    };
    let since = picture.now();
    let mut rows = Vec::new();
    for one in &series {
        let keys = shared.door.reader.newest_due(one.record.id).await;
        let keys = keys.map_err(|trouble| unreadable(&trouble))?;
        if let (Some(first), Some(last)) = (keys.first(), keys.last()) {
            rows.push((one.record.id, first.start, last.start + TimeDelta::microseconds(1)));
        }
    }
    if rows.is_empty() {
        let detail = "nothing of it was ever due, so that there is no window to look at yet";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let accepted = None;
    let given = stored(&shared, Selected { rows, words }, RowOrder::Rerun { by, accepted }).await?;
    let began = Instant::now();
    let answer = loop {
        let answer = Looks::since(&shared, &series, since).await?;
        if answer.waiting == 0 || began.elapsed() >= WAITS {
            break answer;
        }
        sleep(ASKED_EACH).await;
    };
    let status = if answer.waiting == 0 { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut json = answer.json(since, check, owner);
    json["paused"] = paused(&picture, check, owner);
    json["order"] = order_json(&given, &shared.picture());
    Ok(Json(status, json))
}

/// What was seen of the newest windows since an instant.
pub(super) async fn looks(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&query, &["check", "owner", "from"], |_| false)?;
    let picture = shared.picture();
    let (check, owner) = (filter.check.as_deref(), filter.owner.as_deref());
    selected(&picture, check, owner)?;
    let series = looked_at(&picture, check, owner)?;
    let since = filter.from.and_then(|from| {
        series.first().and_then(|series| from.begin(&series.home.rules, picture.now()))
    });
    let since = since.ok_or_else(|| Problem::bad("`from` is missing: since when?"))?;
    let answer = Looks::since(&shared, &series, since).await?;
    let mut json = answer.json(since, check, owner);
    json["paused"] = paused(&picture, check, owner);
    Ok(Json(StatusCode::OK, json))
}

/// The series that are looked at: those of data that are not paused and not over.
fn looked_at(
    picture: &Snapshot,
    check: Option<&str>,
    owner: Option<&str>,
) -> Result<Vec<Arc<SeriesHealth>>, Problem> {
    let theirs = |series: &&Arc<SeriesHealth>| {
        check.is_none_or(|check| series.check.id.as_str() == check)
            && owner.is_none_or(|owner| series.check.owner.as_str() == owner)
    };
    let runs = |series: &&Arc<SeriesHealth>| {
        series.record.role == Role::Data
            && series.record.retired_at.is_none()
            && series.paused_until.is_none()
    };
    let all: Vec<Arc<SeriesHealth>> =
        picture.series.iter().filter(theirs).filter(runs).cloned().collect();
    match all.len() {
        0 => {
            let detail = "all of it is paused or over: nothing is looked at";
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
        1..=SERIES_MAX => Ok(all),
        many => Err(Problem::bad(format!(
            "these are {many} series, and {SERIES_MAX} are looked at by one order at most: name a check"
        ))),
    }
}

/// What of it is not looked at, because it is paused.
fn paused(picture: &Snapshot, check: Option<&str>, owner: Option<&str>) -> Value {
    let theirs = |series: &&Arc<SeriesHealth>| {
        check.is_none_or(|check| series.check.id.as_str() == check)
            && owner.is_none_or(|owner| series.check.owner.as_str() == owner)
    };
    let one = |series: &Arc<SeriesHealth>| {
        let until = series.paused_until.map(instant)?;
        Some(json!({"check": series.check.id.as_str(), "tz": series.record.tz, "until": until}))
    };
    picture.series.iter().filter(theirs).filter_map(one).collect()
}

/// The newest windows, and what was seen of each.
struct Looks {
    seen: Vec<(Arc<SeriesHealth>, RowKey, Option<AttemptRow>)>,
    waiting: usize,
    /// Series that were never due: nothing of them was looked at.
    never_due: Vec<Arc<SeriesHealth>>,
}

impl Looks {
    async fn since(
        shared: &Shared,
        series: &[Arc<SeriesHealth>],
        since: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let reader = &shared.door.reader;
        let (mut seen, mut never_due) = (Vec::new(), Vec::new());
        for one in series {
            let keys = reader.newest_due(one.record.id).await;
            let keys = keys.map_err(|trouble| unreadable(&trouble))?;
            if keys.is_empty() {
                never_due.push(Arc::clone(one));
            }
            for key in keys {
                let attempt = reader.attempt_since(key, since).await;
                let attempt = attempt.map_err(|trouble| unreadable(&trouble))?;
                seen.push((Arc::clone(one), key, attempt));
            }
        }
        let waiting = seen.iter().filter(|(.., attempt)| attempt.is_none()).count();
        Ok(Self { seen, waiting, never_due })
    }

    fn json(&self, since: DateTime<Utc>, check: Option<&str>, owner: Option<&str>) -> Value {
        let looks: Vec<Value> =
            self.seen.iter().map(|(series, key, attempt)| one(series, key, attempt)).collect();
        let which = match (check, owner) {
            (Some(check), _) => format!("check={check}"),
            (None, owner) => format!("owner={}", owner.unwrap_or_default()),
        };
        let from = instant(since);
        let never_due = self.never_due.iter().map(|series| {
            json!({
                "check": series.check.id.as_str(),
                "tz": series.record.tz,
                "next_due": series.next_due.map(instant),
            })
        });
        json!({
            "format": 1,
            "since": from,
            "looks": looks,
            "waiting": self.waiting,
            "never_due": never_due.collect::<Vec<_>>(),
            "href": format!("/api/v1/looks?{which}&from={from}"),
        })
    }
}

fn one(series: &SeriesHealth, key: &RowKey, attempt: &Option<AttemptRow>) -> Value {
    let (verdict, cause) =
        attempt.as_ref().map_or((None, None), |a| (Some(said(a.said).0), said(a.said).1));
    json!({
        "check": series.check.id.as_str(),
        "owner": series.check.owner.as_str(),
        "severity": series.check.severity.as_str(),
        "tz": series.record.tz,
        "start": instant(key.start),
        "end": instant(key.end),
        "verdict": verdict,
        "cause": cause,
        "evidence": attempt.as_ref().and_then(|a| a.evidence),
        "note": attempt.as_ref().and_then(|a| a.note.as_deref()).map(in_one_line),
        "next_due": series.next_due.map(instant),
        "ended_at": attempt.as_ref().map(|a| instant(a.ran.1)),
        "took_ms": attempt.as_ref().map(|a| u64::try_from(a.took.as_millis()).unwrap_or(u64::MAX)),
    })
}
