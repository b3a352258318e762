//! The watch: one loop that looks at the calendar, asks the databases, and writes down what they say.
//!
//! It decides nothing by itself: what is due the roster says, who may ask the gates say, what moves a
//! row the ledger's rules say. Each turn is one transaction; what it could not write it writes in the
//! next one.

mod alerts;
mod adoption;
mod catalogue;
mod recut;
mod rollout;
mod identities;
mod learning;
mod drilling;
mod offers;
mod orders;
mod shrink;
mod outcome;
mod picture;
mod quiet;
mod samples;
mod upkeep;
mod transact;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::check::name::{CheckId, SourceName};
use crate::engine::gate::{Gate, SLOW};
use crate::engine::load::Reading;
use crate::engine::order::Order;
use crate::engine::ports::{Notices, Queries};
use crate::engine::roster::Roster;
use crate::engine::snapshot::{Counts, GenerationHealth, LastLoad, LedgerHealth, Snapshot};
use crate::engine::under_way::UnderWay;
use crate::engine::watch::adoption::Adoption;
use crate::engine::watch::alerts::Alerts;
use crate::engine::watch::learning::Learning;
use crate::engine::watch::offers::Turnstile;
use crate::engine::watch::orders::UnderOrder;
use crate::engine::watch::rollout::InShadow;
use crate::ledger::{Drilled, Ended, Happened, Listing, Store};
use crate::manifest::TestedCheck;

/// How many series are materialised in one turn at most, how many rows as long as turns are quick, and how many at
/// least.
const SERIES_MAX: usize = 100;
const ROWS_MAX: usize = 2_000;
const ROWS_MIN: usize = 20;
/// A transaction that took as long was too large: the next one is half as large.
const LONG: Duration = Duration::from_secs(1);
/// How many rows the ledger gives at once when it is asked who is ready.
const REFILL: usize = 256;
/// Under load a turn begins so long after the last one at the earliest: what ends or falls due meanwhile shares one
/// transaction, and its pages on the disk. Where nothing else is under way, it begins at once.
const GROUP: Duration = Duration::from_millis(80);
/// How long ended attempts may wait for others where a turn is slow.
const GATHER_MAX: Duration = Duration::from_millis(250);
/// How long the engine sleeps at most: clocks are set, and other replicas write.
const NAP: Duration = Duration::from_millis(1_000);
/// How far the host's clock may be from the store's before that is told.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(30);
/// How long the ledger is left alone after it failed: at first, and at most.
const AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::milliseconds(100), TimeDelta::seconds(2));
/// How often old rows are folded and dropped.
const TIDY_EACH: Duration = Duration::from_secs(2);
/// How often what other replicas wrote is read.
const SYNC_EACH: Duration = Duration::from_secs(2);
/// How far back it is read: transactions end later than they say.
const SYNC_BACK: TimeDelta = TimeDelta::seconds(20);

