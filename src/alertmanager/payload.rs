//! Alerts in the form of Alertmanager's API v2: as they are sent, and as it lists them.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::alert_to_send::{AlertToSend, End};
use crate::domain::alerting::quiet::{Quiet, Silence, matchers};
use crate::domain::alerting::seen::{Handling, SeenAlert};

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

fn at(value: &Value) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(at.with_timezone(&Utc))
}

/// The alerts in a list; what is no alert is left out.
pub(super) fn seen(alerts: &[Value]) -> Vec<SeenAlert> {
    let texts = |value: &Value| -> Option<Vec<(String, String)>> {
        let pairs = value.as_object()?.iter();
        Some(pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
    };
    // The texts at one place in each of a list.
    let words = |list: &Value, place: &str| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten();
        texts.filter_map(|value| value.pointer(place)?.as_str().map(str::to_owned)).collect()
    };
    let seen = |alert: &Value| {
        Some(SeenAlert {
            labels: Labels::new(texts(&alert["labels"])?),
            annotations: texts(&alert["annotations"]).unwrap_or_default().into_iter().collect(),
            starts_at: at(&alert["startsAt"])?,
            updated_at: at(&alert["updatedAt"])?,
            handling: Handling {
                receivers: words(&alert["receivers"], "/name"),
                silenced_by: words(&alert["status"]["silencedBy"], ""),
                is_inhibited: !words(&alert["status"]["inhibitedBy"], "").is_empty(),
                is_muted: !words(&alert["status"]["mutedBy"], "").is_empty(),
            },
        })
    };
    alerts.iter().filter_map(seen).collect()
}

/// A silence, where it holds or will.
pub(super) fn silence(silence: &Value) -> Option<Silence> {
    in_state(silence, &["active", "pending"])
}

/// A silence, where it is over.
pub(super) fn ended_silence(silence: &Value) -> Option<Silence> {
    in_state(silence, &["expired"])
}

fn in_state(silence: &Value, states: &[&str]) -> Option<Silence> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let state = silence["status"]["state"].as_str();
    state.filter(|state| states.contains(state))?;
    Some(Silence {
        id: text(&silence["id"])?,
        by: text(&silence["createdBy"]).unwrap_or_default(),
        because: text(&silence["comment"]).unwrap_or_default(),
        until: at(&silence["endsAt"])?,
        updated_at: at(&silence["updatedAt"])?,
    })
}

/// The silence of a check that is kept quiet, for an Alertmanager whose clock says `now`.
pub(super) fn silence_of(
    quiet: &Quiet,
    (ledger, labels): (&str, &BTreeMap<String, String>),
    (now, ahead): (DateTime<Utc>, TimeDelta),
) -> Value {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let matchers = matchers(&quiet.check, labels).into_iter().map(|(name, value, is_like)| {
        json!({"name": name, "value": value, "isRegex": is_like, "isEqual": true})
    });
    json!({
        "matchers": matchers.collect::<Vec<_>>(),
        "startsAt": text(now),
        "endsAt": text(quiet.until + ahead),
        "createdBy": quiet.by,
        "comment": quiet.comment(ledger),
    })
}
