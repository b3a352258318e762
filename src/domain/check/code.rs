//! Codes of what is accepted and had better be written otherwise, and of what cannot be a proof.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $fault:literal;)*) => {
        /// Why something in a check is told: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the word for it in output, and under `accept`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Says whether a check with it cannot be a proof, whatever the data.
            pub fn is_fault(self) -> bool {
                match self { $(Self::$variant => $fault),* }
            }
        }
    };
}

codes! {
    /// No expectation of the check can fail.
    CannotFail = "cannot_fail", true;
    /// Evidence that reads no table and calls no function.
    EvidenceOfNothing = "evidence_of_nothing", true;
    /// `complete_until` reads no table and calls no function but a clock.
    CompleteUntilOfNothing = "complete_until_of_nothing", true;
    /// Both sides are the same query of the same source.
    ComparedWithItself = "compared_with_itself", true;
    /// A condition between literals.
    LiteralCondition = "literal_condition", true;
    /// One row comes whatever there is, and it is in order.
    AggregateOverNothing = "aggregate_over_nothing", false;
    /// Evidence of tables that the query does not read.
    EvidenceElsewhere = "evidence_elsewhere", false;
    /// Evidence that is no count.
    EvidenceNoCount = "evidence_no_count", false;
    /// Keys that are expected because they appear.
    KeysFromThemselves = "keys_from_themselves", false;
    /// The query cuts its own result.
    Limited = "limited", false;
    /// `not in` of a subquery.
    NotIn = "not_in", false;
    /// A comparison with NULL.
    EqualsNull = "equals_null", false;
    /// A row at the edge of a window is in none, or in two.
    WindowEdge = "window_edge", false;
    /// An instant is made a date by the session's zone.
    SessionDate = "session_date", false;
    /// The present, in a check of a window.
    NowInWindow = "now_in_window", false;
    /// A window of the query's own, that moves with the present.
    MovingWindow = "moving_window", false;
    /// Columns of both sides that nothing compares.
    NotCompared = "not_compared", false;
    /// A tolerance as large as what it tolerates.
    WideTolerance = "wide_tolerance", false;
    /// A quotient of counts without its fraction.
    IntegerDivision = "integer_division", false;
    /// A proof that counts for more than a week.
    LongHealth = "long_health", false;
    /// Views of the catalogue show a role what is its own.
    CatalogueView = "catalogue_view", false;
    /// A newest instant without an upper limit.
    NoUpperLimit = "no_upper_limit", false;
    /// A column that is neither grouped nor aggregated.
    NotGrouped = "not_grouped", false;
    /// `unique` within a window says nothing of two windows.
    UniqueInWindow = "unique_in_window", false;
    /// Two conditions of one column that no value meets.
    NeverTrue = "never_true", false;
    /// A condition drops what a `left join` keeps.
    OuterJoinUndone = "outer_join_undone", false;
    /// Nothing but a function of the database brings rows.
    FromFunction = "from_function", false;
    /// `||` is OR.
    OrOnMysql = "or_on_mysql", false;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
