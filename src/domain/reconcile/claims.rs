//! What a look found to differ, kept as numbers: enough for a later look to say what is so still, whatever the
//! number of differences.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::domain::reconcile::cell::Cell;
use crate::domain::reconcile::differences::{Difference, How};

/// How many are kept at most; those of a million keys with four columns each.
const MOST: usize = 4_000_000;

/// The claims of one look.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    hashes: Vec<u64>,
    sorted: bool,
}

impl Claims {
    /// Takes note of what a difference claims.
    pub fn note(&mut self, difference: &Difference) {
        if self.hashes.len() < MOST {
            self.hashes.extend(of(difference));
            self.sorted = false;
        }
    }

    /// Nothing more is claimed.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.hashes.sort_unstable();
        self.sorted = true;
        self
    }

    /// Says whether some claim of a difference was made before: what is missing is missing, or some value
    /// differs and neither side of it moved. Where both move, a lag that stays the same looks like a difference.
    pub fn confirm(&self, difference: &Difference) -> bool {
        debug_assert!(self.sorted || self.hashes.is_empty());
        of(difference).iter().any(|claim| self.hashes.binary_search(claim).is_ok())
    }
}

/// What a difference claims: of each column that both values are those, or that a side has no such key.
fn of(difference: &Difference) -> Vec<u64> {
    let mut key = DefaultHasher::new();
    for cell in &difference.key {
        hash(cell, &mut key);
    }
    let claim = |what: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = key.clone();
        what(&mut hasher);
        hasher.finish()
    };
    match &difference.how {
        How::Changed(columns) => {
            let column = |(place, left, right): &(usize, Cell, Cell)| {
                claim(&|hasher| {
                    (0_u8, place).hash(hasher);
                    hash(left, hasher);
                    hash(right, hasher);
                })
            };
            columns.iter().map(column).collect()
        }
        How::OnlyLeft(_) => vec![claim(&|hasher| 1_u8.hash(hasher))],
        How::OnlyRight(_) => vec![claim(&|hasher| 2_u8.hash(hasher))],
        How::Repeated(left, right) => vec![claim(&|hasher| (3_u8, left, right).hash(hasher))],
    }
}

/// Equal values have one hash: numbers by value, everything else as it is written.
fn hash(cell: &Cell, hasher: &mut DefaultHasher) {
    match cell.as_number() {
        Some(number) => (0_u8, number.normal()).hash(hasher),
        None => (1_u8, cell.kind().map(|kind| kind.as_str()), cell.plain()).hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reconcile::cell::Decimal;

    fn changed(left: Cell, right: Cell) -> Difference {
        Difference { key: vec![Cell::integer(1)], how: How::Changed(vec![(0, left, right)]) }
    }

    #[test]
    fn what_is_the_same_by_value_is_confirmed_and_what_moved_is_not() {
        let whole = |n: i64, scale: u8| {
            Cell::Decimal(Decimal::new(i128::from(n) * 10_i128.pow(scale.into()), scale))
        };
        let mut claims = Claims::default();
        claims.note(&changed(whole(1, 0), whole(2, 0)));
        claims.note(&Difference {
            key: vec![Cell::integer(2)],
            how: How::OnlyLeft(vec![whole(5, 0)]),
        });
        let claims = claims.sorted();
        assert!(claims.confirm(&changed(whole(1, 3), whole(2, 1))));
        assert!(!claims.confirm(&changed(whole(2, 0), whole(3, 0))));
        let only = |how: How| Difference { key: vec![Cell::integer(2)], how };
        assert!(claims.confirm(&only(How::OnlyLeft(vec![whole(9, 0)]))));
        assert!(!claims.confirm(&only(How::OnlyRight(vec![whole(5, 0)]))));
        assert!(!claims.confirm(&changed(Cell::Text("1".into()), Cell::Text("2".into()))));
    }
}
