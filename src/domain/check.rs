//! A check: one declared invariant. What healthy means, where to look, who answers.

pub mod name;
pub mod limit;
mod literal;
pub mod evidence;
pub mod share;
pub mod freshness;
pub mod recheck;
pub mod observation;
pub mod judge;
pub mod verdict;
pub mod reason;
pub mod value;
pub mod number;
pub mod catalogue;
pub mod succession;
pub mod fault;
pub mod code;
pub mod lint;
pub mod looks;
pub mod nearest;
pub mod plain;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::domain::check::evidence::{Evidence, Measure};
use crate::domain::check::freshness::Freshness;
use crate::domain::check::limit::Limit;
use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::name::{CheckId, ColumnName, LabelName, Owner, SourceName};
use crate::domain::check::recheck::Recheck;
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::Query;
use crate::domain::table::Table;
use crate::domain::time::schedule::{Except, Pause, Schedule};
use crate::domain::time::window::{WindowRule, ZoneChoice};

/// One declared invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its stable identity.
    pub id: CheckId,
    /// Its earlier identity, whose history it goes on with.
    pub was: Option<CheckId>,
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
    /// What is asked, and what healthy means.
    pub body: Body,
    /// What proves that something was looked at.
    pub evidence: Evidence,
    /// When to look.
    pub schedule: Schedule,
    /// Which data to look at; none where each look is at the present.
    pub window: Option<WindowRule>,
    /// How long after its due a result may be missing; where nothing is written, see
    /// `Series::patience`.
    pub result_by: Option<Duration>,
    /// What becomes of windows that were not looked at in time.
    pub catch_up: CatchUp,
    /// When a window that was proved is proved again.
    pub recheck: Recheck,
    /// When an alert is sent.
    pub alert: Alert,
    /// Whether it waits, and until when.
    pub pause: Option<Pause>,
    /// Which dates it does not look at.
    pub except: Option<Except>,
    /// How far the data of its source is complete, where the check knows that better than the settings.
    pub freshness: Freshness,
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

/// What a check asks, and what healthy means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The result of one query is judged.
    Sql {
        /// The query.
        query: Query,
        /// What healthy means.
        expect: Box<Expect>,
    },
    /// The results of two queries have to be the same.
    Reconcile(Box<Reconcile>),
    /// The rows of a table have to keep to rules.
    Table(Box<Table>),
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

/// What becomes of windows that came due while the daemon did not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// Which of them are looked at late.
    pub policy: CatchUpPolicy,
    /// Up to which age.
    pub age: Duration,
}

/// Which windows are looked at late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUpPolicy {
    /// All of them.
    All,
    /// The last one.
    Latest,
    /// None.
    Nothing,
}

impl CatchUpPolicy {
    /// The words for it.
    pub const WORDS: [(&str, Self); 3] =
        [("all", Self::All), ("latest", Self::Latest), ("none", Self::Nothing)];

    /// Says whether a late window is looked at, given whether it is the last that was due.
    pub fn catches_up(self, is_newest: bool) -> bool {
        match self {
            Self::All => true,
            Self::Latest => is_newest,
            Self::Nothing => false,
        }
    }
}

impl Default for CatchUp {
    fn default() -> Self {
        Self { policy: CatchUpPolicy::All, age: Duration::from_secs(35 * 86_400) }
    }
}

/// When an alert says that a series is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// After how many bad windows in a row.
    pub after: NonZeroU32,
    /// How bad it is that nothing can be said; as bad as a violation where nothing is written.
    pub unconfirmed: Option<Severity>,
}

impl Default for Alert {
    fn default() -> Self {
        Self { after: NonZeroU32::MIN, unconfirmed: None }
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
    /// Columns whose values are shown nowhere, though they are judged, compared or keys.
    pub mask: Vec<ColumnName>,
}

/// What is shown instead of a value that is masked.
pub const MASKED: &str = "***";

impl Samples {
    /// The most rows that may be shown.
    pub const MOST: usize = 20;
}

impl Default for Samples {
    fn default() -> Self {
        Self { rows: 5, columns: Vec::new(), mask: Vec::new() }
    }
}

impl Check {
    /// What healthy means, where the result of one query is judged.
    pub fn expect(&self) -> Option<&Expect> {
        match &self.body {
            Body::Sql { expect, .. } => Some(expect),
            Body::Reconcile(_) | Body::Table(_) => None,
        }
    }

