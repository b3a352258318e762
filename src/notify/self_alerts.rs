//! What is wrong with the daemon itself, its sources, and its ways out.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::alert::Labels;
use crate::domain::alerting::drill::owners_label;
use crate::domain::check::Check;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::dependency::answer::Toll;
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{
    FRESH, LastLoad, LedgerHealth, SeriesHealth, Snapshot, SourceHealth,
};
use crate::notify::alert_path::{OVERDUE, Path, Paths};
use crate::notify::deliveries::{Deliveries, UNHEARD};
use crate::notify::{ledgers, overdue};

/// How long the ledger may be away before anybody is woken: a server that is restarted is soon back.
const LEDGER_AWAY: TimeDelta = TimeDelta::seconds(10);
/// How long heartbeats may be lost before that is told.
const HEARTBEAT_LOST: TimeDelta = TimeDelta::seconds(30);
/// How long it is told that a source is another database than it was.
const MOVED_FOR: TimeDelta = TimeDelta::days(1);
/// How far an Alertmanager's clock may be from ours.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(60);

/// Something that is wrong with the daemon.
pub(crate) struct Symptom {
    pub(crate) name: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) summary: String,
    pub(crate) why: String,
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) since: Option<DateTime<Utc>>,
}

impl Symptom {
    pub(crate) fn critical(name: &'static str, summary: impl Into<String>, why: String) -> Self {
        let summary = summary.into();
        Self { name, severity: "critical", summary, why, about: Vec::new(), since: None }
    }

    fn warning(name: &'static str, summary: impl Into<String>, why: String) -> Self {
        Self { severity: "warning", ..Self::critical(name, summary, why) }
    }
}

/// Everything that is wrong by now.
pub(crate) fn symptoms(picture: &Snapshot, paths: &Paths, now: DateTime<Utc>) -> Vec<Symptom> {
    let mut symptoms = inside(picture, now);
    symptoms.extend(ledgers::symptoms(picture, &paths.another.borrow(), now));
    symptoms.extend(overdue::symptom(picture, paths, now));
    if let Some((count, first)) = Deliveries::read(paths).unheard(paths, picture) {
        let summary = match count {
            1 => "a critical alert goes to receivers that send nothing".to_owned(),
            count => format!("{count} critical alerts go to receivers that send nothing"),
        };
        let why = format!("{first}. Those receivers have no integration that tells anybody.");
        symptoms.push(Symptom::critical(UNHEARD, summary, why));
    }
    for path in paths.at(picture, now) {
        let name = path.health.name.clone();
        let about = vec![("alertmanager", name.clone())];
        let apart = path.health.ahead;
        if apart.abs() > CLOCKS_APART {
            let how = if apart > TimeDelta::zero() { "ahead of" } else { "behind" };
            let summary =
                format!("the clock of {name} is {} min {how} ours", apart.abs().num_minutes());
            let why = "alerts begin and end by its clock, and by ours everything is due: set the wrong one right";
            let about = about.clone();
            symptoms.push(Symptom {
                about,
                ..Symptom::warning("AllswellClockWrong", summary, why.to_owned())
            });
        }
        if path.health.standing.2 > 0 {
            let why = path.health.why.clone().unwrap_or_default();
            let summary = format!("{name} refuses an alert: it reaches no receiver there");
            let about = about.clone();
            symptoms
                .push(Symptom { about, ..Symptom::critical("AllswellAlertRefused", summary, why) });
        }
        let Some((since, why)) = path.broken else { continue };
        let summary = format!("alerts do not get through {name}, or nothing proves that they do");
        symptoms.push(Symptom {
            // Where that is now, it is since it was seen first.
            since: Some(since).filter(|since| *since < now),
            about,
            ..Symptom::critical("AllswellAlertPathBroken", summary, why)
        });
    }
    for health in &paths.webhooks {
        let health = health.borrow();
        let Some((since, why)) = health.broken(now) else { continue };
        let summary = format!("notices do not get through the webhook {}", health.name);
        symptoms.push(Symptom {
            since: Some(since),
            about: vec![("webhook", health.name.clone())],
            ..Symptom::critical("AllswellWebhookBroken", summary, why)
        });
    }
    if let Some(heartbeat) = &paths.heartbeat {
        let health = heartbeat.borrow().clone();
        // One that is lost wakes no engineer.
        if let Some(since) = health.failing_since.filter(|since| *since + HEARTBEAT_LOST <= now) {
            symptoms.push(Symptom {
                since: Some(since),
                ..Symptom::warning(
                    "AllswellHeartbeatFails",
                    "the heartbeat does not get through",
                    health.why.unwrap_or_default(),
                )
            });
        }
    }
    symptoms
}

