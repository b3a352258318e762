//! Waivers: an operator vouches for the open windows of a selection, or takes that back. What ends a waiver by
//! itself is in `domain::record::window_state`.

use crate::domain::record::window_state::{Override, WindowState};
use crate::ledger::LedgerError;
use crate::ledger::conn::args;
use crate::ledger::entry::Entry;
use crate::ledger::orders::{OrderRecord, Waiver};
use crate::ledger::slices::{Rows, Slice};
use crate::ledger::tx::Tx;

impl Slice<'_> {
    /// Vouches for the rows of the slice that are open: for what was known when the order was given.
    pub(super) async fn waive(&mut self, waiver: &Waiver) -> Result<(), LedgerError> {
        let entries = self.read(Rows::Live).await?;
        let (now, given) = (self.tx.now, self.order.at);
        let was_known = |entry: &Entry| {
            let recorded = entry.row.recorded().is_some_and(|recorded| recorded.at <= given);
            recorded && entry.row.open(given).is_some() && entry.row.open(now).is_some()
        };
        let open: Vec<Entry> = entries.into_iter().filter(was_known).collect();
        if !open.is_empty() {
            let id = store_waiver(&mut self.tx, &self.order, waiver, open.len()).await?;
            self.order.waiver = Some(id);
        }
        for entry in open {
            let was = super::summary::is_open(&entry.row, now);
            let overridden = Override::Waived { until: waiver.until };
            let row = WindowState { overridden, ..entry.row };
            let entry = Entry { row, waiver: self.order.waiver, ..entry };
            self.tx.write(&entry);
            self.tx.opened(entry.key(), was, None, (&entry, entry.generation));
            self.order.rows += 1;
        }
        Ok(())
    }

    /// Takes the waivers of the rows of the slice back: what they covered is open again.
    pub(super) async fn revoke(&mut self) -> Result<(), LedgerError> {
        for entry in self.read(Rows::Waived).await? {
            let tx = &mut self.tx;
            let was = super::summary::is_open(&entry.row, tx.now);
            let row = WindowState { overridden: Override::Standing, ..entry.row };
            let is = super::summary::is_open(&row, tx.now);
            let entry = Entry { row, ..entry };
            tx.write(&entry);
            tx.opened(entry.key(), was, is, (&entry, entry.generation));
            self.order.rows += 1;
        }
        Ok(())
    }
}

/// Stores a waiver, or adds rows to the one that an earlier slice stored; returns its number.
async fn store_waiver(
    tx: &mut Tx<'_>,
    order: &OrderRecord,
    waiver: &Waiver,
    entries: usize,
) -> Result<i64, LedgerError> {
    const ADD: &str = "INSERT INTO waivers (at, by_whom, because, until_at, selection, entries) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    const MORE: &str = "UPDATE waivers SET entries = entries + $1 WHERE id = $2";
    let count = i64::try_from(entries).unwrap_or(i64::MAX);
    if let Some(id) = order.waiver {
        tx.conn.run(MORE, args![count, id]).await?;
        return Ok(id);
    }
    let (by, because) = (waiver.by.as_str(), waiver.because.as_str());
    let values = args![tx.now, by, because, waiver.until, order.selection.as_str(), count];
    let row = tx.conn.first(ADD, values).await?;
    row.ok_or_else(|| LedgerError::odd("a waiver was not stored"))?.int("id")
}
