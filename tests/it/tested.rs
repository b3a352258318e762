//! What came of tests of checks, on the daemon: metrics, pages and the API say which checks are shown to be able to fail.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{code, command, err, out};
use crate::watchman::{Site, Watchman};

const SETTINGS: &str = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
const NAMED: &str =
    "tests: {results: tested.json}\nsources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";

fn checks(least: &str) -> String {
    format!(
        "version: 1\nowner: me\ndefaults: {{source: db, schedule: {{every: 1h}}}}\nchecks:\n  \
         - {{id: shown, why: w, sql: select id from bills where id > 0, expect: {{values: {{id: {{min: {least}}}}}}}}}\n  \
         - {{id: bare, why: w, sql: select id from bills, expect: {{values: {{id: {{min: 1}}}}}}}}\n"
    )
}

const SCHEMA: &str = "create table bills (id integer primary key);\n";

const TESTS: &str = "version: 1\nschema: schema.sql\ntests:
  - {of: shown, name: three, given: {bills: [{id: 3}]}, expect: confirmed}
  - {of: shown, name: one, given: {bills: [{id: 1}]}, expect: violated}
";

fn site() -> Site {
    let site = Site::new(SETTINGS, &checks("2"));
    site.checks("all.test.yaml", TESTS);
    site.checks("schema.sql", SCHEMA);
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

/// Runs the tests, and writes down what came of them.
fn write_results(site: &Site, args: &[&str]) {
    let args = [&["test", "--results", "tested.json"], args].concat();
    let output = command(site.path(), &args).output().unwrap();
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
}

fn sample(daemon: &Watchman, name: &str, check: &str) -> Option<f64> {
    let head = format!("allswell_check_{name}{{check=\"{check}\"}} ");
    let (_, text) = daemon.get("/metrics");
    text.lines().find_map(|line| line.strip_prefix(&head)).map(|value| value.parse().unwrap())
}

fn of_api(daemon: &Watchman, check: &str) -> (Value, Value) {
    let one = daemon.series(check).remove(0);
    (one["tested"].clone(), one["mutation_score"].clone())
}

/// Waits until the metric says so.
fn until(daemon: &Watchman, check: &str, wanted: f64) {
    daemon.until(Duration::from_secs(30), |daemon| {
        let tested = sample(daemon, "tested", check);
        if tested == Some(wanted) { Ok(()) } else { Err(tested) }
    });
}

#[test]
fn a_check_is_called_tested_where_its_tests_passed_as_it_is_now_and_nowhere_else() {
    let site = site();
    let daemon = site.start();
    // Nothing is known of tests: nothing is called tested, and pages are silent about it.
    until(&daemon, "shown", 0.0);
    assert_eq!(of_api(&daemon, "shown"), (Value::Null, Value::Null));
    assert!(!daemon.get("/checks").1.contains("not tested"));
    write_results(&site, &["--mutants"]);
    let written = fs::read_to_string(site.path().join("tested.json")).unwrap();
    site.settings(NAMED);
    until(&daemon, "shown", 1.0);
    assert_eq!(sample(&daemon, "tested", "bare"), Some(0.0));
    let score = sample(&daemon, "mutation_score", "shown").unwrap();
    assert!(score > 0.3 && score < 1.0, "{score}: {written}");
    assert_eq!(of_api(&daemon, "shown"), (true.into(), score.into()));
    assert_eq!(of_api(&daemon, "bare").0, Value::Bool(false));
    let (_, page) = daemon.get("/checks");
    assert_eq!(page.matches("not tested").count(), 1, "{page}");
    let (_, page) = daemon.get("/checks?tested=no");
    assert!(page.contains("/checks/bare\"") && !page.contains("/checks/shown\""), "{page}");
    let (_, page) = daemon.get("/checks/shown");
    assert!(page.contains("its tests show it confirmed and violated; they notice"), "{page}");
    assert_eq!(daemon.get("/checks?tested=maybe").0, 400);
    // The check means something else: what was shown of the one before says nothing of it.
    site.checks("checks.yaml", &checks("3"));
    until(&daemon, "shown", 0.0);
    assert_eq!(sample(&daemon, "mutation_score", "shown"), None);
    assert!(daemon.get("/checks/shown").1.contains("changed since they ran"));
    // Back again, it does; where its tests or their tables are others, it does not.
    site.checks("checks.yaml", &checks("2"));
    until(&daemon, "shown", 1.0);
    site.checks("all.test.yaml", &TESTS.replace("{id: 3}", "{id: 4}"));
    until(&daemon, "shown", 0.0);
    site.checks("all.test.yaml", TESTS);
    until(&daemon, "shown", 1.0);
    site.checks("schema.sql", "create table bills (id integer);\n");
    until(&daemon, "shown", 0.0);
    site.checks("schema.sql", SCHEMA);
    // What is no file of results says nothing.
    until(&daemon, "shown", 1.0);
    fs::write(site.path().join("tested.json"), "{\"version\": 1, \"checks\": {\"shown\": 1}}")
        .unwrap();
    until(&daemon, "shown", 0.0);
    assert!(daemon.log().contains("these are no results of tests"), "{}", daemon.log());
}

#[test]
fn results_are_the_same_file_each_time_and_failed_tests_show_nothing() {
    let site = site();
    write_results(&site, &[]);
    let first = fs::read_to_string(site.path().join("tested.json")).unwrap();
    write_results(&site, &[]);
    assert_eq!(first, fs::read_to_string(site.path().join("tested.json")).unwrap());
    assert!(!first.contains("mutants"), "{first}");
    let wrong = TESTS
        .replace("name: one, given: {bills: [{id: 1}]}", "name: one, given: {bills: [{id: 5}]}");
    site.checks("all.test.yaml", &wrong);
    let output = command(site.path(), &["test", "--results", "tested.json"]).output().unwrap();
    assert_eq!(code(&output), 1, "{}", out(&output));
    let failed = fs::read_to_string(site.path().join("tested.json")).unwrap();
    assert!(!failed.contains("\"tested\": true"), "{failed}");
    for (args, words) in [
        (&["--results", "tested.json", "--check", "shown"][..], "cannot be used with"),
        (&["--results", "nowhere/tested.json"], "cannot be written"),
    ] {
        let output = command(site.path(), &[&["test"], args].concat()).output().unwrap();
        assert!(err(&output).contains(words), "{args:?}: {}", err(&output));
        assert!(code(&output) > 2, "{args:?}");
    }
}

#[test]
fn tests_that_notice_too_little_are_told_as_failed_in_every_form() {
    let site = site();
    let run = |form: &str| {
        let args = ["test", "--mutants", "--min-score", "100", "--output", form];
        let output = command(site.path(), &args).output().unwrap();
        assert_eq!(code(&output), 1, "{}", out(&output));
        out(&output)
    };
    assert!(run("text").contains("2 failed"));
    assert!(run("text").contains("of a hundred mistakes, and have to notice 100"));
    assert!(run("junit").contains("<failure"));
    assert!(run("json").contains("\"falls_short\":\"its tests notice"));
    assert!(run("github").contains("::error"));
    assert!(run("markdown").contains("have to notice 100"));
}
