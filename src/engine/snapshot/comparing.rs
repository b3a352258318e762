//! How far an attempt is that compares rows.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::name::CheckId;

/// An attempt that compares rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparing {
    /// Its series.
    pub series: i64,
    /// Its check.
    pub check: CheckId,
    /// How many rows came from the left and from the right.
    pub rows: [u64; 2],
    /// How many a side is expected to have; `None` where that is not known.
    pub expected: Option<u64>,
    /// When it began.
    pub began: DateTime<Utc>,
}

impl Comparing {
    /// How many rows of both sides come in a second, so far.
    pub fn rows_per_second(&self, now: DateTime<Utc>) -> u64 {
        let millis = u64::try_from((now - self.began).num_milliseconds()).unwrap_or(0).max(1);
        self.rows.iter().sum::<u64>().saturating_mul(1_000) / millis
    }

    /// When it is expected to end.
    pub fn ends_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let left = self.expected?.saturating_mul(2).saturating_sub(self.rows.iter().sum());
        let secs = left.checked_div(self.rows_per_second(now))?;
        Some(now + TimeDelta::seconds(i64::try_from(secs.min(31_536_000)).ok()?))
    }
}
