//! A receiver of webhooks in Alertmanager's form, version 4, for people without an Alertmanager.
//!
//! Alerts of one name about one check go together. What changes is told within seconds, what stands again
//! every few hours; what is not taken is tried again, for as long as it stands. What the receiver took is written
//! down, so that a daemon that is started anew tells nothing twice, and no end of something that the receiver
//! never had.

mod health;
mod message;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::clock::Clock;
use crate::domain::alerting::outbox::{Acknowledged, AlertId, AlertState, Sight};
use crate::domain::time::backoff::{Draw, doubled};
use crate::http::Peer;
use crate::webhook::message::{group_key, message, name_of};

pub use health::Health;

/// How often what stands is told again.
const REPEAT: TimeDelta = TimeDelta::hours(4);
/// For how long an end is tried that is not taken; what stands is tried for as long as it stands.
const GIVE_UP: TimeDelta = TimeDelta::hours(1);
/// The first pause after a failure, and the longest.
const AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::minutes(1));
/// How often we look whether something is due.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How long news of a group waits for others of it.
const TOGETHER: TimeDelta = TimeDelta::seconds(2);
/// How long a beginning or an end is left to the replica that recorded it.
const OTHERS_WAIT: TimeDelta = TimeDelta::seconds(15);
/// How many alerts one message holds at most; the others are in the next.
const ALERTS_MAX: usize = 200;
/// How long the last words may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// A receiver of webhooks.
pub struct Webhook {
    name: String,
    peer: Peer,
    clock: Clock,
    groups: BTreeMap<String, Group>,
    /// What was wanted last, and what of it is not mentioned any more: that ended.
    stood: BTreeMap<AlertId, AlertState>,
    /// When each was seen here first.
    met: BTreeMap<AlertId, DateTime<Utc>>,
    /// What it took, as it is to be written down.
    acknowledged: BTreeMap<AlertId, Acknowledged>,
    /// Until when it is left alone, because it did not answer.
    silent_until: Option<DateTime<Utc>>,
    health: watch::Sender<Health>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a group was told.
#[derive(Debug, Default)]
struct Group {
    /// Which alerts stand, and which ended.
    told: BTreeMap<AlertId, bool>,
    told_at: Option<DateTime<Utc>>,
    news_at: Option<DateTime<Utc>>,
    failures: u32,
    failing_since: Option<DateTime<Utc>>,
    again_at: Option<DateTime<Utc>>,
}

/// Why a message was not taken.
struct Refusal {
    why: String,
    retry_after_secs: Option<u64>,
    /// Nobody answered at all.
    silent: bool,
}

impl Webhook {
    /// Prepares to tell a receiver; and a way to see how it does.
    pub fn new(name: String, peer: Peer, clock: Clock) -> (Self, watch::Receiver<Health>) {
        let health = Health {
            name: name.clone(),
            accepted: 0,
            failed: 0,
            given_up: 0,
            why: None,
            failing_since: None,
            unsettled: None,
            acknowledged: Arc::default(),
        };
        let (health, seen) = watch::channel(health);
        let (groups, stood, met) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let acknowledged = BTreeMap::new();
        let silent_until = None;
        let webhook =
            Self { name, peer, clock, groups, stood, met, acknowledged, silent_until, health };
        (webhook, seen)
    }

