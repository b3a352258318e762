//! Generations of the catalogue, for programs.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::engine::load::{NotLoaded, from_text};
use crate::engine::order::{Decide, RollBack};
use crate::ledger::{Fate, Generation, PendingCatalogue};
use crate::web::instants::instant;
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
use crate::web::problem::{Json, Problem, unreadable};
use crate::web::{Here, Shared};

/// How many are listed.
const SHOWN: u16 = 100;

/// The latest generations, without their files.
pub(super) async fn generations(State(shared): Here) -> Result<Json, Problem> {
    let active = shared.picture().generation.as_ref().map(|generation| generation.id);
    let all = shared.door.reader.generations(SHOWN).await;
    let all = all.map_err(|trouble| unreadable(&trouble))?;
    let waited = waited(&shared).await?;
    let all: Vec<Value> = all
        .iter()
        .map(|generation| shown(generation, active, waited.get(&generation.id)))
        .collect();
    Ok(Json(StatusCode::OK, json!({"generations": all})))
}

/// A generation with its files: by its number, or the active one.
pub(super) async fn generation(
    State(shared): Here,
    Path(id): Path<String>,
) -> Result<Json, Problem> {
    let active = shared.picture().generation.as_ref().map(|generation| generation.id);
    let none = |what: String| Problem::new(StatusCode::NOT_FOUND, what);
    let id = match id.as_str() {
        "active" => active.ok_or_else(|| none("no catalogue is loaded".to_owned()))?,
        id => id
            .parse()
            .map_err(|_| Problem::bad("a generation is named by its number, or `active`"))?,
    };
    let two = shared.door.reader.generation_and_before(id).await;
    let two = two.map_err(|trouble| unreadable(&trouble))?;
    let one = two.first().filter(|generation| generation.id == id);
    let one = one.ok_or_else(|| none(format!("no generation has the number {id}")))?;
    let waited = waited(&shared).await?;
    let mut value = shown(one, active, waited.get(&id));
    let files = from_text(&one.text).unwrap_or_default().into_iter();
    let files = files.map(|text| json!({"file": text.file, "text": text.text}));
    value["files"] = Value::Array(files.collect());
    Ok(Json(StatusCode::OK, value))
}

/// What is known of those that waited for a word.
pub(super) async fn waited(shared: &Shared) -> Result<BTreeMap<i64, PendingCatalogue>, Problem> {
    let all = shared.door.reader.candidates(SHOWN).await;
    let all = all.map_err(|trouble| unreadable(&trouble))?;
    Ok(all.into_iter().map(|one| (one.id, one)).collect())
}

fn shown(generation: &Generation, active: Option<i64>, waited: Option<&PendingCatalogue>) -> Value {
    let waited = waited.map(|one| {
        json!({
            "fate": one.fate.as_str(),
            "follows": one.base,
            "why": one.why,
            "since": instant(one.since),
            "by": one.by,
            "because": one.because,
        })
    });
    json!({
        "candidate": waited,
        "id": generation.id,
        "digest": generation.digest,
        "loaded_at": instant(generation.loaded_at),
        "loaded_by": generation.loaded_by,
        "active": active == Some(generation.id),
    })
}

/// A word for or against a catalogue that waits, or to go back to one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    generation: Option<i64>,
    by: Option<Text>,
    because: Option<Text>,
}

/// Says that a catalogue that waits is right: it is loaded at once.
pub(super) async fn approve(
    State(shared): Here,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json, Problem> {
    decided(&shared, &id, Fate::Approved, request).await
}

/// Says that a catalogue that waits is not right.
pub(super) async fn reject(
    State(shared): Here,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json, Problem> {
    decided(&shared, &id, Fate::Rejected, request).await
}

async fn decided(shared: &Shared, id: &str, fate: Fate, request: Request) -> Result<Json, Problem> {
    let (client, word): (_, Word) = ordered(shared, request).await?;
    let (by, because) = (by_whom(&client, word.by)?, line("because", word.because, BECAUSE_MAX)?);
    let id: i64 = id.parse().map_err(|_| Problem::bad("a generation is named by its number"))?;
    let waited = done(shared.door.orders.decide(Decide { id, fate, by, because }).await)?;
    if !waited {
        let detail = match self::waited(shared).await?.get(&id) {
            Some(one) => {
                format!("generation {id} does not wait for approval: it is {}", one.fate.as_str())
            }
            None => format!("generation {id} does not wait for approval"),
        };
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    // The files are read again, and now have their word.
    let (reply, answer) = oneshot::channel();
    let loaded = match shared.door.reloads.try_send(reply) {
        Ok(()) => answer.await.unwrap_or_else(|_| Err("the daemon is stopping".to_owned())),
        Err(_) => Err("a reload is under way, and does what was said".to_owned()),
    };
    let (loaded, why) = match loaded {
        Ok(loaded) => (Some(loaded), None),
        Err(why) => (None, Some(why)),
    };
    let answer =
        json!({"format": 1, "generation": id, "fate": fate.as_str(), "loaded": loaded, "why": why});
    Ok(Json(StatusCode::OK, answer))
}

/// Goes back to a catalogue that is kept.
pub(super) async fn roll_back(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, word): (_, Word) = ordered(&shared, request).await?;
    let (by, because) = (by_whom(&client, word.by)?, line("because", word.because, BECAUSE_MAX)?);
    let back = RollBack { id: word.generation, by, because };
    let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the engine takes no orders now");
    match shared.door.orders.roll_back(back).await.map_err(busy)? {
        Ok(loaded) => Ok(Json(
            StatusCode::OK,
            json!({"format": 1, "generation": loaded.generation, "checks": loaded.checks, "changed": loaded.changed}),
        )),
        Err(error @ NotLoaded::NotKept(_)) => {
            Err(Problem::new(StatusCode::NOT_FOUND, error.to_string()))
        }
        Err(error) if error.may_pass() => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
        }
        Err(error) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    }
}
