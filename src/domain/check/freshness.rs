//! How far the data of a database is complete, as its owner can tell, and how far it has to be.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::{self, NonFinite, Value};
use crate::domain::reconcile::cell::Epoch;
use crate::domain::sql::Query;
use crate::domain::time::duration;
use crate::domain::time::duration::delta;

/// What is known of how far data is complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// A query for the instant up to which it is.
    pub complete_until: Option<Query>,
    /// How far behind the present it may be, where a check looks at the present.
    pub max_lag: Option<Duration>,
}

/// How far past the end of what is asked for an answer is still meant: the end of a day that is under way, in any zone.
const AHEAD_MAX: Duration = Duration::from_secs(2 * 86_400);

/// Up to when the data has to be complete, so that a look at it proves anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// Up to the end of a window.
    Window {
        /// Its end.
        end: DateTime<Utc>,
        /// When what comes late is there too: the end, and what its owner lets it settle.
        settled: DateTime<Utc>,
    },
    /// Up to a while ago.
    Present {
        /// When it was looked at.
        now: DateTime<Utc>,
        /// How long ago that may be.
        max_lag: Duration,
    },
}

impl Needed {
    /// The instant up to which the data has to be complete.
    pub fn end(&self) -> DateTime<Utc> {
        match self {
            Self::Window { end, .. } => *end,
            Self::Present { now, max_lag } => *now - delta(*max_lag),
        }
    }

    /// The instant up to which a copy has to have followed.
    pub fn settled(&self) -> DateTime<Utc> {
        match self {
            Self::Window { settled, .. } => *settled,
            Self::Present { .. } => self.end(),
        }
    }

    /// What a copy has to have followed to, in words.
    pub fn settled_words(&self) -> String {
        match self {
            Self::Window { end, settled } if end != settled => {
                format!("the window has settled at {}", shown(*settled))
            }
            Self::Window { .. } | Self::Present { .. } => self.words(),
        }
    }

    /// What has to be complete, in words.
    fn words(&self) -> String {
        match self {
            Self::Window { end, .. } => format!("the window ends at {}", shown(*end)),
            Self::Present { max_lag, .. } => {
                format!("it may be {} behind (`max_lag`)", duration::show(*max_lag))
            }
        }
    }

    /// Holds against it what the query under `complete_until` answered.
    ///
    /// # Errors
    /// Where the data is not complete so far, or the answer is no instant.
    pub fn holds(
        &self,
        answer: &Value,
        epoch: Option<Epoch>,
        now: Option<DateTime<Utc>>,
    ) -> Result<(), Reason> {
        let stale = |until: &str| {
            let note = format!("the data is complete until {until}, and {}", self.words());
            Err(Reason::new(Cause::Stale, note))
        };
        let until = match answer {
            Value::Null => {
                let note = "`complete_until` answers NULL: nothing says that any data is complete";
                return Err(Reason::new(Cause::Stale, note));
            }
            Value::NonFinite(NonFinite::NegativeInfinity) => return stale("-infinity"),
            Value::Instant(at) => Some(*at),
            Value::Text(text) => value::instant(text),
            Value::Number(number) => number.to_string().parse().ok().and_then(|n| match epoch? {
                Epoch::Seconds => DateTime::from_timestamp(n, 0),
                Epoch::Millis => DateTime::from_timestamp_millis(n),
            }),
            Value::Date(_) | Value::Bool(_) | Value::NonFinite(_) | Value::NoDate(_) => None,
        };
        match until {
            Some(until) if now.is_some_and(|now| until > now + delta(AHEAD_MAX)) => {
                let note = format!(
                    "`complete_until` answers {}, which is days ahead: no data is complete until then",
                    shown(until)
                );
                Err(Reason::new(Cause::QueryError, note))
            }
            Some(until) if until >= self.end() => Ok(()),
            Some(until) => stale(&shown(until)),
            None => {
                let note = format!(
                    "`complete_until` has to answer an instant, and answers {}: of a date it is not known by whose clock it \
                     ends",
                    answer.kind()
                );
                Err(Reason::new(Cause::QueryError, note))
            }
        }
    }
}

/// An instant in a message.
pub fn shown(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::number::Number;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn said(needed: &Needed, answer: &Value) -> String {
        match needed.holds(answer, Some(Epoch::Seconds), Some(needed.end() + delta(DAY))) {
            Ok(()) => "complete".to_owned(),
            Err(reason) => format!("{}: {}", reason.cause, reason.note),
        }
    }

    #[test]
    fn a_window_is_complete_from_its_end_on_and_nothing_else_says_so() {
        let end = at("2026-03-09T04:00:00Z");
        let needed = Needed::Window { end, settled: end + delta(DAY) };
        let before = Value::Instant(end - chrono::TimeDelta::milliseconds(1));
        for complete in [
            Value::Instant(end),
            Value::Text("2026-03-09 04:00:00".into()),
            Value::Number(Number::parse("1773028800").unwrap()),
        ] {
            assert_eq!(said(&needed, &complete), "complete", "{complete:?}");
        }
        for (answer, wanted) in [
            (before, "stale: the data is complete until 2026-03-09T03:59:59Z"),
            (Value::Null, "stale: `complete_until` answers NULL"),
            (Value::NonFinite(NonFinite::NegativeInfinity), "stale"),
            (Value::NonFinite(NonFinite::Infinity), "query_error"),
            (
                Value::Date(end.date_naive()),
                "query_error: `complete_until` has to answer an instant",
            ),
            (Value::Text("yes".into()), "query_error"),
            (Value::Bool(true), "query_error"),
        ] {
            assert!(said(&needed, &answer).starts_with(wanted), "{}", said(&needed, &answer));
        }
    }

    #[test]
    fn the_present_may_be_as_old_as_it_may_lag() {
        let now = at("2026-03-09T12:00:00Z");
        let needed = Needed::Present { now, max_lag: DAY };
        assert_eq!(said(&needed, &Value::Instant(now - delta(DAY))), "complete");
        let older = Value::Instant(now - delta(DAY) - chrono::TimeDelta::seconds(1));
        assert_eq!(
            said(&needed, &older),
            "stale: the data is complete until 2026-03-08T11:59:59Z, and it may be 1d behind (`max_lag`)"
        );
    }
}
