//! Rules for the columns of a table.

use crate::domain::check::limit::{Limit, LimitParts};
use crate::domain::check::name::ColumnName;
use crate::domain::check::share::Share;
use crate::domain::table::pattern::Pattern;
use crate::domain::table::{ColumnRules, Nulls, Reference};
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::limits::{limit_fault, limit_map, limit_parts, literal};
use crate::manifest::yaml::{Kind, Node};

/// The keys of a column.
pub(in crate::manifest) const COLUMN_KEYS: [&str; 13] = [
    "nulls",
    "unique",
    "in",
    "one_of",
    "not_one_of",
    "equals",
    "not_equals",
    "min",
    "max",
    "tolerance",
    "tolerance_ratio",
    "length",
    "pattern",
];
/// The keys of a column that are a limit, as under `values`.
pub(in crate::manifest) const VALUE_KEYS: [&str; 7] =
    ["equals", "not_equals", "min", "max", "one_of", "tolerance", "tolerance_ratio"];
/// The words for `nulls`.
pub(in crate::manifest) const NULLS: [(&str, Nulls); 3] =
    [("none", Nulls::Never), ("allowed", Nulls::Allowed), ("only", Nulls::Always)];
/// The keys of `nulls`.
pub(in crate::manifest) const NULLS_KEYS: [&str; 1] = ["max_ratio"];
/// The keys of `length`.
pub(in crate::manifest) const LENGTH_KEYS: [&str; 3] = ["equals", "min", "max"];

/// The rules of all columns, and the columns that are unique by themselves.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) rules: Vec<ColumnRules>,
    pub(super) unique: Vec<ColumnName>,
}

/// Reads `columns`.
pub(super) fn read_columns(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
) -> Option<Columns> {
    let map = doc.open_map(node, place)?;
    let mut all = Columns::default();
    let mut sound = true;
    for (key, value) in map.entries() {
        let here = Place::Key(&place, key);
        let column = match ColumnName::parse(key) {
            Ok(column) => column,
            Err(rule) => {
                doc.fault(value, here, rule, None);
                sound = false;
                continue;
            }
        };
        match column_rules(doc, value, here, column.clone()) {
            Some((rules, unique)) => {
                all.rules.push(rules);
                all.unique.extend(unique.then_some(column));
            }
            None => sound = false,
        }
    }
    sound.then_some(all)
}

