//! One value of a result, exact, or named for what it is where it has no exact reading.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

use crate::domain::check::number::Number;
use crate::domain::check::plain::is_obeyed;

/// A value as it came from a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL: satisfies no limit.
    Null,
    /// An integer, decimal or float, as an exact decimal.
    Number(Number),
    /// NaN, or an infinity of a number, a date or an instant: satisfies no limit.
    NonFinite(NonFinite),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A calendar date.
    Date(NaiveDate),
    /// An instant; a timestamp without zone is read as UTC.
    Instant(DateTime<Utc>),
    /// A date that no calendar has, as in MySQL's `0000-00-00`: satisfies no limit.
    NoDate(String),
}

/// The values that are ordered against everything and equal to nothing useful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// Not a number.
    NaN,
    /// Past every value.
    Infinity,
    /// Before every value.
    NegativeInfinity,
}

impl Value {
    /// Names the kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Number(_) => "a number",
            Self::NonFinite(_) => "not finite",
            Self::Text(_) => "a text",
            Self::Bool(_) => "true or false",
            Self::Date(_) => "a date",
            Self::Instant(_) => "an instant",
            Self::NoDate(_) => "not a date",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Number(n) => write_short_number(f, n),
            Self::NonFinite(NonFinite::NaN) => f.write_str("NaN"),
            Self::NonFinite(NonFinite::Infinity) => f.write_str("infinity"),
            Self::NonFinite(NonFinite::NegativeInfinity) => f.write_str("-infinity"),
            // In quotes, so that the text NULL is not NULL and an empty text is seen.
            Self::Text(t) => write_short(f, t),
            Self::Bool(b) => b.fmt(f),
            Self::Date(d) => d.fmt(f),
            Self::Instant(i) => f.write_str(&i.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::NoDate(t) => f.write_str(t),
        }
    }
}

/// Reads `2026-03-08`, and nothing looser.
pub fn date(text: &str) -> Option<NaiveDate> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    shape.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()
}

/// Reads an RFC 3339 instant, or `2026-03-08 02:30:00` as UTC.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    if !text.is_ascii() || text.len() < 19 || date(&text[..10]).is_none() {
        return None;
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.with_timezone(&Utc));
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|civil| civil.and_utc())
}

/// Reads a UUID in any spelling that PostgreSQL takes: capitals, without hyphens, in braces.
pub fn uuid(text: &str) -> Option<u128> {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    if !(32..=39).contains(&inner.len()) {
        return None;
    }
    let digits: String = inner.chars().filter(|c| *c != '-').collect();
    let hex = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

/// Says whether a text is a UUID as databases write it: 32 digits in five groups.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// So are numbers of very many digits; their size is told.
fn write_short_number(f: &mut fmt::Formatter<'_>, number: &Number) -> fmt::Result {
    const SHOWN: usize = 60;
    let text = number.to_string();
    let (digits, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
    match digits.get(..SHOWN) {
        Some(head) if digits.len() > SHOWN => {
            write!(f, "{head}…{exponent} ({} characters)", text.len())
        }
        Some(_) | None => f.write_str(&text),
    }
}

/// Texts in findings are cut: a finding is read on a telephone.
fn write_short(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    const SHOWN: usize = 60;
    let mut chars = text.chars();
    f.write_str("\"")?;
    for c in chars.by_ref().take(SHOWN) {
        if is_obeyed(c) { f.write_str("·")? } else { write!(f, "{c}")? }
    }
    f.write_str(if chars.next().is_some() { "…\"" } else { "\"" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_instants_have_one_form() {
        assert!(date("2026-03-08").is_some());
        for bad in ["2026-3-8", "2026-02-30", "20260308", "2026-03-08T", "+026-03-08", ""] {
            assert!(date(bad).is_none(), "{bad}");
        }
        let utc = instant("2026-03-08T01:30:00+01:30").unwrap();
        assert_eq!(utc, instant("2026-03-08 00:00:00").unwrap());
        for bad in ["2026-03-08", "2026-03-08 25:00:00", "noon"] {
            assert!(instant(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_number_of_many_digits_keeps_its_size() {
        let number = Number::parse(&format!("-{}", "7".repeat(100))).unwrap();
        let shown = Value::Number(number).to_string();
        assert!(shown.starts_with("-7.7777") && shown.contains("…e99 ("), "{shown}");
    }

    #[test]
    fn long_texts_are_cut_and_control_characters_hidden() {
        let shown = Value::Text(format!("a\nb{}", "x".repeat(100))).to_string();
        assert!(
            shown.starts_with("\"a·b") && shown.ends_with("…\"") && shown.chars().count() == 63
        );
    }
}
