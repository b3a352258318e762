//! The JSON Schema of the language, for editors.
//!
//! It says of a file's structure what the parser says. What needs more than structure (that limits
//! can fail, that SQL reads, that a source exists) only the parser knows.

mod freshness;
mod table;
mod testing;
mod window;

use serde_json::{Value, json};

pub(crate) use freshness::{complete_until, max_lag};
pub use testing::schema_of_tests;

use crate::domain::check::CatchUpPolicy;
use crate::domain::check::recheck::Recheck;
use crate::domain::time::timetable::{Fold, Gap};
use crate::manifest::expectation::{EVIDENCE_KEYS, EXPECT_KEYS, KEYS_KEYS, SAMPLES_KEYS};
use crate::manifest::file::{CHECK_KEYS, DEFAULTS_KEYS, FILE_KEYS};
use crate::manifest::identity::{REMOVED_KEYS, WEAKENED_KEYS};
use crate::manifest::limits::{LIMIT_KEYS, ROW_LIMIT_KEYS};
use crate::manifest::part::FROM_KEYS;
use crate::manifest::part::SEVERITIES;
use crate::manifest::recheck::{NO_AGES, RECHECK_KEYS};
use crate::manifest::reconcile::{
    DETAIL_KEYS, RECONCILE_KEYS, ROWS_KEYS, SIDE_KEYS, TOLERANCE_KEYS, WHEN,
};
use crate::manifest::table::TABLE_KEYS;
use crate::manifest::timing::{
    AFTER_MAX, ALERT_KEYS, CATCH_UP_KEYS, EXCEPT_KEYS, PAUSE_KEYS, SCHEDULE_KEYS,
};

/// Returns the JSON Schema (2020-12) of a file of checks.
pub fn schema() -> Value {
    let mut root = object(&FILE_KEYS, &["version"], file_key);
    let fields = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "allswell checks",
        "description": "Declared invariants: what healthy means, where to look, who answers.",
        "anyOf": [{"required": ["checks"]}, {"required": ["removed"]}, {"required": ["weakened"]}],
    });
    if let (Value::Object(root), Value::Object(fields)) = (&mut root, fields) {
        root.extend(fields);
    }
    root
}

pub(crate) fn object(keys: &[&str], required: &[&str], of: fn(&str) -> Value) -> Value {
    let properties: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "minProperties": 1,
    })
}

pub(crate) fn described(mut schema: Value, description: &str) -> Value {
    if let Value::Object(map) = &mut schema {
        map.insert("description".into(), description.into());
    }
    schema
}

fn file_key(key: &str) -> Value {
    match key {
        "version" => described(json!({"const": 1}), "The version of the language."),
        "owner" => described(owner(), "Who answers for the checks of this file."),
        "defaults" => described(
            object(&DEFAULTS_KEYS, &[], check_key),
            "What a check takes where it says nothing itself.",
        ),
        "removed" => described(
            json!({
                "type": "array",
                "minItems": 1,
                "items": object(&REMOVED_KEYS, &["id", "because"], removed_key),
            }),
            "Checks that are gone, each with the reason.",
        ),
        "weakened" => described(
            json!({
                "type": "array",
                "minItems": 1,
                "items": object(&WEAKENED_KEYS, &["id", "because", "until"], |key| match key {
                    "until" => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
                    other => removed_key(other),
                }),
            }),
            "Critical checks that a change makes weaker, each with the reason: the word that it waits for.",
        ),
        _ => json!({
            "type": "array",
            "minItems": 1,
            "items": check(),
        }),
    }
}

