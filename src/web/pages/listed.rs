//! A window in a list: how it is, when it is, and what was found.

use crate::domain::check::plain::in_one_line;
use crate::domain::record::standing::Alarm;
use crate::domain::record::window_state::{Override, State as RowState, VerdictKind};
use chrono::{DateTime, Utc};

use crate::ledger::History;
use crate::web::pages::civil::Civil;
use crate::web::pages::group::Group;
use crate::web::pages::mark::Mark;
use crate::web::pages::matrix::window_path;

pub(super) struct Listed {
    pub(super) mark: Mark,
    pub(super) href: String,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) zone: String,
    pub(super) note: String,
    pub(super) evidence: String,
    pub(super) attempts: u64,
}

/// How a window is by now: what is open comes first, whatever else is said of it.
pub(super) fn mark(history: &History, now: DateTime<Utc>) -> Mark {
    let row = &history.entry.row;
    match (history.open, row.overridden, row.state) {
        (Some(Alarm::Violated), ..) => Mark::VIOLATED,
        (Some(Alarm::Unconfirmed), ..) => Mark::UNCONFIRMED,
        (None, Override::Waived { .. }, _) => Mark::WAIVED,
        (None, Override::Excused | Override::Superseded { .. } | Override::Removed, _) => {
            Mark::PAUSED
        }
        (None, Override::Standing, RowState::Waiting { .. } | RowState::Running { .. }) => {
            if row.deadline <= now { Mark::UNCONFIRMED } else { Mark::WAITING }
        }
        (None, Override::Standing, RowState::Recorded(recorded)) => match recorded.said {
            VerdictKind::Confirmed if history.entry.reproof_by.is_none() => Mark::CONFIRMED,
            VerdictKind::Confirmed => Mark::WAITING,
            VerdictKind::Unconfirmed(_) if now < row.deadline => Mark::WAITING,
            VerdictKind::Violated | VerdictKind::Unconfirmed(_) => Mark::CLOSED,
        },
    }
}

/// When a window begins, with the offset that it is called by; a look at the present has none of its own.
pub(super) fn begins(group: &Group<'_>, history: &History) -> Civil {
    let row = &history.entry.row;
    let series = group.series.iter().find(|series| series.record.id == history.entry.series);
    match (row.end > row.start, series) {
        (false, Some(series)) => Civil::new(row.start, &series.home.rules),
        (true, _) | (false, None) => Civil::with_offset(row.start, history.entry.utc_offset),
    }
}

pub(super) fn listed(group: &Group<'_>, history: &History, now: DateTime<Utc>) -> Listed {
    let entry = &history.entry;
    let (start, end) = (entry.row.start, entry.row.end);
    let series = group.series.iter().find(|series| series.record.id == entry.series);
    let civil = |at| series.map_or_else(|| Civil::utc(at), |s| Civil::new(at, &s.home.rules));
    let cause = entry.row.recorded().and_then(|recorded| crate::web::api::said(recorded.said).1);
    let note = entry.note.as_deref().map(in_one_line).unwrap_or_default();
    Listed {
        mark: mark(history, now),
        href: window_path(group.check.id.as_str(), history.tz.as_deref(), start),
        start: begins(group, history).to_string(),
        end: if end > start { civil(end).to_string() } else { String::new() },
        zone: history.tz.clone().unwrap_or_default(),
        note: match cause {
            Some(cause) => format!("{cause}: {note}"),
            None => note,
        },
        evidence: entry.evidence.map(|evidence| evidence.to_string()).unwrap_or_default(),
        attempts: entry.attempts,
    }
}
