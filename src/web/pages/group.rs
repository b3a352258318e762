//! The series of a check together: one fault in four hundred zones is one thing to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::check::{Check, Severity};
use crate::domain::record::standing::{Lease, Standing};
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::Role;
use crate::web::api::reason;

/// A check, with the series that are watched.
pub(super) struct Group<'p> {
    pub(super) check: &'p Check,
    pub(super) series: Vec<&'p Arc<SeriesHealth>>,
    picture: &'p Snapshot,
    /// The state of each series.
    states: Vec<&'static str>,
}

/// The check as it is declared: the series that reads the list of its zones has another one, that looks at the list.
fn declared<'p>(known: &'p Check, series: &'p SeriesHealth) -> &'p Check {
    if series.record.role == Role::Data { &series.check } else { known }
}

/// How urgent a state is: the first is what a person looks at first.
fn rank(state: &str) -> u8 {
    match state {
        "violated" => 0,
        "unconfirmed" => 1,
        "new" => 2,
        "waived" => 3,
        "paused" => 4,
        _ => 5,
    }
}

impl<'p> Group<'p> {
    /// All checks with what is watched of them, by id.
    pub(super) fn all(picture: &'p Snapshot) -> Vec<Self> {
        let mut groups: BTreeMap<&str, Self> = BTreeMap::new();
        for series in picture.series.iter().filter(|series| !series.is_over()) {
            let empty =
                || Self { check: &series.check, series: Vec::new(), picture, states: Vec::new() };
            let group = groups.entry(series.check.id.as_str()).or_insert_with(empty);
            group.check = declared(group.check, series);
            group.series.push(series);
            group.states.push(picture.state(series));
        }
        groups.into_values().collect()
    }

    /// One check with what is watched of it; nothing where there is no such check.
    pub(super) fn of(picture: &'p Snapshot, check: &str) -> Option<Self> {
        let fits = |series: &&Arc<SeriesHealth>| series.check.id.as_str() == check;
        let mut series: Vec<_> = picture.series.iter().filter(fits).collect();
        if series.iter().any(|series| !series.is_over()) {
            series.retain(|series| !series.is_over());
        }
        let first: &Check = &series.first()?.check;
        let check = series.iter().fold(first, |check, series| declared(check, series));
        let states = series.iter().map(|series| picture.state(series)).collect();
        Some(Self { check, series, picture, states })
    }

    /// The series in one state, with their places.
    pub(super) fn in_state(&self, state: &str) -> impl Iterator<Item = &'p Arc<SeriesHealth>> {
        let all = self.series.iter().zip(&self.states);
        all.filter(move |(_, is)| **is == state).map(|(series, _)| *series)
    }

    /// How many series are in one state.
    pub(super) fn count(&self, state: &str) -> usize {
        self.states.iter().filter(|is| **is == state).count()
    }

    /// The state that a person looks at first.
    pub(super) fn state(&self) -> &'static str {
        self.states.iter().copied().min_by_key(|state| rank(state)).unwrap_or("new")
    }

    /// How bad it is: that of the check, or of what is open and was critical when it opened.
    pub(super) fn severity(&self) -> Severity {
        let is_critical = self.series.iter().any(|series| series.is_critical());
        if is_critical { Severity::Critical } else { self.check.severity }
    }

    /// The series that is in the worst state for the longest time.
    pub(super) fn worst(&self) -> Option<&'p Arc<SeriesHealth>> {
        self.oldest(self.state())
    }

    /// The series that is in a state for the longest time. What began within a minute began together: then it is the
    /// first by its place.
    pub(super) fn oldest(&self, state: &str) -> Option<&'p Arc<SeriesHealth>> {
        let minute = |series: &&Arc<SeriesHealth>| {
            since(self.picture, series).map(|at| at.timestamp().div_euclid(60))
        };
        self.in_state(state).min_by_key(minute)
    }

    /// By what checks that are not proved are sorted: the most urgent and oldest first.
    pub(super) fn urgency(&self) -> (bool, Severity, u8, Option<DateTime<Utc>>, &'p str) {
        let state = self.state();
        let since = self.worst().and_then(|series| since(self.picture, series));
        // What was never proved is no better than what is not proved any more.
        let is_calm = rank(state) > 2;
        (is_calm, self.severity(), rank(state), since, self.check.id.as_str())
    }

    /// How many windows are open: violated, and unconfirmed.
    pub(super) fn open(&self) -> (u64, u64) {
        let counts =
            self.series.iter().map(|s| (s.record.open_violated, s.record.open_unconfirmed));
        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// The zones of the series in the worst state, and how many all are: nothing where it does not fan out.
    pub(super) fn zones(&self) -> Option<String> {
        let all = self.series.iter().filter(|series| series.record.tz.is_some()).count();
        if all == 0 {
            return None;
        }
        let bad: Vec<&str> =
            self.in_state(self.state()).filter_map(|series| series.record.tz.as_deref()).collect();
        Some(match bad.as_slice() {
            [] => format!("the list of its {all} zones"),
            [one] if all > 1 => format!("{one}, 1 of {all} zones"),
            [one] => (*one).to_owned(),
            many if many.len() <= 3 => {
                format!("{}, {} of {all} zones", many.join(", "), many.len())
            }
            many => format!("{} of {all} zones", many.len()),
        })
    }

    /// The finding in one line, of the series that is bad for the longest time.
    pub(super) fn finding(&self) -> Option<String> {
        reason(self.picture, self.worst()?)
    }
}

/// Since when a series is in the state that it is in, where that is known.
pub(super) fn since(picture: &Snapshot, series: &SeriesHealth) -> Option<DateTime<Utc>> {
    let record = &series.record;
    let standing = |standing| match standing {
        Standing::Firing { since } => Some(since),
        Standing::Calm => None,
    };
    match picture.state(series) {
        "violated" => standing(record.standings.violated),
        "unconfirmed" => standing(record.standings.unconfirmed).or(match record.lease {
            // While the engine or the ledger is away, what was proved is not known since then.
            Lease::Until(until) => Some(until.min(picture.as_of)),
            Lease::Never => None,
        }),
        "new" => Some(record.since),
        _ => None,
    }
}
