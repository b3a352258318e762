//! Configuration as a deployment: a catalogue is taken whole or not at all, and what runs goes on.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::manifest::{self, Engines};
use serde_json::Value;

use crate::lab::Other;
use crate::watchman::{Site, Watchman};

const SETTINGS: &str = "sources: {db: {url: \"sqlite:data.db\", instants: sql}, lite: {url: \"sqlite:data.db\", instants: sql}}\n";

fn check(id: &str, sql: &str) -> String {
    format!(
        "  - id: {id}\n    why: because\n    sql: {sql}\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
    )
}

/// Checks that look each second, the first `bad` of which are violated.
fn checks(ids: &[String], bad: usize, label: usize) -> String {
    let mut yaml = format!(
        "version: 1\nowner: tests\ndefaults: {{source: db, schedule: {{every: 1s}}, result_by: 60s, labels: {{round: {label}}}}}\nchecks:\n"
    );
    for (place, id) in ids.iter().enumerate() {
        let _ = write!(
            yaml,
            "{}",
            check(id, if place < bad { "select 0 as n" } else { "select 1 + 0 as n" })
        );
    }
    yaml
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("check-{number}")).collect()
}

fn site(checks: &str) -> Site {
    let site = Site::new(SETTINGS, checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

fn reload(daemon: &Watchman) -> (u16, String) {
    daemon.post("/-/reload", "")
}

fn generation(daemon: &Watchman) -> i64 {
    let seen = |daemon: &Watchman| daemon.json("/api/v1/status")["generation"]["id"].as_i64();
    seen(daemon).unwrap_or(0)
}

#[test]
fn a_thousand_reloads_under_load_lose_nothing() {
    let ids = ids(20);
    let site = site(&checks(&ids, 0, 0));
    let daemon = site.start();
    let mut last = 1;
    for round in 1..=1_000 {
        site.checks("checks.yaml", &checks(&ids, 0, round));
        let (status, body) = reload(&daemon);
        assert_eq!(status, 200, "{round}: {body}");
        last = generation(&daemon).max(last);
    }
    assert!(last >= 900, "generations: {last}");
    // The slots that began before now are recorded in time.
    let until = allswell::clock::now().timestamp_micros();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    daemon.until(Duration::from_secs(30), |_| {
        let behind = runtime.block_on(async {
            let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
            let sql = format!(
                "select count(*) || '' from entries where state <> 'recorded' and start_at < {until} union all \
                 select count(*) || '' from series where watermark < {until}"
            );
            let behind = ledger.texts(&sql).await;
            ledger.close().await;
            behind
        });
        if behind == ["0", "0"] { Ok(()) } else { Err(behind) }
    });
    assert!(daemon.stop().success());
    let rows = runtime.block_on(async {
        let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
        ledger
            .texts(
                "select s.check_id || '|' || e.start_at || '|' || e.end_at || '|' || e.state || '|' || coalesce(e.said, '') from entries e \
                 join series s on s.id = e.series order by e.series, e.start_at",
            )
            .await
    });
    let mut before: Option<(String, i64)> = None;
    for row in &rows {
        let parts: Vec<&str> = row.split('|').collect();
        let (start, end): (i64, i64) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
        if let Some((check, last)) = before.as_ref().filter(|(check, _)| check == parts[0]) {
            // From second to second, without a hole, and nothing that was missed.
            let next = last.div_euclid(1_000_000) * 1_000_000 + 1_000_000;
            assert_eq!(start, next, "{check}: a slot is lost or doubled");
        }
        assert_eq!(start, end, "{row}: missed");
        before = Some((parts[0].to_owned(), end));
    }
    for row in &rows {
        let begins: i64 = row.split('|').nth(1).unwrap().parse().unwrap();
        assert!(begins >= until || row.ends_with("|recorded|confirmed"), "{row}");
    }
}

/// Waits until a check fires.
fn fires(daemon: &Watchman, check: &str) {
    daemon.until(Duration::from_secs(20), |daemon| {
        let series = daemon.series(check);
        match series.first().map(|s| s["firing"]["violated"].clone()) {
            Some(Value::String(_)) => Ok(()),
            other => Err(other),
        }
    });
}

/// What a refused catalogue leaves: the same generation, an alarm that says what and why.
fn refused(daemon: &Watchman, what: &str, why: &str, generation_before: i64) {
    let (status, body) = reload(daemon);
    assert_eq!(status, 422, "{what}: {body}");
    assert!(body.contains(why), "{what}: {body}");
    let seen = daemon.json("/api/v1/status");
    assert_eq!(seen["generation"]["id"].as_i64(), Some(generation_before), "{what}");
    assert_eq!(seen["last_load"]["good"], Value::Bool(false), "{what}");
    assert!(!seen["last_load"]["why"].as_str().unwrap().is_empty(), "{what}");
    let (_, metrics) = daemon.get("/metrics");
    assert!(metrics.contains("allswell_config_last_reload_successful 0"), "{what}");
    let (_, ready) = daemon.get("/-/ready");
    assert!(ready.starts_with("ready"), "{what}: what runs goes on: {ready}");
}

#[test]
fn broken_and_dangerous_catalogues_leave_the_stored_one_running() {
    let all = ids(10);
    let good = checks(&all, 1, 0);
    let site = site(&good);
    let daemon = site.start();
    fires(&daemon, "check-0");
    let first = generation(&daemon);
    // Whatever a file of checks can have wrong.
    let mut broken = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bad");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let here = Engines::from(
        ["db", "lite"].map(|name| (SourceName::parse(name).unwrap(), Engine::Sqlite)),
    );
    for path in paths {
        // What only another engine obeys is sound here.
        if manifest::load(&[&path], crate::lab::world(&here)).is_ok() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Every fifth is enough here: `language` looks at each.
        broken += 1;
        if broken % 5 != 0 {
            continue;
        }
        fs::copy(&path, site.path().join("checks/bad.yaml")).unwrap();
        refused(&daemon, &name, "bad.yaml", first);
        fs::remove_file(site.path().join("checks/bad.yaml")).unwrap();
    }
    assert!(broken >= 200);
    // A file that is half written.
    site.checks("checks.yaml", &good[..good.len() / 2 + 7]);
    refused(&daemon, "half a file", "checks.yaml", first);
    // The same ids twice, in another file.
    site.checks("checks.yaml", &good);
    site.checks("again.yaml", &good);
    refused(&daemon, "duplicates", "is taken", first);
    fs::remove_file(site.path().join("checks/again.yaml")).unwrap();
    // A link to nowhere, as when a volume is not mounted yet.
    std::os::unix::fs::symlink("/nowhere", site.path().join("checks/link.yaml")).unwrap();
    refused(&daemon, "a link to nowhere", "cannot be", first);
    fs::remove_file(site.path().join("checks/link.yaml")).unwrap();
    // Nothing there at all.
    fs::rename(site.path().join("checks"), site.path().join("elsewhere")).unwrap();
    refused(&daemon, "no folder", "cannot be read", first);
    fs::create_dir(site.path().join("checks")).unwrap();
    refused(&daemon, "an empty mount", "not one *.yaml", first);
    fs::remove_dir(site.path().join("checks")).unwrap();
    fs::rename(site.path().join("elsewhere"), site.path().join("checks")).unwrap();
    // Half of the checks gone; the firing one gone; all of them renamed.
    site.checks("checks.yaml", &checks(&all[..5], 1, 1));
    refused(&daemon, "mass removal", "removes 5 of 10", first);
    site.checks("checks.yaml", &checks(&all[1..], 0, 1));
    refused(&daemon, "a firing check removed", "open (check-0)", first);
    let renamed: Vec<String> = (0..10).map(|n| format!("other-{n}")).collect();
    site.checks("checks.yaml", &checks(&renamed, 1, 1));
    refused(&daemon, "all ids renamed", "none of the 10 checks", first);
    // Settings that cannot be read.
    let settings = fs::read_to_string(site.path().join("allswell.yaml")).unwrap();
    fs::write(site.path().join("allswell.yaml"), "sources: {db: {}}").unwrap();
    refused(&daemon, "broken settings", "`url` is missing", first);
    fs::write(site.path().join("allswell.yaml"), settings).unwrap();
    // What was firing fires still, through all of it.
    fires(&daemon, "check-0");
    site.checks("checks.yaml", &good);
    assert_eq!(reload(&daemon).0, 200);
    assert_eq!(daemon.json("/api/v1/status")["last_load"]["good"], Value::Bool(true));
}

#[test]
fn what_an_earlier_release_took_runs_on_where_this_one_knows_more_faults() {
    let checks = "version: 1\nowner: tests\ndefaults: {source: db, schedule: {every: 1s}, result_by: 60s}\nchecks:\n  \
                  - {id: it, why: because, sql: select 1 + 0 as n, expect: {values: {n: {min:  1}}}}\n# end.\n";
    // As an earlier release took it: a number that begins with a zero, and an odd end of a line.
    let earlier = checks.replace("min:  1", "min: 01").replace("# end.", "# \u{2028}.");
    let site = site(checks);
    let daemon = site.start();
    daemon.until_confirmed(1, Duration::from_secs(30));
    assert!(daemon.stop().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
        let sql = "update generations set text = replace(replace(text, 'min:  1', 'min: 01'), '# end.', '# ' || \
                   char(8232) || '.')";
        ledger.run(sql).await.unwrap();
        ledger.close().await;
    });
    site.checks("checks.yaml", &earlier);
    let restarted = allswell::clock::now().to_rfc3339();
    let daemon = site.start();
    daemon.until(Duration::from_secs(30), |daemon| {
        let series = daemon.series("it").first().cloned().unwrap_or_default();
        let looked = series["last"]["at"].as_str().is_some_and(|at| at > restarted.as_str());
        if looked && series["state"] == "confirmed" { Ok(()) } else { Err(series) }
    });
    // The files of it are faulty now, and say so.
    let status = daemon.json("/api/v1/status");
    assert_eq!(status["last_load"]["good"], Value::Bool(false), "{status}");
    assert!(status.to_string().contains("U+2028"), "{status}");
    assert!(daemon.stop().success());
}

