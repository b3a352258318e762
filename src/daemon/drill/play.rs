//! One failure, played: an engine of its own with its own ledger and a clock that is moved by hand, until its alarms came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::{self, Clock};
use crate::daemon::drill::Faults;
use crate::daemon::drill::expected::{Alarm, Expected, SLACK, alarm, far, first_due, judged};
use crate::daemon::drill::outcome::Rang;
use crate::daemon::drill::receivers::{Came, Receiver};
use crate::daemon::drill::stage::{Prop, Staged, sources};
use crate::daemon::log::Log;
use crate::daemon::senders::Senders;
use crate::domain::alerting::drill::{DRILL, Failure, SOURCE_DOWN};
use crate::domain::check::Check;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::succession::Removals;
use crate::domain::record::series::Series;
use crate::domain::record::window_state::VerdictKind;
use crate::domain::time::zone::ZoneName;
use crate::dsn::Dsn;
use crate::engine::load::Reading;
use crate::engine::order::Load;
use crate::engine::snapshot::{FRESH, Snapshot};
use crate::engine::watch::Engine;
use crate::ledger::{Store, StoreSettings, lasting_name};
use crate::notify::links::Links;
use crate::settings::{PeerEntry, Settings};
use crate::source::scratch::Folder;
use crate::zones::Zones;

/// How far the clock is moved at least while something is due.
const STEP: TimeDelta = TimeDelta::seconds(15);
/// How long what was sent may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EACH: Duration = Duration::from_millis(20);
/// How often the clock is moved at most.
const MOVES_MAX: usize = 2_000;

/// A clock that is moved by hand, and goes on by itself.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn at(start: DateTime<Utc>) -> Self {
        let ahead = start - clock::now();
        Self(Arc::new(AtomicI64::new(ahead.num_milliseconds())))
    }

    fn now(&self) -> DateTime<Utc> {
        clock::now() + TimeDelta::milliseconds(self.0.load(Ordering::SeqCst))
    }

    fn set(&self, to: DateTime<Utc>) {
        let ahead = to - clock::now();
        self.0.store(ahead.num_milliseconds(), Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::of(move || hand.now())
    }
}

type Played = Engine<Staged, Log>;

/// What is played: the checks of which alarms are wanted, in which zone where that matters, from which moment on.
pub(super) struct Scene<'s> {
    pub(super) failure: Failure,
    pub(super) checks: &'s [Arc<Check>],
    pub(super) zone: Option<String>,
    pub(super) start: DateTime<Utc>,
    pub(super) props: &'s BTreeMap<SourceName, Prop>,
}

/// Plays a failure; says for each check which alarm came.
pub(super) async fn play(
    faults: &Faults<'_>,
    scene: &Scene<'_>,
) -> Result<BTreeMap<CheckId, Rang>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let folder = Folder::make().map_err(|error| error.message)?;
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    // However this ends, what it opened ends with it.
    let _ends = stop.clone().drop_guard();
    let hand = Hand::at(scene.start);
    let one = Receiver::open(hand.clock(), &mut tasks).await.map_err(|e| text(&e))?;
    let other = Receiver::open(hand.clock(), &mut tasks).await.map_err(|e| text(&e))?;
    let clock = hand.clock();
    let settings = settings(faults.settings, [&one, &other]);
    let senders = Senders::open(&settings, &clock)?;
    let path = folder.path().to_owned();
    let asked = sources(scene.props, scene.failure, &path, &stop, &mut tasks).await;
    let asked = asked.map_err(|e| text(&e))?;
    let queries = Arc::new(Staged::new(asked, Arc::clone(&faults.zones), scene.checks));
    let store = StoreSettings {
        dsn: Dsn::Sqlite(path.join("ledger.db")),
        password: None,
        lease: Duration::from_secs(30),
        retention: Duration::from_secs(400 * 86_400),
        samples_for: Duration::from_secs(86_400),
        replica: format!("drill-{}", std::process::id()),
    };
    let replica = lasting_name(&store.replica).to_owned();
    let store = Store::open(store).await.map_err(|e| text(&e))?;
    let (shown, pictures) = watch::channel(Arc::new(Snapshot::empty(clock.now())));
    let (written, own) = watch::channel(None);
    let log = Log {
        alertmanagers: senders.paths.alertmanagers.clone(),
        webhooks: Vec::new(),
        another: senders.paths.another.clone(),
        patience: TimeDelta::zero(),
        own,
    };
    let reading = Arc::new(reading(faults, &settings));
    let mut engine: Played =
        Engine::new(store, Arc::clone(&queries), log, Arc::clone(&reading), clock, shown);
    let (_labels, labels) = watch::channel(settings.notices.labels.clone());
    let own = (replica, written);
    tasks.spawn(senders.run(pictures.clone(), labels, Links::new(None, false), own, stop.clone()));
    engine.resume().await.map_err(|e| text(&e))?;
    let texts = faults.texts.clone();
    let (removals, by) = (Removals::Accepted, "drill".to_owned());
    let load = Load { texts, reading, queries, removals, by };
    engine.load(load).await.map_err(|e| text(&e))?;
    engine.show_now();
    let zones = Arc::clone(&faults.zones);
    let mut played = Stage { engine, hand, pictures, receivers: [one, other], zones, scene };
    let rang = played.run().await;
    drop(tasks);
    Ok(rang)
}

