//! The report of a run as JSON.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::cli::report::{Aside, Why, rank};
use crate::cli::windows::shown;
use crate::domain::check::verdict::{Contradiction, Verdict};
use crate::domain::time::window::Window;
use crate::domain::time::zone::ZoneName;
use crate::engine::round::Outcome;

/// The report by DESIGN §7: a contract with programs.
pub(crate) fn json(outcomes: &[Outcome], asides: &[Aside]) -> Value {
    let paused = asides.iter().filter(|aside| matches!(aside.why, Why::Paused(..)));
    let counts = Counts::of(outcomes);
    json!({
        "format": 1,
        "runs": outcomes.iter().map(run).collect::<Vec<_>>(),
        "asides": asides.iter().map(Aside::json).collect::<Vec<_>>(),
        "summary": {
            "confirmed": counts.confirmed,
            "violated": counts.violated,
            "unconfirmed": counts.unconfirmed,
            "paused": paused.count(),
        },
    })
}

pub(super) fn run(outcome: &Outcome) -> Value {
    let rows: &[String] = match &outcome.judgement.verdict {
        Verdict::Violated(finding) => &finding.rows,
        Verdict::Confirmed | Verdict::Unconfirmed(_) => &[],
    };
    let (verdict, cause, finding) = match &outcome.judgement.verdict {
        Verdict::Confirmed => ("confirmed", None, None),
        Verdict::Violated(finding) => ("violated", None, Some(finding.to_string())),
        Verdict::Unconfirmed(reason) => {
            ("unconfirmed", Some(reason.cause.as_str()), Some(reason.note.clone()))
        }
    };
    let check = &outcome.check;
    let findings: &[Contradiction] = match &outcome.judgement.verdict {
        Verdict::Violated(finding) => &finding.contradictions,
        Verdict::Confirmed | Verdict::Unconfirmed(_) => &[],
    };
    let labels = check.labels.iter().map(|(name, value)| (name.to_string(), json!(value)));
    json!({
        "check": check.id.as_str(),
        "owner": check.owner.as_str(),
        "severity": check.severity.as_str(),
        "source": check.source.as_str(),
        "why": check.why,
        "file": check.file,
        "line": check.line,
        "labels": labels.collect::<serde_json::Map<String, Value>>(),
        "tz": outcome.tz.as_ref().map(ZoneName::as_str),
        "slot": outcome.slot.to_rfc3339_opts(SecondsFormat::Millis, true),
        "window": outcome.window.as_ref().map(|window| {
            let written = outcome.check.window.as_ref().and_then(|w| w.zones.written().first());
            self::window(window, outcome.tz.as_ref().or(written))
        }),
        "verdict": verdict,
        "cause": cause,
        "evidence": outcome.judgement.evidence,
        "finding": finding,
        "findings": findings.iter().map(contradiction).collect::<Vec<_>>(),
        "rows": rows,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// One expectation that does not hold, in parts.
fn contradiction(contradiction: &Contradiction) -> Value {
    match contradiction {
        Contradiction::Rows { expected, seen } => {
            json!({"kind": "rows", "expected": expected, "seen": seen})
        }
        Contradiction::Values { column, expected, rows, of, seen } => json!({
            "kind": "values",
            "column": column.as_str(),
            "expected": expected,
            "rows": rows,
            "of": of,
            "seen": seen,
        }),
        Contradiction::End { column, end, expected, seen } => json!({
            "kind": "end",
            "column": column.as_str(),
            "end": end.as_str(),
            "expected": expected,
            "seen": seen,
        }),
        Contradiction::Repeated { columns, keys, rows } => {
            json!({"kind": "repeated", "columns": columns, "keys": keys, "rows": rows})
        }
        Contradiction::Never { condition, rows, of } => {
            json!({"kind": "never", "condition": condition, "rows": rows, "of": of})
        }
        Contradiction::Volume { expected, seen, past } => {
            json!({"kind": "volume", "expected": expected, "seen": seen, "past": past})
        }
        Contradiction::MissingKeys { missing, of, first } => {
            json!({"kind": "missing_keys", "missing": missing, "of": of, "first": first})
        }
        Contradiction::NamelessKeys { rows } => json!({"kind": "nameless_keys", "rows": rows}),
        Contradiction::Zones { nameless, unknown, of } => {
            json!({"kind": "zones", "nameless": nameless, "unknown": unknown, "of": of})
        }
        Contradiction::ZonesGone { gone, of, first, .. } => {
            json!({"kind": "zones_gone", "gone": gone, "of": of, "first": first})
        }
        Contradiction::Differs(told) => {
            let [missing, extra, changed, close] = told.counts;
            json!({
                "kind": "differs",
                "of_rows": told.of_rows,
                "sides": told.names,
                "rows": told.rows,
                "counts": [missing, extra, changed, close],
                "first": told.first,
            })
        }
    }
}

/// A window by DESIGN §7.
pub(crate) fn window(window: &Window, zone: Option<&ZoneName>) -> Value {
    json!({
        "zone": zone.map_or("UTC", ZoneName::as_str),
        "start": shown(window.start),
        "end": shown(window.end),
        "date": window.span.date.to_string(),
        "utc_offset": window.utc_offset.secs(),
    })
}

pub(super) struct Counts {
    pub(super) confirmed: usize,
    pub(super) violated: usize,
    pub(super) unconfirmed: usize,
}

impl Counts {
    fn of(outcomes: &[Outcome]) -> Self {
        let ranked =
            |wanted| outcomes.iter().filter(|o| rank(&o.judgement.verdict) == wanted).count();
        Self { violated: ranked(0), unconfirmed: ranked(1), confirmed: ranked(2) }
    }
}
