//! What is done now and then, one small thing at a time: reading what other replicas wrote, folding
//! and dropping what is old.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::LedgerHealth;
use crate::engine::watch::{Engine, SYNC_BACK, SYNC_EACH, TIDY_EACH};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// What is done now and then, one small thing at a time.
    pub(super) async fn house_keeping(&mut self) {
        let now = Instant::now();
        if self.ledger != LedgerHealth::Up {
            return;
        }
        if self.store.is_shared() && now >= self.sync_at {
            self.sync_at = now + SYNC_EACH;
            match self.store.changed_since(self.now() - SYNC_BACK).await {
                Ok(records) => {
                    for record in records {
                        let known = self.roster.get(record.id).map(|member| &*member.record);
                        if known != Some(&record) {
                            self.roster.admit(record, &self.reading.zones, self.now());
                        }
                    }
                }
                Err(trouble) => tracing::warn!(%trouble, "what other replicas wrote was not read"),
            }
        }
        if now >= self.tidy_at {
            self.tidy_at = now + TIDY_EACH;
            self.tidy().await;
        }
    }

    async fn tidy(&mut self) {
        let next = self.roster.members().map(|m| m.record.id).find(|id| *id > self.tidied);
        let Some(series) = next else {
            self.tidied = 0;
            drop(self.store.tidy_events(self.now()).await);
            return;
        };
        let until = Instant::now() + Duration::from_secs(5);
        match timeout_at(until, self.store.tidy(series, self.clock.now())).await {
            Ok(Ok(tidied)) if tidied.more => {}
            Ok(Ok(_)) | Err(_) => self.tidied = series,
            Ok(Err(trouble)) => {
                self.tidied = series;
                tracing::warn!(%trouble, "old rows were not folded");
            }
        }
    }
}
