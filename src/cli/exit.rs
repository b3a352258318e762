//! Exit codes: 0 only for a proof.

use std::process::ExitCode;

use crate::domain::check::verdict::Verdict;
use crate::engine::round::Outcome;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All confirmed.
    Confirmed,
    /// Something violated.
    Violated,
    /// Something unconfirmed, or nothing confirmed.
    Unconfirmed,
    /// What was given is not valid, or selects nothing.
    Invalid,
    /// Reading or writing failed.
    Io,
}

impl Exit {
    /// The exit of a round: violated beats unconfirmed, and an empty round is not confirmed.
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let any =
            |wanted: fn(&Verdict) -> bool| outcomes.iter().any(|o| wanted(&o.judgement.verdict));
        if any(|v| matches!(v, Verdict::Violated(_))) {
            Self::Violated
        } else if outcomes.is_empty() || any(|v| matches!(v, Verdict::Unconfirmed(_))) {
            Self::Unconfirmed
        } else {
            Self::Confirmed
        }
    }

    /// Ends like this, unless the output could not be written.
    pub(super) fn after(self, printed: Self) -> Self {
        if printed == Self::Io { Self::Io } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Confirmed => 0,
            Exit::Violated => 1,
            Exit::Unconfirmed => 2,
            Exit::Invalid => 64,
            Exit::Io => 74,
        })
    }
}
