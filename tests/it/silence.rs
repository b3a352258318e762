//! More than twenty ways in which a watchman falls silent: each ends the heartbeat or raises an alert, and
//! none looks like health.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alerting::Receiver;
use crate::clocks;
use crate::lab::{Database, Other};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

/// How long it may take until somebody hears.
const WITHIN: Duration = Duration::from_secs(75);

/// A daemon, and everybody who hears of it: an Alertmanager that keeps what it gets, and whoever waits
/// for heartbeats.
struct Stage {
    site: Site,
    daemon: Watchman,
    alerts: Receiver,
    beats: Receiver,
}

fn checks(more: &str) -> String {
    format!(
        "version: 1\nowner: tests\ndefaults: {{source: db, severity: critical, schedule: {{every: 1s}}, result_by: 3s}}\nchecks:\n  \
         - id: it\n    why: because\n    timeout: 1s\n    sql: select ok as n from state\n    expect: {{values: {{n: {{min: 1}}}}}}\n{more}"
    )
}

impl Stage {
    /// Starts one that is well, and whose heartbeat comes.
    fn start(source: &str, ledger: &str) -> Self {
        let (alerts, beats) = (Receiver::start(), Receiver::start());
        let settings = format!(
            "sources: {{db: {source}}}\n{ledger}alertmanagers: [{{url: \"http://127.0.0.1:{}\"}}]\n\
             notices: {{resend: 1s, hold: 0s, lasts: 1m}}\nheartbeat: {{url: \"{}\", every: 1s}}\n",
            alerts.port,
            beats.url()
        );
        let site = Site::new(&settings, &checks(""));
        if source.contains("data.db") {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            fs::write(site.path().join("data.db"), "").unwrap();
            runtime.block_on(async {
                let mut data = Other::sqlite(&site.path().join("data.db")).await;
                data.run("create table state (ok integer)").await.unwrap();
                data.run("insert into state values (1)").await.unwrap();
                data.close().await;
            });
        }
        // Its clock is ours until somebody sets it.
        let daemon = clocks::start(&site, "+0");
        let stage = Self { site, daemon, alerts, beats };
        let before = stage.earned();
        stage.daemon.until(WITHIN, |daemon| {
            let well = daemon.get("/allswell?check=it").0 == 200;
            if well && stage.earned() > before + 1 { Ok(()) } else { Err(stage.beats.taken()) }
        });
        stage
    }

    fn sqlite() -> Self {
        Self::start("{url: \"sqlite:data.db\", instants: sql}", "")
    }

    fn earned(&self) -> usize {
        self.beats.taken().iter().filter(|(path, _)| path == "/hook").count()
    }

