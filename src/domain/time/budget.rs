//! A budget of retries: they flow while trouble is rare, and run dry when it is not.
//!
//! A token bucket (docs/internals/resilience.md, "Retries"): each attempt adds a fifth of a retry, each minute one
//! more, and no more than ten are saved up.

use chrono::{DateTime, TimeDelta, Utc};

/// Parts of a retry that an attempt adds, that a retry costs, and that are kept at most.
const EARNED: i64 = 200;
const COST: i64 = 1_000;
const MOST: i64 = 10_000;
/// How long it takes until time alone has added a retry.
const MINUTE_MS: i64 = 60_000;

/// What is left for the retries of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    parts: i64,
    at: DateTime<Utc>,
}

impl Budget {
    /// A full budget.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { parts: MOST, at: now }
    }

    /// Takes note of a first attempt.
    pub fn earn(&mut self) {
        self.parts = (self.parts + EARNED).min(MOST);
    }

    /// Takes the cost of a retry, if there is enough.
    pub fn spend(&mut self, now: DateTime<Utc>) -> bool {
        let passed = (now - self.at).max(TimeDelta::zero()).num_milliseconds().min(MINUTE_MS * 10);
        let earned = passed * COST / MINUTE_MS;
        if earned > 0 || now < self.at {
            self.at = now;
        }
        self.parts = (self.parts + earned).min(MOST);
        let enough = self.parts >= COST;
        if enough {
            self.parts -= COST;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_fifth_of_attempts_and_one_a_minute() {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let mut budget = Budget::new(start);
        let spent = |budget: &mut Budget, now| (0..100).filter(|_| budget.spend(now)).count();
        assert_eq!(spent(&mut budget, start), 10);
        (0..20).for_each(|_| budget.earn());
        assert_eq!(spent(&mut budget, start), 4);
        assert_eq!(spent(&mut budget, start + TimeDelta::seconds(59)), 0);
        assert_eq!(spent(&mut budget, start + TimeDelta::seconds(61)), 1);
        assert_eq!(spent(&mut budget, start + TimeDelta::days(1)), 10);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_and_gives_nothing() {
        let start = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(1);
        let mut budget = Budget::new(start);
        (0..10).for_each(|_| assert!(budget.spend(start)));
        assert!(!budget.spend(start - TimeDelta::hours(1)));
        assert!(budget.spend(start - TimeDelta::minutes(58)));
    }
}
