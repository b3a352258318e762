//! What `run` and `validate` say to tools of continuous integration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::Value;

use crate::cli::{allswell, code, err, out, project};
use crate::lab::Other;

/// A check for each verdict, of one and of many windows, and one that waits.
const CHECKS: &str = r#"version: 1
owner: team
defaults: {source: db, severity: critical}
checks:
  - id: is-wrong
    why: "Amounts | are `whole` & @everybody <b>agrees</b>."
    severity: warning
    schedule: {every: 1d}
    labels: {tier: gold}
    runbook: https://runbooks.example/amounts
    sql: select id, amount, name from bills
    expect: {values: {amount: {max: 5}}, rows: {equals: 1}}
    samples: {columns: [id, name]}
  - id: is-absent
    why: A table that is gone proves nothing.
    schedule: {every: 1d}
    sql: select count(*) as n from nothing
    expect: {values: {n: {min: 1}}}
  - id: holds
    why: What holds is proved.
    schedule: {every: 1d}
    sql: select count(*) as n from bills
    expect: {values: {n: {min: 1}}}
  - id: each-day
    why: Each day has bills.
    window: {period: day, zones: [Europe/Berlin, Asia/Tokyo]}
    sql: select count(*) as n from bills where :window_date is not null and :zone <> ''
    expect: {values: {n: {min: 1}}}
  - id: waits
    why: It waits.
    schedule: {every: 1d}
    pause: {until: 2098-01-01, because: a new system comes}
    sql: select count(*) as n from bills
    expect: {values: {n: {min: 1}}}
"#;

const NAME: &str = "]]>&\"'<x>\u{1b}[31m::error::%0A|`@all`\u{202e}";

fn site() -> crate::servers::Folder {
    prepared(CHECKS)
}

/// A folder with checks, and with data to look at.
fn prepared(checks: &str) -> crate::servers::Folder {
    let folder = project("sqlite:data.db", checks);
    let settings = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    data(folder.path());
    folder
}

fn data(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = folder.join("data.db");
        fs::write(&path, "").unwrap();
        let mut data = Other::sqlite(&path).await;
        let name = NAME.replace('\'', "''");
        let bills = format!(
            "create table bills (id integer primary key, amount integer, name text); \
             insert into bills values (1, 4, 'a'), (2, 9, '{name}'), (3, 11, 'c')"
        );
        data.run(&bills).await.unwrap();
        data.close().await;
    });
}

fn run(folder: &Path, format: &str) -> String {
    let output = allswell(folder, &["run", "--output", format]);
    assert_eq!(code(&output), 1, "{}", err(&output));
    out(&output)
}

#[test]
fn a_report_of_junit_says_what_json_says_to_an_independent_reader() {
    let folder = site();
    let text = run(folder.path(), "junit");
    keeps_to_the_schema(&text);
    let read = junit_parser::from_reader(text.as_bytes()).unwrap();
    let json: Value = serde_json::from_str(&run(folder.path(), "json")).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let count = |verdict: &str| runs.iter().filter(|run| run["verdict"] == verdict).count();
    assert_eq!(read.failures, u64::try_from(count("violated")).unwrap());
    assert_eq!(read.errors, u64::try_from(count("unconfirmed")).unwrap());
    // What its owner takes out is skipped.
    assert_eq!(read.tests, u64::try_from(runs.len()).unwrap() + 1);
    assert_eq!(read.suites.iter().map(|suite| suite.skipped).sum::<u64>(), 1);
    // The worst first; each suite is a check, each case a window.
    let names: Vec<&str> = read.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["is-wrong", "is-absent", "each-day", "holds", "waits"]);
    let windows = &read.suites[2].cases;
    assert_eq!(windows.len(), runs.iter().filter(|run| run["check"] == "each-day").count());
    assert!(windows.iter().any(|case| case.name.ends_with(" Asia/Tokyo")), "{windows:?}");
    let wrong = &read.suites[0].cases[0];
    let junit_parser::TestStatus::Failure(failure) = &wrong.status else { panic!("{wrong:?}") };
    assert_eq!(failure.failure_type, "violated");
    // The parser ends a text at the first entity.
    let all = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.clone(), |text, (entity, letter)| text.replace(entity, letter));
    for said in [
        "amount: expected at most 5, broken on 2 of 3 rows: 9, 11",
        "rows: expected 1, saw 3",
        "amount=9 id=2",
        "why: Amounts | are `whole` & @everybody <b>agrees</b>.",
        "owner: team",
        "file: checks/all.yaml:5",
        "runbook: https://runbooks.example/amounts",
    ] {
        assert!(all.contains(said), "{said}: {all}");
    }
    let absent = &read.suites[1].cases[0];
    let junit_parser::TestStatus::Error(error) = &absent.status else { panic!("{absent:?}") };
    assert_eq!(error.error_type, "query_error");
}

