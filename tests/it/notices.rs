//! What is told outside, by real Alertmanagers: what is wrong arrives, only a fresh proof ends it.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver, passes};
use crate::lab::Other;
use crate::watchman::{Site, Watchman};

pub(crate) const SOON: Duration = Duration::from_secs(30);

const CHECKS: &str = "version: 1\nowner: tests\ndefaults: {source: db, severity: critical, schedule: {every: 1s}, result_by: 3s}\nchecks:\n  \
    - id: it\n    why: Orders are worth something.\n    runbook: https://wiki.example/orders\n    labels: {team: blue}\n    \
    sql: select ok as n from state\n    expect: {values: {n: {min: 1}}}\n";

pub(crate) fn settings(alertmanagers: &[&Alertmanager], more: &str) -> String {
    let urls: Vec<String> =
        alertmanagers.iter().map(|a| format!("{{url: \"{}\"}}", a.url())).collect();
    let urls = match urls.as_slice() {
        [] => String::new(),
        urls => format!("alertmanagers: [{}]\n", urls.join(", ")),
    };
    format!(
        "labels: {{cluster: it}}\nsources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\n{urls}\
         notices: {{resend: 1s, hold: 2s, lasts: 2m}}\n{more}"
    )
}

/// Says whether the data is right.
pub(crate) fn state(site: &Site, ok: u8) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        data.run("create table if not exists state (ok integer)").await.unwrap();
        data.run("delete from state").await.unwrap();
        data.run(&format!("insert into state values ({ok})")).await.unwrap();
        data.close().await;
    });
}

pub(crate) fn site(settings: &str) -> Site {
    let site = Site::new(settings, CHECKS);
    fs::write(site.path().join("data.db"), "").unwrap();
    state(&site, 1);
    site
}

pub(crate) fn confirmed(daemon: &Watchman) {
    daemon.until(SOON, |daemon| match daemon.get("/allswell?check=it") {
        (200, _) => Ok(()),
        other => Err(other),
    });
}

/// The address of an Alertmanager that is not there.
fn gone(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[test]
fn the_end_of_an_alert_says_that_it_is_over_and_what_it_was() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&settings(&[&alertmanager], ""));
    let daemon = site.start();
    confirmed(&daemon);
    state(&site, 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    state(&site, 1);
    let alert = sink.until("resolved", "AllswellViolated", 0, SOON * 2);
    let said = |name: &str| alert["annotations"][name].as_str().unwrap().to_owned();
    let summary = said("summary");
    assert!(summary.starts_with("it: over, nothing is open any more; it was: "), "{summary}");
    let text = said("description");
    assert!(
        text.starts_with("It ended at ") && text.contains("While it stood, it said:\n"),
        "{text}"
    );
    assert!(text.contains("expected"), "what was found is there: {text}");
    assert!(daemon.stop().success());
}

#[test]
fn one_of_two_that_is_dead_keeps_nothing_from_the_other_and_is_told_when_it_is_back() {
    let (here, there) = (Receiver::start(), Receiver::start());
    let alive = Alertmanager::start(&here.url(), "", "");
    let mut dead = Alertmanager::start(&there.url(), "", "");
    let site = site(&settings(&[&alive, &dead], ""));
    dead.kill();
    let died = Instant::now();
    let daemon = site.start();
    confirmed(&daemon);
    state(&site, 0);
    here.until("firing", "AllswellViolated", 0, SOON);
    let status = daemon.json("/api/v1/status");
    let path = &status["alert_paths"][1];
    assert_eq!(path["alertmanager"], gone(dead.port));
    assert!(text(&path["why"]).contains("did not answer"), "{path}");
    state(&site, 1);
    here.until("resolved", "AllswellViolated", 0, SOON);
    state(&site, 0);
    // A minute of nothing, less what is over: then everything within ten seconds.
    std::thread::sleep(Duration::from_secs(60).saturating_sub(died.elapsed()));
    dead.restart();
    there.until("firing", "AllswellViolated", 0, Duration::from_secs(10));
    assert!(daemon.stop().success());
}

