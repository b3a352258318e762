//! Drills: who would be told of what, and whether every kind of alert comes back, without anybody being told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use allswell::domain::sql::Engine;
use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::check_tests::Bed;
use crate::notices::SOON;
use crate::servers::{Folder, free_port, signal_tree};
use crate::verbs::{allswell, text};
use crate::watchman::{Site, TOKEN, Watchman};

const CHECKS: &str = "version: 1\nowner: billing\ndefaults: {source: db}\nchecks:\n  - id: one\n    why: because\n    \
    severity: critical\n    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n  - id: two\n    \
    why: because\n    owner: shop\n    window: {period: day, zones: [Europe/Berlin, Asia/Tokyo]}\n    \
    sql: select 1 + 0 as n where :window_start < :window_end and :zone <> ''\n    expect: {values: {n: {min: 1}}}\n";

fn site(alertmanagers: &[&Alertmanager], web: &str) -> Site {
    let urls: Vec<String> =
        alertmanagers.iter().map(|a| format!("{{url: \"{}\"}}", a.url())).collect();
    let site = Site::new(
        &format!(
            "labels: {{cluster: it}}\nsources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\n\
             alertmanagers: [{}]\nwatchdog: {{token: \"${{file:token}}\", every: 2s}}\n{web}",
            urls.join(", ")
        ),
        CHECKS,
    );
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

/// Runs a drill from the site's folder; returns its exit code and what it printed.
fn drill(site: &Site, daemon: Option<&Watchman>, args: &[&str]) -> (i32, String) {
    let output = match daemon {
        Some(daemon) => {
            let config = site.path().join("allswell.yaml");
            let mut all = vec!["drill", "--config", config.to_str().unwrap()];
            all.extend(args);
            allswell(site, daemon, &all)
        }
        None => std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
            .arg("drill")
            .args(args)
            .current_dir(site.path())
            .output()
            .unwrap(),
    };
    (output.status.code().unwrap(), text(&output))
}

#[test]
fn who_would_be_told_of_what_is_shown_and_critical_alerts_that_reach_nobody_are_named() {
    let sink = Receiver::start();
    let nobody = "- name: nobody\n";
    let routes = "{matchers: ['owner=\"shop\"'], receiver: nobody}";
    let one = Alertmanager::start(&sink.url(), routes, nobody);
    let (code, said) = drill(&site(&[&one], ""), None, &["--routes"]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "  sink, by the default route\n",
        "    AllswellViolated critical billing  1 check\n",
        "  NOBODY (nobody)\n",
        "    AllswellViolated warning shop  1 check\n",
        "AllswellWatchdog, which is sent all the time, goes to sink",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let critical = "{matchers: ['severity=\"critical\"'], receiver: nobody}";
    let other = Alertmanager::start(&sink.url(), critical, nobody);
    let (code, said) = drill(&site(&[&other], ""), None, &["--routes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("kinds of critical alerts reach nobody\n"), "{said}");
    // Where one of two tells somebody, somebody is told; and they disagree.
    let (code, said) = drill(&site(&[&one, &other], ""), None, &["--routes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("They disagree on AllswellViolated critical billing: "), "{said}");
    let both = site(&[&one, &other], "");
    let (_, json) = drill(&both, None, &["--routes", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["alertmanagers"].as_array().unwrap().len(), 2);
    assert_eq!(sink.alerts().len(), 0, "nobody is told of anything by that");
    drop(other);
    let (code, said) = drill(&both, None, &["--routes"]);
    assert_eq!(code, 2, "{said}");
}

/// The printed configuration with the route of drills, for a daemon at this port; receivers come to the sink.
fn printed(site: &Site, sink: &Receiver) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(["alertmanager-config", "--drill"])
        .current_dir(site.path())
        .output()
        .unwrap();
    let token = site.path().join("token");
    let hook = format!("- name: team\n  webhook_configs: [{{url: \"{}\"}}]", sink.url());
    String::from_utf8(output.stdout)
        .unwrap()
        .replacen("- name: team", &hook, 1)
        .replace("/etc/alertmanager/allswell-watchdog-token", token.to_str().unwrap())
        .replace("30s", "1s")
}

#[test]
fn every_kind_of_alert_goes_out_and_comes_back_and_nobody_is_told() {
    let sink = Receiver::start();
    let web = format!(
        "web: {{listen: \"127.0.0.1:{}\", operator_token: \"${{file:token}}\"}}\n",
        free_port()
    );
    let mut alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&[&alertmanager], &web);
    let daemon = site.start();
    daemon.until_confirmed(3, SOON);
    // Where it would reach somebody, nothing is sent.
    let (code, said) = drill(&site, Some(&daemon), &["--loop"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("would go to `sink`, and not come back: put the route first"), "{said}");
    let config = printed(&site, &sink);
    let inhibiting = config.replace(", drill=\"\"]", "]");
    alertmanager.configure_whole(&inhibiting);
    alertmanager.restart();
    let (code, said) = drill(&site, Some(&daemon), &["--loop"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("would inhibit real alerts: write `drill=\"\"`"), "{said}");
    // A second integration of the receiver would be told of each.
    let hook = format!(
        "- name: allswell-drill\n  slack_configs: [{{api_url: \"{}\", channel: c}}]",
        sink.url()
    );
    alertmanager.configure_whole(&config.replacen("- name: allswell-drill", &hook, 1));
    alertmanager.restart();
    let (code, said) = drill(&site, Some(&daemon), &["--loop"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("has not one webhook and nothing else"), "{said}");
    alertmanager.configure_whole(&config);
    alertmanager.restart();
    let (code, said) = drill(&site, Some(&daemon), &["--loop"]);
    assert_eq!(code, 0, "{said}");
    for kind in [
        "AllswellViolated critical billing ",
        "AllswellUnconfirmed warning shop ",
        "AllswellSourceDown critical ",
        "AllswellLedgerDown critical ",
    ] {
        let line = said.lines().find(|line| line.trim_start().starts_with(kind));
        let line = line.unwrap_or_else(|| panic!("{kind}: {said}"));
        assert!(line.contains("back after ") && line.contains("ended after "), "{line}");
    }
    assert!(
        sink.alerts().iter().all(|(_, name, ..)| name == "AllswellWatchdog"),
        "{:?}",
        sink.alerts()
    );
    let drills = alertmanager.get("/api/v2/alerts?filter=drill!%3D%22%22&active=true").unwrap();
    assert_eq!(drills.trim(), "[]");
    assert!(daemon.stop().success());
}

/// The word of the ring that a receiver was told of.
fn rung(daemon: &Watchman, sink: &Receiver) -> String {
    let mut word = None;
    daemon.until(SOON, |_| {
        let alerts = sink.alerts();
        word = alerts
            .iter()
            .find_map(|(.., alert)| alert["labels"]["ring"].as_str().map(str::to_owned));
        if word.is_some() { Ok(()) } else { Err(alerts.len()) }
    });
    word.unwrap()
}

#[expect(clippy::too_many_lines, reason = "one Alertmanager with every kind of receiver")]
#[test]
fn a_ring_is_heard_by_its_word_and_wrong_muted_and_null_receivers_are_told_apart() {
    let sink = Receiver::start();
    let gone = format!("http://127.0.0.1:{}/", free_port());
    let more = format!(
        "- name: gone\n  webhook_configs: [{{url: \"{gone}\"}}]\n- name: nobody\n- name: unused\n  webhook_configs: [{{url: \"{gone}\"}}]\n"
    );
    let more = format!(
        "{more}- name: night\n  webhook_configs: [{{url: \"{}\"}}]\ntime_intervals:\n- name: always\n  time_intervals: \
         [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]\n",
        sink.url()
    );
    let routes = "{matchers: ['owner=\"shop\"'], receiver: gone}, {matchers: ['alertname=\"AllswellLedgerDown\"'], \
        receiver: night, mute_time_intervals: [always]}";
    let alertmanager = Alertmanager::start(&sink.url(), routes, &more);
    let site = site(
        &[&alertmanager],
        "web: {listen: \"127.0.0.1:0\", operator_token: \"${file:token}\"}\ndrill: {every: 90d}\n",
    );
    let daemon = site.start();
    daemon.until_confirmed(3, SOON);
    for (receiver, wanted) in [
        ("nobody", "nobody sends nothing: it has no integration"),
        ("unused", "it would never ring"),
        ("sinc", "no Alertmanager has a receiver `sinc`; did you mean `sink`?"),
    ] {
        let (code, said) =
            drill(&site, Some(&daemon), &["--ring", receiver, "--yes", "--by", "bo"]);
        assert_eq!(code, 64, "{said}");
        assert!(said.contains(wanted), "{said}");
    }
    let (code, said) = drill(&site, Some(&daemon), &["--ring", "sink", "--by", "bo"]);
    assert_eq!(code, 64, "without a terminal nobody is asked: {said}");
    // A receiver that is wrong rings nobody, and Alertmanager counts that.
    let (code, said) =
        drill(&site, Some(&daemon), &["--ring", "gone", "--yes", "--within", "6s", "--by", "bo"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("gone: NOT HEARD"), "{said}");
    // One that a time interval mutes is never told, and it is said that it may be.
    let (code, said) =
        drill(&site, Some(&daemon), &["--ring", "night", "--yes", "--within", "3s", "--by", "bo"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("a time interval mutes this route at times"), "{said}");
    assert_eq!(sink.count("firing", "AllswellLedgerDown"), 0);
    daemon.until(SOON, |_| {
        let standing = alertmanager.standing();
        let is_told = standing.iter().any(|(name, _)| name == "AllswellDrillOverdue");
        if is_told { Ok(()) } else { Err(format!("{standing:?}")) }
    });
    let heard = std::thread::scope(|scope| {
        let ring =
            scope.spawn(|| drill(&site, Some(&daemon), &["--ring", "sink", "--yes", "--by", "bo"]));
        let word = rung(&daemon, &sink);
        let (code, said) = drill(&site, Some(&daemon), &["--heard", "wrong-word-1", "--by", "ana"]);
        assert_eq!(code, 64, "{said}");
        let (code, said) = drill(&site, Some(&daemon), &["--heard", &word, "--by", "ana"]);
        assert_eq!(code, 0, "{said}");
        ring.join().unwrap()
    });
    assert_eq!(heard.0, 0, "{}", heard.1);
    assert!(heard.1.contains("sink: HEARD by ana after "), "{}", heard.1);
    let metrics = daemon.get("/metrics").1;
    assert!(
        metrics.contains("allswell_route_rung_timestamp_seconds{receiver=\"sink\"}"),
        "{metrics}"
    );
    let events = daemon.json("/api/v1/events").to_string();
    assert!(events.contains("\"ring sink\"") && events.contains("heard, by ana"), "{events}");
    // What holds a ring back is named before anything is sent.
    let until = "2100-01-01T00:00:00Z";
    alertmanager.post(
        "/api/v2/silences",
        &serde_json::json!({
            "matchers": [{"name": "owner", "value": "billing", "isRegex": false, "isEqual": true}],
            "startsAt": "2020-01-01T00:00:00Z", "endsAt": until, "createdBy": "x", "comment": "y",
        }),
    );
    let (code, said) = drill(&site, Some(&daemon), &["--ring", "sink", "--yes", "--by", "bo"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("holds it back until 2100-01-01"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn a_ring_that_is_stopped_is_ended_and_one_that_is_killed_stands_for_ten_minutes_at_most() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&[&alertmanager], "");
    let daemon = site.start();
    daemon.until_confirmed(3, SOON);
    let config = site.path().join("allswell.yaml");
    let ring = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
            .args(["drill", "--ring", "sink", "--yes", "--by", "bo", "--config"])
            .arg(&config)
            .arg("--url")
            .arg(format!("http://{}", daemon.address))
            .env("ALLSWELL_TOKEN", TOKEN)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let standing = || {
        let all = alertmanager.get("/api/v2/alerts?filter=ring!%3D%22%22").unwrap();
        let all: Value = serde_json::from_str(&all).unwrap();
        all.as_array().unwrap().clone()
    };
    let stopped = ring();
    rung(&daemon, &sink);
    signal_tree(stopped.id(), "INT");
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("it was stopped"), "{}", text(&output));
    assert_eq!(standing(), Vec::<Value>::new());
    let mut killed = ring();
    daemon.until(SOON, |_| if standing().is_empty() { Err("none stands") } else { Ok(()) });
    killed.kill().unwrap();
    killed.wait().unwrap();
    let alert = &standing()[0];
    let at =
        |key: &str| alert[key].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(at("endsAt") - at("updatedAt") <= chrono::TimeDelta::minutes(10), "{alert}");
    assert!(daemon.stop().success());
}

/// What came of each failure, by check.
fn faults(folder: &Path, args: &[&str]) -> (i32, Vec<Value>) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(["drill", "--faults", "--output", "json", "--url", "http://127.0.0.1:1"])
        .args(args)
        .env("WATCH", "watch")
        .current_dir(folder)
        .output()
        .unwrap();
    let read: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)));
    (output.status.code().unwrap(), read["drills"].as_array().unwrap().clone())
}

#[test]
fn each_critical_check_of_the_demo_rings_for_each_failure_in_time_and_a_silent_one_is_found() {
    let folder = Folder::new("drill");
    let demo = folder.path().join("demo");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(["demo", "--folder", demo.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(demo.join("checks").is_dir(), "{}", text(&made));
    // The databases, and that no ledger and nothing else appears beside them.
    let untouched = || {
        let files = fs::read_dir(&demo).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let before = untouched();
    let most = ["violated", "no_data", "refuse", "frozen", "alertmanager_away", "clock_back"];
    let most: Vec<&str> = most.iter().flat_map(|failure| ["--failure", failure]).collect();
    let (code, lines) = faults(&demo, &most);
    let bad: Vec<_> = lines.iter().filter(|line| line["state"] != "ok").collect();
    // The demo has no Alertmanager at all.
    let bad: Vec<_> =
        bad.into_iter().filter(|line| line["failure"] != "alertmanager_away").collect();
    assert!(bad.is_empty() && lines.len() == 6 * 7, "{bad:#?}");
    assert_eq!(code, 0);
    let of = |failure: &str| {
        lines.iter().find(|line| line["failure"] == failure).unwrap()["alarm"].clone()
    };
    assert_eq!(of("violated"), "AllswellViolated");
    assert_eq!(of("no_data"), "AllswellUnconfirmed");
    assert_eq!(of("refuse"), "AllswellSourceDown");
    assert_eq!(of("frozen"), "AllswellStuck");
    assert_eq!(of("clock_back"), "AllswellClockWrong");
    let one = ["--failure", "stall", "--failure", "reset", "--check", "invoice-lines-are-positive"];
    let (code, lines) = faults(&demo, &one);
    assert_eq!(
        (code, &lines[0]["state"], &lines[1]["state"]),
        (0, &"ok".into(), &"does_not_apply".into())
    );
    assert_eq!(before, untouched(), "what is watched is not touched");
    // Alarms that are off for a year, or that nobody gets up for, are found.
    let path = demo.join("checks/billing.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let until = (chrono::Utc::now() + chrono::TimeDelta::days(300)).format("%Y-%m-%d");
    let id = "  - id: refunds-are-approved\n";
    assert!(text.contains(id));
    for (more, failure, state, why) in [
        (
            format!("pause: {{until: {until}, because: \"planted\"}}"),
            "refuse",
            "silent",
            format!("it is paused until {until}"),
        ),
        (
            "alert: {after: 100}".to_owned(),
            "no_data",
            "silent",
            "its alert begins after 100 bad windows in a row".to_owned(),
        ),
        ("alert: {unconfirmed: info}".to_owned(), "no_data", "not_critical", String::new()),
    ] {
        fs::write(&path, text.replace(id, &format!("{id}    {more}\n"))).unwrap();
        let (code, lines) =
            faults(&demo, &["--failure", failure, "--check", "refunds-are-approved"]);
        assert_eq!((code, &lines[0]["state"]), (1, &state.into()), "{more}: {lines:#?}");
        assert_eq!(lines[0]["why"].as_str().unwrap_or_default(), why, "{more}");
    }
}

#[tokio::test]
async fn each_failure_of_a_server_rings_and_without_a_scratch_database_it_is_said_which_were_not_drilled()
 {
    let checks = "version: 1\nowner: shop\ndefaults: {source: db, severity: critical, schedule: {every: 1m}}\nchecks:\n  - id: paid\n    \
        why: because\n    sql: select id, cents from orders\n    expect: {values: {cents: {min: 1}}}\n";
    let tests = "version: 1\nschema: {db: schema.sql}\ntests:\n  - of: paid\n    name: nothing is free\n    \
        given: {orders: [{id: 1, cents: 0}]}\n    expect: violated\n";
    let bed =
        Bed::new(Engine::Postgres, checks, tests, "create table orders (id int, cents int);\n")
            .await;
    let (code, lines) = faults(bed.folder.path(), &[]);
    let states: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {} {}", line["failure"], line["state"], line["why"]))
        .collect();
    let is_fine = |line: &Value| line["state"] == "ok" || line["failure"] == "alertmanager_away";
    assert!(lines.len() == 10 && lines.iter().all(is_fine), "{states:#?}");
    assert_eq!(code, 0);
    // With two in the settings, the other one is told.
    let settings = fs::read_to_string(bed.folder.path().join("allswell.yaml")).unwrap();
    let two = "alertmanagers: [{url: \"http://127.0.0.1:1\"}, {url: \"http://127.0.0.1:2\"}]\n";
    bed.write("allswell.yaml", &format!("{settings}{two}"));
    let (code, lines) = faults(bed.folder.path(), &["--failure", "alertmanager_away"]);
    assert_eq!((code, &lines[0]["state"]), (0, &"ok".into()), "{lines:#?}");
    // What is looked at once in four years rings for nothing that happens before.
    bed.write(
        "checks/all.yaml",
        &checks.replace("{every: 1m}", "{cron: \"0 0 29 2 *\", zone: UTC}"),
    );
    let (code, lines) = faults(bed.folder.path(), &["--failure", "refuse"]);
    let why = lines[0]["why"].as_str().unwrap_or_default();
    assert!(code == 1 && why.starts_with("it is not looked at before 20"), "{lines:#?}");
    bed.write("checks/all.yaml", checks);
    bed.write("allswell.yaml", "sources: {db: {url: \"postgres://nobody@127.0.0.1:1/never\"}}\n");
    let (code, lines) = faults(
        bed.folder.path(),
        &["--failure", "reset", "--failure", "slow", "--failure", "violated"],
    );
    let state = |failure: &str| {
        lines.iter().find(|line| line["failure"] == failure).unwrap()["state"].clone()
    };
    assert_eq!(code, 2);
    assert_eq!(
        (state("reset"), state("slow"), state("violated")),
        ("ok".into(), "not_drilled".into(), "not_drilled".into())
    );
}
