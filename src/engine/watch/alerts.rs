//! Which alerts stand: what the standings of all series say, held against what is written down; what receivers
//! acknowledged of them; and the alerts of this replica about itself.
//!
//! The first follows from the record alone, so that a process that was killed in between is followed by one that
//! writes the same. Sending is done elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::time::{Instant, timeout};

use crate::domain::alerting::alert::{About, Fingerprint, labels};
use crate::domain::alerting::outbox::{Acknowledged, AlertId, ENDS_KEPT};
use crate::domain::alerting::quiet::Quiet;
use crate::domain::record::standing::{Alarm, Standing};
use crate::engine::ports::{Notices, Queries, Receipts};
use crate::engine::snapshot::Proof;
use crate::engine::watch::Engine;
use crate::ledger::{AlertChanges, AlertRow, LedgerError, Notified, Returned, SelfAlert};

/// How often alerts that ended long ago are forgotten.
const FORGET_EACH: std::time::Duration = std::time::Duration::from_secs(60);
/// How long the last words to the record may take.
const PARTING: std::time::Duration = std::time::Duration::from_secs(2);
/// How long the end of an alert is kept for a receiver that does not answer.
const AWAY_MAX: TimeDelta = TimeDelta::days(1);

/// The alerts, as they are written down.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) rows: Arc<Vec<AlertRow>>,
    /// Of which this process recorded the last change.
    pub(super) recorded_here: Arc<BTreeSet<AlertId>>,
    /// What receivers acknowledged.
    pub(super) notified: Arc<Notified>,
    /// The alerts of this replica about itself, and those of replicas that are gone.
    pub(super) own: Arc<Vec<SelfAlert>>,
    /// The checks that are kept quiet, and those that were until a while ago.
    pub(super) quiets: Arc<Vec<Quiet>>,
    /// When the ways to the Alertmanagers were proved last.
    pub(super) proofs: Arc<Vec<Proof>>,
    /// Whether others may stand than those.
    pub(super) changed: bool,
    /// When all of it was read, together with what other replicas recorded.
    pub(super) read_at: Instant,
    /// Since when they cannot be written down, where that is so, and why.
    pub(super) trouble: Option<(DateTime<Utc>, String)>,
    forget_at: Instant,
    /// What the receivers said last, and which of the own alerts were wanted last.
    receipts: Vec<Receipts>,
    wanted: BTreeSet<AlertId>,
}

/// What was read of alerts at one moment.
#[derive(Debug)]
pub(super) struct Read {
    rows: Vec<AlertRow>,
    notified: Notified,
    own: Vec<SelfAlert>,
    returned: Vec<Returned>,
    quiets: Vec<Quiet>,
}

impl Alerts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rows: Arc::default(),
            recorded_here: Arc::default(),
            notified: Arc::default(),
            own: Arc::default(),
            quiets: Arc::default(),
            proofs: Arc::default(),
            changed: false,
            read_at: now,
            trouble: None,
            forget_at: now,
            receipts: Vec::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// Takes over proofs as they were read; the age of each counts from when it was seen here first.
    fn prove(&mut self, returned: Vec<Returned>) {
        let before = Arc::clone(&self.proofs);
        let seen_at = Instant::now();
        let proof = |returned: Returned| {
            let known = before.iter().find(|proof| proof.returned == returned).cloned();
            known.unwrap_or(Proof { returned, seen_at })
        };
        self.proofs = Arc::new(returned.into_iter().map(proof).collect());
    }
}

