//! The merge: two streams of rows in the order of their key, joined in constant memory.
//!
//! It is fed batch by batch and says which side it needs next. Each stream has to come in the order of
//! [`Cell`]; one that does not is not compared, because a merge over it would invent differences. Where a
//! key comes more than once, how often it comes is compared, and nothing else: which rows pair is not known.

mod columns;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::{Cell, Epoch, Kind};
use crate::domain::reconcile::claims::Claims;
use crate::domain::reconcile::differences::{Difference, How, Tally};
use crate::domain::reconcile::incomparable::{floats, stray_float, unordered};
use crate::domain::reconcile::{Terms, Tolerance};

/// With how many differing keys a comparison has seen enough.
const ENOUGH: u64 = 1_000_000;

/// One of two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

impl Which {
    fn place(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// What a merge needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More rows of a side, or its end.
    Feed(Which),
    /// Nothing: all is compared.
    Done,
}

/// One side's rows.
#[derive(Debug, Default)]
struct Half {
    cells: Vec<Cell>,
    /// Where the row begins that is next.
    at: usize,
    ended: bool,
    /// The key before the row that is next, where it is in an earlier batch.
    carried: Option<Vec<Cell>>,
    /// Whether a row was taken from this batch.
    taken: bool,
    /// Whether the key that is being compared is there, and how often it came again.
    present: bool,
    again: u64,
}

/// Two streams that are being joined.
#[derive(Debug)]
pub struct Merge<'t> {
    terms: &'t Terms,
    /// How many cells a row has: key, compared columns, and evidence where it is counted.
    width: usize,
    epochs: [Option<Epoch>; 2],
    /// Of which sides columns have no type: each row may have another.
    untyped: [bool; 2],
    /// What each column is compared as, once that is known.
    kinds: Vec<Option<Kind>>,
    /// What each column is on each side.
    seen: [Vec<Option<Kind>>; 2],
    halves: [Half; 2],
    /// What the key that was taken last says, unless it comes again.
    pending: Option<Difference>,
    /// Whether what is compared is summed up.
    sums: bool,
    /// What was counted.
    pub tally: Tally,
}

impl<'t> Merge<'t> {
    /// Joins rows of these columns, followed by one of evidence where that is counted.
    pub fn new(
        terms: &'t Terms,
        with_evidence: bool,
        epochs: [Option<Epoch>; 2],
        kept_max: usize,
    ) -> Self {
        let columns = terms.key.len() + terms.compare.len();
        Self {
            terms,
            width: columns + usize::from(with_evidence),
            epochs,
            untyped: [false; 2],
            kinds: vec![None; columns],
            seen: [vec![None; columns], vec![None; columns]],
            halves: <[Half; 2]>::default(),
            pending: None,
            sums: true,
            tally: Tally::new(terms.compare.len(), kept_max),
        }
    }

    /// Looks at each row of these sides for what its column is: it has no type.
    #[must_use]
    pub fn untyped(mut self, untyped: [bool; 2]) -> Self {
        self.untyped = untyped;
        self
    }

    /// Says of what differs whether it did so in an earlier look.
    #[must_use]
    pub fn after(mut self, earlier: Option<Arc<Claims>>) -> Self {
        self.tally.earlier = earlier;
        self
    }

    /// Sums nothing up: of the rows behind results the sums are known.
    #[must_use]
    pub fn without_sums(mut self) -> Self {
        self.sums = false;
        self
    }

    /// Takes the next rows of a side whose rows before are all taken.
    ///
    /// # Errors
    /// Where the columns cannot be compared, or do not come in order.
    pub fn feed(&mut self, side: Which, cells: Vec<Cell>) -> Result<(), Reason> {
        debug_assert_eq!(cells.len() % self.width, 0);
        let key = self.terms.key.len();
        let half = &mut self.halves[side.place()];
        if half.taken {
            let last = half.at - self.width;
            half.carried = Some(half.cells[last..last + key].to_vec());
        }
        (half.cells, half.at, half.taken) = (cells, 0, false);
        if self.untyped[side.place()] {
            stray_float(self.terms, half.cells.chunks(self.width))?;
        }
        self.learn(side)?;
        self.read_as(side, 0)
    }

