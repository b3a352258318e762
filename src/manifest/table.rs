//! `table`: rules for the columns and rows of a table, without SQL of the author's.

pub(super) mod column;
pub(super) mod rows;
pub(super) mod spread;

use crate::domain::check::code::Code;
use crate::domain::check::evidence::Measure;
use crate::domain::check::limit::Limit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::{Body, Samples};
use crate::domain::sql::lint::{Role, remarks};
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::table::{CutBy, Reference, Rules, Table, TableName};
use crate::domain::time::period::Period;
use crate::domain::time::window::{Frame, Split, WindowRule};
use crate::manifest::body::Asked;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::expectation::{self, Context, columns};
use crate::manifest::table::column::{Columns, read_columns};
use crate::manifest::table::rows::{can_be_confirmed, newest, rows};
use crate::manifest::yaml::{Kind, Node};

/// The keys of a check that are for `table` alone.
pub(super) const TABLE_KEYS: [&str; 11] = [
    "table",
    "tables",
    "where",
    "at",
    "on",
    "zone_column",
    "columns",
    "unique",
    "never",
    "rows",
    "newest",
];

/// Reads what a check asks of a table.
pub(super) fn table(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Asked> {
    if let Some(node) = map.get("expect") {
        let hint = "remove it: limits stand under `columns`, and `rows` beside them".to_owned();
        doc.fault(
            node,
            Place::Key(&place, "expect"),
            "`expect` is for `sql`, not for `table`",
            Some(hint),
        );
        return None;
    }
    let tables = names(doc, map, place);
    let samples = match map.get("samples") {
        Some(node) => expectation::samples(doc, node, Place::Key(&place, "samples")),
        None => Some(Samples::default()),
    };
    let evidence = expectation::evidence_of_rows(doc, map, place, context);
    let engine = context.target.map(|(_, engine)| *engine);
    let window = context.needs.map(|needs| needs.0);
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let condition = present(at("where"), |(n, p)| condition(doc, n, p, engine));
    let cut_by = cut_by(doc, map, place, window);
    let zone_column = zone_column(doc, map, place, window);
    let columns = present(at("columns"), |(n, p)| read_columns(doc, n, p));
    let unique = present(at("unique"), |(n, p)| unique(doc, n, p));
    let never = present(at("never"), |(n, p)| never(doc, n, p, engine));
    let rows = present(at("rows"), |(n, p)| rows(doc, n, p, window));
    let newest = present(at("newest"), |(n, p)| newest(doc, n, p, window));
    let evidence = evidence?;
    if evidence.measure != Measure::Rows {
        let node = map.get("evidence").unwrap_or(map.node);
        let hint = "keep `min`, `because` and `history`".to_owned();
        let message = "the evidence of a `table` is the number of rows that were looked at";
        doc.fault(node, Place::Key(&place, "evidence"), message, Some(hint));
        return None;
    }
    let Columns { rules: columns, unique: single } = columns?.unwrap_or_default();
    let mut unique: Vec<Vec<ColumnName>> =
        single.into_iter().map(|column| vec![column]).chain(unique?.unwrap_or_default()).collect();
    unique.dedup();
    let (rows, volume) = rows?.unwrap_or_default();
    can_be_confirmed(doc, map, place, rows.as_ref(), &evidence)?;
    let rules = Rules {
        table: tables.as_ref()?.first()?.clone(),
        condition: condition?,
        cut_by: cut_by?,
        zone_column: zone_column?,
        columns,
        unique,
        never: never?.unwrap_or_default(),
        rows,
        volume,
        newest: newest?,
        values_max: context.max_rows.get(),
    };
    says_something(doc, map, place, &rules)?;
    names_another_table(doc, map, place, &rules)?;
    remark_on_conditions(doc, map, place, &rules, context);
    unique_in_window(doc, map, place, &rules);
    needs_a_window(doc, map, place, &rules)?;
    let table = match Table::new(rules, engine?) {
        Ok(table) => table,
        Err(fault) => {
            let node = map.get("table").or(map.get("tables")).unwrap_or(map.node);
            doc.fault(node, Place::Key(&place, "table"), fault.message, fault.hint);
            return None;
        }
    };
    let tables = map.get("tables").map(|_| tables.unwrap_or_default()).unwrap_or_default();
    let body = Body::Table(Box::new(table));
    Some(Asked { body, evidence, samples: samples?, bound_elsewhere: None, tables })
}

/// Says of each key that is for tables alone that it is.
pub(super) fn refuse_keys(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> bool {
    let mut sound = true;
    for key in TABLE_KEYS {
        if let Some(node) = map.get(key) {
            let hint = match key {
                "rows" => "under `sql`, it stands under `expect`",
                "columns" => "under `sql`, limits stand under `expect: {values: …}`",
                _ => "write `table:` instead of `sql` and `expect`, or remove it",
            };
            let message = format!("`{key}` is for `table`");
            doc.fault(node, Place::Key(&place, key), message, Some(hint.to_owned()));
            sound = false;
        }
    }
    sound
}

/// Reads a value that may be absent; the outer `None` is a fault.
pub(super) fn present<T, N>(
    node: Option<N>,
    read: impl FnOnce(N) -> Option<T>,
) -> Option<Option<T>> {
    node.map_or(Some(None), |node| read(node).map(Some))
}

fn names(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> Option<Vec<TableName>> {
    match (map.get("table"), map.get("tables")) {
        (Some(_), Some(node)) => {
            let hint = Some("keep one of them".to_owned());
            doc.fault(node, Place::Key(&place, "tables"), "`table` names one too", hint);
            None
        }
        (Some(node), None) => {
            Some(vec![doc.parsed(node, Place::Key(&place, "table"), TableName::parse)?])
        }
        (None, Some(node)) => {
            let here = Place::Key(&place, "tables");
            let mut all: Vec<TableName> = Vec::new();
            for (i, item) in doc.list(node, here)?.iter().enumerate() {
                let name = doc.parsed(item, Place::Item(&here, i), TableName::parse)?;
                if all.contains(&name) {
                    let message = format!("`{name}` is listed twice");
                    doc.fault(item, Place::Item(&here, i), message, None);
                    return None;
                }
                all.push(name);
            }
            Some(all)
        }
        (None, None) => None,
    }
}

/// Reads a condition; its engine is not known where its source is at fault.
fn condition(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
) -> Option<String> {
    let text = doc.text(node, place)?.trim().to_owned();
    match Table::condition(&text, engine?) {
        Ok(()) => Some(text),
        Err(fault) => {
            let (line, column) = doc.inside(node, fault.line, fault.column);
            doc.fault_at(line, column, place, fault.message, fault.hint);
            None
        }
    }
}

/// Reads by which column windows cut the rows.
fn cut_by(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    window: Option<Option<&WindowRule>>,
) -> Option<Option<CutBy>> {
    let read = |doc: &mut Document<'_>, key: &'static str| {
        let node = map.get(key)?;
        Some((node, doc.parsed(node, Place::Key(&place, key), ColumnName::parse)))
    };
    let (at, on) = (read(doc, "at"), read(doc, "on"));
    match (at, on, window) {
        (Some(_), Some((node, _)), _) => {
            let hint = Some("keep one of them".to_owned());
            doc.fault(node, Place::Key(&place, "on"), "`at` names a column too", hint);
            None
        }
        (Some((node, _)), None, Some(None)) | (None, Some((node, _)), Some(None)) => {
            let hint = "give the check a `window`, or remove it".to_owned();
            doc.fault(node, place, "there is no window that could cut the rows", Some(hint));
            None
        }
        (None, None, Some(Some(_))) => {
            let hint = "write `at: created_at` for the column of instants that windows cut, or `on: day` for one of \
                        dates"
                .to_owned();
            let message = "each window has to have rows of its own: by which column?";
            doc.fault(map.node, place, message, Some(hint));
            None
        }
        (Some((_, column)), None, _) => Some(Some(CutBy::Instant(column?))),
        (None, Some((node, column)), Some(Some(rule))) => match (rule.frame, rule.split) {
            (Frame::Calendar(Period::DAY), Split::Whole) => Some(Some(CutBy::Date(column?))),
            (Frame::Calendar(_), Split::Whole) => Some(Some(CutBy::Dates(column?))),
            _ => {
                let hint = "name a column of instants under `at`, or write `sql`".to_owned();
                let message = "a column of dates is cut by whole periods of the calendar: `day`, `week`, `month`, \
                                   `quarter` or `year`, without `split`";
                doc.fault(node, Place::Key(&place, "on"), message, Some(hint));
                None
            }
        },
        (None, Some(_) | None, _) => Some(None),
    }
}

/// Reads the column that says whose zone a row is in: each zone is proved by its own rows.
fn zone_column(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    window: Option<Option<&WindowRule>>,
) -> Option<Option<ColumnName>> {
    let here = Place::Key(&place, "zone_column");
    let fans_out = window.map(|window| window.is_some_and(|rule| rule.zones.fans_out()));
    match (map.get("zone_column"), fans_out) {
        (None, Some(true)) => {
            let hint = "write `zone_column: time_zone` for the column that holds the zone of a row"
                .to_owned();
            let message =
                "the check fans out over zones, and each zone has to be proved by its own rows";
            doc.fault(map.node, place, message, Some(hint));
            None
        }
        (Some(node), Some(false)) => {
            let hint = "remove it, or let the window have `zones`".to_owned();
            doc.fault(node, here, "the check does not fan out over zones", Some(hint));
            None
        }
        (Some(node), _) => doc.parsed(node, here, ColumnName::parse).map(Some),
        (None, _) => Some(None),
    }
}

fn unique(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Vec<Vec<ColumnName>>> {
    let mut all: Vec<Vec<ColumnName>> = Vec::new();
    for (i, item) in doc.list(node, place)?.iter().enumerate() {
        let here = Place::Item(&place, i);
        if !matches!(item.kind, Kind::List(_)) {
            let hint = "write `unique: [[tenant, number]]`".to_owned();
            let message =
                "columns that are unique together are a list, and there may be several lists";
            doc.fault(item, here, message, Some(hint));
            return None;
        }
        let together = columns(doc, item, here)?;
        if all.contains(&together) {
            doc.fault(item, here, "this is listed twice", None);
            return None;
        }
        all.push(together);
    }
    Some(all)
}

fn never(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
) -> Option<Vec<String>> {
    if !matches!(node.kind, Kind::List(_)) {
        return Some(vec![condition(doc, node, place, engine)?]);
    }
    let items = doc.list(node, place)?.iter().enumerate();
    items.map(|(i, item)| condition(doc, item, Place::Item(&place, i), engine)).collect()
}

/// A check over a table has at least one rule.
fn says_something(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    rules: &Rules,
) -> Option<()> {
    let rows = rules.rows.is_some() || rules.volume.is_some() || rules.newest.is_some();
    if rows || !rules.columns.is_empty() || !rules.unique.is_empty() || !rules.never.is_empty() {
        return Some(());
    }
    let hint = "write `columns`, `unique`, `never`, `rows` or `newest`".to_owned();
    doc.fault(map.node, place, "this says nothing about the table", Some(hint));
    None
}

/// What is there once in each window may be there twice in two.
fn unique_in_window(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>, rules: &Rules) {
    if rules.unique.is_empty() || rules.cut_by.is_none() {
        return;
    }
    let key = if map.get("unique").is_some() { "unique" } else { "columns" };
    let node = map.get(key).unwrap_or(map.node);
    let message = "in a check with a window, `unique` finds what is twice in one window, and not what is in two windows"
        .to_owned();
    let hint = "for the whole table, write a check without `window`".to_owned();
    doc.remark(node, None, Place::Key(&place, key), Code::UniqueInWindow, message, hint);
}

/// Limits that are relative to the end of a window need one.
fn needs_a_window(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    rules: &Rules,
) -> Option<()> {
    let limits = rules.columns.iter().flat_map(|column| column.range.iter().chain(&column.values));
    if rules.cut_by.is_some() || !limits.into_iter().any(Limit::needs_window) {
        return Some(());
    }
    let node = map.get("columns").unwrap_or(map.node);
    let hint = "write `now`, or give the check a `window`".to_owned();
    let message = "`window_end` is the end of a window, and the check has none";
    doc.fault(node, Place::Key(&place, "columns"), message, Some(hint));
    None
}

/// A column always has each of its own values.
fn names_another_table(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    rules: &Rules,
) -> Option<()> {
    let itself = rules.columns.iter().find(|column| {
        let is_own =
            |within: &&Reference| within.table == rules.table && within.column == column.column;
        column.within.as_ref().filter(is_own).is_some()
    });
    let Some(column) = itself else { return Some(()) };
    let node = map.get("columns").unwrap_or(map.node);
    let here = Place::Key(&place, "columns");
    let message =
        format!("`{}` always has each of its own values: this cannot fail", column.column);
    doc.fault(
        node,
        Place::Key(&Place::Key(&here, column.column.as_str()), "in"),
        message,
        Some("name the column of another table".into()),
    );
    None
}

/// Tells what the words of conditions give away, as of a query.
fn remark_on_conditions(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    rules: &Rules,
    context: &Context<'_>,
) {
    const HEAD: &str = "select 1 from t where ";
    let Some(engine) = context.engine() else { return };
    let role = Role { is_evidence: false, in_window: rules.cut_by.is_some(), in_utc: false };
    let of_where = rules.condition.iter().map(|condition| ("where", condition));
    for (key, condition) in of_where.chain(rules.never.iter().map(|condition| ("never", condition)))
    {
        let Ok(query) = Query::parse(&format!("{HEAD}{condition}"), engine, Binding::Nothing)
        else {
            continue;
        };
        let Some(node) = map.get(key) else { continue };
        // Of several, the one that is meant.
        let node = match &node.kind {
            Kind::List(items) => {
                let is_it = |item: &&Node| matches!(&item.kind, Kind::Text(text) | Kind::Typed(text) if text.trim() == condition);
                items.iter().find(is_it).unwrap_or(node)
            }
            Kind::Null | Kind::Typed(_) | Kind::Text(_) | Kind::Map(_) => node,
        };
        let head = u64::try_from(HEAD.len()).unwrap_or(0);
        for remark in remarks(&query, role) {
            let column = if remark.line == 1 {
                remark.column.saturating_sub(head).max(1)
            } else {
                remark.column
            };
            let inside = Some((remark.line, column));
            doc.remark(
                node,
                inside,
                Place::Key(&place, key),
                remark.code,
                remark.message,
                remark.hint,
            );
        }
    }
}
