//! Each number of a page is that of the API and of the metrics.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pages::{a_window, looked_at, site};
use crate::visitor::open;
use crate::watchman::Watchman;

/// How urgent a state is, the first is what a check with several series is called.
const URGENCY: [&str; 6] = ["violated", "unconfirmed", "new", "waived", "paused", "confirmed"];

/// The states of the series of each check, as the API says them.
fn states(daemon: &Watchman) -> BTreeMap<String, Vec<String>> {
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for series in daemon.json("/api/v1/checks?limit=1000")["checks"].as_array().unwrap() {
        let word = |key: &str| series[key].as_str().unwrap().to_owned();
        states.entry(word("check")).or_default().push(word("state"));
    }
    states
}

/// What stands between two texts, each time.
fn between<'t>(text: &'t str, from: &str, to: &str) -> Vec<&'t str> {
    text.split(from).skip(1).map(|rest| rest.split(to).next().unwrap()).collect()
}

/// How often a state is a mark in a part of a page.
fn marks(part: &str, state: &str) -> usize {
    part.matches(&format!("<span class=\"state {state}\">")).count()
}

#[test]
fn lists_of_checks_and_series_say_what_the_api_says() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let states = states(&daemon);
    let list = open(&daemon, "/checks").body;
    assert!(list.contains(&format!("{0} of {0} checks", states.len())), "{list}");
    let rows = between(&list, "<tr><td ", "</tr>");
    assert_eq!(rows.len(), states.len());
    let windows = daemon.get("/metrics").1;
    for (check, states) in &states {
        let row = rows.iter().find(|row| row.contains(&format!("/checks/{check}\">"))).unwrap();
        let worst = URGENCY.iter().find(|state| states.iter().any(|is| is == *state)).unwrap();
        assert_eq!(marks(row, worst), 1, "{check}: {row}");
        let count = |state: &str| states.iter().filter(|is| *is == state).count();
        if states.len() > 1 {
            let zones = format!("{} of {} zones {worst}", count(worst), states.len());
            assert!(row.contains(&zones), "{zones}: {row}");
        }
        let page = open(&daemon, &format!("/checks/{check}")).body;
        let table = between(&page, "<details id=\"zones\"", "</details>")[0];
        for state in URGENCY {
            assert_eq!(marks(table, state), count(state), "{check} {state}: {table}");
        }
        // What is open is listed, and counted by the metrics.
        let all = daemon.json(&format!("/api/v1/checks/{check}/windows?open=true&limit=1000"));
        let all = all["windows"].as_array().unwrap().len();
        let series = format!("allswell_check_windows_open{{check=\"{check}\"");
        let counted: usize = windows
            .lines()
            .filter(|line| line.starts_with(&series))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
            .sum();
        assert_eq!(all, counted, "{check}");
        let listed = between(&page, "<h2>Open ", "</table>");
        let listed = listed.first().map_or(0, |part| part.matches("<tr><td ").count());
        assert_eq!(listed, all, "{check}: {page}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn sources_windows_and_attempts_say_what_the_api_says() {
    let site = site("");
    let daemon = site.start();
    looked_at(&daemon);
    let page = open(&daemon, "/sources").body;
    let source = daemon.json("/api/v1/status")["sources"]["db"].clone();
    let all = daemon.json("/api/v1/checks?limit=1000");
    let all = all["checks"].as_array().unwrap();
    let critical = all.iter().filter(|one| one["severity"] == "critical");
    let critical: std::collections::BTreeSet<_> =
        critical.map(|one| one["check"].as_str().unwrap()).collect();
    let said = format!("{} checks</a> ask it, {} of them critical", 3, critical.len());
    assert!(page.contains(&said), "{said}: {page}");
    for said in [
        format!(
            "{} of {} at work, {} attempts wait",
            source["running"], source["places"], source["waiting"]
        ),
        format!("{} since the start", source["attempts"]),
    ] {
        assert!(page.contains(&said), "{said}: {page}");
    }
    for (cause, count) in source["unconfirmed"].as_object().unwrap() {
        if *count != 0 {
            assert!(page.contains(&format!("{cause} ({count})")), "{cause} ({count}): {page}");
        }
    }
    // Of one window, what is asked is written as the source takes it: who types it gets the same rows.
    let page = open(&daemon, &a_window(&daemon)).body;
    let sql = between(&page, "<pre id=\"sql-0\">", "</pre>")[0];
    let bounds = between(sql, "&#39;", "&#39;")[0];
    assert!(chrono::NaiveDateTime::parse_from_str(bounds, "%Y-%m-%d %H:%M:%S").is_ok(), "{sql}");
    // How often it was tried, and how much it looked at.
    let path = a_window(&daemon);
    let page = open(&daemon, &path).body;
    let start = path.rsplit('/').next().unwrap();
    let windows = daemon.json("/api/v1/checks/days-add-up/windows?open=true&tz=America/New_York");
    let window = windows["windows"].as_array().unwrap().iter();
    let window = window.clone().find(|window| window["start"] == start).unwrap();
    let attempts = between(&page, "<h2>Attempts</h2>", "</table>")[0];
    let tried = attempts.matches("<tr><td ").count();
    assert_eq!(Value::from(tried), window["attempts"], "{attempts}");
    assert!(
        page.contains(&format!("<dt>Evidence</dt><dd>looked at {}</dd>", window["evidence"])),
        "{page}"
    );
    assert!(page.contains(&format!("<dt>Attempts</dt><dd>{tried}</dd>")), "{page}");
    assert!(daemon.stop().success());
}
