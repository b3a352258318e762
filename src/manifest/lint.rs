//! What is told about a check that is read: what cannot be a proof, and what had better be written otherwise.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::Check;
use crate::domain::check::code::Code;
use crate::domain::check::limit::Limit;
use crate::domain::check::lint::{Finding, Part, findings};
use crate::domain::check::nearest::suggestion;
use crate::domain::record::series::Series;
use crate::domain::sql::parameter::Parameter;
use crate::domain::time::agenda::Entry;
use crate::domain::time::period::Period;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::Frame;
use crate::manifest::World;
use crate::manifest::document::{Document, Place};
use crate::manifest::yaml::Node;

/// For how long a proof may count before that is told.
const LONG: TimeDelta = TimeDelta::days(8);
/// How many dues are looked at, from a day on that is always the same.
const DUES: usize = 4;
const SOME_DAY: DateTime<Utc> =
    DateTime::from_timestamp(1_767_225_600, 0).expect("2026-01-01 is a day");

/// Tells what a check gives away.
pub(super) fn check(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    check: &Check,
    world: &World<'_>,
) {
    for finding in findings(check) {
        tell(doc, node, place, finding);
    }
    let relative = check.expect().map(|expect| expect.values().values().any(Limit::needs_window));
    if check.window.is_none() && relative == Some(true) {
        let node = node.entry("expect").unwrap_or(node);
        let hint = "write `now`, or give the check a `window`".to_owned();
        doc.fault(
            node,
            place,
            "`window_end` is the end of a window, and the check has none",
            Some(hint),
        );
    }
    let asks_past =
        || check.queries().iter().any(|query| query.parameters().any(Parameter::is_past));
    let written = node.entry("window").and_then(|window| window.entry("past"));
    if let Some(node) = written.filter(|_| !asks_past()) {
        let message = "no query of the check names `:past_start`, `:past_end` or `:past_date`";
        let hint = match check.table() {
            Some(_) => "write `rows: {past: 7, min_ratio: 0.5}`, or take `past` out",
            None => "name them, or take `past` out",
        };
        let place = Place::Key(&place, "window");
        doc.fault(node, Place::Key(&place, "past"), message, Some(hint.to_owned()));
    }
    if let Some(node) = counts_for_long(check, world).then(|| node.entry("schedule")).flatten() {
        let message =
            "between two looks lies more than a week, and until the next one the last proof counts"
                .to_owned();
        let hint = "look more often".to_owned();
        let place = Place::Key(&place, "schedule");
        doc.remark(node, None, place, Code::LongHealth, message, hint);
    }
}

/// Tells one thing at the node that it is about.
fn tell(doc: &mut Document<'_>, check: &Node, place: Place<'_>, finding: Finding) {
    let part = finding.part.clone();
    let column;
    let path: &[&str] = match &part {
        Part::Body => &["sql"],
        Part::Evidence => &["evidence", "sql"],
        Part::KeysFrom => &["expect", "keys", "from", "sql"],
        Part::Left => &["reconcile", "left", "sql"],
        Part::Right => &["reconcile", "right", "sql"],
        Part::DetailLeft => &["reconcile", "detail", "left", "sql"],
        Part::DetailRight => &["reconcile", "detail", "right", "sql"],
        Part::Expect => &["expect"],
        Part::Limit(name) => {
            column = ["expect", "values", name.as_str()];
            &column
        }
        Part::Compare(name) => {
            column = ["reconcile", "compare", name.as_str()];
            &column
        }
    };
    at(doc, check, place, path, finding);
}

/// Walks down to a node, and tells it there; where a part of the way is missing, as near as there is.
fn at(doc: &mut Document<'_>, node: &Node, place: Place<'_>, path: &[&str], finding: Finding) {
    match path {
        [first, rest @ ..] if node.entry(first).is_some() => {
            let Some(next) = node.entry(first) else { return };
            at(doc, next, Place::Key(&place, first), rest, finding);
        }
        rest => {
            let inside = finding.inside.filter(|_| rest.is_empty());
            doc.remark(node, inside, place, finding.code, finding.message, finding.hint);
        }
    }
}

/// Takes away what the author of the check accepts, each with a reason.
pub(super) fn accept(doc: &mut Document<'_>, node: &Node, place: Place<'_>, since: usize) {
    let Some(accepted) = node.entry("accept") else { return };
    let place = Place::Key(&place, "accept");
    let Some(map) = doc.open_map(accepted, place) else { return };
    let mut codes = Vec::new();
    for (key, value) in map.entries() {
        let here = Place::Key(&place, key);
        let known = Code::ALL.iter().copied().filter(|code| !code.is_fault());
        let words: Vec<&str> = known.clone().map(Code::as_str).collect();
        match known.clone().find(|code| code.as_str() == *key) {
            Some(code) => codes.extend(doc.text(value, here).map(|_| code)),
            None if Code::ALL.iter().any(|code| code.as_str() == *key) => {
                let hint = "mend the check: with this it cannot be a proof".to_owned();
                doc.fault(value, here, format!("`{key}` cannot be accepted"), Some(hint));
            }
            None => {
                let hint = suggestion(key, &words);
                doc.fault(value, here, format!("`{key}` is the code of no warning"), hint);
            }
        }
    }
    doc.accept(since, &codes);
}

/// Says whether a proof counts for long: calendar windows of a week and more are as long as they are.
fn counts_for_long(check: &Check, world: &World<'_>) -> bool {
    let of_weeks = check.window.as_ref().is_some_and(|window| match window.frame {
        Frame::Calendar(Period::Day(_)) | Frame::Grid(_) => false,
        Frame::Calendar(_) => true,
    });
    if of_weeks || !matches!(check.schedule, Schedule::Cron(_)) {
        return matches!(&check.schedule, Schedule::Every(every) if every.period() > LONG && !of_weeks);
    }
    let rules = |name: &_| world.zones.rules(name);
    let series = Series::of(&Arc::new(check.clone()), &rules).unwrap_or_default();
    series.iter().any(|series| {
        let due = |entry| match entry {
            Entry::Due(due) => Some(due.at),
            Entry::Event(_) => None,
        };
        let dues: Vec<_> = series.agenda_after(SOME_DAY).filter_map(due).take(DUES).collect();
        dues.windows(2).any(|pair| pair[1] - pair[0] > LONG)
    })
}
