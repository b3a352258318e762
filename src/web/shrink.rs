//! The word that takes a list of zones as it is.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::domain::check::name::CheckId;
use crate::engine::order::AcceptZones;
use crate::ledger::Role;
use crate::web::Here;
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
use crate::web::problem::{Json, Problem};

/// An order to take the next list of a check as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptOrder {
    check: Text,
    by: Option<Text>,
    because: Option<Text>,
}

/// Takes the next list of zones of a check as it is.
pub(super) async fn accept(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order): (_, AcceptOrder) = ordered(&shared, request).await?;
    let (by, because) = (by_whom(&client, order.by)?, line("because", order.because, BECAUSE_MAX)?);
    let picture = shared.picture();
    let check = CheckId::parse(&order.check).ok().filter(|check| {
        picture.series.iter().any(|s| s.record.role == Role::List && s.record.check == *check)
    });
    let check = check.ok_or_else(|| {
        let detail =
            format!("no check `{}` reads its zones from a list", order.check.escape_debug());
        Problem::new(StatusCode::NOT_FOUND, detail)
    })?;
    done(shared.door.orders.accept_zones(AcceptZones { check, by, because }).await)?;
    Ok(Json(StatusCode::OK, json!({"format": 1, "accepted": true})))
}
