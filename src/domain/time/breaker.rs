//! A circuit breaker: who fails again and again is left alone for a while, and then asked gently.
//!
//! Our calls are few, so that rates mean nothing: consecutive failures count (docs/internals/resilience.md,
//! "Breakers"). While it is open one probe at a time is let through. It never stands for health: what it
//! holds back goes on to its deadline.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::check::reason::Cause;
use crate::domain::time::backoff::{Draw, doubled};

/// How many failures in a row open it.
pub const FAILURES: u32 = 5;
/// How many good probes in a row close it.
pub const GOOD_PROBES: u32 = 2;
/// The pause before the first probe, and the longest between two: a source that is back is in use
/// again within a minute.
const PAUSE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(2), TimeDelta::seconds(30));
/// How long a probe is waited for before anybody looks again.
const PROBED: TimeDelta = TimeDelta::seconds(1);
/// The pause between two good probes.
const NEXT_PROBE: TimeDelta = TimeDelta::milliseconds(250);

/// The state of one source's breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breaker {
    /// Nobody asked yet: everything is let through, and probes see whether anybody answers. Whoever was
    /// started anew does not know what stood before.
    Unasked {
        /// How many probes failed in a row.
        failures: u32,
        /// When the next probe may be made.
        probe_at: DateTime<Utc>,
        /// Whether a probe is under way.
        probing: bool,
    },
    /// Everything is let through.
    Closed {
        /// How many attempts failed in a row.
        failures: u32,
        /// Whose timeout was counted last: one slow check says nothing about its source.
        slow: Option<CheckId>,
    },
    /// Nothing is let through but probes.
    Open {
        /// Since when.
        since: DateTime<Utc>,
        /// When the next probe may be made.
        probe_at: DateTime<Utc>,
        /// How many probes failed.
        failed: u32,
        /// How many probes in a row worked.
        good: u32,
        /// Whether a probe is under way.
        probing: bool,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0, slow: None }
    }
}

impl Cause {
    /// Says whether it tells something about the source rather than about the query.
    pub fn is_of_the_source(self) -> bool {
        match self {
            Self::Connect | Self::Auth | Self::Timeout => true,
            Self::NoEvidence
            | Self::QueryError
            | Self::UnsupportedType
            | Self::OverLimit
            | Self::Unordered
            | Self::Refused
            | Self::Stale
            | Self::Clock
            | Self::Busy
            | Self::Shed
            | Self::BreakerOpen
            | Self::Interrupted
            | Self::Paused
            | Self::Missed => false,
        }
    }
}

impl Breaker {
    /// Of a source that was not asked yet.
    pub fn unasked(now: DateTime<Utc>) -> Self {
        Self::Unasked { failures: 0, probe_at: now, probing: false }
    }

    /// Says whether attempts are let through.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Unasked { .. } | Self::Closed { .. } => true,
            Self::Open { .. } => false,
        }
    }

    /// When the next probe is made, where one is to be.
    pub fn probe_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Closed { .. } => None,
            Self::Unasked { probe_at, .. } | Self::Open { probe_at, .. } => Some(*probe_at),
        }
    }

    /// When what is held back is to be looked at again; nothing where nothing is held back.
    pub fn held_until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Unasked { .. } | Self::Closed { .. } => None,
            Self::Open { probe_at, .. } => Some(*probe_at),
        }
    }

    /// Takes note of an attempt: `None` where the source answered, whatever it said.
    #[must_use]
    pub fn after(
        self,
        trouble: Option<Cause>,
        check: &CheckId,
        now: DateTime<Utc>,
        draw: Draw,
    ) -> Self {
        let (failures, slow) = match self {
            Self::Unasked { failures, .. } => (failures, None),
            Self::Closed { failures, slow } => (failures, slow),
            // Attempts that began before it opened say nothing new.
            Self::Open { .. } => return self,
        };
        let (failures, slow) = match trouble.filter(|cause| cause.is_of_the_source()) {
            None => (0, None),
            Some(Cause::Timeout) if slow.as_ref() == Some(check) => (failures, slow),
            Some(Cause::Timeout) => (failures + 1, Some(check.clone())),
            Some(_) => (failures + 1, slow),
        };
        if failures < FAILURES {
            return Self::Closed { failures, slow };
        }
        Self::Open {
            since: now,
            probe_at: now + pause(0, draw),
            failed: 0,
            good: 0,
            probing: false,
        }
    }

    /// Says whether a probe is to be made now, and takes it for made.
    pub fn take_probe(&mut self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Unasked { probe_at, probing, .. } | Self::Open { probe_at, probing, .. }
                if *probe_at <= now =>
            {
                // Whoever waits for it looks again a little later.
                *probe_at = now + PROBED;
                !std::mem::replace(probing, true)
            }
            Self::Unasked { .. } | Self::Open { .. } | Self::Closed { .. } => false,
        }
    }

    /// Takes note of a probe.
    #[must_use]
    pub fn probed(self, worked: bool, now: DateTime<Utc>, draw: Draw) -> Self {
        match self {
            Self::Closed { .. } => self,
            Self::Unasked { .. } if worked => Self::default(),
            Self::Unasked { failures, .. } => {
                let failures = failures + 1;
                let probe_at = now + pause(0, draw);
                if failures < FAILURES {
                    Self::Unasked { failures, probe_at, probing: false }
                } else {
                    Self::Open { since: now, probe_at, failed: 0, good: 0, probing: false }
                }
            }
            Self::Open { good, .. } if worked && good + 1 >= GOOD_PROBES => Self::default(),
            Self::Open { since, failed, good, .. } if worked => {
                let probe_at = now + NEXT_PROBE;
                Self::Open { since, probe_at, failed, good: good + 1, probing: false }
            }
            Self::Open { since, failed, .. } => {
                let failed = failed.saturating_add(1);
                let probe_at = now + pause(failed, draw);
                Self::Open { since, probe_at, failed, good: 0, probing: false }
            }
        }
    }
}

