//! Rows by chance, near to what a check asks about: its literals, its limits, the bounds of its window.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::check::{Body, Check};
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::table::{Nulls, Rules, TableName};
use crate::domain::testing::columns::{names, operand_after, operand_before};
use crate::domain::testing::{Cell, Given, Row, Spot};
use crate::domain::time::duration::delta;
use crate::domain::time::window::Window;
use crate::domain::time::zone::ZoneName;

/// A table that rows are made for.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Its name.
    pub table: TableName,
    /// Its columns.
    pub columns: Vec<ColumnShape>,
}

/// A column of such a table.
#[derive(Debug, Clone)]
pub struct ColumnShape {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub takes_null: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Whole,
    /// Numbers.
    Decimal,
    /// Truth values.
    Truth,
    /// Dates.
    Date,
    /// Instants.
    Instant,
    /// Texts.
    Text,
}

/// Numbers by chance, always the same ones from one seed (`SplitMix64`).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of the first so many numbers.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end.max(1)).unwrap_or(u64::MAX);
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap_or(0)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// What rows are made of for a check.
#[derive(Debug)]
pub struct Generator {
    shapes: Vec<Shape>,
    /// What each column is compared with, by its name in small letters.
    hints: BTreeMap<String, Vec<Cell>>,
    numbers: Vec<String>,
    instants: Vec<Cell>,
    dates: Vec<NaiveDate>,
}

impl Generator {
    /// Looks at a check, and at the window at which it is to look.
    pub fn new(check: &Check, shapes: Vec<Shape>, window: Option<(&Window, &ZoneName)>) -> Self {
        let mut hints: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
        for query in check.queries() {
            hint(&Words::of(query), window, &mut hints);
        }
        let (instants, dates) = match window {
            Some((window, _)) => of_window(window),
            None => (
                vec![Cell::FromNow(TimeDelta::hours(-1)), Cell::FromNow(TimeDelta::days(-2))],
                vec![NaiveDate::default()],
            ),
        };
        if let (Body::Table(table), Some((_, zone))) = (&check.body, window)
            && let Some(column) = &table.rules().zone_column
        {
            let zones = [Cell::Text(zone.to_string()), Cell::Text("UTC".to_owned())];
            hints.entry(column.as_str().to_lowercase()).or_default().extend(zones);
        }
        if let Body::Table(table) = &check.body {
            hint_of_rules(table.rules(), &mut hints);
        }
        Self { shapes, hints, numbers: numbers(check), instants, dates }
    }

    /// Makes a world.
    pub fn world(&self, chance: &mut Chance) -> Vec<Given> {
        const ROWS: [usize; 10] = [0, 1, 1, 1, 2, 2, 2, 3, 4, 25];
        let place = Spot { file: "--fuzz".to_owned(), line: 0, column: 0, path: String::new() };
        let table = |shape: &Shape, chance: &mut Chance| {
            let count = chance.one_of(&ROWS).copied().unwrap_or(1);
            let template = self.cells(shape, 0, chance);
            let rows = (1..=count).map(|number| {
                // Many rows are alike, as they are in life.
                let mut cells = self.cells(shape, number, chance);
                for (cell, like) in cells.iter_mut().zip(&template) {
                    if cell.0 != "id" && chance.below(3) > 0 {
                        cell.1 = like.1.clone();
                    }
                }
                Row { cells, place: place.clone() }
            });
            let rows = rows.collect();
            Given { source: None, table: shape.table.clone(), rows, place: place.clone() }
        };
        self.shapes.iter().map(|shape| table(shape, chance)).collect()
    }

    fn cells(&self, shape: &Shape, number: usize, chance: &mut Chance) -> Vec<(String, Cell)> {
        let cell = |column: &ColumnShape| (column.name.clone(), self.cell(column, number, chance));
        shape.columns.iter().map(cell).collect()
    }

    fn cell(&self, column: &ColumnShape, number: usize, chance: &mut Chance) -> Cell {
        let name = column.name.to_lowercase();
        if name == "id" && column.kind == Kind::Whole {
            return Cell::Number(number.to_string());
        }
        let may_be_null = |cell: &&Cell| column.takes_null || **cell != Cell::Null;
        if column.takes_null && chance.below(6) == 0 {
            return Cell::Null;
        }
        if let Some(hints) = self.hints.get(&name)
            && chance.below(5) > 0
            && let Some(cell) = chance.one_of(hints).filter(may_be_null)
        {
            return cell.clone();
        }
        match column.kind {
            Kind::Whole | Kind::Decimal if name.ends_with("id") => {
                Cell::Number((1 + chance.below(3)).to_string())
            }
            Kind::Whole => {
                let whole: Vec<&String> =
                    self.numbers.iter().filter(|n| !n.contains('.')).collect();
                Cell::Number(chance.one_of(&whole).map_or("1", |n| n.as_str()).to_owned())
            }
            Kind::Decimal => {
                Cell::Number(chance.one_of(&self.numbers).map_or("1", String::as_str).to_owned())
            }
            Kind::Truth => Cell::Truth(chance.below(2) == 0),
            Kind::Date => {
                let date = chance.one_of(&self.dates).copied().unwrap_or_default();
                Cell::Text(date.to_string())
            }
            Kind::Instant => chance.one_of(&self.instants).cloned().unwrap_or(Cell::Null),
            Kind::Text => Cell::Text((*chance.one_of(&["a", "b", "c"]).unwrap_or(&"a")).to_owned()),
        }
    }
}

