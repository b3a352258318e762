//! `reconcile`: two queries whose results have to be the same.

use std::time::Duration;

use crate::domain::check::name::{ColumnName, SourceName};
use crate::domain::check::number::Number;
use crate::domain::reconcile::{Detail, Reconcile, Side, Terms, Tolerance};
use crate::domain::sql::{Engine, Query};
use crate::domain::time::duration;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::expectation::{Context, columns};
use crate::manifest::needs::Needs;
use crate::manifest::needs::sided_sql;
use crate::manifest::part::{required, source};
use crate::manifest::yaml::{Kind, Node};

pub(super) const RECONCILE_KEYS: [&str; 6] =
    ["left", "right", "key", "compare", "confirm_after", "detail"];
pub(super) const SIDE_KEYS: [&str; 2] = ["source", "sql"];
pub(super) const DETAIL_KEYS: [&str; 5] = ["left", "right", "key", "compare", "when"];
pub(super) const ROWS_KEYS: [&str; 1] = ["sql"];
pub(super) const TOLERANCE_KEYS: [&str; 2] = ["tolerance", "tolerance_ratio"];
/// When the rows behind are read: where the results differ, or each time.
pub(super) const WHEN: [(&str, bool); 2] = [("unequal", false), ("always", true)];
/// The longest that a difference may be on its way.
const CONFIRM_AFTER_MAX: Duration = Duration::from_secs(600);

/// Reads `reconcile`.
pub(super) fn reconcile(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Reconcile> {
    let map = doc.map(node, place, &RECONCILE_KEYS)?;
    let left = side(doc, &map, place, "left", context);
    let right = side(doc, &map, place, "right", context);
    let terms = terms(doc, &map, place);
    let confirm_after = match map.get("confirm_after") {
        Some(node) => doc.parsed(node, Place::Key(&place, "confirm_after"), confirm_after),
        None => Some(Reconcile::CONFIRM_AFTER),
    };
    let engines = [&left, &right].map(|side| side.as_ref().map(|(_, engine)| *engine));
    let detail = match map.get("detail") {
        Some(node) => detail(doc, node, Place::Key(&place, "detail"), engines, context).map(Some),
        None => Some(None),
    };
    let ((left, _), (right, _)) = (left?, right?);
    Some(Reconcile { left, right, terms: terms?, confirm_after: confirm_after?, detail: detail? })
}

fn side(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    key: &'static str,
    context: &Context<'_>,
) -> Option<(Side, Engine)> {
    let node = required(doc, map, place, key)?;
    let place = Place::Key(&place, key);
    let map = doc.map(node, place, &SIDE_KEYS)?;
    let target: Option<(SourceName, Engine)> = match map.get("source") {
        Some(node) => source(doc, node, Place::Key(&place, "source"), context.world),
        None => context.target.cloned(),
    };
    let engine = target.as_ref().map(|(_, engine)| *engine);
    let query = rows(doc, &map, place, engine, context);
    let (source, engine) = target?;
    Some((Side { source, query: query? }, engine))
}

fn rows(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    engine: Option<Engine>,
    context: &Context<'_>,
) -> Option<Query> {
    let node = required(doc, map, place, "sql")?;
    let engine = engine.filter(|_| context.needs.is_some());
    let needs = context.needs.unwrap_or(Needs(None));
    sided_sql(doc, node, Place::Key(&place, "sql"), engine, needs)
}

fn terms(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> Option<Terms> {
    let key = required(doc, map, place, "key")
        .and_then(|node| columns(doc, node, Place::Key(&place, "key")));
    let compare = match map.get("compare") {
        Some(node) => compare(doc, node, Place::Key(&place, "compare")),
        None => Some(Vec::new()),
    };
    let (key, compare) = (key?, compare?);
    if let Some((column, _)) = compare.iter().find(|(column, _)| key.contains(column)) {
        let message = format!("`{column}` is in the key: rows are joined by it");
        doc.fault(map.node, place, message, Some("remove it from `compare`".into()));
        return None;
    }
    Some(Terms { key, compare })
}

fn compare(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
) -> Option<Vec<(ColumnName, Tolerance)>> {
    let map = doc.open_map(node, place)?;
    let mut compare = Vec::new();
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
        match (column, tolerance(doc, value, here)) {
            (Some(column), Some(tolerance)) => compare.push((column, tolerance)),
            (None, _) | (_, None) => sound = false,
        }
    }
    sound.then_some(compare)
}

fn tolerance(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Tolerance> {
    if let Kind::Text(text) | Kind::Typed(text) = &node.kind {
        let number = if Number::parse(text).is_some() { text } else { "0" };
        let hint = format!("write `{{tolerance: {number}}}`");
        doc.fault(node, place, "how far two values may be apart is a map", Some(hint));
        return None;
    }
    let map = doc.map(node, place, &TOLERANCE_KEYS)?;
    let mut read =
        |key: &'static str, rule: fn(&str) -> Result<Number, &'static str>| match map.get(key) {
            Some(node) => doc.parsed(node, Place::Key(&place, key), rule).map(Some),
            None => Some(None),
        };
    let absolute = read("tolerance", |text| {
        let number = Number::parse(text).filter(|number| !number.is_negative());
        number.ok_or("a tolerance is a number that is not negative, like 0 or 0.01")
    });
    let ratio = read("tolerance_ratio", |text| {
        let one = Number::from(1_u64);
        let number = Number::parse(text).filter(|n| !n.is_negative() && !n.is_zero() && *n < one);
        number.ok_or("a ratio is a number between 0 and 1, like 0.001")
    });
    Some(Tolerance { absolute: absolute?, ratio: ratio? })
}

fn confirm_after(text: &str) -> Result<Duration, String> {
    let after = duration::parse(text)?;
    if after > CONFIRM_AFTER_MAX {
        let most = duration::show(CONFIRM_AFTER_MAX);
        return Err(format!("what is on its way arrives within {most}; let the window `settle`"));
    }
    Ok(after)
}

fn detail(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engines: [Option<Engine>; 2],
    context: &Context<'_>,
) -> Option<Detail> {
    let map = doc.map(node, place, &DETAIL_KEYS)?;
    let mut side = |key: &'static str, engine| {
        let node = required(doc, &map, place, key)?;
        let place = Place::Key(&place, key);
        let side = doc.map(node, place, &ROWS_KEYS)?;
        rows(doc, &side, place, engine, context)
    };
    let (left, right) = (side("left", engines[0]), side("right", engines[1]));
    let terms = terms(doc, &map, place);
    let always = match map.get("when") {
        Some(node) => doc.word(node, Place::Key(&place, "when"), &WHEN),
        None => Some(false),
    };
    Some(Detail { left: left?, right: right?, terms: terms?, always: always? })
}
