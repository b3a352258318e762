//! What an operator may order: try again, vouch for, load anew.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::check::nearest::suggestion;
use crate::domain::check::plain;
use crate::engine::order::NotTaken;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::{LedgerError, OrderRecord, Revocation, RowOrder, Selected, Waiver};
use crate::manifest::When;
use crate::web::access::{Client, operator};
use crate::web::filter::ids;
use crate::web::filter::{hinted, moment, short};
use crate::web::instants::instant;
use crate::web::orders::order_json;
use crate::web::problem::{Json, Problem};
use crate::web::ranges::range;
use crate::web::{Here, Shared};

/// How large an order may be, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// How long a reason may be, and a name, in characters.
pub(super) const BECAUSE_MAX: usize = 1_000;
pub(super) const BY_MAX: usize = 200;
/// How long an answer waits for its order to be stored.
const STORED_WITHIN: Duration = Duration::from_secs(10);
/// How long a waiver may hold.
const WAIVED_MAX: TimeDelta = TimeDelta::days(90);

/// A text that is not empty, without the spaces around it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.trim() {
            "" => Err("a text here is not empty"),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// An order to try rows again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RerunOrder {
    check: Option<Text>,
    owner: Option<Text>,
    zones: Option<Vec<String>>,
    from: Option<Text>,
    to: Option<Text>,
    by: Option<Text>,
    accept_evidence: Option<bool>,
    because: Option<Text>,
}

/// An order to vouch for rows, or to take that back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaiveOrder {
    check: Option<Text>,
    owner: Option<Text>,
    zones: Option<Vec<String>>,
    from: Option<Text>,
    to: Option<Text>,
    by: Option<Text>,
    because: Option<Text>,
    until: Option<Text>,
    revoke: Option<bool>,
}

/// Reads an order; a key that is not known, or comes twice, is refused by the derived code.
async fn read<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    let body = body_up_to(request, most).await?;
    // The derived code takes a list too, by position.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad("an order is one JSON object"));
    }
    of_json(&body)
}

/// Reads what is sent with a request, as far as an order may be long.
pub(super) async fn body(request: Request) -> Result<Bytes, Problem> {
    body_up_to(request, BODY_MAX).await
}

async fn body_up_to(request: Request, most: usize) -> Result<Bytes, Problem> {
    let unread = |error: axum::Error| {
        // What it is made of is not ours to name.
        match error.to_string().contains("length limit") {
            true => {
                let detail = format!("this is {} KiB at most", most / 1024);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            }
            false => Problem::bad("the body of the request cannot be read to its end"),
        }
    };
    to_bytes(request.into_body(), most).await.map_err(unread)
}

/// Reads an order from the text of a JSON object.
pub(super) fn of_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(text).map_err(|error| {
        let said = error.to_string();
        let mut names = said.split('`').skip(1).step_by(2);
        match names.next() {
            Some(unknown) if said.starts_with("unknown field") => {
                let known: Vec<&str> = names.collect();
                let what = format!("`{}` is not known here", short(unknown));
                Problem::bad(hinted(what, suggestion(unknown, &known)))
            }
            Some(_) | None => Problem::bad(format!("an order is one JSON object: {said}")),
        }
    })
}

/// Who asks, where he may give orders.
pub(super) fn operator_of(shared: &Shared, request: &Request) -> Result<Client, Problem> {
    let client = request.extensions().get::<Client>();
    let client =
        client.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "it is not known who asks"))?;
    operator(client, &shared.door.access)?;
    Ok(client.clone())
}

/// Reads an order of a person who may give one.
pub(super) async fn ordered<T: DeserializeOwned>(
    shared: &Shared,
    request: Request,
) -> Result<(Client, T), Problem> {
    ordered_up_to(shared, request, BODY_MAX).await
}

/// Reads an order of so many bytes at most.
pub(super) async fn ordered_up_to<T: DeserializeOwned>(
    shared: &Shared,
    request: Request,
    most: usize,
) -> Result<(Client, T), Problem> {
    let client = operator_of(shared, &request)?;
    Ok((client, read(request, most).await?))
}

/// Who gives an order: who his token or a proxy says he is, whatever he writes; else what he writes.
pub(super) fn by_whom(client: &Client, written: Option<Text>) -> Result<String, Problem> {
    match &client.name {
        Some(name) => Ok(name.clone()),
        None => line("by", written, BY_MAX),
    }
}

