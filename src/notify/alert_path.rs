//! The ways out: whether those who are to be told can be, and when that was proved last; and whether
//! the heartbeat is earned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::alertmanager;
use crate::domain::alerting::alert::{About, labels};
use crate::domain::alerting::routing::Route;
use crate::domain::check::Severity;
use crate::domain::check::reason::Cause;
use crate::domain::record::standing::Alarm;
use crate::domain::time::duration::delta;
use crate::engine::snapshot::{LastLoad, LedgerHealth, Proof, SeriesHealth, Snapshot};
use crate::heartbeat;
use crate::notify::another::Another;
use crate::notify::deliveries::{Deliveries, UNHEARD};
use crate::notify::reached::Reached;
use crate::webhook;

/// How long an Alertmanager may be out of reach before that is told, where nothing proves the way.
pub const REACHED_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// The alerts about the daemon itself, and how severe each is, but for those about an Alertmanager: that one is not
/// told of itself.
pub(crate) const OWN: [(&str, &str); 15] = [
    (UNHEARD, "critical"),
    ("AllswellSourceDown", "critical"),
    ("AllswellSourceMoved", "warning"),
    ("AllswellLedgerDown", "critical"),
    ("AllswellLedgerNew", "critical"),
    ("AllswellLedgerWentBack", "critical"),
    ("AllswellInstallationShared", "critical"),
    ("AllswellStuck", "critical"),
    ("AllswellIdle", "critical"),
    ("AllswellCatalogueRefused", "warning"),
    ("AllswellCatalogueWaits", "warning"),
    ("AllswellClockWrong", "critical"),
    ("AllswellWebhookBroken", "critical"),
    ("AllswellHeartbeatFails", "warning"),
    (OVERDUE, "info"),
];
/// The alerts about an Alertmanager, which the others carry.
pub(crate) const OF_OTHERS: [(&str, &str); 2] =
    [("AllswellAlertPathBroken", "critical"), ("AllswellAlertRefused", "critical")];
/// The alert about drills that are overdue.
pub(crate) const OVERDUE: &str = "AllswellDrillOverdue";
/// How late what is due may be written down.
const LAG_MAX: TimeDelta = TimeDelta::seconds(90);

/// Everybody who is told.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The Alertmanagers.
    pub alertmanagers: Vec<watch::Receiver<alertmanager::Health>>,
    /// The receivers of webhooks.
    pub webhooks: Vec<watch::Receiver<webhook::Health>>,
    /// How old the newest proof of a way may be, where ways are proved.
    pub proved_within: Option<Duration>,
    /// The receivers that critical alerts reach.
    pub reached: Reached,
    /// The heartbeat, where there is one.
    pub heartbeat: Option<watch::Receiver<heartbeat::Health>>,
    /// Since when anybody is told.
    pub since: DateTime<Utc>,
    /// The same by the monotonic clock.
    pub began: Instant,
    /// Which Alertmanagers wait longer before they notify than alerts are held, and why that matters.
    pub slow: watch::Receiver<Arc<BTreeMap<String, String>>>,
    /// What another ledger keeps up under the labels of this installation.
    pub another: watch::Receiver<Another>,
}

/// The way to one Alertmanager.
#[derive(Debug, Clone)]
pub struct Path {
    /// How it does.
    pub health: alertmanager::Health,
    /// When the newest proof that came back was sent, and when it came.
    pub proof: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Since when the way is broken, and why; nothing where it is not.
    pub broken: Option<(DateTime<Utc>, String)>,
    /// Why some alerts are told late or never, where that is so.
    pub slow: Option<String>,
}

/// Why an alert may be told late or never by an Alertmanager with these routes: what begins and ends between two
/// notifications of a group is never notified.
pub fn too_slow(routes: &Route, picture: &Snapshot, hold: TimeDelta) -> Option<String> {
    let mut longest = TimeDelta::zero();
    let mut look = |labels: &BTreeMap<String, String>| {
        let waits = routes.waits(labels);
        let waits = waits.iter().map(|waits| waits.group_interval.max(waits.group_wait));
        longest = longest.max(waits.max().unwrap_or_default());
    };
    for (name, severity) in OWN {
        let mut labels = BTreeMap::clone(&picture.labels);
        labels.extend([("alertname".into(), name.into()), ("severity".into(), severity.into())]);
        look(&labels);
    }
    for series in &picture.series {
        let kinds = [
            (Alarm::Violated, None),
            (Alarm::Unconfirmed, None),
            (Alarm::Unconfirmed, Some(Cause::Auth)),
        ];
        for (alarm, cause) in kinds {
            let tz = series.record.tz.as_deref();
            let about =
                About { alarm, severity: series.record.severity(&series.check, alarm), cause };
            look(labels(&series.check, tz, &about, &picture.labels).all());
        }
    }
    (longest >= hold && longest > TimeDelta::zero()).then(|| {
        let (longest, hold) = (longest.num_seconds(), hold.num_seconds());
        format!(
            "a route that takes alerts of allswell waits {longest} s (`group_wait`, `group_interval`), and `hold` is \
             {hold} s: an alert that ends before that is never notified, and a second one of a group that \
             late. Put the route first that `allswell alertmanager-config` prints, or make `hold` longer"
        )
    })
}

