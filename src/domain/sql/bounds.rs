//! What the parameters of a windowed check stand for in one attempt: its window, and the zone.

use std::fmt;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::sql::parameter::Parameter;
use crate::domain::time::window::{Span, Window};
use crate::domain::time::zone::{Offset, ZoneName};

/// What an attempt binds: a window in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The window.
    pub window: Window,
    /// The zone.
    pub zone: ZoneName,
    /// The period that is held beside it, where one is.
    pub past: Option<Span>,
}

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound<'b> {
    /// An instant.
    Instant(DateTime<Utc>),
    /// A local date.
    Date(NaiveDate),
    /// A name.
    Text(&'b str),
    /// Seconds.
    Secs(i32),
    /// Hours, exact to a billionth.
    Hours(BigDecimal),
}

impl Bounds {
    /// The value that a parameter stands for.
    pub fn value(&self, parameter: Parameter) -> Bound<'_> {
        // A query that names the period beside it is of a check that has one.
        let past = self.past.unwrap_or(self.window.span);
        match parameter {
            Parameter::PastStart => Bound::Instant(past.start),
            Parameter::PastEnd => Bound::Instant(past.end),
            Parameter::PastDate => Bound::Date(past.date),
            Parameter::WindowStart => Bound::Instant(self.window.start),
            Parameter::WindowEnd => Bound::Instant(self.window.end),
            Parameter::WindowDate => Bound::Date(self.window.span.date),
            Parameter::WindowEndDate => Bound::Date(self.window.span.end_date),
            Parameter::Zone => Bound::Text(self.zone.as_str()),
            Parameter::UtcOffset => Bound::Secs(Offset::secs(self.window.utc_offset)),
            Parameter::WindowHours => {
                let secs = BigDecimal::from(self.window.length().num_seconds());
                let hours = secs / BigDecimal::from(3_600);
                Bound::Hours(hours.round(9).normalized())
            }
        }
    }
}

/// What people are shown where a value was bound.
impl fmt::Display for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            Self::Date(date) => date.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Secs(secs) => secs.fmt(f),
            Self::Hours(hours) => f.write_str(&hours.to_plain_string()),
        }
    }
}
