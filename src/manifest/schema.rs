//! The JSON Schema of the language, for editors.
//!
//! It says of a file's structure what the parser says. What needs more than structure (that limits
//! can fail, that SQL reads, that a source exists) only the parser knows.

use serde_json::{Value, json};

use crate::manifest::expectation::{
    EVIDENCE_KEYS, EXPECT_KEYS, FROM_KEYS, KEYS_KEYS, LIMIT_KEYS, ROW_LIMIT_KEYS, SAMPLES_KEYS,
};
use crate::manifest::file::{CHECK_KEYS, DEFAULTS_KEYS, FILE_KEYS, SEVERITIES};

/// Returns the JSON Schema (2020-12) of a file of checks.
pub fn schema() -> Value {
    let mut root = object(&FILE_KEYS, &["version", "checks"], file_key);
    let fields = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "allswell checks",
        "description": "Declared invariants: what healthy means, where to look, who answers.",
    });
    if let (Value::Object(root), Value::Object(fields)) = (&mut root, fields) {
        root.extend(fields);
    }
    root
}

fn object(keys: &[&str], required: &[&str], of: fn(&str) -> Value) -> Value {
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

fn described(mut schema: Value, description: &str) -> Value {
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
        _ => json!({
            "type": "array",
            "minItems": 1,
            "items": object(&CHECK_KEYS, &["id", "why", "sql", "expect"], check_key),
        }),
    }
}

fn check_key(key: &str) -> Value {
    match key {
        "id" => described(name(), "The stable identity: a label, and the key of its history."),
        "why" => described(text(), "What is broken if this is violated."),
        "owner" => described(owner(), "Who answers."),
        "severity" => {
            let words: Vec<&str> = SEVERITIES.iter().map(|(word, _)| *word).collect();
            described(json!({"enum": words}), "How bad a violation is; warning by default.")
        }
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
        "sql" => described(text(), "One statement that reads, in the source's dialect."),
        "expect" => described(object(&EXPECT_KEYS, &[], expect_key), "What healthy means."),
        "evidence" => described(
            object(&EVIDENCE_KEYS, &[], evidence_key),
            "What proves that something was looked at.",
        ),
        "timeout" => described(
            json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
            "How long each statement may run: 30s by default.",
        ),
        "max_rows" => described(
            json!({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
            "How many rows are read at most: 10,000 by default.",
        ),
        _ => described(
            object(&SAMPLES_KEYS, &["columns"], samples_key),
            "Columns of bad rows that may be shown beside those that are judged.",
        ),
    }
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

fn limit_key(key: &str) -> Value {
    match key {
        "one_of" => json!({"type": "array", "items": scalar(), "minItems": 1}),
        "nulls" => json!({"const": "allowed"}),
        _ => scalar(),
    }
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
        _ => text(),
    }
}

fn samples_key(key: &str) -> Value {
    match key {
        "rows" => json!({"type": "integer", "minimum": 1, "maximum": 20}),
        _ => columns(),
    }
}

fn columns() -> Value {
    json!({"type": "array", "items": scalar(), "minItems": 1})
}

fn name() -> Value {
    // A name like `1` is a number to YAML and a name to us.
    json!({"type": ["string", "number", "boolean"], "pattern": "^[a-z0-9-]{1,63}$"})
}

fn owner() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "^[A-Za-z0-9._-]{1,63}$"})
}

fn text() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}

fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean"], "pattern": "\\S"})
}
