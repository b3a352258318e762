//! The rows of a test.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::record::series::Series;
use crate::domain::table::TableName;
use crate::domain::testing::{Cell, Given, Row, Test};
use crate::domain::time::duration;
use crate::domain::time::window::Window;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::required;
use crate::manifest::testing::{source_named, spot};
use crate::manifest::timing::instant;
use crate::manifest::yaml::{Kind, Node};

/// The keys of rows that are written once.
pub(in crate::manifest) const MADE_KEYS: [&str; 5] = ["around", "every", "times", "column", "each"];
/// How many rows may be written once.
pub(in crate::manifest) const ROWS_MAX: usize = 10_000;
/// The words of `around`.
pub(in crate::manifest) const AROUND: [(&str, Around); 2] =
    [("window", Around::Window), ("clock_change", Around::ClockChange)];

/// Around which instants rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::manifest) enum Around {
    /// The beginning and the end of each window.
    Window,
    /// Those, and each clock change within its period.
    ClockChange,
}

/// Reads which rows there are.
pub(super) fn given(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    windows: &[(Series, Window)],
    world: &World<'_>,
) -> Option<Vec<Given>> {
    let node = required(doc, map, place, "given")?;
    let place = Place::Key(&place, "given");
    if matches!(&node.kind, Kind::Map(pairs) if pairs.is_empty()) {
        return Some(Vec::new());
    }
    let map = doc.open_map(node, place)?;
    let mut all = Vec::new();
    let mut sound = true;
    for (key, node) in map.entries() {
        let here = Place::Key(&place, key);
        let (source, table) = match key.split_once(':') {
            Some((source, table)) => {
                let name = Node { kind: Kind::Text(source.to_owned()), ..(*node).clone() };
                (source_named(doc, &name, here, world), table)
            }
            None => (None, *key),
        };
        let table = match TableName::parse(table) {
            Ok(table) => table,
            Err(rule) => {
                doc.fault(node, here, rule, None);
                sound = false;
                continue;
            }
        };
        match rows(doc, node, here, windows) {
            Some(rows) => all.push(Given { source, table, rows, place: spot(doc, node, here) }),
            None => sound = false,
        }
    }
    sound.then_some(all)
}

/// What the rows of a table hold where they do not say it.
pub(super) type Defaults = Vec<(TableName, Vec<(String, Cell)>)>;

/// Reads what rows hold where they do not say it.
pub(super) fn defaults(doc: &mut Document<'_>, node: &Node) -> Defaults {
    let place = Place::Key(&Place::Root, "defaults");
    let Some(map) = doc.open_map(node, place) else { return Vec::new() };
    let mut all = Vec::new();
    for (key, node) in map.entries() {
        let here = Place::Key(&place, key);
        match TableName::parse(key) {
            Ok(table) => all.extend(row(doc, node, here).map(|row| (table, row.cells))),
            Err(rule) => doc.fault(node, here, rule, None),
        }
    }
    all
}

/// Adds to the rows of a test what they do not say.
pub(super) fn fill_in(test: &mut Test, defaults: &Defaults) {
    for given in &mut test.given {
        let Some((_, cells)) = defaults.iter().find(|(table, _)| *table == given.table) else {
            continue;
        };
        for row in &mut given.rows {
            let is_written = |name: &str| row.cells.iter().any(|(known, _)| known == name);
            let missing: Vec<_> =
                cells.iter().filter(|(name, _)| !is_written(name)).cloned().collect();
            row.cells.extend(missing);
        }
    }
}

