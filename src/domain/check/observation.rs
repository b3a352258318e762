//! What an attempt brought back, before anybody judges it.

use chrono::{DateTime, Utc};

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Reason;
use crate::domain::check::value::Value;
use crate::domain::reconcile::cell::Epoch;

/// The rows of one result, in the columns that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    columns: Vec<ColumnName>,
    rows: Vec<Vec<Value>>,
    completeness: Completeness,
    reason: Option<Reason>,
}

/// Whether a result was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All of it.
    Whole,
    /// Up to the cap on rows.
    RowsCut,
    /// Up to the cap on bytes.
    BytesCut,
}

impl Rows {
    /// Holds rows, each with one value per column.
    pub fn new(
        columns: Vec<ColumnName>,
        rows: Vec<Vec<Value>>,
        completeness: Completeness,
    ) -> Self {
        debug_assert!(rows.iter().all(|row| row.len() == columns.len()));
        Self { columns, rows, completeness, reason: None }
    }

    /// The same rows, with the reason why they prove nothing; what is wrong in them is wrong all the same.
    #[must_use]
    pub fn doubted(self, reason: Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Why they prove nothing, where that is so.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// How many rows were read.
    pub fn count(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    /// Whether the result was read to its end.
    pub fn completeness(&self) -> Completeness {
        self.completeness
    }

    /// Says whether there is more than was read.
    pub fn is_cut(&self) -> bool {
        match self.completeness {
            Completeness::Whole => false,
            Completeness::RowsCut | Completeness::BytesCut => true,
        }
    }

    /// The rows themselves.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    /// The position of a column, where it was asked for.
    pub fn find(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.as_str() == column)
    }

    /// The position of a column that was asked for.
    ///
    /// # Panics
    /// Where the column was not asked for: what is judged is what was read.
    pub fn position(&self, column: &ColumnName) -> usize {
        self.columns
            .iter()
            .position(|c| c == column)
            .expect("the columns that are judged are the columns that were read")
    }
}

/// What one attempt looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The result of the check's query.
    pub body: Rows,
    /// The keys that were expected, where the check expects keys.
    pub expected_keys: Option<Rows>,
    /// The answer of the evidence query, where the check has one.
    pub evidence: Option<Value>,
    /// When it was looked at, and how its source writes instants.
    pub moment: Moment,
}

/// When an attempt looked, and how its sources write instants for which they have no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub now: DateTime<Utc>,
    /// The end of the window that it looked at, where it did.
    pub window_end: Option<DateTime<Utc>>,
    /// Of the check's own source.
    pub epoch: Option<Epoch>,
    /// Of the source of the expected keys.
    pub keys_epoch: Option<Epoch>,
}
