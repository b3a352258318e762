//! Attempts in a list: when, for how long, and what each said.

use crate::domain::check::plain::in_one_line;
use crate::ledger::{AttemptRow, Role};
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
    // Beside the windows of a check, what was found stands there; the rows stand on the page of each.
    let note = match attempt.note.as_deref() {
        Some(note) if with_window => note.lines().next().unwrap_or_default().to_owned(),
        Some(note) => in_one_line(note),
        None => String::new(),
    };
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
        let is_list = series.is_some_and(|series| series.record.role == Role::List);
        let zone = match (attempt.tz.as_deref(), is_list) {
            (Some(tz), _) => format!(" {tz}"),
            (None, true) => " the list of its zones".to_owned(),
            (None, false) => String::new(),
        };
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