    /// The reconciliation, where it is one.
    pub fn reconcile(&self) -> Option<&Reconcile> {
        match &self.body {
            Body::Sql { .. } | Body::Table(_) => None,
            Body::Reconcile(reconcile) => Some(reconcile),
        }
    }

    /// The table, where rules for one are judged.
    pub fn table(&self) -> Option<&Table> {
        match &self.body {
            Body::Sql { .. } | Body::Reconcile(_) => None,
            Body::Table(table) => Some(table),
        }
    }

    fn keys(&self) -> Option<&Keys> {
        self.expect().and_then(Expect::keys)
    }

    /// Returns the columns that are read from the body's result, each once: nothing else leaves the
    /// database.
    pub fn columns_read(&self) -> Vec<ColumnName> {
        let evidence = match &self.evidence.measure {
            Measure::Column(column) => Some(column),
            Measure::Rows | Measure::ExpectedKeys | Measure::Query(_) => None,
        };
        let keys = self.keys().into_iter().flat_map(|k| &k.columns);
        let values = self.expect().into_iter().flat_map(|expect| expect.values().keys());
        let all: BTreeSet<&ColumnName> =
            keys.chain(values).chain(evidence).chain(&self.samples.columns).collect();
        all.into_iter().cloned().collect()
    }

    /// Returns the columns whose values may be shown: what is judged, and what samples name.
    pub fn columns_shown(&self) -> Vec<ColumnName> {
        let named = self.keys().into_iter().flat_map(|k| &k.columns);
        let values = self.expect().into_iter().flat_map(|expect| expect.values().keys());
        let named = named.chain(values).chain(&self.samples.columns);
        let mut all: BTreeSet<ColumnName> = named.cloned().collect();
        all.extend(self.reconcile().into_iter().flat_map(Reconcile::columns_shown));
        let rules = self.table().into_iter().flat_map(|table| table.rules().columns_shown());
        all.extend(rules.cloned());
        all.into_iter().collect()
    }

    /// Says whether the values of a column are shown nowhere.
    pub fn masks(&self, column: &ColumnName) -> bool {
        self.samples.mask.contains(column)
    }

    /// Returns every query of the check.
    pub fn queries(&self) -> Vec<&Query> {
        self.queries_by_source().into_iter().map(|(_, query)| query).collect()
    }

    /// Returns every query of the check, with the source that it asks.
    pub fn queries_by_source(&self) -> Vec<(&SourceName, &Query)> {
        let own = |query| (&self.source, query);
        let mut all = match &self.body {
            Body::Sql { query, .. } => vec![own(query)],
            Body::Table(table) => table.statements().iter().map(|s| own(&s.query)).collect(),
            Body::Reconcile(reconcile) => {
                let (left, right) = (&reconcile.left.source, &reconcile.right.source);
                let rows = reconcile.detail.iter();
                let rows = rows.flat_map(|rows| [(left, &rows.left), (right, &rows.right)]);
                let sides = reconcile.sides().into_iter().map(|side| (&side.source, &side.query));
                sides.chain(rows).collect()
            }
        };
        if let Measure::Query(query) = &self.evidence.measure {
            all.push(own(query));
        }
        all.extend(self.keys().map(|keys| (&keys.source, &keys.from)));
        all.extend(self.freshness.complete_until.as_ref().map(own));
        if let Some(ZoneChoice::From(from)) = self.window.as_ref().map(|w| &w.zones) {
            all.push((&from.source, &from.query));
        }
        all
    }

    /// Returns every source that an attempt asks, its own first.
    pub fn sources_asked(&self) -> Vec<&SourceName> {
        let other = match &self.body {
            Body::Sql { .. } => self.keys().map(|keys| &keys.source),
            Body::Table(_) => None,
            Body::Reconcile(reconcile) => Some(&reconcile.right.source),
        };
        let other = other.filter(|source| **source != self.source);
        std::iter::once(&self.source).chain(other).collect()
    }

    /// Returns every source that the check asks, its own first.
    pub fn sources(&self) -> Vec<&SourceName> {
        let mut all = self.sources_asked();
        if let Some(ZoneChoice::From(from)) = self.window.as_ref().map(|w| &w.zones) {
            all.extend(Some(&from.source).filter(|s| !all.contains(s)));
        }
        all
    }
}
