//! Failures, drilled: which alarm comes for each critical check when something fails, and whether it is in time.
//!
//! The checks run in an engine of their own, with a ledger in a folder that goes with it, over scratch databases, and tell
//! two receivers that are part of the drill. No watched database, no ledger and no Alertmanager of the settings is asked.

mod expected;
pub mod outcome;
mod play;
mod receivers;
mod relay;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::clock;
use crate::daemon::drill::outcome::{Line, Rang};
use crate::daemon::drill::play::{Scene, play};
use crate::daemon::drill::stage::{Prop, applies};
use crate::domain::alerting::drill::Failure;
use crate::domain::check::Check;
use crate::domain::check::name::SourceName;
use crate::domain::record::series::Series;
use crate::domain::testing::{Suite, Test};
use crate::domain::time::zone::ZoneName;
use crate::engine::testing::{Bench, Place};
use crate::manifest::Text;
use crate::settings::Settings;
use crate::zones::Zones;

/// What is drilled.
#[derive(Debug)]
pub struct Faults<'f> {
    /// The settings: of receivers, only their labels are taken.
    pub settings: &'f Settings,
    /// The files of checks.
    pub texts: Vec<Text>,
    /// The tests: their rows are the data.
    pub suite: &'f Suite,
    /// The checks of which alarms are wanted.
    pub checks: &'f [Arc<Check>],
    /// The failures that are planted.
    pub failures: &'f [Failure],
    /// The rules of zones.
    pub zones: Arc<Zones>,
}

/// Plants one failure after the other, and sees which alarms come.
///
/// # Errors
/// Where scratch databases or the engine cannot be opened.
pub async fn drill(faults: &Faults<'_>, mut seen: impl FnMut(&Line)) -> Result<Vec<Line>, String> {
    let places = faults.settings.sources.iter().filter_map(|entry| {
        let schema = faults.suite.schema(&entry.name)?;
        Some(Place { source: entry.open(), scratch: entry.scratch(), schema })
    });
    let bench = Bench::open(places.collect(), Arc::clone(&faults.zones)).await;
    let mut bench = bench.map_err(|error| error.message)?;
    let props = faults.settings.sources.iter().map(|entry| {
        let there = bench.settings(&entry.name).cloned();
        let is_there = there.is_some();
        let settings = there.unwrap_or_else(|| entry.open());
        (entry.name.clone(), Prop { settings, is_there })
    });
    let props: BTreeMap<SourceName, Prop> = props.collect();
    let mut lines = Vec::new();
    let mut take = |line: Line| {
        seen(&line);
        lines.push(line);
    };
    let outcome = Box::pin(plant(faults, &mut bench, &props, &mut take)).await;
    bench.close().await;
    let place = |failure: Failure| Failure::ALL.iter().position(|one| *one == failure);
    lines.sort_by(|one, other| {
        let key = |line: &Line| (place(line.failure), line.check.clone());
        key(one).cmp(&key(other))
    });
    outcome.map(|()| lines)
}

async fn plant(
    faults: &Faults<'_>,
    bench: &mut Bench,
    props: &BTreeMap<SourceName, Prop>,
    seen: &mut impl FnMut(Line),
) -> Result<(), String> {
    for failure in faults.failures {
        let failure = *failure;
        let mut able = Vec::new();
        for check in faults.checks {
            let paused = paused(check, &faults.zones);
            match paused.or_else(|| unable(failure, check, props, faults)) {
                Some(rang) => seen(Line { failure, check: check.id.clone(), rang }),
                None => able.push(Arc::clone(check)),
            }
        }
        if failure == Failure::Violated {
            for check in &able {
                let rang = Box::pin(violated(faults, bench, props, check)).await?;
                seen(Line { failure, check: check.id.clone(), rang });
            }
            continue;
        }
        if able.is_empty() {
            continue;
        }
        for check in &able {
            bench.clear(check).await.map_err(|error| error.message)?;
        }
        if failure == Failure::Stall {
            bench.hold().await;
        }
        let start = clock::now();
        let scene = Scene { failure, checks: &able, zone: None, start, props };
        let rang = Box::pin(play(faults, &scene)).await;
        bench.release().await;
        for (check, rang) in rang? {
            seen(Line { failure, check, rang });
        }
    }
    Ok(())
}

