//! What is done now and then, one small thing at a time: reading what other replicas wrote, folding
//! and dropping what is old.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use tokio::time::{Instant, timeout_at};

use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::LedgerHealth;
use crate::engine::watch::{Engine, SYNC_BACK, SYNC_EACH, TIDY_EACH};
use crate::ledger::LedgerError;

/// After how long without a look at what other replicas wrote all of it is read.
const FROZEN: Duration = Duration::from_secs(10);

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// What is done now and then, one small thing at a time.
    pub async fn house_keeping(&mut self) {
        let now = Instant::now();
        if self.ledger != LedgerHealth::Up {
            return;
        }
        if self.tell_anew {
            self.tell_anew = self.announce_standing().await.is_err();
        }
        // While it is not known what series stand at, nothing is said of them.
        if !self.tell_anew {
            if let Err(trouble) = self.adopt_alerts().await {
                tracing::warn!(%trouble, "alerts that are not known here were not written down");
            }
            self.settle_alerts().await;
        }
        if self.store.is_shared() && now >= self.sync_at {
            self.sync_at = now + SYNC_EACH;
            match self.sync(now).await {
                Ok(()) => self.alerts.read_at = now,
                Err(trouble) => tracing::warn!(%trouble, "what other replicas wrote was not read"),
            }
        }
        if let Err(trouble) = self.look_at_identities().await {
            tracing::warn!(%trouble, "which databases the sources are was not written down");
        }
        let mut learnt = self.look_at_relations().await;
        if learnt.is_ok() {
            learnt = self.write_relations().await;
        }
        if let Err(trouble) = learnt {
            tracing::warn!(%trouble, "what checks stand on was not written down");
        }
        if now >= self.tidy_at {
            self.tidy_at = now + TIDY_EACH;
            self.tidy().await;
        }
    }

    /// Reads what other replicas wrote: alerts first, so that no alert is known here whose series is not.
    async fn sync(&mut self, now: Instant) -> Result<(), LedgerError> {
        let read = self.fetch_alerts().await?;
        // A process that was frozen has missed more than the last changes.
        if now - self.alerts.read_at > FROZEN {
            self.announce_standing().await?;
            self.take_read(read);
            return Ok(());
        }
        self.resume_drills().await?;
        // Another replica may have left an order behind.
        self.under_order.any = true;
        let changed = self.store.changed_since(self.now() - SYNC_BACK).await?;
        self.take_read(read);
        for record in changed {
            let known = self.roster.get(record.id).map(|member| &*member.record);
            if known != Some(&record) {
                self.alerts.changed = true;
                self.roster.admit(record, &self.reading.zones, self.now());
            }
        }
        Ok(())
    }

    /// Holds what the ledger says against what was told, after answers were lost.
    async fn announce_standing(&mut self) -> Result<(), LedgerError> {
        let now = self.now();
        for record in self.store.series().await? {
            let Some(member) = self.roster.get(record.id) else { continue };
            let check = Arc::clone(&member.series.check);
            for notice in record.standings.since(member.record.standings) {
                self.notices.changed(&check, &record, notice);
            }
            self.roster.admit(record, &self.reading.zones, now);
        }
        self.alerts.changed = true;
        Ok(())
    }

    async fn tidy(&mut self) {
        drop(self.store.tidy_events(self.now()).await);
        self.cut_samples().await;
        let (done, from) = self.tidied;
        let more = from.map(|from| (done, from));
        let next = more.or_else(|| {
            let next = self.roster.members().map(|m| m.record.id).find(|id| *id > done);
            next.map(|id| (id, DateTime::UNIX_EPOCH))
        });
        let Some((series, from)) = next else {
            self.tidied = (0, None);
            return;
        };
        self.tidied = (series, None);
        let until = Instant::now() + Duration::from_secs(5);
        match timeout_at(until, self.store.tidy(series, from, self.clock.now())).await {
            Ok(Ok(tidied)) => self.tidied = (series, tidied.next),
            Ok(Err(trouble)) => tracing::warn!(%trouble, "old rows were not folded"),
            Err(_) => tracing::warn!("old rows were not folded in time"),
        }
    }
}
