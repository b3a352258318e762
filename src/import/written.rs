//! Checks as YAML.

use std::fmt::Write as _;

use crate::import::found::{Body, Check, Rules};
use crate::manifest::word;

/// The rules that NULL breaks here, and passes elsewhere.
const OF_VALUES: [&str; 9] = [
    "one_of",
    "not_one_of",
    "equals",
    "not_equals",
    "min",
    "max",
    "length",
    "pattern",
    "tolerance",
];

/// A text, as YAML reads it.
pub(super) fn quoted(text: &str) -> String {
    word(text)
}

/// A list of texts, or of what is written already.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// A check, as an item of `checks`.
pub(super) fn check(check: &Check) -> String {
    let mut text = format!("  - id: {}\n    why: {}\n", check.id, quoted(&check.why));
    if let Some(owner) = &check.about.owner {
        let _ = writeln!(text, "    owner: {}", quoted(owner));
    }
    if let Some(severity) = check.about.severity {
        let _ = writeln!(text, "    severity: {severity}");
    }
    match &check.body {
        Body::Table(rules) => table(&mut text, check, rules),
        Body::Sql { sql, expect, evidence } => {
            let _ = writeln!(text, "    sql: {}", quoted(sql));
            let _ = writeln!(text, "    expect: {expect}");
            if let Some(evidence) = evidence {
                let _ = writeln!(text, "    evidence: {{sql: {}}}", quoted(evidence));
            }
        }
    }
    text
}

fn table(text: &mut String, check: &Check, rules: &Rules) {
    let _ = writeln!(text, "    table: {}", quoted(&check.about.table));
    if let Some(filter) = &check.about.filter {
        let _ = writeln!(text, "    where: {}", quoted(filter));
    }
    if !rules.columns.is_empty() {
        text.push_str("    columns:\n");
    }
    for (column, all) in &rules.columns {
        let mut rules: Vec<String> =
            all.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let is_of_values = all.keys().any(|key| OF_VALUES.contains(key));
        if is_of_values && !all.contains_key("nulls") {
            rules.push("nulls: allowed".to_owned());
        }
        let rules =
            if rules.is_empty() { String::new() } else { format!(" {{{}}}", rules.join(", ")) };
        let _ = writeln!(text, "      {}:{rules}", quoted(column));
    }
    if !rules.unique.is_empty() {
        let each =
            |columns: &Vec<String>| list(&columns.iter().map(|c| quoted(c)).collect::<Vec<_>>());
        let all: Vec<String> = rules.unique.iter().map(each).collect();
        let _ = writeln!(text, "    unique: {}", list(&all));
    }
    if !rules.never.is_empty() {
        let all: Vec<String> = rules.never.iter().map(|one| quoted(one)).collect();
        let _ = writeln!(text, "    never: {}", list(&all));
    }
    if !rules.rows.is_empty() {
        let all: Vec<String> =
            rules.rows.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let _ = writeln!(text, "    rows: {{{}}}", all.join(", "));
    }
    if let Some((column, within)) = &rules.newest {
        let _ = writeln!(text, "    newest: {{of: {}, within: {within}}}", quoted(column));
    }
}
