//! Evidence: how an attempt proves that it looked at something.

use std::num::NonZeroU64;

use crate::domain::check::Expect;
use crate::domain::check::name::ColumnName;
use crate::domain::check::share::Share;
use crate::domain::sql::Query;

/// What is counted as looked at, and how much of it a proof needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What is counted.
    pub measure: Measure,
    /// How much is needed.
    pub minimum: Minimum,
    /// Of which part of the data.
    pub scope: Scope,
    /// Which part of what is usual a proof needs, where that is written.
    pub history: Option<Share>,
}

/// Of which part of the data the evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of what the attempt looks at.
    Window,
    /// Of the whole period, where the attempt looks at a stretch of it.
    Period,
}

/// What is counted as looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// The rows that came.
    Rows,
    /// The keys that were expected.
    ExpectedKeys,
    /// The sum of a column over the rows that came.
    Column(ColumnName),
    /// One non-negative integer from a query of its own, in the same snapshot as the body.
    Query(Query),
}

/// How much evidence a proof needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Minimum {
    /// At least so much.
    AtLeast(NonZeroU64),
    /// None, for sparse data, with the reason that the owner gave.
    Waived {
        /// Why no evidence is needed.
        because: String,
    },
}

impl Minimum {
    /// The default: something must have been looked at.
    pub const ONE: Self = Self::AtLeast(NonZeroU64::MIN);

    /// Says whether this much evidence is enough.
    pub fn is_met_by(&self, evidence: u64) -> bool {
        match self {
            Self::AtLeast(min) => evidence >= min.get(),
            Self::Waived { .. } => true,
        }
    }
}

impl Evidence {
    /// Returns what counts as evidence where the check writes nothing, or nothing where it must.
    ///
    /// Zero rows that satisfy `rows` prove nothing by themselves: such a check has to say what
    /// was looked at.
    pub fn implied(expect: &Expect) -> Option<Self> {
        Self::implied_measure(expect).map(|measure| Self {
            measure,
            minimum: Minimum::ONE,
            scope: Scope::Window,
            history: None,
        })
    }

    /// Returns what is counted where the check does not write it.
    pub fn implied_measure(expect: &Expect) -> Option<Measure> {
        if expect.allows_zero_rows() {
            None
        } else if expect.keys().is_some() {
            Some(Measure::ExpectedKeys)
        } else {
            Some(Measure::Rows)
        }
    }
}
