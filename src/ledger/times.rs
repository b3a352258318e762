//! When a row is looked at again: by an attempt, and by time alone.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::record::window_state::{Override, State, VerdictKind, WindowKind};
use crate::domain::time::backoff::doubled;
use crate::ledger::Terms;
use crate::ledger::entry::{Entry, cause_of};

/// How long a proof under a new meaning waits after an attempt in vain.
fn pause_between_proofs(failed_attempts: u32) -> TimeDelta {
    doubled(TimeDelta::seconds(5), TimeDelta::minutes(10), failed_attempts)
}

/// When a row is to be looked at again by us, and by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// When it may be claimed.
    pub(super) wake_at: Option<DateTime<Utc>>,
    /// When time moves it on.
    pub(super) lapse_at: Option<DateTime<Utc>>,
    /// Whether it can still matter to what is said of its series.
    pub(super) live: bool,
}

/// Whether a slot is the last one of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newest {
    /// It is, or is a window, of which each counts.
    Yes,
    /// A later slot looks at the same present.
    No,
}

impl Times {
    pub(super) fn of(entry: &Entry, terms: &Terms, newest: Newest, now: DateTime<Utc>) -> Self {
        let row = &entry.row;
        let wake_at = match row.state {
            State::Running { .. } => None,
            State::Waiting { .. } if row.is_left_alone() && !entry.asked => None,
            State::Waiting { not_before, .. } => Some(not_before),
            // A range of slots is a hole, or a row of proofs: the present of then is gone.
            State::Recorded(_) if row.kind == WindowKind::Slot && row.start != row.end => None,
            State::Recorded(_) if row.kind == WindowKind::Slot && newest == Newest::No => None,
            State::Recorded(r) if entry.asked && row.failed_attempts > 0 => {
                Some(r.tried + pause_between_proofs(row.failed_attempts))
            }
            State::Recorded(_) if entry.asked => Some(now),
            State::Recorded(r)
                if entry.reproof_by.is_some() && r.said == VerdictKind::Confirmed =>
            {
                Some(r.tried + pause_between_proofs(row.failed_attempts))
            }
            State::Recorded(r) if r.said == VerdictKind::Confirmed => {
                let is_plain =
                    row.kind == WindowKind::Window && row.overridden == Override::Standing;
                terms.recheck.next(row.due, r.tried).filter(|_| is_plain)
            }
            // What is wrong with the present is asked anew by the next slot.
            State::Recorded(r)
                if row.kind == WindowKind::Slot && r.said == VerdictKind::Violated =>
            {
                None
            }
            State::Recorded(_) => row.wake_at(terms.next_due, terms.age),
        };
        let unrecorded = row.recorded().is_none().then_some(row.deadline);
        let lapse_at = match row.state {
            State::Waiting { .. } => {
                let pause = terms.pause(now).filter(|_| row.is_paused());
                pause.or(unrecorded)
            }
            State::Running { lease_until, .. } => {
                Some(unrecorded.map_or(lease_until, |deadline| deadline.min(lease_until)))
            }
            State::Recorded(recorded) => {
                let waived_until = match row.overridden {
                    Override::Waived { until } => until,
                    Override::Standing
                    | Override::Excused
                    | Override::Superseded { .. }
                    | Override::Removed => None,
                };
                // What says nothing is open only from its deadline on.
                let silent = cause_of(recorded.said).is_some();
                let opens = silent.then_some(row.deadline);
                let ends = [waived_until, opens].into_iter().flatten().filter(|at| *at > now);
                ends.chain(entry.reproof_by).min()
            }
        };
        let settled = match row.overridden {
            Override::Standing | Override::Superseded { replaced: false } => false,
            Override::Waived { until } => until.is_none(),
            Override::Excused | Override::Superseded { replaced: true } | Override::Removed => {
                row.is_settled(now)
            }
        };
        let live = match row.state {
            State::Waiting { .. } | State::Running { .. } => true,
            State::Recorded(r) => {
                entry.reproof_by.is_some() || (r.said != VerdictKind::Confirmed && !settled)
            }
        };
        Self { wake_at, lapse_at, live }
    }
}
