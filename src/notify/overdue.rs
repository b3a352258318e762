//! Drills that are overdue: receivers that no one has heard for long, failures that no one has tried.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::drill::Failure;
use crate::domain::sql::Engine;
use crate::domain::time::duration;
use crate::engine::snapshot::Snapshot;
use crate::ledger::DrillKind;
use crate::notify::alert_path::{OVERDUE, Paths};
use crate::notify::self_alerts::Symptom;

/// What is overdue, where that is to be told.
pub(crate) fn symptom(picture: &Snapshot, paths: &Paths, now: DateTime<Utc>) -> Option<Symptom> {
    let every = picture.drill_every?;
    let from = now - TimeDelta::from_std(every).ok()?;
    picture.generation.as_ref()?;
    let proved = |kind: DrillKind, name: &str| {
        let mut drilled = picture.drilled.iter().filter(|one| one.kind == kind && one.name == name);
        drilled.any(|one| one.proved_at.is_some_and(|at| at >= from))
    };
    let receivers = paths.receivers(picture);
    let unrung: Vec<&str> = receivers
        .iter()
        .map(String::as_str)
        .filter(|name| !proved(DrillKind::Ring, name))
        .collect();
    let undrilled: Vec<&str> = Failure::ALL
        .iter()
        .filter(|failure| applies(**failure, picture, paths))
        .map(|failure| failure.as_str())
        .filter(|name| !proved(DrillKind::Fault, name))
        .collect();
    let mut words = Vec::new();
    if !unrung.is_empty() {
        words.push(format!("receivers that were not heard: {}", unrung.join(", ")));
    }
    if !undrilled.is_empty() {
        words.push(format!("failures that were not drilled: {}", undrilled.join(", ")));
    }
    let why = words.join("; ");
    let count = unrung.len() + undrilled.len();
    let summary = match count {
        0 => return None,
        1 => format!("1 drill is overdue: not done for {}", duration::show(every)),
        count => format!("{count} drills are overdue: not done for {}", duration::show(every)),
    };
    Some(Symptom { severity: "info", ..Symptom::critical(OVERDUE, summary, why) })
}

/// Says whether a failure can happen here: a file has no network, and one Alertmanager no other.
fn applies(failure: Failure, picture: &Snapshot, paths: &Paths) -> bool {
    match failure {
        Failure::Reset | Failure::Slow | Failure::WrongPassword => {
            let known = &picture.dependencies.graph.sources;
            let is_file =
                |name| known.get(name).is_some_and(|source| source.engine == Engine::Sqlite);
            !picture.sources.keys().all(is_file)
        }
        Failure::AlertmanagerAway => paths.alertmanagers.len() > 1,
        Failure::Violated
        | Failure::NoData
        | Failure::Refuse
        | Failure::Stall
        | Failure::Frozen
        | Failure::ClockBack => true,
    }
}
