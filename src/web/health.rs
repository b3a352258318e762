//! Is it alive, is it ready, is all well?

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::is_page_by_number;
use crate::notify::alert_path::Path;
use crate::notify::deliveries::Deliveries;
use crate::web::api::named;
use crate::web::filter::Filter;
use crate::web::instants::instant;
use crate::web::outgoing::Outgoing;
use crate::web::problem::{Json, Problem};
use crate::web::{Here, Shared};

/// How long the engine may not answer before the supervisor is told to start it anew.
const STUCK_MAX: Duration = Duration::from_secs(300);

/// What there is, for a person with a browser or curl.
pub(super) async fn index() -> &'static str {
    "allswell\n\n\
     /allswell                        is all well? (?owner=, ?check=, ?accept=)\n\
     /api/v1/status                   the daemon\n\
     /api/v1/checks                   every series (?check=, ?owner=, ?state=)\n\
     /api/v1/checks/{id}/windows      its record (?tz=, ?open=true)\n\
     /api/v1/events                   what happened (?check=)\n\
     /api/v1/generations              catalogues that run, ran, or wait for approval\n\
     /api/v1/waivers                  what operators vouched for\n\
     /api/v1/adopted                  alerts that stood before the ledger knew of them\n\
     /api/v1/quiet                    checks of which nobody is told for a while\n\
     /api/v1/orders                   what operators ordered, and how far it has come\n\
     /metrics                         for Prometheus\n\
     /-/healthy, /-/ready             for the supervisor\n"
}

/// The process answers, and has not been stuck for so long that only a new one helps.
pub(super) async fn healthy(State(shared): Here) -> Response {
    let stuck = shared.picture().taken.elapsed();
    if stuck < STUCK_MAX {
        return "alive\n".into_response();
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let why = format!("stuck: the engine has not answered for {} s\n", stuck.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, kind, why).into_response()
}

/// It looks, and can write down what it sees.
pub(super) async fn ready(State(shared): Here) -> Response {
    match shared.picture().unready() {
        None => "ready\n".into_response(),
        Some(why) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (StatusCode::SERVICE_UNAVAILABLE, kind, format!("not ready: {why}\n")).into_response()
        }
    }
}

/// All is well only where something is proved: every critical series, or what is asked for, is confirmed.
pub(super) async fn allswell(
    State(shared): Here,
    Query(filter): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&filter, &["check", "owner", "accept"], is_page_by_number)?;
    let picture = shared.picture();
    let (shared, picture) = (&*shared, &picture);
    if let Some(why) = picture.blind() {
        let answer = json!({"format": 1, "well": false, "as_of": instant(picture.as_of),
            "blind": why, "series": 0, "unwell": [], "paused": [], "waived": [], "quiet": [],
            "alert_paths": paths(shared, picture)});
        return Ok(Json(StatusCode::SERVICE_UNAVAILABLE, answer));
    }
    let any_severity = filter.check.is_some();
    let selected: Vec<&Arc<SeriesHealth>> = picture
        .series
        .iter()
        .filter(|series| !series.is_over() && filter.fits(series))
        .filter(|series| any_severity || series.is_critical())
        .collect();
    if selected.is_empty() {
        let detail = if any_severity {
            "there is no such check: nothing is proved"
        } else {
            "no critical check is in the selection: nothing is proved"
        };
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let told = Outgoing::of(shared, picture);
    let mut answer = verdict((picture, &told), &selected, &filter.accept);
    let ways = paths(shared, picture);
    let broken = are_ways_broken(shared, picture, &ways);
    answer["well"] = json!(answer["well"] == Value::Bool(true) && !broken);
    answer["alert_paths"] = Value::Array(ways);
    let well = answer["well"] == Value::Bool(true);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Json(status, answer))
}

/// Whether alerts do not get through: then no one would hear that it is not well.
pub(super) fn are_ways_broken(shared: &Shared, picture: &Snapshot, ways: &[Value]) -> bool {
    ways.iter().any(|way| !way["broken_since"].is_null() || way["refused"] != 0)
        || webhooks(shared, picture).iter().any(|webhook| webhook["broken"] == true)
}

/// The ways out, and whether they are proved.
pub(super) fn paths(shared: &Shared, picture: &Snapshot) -> Vec<Value> {
    let deliveries = Deliveries::read(&shared.door.paths);
    let way = |path: Path| {
        let counts = deliveries.counts(&path.health.name, picture);
        let counts = counts.map(|(kind, count)| (kind.as_str().to_owned(), json!(count)));
        json!({
            "alerts": counts.into_iter().collect::<serde_json::Map<String, Value>>(),
            "alertmanager": path.health.name,
            "version": path.health.version,
            "refused": path.health.standing.2,
            "reached_at": path.health.reached_at.map(instant),
            "proved_at": path.proof.map(|(_, received_at)| instant(received_at)),
            "roundtrip_ms": path.proof.map(|(sent, received)| (received - sent).num_milliseconds()),
            "expects_proof": shared.door.paths.proved_within.is_some(),
            "hold_too_short": path.slow,
            "broken_since": path.broken.as_ref().map(|(since, _)| instant(*since)),
            "why": path.broken.map(|(_, why)| why).or(path.health.why),
        })
    };
    shared.door.paths.at(picture, picture.now()).into_iter().map(way).collect()
}

/// The receivers of webhooks, and whether notices get through to them.
pub(super) fn webhooks(shared: &Shared, picture: &Snapshot) -> Vec<Value> {
    let receiver = |health: &tokio::sync::watch::Receiver<crate::webhook::Health>| {
        let health = health.borrow();
        json!({
            "webhook": health.name,
            "failing_since": health.failing_since.map(instant),
            "broken": health.broken(picture.now()).is_some(),
            "why": health.why,
        })
    };
    shared.door.paths.webhooks.iter().map(receiver).collect()
}

/// The heartbeat, where there is one.
pub(super) fn heartbeat(shared: &Shared) -> Value {
    let Some(health) = &shared.door.paths.heartbeat else { return Value::Null };
    let health = health.borrow();
    json!({"earned_at": health.earned_at.map(instant), "why": health.why})
}

/// Only what is confirmed is well, and what the question accepts.
fn verdict(
    (picture, told): (&Snapshot, &Outgoing),
    selected: &[&Arc<SeriesHealth>],
    accept: &[String],
) -> Value {
    let list = |fits: &dyn Fn(&SeriesHealth) -> bool| -> Vec<Value> {
        selected
            .iter()
            .filter(|series| fits(series))
            .map(|series| named(picture, series, told))
            .collect()
    };
    let is_well = |series: &SeriesHealth| {
        let state = picture.state(series);
        state == "confirmed" || accept.iter().any(|accepted| accepted == state)
    };
    let unwell = list(&|series| !is_well(series));
    json!({
        "format": 1,
        "well": unwell.is_empty(),
        "as_of": instant(picture.as_of),
        "blind": null,
        "series": selected.len(),
        "unwell": unwell,
        "paused": list(&|series| series.paused_until.is_some()),
        "waived": list(&|series| series.record.waived > 0),
        "quiet": list(&|series| told.quiet_until(series).is_some()),
    })
}