    /// Brings the rows of both sides into order: for those that are all there.
    pub fn sort(&mut self) {
        let (width, key) = (self.width, self.terms.key.len());
        for half in &mut self.halves {
            let mut rows: Vec<Vec<Cell>> = Vec::with_capacity(half.cells.len() / width);
            let mut cells = std::mem::take(&mut half.cells).into_iter();
            loop {
                let row: Vec<Cell> = cells.by_ref().take(width).collect();
                if row.is_empty() {
                    break;
                }
                rows.push(row);
            }
            rows.sort_by(|a, b| a[..key].cmp(&b[..key]));
            half.cells = rows.into_iter().flatten().collect();
        }
    }

    /// A side has no more rows.
    pub fn end(&mut self, side: Which) {
        self.halves[side.place()].ended = true;
    }

    /// Compares as far as it goes, and says what is needed next.
    ///
    /// # Errors
    /// Where a side does not come in order, or a value cannot be compared.
    pub fn advance(&mut self) -> Result<Next, Reason> {
        let key = self.terms.key.len();
        loop {
            for side in [Which::Left, Which::Right] {
                let half = &self.halves[side.place()];
                if half.at >= half.cells.len() && !half.ended {
                    return Ok(Next::Feed(side));
                }
            }
            if self.tally.differing() >= ENOUGH {
                self.tally.stopped = true;
                return Ok(Next::Done);
            }
            let [left, right] = &self.halves;
            let (l, r) =
                (left.cells.get(left.at..left.at + key), right.cells.get(right.at..right.at + key));
            let order = match (l, r) {
                (None, None) => {
                    self.settle();
                    return Ok(Next::Done);
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(l), Some(r)) => l.cmp(r),
            };
            match order {
                Ordering::Less => self.alone(Which::Left)?,
                Ordering::Greater => self.alone(Which::Right)?,
                Ordering::Equal => self.both()?,
            }
        }
    }

    /// Takes the next row of a side; says whether its key is the one before again.
    fn take(&mut self, side: Which) -> Result<bool, Reason> {
        let key = self.terms.key.len();
        let half = &mut self.halves[side.place()];
        let before = if half.taken {
            Some(&half.cells[half.at - self.width..half.at - self.width + key])
        } else {
            half.carried.as_deref()
        };
        let row = &half.cells[half.at..half.at + self.width];
        let order = before.map_or(Ordering::Less, |before| before.cmp(&row[..key]));
        if order == Ordering::Greater {
            return Err(unordered(self.terms, side));
        }
        self.tally.rows[side.place()] += 1;
        if self.sums {
            for (total, cell) in self.tally.totals.iter_mut().zip(&row[key..]) {
                total[side.place()].add(cell);
            }
        }
        if let Some(evidence) = row.get(self.kinds.len()) {
            self.tally.evidence[side.place()].add(counted(evidence)?);
        }
        half.at += self.width;
        half.taken = true;
        half.again += u64::from(order == Ordering::Equal);
        Ok(order == Ordering::Equal)
    }

    /// The row that was taken last.
    fn taken(&self, side: Which) -> &[Cell] {
        let half = &self.halves[side.place()];
        &half.cells[half.at - self.width..half.at]
    }

    /// A row whose key the other side does not have, or not again.
    fn alone(&mut self, side: Which) -> Result<(), Reason> {
        if self.is_again(side) {
            return self.take(side).map(drop);
        }
        self.settle();
        self.take(side)?;
        self.halves[side.place()].present = true;
        let (key, compared) = (self.terms.key.len(), self.kinds.len());
        let row = self.taken(side);
        let (key, cells) = (row[..key].to_vec(), row[key..compared].to_vec());
        let how = if side == Which::Left { How::OnlyLeft(cells) } else { How::OnlyRight(cells) };
        self.pending = Some(Difference { key, how });
        Ok(())
    }

