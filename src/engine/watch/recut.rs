//! Newer rules of zones: the windows that they cut otherwise.

use crate::domain::record::supersession::Bounds;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{LedgerError, Work};

/// Of how many series the windows are read at once.
const RECUT_AT_ONCE: usize = 200;

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Holds the record against newer rules of zones. What is done of it is not done again.
    pub(super) async fn recut(&mut self) -> Result<(), LedgerError> {
        let release = self.reading.tz_release();
        let older: Vec<i64> = self
            .roster
            .members()
            .filter(|member| member.record.tz_release < release)
            .map(|member| member.record.id)
            .collect();
        for some in older.chunks(RECUT_AT_ONCE) {
            let oldest = |id: &i64| Some((*id, self.now() - self.roster.get(*id)?.terms.age));
            let wanted: Vec<_> = some.iter().filter_map(oldest).collect();
            let mut recorded = self.store.bounds(&wanted).await?;
            for id in some {
                self.recut_series(*id, &recorded.remove(id).unwrap_or_default()).await?;
            }
            self.store.cut_by(some.to_vec(), &release).await?;
        }
        Ok(())
    }

    /// Holds the windows of a series that are on the record against newer rules of its zone.
    async fn recut_series(&mut self, id: i64, recorded: &[Bounds]) -> Result<(), LedgerError> {
        let Some(member) = self.roster.get(id) else { return Ok(()) };
        let (Some(watermark), Some(_)) = (member.record.watermark, member.series.window()) else {
            return Ok(());
        };
        let now = self.now();
        let Some(what) = member.series.superseded(recorded, watermark, now) else { return Ok(()) };
        let due_batch = self.roster.due_batch_of(id, &what.new, now);
        let work = Work { due_batches: due_batch.into_iter().collect(), ..self.bare_work() };
        let terms = |series: i64| self.roster.get(series).map(|member| member.terms);
        let outcome = self.store.supersede(id, &what, &work, &terms).await?;
        tracing::info!(series = id, "new rules of its zone moved windows of a series");
        self.take_touched(outcome);
        Ok(())
    }
}
