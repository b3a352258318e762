//! Alerts in the form of Alertmanager's API v2: as they are sent, and as it lists them.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::alert::{Fingerprint, Labels};
use crate::domain::parcel::{End, Parcel};

/// An alert in the form of Alertmanager's API v2, for one whose clock says `now`.
pub(super) fn alert(parcel: &Parcel, now: DateTime<Utc>) -> Value {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let alert = &parcel.alert;
    let ends_at = match parcel.end {
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
    let name = |alert: &Value| {
        let labels = alert["labels"].as_object()?.iter();
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Some(Labels::new(labels.filter_map(text)).fingerprint())
    };
    alerts.iter().filter_map(name).collect()
}
