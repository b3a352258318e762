//! The history of a check, and the events, as JSON.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::domain::check::nearest::suggestion;
use crate::domain::check::plain::in_one_line;
use crate::domain::record::window_state::{Override, State as RowState, WindowKind, WindowState};
use crate::ledger::{
    EventQuery, Given, History, HistoryQuery, Listed, is_page_by_number, is_page_of_windows,
};
use crate::web::Here;
use crate::web::api::said;
use crate::web::filter::ids;
use crate::web::filter::{Filter, hinted, short};
use crate::web::instants::instant;
use crate::web::problem::unreadable;
use crate::web::problem::{Json, Problem};
use crate::web::ranges::Ranges;

/// The record of a check, latest first, a page at a time.
pub(super) async fn windows(
    State(shared): Here,
    check: Result<Path<String>, PathRejection>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let Path(check) = check.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    let known = ["tz", "open", "from", "to", "page", "limit"];
    let filter = Filter::read(&query, &known, is_page_of_windows)?;
    let picture = shared.picture();
    let ranges = Ranges::of(&picture, &check, &filter)?;
    let mut zones = picture.series.iter().filter(|s| s.check.id.as_str() == check);
    let tz = filter.tz.clone();
    let wanted = HistoryQuery {
        tz: filter.tz,
        open: filter.open,
        from: ranges.first(),
        to: ranges.last(),
        utc_offset: None,
        page: filter.page,
    };
    let reader = &shared.door.reader;
    let page = reader.windows(&check, &wanted, picture.now(), filter.limit).await;
    let mut page = page.map_err(|trouble| unreadable(&trouble))?;
    page.items.retain(|history| ranges.has(history));
    let known = picture.series.iter().any(|series| series.check.id.as_str() == check);
    if page.items.is_empty() && !known {
        let ids = ids(&picture);
        let what = format!("no check is called `{}`", short(&check));
        let detail = hinted(what, suggestion(&check, &ids));
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    if page.items.is_empty()
        && let Some(tz) = tz.filter(|tz| zones.all(|s| s.record.tz.as_ref() != Some(tz)))
    {
        let detail = format!("`{}` is no zone of `{}`", short(&tz), short(&check));
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let windows: Vec<Value> = page.items.iter().map(window_json).collect();
    let answer = json!({"format": 1, "check": check, "windows": windows, "next": page.next});
    Ok(Json(StatusCode::OK, answer))
}

pub(super) fn window_json(history: &History) -> Value {
    let entry = &history.entry;
    let WindowState { kind, start, end, due, deadline, state, .. } = entry.row;
    let recorded = entry.row.recorded();
    let (state, waits_for) = match state {
        RowState::Waiting { last, .. } => ("waiting", last),
        RowState::Running { last, .. } => ("running", last),
        RowState::Recorded(_) => ("recorded", None),
    };
    let (verdict, cause) = recorded.map_or((None, None), |r| {
        let (verdict, cause) = said(r.said);
        (Some(verdict), cause)
    });
    json!({
        "tz": history.tz,
        "kind": match kind { WindowKind::Window => "window", WindowKind::Slot => "slot" },
        "start": instant(start),
        "end": instant(end),
        "utc_offset": entry.utc_offset,
        "due": instant(due),
        "deadline": instant(deadline),
        "state": state,
        "verdict": verdict,
        "cause": cause.or(waits_for.map(crate::domain::check::reason::Cause::as_str)),
        "evidence": entry.evidence,
        "attempts": entry.attempts,
        "in_vain": entry.row.failed_attempts,
        "asked": entry.asked,
        "recorded_at": recorded.map(|r| instant(r.at)),
        "tried_at": recorded.map(|r| instant(r.tried)),
        "open": history.open.is_some(),
        "ruling": overridden(entry.row.overridden),
        "waiver": history.waiver.as_ref().map(|waiver| json!({
            "by": waiver.by,
            "because": waiver.because,
            "until": waiver.until.map(instant),
        })),
        "note": entry.note.as_deref().map(in_one_line),
        "generation": entry.generation,
    })
}

pub(super) fn overridden(overridden: Override) -> Option<&'static str> {
    match overridden {
        Override::Standing => None,
        Override::Excused => Some("excused"),
        Override::Waived { .. } => Some("waived"),
        Override::Superseded { replaced: false } => Some("superseded"),
        Override::Superseded { replaced: true } => Some("replaced"),
        Override::Removed => Some("removed"),
    }
}

/// Waivers, latest first, a page at a time.
pub(super) async fn waivers(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&query, &["page", "limit"], is_page_by_number)?;
    let now = shared.picture().now();
    let page = shared.door.reader.waivers(filter.page.as_deref(), filter.limit, now).await;
    let page = page.map_err(|trouble| unreadable(&trouble))?;
    let waivers: Vec<Value> = page.items.iter().map(waiver_json).collect();
    Ok(Json(StatusCode::OK, json!({"format": 1, "waivers": waivers, "next": page.next})))
}

fn waiver_json(given: &Given) -> Value {
    json!({
        "id": given.id,
        "at": instant(given.at),
        "by": given.waiver.by,
        "because": given.waiver.because,
        "until": given.waiver.until.map(instant),
        "selection": given.selection,
        "rows": given.rows,
        "covers": given.covers,
    })
}

/// What happened, latest first, a page at a time.
pub(super) async fn events(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&query, &["check", "page", "limit"], is_page_by_number)?;
    let wanted = EventQuery { check: filter.check, page: filter.page, ..EventQuery::default() };
    let page = shared.door.reader.events(&wanted, filter.limit).await;
    let page = page.map_err(|trouble| unreadable(&trouble))?;
    let events: Vec<Value> = page.items.iter().map(event_json).collect();
    Ok(Json(StatusCode::OK, json!({"format": 1, "events": events, "next": page.next})))
}

pub(super) fn event_json(event: &Listed) -> Value {
    json!({
        "id": event.id,
        "at": instant(event.at),
        "kind": event.kind,
        "check": event.check,
        "tz": event.tz,
        "start": event.bounds.map(|(start, _)| instant(start)),
        "end": event.bounds.map(|(_, end)| instant(end)),
        "was": event.was,
        "becomes": event.becomes,
        "note": event.note,
        "replica": event.replica,
    })
}
