//! The wall clock. Whoever needs the time of day asks here, or gets it as an argument.

use chrono::{DateTime, Utc};

/// Returns the present instant.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
