//! Reruns: every recorded window of a selection is tried again.

use crate::domain::record::window_state::{State, WindowState};
use crate::ledger::LedgerError;
use crate::ledger::entry::Entry;
use crate::ledger::slices::{Rows, Slice};

impl Slice<'_> {
    /// Has every row of the slice tried again, as soon as there is a place. Where less evidence is accepted than violated a
    /// row, nothing is held against it.
    pub(super) async fn rerun(&mut self, accepts_less: bool) -> Result<(), LedgerError> {
        let entries = self.read(Rows::All).await?;
        let series = entries.iter().map(|entry| entry.series).collect();
        self.tx.read_last_slots(series).await?;
        for entry in entries {
            let tx = &mut self.tx;
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
            let evidence = entry.evidence.filter(|_| !accepts_less);
            tx.write_quietly(&Entry { row, evidence, asked: true, ..entry });
            self.order.rows += 1;
        }
        Ok(())
    }
}
