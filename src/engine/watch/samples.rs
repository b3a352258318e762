//! Values of the data that findings were kept with: cut when their time is over, or by an operator's word.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{Cut, LedgerError};

/// How often it is looked for what is old enough, and how long that may take.
const EACH: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(5);

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Cuts a part of what is older than it is kept.
    pub(super) async fn cut_samples(&mut self) {
        if Instant::now() < self.cut_at {
            return;
        }
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        let until = Instant::now() + PATIENCE;
        let cut = timeout_at(until, self.store.cut_samples(&terms, self.clock.now())).await;
        match cut {
            Ok(Ok(cut)) => {
                self.cut_at = Instant::now() + if cut.more { Duration::ZERO } else { EACH };
                self.take_cut(cut);
            }
            Ok(Err(trouble)) => {
                self.cut_at = Instant::now() + EACH;
                tracing::warn!(%trouble, "values that are old enough were not cut");
            }
            Err(_) => self.cut_at = Instant::now() + EACH,
        }
    }

    /// Cuts the values that are kept of a check; returns of how many notes.
    pub(super) async fn forget_samples(
        &mut self,
        [check, by, because]: &[String; 3],
    ) -> Result<u64, LedgerError> {
        let mut notes = 0;
        loop {
            let roster = &self.roster;
            let terms = |series: i64| roster.get(series).map(|member| member.terms);
            let cut = self.store.forget_samples(check, &terms, self.clock.now()).await?;
            let more = cut.more && cut.notes > 0;
            notes += cut.notes;
            self.take_cut(cut);
            if !more {
                break;
            }
        }
        let told = (by.as_str(), because.as_str());
        self.store.note_forgotten(check, told, notes, self.clock.now()).await?;
        Ok(notes)
    }

    fn take_cut(&mut self, cut: Cut) {
        if !cut.outcome.series.is_empty() {
            self.take_touched(cut.outcome);
            self.shown_at = None;
        }
    }
}
