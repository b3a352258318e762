//! By when the alarm of a check has to come, and whether one that came is it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::daemon::drill::outcome::Rang;
use crate::daemon::drill::receivers::Came;
use crate::domain::alerting::drill::{Failure, SOURCE_DOWN};
use crate::domain::check::Check;
use crate::domain::record::series::Series;
use crate::domain::time::owed::{Fate, Watermark};

/// How late an alarm may be and is in time.
pub(super) const SLACK: TimeDelta = TimeDelta::seconds(60);
/// How long after its deadline an alarm is waited for, beside as long as the deadline itself took.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

/// By when the alarm of a check has to come.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) due: DateTime<Utc>,
    pub(super) deadline: DateTime<Utc>,
}

impl Expected {
    /// Until when it is waited for.
    pub(super) fn ends(&self) -> DateTime<Utc> {
        self.deadline + (self.deadline - self.due) + PATIENCE
    }
}

/// How long until the next look is too long: nothing rings before it, however it fails.
const NEXT_LOOK_WITHIN: TimeDelta = TimeDelta::days(62);

/// Why nothing rings of some series for long, where that is so. A new series owes a look at once; one that runs does not.
pub(super) fn far(series: &[Series], start: DateTime<Utc>) -> Option<String> {
    let next = series.iter().filter_map(|series| series.next_due_batch(start));
    let Some(next) = next.map(|(due, _)| due).min() else {
        return Some("it is never due".to_owned());
    };
    let is_far = next - start > NEXT_LOOK_WITHIN;
    is_far.then(|| format!("it is not looked at before {}", next.format("%Y-%m-%d")))
}

/// What a series owes first: a look at its last window, or at the present; else what is due next.
pub(super) fn first_due(series: &Series, start: DateTime<Utc>) -> Option<Expected> {
    if series.paused_until(start).is_some() {
        return None;
    }
    let owed = series.owed(Watermark::New { loaded: start }, start, 1).owed;
    let waits = owed.iter().filter(|owed| owed.fate == Fate::Wait);
    let first = waits.map(|owed| Expected { due: start, deadline: owed.deadline });
    first.min_by_key(|expected| expected.deadline).or_else(|| {
        let (due, deadline) = series.next_due_batch(start)?;
        Some(Expected { due, deadline })
    })
}

/// An alarm that came.
#[derive(Debug)]
pub(super) struct Alarm {
    /// Its name.
    pub(super) name: String,
    /// When it arrived.
    pub(super) at: DateTime<Utc>,
    /// Whether people get up for it.
    pub(super) is_critical: bool,
}

/// Says whether an alarm was in time.
pub(super) fn judged(alarm: Alarm, expected: &Expected) -> Rang {
    let secs = |delta: TimeDelta| u64::try_from(delta.num_seconds()).unwrap_or(0);
    let Alarm { name: alarm, at, is_critical } = alarm;
    let (after_secs, by_secs) = (secs(at - expected.due), secs(expected.deadline - expected.due));
    match (is_critical, at <= expected.deadline + SLACK) {
        (false, _) => Rang::NotCritical { alarm, after_secs, by_secs },
        (true, true) => Rang::InTime { alarm, after_secs, by_secs },
        (true, false) => Rang::Late { alarm, after_secs, by_secs },
    }
}

/// The first alarm that a failure of a check brought.
pub(super) fn alarm(failure: Failure, check: &Check, came: &Came) -> Option<Alarm> {
    let fits = |labels: &BTreeMap<String, String>| {
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        let is_own = label("check") == check.id.as_str();
        let of_source = label("alertname") == SOURCE_DOWN
            && check.sources().iter().any(|source| source.as_str() == label("source"));
        match failure {
            Failure::Violated => is_own && label("alertname") == "AllswellViolated",
            Failure::NoData => is_own,
            Failure::Refuse
            | Failure::AlertmanagerAway
            | Failure::Stall
            | Failure::Reset
            | Failure::Slow
            | Failure::WrongPassword => is_own || of_source,
            Failure::Frozen | Failure::ClockBack => false,
        }
    };
    let all = came.iter().filter(|(labels, _)| fits(labels));
    // A critical one that comes later is the one that rings.
    let is_critical = |labels: &BTreeMap<String, String>| {
        labels.get("severity").is_some_and(|severity| severity == "critical")
    };
    let (labels, at) = all.min_by_key(|(labels, at)| (!is_critical(labels), **at))?;
    let name = labels.get("alertname").cloned().unwrap_or_default();
    let severity = labels.get("severity").map_or("", String::as_str);
    let is_critical = severity == "critical";
    let name = if is_critical { name } else { format!("{name} ({severity})") };
    Some(Alarm { name, at: *at, is_critical })
}
