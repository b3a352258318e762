//! A receiver of webhooks in Alertmanager's form, version 4, for people without an Alertmanager
//! (`facts/alerting.md` 2.5).
//!
//! Alerts of one name about one check go together. What changes is told at once, what stands again every
//! few hours; what is not taken is tried again for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::alert::Fingerprint;
use crate::domain::backoff::{Draw, doubled};
use crate::domain::outbox::Wanted;
use crate::http::Peer;

/// How often what stands is told again.
const REPEAT: TimeDelta = TimeDelta::hours(4);
/// For how long something is tried that is not taken.
const GIVE_UP: TimeDelta = TimeDelta::hours(1);
/// The first pause after a failure, and the longest.
const AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::minutes(1));
/// How often we look whether something is due.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How many alerts one message holds at most; the others are counted.
const ALERTS_MAX: usize = 200;

/// How a receiver does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Who.
    pub name: String,
    /// How many messages it took.
    pub accepted: u64,
    /// How many it did not take, and will get again.
    pub failed: u64,
    /// How many it refused, or did not take for so long that nobody tries any more.
    pub given_up: u64,
    /// Why it did not take the last one.
    pub why: Option<String>,
}

/// A receiver of webhooks.
pub struct Webhook {
    name: String,
    peer: Peer,
    clock: Clock,
    groups: BTreeMap<String, Group>,
    health: watch::Sender<Health>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which alerts of a group stand, and which ended.
type State = BTreeMap<(Fingerprint, DateTime<Utc>), bool>;

/// What a group was told.
#[derive(Debug, Default)]
struct Group {
    told: State,
    told_at: Option<DateTime<Utc>>,
    failures: u32,
    failing_since: Option<DateTime<Utc>>,
    again_at: Option<DateTime<Utc>>,
}

impl Webhook {
    /// Prepares to tell a receiver; and a way to see how it does.
    pub fn new(name: String, peer: Peer, clock: Clock) -> (Self, watch::Receiver<Health>) {
        let health = Health { name: name.clone(), accepted: 0, failed: 0, given_up: 0, why: None };
        let (health, seen) = watch::channel(health);
        (Self { name, peer, clock, groups: BTreeMap::new(), health }, seen)
    }

    /// Tells what is wanted, as long as nobody stops it.
    pub async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Vec<Wanted>>>,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let all = wanted.borrow_and_update().clone();
            self.tell(&all).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = wanted.changed() => if changed.is_err() { break },
                () = sleep(LOOK_EACH) => {}
            }
        }
    }

    async fn tell(&mut self, all: &[Wanted]) {
        let mut groups: BTreeMap<String, Vec<&Wanted>> = BTreeMap::new();
        for wanted in all {
            let labels = &wanted.alert.labels;
            let key = format!(
                "{{}}:{{alertname={:?}, check={:?}}}",
                labels.get("alertname"),
                labels.get("check")
            );
            groups.entry(key).or_default().push(wanted);
        }
        for (key, alerts) in &groups {
            self.tell_group(key, alerts).await;
        }
        self.groups.retain(|key, _| groups.contains_key(key));
    }

    async fn tell_group(&mut self, key: &str, alerts: &[&Wanted]) {
        let now = self.clock.now();
        let state: State = alerts.iter().map(|wanted| state_of(wanted)).collect();
        let stands = state.values().any(|stands| *stands);
        let group = self.groups.entry(key.to_owned()).or_default();
        let again = stands && group.told_at.is_some_and(|at| at + REPEAT <= now);
        let news = state.iter().any(|(name, stands)| group.told.get(name) != Some(stands));
        if !(news || again) || group.again_at.is_some_and(|at| now < at) {
            return;
        }
        let told = &group.told;
        // What ended is told once.
        let tell = |wanted: &&&Wanted| {
            let (name, stands) = state_of(wanted);
            stands || told.get(&name) != Some(&false)
        };
        let alerts: Vec<&Wanted> = alerts.iter().filter(tell).copied().collect();
        let body = message(&self.name, key, &alerts);
        let outcome = match self.peer.deliver("", body).await {
            Ok(receipt) => match receipt.status {
                200..=299 => Ok(()),
                408 | 429 | 500.. => {
                    Err((format!("status {}", receipt.status), receipt.retry_after_secs, true))
                }
                status => Err((format!("status {status}"), None, false)),
            },
            Err(error) => Err((error.to_string(), None, true)),
        };
        self.settle(key, state, outcome, now);
    }

    fn settle(
        &mut self,
        key: &str,
        state: State,
        outcome: Result<(), (String, Option<u64>, bool)>,
        now: DateTime<Utc>,
    ) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let Err((why, retry_after, may_pass)) = outcome else {
            *group = Group { told: state, told_at: Some(now), ..Group::default() };
            self.health.send_modify(|health| {
                health.accepted += 1;
                health.why = None;
            });
            return;
        };
        let since = *group.failing_since.get_or_insert(now);
        group.failures = group.failures.saturating_add(1);
        let give_up = !may_pass || since + GIVE_UP <= now;
        if give_up {
            tracing::error!(webhook = %self.name, "a notice was not taken, and is not tried again: {why}");
            *group = Group { told: state, told_at: Some(now), ..Group::default() };
        } else {
            let bits = {
                use std::hash::{BuildHasher as _, RandomState};
                RandomState::new().hash_one(key)
            };
            let pause = Draw::new(bits).of(doubled(AGAIN.0, AGAIN.1, group.failures));
            let told = retry_after.and_then(|secs| i64::try_from(secs.min(3_600)).ok());
            group.again_at = Some(now + told.map_or(pause, TimeDelta::seconds));
        }
        self.health.send_modify(|health| {
            health.failed += u64::from(!give_up);
            health.given_up += u64::from(give_up);
            health.why = Some(why);
        });
    }
}

fn state_of(wanted: &Wanted) -> ((Fingerprint, DateTime<Utc>), bool) {
    let name = (wanted.alert.labels.fingerprint(), wanted.alert.starts_at);
    (name, wanted.ended_at.is_none())
}

/// A message in Alertmanager's form.
fn message(receiver: &str, key: &str, alerts: &[&Wanted]) -> String {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let firing = alerts.iter().any(|wanted| wanted.ended_at.is_none());
    let word = |firing: bool| if firing { "firing" } else { "resolved" };
    let shown = &alerts[..alerts.len().min(ALERTS_MAX)];
    let alert = |wanted: &&Wanted| {
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
    let labels = |wanted: &&Wanted| wanted.alert.labels.all().clone();
    let annotations = |wanted: &&Wanted| wanted.alert.annotations.clone();
    let group: BTreeMap<&str, &str> = ["alertname", "check"]
        .into_iter()
        .map(|name| (name, alerts.first().map_or("", |wanted| wanted.alert.labels.get(name))))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let value: Value = json!({
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": alerts.len() - shown.len(),
        "status": word(firing),
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common(alerts.iter().map(labels)),
        "commonAnnotations": common(alerts.iter().map(annotations)),
        "externalURL": "",
        "alerts": shown.iter().map(alert).collect::<Vec<Value>>(),
    });
    value.to_string()
}

/// What all of them say.
fn common(maps: impl Iterator<Item = BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let both = |mut a: BTreeMap<String, String>, b: BTreeMap<String, String>| {
        a.retain(|name, value| b.get(name) == Some(value));
        a
    };
    maps.reduce(both).unwrap_or_default()
}
