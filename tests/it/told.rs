//! What became of alerts: who was told, what held that back, and what an operator keeps quiet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::alerting::{Alertmanager, Receiver};
use crate::delivery::{set, settings, site_of};
use crate::notices::{SOON, confirmed};
use crate::verbs::{allswell, text};
use crate::watchman::{Site, Watchman};

/// How soon what became of an alert is known: an Alertmanager is asked each 15 seconds.
const KNOWN: Duration = Duration::from_secs(45);

const IDS: [&str; 4] = ["silenced", "inhibited", "nowhere", "notified"];

/// What became of the alert of each check, by `/api/v1/checks`.
fn deliveries(daemon: &Watchman) -> BTreeMap<String, String> {
    let answer = daemon.json("/api/v1/checks");
    let checks = answer["checks"].as_array().unwrap().iter();
    let delivery = |check: &Value| {
        let delivery = check["alerts"][0]["delivery"].as_str().unwrap_or("").to_owned();
        (check["check"].as_str().unwrap().to_owned(), delivery)
    };
    checks.map(delivery).collect()
}

#[test]
fn a_silenced_an_inhibited_a_null_routed_and_a_well_routed_alert_are_told_apart() {
    let sink = Receiver::start();
    let routes = "{matchers: ['check=\"nowhere\"'], receiver: nobody}";
    let more = "- name: nobody\ninhibit_rules:\n- source_matchers: ['alertname=\"Blocker\"']\n  \
                target_matchers: ['check=\"inhibited\"']\n";
    let alertmanager = Alertmanager::start(&sink.url(), routes, more);
    let until = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    alertmanager.post(
        "/api/v2/silences",
        &json!({"matchers": [{"name": "check", "value": "silenced", "isRegex": false, "isEqual": true}],
            "startsAt": Utc::now().to_rfc3339(), "endsAt": until, "createdBy": "ana", "comment": "planned work"}),
    );
    let blocker = json!([{"labels": {"alertname": "Blocker"}, "endsAt": until}]);
    alertmanager.post("/api/v2/alerts", &blocker);
    let site = site_of(&settings(&[alertmanager.url()], ""), &IDS);
    let daemon = site.start();
    daemon.until_confirmed(IDS.len(), SOON);
    for id in IDS {
        set(&site, id, 0);
    }
    let wanted = IDS.map(|id| match id {
        "nowhere" => (id.to_owned(), "unheard".to_owned()),
        _ => (id.to_owned(), id.to_owned()),
    });
    let wanted = BTreeMap::from(wanted);
    daemon.until(KNOWN, |daemon| match deliveries(daemon) {
        known if known == wanted => Ok(()),
        known => Err(known),
    });
    sink.until("firing", "AllswellAlertUnheard", 0, SOON);
    let unheard = sink.alerts().into_iter().find(|(_, name, ..)| name == "AllswellAlertUnheard");
    let description = unheard.unwrap().3["annotations"]["description"].as_str().unwrap().to_owned();
    assert!(
        description.starts_with("AllswellViolated nowhere goes to `nobody` in "),
        "{description}"
    );
    let silenced = &daemon.json("/api/v1/checks?check=silenced")["checks"][0]["alerts"][0];
    assert_eq!(silenced["silences"][0]["by"], "ana", "{silenced}");
    assert_eq!(silenced["silences"][0]["because"], "planned work", "{silenced}");
    let (_, metrics) = daemon.get("/metrics");
    for delivery in ["silenced", "inhibited", "unheard", "notified"] {
        let line = metrics.lines().find(|line| {
            line.starts_with("allswell_alerts_by_delivery")
                && line.contains(&format!("\"{delivery}\""))
        });
        assert!(line.is_some_and(|line| line.ends_with(" 1")), "{delivery}: {line:?}");
    }
    let (_, shown) = ask(&site, &daemon, &["status"]);
    for words in [
        "by ana: planned work",
        "sends nothing: another alert inhibits it",
        "REACHES NOBODY: ",
        "1 alerts REACH NOBODY at ",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(daemon.stop().success());
}

/// Runs a verb against a daemon; returns its exit code and what it printed.
fn ask(site: &Site, daemon: &Watchman, args: &[&str]) -> (i32, String) {
    let output = allswell(site, daemon, args);
    (output.status.code().unwrap(), text(&output))
}

fn keep_quiet(site: &Site, daemon: &Watchman, lasts: &str) -> (i32, String) {
    ask(site, daemon, &["quiet", "it", "--for", lasts, "--because", "being mended", "--by", "ana"])
}

/// Watches for a while that nobody is told of the check.
fn is_quiet(daemon: &Watchman, sinks: &[&Receiver], lasts: Duration) {
    let until = Instant::now() + lasts;
    daemon.until(SOON, |_| {
        for sink in sinks {
            assert_eq!(sink.count("firing", "AllswellViolated"), 0, "{:?}", sink.alerts());
        }
        if Instant::now() > until { Ok(()) } else { Err(until) }
    });
}

fn until_state(daemon: &Watchman, wanted: &str) {
    daemon.until(SOON, |daemon| match daemon.series("it")[0]["state"].as_str() {
        Some(state) if state == wanted => Ok(()),
        state => Err(state.map(str::to_owned)),
    });
}

#[test]
fn what_is_kept_quiet_is_told_to_nobody_through_restarts_and_is_told_when_that_is_over() {
    let (sink, hook) = (Receiver::start(), Receiver::start());
    let mut alertmanager = Alertmanager::start(&sink.url(), "", "");
    let webhooks = format!("webhooks: [{{url: \"{}\"}}]\n", hook.url());
    let site = site_of(&settings(&[alertmanager.url()], &webhooks), &["it"]);
    let mut daemon = site.start();
    confirmed(&daemon);
    let (code, said) = keep_quiet(&site, &daemon, "1h");
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("nobody is told of it until "), "{said}");
    assert_eq!(alertmanager.silences().len(), 1);
    set(&site, "it", 0);
    until_state(&daemon, "violated");
    assert_eq!(
        daemon.json("/api/v1/checks")["checks"][0]["quiet_until"].as_str().map(str::len),
        Some(27)
    );
    is_quiet(&daemon, &[&sink, &hook], Duration::from_secs(5));
    // Either may be started anew; an Alertmanager that lost its silence gets it again.
    assert!(daemon.stop().success());
    daemon = site.start();
    alertmanager.kill();
    alertmanager.forget();
    alertmanager.restart();
    daemon.until(KNOWN, |_| match alertmanager.silences().len() {
        1 => Ok(()),
        count => Err(count),
    });
    let (code, shown) = ask(&site, &daemon, &["status"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains(": it, by ana: being mended\n"), "{shown}");
    let (code, said) =
        ask(&site, &daemon, &["quiet", "it", "--end", "--because", "mended", "--by", "ana"]);
    assert_eq!((code, said.as_str()), (0, "it is told of again\n"));
    sink.until("firing", "AllswellViolated", 0, SOON);
    hook.until("firing", "AllswellViolated", 0, SOON);
    assert_eq!(alertmanager.silences(), Vec::<String>::new());
    assert!(daemon.stop().success());
}

#[test]
fn a_silence_that_a_person_ended_in_alertmanager_is_not_made_again() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site_of(&settings(&[alertmanager.url()], ""), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    let (code, said) = keep_quiet(&site, &daemon, "1h");
    assert_eq!(code, 0, "{said}");
    set(&site, "it", 0);
    until_state(&daemon, "violated");
    let amtool = |args: &[&str]| {
        let output = std::process::Command::new(crate::servers::program("amtool", &["/usr/bin"]))
            .arg(format!("--alertmanager.url={}", alertmanager.url()))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let id = amtool(&["silence", "query", "-q"]);
    amtool(&["silence", "expire", id.trim()]);
    // The next look at the silences finds it over, and leaves it so.
    daemon.until(KNOWN, |daemon| {
        let quiet = daemon.json("/api/v1/quiet").to_string();
        if quiet.contains("a person ended the silence there") { Ok(()) } else { Err(quiet) }
    });
    sink.until("firing", "AllswellViolated", 0, SOON);
    assert_eq!(alertmanager.silences(), Vec::<String>::new());
    assert!(daemon.stop().success());
}

#[test]
fn what_is_kept_quiet_ends_by_itself() {
    let (sink, hook) = (Receiver::start(), Receiver::start());
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let webhooks = format!("webhooks: [{{url: \"{}\"}}]\n", hook.url());
    let site = site_of(&settings(&[alertmanager.url()], &webhooks), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    let (code, said) = keep_quiet(&site, &daemon, "10s");
    assert_eq!(code, 0, "{said}");
    set(&site, "it", 0);
    until_state(&daemon, "violated");
    is_quiet(&daemon, &[&sink, &hook], Duration::from_secs(2));
    sink.until("firing", "AllswellViolated", 0, SOON);
    hook.until("firing", "AllswellViolated", 0, SOON);
    let quiet = daemon.json("/api/v1/quiet");
    assert_eq!(quiet["quiet"], json!([]), "{quiet}");
    assert!(daemon.stop().success());
}

#[test]
fn an_alertmanager_that_refuses_a_silence_leaves_none_at_the_others() {
    let sink = Receiver::start();
    let alertmanagers = [0, 1].map(|_| Alertmanager::start(&sink.url(), "", ""));
    let refusing = Receiver::in_front_of(&alertmanagers[1].url(), &["POST /api/v2/silences"]);
    let urls = [alertmanagers[0].url(), format!("http://127.0.0.1:{}", refusing.port)];
    let site = site_of(&settings(&urls, ""), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    let (code, said) = keep_quiet(&site, &daemon, "1h");
    assert_eq!(code, 74, "{said}");
    for words in
        ["it refuses the silence: status 422", "what was made is expired", "amtool silence add"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    for alertmanager in &alertmanagers {
        assert_eq!(alertmanager.silences(), Vec::<String>::new());
    }
    assert_eq!(daemon.json("/api/v1/quiet")["quiet"], json!([]));
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    // What can be quiet nowhere else is so at webhooks alone, and an unknown check nowhere.
    let (code, said) =
        ask(&site, &daemon, &["quiet", "its", "--for", "1h", "--because", "b", "--by", "a"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("no check is called `its`; did you mean `it`?"), "{said}");
    let (code, said) =
        ask(&site, &daemon, &["quiet", "it", "--for", "25h", "--because", "b", "--by", "a"]);
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("`for` is between 1s and 24h"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn with_webhooks_alone_a_check_is_quiet_too_and_what_was_over_by_then_is_told_to_none() {
    let hook = Receiver::start();
    let webhooks = format!("webhooks: [{{url: \"{}\"}}]\n", hook.url());
    let settings = settings(&[], &webhooks).replace("alertmanagers: []\n", "");
    let site = site_of(&settings, &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    let (code, said) = keep_quiet(&site, &daemon, "1h");
    assert_eq!(code, 0, "{said}");
    set(&site, "it", 0);
    until_state(&daemon, "violated");
    set(&site, "it", 1);
    confirmed(&daemon);
    is_quiet(&daemon, &[&hook], Duration::from_secs(4));
    let (code, said) =
        ask(&site, &daemon, &["quiet", "it", "--end", "--because", "mended", "--by", "ana"]);
    assert_eq!(code, 0, "{said}");
    is_quiet(&daemon, &[&hook], Duration::from_secs(4));
    // And what is wrong from then on is.
    set(&site, "it", 0);
    hook.until("firing", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
}