/// What is paused now in every zone rings for nothing.
fn paused(check: &Arc<Check>, zones: &Zones) -> Option<Rang> {
    let utc = Series::in_zone(check, &ZoneName::utc(), &|name: &ZoneName| zones.rules(name))?;
    let until = utc.paused_until(clock::now())?;
    Some(Rang::Silent { why: format!("it is paused until {}", until.format("%Y-%m-%d")) })
}

/// Why a failure is not drilled with a check, where it is not.
fn unable(
    failure: Failure,
    check: &Check,
    props: &BTreeMap<SourceName, Prop>,
    faults: &Faults<'_>,
) -> Option<Rang> {
    let suite = faults.suite;
    if failure == Failure::AlertmanagerAway && faults.settings.notices.alertmanagers.len() < 2 {
        let why = "the settings have no two Alertmanagers".to_owned();
        return Some(Rang::DoesNotApply { why });
    }
    let sources = check.sources();
    let theirs: Vec<&Prop> = sources.iter().filter_map(|name| props.get(*name)).collect();
    // One of two sources that can fail so is enough.
    let applied: Vec<Result<(), String>> =
        theirs.iter().map(|prop| applies(failure, prop)).collect();
    if !applied.is_empty() && applied.iter().all(Result::is_err) {
        let why = applied.into_iter().find_map(Result::err).unwrap_or_default();
        return Some(if why == "its source is a file" {
            Rang::DoesNotApply { why }
        } else {
            Rang::NotDrilled { why }
        });
    }
    let needs_tables = matches!(failure, Failure::Violated | Failure::NoData | Failure::ClockBack);
    if needs_tables && let Some(missing) = theirs.iter().find(|prop| !prop.is_there) {
        let name = &missing.settings.name;
        let why = format!("no tests make tables for `{name}`, or it has no scratch database");
        return Some(Rang::NotDrilled { why });
    }
    if failure == Failure::Violated && violating(suite, check).is_none() {
        let why = "no written test of it expects `violated`".to_owned();
        return Some(Rang::NotDrilled { why });
    }
    None
}

/// The first test of a check that expects wrong data to be found.
fn violating<'s>(suite: &'s Suite, check: &Check) -> Option<&'s Test> {
    suite.of(&check.id).find(|test| test.looks.iter().any(|look| look.expected.is_violated()))
}

/// Plants wrong data for one check: the rows of a test that expects them to be found.
async fn violated(
    faults: &Faults<'_>,
    bench: &mut Bench,
    props: &BTreeMap<SourceName, Prop>,
    check: &Arc<Check>,
) -> Result<Rang, String> {
    let test = violating(faults.suite, check);
    let look = test.and_then(|test| test.looks.iter().find(|look| look.expected.is_violated()));
    let (Some(test), Some(look)) = (test, look) else {
        return Ok(Rang::NotDrilled { why: "no written test of it expects `violated`".to_owned() });
    };
    // Just when the window falls due that the test looks at: a new series owes its last one.
    let (start, zone) = match &look.window {
        Some((series, window)) => {
            let zone = series.tz().map(ToString::to_string);
            let due = series.next_due_batch(window.end - TimeDelta::microseconds(1));
            (due.map_or(window.end, |(due, _)| due) + TimeDelta::seconds(1), zone)
        }
        None => (clock::now(), None),
    };
    if let Some((series, _)) = look.window.as_ref().filter(|(s, _)| s.paused_until(start).is_some())
    {
        let date = start.format("%Y-%m-%d");
        let why = format!("`{}` was paused on {date}, the date of its test", series.check.id);
        return Ok(Rang::NotDrilled { why });
    }
    bench.world(check, &test.given, start).await.map_err(|error| error.message)?;
    let checks = std::slice::from_ref(check);
    let scene = Scene { failure: Failure::Violated, checks, zone, start, props };
    let mut rang = Box::pin(play(faults, &scene)).await?;
    let none = || Rang::Silent { why: "no alarm came".to_owned() };
    Ok(rang.remove(&check.id).unwrap_or_else(none))
}
