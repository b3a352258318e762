//! What became of a test.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::check::Check;
use crate::domain::testing::{Free, LookAt, Spot};
use crate::engine::asking::Look;

/// What became of one test.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Of which check.
    pub check: Arc<Check>,
    /// Which test.
    pub which: Which,
    /// What came of it.
    pub result: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// Which test of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// One that is written.
    Written(String, Spot),
    /// One that each check has.
    Free(Free),
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The check said what it had to say.
    Passed,
    /// It did not: how, a line each.
    Failed(Vec<String>),
    /// It is switched off, for this reason.
    Waived(String),
    /// It was not run, for this reason.
    NotRun(String),
}

impl Tested {
    pub(super) fn new(check: &Arc<Check>, which: Which, result: Outcome) -> Self {
        Self { check: Arc::clone(check), which, result, took: Duration::ZERO }
    }
}

/// What an attempt looks at.
pub(super) fn look_of(look: &LookAt) -> Look {
    look.window.as_ref().map_or(Look::Present, |(series, window)| Look::at(series, *window))
}
