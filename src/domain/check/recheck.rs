//! When a window that was proved is proved again: rows come late, are changed, and are purged.
//!
//! Ages count from the window's due. A recheck that says nothing changes nothing: only a fact replaces a fact.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::duration::delta;
use crate::domain::time::window::{Frame, WindowRule};

/// At which ages a window is proved again, from the youngest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recheck([Option<TimeDelta>; Recheck::MOST]);

impl Recheck {
    /// How many ages there are at most.
    pub const MOST: usize = 4;
    /// The youngest age, and the oldest.
    pub const AGES: (Duration, Duration) =
        (Duration::from_secs(3_600), Duration::from_secs(366 * 86_400));

    /// Takes ages.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn new(ages: &[Duration]) -> Result<Self, &'static str> {
        if ages.is_empty() || ages.len() > Self::MOST {
            return Err("a window is proved again at 1 to 4 ages");
        }
        if ages.windows(2).any(|two| two[0] >= two[1]) {
            return Err("ages rise: write the youngest first");
        }
        let mut all = Self::default();
        for (place, age) in all.0.iter_mut().zip(ages) {
            *place = Some(delta(*age));
        }
        Ok(all)
    }

    /// What holds where a check says nothing: a calendar window is proved again a day later, a grid is not.
    pub fn implied(window: Option<&WindowRule>) -> Self {
        match window.map(|window| window.frame) {
            Some(Frame::Calendar(_)) => Self([Some(TimeDelta::days(1)), None, None, None]),
            Some(Frame::Grid(_)) | None => Self::default(),
        }
    }

    /// The ages, in order.
    pub fn ages(&self) -> impl Iterator<Item = TimeDelta> {
        self.0.iter().flatten().copied()
    }

    /// When a window is proved again that was due, and was tried last, at these instants.
    pub fn next(&self, due: DateTime<Utc>, tried: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instants = self.0.iter().flatten().map(|age| due + *age);
        instants.into_iter().find(|at| *at > tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn each_age_comes_once_and_those_that_were_missed_are_one() {
        let due = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |days: i64| due + TimeDelta::days(days);
        let recheck = Recheck::new(&[DAY, 7 * DAY, 35 * DAY]).unwrap();
        assert_eq!(recheck.next(due, due), Some(at(1)));
        assert_eq!(recheck.next(due, at(1)), Some(at(7)), "tried at that very instant");
        assert_eq!(recheck.next(due, at(2)), Some(at(7)));
        assert_eq!(recheck.next(due, at(9)), Some(at(35)));
        assert_eq!(recheck.next(due, at(36)), None);
        assert_eq!(Recheck::default().next(due, due), None);
    }

    #[test]
    fn ages_rise_and_are_few() {
        assert!(Recheck::new(&[]).is_err());
        assert!(Recheck::new(&[DAY, DAY]).is_err());
        assert!(Recheck::new(&[DAY, DAY * 2, DAY * 3, DAY * 4, DAY * 5]).is_err());
    }
}
