//! The part of the JSON Schema that is about how far data is complete: of checks, and of sources.

use serde_json::Value;

use crate::manifest::freshness::COMPLETE_UNTIL_KEYS;
use crate::manifest::schema::{check_key, described, duration, object};

/// Of a check and of a source.
pub(crate) fn complete_until() -> Value {
    described(
        object(&COMPLETE_UNTIL_KEYS, &["sql"], check_key),
        "A query for the instant up to which the data is complete: a window waits for it.",
    )
}

/// Of a check and of a source.
pub(crate) fn max_lag() -> Value {
    described(
        duration(),
        "How far behind the data may be where a check looks at the present; `result_by` by default.",
    )
}
