//! The ways out: whether those who are to be told can be, and when that was proved last; and whether
//! the heartbeat is earned.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::alertmanager;
use crate::domain::agenda::delta;
use crate::domain::check::Severity;
use crate::engine::snapshot::Snapshot;
use crate::heartbeat;
use crate::webhook;

/// How long an Alertmanager may be out of reach before that is told, where nothing proves the way.
pub const REACHED_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// How far in the future a proof may lie: clocks are never quite the same.
const FUTURE_MAX: TimeDelta = TimeDelta::seconds(60);
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
    /// The heartbeat, where there is one.
    pub heartbeat: Option<watch::Receiver<heartbeat::Health>>,
    /// Since when anybody is told.
    pub since: DateTime<Utc>,
}

/// The way to one Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// How it does.
    pub health: alertmanager::Health,
    /// When the newest proof that came back was sent, and when it came.
    pub proof: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Since when the way is broken, and why; nothing where it is not.
    pub broken: Option<(DateTime<Utc>, String)>,
}

impl Paths {
    /// How the ways are by now.
    pub fn at(&self, picture: &Snapshot, now: DateTime<Utc>) -> Vec<Path> {
        let path = |health: &watch::Receiver<alertmanager::Health>| {
            let health = health.borrow().clone();
            let returned = picture.returned.iter().find(|r| r.alertmanager == health.name);
            let proof = returned.map(|returned| (returned.sent_at, returned.received_at));
            let broken = self.broken(&health, proof.map(|(sent_at, _)| sent_at), now);
            Path { health, proof, broken }
        };
        self.alertmanagers.iter().map(path).collect()
    }

    fn broken(
        &self,
        health: &alertmanager::Health,
        proved_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<(DateTime<Utc>, String)> {
        let why = |otherwise: &str| {
            let failing = health.failing_since.is_some();
            health.why.clone().filter(|_| failing).unwrap_or_else(|| otherwise.to_owned())
        };
        if let Some(within) = self.proved_within.map(delta) {
            // What lies in the future was noted before the clock was set back, and proves nothing now.
            let is_past = |at: &DateTime<Utc>| *at <= now + FUTURE_MAX;
            // A new daemon has that long for its first proof.
            let since = [Some(self.since), proved_at].into_iter().flatten().filter(is_past).max();
            let late = since.map_or(now, |since| since + within);
            return (late <= now).then(|| {
                let otherwise = "what goes out does not come back: look at its route and receiver, \
                                 and whether both have the same token \
                                 (`allswell alertmanager-config`)";
                (late, why(otherwise))
            });
        }
        let since = health.failing_since?;
        (since + REACHED_WITHIN <= now).then(|| (since, why("it is not reached")))
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
        let now = picture.now();
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
