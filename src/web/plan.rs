//! Comparing files of checks with what runs, in shadow: asked for by operators, and answered when it is done.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Duration, timeout};

use crate::engine::load::from_text;
use crate::engine::order::{Compare, Compared, NotCompared};
use crate::engine::shadow::Shadowed;
use crate::manifest;
use crate::web::Here;
use crate::web::operator::{Text, ordered_up_to};
use crate::web::problem::{Json, Problem, unreadable};

/// How large the files of checks are together at most, in bytes.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How many windows of each series may be asked for.
const WINDOWS_MAX: usize = 400;
/// How long an answer waits before it says that the looks go on.
const WAITS: Duration = Duration::from_secs(8);
/// How many faults are told.
const FAULTS: usize = 20;

/// Files of checks, and how many windows are looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanOrder {
    files: Vec<File>,
    shadow: usize,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    file: Text,
    text: String,
}

/// The comparison that was asked for last.
#[derive(Debug, Default)]
pub(super) struct Comparison(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    id: u64,
    /// With which generation.
    against: i64,
    stage: Stage,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Nothing,
    UnderWay(oneshot::Receiver<Compared>),
    Done(Compared),
}

/// The settings that teams share, as this daemon runs them.
pub(super) async fn settings(State(shared): Here) -> Json {
    Json(StatusCode::OK, json!({"format": 1, "settings": *shared.picture().shared}))
}

/// Begins to look.
pub(super) async fn begin(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (_, order): (_, PlanOrder) = ordered_up_to(&shared, request, BODY_MAX).await?;
    if !(1..=WINDOWS_MAX).contains(&order.shadow) {
        let detail = format!("`shadow` is how many windows are looked at, 1 to {WINDOWS_MAX}");
        return Err(Problem::bad(detail));
    }
    let active = shared.picture().generation.as_ref().map(|generation| generation.id);
    let none = || Problem::new(StatusCode::NOT_FOUND, "no catalogue is loaded to compare with");
    let against = active.ok_or_else(none)?;
    let two = shared.door.reader.generation_and_before(against).await;
    let two = two.map_err(|trouble| unreadable(&trouble))?;
    let active = two.into_iter().find(|one| one.id == against).ok_or_else(none)?;
    let now = order.files.into_iter();
    let now = now.map(|File { file, text }| manifest::Text { file: file.to_string(), text });
    let compare = Compare {
        was: from_text(&active.text).unwrap_or_default(),
        now: now.collect(),
        windows: order.shadow,
    };
    let mut asked = shared.comparison.0.lock().await;
    asked.take_answer();
    if matches!(asked.stage, Stage::UnderWay(_)) {
        return Err(refused(&NotCompared::Busy));
    }
    let receiver = shared.door.orders.compare(compare);
    let receiver = receiver
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let id = asked.id + 1;
    *asked = Asked { id, against, stage: Stage::UnderWay(receiver) };
    Ok(Json(StatusCode::ACCEPTED, asked.json()?))
}

/// What was seen; where the looks go on, that they do.
pub(super) async fn result(State(shared): Here, Path(id): Path<String>) -> Result<Json, Problem> {
    let mut asked = shared.comparison.0.lock().await;
    if id.parse() != Ok(asked.id) || matches!(asked.stage, Stage::Nothing) {
        let detail = "there is no such comparison any more: only the last one is kept";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    if let Stage::UnderWay(receiver) = &mut asked.stage
        && let Ok(answer) = timeout(WAITS, receiver).await
    {
        asked.stage = Stage::Done(answer.unwrap_or(Err(NotCompared::Broken)));
    }
    let status = match asked.stage {
        Stage::UnderWay(_) => StatusCode::ACCEPTED,
        Stage::Nothing | Stage::Done(_) => StatusCode::OK,
    };
    Ok(Json(status, asked.json()?))
}

impl Asked {
    /// Takes what was seen, where it is there.
    fn take_answer(&mut self) {
        if let Stage::UnderWay(receiver) = &mut self.stage {
            match receiver.try_recv() {
                Ok(answer) => self.stage = Stage::Done(answer),
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.stage = Stage::Done(Err(NotCompared::Broken));
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
    }

    fn json(&self) -> Result<Value, Problem> {
        let seen = match &self.stage {
            Stage::Nothing | Stage::UnderWay(_) => None,
            Stage::Done(Err(why)) => return Err(refused(why)),
            Stage::Done(Ok(seen)) => Some(seen.iter().map(one).collect::<Vec<_>>()),
        };
        Ok(json!({
            "format": 1,
            "plan": self.id,
            "against": self.against,
            "done": seen.is_some(),
            "checks": seen.unwrap_or_default(),
            "href": format!("/api/v1/plan/{}", self.id),
        }))
    }
}

fn one(seen: &Shadowed) -> Value {
    let verdict = match (seen.is_known(), seen.lets_through()) {
        (_, true) => "violated",
        (true, false) => "confirmed",
        (false, false) => "unconfirmed",
    };
    json!({
        "check": seen.check,
        "new": seen.is_new,
        "verdict": verdict,
        "looked": seen.looked,
        "same": seen.same,
        "let_through": seen.let_through,
        "found": seen.found,
        "thinner": seen.thinner,
        "zones_gone": seen.zones_gone,
        "incomparable": seen.incomparable,
        "violated": seen.violated,
        "alerts": seen.alerts,
        "unconfirmed_before": seen.unknown,
        "unconfirmed_now": seen.silent,
        "why": seen.why,
        "cut": seen.is_cut,
        "seen": seen.seen(),
    })
}

fn refused(why: &NotCompared) -> Problem {
    match why {
        NotCompared::Busy => Problem::new(
            StatusCode::CONFLICT,
            "another comparison is under way: ask again when it is done",
        ),
        NotCompared::Unread => Problem::new(
            StatusCode::CONFLICT,
            "the active generation does not read with the settings of this daemon as they are",
        ),
        NotCompared::Broken => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the comparison broke off: ask again")
        }
        NotCompared::Faulty(faults) => {
            let told: Vec<String> =
                faults.iter().take(FAULTS).map(|fault| fault.to_string()).collect();
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, told.join("\n"))
        }
    }
}
