//! One Alertmanager, told everything that it has to know: API v2, as release 0.25 speaks it
//! (`facts/alerting.md` 2.1, 2.3).
//!
//! What is to be told is a state, not a queue ([`crate::domain::outbox`]): here it is sent, again after
//! failures, and all of it after the other side was started anew, because it forgets.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::alert::Fingerprint;
use crate::domain::backoff::{Draw, doubled};
use crate::domain::outbox::{Outbox, Parcel, Rhythm, Wanted};
use crate::http::{NoAnswer, Peer};

/// How many alerts go into one request.
const BATCH: usize = 256;
/// How often we ask whether it was started anew.
const LOOK_EACH: Duration = Duration::from_secs(10);
/// The first pause after a failure, and the longest.
const AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::milliseconds(500), TimeDelta::seconds(5));
/// How far its clock may be from ours before alerts end by its clock.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(5);
/// How long the last words may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// How an Alertmanager does, as we see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Who.
    pub name: String,
    /// When it last took what it was told, or said that it is there.
    pub reached_at: Option<DateTime<Utc>>,
    /// Since when it does not, where that is so.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it does not, or which alert it refuses.
    pub why: Option<String>,
    /// Its release.
    pub version: Option<String>,
    /// How many alerts it took.
    pub accepted: u64,
    /// How many it did not take, because it did not answer or was not well.
    pub failed: u64,
    /// How many it refused.
    pub refused: u64,
    /// How many stand, how many of those it does not know yet, and how many it refuses.
    pub standing: (usize, usize, usize),
    /// The earliest end of an alert that it does not know of.
    pub unsettled: Option<DateTime<Utc>>,
    /// How far its clock is ahead of ours.
    pub ahead: TimeDelta,
    /// Which alerts of the record it knows to stand, or to have stood.
    pub heard: Arc<BTreeSet<(Fingerprint, DateTime<Utc>)>>,
}

impl Health {
    /// Before anything was told.
    pub fn new(name: String) -> Self {
        Self {
            name,
            reached_at: None,
            failing_since: None,
            why: None,
            version: None,
            accepted: 0,
            failed: 0,
            refused: 0,
            standing: (0, 0, 0),
            unsettled: None,
            ahead: TimeDelta::zero(),
            heard: Arc::default(),
        }
    }
}

/// One Alertmanager.
pub struct Alertmanager {
    name: String,
    peer: Peer,
    rhythm: Rhythm,
    clock: Clock,
    outbox: Outbox,
    /// When it said that it was started.
    started: Option<String>,
    health: watch::Sender<Health>,
    failures: u32,
    /// Whether it did not take what it was told last.
    untaken: bool,
    again_at: Instant,
    look_at: Instant,
    drawn: u64,
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alertmanager").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// What became of a request.
enum Sent {
    Accepted,
    /// Something in it is refused.
    Poison(String),
    /// Something in it is refused, or all of it, by somebody in between.
    Barred(String),
    Failed(String),
}

impl Alertmanager {
    /// Prepares to tell one, by a name that no other one has; and a way to see how it does.
    pub fn new(
        name: String,
        peer: Peer,
        rhythm: Rhythm,
        clock: Clock,
    ) -> (Self, watch::Receiver<Health>) {
        let (health, seen) = watch::channel(Health::new(name.clone()));
        let now = Instant::now();
        let outbox = Outbox::default();
        let alertmanager = Self {
            name,
            peer,
            rhythm,
            clock,
            outbox,
            started: None,
            health,
            failures: 0,
            untaken: false,
            again_at: now,
            look_at: now,
            drawn: 0,
        };
        (alertmanager, seen)
    }

