//! The body of a webhook's message, in the form that Alertmanager sends (version 4).

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::outbox::{AlertId, AlertState};

pub(super) fn name_of(wanted: &AlertState) -> AlertId {
    (wanted.alert.labels.fingerprint(), wanted.alert.starts_at)
}

/// Alerts of one name about one check go together.
pub(super) fn group_key(wanted: &AlertState) -> String {
    let labels = &wanted.alert.labels;
    let (name, check) = (labels.get("alertname"), labels.get("check"));
    format!("{{}}:{{alertname={name:?}, check={check:?}}}")
}

/// A message in Alertmanager's form.
pub(super) fn message(receiver: &str, key: &str, alerts: &[AlertState]) -> String {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let firing = alerts.iter().any(|wanted| wanted.ended_at.is_none());
    let word = |firing: bool| if firing { "firing" } else { "resolved" };
    let alert = |wanted: &AlertState| {
        let alert = &wanted.alert;
        json!({
            "status": word(wanted.ended_at.is_none()),
            "labels": alert.labels.all(),
            "annotations": alert.annotations,
            "startsAt": at(alert.starts_at),
            // What has no end has Go's zero time, as from Alertmanager.
            "endsAt": wanted.ended_at.map_or("0001-01-01T00:00:00Z".to_owned(), at),
            "generatorURL": alert.link.clone().unwrap_or_default(),
            "fingerprint": alert.labels.fingerprint().to_string(),
        })
    };
    let labels = |wanted: &AlertState| wanted.alert.labels.all().clone();
    let annotations = |wanted: &AlertState| wanted.alert.annotations.clone();
    let group: BTreeMap<&str, &str> = ["alertname", "check"]
        .into_iter()
        .map(|name| (name, alerts.first().map_or("", |wanted| wanted.alert.labels.get(name))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let value: Value = json!({
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        "status": word(firing),
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common(alerts.iter().map(labels)),
        "commonAnnotations": common(alerts.iter().map(annotations)),
        "externalURL": "",
        "alerts": alerts.iter().map(alert).collect::<Vec<Value>>(),
    });
    value.to_string()
}

/// What all of them say.
pub(super) fn common(
    maps: impl Iterator<Item = BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let both = |mut a: BTreeMap<String, String>, b: BTreeMap<String, String>| {
        a.retain(|name, value| b.get(name) == Some(value));
        a
    };
    maps.reduce(both).unwrap_or_default()
}