    /// Two rows of one key.
    fn both(&mut self) -> Result<(), Reason> {
        // Both come again, or one does: that is settled when both are past the key.
        for side in [Which::Left, Which::Right] {
            if self.is_again(side) {
                return self.take(side).map(drop);
            }
        }
        self.settle();
        self.take(Which::Left)?;
        self.take(Which::Right)?;
        (self.halves[0].present, self.halves[1].present) = (true, true);
        let (l, r) = (self.taken(Which::Left), self.taken(Which::Right));
        let key = self.terms.key.len();
        if l[key..self.kinds.len()] == r[key..self.kinds.len()] {
            return Ok(());
        }
        let (mut changed, mut inexact) = (Vec::new(), None);
        for (place, (column, tolerance)) in self.terms.compare.iter().enumerate() {
            let (l, r) = (&l[key + place], &r[key + place]);
            if l == r {
                continue;
            }
            let is_float = |cell: &Cell| cell.kind() == Some(Kind::Float);
            if tolerance.is_exact() && (is_float(l) || is_float(r)) {
                inexact = Some(floats(column));
            } else if !self.alike(l, r, tolerance) {
                changed.push((place, l.clone(), r.clone()));
            }
        }
        let key = l[..key].to_vec();
        if !changed.is_empty() {
            self.pending = Some(Difference { key, how: How::Changed(changed) });
        }
        if let Some(reason) = inexact {
            self.tally.ambiguous.get_or_insert(reason);
        }
        Ok(())
    }

    /// Says whether two values that are not the same are near enough, or are the same as numbers or instants.
    fn alike(&self, left: &Cell, right: &Cell, tolerance: &Tolerance) -> bool {
        let [l, r] = &self.epochs;
        let kinds = left.kind().zip(right.kind());
        let kind = kinds.filter(|(l, r)| l != r).and_then(|(l, r)| Kind::of_both(l, r));
        let read = kind.and_then(|kind| Some((left.read_as(kind, *l)?, right.read_as(kind, *r)?)));
        let (left, right) = match &read {
            Some((left, right)) => (left, right),
            None => (left, right),
        };
        match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => tolerance.holds(&left, &right),
            (None, _) | (_, None) => left == right,
        }
    }

    /// Says whether the row that is next has the key of the one before.
    fn is_again(&self, side: Which) -> bool {
        let key = self.terms.key.len();
        let half = &self.halves[side.place()];
        let next = &half.cells[half.at..half.at + key];
        if half.taken {
            let before = half.at - self.width;
            return half.cells[before..before + key] == *next;
        }
        half.carried.as_deref() == Some(next)
    }

    /// Both sides are past the key that was taken last: says what is to be said of it.
    fn settle(&mut self) {
        let pending = self.pending.take();
        let [left, right] = &mut self.halves;
        let both = left.present && right.present;
        let (l, r) = (std::mem::take(&mut left.again), std::mem::take(&mut right.again));
        (left.present, right.present) = (false, false);
        if !both || l == 0 && r == 0 {
            if let Some(difference) = pending {
                self.tally.note(difference);
            }
            return;
        }
        // Which row goes with which is not known: how often they come is compared, and no value.
        if l == r {
            let key =
                self.terms.key.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
            let note = format!(
                "a key comes {} times on both sides, so that its rows cannot be paired: let {key} name one \
                 row, by more columns or by a `group by`",
                l + 1
            );
            self.tally.ambiguous.get_or_insert(Reason::new(Cause::QueryError, note));
            return;
        }
        let half = &self.halves[usize::from(l < r)];
        let key = if half.taken {
            let before = half.at - self.width;
            half.cells[before..before + self.terms.key.len()].to_vec()
        } else {
            half.carried.clone().unwrap_or_default()
        };
        self.tally.note(Difference { key, how: How::Repeated(l + 1, r + 1) });
    }
}

