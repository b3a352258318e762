//! What came back of drills: alerts that go out to an Alertmanager and back, and mean nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::alerting::drill::DRILL;
use crate::engine::order::Drill;
use crate::ledger::{DrillKind, Drilled};
use crate::web::Here;
use crate::web::instants::instant;
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
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

/// The last drill of each receiver and failure.
pub(super) async fn drills(State(shared): Here) -> Json {
    let picture = shared.picture();
    let drilled = picture.drilled.iter().map(drilled_json);
    let every = picture.drill_every.map(crate::domain::time::duration::show);
    let drilled: Vec<Value> = drilled.collect();
    Json(StatusCode::OK, json!({"format": 1, "drills": drilled, "every": every}))
}

fn drilled_json(drilled: &Drilled) -> Value {
    json!({
        "kind": drilled.kind.as_str(),
        "name": drilled.name,
        "begun_at": instant(drilled.at),
        "proved_at": drilled.proved_at.map(instant),
        "by": drilled.by,
    })
}

/// A drill that was begun, or that proved something by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DrillOrder {
    kind: Text,
    name: Text,
    word: Option<Text>,
    proved: Option<bool>,
    note: Option<Text>,
    by: Option<Text>,
}

/// A word that a person heard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeardOrder {
    word: Text,
    by: Option<Text>,
}

/// Takes note of a drill.
pub(super) async fn note(State(shared): Here, request: Request) -> Result<Json, Problem> {
    const NAME_MAX: usize = 200;
    let (client, order) = ordered::<DrillOrder>(&shared, request).await?;
    let kind = DrillKind::WORDS.iter().find(|(word, _)| *word == &*order.kind);
    let (_, kind) = kind.ok_or_else(|| Problem::bad("`kind` is `ring` or `fault`"))?;
    let is_ring = *kind == DrillKind::Ring;
    if is_ring && (order.word.is_none() || order.proved == Some(true)) {
        let detail = "a ring has a `word`, and is proved by who heard it: /api/v1/drills/heard";
        return Err(Problem::bad(detail));
    }
    let optional = |key: &str, text: Option<Text>, most: usize| match text {
        Some(text) => line(key, Some(text), most),
        None => Ok(String::new()),
    };
    let drill = Drill {
        kind: *kind,
        name: line("name", Some(order.name), NAME_MAX)?,
        word: optional("word", order.word, NAME_MAX)?,
        note: optional("note", order.note, BECAUSE_MAX)?,
        is_proved: order.proved == Some(true),
        by: by_whom(&client, order.by)?,
    };
    let (kind, name) = (drill.kind, drill.name.clone());
    done(shared.door.orders.drill(drill).await)?;
    let picture = shared.picture();
    let begun = picture.drilled.iter().find(|one| one.kind == kind && one.name == name);
    let begun = begun.map(|one| instant(one.at));
    Ok(Json(StatusCode::OK, json!({"format": 1, "noted": true, "begun_at": begun})))
}

/// Takes a word for the proof that a receiver was heard.
pub(super) async fn heard(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order) = ordered::<HeardOrder>(&shared, request).await?;
    let by = by_whom(&client, order.by)?;
    let drilled = shared.picture().drilled.clone();
    let is_meant =
        |one: &&Drilled| one.kind == DrillKind::Ring && one.word.eq_ignore_ascii_case(&order.word);
    let Some(ring) = drilled.iter().find(is_meant) else {
        let detail = "no receiver was rung with this word last: it is in the notification";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    if let Some(at) = ring.proved_at.filter(|at| *at >= ring.at) {
        let detail = format!("it was heard already, at {}, by {}", instant(at), ring.by);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let drill = Drill {
        kind: ring.kind,
        name: ring.name.clone(),
        word: ring.word.clone(),
        note: "heard".to_owned(),
        is_proved: true,
        by: by.clone(),
    };
    done(shared.door.orders.drill(drill).await)?;
    let took = (shared.picture().now() - ring.at).num_seconds().max(0);
    let answer = json!({"format": 1, "receiver": ring.name, "took_secs": took, "by": by});
    Ok(Json(StatusCode::OK, answer))
}
