//! Which alerts stand: what the standings of all series say, held against what is written down.
//!
//! It follows from the record alone, so that whoever was killed in between writes the same; the others
//! tell it outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::alert::{Fingerprint, labels};
use crate::domain::outbox::ENDS_REPEATED;
use crate::domain::standing::{Alarm, Standing};
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{AlertChanges, AlertRow, Returned, Trouble};

/// How often alerts that ended long ago are forgotten.
const FORGET_EACH: std::time::Duration = std::time::Duration::from_secs(60);

/// The alerts, as they are written down.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) rows: Arc<Vec<AlertRow>>,
    /// When the ways to the Alertmanagers were proved last.
    pub(super) returned: Arc<Vec<Returned>>,
    /// Whether others may stand than those.
    pub(super) changed: bool,
    /// Since when they cannot be written down, where that is so, and why.
    pub(super) trouble: Option<(DateTime<Utc>, String)>,
    forget_at: Instant,
}

impl Alerts {
    pub(super) fn new(now: Instant) -> Self {
        let (rows, returned) = (Arc::default(), Arc::default());
        Self { rows, returned, changed: false, trouble: None, forget_at: now }
    }
}

/// How long the end of an alert is kept for somebody who does not answer.
const AWAY_MAX: TimeDelta = TimeDelta::days(1);

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Reads what is written down.
    pub(super) async fn resume_alerts(&mut self) -> Result<(), Trouble> {
        self.alerts.rows = Arc::new(self.store.alerts().await?);
        self.alerts.returned = Arc::new(self.store.returned().await?);
        self.alerts.changed = true;
        Ok(())
    }

    /// Writes down which alerts begin and end.
    pub(super) async fn settle_alerts(&mut self) {
        let forget = Instant::now() >= self.alerts.forget_at;
        let untold = self.alerts.rows.iter().any(|row| row.told_at.is_none() && self.is_heard(row));
        // Whoever watches nothing knows of nobody that he is well again.
        if self.generation.is_none() || !(self.alerts.changed || forget || untold) {
            return;
        }
        let changes = self.alert_changes(self.now().trunc_subsecs(6), forget);
        if changes.is_empty() {
            (self.alerts.changed, self.alerts.trouble) = (false, None);
        } else {
            if let Err(trouble) = self.store.change_alerts(&changes).await {
                let why = format!("which alerts stand cannot be written down: {trouble}");
                if self.alerts.trouble.is_none() {
                    tracing::error!("{why}");
                    self.shown_at = None;
                }
                self.alerts.trouble.get_or_insert((self.clock.now(), why));
                return;
            }
            self.alerts.changed = false;
            self.alerts.trouble = None;
            let mut alerts: Vec<AlertRow> = self.alerts.rows.to_vec();
            for told in &changes.told {
                let same = |row: &&mut AlertRow| {
                    row.labels == told.labels && row.starts_at == told.starts_at
                };
                if let Some(row) = alerts.iter_mut().find(same) {
                    row.told_at = told.told_at;
                }
            }
            for changed in changes.end.iter().chain(&changes.begin) {
                let same = |row: &&mut AlertRow| {
                    row.labels == changed.labels && row.starts_at == changed.starts_at
                };
                match alerts.iter_mut().find(same) {
                    Some(row) => row.ended_at = changed.ended_at,
                    None => alerts.push(changed.clone()),
                }
            }
            if let Some(before) = changes.forget_before {
                alerts.retain(|row| row.ended_at.is_none_or(|at| at >= before));
            }
            self.alerts.rows = Arc::new(alerts);
            // Whoever tells it is not to wait.
            self.shown_at = None;
        }
        if forget {
            self.alerts.forget_at = Instant::now() + FORGET_EACH;
        }
    }

    fn alert_changes(&self, now: DateTime<Utc>, forget: bool) -> AlertChanges {
        let mut wanted: BTreeMap<(Fingerprint, DateTime<Utc>), AlertRow> = BTreeMap::new();
        for member in self.roster.members() {
            let (record, check) = (&member.record, &member.series.check);
            for (standing, alarm) in [
                (record.standings.violated, Alarm::Violated),
                (record.standings.unconfirmed, Alarm::Unconfirmed),
            ] {
                let Standing::Firing { since } = standing else { continue };
                let labels = labels(check, record.tz.as_deref(), alarm, &self.reading.labels);
                let series = record.id;
                let (starts_at, ended_at, told_at) = (since, None, None);
                let row = AlertRow { labels, series, alarm, starts_at, ended_at, told_at };
                wanted.insert((row.labels.fingerprint(), since), row);
            }
        }
        let mut changes = AlertChanges::default();
        for row in self.alerts.rows.iter().filter(|row| row.ended_at.is_none()) {
            if wanted.remove(&(row.labels.fingerprint(), row.starts_at)).is_none() {
                changes.end.push(AlertRow { ended_at: Some(now), ..row.clone() });
            }
        }
        changes.begin = wanted.into_values().collect();
        let told =
            self.alerts.rows.iter().filter(|row| row.told_at.is_none() && self.is_heard(row));
        changes.told = told.map(|row| AlertRow { told_at: Some(now), ..row.clone() }).collect();
        if forget {
            let unsettled = self.notices.unsettled().unwrap_or(now);
            let before = (now - ENDS_REPEATED - TimeDelta::minutes(1)).min(unsettled);
            // Whoever is away for longer hears of what stands, and of no end.
            let before = before.max(now - AWAY_MAX);
            let old = |row: &AlertRow| row.ended_at.is_some_and(|at| at < before);
            changes.forget_before = self.alerts.rows.iter().any(old).then_some(before);
        }
        changes
    }

    fn is_heard(&self, row: &AlertRow) -> bool {
        self.notices.heard((row.labels.fingerprint(), row.starts_at))
    }

    /// Writes down that what went out to an Alertmanager came back.
    pub(super) async fn take_returned(&mut self, returned: Returned) -> Result<(), Trouble> {
        self.store.has_returned(&returned).await?;
        let mut all: Vec<Returned> = self.alerts.returned.to_vec();
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
        self.alerts.returned = Arc::new(all);
        self.shown_at = None;
        Ok(())
    }
}
