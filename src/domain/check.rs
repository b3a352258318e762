//! A check: one declared invariant. What healthy means, where to look, who answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::domain::evidence::{Evidence, Measure};
use crate::domain::limit::{Limit, RowLimit};
use crate::domain::name::{CheckId, ColumnName, LabelName, Owner, SourceName};
use crate::domain::sql::Query;

/// One declared invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its stable identity.
    pub id: CheckId,
    /// What is broken if it is violated, in its owner's words.
    pub why: String,
    /// Who answers.
    pub owner: Owner,
    /// How bad a violation is; the priority too.
    pub severity: Severity,
    /// The team's own labels.
    pub labels: BTreeMap<LabelName, String>,
    /// Where the owner wrote down what to do: an http(s) URL.
    pub runbook: Option<String>,
    /// The database to look at.
    pub source: SourceName,
    /// The query whose result is judged.
    pub query: Query,
    /// What healthy means.
    pub expect: Expect,
    /// What proves that something was looked at.
    pub evidence: Evidence,
    /// The longest that each statement may run; the source's own limit where none is written.
    pub timeout: Option<Duration>,
    /// How many rows are read at most.
    pub max_rows: MaxRows,
    /// Which columns of the first bad rows may be shown beyond those that are judged.
    pub samples: Samples,
    /// The file that declares it.
    pub file: String,
    /// The line of its id in that file.
    pub line: u64,
}

/// How bad a violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody gets up.
    Critical,
    /// Somebody looks tomorrow.
    Warning,
    /// Somebody may look.
    Info,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// Returns the word for it in YAML, metrics and alerts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many rows of one result are read: 1 to 1,000,000, by default 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxRows(NonZeroU32);

impl MaxRows {
    /// The most that a check may ask for.
    pub const MOST: u32 = 1_000_000;

    /// Takes a number of rows that is within bounds.
    pub fn new(rows: u64) -> Option<Self> {
        let rows = u32::try_from(rows).ok().filter(|r| *r <= Self::MOST)?;
        NonZeroU32::new(rows).map(Self)
    }

    /// Returns the number of rows.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for MaxRows {
    fn default() -> Self {
        Self(NonZeroU32::new(10_000).expect("ten thousand is not zero"))
    }
}

/// What healthy means for a result: at least one of three kinds of expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    rows: Option<RowLimit>,
    values: BTreeMap<ColumnName, Limit>,
    keys: Option<Keys>,
}

/// Who must appear in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The columns that identify a row, here and in `from`, in the same order.
    pub columns: Vec<ColumnName>,
    /// The query that brings the expected keys.
    pub from: Query,
    /// The database that it asks.
    pub source: SourceName,
}

impl Expect {
    /// Puts expectations together; `None` where there is not one.
    pub fn new(
        rows: Option<RowLimit>,
        values: BTreeMap<ColumnName, Limit>,
        keys: Option<Keys>,
    ) -> Option<Self> {
        let something = rows.is_some() || !values.is_empty() || keys.is_some();
        something.then_some(Self { rows, values, keys })
    }

    /// How many rows must come.
    pub fn rows(&self) -> Option<&RowLimit> {
        self.rows.as_ref()
    }

    /// What must hold for a column on every row.
    pub fn values(&self) -> &BTreeMap<ColumnName, Limit> {
        &self.values
    }

    /// Who must appear.
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Says whether an empty result satisfies the expectation on the number of rows.
    pub fn allows_zero_rows(&self) -> bool {
        self.rows.as_ref().is_some_and(|limit| limit.holds(0))
    }
}

/// How many of the bad rows are shown, and which columns beyond those that are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// How many rows.
    pub rows: usize,
    /// Which columns; empty where samples are off.
    pub columns: Vec<ColumnName>,
}

impl Samples {
    /// The most rows that may be shown.
    pub const MOST: usize = 20;
}

impl Default for Samples {
    fn default() -> Self {
        Self { rows: 5, columns: Vec::new() }
    }
}

impl Check {
    /// Returns the columns that are read from the body's result, each once: nothing else leaves the
    /// database.
    pub fn columns_read(&self) -> Vec<ColumnName> {
        let evidence = match &self.evidence.measure {
            Measure::Column(column) => Some(column),
            Measure::Rows | Measure::ExpectedKeys | Measure::Query(_) => None,
        };
        let keys = self.expect.keys().into_iter().flat_map(|k| &k.columns);
        let all: BTreeSet<&ColumnName> = keys
            .chain(self.expect.values().keys())
            .chain(evidence)
            .chain(&self.samples.columns)
            .collect();
        all.into_iter().cloned().collect()
    }

    /// Returns the columns whose values may be shown: what is judged, and what samples name.
    pub fn columns_shown(&self) -> Vec<ColumnName> {
        let named = self.expect.keys().into_iter().flat_map(|k| &k.columns);
        let named = named.chain(self.expect.values().keys()).chain(&self.samples.columns);
        named.collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// Returns every source that the check asks, its own first.
    pub fn sources(&self) -> Vec<&SourceName> {
        let mut all = vec![&self.source];
        all.extend(self.expect.keys().map(|k| &k.source).filter(|s| **s != self.source));
        all
    }
}
