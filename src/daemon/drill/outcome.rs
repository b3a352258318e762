//! What came of a drill.

use crate::domain::alerting::drill::Failure;
use crate::domain::check::name::CheckId;

/// Which alarm came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rang {
    /// One came in time.
    InTime {
        /// Which.
        alarm: String,
        /// After how many seconds by the clock of the drill.
        after_secs: u64,
        /// Within how many it has to come.
        by_secs: u64,
    },
    /// One came too late.
    Late {
        /// Which.
        alarm: String,
        /// After how many seconds by the clock of the drill.
        after_secs: u64,
        /// Within how many it had to come.
        by_secs: u64,
    },
    /// One came that is not critical: no one gets up for it.
    NotCritical {
        /// Which, with its severity.
        alarm: String,
        /// After how many seconds by the clock of the drill.
        after_secs: u64,
        /// Within how many it has to come.
        by_secs: u64,
    },
    /// None came.
    Silent {
        /// Why, as far as is known.
        why: String,
    },
    /// The failure is none that its sources can have.
    DoesNotApply {
        /// Why.
        why: String,
    },
    /// It was not drilled.
    NotDrilled {
        /// Why.
        why: String,
    },
}

/// What came of one failure for one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The failure.
    pub failure: Failure,
    /// The check.
    pub check: CheckId,
    /// Which alarm came.
    pub rang: Rang,
}
