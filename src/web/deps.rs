//! What checks stand on, for programs: all of it at once, as it was learnt.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::domain::check::name::CheckId;
use crate::domain::dependency::Object;
use crate::domain::dependency::graph::CheckUses;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{EventQuery, object_json, relations_json};
use crate::web::Here;
use crate::web::instants::instant;
use crate::web::problem::{Json, Problem, unreadable};

/// How many changes underneath are listed.
const CHANGES_MAX: u16 = 200;

/// What was learnt of the sources, and what each check names of it.
pub(super) async fn deps(State(shared): Here) -> Result<Json, Problem> {
    let picture = shared.picture();
    let changes = EventQuery { kind: Some("underneath".to_owned()), ..EventQuery::default() };
    let changes = shared.door.reader.events(&changes, CHANGES_MAX).await;
    let changes = changes.map_err(|trouble| unreadable(&trouble))?.items;
    let since = picture.generation.as_ref().map(|generation| generation.loaded_at);
    let changes = changes.iter().filter(|event| since.is_none_or(|since| event.at >= since));
    let changes = changes.map(|event| {
        json!({
            "at": instant(event.at),
            "source": event.was,
            "object": event.becomes,
            "what": event.note,
        })
    });
    let changes: Vec<Value> = changes.collect();
    let known = &picture.dependencies;
    let counts = counts(&picture);
    let checks = known.graph.checks.iter().map(|check| {
        let (series, proved) = counts.get(&check.id).copied().unwrap_or_default();
        check_json(check, series, proved)
    });
    let sources = known.graph.sources.iter();
    let sources = sources.map(|(name, known)| (name.to_string(), relations_json(known)));
    let ignored = known.ignored.iter().map(|(name, rules)| {
        let rule = |rule: &crate::domain::dependency::answer::Ignored| {
            json!({"tables": rule.tables, "because": rule.because})
        };
        (name.to_string(), rules.iter().map(rule).collect::<Value>())
    });
    let unlearnt = known.unlearnt.iter().map(|(name, why)| (name.to_string(), json!(why)));
    Ok(Json(
        StatusCode::OK,
        json!({
            "format": 1,
            "sources": sources.collect::<Map<_, _>>(),
            "checks": checks.collect::<Vec<_>>(),
            "ignored": ignored.collect::<Map<_, _>>(),
            "unlearnt": unlearnt.collect::<Map<_, _>>(),
            "changed": changes,
        }),
    ))
}

fn check_json(check: &CheckUses, series: u64, proved: u64) -> Value {
    let uses = check.uses.iter().map(|((source, object), named)| {
        let namesake = named.namesake.clone().map(|name| object_json(&Object::Relation(name)));
        json!({
            "source": source.as_str(),
            "object": object_json(object),
            "columns": named.columns,
            "namesake": namesake,
        })
    });
    json!({
        "check": check.id.as_str(),
        "owner": check.owner.as_str(),
        "severity": check.severity.as_str(),
        "sources": check.sources.iter().map(|source| source.as_str()).collect::<Vec<_>>(),
        "uses": uses.collect::<Vec<_>>(),
        "unknown": check.unknown,
        "series": series,
        "proved": proved,
    })
}

/// How many series each check has, and how many of them are proved now.
fn counts(picture: &Snapshot) -> BTreeMap<&CheckId, (u64, u64)> {
    let mut counts: BTreeMap<&CheckId, (u64, u64)> = BTreeMap::new();
    let state = picture.states();
    for series in picture.series.iter().filter(|series| !series.is_over()) {
        let (all, proved) = counts.entry(&series.check.id).or_default();
        *all += 1;
        *proved += u64::from(state(series) == "confirmed");
    }
    counts
}