#[test]
fn an_alert_that_is_refused_keeps_no_other_from_arriving_and_is_named() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    // Alertmanager 0.25 refuses an address that is none; whoever writes `public_url` may have got far.
    let mut checks = CHECKS.to_owned();
    for number in 0..500 {
        let bad = number % 60 == 7;
        let severity = if bad { "critical" } else { "warning" };
        checks.push_str(&format!(
            "  - id: more-{number}\n    why: because\n    severity: {severity}\n    sql: select ok as n from state\n    \
             expect: {{values: {{n: {{min: 1}}}}}}\n    schedule: {{every: 1h}}\n    result_by: 30m\n"
        ));
    }
    let between =
        Receiver::in_front_of(&alertmanager.url(), &["more-7\"", "more-77\"", "more-444\""]);
    let more = settings(&[], "").replace(
        "sources:",
        &format!("alertmanagers: [{{url: \"http://127.0.0.1:{}\"}}]\nsources:", between.port),
    );
    let site = Site::new(&more, &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    state(&site, 0);
    let daemon = site.start();
    daemon.until(SOON * 4, |_| {
        let standing = alertmanager.standing();
        let arrived = standing.iter().filter(|(name, _)| name == "AllswellViolated").count();
        if arrived == 498 { Ok(()) } else { Err(arrived) }
    });
    let (_, metrics) = daemon.get("/metrics");
    let refused = metrics.lines().find(|line| line.starts_with("allswell_alerts_refused{"));
    assert!(refused.unwrap().ends_with(" 3"), "{refused:?}");
    for name in ["more-7", "more-77", "more-444"] {
        let named = format!(
            "Alertmanager {} refuses the alert AllswellViolated {name}: {{}}\n",
            gone(between.port)
        );
        assert!(daemon.log().contains(&named), "{named}: {}", daemon.log());
    }
    assert!(daemon.stop().success());
}

#[test]
fn people_without_an_alertmanager_are_told_in_its_form() {
    let sink = Receiver::start();
    // Whoever is being moved answers like that, and the alert stands still when it is back.
    sink.status.store(404, std::sync::atomic::Ordering::Relaxed);
    let more = format!("webhooks: [{{name: pager, url: \"{}\"}}]\n", sink.url());
    let site = site(&settings(&[], &more));
    let daemon = site.start();
    confirmed(&daemon);
    state(&site, 0);
    daemon.until(SOON, |daemon| {
        let (_, metrics) = daemon.get("/metrics");
        let line = "allswell_webhooks_sent_total{outcome=\"failed\",webhook=\"pager\"} ";
        let failed = metrics.lines().find_map(|l| l.strip_prefix(line)?.parse::<u64>().ok());
        if failed.unwrap_or(0) > 0 { Ok(()) } else { Err(metrics) }
    });
    // What it did not take comes again.
    sink.status.store(200, std::sync::atomic::Ordering::Relaxed);
    let alert = sink.until("firing", "AllswellViolated", 0, SOON);
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    let (path, message) = sink.taken()[0].clone();
    assert_eq!(path, "/hook");
    for (key, value) in [("version", "4"), ("receiver", "pager"), ("status", "firing")] {
        assert_eq!(message[key], value);
    }
    assert_eq!(
        message["groupLabels"],
        serde_json::json!({"alertname": "AllswellViolated", "check": "it"})
    );
    assert_eq!(message["commonLabels"]["cluster"], "it");
    state(&site, 1);
    let ended = sink.until("resolved", "AllswellViolated", 0, SOON);
    assert_eq!(ended["fingerprint"], alert["fingerprint"]);
    assert_eq!(ended["startsAt"], alert["startsAt"]);
    // What is wrong with the daemon itself ends there too.
    let (there, away) = (site.path().join("data.db"), site.path().join("away.db"));
    fs::rename(&there, &away).unwrap();
    let down = sink.until("firing", "AllswellSourceDown", 0, SOON);
    assert!(text(&down["annotations"]["summary"]).contains("the source `db`"), "{down}");
    fs::rename(&away, &there).unwrap();
    sink.until("resolved", "AllswellSourceDown", 0, SOON * 2);
    assert!(daemon.stop().success());
}

/// The watchdog's route and receiver, as `allswell alertmanager-config` prints them.
pub(crate) fn round(
    daemon_port: u16,
    folder: &std::path::Path,
    every: &str,
    repeat: &str,
) -> (String, String) {
    let route = format!(
        "{{matchers: ['alertname=\"AllswellWatchdog\"'], receiver: allswell-watchdog, group_by: [alertname, alertmanager], \
         group_wait: 0s, group_interval: {every}, repeat_interval: {repeat}}}"
    );
    let receiver = format!(
        "- name: allswell-watchdog\n  webhook_configs:\n  - url: \"http://127.0.0.1:{daemon_port}/webhooks/alertmanager\"\n    \
         send_resolved: false\n    http_config: {{authorization: {{credentials_file: \"{}\"}}}}\n",
        folder.join("watchdog").display()
    );
    (route, receiver)
}

