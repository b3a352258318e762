//! Instants as answers show them.

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant for programs (RFC 3339).
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
