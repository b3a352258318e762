//! What is to be told outside: the alerts that the record says stand, and those about the daemon itself.

mod own;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::board::{Board, QuietBoard};
use crate::clock::Clock;
use crate::domain::alerting::alert::{Alert, Fingerprint, Known, Labels, annotations};
use crate::domain::alerting::outbox::{AlertId, AlertState, Rhythm};
use crate::domain::alerting::routing::Route;
use crate::domain::alerting::seen::{SEQUENCE, WATCHDOG};
use crate::domain::check::plain::in_one_line;
use crate::domain::record::standing::{Alarm, Standing};
use crate::domain::time::duration::delta;
use crate::engine::snapshot::{LedgerHealth, SeriesHealth, Snapshot};
use crate::ledger::{AlertRow, SelfAlert, SeriesRecord};
use crate::notify::alert_path::{Paths, too_slow};
use crate::notify::another::Lookout;
use crate::notify::deliveries::makes_silences;
use crate::notify::links::Links;
use crate::notify::nonces::Nonces;
use crate::notify::notifier::words::{Zones, bare, found, over, sign};

/// How often we look though nothing changed: the engine may be stuck.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How long an alert about the daemon stands at least without being sent again: the process that knew is gone.
const OWN_LASTS: TimeDelta = TimeDelta::minutes(5);
/// The same for one that is not written down: it is told again every 15 seconds.
const UNWRITTEN_LASTS: TimeDelta = TimeDelta::seconds(60);
/// How long what a process before this one said is kept up, while this one does not know better.
const INHERITED_MAX: Duration = Duration::from_secs(300);
/// How long a replica that is seen no more may live all the same, cut off from the record, where no Alertmanager says
/// whether it goes on telling what it says about itself.
const CUT_MAX: TimeDelta = TimeDelta::hours(1);
/// The labels that say what an alert about the daemon is about.
const ABOUT: [&str; 4] = ["source", "alertmanager", "webhook", "replica"];
/// The longest reason that an alert about the daemon gives, in bytes.
const WHY_MAX: usize = 1_000;

/// A receiver: what the record calls it, whether it is an Alertmanager, and where it is handed what is wanted.
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) alertmanager: Option<String>,
    pub(crate) board: watch::Sender<Arc<Board>>,
}

/// An alert about a series: of which, whether it is violated, and since when.
type Key = (i64, bool, DateTime<Utc>);

/// An alert as it was told last, and from what.
pub(crate) struct Prior {
    record: Option<Arc<SeriesRecord>>,
    /// As its end was told first: what is said later of its series changes nothing of that.
    over: Option<Arc<Alert>>,
    zones: (usize, usize),
    alert: Arc<Alert>,
}

/// An alert of this replica about itself.
pub(crate) struct Own {
    alert: SelfAlert,
    /// Whether a process before this one, or another replica, said it, and this one has not.
    inherited: bool,
    /// Since when this process knows of it.
    since: Instant,
}

/// Whether an Alertmanager waits too long, by its routes and the catalogue that it was held against.
pub(crate) struct Slow {
    routes: Arc<Route>,
    catalogue: (i64, usize),
    why: Option<String>,
}

/// What decides what is to be told.
pub(crate) struct Notifier {
    pub(crate) pictures: watch::Receiver<Arc<Snapshot>>,
    pub(crate) paths: Paths,
    pub(crate) clock: Clock,
    /// The installation's labels, as they are now.
    pub(crate) labels: watch::Receiver<BTreeMap<String, String>>,
    pub(crate) links: Links,
    /// Every receiver is told everything.
    pub(crate) receivers: Vec<Receiver>,
    /// How the ways are proved.
    pub(crate) nonces: Option<Nonces>,
    pub(crate) every: Duration,
    pub(crate) rhythm: Rhythm,
    /// What this replica is called, as long as it has the same address.
    pub(crate) replica: String,
    /// Whether other replicas write the same record: then alerts of this one about itself name it.
    pub(crate) has_others: bool,
    /// The alerts of this replica about itself, as they are to be written down.
    pub(crate) written: watch::Sender<Option<Arc<Vec<SelfAlert>>>>,
    /// Alerts as they were told last, and from which record, while there is one.
    pub(crate) known: BTreeMap<Key, Prior>,
    /// The alerts of this replica about itself: those that stand, and those that ended a while ago.
    pub(crate) own: BTreeMap<AlertId, Own>,
    pub(crate) slow: BTreeMap<String, Slow>,
    /// Which wait longer than `hold`, by name, and why that matters.
    pub(crate) slow_ones: watch::Sender<Arc<BTreeMap<String, String>>>,
    /// Whether another ledger tells alerts under our labels.
    pub(crate) lookout: Lookout,
    /// What the watchdog's alert said last of how far the ledger is, and when that was made.
    pub(crate) told_sequence: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    pub(crate) began: Instant,
}

