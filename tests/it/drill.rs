//! Drills: who would be told of what, and whether every kind of alert comes back, without anybody being told.

use std::fs;

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::servers::free_port;
use crate::verbs::{allswell, text};
use crate::watchman::{Site, Watchman};

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
    daemon.until_confirmed(3, crate::notices::SOON);
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
