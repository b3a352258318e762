//! The API: the engine's picture and the ledger's rows, as JSON with a format number.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};
use serde_json::{Value, json};

use crate::domain::check::nearest::suggestion;
use crate::domain::record::standing::{Lease, Standing};
use crate::domain::record::window_state::{
    Override, State as RowState, VerdictKind, WindowKind, WindowState,
};
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{
    Comparing, LastLoad, LedgerHealth, SeriesHealth, Snapshot, SourceHealth,
};
use crate::ledger::{History, HistoryQuery, LedgerError, Listed, is_page};
use crate::manifest;
use crate::web::Here;
use crate::web::problem::{Json, Problem};

/// How many items a page has where nobody asks for another number, and at most.
const PAGE: (u16, u16) = (100, 1_000);

/// The words for how a series is.
const STATES: [&str; 5] = ["confirmed", "violated", "unconfirmed", "new", "paused"];

/// An instant for programs (RFC 3339).
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Which series are asked for, and which page.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) check: Option<String>,
    owner: Option<String>,
    state: Option<String>,
    tz: Option<String>,
    open: bool,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    page: Option<String>,
    limit: u16,
}

impl Filter {
    /// Reads the words of a query; what is misspelt is refused, so that nothing is shown that was not
    /// asked for.
    pub(super) fn read(query: &[(String, String)], known: &[&str]) -> Result<Self, Problem> {
        let mut filter = Self { limit: PAGE.0, ..Self::default() };
        for (place, (key, value)) in query.iter().enumerate() {
            if query[..place].iter().any(|(before, _)| before == key) {
                return Err(Problem::bad(format!("`{}` is written twice", short(key))));
            }
            if !known.contains(&key.as_str()) {
                let what = format!("`{}` is not known here", short(key));
                return Err(Problem::bad(hinted(what, suggestion(key, known))));
            }
            let text = Some(value.clone());
            match key.as_str() {
                "check" => filter.check = text,
                "owner" => filter.owner = text,
                "state" => filter.state = Some(word(key, value, &STATES)?),
                "tz" => filter.tz = text,
                "open" => filter.open = word(key, value, &["true", "false"])? == "true",
                "from" => filter.from = Some(read_instant(value)?),
                "to" => filter.to = Some(read_instant(value)?),
                "page" if is_page(value) => filter.page = text,
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=PAGE.1).contains(n));
                    let rule = || Problem::bad(format!("`limit` is 1 to {}", PAGE.1));
                    filter.limit = limit.ok_or_else(rule)?;
                }
                _ => return Err(Problem::bad(format!("`{key}` is not what a page before said"))),
            }
        }
        Ok(filter)
    }

    pub(super) fn fits(&self, series: &SeriesHealth) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
        is(&self.check, series.check.id.as_str()) && is(&self.owner, series.check.owner.as_str())
    }
}

/// Takes one of a few words.
fn word(key: &str, value: &str, words: &[&str]) -> Result<String, Problem> {
    if words.contains(&value) {
        return Ok(value.to_owned());
    }
    let what = format!("`{}` is not a value of `{key}`", short(value));
    Err(Problem::bad(hinted(what, suggestion(value, words))))
}

