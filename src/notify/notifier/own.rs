//! The alerts about the daemon itself: those that stand, those that another replica left, and how long they last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::alertmanager::Health;
use crate::domain::alerting::alert::{Alert, Fingerprint, Labels, cut};
use crate::domain::alerting::outbox::{AlertId, AlertState, ENDS_KEPT};
use crate::engine::snapshot::Snapshot;
use crate::ledger::SelfAlert;
use crate::notify::deliveries::UNHEARD;
use crate::notify::notifier::words::sign;
use crate::notify::notifier::{
    ABOUT, CUT_MAX, INHERITED_MAX, Notifier, OWN_LASTS, Own, UNWRITTEN_LASTS, WHY_MAX,
};
use crate::notify::self_alerts::{Symptom, is_well, next_step, symptoms};

/// What tells alerts of the daemon apart: whose checks wait may change while one stands.
fn bare(labels: &Labels) -> Labels {
    let all = labels.all().iter().filter(|(name, _)| *name != "owners");
    Labels::new(all.map(|(name, value)| (name.clone(), value.clone())))
}

impl Notifier {
    /// Takes over what a process before this one, or a replica that is gone, said about itself.
    pub(super) fn inherit(&mut self, picture: &Snapshot) {
        let Some(written) = &picture.own else { return };
        let all: BTreeMap<AlertId, &SelfAlert> =
            written.iter().map(|own| (own.id(), own)).collect();
        // A replica that is seen again speaks for itself.
        let (has_others, replica) = (self.has_others, &self.replica);
        let is_ours = |own: &Own| !has_others || own.alert.replica == *replica;
        self.own.retain(|id, own| is_ours(own) || all.contains_key(id));
        for (id, alert) in all {
            let since = Instant::now();
            let inherited = || Own { alert: alert.clone(), inherited: true, since };
            let own = self.own.entry(id).or_insert_with(inherited);
            if own.alert.ended_at.is_none() && !is_ours(own) {
                own.alert = alert.clone();
            }
        }
    }

    /// Says whether it is about another replica.
    pub(super) fn is_foreign(&self, alert: &SelfAlert) -> bool {
        self.has_others && alert.replica != self.replica
    }

    /// Says whether another replica that says something about itself is gone. One that lives repeats it.
    pub(super) fn is_gone(&self, own: &Own, now: DateTime<Utc>) -> bool {
        let Some(since) = own.alert.silent_since else { return true };
        let name = own.alert.labels.fingerprint();
        let repeated = |health: &watch::Receiver<Health>| health.borrow().repeated.clone();
        let all: Vec<_> = self.paths.alertmanagers.iter().filter_map(repeated).collect();
        // What was said before this process knew of it says nothing of it.
        let is_silent = |(asked_at, repeated): &(Instant, Arc<BTreeSet<Fingerprint>>)| {
            *asked_at > own.since && !repeated.contains(&name)
        };
        !all.is_empty() && all.iter().all(is_silent) || now > since + CUT_MAX
    }

