//! The verdict of an attempt: confirmed, violated, or unconfirmed with its cause. Nothing else.

use std::fmt;

use crate::domain::check::name::ColumnName;
use crate::domain::reconcile::differences::Told;

/// What an attempt says about the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Looked at, and right.
    Confirmed,
    /// Looked at, and wrong.
    Violated(Finding),
    /// Says nothing about the data.
    Unconfirmed(Doubt),
}

/// Why an attempt says nothing about the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Which of the closed list of causes.
    pub cause: Cause,
    /// What happened and what to do, without any value from the database.
    pub note: String,
    /// Whether it says something about the query alone: the source answers others.
    pub of_query: bool,
}

impl Doubt {
    /// Names a cause, with a note for whoever is awake.
    pub fn new(cause: Cause, note: impl Into<String>) -> Self {
        Self { cause, note: note.into(), of_query: false }
    }

    /// The same, known to be of the query alone.
    #[must_use]
    pub fn of_query(self) -> Self {
        Self { of_query: true, ..self }
    }

    /// Says whether it tells something about the source.
    pub fn is_of_the_source(&self) -> bool {
        self.cause.is_of_the_source() && !self.of_query
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)?) => {
        /// Why something is unconfirmed: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* $variant),* }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the word for it in ledger, metrics and output.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

causes! {
    /// Nothing, or too little, was looked at.
    NoEvidence = "no_evidence",
    /// A statement ran into its limit.
    Timeout = "timeout",
    /// The database could not be reached, or went away.
    Connect = "connect",
    /// The database does not let us in, or not at this.
    Auth = "auth",
    /// The database could not run the query.
    QueryError = "query_error",
    /// A judged column has a type without an exact reading.
    UnsupportedType = "unsupported_type",
    /// The result is larger than what may be read.
    OverLimit = "over_limit",
    /// Rows that have to come in order do not.
    Unordered = "unordered",
    /// The query, or the role that runs it, could do harm.
    Refused = "refused",
    /// The database lags behind what it copies.
    Stale = "stale",
    /// The window is not over yet, by our clock or by the database's.
    Clock = "clock",
    /// The database is occupied: locks, conflicts, somebody waits for us.
    Busy = "busy",
    /// There was more to look at than could be.
    Shed = "shed",
    /// The database failed so often that it is left alone for a while.
    BreakerOpen = "breaker_open",
    /// We, or somebody at the server, stopped it.
    Interrupted = "interrupted",
    /// Its owner lets it wait.
    Paused = "paused",
    /// It was due, and nobody looked.
    Missed = "missed",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
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
    /// Two sides differ.
    Differs(Box<Told>),
    /// The list of who must appear has entries that name nobody.
    NamelessKeys {
        /// How many.
        rows: u64,
    },
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { expected, seen } => write!(f, "rows: expected {expected}, saw {seen}"),
            Self::Values { column, expected, rows, of, seen } => {
                write!(
                    f,
                    "{column}: expected {expected}, broken on {rows} of {of} row{}",
                    plural(*of)
                )?;
                if seen.is_empty() { Ok(()) } else { write!(f, ": {}", seen.join(", ")) }
            }
            Self::MissingKeys { missing, of, first } => {
                write!(f, "keys: {missing} of {of} expected did not appear: {}", first.join(", "))
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
            f.write_str(" (the result was cut: there may be more)")?;
        }
        Ok(())
    }
}
