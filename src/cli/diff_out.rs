//! `run --diff-out`: every key on which two sides differ, for programs and spreadsheets.
//!
//! Nothing stands there but keys and what the check compares.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::cli::report::json::window;
use crate::domain::check::verdict::{Contradiction, Verdict};
use crate::domain::reconcile::Terms;
use crate::domain::reconcile::cell::Cell;
use crate::domain::reconcile::differences::How;
use crate::engine::reconcile::Differing;
use crate::engine::round::Outcome;

/// Writes what differs.
pub(super) fn write(path: &Path, outcomes: &[Outcome]) -> Exit {
    let is_json = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"));
    let text = if is_json { format!("{:#}\n", all_json(outcomes)) } else { csv(outcomes) };
    match create(path).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            whole(path, outcomes);
            Exit::Confirmed
        }
        Err(error) => {
            complain(&format!("cannot write {}: {error}", path.display()));
            Exit::Io
        }
    }
}

/// Says what does not stand in the file: it must not look as if both sides agreed.
fn whole(path: &Path, outcomes: &[Outcome]) {
    let compared = outcomes.iter().filter(|outcome| outcome.check.reconcile().is_some());
    let unknown =
        compared.filter(|outcome| matches!(outcome.judgement.verdict, Verdict::Unconfirmed(_)));
    let unknown = unknown.count();
    if unknown > 0 {
        let path = path.display();
        complain(&format!(
            "{path} says nothing of what was not compared: {unknown} of the results"
        ));
    }
    let told = outcomes.iter().filter_map(|outcome| match &outcome.judgement.verdict {
        Verdict::Violated(finding) => Some(&finding.contradictions),
        Verdict::Confirmed | Verdict::Unconfirmed(_) => None,
    });
    let differing: u64 = told
        .flatten()
        .filter_map(|contradiction| {
            if let Contradiction::Differs(told) = contradiction {
                Some(told.differing())
            } else {
                None
            }
        })
        .sum();
    let written = outcomes.iter().map(|outcome| outcome.differences.len()).sum::<usize>();
    let written = u64::try_from(written).unwrap_or(u64::MAX);
    if written < differing {
        let path = path.display();
        complain(&format!(
            "{path} has the first {written} of {differing} keys that differ: more are not kept; compare less at once"
        ));
    }
}

/// Says whether we know how to write a file of that name.
pub(super) fn is_known(path: &Path) -> bool {
    let suffix = path.extension().map(|suffix| suffix.to_ascii_lowercase());
    let is_no_file = || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    suffix.is_some_and(|suffix| suffix == "csv" || suffix == "json") || is_no_file()
}

/// Makes the file, for its owner alone: it holds values of rows.
pub(super) fn create(path: &Path) -> io::Result<fs::File> {
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    // One that was there already; a pipe or a terminal stays what it is.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Each difference of each outcome, with the terms by which it was found.
fn each(outcomes: &[Outcome]) -> impl Iterator<Item = (&Outcome, &Terms, &Differing)> {
    outcomes.iter().flat_map(|outcome| {
        let reconcile = outcome.check.reconcile();
        outcome.differences.iter().filter_map(move |differing| {
            let reconcile = reconcile?;
            let detail = reconcile.detail.as_ref().map(|detail| &detail.terms);
            let terms = if differing.of_rows { detail? } else { &reconcile.terms };
            Some((outcome, terms, differing))
        })
    })
}

/// Values of both sides, by column.
type Sides<'d> = Vec<(&'d str, [Option<&'d Cell>; 2])>;

/// How a difference is called, and the values of both sides by column.
fn sides<'d>(how: &'d How, terms: &'d Terms) -> (&'static str, Sides<'d>) {
    let name = |place: usize| terms.compare.get(place).map_or("", |(column, _)| column.as_str());
    let all = |cells: &'d [Cell], left: bool| {
        let of = |(place, cell)| {
            let pair = if left { [Some(cell), None] } else { [None, Some(cell)] };
            (name(place), pair)
        };
        cells.iter().enumerate().map(of).collect()
    };
    match how {
        How::Changed(columns) => {
            let pairs = columns.iter().map(|(place, l, r)| (name(*place), [Some(l), Some(r)]));
            ("changed", pairs.collect())
        }
        How::OnlyLeft(cells) => ("only_left", all(cells, true)),
        How::OnlyRight(cells) => ("only_right", all(cells, false)),
        How::Repeated(..) => ("repeated", Vec::new()),
    }
}

