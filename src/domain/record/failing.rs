//! Attempts that fail until the check, a grant or the source is changed: a lost grant, a renamed column, a type that cannot
//! be read.
//!
//! Such a check has nothing to wait for, so that its owner hears of it long before the deadline.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::window_state::{Recorded, State, VerdictKind, WindowState};

/// How long attempts of a series fail in a row before that is told: a table that a migration swaps is back by then.
const TOLD_AFTER: TimeDelta = TimeDelta::seconds(60);

impl Cause {
    /// Says whether no waiting mends it: the check, a grant or the source has to be changed.
    pub fn is_lasting(self) -> bool {
        match self {
            Self::QueryError | Self::Auth | Self::Refused | Self::UnsupportedType => true,
            Self::NoEvidence
            | Self::Timeout
            | Self::Connect
            | Self::Stale
            | Self::Clock
            | Self::Busy
            | Self::Shed
            | Self::BreakerOpen
            | Self::Interrupted
            | Self::OverLimit
            | Self::Unordered
            | Self::Paused
            | Self::Missed => false,
        }
    }
}

/// Since when the attempts of a series fail in a row, after one more of them.
pub fn failing_since(
    before: Option<DateTime<Utc>>,
    said: VerdictKind,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    match said {
        VerdictKind::Unconfirmed(cause) if cause.is_lasting() => before.or(Some(now)),
        VerdictKind::Confirmed | VerdictKind::Violated | VerdictKind::Unconfirmed(_) => None,
    }
}

/// Says whether an attempt that failed now is told at once: it is not the first one in a row, and the first one was a
/// minute ago.
pub fn is_told(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    since.is_some_and(|since| since + TOLD_AFTER <= now)
}

impl WindowState {
    /// What the attempts of its series have failed to say for a while is overdue now, not at its deadline. A fact stays;
    /// one that its check does not mean any more (`outdated`) goes.
    #[must_use]
    pub fn overdue(self, cause: Cause, outdated: bool, now: DateTime<Utc>) -> Self {
        let state = match self.state {
            State::Recorded(recorded) if outdated && recorded.said == VerdictKind::Confirmed => {
                State::Recorded(Recorded {
                    said: VerdictKind::Unconfirmed(cause),
                    at: now,
                    tried: now,
                })
            }
            State::Recorded(recorded) if !recorded.said.is_fact() => self.state,
            State::Recorded(_) | State::Waiting { .. } | State::Running { .. } => return self,
        };
        let (deadline, deadline_nominal) = (self.deadline.min(now), self.deadline_nominal.min(now));
        Self { state, deadline, deadline_nominal, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_failures_a_minute_apart_are_told_and_anything_else_in_between_begins_anew() {
        let at = |secs: i64| DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap();
        let failed = VerdictKind::Unconfirmed(Cause::Auth);
        let others = [
            VerdictKind::Confirmed,
            VerdictKind::Violated,
            VerdictKind::Unconfirmed(Cause::Timeout),
        ];
        let first = failing_since(None, failed, at(0));
        assert_eq!(first, Some(at(0)));
        assert!(!is_told(first, at(0)) && !is_told(first, at(59)) && is_told(first, at(60)));
        let second = failing_since(first, VerdictKind::Unconfirmed(Cause::QueryError), at(60));
        assert_eq!(second, first, "another cause of the same kind goes on");
        assert!(others.iter().all(|said| failing_since(first, *said, at(70)).is_none()));
    }
}
