//! What operators order on pages: forms with the rules and errors of the API.

use std::collections::{BTreeMap, BTreeSet};

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::domain::check::nearest::suggestion;
use crate::engine::snapshot::Snapshot;
use crate::web::access::Client;
use crate::web::filter::{hinted, short};
use crate::web::instants::instant;
use crate::web::operator::{body, of_json, operator_of, rerun_by, waive_by};
use crate::web::orders::order_json;
use crate::web::pages::matrix::{place, window_path};
use crate::web::pages::query::in_path;
use crate::web::problem::{Json, Problem, unreadable};
use crate::web::quiet::quiet_by;
use crate::web::ranges::ONE;
use crate::web::{Here, Shared};

/// What a form may order.
const ORDERS: [&str; 5] = ["rerun", "waive", "revoke", "quiet", "tell"];
/// What a form may say of it.
const KEYS: [&str; 6] = ["order", "by", "because", "until", "for", "accept_evidence"];

/// Reads a form; what is empty was not filled in.
pub(super) async fn form(
    request: Request,
    known: &[&str],
) -> Result<BTreeMap<String, String>, Problem> {
    let body = body(request).await?;
    let mut form = BTreeMap::new();
    for (key, value) in url::form_urlencoded::parse(&body) {
        if !known.contains(&key.as_ref()) {
            let what = format!("`{}` is not known here", short(&key));
            return Err(Problem::bad(hinted(what, suggestion(&key, known))));
        }
        let is_new = form.insert(key.to_string(), value.trim().to_owned()).is_none();
        if !is_new {
            return Err(Problem::bad(format!("`{}` is written twice", short(&key))));
        }
    }
    form.retain(|_, value| !value.is_empty());
    Ok(form)
}

/// Orders something about a check.
pub(super) async fn of_check(
    State(shared): Here,
    Extension(client): Extension<Client>,
    Path(check): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    operator_of(&shared, &request)?;
    let form = form(request, &KEYS).await?;
    let path = format!("/checks/{}", in_path(&check));
    let selection = match form.get("order").map(String::as_str) {
        Some("rerun") => what_is_open(&shared, &check).await?,
        Some(_) | None => json!({"check": check}),
    };
    act(&shared, &client, form, &selection, &path).await
}

/// How many open windows are tried again at once.
const OPEN_MAX: u16 = 1_000;

/// What is open of a check: of which zones, and from when to when. A look at the present is tried again as it is.
async fn what_is_open(shared: &Shared, check: &str) -> Result<Value, Problem> {
    let now = shared.picture().now();
    let open = shared.door.reader.open_windows(check, now, OPEN_MAX).await;
    let open = open.map_err(|trouble| unreadable(&trouble))?;
    let starts = open.iter().map(|one| one.entry.row.start);
    let Some((first, last)) = starts.clone().min().zip(starts.max()) else {
        return Err(Problem::new(StatusCode::CONFLICT, format!("nothing of `{check}` is open")));
    };
    if open.iter().all(|one| one.entry.row.end == one.entry.row.start) {
        return Ok(json!({"check": check}));
    }
    let zones: BTreeSet<&String> = open.iter().filter_map(|one| one.tz.as_ref()).collect();
    let zones = (!zones.is_empty()).then_some(zones);
    let end = last + ONE;
    Ok(json!({"check": check, "zones": zones, "from": instant(first), "to": instant(end)}))
}

/// Orders something about a window.
pub(super) async fn of_window(
    State(shared): Here,
    Extension(client): Extension<Client>,
    Path((check, place_of)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    operator_of(&shared, &request)?;
    let form = form(request, &KEYS).await?;
    let (tz, start) = place(&place_of)?;
    let path = window_path(&check, tz.as_deref(), start);
    let zones = tz.map(|tz| vec![tz]);
    let end = start + ONE;
    let selection =
        json!({"check": check, "zones": zones, "from": instant(start), "to": instant(end)});
    act(&shared, &client, form, &selection, &path).await
}

async fn act(
    shared: &Shared,
    client: &Client,
    mut form: BTreeMap<String, String>,
    selection: &Value,
    path: &str,
) -> Result<Response, Problem> {
    let word = form.remove("order").unwrap_or_default();
    if client.name.is_none() && !form.contains_key("by") {
        return Err(Problem::bad("`by` is missing: who orders it?"));
    }
    if !ORDERS.contains(&word.as_str()) {
        let what = format!("`{}` is nothing that can be ordered", short(&word));
        return Err(Problem::bad(hinted(what, suggestion(&word, &ORDERS))));
    }
    let selection = selection.as_object().into_iter().flatten();
    let mut order: Map<String, Value> = selection
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    order.extend(form.into_iter().map(|(key, value)| match key.as_str() {
        "accept_evidence" => (key, json!(value == "true")),
        _ => (key, json!(value)),
    }));
    let done = match word.as_str() {
        "rerun" => {
            if order.get("accept_evidence").is_none() {
                order.remove("because");
            }
            rerun_by(shared, client, of_json(&text(order))?).await?
        }
        "waive" => waive_by(shared, client, of_json(&text(order))?).await?,
        "revoke" => {
            order.insert("revoke".to_owned(), json!(true));
            waive_by(shared, client, of_json(&text(order))?).await?
        }
        "tell" => {
            order.insert("end".to_owned(), json!(true));
            quiet_by(shared, client, of_json(&text(order))?).await?
        }
        _ => quiet_by(shared, client, of_json(&text(order))?).await?,
    };
    Ok(back(path, &done))
}

fn text(order: Map<String, Value>) -> Vec<u8> {
    Value::Object(order).to_string().into_bytes()
}

/// Leads back to the page, which says how far the order is.
fn back(path: &str, done: &Json) -> Response {
    let place = match done.1["order"]["id"].as_i64() {
        Some(id) => format!("{path}?order={id}"),
        None => path.to_owned(),
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// How far an order is, in words.
pub(super) async fn ordered_in_words(
    shared: &Shared,
    picture: &Snapshot,
    id: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let id: i64 = id.parse().map_err(|_| Problem::bad("`order` is the number of an order"))?;
    let record = shared.door.reader.order(id).await.map_err(|trouble| unreadable(&trouble))?;
    let Some(record) = record else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("no order has the number {id}")));
    };
    let order = order_json(&record, picture);
    let rows = order["rows"].as_u64().unwrap_or(0);
    let noun = if rows == 1 { "window" } else { "windows" };
    let kind = order["kind"].as_str().unwrap_or("order");
    let by = order["by"].as_str().unwrap_or("an operator");
    let state = match (order["ended_at"].is_null(), order["trouble"].as_str()) {
        (_, Some(trouble)) => format!("was given up: {trouble}"),
        (true, None) => "is being carried out".to_owned(),
        (false, None) => format!("was carried out on {rows} {noun}"),
    };
    Ok(Some(format!("Order {id}, {kind} by {by}, {state}.")))
}
