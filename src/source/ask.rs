//! What an attempt asks a source, and what comes back.

use std::time::Duration;

use crate::domain::name::{CheckId, ColumnName};
use crate::domain::observation::Rows;
use crate::domain::parameter::Bounds;
use crate::domain::sql::Query;
use crate::domain::value::Value;
use crate::domain::verdict::Doubt;

/// All questions of one attempt to one source; they are answered in one snapshot.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Whose attempt it is: the server's administrator sees it.
    pub check: CheckId,
    /// How long each statement may run.
    pub timeout: Duration,
    /// The questions.
    pub questions: Vec<Question>,
}

/// Which part of a check a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The check's own query.
    Body,
    /// `evidence`
    Evidence,
    /// `keys.from`
    Keys,
    /// `zones_from`
    Zones,
}

/// One query, and what is wanted of its result.
#[derive(Debug, Clone)]
pub struct Question {
    /// Which part of the check it is.
    pub part: Part,
    /// The query.
    pub query: Query,
    /// What its parameters stand for.
    pub bounds: Option<Bounds>,
    /// What is wanted.
    pub wanted: Wanted,
}

impl Question {
    /// Says of which query of a check a doubt is, where that is not clear.
    pub(super) fn blame(&self, doubt: Doubt) -> Doubt {
        let part = match self.part {
            Part::Body => return doubt,
            Part::Evidence => "evidence",
            Part::Keys => "keys.from",
            Part::Zones => "zones_from",
        };
        Doubt { note: format!("in `{part}`: {}", doubt.note), ..doubt }
    }
}

/// What is wanted of a result.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Some columns of at most so many rows.
    Rows {
        /// Which columns; no other leaves the database.
        columns: Vec<ColumnName>,
        /// How many rows.
        rows_max: u32,
    },
    /// The first column of at most so many rows, whatever it is called.
    FirstColumn {
        /// What it is called here.
        name: ColumnName,
        /// How many rows.
        rows_max: u32,
    },
    /// The one value of the one row.
    OneValue,
}

/// The answer to one question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// To [`Wanted::Rows`] and [`Wanted::FirstColumn`].
    Rows(Rows),
    /// To [`Wanted::OneValue`].
    Value(Value),
}
