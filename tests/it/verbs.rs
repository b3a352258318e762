//! The verbs that talk to a daemon, systemd's protocol, and replicas that run one catalogue.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::lab::Database;
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

const CHECKS: &str = "version: 1\nowner: tests\ndefaults: {source: db}\nchecks:\n  - id: good\n    why: because\n    sql: select 1 + 0 as n\n    \
    expect: {values: {n: {min: 1}}}\n  - id: bad\n    why: because\n    window: {period: day, zones: [Europe/Berlin, Asia/Tokyo]}\n    \
    sql: select 0 as n where :window_start < :window_end and :zone <> ''\n    expect: {values: {n: {min: 1}}}\n";

fn site(settings: &str) -> Site {
    let sources = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
    let site = Site::new(&format!("{settings}{sources}"), CHECKS);
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

pub(crate) fn allswell(site: &Site, daemon: &Watchman, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(args)
        .args(["--url", &format!("http://{}", daemon.address)])
        .arg("--token-file")
        .arg(site.path().join("token"))
        .output()
        .unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn status_history_and_rerun_say_what_they_did() {
    let site = site("");
    let daemon = site.start();
    daemon.until(Duration::from_secs(20), |daemon| {
        let bad = daemon.series("bad");
        let firing = bad.iter().filter(|s| s["firing"]["violated"].is_string()).count();
        if firing == 2 { Ok(()) } else { Err(bad) }
    });
    let run = |args: &[&str]| {
        let output = allswell(&site, &daemon, args);
        (output.status.code().unwrap(), text(&output))
    };
    let (code, said) = run(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("3 series: 1 confirmed, 2 violated"), "{said}");
    assert!(said.contains("bad Asia/Tokyo") && !said.contains("good "), "{said}");
    let (code, said) = run(&["status", "--check", "good", "--all"]);
    assert!(code == 0 && said.contains("good"), "{said}");
    let (_, said) = run(&["status", "--output", "json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((json["format"].as_u64(), json["checks"].as_array().unwrap().len()), (Some(1), 3));
    let (code, said) = run(&["history", "bad", "--zone", "Europe/Berlin", "--open"]);
    assert!(code == 0 && said.starts_with("violated") && said.contains("OPEN"), "{said}");
    let (_, said) = run(&["history", "bad", "--output", "json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    for key in [
        "tz",
        "kind",
        "start",
        "end",
        "due",
        "state",
        "verdict",
        "cause",
        "evidence",
        "attempts",
        "recorded_at",
        "waiver",
    ] {
        assert!(json["windows"][0].get(key).is_some(), "{key}");
    }
    let (code, said) = run(&["history", "bda"]);
    assert!(code == 64 && said.contains("did you mean `bad`"), "{said}");
    let (code, said) = run(&["rerun", "bad", "--zone", "Asia/Tokyo"]);
    assert!(code == 0 && said.contains("1 window or look is tried again"), "{said}");
    daemon.signal("KILL");
    let (code, said) = run(&["status"]);
    assert!(code == 74 && said.contains("is `allswell serve` running"), "{said}");
}

#[test]
fn a_waiver_has_an_end_covers_what_is_open_and_is_taken_back() {
    let site = site("");
    let daemon = site.start();
    daemon.until(Duration::from_secs(20), |daemon| {
        let bad = daemon.series("bad");
        let firing = bad.iter().filter(|s| s["firing"]["violated"].is_string()).count();
        if firing == 2 { Ok(()) } else { Err(bad) }
    });
    let run = |args: &[&str]| {
        let output = allswell(&site, &daemon, args);
        (output.status.code().unwrap(), text(&output))
    };
    let week = (allswell::clock::now() + chrono::TimeDelta::days(7)).to_rfc3339();
    let waive = ["waive", "bad", "--because", "known", "--by", "ana", "--zone", "Asia/Tokyo"];
    let (code, said) = run(&waive);
    assert!(code == 64 && said.contains("--until"), "a waiver has an end: {said}");
    let far = (allswell::clock::now() + chrono::TimeDelta::days(91)).to_rfc3339();
    let (code, said) = run(&[&waive[..], &["--until", &far]].concat());
    assert!(code == 64 && said.contains("90 days at most"), "{said}");
    let (code, said) = run(&[&waive[..], &["--until", &week]].concat());
    assert!(code == 0 && said.contains("1 open window or look is waived"), "{said}");
    daemon.until(Duration::from_secs(10), |daemon| {
        let tokyo = daemon.series("bad").into_iter().find(|s| s["tz"] == "Asia/Tokyo").unwrap();
        if tokyo["firing"]["violated"].is_null() && tokyo["waived"] == 1 {
            Ok(())
        } else {
            Err(tokyo)
        }
    });
    let (_, said) = run(&["history", "bad", "--zone", "Asia/Tokyo"]);
    assert!(said.contains("waived by ana, until ") && said.contains(": known"), "{said}");
    let (code, said) = run(&["waivers"]);
    assert!(code == 0 && said.contains("covers 1 of 1") && said.contains("by ana"), "{said}");
    assert!(said.contains("bad") && said.contains(": known"), "{said}");
    // Nobody's terminal is moved by what somebody gives as a reason, and nothing is as long as a book.
    for because in ["a\u{1b}[2J", "two\nlines", "a\u{202e}b", &"x".repeat(1_001)] {
        let args = ["waive", "bad", "--because", because, "--by", "ana", "--until", &week];
        let (code, said) = run(&args);
        assert!(code == 64 && said.contains("`because` is one line"), "{code} {said}");
    }
    // Taken back, it is open again, and told.
    let revoke = ["waive", "bad", "--revoke", "--because", "not so", "--by", "ana"];
    let (code, said) = run(&revoke);
    assert!(code == 0 && said.contains("the waiver of 1 window or look is revoked"), "{said}");
    daemon.until(Duration::from_secs(10), |daemon| {
        let tokyo = daemon.series("bad").into_iter().find(|s| s["tz"] == "Asia/Tokyo").unwrap();
        let fires = tokyo["firing"]["violated"].is_string() && tokyo["waived"] == 0;
        if fires { Ok(()) } else { Err(tokyo) }
    });
    let (code, said) = run(&revoke);
    assert!(code == 64 && said.contains("nothing was revoked"), "{said}");
    let (_, said) = run(&["history", "bad", "--zone", "Asia/Tokyo"]);
    assert!(said.contains("was waived by ana"), "{said}");
    assert_eq!(run(&["waivers"]).1, "no waiver covers anything\n");
    assert!(run(&["waivers", "--all"]).1.contains("covers 0 of 1"));
    let (code, said) =
        run(&["waive", "good", "--because", "nothing", "--by", "ana", "--until", &week]);
    assert!(code == 64 && said.contains("nothing was waived"), "{said}");
    let no_date = ["--from", "2026-02-30", "--until", &week];
    let (code, said) =
        run(&[&["waive", "bad", "--because", "x", "--by", "ana"], &no_date[..]].concat());
    assert!(code == 64 && said.contains("2026-02-30"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn a_second_daemon_on_one_file_is_refused_with_a_reason() {
    let site = site("");
    let daemon = site.start();
    let mut second = site.spawn(&[], &[]);
    let ended = second.process.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(ended.code(), Some(74));
    assert!(second.log().contains("another daemon keeps its record"), "{}", second.log());
    // By whatever name the file is called.
    let at = |name: &str| site.path().join(name);
    std::os::unix::fs::symlink("allswell.db", at("link.db")).unwrap();
    fs::hard_link(at("allswell.db"), at("hard.db")).unwrap();
    let settings = fs::read_to_string(at("allswell.yaml")).unwrap();
    for name in ["link.db", "hard.db", "allswell.db"] {
        let linked = format!("{settings}ledger: {{url: \"sqlite:{name}\"}}\n");
        fs::write(at("allswell.yaml"), linked).unwrap();
        let mut third = site.spawn(&[], &[]);
        let ended = third.process.wait(Duration::from_secs(20));
        assert!(third.log().contains("another daemon keeps its record"), "{name}: {}", third.log());
        assert_eq!(ended.unwrap().code(), Some(74), "{name}");
        // Nor where somebody took the lock away that lies beside it.
        drop(fs::remove_file(at("allswell.db.lock")));
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_page_token_of_another_list_is_refused() {
    let site = site("");
    let daemon = site.start();
    for (list, ours, other) in [
        ("checks", "7", "1.2.3"),
        ("events", "7", "1.2.3"),
        ("checks/good/windows", "1.2.3", "7"),
        ("checks/good/windows", "1.2.3", "1.x.2.3"),
    ] {
        for (page, wanted) in [(ours, 200), (other, 400)] {
            let (status, said) = daemon.get(&format!("/api/v1/{list}?page={page}"));
            assert_eq!(status, wanted, "{list} {page}: {said}");
        }
    }
    assert!(daemon.stop().success());
}

#[test]
fn an_order_is_an_object_of_known_keys_that_come_once() {
    let site = site("");
    let daemon = site.start();
    for (body, wanted) in [
        (r#"["bad", null, null, null, null, null]"#, "an order is one JSON object"),
        (r#"{"chek": "bad"}"#, "`chek` is not known here; did you mean `check`?"),
        (r#"{"check": "bad", "check": "good"}"#, "duplicate field `check`"),
        (r#"{"check": " "}"#, "a text here is not empty"),
    ] {
        let (status, said) = daemon.post("/api/v1/rerun", body);
        assert!(status == 400 && said.contains(wanted), "{body}: {status} {said}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn systemd_hears_of_each_step() {
    let site = site("");
    let path = site.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = |word: &str| {
        let mut buffer = [0; 512];
        loop {
            let read = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{word}: {e}"));
            if String::from_utf8_lossy(&buffer[..read]).contains(word) {
                return;
            }
        }
    };
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let daemon = site.start_with(&[], &env);
    // However long the ledger takes to open.
    heard("EXTEND_TIMEOUT_USEC=");
    heard("READY=1");
    heard("WATCHDOG=1");
    daemon.signal("HUP");
    heard("RELOADING=1");
    heard("READY=1");
    daemon.signal("TERM");
    heard("STOPPING=1");
}

#[test]
fn replicas_run_the_catalogue_that_one_of_them_loads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let ledger =
        format!("ledger: {{url: \"{}\", password: \"${{file:watch}}\"}}\n", database.url());
    let (one, two) = (site(&ledger), site(&ledger));
    let first = one.start();
    let second = two.start();
    let more = CHECKS.to_owned()
        + "  - id: third\n    why: because\n    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n";
    one.checks("checks.yaml", &more);
    assert_eq!(first.post("/-/reload", "").0, 200);
    second.until(
        Duration::from_secs(20),
        |second| match second.json("/api/v1/status")["generation"]["checks"].as_u64() {
            Some(3) => Ok(()),
            other => Err(other),
        },
    );
    // Both tell the same truth.
    second.until(Duration::from_secs(20), |second| {
        let seen = [&first, second].map(|daemon| {
            daemon.series("third").first().map_or(Value::Null, |s| s["confirmed_at"].clone())
        });
        if seen[0].is_string() && seen[0] == seen[1] { Ok(()) } else { Err(seen) }
    });
    // What one claims the other does not attempt.
    assert!(first.stop().success());
    assert!(second.stop().success());
    let attempts = "select cast(count(*) as text) from attempts where outcome = 'fenced'";
    let fenced = runtime.block_on(async { database.owner().await.texts(attempts).await });
    assert_eq!(fenced, ["0"]);
}

#[test]
fn a_password_of_the_ledger_is_repeated_nowhere() {
    const CANARY: &str = "canary-7f3a";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let ledger =
        format!("ledger: {{url: \"{}\", password: \"${{file:wrong}}\"}}\n", database.url());
    let site = site(&ledger);
    fs::write(site.path().join("wrong"), CANARY).unwrap();
    let mut daemon = site.spawn(&[], &[]);
    let ended = daemon.process.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(ended.code(), Some(74));
    let log = daemon.log();
    assert!(log.contains("the ledger") && !log.contains(CANARY), "{log}");
}

#[test]
fn healthy_ends_with_0_while_the_process_answers_and_with_74_once_it_does_not() {
    let site = site("");
    let daemon = site.start();
    let url = format!("http://{}", daemon.address);
    let healthy = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allswell"));
        command.args(["healthy", "--url", &url]).output().unwrap()
    };
    // It asks nothing of the data: `bad` is violated.
    let output = healthy();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(daemon.stop().success());
    assert_eq!(healthy().status.code(), Some(74));
}

#[test]
fn the_log_has_the_form_and_the_level_that_the_settings_say() {
    for (settings, level) in
        [("log: {format: json}\n", "INFO"), ("log: {format: json, level: warn}\n", "WARN")]
    {
        let site = site(settings);
        let daemon = site.start();
        daemon.until(Duration::from_secs(20), |daemon| {
            let log = daemon.log();
            if log.contains("violated: firing") { Ok(()) } else { Err(log) }
        });
        let log = daemon.log();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let firing = lines.iter().find(|line| line["message"] == "violated: firing").unwrap();
        assert_eq!(
            (firing["check"].as_str(), firing["owner"].as_str()),
            (Some("bad"), Some("tests")),
            "{firing}"
        );
        assert!(firing["timestamp"].is_string() && firing["level"] == "WARN", "{firing}");
        assert_eq!(lines.iter().any(|line| line["level"] == "INFO"), level == "INFO", "{log}");
        assert!(daemon.stop().success());
    }
}

#[test]
fn without_an_address_the_ledger_is_in_the_state_directory() {
    let site = site("");
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    let settings: String = settings
        .lines()
        .filter(|line| !line.starts_with("ledger:"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(site.path().join("allswell.yaml"), settings).unwrap();
    let state = site.path().join("state");
    fs::create_dir(&state).unwrap();
    let daemon = site.start_with(&[], &[("STATE_DIRECTORY", state.to_str().unwrap())]);
    assert!(daemon.stop().success());
    assert!(state.join("allswell.db").is_file());
    // A daemon that stopped in order leaves a file that is whole by itself.
    let log = fs::metadata(state.join("allswell.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0);
    assert!(!site.path().join("allswell.db").exists());
}

#[test]
fn a_series_whose_newest_window_is_waived_is_called_so_and_is_well_only_for_who_accepts_that() {
    let checks = "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    source: db\n    severity: critical\n    \
        window: {period: day, zone: UTC}\n    sql: select 0 + 0 as n where :window_start < :window_end\n    \
        expect: {values: {n: {min: 1}}}\n";
    let settings = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
    let site = Site::new(settings, checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    let daemon = site.start();
    let state = |wanted: &str| {
        daemon.until(Duration::from_secs(20), |daemon| {
            let state = daemon.series("it")[0]["state"].clone();
            if state == wanted { Ok(()) } else { Err(state) }
        });
    };
    state("violated");
    assert_eq!(daemon.get("/allswell?accept=waived").0, 503, "it is not waived yet");
    let until = (allswell::clock::now() + chrono::TimeDelta::days(7)).to_rfc3339();
    let order = serde_json::json!({"check": "it", "because": "mended", "by": "it", "until": until});
    daemon.order("/api/v1/waive", &order.to_string());
    state("waived");
    assert_eq!(daemon.get("/allswell").0, 503);
    assert_eq!(daemon.get("/allswell?accept=paused,waived").0, 200);
    let (status, said) = daemon.get("/allswell?accept=waive");
    assert!(status == 400 && said.contains("did you mean `waived`"), "{said}");
    let output = allswell(&site, &daemon, &["status"]);
    assert!(
        output.status.code() == Some(2) && text(&output).contains("1 waived"),
        "{}",
        text(&output)
    );
    assert!(daemon.stop().success());
}

#[test]
fn every_verb_takes_the_same_moments() {
    let site = site("");
    let daemon = site.start();
    daemon.until(Duration::from_secs(20), |daemon| {
        let bad = daemon.series("bad");
        let firing = bad.iter().filter(|s| s["firing"]["violated"].is_string()).count();
        if firing == 2 { Ok(()) } else { Err(bad) }
    });
    let run = |args: &[&str]| {
        let output = allswell(&site, &daemon, args);
        (output.status.code().unwrap(), text(&output))
    };
    // The one window of each zone is yesterday, by the clocks of that zone.
    let count = |said: &str| said.lines().filter(|line| line.starts_with("violated")).count();
    let (code, said) = run(&["history", "bad", "--from", "yesterday", "--to", "yesterday"]);
    assert!(code == 0 && count(&said) == 2, "{said}");
    let (code, said) = run(&["history", "bad", "--from", "today"]);
    assert!(code == 64 && count(&said) == 0, "{said}");
    let (code, said) = run(&["history", "bad", "--from", "4d", "--to", "2d"]);
    assert!(code == 64 && count(&said) == 0, "{said}");
    let zone = ["--zone", "Asia/Tokyo"];
    let (code, said) =
        run(&[&["rerun", "bad", "--from", "yesterday", "--to", "yesterday"], &zone[..]].concat());
    assert!(code == 0 && said.contains("1 window or look is tried again"), "{said}");
    let (code, said) = run(&[&["rerun", "bad", "--from", "today"], &zone[..]].concat());
    assert!(code == 64 && said.contains("nothing is recorded there"), "{said}");
    // An instant means the window that it lies in.
    let windows = daemon.json("/api/v1/checks/bad/windows?tz=Asia/Tokyo");
    let end = windows["windows"][0]["end"].as_str().unwrap();
    let end: chrono::DateTime<chrono::Utc> = end.parse().unwrap();
    let within = (end - chrono::TimeDelta::minutes(1)).to_rfc3339();
    let (code, said) = run(&[&["rerun", "bad", "--from", &within], &zone[..]].concat());
    assert!(code == 0 && said.contains("1 window or look is tried again"), "{said}");
    let (code, said) = run(&["history", "bad", "--zone", "Asia/Tokyo", "--from", &within]);
    assert!(code == 0 && count(&said) == 1, "{said}");
    let ended = end.to_rfc3339();
    let (code, said) = run(&["history", "bad", "--zone", "Asia/Tokyo", "--from", &ended]);
    assert!(code == 64 && count(&said) == 0, "{said}");
    let (code, said) = run(&["history", "bad", "--from", "-2h"]);
    assert!(code == 64 && said.contains("a duration (2h)"), "{said}");
    let waive = ["waive", "bad", "--because", "known", "--by", "ana", "--from", "2d", "--until"];
    let (code, said) = run(&[&waive[..], &["2h"], &zone[..]].concat());
    assert!(code == 0 && said.contains("1 open window or look is waived"), "{said}");
    let waived = daemon.json("/api/v1/waivers");
    let until: chrono::DateTime<chrono::Utc> =
        waived["waivers"][0]["until"].as_str().unwrap().parse().unwrap();
    let away = until - allswell::clock::now();
    assert!(
        away > chrono::TimeDelta::minutes(115) && away <= chrono::TimeDelta::hours(2),
        "{away}"
    );
    let (code, said) = run(&["history", "bad", "--from", "gestern"]);
    assert!(
        code == 64 && said.contains("write a date (2026-03-29), `today`, `yesterday`"),
        "{said}"
    );
    let (code, said) = run(&["rerun", "bad", "--from", "today", "--to", "yesterday"]);
    assert!(code == 64 && said.contains("`from` is not before `to`"), "{said}");
    assert!(daemon.stop().success());
}
