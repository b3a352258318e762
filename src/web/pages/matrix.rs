//! The matrix: offsets against local dates, so that a stripe of wrong windows shows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};

use crate::domain::record::window_state::WindowKind;
use crate::domain::time::period::Period;
use crate::domain::time::window::Frame;
use crate::domain::time::zone::Offset;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{DayCell, LedgerError, Matrix};
use crate::web::Shared;
use crate::web::pages::group::Group;
use crate::web::pages::mark::Mark;
use crate::web::pages::query::{Keys, in_path};
use crate::web::problem::Problem;

/// How many zones of an offset are named.
const ZONES_NAMED: usize = 2;

/// A month of a check, or a year where its windows are longer than a day.
pub(super) struct MatrixView {
    pub(super) title: String,
    pub(super) days: Vec<Day>,
    pub(super) rows: Vec<Line>,
    pub(super) earlier: String,
    pub(super) later: Option<String>,
    /// Whether a cell stands for several windows.
    pub(super) by_day: bool,
    /// What is said where nothing is shown.
    pub(super) nothing: String,
}

pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) label: String,
    /// What clocks do on it.
    pub(super) change: Option<String>,
}

pub(super) struct Line {
    pub(super) offset: String,
    pub(super) zones: String,
    pub(super) cells: Vec<Option<CellView>>,
}

pub(super) struct CellView {
    pub(super) mark: Mark,
    pub(super) words: String,
    pub(super) href: String,
}

/// The month that is shown.
pub(super) fn month(keys: &Keys, newest: NaiveDate) -> Result<NaiveDate, Problem> {
    let first = |date: NaiveDate| date.with_day(1).unwrap_or(date);
    let Some(text) = keys.get("month") else { return Ok(first(newest)) };
    let rule = || Problem::bad("`month` is written like 2025-11");
    let date = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map_err(|_| rule())?;
    ((1970..2200).contains(&date.year())).then_some(date).ok_or_else(rule)
}

/// From when to when windows are shown: a day more on both sides than UTC has.
fn range(group: &Group<'_>, month: NaiveDate) -> (NaiveDate, NaiveDate) {
    let next = month.checked_add_months(Months::new(1)).unwrap_or(month);
    if is_long(group) {
        (next.checked_sub_months(Months::new(12)).unwrap_or(month), next)
    } else {
        (month, next)
    }
}

/// Whether windows are longer than a day.
fn is_long(group: &Group<'_>) -> bool {
    let frame = group.check.window.as_ref().map(|rule| rule.frame);
    matches!(frame, Some(Frame::Calendar(period)) if !matches!(period, Period::Day(_)))
}

/// Reads and draws the matrix of a check.
pub(super) async fn draw(
    shared: &Shared,
    picture: &Snapshot,
    group: &Group<'_>,
    month: NaiveDate,
    keys: &Keys,
) -> Result<MatrixView, LedgerError> {
    let (first, end) = range(group, month);
    let kind = match group.check.window {
        Some(_) => WindowKind::Window,
        None => WindowKind::Slot,
    };
    let midnight = |date: NaiveDate| date.and_time(chrono::NaiveTime::MIN).and_utc();
    let bounds = [midnight(first) - TimeDelta::days(1), midnight(end) + TimeDelta::days(1)];
    let check = group.check.id.as_str();
    let mut matrix = shared.door.reader.matrix(check, kind, bounds, picture.now()).await?;
    for cells in matrix.values_mut() {
        cells.retain(|date, _| *date >= first && *date < end);
    }
    matrix.retain(|_, cells| !cells.is_empty());
    let mut view = view(group, &matrix, month, keys);
    let kept = shared.door.reader.retention();
    if bounds[1] < picture.now() - TimeDelta::from_std(kept).unwrap_or_default() {
        let kept = crate::domain::time::duration::show(kept);
        view.nothing = format!("That is longer ago than the record is kept ({kept}).");
    }
    Ok(view)
}

