//! The tree is the architecture: a file names only lower floors, and a floor keeps to its libraries.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first; modules of one floor may name each other where the list says so.
const FLOORS: [&[&str]; 11] = [
    &["domain"],
    &["board", "bounded"],
    &["clock", "zones", "secret", "dsn", "http"],
    &["dial"],
    &["manifest", "source", "ledger", "alertmanager", "webhook", "heartbeat"],
    &["engine"],
    &["notify"],
    &["web"],
    &["settings"],
    &["daemon"],
    &["cli"],
];

/// What a module may not name.
const CLOSED: [(&str, &[&str]); 10] = [
    (
        "domain",
        &[
            "tokio",
            "serde",
            "serde_json",
            "serde_yaml",
            "sqlx",
            "std::fs",
            "std::io",
            "std::env",
            "async ",
        ],
    ),
    ("clock", &["sqlx", "tokio"]),
    ("zones", &["sqlx", "tokio"]),
    ("secret", &["sqlx", "tokio"]),
    ("dsn", &["sqlx", "tokio", "std::fs"]),
    ("manifest", &["sqlx", "tokio", "reqwest", "axum"]),
    ("source", &["serde", "serde_json", "serde_yaml", "axum", "reqwest"]),
    ("ledger", &["serde_yaml", "axum", "reqwest"]),
    ("web", &["sqlx"]),
    ("engine", &["sqlx", "serde", "serde_json", "axum"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20);
    found
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The part of a file that is not its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn every_module_has_a_floor() {
    for (path, _) in sources() {
        let module = module(&path);
        let outside = matches!(module.as_str(), "main" | "lib");
        assert!(outside || floor(&module).is_some(), "{}: which floor?", path.display());
    }
}

#[test]
fn a_file_names_only_lower_floors() {
    for (path, text) in sources() {
        let own = module(&path);
        let Some(own_floor) = floor(&own) else { continue };
        for named in production(&text).split("crate::").skip(1) {
            let named: String =
                named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            // The floor of what is imported from the crate's root in braces is not looked at; nobody
            // writes that.
            let named_floor = floor(&named);
            let below = named_floor.is_some_and(|floor| floor < own_floor);
            assert!(named == own || below, "{}: {own} names {named}", path.display());
        }
    }
}

#[test]
fn a_floor_keeps_to_its_libraries() {
    for (path, text) in sources() {
        let own = module(&path);
        let Some((_, closed)) = CLOSED.iter().find(|(module, _)| *module == own) else { continue };
        for (line, number) in production(&text).lines().zip(1..) {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in *closed {
                let names = line.contains(&format!("{word}::"))
                    || word.contains(' ') && line.contains(word);
                let allowed = own == "manifest" && matches!(*word, "serde" | "serde_json");
                assert!(
                    !names || allowed,
                    "{}:{number}: {own} is closed to {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn sql_from_outside_is_run_in_one_place() {
    for (path, text) in sources() {
        let safe = module(&path) == "source";
        assert!(safe || !production(&text).contains("AssertSqlSafe"), "{}", path.display());
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn no_file_holds_two_ideas() {
    for (path, text) in sources() {
        let lines = production(&text).lines().count();
        assert!(lines <= 480, "{}: {lines} lines", path.display());
    }
}
