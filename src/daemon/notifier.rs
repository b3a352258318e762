//! What is to be told outside: the alerts that the record says stand, and those about the daemon itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::wrong::{Wrong, wrong};
use crate::domain::alert::{Alert, Known, Labels, annotations, cut};
use crate::domain::outbox::Wanted;
use crate::domain::standing::{Alarm, Lease};
use crate::engine::alert_path::Paths;
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::{AlertRow, SeriesRecord};
use crate::web::watchdog::Nonces;

/// How often we look though nothing changed: the engine may be stuck.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// How long an alert about the daemon stands at least where nobody tells it again: the one who knew is gone.
const OWN_LASTS: TimeDelta = TimeDelta::minutes(5);
/// The longest reason that an alert about the daemon gives, in bytes.
const WHY_MAX: usize = 1_000;

/// A receiver, and where it hears what is wanted: an Alertmanager's name, where it is one.
pub(super) type Told = (Option<String>, watch::Sender<Arc<Vec<Wanted>>>);
/// An alert about a series: of which, whether it is violated, and since when.
type Key = (i64, bool, DateTime<Utc>);

/// Whoever says what is to be told.
pub(super) struct Notifier {
    pub(super) pictures: watch::Receiver<Arc<Snapshot>>,
    pub(super) paths: Paths,
    pub(super) clock: Clock,
    /// The installation's labels, as they are now.
    pub(super) labels: watch::Receiver<BTreeMap<String, String>>,
    pub(super) public_url: Option<String>,
    /// Who is told everything.
    pub(super) receivers: Vec<Told>,
    /// How the ways are proved.
    pub(super) nonces: Option<Nonces>,
    pub(super) every: Duration,
    /// How long alerts about the daemon stand where nobody tells them again.
    own_lasts: TimeDelta,
    /// Whether other replicas may tell the same.
    has_others: bool,
    /// Alerts as they were told last, and from which record, while there is one.
    known: BTreeMap<Key, (Option<Arc<SeriesRecord>>, Arc<Alert>)>,
    /// Since when something is wrong with the daemon, by what it is called.
    since: BTreeMap<Labels, DateTime<Utc>>,
}

impl Notifier {
    pub(super) fn new(
        pictures: watch::Receiver<Arc<Snapshot>>,
        paths: Paths,
        clock: Clock,
        labels: watch::Receiver<BTreeMap<String, String>>,
        public_url: Option<String>,
        receivers: Vec<Told>,
        proofs: Option<(Nonces, Duration)>,
    ) -> Self {
        let every = proofs.as_ref().map_or(Duration::from_secs(60), |(_, every)| *every);
        let nonces = proofs.map(|(nonces, _)| nonces);
        let (known, since) = (BTreeMap::new(), BTreeMap::new());
        let own_lasts = OWN_LASTS;
        Self {
            pictures,
            paths,
            clock,
            labels,
            public_url,
            receivers,
            nonces,
            every,
            own_lasts,
            has_others: false,
            known,
            since,
        }
    }

    /// Has alerts about the daemon stand for as long as some of these go by, where nobody tells them again.
    pub(super) fn told_each(mut self, resend: TimeDelta) -> Self {
        self.own_lasts = OWN_LASTS.max(resend * 4);
        self
    }

    /// Lets alerts about the daemon lapse, where other replicas may tell the same ones.
    pub(super) fn beside_others(mut self, has_others: bool) -> Self {
        self.has_others = has_others;
        self
    }