#[test]
fn what_is_declared_as_removed_goes_and_resolves_and_what_is_renamed_keeps_its_history() {
    let all = ids(6);
    let site = site(&checks(&all, 2, 0));
    let daemon = site.start();
    fires(&daemon, "check-0");
    fires(&daemon, "check-1");
    let windows = |check: &str| {
        let history = daemon.json(&format!("/api/v1/checks/{check}/windows?limit=1000"));
        history["windows"].as_array().unwrap().clone()
    };
    let before = windows("check-1");
    let mut kept = checks(&all[2..], 0, 1);
    kept.push_str(
        &check("check-one", "select 0 as n").replace("    why", "    was: check-1\n    why"),
    );
    kept.push_str("removed: [{id: check-0, because: nobody needs it}]\n");
    site.checks("checks.yaml", &kept);
    assert_eq!(reload(&daemon), (200, reload(&daemon).1));
    assert!(daemon.series("check-0").is_empty());
    let renamed = daemon.series("check-one");
    assert!(renamed[0]["firing"]["violated"].is_string(), "{renamed:?}");
    let (_, events) = daemon.get("/api/v1/events?check=check-0&limit=5");
    assert!(events.contains("nobody needs it") && events.contains("resolved"), "{events}");
    let first = |windows: &[Value]| windows.last().unwrap()["start"].clone();
    assert_eq!(first(&windows("check-one")), first(&before));
    // Once it is renamed, the entry may stay.
    site.checks("checks.yaml", &kept.replace("round: 1", "round: 2"));
    assert_eq!(reload(&daemon).0, 200);
}

