//! The ledger cannot be written: nothing is called healthy, and everything that was due meanwhile is
//! recorded when it can be again.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::lab::{Database, Other, pg_admin};
use crate::servers::Postgres;
use crate::watchman::{SECOND, Site, Watchman, assert_each_second, rows};

const CHECKS: usize = 8;

fn site(ledger: &str) -> Site {
    let mut yaml = "version: 1\nowner: tests\ndefaults: {source: db, severity: critical, schedule: {every: 1s}, result_by: 20s}\nchecks:\n".to_owned();
    for number in 0..CHECKS {
        let _ = write!(
            yaml,
            "  - id: check-{number}\n    why: because\n    sql: select 1 + 0 as n\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        );
    }
    let settings =
        format!("sources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\n{ledger}\n");
    let site = Site::new(&settings, &yaml);
    fs::write(site.path().join("data.db"), "").unwrap();
    site
}

/// As long as nothing can be written, nothing is healthy, wherever one looks.
fn blind(daemon: &Watchman) {
    daemon.until(Duration::from_secs(30), |daemon| match daemon.get("/-/ready") {
        (503, body) if body.contains("ledger is down") => Ok(()),
        other => Err(other),
    });
    // Long enough for much to become due.
    daemon.until(Duration::from_secs(30), |daemon| {
        let seen = daemon.json("/api/v1/status");
        let at = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        let down = at(&seen["as_of"]) - at(&seen["ledger"]["down_since"]);
        if down > TimeDelta::seconds(3) { Ok(()) } else { Err(down) }
    });
    for path in ["/allswell", "/allswell?check=check-1", "/allswell?owner=tests"] {
        let (status, body) = daemon.get(path);
        assert_eq!(status, 503, "{path}: {body}");
        assert!(body.contains("ledger is down"), "{path}: {body}");
    }
    assert!(daemon.get("/metrics").1.contains("allswell_ledger_up 0"));
    assert_eq!(daemon.json("/api/v1/status")["ledger"]["up"], Value::Bool(false));
    assert_eq!(daemon.get("/-/healthy").0, 200, "the process lives");
}

/// It is there again: everything is looked at, and no second is missing.
fn sees(daemon: Watchman, mut ledger: impl AsyncFnMut() -> Other) {
    daemon.until(Duration::from_secs(30), |daemon| match daemon.get("/-/ready") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    daemon.until_confirmed(CHECKS, Duration::from_secs(30));
    assert_eq!(daemon.get("/allswell").0, 200);
    assert!(daemon.stop().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rows = rows(&mut ledger().await).await;
        assert_eq!(rows.len(), CHECKS);
        for ((check, _), rows) in &rows {
            let seconds = (rows[rows.len() - 1].1 - rows[0].0) / SECOND;
            assert!(seconds >= 4, "{check}: only {seconds} s are recorded");
            assert_each_second(check, rows);
        }
    });
}

#[test]
fn a_file_that_is_full_or_locked() {
    let site = site("");
    // A limit on the size of files is met as an error: its signal kills nobody.
    let daemon = site.start();
    daemon.until_confirmed(CHECKS, Duration::from_secs(20));
    let path = site.path().join("allswell.db");
    let limit = |size: &str| {
        let pid = daemon.process.id().to_string();
        let fsize = format!("--fsize={size}:");
        let done = Command::new("prlimit").args(["--pid", &pid, &fsize]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    limit("4096");
    blind(&daemon);
    limit("unlimited");
    daemon.until_confirmed(CHECKS, Duration::from_secs(30));
    // Somebody holds the file.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(Other::sqlite(&path));
    runtime.block_on(other.run("begin immediate")).unwrap();
    blind(&daemon);
    runtime.block_on(other.run("rollback")).unwrap();
    runtime.block_on(other.close());
    sees(daemon, async || Other::sqlite(&path).await);
}

#[test]
fn a_file_that_may_not_grow_at_the_start_is_an_error_that_is_told() {
    let site = site("");
    let program = env!("CARGO_BIN_EXE_allswell");
    let limited = ["--fsize=4096", program];
    let mut daemon = site.spawn_by(Path::new("prlimit"), &limited, &[], &[]);
    let ended = daemon.process.wait(Duration::from_secs(20)).unwrap();
    assert_eq!(ended.code(), Some(74), "{ended:?}: {}", daemon.log());
    assert!(daemon.log().contains("the ledger"), "{}", daemon.log());
}

#[test]
fn a_server_that_is_dead_or_refuses_writes_or_is_frozen() {
    let mut server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(&server));
    let ledger = format!("ledger: {{url: \"{}\", password: \"${{file:watch}}\"}}", database.url());
    let site = site(&ledger);
    let daemon = site.start();
    daemon.until_confirmed(CHECKS, Duration::from_secs(20));
    server.kill();
    blind(&daemon);
    server.restart();
    daemon.until_confirmed(CHECKS, Duration::from_secs(30));
    server.signal("STOP");
    blind(&daemon);
    server.signal("CONT");
    daemon.until_confirmed(CHECKS, Duration::from_secs(30));
    let order = |sql: &str| {
        runtime.block_on(async {
            let mut admin = Other::Postgres(pg_admin(server.port, "postgres").await);
            admin.run(sql).await.unwrap();
            let end =
                "select pg_terminate_backend(pid) from pg_stat_activity where usename like 't%'";
            admin.run(end).await.unwrap();
            admin.close().await;
        });
    };
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    order(&format!("alter database {name} set default_transaction_read_only = on"));
    blind(&daemon);
    order(&format!("alter database {name} reset default_transaction_read_only"));
    sees(daemon, async || database.owner().await);
}

#[test]
fn a_file_that_is_taken_away_from_under_the_daemon() {
    let site = site("ledger: {lease: 1s}");
    let daemon = site.start();
    daemon.until_confirmed(CHECKS, Duration::from_secs(20));
    let (path, aside) = (site.path().join("allswell.db"), site.path().join("aside.db"));
    fs::rename(&path, &aside).unwrap();
    blind(&daemon);
    // For as long as a few slots take.
    std::thread::sleep(Duration::from_secs(3));
    fs::rename(&aside, &path).unwrap();
    sees(daemon, async || Other::sqlite(&path).await);
}
