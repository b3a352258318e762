//! Workflow commands of GitHub Actions: each becomes an annotation at its line of the change. GitHub shows ten of a
//! step, and drops the rest without a word.

use crate::cli::ci::{Place, Report, State, Suite};
use crate::domain::alerting::alert::cut;

/// How many annotations GitHub shows of one step.
const SHOWN: usize = 10;
/// How much an annotation says, in bytes: GitHub cuts what is longer than 4 KiB.
const WORDS_MAX: usize = 3_000;

pub(super) fn write(report: &Report) -> String {
    let told: Vec<&Suite> = report
        .suites
        .iter()
        .filter(|suite| matches!(suite.state, State::Failed | State::Error | State::Warned))
        .collect();
    let shown = if told.len() > SHOWN { SHOWN - 1 } else { told.len() };
    let mut text: String = told.iter().take(shown).map(|suite| annotation(suite)).collect();
    let left = &told[shown..];
    if let Some(first) = left.first() {
        let message = format!(
            "and {} more, which GitHub would not show: the step's log or `--output markdown` has them",
            left.len()
        );
        text.push_str(&command(first.state, &[("title", "allswell")], &message));
        for suite in left {
            text.push_str(&format!("{} {}: {}\n", suite.word, suite.name, line(suite)));
        }
    }
    text.push_str(&format!("{}\n", report.title));
    text
}

fn annotation(suite: &Suite) -> String {
    let title = format!("{} {}", suite.word, suite.name);
    let mut properties: Vec<(&str, String)> = Vec::new();
    if let Some(Place { file, line, column }) = &suite.place {
        properties.push(("file", file.clone()));
        for (name, number) in [("line", line), ("col", column)] {
            if *number > 0 {
                properties.push((name, number.to_string()));
            }
        }
    }
    properties.push(("title", title));
    let properties: Vec<(&str, &str)> =
        properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines: Vec<&str> = Vec::new();
    if !suite.seen.is_empty() {
        lines.push(&suite.seen);
    }
    lines.extend(suite.found.iter().map(String::as_str));
    let why = format!("why: {}", suite.why);
    if !suite.why.is_empty() {
        lines.push(&why);
    }
    command(suite.state, &properties, &cut(&lines.join("\n"), WORDS_MAX))
}

/// All that is said of it, in one line of the log; what looks like a command is none.
fn line(suite: &Suite) -> String {
    suite.found.join("; ").replace(['\r', '\n'], " ")
}

fn command(state: State, properties: &[(&str, &str)], message: &str) -> String {
    let kind = if state == State::Warned { "warning" } else { "error" };
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, value)| {
            format!("{name}={}", data(value).replace(':', "%3A").replace(',', "%2C"))
        })
        .collect();
    format!("::{kind} {}::{}\n", properties.join(","), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