/// What is wrong, and what may have been meant, where there is a guess.
pub(super) fn hinted(what: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{what}; {hint}"),
        None => what,
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn read_instant(text: &str) -> Result<DateTime<Utc>, Problem> {
    manifest::instant(text).map_err(|rule| Problem::bad(format!("`{}`: {rule}", short(text))))
}

/// Names a series, with how it is and since when.
pub(super) fn named(picture: &Snapshot, series: &SeriesHealth) -> Value {
    let record = &series.record;
    let until = match record.lease {
        Lease::Never => None,
        Lease::Until(until) => Some(instant(until)),
    };
    json!({
        "check": series.check.id.as_str(),
        "tz": record.tz,
        "owner": series.check.owner.as_str(),
        "severity": series.check.severity.as_str(),
        "state": picture.state(series),
        "confirmed_until": until,
        "open": {"violated": record.open_violated, "unconfirmed": record.open_unconfirmed},
        "waived": record.waived,
        "paused_until": series.paused_until.map(instant),
        "paused_because": series.check.pause.as_ref().filter(|_| series.paused_until.is_some()).map(|p| p.because.as_str()),
        "note": reason(picture, series),
    })
}

/// Why a series is not confirmed: its newest row that is open in that way, else what the last attempt
/// said.
fn reason(picture: &Snapshot, series: &SeriesHealth) -> Option<String> {
    let record = &series.record;
    let open = match picture.state(series) {
        "violated" => record.newest_violated.first(),
        "unconfirmed" => record.newest_unconfirmed.first(),
        _ => None,
    };
    let last = || {
        let last = record.last.as_ref()?;
        match (said(last.said).1, &last.note) {
            (Some(cause), Some(note)) => Some(format!("{cause}: {note}")),
            (Some(cause), None) => Some(cause.to_owned()),
            (None, note) => note.clone(),
        }
    };
    open.cloned().or_else(last)
}

/// A series as a whole.
fn series_json(picture: &Snapshot, series: &SeriesHealth) -> Value {
    let record = &series.record;
    let firing = |standing| match standing {
        Standing::Calm => None,
        Standing::Firing { since } => Some(instant(since)),
    };
    let mut value = named(picture, series);
    let more = json!({
        "id": record.id,
        "source": series.check.source.as_str(),
        "why": series.check.why,
        "runbook": series.check.runbook,
        "confirmed_at": record.confirmed_at.map(instant),
        "next_due": series.next_due.map(instant),
        "next_deadline": instant(series.next_deadline),
        "ended_at": record.retired_at.map(instant),
        "firing": {
            "violated": firing(record.standings.violated),
            "unconfirmed": firing(record.standings.unconfirmed),
        },
        "last": record.last.as_ref().map(|last| json!({
            "at": instant(last.at),
            "verdict": said(last.said).0,
            "cause": said(last.said).1,
            "evidence": last.evidence,
            "note": last.note,
            "took_ms": u64::try_from(last.took.as_millis()).unwrap_or(u64::MAX),
        })),
        "attempts": {
            "confirmed": record.totals[0],
            "violated": record.totals[1],
            "unconfirmed": record.totals[2],
        },
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn said(said: VerdictKind) -> (&'static str, Option<&'static str>) {
    match said {
        VerdictKind::Confirmed => ("confirmed", None),
        VerdictKind::Violated => ("violated", None),
        VerdictKind::Unconfirmed(cause) => ("unconfirmed", Some(cause.as_str())),
    }
}

/// The daemon as a whole.
pub(super) async fn status(State(shared): Here) -> Json {
    let picture = shared.picture();
    let count = |state: &str| {
        let live = picture.series.iter().filter(|series| !series.is_over());
        live.filter(|series| picture.state(series) == state).count()
    };
    let sources: serde_json::Map<String, Value> =
        picture.sources.iter().map(|(name, s)| (name.to_string(), source_json(s))).collect();
    let summary = json!({
        "series": picture.series.iter().filter(|series| !series.is_over()).count(),
        "healthy": picture.series.iter().filter(|s| !s.is_over() && picture.is_healthy(s)).count(),
        "confirmed": count("confirmed"),
        "violated": count("violated"),
        "unconfirmed": count("unconfirmed"),
        "new": count("new"),
        "paused": count("paused"),
    });
    Json(
        StatusCode::OK,
        json!({
            "format": 1,
            "version": env!("CARGO_PKG_VERSION"),
            "as_of": instant(picture.as_of),
            "ready": picture.unready().is_none(),
            "not_ready": picture.unready(),
            "ledger": ledger_json(&picture),
            "clock": picture.clock_is_wrong(),
            "generation": picture.generation.as_ref().map(|generation| json!({
                "id": generation.id,
                "digest": generation.digest,
                "checks": generation.checks,
                "loaded_at": instant(generation.loaded_at),
                "loaded_by": generation.loaded_by,
            })),
            "last_load": load_json(&picture.last_load),
            "sources": sources,
            "alert_paths": crate::web::health::paths(&shared, &picture),
            "webhooks": crate::web::health::webhooks(&shared, &picture),
            "heartbeat": crate::web::health::heartbeat(&shared),
            "comparing": picture.comparing.iter().map(|c| comparing(&picture, c)).collect::<Vec<_>>(),
            "summary": summary,
        }),
    )
}

/// An attempt that compares rows, and how far it is.
fn comparing(picture: &Snapshot, comparing: &Comparing) -> Value {
    let of = |series: &&Arc<SeriesHealth>| series.record.id == comparing.series;
    let series = picture.series.iter().find(of);
    json!({
        "check": comparing.check.as_str(),
        "tz": series.and_then(|series| series.record.tz.as_deref()),
        "began_at": instant(comparing.began),
        "rows_left": comparing.rows[0],
        "rows_right": comparing.rows[1],
        "rows_expected": comparing.expected,
        "rows_per_second": comparing.rows_per_second(picture.as_of),
        "ends_at": comparing.ends_at(picture.as_of).map(|at| instant(at.trunc_subsecs(0))),
    })
}

fn ledger_json(picture: &Snapshot) -> Value {
    match &picture.ledger {
        LedgerHealth::Up => json!({"up": true, "down_since": null, "why": null}),
        LedgerHealth::Down { since, why } => {
            json!({"up": false, "down_since": instant(*since), "why": why})
        }
    }
}

fn load_json(load: &LastLoad) -> Value {
    match load {
        LastLoad::Never => json!({"good": null, "at": null, "why": null}),
        LastLoad::Good { at } => json!({"good": true, "at": instant(*at), "why": null}),
        LastLoad::Bad { at, why } => json!({"good": false, "at": instant(*at), "why": why}),
    }
}

fn source_json(source: &SourceHealth) -> Value {
    let (breaker, since) = match &source.breaker {
        Breaker::Unasked { .. } => ("unasked", None),
        Breaker::Closed { .. } => ("closed", None),
        Breaker::Open { since, .. } => ("open", Some(instant(*since))),
    };
    let causes = source.unconfirmed.iter().map(|(cause, n)| (cause.to_string(), json!(n)));
    json!({
        "breaker": breaker,
        "open_since": since,
        "why": source.trouble.as_ref().filter(|_| breaker == "open"),
        "role": source.powers,
        "places": source.places,
        "running": source.running,
        "waiting": source.waiting,
        "attempts": source.attempts,
        "unconfirmed": causes.collect::<serde_json::Map<String, Value>>(),
    })
}

/// Every series, a page at a time.
pub(super) async fn checks(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let known = ["check", "owner", "state", "page", "limit"];
    let filter = Filter::read(&query, &known)?;
    let picture = shared.picture();
    let after = filter.page.as_deref().and_then(|page| page.parse::<i64>().ok()).unwrap_or(0);
    let mut fitting = picture
        .series
        .iter()
        .filter(|series| series.record.id > after && !series.is_over() && filter.fits(series))
        .filter(|series| {
            filter.state.as_deref().is_none_or(|state| state == picture.state(series))
        });
    let page: Vec<_> = fitting.by_ref().take(usize::from(filter.limit)).collect();
    let named = filter.check.is_some() || filter.owner.is_some();
    if page.is_empty() && named && !picture.series.iter().any(|series| filter.fits(series)) {
        let hint = filter.check.as_deref().and_then(|check| suggestion(check, &ids(&picture)));
        let detail = hinted("no series is selected".to_owned(), hint);
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    let more = fitting.next().is_some();
    let next = page.last().filter(|_| more).map(|last| last.record.id.to_string());
    let checks: Vec<Value> = page.iter().map(|series| series_json(&picture, series)).collect();
    let blind = picture.blind();
    let answer = json!({"format": 1, "as_of": instant(picture.as_of), "blind": blind,
        "checks": checks, "next": next});
    Ok(Json(StatusCode::OK, answer))
}

/// The checks that are watched, each once.
pub(super) fn ids(picture: &Snapshot) -> Vec<&str> {
    let mut ids: Vec<&str> = picture.series.iter().map(|s| s.check.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn unreadable(trouble: &LedgerError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the ledger was not read: {trouble}"))
}

/// The record of a check, latest first, a page at a time.
pub(super) async fn windows(
    State(shared): Here,
    check: Result<Path<String>, PathRejection>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let Path(check) = check.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    let known = ["tz", "open", "from", "to", "page", "limit"];
    let filter = Filter::read(&query, &known)?;
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        return Err(Problem::bad("`from` is not before `to`"));
    }
    let picture = shared.picture();
    let mut zones = picture.series.iter().filter(|s| s.check.id.as_str() == check);
    let tz = filter.tz.clone();
    let wanted = HistoryQuery {
        tz: filter.tz,
        open: filter.open,
        from: filter.from,
        to: filter.to,
        page: filter.page,
    };
    let reader = &shared.door.reader;
    let page = reader.windows(&check, &wanted, picture.now(), filter.limit).await;
    let page = page.map_err(|trouble| unreadable(&trouble))?;
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

fn window_json(history: &History) -> Value {
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
        "note": entry.note,
        "generation": entry.generation,
    })
}

fn overridden(overridden: Override) -> Option<&'static str> {
    match overridden {
        Override::Standing => None,
        Override::Excused => Some("excused"),
        Override::Waived { .. } => Some("waived"),
        Override::Superseded { replaced: false } => Some("superseded"),
        Override::Superseded { replaced: true } => Some("replaced"),
        Override::Removed => Some("removed"),
    }
}

/// What happened, latest first, a page at a time.
pub(super) async fn events(
    State(shared): Here,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json, Problem> {
    let filter = Filter::read(&query, &["check", "page", "limit"])?;
    let reader = &shared.door.reader;
    let page = reader.events(filter.check.as_deref(), filter.page.as_deref(), filter.limit).await;
    let page = page.map_err(|trouble| unreadable(&trouble))?;
    let events: Vec<Value> = page.items.iter().map(event_json).collect();
    Ok(Json(StatusCode::OK, json!({"format": 1, "events": events, "next": page.next})))
}

fn event_json(event: &Listed) -> Value {
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
