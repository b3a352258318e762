//! What differs between two sides: counted whole, kept in part, told so that somebody can act on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::verdict::Doubt;
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::cell::{Cell, Decimal};
use crate::domain::reconcile::claims::Claims;

/// How many bytes of texts are kept with differences, roughly, for each ten thousand that are to be kept.
const KEPT_BYTES: usize = 8 << 20;
/// How many differences of a kind are told.
const TOLD: usize = 5;

/// One key on which the sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: Vec<Cell>,
    /// How they differ.
    pub how: How,
}

/// How two sides differ on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Values differ: the places of the columns among those compared, with both values.
    Changed(Vec<(usize, Cell, Cell)>),
    /// It is on the left only, with what is compared there.
    OnlyLeft(Vec<Cell>),
    /// It is on the right only, with what is compared there.
    OnlyRight(Vec<Cell>),
    /// It comes so often on the left, and so often on the right.
    Repeated(u64, u64),
}

impl Difference {
    /// How many bytes its texts take, roughly.
    fn size(&self) -> usize {
        let text = |cell: &Cell| match cell {
            Cell::Text(text) => text.len(),
            Cell::Null
            | Cell::Bool(_)
            | Cell::Decimal(_)
            | Cell::Wide(_)
            | Cell::Float(_)
            | Cell::NonFinite(_)
            | Cell::Date(_)
            | Cell::Instant(_)
            | Cell::NoDate(_) => 0,
        };
        let cells = match &self.how {
            How::Changed(columns) => columns.iter().map(|(_, l, r)| text(l) + text(r)).sum(),
            How::OnlyLeft(cells) | How::OnlyRight(cells) => cells.iter().map(text).sum::<usize>(),
            How::Repeated(..) => 0,
        };
        self.key.iter().map(text).sum::<usize>() + cells
    }

    /// The largest distance between two numbers of it, for the order in which differences are told.
    fn magnitude(&self) -> Option<Number> {
        let How::Changed(columns) = &self.how else { return None };
        columns.iter().filter_map(|(_, l, r)| gap(l, r)).map(|gap| gap.magnitude()).max()
    }
}

fn gap(left: &Cell, right: &Cell) -> Option<Number> {
    Some(left.as_number()?.minus(&right.as_number()?))
}

/// A sum of any length; short ones are fast.
#[derive(Debug, Clone)]
pub struct Sum {
    short: Decimal,
    long: Option<Number>,
    /// Whether all that was added are numbers.
    whole: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { short: Decimal::new(0, 0), long: None, whole: true }
    }
}

impl Sum {
    /// Adds what is a number.
    pub fn add(&mut self, cell: &Cell) {
        if let Cell::Decimal(decimal) = cell
            && let Some(sum) = self.short.plus(*decimal)
        {
            self.short = sum;
            return;
        }
        let Some(number) = cell.as_number() else {
            self.whole &= *cell == Cell::Null;
            return;
        };
        self.long = Some(self.long.take().map_or_else(|| number.clone(), |sum| sum.plus(&number)));
    }

    /// The sum.
    pub fn total(&self) -> Number {
        let short = self.short.number();
        self.long.as_ref().map_or_else(|| short.clone(), |long| long.plus(&short))
    }
}

/// What a comparison counted, and what of it is kept.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many rows came from each side.
    pub rows: [u64; 2],
    /// The sum of the evidence column of each side.
    pub evidence: [Sum; 2],
    /// The sums of what is compared, of each side.
    pub totals: Vec<[Sum; 2]>,
    /// On how many keys values differ; how many are on the left only, on the right only, or come unequally
    /// often.
    pub counts: [u64; 4],
    /// The same of what an earlier look found too; all of it where there was none.
    pub lasting: [u64; 4],
    /// The first of those that last, in the order of their keys.
    pub kept: Vec<Difference>,
    /// How many are kept at most.
    pub kept_max: usize,
    kept_bytes: usize,
    /// Whether it was stopped because enough differs.
    pub stopped: bool,
    /// Why it says nothing of some keys, where that is so.
    pub ambiguous: Option<Doubt>,
    /// What differs in this look.
    pub claims: Claims,
    /// What differed in an earlier one.
    pub earlier: Option<Arc<Claims>>,
    /// Of which sides not all rows came: what seems missing there may be among those that did not.
    pub cut: [bool; 2],
}