/// Half of the pause, and a random part of the other half: a probe at once would be a retry.
fn pause(failed: u32, draw: Draw) -> TimeDelta {
    let (first, longest) = PAUSE;
    let whole = doubled(first, longest, failed + 1);
    whole / 2 + draw.of(whole / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(secs, 0).unwrap()
    }

    fn check(id: &str) -> CheckId {
        CheckId::parse(id).unwrap()
    }

    /// Plays attempts: `c` no connection, `t` a timeout of one check, `u` of another, `q` an error of
    /// the query, `.` an answer.
    fn play(attempts: &str) -> bool {
        let mut breaker = Breaker::default();
        for attempt in attempts.chars() {
            let (trouble, who) = match attempt {
                'c' => (Some(Cause::Connect), "a"),
                't' => (Some(Cause::Timeout), "a"),
                'u' => (Some(Cause::Timeout), "b"),
                'q' => (Some(Cause::QueryError), "a"),
                _ => (None, "a"),
            };
            breaker = breaker.after(trouble, &check(who), at(0), Draw::new(0));
        }
        breaker.is_closed()
    }

    #[test]
    fn it_opens_after_five_failures_in_a_row_of_the_source_and_of_no_one_query() {
        for (attempts, closed) in [
            ("cccc", true),
            ("ccccc", false),
            ("cccc.cccc", true),
            ("ccccqc", true),
            ("tttttttttt", true),
            ("tututu", false),
            ("ccttttcc", false),
        ] {
            assert_eq!(play(attempts), closed, "{attempts}");
        }
    }

    #[test]
    fn whom_nobody_asked_is_probed_until_he_answers_or_is_left_alone() {
        let mut breaker = Breaker::unasked(at(0));
        assert!(breaker.take_probe(at(0)) && !breaker.take_probe(at(0)));
        assert_eq!(breaker.clone().probed(true, at(1), Draw::new(0)), Breaker::default());
        for failure in 1..=FAILURES {
            assert!(breaker.is_closed());
            breaker = breaker.probed(false, at(i64::from(failure) * 10), Draw::new(0));
            breaker.take_probe(at(i64::from(failure) * 10 + 5));
        }
        assert!(!breaker.is_closed());
        // An attempt says it too.
        let attempted = Breaker::unasked(at(0)).after(None, &check("a"), at(0), Draw::new(0));
        assert_eq!(attempted, Breaker::default());
    }

    #[test]
    fn one_probe_at_a_time_with_doubling_pauses_and_two_good_ones_close_it() {
        let mut breaker = Breaker::Closed { failures: FAILURES - 1, slow: None };
        breaker = breaker.after(Some(Cause::Connect), &check("a"), at(0), Draw::new(0));
        assert!(!breaker.take_probe(at(0)));
        assert!(breaker.take_probe(at(1)) && !breaker.take_probe(at(100)));
        let mut pauses = Vec::new();
        for now in [100, 200, 300, 400, 500, 600] {
            breaker = breaker.probed(false, at(now), Draw::new(0));
            pauses.push((breaker.held_until().unwrap() - at(now)).num_seconds());
            assert!(breaker.take_probe(at(now + 50)));
        }
        assert_eq!(pauses, [2, 4, 8, 15, 15, 15]);
        breaker = breaker.probed(true, at(700), Draw::new(0));
        assert!(!breaker.is_closed() && breaker.take_probe(at(701)));
        assert!(breaker.probed(true, at(702), Draw::new(0)).is_closed());
    }
}