/// What is open while a failure is played.
struct Stage<'s> {
    engine: Played,
    hand: Hand,
    pictures: watch::Receiver<Arc<Snapshot>>,
    receivers: [Receiver; 2],
    zones: Arc<Zones>,
    scene: &'s Scene<'s>,
}

impl Stage<'_> {
    async fn run(&mut self) -> BTreeMap<CheckId, Rang> {
        let (expected, mut rang) = self.expected();
        match self.scene.failure {
            Failure::Frozen => return self.freeze(&expected, rang).await,
            Failure::ClockBack => return self.set_back(&expected, rang).await,
            Failure::AlertmanagerAway => self.receivers[0].close(),
            Failure::Violated
            | Failure::NoData
            | Failure::Refuse
            | Failure::Stall
            | Failure::Reset
            | Failure::Slow
            | Failure::WrongPassword => {}
        }
        let mut step = STEP;
        for _ in 0..MOVES_MAX {
            self.work().await;
            let now = self.hand.now();
            let came = self.came();
            for (id, expected) in &expected {
                if rang.contains_key(id) {
                    continue;
                }
                let check = self.scene.checks.iter().find(|check| check.id == *id);
                let alarm = check.and_then(|check| alarm(self.scene.failure, check, &came));
                // One that is not critical may be followed by one that is.
                let waits =
                    alarm.as_ref().is_some_and(|a| !a.is_critical) && now <= expected.ends();
                if let Some(alarm) = alarm.filter(|_| !waits) {
                    rang.insert(id.clone(), judged(alarm, expected));
                } else if now > expected.ends() {
                    rang.insert(id.clone(), Rang::Silent { why: self.why(id) });
                }
            }
            let open: Vec<&Expected> = expected
                .iter()
                .filter(|(id, _)| !rang.contains_key(*id))
                .map(|(_, expected)| expected)
                .collect();
            if open.is_empty() {
                break;
            }
            let moments = open.iter().flat_map(|e| {
                [e.due, e.deadline + TimeDelta::seconds(1), e.ends() + TimeDelta::seconds(1)]
            });
            // No look of a check is jumped over that has not rung.
            let unrung = self.scene.checks.iter().filter(|check| !rang.contains_key(&check.id));
            let dues = unrung.flat_map(|check| self.series_of(check));
            let dues = dues.filter_map(|series| Some(series.next_due_batch(now)?.0));
            let next = moments.chain(dues).filter(|at| *at > now).min();
            let is_due = open.iter().any(|e| e.due <= now);
            let small = is_due.then(|| now + step);
            step = step * 2;
            if next.is_some_and(|next| small.is_none_or(|small| next <= small)) {
                step = STEP;
            }
            match [next, small].into_iter().flatten().min() {
                Some(to) => self.hand.set(to),
                None => break,
            }
        }
        for id in expected.keys() {
            rang.entry(id.clone()).or_insert_with(|| Rang::Silent { why: self.why(id) });
        }
        rang
    }

    /// Lets the engine do everything that there is to do by now, and what it says arrive.
    async fn work(&mut self) {
        for _ in 0..50 {
            if !self.engine.transact().await {
                break;
            }
            self.engine.settle().await;
            self.engine.house_keeping().await;
            if self.engine.is_idle() {
                break;
            }
        }
        self.engine.house_keeping().await;
        self.engine.show_now();
        let began = Instant::now();
        while began.elapsed() < ARRIVES_WITHIN && !self.is_told() {
            sleep(LOOK_EACH).await;
            // What was acknowledged is written down.
            self.engine.house_keeping().await;
            self.engine.show_now();
        }
    }

    /// Says whether everything that stands has arrived.
    fn is_told(&self) -> bool {
        let came = self.came();
        let picture = self.pictures.borrow().clone();
        let standing = picture.alerts.iter().filter(|row| row.ended_at.is_none());
        let rows = standing.map(|row| row.labels.all());
        let down = picture.sources.iter().filter(|(_, source)| !source.breaker.is_closed());
        let mut down = down.filter(|(_, source)| {
            matches!(source.breaker, crate::domain::time::breaker::Breaker::Open { .. })
        });
        let is_down = |name: &SourceName| {
            came.keys().any(|labels| {
                labels.get("alertname").is_some_and(|alert| alert == SOURCE_DOWN)
                    && labels.get("source").is_some_and(|source| source == name.as_str())
            })
        };
        rows.into_iter().all(|labels| came.contains_key(labels))
            && down.all(|(name, _)| is_down(name))
    }

    /// What came at those that are open.
    fn came(&self) -> Came {
        let [one, other] = &self.receivers;
        if self.scene.failure == Failure::AlertmanagerAway {
            return other.came();
        }
        one.came().into_iter().chain(other.came()).collect()
    }

    /// When each check is due, and by when its alarm has to come; what will never be due is silent.
    fn expected(&self) -> (BTreeMap<CheckId, Expected>, BTreeMap<CheckId, Rang>) {
        let start = self.hand.now();
        let (mut expected, mut silent) = (BTreeMap::new(), BTreeMap::new());
        for check in self.scene.checks {
            let series = self.series_of(check);
            let first = series.iter().filter_map(|series| first_due(series, start));
            let until = series.iter().filter_map(|series| series.paused_until(start)).min();
            let why = match until {
                Some(until) => Some(format!("it is paused until {}", until.format("%Y-%m-%d"))),
                None => far(&series, start),
            };
            match (first.min_by_key(|expected| expected.deadline), why) {
                (Some(first), None) => drop(expected.insert(check.id.clone(), first)),
                (_, why) => {
                    let why = why.unwrap_or_else(|| "it is never due".to_owned());
                    silent.insert(check.id.clone(), Rang::Silent { why });
                }
            }
        }
        (expected, silent)
    }

    /// The series of a check in the zone that matters; where a list names the zones, the rows of the drill do.
    fn series_of(&self, check: &Arc<Check>) -> Vec<Series> {
        let rules = |name: &ZoneName| self.zones.rules(name);
        let zone = self.scene.zone.as_deref();
        let all = Series::of(check, &rules).or_else(|| {
            let listed = zone.and_then(|zone| ZoneName::parse(zone).ok());
            Some(vec![Series::in_zone(check, &listed.unwrap_or_else(ZoneName::utc), &rules)?])
        });
        let is_wanted = |series: &Series| {
            zone.is_none_or(|zone| series.tz().is_none_or(|tz| tz.as_str() == zone))
        };
        all.unwrap_or_default().into_iter().filter(is_wanted).collect()
    }

    /// Why no alarm came of a check.
    fn why(&self, id: &CheckId) -> String {
        let check = self.scene.checks.iter().find(|check| check.id == *id);
        let picture = self.pictures.borrow();
        let mut theirs = picture.series.iter().filter(|series| series.check.id == *id);
        let is_confirmed = theirs.any(|series| {
            series.record.last.as_ref().is_some_and(|last| last.said == VerdictKind::Confirmed)
        });
        match check.map(|check| check.alert.after.get()) {
            Some(after) if after > 1 => {
                format!("its alert begins after {after} bad windows in a row")
            }
            Some(_) | None if is_confirmed => "it is confirmed all the same".to_owned(),
            Some(_) | None => "no alarm came".to_owned(),
        }
    }

    /// The engine stands still: the alarm is about the daemon, and for all checks.
    async fn freeze(
        &mut self,
        expected: &BTreeMap<CheckId, Expected>,
        rang: BTreeMap<CheckId, Rang>,
    ) -> BTreeMap<CheckId, Rang> {
        self.work().await;
        let since = self.hand.now();
        self.until_daemon("AllswellStuck", since, expected, rang, FRESH * 3).await
    }

    /// The host's clock is set back, after something was recorded.
    async fn set_back(
        &mut self,
        expected: &BTreeMap<CheckId, Expected>,
        rang: BTreeMap<CheckId, Rang>,
    ) -> BTreeMap<CheckId, Rang> {
        if let Some(first) = expected.values().map(|expected| expected.due).min() {
            self.hand.set(first + TimeDelta::seconds(1));
        }
        self.work().await;
        self.hand.set(self.hand.now() - TimeDelta::days(1));
        let since = self.hand.now();
        self.work().await;
        self.until_daemon("AllswellClockWrong", since, expected, rang, ARRIVES_WITHIN * 3).await
    }

    /// Waits for an alert about the daemon itself.
    async fn until_daemon(
        &self,
        name: &str,
        since: DateTime<Utc>,
        expected: &BTreeMap<CheckId, Expected>,
        mut rang: BTreeMap<CheckId, Rang>,
        within: Duration,
    ) -> BTreeMap<CheckId, Rang> {
        let began = Instant::now();
        let is_it = |labels: &BTreeMap<String, String>| {
            labels.get("alertname").is_some_and(|alert| alert == name)
        };
        let rings = loop {
            if self.came().keys().any(is_it) {
                break true;
            }
            if began.elapsed() > within {
                break false;
            }
            sleep(LOOK_EACH).await;
        };
        let took = TimeDelta::from_std(began.elapsed()).unwrap_or_default();
        for (id, expected) in expected {
            let by = (expected.deadline - expected.due).max(SLACK);
            let outcome = if rings {
                let expected = Expected { due: since, deadline: since + by };
                let alarm = Alarm { name: name.to_owned(), at: since + took, is_critical: true };
                judged(alarm, &expected)
            } else {
                Rang::Silent { why: "no alarm came".to_owned() }
            };
            rang.insert(id.clone(), outcome);
        }
        rang
    }
}

/// The settings of a drill: receivers of our own, and a label on all that goes out.
fn settings(real: &Settings, receivers: [&Receiver; 2]) -> Settings {
    let mut settings = real.clone();
    let notices = &mut settings.notices;
    notices.webhooks.clear();
    notices.heartbeat = None;
    notices.watchdog = None;
    let peer = |(receiver, name): (&Receiver, &str)| PeerEntry::plain(name, &receiver.url);
    notices.alertmanagers = receivers.into_iter().zip(["a", "b"]).map(peer).collect();
    notices.labels.insert(DRILL.to_owned(), "faults".to_owned());
    settings
}

fn reading(faults: &Faults<'_>, settings: &Settings) -> Reading {
    Reading {
        rollout: settings.rollout,
        shared: Arc::default(),
        tested: None,
        tests: Vec::new(),
        engines: settings.engines(),
        without_instants: settings.without_instants(),
        labels: settings.notices.labels.clone(),
        relations: None,
        drill_every: None,
        zones: Arc::clone(&faults.zones),
    }
}
