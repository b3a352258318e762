//! An engine whose clock is moved by hand, over databases that say what a function says.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allswell::clock::Clock;
use allswell::domain::alerting::alert::Fingerprint;
use allswell::domain::alerting::seen::FirstLook;
use allswell::domain::change::word::{Rollout, Wait};
use allswell::domain::check::Check;
use allswell::domain::check::judge::Judgement;
use allswell::domain::check::name::SourceName;
use allswell::domain::check::reason::{Cause, Reason};
use allswell::domain::check::succession::Removals;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::record::standing::Notice;
use allswell::domain::sql::Engine as Dialect;
use allswell::domain::sql::instant_form::InstantForm;
use allswell::domain::time::window::ZonesFrom;
use allswell::domain::time::zone::ZoneName;
use allswell::engine::asking::Look;
use allswell::engine::attempt::Attempted;
use allswell::engine::load::{Loaded, NotLoaded, Reading};
use allswell::engine::order::Load;
use allswell::engine::ports::{Notices, Queries, Receipts};
use allswell::engine::progress::Progress;
use allswell::engine::snapshot::Snapshot;
use allswell::engine::watch::Engine;
use allswell::engine::zone_list::Listed;
use allswell::ledger::{SelfAlert, SeriesRecord, Store, StoreSettings};
use allswell::manifest::Text;
use allswell::source::protections::Protection;
use allswell::zones::Zones;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

/// A clock that is moved by hand.
#[derive(Clone, Default)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(now.timestamp_micros())))
    }

    pub(crate) fn set(&self, now: DateTime<Utc>) {
        self.0.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::of(move || hand.now())
    }
}

/// A database that says what a function says, at once.
pub(crate) struct Oracle {
    answer: Box<Answer>,
    /// How much is looked at.
    pub(crate) evidence: Box<dyn Fn(&Look) -> u64 + Send + Sync>,
    /// What the list of zones holds; nothing where it cannot be read.
    pub(crate) zones: Mutex<Option<Vec<&'static str>>>,
    /// Whether it answers probes.
    pub(crate) alive: AtomicBool,
    /// Whether attempts end only when they are told to.
    pub(crate) hangs: AtomicBool,
    pub(crate) places: usize,
    /// How many attempts the other source takes at once.
    pub(crate) elsewhere: usize,
    /// Who was attempted, in order.
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) probes: AtomicUsize,
}

type Answer = dyn Fn(&Check, &Look) -> Verdict + Send + Sync;

impl Oracle {
    pub(crate) fn new(answer: impl Fn(&Check, &Look) -> Verdict + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            evidence: Box::new(|_| 1),
            zones: Mutex::new(None),
            alive: AtomicBool::new(true),
            hangs: AtomicBool::new(false),
            places: 8,
            elsewhere: 8,
            seen: Mutex::new(Vec::new()),
            probes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn confirms() -> Self {
        Self::new(|_, _| Verdict::Confirmed)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Queries for Oracle {
    async fn learn(
        &self,
        _: SourceName,
        _: CancellationToken,
    ) -> Result<allswell::domain::dependency::SourceRelations, Reason> {
        unreachable!("nothing is learnt without settings for it")
    }

    fn protections(&self, _: &SourceName) -> Vec<Protection> {
        Vec::new()
    }

    fn remark(&self, _: &SourceName) -> Option<String> {
        None
    }

    fn place(&self, _: &SourceName) -> Option<String> {
        None
    }

    fn instant_form(&self, _: &SourceName) -> InstantForm {
        InstantForm::default()
    }

    fn identity(&self, _: &SourceName) -> Option<String> {
        None
    }

    fn places(&self, source: &SourceName) -> Option<usize> {
        Some(if source.as_str() == "other" { self.elsewhere } else { self.places })
    }

    async fn attempt(
        &self,
        check: Arc<Check>,
        look: Look,
        _: Progress,
        stop: CancellationToken,
    ) -> Attempted {
        self.seen.lock().unwrap().push(check.id.to_string());
        if self.hangs.load(Ordering::SeqCst) {
            stop.cancelled().await;
        }
        let verdict = (self.answer)(&check, &look);
        let judgement = Judgement { verdict, evidence: Some((self.evidence)(&look)) };
        Attempted {
            judgement,
            took: Duration::from_millis(1),
            blamed: None,
            differences: Vec::new(),
        }
    }

    async fn list(&self, _: Arc<Check>, _: ZonesFrom, _: CancellationToken) -> Listed {
        let Some(zones) = self.zones.lock().unwrap().clone() else {
            let reason = Reason::new(Cause::Connect, "no list here");
            let attempted = Attempted::unconfirmed(reason, Duration::ZERO);
            return Listed { zones: Vec::new(), whole: false, attempted };
        };
        let judgement = Judgement { verdict: Verdict::Confirmed, evidence: Some(1) };
        Listed {
            zones: zones.into_iter().map(|zone| ZoneName::parse(zone).unwrap()).collect(),
            whole: true,
            attempted: Attempted {
                judgement,
                took: Duration::ZERO,
                blamed: None,
                differences: Vec::new(),
            },
        }
    }

    async fn probe(&self, _: SourceName, _: CancellationToken) -> Result<(), Reason> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        match self.alive.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(Reason::new(Cause::Connect, "nobody is there")),
        }
    }
}

/// Whoever is told keeps it in mind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(pub(crate) Arc<Mutex<Vec<String>>>, pub(crate) Arc<Mutex<Outside>>);

/// What Alertmanagers hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    /// Before anything was sent.
    pub(crate) looks: Vec<Arc<FirstLook>>,
    /// What another ledger keeps up.
    pub(crate) others: BTreeSet<Fingerprint>,
}

