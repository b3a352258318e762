//! The tree is the architecture: a file names only lower floors, and a floor keeps to its libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first; modules of one floor may name each other where the list says so.
const FLOORS: [&[&str]; 11] = [
    &["domain"],
    &["board", "bounded", "dsn"],
    &["clock", "zones", "secret", "http"],
    &["dial"],
    &["manifest", "source", "ledger", "alertmanager", "webhook", "heartbeat"],
    &["engine"],
    &["notify"],
    &["web"],
    &["settings", "import"],
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

/// Words that only this project had for things that have a name in the field: no identifier is one of them.
const PRIVATE: [&str; 36] = [
    "Turning",
    "turning",
    "Turned",
    "Ruling",
    "ruling",
    "Promise",
    "promise",
    "promises",
    "Moving",
    "moving",
    "Doubt",
    "doubt",
    "Said",
    "vain",
    "Told",
    "Wanted",
    "Held",
    "Hold",
    "Trouble",
    "weigh",
    "outward",
    "Outward",
    "Wrong",
    "two_sides",
    "Door",
    "Guest",
    "converse",
    "street",
    "knocked",
    "merging",
    "Parcel",
    "parcel",
    "Appetite",
    "course",
    "keep_all",
    "hold_all",
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
        assert!(lines <= 420, "{}: {lines} lines", path.display());
    }
}

/// The module that a file is: `ledger::tx`.
fn name(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.with_extension("").display().to_string().replace('/', "::")
}

/// What a file passes on as its own, and where it has it from: `Limit` from `check::limit`.
fn passed_on(own: &str, text: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in production(text).split(';').map(str::trim_start) {
        let begins = ["pub use ", "pub(super) use ", "pub(crate) use "];
        let Some(at) = begins.iter().filter_map(|word| Some(line.rfind(word)? + word.len())).max()
        else {
            continue;
        };
        let (path, items) = match line[at..].split_once("::{") {
            Some((path, items)) => (path, items.trim_end_matches('}')),
            None => line[at..].rsplit_once("::").unwrap_or((&line[at..], "")),
        };
        let from = match path.strip_prefix("crate::") {
            Some(path) => path.to_owned(),
            None => format!("{own}::{path}"),
        };
        let items = items.split(',').map(|item| item.rsplit(" as ").next().unwrap().trim());
        all.extend(items.map(|item| (item.to_owned(), from.clone())));
    }
    all
}

/// What each file names of the others, also beside its mother (`super::`), and by what a mother passes on.
fn names() -> BTreeMap<String, BTreeSet<String>> {
    let all: BTreeMap<String, String> =
        sources().into_iter().map(|(path, text)| (name(&path), text)).collect();
    let passed: BTreeMap<&String, BTreeMap<String, String>> =
        all.iter().map(|(own, text)| (own, passed_on(own, text))).collect();
    let longest = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        let mut known = parts.len();
        while known > 0 && !all.contains_key(&parts[..known].join("::")) {
            known -= 1;
        }
        let file = parts[..known].join("::");
        let further = parts.get(known).and_then(|item| passed.get(&file)?.get(*item));
        let file = further.filter(|file| all.contains_key(*file)).cloned().unwrap_or(file);
        (!file.is_empty()).then_some(file)
    };
    let named = |own: &str, text: &str| {
        let mut found = BTreeSet::new();
        let mother = own.rsplit_once("::").map_or("", |(mother, _)| mother);
        let text = production(text).replace("pub(in crate::", "pub(in ");
        let text = match mother.is_empty() {
            true => text,
            false => text.replace("super::*", "").replace("super::", &format!("crate::{mother}::")),
        };
        for after in text.split("crate::").skip(1) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let path: String = after.chars().take_while(|c| is_path(*c)).collect();
            let rest = &after[path.len()..];
            let inner =
                rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or("");
            let inner = inner.split(',').map(|item| format!("{path}{}", item.trim()));
            found.extend(
                inner
                    .chain([path.trim_end_matches(':').to_owned()])
                    .filter_map(|path| longest(&path)),
            );
        }
        found.remove(own);
        found
    };
    all.iter().map(|(own, text)| (own.clone(), named(own, text))).collect()
}

#[test]
fn no_circle_has_three_files() {
    let names = names();
    for (from, all) in &names {
        for to in all {
            // A way back that is not the direct one.
            let (mut next, mut seen) = (vec![to.as_str()], BTreeSet::new());
            while let Some(at) = next.pop() {
                for further in &names[at] {
                    let direct = at == to && further == from;
                    assert!(
                        further != from || direct,
                        "{from} names {to}, which comes back by {at}"
                    );
                    if !direct && seen.insert(further) {
                        next.push(further);
                    }
                }
            }
        }
    }
}

#[test]
fn each_file_of_the_domain_is_in_a_room() {
    const ROOMS: [&str; 10] = [
        "check",
        "sql",
        "time",
        "record",
        "alerting",
        "reconcile",
        "table",
        "testing",
        "change",
        "dependency",
    ];
    for (path, _) in sources() {
        let name = name(&path);
        let Some(room) = name.strip_prefix("domain::") else { continue };
        let room = room.split("::").next().unwrap();
        assert!(ROOMS.contains(&room), "{}: which room?", path.display());
    }
}

/// The code of a line, without its texts and its comment.
fn code(line: &str) -> String {
    let (mut kept, mut in_text, mut chars) = (String::new(), false, line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_text => drop(chars.next()),
            '"' => in_text = !in_text,
            '/' if !in_text && chars.peek() == Some(&'/') => break,
            c if !in_text => kept.push(c),
            _ => {}
        }
    }
    kept
}

#[test]
fn no_identifier_is_a_private_word() {
    for (path, text) in sources() {
        let mut in_text = false;
        for (line, number) in text.lines().zip(1..) {
            // A text of several lines ends with the line that has an odd number of quotes.
            let quotes = line.replace("\\\"", "").replace("'\"'", "").matches('"').count();
            let begins = in_text;
            in_text ^= quotes % 2 == 1;
            if begins || in_text {
                continue;
            }
            for word in code(line).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                assert!(!PRIVATE.contains(&word), "{}:{number}: `{word}`", path.display());
            }
        }
    }
}

#[test]
fn what_is_cited_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cited = 0;
    for (path, text) in sources() {
        assert!(
            !text.contains(concat!("fa", "cts/")),
            "{}: cites what is not in the project",
            path.display()
        );
        // A citation may be broken over two lines of a comment.
        let text: String = text
            .lines()
            .map(|line| line.trim_start().trim_start_matches(['/', '!']).trim_start())
            .fold(String::new(), |joined, line| joined + line + " ");
        for after in text.split("docs/internals/").skip(1) {
            let (file, rest) = after.split_once(".md").unwrap();
            let document = fs::read_to_string(root.join(format!("docs/internals/{file}.md")));
            let document =
                document.unwrap_or_else(|e| panic!("{}: {file}.md: {e}", path.display()));
            let Some(heading) = rest.strip_prefix(", \"").and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            cited += 1;
            let there = document.lines().any(|line| line.trim_start_matches('#').trim() == heading);
            assert!(there, "{}: {file}.md has no heading \"{heading}\"", path.display());
        }
    }
    assert!(cited > 10, "only {cited} citations were found");
}
