//! Alerts in the form of Alertmanager's API v2: as they are sent, and as it lists them.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::alert::{Fingerprint, Labels};
use crate::domain::alerting::alert_to_send::{AlertToSend, End};

/// An alert in the form of Alertmanager's API v2, for one whose clock says `now`.
pub(super) fn alert(alert_to_send: &AlertToSend, now: DateTime<Utc>) -> Value {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let alert = &alert_to_send.alert;
    let ends_at = match alert_to_send.end {
        End::Lasts(lasts) => now + lasts,
        End::At(at) => at.min(now),
    };
    // An end before the beginning is refused.
    let starts_at = alert.starts_at.min(ends_at);
    let mut value = json!({
        "labels": alert.labels.all(),
        "annotations": alert.annotations,
        "startsAt": at(starts_at),
        "endsAt": at(ends_at),
    });
    if let Some(link) = &alert.link {
        value["generatorURL"] = json!(link);
    }
    value
}

/// The names of the alerts in a list.
pub(super) fn fingerprints(alerts: &[Value]) -> BTreeSet<Fingerprint> {
    alerts.iter().filter_map(fingerprint).collect()
}

/// The names of the alerts in a list that any replica sent since an instant.
pub(super) fn updated_since(alerts: &[Value], since: DateTime<Utc>) -> BTreeSet<Fingerprint> {
    let is_recent = |alert: &&Value| {
        let at = alert["updatedAt"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        at.is_some_and(|at| at >= since)
    };
    alerts.iter().filter(is_recent).filter_map(fingerprint).collect()
}

fn fingerprint(alert: &Value) -> Option<Fingerprint> {
    let labels = alert["labels"].as_object()?.iter();
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(Labels::new(labels.filter_map(text)).fingerprint())
}
