//! One Alertmanager, told everything that it has to know: API v2, as release 0.25 speaks it.
//!
//! What is to be told is a state, not a queue ([`crate::domain::alerting::outbox`]): here it is sent, again after
//! failures, and all of it after the other side was started anew, because it forgets.

pub mod config;
mod health;
mod payload;
mod send;
mod silences;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::clock::Clock;
use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::outbox::{Outbox, Rhythm, Sight};
use crate::domain::alerting::seen::{FirstLook, SeenAlert};
use crate::http::{NoAnswer, Peer};

pub use health::Health;

use silences::QuietNow;

/// How many alerts go into one request.
const BATCH: usize = 256;
/// How often we ask whether it was started anew.
const LOOK_EACH: Duration = Duration::from_secs(10);
/// The first pause after a failure, and the longest.
const AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::milliseconds(500), TimeDelta::seconds(5));
/// How often it is asked what stands, while the record cannot be read.
const ASK_EACH: Duration = Duration::from_secs(2);
/// How often it is asked what it holds otherwise.
const LIST_EACH: Duration = Duration::from_secs(15);
/// How often it is asked in vain what it holds before it is told all the same.
const FIRST_TRIES: u32 = 3;
/// How long we wait before we look whether the record was read again.
const BLIND_NAP: Duration = Duration::from_millis(500);
/// How much longer than some intervals ago what is repeated may have come last: its clock says whole seconds.
const REPEATED_WITHIN: TimeDelta = TimeDelta::seconds(2);
/// How far its clock may be from ours before alerts end by its clock.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(5);
/// How long alerts may wait for silences to be looked at.
const SILENT_WITHIN: Duration = Duration::from_secs(3);
/// How long the last words may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// One Alertmanager.
pub struct Alertmanager {
    name: String,
    peer: Peer,
    rhythm: Rhythm,
    clock: Clock,
    /// How far the record's clock is ahead of ours.
    skew: TimeDelta,
    outbox: Outbox,
    /// When it said that it was started: which process it is.
    started: Option<String>,
    /// What its clock said, and when: what time it is there now, whatever becomes of our clock.
    their_clock: Option<(DateTime<Utc>, Instant)>,
    /// When it may be asked again what stands.
    ask_at: Instant,
    /// When it is asked next what it holds, though nothing hangs on that.
    list_at: Instant,
    /// When its silences are looked at next, and which checks were to be quiet then.
    silences_at: Instant,
    quiet_before: QuietNow,
    quiet_since: Instant,
    /// How often it did not say what it holds before anything was sent; nothing once that does not matter any more.
    first_tries: Option<u32>,
    /// Which alerts it said that stand though they ended, and when.
    raised: Option<(Instant, BTreeSet<Fingerprint>)>,
    /// The configuration that was read last.
    config: Option<String>,
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

impl Alertmanager {
    /// Prepares to tell one, by a name that no other one has; and a way to see how it does.
    pub fn new(
        name: String,
        peer: Peer,
        rhythm: Rhythm,
        clock: Clock,
    ) -> (Self, watch::Receiver<Health>) {
        let (health, seen) = watch::channel(Health::new(name.clone(), peer.name()));
        let now = Instant::now();
        let outbox = Outbox::default();
        let alertmanager = Self {
            name,
            peer,
            rhythm,
            clock,
            skew: TimeDelta::zero(),
            outbox,
            started: None,
            their_clock: None,
            ask_at: now,
            list_at: now,
            silences_at: now,
            quiet_before: Vec::new(),
            quiet_since: now,
            first_tries: Some(0),
            raised: None,
            config: None,
            health,
            failures: 0,
            untaken: false,
            again_at: now,
            look_at: now,
            drawn: 0,
        };
        (alertmanager, seen)
    }

