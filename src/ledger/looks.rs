//! The newest windows of a series, and what was seen of them since an instant.

use chrono::{DateTime, Utc};

use crate::ledger::attempt_list::AttemptRow;
use crate::ledger::conn::{Conn, args};
use crate::ledger::entry::read_kind;
use crate::ledger::{LedgerError, PATIENCE, Reader, RowKey, Store};

/// The rows of a series that became due last.
async fn newest_due(conn: &mut Conn, series: i64) -> Result<Vec<RowKey>, LedgerError> {
    const NEWEST: &str = "SELECT kind, start_at, end_at FROM entries WHERE series = $1 \
        AND kind IN ('window', 'slot') AND due = (SELECT due FROM entries WHERE series = $1 \
        AND kind IN ('window', 'slot') ORDER BY start_at DESC LIMIT 1) ORDER BY start_at";
    let rows = conn.all(NEWEST, args![series]).await?;
    let key = |row: &crate::ledger::cells::Record| {
        let kind = read_kind(row.text("kind")?)?;
        Ok(RowKey { series, kind, start: row.at("start_at")?, end: row.at("end_at")? })
    };
    rows.iter().map(key).collect()
}

impl Store {
    /// The same as [`Reader::newest_due`], for who writes.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn newest_due(&mut self, series: i64) -> Result<Vec<RowKey>, LedgerError> {
        self.on(PATIENCE, async |conn, _| newest_due(conn, series).await).await
    }
}

impl Reader {
    /// Returns the rows of a series that became due last: a window, each stretch of it, or a slot.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn newest_due(&self, series: i64) -> Result<Vec<RowKey>, LedgerError> {
        self.on(async |conn| newest_due(conn, series).await).await
    }

    /// Returns the last attempt at a row that began at or after an instant, where there was one: of those that count.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn attempt_since(
        &self,
        key: RowKey,
        since: DateTime<Utc>,
    ) -> Result<Option<AttemptRow>, LedgerError> {
        let attempts = self.attempts_of_window(key, 5).await?;
        // What was fenced off is not on the record, whatever it says.
        let counts = |attempt: &AttemptRow| attempt.ran.0 >= since && attempt.outcome != "fenced";
        Ok(attempts.into_iter().find(counts))
    }
}
