//! How much evidence is usual: what earlier windows had at the same place of the week.
//!
//! A load that stops half-way leaves rows that are all right, and a proof on next to nothing. What a window had is held
//! against the median of earlier ones with the same local weekday and time, about as long, under the same meaning.

use chrono::{DateTime, Months, TimeDelta, Utc};

use crate::domain::check::share::Share;
use crate::domain::time::zone::Rules;

/// How many earlier windows are looked for, and how many make a history.
const LOOKED_FOR: i32 = 16;
const HISTORY_MIN: usize = 8;
/// How much shorter or longer than another a window may be, as a part of its length: a day has 23 to 25 hours, a month 28
/// to 31 days.
const LENGTHS_APART: i64 = 10;
/// Less than this part of what is usual is told, where the check says nothing.
const TOLD_BELOW: u64 = 5;
/// Where less than this is usual, it is not told: a few rows more or less are chance.
const USUAL_MIN: u64 = 20;

/// What an earlier window had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// How much was looked at.
    pub evidence: u64,
    /// How long it was.
    pub lasts: TimeDelta,
}

/// Where earlier windows may begin that are at the same place of the week as this one.
///
/// Those have the same local weekday and time; where a window is longer than a week, the same date of the month.
pub fn earlier_starts(
    (start, end): (DateTime<Utc>, DateTime<Utc>),
    rules: &Rules,
) -> Vec<DateTime<Utc>> {
    let civil = rules.civil_at(start);
    let by_month = end - start > TimeDelta::days(8);
    let before = (1..=LOOKED_FOR).filter_map(|count| match by_month {
        true => civil.checked_sub_months(Months::new(count.unsigned_abs())),
        false => civil.checked_sub_signed(TimeDelta::weeks(i64::from(count))),
    });
    let at = |civil: chrono::NaiveDateTime| {
        // A time that clocks skip or repeat belongs to no window that is like this one.
        let offset = rules.offset_at(civil.and_utc());
        let at = offset.instant(civil);
        let offset = rules.offset_at(at);
        Some(offset.instant(civil)).filter(|at| rules.offset_at(*at) == offset)
    };
    before.filter_map(at).collect()
}

/// Says whether two windows are about as long.
pub fn are_alike(one: TimeDelta, other: TimeDelta) -> bool {
    (one - other).num_seconds().abs() * LENGTHS_APART <= one.max(other).num_seconds()
}

/// How much is usual for a window that lasts so long: the median of earlier ones, by the hour. Nothing where fewer than
/// eight are like it.
pub fn usual(lasts: TimeDelta, earlier: &[Earlier]) -> Option<u64> {
    let secs = u128::try_from(lasts.num_seconds()).ok()?;
    let scaled = |one: &Earlier| {
        let theirs = u128::try_from(one.lasts.num_seconds()).ok().filter(|secs| *secs > 0)?;
        u64::try_from(u128::from(one.evidence) * secs / theirs).ok()
    };
    let alike = earlier.iter().filter(|one| are_alike(lasts, one.lasts));
    let mut all: Vec<u64> = alike.filter_map(scaled).collect();
    all.sort_unstable();
    (all.len() >= HISTORY_MIN).then(|| all[all.len() / 2])
}

/// What is to be said of so much evidence, where so much is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// It is enough.
    Enough,
    /// It is told, and is a proof all the same.
    Thin,
    /// It is no proof: the check wants more.
    TooThin,
}

/// Weighs evidence against what is usual, and what the check wants of that.
pub fn compare(evidence: u64, usual: u64, wanted: Option<Share>) -> Usual {
    match wanted {
        Some(share) if !share.is_met_by(evidence, usual) => Usual::TooThin,
        Some(_) | None if usual >= USUAL_MIN && evidence.saturating_mul(TOLD_BELOW) < usual => {
            Usual::Thin
        }
        Some(_) | None => Usual::Enough,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::zone::{Offset, Rules};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Berlin, in 2026.
    fn berlin() -> Rules {
        let hour = |hours: i32| Offset::of_secs(hours * 3_600);
        let changes =
            [(at("2026-03-29T01:00:00Z"), hour(2)), (at("2026-10-25T01:00:00Z"), hour(1))];
        Rules::new(hour(1), changes)
    }

    #[test]
    fn earlier_windows_begin_at_the_same_local_time_of_the_week_across_clock_changes() {
        let day = (at("2026-04-01T22:00:00Z"), at("2026-04-02T22:00:00Z"));
        let starts = earlier_starts(day, &berlin());
        assert_eq!(starts.len(), 16);
        assert_eq!(starts[0], at("2026-03-25T23:00:00Z"), "it was winter a week ago");
        assert_eq!(starts[1], at("2026-03-18T23:00:00Z"));
        let hour = (at("2026-04-05T00:30:00Z"), at("2026-04-05T01:30:00Z"));
        // 02:30 did not exist on the 29th of March.
        assert_eq!(earlier_starts(hour, &berlin()).len(), 15);
        let month = (at("2026-04-30T22:00:00Z"), at("2026-05-31T22:00:00Z"));
        assert_eq!(
            earlier_starts(month, &berlin())[..2],
            [at("2026-03-31T22:00:00Z"), at("2026-02-28T23:00:00Z")]
        );
    }

    fn week(evidence: u64) -> Earlier {
        Earlier { evidence, lasts: TimeDelta::hours(24) }
    }

    #[test]
    fn eight_windows_that_are_alike_make_a_history_and_its_median_is_usual() {
        let day = TimeDelta::hours(24);
        let seven = [10, 20, 30, 40, 50, 60, 70].map(week);
        assert_eq!(usual(day, &seven), None);
        let eight = [seven.as_slice(), &[week(1_000_000)]].concat();
        assert_eq!(usual(day, &eight), Some(50));
        assert_eq!(usual(TimeDelta::hours(23), &eight), Some(47), "by the hour");
        assert_eq!(
            usual(TimeDelta::hours(2), &eight),
            None,
            "a short stretch is like none of them"
        );
    }

    #[test]
    fn one_row_of_a_million_is_thin_and_a_few_rows_less_are_chance() {
        assert_eq!(compare(1, 1_000_000, None), Usual::Thin);
        assert_eq!(compare(200_000, 1_000_000, None), Usual::Enough);
        assert_eq!(compare(199_999, 1_000_000, None), Usual::Thin);
        assert_eq!(compare(0, 19, None), Usual::Enough);
        let half = Share::parse("0.5").ok();
        assert_eq!(compare(499_999, 1_000_000, half), Usual::TooThin);
        assert_eq!(compare(500_000, 1_000_000, half), Usual::Enough);
        assert_eq!(compare(1, 4, half), Usual::TooThin, "the check says so");
    }
}
