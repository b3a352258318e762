//! What goes, and when: in small batches, so that nothing waits for it.
//!
//! Confirmed slots in a row become one range after a week; what is older than the retention goes.
//! What is open or waived never does.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::duration::delta;
use crate::ledger::cells::micros;
use crate::ledger::conn::{Conn, Wait, args};
use crate::ledger::{LedgerError, PATIENCE, Store};

/// After how long confirmed slots become ranges.
const FOLD_AFTER: TimeDelta = TimeDelta::days(7);
/// How many rows are looked at, or dropped, at once.
const BATCH: i64 = 500;

/// What one batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Rows that were dropped or folded.
    pub rows: u64,
    /// From where on there is more of the same series; nothing where it is done.
    pub next: Option<DateTime<Utc>>,
}

impl Store {
    /// Folds and drops what is old of one series, from an instant on.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn tidy(
        &mut self,
        series: i64,
        from: DateTime<Utc>,
        host_now: DateTime<Utc>,
    ) -> Result<Tidied, LedgerError> {
        const OLD: &str = "DELETE FROM entries WHERE (series, kind, start_at, end_at) IN \
            (SELECT series, kind, start_at, end_at FROM entries WHERE series = $1 \
            AND kind IN ('window', 'slot') AND start_at < $2 \
            AND end_at < $2 AND live = 0 AND state = 'recorded' AND ruling <> 'waived' LIMIT $3)";
        const ATTEMPTS: &str = "DELETE FROM attempts WHERE (series, kind, start_at, end_at, epoch) \
            IN (SELECT series, kind, start_at, end_at, epoch FROM attempts WHERE series = $1 \
            AND kind IN ('window', 'slot') AND start_at < $2 AND end_at < $2 AND ended_at < $2 LIMIT $3)";
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let mut tidied = Tidied::default();
            if !conn.lock(vec![series], Wait::Never).await?.is_empty() {
                let oldest = now - delta(settings.retention);
                let (rows, next) = fold(conn, series, from, now - FOLD_AFTER).await?;
                tidied.rows += rows;
                let dropped = conn.run(OLD, args![series, oldest, BATCH]).await?;
                let attempts = conn.run(ATTEMPTS, args![series, oldest, BATCH]).await?;
                tidied.rows += dropped + attempts;
                let full = dropped.max(attempts) >= BATCH.unsigned_abs();
                tidied.next = next.or(full.then_some(from));
            }
            conn.commit().await?;
            Ok(tidied)
        })
        .await
    }

    /// Drops events, orders that are over, and catalogues that are not active, that are older than the retention.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn tidy_events(&mut self, now: DateTime<Utc>) -> Result<u64, LedgerError> {
        const OLD: &str = "DELETE FROM events WHERE id IN \
            (SELECT id FROM events WHERE at < $1 ORDER BY id LIMIT $2)";
        const GENERATIONS: &str = "DELETE FROM generations WHERE id IN (SELECT id FROM generations \
            WHERE active = 0 AND loaded_at < $1 ORDER BY id LIMIT $2)";
        const ORDERS: &str = "DELETE FROM orders WHERE id IN (SELECT id FROM orders \
            WHERE ended_at < $1 ORDER BY id LIMIT $2)";
        self.on(PATIENCE, async |conn, settings| {
            let oldest = now - delta(settings.retention);
            conn.run(ORDERS, args![oldest, BATCH]).await?;
            conn.run(GENERATIONS, args![oldest, BATCH]).await?;
            conn.run(OLD, args![oldest, BATCH]).await
        })
        .await
    }
}

/// Makes ranges of confirmed slots; returns how many rows went into them, and where there are more.
async fn fold(
    conn: &mut Conn,
    series: i64,
    from: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<(u64, Option<DateTime<Utc>>), LedgerError> {
    const OLD: &str = "SELECT start_at, end_at, said, live, ruling FROM entries \
        WHERE series = $1 AND kind = 'slot' AND end_at < $2 AND start_at < $2 AND start_at >= $4 \
        ORDER BY start_at LIMIT $3";
    // The range takes the first row's place, and reaches to the end of the last.
    const GROW: &str = "UPDATE entries SET end_at = $1, attempts = (SELECT SUM(attempts) FROM \
        entries WHERE series = $2 AND kind = 'slot' AND start_at >= $3 AND end_at <= $1) \
        WHERE series = $2 AND kind = 'slot' AND start_at = $3 AND end_at = $4";
    const SWALLOW: &str = "DELETE FROM entries WHERE series = $1 AND kind = 'slot' \
        AND start_at > $2 AND end_at <= $3";
    const ATTEMPTS: &str = "DELETE FROM attempts WHERE series = $1 AND kind = 'slot' \
        AND start_at >= $2 AND end_at <= $3";
    let rows = conn.all(OLD, args![series, micros(before), BATCH * 2, from]).await?;
    let mut runs: Vec<Vec<(i64, i64)>> = vec![Vec::new()];
    for row in &rows {
        let plain = row.maybe_text("said")? == Some("confirmed")
            && row.int("live")? == 0
            && row.text("ruling")? == "standing";
        if plain {
            let bounds = (row.int("start_at")?, row.int("end_at")?);
            if let Some(run) = runs.last_mut() {
                run.push(bounds);
            }
        } else {
            runs.push(Vec::new());
        }
    }
    let mut folded = 0;
    for run in runs {
        let ([(start, first_end), _, ..], Some((_, end))) = (run.as_slice(), run.last()) else {
            continue;
        };
        let attempts = args![*end, series, *start, *first_end];
        conn.run(GROW, attempts).await?;
        folded += conn.run(SWALLOW, args![series, *start, *end]).await?;
        conn.run(ATTEMPTS, args![series, *start, *end]).await?;
    }
    let full = rows.len() >= usize::try_from(BATCH * 2).unwrap_or(usize::MAX);
    // The last of them may begin a range that goes on: it is in the next batch too.
    let next = match rows.last().filter(|_| full) {
        Some(last) => Some(last.at("start_at")?),
        None => None,
    };
    Ok((folded, next))
}
