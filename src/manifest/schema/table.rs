//! The part of the JSON Schema that is about `table`.

use serde_json::{Value, json};

use crate::manifest::limits::ROW_LIMIT_KEYS;
use crate::manifest::schema::{
    columns, described, duration, limit_key, literal, object, scalar, text,
};
use crate::manifest::table::column::{COLUMN_KEYS, LENGTH_KEYS, NULLS, NULLS_KEYS};
use crate::manifest::table::rows::{NEWEST_KEYS, PAST_MAX, VOLUME_KEYS};

/// A key of a check that is for `table`.
pub(super) fn table_key(key: &str) -> Value {
    match key {
        "table" => described(
            text(),
            "The table whose rows are judged, with its schema where it needs one.",
        ),
        "tables" => described(
            json!({"type": "array", "items": text(), "minItems": 1}),
            "Several tables with the same rules: each is a check of its own.",
        ),
        "where" => described(text(), "Which rows of it: a condition in the source's dialect."),
        "at" => described(scalar(), "The column of instants that windows cut."),
        "on" => described(scalar(), "The column of dates that windows of a day cut."),
        "zone_column" => described(scalar(), "The column that holds the zone of a row."),
        "columns" => described(
            json!({
                "type": "object",
                "additionalProperties": {"oneOf": [
                    {"type": "null"},
                    {"type": "object", "maxProperties": 0},
                    object(&COLUMN_KEYS, &[], column_key),
                ]},
                "minProperties": 1,
            }),
            "What has to hold of each column; one without rules has to be there.",
        ),
        "unique" => described(
            json!({"type": "array", "items": columns(), "minItems": 1}),
            "Columns that are unique together.",
        ),
        "never" => described(
            json!({"oneOf": [text(), {"type": "array", "items": text(), "minItems": 1}]}),
            "Conditions that hold on no row.",
        ),
        "newest" => described(
            object(
                &NEWEST_KEYS,
                &NEWEST_KEYS,
                |key| if key == "of" { scalar() } else { duration() },
            ),
            "How old the newest row may be.",
        ),
        _ => {
            let keys: Vec<&str> = ROW_LIMIT_KEYS.iter().chain(&VOLUME_KEYS).copied().collect();
            described(object(&keys, &[], rows_key), "How many rows there have to be.")
        }
    }
}

fn rows_key(key: &str) -> Value {
    match key {
        "past" => described(
            json!({"type": "integer", "minimum": 1, "maximum": PAST_MAX}),
            "How many windows earlier the ratios are held against.",
        ),
        "min_ratio" | "max_ratio" => {
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1000})
        }
        other => limit_key(other),
    }
}

fn column_key(key: &str) -> Value {
    let ratio = |_: &str| json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1});
    match key {
        "nulls" => {
            let words: Vec<&str> = NULLS.iter().map(|(word, _)| *word).collect();
            let shapes =
                json!({"oneOf": [{"enum": words}, object(&NULLS_KEYS, &NULLS_KEYS, ratio)]});
            described(shapes, "How often it may be NULL.")
        }
        "unique" => described(json!({"const": true}), "No value is there twice."),
        "in" => described(text(), "The table and column that has each of its values."),
        "not_one_of" => json!({"type": "array", "items": literal(), "minItems": 1}),
        "length" => described(
            object(&LENGTH_KEYS, &[], |_| json!({"type": "integer", "minimum": 0})),
            "How many characters its texts have.",
        ),
        "pattern" => described(text(), "What its texts look like, as a regular expression."),
        other => limit_key(other),
    }
}