fn view(group: &Group<'_>, matrix: &Matrix, month: NaiveDate, keys: &Keys) -> MatrixView {
    let (first, end) = range(group, month);
    let dates: Vec<NaiveDate> = if is_long(group) {
        let all: BTreeSet<NaiveDate> = matrix.values().flat_map(|c| c.keys().copied()).collect();
        all.into_iter().collect()
    } else {
        first.iter_days().take_while(|date| *date < end).collect()
    };
    let changes = changes(group, first, end);
    let days: Vec<Day> = dates
        .iter()
        .map(|date| Day {
            date: *date,
            label: if is_long(group) {
                date.format("%m-%d").to_string()
            } else {
                date.day().to_string()
            },
            change: changes.get(date).cloned(),
        })
        .collect();
    let zones = zones(group, first, end);
    let by_day =
        !matches!(group.check.window.as_ref().map(|rule| rule.frame), Some(Frame::Calendar(_)));
    let rows = matrix.iter().map(|(secs, cells)| {
        let offset = Offset::of_secs(*secs).to_string();
        let zones = zones.get(secs).map(|names| named(names)).unwrap_or_default();
        let cells = dates.iter().map(|date| {
            cells.get(date).map(|cell| cell_view(group, keys, *date, &offset, &zones, cell))
        });
        Line { offset: offset.clone(), zones: zones.clone(), cells: cells.collect() }
    });
    let link = |month: NaiveDate| {
        format!("?{}#matrix", keys.with("month", &month.format("%Y-%m").to_string()))
    };
    let later = month.checked_add_months(Months::new(1)).unwrap_or(month);
    let is_past =
        group.series.iter().any(|s| s.record.watermark.is_some_and(|at| at.date_naive() >= later));
    let title = match is_long(group) {
        false => month.format("%B %Y").to_string(),
        true => format!("{} to {}", first.format("%Y-%m"), month.format("%Y-%m")),
    };
    MatrixView {
        title,
        days,
        rows: rows.collect(),
        earlier: link(month.checked_sub_months(Months::new(1)).unwrap_or(month)),
        later: is_past.then(|| link(later)),
        by_day,
        nothing: "Nothing was due.".to_owned(),
    }
}

/// The worst of a cell, and all of it in words.
pub(super) fn worst(cell: &DayCell) -> Mark {
    let marks = [
        (cell.violated, Mark::VIOLATED),
        (cell.unconfirmed, Mark::UNCONFIRMED),
        (cell.waiting, Mark::WAITING),
        (cell.waived, Mark::WAIVED),
        (cell.closed, Mark::CLOSED),
        (cell.confirmed, Mark::CONFIRMED),
        (cell.folded, Mark::FOLDED),
    ];
    marks.into_iter().find(|(count, _)| *count > 0).map_or(Mark::PAUSED, |(_, mark)| mark)
}

fn words(cell: &DayCell) -> String {
    let counts = [
        (cell.violated, "violated"),
        (cell.unconfirmed, "unconfirmed"),
        (cell.waiting, "waiting"),
        (cell.waived, "waived"),
        (cell.closed, "closed by a later look"),
        (cell.excused, "taken out"),
        (cell.confirmed, "confirmed"),
        (cell.folded, "confirmed looks kept as one"),
    ];
    let parts: Vec<(u64, &str)> = counts.into_iter().filter(|(count, _)| *count > 0).collect();
    match parts.as_slice() {
        [(1, word)] => (*word).to_owned(),
        [(count, word)] => format!("{word}, all {count}"),
        many => {
            let of = many.iter().map(|(count, word)| format!("{count} {word}"));
            format!("{} of {}", of.collect::<Vec<_>>().join(", "), cell.all)
        }
    }
}

fn cell_view(
    group: &Group<'_>,
    keys: &Keys,
    date: NaiveDate,
    offset: &str,
    zones: &str,
    cell: &DayCell,
) -> CellView {
    let (series, start) = cell.first;
    let alone = group.series.iter().find(|known| cell.all == 1 && known.record.id == series);
    let href = match alone {
        Some(series) => window_path(group.check.id.as_str(), series.record.tz.as_deref(), start),
        None => {
            let day = keys.with("day", &format!("{date} {offset}"));
            format!("?{day}#windows")
        }
    };
    let place = if zones.is_empty() { offset.to_owned() } else { format!("{offset}, {zones}") };
    CellView { mark: worst(cell), words: format!("{date}, {place}: {}", words(cell)), href }
}