impl Notices for Told {
    fn changed(&mut self, check: &Check, series: &SeriesRecord, notice: Notice) {
        let tz = series.tz.as_deref().unwrap_or("");
        self.0.lock().unwrap().push(format!("{} {tz} {notice:?}", check.id));
    }

    fn acknowledged(&self) -> Vec<Receipts> {
        Vec::new()
    }

    fn first_looks(&self) -> Vec<Arc<FirstLook>> {
        self.1.lock().unwrap().looks.clone()
    }

    fn kept_by_another(&self) -> Arc<BTreeSet<Fingerprint>> {
        Arc::new(self.1.lock().unwrap().others.clone())
    }

    fn patience(&self) -> TimeDelta {
        TimeDelta::minutes(4)
    }

    fn own(&self) -> Option<Arc<Vec<SelfAlert>>> {
        None
    }

    fn unsettled(&self) -> Option<DateTime<Utc>> {
        None
    }
}

pub(crate) fn reading() -> Arc<Reading> {
    reading_by(Zones::bundled())
}

/// What catalogues are read with, by these rules of zones.
pub(crate) fn reading_by(zones: Zones) -> Arc<Reading> {
    Arc::new(Reading {
        shared: Arc::default(),
        rollout: Rollout { weaker: Wait::Accept, other: Wait::Accept },
        tested: None,
        tests: Vec::new(),
        engines: ["db", "other"]
            .map(|name| (SourceName::parse(name).unwrap(), Dialect::Sqlite))
            .into(),
        without_instants: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        relations: None,
        drill_every: None,
        zones: Arc::new(zones),
    })
}

pub(crate) fn store_settings(path: &Path, replica: &str) -> StoreSettings {
    StoreSettings {
        dsn: allswell::dsn::Dsn::Sqlite(path.to_owned()),
        password: None,
        lease: Duration::from_secs(30),
        retention: Duration::from_secs(400 * 86_400),
        samples_for: Duration::from_secs(14 * 86_400),
        replica: replica.to_owned(),
    }
}

/// An engine over a ledger in a file, with a clock that is moved by hand.
pub(crate) async fn engine(
    path: &Path,
    hand: &Hand,
    oracle: Oracle,
    yaml: &str,
) -> Engine<Oracle, Told> {
    engine_of(path, hand, &Arc::new(oracle), &Told::default(), yaml).await
}

/// The same, with an oracle and a listener that are looked at later.
pub(crate) async fn engine_of(
    path: &Path,
    hand: &Hand,
    oracle: &Arc<Oracle>,
    told: &Told,
    yaml: &str,
) -> Engine<Oracle, Told> {
    let store = Store::open(store_settings(path, "hand")).await.unwrap();
    let queries = Arc::clone(oracle);
    let mut engine =
        Engine::new(store, queries, told.clone(), reading(), hand.clock(), pictures(hand));
    engine.resume().await.unwrap();
    load(&mut engine, oracle, yaml).await;
    engine
}

pub(crate) async fn load(engine: &mut Engine<Oracle, Told>, queries: &Arc<Oracle>, yaml: &str) {
    try_load(engine, queries, yaml).await.unwrap();
}

pub(crate) async fn try_load(
    engine: &mut Engine<Oracle, Told>,
    queries: &Arc<Oracle>,
    yaml: &str,
) -> Result<Loaded, NotLoaded> {
    let texts = vec![Text { file: "checks.yaml".into(), text: yaml.to_owned() }];
    let queries = Arc::clone(queries);
    let removals = Removals::AsDeclared;
    engine.load(Load { texts, reading: reading(), queries, removals, by: "test".into() }).await
}

/// Where an engine shows itself, and nobody looks.
pub(crate) fn pictures(hand: &Hand) -> tokio::sync::watch::Sender<Arc<Snapshot>> {
    tokio::sync::watch::channel(Arc::new(Snapshot::empty(hand.now()))).0
}

/// Lets the engine do everything that there is to do by now, and what it moved apart a little later.
pub(crate) async fn work_off(engine: &mut Engine<Oracle, Told>, hand: &Hand) {
    for later in [0, 31] {
        hand.set(hand.now() + TimeDelta::seconds(later));
        for round in 0.. {
            assert!(round < 10_000, "it never comes to rest");
            assert!(engine.transact().await);
            engine.settle().await;
            if engine.is_idle() {
                break;
            }
        }
    }
}

/// Watches until an instant, jumping from due to due.
pub(crate) async fn watch_until(
    engine: &mut Engine<Oracle, Told>,
    hand: &Hand,
    end: DateTime<Utc>,
) {
    work_off(engine, hand).await;
    while let Some(next) = engine.next_due().filter(|next| *next <= end) {
        hand.set(next.max(hand.now()));
        work_off(engine, hand).await;
    }
    hand.set(end);
}
