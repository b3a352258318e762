//! Events: every transition, the latest first; also as CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::domain::check::plain::in_one_line;
use crate::domain::time::zone::Rules;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{EventQuery, Listed, is_page_by_number};
use crate::web::Here;
use crate::web::filter::word;
use crate::web::instants::instant;
use crate::web::pages::civil::Civil;
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::matrix::window_path;
use crate::web::pages::query::{Keys, in_path};
use crate::web::pages::survey::Survey;
use crate::web::problem::{Problem, unreadable};

/// How many events are on a page, and in a file.
const SHOWN: u16 = 100;
const IN_A_FILE: u16 = 1_000;

/// The kinds of events.
const KINDS: [&str; 21] = [
    "window",
    "slot",
    "standing",
    "recheck",
    "evidence",
    "rerun",
    "waiver",
    "quiet",
    "forget",
    "calendar",
    "zones",
    "rules",
    "check",
    "series",
    "generation",
    "source",
    "underneath",
    "drill",
    "breaker",
    "ledger",
    "claim",
];

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    frame: Frame,
    events: Vec<EventView>,
    kinds: Vec<(&'static str, bool)>,
    check: String,
    later: Option<String>,
    file: String,
}

pub(super) struct EventView {
    pub(super) at: String,
    pub(super) what: String,
    pub(super) check: Option<(String, String)>,
    pub(super) window: Option<(String, String)>,
    pub(super) note: String,
}

/// Events as a page shows them, with their times as that page writes times.
pub(super) fn views(
    picture: &Snapshot,
    events: &[Listed],
    at: impl Fn(DateTime<Utc>) -> Civil,
) -> Vec<EventView> {
    let checks: BTreeSet<&str> = events.iter().filter_map(|e| e.check.as_deref()).collect();
    let theirs = picture.series.iter().filter(|s| checks.contains(s.check.id.as_str()));
    let named = theirs.map(|s| ((s.check.id.as_str(), s.record.tz.as_deref()), &s.home.rules));
    let homes: BTreeMap<(&str, Option<&str>), &Arc<Rules>> = named.collect();
    let of = |event: &Listed| {
        let key = (event.check.as_deref().unwrap_or_default(), event.tz.as_deref());
        view(event, homes.get(&key).copied(), &at)
    };
    events.iter().map(of).collect()
}

fn view(
    event: &Listed,
    rules: Option<&Arc<Rules>>,
    at: &impl Fn(DateTime<Utc>) -> Civil,
) -> EventView {
    let civil = |at| rules.map_or_else(|| Civil::utc(at), |rules| Civil::new(at, rules));
    // An alert begins from nothing, and a window from what was due.
    let was = event.was.as_ref().filter(|was| !matches!(was.as_str(), "calm" | "closed"));
    let change = match (was, &event.becomes) {
        (Some(was), Some(becomes)) => format!("{}: {was} → {becomes}", event.kind),
        (None, Some(becomes)) => format!("{}: {becomes}", event.kind),
        (Some(was), None) => format!("{}: {was} is over", event.kind),
        (None, None) => event.kind.clone(),
    };
    let check = event.check.clone().map(|id| {
        // Of a window, its own words say where.
        let zone = event.tz.as_deref().filter(|_| event.bounds.is_none());
        let text = zone.map_or_else(|| id.clone(), |zone| format!("{id} {zone}"));
        (format!("/checks/{}", in_path(&id)), text)
    });
    let window = event.check.as_deref().zip(event.bounds).map(|(check, (start, _))| {
        let zone = event.tz.as_deref().map(|tz| format!(" {tz}")).unwrap_or_default();
        let text = format!("{}{zone}", civil(start).text());
        (window_path(check, event.tz.as_deref(), start), text)
    });
    EventView {
        at: at(event.at).to_string(),
        what: change,
        check,
        window,
        note: event.note.as_deref().map(in_one_line).unwrap_or_default(),
    }
}

pub(super) async fn events(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let keys = Keys::read(&query, &["check", "kind", "page", "format"])?;
    let kind = keys.get("kind").map(|kind| word("kind", kind, &KINDS)).transpose()?;
    let format = keys.get("format").map(|format| word("format", format, &["csv"])).transpose()?;
    if keys.get("page").is_some_and(|page| !is_page_by_number(page)) {
        return Err(Problem::bad("`page` is not what a page before said"));
    }
    let wanted = EventQuery {
        check: keys.get("check").map(str::to_owned),
        kind: kind.clone(),
        page: keys.get("page").map(str::to_owned),
    };
    let most = if format.is_some() { IN_A_FILE } else { SHOWN };
    let found = shared.door.reader.events(&wanted, most).await;
    let found = found.map_err(|trouble| unreadable(&trouble))?;
    if format.is_some() {
        let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
        return Ok((kind, csv(&found.items)).into_response());
    }
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    if let (true, Some(check)) = (found.items.is_empty() && kind.is_none(), keys.get("check")) {
        // Of a check that is gone events may be there still: where none are, it was meant otherwise.
        survey.found(check)?;
    }
    page(&Events {
        frame: Frame::new(&shared, &survey, &visit, "Events"),
        events: views(picture, &found.items, Civil::utc),
        kinds: KINDS.iter().map(|known| (*known, kind.as_deref() == Some(*known))).collect(),
        check: keys.text("check"),
        later: found.next.map(|next| format!("/events?{}", keys.with("page", &next))),
        file: format!("/events?{}", keys.with("format", "csv")),
    })
}

/// Events as CSV (RFC 4180). A field that a spreadsheet would take for a formula begins with an apostrophe.
fn csv(events: &[Listed]) -> String {
    let mut text = "id,at,kind,check,tz,start,end,was,becomes,note,replica\r\n".to_owned();
    for event in events {
        let bounds = event.bounds.map(|(start, end)| (instant(start), instant(end)));
        let (start, end) = bounds.unwrap_or_default();
        let fields = [
            event.id.to_string(),
            instant(event.at),
            event.kind.clone(),
            event.check.clone().unwrap_or_default(),
            event.tz.clone().unwrap_or_default(),
            start,
            end,
            event.was.clone().unwrap_or_default(),
            event.becomes.clone().unwrap_or_default(),
            event.note.as_deref().map(in_one_line).unwrap_or_default(),
            event.replica.clone(),
        ];
        text.push_str(&fields.map(|value| field(&value)).join(","));
        text.push_str("\r\n");
    }
    text
}

fn field(value: &str) -> String {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    match value.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_never_a_formula() {
        assert_eq!(field("a"), "a");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
        assert_eq!(field("@x,y"), "\"'@x,y\"");
    }
}
