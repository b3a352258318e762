//! Many windows of one check at a glance: offset and zone against date, so that a stripe shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};

use crate::cli::paint::Paint;
use crate::domain::check::verdict::Verdict;
use crate::domain::time::period::Period;
use crate::domain::time::window::{Frame, Window, WindowRule};
use crate::domain::time::zone::Offset;
use crate::engine::round::Outcome;

/// The most columns of one block.
const COLUMNS_MAX: usize = 62;

/// A line of the matrix: the offset with which windows begin, and their zone.
type Line = (Offset, String);
/// A column: the period's date, and its instant where several periods share a date.
type Column = (NaiveDate, Option<DateTime<Utc>>);

/// Draws the blocks in which something is not confirmed.
pub(super) fn draw(text: &mut String, outcomes: &[&Outcome], rule: &WindowRule, paint: Paint) {
    let mut cells: BTreeMap<Line, BTreeMap<Column, char>> = BTreeMap::new();
    for outcome in outcomes {
        let Some(window) = &outcome.window else { continue };
        let zone = outcome.tz.as_ref().or(rule.zones.written().first());
        let zone = zone.map_or_else(|| "UTC".to_owned(), ToString::to_string);
        let column = column(rule.frame, window);
        let cell = cells.entry((window.utc_offset, zone)).or_default().entry(column).or_insert('.');
        *cell = worse(*cell, mark(&outcome.judgement.verdict));
    }
    let mut columns: Vec<Column> = cells.values().flat_map(BTreeMap::keys).copied().collect();
    columns.sort();
    columns.dedup();
    let width = cells.keys().map(|(_, zone)| zone.len()).max().unwrap_or(0);
    let mut quiet = 0;
    for block in blocks(&columns, rule.frame) {
        let bad = |line: &BTreeMap<Column, char>| {
            block.iter().any(|c| line.get(c).is_some_and(|mark| *mark != '.'))
        };
        if !cells.values().any(bad) {
            quiet += block.len();
            continue;
        }
        head(text, block, rule.frame, width, paint);
        let mut confirmed = 0;
        for ((offset, zone), line) in &cells {
            if !block.iter().any(|c| line.contains_key(c)) {
                continue;
            }
            if !bad(line) {
                confirmed += 1;
                continue;
            }
            let _ = write!(text, "    {offset} {zone:<width$}  ");
            for column in block {
                text.push_str(&painted(line.get(column).copied().unwrap_or(' '), paint));
            }
            text.push('\n');
        }
        if confirmed > 0 {
            let noun = if confirmed == 1 { "line" } else { "lines" };
            let _ = writeln!(
                text,
                "    {}",
                paint.dim(&format!("{confirmed} {noun} more, all confirmed"))
            );
        }
    }
    if quiet > 0 {
        let noun = if quiet == 1 { "column" } else { "columns" };
        let shown = format!("{quiet} {noun} not shown, all confirmed");
        let _ = writeln!(text, "    {}", paint.dim(&shown));
    }
}

fn column(frame: Frame, window: &Window) -> Column {
    match frame {
        Frame::Calendar(_) => (window.span.date, None),
        Frame::Grid(_) => (window.span.date, Some(window.span.start)),
    }
}

fn mark(verdict: &Verdict) -> char {
    match verdict {
        Verdict::Confirmed => '.',
        Verdict::Violated(_) => 'X',
        Verdict::Unconfirmed(_) => '?',
    }
}

fn worse(a: char, b: char) -> char {
    let rank = |c| match c {
        'X' => 2,
        '?' => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

fn painted(mark: char, paint: Paint) -> String {
    let mark_text = mark.to_string();
    match mark {
        'X' => paint.red(&mark_text),
        '?' => paint.yellow(&mark_text),
        '.' => paint.green(&mark_text),
        _ => mark_text,
    }
}

/// Cuts the columns into blocks that fit a screen: months of days, years of longer periods, days of
/// a grid.
fn blocks(columns: &[Column], frame: Frame) -> Vec<&[Column]> {
    let same = |a: &Column, b: &Column| match frame {
        Frame::Calendar(Period::Day(_)) => (a.0.year(), a.0.month()) == (b.0.year(), b.0.month()),
        Frame::Calendar(Period::Year) => true,
        Frame::Calendar(Period::Week(_) | Period::Month(_) | Period::Quarter) => {
            a.0.year() == b.0.year()
        }
        Frame::Grid(_) => a.0 == b.0,
    };
    columns.chunk_by(same).flat_map(|block| block.chunks(COLUMNS_MAX)).collect()
}

/// Writes what the block is of, and two lines of numbers over its columns.
fn head(text: &mut String, block: &[Column], frame: Frame, width: usize, paint: Paint) {
    let Some((first, _)) = block.first() else { return };
    let (title, number): (String, fn(&Column) -> u32) = match frame {
        Frame::Calendar(Period::Day(_)) => (first.format("%Y-%m").to_string(), |c| c.0.day()),
        Frame::Calendar(Period::Week(_)) => {
            (format!("{} weeks", first.year()), |c| c.0.iso_week().week())
        }
        Frame::Calendar(Period::Month(_)) => (first.format("%Y").to_string(), |c| c.0.month()),
        Frame::Calendar(Period::Quarter) => {
            (format!("{} quarters", first.year()), |c| c.0.month().div_ceil(3))
        }
        Frame::Calendar(Period::Year) => ("years".into(), |c| c.0.year().unsigned_abs() % 100),
        Frame::Grid(_) => (format!("{first} hour (UTC)"), |c| c.1.map_or(0, |at| at.hour())),
    };
    let pad = " ".repeat(width + 8);
    let line = |digit: fn(u32) -> u32| -> String {
        let digits = block.iter().map(|c| char::from_digit(digit(number(c)), 10).unwrap_or(' '));
        digits.collect()
    };
    let tens = line(|n| n / 10);
    let title = format!("{title:<w$}", w = width + 8);
    let _ = writeln!(text, "    {}", paint.dim(&format!("{title} {tens}")));
    let _ = writeln!(text, "    {}", paint.dim(&format!("{pad} {}", line(|n| n % 10))));
}
