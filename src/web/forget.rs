//! Forgetting the values that findings of a check were kept with.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::domain::check::nearest::suggestion;
use crate::web::Here;
use crate::web::filter::{hinted, ids, short};
use crate::web::operator::{BECAUSE_MAX, Text, by_whom, done, line, ordered};
use crate::web::problem::{Json, Problem};

/// An order to forget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetOrder {
    check: Text,
    by: Option<Text>,
    because: Option<Text>,
}

/// Forgets them. A check that is gone may have left some: it need not be there.
pub(super) async fn forget(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order): (_, ForgetOrder) = ordered(&shared, request).await?;
    let (by, because) = (by_whom(&client, order.by)?, line("because", order.because, BECAUSE_MAX)?);
    let notes = done(shared.door.orders.forget(&order.check, (&by, &because)).await)?;
    let picture = shared.picture();
    let known = ids(&picture);
    if notes == 0 && !known.contains(&&*order.check) {
        let what =
            format!("no check is called `{}`, and nothing is kept of one", short(&order.check));
        let detail = hinted(what, suggestion(&order.check, &known));
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    Ok(Json(StatusCode::OK, json!({"format": 1, "notes": notes})))
}
