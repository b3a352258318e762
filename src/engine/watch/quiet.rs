//! Checks that an operator keeps quiet: written down here, and carried out where notices are sent.

use std::sync::Arc;

use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{EndQuiet, KeepQuiet, LedgerError};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Keeps a check quiet; returns the number of the row.
    pub(super) async fn keep_quiet(&mut self, keep: &KeepQuiet) -> Result<i64, LedgerError> {
        let (id, quiets) = self.store.keep_quiet(keep, self.clock.now()).await?;
        (self.alerts.quiets, self.shown_at) = (Arc::new(quiets), None);
        Ok(id)
    }

    /// Keeps a check quiet no longer; returns how many rows that ended.
    pub(super) async fn end_quiet(&mut self, end: &EndQuiet) -> Result<u64, LedgerError> {
        let (ended, quiets) = self.store.end_quiet(end, self.clock.now()).await?;
        (self.alerts.quiets, self.shown_at) = (Arc::new(quiets), None);
        Ok(ended)
    }
}
