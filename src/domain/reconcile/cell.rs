//! One value of a row that is compared across databases: by value, whatever the types that brought it.
//!
//! It is [`Value`] made for tens of millions of rows: numbers of up to 38 digits and instants need no
//! memory of their own. The rules for each pair of types are in [`Kind::of_both`] and [`Cell::read_as`]; the
//! README shows them as a table.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike as _, Utc};

use crate::domain::check::number::Number;
use crate::domain::check::value::{NonFinite, Value, date, instant, is_uuid, uuid};

/// The highest power of ten that fits.
const TEN_MAX: u8 = 38;

/// An exact decimal of at most 38 digits; 1.0 is 1.00 is 1.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: i128,
    scale: u8,
}

impl Decimal {
    /// The number of these digits, of which so many are after the point.
    pub fn new(digits: i128, scale: u8) -> Self {
        Self { digits, scale }
    }

    /// The same number with more digits after the point, where that fits.
    fn digits_at(self, scale: u8) -> Option<i128> {
        let more = scale.checked_sub(self.scale).filter(|more| *more <= TEN_MAX)?;
        self.digits.checked_mul(10_i128.checked_pow(u32::from(more))?)
    }

    /// The sum, where it fits.
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let digits = self.digits_at(scale)?.checked_add(other.digits_at(scale)?)?;
        Some(Self { digits, scale })
    }

    /// As an integer, where it is one that is short.
    pub fn integer(self) -> Option<i64> {
        let power = 10_i128.checked_pow(u32::from(self.scale))?;
        let whole = self.digits.checked_rem(power)? == 0;
        whole.then(|| i64::try_from(self.digits / power).ok()).flatten()
    }

    /// As a number of any length.
    pub fn number(self) -> Number {
        Number::scaled(self.digits, self.scale)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.digits.cmp(&other.digits);
        }
        let scale = self.scale.max(other.scale);
        match (self.digits_at(scale), other.digits_at(scale)) {
            (Some(ours), Some(theirs)) => ours.cmp(&theirs),
            (None, _) | (_, None) => self.number().cmp(&other.number()),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// SQL NULL: equal to itself, and to nothing else.
    Null,
    /// A truth value.
    Bool(bool),
    /// An exact number.
    Decimal(Decimal),
    /// An exact number of more digits.
    Wide(Box<Number>),
    /// What a float's shortest spelling says: its sum depends on the order of the rows.
    Float(Box<Number>),
    /// NaN, or an infinity.
    NonFinite(NonFinite),
    /// A calendar date.
    Date(NaiveDate),
    /// An instant, in microseconds since 1970.
    Instant(i64),
    /// A text: its bytes, spaces and case included.
    Text(Box<str>),
    /// A date that no calendar has.
    NoDate(Box<str>),
}

/// How a source stores instants that it has no type for: as seconds since 1970, or thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// In seconds.
    Seconds,
    /// In milliseconds.
    Millis,
}

/// What two columns are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Truth values.
    Bool,
    /// Exact numbers.
    Number,
    /// Floats.
    Float,
    /// Dates.
    Date,
    /// Instants.
    Instant,
    /// Texts.
    Text,
}

impl Kind {
    /// What columns of two kinds are compared as; nothing where no rule says it.
    pub fn of_both(ours: Self, theirs: Self) -> Option<Self> {
        use Kind::{Bool, Date, Float, Instant, Number, Text};
        match (ours, theirs) {
            (Bool, Bool) => Some(Bool),
            (Number | Text | Bool, Number) | (Number, Text | Bool) => Some(Number),
            (Float, Float | Number | Text) | (Number | Text, Float) => Some(Float),
            (Date, Date | Text) | (Text, Date) => Some(Date),
            (Instant, Instant | Text | Number) | (Text | Number, Instant) => Some(Instant),
            (Text, Text) => Some(Text),
            (Bool, Float | Date | Instant | Text)
            | (Number, Date)
            | (Float, Bool | Date | Instant)
            | (Date, Bool | Number | Float | Instant)
            | (Instant, Bool | Float | Date)
            | (Text, Bool) => None,
        }
    }

    /// Names it for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Float => "a float",
            Self::Date => "a date",
            Self::Instant => "an instant",
            Self::Text => "a text",
        }
    }
}

