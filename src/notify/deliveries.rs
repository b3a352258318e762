//! What became of the alerts that stand: whom each Alertmanager tells of them, and what holds it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alertmanager::Health;
use crate::domain::alerting::alert::{Fingerprint, Labels};
use crate::domain::alerting::delivery::Delivery;
use crate::domain::alerting::quiet::Silence;
use crate::engine::snapshot::Snapshot;
use crate::ledger::AlertRow;
use crate::notify::alert_path::Paths;

/// The alert that says that others reach no one: what becomes of itself is not asked.
pub(crate) const UNHEARD: &str = "AllswellAlertUnheard";
/// How many alerts that reach no one are named.
const NAMED: usize = 3;

/// What one Alertmanager did with one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The Alertmanager.
    pub alertmanager: String,
    /// What it did.
    pub delivery: Delivery,
    /// The receivers that its routes name.
    pub receivers: Vec<String>,
    /// The silences that hold it back, those that are known.
    pub silences: Vec<Silence>,
}

/// What the Alertmanagers did with alerts, as each said last.
#[derive(Debug, Default)]
pub struct Deliveries(BTreeMap<Fingerprint, Vec<Delivered>>);

impl Deliveries {
    /// Takes together what all of them said.
    pub fn read(paths: &Paths) -> Self {
        let mut all: BTreeMap<Fingerprint, Vec<Delivered>> = BTreeMap::new();
        for health in &paths.alertmanagers {
            let health = health.borrow();
            for (name, delivered) in of(&health) {
                all.entry(name).or_default().push(delivered);
            }
        }
        Self(all)
    }

    /// What became of one alert, in each Alertmanager that holds it.
    pub fn get(&self, labels: &Labels) -> &[Delivered] {
        self.0.get(&labels.fingerprint()).map_or(&[], Vec::as_slice)
    }

    /// How many of the alerts that stand one Alertmanager handles in each way.
    pub fn counts(&self, alertmanager: &str, picture: &Snapshot) -> [(Delivery, usize); 6] {
        let standing = picture.alerts.iter().filter(|row| row.ended_at.is_none());
        let all = standing.flat_map(|row| self.get(&row.labels));
        let theirs: Vec<Delivery> =
            all.filter(|d| d.alertmanager == alertmanager).map(|d| d.delivery).collect();
        Delivery::ALL.map(|kind| (kind, theirs.iter().filter(|d| **d == kind).count()))
    }

    /// Says whether it is known of every critical alert that stands what some Alertmanager did with it.
    pub fn are_whole(&self, paths: &Paths, picture: &Snapshot) -> bool {
        let is_said = paths.alertmanagers.iter().any(|health| health.borrow().seen.is_some());
        is_said && critical(picture).all(|labels| !self.get(labels).is_empty())
    }

    /// Critical alerts that stand and reach no one: how many, and the first of them with their receivers.
    pub fn unheard(&self, paths: &Paths, picture: &Snapshot) -> Option<(usize, String)> {
        // A webhook tells what the Alertmanagers do not.
        if !paths.webhooks.is_empty() {
            return None;
        }
        let mut first = Vec::new();
        let mut count = 0;
        for labels in critical(picture) {
            let delivered = self.get(labels);
            let is_unheard = |d: &Delivered| d.delivery == Delivery::Unheard;
            let reaches_nobody = !delivered.is_empty() && delivered.iter().all(is_unheard);
            if !reaches_nobody {
                continue;
            }
            count += 1;
            if first.len() < NAMED {
                first.push(named(labels, delivered));
            }
        }
        (count > 0).then(|| (count, first.join("; ")))
    }
}

/// The critical alerts that stand, but the one that says that others reach no one.
fn critical(picture: &Snapshot) -> impl Iterator<Item = &Labels> {
    let rows = picture.alerts.iter().filter(|row| row.ended_at.is_none());
    let own = picture.own.iter().flat_map(|own| own.iter());
    let own = own.filter(|own| own.ended_at.is_none()).map(|own| &own.labels);
    let all = rows.map(|row: &AlertRow| &row.labels).chain(own);
    all.filter(|labels| labels.get("severity") == "critical" && labels.get("alertname") != UNHEARD)
}

fn named(labels: &Labels, delivered: &[Delivered]) -> String {
    let names = if labels.get("check").is_empty() { ["source", ""] } else { ["check", "tz"] };
    let about = names.map(|name| labels.get(name));
    let about = about.into_iter().filter(|value| !value.is_empty());
    let about: String = about.map(|value| format!(" {value}")).collect();
    let places = delivered.iter().map(|one| {
        let receivers: Vec<String> = one.receivers.iter().map(|name| format!("`{name}`")).collect();
        format!("{} in {}", receivers.join(", "), one.alertmanager)
    });
    let places: Vec<String> = places.collect();
    format!("{}{about} goes to {}", labels.get("alertname"), places.join(" and "))
}

/// What one Alertmanager did with each alert that it holds.
fn of(health: &Health) -> impl Iterator<Item = (Fingerprint, Delivered)> {
    let seen = health.seen.iter().flat_map(|(_, alerts)| alerts.iter());
    let all = seen.map(|alert| {
        let handling = &alert.handling;
        let known = |id: &String| health.silences.get(id).cloned();
        let delivered = Delivered {
            alertmanager: health.name.clone(),
            delivery: Delivery::of(handling, health.receivers.as_deref()),
            receivers: handling.receivers.clone(),
            silences: handling.silenced_by.iter().filter_map(known).collect(),
        };
        (alert.fingerprint(), delivered)
    });
    all.collect::<Vec<_>>().into_iter()
}

/// Which of several Alertmanagers make silences: of a cluster, the first that answers.
pub(crate) fn makes_silences(paths: &Paths) -> BTreeMap<String, bool> {
    let all: Vec<Health> = paths.alertmanagers.iter().map(|h| h.borrow().clone()).collect();
    let is_first = |place: usize, health: &Health| match &health.cluster {
        None => true,
        Some(_) => {
            let before = all.iter().take(place);
            !before.into_iter().any(|b| b.cluster == health.cluster && b.failing_since.is_none())
        }
    };
    all.iter().enumerate().map(|(place, h)| (h.name.clone(), is_first(place, h))).collect()
}

/// Whether a check that is kept quiet is, in every Alertmanager: a member of a cluster that does not answer is told by
/// another one.
pub fn quiet_in(paths: &Paths, id: i64) -> Vec<(Health, Option<Result<(), String>>)> {
    let all: Vec<Arc<Health>> =
        paths.alertmanagers.iter().map(|health| Arc::new(health.borrow().clone())).collect();
    let settled = |health: &Health| health.quiets.get(&id).cloned();
    let is_excused = |health: &Arc<Health>| {
        let is_sound = |other: &&Arc<Health>| settled(other) == Some(Ok(()));
        let in_cluster = all.iter().filter(|other| other.cluster == health.cluster);
        health.cluster.is_some()
            && health.failing_since.is_some()
            && in_cluster.filter(is_sound).count() > 0
    };
    let places = all.iter().filter(|health| !is_excused(health));
    places.map(|health| (Health::clone(health), settled(health))).collect()
}
