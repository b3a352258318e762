//! Alerts arrive, each once, and end once: after an earlier alert, after restarts of either side, beside other
//! replicas, and whatever stands between. The receiver is behind a real Alertmanager with the printed
//! configuration, its intervals shortened in proportion.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};

use crate::alerting::{Alertmanager, Receiver};
use crate::clocks;
use crate::lab::{Database, Other, zones};
use crate::notices::{SOON, confirmed, round, state, text};
use crate::proxy::{Proxy, Way};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

/// The intervals of the printed configuration, and `hold`, a fifteenth of what they are; `tests/delivery` has the
/// first test with all of it.
const WAIT: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(3);
/// How much later than its interval a notification may come.
const LATE: Duration = Duration::from_secs(15);

fn check(id: &str) -> String {
    format!(
        "  - id: {id}\n    why: Orders are worth something.\n    sql: select ok as n from {}\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n",
        id.replace('-', "_")
    )
}

/// A site with these checks, each over a table of its name, watched each second.
pub(crate) fn site_of(settings: &str, ids: &[&str]) -> Site {
    let checks: String = ids.iter().map(|id| check(id)).collect();
    let defaults = "{source: db, severity: critical, schedule: {every: 1s}, result_by: 3s}";
    let checks = format!("version: 1\nowner: tests\ndefaults: {defaults}\nchecks:\n{checks}");
    let site = Site::new(settings, &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    for id in ids {
        set(&site, id, 1);
    }
    site
}

/// How many times as long everything takes.
fn scale() -> u32 {
    if std::env::var("ALLSWELL_DELIVERY").is_ok() { 15 } else { 1 }
}

pub(crate) fn settings(urls: &[String], more: &str) -> String {
    let urls: Vec<String> = urls.iter().map(|url| format!("{{url: \"{url}\"}}")).collect();
    format!(
        "labels: {{cluster: it}}\nsources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\n\
         alertmanagers: [{}]\nnotices: {{resend: {}s, hold: {}s, lasts: 1h}}\n{more}",
        urls.join(", "),
        2 * scale() * if scale() > 1 { 2 } else { 1 },
        (HOLD * scale()).as_secs()
    )
}

/// Says whether the data of a check is right.
pub(crate) fn set(site: &Site, id: &str, ok: u8) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = id.replace('-', "_");
    runtime.block_on(async {
        let mut data = Other::sqlite(&site.path().join("data.db")).await;
        data.run(&format!("create table if not exists {table} (ok integer)")).await.unwrap();
        data.run(&format!("delete from {table}")).await.unwrap();
        data.run(&format!("insert into {table} values ({ok})")).await.unwrap();
        data.close().await;
    });
}

/// An Alertmanager with the printed configuration, its intervals shortened.
pub(crate) fn printed(sink: &Receiver) -> Alertmanager {
    let wait = format!("{}s", (WAIT * scale()).as_secs());
    let config = as_printed(sink).replace("group_wait: 30s", &format!("group_wait: {wait}"));
    Alertmanager::configured(
        &config.replace("group_interval: 30s", &format!("group_interval: {wait}")),
        None,
    )
}

/// The printed configuration with a receiver.
fn as_printed(sink: &Receiver) -> String {
    // As it is printed where nothing is said of `hold`.
    let settings = settings(&[], "").replace("alertmanagers: []\n", "");
    let lines = settings.lines().filter(|line| !line.starts_with("notices:"));
    let settings: String = lines.map(|line| format!("{line}\n")).collect();
    let site = Site::new(&settings, "version: 1\n");
    let output = Command::new(env!("CARGO_BIN_EXE_allswell"))
        .arg("alertmanager-config")
        .current_dir(site.path())
        .output()
        .unwrap();
    let hook = format!("- name: team\n  webhook_configs: [{{url: \"{}\"}}]", sink.url());
    String::from_utf8(output.stdout).unwrap().replacen("- name: team", &hook, 1)
}