    /// Alerts that stand at the Alertmanager by what it got.
    fn firing(&self) -> Vec<String> {
        let mut last: std::collections::BTreeMap<String, bool> = std::collections::BTreeMap::new();
        for (path, body) in self.alerts.taken() {
            if path != "/api/v2/alerts" {
                continue;
            }
            for alert in body.as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
                let ends: chrono::DateTime<chrono::Utc> = text(&alert["endsAt"]).parse().unwrap();
                last.insert(text(&alert["labels"]["alertname"]), ends > allswell::clock::now());
            }
        }
        last.into_iter().filter(|(_, fires)| *fires).map(|(name, _)| name).collect()
    }

    /// Waits until somebody hears: an alert stands, or the heartbeat does not come any more.
    fn somebody_hears(&self, what: &str, wanted: &str) {
        let started = Instant::now();
        let mut beats = (self.earned(), Instant::now());
        loop {
            let firing = self.firing();
            if wanted != "heartbeat" && firing.iter().any(|name| name == wanted) {
                break;
            }
            let earned = self.earned();
            if earned != beats.0 {
                beats = (earned, Instant::now());
            }
            // Three in a row that did not come.
            if wanted == "heartbeat" && beats.1.elapsed() > Duration::from_secs(4) {
                break;
            }
            assert!(
                started.elapsed() < WITHIN,
                "{what}: nobody hears: {firing:?}, {}",
                self.daemon.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        if let Ok((status, body)) = self.daemon.try_ask_soon("/allswell?check=it") {
            let told_of_others =
                ["AllswellCatalogueRefused", "AllswellHeartbeatFails"].contains(&wanted);
            assert!(status != 200 || told_of_others, "{what}: it looks well: {body}");
        }
    }
}

#[test]
fn a_source_that_goes_dark_is_heard() {
    type Harm = fn(&Stage);
    let ways: [(&str, &str, Harm); 5] = [
        ("its file is gone", "AllswellUnconfirmed", |stage| {
            fs::rename(stage.site.path().join("data.db"), stage.site.path().join("away.db"))
                .unwrap();
        }),
        ("its table is gone", "AllswellUnconfirmed", |stage| run(stage, "drop table state")),
        ("its rows are gone", "AllswellUnconfirmed", |stage| run(stage, "delete from state")),
        ("its data is wrong", "AllswellViolated", |stage| run(stage, "update state set ok = 0")),
        ("its file is no database", "AllswellUnconfirmed", |stage| {
            fs::write(stage.site.path().join("data.db"), "nothing that is a database").unwrap();
        }),
    ];
    for (what, wanted, harm) in ways {
        let stage = Stage::sqlite();
        harm(&stage);
        stage.somebody_hears(what, wanted);
        assert!(stage.daemon.stop().success());
    }
}

fn run(stage: &Stage, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = Other::sqlite(&stage.site.path().join("data.db")).await;
        data.run(sql).await.unwrap();
        data.close().await;
    });
}

#[test]
fn a_server_that_is_frozen_dead_or_locked_is_heard() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for what in ["frozen", "dead", "locked", "no connections left"] {
        let mut server = Postgres::start();
        let database = runtime.block_on(Database::postgres(&server));
        let mut owner = runtime.block_on(database.owner());
        runtime.block_on(async {
            owner.run("create table state (ok integer)").await.unwrap();
            owner.run("insert into state values (1)").await.unwrap();
            owner.run("grant select on state to public").await.unwrap();
        });
        let source = format!("{{url: \"{}\", password: \"${{file:watch}}\"}}", database.url());
        let stage = Stage::start(&source, "");
        let mut held = Vec::new();
        match what {
            "frozen" => server.signal("STOP"),
            "dead" => server.kill(),
            "locked" => runtime.block_on(async {
                owner.run("begin; lock table state in access exclusive mode").await.unwrap();
            }),
            _ => runtime.block_on(async {
                let name = database.name().to_owned();
                let mut admin = database.admin().await;
                let limit = format!("alter database {name} connection limit 0");
                admin.run(&limit).await.unwrap();
                database.end_sessions().await;
                held.push(admin);
            }),
        }
        stage.somebody_hears(what, "AllswellUnconfirmed");
        if what == "frozen" {
            server.signal("CONT");
        }
        assert!(stage.daemon.stop().success());
    }
}

