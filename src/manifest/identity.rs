//! Who is who: each id once, no id both there and gone, and one heir for an earlier one.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::domain::check::Check;
use crate::domain::check::catalogue::{Removed, Weakened};
use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;
use crate::domain::check::nearest::suggestion;
use crate::domain::check::value::date;
use crate::manifest::document::{Document, Place};
use crate::manifest::part::required;
use crate::manifest::yaml::Node;

/// The keys of an entry under `removed`.
pub(super) const REMOVED_KEYS: [&str; 2] = ["id", "because"];

/// A check that its owner took out, with the place of its id.
#[derive(Debug)]
pub(super) struct TakenOut {
    pub(super) removed: Removed,
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
}

/// Reads the checks that were taken out.
pub(super) fn removed(doc: &mut Document<'_>, node: &Node) -> Vec<TakenOut> {
    let place = Place::Key(&Place::Root, "removed");
    let Some(items) = doc.list(node, place) else { return Vec::new() };
    let mut removed = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place = Place::Item(&place, i);
        let Some(map) = doc.map(item, place, &REMOVED_KEYS) else { continue };
        let id_node = required(doc, &map, place, "id");
        let id = id_node.and_then(|n| doc.parsed(n, Place::Key(&place, "id"), CheckId::parse));
        let because = required(doc, &map, place, "because")
            .and_then(|n| doc.text(n, Place::Key(&place, "because")).map(|t| t.trim().to_owned()));
        if let (Some(node), Some(id), Some(because)) = (id_node, id, because) {
            removed.push(TakenOut {
                removed: Removed { id, because },
                file: doc.file().to_owned(),
                line: node.line,
                column: node.column,
            });
        }
    }
    removed
}

/// The keys of an entry under `weakened`.
pub(super) const WEAKENED_KEYS: [&str; 3] = ["id", "because", "until"];

/// Reads the checks that were made weaker.
pub(super) fn weakened(doc: &mut Document<'_>, node: &Node) -> Vec<Spoken> {
    let place = Place::Key(&Place::Root, "weakened");
    let Some(items) = doc.list(node, place) else { return Vec::new() };
    let mut weakened = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let place = Place::Item(&place, i);
        let Some(map) = doc.map(item, place, &WEAKENED_KEYS) else { continue };
        let id_node = required(doc, &map, place, "id");
        let id = id_node.and_then(|n| doc.parsed(n, Place::Key(&place, "id"), CheckId::parse));
        let because = required(doc, &map, place, "because")
            .and_then(|n| doc.text(n, Place::Key(&place, "because")).map(|t| t.trim().to_owned()));
        let until = required(doc, &map, place, "until")
            .and_then(|n| doc.parsed(n, Place::Key(&place, "until"), until));
        if let (Some(node), Some(id), Some(because), Some(until)) = (id_node, id, because, until) {
            let file = doc.file().to_owned();
            let weakened_check = Weakened { id, because, until };
            weakened.push(Spoken { weakened: weakened_check, file, at: (node.line, node.column) });
        }
    }
    weakened
}

fn until(text: &str) -> Result<NaiveDate, &'static str> {
    date(text).ok_or("`until` is the last date on which this is a word, like 2027-01-31")
}

/// A word for a weaker check, with the place of its id.
#[derive(Debug)]
pub(super) struct Spoken {
    weakened: Weakened,
    file: String,
    at: (u64, u64),
}

/// Keeps the words for checks that there are, each once, and records the others.
pub(super) fn spoken(all: Vec<Spoken>, checks: &[Check], faults: &mut Vec<Fault>) -> Vec<Weakened> {
    let known: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    let mut kept: Vec<Weakened> = Vec::new();
    for Spoken { weakened, file, at } in all {
        let id = weakened.id.as_str();
        if !known.contains(&id) && !faults.is_empty() {
            // Its check may be one that is at fault.
        } else if !known.contains(&id) {
            let message = format!("`{id}` is weakened here, and no check has that id");
            let hint = suggestion(id, &known).unwrap_or_default();
            faults.push(fault(&file, at, message, &hint));
        } else if kept.iter().any(|before| before.id == weakened.id) {
            let message = format!("`{id}` is weakened already");
            faults.push(fault(&file, at, message, "keep one of the two"));
        } else {
            kept.push(weakened);
        }
    }
    kept
}

/// Reads the earlier id of a check.
pub(super) fn was(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    id: Option<&CheckId>,
) -> Option<CheckId> {
    let was = doc.parsed(node, place, CheckId::parse)?;
    if Some(&was) == id {
        let hint = "remove it, or write the id that it had before".to_owned();
        doc.fault(node, place, "this is its id still", Some(hint));
        return None;
    }
    Some(was)
}

/// A check with the place of its id, so that a second one of that id can point at the first.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) check: Check,
    pub(super) column: u64,
    /// Where its earlier id stands.
    pub(super) was_at: (u64, u64),
}

/// Keeps the checks whose identity is sound, and those that are gone, and records the others.
pub(super) fn settle(
    declared: Vec<Declared>,
    taken_out: Vec<TakenOut>,
    faults: &mut Vec<Fault>,
) -> (Vec<Check>, Vec<Removed>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut heirs: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::new();
    for Declared { check, column, was_at } in declared {
        let id = check.id.as_str().to_owned();
        if let Some(before) = first.get(&id) {
            let message = format!("`{id}` is taken: {before} declares it");
            let hint = "an id is the identity of a check's history: choose another";
            faults.push(fault(&check.file, (check.line, column), message, hint));
            continue;
        }
        first.insert(id, format!("{}:{}", check.file, check.line));
        kept.push((check, was_at));
    }
    for (check, was_at) in &kept {
        let Some(was) = &check.was else { continue };
        let hint = "an earlier id has one heir, and is used no more";
        if let Some(place) = first.get(was.as_str()) {
            let message = format!("`{was}` is declared still: {place}");
            faults.push(fault(&check.file, *was_at, message, hint));
        } else if let Some(other) = heirs.insert(was.as_str().to_owned(), check.id.to_string()) {
            let message = format!("`{was}` was `{other}` already");
            faults.push(fault(&check.file, *was_at, message, hint));
        }
    }
    let mut gone: BTreeMap<String, String> = BTreeMap::new();
    let mut removed = Vec::new();
    for TakenOut { removed: out, file, line, column } in taken_out {
        let id = out.id.as_str();
        let place = format!("{file}:{line}");
        let trouble = if let Some(place) = first.get(id) {
            Some(format!("`{id}` is removed here and declared there: {place}"))
        } else if let Some(heir) = heirs.get(id) {
            Some(format!("`{id}` is removed here, and `{heir}` goes on with its history"))
        } else {
            gone.insert(id.to_owned(), place)
                .map(|before| format!("`{id}` is removed already: {before}"))
        };
        match trouble {
            Some(message) => {
                faults.push(fault(&file, (line, column), message, "remove one of the two"));
            }
            None => removed.push(out),
        }
    }
    (kept.into_iter().map(|(check, _)| check).collect(), removed)
}

fn fault(file: &str, (line, column): (u64, u64), message: String, hint: &str) -> Fault {
    let mut fault = Fault::of_file(file, message, hint);
    (fault.line, fault.column) = (line, column);
    fault
}
