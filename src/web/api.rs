//! The API: the engine's picture and the ledger's rows, as JSON with a format number.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use chrono::SubsecRound as _;
use serde_json::{Value, json};

use crate::domain::check::nearest::suggestion;
use crate::domain::check::plain::in_one_line;
use crate::domain::record::standing::{Lease, Standing};
use crate::domain::record::window_state::VerdictKind;
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{
    Comparing, LastLoad, LedgerHealth, SeriesHealth, Snapshot, SourceHealth,
};
use crate::ledger::is_page_by_number;
use crate::manifest::TestedCheck;
use crate::notify::self_alerts::dark_words;
use crate::web::Here;
use crate::web::filter::{Filter, hinted, ids};
use crate::web::instants::instant;
use crate::web::outgoing::Outgoing;
use crate::web::problem::{Json, Problem};
use crate::web::quiet;

/// Names a series, with how it is and since when.
pub(super) fn named(picture: &Snapshot, series: &SeriesHealth, told: &Outgoing) -> Value {
    let record = &series.record;
    let until = match record.lease {
        Lease::Never => None,
        Lease::Until(until) => Some(instant(until)),
    };
    let tested = picture.tested(&series.check.id);
    json!({
        "check": series.check.id.as_str(),
        "tz": record.tz,
        "owner": series.check.owner.as_str(),
        "severity": if series.is_critical() { "critical" } else { series.check.severity.as_str() },
        "state": picture.state(series),
        "confirmed_until": until,
        "open": {"violated": record.open_violated, "unconfirmed": record.open_unconfirmed},
        "waived": record.waived,
        "changed": record.changed,
        "thin": record.thin,
        "failing_since": record.failing_since.map(instant),
        "paused_until": series.paused_until.map(instant),
        "paused_because": series.check.pause.as_ref().filter(|_| series.paused_until.is_some()).map(|p| p.because.as_str()),
        "note": reason(picture, series),
        "tested": picture.tested.as_ref().map(|_| tested.is_some_and(|tested| tested.tested)),
        "mutation_score": tested.and_then(TestedCheck::score),
        "alerts": told.alerts(series),
        "quiet_until": told.quiet_until(series).map(instant),
    })
}

/// Why a series is not confirmed: its newest row that is open in that way, else what the last attempt
/// said.
pub(super) fn reason(picture: &Snapshot, series: &SeriesHealth) -> Option<String> {
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
    open.cloned().or_else(last).map(|note| in_one_line(&note))
}

/// A series as a whole.
fn series_json(picture: &Snapshot, series: &SeriesHealth, told: &Outgoing) -> Value {
    let record = &series.record;
    let firing = |standing| match standing {
        Standing::Calm => None,
        Standing::Firing { since } => Some(instant(since)),
    };
    let mut value = named(picture, series, told);
    let more = json!({
        "id": record.id,
        "source": series.check.source.as_str(),
        "file": series.check.file,
        "line": series.check.line,
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
            "note": last.note.as_deref().map(in_one_line),
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

pub(super) fn said(said: VerdictKind) -> (&'static str, Option<&'static str>) {
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
    let sources: serde_json::Map<String, Value> = picture
        .sources
        .iter()
        .map(|(name, s)| {
            let mut source = source_json(s);
            let toll = picture.dependencies.tolls.get(name);
            source["dark"] = json!(toll.map(dark_words));
            (name.to_string(), source)
        })
        .collect();
    let summary = json!({
        "series": picture.series.iter().filter(|series| !series.is_over()).count(),
        "healthy": picture.series.iter().filter(|s| !s.is_over() && picture.is_healthy(s)).count(),
        "confirmed": count("confirmed"),
        "violated": count("violated"),
        "unconfirmed": count("unconfirmed"),
        "new": count("new"),
        "paused": count("paused"),
        "waived": count("waived"),
    });
    let pages = &shared.door.pages;
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
            "pinned": picture.is_pinned,
        "last_load": load_json(&picture.last_load),
            "sources": sources,
            "alert_paths": crate::web::health::paths(&shared, &picture),
            "webhooks": crate::web::health::webhooks(&shared, &picture),
            "heartbeat": crate::web::health::heartbeat(&shared),
            "quiet": quiet::all(&shared, &picture),
            "comparing": picture.comparing.iter().map(|c| comparing(&picture, c)).collect::<Vec<_>>(),
            "pages": pages.are_shown.then(|| pages.public_url.as_deref().unwrap_or("/")),
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
        LastLoad::Waits { at, id, why } => {
            json!({"good": null, "at": instant(*at), "why": why, "waits_as": id})
        }
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
        "place": source.place,
        "role": source.remark,
        "protections": source.protections.iter().map(|one| json!({"by": one.by, "what": one.what})).collect::<Vec<_>>(),
        "identity": source.identity,
        "moved_at": source.moved_at.map(instant),
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
    let filter = Filter::read(&query, &known, is_page_by_number)?;
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
    let told = Outgoing::of(&shared, &picture);
    let checks: Vec<Value> =
        page.iter().map(|series| series_json(&picture, series, &told)).collect();
    let blind = picture.blind();
    let answer = json!({"format": 1, "as_of": instant(picture.as_of), "blind": blind,
        "checks": checks, "next": next});
    Ok(Json(StatusCode::OK, answer))
}
