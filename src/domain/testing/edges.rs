//! Rows at the edges of a window: which rows of a test can be moved there, and where they lie then.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::check::value::{date, instant};
use crate::domain::testing::columns::Bound;
use crate::domain::testing::{Cell, Given};
use crate::domain::time::window::Window;
use crate::domain::time::zone::ZoneName;

/// Where a row of a test lies in time: its table, its place there, and the place of its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movable {
    /// Which table of the test.
    pub table: usize,
    /// Which of its rows.
    pub row: usize,
    /// Which of its cells.
    pub cell: usize,
}

/// Where a row is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// The last instant before the window.
    BeforeStart,
    /// Its first instant.
    Start,
    /// Its last instant.
    BeforeEnd,
    /// The first instant after it.
    End,
}

impl Edge {
    /// All edges, in the order of time.
    pub const ALL: [Self; 4] = [Self::BeforeStart, Self::Start, Self::BeforeEnd, Self::End];

    /// Says whether a row there is in the window.
    pub fn is_inside(self) -> bool {
        matches!(self, Self::Start | Self::BeforeEnd)
    }

    fn cell(self, window: &Window) -> Cell {
        match self {
            Self::BeforeStart => Cell::JustBefore(window.start),
            Self::Start => Cell::Instant(window.start),
            Self::BeforeEnd => Cell::JustBefore(window.end),
            Self::End => Cell::Instant(window.end),
        }
    }

    /// What it is, for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::BeforeStart => "just before the window",
            Self::Start => "at its first instant",
            Self::BeforeEnd => "at its last instant",
            Self::End => "at the first instant after it",
        }
    }
}

/// The instant that a cell holds, where it holds one.
fn at(cell: &Cell) -> Option<DateTime<Utc>> {
    match cell {
        Cell::Instant(at) => Some(*at),
        Cell::JustBefore(at) => Some(*at - TimeDelta::microseconds(1)),
        Cell::Text(text) => instant(text),
        Cell::Null | Cell::Number(_) | Cell::Truth(_) | Cell::FromNow(_) => None,
    }
}

/// The rows of a test that lie within a window by a column that the check compares with it.
pub fn movable(given: &[Given], columns: &BTreeSet<Bound>, window: &Window) -> Vec<Movable> {
    let mut all = Vec::new();
    for (table, rows) in given.iter().enumerate() {
        let called = rows.table.parts().last().map_or("", String::as_str);
        for (row, made_up) in rows.rows.iter().enumerate() {
            let lies_within = |(name, cell): &(String, Cell)| {
                columns.iter().any(|bound| bound.is(called, name))
                    && at(cell).is_some_and(|at| at >= window.start && at < window.end)
            };
            let cell = made_up.cells.iter().position(lies_within);
            all.extend(cell.map(|cell| Movable { table, row, cell }));
        }
    }
    all
}

/// The same rows without one.
pub fn without(given: &[Given], which: Movable) -> Vec<Given> {
    let mut given = given.to_vec();
    given[which.table].rows.remove(which.row);
    given
}

/// The same rows with one moved to an edge.
pub fn moved(given: &[Given], which: Movable, edge: Edge, window: &Window) -> Vec<Given> {
    let mut given = given.to_vec();
    given[which.table].rows[which.row].cells[which.cell].1 = edge.cell(window);
    given
}

/// Says whether another row of the same table is at an edge already: two of one kind at one instant may be a fault.
pub fn is_taken(given: &[Given], which: Movable, edge: Edge, window: &Window) -> bool {
    let rows = given[which.table].rows.iter().enumerate().filter(|(row, _)| *row != which.row);
    let name = &given[which.table].rows[which.row].cells[which.cell].0;
    let target = at(&edge.cell(window));
    rows.flat_map(|(_, row)| &row.cells).any(|(column, cell)| column == name && at(cell) == target)
}

/// The same rows as if they were of another window in another zone: instants keep their distance from its beginning and
/// stay within it, its date and its zone are those of the other.
pub fn shifted(
    given: &[Given],
    from: (&Window, &ZoneName),
    to: (&Window, &ZoneName),
) -> Vec<Given> {
    let mut given = given.to_vec();
    for cell in given.iter_mut().flat_map(|table| &mut table.rows).flat_map(|row| &mut row.cells) {
        cell.1 = shifted_cell(&cell.1, from, to);
    }
    given
}

