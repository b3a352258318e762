//! The language: every fault told, in words that help, and nothing accepted by mistake.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allswell::domain::check::fault::Fault;
use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::manifest::schema::{schema, schema_of_tests};
use allswell::manifest::{self, Engines, Text};
use allswell::settings::Settings;

use crate::dice::Dice;
use crate::servers::Folder;

fn engines() -> Engines {
    [("db", Engine::Postgres), ("maria", Engine::MySql), ("lite", Engine::Sqlite)]
        .map(|(name, engine)| (SourceName::parse(name).unwrap(), engine))
        .into()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// Shows faults as the command line does, with the file's name alone.
fn shown(faults: &[Fault], path: &Path) -> String {
    let folder = format!("{}/", path.parent().unwrap().display());
    let texts: Vec<String> = faults.iter().map(|f| f.to_string().replace(&folder, "")).collect();
    texts.join("\n\n")
}

fn schema_accepts(text: &str) -> Option<bool> {
    thread_local! {
        static SCHEMA: jsonschema::Validator = jsonschema::validator_for(&schema()).unwrap();
    }
    let options = serde_yaml::options! {
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::AsString,
    };
    let value: serde_json::Value = serde_yaml::from_str_with_options(text, options).ok()?;
    Some(SCHEMA.with(|schema| schema.is_valid(&value)))
}

#[test]
fn every_bad_file_is_told_what_is_wrong_with_it() {
    let files = files("tests/data/bad");
    assert!(files.len() >= 80, "{} files", files.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in &files {
            let faults =
                manifest::load(&[path], crate::lab::world(&engines())).expect_err(stem(path));
            assert!(!faults.is_empty());
            for fault in &faults {
                let whole_file = fault.line == 0 && fault.column == 0;
                assert!(whole_file || fault.line > 0 && fault.column > 0, "{fault}");
            }
            insta::assert_snapshot!(stem(path), shown(&faults, path));
        }
    });
}

#[test]
fn schema_and_parser_agree_about_every_file() {
    let is_of_tests = |path: &&PathBuf| path.to_string_lossy().ends_with(".test.yaml");
    let checks = files("checks");
    for path in checks.iter().filter(is_of_tests) {
        let value: serde_json::Value =
            serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let schema = jsonschema::validator_for(&schema_of_tests()).unwrap();
        let wrong: Vec<String> =
            schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    }
    let checks = checks.iter().filter(|path| !is_of_tests(path));
    for path in files("tests/data/good").iter().chain(checks) {
        let text = fs::read_to_string(path)
            .unwrap()
            .replace("source: company", "source: lite")
            .replace("source: billing", "source: lite");
        let loaded = Text { file: stem(path).into(), text: text.clone() };
        if let Err(faults) = manifest::parse(&[loaded], crate::lab::world(&engines())) {
            panic!("{}", shown(&faults, path));
        }
        assert_eq!(schema_accepts(&text), Some(true), "{}", path.display());
    }
    for path in files("tests/data/bad") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let wanted = match stem(&path).split_once('-').unwrap().0 {
            "shape" => Some(false),
            "sense" => Some(true),
            "text" => continue,
            other => panic!("a kind of bad file that nobody knows: {other}"),
        };
        assert_eq!(schema_accepts(&text), wanted, "{}", path.display());
    }
}

#[test]
fn the_schema_names_each_key_with_a_description() {
    let schema = schema();
    let keys = schema["properties"]["checks"]["items"]["properties"].as_object().unwrap();
    for (key, value) in keys {
        assert!(value["description"].is_string(), "{key}");
    }
}

#[test]
fn one_id_in_two_files_is_a_fault_that_names_both_places() {
    let folder = Folder::new("ids");
    let check = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - {id: one, why: w, \
                 sql: select 1 + 0 as n, expect: {values: {n: {min: 1}}}}\n";
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("a.yaml"), check).unwrap();
    fs::write(folder.path().join("deep/b.yml"), check).unwrap();
    let faults = manifest::load(&[folder.path()], crate::lab::world(&engines())).unwrap_err();
    let text = faults[0].to_string();
    assert_eq!(faults.len(), 1);
    assert!(text.contains("b.yml:5:10") && text.contains("a.yaml:5 declares it"), "{text}");
}