/// What the engine made of an order; else that it was not taken, or not written down.
pub(super) fn done<T>(outcome: Result<Result<T, LedgerError>, NotTaken>) -> Result<T, Problem> {
    let unavailable = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let written = outcome.map_err(|error| unavailable(error.to_string()))?;
    written.map_err(|trouble| unavailable(format!("it was not written down: {trouble}")))
}

/// One line of at most so many characters.
pub(super) fn line(key: &str, text: Option<Text>, most: usize) -> Result<String, Problem> {
    let Text(text) = text.ok_or_else(|| Problem::bad(format!("`{key}` is missing")))?;
    if text.chars().count() > most || plain::line(&text) != text {
        return Err(Problem::bad(format!("`{key}` is one line of at most {most} characters")));
    }
    Ok(text)
}

/// The words by which rows are selected.
struct Selection<'a> {
    check: Option<&'a str>,
    owner: Option<&'a str>,
    zones: Vec<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

/// Takes those words out of an order.
macro_rules! selection {
    ($order:expr) => {{
        let order = &$order;
        Selection {
            check: order.check.as_deref(),
            owner: order.owner.as_deref(),
            zones: order.zones.iter().flatten().map(String::as_str).collect(),
            from: order.from.as_deref(),
            to: order.to.as_deref(),
        }
    }};
}

impl Selection<'_> {
    /// Which rows are meant: of which series, and from when to when. Dates are those of each series'
    /// own zone; the last one is in it.
    fn selected(&self, picture: &Snapshot) -> Result<Selected, Problem> {
        let Self { check, owner, ref zones, from, to } = *self;
        if check.is_none() && owner.is_none() {
            return Err(Problem::bad(
                "name a `check` or an `owner`: nothing is ordered for everybody",
            ));
        }
        let ids = ids(picture);
        if let Some(unknown) = check.filter(|check| !ids.contains(check)) {
            let detail =
                hinted(format!("no check is called `{unknown}`"), suggestion(unknown, &ids));
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        let now = picture.now();
        let [begin, end] = [("from", from), ("to", to)]
            .map(|(key, text)| text.map(|text| moment(key, text)).transpose());
        let (begin, end) = (begin?, end?);
        // What cannot be written down is not ordered.
        if let Some(why) = picture.blind() {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let theirs = |series: &SeriesHealth| {
            check.is_none_or(|check| series.check.id.as_str() == check)
                && owner.is_none_or(|owner| series.check.owner.as_str() == owner)
        };
        let known: Vec<&str> = picture
            .series
            .iter()
            .filter(|series| theirs(series))
            .filter_map(|series| series.record.tz.as_deref())
            .collect();
        if let Some(unknown) = zones.iter().find(|zone| !known.contains(zone)) {
            let detail = match known.is_empty() {
                true => format!("`{unknown}` is no zone of these series: they have none"),
                false => hinted(
                    format!("`{unknown}` is no zone of these series"),
                    suggestion(unknown, &known),
                ),
            };
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        let fits = |series: &&Arc<SeriesHealth>| {
            let zone = series.record.tz.as_deref().unwrap_or("");
            theirs(series) && (zones.is_empty() || zones.contains(&zone))
        };
        let rows = picture.series.iter().filter(fits).map(|s| {
            let (from, to) = range(s, (begin, end), now)?;
            Ok((s.record.id, from, to))
        });
        let rows = rows.collect::<Result<Vec<_>, Problem>>()?;
        if rows.is_empty() {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "no series has that check, owner and zone at once",
            ));
        }
        let shown = |name: &str, value: Option<&str>| value.map(|value| format!("{name} {value}"));
        // What is meant by `yesterday` is to be read later too.
        let is_relative = [begin, end].into_iter().flatten().any(When::is_relative);
        let asked = is_relative.then(|| instant(now));
        let zones = (!zones.is_empty()).then(|| format!("zones {}", zones.join(", ")));
        let words = [
            shown("check", check),
            shown("owner", owner),
            zones,
            shown("from", from),
            shown("to", to),
            shown("asked at", asked.as_deref()),
        ];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Ok(Selected { rows, words })
    }
}

/// Which rows are meant by a check or an owner.
pub(super) fn selected(
    picture: &Snapshot,
    check: Option<&str>,
    owner: Option<&str>,
) -> Result<Selected, Problem> {
    Selection { check, owner, zones: Vec::new(), from: None, to: None }.selected(picture)
}