#[test]
fn a_ledger_that_takes_nothing_is_heard() {
    let locked = Stage::sqlite();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut holder = runtime.block_on(Other::sqlite(&locked.site.path().join("allswell.db")));
    runtime.block_on(holder.run("begin immediate")).unwrap();
    locked.somebody_hears("the ledger is locked", "AllswellLedgerDown");
    locked.somebody_hears("the ledger is locked", "heartbeat");
    runtime.block_on(holder.run("rollback")).unwrap();
    drop(locked);
    let gone = Stage::sqlite();
    fs::remove_file(gone.site.path().join("allswell.db")).unwrap();
    gone.somebody_hears("the ledger is deleted", "AllswellLedgerDown");
    gone.somebody_hears("the ledger is deleted", "heartbeat");
    drop(gone);
    let full = Stage::sqlite();
    let pid = full.daemon.process.id().to_string();
    let limit = "--fsize=4096".to_owned();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for pid in children.split_whitespace().chain([pid.as_str()]) {
        Command::new("prlimit").args(["--pid", pid, &limit]).output().unwrap();
    }
    full.somebody_hears("the disk is full", "heartbeat");
    drop(full);
    let mut server = Postgres::start();
    let database = runtime.block_on(Database::postgres(&server));
    let ledger = format!(
        "ledger: {{url: \"{}\", password: \"${{file:watch}}\", lease: 2s}}\n",
        database.url()
    );
    let shared = Stage::start("{url: \"sqlite:data.db\", instants: sql}", &ledger);
    server.kill();
    shared.somebody_hears("the server of the ledger is dead", "AllswellLedgerDown");
    shared.somebody_hears("the server of the ledger is dead", "heartbeat");
}

#[test]
fn a_daemon_that_does_not_move_is_heard() {
    for (what, signal) in
        [("it is frozen", "STOP"), ("it is killed", "KILL"), ("it is told to stop", "TERM")]
    {
        let stage = Stage::sqlite();
        stage.daemon.signal(signal);
        stage.somebody_hears(what, "heartbeat");
        stage.daemon.signal("CONT");
    }
    // No descriptors left: nothing can be opened, neither databases nor ways out.
    let stage = Stage::sqlite();
    let pid = stage.daemon.process.id().to_string();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for pid in children.split_whitespace().chain([pid.as_str()]) {
        Command::new("prlimit").args(["--pid", pid, "--nofile=3"]).output().unwrap();
    }
    stage.somebody_hears("no descriptors are left", "AllswellUnconfirmed");
}

#[test]
fn a_clock_that_is_set_back_is_heard() {
    // For an hour nothing is due by it, and what was proved last lies in the future.
    for by in ["-1h", "-1d"] {
        let stage = Stage::sqlite();
        clocks::set(&stage.site, by);
        stage.somebody_hears(&format!("its clock is set by {by}"), "heartbeat");
        let beats = stage.beats.taken();
        let (path, why) = beats.last().unwrap();
        let told = why.as_str().unwrap_or_default();
        assert!(
            path == "/hook/fail" && told.starts_with("the clock was set back: it was"),
            "{beats:?}"
        );
    }
}

#[test]
fn ways_out_and_catalogues_that_are_broken_are_heard() {
    let deaf = Stage::sqlite();
    deaf.alerts.status.store(0, std::sync::atomic::Ordering::Relaxed);
    deaf.daemon.until(WITHIN, |daemon| {
        if daemon.log().contains("is not told") { Ok(()) } else { Err(daemon.log()) }
    });
    // It has two minutes to come back: they pass.
    clocks::set(&deaf.site, "+3m");
    deaf.daemon.until(WITHIN, |_| {
        let beats = deaf.beats.taken();
        let (path, why) = beats.last().unwrap();
        let told =
            path == "/hook/fail" && why.as_str().is_some_and(|why| why.contains("did not answer"));
        if told { Ok(()) } else { Err(beats) }
    });
    drop(deaf);
    let refused = Stage::sqlite();
    refused.site.checks("checks.yaml", "version: 1\nchecks: [\n");
    refused.somebody_hears("the catalogue is broken", "AllswellCatalogueRefused");
    drop(refused);
    let emptied = Stage::sqlite();
    fs::remove_file(emptied.site.path().join("checks/checks.yaml")).unwrap();
    emptied.somebody_hears("the catalogue is gone", "AllswellCatalogueRefused");
    drop(emptied);
    let unheard = Stage::sqlite();
    unheard.beats.status.store(500, std::sync::atomic::Ordering::Relaxed);
    unheard.somebody_hears("nobody takes the heartbeat", "AllswellHeartbeatFails");
    drop(unheard);
}