/// What receivers were sent: status, check and start of each, in order; what came again in a later message of its
/// group counts once.
pub(crate) fn heard(sink: &Receiver) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for (status, name, check, alert) in sink.alerts() {
        let label = |name: &str| text(&alert["labels"][name]).to_owned();
        let about = format!("{check} {} {name}{}", label("tz"), label("replica"));
        let one = (status, about, text(&alert["startsAt"]).to_owned());
        let is_repeated = all.iter().rfind(|(_, about, _)| *about == one.1) == Some(&one);
        if !is_repeated || one.0 == "resolved" {
            all.push(one);
        }
    }
    all
}

/// Nothing ends that was not told to stand, and nothing twice.
pub(crate) fn assert_each_ends_once(sink: &Receiver) {
    let mut standing: BTreeSet<String> = BTreeSet::new();
    for (status, about, at) in heard(sink) {
        if status == "firing" {
            standing.insert(about);
        } else {
            assert!(standing.remove(&about), "{about} of {at} ends: {:?}", heard(sink));
        }
    }
}

/// The alerts of a record: check, beginning and end in microseconds; 0 where it stands.
fn recorded(site: &Site) -> Vec<(String, i64, i64)> {
    let alerts = "select s.check_id || '|' || a.starts_at || '|' || coalesce(a.ended_at, 0) \
                  from alerts a join series s on s.id = a.series where a.alarm = 'violated'";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(async {
        Other::sqlite(&site.path().join("allswell.db")).await.texts(alerts).await
    });
    let read = |row: &String| {
        let parts: Vec<&str> = row.split('|').collect();
        (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
    };
    rows.iter().map(read).collect()
}

#[test]
fn through_twenty_restarts_each_alert_arrives_and_ends_once() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let ids = ["a", "b", "c", "d", "e"];
    let site = site_of(&settings(&[alertmanager.url()], ""), &ids);
    let mut daemon = site.start();
    let mut bad = BTreeMap::new();
    let began = Instant::now();
    for restart in 0..20_u32 {
        // Each is wrong for a third to half of its time, longer than it takes to be told.
        for (place, id) in (0_u32..).zip(ids) {
            let is_bad = (restart + 2 * place) % 8 < 4;
            if bad.insert(id, is_bad) != Some(is_bad) {
                set(&site, id, u8::from(!is_bad));
            }
        }
        let until = began + WAIT * scale() * (restart + 1);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        if restart % 2 == 0 {
            assert!(daemon.stop().success());
        } else {
            daemon.signal("KILL");
            drop(daemon);
        }
        daemon = site.start();
    }
    for id in ids {
        set(&site, id, 1);
    }
    daemon.until(SOON * scale(), |_| {
        let standing: Vec<_> = recorded(&site).into_iter().filter(|row| row.2 == 0).collect();
        if standing.is_empty() { Ok(()) } else { Err(standing) }
    });
    // Everything has ended at the receiver too.
    daemon.until(SOON * scale(), |_| {
        let mut last = BTreeMap::new();
        for (status, about, _) in heard(&sink) {
            last.insert(about, status);
        }
        last.retain(|_, status| status == "firing");
        if last.is_empty() { Ok(()) } else { Err(last) }
    });
    assert_each_ends_once(&sink);
    let needed = i64::try_from(((WAIT + HOLD) * scale()).as_micros()).unwrap();
    let all = recorded(&site);
    let long: Vec<_> = all.iter().filter(|(_, from, to)| to - from > needed).collect();
    assert!(long.len() >= 8, "{all:?}");
    for (check, from, to) in long {
        let (from, to) =
            (DateTime::from_timestamp_micros(*from), DateTime::from_timestamp_micros(*to));
        let (from, to) = (from.unwrap(), to.unwrap());
        let within = from + TimeDelta::from_std(WAIT * scale() + LATE).unwrap();
        let told = sink.told_at("firing", check);
        let ended = sink.told_at("resolved", check);
        let arrives = told.iter().any(|(starts_at, came)| {
            // One that began while the one before was held goes on from there, where nobody heard that it ended.
            let same = (*starts_at - from).abs() < TimeDelta::milliseconds(2);
            let over = ended.iter().any(|(_, at)| came < at && *at <= from);
            let held = *starts_at < from && *came < to && !over;
            (same || held) && *came <= within
        });
        assert!(arrives, "{check} {from} – {to}: {told:?}, {ended:?}");
    }
    assert!(daemon.stop().success());
}

