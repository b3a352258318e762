//! A literal of a limit: a text with every reading that it allows, held against values of any type.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::domain::check::number::Number;
use crate::domain::check::value::{self, Value};

/// A limit's text with every reading that it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Literal {
    text: String,
    ordered: Option<Ordered>,
    truth: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ordered {
    Number(Number),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
}

/// Why a text is no literal, and what to write.
#[derive(Debug)]
pub(super) struct NotALiteral {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl Literal {
    pub(super) fn read(text: &str) -> Result<Self, NotALiteral> {
        let word = text.trim_start_matches(['-', '+', '.']).to_ascii_lowercase();
        if matches!(word.as_str(), "nan" | "inf" | "infinity") {
            return Err(NotALiteral {
                message: format!("no value satisfies {text}: NaN and the infinities pass no limit"),
                hint: "write a finite number",
            });
        }
        let ordered = Number::parse(text)
            .map(Ordered::Number)
            .or_else(|| value::date(text).map(Ordered::Date))
            .or_else(|| value::instant(text).map(Ordered::Instant));
        let truth = match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        Ok(Self { text: text.to_owned(), ordered, truth })
    }

    pub(super) fn read_ordered(text: &str) -> Result<Self, NotALiteral> {
        let literal = Self::read(text)?;
        if literal.ordered.is_none() {
            return Err(NotALiteral {
                message: format!(
                    "`{text}` is not a number, a date or an instant, so nothing is above or \
                         below it"
                ),
                hint: "write it like -12.50, 2026-03-08 or 2026-03-08T00:00:00Z",
            });
        }
        Ok(literal)
    }

    /// The text, as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Orders this literal against another, where both have one order.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        compare(self.ordered.as_ref()?, other.ordered.as_ref()?)
    }

    pub(super) fn number(&self) -> Option<&Number> {
        match &self.ordered {
            Some(Ordered::Number(n)) => Some(n),
            Some(Ordered::Date(_) | Ordered::Instant(_)) | None => None,
        }
    }

    /// Says whether it reads as a number, a date or an instant.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered.is_some()
    }

    pub(super) fn is_number(&self) -> bool {
        self.number().is_some()
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.ordered {
            Some(Ordered::Number(_)) => "a number",
            Some(Ordered::Date(_)) => "a date",
            Some(Ordered::Instant(_)) => "an instant",
            None => "a text",
        }
    }

    pub(super) fn equals(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => *text == self.text || self.against(value) == Some(Ordering::Equal),
            Value::Bool(truth) => self.truth == Some(*truth),
            Value::Number(_) | Value::Date(_) | Value::Instant(_) => {
                self.against(value) == Some(Ordering::Equal)
            }
            Value::Null | Value::NonFinite(_) | Value::NoDate(_) => false,
        }
    }

    /// Says whether the literal can be read as the value's type at all.
    pub(super) fn can_meet(&self, value: &Value) -> bool {
        match value {
            Value::Text(_) => true,
            Value::Bool(_) => self.truth.is_some(),
            Value::Number(_) | Value::Date(_) | Value::Instant(_) => self.against(value).is_some(),
            Value::Null | Value::NonFinite(_) | Value::NoDate(_) => false,
        }
    }

    /// Orders the value against the literal, where both have one order.
    ///
    /// Dates and instants that a database keeps as text (SQLite knows no other) are read as such
    /// when they have exactly that form.
    pub(super) fn against(&self, value: &Value) -> Option<Ordering> {
        let seen = match (value, self.ordered.as_ref()?) {
            (Value::Number(n), _) => Ordered::Number(n.clone()),
            (Value::Date(d), _) => Ordered::Date(*d),
            (Value::Instant(i), _) => Ordered::Instant(*i),
            (Value::Text(t), Ordered::Date(_)) => Ordered::Date(value::date(t)?),
            (Value::Text(t), Ordered::Instant(_)) => Ordered::Instant(value::instant(t)?),
            (Value::Text(_), Ordered::Number(_))
            | (Value::Bool(_) | Value::Null | Value::NonFinite(_) | Value::NoDate(_), _) => {
                return None;
            }
        };
        compare(&seen, self.ordered.as_ref()?)
    }
}

fn compare(a: &Ordered, b: &Ordered) -> Option<Ordering> {
    let midnight = |d: NaiveDate| d.and_time(NaiveTime::MIN).and_utc();
    match (a, b) {
        (Ordered::Number(a), Ordered::Number(b)) => Some(a.cmp(b)),
        (Ordered::Date(a), Ordered::Date(b)) => Some(a.cmp(b)),
        (Ordered::Instant(a), Ordered::Instant(b)) => Some(a.cmp(b)),
        (Ordered::Date(a), Ordered::Instant(b)) => Some(midnight(*a).cmp(b)),
        (Ordered::Instant(a), Ordered::Date(b)) => Some(a.cmp(&midnight(*b))),
        (Ordered::Number(_), Ordered::Date(_) | Ordered::Instant(_))
        | (Ordered::Date(_) | Ordered::Instant(_), Ordered::Number(_)) => None,
    }
}
