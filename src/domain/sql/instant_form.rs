//! How an instant is written in the SQL of one source, where a person types it.

use chrono::{DateTime, Utc};

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstantForm {
    /// A text with its offset, as PostgreSQL reads a `timestamptz`.
    #[default]
    WithOffset,
    /// A text in UTC without an offset: `2026-03-08 05:00:00`.
    Plain,
    /// A text in UTC: `2026-03-08T05:00:00`.
    Rfc3339,
    /// Whole seconds since 1970.
    EpochSecs,
    /// Milliseconds since 1970.
    EpochMillis,
}

impl InstantForm {
    /// The instant as SQL has it. It is what a check's own query is asked with, so that who types it gets the same rows.
    pub fn literal(self, at: DateTime<Utc>) -> String {
        match self {
            Self::WithOffset => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S%.f+00:00")),
            Self::Plain => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S")),
            Self::Rfc3339 => format!("'{}'", at.format("%Y-%m-%dT%H:%M:%S")),
            Self::EpochSecs => at.timestamp().to_string(),
            Self::EpochMillis => at.timestamp_millis().to_string(),
        }
    }
}
