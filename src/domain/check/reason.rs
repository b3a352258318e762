//! Why an attempt says nothing about the data: a closed list of causes.

use std::fmt;

/// Why an attempt says nothing about the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which of the closed list of causes.
    pub cause: Cause,
    /// What happened and what to do, without any value from the database.
    pub note: String,
    /// Whether it says something about the query alone: the source answers others.
    pub of_query: bool,
}

impl Reason {
    /// Names a cause, with a note for the engineer on call.
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
    /// The database is occupied: locks, conflicts, another session waits for us.
    Busy = "busy",
    /// There was more to look at than could be.
    Shed = "shed",
    /// The database failed so often that it is left alone for a while.
    BreakerOpen = "breaker_open",
    /// The daemon, or another session at the server, stopped it.
    Interrupted = "interrupted",
    /// Its owner lets it wait.
    Paused = "paused",
    /// It was due, and the daemon did not look.
    Missed = "missed",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