    /// Tells what is wanted, as long as nobody stops it; then what has to be said still.
    pub async fn run(
        mut self,
        mut wanted: watch::Receiver<Arc<Vec<Wanted>>>,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            self.look().await;
            let all = wanted.borrow_and_update().clone();
            self.tell(&all).await;
            let wake = self.wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = wanted.changed(), if Instant::now() >= self.again_at => {
                    if changed.is_err() { break }
                }
                () = sleep_until(wake) => {}
            }
        }
        let all = wanted.borrow().clone();
        drop(tokio::time::timeout(FAREWELL, self.tell(&all)).await);
    }

    fn wake(&self) -> Instant {
        let now = self.clock.now();
        let next = self.outbox.wake_at(&self.rhythm, now);
        let next = next.map(|at| Instant::now() + (at - now).to_std().unwrap_or_default());
        next.map_or(self.look_at, |at| at.max(self.again_at).min(self.look_at.max(self.again_at)))
    }

    /// Asks whether it is there, and still the same process: a new one knows nothing.
    async fn look(&mut self) {
        if Instant::now() < self.look_at {
            return;
        }
        self.look_at = Instant::now() + LOOK_EACH;
        let answer = self.peer.get("/api/v2/status", &[]).await;
        self.note_clock();
        match answer {
            Ok((200, status)) => {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let started = text(&status["uptime"]);
                if self.started.is_some() && started.is_some() && self.started != started {
                    tracing::info!(
                        "Alertmanager {} was started anew: it is told everything",
                        self.name
                    );
                    self.outbox.forgotten(self.clock.now());
                }
                self.started = started.or(self.started.take());
                let version = text(&status["versionInfo"]["version"]);
                // Who answers questions and takes no alerts is not reached: only a taken alert says that.
                if self.untaken && !self.outbox.is_empty() {
                    self.health.send_modify(|health| health.version = version);
                } else {
                    self.reached(|health| health.version = version);
                }
            }
            Ok((404, _)) => {
                let why = "it answers with status 404: name its address without /api/…";
                self.failed(0, why.to_owned());
            }
            Ok((status, _)) => self.failed(0, format!("it answers with status {status}")),
            Err(error) => self.failed(0, why(&error)),
        }
    }

    async fn tell(&mut self, all: &[Wanted]) {
        self.outbox.want(all, self.clock.now());
        // Until nothing is due, or something went wrong.
        while Instant::now() >= self.again_at {
            let due = self.outbox.due(&self.rhythm, self.clock.now(), BATCH);
            if due.is_empty() {
                break;
            }
            if !self.send_all(due).await {
                break;
            }
        }
        let (standing, unsettled) = (self.outbox.counts(), self.outbox.unsettled());
        let heard = self.outbox.heard();
        self.health.send_if_modified(|health| {
            let heard =
                if *health.heard == heard { Arc::clone(&health.heard) } else { Arc::new(heard) };
            let same = health.standing == standing
                && health.unsettled == unsettled
                && Arc::ptr_eq(&health.heard, &heard);
            (health.standing, health.unsettled, health.heard) = (standing, unsettled, heard);
            !same
        });
    }

    /// Sends a batch; where something in it is refused, halves of it, until the culprit is alone.
    async fn send_all(&mut self, batch: Vec<Parcel>) -> bool {
        let mut batches = vec![batch];
        let mut passed = false;
        while let Some(mut batch) = batches.pop() {
            let sent = match self.send(&batch).await {
                Sent::Barred(words) if passed || self.passes_in_part(&batch).await => {
                    passed = true;
                    Sent::Poison(words)
                }
                Sent::Barred(words) => Sent::Failed(words),
                sent @ (Sent::Accepted | Sent::Poison(_) | Sent::Failed(_)) => sent,
            };
            match sent {
                Sent::Accepted => {
                    passed = true;
                    let count = u64::try_from(batch.len()).unwrap_or(0);
                    self.outbox.accepted(&batch, self.clock.now());
                    self.reached(|health| health.accepted += count);
                }
                Sent::Poison(words) if batch.len() == 1 => {
                    // A link is no reason to tell nobody.
                    let linked = batch[0].alert.link.is_some();
                    let bare = [batch[0].without_link()];
                    if linked && matches!(self.send(&bare).await, Sent::Accepted) {
                        self.outbox.accepted(&batch, self.clock.now());
                        self.reached(|health| health.accepted += 1);
                    } else {
                        self.quarantine(&batch[0], &words);
                    }
                }
                Sent::Poison(_) => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.push(half);
                    batches.push(batch);
                }
                Sent::Failed(why) | Sent::Barred(why) => {
                    self.failed(batch.len(), why);
                    return false;
                }
            }
        }
        true
    }

    /// Says whether the first or the last alone is taken: then it is not the way that is barred.
    async fn passes_in_part(&mut self, batch: &[Parcel]) -> bool {
        if batch.len() < 2 {
            return false;
        }
        for one in [&batch[..1], &batch[batch.len() - 1..]] {
            if matches!(self.send(one).await, Sent::Accepted) {
                return true;
            }
        }
        false
    }

    /// Alerts stand and end by its clock, and its answers say what that is.
    fn note_clock(&mut self) {
        // Where nobody answered, nobody said what time it is.
        let Some(date) = self.peer.take_date() else { return };
        let ahead = date - self.clock.now();
        let before = self.health.borrow().ahead;
        // It says whole seconds: what is a little more or less is the same.
        if (ahead - before).abs() > CLOCKS_APART {
            let ahead = if ahead.abs() > CLOCKS_APART { ahead } else { TimeDelta::zero() };
            let secs = ahead.num_seconds();
            tracing::warn!("the clock of Alertmanager {} is {secs} s ahead of ours", self.name);
            self.health.send_modify(|health| health.ahead = ahead);
        }
    }

    fn quarantine(&mut self, parcel: &Parcel, words: &str) {
        let labels = &parcel.alert.labels;
        let name = format!("{} {}", labels.get("alertname"), labels.get("check"));
        let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
        tracing::error!("Alertmanager {} refuses the alert {name}: {words}", self.name);
        self.outbox.refused(parcel, self.clock.now());
        self.reached(|health| {
            health.refused += 1;
            health.why = Some(format!("it refuses the alert {name}: {words}"));
        });
    }

    async fn send(&mut self, batch: &[Parcel]) -> Sent {
        let ahead = self.health.borrow().ahead;
        let now = self.clock.now() + ahead;
        let alerts = batch.iter().map(|parcel| alert(parcel, ahead, now)).collect();
        let answer = self.peer.deliver("/api/v2/alerts", Value::Array(alerts).to_string()).await;
        self.note_clock();
        match answer {
            Err(error) => Sent::Failed(why(&error)),
            Ok(receipt) => match receipt.status {
                200..=299 => Sent::Accepted,
                400 | 413 | 422 => Sent::Poison(receipt.words),
                status @ (403 | 406 | 410 | 414 | 415 | 431) => {
                    Sent::Barred(format!("it answers with status {status}"))
                }
                404 => Sent::Failed(
                    "it answers with status 404: name its address without /api/…".to_owned(),
                ),
                status => Sent::Failed(format!("it answers with status {status}")),
            },
        }
    }

    fn reached(&mut self, more: impl FnOnce(&mut Health)) {
        if self.failures > 0 {
            tracing::info!("Alertmanager {} answers again", self.name);
        }
        (self.failures, self.untaken) = (0, false);
        self.again_at = Instant::now();
        let now = self.clock.now();
        self.health.send_modify(|health| {
            health.reached_at = Some(now);
            if health.failing_since.take().is_some() {
                health.why = None;
            }
            more(health);
        });
    }

    fn failed(&mut self, count: usize, why: String) {
        if self.failures == 0 {
            tracing::error!("Alertmanager {} is not told: {why}", self.name);
        }
        self.failures = self.failures.saturating_add(1);
        self.untaken |= count > 0;
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(Self::bits());
        let pause = Draw::new(self.drawn).of(doubled(AGAIN.0, AGAIN.1, self.failures));
        let pause = pause.to_std().unwrap_or_default().max(Duration::from_millis(100));
        self.again_at = Instant::now() + pause;
        self.look_at = self.look_at.max(self.again_at);
        let now = self.clock.now();
        self.health.send_modify(|health| {
            health.failed += u64::try_from(count).unwrap_or(0);
            health.failing_since.get_or_insert(now);
            health.why = Some(why);
        });
    }

    fn bits() -> u64 {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one(0)
    }
}

fn why(error: &NoAnswer) -> String {
    error.to_string()
}

/// An alert in the form of Alertmanager's API v2, for one whose clock is so far ahead of ours, and says `now`.
fn alert(parcel: &Parcel, ahead: TimeDelta, now: DateTime<Utc>) -> Value {
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let alert = &parcel.alert;
    let ends_at = if parcel.stands { parcel.ends_at + ahead } else { parcel.ends_at.min(now) };
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