    /// Sends what is wanted until it is stopped, and then what is left to be sent.
    pub async fn run(mut self, mut boards: watch::Receiver<Arc<Board>>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let has_others = boards.borrow().has_others;
            self.look(has_others).await;
            let board = boards.borrow_and_update().clone();
            self.prove(&board);
            // What is to be silent is, before what stands is told.
            drop(timeout(SILENT_WITHIN, self.keep_silences(&board)).await);
            self.pass_on(&board, &boards).await;
            let wake = self.wake(boards.borrow().sight());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                changed = boards.changed(), if Instant::now() >= self.again_at => {
                    if changed.is_err() { break }
                }
                () = sleep_until(wake) => {}
            }
        }
        let board = boards.borrow().clone();
        drop(timeout(FAREWELL, self.pass_on(&board, &boards)).await);
    }

    /// What time it is by the record's clock.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.skew
    }

    fn wake(&self, sight: Sight) -> Instant {
        if self.first_tries.is_some() {
            return self.look_at;
        }
        let now = self.now();
        let next = self.outbox.wake_at(&self.rhythm, now);
        let next = next.map(|at| Instant::now() + (at - now).to_std().unwrap_or_default());
        // What may not be told now may be, once the record is read again.
        let soonest = match sight {
            Sight::Clear => Instant::now(),
            Sight::Blind => Instant::now() + BLIND_NAP,
        };
        let look = self.look_at.min(self.silences_at).max(self.again_at);
        next.map_or(look, |at| at.max(soonest).max(self.again_at).min(look))
    }

    /// Holds what was acknowledged against the proofs that came back.
    fn prove(&mut self, board: &Board) {
        self.peer.trust(!board.is_unproved);
        let Some((sent_at, every)) = board.proof else { return };
        if self.outbox.proved(sent_at, every) {
            tracing::warn!(
                "nothing came back from Alertmanager {} for a while: it is told again what it took meanwhile",
                self.name
            );
        }
    }

    /// Asks whether it is there, and still the same process: a new one knows nothing.
    async fn look(&mut self, has_others: bool) {
        if Instant::now() < self.look_at {
            return;
        }
        self.look_at = Instant::now() + LOOK_EACH;
        let answer = self.peer.get("/api/v2/status", &[]).await;
        self.note_clock();
        match answer {
            Ok((200, status)) => {
                let version = self.know(&status);
                if has_others || self.first_tries.is_some() || Instant::now() >= self.list_at {
                    self.ask_what_stands().await;
                }
                // Who answers questions and takes no alerts is not reached: only a taken alert says that.
                if self.untaken && !self.outbox.is_empty() {
                    self.health.send_modify(|health| health.version = version);
                } else {
                    self.reached(|health| health.version = version);
                }
            }
            Ok((404, _)) => {
                self.first_tries = None;
                let why = "it answers with status 404: name its address without /api/…";
                self.failed(0, why.to_owned());
            }
            Ok((status, _)) => {
                // A proxy that answers for it may be all that is there for a moment.
                self.first_tries = self.first_tries.map(|n| n + 1).filter(|n| *n < FIRST_TRIES);
                self.failed(0, format!("it answers with status {status}"));
            }
            Err(error) => {
                // Somebody answers, and does not say what it holds: what is sent says why.
                if let NoAnswer::Odd(_) = error {
                    self.first_tries = None;
                }
                self.failed(0, error.to_string());
            }
        }
        if self.first_tries.is_some() {
            self.look_at = self.again_at.max(Instant::now() + BLIND_NAP);
        }
    }

    /// Takes note of what it says of itself: which process it is, and its routes. Returns its release.
    fn know(&mut self, status: &Value) -> Option<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(started) = text(&status["uptime"]).filter(|s| Some(s) != self.started.as_ref())
        {
            if self.started.is_some() {
                let name = &self.name;
                tracing::info!("Alertmanager {name} was started anew: it is told everything");
            }
            self.outbox.is_process(&started);
            self.silences_at = Instant::now();
            self.started = Some(started);
        }
        let config = text(&status["config"]["original"]);
        if config.is_some() && config != self.config {
            let routes = config.as_deref().and_then(config::routes).map(Arc::new);
            if routes.is_none() {
                tracing::warn!(
                    "the routes of Alertmanager {} cannot be read here: whether `hold` is long enough for them is not known",
                    self.name
                );
            }
            let receivers = config.as_deref().and_then(config::receivers).map(Arc::new);
            self.health
                .send_modify(|health| (health.routes, health.receivers) = (routes, receivers));
            // What it did with alerts is another thing by another configuration.
            self.list_at = Instant::now();
            self.config = config;
        }
        let members = status["cluster"]["peers"].as_array().into_iter().flatten();
        let members: BTreeSet<&str> =
            members.filter_map(|member| member["name"].as_str()).collect();
        let cluster =
            (members.len() > 1).then(|| members.into_iter().collect::<Vec<_>>().join(" "));
        self.health.send_if_modified(|health| {
            let same = health.cluster == cluster;
            health.cluster = cluster;
            !same
        });
        text(&status["versionInfo"]["version"])
    }

    /// Asks which alerts stand: without the record nothing else says whether one may be repeated.
    async fn ask_what_stands(&mut self) {
        let query = [("filter", "alertname=~\"Allswell.+\"".to_owned())];
        self.list_at = Instant::now() + LIST_EACH;
        let answer = self.peer.get("/api/v2/alerts", &query).await;
        let is_heard = answer.is_ok();
        let Ok((200, Value::Array(alerts))) = answer else {
            // Who answers and does not say is told all the same.
            self.first_tries =
                self.first_tries.map(|tries| tries + 1).filter(|n| !is_heard && *n < FIRST_TRIES);
            self.health.send_modify(|health| (health.repeated, health.seen) = (None, None));
            return;
        };
        let now = self.clock.now() + self.ahead();
        let recent = now - self.rhythm.own_resend() * 4 - REPEATED_WITHIN;
        let seen = payload::seen(&alerts);
        let names = |is_meant: &dyn Fn(&&SeenAlert) -> bool| -> BTreeSet<Fingerprint> {
            seen.iter().filter(is_meant).map(SeenAlert::fingerprint).collect()
        };
        let repeated = Arc::new(names(&|alert| alert.updated_at >= recent));
        let active = names(&|_| true);
        self.first_tries = None;
        // Also where it is late: what another ledger said is known by its id.
        let is_first = self.health.borrow().first.is_none();
        let first = is_first.then(|| FirstLook { alerts: seen.clone(), at: now });
        self.health.send_modify(|health| {
            health.repeated = Some((Instant::now(), repeated));
            health.first = first.map(Arc::new).or(health.first.take());
            health.seen = Some((now, Arc::new(seen)));
        });
        self.silences_at = Instant::now();
        self.raised = Some((Instant::now(), self.outbox.raised(&active)));
        self.outbox.stand(active);
    }

    async fn pass_on(&mut self, board: &Board, boards: &watch::Receiver<Arc<Board>>) {
        self.skew = board.skew;
        self.outbox.want(&board.alerts, self.now());
        self.outbox.is_proved_each(board.proofs);
        // By a record that was read since, they are over still.
        let is_later = |at: &Instant| board.read_at.is_some_and(|read_at| read_at > *at);
        if let Some((_, raised)) = self.raised.take_if(|(at, _)| is_later(at)) {
            self.outbox.end_again(&raised);
        }
        self.outbox.leave(&board.kept_by_another);
        // Until nothing is due, or something went wrong. What it holds is looked at before anything is sent.
        while Instant::now() >= self.again_at && self.first_tries.is_none() {
            // What was read of the record last, and a moment ago: an older board knows of ends that are none any more.
            let sight = match (board.sight(), boards.borrow().sight()) {
                (Sight::Clear, Sight::Clear) => Sight::Clear,
                (Sight::Blind, _) | (_, Sight::Blind) => Sight::Blind,
            };
            // What stands may be repeated by the receiver's own word, as it is at this moment.
            let repeats = sight == Sight::Blind && self.outbox.repeats(&self.rhythm, self.now());
            if repeats && Instant::now() >= self.ask_at {
                self.ask_at = Instant::now() + ASK_EACH;
                self.ask_what_stands().await;
            }
            let due = self.outbox.take_due(&self.rhythm, sight, self.now(), BATCH);
            if due.is_empty() {
                break;
            }
            if !self.send_all(due).await {
                break;
            }
        }
        let (standing, unsettled) = (self.outbox.counts(), self.outbox.unsettled());
        let acknowledged = self.outbox.acknowledged();
        self.health.send_if_modified(|health| {
            let told = *health.acknowledged != acknowledged;
            if told {
                health.acknowledged = Arc::new(acknowledged);
            }
            let same = health.standing == standing && health.unsettled == unsettled;
            (health.standing, health.unsettled) = (standing, unsettled);
            told || !same
        });
    }

    fn bits() -> u64 {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one(0)
    }
}
