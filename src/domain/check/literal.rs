//! A literal of a limit: a text with every reading that it allows, held against values of any type.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

use crate::domain::check::number::Number;
use crate::domain::check::observation::Moment;
use crate::domain::check::value::{self, Value};
use crate::domain::reconcile::cell::Cell;
use crate::domain::time::duration;

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
    /// So long after the moment at which it is looked, or after the end of the window.
    Relative(Anchor, TimeDelta),
}

/// What an instant is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Now,
    WindowEnd,
}

/// Reads `now`, `now - 2h`, `window_end + 5m`.
fn relative(text: &str) -> Option<Ordered> {
    let (word, rest) = text.split_at(text.find([' ', '-', '+']).unwrap_or(text.len()));
    let anchor = match word {
        "now" => Anchor::Now,
        "window_end" => Anchor::WindowEnd,
        _ => return None,
    };
    let rest = rest.trim();
    if rest.is_empty() {
        return Some(Ordered::Relative(anchor, TimeDelta::zero()));
    }
    let ahead = rest.starts_with('+');
    let distance = rest.strip_prefix(['+', '-'])?.trim();
    let distance = TimeDelta::from_std(duration::parse(distance).ok()?).ok()?;
    Some(Ordered::Relative(anchor, if ahead { distance } else { -distance }))
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
            .or_else(|| value::instant(text).map(Ordered::Instant))
            .or_else(|| relative(text));
        // As YAML 1.2 spells them.
        let truth = match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
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
                hint: "write it like -12.50, 2026-03-08, 2026-03-08T00:00:00Z or now - 2h",
            });
        }
        Ok(literal)
    }

    /// The same at a moment: what is relative is an instant then. Nothing where there is no window whose end it could be
    /// relative to.
    pub(super) fn at(&self, moment: &Moment) -> Option<Self> {
        let Some(Ordered::Relative(anchor, distance)) = &self.ordered else {
            return Some(self.clone());
        };
        let from = match anchor {
            Anchor::Now => moment.now,
            Anchor::WindowEnd => moment.window_end?,
        };
        let at = from.checked_add_signed(*distance)?;
        Some(Self { ordered: Some(Ordered::Instant(at)), ..self.clone() })
    }

    /// Says whether it is relative to the moment, or to the end of a window.
    pub(super) fn is_relative(&self) -> bool {
        matches!(self.ordered, Some(Ordered::Relative(..)))
    }

    /// Says whether it is relative, and ahead.
    pub(super) fn is_ahead(&self) -> bool {
        matches!(self.ordered, Some(Ordered::Relative(_, distance)) if distance > TimeDelta::zero())
    }

    /// Says whether it needs a window.
    pub(super) fn needs_window(&self) -> bool {
        matches!(self.ordered, Some(Ordered::Relative(Anchor::WindowEnd, _)))
    }

    /// The nearest one below or above it: a number by its last digit, a date by a day, an instant by a second.
    pub(super) fn near(&self, above: bool) -> Option<Self> {
        let text = match self.ordered.as_ref()? {
            Ordered::Number(number) => {
                let (digits, scale) = number.digits()?;
                let next = if above { digits.checked_add(1)? } else { digits.checked_sub(1)? };
                Number::scaled(next, scale).plain()
            }
            Ordered::Date(date) => {
                if above { date.succ_opt()? } else { date.pred_opt()? }.to_string()
            }
            Ordered::Instant(at) => {
                let second = TimeDelta::seconds(if above { 1 } else { -1 });
                (*at + second).to_rfc3339_opts(SecondsFormat::AutoSi, true)
            }
            Ordered::Relative(..) => return None,
        };
        Self::read(&text).ok()
    }

    /// The instant that it is, or with which its date begins; nothing where it is relative, or no time.
    pub(super) fn instant(&self) -> Option<DateTime<Utc>> {
        match self.ordered.as_ref()? {
            Ordered::Instant(at) => Some(*at),
            Ordered::Date(date) => Some(date.and_time(NaiveTime::MIN).and_utc()),
            Ordered::Number(_) | Ordered::Relative(..) => None,
        }
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
            Some(Ordered::Date(_) | Ordered::Instant(_) | Ordered::Relative(..)) | None => None,
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
            Some(Ordered::Instant(_) | Ordered::Relative(..)) => "an instant",
            None => "a text",
        }
    }

    /// What the text may stand for.
    fn readings(&self) -> impl Iterator<Item = Cell> {
        let ordered = self.ordered.as_ref().and_then(|ordered| match ordered {
            Ordered::Number(number) => Some(Value::Number(number.clone())),
            Ordered::Date(date) => Some(Value::Date(*date)),
            Ordered::Instant(at) => Some(Value::Instant(*at)),
            Ordered::Relative(..) => None,
        });
        let all = [Some(Value::Text(self.text.clone())), ordered, self.truth.map(Value::Bool)];
        all.into_iter().flatten().map(|value| Cell::new(value, false))
    }

    /// Says whether the value is one that the text stands for, by the one rule for values of all types.
    pub(super) fn equals(&self, value: &Value) -> bool {
        match value {
            Value::Null | Value::NonFinite(_) | Value::NoDate(_) => false,
            Value::Text(text) if *text == self.text => true,
            Value::Number(_) if self.is_number() => self.against(value) == Some(Ordering::Equal),
            Value::Text(_)
            | Value::Number(_)
            | Value::Bool(_)
            | Value::Date(_)
            | Value::Instant(_) => {
                let cell = Cell::new(value.clone(), false);
                self.against(value) == Some(Ordering::Equal)
                    || self.readings().any(|reading| reading.is_same(&cell, [None, None]))
            }
        }
    }

    /// Says whether the literal can be read as the value's type at all.
    pub(super) fn can_meet(&self, value: &Value) -> bool {
        let is_bit = || self.number().is_some_and(|n| n.as_count().is_some_and(|n| n < 2));
        match value {
            Value::Text(_) => true,
            Value::Bool(_) => self.truth.is_some() || is_bit(),
            Value::Number(_) => self.truth.is_some() || self.against(value).is_some(),
            Value::Date(_) | Value::Instant(_) => self.against(value).is_some(),
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
            (Value::Text(t), Ordered::Date(_) | Ordered::Instant(_)) => {
                let date = value::date(t).map(Ordered::Date);
                date.or_else(|| value::instant(t).map(Ordered::Instant))?
            }
            (Value::Text(_), Ordered::Number(_) | Ordered::Relative(..))
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
        (Ordered::Relative(a, x), Ordered::Relative(b, y)) if a == b => Some(x.cmp(y)),
        (Ordered::Number(_), Ordered::Date(_) | Ordered::Instant(_))
        | (Ordered::Date(_) | Ordered::Instant(_), Ordered::Number(_))
        | (Ordered::Relative(..), _)
        | (_, Ordered::Relative(..)) => None,
    }
}
