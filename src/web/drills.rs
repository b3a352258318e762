//! What came back of drills: alerts that go out to an Alertmanager and back, and mean nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::drill::DRILL;
use crate::web::Here;
use crate::web::instants::instant;
use crate::web::problem::{Json, Problem};

/// How many are kept in mind.
const KEPT: usize = 20_000;

/// An alert of a drill that came back.
#[derive(Debug)]
struct Back {
    labels: BTreeMap<String, String>,
    stands: bool,
    at: DateTime<Utc>,
}

/// What came back of drills, since the start.
#[derive(Debug, Default)]
pub(super) struct Drills(Mutex<VecDeque<Back>>);

impl Drills {
    /// Takes note of an alert, where it is one of a drill.
    pub(super) fn note(&self, alert: &Value, now: DateTime<Utc>) -> bool {
        if alert["labels"][DRILL].as_str().is_none_or(str::is_empty) {
            return false;
        }
        let labels = alert["labels"].as_object().into_iter().flatten();
        let labels =
            labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let stands = alert["status"] == "firing";
        let Ok(mut kept) = self.0.lock() else { return false };
        kept.push_back(Back { labels: labels.collect(), stands, at: now });
        while kept.len() > KEPT {
            kept.pop_front();
        }
        true
    }

    fn of(&self, drill: &str) -> Vec<Value> {
        let Ok(kept) = self.0.lock() else { return Vec::new() };
        let theirs =
            kept.iter().filter(|back| back.labels.get(DRILL).is_some_and(|is| is == drill));
        let back = theirs.map(
            |back| json!({"labels": back.labels, "stands": back.stands, "at": instant(back.at)}),
        );
        back.collect()
    }
}

/// What came back of one drill.
pub(super) async fn drill(
    State(shared): Here,
    drill: Result<Path<String>, PathRejection>,
) -> Result<Json, Problem> {
    let Path(drill) = drill.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    let back = shared.drills.of(&drill);
    Ok(Json(StatusCode::OK, json!({"format": 1, "drill": drill, "back": back})))
}
