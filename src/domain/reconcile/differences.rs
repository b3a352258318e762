//! What differs between two sides: counted whole, kept in part, shown so that an engineer can act on it.

use std::sync::Arc;

use crate::domain::check::MASKED;
use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::reason::Reason;
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::cell::{Cell, Decimal};
use crate::domain::reconcile::claims::Claims;

/// How many bytes of texts are kept with differences, roughly, for each ten thousand that are to be kept.
const KEPT_BYTES: usize = 8 << 20;

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
    /// The same, with nothing to be seen of the values of some columns.
    #[must_use]
    pub fn masked(&self, terms: &Terms, mask: &[ColumnName]) -> Self {
        let masked = || Cell::Text(MASKED.into());
        let of = |column: &ColumnName, cell: &Cell| match mask.contains(column) {
            true => masked(),
            false => cell.clone(),
        };
        let compared = |place: usize, cell: &Cell| match terms.compare.get(place) {
            Some((column, _)) => of(column, cell),
            None => cell.clone(),
        };
        let all = |cells: &[Cell]| {
            cells.iter().enumerate().map(|(place, cell)| compared(place, cell)).collect()
        };
        let how = match &self.how {
            How::Changed(columns) => {
                let columns = columns.iter();
                let pairs = columns.map(|(i, l, r)| (*i, compared(*i, l), compared(*i, r)));
                How::Changed(pairs.collect())
            }
            How::OnlyLeft(cells) => How::OnlyLeft(all(cells)),
            How::OnlyRight(cells) => How::OnlyRight(all(cells)),
            How::Repeated(left, right) => How::Repeated(*left, *right),
        };
        let key = terms.key.iter().zip(&self.key).map(|(column, cell)| of(column, cell));
        Self { key: key.collect(), how }
    }

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
    pub(super) fn magnitude(&self) -> Option<Number> {
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
    pub(super) whole: bool,
    /// Whether something other than NULL was added.
    met: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { short: Decimal::new(0, 0), long: None, whole: true, met: false }
    }
}

impl Sum {
    /// Adds what is a number.
    pub fn add(&mut self, cell: &Cell) {
        self.met |= !matches!(cell, Cell::Null);
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
    pub ambiguous: Option<Reason>,
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

    /// Says whether rows came, and all that is compared of them is NULL, on both sides.
    pub fn is_all_null(&self) -> bool {
        let met = self.totals.iter().flatten().any(|sum| sum.met);
        self.rows != [0, 0] && !self.totals.is_empty() && !met
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
        let place = place_of(&difference.how);
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

/// The place of a kind of difference among [`Tally::counts`].
pub fn place_of(how: &How) -> usize {
    match how {
        How::Changed(_) => 0,
        How::OnlyLeft(_) => 1,
        How::OnlyRight(_) => 2,
        How::Repeated(..) => 3,
    }
}