/// Has an order stored: from then on it is carried out, whatever becomes of this process.
pub(super) async fn stored(
    shared: &Shared,
    selected: Selected,
    order: RowOrder,
) -> Result<OrderRecord, Problem> {
    let unavailable = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let (orders, given) = (shared.door.orders.clone(), (selected.clone(), order.clone()));
    let stored = async move { orders.rows(given.0, given.1).await };
    let stored = timeout(STORED_WITHIN, stored).await.map_err(|_| {
        let why = "the ledger takes its time: `/api/v1/orders` says whether the order is stored";
        unavailable(why.to_owned())
    })?;
    let id = stored.map_err(|error| unavailable(error.to_string()))?.map_err(|trouble| {
        unavailable(format!("the order is not stored: {trouble}. Give it again"))
    })?;
    Ok(OrderRecord::stored(id, shared.picture().now(), order, &selected))
}

/// Has an order stored, and answers with it.
async fn store(shared: &Shared, selected: Selected, order: RowOrder) -> Result<Json, Problem> {
    let record = stored(shared, selected, order).await?;
    let order = order_json(&record, &shared.picture());
    Ok(Json(StatusCode::ACCEPTED, json!({"format": 1, "order": order})))
}

/// Tries rows again.
pub(super) async fn rerun(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order) = ordered(&shared, request).await?;
    rerun_by(&shared, &client, order).await
}

/// Tries rows again, by the order of a person who may give it.
pub(super) async fn rerun_by(
    shared: &Shared,
    client: &Client,
    order: RerunOrder,
) -> Result<Json, Problem> {
    let selected = selection!(order).selected(&shared.picture())?;
    let by = match (&client.name, order.by) {
        (None, None) => "operator".to_owned(),
        (_, written) => by_whom(client, written)?,
    };
    let accepted = match order.accept_evidence {
        Some(true) => Some(line("because", order.because, BECAUSE_MAX)?),
        Some(false) | None => None,
    };
    store(shared, selected, RowOrder::Rerun { by, accepted }).await
}

/// Vouches for rows that are open, or takes that back.
pub(super) async fn waive(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let (client, order) = ordered(&shared, request).await?;
    waive_by(&shared, &client, order).await
}

/// Vouches for rows, by the order of a person who may give it.
pub(super) async fn waive_by(
    shared: &Shared,
    client: &Client,
    order: WaiveOrder,
) -> Result<Json, Problem> {
    let picture = shared.picture();
    let selected = selection!(order).selected(&picture)?;
    let (by, because) = (by_whom(client, order.by)?, line("because", order.because, BECAUSE_MAX)?);
    if order.revoke == Some(true) {
        return store(shared, selected, RowOrder::Revoke(Revocation { by, because })).await;
    }
    let until = order.until.ok_or_else(|| {
        Problem::bad("`until` is missing: a waiver ends, after 90 days at the latest")
    })?;
    let until = moment("until", &until)?;
    // A date ends last where it ends last.
    let meant =
        picture.series.iter().filter(|s| selected.rows.iter().any(|(id, ..)| *id == s.record.id));
    let until = meant.filter_map(|series| until.until(&series.home.rules, picture.now())).max();
    let until = until.ok_or_else(|| Problem::bad("`until`: there is no such date"))?;
    if until <= picture.now() {
        return Err(Problem::bad("`until` is over already"));
    }
    // An instant that was computed from a clock a moment ago is no later than that.
    if until > picture.now() + WAIVED_MAX + TimeDelta::minutes(1) {
        return Err(Problem::bad("`until` is too far away: a waiver holds for 90 days at most"));
    }
    let waiver = Waiver { by, because, until: Some(until) };
    store(shared, selected, RowOrder::Waive(waiver)).await
}

/// Has the catalogue loaded anew.
pub(super) async fn reload(State(shared): Here, request: Request) -> Result<Json, Problem> {
    if !shared.door.lifecycle {
        let detail = "reload by HTTP is off: write `lifecycle: true` under `web`, or send SIGHUP";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    operator_of(&shared, &request)?;
    let (reply, answer) = oneshot::channel();
    let busy = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "a reload is under way");
    shared.door.reloads.try_send(reply).map_err(busy)?;
    match answer.await {
        Ok(Ok(done)) => Ok(Json(StatusCode::OK, json!({"format": 1, "loaded": done}))),
        Ok(Err(why)) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping")),
    }
}