fn of(differing: &Differing) -> &'static str {
    if differing.of_rows { "rows" } else { "results" }
}

fn plain(cell: Option<&Cell>) -> Option<String> {
    cell.and_then(Cell::plain)
}

fn all_json(outcomes: &[Outcome]) -> Value {
    let one = |(outcome, terms, differing): (&Outcome, &Terms, &Differing)| {
        let (word, columns) = sides(&differing.difference.how, terms);
        let key = terms.key.iter().zip(&differing.difference.key);
        let key: Map<String, Value> =
            key.map(|(column, cell)| (column.to_string(), json!(cell.plain()))).collect();
        let columns: Map<String, Value> = columns
            .into_iter()
            .map(|(column, [l, r])| {
                (column.to_owned(), json!({"left": plain(l), "right": plain(r)}))
            })
            .collect();
        let times = match &differing.difference.how {
            How::Repeated(left, right) => json!({"left": left, "right": right}),
            How::Changed(_) | How::OnlyLeft(_) | How::OnlyRight(_) => Value::Null,
        };
        json!({
            "check": outcome.check.id.as_str(),
            "tz": outcome.tz.as_ref().map(|tz| tz.as_str()),
            "window": outcome.window.as_ref().map(|w| {
                let written = outcome.check.window.as_ref();
                let written = written.and_then(|rule| rule.zones.written().first());
                window(w, outcome.tz.as_ref().or(written))
            }),
            "of": of(differing),
            "difference": word,
            "key": key,
            "columns": columns,
            "times": times,
        })
    };
    json!({"format": 1, "differences": each(outcomes).map(one).collect::<Vec<_>>()})
}

/// One line for each column of each key; RFC 4180.
fn csv(outcomes: &[Outcome]) -> String {
    let mut text = String::from("check,tz,start,end,of,difference,key,column,left,right\r\n");
    for (outcome, terms, differing) in each(outcomes) {
        let (word, columns) = sides(&differing.difference.how, terms);
        let instants = outcome.window.as_ref().map(|window| (window.start, window.end));
        let shown = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (start, end) = instants.map_or_else(Default::default, |(s, e)| (shown(s), shown(e)));
        let key = terms.key.iter().zip(&differing.difference.key);
        let key: Map<String, Value> =
            key.map(|(column, cell)| (column.to_string(), json!(cell.plain()))).collect();
        let key = Value::Object(key).to_string();
        let tz = outcome.tz.as_ref().map_or("", |tz| tz.as_str());
        let head = [outcome.check.id.as_str(), tz, &start, &end, of(differing), word, &key];
        let mut line = |column: &str, left: String, right: String| {
            let cells = head.iter().copied().chain([column, left.as_str(), right.as_str()]);
            text.push_str(&cells.map(quoted).collect::<Vec<_>>().join(","));
            text.push_str("\r\n");
        };
        if let How::Repeated(left, right) = &differing.difference.how {
            line("", left.to_string(), right.to_string());
        } else if columns.is_empty() {
            line("", String::new(), String::new());
        }
        for (column, [left, right]) in columns {
            line(column, written(left), written(right));
        }
    }
    text
}

/// A value as it is written here: `\N` for NULL, nothing where a side has no such key; a text that begins with a
/// backslash has one more.
fn written(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return String::new() };
    match cell.plain() {
        None => "\\N".to_owned(),
        Some(text) if text.starts_with('\\') => format!("\\{text}"),
        Some(text) => text,
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