/// Where the page of a window is.
pub(super) fn window_path(check: &str, tz: Option<&str>, start: DateTime<Utc>) -> String {
    let start = crate::web::instants::instant(start);
    format!("/checks/{}/windows/{}/{start}", in_path(check), in_path(tz.unwrap_or("-")))
}

/// Which window is meant: of which zone, and when it begins. The zone is the path up to the last part.
pub(super) fn place(path: &str) -> Result<(Option<String>, DateTime<Utc>), Problem> {
    let (tz, start) = path.rsplit_once('/').unwrap_or(("-", path));
    let start = DateTime::parse_from_rfc3339(start).map_err(|_| {
        Problem::bad("a window is named by its zone (`-` for none) and by when it begins, like 2025-11-02T04:00:00Z")
    })?;
    Ok((Some(tz.to_owned()).filter(|tz| tz != "-"), start.to_utc()))
}

/// Which zones have an offset at some time of the range.
fn zones<'p>(group: &Group<'p>, first: NaiveDate, end: NaiveDate) -> BTreeMap<i32, Vec<&'p str>> {
    let mut zones: BTreeMap<i32, Vec<&str>> = BTreeMap::new();
    for series in &group.series {
        let Some(tz) = series.record.tz.as_deref() else { continue };
        let rules = &series.home.rules;
        let (from, to) = (rules.day_start(first), rules.day_start(end));
        let changes = rules.changes_within(from, to).iter().map(|change| change.after.secs());
        let offsets: BTreeSet<i32> =
            std::iter::once(rules.offset_at(from).secs()).chain(changes).collect();
        for offset in offsets {
            zones.entry(offset).or_default().push(tz);
        }
    }
    zones
}

fn named(zones: &[&str]) -> String {
    match zones.split_at_checked(ZONES_NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("{}, +{}", first.join(", "), rest.len()),
        Some(_) | None => zones.join(", "),
    }
}

/// What clocks do on the dates of the range.
fn changes(group: &Group<'_>, first: NaiveDate, end: NaiveDate) -> BTreeMap<NaiveDate, String> {
    let mut changes: BTreeMap<NaiveDate, BTreeMap<(i32, i32), Vec<&str>>> = BTreeMap::new();
    for series in &group.series {
        let rules = &series.home.rules;
        for change in rules.changes_within(rules.day_start(first), rules.day_start(end)) {
            let date = change.before.civil(change.at - TimeDelta::seconds(1)).date();
            let pair = (change.before.secs(), change.after.secs());
            let name = series.record.tz.as_deref().unwrap_or(series.home.name.as_str());
            changes.entry(date).or_default().entry(pair).or_default().push(name);
        }
    }
    let in_words = |pairs: BTreeMap<(i32, i32), Vec<&str>>| {
        let all = pairs.into_iter().map(|((before, after), zones)| {
            let (before, after) = (Offset::of_secs(before), Offset::of_secs(after));
            format!("{before} to {after} in {}", named(&zones))
        });
        format!("clocks change: {}", all.collect::<Vec<_>>().join("; "))
    };
    changes.into_iter().map(|(date, pairs)| (date, in_words(pairs))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: DayCell = DayCell::NONE;

    #[test]
    fn a_cell_is_as_bad_as_the_worst_of_it_and_confirmed_only_where_all_of_it_is_over() {
        let cell = DayCell { all: 48, violated: 2, confirmed: 46, ..NONE };
        assert_eq!(worst(&cell), Mark::VIOLATED);
        assert_eq!(words(&cell), "2 violated, 46 confirmed of 48");
        assert_eq!(worst(&DayCell { all: 2, waiting: 1, confirmed: 1, ..NONE }), Mark::WAITING);
        assert_eq!(worst(&DayCell { all: 2, waived: 1, confirmed: 1, ..NONE }), Mark::WAIVED);
        assert_eq!(worst(&DayCell { all: 1, excused: 1, ..NONE }), Mark::PAUSED);
        assert_eq!(words(&DayCell { all: 1, confirmed: 1, ..NONE }), "confirmed");
        assert_eq!(words(&DayCell { all: 3, confirmed: 3, ..NONE }), "confirmed, all 3");
    }
}