    /// Sends what is wanted until it is stopped, and then what is left to be sent.
    pub async fn run(mut self, mut boards: watch::Receiver<Arc<Board>>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let board = boards.borrow_and_update().clone();
            self.send(&board, &boards, TOGETHER, &stop).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = boards.changed() => if changed.is_err() { break },
                () = sleep(LOOK_EACH) => {}
            }
        }
        let (board, unstopped) = (boards.borrow().clone(), CancellationToken::new());
        let last = self.send(&board, &boards, TimeDelta::zero(), &unstopped);
        drop(tokio::time::timeout(FAREWELL, last).await);
    }

    async fn send(
        &mut self,
        board: &Board,
        boards: &watch::Receiver<Arc<Board>>,
        together: TimeDelta,
        stop: &CancellationToken,
    ) {
        let now = self.clock.now();
        self.want(&board.alerts, now);
        let mut groups: BTreeMap<String, Vec<AlertState>> = BTreeMap::new();
        for wanted in self.stood.values() {
            groups.entry(group_key(wanted)).or_default().push(wanted.clone());
        }
        self.groups.retain(|key, _| groups.contains_key(key));
        for (key, alerts) in &groups {
            // Without the record another replica knows better what begins and ends, but of this one itself.
            let is_blind = [board.sight(), boards.borrow().sight()].contains(&Sight::Blind);
            if is_blind && alerts.iter().any(|wanted| wanted.lasts.is_none()) {
                continue;
            }
            // What an operator keeps quiet is told when that is over, as it is then.
            if alerts.iter().any(|wanted| wanted.is_quiet) {
                continue;
            }
            let silent = self.silent_until.is_some_and(|until| self.clock.now() < until);
            if silent || stop.is_cancelled() {
                break;
            }
            self.send_group(key, alerts, together).await;
        }
        let unsettled = self.stood.iter().filter(|(name, wanted)| {
            let group = self.groups.get(&group_key(wanted));
            group.is_none_or(|group| group.told.get(name) != Some(&false))
        });
        let unsettled = unsettled.filter_map(|(_, wanted)| wanted.ended_at).min();
        // Who has nothing to be told fails at nothing.
        let idle = self.groups.values().all(|group| group.failing_since.is_none());
        let acknowledged = &self.acknowledged;
        self.health.send_if_modified(|health| {
            let before = (health.unsettled, health.failing_since);
            health.unsettled = unsettled;
            health.failing_since = health.failing_since.filter(|_| !idle);
            let told = *health.acknowledged != *acknowledged;
            if told {
                health.acknowledged = Arc::new(acknowledged.clone());
            }
            told || before != (health.unsettled, health.failing_since)
        });
    }

    /// Takes over what is to stand, and what ended. What stood and is not mentioned any more ended now.
    fn want(&mut self, all: &[AlertState], now: DateTime<Utc>) {
        let mentioned: BTreeMap<AlertId, &AlertState> =
            all.iter().map(|w| (name_of(w), w)).collect();
        for (name, wanted) in &mut self.stood {
            if !mentioned.contains_key(name) {
                wanted.ended_at.get_or_insert(now);
                // Whether its check is quiet is not said of it any more.
                wanted.is_quiet = false;
            }
        }
        let groups = &self.groups;
        self.stood.retain(|name, wanted| {
            let told = groups.get(&group_key(wanted)).and_then(|group| group.told.get(name));
            let over = !wanted.is_quiet && wanted.ended_at.is_some_and(|at| at + GIVE_UP < now);
            !over && told.is_some_and(|stands| *stands)
        });
        for group in self.groups.values_mut() {
            let stood = &self.stood;
            group.told.retain(|name, _| mentioned.contains_key(name) || stood.contains_key(name));
        }
        for (name, wanted) in mentioned {
            // What it is to be told is written down, so that a process that comes after this one tells it.
            self.acknowledged.entry(name).or_insert_with(|| Acknowledged::nothing(""));
            self.fold(name, wanted);
            let group = self.groups.get(&group_key(wanted));
            if group.is_none_or(|group| !group.told.contains_key(&name)) {
                self.meet(name, wanted, now);
            }
            self.met.entry(name).or_insert(now);
            self.pass_over(name, wanted);
            self.stood.insert(name, wanted.clone());
        }
        let stood = &self.stood;
        self.met.retain(|name, _| stood.contains_key(name));
        self.acknowledged.retain(|name, _| stood.contains_key(name));
    }

    /// What began and ended while its check was quiet is told to no receiver.
    fn pass_over(&mut self, name: AlertId, wanted: &AlertState) {
        if !wanted.is_quiet || wanted.ended_at.is_none() {
            return;
        }
        let group = self.groups.entry(group_key(wanted)).or_default();
        if group.told.contains_key(&name) {
            return;
        }
        group.told.insert(name, false);
        let over = Acknowledged { ended_at: wanted.ended_at, ..Acknowledged::nothing("") };
        self.acknowledged.insert(name, over);
    }

    /// Takes over what another replica told the receiver meanwhile.
    fn fold(&mut self, name: AlertId, wanted: &AlertState) {
        let Some(acknowledged) = &wanted.acknowledged else { return };
        let Some(group) = self.groups.get_mut(&group_key(wanted)) else { return };
        if acknowledged.ended_at.is_some() && wanted.ended_at.is_some() {
            group.told.insert(name, false);
        } else if acknowledged.begun_at.is_some() {
            group.told.entry(name).or_insert(true);
        }
    }

    /// Takes over what the record says that the receiver took of an alert that is new here.
    fn meet(&mut self, name: AlertId, wanted: &AlertState, now: DateTime<Utc>) {
        let told = match &wanted.acknowledged {
            Some(acknowledged) => {
                self.acknowledged.insert(name, acknowledged.clone());
                let began = acknowledged.begun_at.or(acknowledged.ended_at);
                began.map(|_| acknowledged.ended_at.is_none() || wanted.ended_at.is_none())
            }
            // It was over before this receiver was there, and others were told.
            None if wanted.ended_at.is_some() && wanted.heard => {
                let over = Acknowledged { ended_at: wanted.ended_at, ..Acknowledged::nothing("") };
                self.acknowledged.insert(name, over);
                Some(false)
            }
            None => None,
        };
        if let Some(stands) = told {
            let group = self.groups.entry(group_key(wanted)).or_default();
            group.told.insert(name, stands);
            // What stands is repeated after a restart too, and not because of it.
            group.told_at.get_or_insert(now);
        }
    }

    async fn send_group(&mut self, key: &str, alerts: &[AlertState], together: TimeDelta) {
        let (now, met) = (self.clock.now(), &self.met);
        let group = self.groups.entry(key.to_owned()).or_default();
        let stands = alerts.iter().any(|wanted| wanted.ended_at.is_none());
        let ours = alerts.iter().any(|wanted| wanted.ours);
        let again = stands && ours && group.told_at.is_some_and(|at| at + REPEAT <= now);
        // What another replica recorded is left to it for a while.
        let is_others = |wanted: &AlertState| {
            // One whose labels changed goes on from where it began.
            let begun = met.get(&name_of(wanted)).copied().unwrap_or(wanted.alert.starts_at);
            let since = wanted.ended_at.unwrap_or(wanted.alert.starts_at.max(begun));
            !wanted.ours && now < since + OTHERS_WAIT
        };
        let is_news = |wanted: &AlertState| {
            group.told.get(&name_of(wanted)) != Some(&wanted.ended_at.is_none())
                && !is_others(wanted)
        };
        if alerts.iter().any(is_news) {
            group.news_at.get_or_insert(now);
        } else if !again {
            return;
        }
        let waits = group.news_at.is_some_and(|at| now < at + together);
        if waits || group.again_at.is_some_and(|at| now < at) {
            return;
        }
        // What ended is told once, and as standing before, where the receiver does not know of it.
        let shown = |wanted: &AlertState| {
            if is_others(wanted) {
                return None;
            }
            let ended_at = match (wanted.ended_at, group.told.get(&name_of(wanted))) {
                (Some(_), Some(false)) => return None,
                (Some(at), Some(true)) => Some(at),
                (Some(_) | None, _) => None,
            };
            Some(AlertState { ended_at, ..wanted.clone() })
        };
        let alerts: Vec<AlertState> = alerts.iter().filter_map(shown).collect();
        for part in alerts.chunks(ALERTS_MAX) {
            let outcome = self.deliver(message(&self.name, key, part)).await;
            let failed = outcome.is_err();
            self.settle(key, part, outcome, now);
            if failed {
                return;
            }
        }
        if let Some(group) = self.groups.get_mut(key) {
            (group.told_at, group.news_at) = (Some(now), None);
        }
    }

    async fn deliver(&self, body: String) -> Result<(), Refusal> {
        match self.peer.deliver("", body).await {
            Ok(receipt) if (200..300).contains(&receipt.status) => Ok(()),
            Ok(receipt) => Err(Refusal {
                why: format!("it answers with status {}", receipt.status),
                retry_after_secs: receipt.retry_after_secs,
                silent: false,
            }),
            Err(error) => {
                Err(Refusal { why: error.to_string(), retry_after_secs: None, silent: true })
            }
        }
    }

    fn settle(
        &mut self,
        key: &str,
        part: &[AlertState],
        outcome: Result<(), Refusal>,
        now: DateTime<Utc>,
    ) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let told = part.iter().map(|wanted| (name_of(wanted), wanted.ended_at.is_none()));
        let Err(Refusal { why, retry_after_secs, silent }) = outcome else {
            group.told.extend(told);
            (group.failures, group.failing_since, group.again_at) = (0, None, None);
            for wanted in part {
                let nothing = || Acknowledged::nothing("");
                let taken = self.acknowledged.entry(name_of(wanted)).or_insert_with(nothing);
                taken.begun_at.get_or_insert(now);
                taken.ended_at = taken.ended_at.or(wanted.ended_at.map(|_| now));
            }
            // What it takes of one group says nothing of another that it refuses.
            let failing = self.groups.values().filter_map(|group| group.failing_since).min();
            let failed = self.health.borrow().failing_since.is_some();
            if failed && failing.is_none() {
                tracing::info!("webhook {} takes notices again", self.name);
            }
            self.silent_until = None;
            self.health.send_modify(|health| {
                health.accepted += 1;
                health.failing_since = failing;
                if failing.is_none() {
                    health.why = None;
                }
            });
            return;
        };
        if self.health.borrow().failing_since.is_none() {
            tracing::error!("webhook {} does not take a notice: {why}", self.name);
        }
        let since = *group.failing_since.get_or_insert(now);
        group.failures = group.failures.saturating_add(1);
        let stands = part.iter().any(|wanted| wanted.ended_at.is_none());
        let give_up = !stands && since + GIVE_UP <= now;
        if give_up {
            tracing::error!("webhook {} took no end of {key}: it is not tried again", self.name);
            group.told.extend(told);
            (group.failures, group.failing_since, group.again_at) = (0, None, None);
        } else {
            let bits = {
                use std::hash::{BuildHasher as _, RandomState};
                RandomState::new().hash_one(key)
            };
            let pause = Draw::new(bits).of(doubled(AGAIN.0, AGAIN.1, group.failures));
            let told = retry_after_secs.and_then(|secs| i64::try_from(secs.min(3_600)).ok());
            let again_at = now + told.map_or(pause, TimeDelta::seconds);
            group.again_at = Some(again_at);
            self.silent_until = silent.then_some(again_at);
        }
        self.health.send_modify(|health| {
            health.failed += u64::from(!give_up);
            health.given_up += u64::from(give_up);
            health.why = Some(why);
            health.failing_since.get_or_insert(now);
        });
    }
}