impl Paths {
    /// The receivers that tell a person, and that a critical alert is routed to.
    pub(crate) fn receivers(&self, picture: &Snapshot) -> Arc<BTreeSet<String>> {
        let healths: Vec<_> = self.alertmanagers.iter().map(|h| h.borrow().clone()).collect();
        let own: Vec<(&str, &str)> = OWN.into_iter().chain(OF_OTHERS).collect();
        self.reached.receivers(picture, &healths, &own)
    }

    /// How the ways are by now.
    pub fn at(&self, picture: &Snapshot, now: DateTime<Utc>) -> Vec<Path> {
        let path = |health: &watch::Receiver<alertmanager::Health>| {
            let health = health.borrow().clone();
            let proof = picture.proofs.iter().find(|p| p.returned.alertmanager == health.name);
            let broken = self.broken(&health, proof, picture, now);
            let times = proof.map(|p| (p.returned.sent_at, p.returned.received_at));
            let slow = self.slow.borrow().get(&health.name).cloned();
            Path { health, proof: times, broken, slow }
        };
        self.alertmanagers.iter().map(path).collect()
    }

    fn broken(
        &self,
        health: &alertmanager::Health,
        proof: Option<&Proof>,
        picture: &Snapshot,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, String)> {
        let why = |otherwise: &str| {
            let failing = health.failing_since.is_some();
            health.why.clone().filter(|_| failing).unwrap_or_else(|| otherwise.to_owned())
        };
        if let Some(within) = self.proved_within {
            // How long no proof came back, by the monotonic clock: a step of the host's clock breaks
            // no way. A new daemon has that long for its first proof.
            let age = |proof: &Proof| {
                let took = proof.returned.received_at - proof.returned.sent_at;
                proof.seen_at.elapsed() + took.to_std().unwrap_or_default().min(within)
            };
            let lived = self.began.elapsed();
            let mut unproved = proof.map_or(lived, |proof| age(proof).min(lived));
            // Proofs come back by way of the ledger: one that is away says nothing of the alert path.
            if health.failing_since.is_none() {
                unproved = match picture.ledger {
                    LedgerHealth::Up => unproved.min(picture.ledger_since.elapsed()),
                    LedgerHealth::Down { .. } => Duration::ZERO,
                };
            }
            let late = unproved.checked_sub(within)?;
            let otherwise = "what goes out does not come back: look at its route and receiver, \
                             and whether both have the same token \
                             (`allswell alertmanager-config`)";
            return Some((now - delta(late), why(otherwise)));
        }
        let since = health.failing_since?;
        (since + REACHED_WITHIN <= now).then(|| (since, why("it is not reached")))
    }

    /// Something critical that stands, where no one but who waits for the heartbeat hears of it.
    fn unheard(&self, picture: &Snapshot) -> Option<String> {
        if !(self.alertmanagers.is_empty() && self.webhooks.is_empty()) {
            let (_, first) = Deliveries::read(self).unheard(self, picture)?;
            return Some(format!("notices reach nobody: {first}"));
        }
        let is_bad =
            |series: &&Arc<SeriesHealth>| series.is_critical() && series.record.open_violated > 0;
        picture.series.iter().find(is_bad).map(|series| {
            format!("{} is violated, and no Alertmanager or webhook is set", series.check.id)
        })
    }

    /// Says whether the heartbeat is earned: due windows are written down, the ledger can be written, and
    /// notices get through.
    ///
    /// # Errors
    /// Why not, for who is woken by it.
    pub fn earned(&self, picture: &Snapshot) -> Result<(), String> {
        if let Some(why) = picture.unready() {
            return Err(format!("not ready: {why}"));
        }
        if let Some(why) = picture.clock_is_wrong() {
            return Err(why);
        }
        if let LastLoad::Bad { why, .. } = &picture.last_load {
            let first = why.lines().next().unwrap_or_default();
            return Err(format!("the last catalogue was not taken: {first}"));
        }
        let now = picture.now();
        if let Some(unheard) = self.unheard(picture) {
            return Err(unheard);
        }
        if picture.series.is_empty() {
            return Err("no check is watched".into());
        }
        let late = picture.series.iter().find(|series| {
            series.check.severity == Severity::Critical
                && !series.is_over()
                && series.next_due.is_some_and(|due| due + LAG_MAX < now)
        });
        if let Some(late) = late {
            return Err(format!("{} is due and not written down", late.check.id));
        }
        let broken: Vec<String> = self
            .at(picture, now)
            .into_iter()
            .filter_map(|path| Some(format!("{}: {}", path.health.name, path.broken?.1)))
            .collect();
        let ways = self.alertmanagers.iter().map(|health| health.borrow().clone());
        let refusing = ways.filter(|health| health.standing.2 > 0);
        let refusing = refusing.map(|health| format!("{} refuses an alert", health.name));
        let deaf = self.webhooks.iter().filter_map(|health| {
            let health = health.borrow();
            let (_, why) = health.broken(now)?;
            Some(format!("webhook {}: {why}", health.name))
        });
        let broken: Vec<String> = broken.into_iter().chain(refusing).chain(deaf).collect();
        if broken.is_empty() { Ok(()) } else { Err(format!("notices: {}", broken.join("; "))) }
    }
}