/// Says whether what an alert of an earlier process is about is known to be well by now, or not there any more.
pub(crate) fn is_well(labels: &Labels, picture: &Snapshot, paths: &Paths) -> bool {
    let sees = picture.blind().is_none();
    let way = |well: &dyn Fn(&Path) -> bool| {
        let all = paths.at(picture, picture.now());
        let path = all.iter().find(|path| path.health.name == labels.get("alertmanager"));
        path.is_none_or(well)
    };
    let is_reached = |path: &Path| {
        let told = path.health.reached_at.is_some() && path.health.failing_since.is_none();
        told && (paths.proved_within.is_none()
            || path.proof.is_some_and(|(at, _)| at > paths.since))
    };
    match labels.get("alertname") {
        "AllswellSourceDown" => {
            let mut sources = picture.sources.iter();
            let source = sources.find(|(name, _)| name.as_str() == labels.get("source"));
            source.is_none_or(|(_, s)| matches!(s.breaker, Breaker::Closed { .. }))
        }
        "AllswellSourceMoved" => {
            let mut sources = picture.sources.iter();
            let source = sources.find(|(name, _)| name.as_str() == labels.get("source"));
            source.is_none_or(|(_, source)| {
                source.identity.is_some() && moved_since(source, picture.now()).is_none()
            })
        }
        // Two that send the same alerts are told apart after a while.
        "AllswellInstallationShared" => false,
        UNHEARD => Deliveries::read(paths).are_whole(paths, picture),
        OVERDUE => sees && overdue::symptom(picture, paths, picture.now()).is_none(),
        "AllswellIdle" => sees && picture.idle.is_none(),
        "AllswellCatalogueRefused" => {
            matches!(picture.last_load, LastLoad::Good { .. } | LastLoad::Waits { .. })
        }
        "AllswellCatalogueWaits" => {
            matches!(picture.last_load, LastLoad::Good { .. } | LastLoad::Bad { .. })
        }
        "AllswellClockWrong" | "AllswellAlertRefused" if !labels.get("alertmanager").is_empty() => {
            way(&|path| path.health.reached_at.is_some() && path.health.standing.1 == 0)
        }
        "AllswellAlertPathBroken" => way(&is_reached),
        "AllswellWebhookBroken" => {
            let mut all = paths.webhooks.iter().map(|health| health.borrow().clone());
            let health = all.find(|health| health.name == labels.get("webhook"));
            health.is_none_or(|health| health.accepted > 0)
        }
        "AllswellHeartbeatFails" => {
            let health = paths.heartbeat.as_ref().map(|health| health.borrow().clone());
            health.is_none_or(|health| health.earned_at.is_some())
        }
        // The ledger is down, the engine is stuck, the clock is wrong: each is seen at once.
        _ => sees,
    }
}

/// What a person does first about an alert of the daemon.
pub(crate) fn next_step(name: &str) -> &'static str {
    match name {
        "AllswellSourceDown" => {
            "Look at the database. Checks that wait for it run by themselves once it answers. To look: allswell status."
        }
        "AllswellStuck" => "Keep the log, then start the process anew.",
        "AllswellIdle" | "AllswellCatalogueRefused" => {
            "Run allswell validate beside the files of checks; once they are mended, load them again (SIGHUP)."
        }
        "AllswellCatalogueWaits" => {
            "Look at what changes (allswell plan, or the page), then: allswell approve, or allswell reject."
        }
        "AllswellClockWrong" => "Look at the time service of both machines: chronyc tracking.",
        "AllswellAlertPathBroken" | "AllswellAlertRefused" => {
            "To look: allswell status, and allswell drill --routes."
        }
        UNHEARD => "To look: allswell drill --routes.",
        "AllswellWebhookBroken" | "AllswellHeartbeatFails" => {
            "Look at its address and token in the settings, then at the receiver's own log."
        }
        "AllswellLedgerNew" => "To look: allswell adopt.",
        OVERDUE => {
            "Drill at a quiet hour: allswell drill --ring RECEIVER, and allswell drill --faults."
        }
        _ => "To look: allswell status.",
    }
}

/// The series that ask a source.
fn asking<'p>(
    picture: &'p Snapshot,
    source: &'p SourceName,
) -> impl Iterator<Item = &'p SeriesHealth> {
    let live = picture.series.iter().map(|series| &**series).filter(|series| !series.is_over());
    live.filter(move |series| series.check.sources().contains(&source))
}

