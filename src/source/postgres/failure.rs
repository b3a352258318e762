//! How an attempt at a PostgreSQL server goes wrong.

use crate::domain::check::reason::Reason;

/// How an attempt went wrong.
pub(super) enum Failure {
    /// The idle connection was closed in the meantime.
    Stale,
    /// It is a standby, and was not asked how far it has followed.
    Standby,
    /// The driver looked up a type of the result, and lost the unnamed statement over it.
    Unprepared,
    /// What is asked about is not there yet; the connection is as sound as before.
    Waits(Reason),
    /// Something to be told.
    Real(Reason),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Real(reason)
    }
}
