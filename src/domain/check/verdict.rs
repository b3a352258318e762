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
    /// The lowest or the highest of something breaks the limit of a column.
    End {
        /// Which column.
        column: ColumnName,
        /// Which end of it.
        end: End,
        /// What was expected.
        expected: String,
        /// The value; nothing where it may not be shown.
        seen: Option<String>,
    },
    /// What columns have together is there more than once.
    Repeated {
        /// Which columns.
        columns: String,
        /// How many values are.
        keys: u64,
        /// On how many rows.
        rows: u64,
    },
    /// A condition that never holds does.
    Never {
        /// Which.
        condition: String,
        /// On how many rows.
        rows: u64,
        /// Out of how many.
        of: u64,
    },
    /// The number of rows is wrong beside that of an earlier window.
    Volume {
        /// What was expected.
        expected: String,
        /// How many rows there are.
        seen: u64,
        /// How many the earlier window has.
        past: u64,
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

/// An end of what a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its lowest value.
    Lowest,
    /// Its highest value.
    Highest,
    /// Its shortest text.
    Shortest,
    /// Its longest text.
    Longest,
    /// Its latest instant.
    Newest,
}

impl End {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Highest => "highest",
            Self::Shortest => "shortest",
            Self::Longest => "longest",
            Self::Newest => "newest",
        }
    }

    /// The end across from it.
    pub(in crate::domain) fn other(self) -> Self {
        match self {
            Self::Lowest => Self::Highest,
            Self::Highest => Self::Lowest,
            Self::Shortest => Self::Longest,
            Self::Longest => Self::Shortest,
            Self::Newest => Self::Newest,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
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
            Self::End { column, end, expected, .. } => {
                format!("{column}: expected {expected}, and the {end} is not")
            }
            Self::MissingKeys { missing, of, .. } => {
                format!("keys: {missing} of {of} expected did not appear")
            }
            Self::Differs(told) => told.counted(),
            Self::Zones { nameless, unknown, of } => format!(
                "zones: of {of} in the list, {} name no zone, {nameless} are NULL or no text",
                unknown.len()
            ),
            Self::Rows { .. }
            | Self::Repeated { .. }
            | Self::Never { .. }
            | Self::Volume { .. }
            | Self::ZonesGone { .. }
            | Self::NamelessKeys { .. } => self.to_string(),
        }
    }

    /// The first values that show it; empty where there are none.
    fn values(&self) -> String {
        match self {
            Self::Values { column, seen, .. } if !seen.is_empty() => {
                format!("{column} is {}", seen.join(", "))
            }
            Self::End { end, seen: Some(seen), column, .. } => {
                format!("the {end} {column} is {seen}")
            }
            Self::MissingKeys { first, .. } => format!("missing: {}", first.join(", ")),
            Self::Differs(told) => told.shown(),
            Self::Zones { unknown, .. } => unknown.join(", "),
            Self::Values { .. }
            | Self::Rows { .. }
            | Self::End { .. }
            | Self::Repeated { .. }
            | Self::Never { .. }
            | Self::Volume { .. }
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
            Self::End { column, end, expected, seen } => {
                write!(f, "{column}: expected {expected}, ")?;
                match seen {
                    Some(seen) => write!(f, "the {end} is {seen}"),
                    None => write!(f, "and the {end} is not"),
                }
            }
            Self::Repeated { columns, keys, rows } => {
                let (value, is) = if *keys == 1 { ("value", "is") } else { ("values", "are") };
                write!(f, "{columns}: {keys} {value} {is} there more than once, on {rows} rows")
            }
            Self::Never { condition, rows, of } => {
                write!(f, "never `{condition}`: it holds on {rows} of {of} row{}", plural(*of))
            }
            Self::Volume { expected, seen, past } => {
                write!(f, "rows: expected {expected}, saw {seen} where there were {past}")
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