/// Whose checks ask a source, as a label.
fn owners(picture: &Snapshot, source: &SourceName) -> String {
    let asking = asking(picture, source).map(|series| series.check.owner.as_str());
    // Those too whose checks ask another source, whose rows are there.
    let toll = picture.dependencies.tolls.get(source);
    let dark = toll.into_iter().flat_map(|toll| &toll.owners).map(|owner| owner.as_str());
    owners_label(&asking.chain(dark).collect())
}

/// What goes dark with a source: also checks that ask another one, whose rows are there.
fn goes_dark(picture: &Snapshot, source: &SourceName) -> String {
    if let Some(toll) = picture.dependencies.tolls.get(source) {
        return dark_words(toll);
    }
    let checks: BTreeMap<&CheckId, &Check> =
        asking(picture, source).map(|series| (&series.check.id, &*series.check)).collect();
    dark_words(&Toll::of(checks.into_values().map(|check| (check.severity, &check.owner))))
}

/// What goes dark, in words.
pub(crate) fn dark_words(toll: &Toll) -> String {
    match toll.checks {
        0 => "nothing is known of its data".to_owned(),
        1 => format!("{} goes dark", toll.words()),
        _ => format!("{} go dark", toll.words()),
    }
}

/// Since when a source is a database that it never was before, for as long as that is told.
fn moved_since(source: &SourceHealth, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    source.moved_at.filter(|at| now < *at + MOVED_FOR)
}

/// What is wrong with the engine, the ledger, the catalogue and the sources.
fn inside(picture: &Snapshot, now: DateTime<Utc>) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    if picture.taken.elapsed() > FRESH {
        symptoms.push(Symptom::critical(
            "AllswellStuck",
            "allswell does not move: nothing is looked at",
            format!(
                "the engine has not answered for {} s",
                picture.taken.elapsed().as_secs() / 10 * 10
            ),
        ));
    }
    if let LedgerHealth::Down { why, since } = &picture.ledger
        && *since + LEDGER_AWAY <= now
    {
        symptoms.push(Symptom {
                since: Some(*since),
                ..Symptom::critical(
                    "AllswellLedgerDown",
                    "allswell cannot write its ledger: nothing is proved, and nothing is called healthy",
                    why.clone(),
                )
            });
    }
    if let LastLoad::Bad { why, .. } = &picture.last_load {
        symptoms.push(Symptom::warning(
            "AllswellCatalogueRefused",
            "changed files of checks were refused: those before them go on running",
            why.clone(),
        ));
    }
    if let LastLoad::Waits { at, id, why } = &picture.last_load {
        symptoms.push(Symptom {
            since: Some(*at),
            ..Symptom::warning(
                "AllswellCatalogueWaits",
                format!("changed checks wait as generation {id} for approval: those before them go on running"),
                why.clone(),
            )
        });
    }
    if let Some(why) = &picture.idle {
        let summary = "allswell does not look at anything";
        symptoms.push(Symptom::critical("AllswellIdle", summary, why.clone()));
    }
    if let Some(why) = picture.clock_is_wrong() {
        let summary = "a clock is wrong: what is due, and when alerts begin and end, is wrong too";
        symptoms.push(Symptom::critical("AllswellClockWrong", summary, why));
    }
    symptoms.extend(of_sources(picture, now));
    symptoms
}

/// What is wrong with the sources.
fn of_sources(picture: &Snapshot, now: DateTime<Utc>) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    for (name, source) in &picture.sources {
        let Some(since) = moved_since(source, now) else { continue };
        symptoms.push(Symptom {
            since: Some(since),
            about: vec![("source", name.to_string())],
            ..Symptom::warning(
                "AllswellSourceMoved",
                format!("the source {name} is a database that it never was before"),
                format!(
                    "what was proved before was proved of another one ({}); if that is meant, `allswell rerun --owner \
                     OWNER --from DATE` proves it of this one",
                    source.identity.as_deref().unwrap_or("unknown")
                ),
            )
        });
    }
    for (name, source) in &picture.sources {
        let Breaker::Open { since, .. } = &source.breaker else { continue };
        let trouble = source.trouble.clone().unwrap_or_default();
        let why = match &source.place {
            Some(place) => format!("{place}: {trouble}"),
            None => trouble,
        };
        symptoms.push(Symptom {
            since: Some(*since),
            // Under both names: a check that asks it as its second source is muted by the other one.
            about: vec![
                ("source", name.to_string()),
                ("other_source", name.to_string()),
                // So that it can be routed by whose checks wait.
                ("owners", owners(picture, name)),
            ],
            ..Symptom::critical(
                "AllswellSourceDown",
                format!("the source `{name}` does not answer: {}", goes_dark(picture, name)),
                why,
            )
        });
    }
    symptoms
}
