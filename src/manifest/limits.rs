//! Limits as they are written: of the number of rows, and of the values of a column.

use std::collections::BTreeMap;

use crate::domain::check::MaxRows;
use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::limit::{Limit, LimitFault, LimitParts};
use crate::domain::check::name::ColumnName;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::yaml::{Kind, Node};

pub(super) const ROW_LIMIT_KEYS: [&str; 5] = ["equals", "not_equals", "min", "max", "one_of"];

pub(super) const LIMIT_KEYS: [&str; 8] =
    ["equals", "not_equals", "min", "max", "one_of", "tolerance", "tolerance_ratio", "nulls"];

pub(super) fn row_limit(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    max_rows: MaxRows,
) -> Option<RowLimit> {
    let map = limit_map(doc, node, place, &ROW_LIMIT_KEYS)?;
    let parts = limit_parts(doc, &map, place)?;
    let limit = RowLimit::new(&parts, max_rows.get());
    limit.map_err(|fault| limit_fault(doc, &map, place, fault)).ok()
}

pub(super) fn values(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
) -> Option<BTreeMap<ColumnName, Limit>> {
    let map = doc.open_map(node, place)?;
    let mut values = BTreeMap::new();
    let mut sound = !map.entries().is_empty();
    for (key, value) in map.entries() {
        let here = Place::Key(&place, key);
        let column = match ColumnName::parse(key) {
            Ok(column) => Some(column),
            Err(rule) => {
                doc.fault(value, here, rule, None);
                None
            }
        };
        match (column, limit(doc, value, here)) {
            (Some(column), Some(limit)) => {
                values.insert(column, limit);
            }
            (None, _) | (_, None) => sound = false,
        }
    }
    sound.then_some(values)
}

pub(super) fn limit(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Limit> {
    let map = limit_map(doc, node, place, &LIMIT_KEYS)?;
    let parts = limit_parts(doc, &map, place)?;
    Limit::new(&parts).map_err(|fault| limit_fault(doc, &map, place, fault)).ok()
}

/// Opens a limit; who writes a bare value most likely means that it must be equal.
pub(super) fn limit_map<'n>(
    doc: &mut Document<'_>,
    node: &'n Node,
    place: Place<'_>,
    keys: &[&str],
) -> Option<Map<'n>> {
    if let Kind::Text(text) | Kind::Typed(text) = &node.kind {
        let hint = match text.as_str() {
            "unique" if keys.contains(&"unique") => "write `{unique: true}`".to_owned(),
            "not_null" | "required" if keys.contains(&"pattern") => {
                "write `{nulls: none}`".to_owned()
            }
            _ => format!("write `{{equals: {text}}}`"),
        };
        doc.fault(node, place, "a limit says how to compare", Some(hint));
        return None;
    }
    doc.map(node, place, keys)
}

/// Reads the parts of a limit; `None` where one of them is faulty.
pub(super) fn limit_parts<'n>(
    doc: &mut Document<'_>,
    map: &Map<'n>,
    place: Place<'_>,
) -> Option<LimitParts<'n>> {
    if map.entries().is_empty() {
        return None;
    }
    let mut parts = LimitParts::default();
    let mut sound = true;
    for (key, node) in map.entries() {
        let here = Place::Key(&place, key);
        let slot = match *key {
            "equals" => &mut parts.equals,
            "not_equals" => &mut parts.not_equals,
            "min" => &mut parts.min,
            "max" => &mut parts.max,
            "tolerance" => &mut parts.tolerance,
            "tolerance_ratio" => &mut parts.tolerance_ratio,
            "one_of" => {
                let texts = doc.list(node, here).map(|items| {
                    let item = |(i, n)| literal(doc, n, Place::Item(&here, i));
                    items.iter().enumerate().map(item).collect::<Option<Vec<_>>>()
                });
                sound &= matches!(texts, Some(Some(_)));
                parts.one_of = texts.flatten();
                continue;
            }
            _ => {
                let allowed = doc.word(node, here, &[("allowed", true)]);
                sound &= allowed.is_some();
                parts.nulls_allowed = allowed.is_some();
                continue;
            }
        };
        *slot = literal(doc, node, here);
        sound &= slot.is_some();
    }
    sound.then_some(parts)
}

/// Reads a value of a limit. Some readers of YAML take `017` for 15, others for 17.
pub(super) fn literal<'n>(
    doc: &mut Document<'_>,
    node: &'n Node,
    place: Place<'_>,
) -> Option<&'n str> {
    // In quotes an empty text, or one of blanks, is a value.
    let quoted = match &node.kind {
        Kind::Text(text) | Kind::Typed(text) if doc.is_quoted(node) => Some(text.as_str()),
        Kind::Text(_) | Kind::Typed(_) | Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    };
    let text = match quoted {
        Some(text) => text,
        None => doc.text(node, place)?,
    };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if is_octal && !doc.is_quoted(node) {
        let message =
            format!("`{text}` is a number to some readers of YAML, and another to others");
        let plain = text.parse::<i64>().map_or_else(|_| text.to_owned(), |n| n.to_string());
        let hint = format!("write `\"{text}\"` for the text, or {plain} for the number");
        return doc.newer_fault(node, place, message, Some(hint)).then_some(text);
    }
    Some(text)
}

pub(super) fn limit_fault(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    fault: LimitFault,
) {
    let here = Place::Key(&place, fault.key);
    match map.get(fault.key) {
        Some(node) => doc.fault(node, here, fault.message, fault.hint),
        None => doc.fault(map.node, place, fault.message, fault.hint),
    }
}