/// Says whether something was acknowledged that is not written down, or something is written down that is in doubt.
fn is_news(now: &Acknowledged, written: Option<&Acknowledged>) -> bool {
    let Some(written) = written else { return true };
    // What this process has not heard another one may have.
    let differs = |ours: Option<DateTime<Utc>>, written: Option<_>| match ours {
        Some(_) => written.is_none(),
        None => now.doubted && written.is_some(),
    };
    let is_anything = now.begun_at.or(now.ended_at).is_some();
    is_anything && now.process != written.process
        || differs(now.begun_at, written.begun_at)
        || differs(now.ended_at, written.ended_at)
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Reads what is written down.
    pub(super) async fn resume_alerts(&mut self) -> Result<(), LedgerError> {
        self.read_alerts().await?;
        self.alerts.changed = true;
        Ok(())
    }

    /// Reads everything about alerts: before what series stand at, so that no row is older than that.
    pub(super) async fn read_alerts(&mut self) -> Result<(), LedgerError> {
        let read = self.fetch_alerts().await?;
        self.take_read(read);
        Ok(())
    }

    /// Reads everything about alerts, and takes nothing over yet: rows must not be newer than what is known of
    /// their series.
    pub(super) async fn fetch_alerts(&mut self) -> Result<Read, LedgerError> {
        Ok(Read {
            rows: self.store.alerts().await?,
            notified: self.store.notified().await?,
            own: self.store.self_alerts(self.clock.now()).await?,
            returned: self.store.returned().await?,
            quiets: self.store.quiets(self.clock.now()).await?,
        })
    }

    pub(super) fn take_read(&mut self, read: Read) {
        let Read { rows, notified, own, returned, quiets } = read;
        // Another replica ended what this one began, or it is forgotten.
        let standing: BTreeSet<AlertId> = self
            .alerts
            .rows
            .iter()
            .filter(|row| row.ended_at.is_none())
            .map(AlertRow::id)
            .collect();
        let same = |row: &&AlertRow| row.ended_at.is_none() || !standing.contains(&row.id());
        let ids: BTreeSet<AlertId> = rows.iter().filter(same).map(AlertRow::id).collect();
        if self.alerts.recorded_here.iter().any(|id| !ids.contains(id)) {
            Arc::make_mut(&mut self.alerts.recorded_here).retain(|id| ids.contains(id));
        }
        self.alerts.rows = Arc::new(rows);
        self.alerts.notified = Arc::new(notified);
        self.alerts.own = Arc::new(own);
        if *self.alerts.quiets != quiets {
            self.alerts.quiets = Arc::new(quiets);
        }
        self.alerts.prove(returned);
    }

    /// Writes down which alerts begin and end, and what receivers acknowledged.
    pub(super) async fn settle_alerts(&mut self) {
        let now = self.now().trunc_subsecs(6);
        let forget = Instant::now() >= self.alerts.forget_at;
        let mut changes = AlertChanges::default();
        // A replica without a catalogue knows of no series that it is well again.
        let changed = self.alerts.changed || forget || self.has_proved_adopted(now);
        if self.generation.is_some() && changed {
            self.standing_changes(&mut changes, now);
            changes.forget_before = self.forget_before(now).filter(|_| forget);
        }
        let receipts = self.notices.acknowledged();
        self.receipt_changes(&receipts, &mut changes, now);
        let own = self.notices.own();
        self.own_changes(own.as_deref().map(Vec::as_slice), &mut changes);
        if !changes.is_empty() {
            match self.store.change_alerts(&changes).await {
                Ok(recorded_here) => {
                    let any_end = !changes.end.is_empty();
                    self.take_alerts(changes, recorded_here);
                    if any_end && let Err(trouble) = self.read_receipts().await {
                        return self.alerts_unwritten(&trouble);
                    }
                }
                Err(trouble) => return self.alerts_unwritten(&trouble),
            }
            // Sending it is not to wait.
            self.shown_at = None;
        }
        if let Some(own) = own {
            self.alerts.wanted = own.iter().map(SelfAlert::id).collect();
        }
        self.alerts.receipts = receipts;
        (self.alerts.changed, self.alerts.trouble) = (false, None);
        if forget {
            self.alerts.forget_at = Instant::now() + FORGET_EACH;
        }
    }

    /// Reads what receivers acknowledged to other replicas: one that told a beginning may be gone before this one read
    /// of it, and an end is told as a beginning first where nothing was acknowledged.
    async fn read_receipts(&mut self) -> Result<(), LedgerError> {
        if self.store.is_shared() {
            self.alerts.notified = Arc::new(self.store.notified().await?);
        }
        Ok(())
    }

    /// Writes down what receivers acknowledged last, once they were told the last word: the next process is not to
    /// tell it again.
    pub async fn sign_off(&mut self) {
        drop(timeout(PARTING, self.settle_alerts()).await);
        drop(self.store.leave().await);
    }

    /// Ends alerts that nothing in the record would end.
    pub(super) async fn end_alerts(&mut self, end: Vec<AlertRow>) -> Result<(), LedgerError> {
        let changes = AlertChanges { end, ..AlertChanges::default() };
        let recorded_here = self.store.change_alerts(&changes).await?;
        self.take_alerts(changes, recorded_here);
        self.read_receipts().await?;
        self.shown_at = None;
        Ok(())
    }

    fn alerts_unwritten(&mut self, trouble: &LedgerError) {
        let why = format!("which alerts stand cannot be written down: {trouble}");
        if self.alerts.trouble.is_none() {
            tracing::error!("{why}");
            self.shown_at = None;
        }
        self.alerts.trouble.get_or_insert((self.clock.now(), why));
    }

    /// Takes over what was written.
    fn take_alerts(&mut self, changes: AlertChanges, recorded_here: BTreeSet<AlertId>) {
        let mut rows: BTreeMap<AlertId, AlertRow> =
            self.alerts.rows.iter().map(|row| (row.id(), row.clone())).collect();
        for told in &changes.told {
            if let Some(row) = rows.get_mut(&told.id()) {
                row.told_at = told.told_at;
            }
        }
        let others: BTreeSet<AlertId> =
            changes.end.iter().map(AlertRow::id).filter(|id| !recorded_here.contains(id)).collect();
        for changed in changes.end.into_iter().chain(changes.begin) {
            let told_at = rows.get(&changed.id()).and_then(|row| row.told_at);
            rows.insert(changed.id(), AlertRow { told_at, ..changed });
        }
        if let Some(before) = changes.forget_before {
            rows.retain(|_, row| row.ended_at.is_none_or(|at| at >= before));
        }
        if !(recorded_here.is_empty() && others.is_empty()) {
            let here = Arc::make_mut(&mut self.alerts.recorded_here);
            here.retain(|id| !others.contains(id));
            here.extend(recorded_here);
        }
        if !changes.notified.is_empty() {
            Arc::make_mut(&mut self.alerts.notified).extend(changes.notified);
        }
        let mut own: BTreeMap<AlertId, SelfAlert> =
            self.alerts.own.iter().map(|own| (own.id(), own.clone())).collect();
        let old = |own: &SelfAlert| {
            own.ended_at.zip(changes.forget_before).is_some_and(|(at, before)| at < before)
        };
        own.retain(|id, own| !changes.own_over.contains(id) && !old(own));
        own.extend(changes.own.into_iter().map(|changed| (changed.id(), changed)));
        if changes.forget_before.is_some() {
            let known = |id: &AlertId| rows.contains_key(id) || own.contains_key(id);
            Arc::make_mut(&mut self.alerts.notified).retain(|(_, id), _| known(id));
        }
        self.alerts.own = Arc::new(own.into_values().collect());
        self.alerts.rows = Arc::new(rows.into_values().collect());
    }

    /// What the standings of series say, held against what is written down.
    fn standing_changes(&self, changes: &mut AlertChanges, now: DateTime<Utc>) {
        let mut wanted: BTreeMap<(Fingerprint, DateTime<Utc>), AlertRow> = BTreeMap::new();
        for member in self.roster.members() {
            let (record, check) = (&member.record, &member.series.check);
            for (standing, alarm) in [
                (record.standings.violated, Alarm::Violated),
                (record.standings.unconfirmed, Alarm::Unconfirmed),
            ] {
                let Standing::Firing { since } = standing else { continue };
                let cause = record.fired_cause.filter(|_| alarm == Alarm::Unconfirmed);
                let tz = record.tz.as_deref();
                let about = About { alarm, severity: record.severity(check, alarm), cause };
                let labels = labels(check, tz, &about, &self.reading.labels);
                let series = record.id;
                let (starts_at, ended_at, told_at, adopted) = (since, None, None, None);
                let row = AlertRow { labels, series, alarm, starts_at, ended_at, told_at, adopted };
                wanted.insert(row.id(), row);
            }
        }
        for row in self.alerts.rows.iter().filter(|row| row.ended_at.is_none()) {
            if let Some(adopted) = &row.adopted {
                let name = row.labels.fingerprint();
                let stands = wanted.keys().any(|(wanted, _)| *wanted == name);
                // It is the alert that would begin now, and has stood for longer.
                wanted.retain(|(wanted, _), _| *wanted != name);
                if !stands && self.is_proved_since(row, adopted, now) {
                    changes.end.push(AlertRow { ended_at: Some(now), ..row.clone() });
                }
            } else if wanted.remove(&row.id()).is_none() {
                changes.end.push(AlertRow { ended_at: Some(now), ..row.clone() });
            }
        }
        changes.begin = wanted.into_values().collect();
    }

    /// Before which instant alerts ended that no receiver has to be told of any more; nothing where there are none.
    fn forget_before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let unsettled = self.notices.unsettled().unwrap_or(now);
        let before = (now - ENDS_KEPT - TimeDelta::minutes(1)).min(unsettled);
        // A receiver that is away for longer is told of what stands, and of no end.
        let before = before.max(now - AWAY_MAX);
        let ends = self.alerts.rows.iter().map(|row| row.ended_at);
        let mut ends = ends.chain(self.alerts.own.iter().map(|own| own.ended_at)).flatten();
        ends.any(|at| at < before).then_some(before)
    }

    /// What receivers acknowledged since it was written down last.
    fn receipt_changes(
        &self,
        receipts: &[Receipts],
        changes: &mut AlertChanges,
        now: DateTime<Utc>,
    ) {
        let before = &self.alerts.receipts;
        let is_same = |(receiver, all): &&Receipts| {
            before.iter().any(|(name, known)| name == receiver && Arc::ptr_eq(known, all))
        };
        let mut heard = BTreeSet::new();
        for (receiver, all) in receipts.iter().filter(|receipts| !is_same(receipts)) {
            for (id, acknowledged) in all.iter() {
                if acknowledged.begun_at.is_some() {
                    heard.insert(*id);
                }
                let key = (receiver.clone(), *id);
                if is_news(acknowledged, self.alerts.notified.get(&key)) {
                    changes.notified.push((key, acknowledged.clone()));
                }
            }
        }
        let rows = self.alerts.rows.iter();
        let told = rows.filter(|row| row.told_at.is_none() && heard.contains(&row.id()));
        changes.told = told.map(|row| AlertRow { told_at: Some(now), ..row.clone() }).collect();
    }

    /// What this replica says of itself since it was written down last.
    fn own_changes(&self, own: Option<&[SelfAlert]>, changes: &mut AlertChanges) {
        let Some(own) = own else { return };
        let written: BTreeMap<AlertId, &SelfAlert> =
            self.alerts.own.iter().map(|own| (own.id(), own)).collect();
        let is_written = |own: &&SelfAlert| {
            written.get(&own.id()).is_some_and(|written| written.ended_at == own.ended_at)
        };
        changes.own = own.iter().filter(|own| !is_written(own)).cloned().collect();
        let wanted: BTreeSet<AlertId> = own.iter().map(SelfAlert::id).collect();
        changes.own_over = self.alerts.wanted.difference(&wanted).copied().collect();
    }

    /// Takes note that what went out to an Alertmanager came back. It holds at once; that other replicas learn it
    /// takes a ledger that can be written.
    pub(super) async fn take_returned(&mut self, returned: Returned) -> Result<(), LedgerError> {
        let mut all: Vec<Returned> =
            self.alerts.proofs.iter().map(|proof| proof.returned.clone()).collect();
        let written = self.store.has_returned(&returned).await;
        match all.iter_mut().find(|known| known.alertmanager == returned.alertmanager) {
            Some(known)
                if known.sent_at < returned.sent_at
                    || known.sent_at > returned.received_at + TimeDelta::seconds(60) =>
            {
                *known = returned;
            }
            Some(_) => {}
            None => all.push(returned),
        }
        self.alerts.prove(all);
        self.shown_at = None;
        written
    }
}