impl Cell {
    /// Takes a value; of a float where that is what brought it.
    pub fn new(value: Value, is_float: bool) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) if is_float => Self::Float(Box::new(number)),
            Value::Number(number) => Self::number(number),
            Value::NonFinite(which) => Self::NonFinite(which),
            Value::Date(date) => Self::Date(date),
            Value::Instant(at) => Self::Instant(at.timestamp_micros()),
            // A UUID is one value, in capitals or not.
            Value::Text(text) if is_uuid(&text) => Self::Text(text.to_lowercase().into_boxed_str()),
            Value::Text(text) => Self::Text(text.into_boxed_str()),
            Value::NoDate(text) => Self::NoDate(text.into_boxed_str()),
        }
    }

    /// Takes an integer.
    pub fn integer(value: i64) -> Self {
        Self::Decimal(Decimal::new(i128::from(value), 0))
    }

    fn number(number: Number) -> Self {
        match number.digits() {
            Some((digits, scale)) => Self::Decimal(Decimal::new(digits, scale)),
            None => Self::Wide(Box::new(number)),
        }
    }

    /// What it is; nothing of what is nothing in particular.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Null | Self::NonFinite(_) | Self::NoDate(_) => None,
            Self::Bool(_) => Some(Kind::Bool),
            Self::Decimal(_) | Self::Wide(_) => Some(Kind::Number),
            Self::Float(_) => Some(Kind::Float),
            Self::Date(_) => Some(Kind::Date),
            Self::Instant(_) => Some(Kind::Instant),
            Self::Text(_) => Some(Kind::Text),
        }
    }

    /// The same value as one of a kind; nothing where it has no such reading.
    pub fn read_as(&self, kind: Kind, epoch: Option<Epoch>) -> Option<Self> {
        match (self, kind) {
            (Self::Null | Self::NonFinite(_) | Self::NoDate(_), _) => Some(self.clone()),
            (Self::Bool(value), Kind::Number) => Some(Self::integer(i64::from(*value))),
            (Self::Text(text), Kind::Number) => Number::spelled(text).map(Self::number),
            (Self::Text(text), Kind::Float) => Number::parse(text).map(|n| Self::Float(n.into())),
            (Self::Decimal(number), Kind::Float) => Some(Self::Float(number.number().into())),
            (Self::Wide(number), Kind::Float) => Some(Self::Float(number.clone())),
            (Self::Text(text), Kind::Date) => {
                let midnight = |at: &DateTime<Utc>| at.time() == NaiveTime::MIN;
                let at = || instant(text).filter(midnight).map(|at| at.date_naive());
                date(text).or_else(at).map(Self::Date)
            }
            (Self::Text(text), Kind::Instant) => {
                // As PostgreSQL writes it, too: with hours alone after the time.
                let exact = |at: &DateTime<Utc>| {
                    // No database has a leap second.
                    at.nanosecond().is_multiple_of(1_000) && at.nanosecond() < 1_000_000_000
                };
                let whole = |text: &str| instant(text).filter(exact);
                let at = whole(text).or_else(|| whole(&format!("{text}:00")));
                at.map(|at| Self::Instant(at.timestamp_micros()))
            }
            (Self::Decimal(number), Kind::Instant) => {
                let micros = match epoch? {
                    Epoch::Seconds => number.digits_at(6),
                    Epoch::Millis => number.digits_at(3),
                };
                i64::try_from(micros?).ok().map(Self::Instant)
            }
            (same, kind) => (same.kind() == Some(kind)).then(|| self.clone()),
        }
    }

    /// Says whether two values are one, whatever types brought them: the one rule for `values`, `keys` and
    /// `reconcile`. Numbers in different spellings are one number, a text is the number, date or instant that it
    /// spells, 1 is true.
    pub fn is_same(&self, other: &Self, [ours, theirs]: [Option<Epoch>; 2]) -> bool {
        if let (Self::Text(a), Self::Text(b)) = (self, other) {
            return a == b || (is_uuid(a) || is_uuid(b)) && uuid(a).is_some() && uuid(a) == uuid(b);
        }
        let kind = self.kind().zip(other.kind()).and_then(|(a, b)| Kind::of_both(a, b));
        match kind {
            None => self.kind().is_none() && self == other,
            Some(kind) => match (self.read_as(kind, ours), other.read_as(kind, theirs)) {
                (Some(a), Some(b)) => a == b,
                (None, _) | (_, None) => false,
            },
        }
    }

    /// Its number, where it is one.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Self::Decimal(decimal) => Some(decimal.number()),
            Self::Wide(number) | Self::Float(number) => Some(Number::clone(number)),
            Self::Null
            | Self::Bool(_)
            | Self::NonFinite(_)
            | Self::Date(_)
            | Self::Instant(_)
            | Self::Text(_)
            | Self::NoDate(_) => None,
        }
    }

    /// The value as programs read it: decimals and texts whole, instants by RFC 3339; nothing for NULL.
    pub fn plain(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.to_string()),
            Self::Decimal(decimal) => Some(decimal.number().plain()),
            Self::Wide(number) | Self::Float(number) => Some(number.plain()),
            Self::Bool(_)
            | Self::NonFinite(_)
            | Self::Date(_)
            | Self::Instant(_)
            | Self::NoDate(_) => Some(self.to_string()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Decimal(_) | Self::Wide(_) | Self::Float(_) => 2,
            Self::NonFinite(_) => 3,
            Self::NoDate(_) => 4,
            Self::Date(_) => 5,
            Self::Instant(_) => 6,
            Self::Text(_) => 7,
        }
    }
}

