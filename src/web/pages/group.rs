//! The series of a check together: one fault in four hundred zones is one thing to read.

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
pub(super) fn rank(state: &str) -> u8 {
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
    pub(super) fn new(
        check: &'p Check,
        picture: &'p Snapshot,
        series: Vec<&'p Arc<SeriesHealth>>,
        states: Vec<&'static str>,
    ) -> Self {
        Self { check, series, picture, states }
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
        let state_of = picture.states();
        let states = series.iter().map(|series| state_of(series)).collect();
        Some(Self { check, series, picture, states })
    }

    /// The series in one state, with their places.
    pub(super) fn in_state(&self, state: &str) -> impl Iterator<Item = &'p Arc<SeriesHealth>> {
        let all = self.series.iter().zip(&self.states);
        all.filter(move |(_, is)| **is == state).map(|(series, _)| *series)
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
        self.in_state(state).min_by_key(|series| minute(since(self.picture, series)))
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
            many => {
                // The finding that stands beside it is of this one.
                let worst = self.worst().and_then(|series| series.record.tz.as_deref());
                let first = worst.or(many.first().copied()).unwrap_or_default();
                format!("{first} and {} more of {all} zones", many.len() - 1)
            }
        })
    }

    /// The finding in one line, of the series that is bad for the longest time.
    pub(super) fn finding(&self) -> Option<String> {
        reason(self.picture, self.worst()?)
    }
}

/// What began within a minute began together.
pub(super) fn minute(since: Option<DateTime<Utc>>) -> Option<i64> {
    since.map(|at| at.timestamp().div_euclid(60))
}

/// Since when a series is in the state that it is in, where that is known.
pub(super) fn since(picture: &Snapshot, series: &SeriesHealth) -> Option<DateTime<Utc>> {
    since_in(picture, series, picture.state(series))
}

/// The same, where its state is known.
pub(super) fn since_in(
    picture: &Snapshot,
    series: &SeriesHealth,
    state: &str,
) -> Option<DateTime<Utc>> {
    let record = &series.record;
    let standing = |standing| match standing {
        Standing::Firing { since } => Some(since),
        Standing::Calm => None,
    };
    match state {
        "violated" => standing(record.standings.violated),
        "unconfirmed" => standing(record.standings.unconfirmed).or(match record.lease {
            // While the engine or the ledger is away, what was proved is not known since then.
            Lease::Until(until) if until > picture.now() => Some(picture.as_of),
            Lease::Until(until) => Some(until),
            Lease::Never => None,
        }),
        "new" => Some(record.since),
        _ => None,
    }
}
