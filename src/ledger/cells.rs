//! Values on their way to the store and back: instants are microseconds since 1970.

use std::sync::Arc;

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

/// A row that came, with the names of its columns.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) names: Arc<[String]>,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Record {
    fn cell(&self, name: &str) -> Option<&Cell> {
        let place = self.names.iter().position(|column| column == name)?;
        self.cells.get(place)
    }

    /// A whole number that must be there.
    pub(super) fn int(&self, name: &str) -> Result<i64, LedgerError> {
        self.maybe_int(name)?.ok_or_else(|| LedgerError::odd(format!("`{name}` is missing")))
    }

    /// A whole number, where there is one.
    pub(super) fn maybe_int(&self, name: &str) -> Result<Option<i64>, LedgerError> {
        match self.cell(name) {
            Some(Cell::Int(value)) => Ok(Some(*value)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Text(_)) | None => Err(LedgerError::odd(format!("`{name}` is no number"))),
        }
    }

    /// An instant that must be there.
    pub(super) fn at(&self, name: &str) -> Result<DateTime<Utc>, LedgerError> {
        self.int(name).map(instant)
    }

    /// An instant, where there is one.
    pub(super) fn maybe_at(&self, name: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        Ok(self.maybe_int(name)?.map(instant))
    }

    /// A count that must be there.
    pub(super) fn count(&self, name: &str) -> Result<u64, LedgerError> {
        u64::try_from(self.int(name)?)
            .map_err(|_| LedgerError::odd(format!("`{name}` is negative")))
    }

    /// A small whole number that must be there.
    pub(super) fn small(&self, name: &str) -> Result<i32, LedgerError> {
        let too_large = |_| LedgerError::odd(format!("`{name}` is too large"));
        i32::try_from(self.int(name)?).map_err(too_large)
    }

    /// A text that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&str, LedgerError> {
        self.maybe_text(name)?.ok_or_else(|| LedgerError::odd(format!("`{name}` is missing")))
    }

    /// A text, where there is one.
    pub(super) fn maybe_text(&self, name: &str) -> Result<Option<&str>, LedgerError> {
        match self.cell(name) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(_)) | None => Err(LedgerError::odd(format!("`{name}` is no text"))),
        }
    }
}