impl Notifier {
    /// Says what is to be told, whenever that changes, until it is told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut proof_at = Instant::now();
        let mut sent_at = self.clock.now().trunc_subsecs(3);
        loop {
            let stopping = stop.is_cancelled();
            let now = self.clock.now();
            if Instant::now() >= proof_at {
                // As often as it is sent: what comes back says when that went out.
                let own_resend = self.rhythm.own_resend().to_std().unwrap_or(self.every);
                proof_at = Instant::now() + self.every.min(own_resend);
                sent_at = now.trunc_subsecs(3);
            }
            self.say(now, sent_at);
            if stopping {
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                changed = self.pictures.changed() => if changed.is_err() { break },
                () = sleep_until(proof_at.min(Instant::now() + LOOK_EACH)) => {}
            }
        }
    }

    fn say(&mut self, now: DateTime<Utc>, sent_at: DateTime<Utc>) {
        let picture = self.pictures.borrow_and_update().clone();
        for health in &self.paths.alertmanagers {
            self.lookout.look(&health.borrow(), &picture);
        }
        let another = self.lookout.show();
        let makes_silences = makes_silences(&self.paths);
        // A copy of the ledger under other labels is another installation.
        let labels = Labels::new(BTreeMap::clone(&picture.labels)).fingerprint();
        let origin: Arc<str> = match picture.ledger_id.as_ref() {
            "" => Arc::from(""),
            id => Arc::from(format!("{id}.{labels}")),
        };
        if self.told_sequence.is_none_or(|(at, _)| at != sent_at) {
            self.told_sequence = Some((sent_at, picture.sequence));
        }
        let all = self.wanted(&picture, now);
        self.look_for_slow(&picture);
        let every = delta(self.every);
        let adopted = picture.alerts.iter().filter(|row| row.adopted.is_some());
        let adopted: BTreeSet<Fingerprint> = adopted.map(|row| row.labels.fingerprint()).collect();
        for receiver in &self.receivers {
            let mut alerts = all.clone();
            for wanted in &mut alerts {
                let labels = &wanted.alert.labels;
                let id = (labels.fingerprint(), wanted.alert.starts_at);
                wanted.acknowledged = picture.notified.get(&(receiver.name.clone(), id)).cloned();
            }
            // What was adopted, and another ledger turns out to keep up, is left to that one.
            alerts.retain(|wanted| {
                let name = wanted.alert.labels.fingerprint();
                !(another.alerts.contains(&name) && adopted.contains(&name))
            });
            // What another replica says about itself is ended for it, and sent by no other replica before.
            alerts.retain(|wanted| {
                let known = wanted.acknowledged.as_ref().is_some_and(|a| a.begun_at.is_some());
                let is_foreign = self.has_others
                    && wanted.lasts.is_some()
                    && wanted.alert.labels.get("replica") != self.replica;
                !is_foreign || wanted.ended_at.is_some() && known
            });
            let name = receiver.alertmanager.as_ref();
            alerts.extend(name.and_then(|name| self.proof(name, sent_at, &picture)));
            let returned = picture.proofs.iter().find(|p| Some(&p.returned.alertmanager) == name);
            let proved = returned.map_or(self.began, |proof| proof.seen_at.max(self.began));
            let is_unproved = self.nonces.is_some() && proved.elapsed() > self.every * 3;
            let board = Board {
                alerts,
                is_cut: matches!(picture.ledger, LedgerHealth::Down { .. }),
                has_others: picture.alerts_read_at.is_some(),
                is_unproved,
                kept_by_another: Arc::clone(&another.alerts),
                proofs: self.nonces.is_some().then_some(every),
                quiet: QuietBoard {
                    all: Arc::clone(&picture.quiets),
                    ledger: Arc::clone(&origin),
                    labels: Arc::clone(&picture.labels),
                    makes_silences: name.is_some_and(|n| makes_silences.get(n) == Some(&true)),
                },
                skew: picture.skew,
                read_at: picture.alerts_read_at,
                proof: returned.map(|proof| (proof.returned.sent_at, every)),
            };
            receiver.board.send_if_modified(|told| {
                let same = told.alerts == board.alerts
                    && told.quiet == board.quiet
                    && (told.skew - board.skew).abs() < TimeDelta::seconds(1)
                    && (told.proof, told.is_unproved) == (board.proof, board.is_unproved);
                *told = Arc::new(board);
                !same
            });
        }
    }

    /// Everything that stands, or ended a while ago.
    fn wanted(&mut self, picture: &Snapshot, now: DateTime<Utc>) -> Vec<AlertState> {
        let rows = Arc::clone(&picture.alerts);
        let holding = picture.quiets.iter().filter(|quiet| quiet.holds(now + picture.skew));
        let zones = Zones::count(picture);
        let quiet: BTreeSet<&str> = holding.map(|quiet| quiet.check.as_str()).collect();
        let mut known = BTreeMap::new();
        let mut all = Vec::new();
        for row in rows.iter() {
            let key = (row.series, row.alarm == Alarm::Violated, row.starts_at);
            let series = picture.series.binary_search_by_key(&row.series, |s| s.record.id);
            let series = series.ok().map(|place| &picture.series[place]);
            let before = self.known.remove(&key).filter(|told| told.alert.labels == row.labels);
            let zones = zones.of(row);
            // Where the series is calm already, the end is about to be written: nothing else is told until then.
            let is_calm = series.is_some_and(|series| {
                let standings = series.record.standings;
                let standing = match row.alarm {
                    Alarm::Violated => standings.violated,
                    Alarm::Unconfirmed => standings.unconfirmed,
                };
                standing == Standing::Calm
            });
            let closed = series.and_then(|series| series.record.closed.as_deref());
            let before_over = before.as_ref().and_then(|prior| prior.over.clone());
            let was_told = before.is_some();
            let adopted = row.adopted.as_ref().filter(|_| is_calm || series.is_none());
            let known_alert = match (series, before) {
                (Some(series), Some(told))
                    if row.ended_at.is_some()
                        || is_calm
                        || told.zones == zones
                            && told
                                .record
                                .as_ref()
                                .is_some_and(|r| Arc::ptr_eq(r, &series.record)) =>
                {
                    told.alert
                }
                (Some(series), _) => Arc::new(self.alert(row, series, zones, picture)),
                (None, Some(told)) => told.alert,
                (None, None) => Arc::new(bare(row, picture)),
            };
            let alert = match adopted {
                Some(adopted) => Arc::new(found(row, adopted, picture)),
                None => known_alert,
            };
            // Of a check that is gone what was last said of it stays.
            let record = series.map(|series| Arc::clone(&series.record));
            let over = row.ended_at.map(|at| {
                before_over.unwrap_or_else(|| Arc::new(over(&alert, at, (closed, was_told))))
            });
            let prior = Prior { record, zones, alert: Arc::clone(&alert), over: over.clone() };
            known.insert(key, prior);
            let alert = over.unwrap_or(alert);
            all.push(AlertState {
                alert,
                ended_at: row.ended_at,
                lasts: None,
                ours: !picture.has_others || picture.recorded_here.contains(&row.id()),
                heard: row.told_at.is_some(),
                is_quiet: quiet.contains(row.labels.get("check")),
                proof: None,
                acknowledged: None,
            });
        }
        self.known = known;
        self.inherit(picture);
        self.stand(picture, now);
        let own = self.own.values().map(|own| self.ours(&own.alert, picture));
        all.extend(own);
        all
    }

    fn alert(
        &self,
        row: &AlertRow,
        series: &SeriesHealth,
        zones: (usize, usize),
        picture: &Snapshot,
    ) -> Alert {
        let record = &series.record;
        let (open, newest) = match row.alarm {
            Alarm::Violated => (record.open_violated, &record.newest_violated),
            Alarm::Unconfirmed => (record.open_unconfirmed, &record.newest_unconfirmed),
        };
        let last = record.last.as_ref().and_then(|last| last.note.as_deref()).map(in_one_line);
        let manual = self.links.manual(row.alarm.alertname());
        let known = Known {
            since: row.starts_at,
            open,
            newest,
            last: last.as_deref(),
            confirmed_at: record.confirmed_at,
            zones,
            fails: record.fired_cause.is_some(),
            manual: manual.as_deref(),
            place: picture.sources.get(&series.check.source).and_then(|s| s.place.as_deref()),
        };
        let mut told = annotations(&series.check, record.tz.as_deref(), row.alarm, &known);
        sign(&mut told, picture);
        let link = self.links.check(&series.check.id);
        Alert { labels: row.labels.clone(), annotations: told, starts_at: row.starts_at, link }
    }

    /// Which Alertmanagers wait longer than `hold`, and why that matters; looked at anew where their routes or the
    /// catalogue changed.
    fn look_for_slow(&mut self, picture: &Snapshot) {
        let generation = picture.generation.as_ref().map_or(0, |generation| generation.id);
        let catalogue = (generation, picture.series.len());
        for health in &self.paths.alertmanagers {
            let (name, routes) = {
                let health = health.borrow();
                (health.name.clone(), health.routes.clone())
            };
            let Some(routes) = routes else {
                self.slow.remove(&name);
                continue;
            };
            let same =
                |known: &Slow| Arc::ptr_eq(&known.routes, &routes) && known.catalogue == catalogue;
            if !self.slow.get(&name).is_some_and(same) {
                let why = too_slow(&routes, picture, self.rhythm.hold);
                self.slow.insert(name, Slow { routes, catalogue, why });
            }
        }
        let why = |(name, slow): (&String, &Slow)| Some((name.clone(), slow.why.clone()?));
        let all: BTreeMap<String, String> = self.slow.iter().filter_map(why).collect();
        self.slow_ones.send_if_modified(|told| {
            let news = **told != all;
            for (name, why) in all.iter().filter(|(name, why)| told.get(*name) != Some(why)) {
                tracing::warn!("Alertmanager {name}: {why}");
            }
            if news {
                *told = Arc::new(all);
            }
            news
        });
    }

    fn labels(&self, ours: impl Iterator<Item = (&'static str, String)>) -> Labels {
        let more = self.labels.borrow().clone();
        Labels::new(more.into_iter().chain(ours.map(|(name, value)| (name.to_owned(), value))))
    }

    /// What goes to an Alertmanager and is to come back.
    fn proof(
        &self,
        alertmanager: &str,
        sent_at: DateTime<Utc>,
        picture: &Snapshot,
    ) -> Option<AlertState> {
        let nonces = self.nonces.as_ref()?;
        let ours = [
            ("alertname", WATCHDOG.to_owned()),
            ("alertmanager", alertmanager.to_owned()),
            ("severity", "none".to_owned()),
        ];
        let labels = self.labels(ours.into_iter());
        let mut annotations = BTreeMap::from([
            ("summary".to_owned(), "allswell proves that alerts get through".to_owned()),
            (
                "description".to_owned(),
                "This alert always stands. Route it back to allswell, and to no other receiver."
                    .to_owned(),
            ),
            ("nonce".to_owned(), nonces.make(alertmanager, sent_at)),
        ]);
        if let Some((_, Some(sequence))) = self.told_sequence {
            annotations.insert(SEQUENCE.to_owned(), sequence.timestamp_micros().to_string());
        }
        sign(&mut annotations, picture);
        let starts_at = self.paths.since;
        let alert = Arc::new(Alert { labels, annotations, starts_at, link: None });
        let lasts = Some(self.own_lasts());
        let (ours, heard) = (true, false);
        let proof = Some(sent_at);
        let (ended_at, is_quiet, acknowledged) = (None, false, None);
        Some(AlertState { alert, ended_at, lasts, ours, heard, is_quiet, proof, acknowledged })
    }
}
