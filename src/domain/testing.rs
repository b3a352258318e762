//! Tests of checks: rows that are made up, and the verdict that has to come of them.
//!
//! A check that cannot fail is worse than none. A test shows that one can: it says which rows there are, at which window
//! the check looks, and what it has to say.

pub mod expected;
pub mod generate;
pub mod mutants;
pub mod columns;
pub mod edges;

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::Check;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::record::series::Series;
use crate::domain::table::TableName;
use crate::domain::testing::expected::Expected;
use crate::domain::time::window::Window;

/// The tests of a catalogue.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// The tables of each source that is tested.
    pub schemas: Vec<Schema>,
    /// The tests, in the order of their files.
    pub tests: Vec<Test>,
    /// What is taken out.
    pub waived: Vec<Waived>,
    /// The columns that rows of a table have by default.
    pub defaults: Vec<(TableName, Vec<String>)>,
}

/// The file that makes the tables of a source.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Of which source.
    pub source: SourceName,
    /// Its statements.
    pub sql: String,
    /// The file with the statements, for people.
    pub file: String,
}

/// One test.
#[derive(Debug, Clone)]
pub struct Test {
    /// Which check is tested.
    pub check: Arc<Check>,
    /// What the test is called.
    pub name: String,
    /// What is looked at.
    pub looks: Vec<LookAt>,
    /// Which rows there are; tables that are not named are empty.
    pub given: Vec<Given>,
    /// Where it is written.
    pub place: Spot,
}

/// One look of a test, and what has to come of it.
#[derive(Debug, Clone)]
pub struct LookAt {
    /// The window with its series; nothing where the check looks at the present.
    pub window: Option<(Series, Window)>,
    /// The verdict that has to come.
    pub expected: Expected,
}

/// The rows of one table.
#[derive(Debug, Clone)]
pub struct Given {
    /// Of which source, where the test says so.
    pub source: Option<SourceName>,
    /// The table.
    pub table: TableName,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Where it is written.
    pub place: Spot,
}

/// A row that is made up: what its columns hold; the others have their default, or NULL.
#[derive(Debug, Clone)]
pub struct Row {
    /// What its columns hold.
    pub cells: Vec<(String, Cell)>,
    /// Where it is written.
    pub place: Spot,
}

/// What a column of a made-up row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A number, in plain digits.
    Number(String),
    /// A truth value.
    Truth(bool),
    /// A text, or anything else that the database reads from one.
    Text(String),
    /// An instant, written as its source stores instants.
    Instant(DateTime<Utc>),
    /// The last instant before one that the column can hold.
    JustBefore(DateTime<Utc>),
    /// So long after the moment of the look.
    FromNow(TimeDelta),
}

/// A test for nothing that is switched off, or a change that no test can notice.
#[derive(Debug, Clone)]
pub struct Waived {
    /// Of which check.
    pub check: CheckId,
    /// What.
    pub what: What,
    /// Why.
    pub because: String,
    /// Where it is written.
    pub place: Spot,
}

/// What is taken out of the tests of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A test that is made without being written.
    Free(Free),
    /// A mutant that no test can notice, by its name.
    Mutant(String),
}

/// The tests that each check has without anybody writing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Free {
    /// Nothing is there: that proves nothing.
    Empty,
    /// A table that the check names is gone: that proves nothing.
    Broken,
    /// Rows at the edges of its windows: those inside count, and no others.
    Edges,
    /// A window taken apart, on the watched databases themselves: what is looked at in its parts adds up.
    Tiling,
}

impl Free {
    /// The words for them.
    pub const WORDS: [(&str, Self); 4] = [
        ("empty", Self::Empty),
        ("broken", Self::Broken),
        ("edges", Self::Edges),
        ("tiling", Self::Tiling),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Broken => "broken",
            Self::Edges => "edges",
            Self::Tiling => "tiling",
        }
    }
}

/// A place in a file of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// The place inside the document, like `tests[2].given.orders`.
    pub path: String,
}

impl Spot {
    /// Says that something is wrong there.
    pub fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            path: self.path.clone(),
            message: message.into(),
            hint: Some(hint.into()).filter(|hint: &String| !hint.is_empty()),
            excerpt: None,
        }
    }
}

impl Suite {
    /// The tests of a check.
    pub fn of<'s>(&'s self, check: &CheckId) -> impl Iterator<Item = &'s Test> {
        let check = check.clone();
        self.tests.iter().filter(move |test| test.check.id == check)
    }

    /// What no written test shows of a check: that it can be violated, that it can be confirmed.
    pub fn unproved(&self, check: &CheckId) -> Vec<&'static str> {
        let expects = |wanted: fn(&Expected) -> bool| {
            self.of(check).flat_map(|test| &test.looks).any(|look| wanted(&look.expected))
        };
        let mut missing = Vec::new();
        if !expects(|expected| matches!(expected, Expected::Violated(_))) {
            missing.push("that it can be violated");
        }
        if !expects(|expected| *expected == Expected::Confirmed) {
            missing.push("that it can be confirmed");
        }
        missing
    }

    /// Why a test for nothing of a check is switched off, where it is.
    pub fn because(&self, check: &CheckId, free: Free) -> Option<&str> {
        let is_it = |waived: &&Waived| waived.check == *check && waived.what == What::Free(free);
        self.waived.iter().find(is_it).map(|waived| waived.because.as_str())
    }

    /// Why no test can notice a mutant of a check, where its owner says so.
    pub fn accepts(&self, check: &CheckId, mutant: &str) -> Option<&str> {
        let is_it = |waived: &&Waived| {
            waived.check == *check && matches!(&waived.what, What::Mutant(name) if name == mutant)
        };
        self.waived.iter().find(is_it).map(|waived| waived.because.as_str())
    }

    /// The names of the mutants of a check that no test can notice, as its owner says.
    pub fn accepted<'s>(&'s self, check: &'s CheckId) -> impl Iterator<Item = &'s str> {
        self.waived.iter().filter(move |waived| waived.check == *check).filter_map(|waived| {
            match &waived.what {
                What::Mutant(name) => Some(name.as_str()),
                What::Free(_) => None,
            }
        })
    }

    /// Says whether rows have a value of a column that they do not name.
    pub fn fills_in(&self, table: &TableName, column: &str) -> bool {
        let is_it = |(known, columns): &(TableName, Vec<String>)| {
            known == table && columns.iter().any(|known| known == column)
        };
        self.defaults.iter().any(is_it)
    }

    /// All that the tests of a check hang on: their rows, windows and verdicts, what is taken out, and the tables.
    pub fn written(&self, check: &Check) -> String {
        let mut text = String::new();
        for test in self.of(&check.id) {
            let _ = write!(text, "{}", test.name);
            for LookAt { window, expected } in &test.looks {
                let window = window.as_ref().map(|(series, window)| (&series.home.name, window));
                let _ = write!(text, ";{window:?};{expected}");
            }
            for Given { source, table, rows, .. } in &test.given {
                let cells: Vec<_> = rows.iter().map(|row| &row.cells).collect();
                let _ = write!(text, ";{source:?};{table};{cells:?}");
            }
        }
        for waived in self.waived.iter().filter(|waived| waived.check == check.id) {
            let _ = write!(text, ";{:?}", waived.what);
        }
        for source in check.sources_asked() {
            let sql = self.schema(source).map(|schema| schema.sql.as_str());
            let _ = write!(text, ";{source};{sql:?}");
        }
        text
    }

    /// The tables of a source, where they are known.
    pub fn schema(&self, source: &SourceName) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.source == *source)
    }
}
