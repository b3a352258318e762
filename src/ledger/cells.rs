//! Values on their way to the store and back: instants are microseconds since 1970.

use chrono::{DateTime, Utc};

use crate::ledger::errors::LedgerError;

/// A value for a parameter.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Int(i64),
    MaybeInt(Option<i64>),
    Text(String),
    MaybeText(Option<String>),
    /// Only for servers.
    Ints(Vec<i64>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::MaybeInt(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::MaybeText(value)
    }
}

impl From<DateTime<Utc>> for Arg {
    fn from(value: DateTime<Utc>) -> Self {
        Self::Int(micros(value))
    }
}

impl From<Option<DateTime<Utc>>> for Arg {
    fn from(value: Option<DateTime<Utc>>) -> Self {
        Self::MaybeInt(value.map(micros))
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

/// An instant as it is stored: microseconds since 1970.
pub(super) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// An instant that was stored.
pub(super) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}

/// A row that came.
#[derive(Debug, Clone)]
pub(super) struct Record(pub(super) Vec<Cell>);

#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Record {
    /// A whole number that must be there.
    pub(super) fn int(&self, place: usize) -> Result<i64, LedgerError> {
        self.maybe_int(place)?.ok_or_else(|| LedgerError::odd("a number is missing"))
    }

    /// A whole number, where there is one.
    pub(super) fn maybe_int(&self, place: usize) -> Result<Option<i64>, LedgerError> {
        match self.0.get(place) {
            Some(Cell::Int(value)) => Ok(Some(*value)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text(_)) | None => Err(LedgerError::odd("a number is none")),
        }
    }

    /// An instant that must be there.
    pub(super) fn at(&self, place: usize) -> Result<DateTime<Utc>, LedgerError> {
        self.int(place).map(instant)
    }

    /// An instant, where there is one.
    pub(super) fn maybe_at(&self, place: usize) -> Result<Option<DateTime<Utc>>, LedgerError> {
        Ok(self.maybe_int(place)?.map(instant))
    }

    /// A count that must be there.
    pub(super) fn count(&self, place: usize) -> Result<u64, LedgerError> {
        u64::try_from(self.int(place)?).map_err(|_| LedgerError::odd("a count is negative"))
    }

    /// A text that must be there.
    pub(super) fn text(&self, place: usize) -> Result<&str, LedgerError> {
        self.maybe_text(place)?.ok_or_else(|| LedgerError::odd("a text is missing"))
    }

    /// A text, where there is one.
    pub(super) fn maybe_text(&self, place: usize) -> Result<Option<&str>, LedgerError> {
        match self.0.get(place) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(_)) | None => Err(LedgerError::odd("a text is none")),
        }
    }
}