/// What columns are held against by rules for a table.
fn hint_of_rules(rules: &Rules, hints: &mut BTreeMap<String, Vec<Cell>>) {
    for column in &rules.columns {
        let cells = hints.entry(column.column.as_str().to_lowercase()).or_default();
        for limit in column.range.iter().chain(&column.values) {
            cells.extend(limit.numbers().into_iter().map(Cell::Number));
            cells.extend(limit.texts().into_iter().map(Cell::Text));
        }
        if column.nulls != Nulls::Allowed {
            cells.push(Cell::Null);
        }
    }
    if let Some(newest) = &rules.newest {
        let cells = hints.entry(newest.column.as_str().to_lowercase()).or_default();
        let within = delta(newest.within);
        cells.extend([within / 2, within * 2].map(|age| Cell::FromNow(-age)));
        cells.push(Cell::FromNow(-within / 3));
    }
    hints.retain(|_, cells| !cells.is_empty());
}

/// The bounds of a window and what lies around them, and the dates there.
fn of_window(window: &Window) -> (Vec<Cell>, Vec<NaiveDate>) {
    let middle: DateTime<Utc> = window.start + window.length() / 2;
    let instants = vec![
        Cell::Instant(middle),
        Cell::Instant(middle),
        Cell::Instant(middle + TimeDelta::seconds(1)),
        Cell::Instant(window.start),
        Cell::JustBefore(window.start),
        Cell::JustBefore(window.end),
        Cell::Instant(window.end),
    ];
    let date = window.span.date;
    let near = [Some(date), Some(date), date.succ_opt(), date.pred_opt()];
    (instants, near.into_iter().flatten().collect())
}

/// What columns are compared with in a query.
fn hint(
    words: &Words,
    window: Option<(&Window, &ZoneName)>,
    hints: &mut BTreeMap<String, Vec<Cell>>,
) {
    let literal = |at: usize| match words.tok(at) {
        Some(Tok::Text(text)) => {
            vec![Cell::Text(text.clone()), Cell::Text(text.clone()), Cell::Text("other".to_owned())]
        }
        Some(Tok::Number(number)) => vec![Cell::Number(number.clone())],
        Some(Tok::Param(Parameter::WindowDate | Parameter::WindowEndDate)) => {
            window.map_or_else(Vec::new, |(window, _)| {
                let dates = of_window(window).1.into_iter();
                dates.map(|date| Cell::Text(date.to_string())).collect()
            })
        }
        Some(Tok::Param(Parameter::Zone)) => window.map_or_else(Vec::new, |(_, zone)| {
            let own = Cell::Text(zone.to_string());
            vec![own.clone(), own, Cell::Text("UTC".to_owned())]
        }),
        Some(_) | None => Vec::new(),
    };
    for at in 1..words.0.len() {
        if matches!(words.tok(at), Some(Tok::Compare(_))) {
            for name in names(words, operand_before(words, at)) {
                hints.entry(name).or_default().extend(literal(at + 1));
            }
            for name in names(words, operand_after(words, at + 1)) {
                hints.entry(name).or_default().extend(literal(at - 1));
            }
        } else if words.is_word(at, &["in"]) && words.tok(at + 1) == Some(&Tok::Open) {
            let close = words.closing(at + 1);
            for name in names(words, operand_before(words, at)) {
                for item in at + 2..close {
                    hints.entry(name.clone()).or_default().extend(literal(item));
                }
            }
        }
    }
    hints.retain(|_, cells| !cells.is_empty());
}

/// Numbers near the limits of a check, and some others.
fn numbers(check: &Check) -> Vec<String> {
    let mut all: Vec<String> = ["0", "1", "1", "2", "5", "-1", "10"].map(str::to_owned).to_vec();
    let limits = check.expect().into_iter().flat_map(|expect| expect.values().values());
    for limit in limits {
        all.extend(limit.numbers());
    }
    if let Body::Table(table) = &check.body {
        for limit in
            table.rules().columns.iter().flat_map(|rules| rules.range.iter().chain(&rules.values))
        {
            all.extend(limit.numbers());
        }
    }
    all
}