/// Where all zones are wrong at once, one message says it.
fn one_page(
    daemon: &Watchman,
    sink: &Receiver,
    alertmanager: &Alertmanager,
    zones: usize,
    storm: impl FnOnce(),
) {
    let before = sink.taken().len();
    storm();
    daemon.until(SOON, |_| {
        let standing = alertmanager.standing().len();
        if standing == zones { Ok(()) } else { Err(standing) }
    });
    daemon.until(SOON, |_| {
        let pages = sink.taken().split_off(before);
        let told =
            pages.iter().map(|(_, body)| body["alerts"].as_array().map_or(0, Vec::len)).max();
        if told == Some(zones) { Ok(()) } else { Err(pages) }
    });
    let pages = sink.taken().len() - before;
    assert!(pages <= 2, "{pages} messages for one storm");
}

/// Four hundred zones, Berlin and New York among them.
fn storm_of_zones() -> Vec<String> {
    let all = zones().databases()[0].names();
    let names = all.iter().map(|name| name.as_str()).filter(|name| name.contains('/'));
    let wanted = ["Europe/Berlin", "America/New_York"];
    let others = names.filter(|name| !wanted.contains(name) && !name.starts_with("Etc/"));
    wanted.into_iter().chain(others).take(400).map(str::to_owned).collect()
}

#[test]
fn a_second_zone_of_a_check_is_told_and_a_storm_of_zones_is_one_page() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let zones = storm_of_zones();
    let checks = format!(
        "version: 1\nowner: tests\nchecks:\n  - id: zoned\n    why: because\n    source: db\n    severity: critical\n    \
         window: {{period: 1h, zones: [{}], settle: 1s}}\n    schedule: {{every: 1s}}\n    catch_up: {{policy: latest}}\n    sql: |\n      \
         select ok as n from zones where name = :zone and :window_start < :window_end\n    evidence: {{min: 0, because: It.}}\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n",
        zones.join(", ")
    );
    let site = Site::new(
        &settings(&[alertmanager.url()], ""),
        &checks.replace("    schedule: {every: 1s}\n", ""),
    );
    fs::write(site.path().join("data.db"), "").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = |sql: &str| {
        runtime.block_on(async {
            let mut data = Other::sqlite(&site.path().join("data.db")).await;
            data.run(sql).await.unwrap();
            data.close().await;
        });
    };
    let rows: Vec<String> = zones.iter().map(|zone| format!("('{zone}', 1)")).collect();
    run(&format!(
        "create table zones (name text, ok integer); insert into zones values {}",
        rows.join(", ")
    ));
    let daemon = site.start();
    daemon.until_confirmed(zones.len(), SOON);
    let rerun = || {
        daemon.order("/api/v1/rerun", "{\"check\": \"zoned\"}");
    };
    let fires = |zone: &str| {
        let about = format!("zoned {zone} AllswellViolated");
        heard(&sink).iter().any(|(status, a, _)| status == "firing" && *a == about)
    };
    run("update zones set ok = 0 where name = 'Europe/Berlin'");
    rerun();
    daemon.until(SOON, |_| if fires("Europe/Berlin") { Ok(()) } else { Err(heard(&sink)) });
    // Berlin stands; New York is wrong for no longer than it takes, and is told all the same.
    run("update zones set ok = 0 where name = 'America/New_York'");
    rerun();
    std::thread::sleep(WAIT + HOLD);
    run("update zones set ok = 1 where name = 'America/New_York'");
    rerun();
    let last = |zone: &str| {
        let about = format!("zoned {zone} AllswellViolated");
        heard(&sink).into_iter().rfind(|(_, a, _)| *a == about).map(|(status, ..)| status)
    };
    daemon.until(SOON, |_| match last("America/New_York").as_deref() {
        Some("resolved") => Ok(()),
        _ => Err(heard(&sink)),
    });
    assert!(fires("America/New_York"), "{:?}", heard(&sink));
    run("update zones set ok = 1");
    rerun();
    daemon.until(SOON, |_| match last("Europe/Berlin").as_deref() {
        Some("resolved") => Ok(()),
        _ => Err(heard(&sink)),
    });
    let page = || {
        run("update zones set ok = 0");
        rerun();
    };
    one_page(&daemon, &sink, &alertmanager, zones.len(), page);
    assert_each_ends_once(&sink);
    assert!(daemon.stop().success());
}

