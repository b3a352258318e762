//! The summary of what differs between two sides: counts, sums, and the largest differences in words.

use std::fmt;
use std::time::Duration;

use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::cell::Cell;
use crate::domain::reconcile::differences::{Difference, How, Tally, place_of};

/// How many differences of a kind are shown.
const SHOWN: usize = 5;

/// What is said of two sides that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffSummary {
    /// Whether it is of the rows behind, and not of the results themselves.
    pub of_rows: bool,
    /// What the sides are called.
    pub names: [String; 2],
    /// How many rows each has.
    pub rows: [u64; 2],
    /// As [`Tally::counts`].
    pub counts: [u64; 4],
    /// Whether there are more than were counted.
    pub stopped: bool,
    /// Whether not all rows came.
    pub cut: bool,
    /// How many keys differed in passing: something was on its way.
    pub on_the_way: u64,
    /// The numbers that are compared and do not sum to the same: both sums.
    pub totals: Vec<(ColumnName, Number, Number)>,
    /// The largest differences, and the first keys that are on one side only.
    pub first: Vec<String>,
    /// How far apart the two snapshots began.
    pub skew: Duration,
}

impl DiffSummary {
    /// Puts together what is told of what lasts.
    pub fn new(terms: &Terms, names: [String; 2], tally: &Tally, mask: &[ColumnName]) -> Self {
        let counts = tally.lasting;
        let sums = terms.compare.iter().zip(&tally.totals);
        let sums = sums.filter(|(_, [l, r])| l.whole && r.whole);
        let sums = sums.map(|((column, _), [l, r])| (column.clone(), l.total(), r.total()));
        let mut largest: Vec<&Difference> = tally.kept.iter().collect();
        // Stable: keys of one size stay in their order.
        largest.sort_by_cached_key(|difference| std::cmp::Reverse(difference.magnitude()));
        let of = |place: usize| largest.iter().filter(move |d| place_of(&d.how) == place);
        let first = (0..4).flat_map(|place| of(place).take(SHOWN));
        let first = first.map(|difference| shown(&difference.masked(terms, mask), terms, &names));
        let first = first.collect();
        Self {
            of_rows: false,
            names,
            rows: tally.rows,
            counts,
            stopped: tally.stopped,
            cut: tally.is_cut(),
            on_the_way: tally.differing() - counts.iter().sum::<u64>(),
            totals: sums
                .filter(|(column, l, r)| l != r && !tally.is_cut() && !mask.contains(column))
                .collect(),
            first,
            skew: Duration::ZERO,
        }
    }

