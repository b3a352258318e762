//! What was found of a query's bounds once, and holds for as long as the query does.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::sql::parameter::Parameter;
use crate::domain::time::zone::ZoneName;
use crate::source::ask::Question;

/// Of how many queries something is kept.
const KNOWN_MAX: usize = 100_000;

/// Why queries prove nothing, where that is so, by a hash of their texts.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<u64, Option<Reason>>>);

impl Known {
    /// Says whether the types of its bounds matter: days of UTC are dates of UTC.
    pub(super) fn concerns(question: &Question) -> bool {
        let elsewhere = question.bounds.as_ref().is_some_and(|b| b.zone != ZoneName::utc());
        elsewhere && question.query.parameters().any(Parameter::is_of_time)
    }

    /// What was found of a query; nothing where it was not looked at yet.
    pub(super) fn of(&self, question: &Question) -> Option<Option<Reason>> {
        self.0.lock().ok()?.get(&key(question)).cloned()
    }

    /// Keeps what was found of a query.
    pub(super) fn keep(&self, question: &Question, found: Option<Reason>) {
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(key(question), found);
        }
    }
}

fn key(question: &Question) -> u64 {
    let mut hasher = DefaultHasher::new();
    question.query.text().hash(&mut hasher);
    hasher.finish()
}

/// Says that an instant is compared with a date.
pub(super) fn dated(bound: &str) -> Reason {
    let note = format!(
        "{bound} is compared with a DATE, and a date is its midnight in UTC: days of another zone are cut elsewhere. \
         Compare the column with `:window_date`: `on = :window_date`"
    );
    Reason::new(Cause::QueryError, note)
}

/// Says that a date is compared with an instant.
pub(super) fn instant(parameter: Parameter, column: Option<&str>) -> Reason {
    let of = if parameter.is_past() { "past" } else { "window" };
    let beside = column.map(|column| format!(" (`{column}`)")).unwrap_or_default();
    let note = format!(
        "`{parameter}` is compared with an instant{beside}, and becomes midnight in UTC: write `at >= :{of}_start and \
         at < :{of}_end`"
    );
    Reason::new(Cause::QueryError, note)
}
