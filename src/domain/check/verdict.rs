//! The verdict of an attempt: confirmed, violated, or unconfirmed with its cause. Nothing else.

use std::fmt;

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Reason;
use crate::domain::reconcile::summary::DiffSummary;

/// What an attempt says about the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Looked at, and right.
    Confirmed,
    /// Looked at, and wrong.
    Violated(Finding),
    /// Says nothing about the data.
    Unconfirmed(Reason),
}

/// What is wrong with the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Each expectation that does not hold, in the order of the check.
    pub contradictions: Vec<Contradiction>,
    /// Whether the result was cut, so that there may be more of it.
    pub cut: bool,
    /// The first bad rows, in the columns that may be shown, as `column=value`.
    pub rows: Vec<String>,
}

/// One expectation that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contradiction {
    /// The number of rows is wrong.
    Rows {
        /// What was expected.
        expected: String,
        /// How many came.
        seen: u64,
    },
    /// A column breaks its limit.
    Values {
        /// Which column.
        column: ColumnName,
        /// What was expected.
        expected: String,
        /// On how many rows it is broken.
        rows: u64,
        /// Out of how many.
        of: u64,
        /// The first values that break it.
        seen: Vec<String>,
    },
    /// Somebody who must appear does not.
    MissingKeys {
        /// How many are missing.
        missing: u64,
        /// Out of how many.
        of: u64,
        /// The first of them.
        first: Vec<String>,
    },
    /// The list of zones names some that there are not.
    Zones {
        /// How many entries are NULL or no text.
        nameless: u64,
        /// The first names that nothing resolves.
        unknown: Vec<String>,
        /// Out of how many entries.
        of: u64,
    },
    /// The list of zones lost too many.
    ZonesGone {
        /// Of which check.
        check: String,
        /// How many are gone.
        gone: usize,
        /// Out of how many.
        of: usize,
        /// The first of them.
        first: Vec<String>,
    },
    /// Two sides differ.
    Differs(Box<DiffSummary>),
    /// The list of expected keys has entries that are NULL.
    NamelessKeys {
        /// How many.
        rows: u64,
    },
}

impl Contradiction {
    /// What is wrong, without any value of the data.
    fn head(&self) -> String {
        match self {
            Self::Values { column, expected, rows, of, .. } => {
                format!(
                    "{column}: expected {expected}, broken on {rows} of {of} row{}",
                    plural(*of)
                )
            }
            Self::MissingKeys { missing, of, .. } => {
                format!("keys: {missing} of {of} expected did not appear")
            }
            Self::Differs(told) => told.counted(),
            Self::Zones { nameless, unknown, of } => format!(
                "zones: of {of} in the list, {} name no zone, {nameless} are NULL or no text",
                unknown.len()
            ),
            Self::Rows { .. } | Self::ZonesGone { .. } | Self::NamelessKeys { .. } => {
                self.to_string()
            }
        }
    }

    /// The first values that show it; empty where there are none.
    fn values(&self) -> String {
        match self {
            Self::Values { column, seen, .. } if !seen.is_empty() => {
                format!("{column} is {}", seen.join(", "))
            }
            Self::MissingKeys { first, .. } => format!("missing: {}", first.join(", ")),
            Self::Differs(told) => told.shown(),
            Self::Zones { unknown, .. } => unknown.join(", "),
            Self::Values { .. }
            | Self::Rows { .. }
            | Self::ZonesGone { .. }
            | Self::NamelessKeys { .. } => String::new(),
        }
    }
}

impl Finding {
    /// The finding as it is kept: a first line that holds no value of the data, and lines of values and rows, which go
    /// earlier.
    pub fn kept(&self) -> String {
        let heads: Vec<String> = self.contradictions.iter().map(Contradiction::head).collect();
        let cut = if self.cut { CUT } else { "" };
        let head = format!("{}{cut}", heads.join("; "));
        let values = self.contradictions.iter().map(Contradiction::values);
        let lines = values.filter(|line| !line.is_empty()).chain(self.rows.iter().cloned());
        let lines = lines.map(|line| line.replace(['\n', '\r'], " "));
        std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
    }
}

/// What is said of a result that was cut.
const CUT: &str = " (the result was cut: there may be more)";

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { expected, seen } => write!(f, "rows: expected {expected}, saw {seen}"),
            Self::Values { seen, .. } => {
                f.write_str(&self.head())?;
                if seen.is_empty() { Ok(()) } else { write!(f, ": {}", seen.join(", ")) }
            }
            Self::MissingKeys { first, .. } => {
                write!(f, "{}: {}", self.head(), first.join(", "))
            }
            Self::Zones { nameless, unknown, of } => {
                write!(f, "zones: of {of} in the list")?;
                if !unknown.is_empty() {
                    write!(f, ", no zone is called {}", unknown.join(", "))?;
                }
                if *nameless > 0 {
                    write!(f, ", {nameless} NULL or no text")?;
                }
                Ok(())
            }
            Self::ZonesGone { check, gone, of, first } => write!(
                f,
                "zones: {gone} of {of} are gone from the list: {}. If that is meant, `allswell accept-zones {check} \
                 --because …`",
                first.join(", ")
            ),
            Self::Differs(told) => told.fmt(f),
            Self::NamelessKeys { rows } => {
                write!(f, "keys: {rows} of the expected keys are NULL or not finite")
            }
        }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, contradiction) in self.contradictions.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            contradiction.fmt(f)?;
        }
        if self.cut {
            f.write_str(CUT)?;
        }
        Ok(())
    }
}