    /// How many keys differ.
    pub fn differing(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Shows two values so that one sees how they differ: of long texts the part that does.
fn apart(left: &Cell, right: &Cell) -> (String, String) {
    const BEFORE: usize = 20;
    let (Cell::Text(l), Cell::Text(r)) = (left, right) else {
        return (left.to_string(), right.to_string());
    };
    let same = l.chars().zip(r.chars()).take_while(|(l, r)| l == r).count();
    let from = if same > BEFORE * 2 { same - BEFORE } else { 0 };
    let squeezed = |text: &str| text.split(' ').collect::<String>();
    let spaces = squeezed(l) == squeezed(r);
    let show = |text: &str| {
        let mut rest = text.chars().skip(from);
        let shown = seen(rest.by_ref().take(BEFORE * 3), spaces);
        let (head, tail) =
            (if from > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
        format!("\"{head}{shown}{tail}\"")
    };
    (show(l), show(r))
}

/// Shows what cannot be seen: control characters, spaces that are not the usual one, what joins or combines.
fn seen(text: impl Iterator<Item = char>, spaces: bool) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || c.is_whitespace() && c != ' '
            || matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::new();
    for c in text {
        match c {
            ' ' if spaces => shown.push('␣'),
            c if is_unseen(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Shows a value of a key: of a long text its beginning and its end.
fn key_value(cell: &Cell) -> String {
    const PART: usize = 28;
    let Cell::Text(text) = cell else { return cell.to_string() };
    let ends = text.starts_with(' ') || text.ends_with(' ');
    let count = text.chars().count();
    if count <= PART * 2 + 4 {
        return format!("\"{}\"", seen(text.chars(), ends));
    }
    let (head, tail) = (text.chars().take(PART), text.chars().skip(count - PART));
    format!("\"{}…{}\"", seen(head, ends), seen(tail, ends))
}

fn shown(difference: &Difference, terms: &Terms, names: &[String; 2]) -> String {
    let key = terms
        .key
        .iter()
        .zip(&difference.key)
        .map(|(column, cell)| format!("{column}={}", key_value(cell)));
    let key = key.collect::<Vec<_>>().join(" ");
    let values = |cells: &[Cell]| {
        let pairs =
            terms.compare.iter().zip(cells).map(|((column, _), cell)| format!("{column} {cell}"));
        let pairs = pairs.collect::<Vec<_>>().join(", ");
        if pairs.is_empty() { String::new() } else { format!(" ({pairs})") }
    };
    let [left, right] = names;
    match &difference.how {
        How::Changed(columns) => {
            let column = |(place, l, r): &(usize, Cell, Cell)| {
                let name = terms.compare.get(*place).map_or("", |(column, _)| column.as_str());
                let (l, r) = apart(l, r);
                format!("{name} {l} against {r}")
            };
            format!("{key}: {}", columns.iter().map(column).collect::<Vec<_>>().join(", "))
        }
        How::OnlyLeft(cells) => format!("{key}: missing in {right}{}", values(cells)),
        How::OnlyRight(cells) => format!("{key}: missing in {left}{}", values(cells)),
        How::Repeated(l, r) => format!("{key}: {l} times in {left}, {r} times in {right}"),
    }
}

impl fmt::Display for DiffSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        for first in &self.first {
            write!(f, "; {first}")?;
        }
        Ok(())
    }
}

impl DiffSummary {
    /// How much differs, without anything of the data: neither keys nor sums.
    pub fn counted(&self) -> String {
        Self { totals: Vec::new(), ..self.clone() }.head()
    }

    /// The sums, and the first keys.
    pub fn shown(&self) -> String {
        let sums = self.totals.iter().map(|(column, l, r)| {
            format!("{column} sums to {l} against {r}, difference {}", l.minus(r))
        });
        sums.chain(self.first.iter().cloned()).collect::<Vec<_>>().join("; ")
    }

    /// How much differs, without the keys themselves.
    pub fn head(&self) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _ = self.write_head(&mut text);
        text
    }

    fn write_head(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let [left, right] = &self.names;
        let what = if self.of_rows { "rows" } else { "keys" };
        let more = if self.stopped || self.cut { "at least " } else { "" };
        write!(f, "{left} and {right} differ on {more}{} ", self.differing())?;
        if !self.cut {
            // The keys of both sides together, each once.
            let of = (self.rows[0] + self.counts[2]).max(self.rows[1]).max(self.differing());
            write!(f, "of {of} ")?;
        }
        f.write_str(what)?;
        let [changed, only_left, only_right, repeated] = self.counts;
        let parts = [
            (changed, "changed".to_owned()),
            (only_left, format!("missing in {right}")),
            (only_right, format!("missing in {left}")),
            (repeated, "not equally often on both sides".to_owned()),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        write!(f, ": {}", parts.join(", "))?;
        for (column, l, r) in &self.totals {
            write!(f, "; {column} sums to {l} against {r}, difference {}", l.minus(r))?;
        }
        if self.on_the_way > 0 {
            write!(f, "; {} more differed in passing", self.on_the_way)?;
        }
        if self.skew >= Duration::from_millis(100) {
            write!(f, "; the two snapshots began {} ms apart", self.skew.as_millis())?;
        }
        Ok(())
    }
}
