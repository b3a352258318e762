//! Reruns: every recorded window of a selection is tried again.

use crate::domain::record::window_state::{State, WindowState};
use crate::ledger::entry::Entry;
use crate::ledger::slices::{Progress, Rows, Slice, TermsOf};
use crate::ledger::{LONG, LedgerError, Store, TxOutcome, Work};

impl Store {
    /// Has every recorded row of a slice of a selection tried again, as soon as there is a place.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn rerun(
        &mut self,
        progress: &mut Progress,
        by: &str,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                let entries = slice.read(Rows::All).await?;
                let series = entries.iter().map(|entry| entry.series).collect();
                slice.tx.read_last_slots(series).await?;
                for entry in entries {
                    let tx = &mut slice.tx;
                    // What is past of the present cannot be looked at.
                    if !tx.is_newest(&entry) {
                        continue;
                    }
                    let row = match entry.row.state {
                        State::Running { .. } => continue,
                        // However often it was in vain before.
                        State::Recorded(_) => WindowState { failed_attempts: 0, ..entry.row },
                        State::Waiting { last, .. } => {
                            let state = State::Waiting { not_before: tx.now, last };
                            WindowState { state, ..entry.row }
                        }
                    };
                    tx.write_quietly(&Entry { row, asked: true, ..entry });
                    slice.after.rows += 1;
                }
                slice.end("rerun", "asked for", &format!("by {by}")).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }
}
