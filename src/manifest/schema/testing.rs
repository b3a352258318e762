//! The JSON Schema of files of tests, for editors.

use serde_json::{Value, json};

use crate::domain::testing::Free;
use crate::domain::testing::expected::CAUSES;
use crate::manifest::schema::{described, duration, object, scalar, text};
use crate::manifest::testing::given::{AROUND, MADE_KEYS, ROWS_MAX};
use crate::manifest::testing::look::{EXPECT_KEYS, WINDOW_KEYS};
use crate::manifest::testing::{ACCEPT_KEYS, FILE_KEYS, TEST_KEYS};

/// Returns the JSON Schema (2020-12) of a file of tests.
pub fn schema_of_tests() -> Value {
    let mut root = object(&FILE_KEYS, &["version", "schema"], file_key);
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "allswell tests".into();
    root["description"] = "Rows that are made up, and what checks have to say of them.".into();
    root
}

fn file_key(key: &str) -> Value {
    match key {
        "version" => described(json!({"const": 1}), "The version of the language."),
        "schema" => described(
            json!({"oneOf": [text(), map_of(&text())]}),
            "The file of statements that makes the tables, counted from this one; by source, where there are several.",
        ),
        "defaults" => {
            described(map_of(&row()), "By table: what its rows hold where they do not say it.")
        }
        "tests" => described(
            json!({"type": "array", "minItems": 1, "items": object(&TEST_KEYS, &["of", "name", "given", "expect"], test_key)}),
            "The tests.",
        ),
        _ => described(
            json!({"type": "array", "minItems": 1, "items": object(&ACCEPT_KEYS, &["of", "because"], accept_key)}),
            "Tests that are switched off, and mistakes that no row can show, each with its reason.",
        ),
    }
}

fn test_key(key: &str) -> Value {
    match key {
        "of" => described(text(), "The check that is tested, by its id."),
        "name" => described(text(), "What the rows are like, in a line."),
        "window" => described(
            json!({"oneOf": [text(), object(&WINDOW_KEYS, &[], window_key)]}),
            "Where the check looks: a date, or a date or an instant with a zone.",
        ),
        "given" => described(
            json!({"type": "object", "additionalProperties": {"oneOf": [
                made(),
                {"type": "array", "items": {"anyOf": [row(), made()]}},
            ]}}),
            "By table: its rows. Tables that are not named are empty.",
        ),
        _ => described(
            json!({"oneOf": [
                verdict(),
                {"type": "object", "minProperties": 1, "propertyNames": {"pattern": "^([+-]|UTC$|.*/)"},
                 "additionalProperties": verdict()},
            ]}),
            "What the check has to say: one verdict, or one for each offset or zone.",
        ),
    }
}

fn verdict() -> Value {
    json!({"oneOf": [
        {"enum": ["confirmed", "violated"]},
        {"allOf": [object(&EXPECT_KEYS, &[], expect_key), {"maxProperties": 1}]},
    ]})
}

fn expect_key(key: &str) -> Value {
    match key {
        "violated" => described(
            json!({"oneOf": [scalar(), {"type": "array", "minItems": 1, "items": scalar()}]}),
            "What stands in the finding: a column, a key, a value.",
        ),
        _ => described(json!({"enum": CAUSES.map(|cause| cause.as_str())}), "The cause."),
    }
}

fn window_key(key: &str) -> Value {
    match key {
        "date" => described(text(), "The local date with which the window begins."),
        "at" => described(text(), "An instant within the window."),
        "zone" => described(text(), "Its zone."),
        _ => described(
            json!({"type": "array", "minItems": 1, "items": text()}),
            "Its zones: the check looks at each.",
        ),
    }
}

fn accept_key(key: &str) -> Value {
    match key {
        "of" => described(text(), "The check, by its id."),
        "test" => described(
            json!({"enum": Free::WORDS.map(|(word, _)| word)}),
            "The test that each check has, and this one has not.",
        ),
        "mutant" => described(text(), "The mistake, as `allswell test --mutants` names it."),
        _ => described(text(), "Why."),
    }
}

/// What the columns of a row hold.
fn row() -> Value {
    json!({"type": "object", "minProperties": 1,
           "additionalProperties": {"type": ["string", "number", "boolean", "null"]}})
}

/// Rows that are written once.
fn made() -> Value {
    object(&MADE_KEYS, &[], |key| match key {
        "around" => described(
            json!({"enum": AROUND.map(|(word, _)| word)}),
            "Rows just before and at the bounds of each window, or at clock changes too.",
        ),
        "every" => described(duration(), "Rows at each such step of each window."),
        "times" => described(
            json!({"type": "integer", "minimum": 1, "maximum": ROWS_MAX}),
            "So many rows.",
        ),
        "column" => described(text(), "The column of instants that `around` and `every` fill."),
        _ => described(row(), "What else each row holds."),
    })
}

fn map_of(value: &Value) -> Value {
    json!({"type": "object", "minProperties": 1, "additionalProperties": value})
}