    /// Says what is to be told, whenever that changes, until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut proof_at = Instant::now();
        let mut sent_at = self.clock.now();
        loop {
            let stopping = stop.is_cancelled();
            let now = self.clock.now();
            if Instant::now() >= proof_at {
                proof_at = Instant::now() + self.every;
                sent_at = now;
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
        let all = self.wanted(now);
        for (name, receiver) in &self.receivers {
            let mut all = all.clone();
            all.extend(name.as_ref().and_then(|name| self.proof(name, sent_at)));
            receiver.send_if_modified(|told| {
                let same = **told == all;
                *told = Arc::new(all);
                !same
            });
        }
    }

    /// Everything that stands, or ended a while ago.
    fn wanted(&mut self, now: DateTime<Utc>) -> Vec<Wanted> {
        let picture = self.pictures.borrow_and_update().clone();
        let rows = Arc::clone(&picture.alerts);
        let mut known = BTreeMap::new();
        let mut all = Vec::new();
        for row in rows.iter() {
            let key = (row.series, row.alarm == Alarm::Violated, row.starts_at);
            let series = picture.series.binary_search_by_key(&row.series, |s| s.record.id);
            let series = series.ok().map(|place| &picture.series[place]);
            let before = self.known.remove(&key).filter(|(_, alert)| alert.labels == row.labels);
            let alert = match (series, before) {
                (Some(series), Some((record, alert)))
                    if row.ended_at.is_some()
                        || record.as_ref().is_some_and(|r| Arc::ptr_eq(r, &series.record)) =>
                {
                    alert
                }
                (Some(series), _) => Arc::new(self.alert(row, series)),
                (None, Some((_, alert))) => alert,
                (None, None) => Arc::new(bare(row)),
            };
            // Of a check that is gone what was last said of it stays.
            let record = series.map(|series| Arc::clone(&series.record));
            known.insert(key, (record, Arc::clone(&alert)));
            let alert = match row.ended_at {
                Some(at) => Arc::new(over(&alert, at)),
                None => alert,
            };
            let (ended_at, told_at) = (row.ended_at, row.told_at);
            all.push(Wanted { alert, ended_at, lasts: None, told_at, lapses: false });
        }
        self.known = known;
        let wrong = wrong(&picture, &self.paths, now);
        all.extend(self.stand(wrong, now));
        all
    }

    fn alert(&self, row: &AlertRow, series: &SeriesHealth) -> Alert {
        let record = &series.record;
        let (open, newest) = match row.alarm {
            Alarm::Violated => (record.open_violated, &record.newest_violated),
            Alarm::Unconfirmed => (record.open_unconfirmed, &record.newest_unconfirmed),
        };
        let known = Known {
            since: row.starts_at,
            open,
            newest,
            last: record.last.as_ref().and_then(|last| last.note.as_deref()),
            confirmed_until: match record.lease {
                Lease::Never => None,
                Lease::Until(until) => Some(until),
            },
        };
        let told = annotations(&series.check, record.tz.as_deref(), row.alarm, &known);
        let link = self
            .public_url
            .as_ref()
            .map(|url| format!("{url}/api/v1/checks/{}/windows?open=true", series.check.id));
        Alert { labels: row.labels.clone(), annotations: told, starts_at: row.starts_at, link }
    }

    fn stand(&mut self, wrong: Vec<Wrong>, now: DateTime<Utc>) -> Vec<Wanted> {
        let before = std::mem::take(&mut self.since);
        let mut all = Vec::new();
        for Wrong { name, severity, summary, why, about, since } in wrong {
            let ours = [("alertname", name.to_owned()), ("severity", severity.to_owned())];
            let labels = self.labels(ours.into_iter().chain(about));
            let starts_at = since.or_else(|| before.get(&labels).copied()).unwrap_or(now);
            self.since.insert(labels.clone(), starts_at);
            if !before.contains_key(&labels) {
                tracing::error!("{name}: {summary}: {}", cut(why.trim(), WHY_MAX));
            }
            let annotations = BTreeMap::from([
                ("summary".to_owned(), summary),
                ("description".to_owned(), cut(why.trim(), WHY_MAX)),
            ]);
            let link = self.public_url.as_ref().map(|url| format!("{url}/api/v1/status"));
            let alert = Arc::new(Alert { labels, annotations, starts_at, link });
            all.push(self.ours(alert));
        }
        for labels in before.keys().filter(|labels| !self.since.contains_key(labels)) {
            tracing::info!("{} is over", labels.get("alertname"));
        }
        all
    }

    fn labels(&self, ours: impl Iterator<Item = (&'static str, String)>) -> Labels {
        let more = self.labels.borrow().clone();
        Labels::new(more.into_iter().chain(ours.map(|(name, value)| (name.to_owned(), value))))
    }

    /// What goes to an Alertmanager and is to come back.
    fn proof(&self, alertmanager: &str, sent_at: DateTime<Utc>) -> Option<Wanted> {
        let nonces = self.nonces.as_ref()?;
        let ours = [
            ("alertname", crate::web::watchdog::ALERTNAME.to_owned()),
            ("alertmanager", alertmanager.to_owned()),
            ("severity", "none".to_owned()),
        ];
        let labels = self.labels(ours.into_iter());
        let annotations = BTreeMap::from([
            ("summary".to_owned(), "allswell proves that alerts get through".to_owned()),
            (
                "description".to_owned(),
                "This alert always stands. Route it back to allswell, and to nobody else."
                    .to_owned(),
            ),
            ("nonce".to_owned(), nonces.make(alertmanager, sent_at)),
        ]);
        let alert =
            Arc::new(Alert { labels, annotations, starts_at: self.paths.since, link: None });
        Some(self.ours(alert))
    }

    /// An alert about the daemon. Of several replicas each tells its own, and none that another's is over.
    fn ours(&self, alert: Arc<Alert>) -> Wanted {
        let lasts = Some(self.own_lasts);
        Wanted { alert, ended_at: None, lasts, told_at: None, lapses: self.has_others }
    }
}

/// An alert that ended: what it said while it stood would be read as if it stood still.
fn over(alert: &Alert, at: DateTime<Utc>) -> Alert {
    let (check, tz) = (alert.labels.get("check"), alert.labels.get("tz"));
    let tz = if tz.is_empty() { String::new() } else { format!(" ({tz})") };
    let mut annotations = alert.annotations.clone();
    annotations.remove("windows_open");
    annotations
        .insert("summary".to_owned(), format!("{check}{tz}: over, nothing is open any more"));
    let text = format!(
        "It ended at {}, and this alert ends within a minute or so: what was open was proved, waived, or removed. \
         `allswell history {check}` says which.",
        at.format("%Y-%m-%dT%H:%M:%SZ")
    );
    annotations.insert("description".to_owned(), text);
    Alert { annotations, ..alert.clone() }
}

/// An alert of which nothing more is known: its check is gone.
fn bare(row: &AlertRow) -> Alert {
    let summary = format!("{} {}", row.labels.get("alertname"), row.labels.get("check"));
    let annotations = BTreeMap::from([("summary".to_owned(), summary)]);
    Alert { labels: row.labels.clone(), annotations, starts_at: row.starts_at, link: None }
}
