//! Moments as people write them on a command line: one rule for every verb that takes some.
//!
//! A date is the series' own local date, and as an end it is in the range; a duration is that long ago, or, where
//! something holds until then, that long from now.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use crate::domain::time::duration;
use crate::domain::time::zone::Rules;
use crate::manifest::{date, instant};

/// A moment, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// An instant.
    At(DateTime<Utc>),
    /// A local date.
    On(NaiveDate),
    /// So many local dates after today's.
    Day(i8),
    /// So far away.
    Away(TimeDelta),
}

impl When {
    /// Reads an instant (`2026-03-29T01:30:00Z`), a date (`2026-03-29`), `today`, `yesterday`, `tomorrow`, or a duration
    /// (`2h`).
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "today" => return Ok(Self::Day(0)),
            "yesterday" => return Ok(Self::Day(-1)),
            "tomorrow" => return Ok(Self::Day(1)),
            _ => {}
        }
        if let Ok(away) = duration::parse(text) {
            let away =
                TimeDelta::from_std(away).ok().filter(|away| *away < TimeDelta::days(36_500));
            return away
                .map(Self::Away)
                .ok_or_else(|| "this is further than a hundred years".to_owned());
        }
        let is_instant = text.contains(['T', ':']);
        let read = if is_instant { instant(text).map(Self::At) } else { date(text).map(Self::On) };
        read.map_err(|rule| match is_instant {
            true => rule,
            false => "write a date (2026-03-29), `today`, `yesterday`, `tomorrow`, a duration (2h), or an instant \
                      (2026-03-29T01:30:00Z)"
                .to_owned(),
        })
    }

    /// Says whether it depends on when it is read.
    pub const fn is_relative(self) -> bool {
        matches!(self, Self::Day(_) | Self::Away(_))
    }

    /// Where a range begins that begins then; nothing where there is no such date.
    pub fn begin(self, rules: &Rules, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::At(at) => Some(at),
            Self::Away(away) => Some(now - away),
            Self::On(_) | Self::Day(_) => Some(rules.day_start(self.date(rules, now)?)),
        }
    }

    /// Where a range ends that ends then, a date being in it; nothing where there is no such date.
    pub fn end(self, rules: &Rules, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::At(at) => Some(at),
            Self::Away(away) => Some(now - away),
            Self::On(_) | Self::Day(_) => Some(rules.day_start(self.date(rules, now)?.succ_opt()?)),
        }
    }

    /// Until when something holds that holds until then, a date being in it; nothing where there is no such date.
    pub fn until(self, rules: &Rules, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Away(away) => Some(now + away),
            Self::At(_) | Self::On(_) | Self::Day(_) => self.end(rules, now),
        }
    }

    fn date(self, rules: &Rules, now: DateTime<Utc>) -> Option<NaiveDate> {
        let today = rules.date_at(now);
        match self {
            Self::On(date) => Some(date),
            Self::Day(days) if days < 0 => {
                today.checked_sub_days(Days::new(u64::from(days.unsigned_abs())))
            }
            Self::Day(days) => today.checked_add_days(Days::new(u64::from(days.unsigned_abs()))),
            Self::At(at) => Some(rules.date_at(at)),
            Self::Away(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::zone::Offset;

    #[test]
    fn a_date_is_the_local_one_and_as_an_end_it_is_in_the_range() {
        let rules = Rules::fixed(Offset::of_secs(5 * 3_600));
        let now = instant("2026-03-29T20:00:00Z").unwrap();
        let of = |text: &str| {
            let when = When::parse(text).unwrap();
            [when.begin(&rules, now), when.end(&rules, now), when.until(&rules, now)]
                .map(|at| at.unwrap().format("%dT%H:%M").to_string())
        };
        // It is the 30th there already.
        assert_eq!(of("2026-03-29"), ["28T19:00", "29T19:00", "29T19:00"]);
        assert_eq!(of("today"), ["29T19:00", "30T19:00", "30T19:00"]);
        assert_eq!(of("yesterday"), ["28T19:00", "29T19:00", "29T19:00"]);
        assert_eq!(of("tomorrow"), ["30T19:00", "31T19:00", "31T19:00"]);
        assert_eq!(of("2h"), ["29T18:00", "29T18:00", "29T22:00"]);
        assert_eq!(of("2026-03-29T01:30:00Z"), ["29T01:30"; 3]);
    }

    #[test]
    fn what_is_no_moment_says_what_is() {
        for bad in
            ["", "29.3.2026", "2026-02-30", "gestern", "2 h", "2026-03-29T01:30", "99999999d"]
        {
            assert!(When::parse(bad).is_err(), "{bad}");
        }
    }
}