type Words = &'static [&'static str];

/// What Jenkins' schema for these reports (junit-10.xsd) knows of each element that is written: where it stands, its
/// attributes, and those without which it is none.
const JUNIT: [(&str, Words, Words, Words); 6] = [
    ("testsuites", &[""], &["name", "time", "tests", "failures", "errors"], &[]),
    (
        "testsuite",
        &["testsuites", "testsuite"],
        &["name", "tests", "failures", "errors", "skipped", "time", "timestamp", "file"],
        &["name", "tests", "failures", "errors"],
    ),
    ("testcase", &["testsuite"], &["name", "time", "classname", "group"], &["name"]),
    ("failure", &["testcase"], &["type", "message"], &[]),
    ("error", &["testcase"], &["type", "message"], &[]),
    ("skipped", &["testcase"], &["type", "message"], &[]),
];

/// Holds a report against the schema.
fn keeps_to_the_schema(text: &str) {
    let mut open = vec![""];
    let tags = text.split('<').skip(1).map(|piece| piece.split_once('>').unwrap().0);
    for tag in tags.filter(|tag| !tag.starts_with('?')) {
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().unwrap(), name, "{text}");
            continue;
        }
        let (name, rest) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
        let known = JUNIT.iter().find(|(known, ..)| *known == name);
        let (_, parents, allowed, needed) = known.unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(parents.contains(open.last().unwrap()), "{name} in {open:?}: {text}");
        let parts: Vec<&str> = rest.split('"').collect();
        let attributes: BTreeMap<&str, &str> = parts
            .chunks_exact(2)
            .map(|pair| (pair[0].trim().trim_end_matches('='), pair[1]))
            .collect();
        assert!(attributes.keys().all(|key| allowed.contains(key)), "{tag}");
        assert!(needed.iter().all(|key| attributes.contains_key(key)), "{tag}");
        if let Some(time) = attributes.get("time") {
            assert!(time.parse::<f64>().is_ok_and(|time| time >= 0.0), "{tag}");
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [""], "{text}");
}

#[test]
fn json_of_a_run_says_whose_a_check_is_and_what_was_found_in_parts() {
    let folder = site();
    let json: Value = serde_json::from_str(&run(folder.path(), "json")).unwrap();
    let runs = json["runs"].as_array().unwrap();
    let wrong = runs.iter().find(|run| run["check"] == "is-wrong").unwrap();
    assert_eq!(wrong["owner"], "team");
    assert_eq!(wrong["severity"], "warning");
    assert_eq!(wrong["source"], "db");
    assert_eq!((&wrong["file"], &wrong["line"]), (&"checks/all.yaml".into(), &5.into()));
    assert_eq!(wrong["labels"]["tier"], "gold");
    assert!(wrong["why"].as_str().unwrap().starts_with("Amounts"), "{wrong}");
    let findings = wrong["findings"].as_array().unwrap();
    let of = |kind: &str| findings.iter().find(|one| one["kind"] == kind).unwrap();
    assert_eq!(of("rows")["seen"], 3);
    let values = of("values");
    assert_eq!(
        (&values["column"], &values["rows"], &values["of"]),
        (&"amount".into(), &2.into(), &3.into())
    );
    assert_eq!(values["seen"], serde_json::json!(["9", "11"]));
    // The sentence stays.
    assert!(wrong["finding"].as_str().unwrap().contains("amount: expected at most 5"), "{wrong}");
    let holds = runs.iter().find(|run| run["check"] == "holds").unwrap();
    assert_eq!(holds["findings"], serde_json::json!([]));
}