#[test]
fn what_holds_no_check_is_never_a_catalogue() {
    let folder = Folder::new("nothing");
    let load = |path: &Path| {
        manifest::load(&[path], crate::lab::world(&engines())).unwrap_err()[0].to_string()
    };
    assert!(load(folder.path()).contains("not one *.yaml file"));
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    assert!(load(folder.path()).contains("not one *.yaml file"));
    assert!(load(&folder.path().join("missing")).contains("cannot be read"));
    fs::write(folder.path().join("empty.yaml"), "").unwrap();
    assert!(load(folder.path()).contains("the file is empty"));
    assert!(manifest::parse(&[], crate::lab::world(&engines())).is_err());
    let large = "#".repeat((1 << 20) + 1);
    fs::write(folder.path().join("empty.yaml"), large).unwrap();
    assert!(load(folder.path()).contains("at most 1 MiB"));
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    assert!(!load(folder.path()).is_empty());
}

#[test]
fn a_file_that_looks_like_checks_is_never_passed_over() {
    let good = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - {id: one, why: w, \
                sql: select 1 + 0 as n, expect: {values: {n: {min: 1}}}}\n";
    let said = |folder: &Folder| {
        manifest::load(&[folder.path()], crate::lab::world(&engines())).unwrap_err()[0].to_string()
    };
    for odd in ["b.YAML", "c.yam", "d.yaml.bak", "e.ymal"] {
        let folder = Folder::new("odd");
        fs::write(folder.path().join("a.yaml"), good).unwrap();
        for other in ["README.md", "data.xml", "x.toml", "mail.eml", "values.yaml.tpl", "q.sql"] {
            fs::write(folder.path().join(other), "x").unwrap();
        }
        assert!(manifest::load(&[folder.path()], crate::lab::world(&engines())).is_ok());
        fs::write(folder.path().join(odd), good).unwrap();
        assert!(said(&folder).contains("looks like a file of checks"), "{odd}: {}", said(&folder));
    }
    let folder = Folder::new("odd");
    fs::write(folder.path().join("a.yaml"), good).unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("team-b")).unwrap();
    assert!(said(&folder).contains("cannot be looked at"), "{}", said(&folder));
}

