//! Orders about rows, and how far they have come.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::engine::snapshot::Snapshot;
use crate::ledger::{OrderRecord, is_page_by_number};
use crate::web::Here;
use crate::web::filter::Filter;
use crate::web::instants::instant;
use crate::web::problem::unreadable;
use crate::web::problem::{Json, Problem};

/// An order as programs read it. It is over once the engine's picture shows what came of it.
pub(super) fn order_json(record: &OrderRecord, picture: &Snapshot) -> Value {
    let ended_at = record.ended_at.filter(|at| *at <= picture.as_of);
    json!({
        "id": record.id,
        "at": instant(record.at),
        "kind": record.order.word(),
        "by": record.order.by(),
        "because": record.order.because(),
        "selection": record.selection,
        "rows": record.rows,
        "series_left": record.series_left,
        "ended_at": ended_at.map(instant),
        "trouble": record.trouble,
        "href": format!("/api/v1/orders/{}", record.id),
    })
}

/// One order.
pub(super) async fn order(
    State(shared): Here,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json, Problem> {
    let Path(id) = id.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    let id: i64 = id.parse().map_err(|_| Problem::bad("an order is named by its number"))?;
    let record = shared.door.reader.order(id).await.map_err(|trouble| unreadable(&trouble))?;
    let record = record.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("no order has the number {id}"))
    })?;
    let order = order_json(&record, &shared.picture());
    Ok(Json(StatusCode::OK, json!({"format": 1, "order": order})))
}

/// Orders, latest first, a page at a time.
pub(super) async fn orders(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&query, &["page", "limit"], is_page_by_number)?;
    let page = shared.door.reader.orders(filter.page.as_deref(), filter.limit).await;
    let page = page.map_err(|trouble| unreadable(&trouble))?;
    let picture = shared.picture();
    let orders: Vec<Value> = page.items.iter().map(|record| order_json(record, &picture)).collect();
    Ok(Json(StatusCode::OK, json!({"format": 1, "orders": orders, "next": page.next})))
}
