//! Windows counted by offset and local date, for who looks at many of them at once.
//!
//! They are counted by the store: a month of four hundred zones comes as a few dozen rows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::record::window_state::WindowKind;
use crate::ledger::cells::instant;
use crate::ledger::conn::{Each, args, each};
use crate::ledger::entry::kind_word;
use crate::ledger::{LedgerError, Reader};

/// The windows of one offset that begin on one local date, counted by how they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCell {
    /// All of them.
    pub all: u64,
    /// Those that are proved.
    pub confirmed: u64,
    /// Those that are wrong and open.
    pub violated: u64,
    /// Those without a result in time, and open.
    pub unconfirmed: u64,
    /// Those that a person vouches for.
    pub waived: u64,
    /// Those that their owner takes out, by a pause or a date.
    pub excused: u64,
    /// Those that wait for a result, in time.
    pub waiting: u64,
    /// Looks that were wrong or had no result, and that a later one closed.
    pub closed: u64,
    /// The first of them: its series, and when it begins.
    pub first: (i64, DateTime<Utc>),
}

/// Cells by offset from UTC in seconds, and local date.
pub type Matrix = BTreeMap<i32, BTreeMap<NaiveDate, DayCell>>;

/// Open windows of a check on one local date: how many are violated, how many unconfirmed.
pub type OpenDays = BTreeMap<(i32, NaiveDate), (u64, u64)>;

/// How many cells of open windows are read at most.
const OPEN_MAX: i64 = 900;

impl Reader {
    /// Counts the windows, or looks, of a check that begin in `[from, to)`.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn matrix(
        &self,
        check: &str,
        kind: WindowKind,
        [from, to]: [DateTime<Utc>; 2],
        now: DateTime<Utc>,
    ) -> Result<Matrix, LedgerError> {
        const CELLS: &str = "SELECT utc_offset, string_agg(cell, ';') AS cells FROM (\
            SELECT utc_offset, CAST(day AS TEXT) || ',' || CAST(COUNT(*) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'c' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'v' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'u' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'w' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'e' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 't' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(SUM(CASE WHEN class = 'x' THEN 1 ELSE 0 END) AS TEXT) || ',' || \
            CAST(MIN(series) AS TEXT) || ',' || CAST(MIN(start_at) AS TEXT) AS cell FROM (\
            SELECT e.series AS series, e.start_at AS start_at, e.utc_offset AS utc_offset, \
            (e.start_at / 1000000 + e.utc_offset) / 86400 AS day, CASE \
            WHEN e.ruling = 'waived' AND (e.waived_until IS NULL OR e.waived_until > $5) THEN 'w' \
            WHEN e.ruling IN ('excused', 'superseded') THEN 'e' \
            WHEN e.said IS NULL AND e.deadline > $5 THEN 't' \
            WHEN e.said IS NULL THEN 'u' \
            WHEN e.said = 'confirmed' AND e.reproof_by IS NOT NULL THEN 't' \
            WHEN e.said = 'confirmed' THEN 'c' \
            WHEN e.live = 0 THEN 'x' \
            WHEN e.said = 'violated' THEN 'v' \
            WHEN e.deadline > $5 THEN 't' ELSE 'u' END AS class \
            FROM series s JOIN entries e ON e.series = s.id WHERE s.check_id = $1 AND s.role <> 'list' \
            AND e.kind = $2 AND e.start_at >= $3 AND e.start_at < $4 \
            AND e.ruling NOT IN ('replaced', 'removed')) AS rows_of GROUP BY utc_offset, day) AS cells_of \
            GROUP BY utc_offset ORDER BY utc_offset";
        let values = args![check, kind_word(kind), from, to, now];
        let rows = self.on(async |conn| conn.all(CELLS, values).await).await?;
        let mut matrix = Matrix::new();
        for row in &rows {
            let cells = row.text("cells")?.split(';').filter_map(cell).collect();
            matrix.insert(row.small("utc_offset")?, cells);
        }
        Ok(matrix)
    }

    /// Counts the open windows of a few checks that begin at or after an instant; each check is named by the series of it
    /// that are to be counted.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn open_days(
        &self,
        checks: &[Vec<i64>],
        from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OpenDays>, LedgerError> {
        const OPEN: Each = each!(
            ["SELECT r.place AS place, e.utc_offset AS utc_offset, \
              (e.start_at / 1000000 + e.utc_offset) / 86400 AS day, \
              SUM(CASE WHEN e.said = 'violated' THEN 1 ELSE 0 END) AS violated, COUNT(*) AS n FROM"],
            (0 "wanted" "bigint", 1 "place" "bigint"),
            ["JOIN entries e ON e.series = r.wanted WHERE e.live = 1 AND e.start_at >= $2 \
              AND e.ruling = 'standing' AND (e.said = 'violated' OR e.said = 'unconfirmed' AND e.deadline <= $3) \
              GROUP BY r.place, e.utc_offset, (e.start_at / 1000000 + e.utc_offset) / 86400 \
              ORDER BY r.place, day DESC LIMIT $4"]
        );
        let mut wanted = Vec::new();
        for (place, series) in checks.iter().enumerate() {
            let place = i64::try_from(place).unwrap_or(i64::MAX);
            wanted.extend(series.iter().map(|id| args![*id, place]));
        }
        let mut days = vec![OpenDays::new(); checks.len()];
        if wanted.is_empty() {
            return Ok(days);
        }
        let more = [from.into(), now.into(), OPEN_MAX.into()];
        let rows = self.on(async |conn| conn.all_each(&OPEN, &wanted, &more).await).await?;
        for row in &rows {
            let place = usize::try_from(row.int("place")?).unwrap_or(usize::MAX);
            let (Some(days), Some(date)) = (days.get_mut(place), date(row.int("day")?)) else {
                continue;
            };
            let (all, violated) = (row.count("n")?, row.count("violated")?);
            days.insert((row.small("utc_offset")?, date), (violated, all - violated));
        }
        Ok(days)
    }
}

/// The date of a number of days since 1970.
fn date(day: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp(day.checked_mul(86_400)?, 0).map(|at| at.date_naive())
}

fn cell(text: &str) -> Option<(NaiveDate, DayCell)> {
    let numbers =
        text.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<i64>>>()?;
    let [
        day,
        all,
        confirmed,
        violated,
        unconfirmed,
        waived,
        excused,
        waiting,
        closed,
        series,
        start,
    ] = numbers.try_into().ok()?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let cell = DayCell {
        all: count(all),
        confirmed: count(confirmed),
        violated: count(violated),
        unconfirmed: count(unconfirmed),
        waived: count(waived),
        excused: count(excused),
        waiting: count(waiting),
        closed: count(closed),
        first: (series, instant(start)),
    };
    Some((date(day)?, cell))
}
