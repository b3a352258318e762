//! Who is who: each id once, no id both there and gone, and one heir for an earlier one.

use std::collections::BTreeMap;

use crate::domain::catalogue::Removed;
use crate::domain::check::Check;
use crate::domain::fault::Fault;
use crate::manifest::file::{Declared, TakenOut};

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
            gone.insert(id.to_owned(), place).map(|before| format!("`{id}` is removed already: {before}"))
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