#[test]
fn what_a_process_said_about_itself_is_ended_by_the_next_and_mutes_nothing_after_it() {
    for signal in ["TERM", "KILL"] {
        let sink = Receiver::start();
        let alertmanager = printed(&sink);
        let site = site_of(&settings(&[alertmanager.url()], ""), &["it"]);
        let mut daemon = site.start();
        confirmed(&daemon);
        let (there, away) = (site.path().join("data.db"), site.path().join("away.db"));
        fs::rename(&there, &away).unwrap();
        sink.until("firing", "AllswellSourceDown", 0, SOON);
        daemon.signal(signal);
        assert!(daemon.process.wait(Duration::from_secs(30)).is_some());
        drop(daemon);
        fs::rename(&away, &there).unwrap();
        daemon = site.start();
        confirmed(&daemon);
        // Ended by the process that has it from the record: not by lapsing after five minutes.
        daemon.until(SOON, |_| {
            let standing = alertmanager.standing();
            let down = standing.iter().any(|(name, _)| name == "AllswellSourceDown");
            if down { Err(standing) } else { Ok(()) }
        });
        set(&site, "other", 1);
        let mut data = daemon.series("it");
        assert_eq!(data.remove(0)["state"], "confirmed");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Other::sqlite(&there).await.run("alter table it rename to gone").await.unwrap();
        });
        sink.until("firing", "AllswellUnconfirmed", 0, SOON);
        assert_each_ends_once(&sink);
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_clock_that_is_set_right_ends_nothing() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let site = site_of(&settings(&[alertmanager.url()], ""), &["it"]);
    let daemon = clocks::start(&site, "+7200");
    confirmed(&daemon);
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    clocks::set(&site, "+0");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(8) {
        let standing = alertmanager.standing();
        let stands = standing.iter().any(|(name, _)| name == "AllswellViolated");
        assert!(stands, "{standing:?}: {}", daemon.log());
        assert_eq!(sink.count("resolved", "AllswellViolated"), 0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_step_of_the_clock_breaks_no_alert_path() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let port = crate::servers::free_port();
    let more = format!(
        "web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         watchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 30s}}\n"
    );
    let site = site_of(&settings(&[alertmanager.url()], &more), &["it"]);
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let (route, receiver) = round(port, site.path(), "1s", "500ms");
    alertmanager.configure(&sink.url(), &route, &receiver);
    alertmanager.reload();
    let daemon = clocks::start(&site, "+0");
    confirmed(&daemon);
    let proved = |daemon: &Watchman| {
        daemon.until(SOON, |daemon| {
            let path = daemon.json("/api/v1/status")["alert_paths"][0].clone();
            assert!(path["broken_since"].is_null(), "{path}");
            if path["proved_at"].is_null() { Err(path) } else { Ok(()) }
        });
    };
    proved(&daemon);
    clocks::set(&site, "+600");
    for _ in 0..60 {
        proved(&daemon);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sink.count("firing", "AllswellAlertPathBroken"), 0);
}

#[test]
fn a_ledger_that_is_away_is_no_broken_alert_path() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let mut server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(&server));
    let port = crate::servers::free_port();
    let more = format!(
        "web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         watchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 4s}}\n\
         ledger: {{url: \"{}\", password: \"${{file:watch}}\", lease: 2s}}\n",
        database.url()
    );
    let site = site_of(&settings(&[alertmanager.url()], &more), &["it"]);
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let (route, receiver) = round(port, site.path(), "1s", "500ms");
    alertmanager.configure(&sink.url(), &route, &receiver);
    alertmanager.reload();
    let daemon = site.start();
    confirmed(&daemon);
    server.kill();
    sink.until("firing", "AllswellLedgerDown", 0, SOON);
    server.restart();
    sink.until("resolved", "AllswellLedgerDown", 0, SOON);
    confirmed_again(&daemon);
    assert_eq!(sink.count("firing", "AllswellAlertPathBroken"), 0, "{:?}", heard(&sink));
    assert!(daemon.stop().success());
}