fn shifted_cell(cell: &Cell, from: (&Window, &ZoneName), to: (&Window, &ZoneName)) -> Cell {
    /// How far from a window rows still belong to its test.
    const NEAR: TimeDelta = TimeDelta::days(40);
    if let Cell::Text(text) = cell {
        if text == from.1.as_str() {
            return Cell::Text(to.1.to_string());
        }
        if let Some(date) = date(text) {
            return Cell::Text(shifted_date(date, from.0, to.0).to_string());
        }
    }
    let Some(was) = at(cell).filter(|was| (*was - from.0.start).abs() < NEAR) else {
        return cell.clone();
    };
    let inside = was >= from.0.start && was < from.0.end;
    let shifted = if was >= from.0.end {
        to.0.end + (was - from.0.end)
    } else {
        to.0.start + (was - from.0.start)
    };
    // A shorter window takes what lay at the end of a longer one.
    let last = to.0.end - TimeDelta::seconds(1);
    Cell::Instant(if inside && shifted > last { last } else { shifted })
}

fn shifted_date(date: NaiveDate, from: &Window, to: &Window) -> NaiveDate {
    let away = date - from.span.date;
    if away.abs() > TimeDelta::days(40) { date } else { to.span.date + away }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::TableName;
    use crate::domain::testing::{Row, Spot};
    use crate::domain::time::window::Span;
    use crate::domain::time::zone::Offset;

    fn window(start: &str, end: &str, date: &str) -> Window {
        let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
        let date: NaiveDate = date.parse().unwrap();
        let span = Span { start, end, date, end_date: date + chrono::Days::new(1) };
        Window { start, end, utc_offset: Offset::ZERO, span }
    }

    fn given(cells: &[(&str, Cell)]) -> Vec<Given> {
        let place = Spot { file: String::new(), line: 1, column: 1, path: String::new() };
        let cells = cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect();
        let rows = vec![Row { cells, place: place.clone() }];
        vec![Given { source: None, table: TableName::parse("t").unwrap(), rows, place }]
    }

    #[test]
    fn rows_that_lie_within_the_window_are_moved_to_its_edges() {
        let day = window("2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z", "2025-11-02");
        let text = |text: &str| Cell::Text(text.to_owned());
        let columns = BTreeSet::from([Bound { table: None, column: "at".to_owned() }]);
        for (cell, found) in [
            (text("2025-11-02 04:00:00"), 1),
            (text("2025-11-03 05:00:00"), 0),
            (Cell::JustBefore(day.end), 1),
            (Cell::Instant(day.end), 0),
            (Cell::Number("7".to_owned()), 0),
        ] {
            let rows = given(&[("id", Cell::Null), ("At", cell.clone())]);
            assert_eq!(movable(&rows, &columns, &day).len(), found, "{cell:?}");
        }
        let rows = given(&[("at", Cell::Instant(day.start))]);
        let which = movable(&rows, &columns, &day)[0];
        let end = moved(&rows, which, Edge::End, &day);
        assert_eq!(end[0].rows[0].cells[0].1, Cell::Instant(day.end));
        assert!(without(&rows, which)[0].rows.is_empty());
    }

    #[test]
    fn rows_of_one_window_are_those_of_another_one() {
        let long = window("2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z", "2025-11-02");
        let short = window("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", "2026-03-08");
        let zone = |name: &str| ZoneName::parse(name).unwrap();
        let (from, to) = (zone("America/New_York"), zone("America/Chicago"));
        let at = |text: &str| Cell::Instant(text.parse().unwrap());
        let text = |text: &str| Cell::Text(text.to_owned());
        for (cell, wanted) in [
            (at("2025-11-02T04:30:00Z"), at("2026-03-08T05:30:00Z")),
            (at("2025-11-03T04:30:00Z"), at("2026-03-09T03:59:59Z")),
            (at("2025-11-03T05:00:00Z"), at("2026-03-09T04:00:00Z")),
            (at("2020-01-01T00:00:00Z"), at("2020-01-01T00:00:00Z")),
            (text("America/New_York"), text("America/Chicago")),
            (text("2025-11-02"), text("2026-03-08")),
            (text("open"), text("open")),
        ] {
            let shifted = shifted(&given(&[("a", cell.clone())]), (&long, &from), (&short, &to));
            assert_eq!(shifted[0].rows[0].cells[0].1, wanted, "{cell:?}");
        }
    }
}
