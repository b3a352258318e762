//! Who was told of a series, and what holds that back, as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::delivery::Delivery;
use crate::domain::alerting::quiet::Silence;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::notify::deliveries::{Delivered, Deliveries};
use crate::web::Shared;
use crate::web::instants::instant;

/// Who was told of what stands.
pub(super) struct Outgoing {
    deliveries: Deliveries,
    /// The labels of the alerts that stand, by series.
    alerts: BTreeMap<i64, Vec<Labels>>,
    /// Until when checks are kept quiet.
    quiet: BTreeMap<String, DateTime<Utc>>,
}

impl Outgoing {
    pub(super) fn of(shared: &Shared, picture: &Snapshot) -> Self {
        let mut alerts: BTreeMap<i64, Vec<Labels>> = BTreeMap::new();
        for row in picture.alerts.iter().filter(|row| row.ended_at.is_none()) {
            alerts.entry(row.series).or_default().push(row.labels.clone());
        }
        let now = picture.now();
        let holding = picture.quiets.iter().filter(|quiet| quiet.holds(now));
        let quiet = holding.map(|quiet| (quiet.check.clone(), quiet.until)).collect();
        Self { deliveries: Deliveries::read(&shared.door.paths), alerts, quiet }
    }

    /// Until when nobody is told of it, by an operator's word.
    pub(super) fn quiet_until(&self, series: &SeriesHealth) -> Option<DateTime<Utc>> {
        self.quiet.get(series.check.id.as_str()).copied()
    }

    /// What each Alertmanager did with its alerts, each with the name of the alert.
    pub(super) fn delivered(
        &self,
        series: &SeriesHealth,
    ) -> impl Iterator<Item = (&str, &Delivered)> {
        let labels = self.alerts.get(&series.record.id).into_iter().flatten();
        labels.flat_map(|labels| {
            let delivered = self.deliveries.get(labels).iter();
            delivered.map(|delivered| (labels.get("alertname"), delivered))
        })
    }

    /// Whether it is known that its alerts reach nobody: each Alertmanager holds them back, or has no receiver that tells
    /// somebody. What another alert holds back is told by that one.
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