/// The engine.
#[derive(Debug)]
pub struct Engine<Q: Queries, N: Notices> {
    store: Store,
    notices: N,
    clock: Clock,
    /// How far the store's clock is ahead of the host's.
    skew: TimeDelta,
    reading: Arc<Reading>,
    /// What came of the tests of the checks that run.
    tested: Option<Arc<BTreeMap<CheckId, TestedCheck>>>,
    roster: Roster,
    gates: BTreeMap<SourceName, Gate>,
    turnstile: Option<Turnstile>,
    under_way: UnderWay<Q>,
    generation: Option<GenerationHealth>,
    last_load: LastLoad,
    files: Files,
    /// What is looked at in shadow.
    shadow: InShadow,
    /// Orders about many rows that are being carried out.
    under_order: UnderOrder,
    /// How many rows one turn writes: fewer after one that failed or took long.
    rows_max: usize,
    /// How long a turn takes, of late, and when the last one ended.
    turn_took: Duration,
    turn_ended: Instant,
    /// What is to be written in the next turn.
    ended: Vec<Ended>,
    listings: Vec<Listing>,
    events: Vec<Happened>,
    ledger: LedgerHealth,
    /// Since when the ledger is as it is.
    ledger_since: Instant,
    failures: u32,
    again_at: Option<Instant>,
    watching_since: DateTime<Utc>,
    renew_at: Instant,
    tidy_at: Instant,
    sync_at: Instant,
    /// The series whose old rows were folded last, and where there is more of it.
    tidied: (i64, Option<DateTime<Utc>>),
    /// When it is looked next for values that are old enough to be cut.
    cut_at: Instant,
    newest_rules: Option<String>,
    /// How many replicas write the same record, or wrote it a moment ago.
    replicas: u64,
    /// What is known of what checks stand on.
    learning: Learning,
    /// The last drill of each receiver and failure.
    drilled: Arc<Vec<Drilled>>,
    alerts: Alerts,
    adoption: Adoption,
    /// Whether standings may have changed without anybody being told.
    tell_anew: bool,
    /// Whether time ran out for more rows than one turn takes.
    more_lapses: bool,
    /// A generation that is active and does not read here.
    unreadable: Option<i64>,
    stopping: bool,
    counts: Counts,
    pictures: watch::Sender<Arc<Snapshot>>,
    shown_at: Option<Instant>,
    random: RandomState,
    drawn: u64,
}

/// The files of checks, as they were read last.
#[derive(Debug, Default)]
struct Files {
    /// Their digest.
    digest: Option<String>,
    /// Whether they do not count, because an operator went back behind them.
    are_pinned: bool,
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Prepares to watch, and to show that; nothing is due before a catalogue is loaded.
    pub fn new(
        store: Store,
        queries: Arc<Q>,
        notices: N,
        reading: Arc<Reading>,
        clock: Clock,
        pictures: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        let now = clock.now();
        let started = Instant::now();
        Self {
            store,
            notices,
            under_way: UnderWay::new(queries, clock.clone()),
            clock,
            skew: TimeDelta::zero(),
            reading,
            tested: None,
            roster: Roster::default(),
            gates: BTreeMap::new(),
            turnstile: None,
            generation: None,
            last_load: LastLoad::Never,
            files: Files::default(),
            shadow: InShadow::default(),
            under_order: UnderOrder::new(started),
            rows_max: ROWS_MAX,
            turn_took: Duration::ZERO,
            turn_ended: started,
            ended: Vec::new(),
            listings: Vec::new(),
            events: Vec::new(),
            ledger: LedgerHealth::Up,
            ledger_since: started,
            failures: 0,
            again_at: None,
            watching_since: now,
            renew_at: started,
            tidy_at: started + TIDY_EACH,
            sync_at: started + SYNC_EACH,
            tidied: (0, None),
            cut_at: Instant::now(),
            newest_rules: None,
            // Until it is known there may be others.
            replicas: 2,
            learning: Learning::default(),
            drilled: Arc::default(),
            alerts: Alerts::new(started),
            adoption: Adoption::default(),
            tell_anew: false,
            more_lapses: false,
            unreadable: None,
            stopping: false,
            counts: Counts::default(),
            pictures,
            shown_at: None,
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Who writes the record.
    pub fn replica(&self) -> &str {
        self.store.replica()
    }

    /// The ledger's clock.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.skew
    }

    fn bits(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn)
    }