#[test]
fn files_that_change_are_loaded_however_they_are_written() {
    let site = site(&checks(&ids(3), 0, 0));
    let daemon = site.start();
    let mut last = generation(&daemon);
    let mut changed = |what: &str| {
        daemon.until(Duration::from_secs(15), |daemon| {
            let now = generation(daemon);
            if now > last { Ok(()) } else { Err((what.to_owned(), now)) }
        });
        last = generation(&daemon);
    };
    // In place, as `git pull` and simple editors do; by rename, as others do.
    fs::write(site.path().join("checks/checks.yaml"), checks(&ids(3), 0, 1)).unwrap();
    changed("in place");
    site.checks("checks.yaml", &checks(&ids(3), 0, 2));
    changed("by rename");
    // A link to a folder that another link leads to, as Kubernetes mounts a ConfigMap.
    for (version, round) in [("..v1", 3), ("..v2", 4)] {
        let folder = site.path().join("mount").join(version);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("checks.yaml"), checks(&ids(3), 0, round)).unwrap();
    }
    let mount = site.path().join("mount");
    std::os::unix::fs::symlink("..v1", mount.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/checks.yaml", mount.join("checks.yaml")).unwrap();
    site.settings(&format!("checks: [mount/]\n{SETTINGS}"));
    changed("another folder");
    std::os::unix::fs::symlink("..v2", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    changed("the link that Kubernetes moves");
    fs::write(mount.join("..v2/checks.yaml"), checks(&ids(3), 0, 5)).unwrap();
    daemon.signal("HUP");
    changed("SIGHUP");
}

#[test]
fn a_bad_catalogue_at_start_leaves_the_stored_one_running_and_without_one_nothing_runs() {
    let good = checks(&ids(5), 0, 0);
    let site = site("version: 1\nowner: t\nchecks: []\n");
    let mut daemon = site.spawn(&[], &[]);
    let ended = daemon.process.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(ended.code(), Some(64), "{}", daemon.log());
    assert!(daemon.log().contains("the list is empty"), "{}", daemon.log());
    site.checks("checks.yaml", &good);
    let daemon = site.start();
    daemon.until(Duration::from_secs(10), |d| match d.series("check-0").len() {
        1 => Ok(()),
        n => Err(n),
    });
    assert!(daemon.stop().success());
    for (bad, why) in [
        ("version: 1\nowner: t\nchekcs: []\n".to_owned(), "chekcs"),
        (checks(&["other".to_owned()], 0, 0), "none of the 5 checks"),
    ] {
        site.checks("checks.yaml", &bad);
        let daemon = site.start();
        let seen = daemon.json("/api/v1/status");
        assert_eq!(seen["generation"]["checks"], 5, "{why}");
        assert!(seen["last_load"]["why"].as_str().unwrap().contains(why), "{seen}");
        assert!(daemon.stop().success());
    }
    // Somebody's word lets it through.
    let daemon = site.start_with(&["--accept-removals"], &[]);
    assert_eq!(daemon.json("/api/v1/status")["generation"]["checks"], 1);
}

#[test]
fn a_stop_waits_for_no_reload_and_a_reload_that_the_ledger_missed_is_tried_again() {
    let site = site(&checks(&ids(4), 0, 0));
    let daemon = site.start();
    let first = generation(&daemon);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(Other::sqlite(&site.path().join("allswell.db")));
    runtime.block_on(other.run("begin immediate")).unwrap();
    site.checks("checks.yaml", &checks(&ids(4), 0, 1));
    daemon.until(Duration::from_secs(40), |daemon| {
        let load = daemon.json("/api/v1/status")["last_load"].clone();
        if load["good"] == Value::Bool(false) { Ok(()) } else { Err(load) }
    });
    runtime.block_on(other.run("rollback")).unwrap();
    daemon.until(Duration::from_secs(40), |daemon| {
        let now = generation(daemon);
        if now > first { Ok(()) } else { Err(daemon.json("/api/v1/status")["last_load"].clone()) }
    });
    // The ledger is held, a reload is on its way, and somebody stops the daemon.
    runtime.block_on(other.run("begin immediate")).unwrap();
    daemon.signal("HUP");
    daemon.until(Duration::from_secs(10), |daemon| {
        if daemon.log().contains("SIGHUP") { Ok(()) } else { Err(()) }
    });
    let mut daemon = daemon;
    daemon.signal("TERM");
    let ended = daemon.process.wait(Duration::from_secs(60));
    assert!(ended.is_some(), "it hangs: {}", daemon.log());
    runtime.block_on(other.close());
}

#[test]
fn an_id_that_was_used_before_can_be_taken_by_a_renamed_check() {
    let all = ids(6);
    let site = site(&checks(&all, 0, 0));
    let daemon = site.start();
    // It goes, with nobody's objection: one of six that is calm.
    site.checks("checks.yaml", &checks(&all[1..], 0, 1));
    assert_eq!(reload(&daemon).0, 200);
    // Another takes its name.
    let mut renamed = checks(&all[2..], 0, 2);
    let heir =
        check("check-0", "select 1 + 0 as n").replace("    why", "    was: check-1\n    why");
    renamed.push_str(&heir);
    site.checks("checks.yaml", &renamed);
    let (status, body) = reload(&daemon);
    assert_eq!(status, 200, "{body}");
    assert_eq!(daemon.series("check-0").len(), 1);
}

#[test]
fn a_removed_check_takes_its_vanished_zones_along() {
    let fan = |zones: &str| {
        format!(
            "  - id: fan\n    why: because\n    window: {{period: day, zones: [{zones}]}}\n    sql: |\n      \
             select 0 as n where :window_start < :window_end and :zone <> ''\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    };
    let others = checks(&ids(5), 0, 0);
    let site = site(&(others.clone() + &fan("Europe/Berlin, Asia/Tokyo")));
    let daemon = site.start();
    fires(&daemon, "fan");
    site.checks("checks.yaml", &(others.clone() + &fan("Europe/Berlin")));
    assert_eq!(reload(&daemon).0, 200, "a zone that goes leaves its window open");
    let open = daemon.series("fan").iter().filter(|s| s["state"] == "violated").count();
    assert_eq!(open, 2);
    let (status, body) = {
        site.checks("checks.yaml", &others);
        reload(&daemon)
    };
    assert!(status == 422 && body.contains("open (fan)"), "{body}");
    let removed = others.clone() + "removed: [{id: fan, because: nobody needs it}]\n";
    site.checks("checks.yaml", &removed);
    assert_eq!(reload(&daemon).0, 200);
    // The entry may go, too.
    site.checks("checks.yaml", &others.replace("round: 0", "round: 7"));
    let (status, body) = reload(&daemon);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_violated_window_goes_with_no_check_unasked_also_where_nobody_was_told_of_it() {
    let patient = "  - id: patient\n    why: because\n    alert: {after: 3}\n    window: {period: 1h}\n    sql: |\n      \
         select 0 as n where :window_start < :window_end\n    expect: {values: {n: {min: 1}}}\n";
    let others = checks(&ids(5), 0, 0);
    let site = site(&(others.clone() + patient));
    let daemon = site.start();
    daemon.until(Duration::from_secs(20), |daemon| {
        let series = daemon.series("patient");
        let open = series.first().map(|s| s["open"]["violated"].clone());
        if open == Some(Value::from(1)) { Ok(()) } else { Err(series) }
    });
    assert!(daemon.series("patient")[0]["firing"]["violated"].is_null());
    site.checks("checks.yaml", &others);
    let (status, body) = reload(&daemon);
    assert!(status == 422 && body.contains("open (patient)"), "{body}");
    site.checks("checks.yaml", &(others.clone() + "removed: [{id: patient, because: a slip}]\n"));
    assert_eq!(reload(&daemon).0, 200);
    // It comes back, and so does its window.
    site.checks("checks.yaml", &(others + patient));
    assert_eq!(reload(&daemon).0, 200);
    daemon.until(Duration::from_secs(20), |daemon| {
        let series = daemon.series("patient");
        let open = series.iter().find_map(|s| s["open"]["violated"].as_u64());
        if open == Some(1) { Ok(()) } else { Err(series) }
    });
    assert!(daemon.stop().success());
}