/// A check: with `sql` and `expect`, with `reconcile` and neither of them, or with a table.
fn check() -> Value {
    let mut check = object(&CHECK_KEYS, &["id", "why"], check_key);
    let never = |keys: &[&str]| {
        let keys: Vec<Value> = keys.iter().map(|key| json!({"required": [key]})).collect();
        json!({"anyOf": keys})
    };
    let others =
        |of: &[&'static str]| never(&of.iter().chain(&TABLE_KEYS).copied().collect::<Vec<_>>());
    let bodies = json!([
        {"required": ["sql", "expect"], "not": others(&["reconcile"])},
        {"required": ["reconcile"], "not": others(&["sql", "expect", "samples"])},
        {"required": ["table"], "not": never(&["tables", "sql", "reconcile", "expect"])},
        {"required": ["tables"], "not": never(&["table", "sql", "reconcile", "expect"])},
    ]);
    if let Value::Object(map) = &mut check {
        map.insert("oneOf".into(), bodies);
    }
    check
}

fn reconcile_key(key: &str) -> Value {
    match key {
        "left" => described(object(&SIDE_KEYS, &["sql"], check_key), "One side."),
        "right" => described(object(&SIDE_KEYS, &["sql"], check_key), "The other side."),
        "confirm_after" => described(
            duration(),
            "How long after a difference both are asked again: 30s by default, 0s for data that does \
             not move.",
        ),
        "detail" => described(
            object(&DETAIL_KEYS, &["left", "right", "key"], detail_key),
            "The rows behind, read in the order of their key to name those that differ.",
        ),
        other => terms_key(other),
    }
}

fn detail_key(key: &str) -> Value {
    match key {
        "left" | "right" => object(&ROWS_KEYS, &["sql"], check_key),
        "when" => described(words(&WHEN), "Where the results differ, or each time."),
        other => terms_key(other),
    }
}

fn terms_key(key: &str) -> Value {
    match key {
        "key" => described(columns(), "The columns that together name a row."),
        _ => described(
            json!({
                "type": "object",
                "additionalProperties": object(&TOLERANCE_KEYS, &[], |_| scalar()),
                "minProperties": 1,
            }),
            "The columns that have to be the same, and how far they may be apart.",
        ),
    }
}

fn removed_key(key: &str) -> Value {
    if key == "id" { name() } else { text() }
}

fn check_key(key: &str) -> Value {
    match key {
        "id" => described(name(), "The stable identity: a label, and the key of its history."),
        "was" => described(name(), "Its earlier id, whose history it goes on with."),
        "why" => described(text(), "What is broken if this is violated."),
        "owner" => described(owner(), "Who answers."),
        "severity" => described(words(&SEVERITIES), "How bad a violation is; warning by default."),
        "labels" => described(
            json!({
                "type": "object",
                "propertyNames": {"pattern": "^[a-z_][a-z0-9_]{0,62}$"},
                "additionalProperties": scalar(),
                "minProperties": 1,
            }),
            "The team's own labels.",
        ),
        "runbook" => described(
            json!({"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://"}),
            "Where it is written what to do.",
        ),
        "source" => described(name(), "The database to look at, as the settings name it."),
        "schedule" => described(
            object(&SCHEDULE_KEYS, &[], schedule_key),
            "When to look: on a grid, or by a crontab line in a zone.",
        ),
        "window" => described(
            window::window(),
            "Which data to look at: a calendar period of a zone, or a grid over UTC.",
        ),
        "result_by" => described(duration(), "How long after its due a result may be missing."),
        "catch_up" => described(
            object(&CATCH_UP_KEYS, &[], catch_up_key),
            "What becomes of windows that were not looked at in time.",
        ),
        "recheck" => recheck(),
        "alert" => described(object(&ALERT_KEYS, &[], alert_key), "When an alert is sent."),
        "pause" => described(
            object(&PAUSE_KEYS, &["until", "because"], pause_key),
            "Until when nothing is looked at, and why; it is caught up afterwards.",
        ),
        "except" => described(
            object(&EXCEPT_KEYS, &["dates", "because"], except_key),
            "Dates that are not looked at, and why.",
        ),
        "sql" => described(text(), "One statement that reads, in the source's dialect."),
        "reconcile" => described(
            object(&RECONCILE_KEYS, &["left", "right", "key"], reconcile_key),
            "Two queries whose results have to be the same, joined by key.",
        ),
        "expect" => described(object(&EXPECT_KEYS, &[], expect_key), "What healthy means."),
        "evidence" => described(
            object(&EVIDENCE_KEYS, &[], evidence_key),
            "What proves that something was looked at.",
        ),
        "timeout" => described(duration(), "How long each statement may run: 30s by default."),
        "complete_until" => complete_until(),
        "max_lag" => max_lag(),
        "max_rows" => described(
            json!({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
            "How many rows are read at most: 10,000 by default.",
        ),
        "accept" => described(
            json!({"type": "object", "additionalProperties": text(), "minProperties": 1}),
            "Codes of warnings that are meant, each with the reason.",
        ),
        key if TABLE_KEYS.contains(&key) => table::table_key(key),
        _ => shown_key(key),
    }
}

/// What of the data may be shown.
fn shown_key(key: &str) -> Value {
    match key {
        "mask" => described(
            columns(),
            "Columns whose values are shown nowhere: not in findings, alerts, logs or the ledger.",
        ),
        _ => described(
            object(&SAMPLES_KEYS, &["columns"], samples_key),
            "Columns of bad rows that may be shown beside those that are judged.",
        ),
    }
}

/// Ages, or the reason why there are none.
fn recheck() -> Value {
    let ages =
        json!({"type": "array", "items": duration(), "minItems": 1, "maxItems": Recheck::MOST});
    let none = object(&RECHECK_KEYS, &RECHECK_KEYS, |key| match key {
        "ages" => words(&NO_AGES),
        _ => text(),
    });
    described(
        json!({"oneOf": [ages, none]}),
        "At which ages, from its due on, a window that was proved is proved again.",
    )
}

fn schedule_key(key: &str) -> Value {
    match key {
        "every" => described(duration(), "The time between two looks: 1s to 366d."),
        "cron" => described(
            json!({"type": "string", "pattern": "\\S"}),
            "minute hour day month weekday, with crontab's numbers and names; or @daily.",
        ),
        "zone" => described(zone(), "By whose clock; the window's zone where none is written."),
        "gap" => described(words(&Gap::WORDS), "For times that clocks leave out."),
        _ => described(words(&Fold::WORDS), "For times that clocks show twice."),
    }
}

fn catch_up_key(key: &str) -> Value {
    match key {
        "policy" => words(&CatchUpPolicy::WORDS),
        _ => duration(),
    }
}

fn alert_key(key: &str) -> Value {
    match key {
        "after" => json!({"type": "integer", "minimum": 1, "maximum": AFTER_MAX}),
        _ => words(&SEVERITIES),
    }
}

fn pause_key(key: &str) -> Value {
    match key {
        "until" => json!({"type": "string", "pattern": "\\S"}),
        _ => text(),
    }
}

fn except_key(key: &str) -> Value {
    match key {
        "dates" => {
            json!({"type": "array", "items": {"type": "string", "pattern": "\\S"}, "minItems": 1})
        }
        _ => text(),
    }
}

fn words<T>(words: &[(&str, T)]) -> Value {
    json!({"enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
}

pub(crate) fn duration() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"})
}

fn zone() -> Value {
    json!({"type": "string", "pattern": "\\S"})
}

fn expect_key(key: &str) -> Value {
    match key {
        "rows" => described(object(&ROW_LIMIT_KEYS, &[], limit_key), "How many rows must come."),
        "values" => described(
            json!({
                "type": "object",
                "additionalProperties": object(&LIMIT_KEYS, &[], limit_key),
                "minProperties": 1,
            }),
            "What must hold for a column on every row.",
        ),
        _ => described(object(&KEYS_KEYS, &["columns", "from"], keys_key), "Who must appear."),
    }
}

pub(super) fn limit_key(key: &str) -> Value {
    match key {
        "one_of" => json!({"type": "array", "items": literal(), "minItems": 1}),
        "nulls" => json!({"const": "allowed"}),
        "tolerance" | "tolerance_ratio" => scalar(),
        _ => literal(),
    }
}

/// A value of a limit: in quotes an empty text is one.
pub(super) fn literal() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn keys_key(key: &str) -> Value {
    match key {
        "columns" => columns(),
        _ => object(&FROM_KEYS, &["sql"], check_key),
    }
}

fn evidence_key(key: &str) -> Value {
    match key {
        "column" => scalar(),
        "sql" => text(),
        "min" => json!({"type": "integer", "minimum": 0}),
        "history" => json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        "per" => json!({"const": "window"}),
        _ => text(),
    }
}

fn samples_key(key: &str) -> Value {
    match key {
        "rows" => json!({"type": "integer", "minimum": 1, "maximum": 20}),
        _ => columns(),
    }
}

pub(super) fn columns() -> Value {
    json!({"type": "array", "items": scalar(), "minItems": 1})
}

fn name() -> Value {
    // A name like `1` is a number to YAML and a name to us.
    json!({"type": ["string", "number", "boolean"], "pattern": "^[a-z0-9-]{1,63}$"})
}

fn owner() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "^[A-Za-z0-9._-]{1,63}$"})
}

pub(super) fn text() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}

pub(super) fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}