impl Ord for Cell {
    /// The order in which streams come: NULL first, numbers by value, texts by bytes.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Decimal(ours), Self::Decimal(theirs)) => ours.cmp(theirs),
            (Self::Text(ours), Self::Text(theirs)) => ours.as_bytes().cmp(theirs.as_bytes()),
            (Self::Instant(ours), Self::Instant(theirs)) => ours.cmp(theirs),
            (Self::Date(ours), Self::Date(theirs)) => ours.cmp(theirs),
            (Self::Bool(ours), Self::Bool(theirs)) => ours.cmp(theirs),
            (Self::NoDate(ours), Self::NoDate(theirs)) => ours.cmp(theirs),
            (Self::NonFinite(ours), Self::NonFinite(theirs)) => {
                let place = |which: &NonFinite| match which {
                    NonFinite::NegativeInfinity => 0,
                    NonFinite::Infinity => 1,
                    NonFinite::NaN => 2,
                };
                place(ours).cmp(&place(theirs))
            }
            (ours, theirs) => match (ours.as_number(), theirs.as_number()) {
                (Some(ours), Some(theirs)) => ours.cmp(&theirs),
                (None, _) | (_, None) => ours.rank().cmp(&theirs.rank()),
            },
        }
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cell {}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers in findings are cut as texts are: a finding is read on a telephone.
fn short(f: &mut fmt::Formatter<'_>, number: &Number) -> fmt::Result {
    const SHOWN: usize = 60;
    let text = number.normal();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => write!(f, "{}…", &text[..at]),
        None => f.write_str(&text),
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Value::Null.fmt(f),
            Self::Bool(value) => value.fmt(f),
            // Zeros at the end say how it was stored, and nothing else.
            Self::Decimal(decimal) => short(f, &decimal.number()),
            Self::Wide(number) | Self::Float(number) => short(f, number),
            Self::NonFinite(which) => Value::NonFinite(*which).fmt(f),
            Self::Date(date) => date.fmt(f),
            Self::Instant(micros) => match DateTime::<Utc>::from_timestamp_micros(*micros) {
                Some(at) => Value::Instant(at).fmt(f),
                None => write!(f, "{micros} µs"),
            },
            Self::Text(text) => Value::Text(text.to_string()).fmt(f),
            Self::NoDate(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn n(text: &str) -> Cell {
        Cell::new(Value::Number(Number::from_digits(text).unwrap()), false)
    }

    #[test]
    fn equal_is_what_has_one_value() {
        for (ours, theirs) in [
            ("0", "-0"),
            ("1.0", "1.00"),
            ("1e3", "1000"),
            (
                "12345678901234567890123456789012345678901234",
                "12345678901234567890123456789012345678901234.0",
            ),
            ("0.00000000000000000000000000000000000000000001", "1e-44"),
        ] {
            assert_eq!(n(ours).cmp(&n(theirs)), Ordering::Equal, "{ours} {theirs}");
        }
        assert_ne!(n("0.1"), n("0.10000000000000000000000000000000000001"));
        assert_ne!(Cell::Null, n("0"));
        assert_ne!(Cell::Text("a".into()), Cell::Text("a ".into()));
    }

    #[test]
    fn what_one_database_has_no_type_for_is_read_as_the_other_has_it() {
        let text = |t: &str| Cell::Text(t.into());
        assert_eq!(text("12.30").read_as(Kind::Number, None), Some(n("12.3")));
        assert_eq!(text(" 12").read_as(Kind::Number, None), None);
        let at = Cell::Instant(1_772_946_000_000_000);
        for (cell, epoch) in [
            (text("2026-03-08 05:00:00"), None),
            (text("2026-03-08T05:00:00Z"), None),
            (n("1772946000"), Some(Epoch::Seconds)),
            (n("1772946000000"), Some(Epoch::Millis)),
        ] {
            assert_eq!(cell.read_as(Kind::Instant, epoch), Some(at.clone()), "{cell}");
        }
        assert_eq!(n("1772946000").read_as(Kind::Instant, None), None);
        assert_eq!(Cell::Bool(true).read_as(Kind::Number, None), Some(n("1")));
        assert_eq!(Kind::of_both(Kind::Date, Kind::Instant), None);
    }

    proptest! {
        /// The short form orders as the long one does.
        #[test]
        fn numbers_are_ordered_by_value(a in any::<i64>(), b in any::<i64>(), s in 0_u8..30, t in 0_u8..30) {
            let (x, y) = (Decimal::new(i128::from(a), s), Decimal::new(i128::from(b), t));
            prop_assert_eq!(x.cmp(&y), x.number().cmp(&y.number()));
            if let Some(sum) = x.plus(y) {
                prop_assert_eq!(sum.number(), x.number().plus(&y.number()));
            }
        }
    }
}