    /// Watches until it is told to stop; then lets what is under way end, and writes it down.
    ///
    /// `hurry` ends what is under way at once.
    pub async fn run(
        &mut self,
        orders: &mut mpsc::Receiver<Order<Q>>,
        stop: &CancellationToken,
        hurry: &CancellationToken,
        grace: Duration,
    ) {
        while !stop.is_cancelled() {
            self.transact().await;
            self.house_keeping().await;
            self.show();
            let wake = self.wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.under_way.next() => self.take(done),
                Some(order) = orders.recv() => self.obey(order).await,
                () = sleep_until(wake) => {}
            }
            for done in self.under_way.ready() {
                self.take(done);
            }
            self.gather().await;
            // However much ends meanwhile, each round takes an order, and goes on with one.
            if let Ok(order) = orders.try_recv() {
                self.obey(order).await;
            }
            self.carry_out().await;
        }
        self.drain(hurry, grace).await;
    }

    /// What ends in a moment is written with what has ended: shortly after the last turn, and where a turn takes long:
    /// then its series goes on a whole turn earlier.
    async fn gather(&mut self) {
        let slow = self.turn_took >= SLOW && !self.ended.is_empty();
        let more = if slow { (self.turn_took / 4).min(GATHER_MAX) } else { Duration::ZERO };
        let until = (self.turn_ended + GROUP).max(Instant::now() + more);
        let is_early = || Instant::now() < until;
        while is_early() && !self.under_way.is_empty() && self.ended.len() < self.rows_max {
            tokio::select! {
                biased;
                Some(done) = self.under_way.next() => self.take(done),
                () = sleep_until(until) => break,
            }
        }
    }

    async fn drain(&mut self, hurry: &CancellationToken, grace: Duration) {
        self.stopping = true;
        drop(timeout(Duration::from_secs(8), self.shadow.end()).await);
        self.shown_at = None;
        self.show();
        let mut until = Instant::now() + grace;
        let mut told = false;
        while !self.under_way.is_empty() {
            // What is told to stop does so within seconds.
            let hurried = hurry.is_cancelled() || Instant::now() >= until;
            if hurried && !told {
                self.under_way.stop();
                told = true;
                until = Instant::now() + Duration::from_secs(8);
            } else if hurried && Instant::now() >= until {
                break;
            }
            tokio::select! {
                biased;
                Some(done) = self.under_way.next() => self.take(done),
                () = hurry.cancelled(), if !told => {}
                () = sleep_until(until.min(Instant::now() + NAP)) => {}
            }
            // Claims go on being renewed, and what ended is written at once.
            self.transact().await;
            self.show();
        }
        let until = Instant::now() + Duration::from_secs(5);
        while !(self.ended.is_empty() && self.events.is_empty()) && Instant::now() < until {
            self.again_at = None;
            self.transact().await;
            let pause = Instant::now() + Duration::from_millis(200);
            if !self.ended.is_empty() {
                sleep_until(pause).await;
            }
        }
        self.shown_at = None;
        self.show();
    }

    /// When there is something to do next.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        if let Some(again) = self.again_at {
            return again.min(now + NAP);
        }
        let ordered = self.under_order.is_ready();
        let unwritten = ordered || !(self.ended.is_empty() && self.listings.is_empty());
        let waiting = self.gates.values().any(|gate| gate.free() > 0 && gate.is_waited_for());
        if unwritten || waiting || self.more_lapses {
            return now;
        }
        let probes = self.gates.values().filter_map(|gate| gate.breaker.probe_at());
        let due = self.roster.wake_at().filter(|_| self.may_materialise());
        let next = probes.chain(due).min().map(|at| (at - self.now()).to_std().unwrap_or_default());
        // What falls due shortly after another shares its turn.
        (now + next.map_or(NAP, |pause| pause.min(NAP))).max(self.turn_ended + GROUP)
    }

    /// Asks sources that are left alone whether they answer, one question at a time.
    fn probe(&mut self, now: DateTime<Utc>) {
        if self.stopping {
            return;
        }
        for (name, gate) in &mut self.gates {
            if gate.breaker.take_probe(now) {
                self.under_way.probe(name);
            }
        }
    }

    /// Says whether everything due by now is recorded, and nothing is under way: for those who move
    /// the clock by hand.
    pub fn is_idle(&self) -> bool {
        let due = self.roster.wake_at().is_some_and(|at| at <= self.now());
        let waiting = self.gates.values().any(|gate| gate.waiting() > 0);
        !due && !waiting && self.under_way.is_empty() && self.ended.is_empty()
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.roster.wake_at()
    }

    /// Waits for everything under way to end.
    pub async fn settle(&mut self) {
        while !self.under_way.is_empty() {
            if let Some(done) = self.under_way.next().await {
                self.take(done);
            }
        }
    }
}