#[test]
fn github_is_told_ten_things_at_most_and_nothing_in_data_is_a_command() {
    let folder = site();
    let text = run(folder.path(), "github");
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 2, "{text}");
    assert!(
        commands[0].starts_with(
            "::error file=checks/all.yaml,line=5,title=violated is-wrong::looked at 3%0A"
        ),
        "{text}"
    );
    assert!(commands[1].contains("title=unconfirmed is-absent::query_error"), "{text}");
    assert!(
        text.ends_with(
            "2 confirmed, 1 violated, 1 unconfirmed; of 2 windows 0 violated, 0 unconfirmed\n"
        ),
        "{text}"
    );
    // Twenty are wrong: nine are shown, and how many more.
    let mut many =
        "version: 1\nowner: team\ndefaults: {source: db, schedule: {every: 1d}}\nchecks:\n"
            .to_owned();
    for number in 0..20 {
        let severity = if number == 19 { "critical" } else { "warning" };
        many.push_str(&format!(
            "  - {{id: wrong-{number:02}, why: It is wrong., severity: {severity}, sql: \"select amount, id from bills\", \
             expect: {{values: {{amount: {{max: 1}}}}}}}}\n"
        ));
    }
    let folder = prepared(&many);
    let text = run(folder.path(), "github");
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 10, "{text}");
    assert!(commands[0].contains("title=violated wrong-19::"), "critical ones first: {text}");
    assert!(commands[9].contains("and 11 more"), "{text}");
    for number in 0..20 {
        assert!(text.contains(&format!("violated wrong-{number:02}")), "{number}: {text}");
    }
}

#[test]
fn markdown_is_a_table_of_what_is_wrong_and_shows_data_as_text() {
    let folder = site();
    let text = run(folder.path(), "markdown");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| **")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    assert!(rows[0].starts_with("| **violated** | <code>is-wrong</code><br>"), "{text}");
    assert!(rows[1].starts_with("| **unconfirmed** | <code>is-absent</code><br>"), "{text}");
    // As a reader of Markdown sees it.
    let options = Options::ENABLE_TABLES;
    let mut cells = 0;
    let mut seen = String::new();
    for event in Parser::new_ext(&text, options) {
        if let Event::Start(Tag::TableCell) = event {
            cells += 1;
        } else if let Event::Text(text) = event {
            seen.push_str(&text);
        } else if let Event::InlineHtml(tag) | Event::Html(tag) = event {
            let known = ["<code>", "</code>", "<br>", "<details>", "<summary>", "</details>"];
            assert!(known.iter().any(|known| tag.contains(known)), "{tag}");
        } else {
            assert!(!matches!(event, Event::Code(_)), "{event:?} is marked: {text}");
        }
    }
    assert_eq!(cells, 9, "a head and two rows of three cells: {text}");
    assert!(seen.contains("Amounts | are `whole` & @everybody <b>agrees</b>."), "{seen}");
    assert!(seen.contains("@all`"), "{seen}");
    assert!(text.contains("<code>holds</code> (confirmed)"), "{text}");
    // A thousand that are wrong are cut before a comment of GitHub would be, the worst of them first.
    let mut many =
        "version: 1\nowner: team\ndefaults: {source: db, schedule: {every: 1d}}\nchecks:\n"
            .to_owned();
    for number in 0..600 {
        let severity = if number == 599 { "critical" } else { "warning" };
        many.push_str(&format!(
            "  - {{id: wrong-{number}, why: It is wrong as it was on the day before, severity: {severity}, \
             sql: \"select amount, id from bills\", expect: {{values: {{amount: {{max: 1}}}}}}}}\n"
        ));
    }
    let folder = prepared(&many);
    let text = run(folder.path(), "markdown");
    assert!(text.len() < 60_000 && text.len() > 50_000, "{}", text.len());
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| **")).collect();
    assert!(rows[0].contains("wrong-599"), "{}", rows[0]);
    assert!(text.contains(&format!("and {} more", 600 - rows.len())), "{text}");
}

