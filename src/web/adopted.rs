//! Alerts that stood before the ledger knew of them: which, and the word that ends them.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::order::EndAdopted;
use crate::ledger::AlertRow;
use crate::web::Here;
use crate::web::instants::instant;
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
use crate::web::problem::{Json, Problem};

/// An order to end such alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndOrder {
    check: Text,
    tz: Option<Text>,
    by: Option<Text>,
    because: Option<Text>,
}

fn row_json(row: &AlertRow) -> Option<Value> {
    let adopted = row.adopted.as_ref().filter(|_| row.ended_at.is_none())?;
    let tz = Some(row.labels.get("tz")).filter(|tz| !tz.is_empty());
    Some(json!({
        "alertname": row.labels.get("alertname"),
        "check": row.labels.get("check"),
        "tz": tz,
        "since": instant(row.starts_at),
        "found_at": instant(adopted.at),
        "ledger": adopted.ledger,
        "summary": adopted.words.summary,
    }))
}

/// Those that stand.
pub(super) async fn adopted(State(shared): Here) -> Json {
    let picture = shared.picture();
    let adopted: Vec<Value> = picture.alerts.iter().filter_map(row_json).collect();
    Json(StatusCode::OK, json!({"format": 1, "adopted": adopted}))
}

/// Ends those of a check.
pub(super) async fn end(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order): (_, EndOrder) = ordered(&shared, request).await?;
    let (by, because) = (by_whom(&client, order.by)?, line("because", order.because, BECAUSE_MAX)?);
    let (check, tz) = (order.check.to_string(), order.tz.map(|tz| tz.to_string()));
    let picture = shared.picture();
    let mut rows = picture.alerts.iter().filter(|row| row_json(row).is_some());
    let is_meant = |row: &AlertRow| {
        row.labels.get("check") == check && tz.as_ref().is_none_or(|tz| row.labels.get("tz") == tz)
    };
    if !rows.any(is_meant) {
        let detail =
            format!("no alert of `{check}` was adopted and stands: `allswell adopt` lists them");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let end = EndAdopted { check: Some(check), tz, by, because };
    let ended = done(shared.door.orders.end_adopted(end).await)?;
    Ok(Json(StatusCode::OK, json!({"format": 1, "ended": ended})))
}
