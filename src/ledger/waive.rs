//! Waivers: an operator vouches for the open windows of a selection, or takes that back. What ends a waiver by
//! itself is in `domain::record::window_state`.

use chrono::{DateTime, Utc};

use crate::domain::record::window_state::{Override, WindowState};
use crate::ledger::conn::args;
use crate::ledger::entry::Entry;
use crate::ledger::slices::{Progress, Rows, Slice, TermsOf};
use crate::ledger::tx::Tx;
use crate::ledger::{LONG, LedgerError, Store, TxOutcome, Work};

/// Somebody's word for rows that are open.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Who gives it.
    pub by: String,
    /// Why.
    pub because: String,
    /// Until when. Waivers of earlier releases may have no end.
    pub until: Option<DateTime<Utc>>,
}

/// Who takes waivers back, and why.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
}

impl Store {
    /// Vouches for the rows of a slice of a selection that are open.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn waive(
        &mut self,
        progress: &mut Progress,
        waiver: &Waiver,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                let entries = slice.read(Rows::Live).await?;
                let tx = &mut slice.tx;
                let open = entries.into_iter().filter(|e| e.row.open(tx.now).is_some());
                let open: Vec<Entry> = open.collect();
                if !open.is_empty() {
                    let words = &progress.rest.words;
                    let id = store_waiver(tx, words, waiver, progress.waiver, open.len()).await?;
                    slice.after.waiver = Some(id);
                }
                for entry in open {
                    let tx = &mut slice.tx;
                    let was = super::summary::is_open(&entry.row, tx.now);
                    let row = WindowState {
                        overridden: Override::Waived { until: waiver.until },
                        ..entry.row
                    };
                    let entry = Entry { row, waiver: slice.after.waiver, ..entry };
                    tx.write(&entry);
                    tx.opened(entry.key(), was, None, &entry);
                    slice.after.rows += 1;
                }
                let note = format!("by {}: {}", waiver.by, waiver.because);
                slice.end("waiver", "waived", &note).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }

    /// Takes the waivers of a slice of a selection back: what they covered is open again.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn revoke(
        &mut self,
        progress: &mut Progress,
        revocation: &Revocation,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                for entry in slice.read(Rows::Waived).await? {
                    let tx = &mut slice.tx;
                    let was = super::summary::is_open(&entry.row, tx.now);
                    let row = WindowState { overridden: Override::Standing, ..entry.row };
                    let is = super::summary::is_open(&row, tx.now);
                    let entry = Entry { row, ..entry };
                    tx.write(&entry);
                    tx.opened(entry.key(), was, is, &entry);
                    slice.after.rows += 1;
                }
                let note = format!("by {}: {}", revocation.by, revocation.because);
                slice.end("waiver", "revoked", &note).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }
}

/// Stores a waiver, or adds rows to the one that an earlier slice stored; returns its number.
async fn store_waiver(
    tx: &mut Tx<'_>,
    words: &str,
    waiver: &Waiver,
    stored: Option<i64>,
    entries: usize,
) -> Result<i64, LedgerError> {
    const ADD: &str = "INSERT INTO waivers (at, by_whom, because, until_at, selection, entries) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    const MORE: &str = "UPDATE waivers SET entries = entries + $1 WHERE id = $2";
    let count = i64::try_from(entries).unwrap_or(i64::MAX);
    if let Some(id) = stored {
        tx.conn.run(MORE, args![count, id]).await?;
        return Ok(id);
    }
    let (by, because) = (waiver.by.as_str(), waiver.because.as_str());
    let values = args![tx.now, by, because, waiver.until, words, count];
    let row = tx.conn.first(ADD, values).await?;
    row.ok_or_else(|| LedgerError::odd("a waiver was not stored"))?.int("id")
}