#[test]
fn what_is_not_valid_is_told_at_its_line_in_each_format() {
    let broken = CHECKS.replace("severity: warning", "severity: wrning");
    let folder = prepared(&broken);
    let said = |format: &str| {
        let output = allswell(folder.path(), &["validate", "--output", format]);
        assert_eq!(code(&output), 64, "{}", err(&output));
        out(&output)
    };
    let github = said("github");
    assert!(github.starts_with("::error file=checks/all.yaml,line=7,col="), "{github}");
    assert!(github.contains("warning"), "the nearest word is named: {github}");
    let junit = said("junit");
    keeps_to_the_schema(&junit);
    let read = junit_parser::from_reader(junit.as_bytes()).unwrap();
    assert_eq!((read.tests, read.failures, read.errors), (1, 1, 0), "{junit}");
    assert!(said("markdown").contains("<code>checks/all.yaml:7</code>"), "{}", said("markdown"));
    // What is valid is a case for each check, and a warning is no failure.
    let folder = site();
    let output = allswell(folder.path(), &["validate", "--output", "junit"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    keeps_to_the_schema(&out(&output));
    let read = junit_parser::from_reader(out(&output).as_bytes()).unwrap();
    assert_eq!((read.failures, read.errors), (0, 0));
    let names: Vec<&str> = read.suites.iter().map(|suite| suite.name.as_str()).collect();
    for id in ["is-wrong", "is-absent", "holds", "each-day", "waits"] {
        assert!(names.contains(&id), "{names:?}");
    }
    // A database that does not take a query fails it.
    let output = allswell(folder.path(), &["validate", "--connect", "--output", "github"]);
    assert_eq!(code(&output), 64, "{}", err(&output));
    assert!(out(&output).contains("title=refused is-absent::db: query_error"), "{}", out(&output));
}

#[test]
fn a_run_says_that_it_waits_and_for_how_long() {
    let folder = prepared(
        "version: 1\nowner: team\ndefaults: {source: db}\nchecks:\n  - id: sides\n    why: Both sides agree.\n    \
         schedule: {every: 1d}\n    reconcile:\n      confirm_after: 2s\n      \
         left: {source: db, sql: \"select id, amount from bills order by id\"}\n      \
         right: {source: db, sql: \"select id, amount + 1 as amount from bills order by id\"}\n      \
         key: [id]\n      compare: {amount: {tolerance: 0}}\n",
    );
    let output = allswell(folder.path(), &["run"]);
    assert_eq!(code(&output), 1, "{}{}", out(&output), err(&output));
    let said = "sides: both sides differ; looked at again after 2s, to see whether that lasts (`confirm_after`)";
    assert!(err(&output).contains(said), "{}", err(&output));
}

#[test]
fn where_nothing_was_looked_at_no_report_is_a_proof() {
    let paused = "version: 1\nowner: team\ndefaults: {source: db}\nchecks:\n  - id: waits\n    why: It waits.\n    \
        schedule: {every: 1d}\n    pause: {until: 2098-01-01, because: a new system comes}\n    \
        sql: select count(*) as n from bills\n    expect: {values: {n: {min: 1}}}\n";
    let folder = prepared(paused);
    let said = |args: &[&str]| {
        let output = allswell(folder.path(), args);
        assert_eq!(code(&output), 2, "{}", err(&output));
        out(&output)
    };
    let junit = said(&["run", "--output", "junit"]);
    let read = junit_parser::from_reader(junit.as_bytes()).unwrap();
    assert_eq!((read.errors, read.tests), (1, 2), "{junit}");
    assert!(said(&["run", "--output", "github"]).starts_with("::error title=unconfirmed allswell"));
    assert!(said(&["run", "--output", "markdown"]).contains("| **unconfirmed** |"));
    // A check of a source that does not answer was not planned, and is not called valid.
    fs::remove_file(folder.path().join("data.db")).unwrap();
    let junit = said(&["validate", "--connect", "--output", "junit"]);
    let read = junit_parser::from_reader(junit.as_bytes()).unwrap();
    assert_eq!((read.errors, read.tests), (2, 2), "the source, and the check: {junit}");
}
