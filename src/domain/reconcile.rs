//! Reconciliation: the same window asked of two sources, joined by key, compared by value.

pub mod cell;
pub mod claims;
pub mod differences;
pub mod summary;
mod incomparable;
pub mod merge;

use std::time::Duration;

use crate::domain::check::name::{ColumnName, SourceName};
use crate::domain::check::number::Number;
use crate::domain::sql::Query;

/// Two queries whose results have to be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconcile {
    /// One side.
    pub left: Side,
    /// The other side.
    pub right: Side,
    /// By what rows are joined, and what of them is compared.
    pub terms: Terms,
    /// How long after a difference both are asked again before it is called one: it may be on its way.
    /// Zero where nothing is on its way.
    pub confirm_after: Duration,
    /// The rows behind, where the check names them.
    pub detail: Option<Detail>,
}

impl Reconcile {
    /// How long `confirm_after` is where a check does not say.
    pub const CONFIRM_AFTER: Duration = Duration::from_secs(30);

    /// Both sides, the left one first.
    pub fn sides(&self) -> [&Side; 2] {
        [&self.left, &self.right]
    }

    /// Which columns' values may be shown.
    pub fn columns_shown(&self) -> Vec<ColumnName> {
        let terms = std::iter::once(&self.terms).chain(self.detail.iter().map(|d| &d.terms));
        let all = terms.flat_map(Terms::columns).cloned();
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
}

/// One side of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Whom it asks.
    pub source: SourceName,
    /// What it asks.
    pub query: Query,
}

/// The rows behind the two results: read in the order of their key, to name those that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The rows of the left side.
    pub left: Query,
    /// The rows of the right side.
    pub right: Query,
    /// By what they are joined, and what of them is compared.
    pub terms: Terms,
    /// Whether they are read though the results behind which they stand are the same.
    pub always: bool,
}

/// By what rows are joined, and what of them is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The columns that together name a row.
    pub key: Vec<ColumnName>,
    /// The columns that have to be the same, and how far they may be apart.
    pub compare: Vec<(ColumnName, Tolerance)>,
}

impl Terms {
    /// The columns in the order in which they are read.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnName> {
        self.key.iter().chain(self.compare.iter().map(|(column, _)| column))
    }
}

/// How far two numbers may be apart: either suffices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tolerance {
    /// By so much.
    pub absolute: Option<Number>,
    /// By so much of the larger magnitude.
    pub ratio: Option<Number>,
}

impl Tolerance {
    /// Says whether half of a value, or more, may be missing.
    pub fn is_half(&self) -> bool {
        self.ratio.as_ref().zip(Number::parse("0.5")).is_some_and(|(ratio, half)| *ratio >= half)
    }

    /// Says whether everything that another one takes is near enough by this one too.
    pub fn takes_all_of(&self, other: &Self) -> bool {
        let zero = Number::from(0_u64);
        let of = |limit: &Option<Number>| limit.clone().unwrap_or_else(|| zero.clone());
        of(&self.absolute) >= of(&other.absolute) && of(&self.ratio) >= of(&other.ratio)
    }

    /// Says whether nothing is tolerated.
    pub fn is_exact(&self) -> bool {
        let none = |limit: &Option<Number>| limit.as_ref().is_none_or(Number::is_zero);
        none(&self.absolute) && none(&self.ratio)
    }

    /// Says whether two numbers are near enough.
    pub fn holds(&self, left: &Number, right: &Number) -> bool {
        self.absolute.as_ref().is_some_and(|most| left.within(right, most))
            || self.ratio.as_ref().is_some_and(|most| left.within_ratio(right, most))
            || left == right
    }
}