impl Tally {
    /// Counts nothing yet, of so many compared columns, and will keep so many differences.
    pub fn new(columns: usize, kept_max: usize) -> Self {
        Self { totals: vec![<[Sum; 2]>::default(); columns], kept_max, ..Self::default() }
    }

    /// How many keys differ.
    pub fn differing(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Says whether something differs that did so before, where there was an earlier look.
    pub fn lasts(&self) -> bool {
        self.lasting != [0; 4]
    }

    /// Says whether not all rows came.
    pub fn is_cut(&self) -> bool {
        self.cut != [false, false]
    }

    /// Says whether rows that did not come can make it none.
    fn is_doubtful(&self, how: &How) -> bool {
        let [left, right] = self.cut;
        match how {
            // A key may come again on both.
            How::Changed(_) => left && right,
            How::OnlyLeft(_) => right,
            How::OnlyRight(_) => left,
            How::Repeated(..) => left || right,
        }
    }

    /// Counts a difference, and keeps it where there is room.
    pub fn note(&mut self, difference: Difference) {
        if self.is_doubtful(&difference.how) {
            return;
        }
        let place = place(&difference.how);
        self.counts[place] += 1;
        self.claims.note(&difference);
        if self.earlier.as_ref().is_some_and(|earlier| !earlier.confirm(&difference)) {
            return;
        }
        self.lasting[place] += 1;
        let bytes_max = KEPT_BYTES * self.kept_max.div_ceil(10_000);
        if self.kept.len() < self.kept_max && self.kept_bytes < bytes_max {
            self.kept_bytes += difference.size();
            self.kept.push(difference);
        }
    }
}

/// What is told of two sides that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
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

impl Told {
    /// Puts together what is told of what lasts.
    pub fn new(terms: &Terms, names: [String; 2], tally: &Tally) -> Self {
        let counts = tally.lasting;
        let sums = terms.compare.iter().zip(&tally.totals);
        let sums = sums.filter(|(_, [l, r])| l.whole && r.whole);
        let sums = sums.map(|((column, _), [l, r])| (column.clone(), l.total(), r.total()));
        let mut largest: Vec<&Difference> = tally.kept.iter().collect();
        // Stable: keys of one size stay in their order.
        largest.sort_by_cached_key(|difference| std::cmp::Reverse(difference.magnitude()));
        let of = |place: usize| largest.iter().filter(move |d| self::place(&d.how) == place);
        let first = (0..4).flat_map(|place| of(place).take(TOLD));
        let first = first.map(|difference| shown(difference, terms, &names)).collect();
        Self {
            of_rows: false,
            names,
            rows: tally.rows,
            counts,
            stopped: tally.stopped,
            cut: tally.is_cut(),
            on_the_way: tally.differing() - counts.iter().sum::<u64>(),
            totals: sums.filter(|(_, l, r)| l != r && !tally.is_cut()).collect(),
            first,
            skew: Duration::ZERO,
        }
    }

    /// How many keys differ.
    pub fn differing(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The place of a kind of difference among [`Tally::counts`].
pub fn place(how: &How) -> usize {
    match how {
        How::Changed(_) => 0,
        How::OnlyLeft(_) => 1,
        How::OnlyRight(_) => 2,
        How::Repeated(..) => 3,
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

/// Shows what nobody sees: control characters, spaces that are not the usual one, what joins or combines.
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

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        for first in &self.first {
            write!(f, "; {first}")?;
        }
        Ok(())
    }
}

impl Told {
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