#[test]
fn what_was_over_is_not_told_again_to_an_alertmanager_that_is_started_anew() {
    let sink = Receiver::start();
    let mut alertmanager = printed(&sink);
    let hook = Receiver::start();
    let more = format!("webhooks: [{{name: pager, url: \"{}\"}}]\n", hook.url());
    let site = site_of(&settings(&[alertmanager.url()], &more), &["it", "other"]);
    let mut daemon = site.start();
    confirmed(&daemon);
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    hook.until("firing", "AllswellViolated", 0, SOON);
    set(&site, "it", 1);
    sink.until("resolved", "AllswellViolated", 0, SOON);
    hook.until("resolved", "AllswellViolated", 0, SOON);
    for signal in ["KILL", "TERM"] {
        let (told, hooked) = (sink.alerts().len(), hook.alerts().len());
        alertmanager.signal(signal);
        alertmanager.kill();
        alertmanager.restart();
        // The daemon too, once: both have forgotten.
        if signal == "TERM" {
            assert!(daemon.stop().success());
            daemon = site.start();
        }
        // A daemon that told an end again would hold it first: until a later alert has come and gone.
        let before = sink.count("resolved", "AllswellViolated");
        set(&site, "other", 0);
        sink.until("firing", "AllswellViolated", before, SOON);
        set(&site, "other", 1);
        sink.until("resolved", "AllswellViolated", before, SOON);
        std::thread::sleep(HOLD);
        let again = |receiver: &Receiver, from: usize| {
            let later = receiver.alerts().split_off(from);
            later.into_iter().filter(|(_, _, check, _)| check == "it").count()
        };
        assert_eq!((again(&sink, told), again(&hook, hooked)), (0, 0), "{:?}", heard(&sink));
    }
    assert_each_ends_once(&sink);
    assert_each_ends_once(&hook);
    assert!(daemon.stop().success());
}

#[test]
fn what_was_dropped_on_its_way_is_told_when_the_way_is_whole_again() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let between = Receiver::in_front_of(&alertmanager.url(), &[]);
    let port = crate::servers::free_port();
    let more = format!(
        "web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         watchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 5s}}\n"
    );
    let url = format!("http://127.0.0.1:{}", between.port);
    let site = site_of(&settings(&[url], &more), &["it"]);
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let (route, receiver) = round(port, site.path(), "1s", "500ms");
    alertmanager.configure(&sink.url(), &route, &receiver);
    alertmanager.reload();
    let daemon = site.start();
    confirmed(&daemon);
    let broken = |is_broken: bool| {
        daemon.until(SOON, |daemon| {
            let path = daemon.json("/api/v1/status")["alert_paths"][0].clone();
            let proved = !path["proved_at"].is_null() || is_broken;
            let seen = !path["broken_since"].is_null();
            if proved && seen == is_broken { Ok(()) } else { Err(path) }
        });
    };
    broken(false);
    between.status.store(299, Ordering::Relaxed);
    broken(true);
    set(&site, "it", 0);
    daemon.until(SOON, |daemon| {
        let series = daemon.series("it");
        if series[0]["state"] == "violated" { Ok(()) } else { Err(series) }
    });
    std::thread::sleep(HOLD);
    set(&site, "it", 1);
    confirmed_again(&daemon);
    std::thread::sleep(HOLD);
    assert_eq!(sink.count("firing", "AllswellViolated"), 0);
    between.status.store(200, Ordering::Relaxed);
    sink.until("firing", "AllswellViolated", 0, SOON);
    // What was acknowledged while the way was broken counts for nothing by the record either.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    daemon.until(HOLD, |_| {
        let ended = "select receiver from notified n join alerts a using (fingerprint, starts_at) \
                     where n.ended_at is not null";
        let ended = runtime.block_on(async {
            Other::sqlite(&site.path().join("allswell.db")).await.texts(ended).await
        });
        if ended.is_empty() { Ok(()) } else { Err(ended) }
    });
    daemon.signal("KILL");
    drop(daemon);
    let daemon = site.start();
    sink.until("resolved", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
}