fn counted(cell: &Cell) -> Result<&Cell, Reason> {
    let count = cell.as_number().filter(|number| number.as_count().is_some());
    if count.is_some() {
        return Ok(cell);
    }
    let note =
        "the evidence column is not a count on every row: a whole number that is not negative";
    Err(Reason::new(Cause::QueryError, note))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::check::name::ColumnName;
    use crate::domain::reconcile::cell::Decimal;

    fn terms() -> Terms {
        let column = |name: &str| ColumnName::parse(name).unwrap();
        Terms { key: vec![column("id")], compare: vec![(column("v"), Tolerance::default())] }
    }

    /// A row; its number with more or fewer zeros after the point.
    fn row(key: i64, value: Option<i64>, scale: u8) -> [Cell; 2] {
        let digits = |v: i64| i128::from(v) * 10_i128.pow(u32::from(scale));
        let value = value.map_or(Cell::Null, |v| Cell::Decimal(Decimal::new(digits(v), scale)));
        [Cell::integer(key), value]
    }

    /// Feeds both sides in batches of some sizes, one after the other where both could take more.
    fn merged(left: &[[Cell; 2]], right: &[[Cell; 2]], sizes: &[usize]) -> Result<Tally, Reason> {
        let terms = terms();
        let mut merge = Merge::new(&terms, false, [None, None], 1_000);
        let (mut rest, mut sizes) = ([left, right], sizes.iter().cycle());
        loop {
            let side = match merge.advance()? {
                Next::Done => return Ok(merge.tally),
                Next::Feed(side) => side,
            };
            let rows = &mut rest[side.place()];
            if rows.is_empty() {
                merge.end(side);
                continue;
            }
            let (batch, more) = rows.split_at((*sizes.next().unwrap()).min(rows.len()));
            *rows = more;
            merge.feed(side, batch.iter().flatten().cloned().collect())?;
        }
    }

    #[test]
    fn what_does_not_come_in_order_is_not_compared() {
        let rows = [row(1, None, 0), row(3, None, 0), row(2, None, 0)];
        for sizes in [[1], [2], [9]] {
            let reason = merged(&rows, &rows, &sizes).unwrap_err();
            assert_eq!(reason.cause, Cause::Unordered);
        }
    }

    proptest! {
        /// Whatever two sides hold, and however it comes: what differs is found, and nothing else.
        #[test]
        fn exactly_what_differs_is_found(
            left in proptest::collection::btree_map(0_i64..30, proptest::option::of(-3_i64..3), 0..25),
            right in proptest::collection::btree_map(0_i64..30, proptest::option::of(-3_i64..3), 0..25),
            sizes in proptest::collection::vec(1_usize..6, 1..6),
        ) {
            let rows = |side: &BTreeMap<i64, Option<i64>>, scale| -> Vec<[Cell; 2]> {
                side.iter().map(|(key, value)| row(*key, *value, scale)).collect()
            };
            let tally = merged(&rows(&left, 0), &rows(&right, 3), &sizes).unwrap();
            let keys: BTreeSet<i64> = left.keys().chain(right.keys()).copied().collect();
            let wrong: Vec<Cell> = keys
                .into_iter()
                .filter(|key| left.get(key) != right.get(key))
                .map(Cell::integer)
                .collect();
            let found: Vec<Cell> = tally.kept.iter().map(|d| d.key[0].clone()).collect();
            prop_assert_eq!(found, wrong);
            prop_assert_eq!(tally.rows, [left.len() as u64, right.len() as u64]);
            prop_assert!(tally.ambiguous.is_none());
        }

        /// A key that comes again: unequally often is a difference, equally often no proof.
        #[test]
        fn how_often_a_key_comes_is_compared_too(
            left in proptest::collection::btree_map(0_i64..6, 1_u64..4, 0..6),
            right in proptest::collection::btree_map(0_i64..6, 1_u64..4, 0..6),
            sizes in proptest::collection::vec(1_usize..4, 1..6),
        ) {
            let rows = |side: &BTreeMap<i64, u64>| -> Vec<[Cell; 2]> {
                let of = |(key, times): (&i64, &u64)| (0..*times).map({ let key = *key; move |_| row(key, Some(1), 0) });
                side.iter().flat_map(of).collect()
            };
            let tally = merged(&rows(&left), &rows(&right), &sizes).unwrap();
            let times = |side: &BTreeMap<i64, u64>, key| side.get(&key).copied().unwrap_or(0);
            let wrong = (0..6).filter(|key| times(&left, *key) != times(&right, *key));
            let found: Vec<Cell> = tally.kept.iter().map(|d| d.key[0].clone()).collect();
            prop_assert_eq!(found, wrong.map(Cell::integer).collect::<Vec<_>>());
            let doubtful = (0..6).any(|key| times(&left, key) == times(&right, key) && times(&left, key) > 1);
            prop_assert_eq!(tally.ambiguous.is_some(), doubtful);
        }
    }
}