    /// Says what stands about this replica now, and since when; what does not any more ended.
    pub(super) fn stand(&mut self, picture: &Snapshot, now: DateTime<Utc>) {
        let mut standing: BTreeMap<Labels, AlertId> = BTreeMap::new();
        for (id, own) in self.own.iter().filter(|(_, own)| own.alert.ended_at.is_none()) {
            standing.insert(bare(&own.alert.labels), *id);
        }
        for Symptom { name, severity, summary, why, about, since } in
            symptoms(picture, &self.paths, now)
        {
            let ours = [("alertname", name.to_owned()), ("severity", severity.to_owned())];
            let replica = self.has_others.then(|| ("replica", self.replica.clone()));
            let labels = self.labels(ours.into_iter().chain(about).chain(replica));
            let why = cut(why.trim(), WHY_MAX);
            let known = standing.remove(&bare(&labels));
            // It is the same alert, with any waiter meanwhile.
            let kept = known.and_then(|id| Some(self.own.get(&id)?.alert.labels.clone()));
            let labels = kept.unwrap_or(labels);
            if known.is_none() {
                tracing::error!("{name}: {summary}: {why}");
            }
            // As exact as it is stored: what is read again is what was written.
            let starts_at = known.map_or(since.unwrap_or(now), |(_, starts_at)| starts_at);
            let starts_at = starts_at.trunc_subsecs(6);
            let at = starts_at.format("%Y-%m-%dT%H:%M:%SZ");
            let next = next_step(name);
            let text =
                format!("{why}\nSince {at}. {next} Section `{name}` of docs/oncall.md has more.");
            let annotations =
                BTreeMap::from([("summary".to_owned(), summary), ("description".to_owned(), text)]);
            let (replica, ended_at, silent_since) = (self.replica.clone(), None, None);
            let alert =
                SelfAlert { labels, annotations, replica, starts_at, ended_at, silent_since };
            let since = Instant::now();
            self.own.insert(alert.id(), Own { alert, inherited: false, since });
        }
        // What this process did not say itself it does not take back before it knows better.
        let patient = self.began.elapsed() < INHERITED_MAX;
        for (labels, id) in standing {
            let Some(own) = self.own.get(&id) else { continue };
            let is_over = if self.is_foreign(&own.alert) {
                self.is_gone(own, now + picture.skew)
            } else {
                // Whether an alert reaches anybody is not known while an Alertmanager does not say.
                let waits = own.inherited && patient || labels.get("alertname") == UNHEARD;
                !waits || is_well(&labels, picture, &self.paths)
            };
            let Some(own) = self.own.get_mut(&id).filter(|_| is_over) else { continue };
            own.alert.ended_at = Some(now.trunc_subsecs(6));
            let about = labels.all().iter().filter(|(name, _)| ABOUT.contains(&name.as_str()));
            let about = about.map(|(_, value)| format!(" {value}")).collect::<String>();
            tracing::info!("{}{about} is over", labels.get("alertname"));
        }
        self.own.retain(|_, own| own.alert.ended_at.is_none_or(|at| now < at + ENDS_KEPT));
        if picture.own.is_some() {
            let own = self.own.values().map(|own| &own.alert);
            // What is about another replica is written by that one, while it stands.
            let ours = own.filter(|own| own.ended_at.is_some() || !self.is_foreign(own));
            let all: Vec<SelfAlert> = ours.cloned().collect();
            self.written.send_if_modified(|written| {
                let same = written.as_deref() == Some(&all);
                *written = Some(Arc::new(all));
                !same
            });
        }
    }

    /// An alert about this replica. One that is not written down lapses soon: a process that comes after this one
    /// would not know that it has to end it.
    pub(super) fn ours(&self, own: &SelfAlert, picture: &Snapshot) -> AlertState {
        let link = self.links.daemon(&own.labels);
        let mut annotations = own.annotations.clone();
        let manual = self.links.manual(own.labels.get("alertname"));
        annotations.extend(manual.map(|link| ("runbook_url".to_owned(), link)));
        if own.ended_at.is_some() {
            let summary = format!("{}: over", own.labels.get("alertname"));
            annotations.insert("summary".to_owned(), summary);
        }
        sign(&mut annotations, picture);
        let (labels, starts_at) = (own.labels.clone(), own.starts_at);
        let alert = Arc::new(Alert { labels, annotations, starts_at, link });
        let is_written = picture.own.iter().flat_map(|all| all.iter()).any(|o| o.id() == own.id());
        let lasts = Some(if is_written { self.own_lasts() } else { UNWRITTEN_LASTS });
        AlertState {
            alert,
            ended_at: own.ended_at,
            lasts,
            ours: true,
            heard: false,
            is_quiet: false,
            proof: None,
            acknowledged: None,
        }
    }

    pub(super) fn own_lasts(&self) -> TimeDelta {
        OWN_LASTS.max(self.rhythm.resend * 4)
    }
}
