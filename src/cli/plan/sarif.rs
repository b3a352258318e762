//! Changes as SARIF 2.1.0 (OASIS), for code scanning.

use serde_json::{Value, json};

use crate::cli::ci::State;
use crate::cli::plan::told::{Plan, at, state};
use crate::domain::change::Class;

pub(super) fn write(plan: &Plan<'_>) -> Value {
    let rules = Class::ALL.map(|class| {
        json!({
            "id": class.as_str(),
            "shortDescription": {"text": meaning(class)},
        })
    });
    let results = plan.changes.iter().map(|(changed, word)| {
        let level = match state(changed, word) {
            State::Failed | State::Error => "error",
            State::Warned => "warning",
            State::Passed | State::Skipped => "note",
        };
        let mut lines = plan.lines(changed, word);
        lines.insert(0, format!("{} is {}", changed.id, changed.class));
        let location = at(changed).map(|(file, line)| {
            json!({
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(&file)},
                    "region": {"startLine": line.max(1)},
                },
            })
        });
        json!({
            "ruleId": changed.class.as_str(),
            "level": level,
            "message": {"text": lines.join("\n")},
            "locations": location.into_iter().collect::<Vec<_>>(),
            "partialFingerprints": {"check/v1": format!("{}:{}", changed.id, changed.class)},
        })
    });
    let settings = plan.settings_told().map(|(class, line)| {
        json!({
            "ruleId": class.as_str(),
            "level": if matches!(class, Class::Weaker | Class::Other | Class::Gone) { "warning" } else { "note" },
            "message": {"text": format!("settings: {line}")},
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "allswell",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results.chain(settings).collect::<Vec<_>>(),
        }],
    })
}

/// A path as a reference: what is no part of one is written by its number.
fn uri(file: &str) -> String {
    let file = file.trim_start_matches("./");
    let mut uri = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

fn meaning(class: Class) -> &'static str {
    match class {
        Class::Weaker => "Something passes, or is not looked at, that was not right before.",
        Class::Other => "Something else is asked: only looking at the data tells.",
        Class::Gone => "The check is gone.",
        Class::Exposes => "More values of the data are shown.",
        Class::Routing => "Others are told.",
        Class::New => "The check was not there.",
        Class::Stronger => "Less passes, or more is looked at.",
    }
}
