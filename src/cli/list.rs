//! `list`: what is declared, a line each.

use serde_json::{Value, json};

use crate::cli::args::{ListArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::cli::validate::{load, refuse};
use crate::domain::check::Check;
use crate::domain::check::looks::looks;

pub(super) fn list(args: &ListArgs) -> Exit {
    let loaded = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    let is_wanted = |check: &&Check| {
        args.owner.as_deref().is_none_or(|owner| check.owner.as_str() == owner)
            && args
                .source
                .as_deref()
                .is_none_or(|source| check.sources().iter().any(|one| one.as_str() == source))
    };
    let checks = loaded.catalogue.checks().iter().map(AsRef::as_ref);
    let checks: Vec<&Check> = checks.filter(is_wanted).collect();
    match args.output {
        Output::Text => print(&text(&checks)),
        Output::Json => {
            let all: Vec<Value> = checks.iter().map(|check| one(check)).collect();
            print(&format!("{:#}\n", json!({"format": 1, "checks": all})))
        }
    }
}

fn text(checks: &[&Check]) -> String {
    if checks.is_empty() {
        return "no check is like that\n".to_owned();
    }
    let rows: Vec<[String; 6]> = checks.iter().map(|check| row(check)).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells =
            row.iter().take(5).zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}

fn sources(check: &Check) -> String {
    check.sources().iter().map(|source| source.as_str()).collect::<Vec<_>>().join(", ")
}

fn row(check: &Check) -> [String; 6] {
    [
        check.id.to_string(),
        check.severity.to_string(),
        check.owner.to_string(),
        sources(check),
        looks(check, None),
        format!("{}:{}", check.file, check.line),
    ]
}

fn one(check: &Check) -> Value {
    let sources: Vec<&str> = check.sources().iter().map(|source| source.as_str()).collect();
    json!({
        "check": check.id.as_str(),
        "why": check.why,
        "severity": check.severity.as_str(),
        "owner": check.owner.as_str(),
        "sources": sources,
        "looks": looks(check, None),
        "file": check.file,
        "line": check.line,
    })
}
