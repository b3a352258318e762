//! Attempts in a list: when, for how long, and what each said.

use crate::domain::check::plain::in_one_line;
use crate::ledger::AttemptRow;
use crate::web::api::said;
use crate::web::pages::civil::{Civil, lasts};
use crate::web::pages::group::Group;
use crate::web::pages::mark::Mark;
use crate::web::pages::matrix::window_path;

pub(super) struct AttemptView {
    pub(super) mark: Mark,
    pub(super) at: String,
    pub(super) took: String,
    pub(super) window: Option<(String, String)>,
    pub(super) evidence: String,
    pub(super) note: String,
    pub(super) generation: i64,
}

pub(super) fn view(group: &Group<'_>, attempt: &AttemptRow, with_window: bool) -> AttemptView {
    let series = group.series.iter().find(|series| series.record.tz == attempt.tz);
    let civil = |at| series.map_or_else(|| Civil::utc(at), |s| Civil::new(at, &s.home.rules));
    let (word, cause) = said(attempt.said);
    let note = attempt.note.as_deref().map(in_one_line).unwrap_or_default();
    let outcome = match attempt.outcome.as_str() {
        "recorded" => String::new(),
        other => format!("{other}. "),
    };
    let words = match cause {
        Some(cause) => format!("{outcome}{cause}: {note}"),
        None => format!("{outcome}{note}"),
    };
    let window = with_window.then(|| {
        let (start, _) = attempt.bounds;
        let zone = attempt.tz.as_deref().map(|tz| format!(" {tz}")).unwrap_or_default();
        let href = window_path(group.check.id.as_str(), attempt.tz.as_deref(), start);
        (href, format!("{}{zone}", civil(start).text()))
    });
    let millis = attempt.took.as_millis();
    AttemptView {
        mark: Mark::of(word),
        at: civil(attempt.ran.1).to_string(),
        took: if millis < 10_000 {
            format!("{millis} ms")
        } else {
            lasts(chrono::TimeDelta::from_std(attempt.took).unwrap_or_default())
        },
        window,
        evidence: attempt.evidence.map(|evidence| evidence.to_string()).unwrap_or_default(),
        note: words,
        generation: attempt.generation,
    }
}
