//! Values of the data that findings were kept with: cut when their time is over, or by an operator's word.

use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{Cut, LedgerError};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Cuts a batch of what is older than it is kept.
    pub(super) async fn cut_samples(&mut self) {
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        match self.store.cut_samples(&terms, self.clock.now()).await {
            Ok(cut) => self.take_cut(cut),
            Err(trouble) => tracing::warn!(%trouble, "values that are old enough were not cut"),
        }
    }

    /// Cuts the values that are kept of a check; returns of how many attempts.
    pub(super) async fn forget_samples(
        &mut self,
        [check, by, because]: &[String; 3],
    ) -> Result<u64, LedgerError> {
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        let told = (by.as_str(), because.as_str());
        let cut = self.store.forget_samples(check, told, &terms, self.clock.now()).await?;
        let attempts = cut.attempts;
        self.take_cut(cut);
        Ok(attempts)
    }

    fn take_cut(&mut self, cut: Cut) {
        if !cut.outcome.series.is_empty() {
            self.take_touched(cut.outcome);
            self.shown_at = None;
        }
    }
}
