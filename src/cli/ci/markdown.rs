//! A table in Markdown, for the summary of a job or a comment: what is wrong first. Whatever was found is shown as a
//! text: it makes no markup, and calls no one by name.

use std::fmt::Write as _;

use crate::cli::ci::{Place, Report, State, Suite};
use crate::domain::alerting::alert::cut;

/// How long it is at most, in bytes: a comment of GitHub takes 65,536 letters.
const BYTES_MAX: usize = 59_000;
/// What Markdown, or HTML in it, makes something of.
const MARKS: &str = "\\`*_{}[]<>#|~&@$^";
/// How much one row says of what was found, in bytes.
const FOUND_MAX: usize = 1_200;

pub(super) fn write(report: &Report) -> String {
    let mut text = format!("## allswell: {}\n", shown(&report.title));
    let (good, bad): (Vec<&Suite>, Vec<&Suite>) =
        report.suites.iter().partition(|s| matches!(s.state, State::Passed | State::Skipped));
    if !bad.is_empty() {
        text.push_str("\n| | | found |\n|---|---|---|\n");
    }
    let mut left = 0;
    for suite in bad {
        let row = row(suite);
        // What is less bad does not push out what is worse.
        if left > 0 || text.len() + row.len() > BYTES_MAX {
            left += 1;
        } else {
            text.push_str(&row);
        }
    }
    if left > 0 {
        let _ = writeln!(text, "\nand {left} more: `--output json` has all of them");
    }
    let names: Vec<String> =
        good.iter().map(|suite| format!("{} ({})", code(&suite.name), suite.word)).collect();
    let mut list = names.join(", ");
    if !list.is_empty() && text.len() + list.len() > BYTES_MAX {
        list = format!("{} checks", names.len());
    }
    if !list.is_empty() {
        let _ = write!(
            text,
            "\n<details><summary>{} more</summary>\n\n{list}\n\n</details>\n",
            names.len()
        );
    }
    text
}

fn row(suite: &Suite) -> String {
    let mut who = code(&suite.name);
    let facts: Vec<&str> = [suite.severity.as_str(), suite.owner.as_str()]
        .into_iter()
        .filter(|fact| !fact.is_empty())
        .collect();
    if !facts.is_empty() {
        let _ = write!(who, "<br>{}", shown(&facts.join(", ")));
    }
    if let Some(Place { file, line, .. }) = &suite.place {
        let place = if *line > 0 { format!("{file}:{line}") } else { file.clone() };
        let _ = write!(who, "<br>{}", code(&place));
    }
    let mut found: Vec<String> = Vec::new();
    if !suite.why.is_empty() {
        found.push(shown(&suite.why));
    }
    if !suite.seen.is_empty() {
        found.push(shown(&suite.seen));
    }
    let mut room = FOUND_MAX;
    for line in &suite.found {
        if room == 0 {
            break;
        }
        let line = cut(line, room);
        room = room.saturating_sub(line.len());
        found.push(code(&line));
    }
    format!("| **{}** | {who} | {} |\n", suite.word, found.join("<br>"))
}

/// A text that is only a text: as entities, Markdown makes nothing of what would be its marks.
fn shown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if MARKS.contains(c) => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The same, in which GitHub calls no user by name.
fn code(text: &str) -> String {
    format!("<code>{}</code>", shown(text))
}
