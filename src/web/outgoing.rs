//! Who was told of a series, and what holds that back, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::delivery::Delivery;
use crate::domain::alerting::quiet::Silence;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::AlertRow;
use crate::notify::deliveries::{Delivered, Deliveries};
use crate::web::Shared;
use crate::web::instants::instant;

/// Who was told of what stands.
pub(super) struct Outgoing {
    deliveries: Deliveries,
    rows: Arc<Vec<AlertRow>>,
    /// The places of the alerts that stand, by series.
    alerts: BTreeMap<i64, Vec<usize>>,
    /// Until when checks are kept quiet.
    quiet: BTreeMap<String, DateTime<Utc>>,
    has_receivers: bool,
}

impl Outgoing {
    pub(super) fn of(shared: &Shared, picture: &Snapshot) -> Self {
        let mut alerts: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (place, row) in picture.alerts.iter().enumerate() {
            if row.ended_at.is_none() {
                alerts.entry(row.series).or_default().push(place);
            }
        }
        let now = picture.now();
        let holding = picture.quiets.iter().filter(|quiet| quiet.holds(now));
        let quiet = holding.map(|quiet| (quiet.check.clone(), quiet.until)).collect();
        let paths = &shared.door.paths;
        let has_receivers = !(paths.alertmanagers.is_empty() && paths.webhooks.is_empty());
        let rows = Arc::clone(&picture.alerts);
        Self { deliveries: Deliveries::read(paths), rows, alerts, quiet, has_receivers }
    }

    /// The series of which alerts stand.
    pub(super) fn alerting(&self) -> impl Iterator<Item = i64> {
        self.alerts.keys().copied()
    }

    /// The checks that are kept quiet.
    pub(super) fn quiet_checks(&self) -> impl Iterator<Item = &str> {
        self.quiet.keys().map(String::as_str)
    }

    /// Whether there is anybody to tell.
    pub(super) fn has_receivers(&self) -> bool {
        self.has_receivers
    }

    /// Until when no one is told of it, by an operator's word.
    pub(super) fn quiet_until(&self, series: &SeriesHealth) -> Option<DateTime<Utc>> {
        self.quiet.get(series.check.id.as_str()).copied()
    }

    /// What each Alertmanager did with its alerts, each with the name of the alert.
    pub(super) fn delivered(
        &self,
        series: &SeriesHealth,
    ) -> impl Iterator<Item = (&str, &Delivered)> {
        let places = self.alerts.get(&series.record.id).into_iter().flatten();
        let labels = places.filter_map(|place| self.rows.get(*place)).map(|row| &row.labels);
        labels.flat_map(|labels| {
            let delivered = self.deliveries.get(labels).iter();
            delivered.map(|delivered| (labels.get("alertname"), delivered))
        })
    }

    /// Whether it is known that its alerts reach no one: each Alertmanager holds them back, or has no receiver that tells
    /// a person. What another alert holds back is told by that one.
    pub(super) fn is_held_back(&self, series: &SeriesHealth) -> bool {
        let mut all = self.delivered(series).map(|(_, delivered)| delivered.delivery).peekable();
        let tells_nobody =
            |kind| matches!(kind, Delivery::Unheard | Delivery::Silenced | Delivery::Muted);
        all.peek().is_some() && all.all(tells_nobody)
    }

    /// What became of its alerts, in each Alertmanager.
    pub(super) fn alerts(&self, series: &SeriesHealth) -> Vec<Value> {
        self.delivered(series).map(|(name, delivered)| delivered_json(name, delivered)).collect()
    }
}

fn delivered_json(alertname: &str, delivered: &Delivered) -> Value {
    let silence = |silence: &Silence| {
        json!({
            "id": silence.id,
            "by": silence.by,
            "because": silence.words(),
            "until": instant(silence.until),
        })
    };
    json!({
        "alertname": alertname,
        "alertmanager": delivered.alertmanager,
        "delivery": delivered.delivery.as_str(),
        "receivers": delivered.receivers,
        "silences": delivered.silences.iter().map(silence).collect::<Vec<_>>(),
    })
}
