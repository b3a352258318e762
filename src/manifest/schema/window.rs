//! The part of the JSON Schema that is about windows.

use serde_json::{Value, json};

use crate::domain::time::period::Period;
use crate::manifest::schema::{check_key, described, duration, object, words, zone};
use crate::manifest::window::{PAST_MAX, SHRINKS, SPLITS, WINDOW_KEYS, ZONES_FROM_KEYS};

/// Which data a check looks at.
pub(super) fn window() -> Value {
    object(&WINDOW_KEYS, &["period"], window_key)
}

fn window_key(key: &str) -> Value {
    match key {
        "period" => described(
            json!({
                "type": "string",
                "pattern": "^(day|week|month|quarter|year|[0-9]+(ms|s|m|h|d))$",
            }),
            "A period of the local calendar, or the width of a grid over UTC: 1m to 24h.",
        ),
        "zone" => described(zone(), "Whose calendar."),
        "zones" => described(
            json!({"type": "array", "items": zone(), "minItems": 1}),
            "Whose calendars, each looked at on its own.",
        ),
        "zones_from" => described(
            object(&ZONES_FROM_KEYS, &["sql"], |key| match key {
                "shrinks" => words(&SHRINKS),
                key => check_key(key),
            }),
            "A query for the names of zones, each looked at on its own.",
        ),
        "from" => described(
            json!({"oneOf": [
                {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
                words(&Period::WEEKDAYS),
                {"type": "integer", "minimum": 1, "maximum": 31},
            ]}),
            "With what it begins: a day with a time like \"06:00\", a week with a weekday, a month with a day of 1 to 31, \
             or its last where it has no such day.",
        ),
        "past" => described(
            json!({"type": "integer", "minimum": 1, "maximum": PAST_MAX}),
            "So many periods earlier is the one of `:past_start`, `:past_end` and `:past_date`.",
        ),
        "split" => described(words(&SPLITS), "Whether each part with one offset is proved."),
        _ => described(duration(), "How long after its end late data may arrive."),
    }
}