/// Waits until the ways out are as wanted: which of them are broken.
fn paths(daemon: &Watchman, broken: &[bool], within: Duration) {
    daemon.until(within, |daemon| {
        let status = daemon.json("/api/v1/status");
        let ways = status["alert_paths"].as_array().unwrap();
        let seen: Vec<bool> = ways.iter().map(|way| !way["broken_since"].is_null()).collect();
        let proved =
            ways.iter().zip(&seen).all(|(way, broken)| *broken || !way["proved_at"].is_null());
        if seen == broken && proved { Ok(()) } else { Err(status["alert_paths"].clone()) }
    });
}

/// Ways in which a configuration of Alertmanager breaks the round.
fn ways_to_break(
    route: &str,
    receiver: &str,
    port: u16,
    elsewhere: &str,
) -> [(&'static str, String, String); 6] {
    let at = |port: u16| format!("http://127.0.0.1:{port}/webhooks/alertmanager");
    let (own, nobody) = (at(port), at(crate::servers::free_port()));
    let (route, receiver) = (route.to_owned(), receiver.to_owned());
    [
        ("route missing", String::new(), receiver.clone()),
        ("wrong receiver", route.clone(), receiver.replace(&own, elsewhere)),
        ("receiver unreachable", route.clone(), receiver.replace(&own, &nobody)),
        ("token wrong", route.clone(), receiver.replace("/watchdog\"", "/token\"")),
        ("repeated too rarely", route.replace("500ms", "1h"), receiver.clone()),
        (
            "only what ended",
            route.replace("group_interval: 1s", "group_interval: 1h"),
            receiver.replace("send_resolved: false", "send_resolved: true"),
        ),
    ]
}

#[test]
fn each_way_to_break_the_alert_path_is_noticed_and_none_is_called_healthy() {
    let sink = Receiver::start();
    let beats = Receiver::start();
    let mut one = Alertmanager::start(&sink.url(), "", "");
    let two = Alertmanager::start(&sink.url(), "", "");
    let port = crate::servers::free_port();
    let more = format!(
        "web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         watchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 8s}}\n\
         heartbeat: {{url: \"{}\", every: 1s}}\n",
        beats.url()
    );
    let site = site(&settings(&[&one, &two], &more));
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let configure = |alertmanager: &Alertmanager, route: &str, receivers: &str| {
        alertmanager.configure(&sink.url(), route, receivers);
        alertmanager.reload();
    };
    let (route, receiver) = round(port, site.path(), "1s", "500ms");
    let daemon = site.start();
    let heal = |alertmanager: &Alertmanager| {
        configure(alertmanager, &route, &receiver);
        paths(&daemon, &[false, false], SOON);
        confirmed(&daemon);
        let before = earned(&beats);
        daemon.until(SOON, |_| if earned(&beats) > before { Ok(()) } else { Err("no heartbeat") });
    };
    // The first is not routed yet: nothing proves the way, and that is no health.
    configure(&two, &route, &receiver);
    paths(&daemon, &[true, false], SOON);
    heal(&one);
    let (_, metrics) = daemon.get("/metrics");
    let took = metrics.lines().find(|line| line.starts_with("allswell_alert_roundtrip_seconds{"));
    let took: f64 = took.unwrap().split(' ').next_back().unwrap().parse().unwrap();
    assert!((0.0..8.0).contains(&took), "{took}");
    let elsewhere = Receiver::start();
    let ways = ways_to_break(&route, &receiver, port, &elsewhere.url());
    for (what, route, receiver) in &ways {
        configure(&one, route, receiver);
        paths(&daemon, &[true, false], Duration::from_secs(60));
        let (status, body) = daemon.get("/allswell?check=it");
        assert_eq!(status, 503, "{what}: {body}");
        let (_, metrics) = daemon.get("/metrics");
        let line = format!("allswell_alert_path_broken{{alertmanager=\"{}\"}} 1", one.url());
        assert!(metrics.contains(&line), "{what}: {metrics}");
        // The heartbeat ends, with the reason; and the other way tells it.
        let told = ends(&beats);
        daemon.until(SOON, |_| if ends(&beats) > told { Ok(()) } else { Err(beats.taken()) });
        let (told, before) = (ends(&beats), earned(&beats));
        daemon.until(SOON, |_| if ends(&beats) > told { Ok(()) } else { Err(beats.taken()) });
        assert_eq!(earned(&beats), before, "{what}: a heartbeat that is not earned");
        heal(&one);
    }
    assert!(sink.count("firing", "AllswellAlertPathBroken") > 0);
    // Dead, and one of two at that.
    one.kill();
    paths(&daemon, &[true, false], SOON);
    assert_eq!(daemon.get("/allswell?check=it").0, 503);
    one.restart();
    heal(&one);
    assert!(daemon.stop().success());
}

/// How often it was said that the heartbeat is not earned, because notices do not get through.
fn ends(beats: &Receiver) -> usize {
    let of_notices =
        |(path, why): &(String, Value)| path == "/hook/fail" && text(why).contains("notices");
    beats.taken().iter().filter(|beat| of_notices(beat)).count()
}

/// How many heartbeats came that were earned.
fn earned(beats: &Receiver) -> usize {
    beats.taken().iter().filter(|(path, _)| path == "/hook").count()
}

#[test]
fn what_is_printed_for_prometheus_and_alertmanager_is_what_they_take() {
    let deploy = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy"));
    passes("promtool", &["check", "rules"], &deploy.join("prometheus/allswell-rules.yml"));
    passes("promtool", &["test", "rules"], &deploy.join("prometheus/allswell-rules.test.yml"));
    let site = site(&settings(&[], "web: {public_url: \"https://allswell.example\"}\n"));
    let print = |args: &[&str]| {
        let allswell = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
            .args(args)
            .current_dir(site.path())
            .output()
            .unwrap();
        assert!(allswell.status.success());
        String::from_utf8(allswell.stdout).unwrap()
    };
    let rules = fs::read_to_string(deploy.join("prometheus/allswell-rules.yml")).unwrap();
    // The installation's labels stand on each, so that both tell one fault with one set of labels.
    let printed = print(&["rules"]);
    assert_eq!(printed.matches("cluster: \"it\"").count(), rules.matches("- alert:").count());
    fs::write(site.path().join("rules.yml"), printed).unwrap();
    passes("promtool", &["check", "rules"], &site.path().join("rules.yml"));
    // Of several that one Prometheus scrapes each has rules of its own; a label is never a template.
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    let odd = settings.replace("{cluster: it}", "{cluster: \"a{{b\"}");
    assert_ne!(odd, settings);
    fs::write(site.path().join("allswell.yaml"), odd).unwrap();
    let printed = print(&["rules", "--job", "prod"]);
    assert!(printed.contains("(allswell_check_state{job=\"prod\", state=~"), "{printed}");
    let names = printed.matches("(allswell_").count();
    assert_eq!(printed.matches("{job=\"prod\"").count(), names, "{printed}");
    fs::write(site.path().join("rules.yml"), printed).unwrap();
    passes("promtool", &["check", "rules"], &site.path().join("rules.yml"));
    fs::rename(site.path().join("allswell.yaml"), site.path().join("kept.yaml")).unwrap();
    assert_eq!(print(&["rules"]), rules);
    fs::rename(site.path().join("kept.yaml"), site.path().join("allswell.yaml")).unwrap();
    let config = print(&["alertmanager-config"]);
    assert!(config.contains("url: https://allswell.example/webhooks/alertmanager"), "{config}");
    fs::write(site.path().join("alertmanager.yml"), config).unwrap();
    passes("amtool", &["check-config"], &site.path().join("alertmanager.yml"));
    // The intervals fit `hold`, whatever it is.
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    let lines = settings.lines().filter(|line| !line.starts_with("notices:"));
    let held: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(site.path().join("allswell.yaml"), format!("{held}notices: {{hold: 9s}}\n")).unwrap();
    let config = print(&["alertmanager-config"]);
    assert!(config.contains("group_wait: 6s") && config.contains("group_interval: 6s"), "{config}");
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

#[test]
fn what_is_wrong_arrives_and_only_a_fresh_proof_ends_it() {
    let sink = Receiver::start();
    let mut alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&settings(&[&alertmanager], ""));
    let daemon = site.start();
    confirmed(&daemon);
    assert_eq!(sink.alerts().len(), 0, "nothing is wrong");
    state(&site, 0);
    let first = sink.until("firing", "AllswellViolated", 0, SOON);
    let labels = &first["labels"];
    for (name, value) in [
        ("check", "it"),
        ("owner", "tests"),
        ("severity", "critical"),
        ("source", "db"),
        ("cluster", "it"),
        ("team", "blue"),
    ] {
        assert_eq!(labels[name], value, "{labels}");
    }
    assert_eq!(labels.as_object().unwrap().len(), 7, "{labels}");
    let told = &first["annotations"];
    assert_eq!(told["runbook_url"], "https://wiki.example/orders");
    for words in ["Orders are worth something.", "n"] {
        assert!(text(&told["description"]).contains(words), "{told}");
    }
    // The source dies while it fires: that is another alert, and no end of this one.
    fs::rename(site.path().join("data.db"), site.path().join("away.db")).unwrap();
    sink.until("firing", "AllswellUnconfirmed", 0, SOON);
    sink.until("firing", "AllswellSourceDown", 0, SOON);
    // Killed and started again: the same alerts since the same time.
    daemon.signal("KILL");
    drop(daemon);
    // For as long as a few slots take.
    std::thread::sleep(Duration::from_secs(4));
    let daemon = site.start();
    // The Alertmanager is killed, and knows everything again soon after.
    alertmanager.kill();
    alertmanager.restart();
    let started = Instant::now();
    let known = |alertmanager: &Alertmanager, name: &str| {
        alertmanager.standing().iter().any(|(alertname, _)| alertname == name)
    };
    while !(known(&alertmanager, "AllswellViolated") && known(&alertmanager, "AllswellUnconfirmed"))
    {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", alertmanager.standing());
        std::thread::sleep(Duration::from_millis(50));
    }
    for (_, name, _, alert) in
        sink.alerts().iter().filter(|(_, name, ..)| name == "AllswellViolated")
    {
        assert_eq!(alert["startsAt"], first["startsAt"], "{name}");
    }
    assert_eq!(sink.count("resolved", "AllswellViolated"), 0);
    assert_eq!(sink.count("resolved", "AllswellUnconfirmed"), 0);
    // What nobody looked at while the daemon was gone is among what is open.
    let missed = |daemon: &Watchman| {
        let body = alertmanager.get("/api/v2/alerts").unwrap();
        let rows = daemon.json("/api/v1/checks/it/windows?open=true&limit=200").to_string();
        if body.contains("missed") || rows.contains("\"missed\"") { Ok(()) } else { Err(body) }
    };
    daemon.until(SOON, missed);
    // What Prometheus hears passes its own linter.
    let (_, page) = daemon.get("/metrics");
    linted(&page);
    assert!(
        page.contains("allswell_check_state{check=\"it\",tz=\"\",state=\"violated\"} 1"),
        "{page}"
    );
    // A fresh proof ends both, and nothing before it did.
    fs::rename(site.path().join("away.db"), site.path().join("data.db")).unwrap();
    state(&site, 1);
    sink.until("resolved", "AllswellViolated", 0, SOON * 2);
    sink.until("resolved", "AllswellUnconfirmed", 0, SOON);
    assert!(daemon.stop().success());
}

#[test]
fn what_was_over_before_anybody_was_told_is_told_by_whoever_comes_after() {
    let sink = Receiver::start();
    let mut alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = site(&settings(&[&alertmanager], ""));
    let daemon = site.start();
    confirmed(&daemon);
    alertmanager.kill();
    let fires = |daemon: &Watchman, fires: bool| {
        daemon.until(SOON, |daemon| {
            let series = daemon.series("it");
            if series[0]["firing"]["violated"].is_null() != fires { Ok(()) } else { Err(series) }
        });
    };
    state(&site, 0);
    fires(&daemon, true);
    state(&site, 1);
    fires(&daemon, false);
    assert!(daemon.stop().success());
    alertmanager.restart();
    let daemon = site.start();
    sink.until("firing", "AllswellViolated", 0, SOON);
    sink.until("resolved", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
    // Once is enough: whoever comes next knows that somebody was told.
    let daemon = site.start();
    confirmed(&daemon);
    assert!(daemon.stop().success());
    assert_eq!(sink.count("firing", "AllswellViolated"), 1);
}

/// Holds a page of metrics against `promtool check metrics`.
fn linted(page: &str) {
    use std::io::Write as _;
    let tool = crate::servers::program("promtool", &["/usr/bin"]);
    let mut command = std::process::Command::new(tool);
    command.args(["check", "metrics"]).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut promtool = command.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn who_has_only_a_heartbeat_hears_there_of_wrong_data_and_of_a_refused_catalogue() {
    let beats = Receiver::start();
    let more = format!("heartbeat: {{url: \"{}\", every: 1s}}\n", beats.url());
    let site = site(&settings(&[], &more));
    let daemon = site.start();
    let last = |daemon: &Watchman, wanted: &str| {
        daemon.until(SOON, |_| {
            let beat = beats.taken().pop();
            let said = beat.map(|(path, why)| format!("{path} {}", text(&why)));
            if said.as_ref().is_some_and(|said| said.contains(wanted)) { Ok(()) } else { Err(said) }
        });
    };
    last(&daemon, "/hook ");
    state(&site, 0);
    last(&daemon, "/hook/fail it is violated");
    state(&site, 1);
    last(&daemon, "/hook ");
    site.checks("broken.yaml", "version: 1\nchecks: nothing\n");
    daemon.signal("HUP");
    last(&daemon, "/hook/fail the last catalogue was not taken");
    assert!(daemon.stop().success());
}
