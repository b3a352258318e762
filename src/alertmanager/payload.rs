//! Alerts in the form of Alertmanager's API v2: as they are sent, and as it lists them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::alert_to_send::{AlertToSend, End};
use crate::domain::alerting::seen::SeenAlert;

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

/// The alerts in a list; what is no alert is left out.
pub(super) fn seen(alerts: &[Value]) -> Vec<SeenAlert> {
    let texts = |value: &Value| -> Option<Vec<(String, String)>> {
        let pairs = value.as_object()?.iter();
        Some(pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
    };
    let at = |value: &Value| {
        let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
        Some(at.with_timezone(&Utc))
    };
    let seen = |alert: &Value| {
        Some(SeenAlert {
            labels: Labels::new(texts(&alert["labels"])?),
            annotations: texts(&alert["annotations"]).unwrap_or_default().into_iter().collect(),
            starts_at: at(&alert["startsAt"])?,
            updated_at: at(&alert["updatedAt"])?,
        })
    };
    alerts.iter().filter_map(seen).collect()
}
