//! Windows counted by offset and local date, for who looks at many of them at once.
//!
//! They are counted by the store: a month of four hundred zones comes as a few dozen rows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

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
    /// Confirmed looks of which none has a row of its own any more: they are kept as one that reaches over the day.
    pub folded: u64,
    /// The first of them: its series, and when it begins.
    pub first: (i64, DateTime<Utc>),
}

impl DayCell {
    /// No window.
    pub const NONE: Self = Self {
        all: 0,
        confirmed: 0,
        violated: 0,
        unconfirmed: 0,
        waived: 0,
        excused: 0,
        waiting: 0,
        closed: 0,
        folded: 0,
        first: (0, DateTime::UNIX_EPOCH),
    };
}

/// Cells by offset from UTC in seconds, and local date.
pub type Matrix = BTreeMap<i32, BTreeMap<NaiveDate, DayCell>>;

/// Open windows of a check on one local date: how many are violated, how many unconfirmed.
pub type OpenDays = BTreeMap<(i32, NaiveDate), (u64, u64)>;

/// How many ranges of looks are read at most.
const RANGES_MAX: i64 = 900;

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
            WHEN e.ruling = 'excused' AND COALESCE(e.said, '') <> 'violated' THEN 'e' \
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
        if kind == WindowKind::Slot {
            self.add_ranges(&mut matrix, check, [from, to]).await?;
        }
        Ok(matrix)
    }

    /// Adds the days that ranges of confirmed looks reach over: of those no look has a row of its own any more.
    async fn add_ranges(
        &self,
        matrix: &mut Matrix,
        check: &str,
        [from, to]: [DateTime<Utc>; 2],
    ) -> Result<(), LedgerError> {
        const RANGES: &str = "SELECT e.series AS series, e.utc_offset AS utc_offset, e.start_at AS start_at, \
            e.end_at AS end_at FROM series s JOIN entries e ON e.series = s.id WHERE s.check_id = $1 \
            AND s.role <> 'list' AND e.kind = 'slot' AND e.end_at > e.start_at AND e.end_at >= $2 \
            AND e.start_at < $3 AND e.said = 'confirmed' ORDER BY e.start_at DESC LIMIT $4";
        let values = args![check, from, to, RANGES_MAX];
        let rows = self.on(async |conn| conn.all(RANGES, values).await).await?;
        for row in &rows {
            let (secs, start, end) =
                (row.small("utc_offset")?, row.at("start_at")?, row.at("end_at")?);
            let date = |at: DateTime<Utc>| (at + TimeDelta::seconds(secs.into())).date_naive();
            let cells = matrix.entry(secs).or_default();
            let days =
                date(start.max(from)).iter_days().take_while(|day| *day <= date(end.min(to)));
            for day in days {
                // The day on which it begins has it already.
                let cell = cells
                    .entry(day)
                    .or_insert(DayCell { first: (row.int("series")?, start), ..DayCell::NONE });
                if cell.all == 0 || day > date(start) {
                    cell.all += 1;
                    cell.folded += 1;
                }
            }
        }
        Ok(())
    }

    /// Counts the open windows of a few checks that begin at or after an instant.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn open_days(
        &self,
        checks: &[&str],
        from: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OpenDays>, LedgerError> {
        const OPEN: Each = each!(
            ["SELECT place, utc_offset, string_agg(cell, ';') AS cells FROM (SELECT place, utc_offset, \
              CAST(day AS TEXT) || ',' || CAST(SUM(wrong) AS TEXT) || ',' || CAST(COUNT(*) AS TEXT) AS cell \
              FROM (SELECT r.place AS place, e.utc_offset AS utc_offset, \
              (e.start_at / 1000000 + e.utc_offset) / 86400 AS day, \
              CASE WHEN e.said = 'violated' THEN 1 ELSE 0 END AS wrong FROM"],
            (0 "wanted" "text", 1 "place" "bigint"),
            ["JOIN series s ON s.check_id = r.wanted JOIN entries e ON e.series = s.id \
              WHERE s.role <> 'list' AND e.live = 1 AND e.start_at >= $2 \
              AND (e.said = 'violated' OR e.said = 'unconfirmed' AND e.deadline <= $3) \
              AND (e.ruling IN ('standing', 'superseded') OR e.ruling = 'excused' AND e.said = 'violated' \
              OR e.ruling = 'waived' AND e.waived_until <= $3)) AS open_of GROUP BY place, utc_offset, day) AS cells_of \
              GROUP BY place, utc_offset"]
        );
        let place = |place: usize| i64::try_from(place).unwrap_or(i64::MAX);
        let wanted: Vec<_> =
            checks.iter().enumerate().map(|(at, check)| args![*check, place(at)]).collect();
        let more = [from.into(), now.into()];
        let rows = self.on(async |conn| conn.all_each(&OPEN, &wanted, &more).await).await?;
        let mut days = vec![OpenDays::new(); checks.len()];
        for row in &rows {
            let place = usize::try_from(row.int("place")?).unwrap_or(usize::MAX);
            let (Some(days), offset) = (days.get_mut(place), row.small("utc_offset")?) else {
                continue;
            };
            for cell in row.text("cells")?.split(';') {
                let numbers: Option<Vec<i64>> = cell.split(',').map(|n| n.parse().ok()).collect();
                let Some(&[day, wrong, all]) = numbers.as_deref() else { continue };
                let count = |number: i64| u64::try_from(number).unwrap_or(0);
                let Some(date) = date(day) else { continue };
                days.insert((offset, date), (count(wrong), count(all - wrong)));
            }
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
        folded: 0,
        first: (series, instant(start)),
    };
    Some((date(day)?, cell))
}
