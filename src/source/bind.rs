//! Parameters as each engine writes and takes them.
//!
//! Bounds go to the server as values, never as text in the SQL, and never as civil time:
//!
//! - PostgreSQL: `timestamptz`. A column of `timestamp` is compared as UTC, because the session's
//!   zone is UTC, set anew before each query.
//! - MySQL and MariaDB: a date and time in UTC. The session's zone is `+00:00`, so a column of
//!   `TIMESTAMP` and one of `DATETIME` that holds UTC are compared alike.
//! - SQLite has no type for instants: the settings of the source say which form it stores.

use chrono::{DateTime, Utc};

use crate::domain::sql::bounds::Bound;
use crate::domain::sql::parameter::Parameter;
use crate::source::ask::Question;

/// How an SQLite database stores instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instants {
    /// Text in UTC, as SQLite's own functions write it: `2026-03-08 05:00:00`, with a fraction or not.
    Sql,
    /// Text in UTC: `2026-03-08T05:00:00Z`, with a fraction or not.
    Rfc3339,
    /// Whole or broken seconds since 1970.
    EpochSecs,
    /// Milliseconds since 1970.
    EpochMillis,
}

impl Instants {
    /// The words for it in the settings.
    pub const WORDS: [(&str, Self); 4] = [
        ("sql", Self::Sql),
        ("rfc3339", Self::Rfc3339),
        ("epoch_s", Self::EpochSecs),
        ("epoch_ms", Self::EpochMillis),
    ];

    /// Writes a bound in this form.
    ///
    /// Text bounds end with the seconds. A stored text that goes on, with `Z` or a fraction, sorts
    /// after its own beginning; were the bound to end with `Z`, `…00.5Z` would sort before `…00Z`,
    /// because `.` sorts before `Z`, and half a second would be in the wrong window.
    pub(super) fn form(self, at: DateTime<Utc>) -> Stored {
        match self {
            Self::Sql => Stored::Text(at.format("%Y-%m-%d %H:%M:%S").to_string()),
            Self::Rfc3339 => Stored::Text(at.format("%Y-%m-%dT%H:%M:%S").to_string()),
            Self::EpochSecs => Stored::Number(at.timestamp()),
            Self::EpochMillis => Stored::Number(at.timestamp_millis()),
        }
    }
}

/// A bound for SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Text(String),
    Number(i64),
}

/// How an engine writes placeholders.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// `$1`, one for each parameter.
    Dollar,
    /// `?`, one for each place.
    Mark,
    /// `?1`, one for each parameter.
    NumberedMark,
}

/// A question's SQL as the engine takes it.
#[derive(Debug)]
pub(super) struct Prepared<'q> {
    /// The text.
    pub(super) text: String,
    /// The values, in the order of the placeholders' numbers.
    pub(super) values: Vec<Bound<'q>>,
}

impl<'q> Prepared<'q> {
    pub(super) fn new(question: &'q Question, style: Style) -> Self {
        let mut order: Vec<Parameter> = Vec::new();
        let text = question.query.with_parameters(|_, parameter| {
            if let Style::Mark = style {
                order.push(parameter);
                return "?".to_owned();
            }
            let known = order.iter().position(|p| *p == parameter);
            let place = known.unwrap_or_else(|| {
                order.push(parameter);
                order.len() - 1
            });
            let sign = if let Style::Dollar = style { '$' } else { '?' };
            format!("{sign}{}", place + 1)
        });
        let values = match &question.bounds {
            Some(bounds) => order.into_iter().map(|parameter| bounds.value(parameter)).collect(),
            // Only windowed checks have parameters, and they are asked with bounds.
            None => Vec::new(),
        };
        Self { text, values }
    }
}

/// Binds values as the server's own types.
macro_rules! bind_typed {
    ($query:expr, $values:expr) => {
        $values.iter().fold($query, |query, value| match value {
            $crate::domain::sql::bounds::Bound::Instant(at) => query.bind(*at),
            $crate::domain::sql::bounds::Bound::Date(date) => query.bind(*date),
            $crate::domain::sql::bounds::Bound::Text(text) => query.bind((*text).to_owned()),
            $crate::domain::sql::bounds::Bound::Secs(secs) => query.bind(*secs),
            $crate::domain::sql::bounds::Bound::Hours(hours) => query.bind(hours.clone()),
        })
    };
}
pub(super) use bind_typed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_text_is_in_the_window_that_its_instant_is_in() {
        let bound: DateTime<Utc> = "2026-03-08T05:00:00Z".parse().unwrap();
        for (form, before, from) in [
            (
                Instants::Sql,
                ["2026-03-08 04:59:59", "2026-03-08 04:59:59.999"],
                ["2026-03-08 05:00:00", "2026-03-08 05:00:00.001"],
            ),
            (
                Instants::Rfc3339,
                ["2026-03-08T04:59:59Z", "2026-03-08T04:59:59.999Z"],
                ["2026-03-08T05:00:00Z", "2026-03-08T05:00:00.001Z"],
            ),
        ] {
            let Stored::Text(bound) = form.form(bound) else { panic!("{form:?} is a text") };
            assert!(before.iter().all(|stored| *stored < bound.as_str()), "{bound}");
            assert!(from.iter().all(|stored| *stored >= bound.as_str()), "{bound}");
        }
        assert_eq!(Instants::EpochSecs.form(bound), Stored::Number(1_772_946_000));
        assert_eq!(Instants::EpochMillis.form(bound), Stored::Number(1_772_946_000_000));
    }
}