/// Reads the rules of a column, and whether it is unique by itself. One without rules has to be there.
fn column_rules(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    column: ColumnName,
) -> Option<(ColumnRules, bool)> {
    let mut rules = ColumnRules {
        column,
        nulls: Nulls::Allowed,
        range: None,
        values: Vec::new(),
        length: None,
        pattern: None,
        within: None,
    };
    let is_empty = match &node.kind {
        Kind::Null => true,
        Kind::Map(pairs) => pairs.is_empty(),
        Kind::Typed(_) | Kind::Text(_) | Kind::List(_) => false,
    };
    if is_empty {
        return Some((rules, false));
    }
    let map = limit_map(doc, node, place, &COLUMN_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let nulls = at("nulls").map(|(n, p)| nulls(doc, n, p));
    let unique = at("unique").map(|(n, p)| doc.word(n, p, &[("true", true)]));
    let limits = limits(doc, &map, place);
    let length = at("length").map(|(n, p)| length(doc, n, p));
    let pattern = at("pattern").map(|(n, p)| doc.parsed(n, p, Pattern::parse));
    let within = at("in").map(|(n, p)| reference(doc, n, p));
    let but = at("not_one_of").map(|(n, p)| not_one_of(doc, n, p));
    (rules.range, rules.values) = limits?;
    rules.values.extend(optional(but)?.unwrap_or_default());
    rules.length = optional(length)?;
    rules.pattern = optional(pattern)?;
    rules.within = optional(within)?;
    let (nulls, unique) = (optional(nulls)?, optional(unique)?.is_some());
    // NULL satisfies no limit, here as under `values`.
    let implied = if rules.judges_values() { Nulls::AsLimits } else { Nulls::Allowed };
    rules.nulls = nulls.unwrap_or(implied);
    if let (Some((node, place)), true) =
        (at("not_one_of"), map.get("one_of").or(map.get("equals")).is_some())
    {
        let hint = Some("keep one of them".to_owned());
        doc.fault(node, place, "`one_of` and `equals` leave nothing to other limits", hint);
        return None;
    }
    let idle = match nulls {
        Some(Nulls::Always) if rules.judges_values() || unique || rules.within.is_some() => {
            Some("a column of nothing but NULL leaves nothing to other rules")
        }
        Some(Nulls::Allowed) if !rules.judges_values() => Some(
            "`nulls: allowed` is for a column with limits: without them, NULL is allowed anyway",
        ),
        Some(_) | None => None,
    };
    if let (Some(message), Some((node, place))) = (idle, at("nulls")) {
        doc.fault(node, place, message, Some("remove it".into()));
        return None;
    }
    Some((rules, unique))
}

/// A value that may be absent; the outer `None` is a fault that was told.
fn optional<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn nulls(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Nulls> {
    if !matches!(node.kind, Kind::Map(_)) {
        return doc.word(node, place, &NULLS);
    }
    let map = doc.map(node, place, &NULLS_KEYS)?;
    let node = map.get("max_ratio")?;
    let here = Place::Key(&place, "max_ratio");
    let share = doc.parsed(node, here, Share::parse)?;
    if share.is_whole() {
        let hint = "write less than 1, or remove it".to_owned();
        doc.fault(node, here, "this cannot fail: all rows may be NULL", Some(hint));
        return None;
    }
    Some(Nulls::AtMost(share))
}

/// Reads what is a limit as under `values`: what its extremes decide, and what each value has to be looked at for.
fn limits(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
) -> Option<(Option<Limit>, Vec<Limit>)> {
    let written = map.only(&VALUE_KEYS);
    if written.entries().is_empty() {
        return Some((None, Vec::new()));
    }
    let parts = limit_parts(doc, &written, place)?;
    // As a whole, because its parts may contradict each other.
    if let Err(fault) = Limit::new(&parts) {
        limit_fault(doc, &written, place, fault);
        return None;
    }
    let LimitParts { min, max, .. } = parts;
    let ends = LimitParts { min, max, ..LimitParts::default() };
    let others = LimitParts { min: None, max: None, ..parts };
    let range = (min.is_some() || max.is_some()).then(|| Limit::new(&ends).ok()).flatten();
    Some((range, Limit::new(&others).ok().into_iter().collect()))
}

fn not_one_of(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Vec<Limit>> {
    let items = doc.list(node, place)?.iter().enumerate();
    let read = |(i, item): (usize, &Node)| {
        let here = Place::Item(&place, i);
        let text = literal(doc, item, here)?;
        let parts = LimitParts { not_equals: Some(text), ..LimitParts::default() };
        Limit::new(&parts).map_err(|fault| doc.fault(item, here, fault.message, fault.hint)).ok()
    };
    items.map(read).collect()
}

/// Reads how long texts may be, in characters.
fn length(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Limit> {
    let map = limit_map(doc, node, place, &LENGTH_KEYS)?;
    let parts = limit_parts(doc, &map, place)?;
    for (key, node) in map.entries() {
        let here = Place::Key(&place, key);
        let number = doc.whole_number(node, here)?;
        if *key == "min" && number == 0 {
            let hint = "write `min: 1`, or remove it".to_owned();
            doc.fault(node, here, "`min: 0` cannot fail: no text is shorter", Some(hint));
            return None;
        }
    }
    Limit::new(&parts).map_err(|fault| limit_fault(doc, &map, place, fault)).ok()
}

/// Reads the column in which values have to be; it is in the same source.
fn reference(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Reference> {
    if doc.text(node, place)?.contains([':', '/']) {
        let hint = "write a check with `sql`, and `keys` with a `source` of its own".to_owned();
        doc.fault(node, place, "`in` names a column of the same source", Some(hint));
        return None;
    }
    doc.parsed(node, place, Reference::parse)
}