fn rows(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    windows: &[(Series, Window)],
) -> Option<Vec<Row>> {
    if let Kind::Map(_) = &node.kind {
        return made(doc, node, place, windows);
    }
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        return Some(Vec::new());
    }
    let items = doc.list(node, place)?.iter().enumerate();
    // Each row is read, so that all faults come out together.
    let read: Vec<Option<Vec<Row>>> = items
        .map(|(i, item)| {
            let place = Place::Item(&place, i);
            match is_made(item) {
                true => made(doc, item, place, windows),
                false => row(doc, item, place).map(|row| vec![row]),
            }
        })
        .collect();
    Some(read.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

/// Says whether an item of a list stands for several rows.
fn is_made(node: &Node) -> bool {
    let has = |keys: &[&str]| keys.iter().any(|key| node.entry(key).is_some());
    has(&["around", "every", "times"]) && has(&["each", "column"])
}

fn row(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Row> {
    let place_of_row = spot(doc, node, place);
    let map = doc.open_map(node, place)?;
    let mut cells = Vec::new();
    for (column, node) in map.entries() {
        let cell = cell(doc, node, Place::Key(&place, column))?;
        cells.push(((*column).to_owned(), cell));
    }
    Some(Row { cells, place: place_of_row })
}

/// Reads rows that are written once: on both sides of instants, at each step of a window, or so many.
fn made(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    windows: &[(Series, Window)],
) -> Option<Vec<Row>> {
    let map = doc.map(node, place, &MADE_KEYS)?;
    let at = |key: &'static str| Place::Key(&place, key);
    let each = match map.get("each") {
        Some(node) if matches!(&node.kind, Kind::Map(pairs) if pairs.is_empty()) => Vec::new(),
        Some(node) => row(doc, node, at("each"))?.cells,
        None => Vec::new(),
    };
    let written: Vec<(&str, &Node)> = ["around", "every", "times"]
        .into_iter()
        .filter_map(|key| map.get(key).map(|node| (key, node)))
        .collect();
    let [(key, value)] = written.as_slice() else {
        let hint = "write one of `around: window`, `every: 1h`, `times: 365`; or a list of rows"
            .to_owned();
        doc.fault(node, place, "this does not say which rows", Some(hint));
        return None;
    };
    let spot = spot(doc, node, place);
    if *key == "times" {
        let times = doc.whole_number(value, at("times"))?;
        let Some(times) = usize::try_from(times).ok().filter(|n| (1..=ROWS_MAX).contains(n)) else {
            doc.fault(
                value,
                at("times"),
                format!("a test has 1 to {ROWS_MAX} rows like these"),
                None,
            );
            return None;
        };
        return Some(vec![Row { cells: each, place: spot }; times]);
    }
    let column = required(doc, &map, place, "column")
        .and_then(|node| doc.text(node, at("column")).map(str::to_owned))?;
    if windows.is_empty() {
        let hint = "write a list of rows, or `times:`".to_owned();
        doc.fault(node, place, "there is no window for rows to lie in", Some(hint));
        return None;
    }
    let cells: Vec<Cell> = if *key == "around" {
        let around = doc.word(value, at("around"), &AROUND)?;
        let sides = instants(around, windows).into_iter();
        sides.flat_map(|at| [Cell::JustBefore(at), Cell::Instant(at)]).collect()
    } else {
        let step = doc.parsed(value, at("every"), step)?;
        let Some(steps) = steps(step, windows) else {
            let message = format!("these are more than {ROWS_MAX} rows");
            doc.fault(value, at("every"), message, Some("write a longer step".to_owned()));
            return None;
        };
        steps.into_iter().map(Cell::Instant).collect()
    };
    let row = |cell| {
        let mut cells = each.clone();
        cells.push((column.clone(), cell));
        Row { cells, place: spot.clone() }
    };
    Some(cells.into_iter().map(row).collect())
}

fn step(text: &str) -> Result<TimeDelta, String> {
    let step = TimeDelta::from_std(duration::parse(text)?).ok();
    step.filter(|step| *step >= TimeDelta::seconds(1))
        .ok_or_else(|| "a step is a second at least".to_owned())
}

/// The instants at each step of each window, from its beginning on; nothing where they are too many.
fn steps(step: TimeDelta, windows: &[(Series, Window)]) -> Option<Vec<DateTime<Utc>>> {
    let mut all = Vec::new();
    for (_, window) in windows {
        let mut at = window.start;
        while at < window.end {
            all.push(at);
            at += step;
            if all.len() > ROWS_MAX {
                return None;
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// The instants around which rows lie, each once and in order.
fn instants(around: Around, windows: &[(Series, Window)]) -> Vec<DateTime<Utc>> {
    let mut all = Vec::new();
    for (series, window) in windows {
        all.extend([window.start, window.end]);
        if around == Around::ClockChange {
            let whole = window.whole(&series.home.rules);
            let inside = whole.start + TimeDelta::seconds(1);
            let changes = series.home.rules.changes_within(inside, whole.end);
            all.extend(changes.iter().map(|change| change.at));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Reads what a column holds. What is quoted is a text; a bare number, truth value or instant is what it looks like.
fn cell(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Cell> {
    match &node.kind {
        Kind::Null => Some(Cell::Null),
        Kind::Typed(text) => match text.as_str() {
            "true" | "True" | "TRUE" => Some(Cell::Truth(true)),
            "false" | "False" | "FALSE" => Some(Cell::Truth(false)),
            number if is_plain_number(number) => Some(Cell::Number(number.to_owned())),
            other => Some(Cell::Text(other.to_owned())),
        },
        Kind::Text(text) if doc.is_quoted(node) => Some(Cell::Text(text.clone())),
        Kind::Text(text) => {
            if let Some(away) = from_now(text) {
                return Some(Cell::FromNow(away));
            }
            let is_instant = text.len() > 10 && text.as_bytes().get(10) == Some(&b'T');
            match instant(text) {
                Ok(at) if is_instant => Some(Cell::Instant(at)),
                Ok(_) | Err(_) => Some(Cell::Text(text.clone())),
            }
        }
        Kind::List(_) | Kind::Map(_) => {
            let hint = "write it in quotes, as the database reads it".to_owned();
            doc.fault(node, place, "a column holds one value", Some(hint));
            None
        }
    }
}

fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    all(whole) && all(fraction)
}

/// Reads `now`, `now - 2h`, `now + 5m`.
fn from_now(text: &str) -> Option<TimeDelta> {
    let rest = text.strip_prefix("now")?.trim();
    if rest.is_empty() {
        return Some(TimeDelta::zero());
    }
    let ahead = rest.starts_with('+');
    let away = duration::parse(rest.strip_prefix(['+', '-'])?.trim()).ok()?;
    let away = TimeDelta::from_std(away).ok()?;
    Some(if ahead { away } else { -away })
}