/// Settings at fault, and words of what is said.
const SETTINGS_AT_FAULT: [(&str, &str); 44] = [
    ("", "a map belongs here"),
    ("sources: {}", "empty"),
    ("chekcs: [a]\nsources: {db: {url: 'sqlite:x.db'}}", "did you mean `checks`"),
    ("checks: []\nsources: {db: {url: 'sqlite:x.db'}}", "the list is empty"),
    ("sources: {db: {}}", "`url` is missing"),
    ("sources: {db: {url: }}", "empty"),
    ("sources: {Db: {url: 'sqlite:x.db'}}", "1 to 63"),
    ("sources: {db: {url: 'postgres://a:hunter2@h/d'}}", "a password stands in the address"),
    ("sources: {db: {url: 'postgres://a@h/d', password: hunter2}}", "as a reference"),
    ("sources: {db: {url: 'postgres://a@h/d', pasword: hunter2}}", "did you mean `password`"),
    ("sources: {db: {url: 'postgres://a@h/d', hunter2}}", "not known here"),
    ("sources: {db: {url: 'postgres://a@h/d?sslmod=hunter2'}}", "did you mean `sslmode`"),
    ("sources: {db: {url: 'sqlite:x.db', connections: hunter2}}", "whole number"),
    ("sources: {db: {url: 'sqlite:x.db', connections: 0}}", "1 to 64"),
    ("sources: {db: {url: 'sqlite:x.db', timeout: hunter2}}", "duration"),
    ("sources: {db: {url: 'sqlite:x.db', allow_superuser: yes}}", "`true` or `false`"),
    ("sources: {db: {url: 'sqlite:x.db', instants: hunter2}}", "`epoch_s` or `epoch_ms`"),
    ("sources: {db: {url: 'postgres://a@h/d', instants: sql}}", "`instants` is for SQLite"),
    ("sources: {db: {url: 'sqlite:x.db', password: \"hunter2", "never closed"),
    ("sources: {db: {url: 'sqlite:x.db', password: *hunter2}}", "alias"),
    ("sources: {'postgres://u:hunter2@h/d'}", "1 to 63"),
    ("sources: {db: {url: 'sqlite:x.db', hunter2, hunter2}}", "twice"),
    ("sources: {db: {url: 'postgres://a@h/d#hunter2'}}", "ignored"),
    ("ledger: {url: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "not an address"),
    ("ledger: {url: 'mysql://a@h/d'}\nsources: {db: {url: 'sqlite:x.db'}}", "SQLite or PostgreSQL"),
    ("ledger: {password: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "as a reference"),
    ("ledger: {retention: 3d}\nsources: {db: {url: 'sqlite:x.db'}}", "36d to 3660d"),
    ("ledger: {lease: 10ms}\nsources: {db: {url: 'sqlite:x.db'}}", "1s to 10m"),
    ("ledger: {}\nsources: {db: {url: 'sqlite:x.db'}}", "empty"),
    ("web: {listen: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "127.0.0.1:9847"),
    ("web: {operator_token: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "as a reference"),
    ("web: {lisen: x}\nsources: {db: {url: 'sqlite:x.db'}}", "did you mean `listen`"),
    ("web: {public_url: 'ftp://hunter2'}\nsources: {db: {url: 'sqlite:x.db'}}", "https://"),
    ("web: {lifecycle: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "`true` or `false`"),
    ("grace: 2d\nsources: {db: {url: 'sqlite:x.db'}}", "0ms to 10m"),
    (
        "heartbeat: {url: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}",
        "write an address as http://",
    ),
    ("hartbeat: {url: hunter2}\nsources: {db: {url: 'sqlite:x.db'}}", "did you mean `heartbeat`"),
    (
        "alertmanagers: [{url: 'http://u:hunter2@h'}]\nsources: {db: {url: 'sqlite:x.db'}}",
        "`user` and `password` beside it",
    ),
    (
        "alertmanagers: [{url: 'http://h', user: a}]\nsources: {db: {url: 'sqlite:x.db'}}",
        "go together",
    ),
    (
        "webhooks: [{url: 'http://h', token: hunter2}]\nsources: {db: {url: 'sqlite:x.db'}}",
        "as a reference",
    ),
    ("watchdog: {every: 1s}\nsources: {db: {url: 'sqlite:x.db'}}", "`token` is missing"),
    ("watchdog: {token: '${env:X}'}\nsources: {db: {url: 'sqlite:x.db'}}", "none is named"),
    ("notices: {resend: 0s}\nsources: {db: {url: 'sqlite:x.db'}}", "1s to 15m"),
    ("labels: {alertname: x}\nsources: {db: {url: 'sqlite:x.db'}}", "sets this label itself"),
];

#[test]
fn settings_are_as_strict_and_repeat_nothing_of_the_file() {
    for (text, wanted) in SETTINGS_AT_FAULT {
        let text = Text { file: "allswell.yaml".into(), text: text.into() };
        let faults = Settings::parse(&text, Path::new("/")).unwrap_err();
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let said = said.join("\n");
        assert!(said.contains(wanted), "{}: {said}", text.text);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

const SCALARS: [&str; 34] = [
    "0",
    "1",
    "-5",
    "12.50",
    "1e3",
    "abc",
    "open",
    "true",
    "no",
    "~",
    "null",
    "\"\"",
    "''",
    "' '",
    "2026-03-08",
    "2026-03-08T00:00:00Z",
    ".nan",
    ".inf",
    "0x1F",
    "1_000",
    "\"5\"",
    "[a]",
    "{a: b}",
    "99999999999999999999999999",
    "1e99",
    "-",
    "é☃🦀",
    "a: b",
    "a #b",
    "*x",
    "&x y",
    "!!int 5",
    "|\n            block",
    "1e-300",
];
const QUERIES: [&str; 24] = [
    "select n from t",
    "select a, b from t where x = 'y'",
    "with q as (select 1 + 0 as n) select * from q",
    "values (1)",
    "select count(*) from t",
    "select n from t;",
    "select 1; select 2",
    "delete from t",
    "select pg_sleep(1)",
    "select 'open",
    "select (1",
    "select $$x",
    "select n from t where a = :p",
    "select n from t where a = $1",
    "select a ::text from t",
    "select /* c */ 1",
    "/* only */",
    "select n into x from t",
    "select \"n\" from t",
    "sellect 1",
    "table t",
    "select 1 -- c",
    "(((",
    "select e'\\'' || n from t for update",
];

fn limit(dice: &mut Dice) -> String {
    let keys = ["equals", "not_equals", "min", "max", "tolerance", "tolerance_ratio"];
    let mut parts = Vec::new();
    for _ in 0..1 + dice.below(2) {
        let value =
            if dice.once_in(8) { dice.one(&SCALARS) } else { dice.one(&["0", "1", "7", "100"]) };
        parts.push(format!("{}: {}", dice.one(&keys), value.replace('\n', " ")));
    }
    if dice.once_in(8) {
        parts.push("one_of: [a, b, 3]".into());
    }
    if dice.once_in(8) {
        parts.push("nulls: allowed".into());
    }
    format!("{{{}}}", parts.join(", "))
}

fn query(dice: &mut Dice) -> String {
    format!("|\n          {}", dice.one(&QUERIES))
}

/// A schedule and a window, now and then, with SQL that may or may not keep to it.
fn timing(dice: &mut Dice, keys: &mut Vec<(&'static str, String)>) {
    if dice.once_in(10) {
        let schedules = [
            "{every: 5m}",
            "{cron: '0 6 * * 1-5', zone: UTC}",
            "{cron: '0 6 * * *'}",
            "{cron: '@daily', zone: Europe/Berlin, gap: shift, fold: both}",
            "{every: 0s}",
            "5m",
            "{cron: '61 * * * *', zone: UTC}",
            "{every: 1h, zone: UTC}",
            "{cron: '* *', zone: CET}",
        ];
        let odd = dice.once_in(12);
        keys.push(("schedule", dice.one(if odd { &SCALARS } else { &schedules }).to_owned()));
    }
    if dice.once_in(6) {
        let windows = [
            "{period: day, zone: Europe/Berlin}",
            "{period: month, zones: [UTC, Asia/Kolkata]}",
            "{period: 15m, settle: 1m}",
            "{period: day, zone: UTC, split: utc_offset}",
            "{period: week}",
            "{period: 90s}",
            "{period: day, zone: Etc/GMT+5}",
            "{period: age, zone: UTC}",
            "{period: year, zones_from: {sql: select z from a}}",
        ];
        let odd = dice.once_in(12);
        keys.push(("window", dice.one(if odd { &SCALARS } else { &windows }).to_owned()));
        let sql = [
            "select n from t where at >= :window_start and at < :window_end",
            "select n from t where z = :zone and at >= :window_start and at < :window_end",
            "select n from t where day = :window_date",
            "select n from t where at >= :window_strat",
        ];
        if let Some((_, body)) = keys.iter_mut().find(|(key, _)| *key == "sql") {
            *body = format!("\"{}\"", dice.one(&sql));
        }
    }
}

/// Rules for a table, most of them sound.
fn table(dice: &mut Dice, keys: &mut Vec<(&'static str, String)>) {
    for (key, often, of_known) in [
        ("table", 1, &["orders", "sales.orders", "a.b.c.d", "[a]"][..]),
        ("tables", 20, &["[a, b]", "[a, a]", "a"]),
        ("where", 3, &["a > 1", "a = :zone", "a; b", "\"a = 'x'\"", "a) or (b"]),
        ("at", 4, &["created_at", "[at]"]),
        ("on", 9, &["day"]),
        ("zone_column", 9, &["tz"]),
        (
            "columns",
            1,
            &[
                "{id: {unique: true}}",
                "{a: {nulls: none, in: b.id}, c: {one_of: [1, x]}}",
                "{a: {min: 0, max: 9}, b: {length: {max: 5}}, c: }",
                "{a: {nulls: {max_ratio: 0.1}}, b: {pattern: '^[a-z]+$'}}",
                "{a: {nulls: only, unique: true}}",
                "{a: {pattern: '(?=a)'}}",
                "{a: unique}",
                "{}",
            ],
        ),
        ("unique", 6, &["[[a, b]]", "[a]", "[[a], [a]]"]),
        ("never", 6, &["a < b", "[a < b, c > d]", "[]"]),
        (
            "rows",
            6,
            &["{min: 1}", "{past: 7, min_ratio: 0.5}", "{past: 7}", "{min_ratio: 0}", "{min: 0}"],
        ),
        ("newest", 6, &["{of: at, within: 2h}", "{of: at}", "{within: soon, of: at}"]),
    ] {
        if dice.once_in(often) {
            let usual = dice.one(&of_known[..1 + of_known.len() / 2]);
            let value = if dice.once_in(6) { dice.one(of_known) } else { usual };
            keys.push((key, value.to_owned()));
        }
    }
}

fn check(dice: &mut Dice, number: usize) -> String {
    let id = if dice.once_in(30) { dice.one(&SCALARS).to_owned() } else { format!("c-{number}") };
    let mut keys = vec![
        ("id", id),
        ("why", if dice.once_in(30) { dice.one(&SCALARS).to_owned() } else { "a reason".into() }),
        ("sql", if !dice.once_in(4) { QUERIES[0].to_owned() } else { query(dice) }),
    ];
    timing(dice, &mut keys);
    let expect = match dice.below(4) {
        0 => format!("{{rows: {}}}", limit(dice)),
        1 => format!("{{values: {{n: {}, m: {}}}}}", limit(dice), limit(dice)),
        2 => format!("{{values: {{n: {}}}, rows: {{min: 1}}}}", limit(dice)),
        _ => "{keys: {columns: [n], from: {sql: select n from s}}}".to_owned(),
    };
    keys.push(("expect", expect));
    if dice.once_in(5) {
        keys.retain(|(key, _)| !["sql", "expect"].contains(key));
        table(dice, &mut keys);
    }
    for (key, of_known) in [
        (
            "evidence",
            &["{min: 2}", "{min: 0, because: x}", "{column: n}", "{sql: select 1}", "{min: 0}"][..],
        ),
        ("severity", &["critical", "warning", "info", "fatal"]),
        ("timeout", &["1s", "5m", "9h", "soon"]),
        ("max_rows", &["10", "100000", "0", "x"]),
        ("samples", &["{columns: [n]}", "{rows: 2, columns: [a, b]}", "off"]),
        ("labels", &["{tier: one}", "{severity: x}", "{a: b}"]),
        ("runbook", &["https://wiki.example", "wiki"]),
        ("source", &["db", "lite", "maria", "bd"]),
        ("result_by", &["1h", "45m", "3d", "30s", "0s", "2"]),
        (
            "catch_up",
            &["{policy: all}", "{policy: none, age: 7d}", "{age: 9d}", "{age: 1s}", "all"],
        ),
        (
            "recheck",
            &["[1d]", "[1d, 7d, 35d]", "{ages: none, because: x}", "[7d, 1d]", "none", "[1s]"],
        ),
        ("alert", &["{after: 2}", "{unconfirmed: info}", "{after: 9}", "{after: 0}"]),
        (
            "pause",
            &[
                "{until: 2026-12-24, because: x}",
                "{until: soon, because: x}",
                "{until: 2026-01-01}",
            ],
        ),
        ("except", &["{dates: [2026-12-25], because: x}", "{dates: [], because: x}"]),
    ] {
        let timing =
            ["result_by", "catch_up", "recheck", "alert", "pause", "except"].contains(&key);
        if dice.once_in(if timing { 30 } else { 9 }) {
            let value = if dice.once_in(25) { dice.one(&SCALARS) } else { dice.one(of_known) };
            keys.push((key, value.to_owned()));
        }
    }
    let mut text = String::new();
    for (key, value) in keys {
        let lead = if text.is_empty() { "  - " } else { "    " };
        let mut key = key.to_owned();
        if dice.once_in(150) {
            key.remove(dice.below(key.len()));
        }
        text.push_str(&format!("{lead}{key}: {value}\n"));
    }
    text
}

/// A file from the grammar of the language, with slips of all kinds.
fn file(seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut text = String::from("version: 1\nowner: team\ndefaults: {source: db}\nchecks:\n");
    for number in 0..1 + dice.below(2) {
        text.push_str(&check(&mut dice, number));
    }
    if dice.once_in(6) {
        for _ in 0..1 + dice.below(4) {
            slip(&mut dice, &mut text);
        }
    }
    text
}

/// A slip of the editor: a character lost, doubled or replaced, a line moved in or lost.
fn slip(dice: &mut Dice, text: &mut String) {
    let mut chars: Vec<char> = text.chars().collect();
    let at = dice.below(chars.len().max(1));
    if chars.is_empty() {
        return;
    }
    match dice.below(5) {
        0 => drop(chars.remove(at)),
        1 => chars.insert(at, chars[at]),
        2 => {
            let odd = ['{', '}', '[', ':', '\'', '"', '\t', '#', '|', '\n', '\u{0}', 'é'];
            chars[at] = odd[dice.below(odd.len())];
        }
        3 => chars.insert(at, '\n'),
        _ => chars.truncate(at.max(8)),
    }
    *text = chars.into_iter().collect();
}

#[test]
fn no_input_makes_the_parser_panic_or_wait() {
    let inputs: u64 = std::env::var("ALLSWELL_INPUTS").map_or(20_000, |n| n.parse().unwrap());
    let engines = engines();
    let (mut sensible, mut accepted, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let mut rules = BTreeSet::new();
    for seed in 0..inputs {
        let text = file(seed);
        let started = Instant::now();
        let parsed = manifest::parse(
            &[Text { file: "f".into(), text: text.clone() }],
            crate::lab::world(&engines),
        );
        slowest = slowest.max(started.elapsed());
        let shape = schema_accepts(&text);
        sensible += u64::from(shape == Some(true));
        match parsed {
            Ok(_) => {
                accepted += 1;
                assert_eq!(
                    shape,
                    Some(true),
                    "seed {seed}: the parser is laxer than the schema:\n{text}"
                );
            }
            Err(faults) => rules.extend(faults.into_iter().map(|f| f.message)),
        }
    }
    println!(
        "{inputs} inputs: {sensible} of sound shape, {accepted} accepted, {} different faults, \
         slowest {slowest:?}",
        rules.len()
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(sensible * 10 >= inputs * 3, "only {sensible} of {inputs} reach the semantic checks");
    assert!(accepted * 20 >= inputs, "only {accepted} of {inputs} are good");
}

/// Settings, good and bad: the schema says of their structure what the reader says.
#[test]
fn the_schema_of_settings_and_their_reader_agree() {
    let schema = jsonschema::validator_for(&allswell::settings::schema()).unwrap();
    let sources = "sources: {a: {url: \"sqlite:a.db\", instants: sql}}\n";
    let cases = [
        ("", true),
        ("ledger: {url: \"sqlite:b.db\", retention: 400d, lease: 30s}\n", true),
        ("log: {format: json, level: warn}\n", true),
        ("log: {format: xml}\n", false),
        ("log: {colour: red}\n", false),
        ("labels: {cluster: prod}\n", true),
        ("alertmanagers: [{url: \"http://am:9093\", token: \"${env:T}\", timeout: 5s}]\n", true),
        ("alertmanagers: [{token: \"${env:T}\"}]\n", false),
        ("alertmanagers: [{url: \"http://am:9093\", token: word}]\n", false),
        ("webhooks: [{name: w, url: \"${env:U}\"}]\n", true),
        ("webhooks: [{name: w}]\n", false),
        ("heartbeat: {url: \"${env:U}\", every: 1m}\n", true),
        ("heartbeat: {every: 1m}\n", false),
        (
            "alertmanagers: [{url: \"http://am:9093\"}]\nwatchdog: {token: \"${file:t}\", every: 30s, within: 5m}\n",
            true,
        ),
        ("notices: {resend: 1m, hold: 45s, lasts: 1h}\n", true),
        ("notices: {hold: long}\n", false),
        ("web: {listen: \"127.0.0.1:1\", lifecycle: true, viewer_token: \"${env:V}\"}\n", true),
        ("web: {port: 9847}\n", false),
        ("grace: 20s\n", true),
        ("grace: soon\n", false),
        ("checks: [one/, two.yaml]\n", true),
        ("sorces: {}\n", false),
    ];
    for (more, good) in cases {
        let text = format!("{sources}{more}");
        let value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(schema.is_valid(&value), good, "the schema: {more}");
        let text = Text { file: "allswell.yaml".into(), text };
        let read = Settings::parse(&text, Path::new("/")).map(drop);
        assert_eq!(read.is_ok(), good, "the reader: {more}: {read:?}");
    }
    let keys = allswell::settings::schema();
    for (key, value) in keys["properties"].as_object().unwrap() {
        assert!(value["description"].is_string(), "{key}");
    }
}