fn confirmed_again(daemon: &Watchman) {
    daemon.until(SOON, |daemon| {
        let series = daemon.series("it");
        if series[0]["state"] == "confirmed" { Ok(()) } else { Err(series) }
    });
}

/// Somebody before an Alertmanager who swallows what the first connection brings, for ever.
fn swallower(alertmanager: &Alertmanager) -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, to) = (socket.local_addr().unwrap().port(), alertmanager.port);
    std::thread::spawn(move || {
        for (number, mut stream) in socket.incoming().flatten().enumerate() {
            std::thread::spawn(move || {
                if number > 0 {
                    let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                    let (mut from, mut back) =
                        (stream.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut server)));
                    drop(std::io::copy(&mut back, &mut stream));
                    return;
                }
                let mut buffer = [0; 65_536];
                while let Ok(1..) = stream.read(&mut buffer) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_connection_that_swallows_is_left_once_no_proof_comes_back() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let between = swallower(&alertmanager);
    let port = crate::servers::free_port();
    let more = format!(
        "web: {{listen: \"127.0.0.1:{port}\", operator_token: \"${{file:token}}\"}}\n\
         watchdog: {{token: \"${{file:watchdog}}\", every: 1s, within: 5s}}\n"
    );
    let site = site_of(&settings(&[format!("http://127.0.0.1:{between}")], &more), &["it"]);
    fs::write(site.path().join("watchdog"), "round-and-round").unwrap();
    let (route, receiver) = round(port, site.path(), "1s", "500ms");
    alertmanager.configure(&sink.url(), &route, &receiver);
    alertmanager.reload();
    let daemon = site.start();
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON * 2);
    // Nor is it met again, once proofs come back: the end gets through too.
    daemon.until(SOON, |daemon| {
        let path = daemon.json("/api/v1/status")["alert_paths"][0].clone();
        if path["proved_at"].is_null() { Err(path) } else { Ok(()) }
    });
    set(&site, "it", 1);
    sink.until("resolved", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
}

#[test]
fn a_hold_that_is_shorter_than_the_intervals_of_alertmanager_is_told() {
    let sink = Receiver::start();
    let route = "{matchers: ['alertname=~\"Allswell.+\"'], receiver: sink, group_interval: 5m}";
    let alertmanager = Alertmanager::start(&sink.url(), route, "");
    let site = site_of(&settings(&[alertmanager.url()], ""), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    let told = |wanted: bool| {
        daemon.until(SOON, |daemon| {
            let path = daemon.json("/api/v1/status")["alert_paths"][0].clone();
            let seen = text(&path["hold_too_short"]).contains("waits 300 s");
            if seen == wanted { Ok(()) } else { Err(path) }
        });
    };
    told(true);
    assert!(daemon.get("/metrics").1.contains("allswell_alert_hold_too_short{alertmanager="));
    assert!(daemon.log().contains("`hold` is 3 s"), "{}", daemon.log());
    // Mended there, it is told no more.
    alertmanager.configure(&sink.url(), &route.replace("5m", "1s"), "");
    alertmanager.reload();
    told(false);
    state(&site, 1);
    assert!(daemon.stop().success());
}

#[test]
fn a_ledger_that_is_down_at_the_start_is_waited_for_and_told() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let mut server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(&server));
    let ledger = format!(
        "ledger: {{url: \"{}\", password: \"${{file:watch}}\", lease: 2s}}\n",
        database.url()
    );
    let site = site_of(&settings(&[alertmanager.url()], &ledger), &["it"]);
    server.kill();
    let daemon = site.start();
    let (status, why) = daemon.get("/-/ready");
    assert!(status == 503 && why.contains("the ledger is down"), "{why}");
    assert_eq!((daemon.get("/-/healthy").0, daemon.get("/allswell").0), (200, 503));
    sink.until("firing", "AllswellLedgerDown", 0, SOON);
    server.restart();
    daemon.until(SOON, |daemon| match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    confirmed(&daemon);
    sink.until("resolved", "AllswellLedgerDown", 0, SOON);
    assert!(daemon.stop().success());
    // It stops in order while it waits; and what waiting does not mend ends it at once.
    server.kill();
    assert!(site.start().stop().success());
    server.restart();
    let wrong = ledger.replace("${file:watch}", "${file:token}");
    site.settings(&settings(&[alertmanager.url()], &wrong));
    let mut refused = site.spawn(&[], &[]);
    let ended = refused.process.wait(SOON).unwrap();
    assert_eq!(ended.code(), Some(74), "{}", refused.log());
}

#[test]
fn a_ledger_that_fails_again_while_it_is_read_at_the_start_is_waited_for() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let port = Postgres::shared().port;
    let way = Proxy::before(port, Duration::ZERO);
    way.set(Way::Longer);
    let url = database.url().replace(&port.to_string(), &way.port.to_string());
    let ledger = format!("ledger: {{url: \"{url}\", password: \"${{file:watch}}\", lease: 2s}}\n");
    let site = site_of(&settings(&[], &ledger).replace("alertmanagers: []\n", ""), &["it"]);
    let daemon = site.start();
    // It comes a little further each time.
    daemon.until(SOON * 2, |daemon| match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    assert!(way.joined.load(Ordering::Relaxed) > 8);
    way.set(Way::Open);
    confirmed(&daemon);
    assert!(daemon.stop().success());
}

#[test]
fn what_ended_while_a_webhook_was_down_is_told_there_after_a_restart() {
    let (sink, hook) = (Receiver::start(), Receiver::start());
    let alertmanager = printed(&sink);
    let more = format!("webhooks: [{{name: pager, url: \"{}\"}}]\n", hook.url());
    let site = site_of(&settings(&[alertmanager.url()], &more), &["it"]);
    let mut daemon = site.start();
    confirmed(&daemon);
    hook.status.store(503, Ordering::Relaxed);
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    set(&site, "it", 1);
    sink.until("resolved", "AllswellViolated", 0, SOON);
    let refused = hook.alerts().len();
    assert!(daemon.stop().success());
    daemon = site.start();
    hook.status.store(200, Ordering::Relaxed);
    daemon.until(SOON, |_| {
        let later = hook.alerts().split_off(refused);
        let told = |status: &str| later.iter().any(|(s, ..)| s == status);
        if told("firing") && told("resolved") { Ok(()) } else { Err(later) }
    });
    assert!(daemon.stop().success());
}

#[test]
fn a_ledger_that_answers_nonsense_is_trouble_and_no_end_of_the_daemon() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let port = Postgres::shared().port;
    let way = Proxy::before(port, Duration::ZERO);
    let url = database.url().replace(&port.to_string(), &way.port.to_string());
    let ledger = format!("ledger: {{url: \"{url}\", password: \"${{file:watch}}\", lease: 2s}}\n");
    let site = site_of(&settings(&[], &ledger).replace("alertmanagers: []\n", ""), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    way.set(Way::Garbled(2));
    let others: Vec<_> = (0..4)
        .map(|number| {
            let (url, name) = (url.clone(), format!("garbled-{number}"));
            let altered = std::sync::Arc::clone(&way.altered);
            std::thread::spawn(move || {
                garbled(&url, &name, || altered.load(Ordering::Relaxed) >= 500);
            })
        })
        .collect();
    for other in others {
        other.join().expect("no message makes a store panic");
    }
    assert!(daemon.get("/-/healthy").0 == 200, "{}", daemon.log());
    way.set(Way::Open);
    daemon.until(SOON * 2, |daemon| match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    assert!(daemon.stop().success());
}

/// Opens and asks a store again and again, whatever it answers.
fn garbled(url: &str, replica: &str, is_enough: impl Fn() -> bool) {
    use allswell::ledger::{Store, StoreSettings};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = StoreSettings {
            dsn: allswell::dsn::Dsn::parse(url, std::path::Path::new("/")).unwrap(),
            password: Some("watch".to_owned().into()),
            lease: Duration::from_secs(5),
            retention: Duration::from_secs(86_400),
            samples_for: Duration::from_secs(14 * 86_400),
            replica: replica.to_owned(),
        };
        let patience = Duration::from_millis(300);
        let started = Instant::now();
        while !is_enough() {
            assert!(started.elapsed() < SOON * 3, "too few answers");
            let opened = tokio::time::timeout(patience, Store::open(settings.clone())).await;
            let Ok(Ok(mut store)) = opened else { continue };
            for _ in 0..4 {
                drop(tokio::time::timeout(patience, store.series()).await);
                drop(tokio::time::timeout(patience, store.alerts()).await);
            }
        }
    });
}

/// A minute has to pass between two attempts before that is told, and Alertmanager waits for half a minute.
const TOLD_WITHIN: Duration = Duration::from_secs(180);

#[test]
fn four_checks_that_miss_one_table_are_one_page_long_before_their_deadline() {
    let sink = Receiver::start();
    // With its own `group_wait`: how far apart the four arrive is up to the machine.
    let alertmanager = Alertmanager::configured(&as_printed(&sink), None);
    let ids = ["one", "two", "three", "four"];
    let check = |id: &str| {
        format!(
            "  - id: {id}\n    why: because\n    source: db\n    schedule: {{every: 1h}}\n    result_by: 50m\n    \
             sql: select count(*) as n from orders where id < 0\n    expect: {{values: {{n: {{max: 0}}}}}}\n    \
             evidence: {{sql: select count(*) from orders}}\n"
        )
    };
    let checks: String = ids.iter().map(|id| check(id)).collect();
    let checks = format!("version: 1\nowner: tests\nchecks:\n{checks}");
    let site = Site::new(&settings(&[alertmanager.url()], ""), &checks);
    let data = site.path().join("data.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = |sql: &str| {
        runtime.block_on(async {
            let mut data = Other::sqlite(&data).await;
            data.run(sql).await.unwrap();
            data.close().await;
        });
    };
    fs::write(&data, "").unwrap();
    run("create table orders_old (id integer)");
    run("insert into orders_old values (1)");
    let daemon = site.start();
    let told = || -> Vec<usize> {
        let pages = sink.taken().into_iter().map(|(_, body)| body["alerts"].as_array().cloned());
        pages.flatten().map(|alerts| alerts.len()).collect()
    };
    daemon.until(TOLD_WITHIN, |_| if told().is_empty() { Err(told()) } else { Ok(()) });
    assert_eq!(told(), [ids.len()], "all of them in one message");
    let alerts = sink.alerts();
    let cause = |alert: &serde_json::Value| alert["labels"]["cause"] == "query_error";
    assert!(alerts.iter().all(|(.., alert)| cause(alert)), "{alerts:?}");
    run("alter table orders_old rename to orders");
    daemon.order("/api/v1/rerun", "{\"owner\": \"tests\"}");
    daemon.until(SOON, |_| {
        let standing = alertmanager.standing().len();
        if standing == 0 { Ok(()) } else { Err(standing) }
    });
    assert!(daemon.stop().success());
}
