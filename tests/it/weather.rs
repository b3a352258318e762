//! A source in all weathers: what is said of its data is true at each step, nobody else is held up,
//! and when it is back it is looked at again within a minute.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::{Database, Other, pg_admin};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

const EACH: usize = 6;
/// How soon everything is as it should be once the trouble is over.
const STEADY: Duration = Duration::from_secs(60);

fn site(url: &str) -> Site {
    let mut yaml = "version: 1\nowner: tests\ndefaults: {schedule: {every: 1s}, result_by: 4s, timeout: 1s}\nchecks:\n".to_owned();
    for (source, name) in [("far", "far"), ("near", "near")] {
        for number in 0..EACH {
            let _ = write!(
                yaml,
                "  - id: {name}-{number}\n    why: because\n    source: {source}\n    sql: select count(*) as n from t\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
            );
        }
    }
    let settings = format!(
        "sources:\n  far: {{url: \"{url}\", password: \"${{file:watch}}\"}}\n  near: {{url: \"sqlite:near.db\", instants: sql}}\n"
    );
    Site::new(&settings, &yaml)
}

struct Weather<'d> {
    daemon: &'d Watchman,
    runtime: &'d tokio::runtime::Runtime,
}

impl Weather<'_> {
    fn breaker(&self) -> String {
        let status = self.daemon.json("/api/v1/status");
        status["sources"]["far"]["breaker"].as_str().unwrap().to_owned()
    }

    /// Waits until the far source's attempts end with one of these causes, as the last rows say.
    fn meets(&self, what: &str, causes: &[&str]) {
        self.daemon.until(Duration::from_secs(40), |daemon| {
            let rows = daemon.json("/api/v1/checks/far-1/windows?limit=3");
            let rows = rows["windows"].as_array().unwrap();
            let of = |row: &Value| row["cause"].as_str().map(str::to_owned);
            let met = rows.iter().filter_map(of).any(|cause| causes.contains(&cause.as_str()));
            if met {
                Ok(())
            } else {
                Err((what.to_owned(), rows.iter().map(of).collect::<Vec<_>>()))
            }
        });
    }

    /// Nothing of the far source is called confirmed, everything near is.
    fn tells_the_truth(&self, what: &str) {
        self.daemon.until(Duration::from_secs(40), |daemon| {
            let all = daemon.json("/api/v1/checks?limit=100");
            let state = |near: bool| -> Vec<String> {
                let all = all["checks"].as_array().unwrap().iter();
                let fits = all.filter(|s| s["check"].as_str().unwrap().starts_with("near") == near);
                fits.map(|s| s["state"].as_str().unwrap().to_owned()).collect()
            };
            let near = state(true).iter().all(|s| s == "confirmed");
            let far = state(false).iter().all(|s| s == "unconfirmed");
            if near && far { Ok(()) } else { Err((what.to_owned(), state(true), state(false))) }
        });
    }

    fn opens(&self, what: &str) {
        self.daemon.until(Duration::from_secs(40), |_| match self.breaker().as_str() {
            "open" => Ok(()),
            other => Err(format!("{what}: {other}")),
        });
    }

    /// It is over.
    fn clears(&self, what: &str) {
        let started = Instant::now();
        self.daemon.until(STEADY, |_| match self.breaker().as_str() {
            "closed" => Ok(()),
            other => Err(format!("{what}: {other}")),
        });
        self.daemon.until_confirmed(2 * EACH, STEADY.saturating_sub(started.elapsed()));
        println!("{what}: steady after {:?}", started.elapsed());
    }

    fn order(&self, port: u16, sql: &str) {
        self.runtime.block_on(async {
            let mut admin = Other::Postgres(pg_admin(port, "postgres").await);
            admin.run(sql).await.unwrap();
            let end =
                "select pg_terminate_backend(pid) from pg_stat_activity where usename like 't%'";
            admin.run(end).await.unwrap();
            admin.close().await;
        });
    }
}

/// Stands at a port, lets everybody in and out again, and counts them.
fn count_callers(port: u16, seconds: u64) -> u32 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (calls, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, done) = (Arc::clone(&calls), Arc::clone(&over));
    let counter = std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    });
    std::thread::sleep(Duration::from_secs(seconds));
    over.store(true, Ordering::Relaxed);
    counter.join().unwrap();
    calls.load(Ordering::Relaxed)
}

#[test]
fn verdicts_and_breaker_tell_the_truth_in_all_weathers_and_nobody_else_waits() {
    let mut server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(&server));
    let site = site(&database.url());
    let name = database.url().rsplit('/').next().unwrap().to_owned();
    runtime.block_on(async {
        let table = "create table t (n integer); insert into t values (1)";
        database.owner().await.run(table).await.unwrap();
        fs::write(site.path().join("near.db"), "").unwrap();
        Other::sqlite(&site.path().join("near.db")).await.run(table).await.unwrap();
    });
    let daemon = site.start();
    let weather = Weather { daemon: &daemon, runtime: &runtime };
    weather.clears("fine weather");

    server.kill();
    weather.opens("dead");
    // Five to open it, two that were under way, and then probes that get rarer.
    let calls = count_callers(server.port, 12);
    assert!(calls <= 12, "{calls} connections in 12 s to a source that is down");
    weather.tells_the_truth("dead");
    weather.meets("dead", &["connect", "breaker_open"]);
    server.restart();
    weather.clears("dead");

    server.signal("STOP");
    weather.opens("frozen");
    weather.tells_the_truth("frozen");
    weather.meets("frozen", &["timeout", "breaker_open", "connect"]);
    server.signal("CONT");
    weather.clears("frozen");

    // Slow for one table: the source itself is well, and its breaker stays closed.
    let mut owner = runtime.block_on(database.owner());
    runtime.block_on(owner.run("begin; lock table t in access exclusive mode")).unwrap();
    weather.tells_the_truth("locked");
    weather.meets("locked", &["busy", "timeout"]);
    runtime.block_on(owner.run("rollback")).unwrap();
    runtime.block_on(owner.close());
    weather.clears("locked");

    weather.order(server.port, &format!("alter role {name} nologin"));
    weather.opens("refusing");
    weather.tells_the_truth("refusing");
    weather.meets("refusing", &["auth", "breaker_open"]);
    weather.order(server.port, &format!("alter role {name} login"));
    weather.clears("refusing");

    weather.order(server.port, &format!("alter role {name} connection limit 0"));
    weather.tells_the_truth("out of connections");
    weather.meets("out of connections", &["busy", "connect", "breaker_open"]);
    weather.order(server.port, &format!("alter role {name} connection limit -1"));
    weather.clears("out of connections");

    for _ in 0..4 {
        server.kill();
        std::thread::sleep(Duration::from_millis(700));
        server.restart();
    }
    weather.clears("flapping");

    opened_and_closed(&daemon);
    assert!(daemon.stop().success());
    near_is_in_time(&runtime, &site);
}

fn opened_and_closed(daemon: &Watchman) {
    let events = daemon.json("/api/v1/events?limit=1000");
    let opened = events["events"].as_array().unwrap().iter();
    let opened = opened.filter(|e| e["kind"] == "breaker" && e["becomes"] == "open").count();
    assert!(opened >= 3, "the breaker opened {opened} times");
}

fn near_is_in_time(runtime: &tokio::runtime::Runtime, site: &Site) {
    let lags = runtime.block_on(async {
        let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
        ledger
            .texts(
                "select a.began_at - e.due from attempts a join entries e on a.series = e.series \
                 and a.kind = e.kind and a.start_at = e.start_at and a.end_at = e.end_at \
                 join series s on s.id = e.series where s.check_id like 'near%' and a.epoch = 1",
            )
            .await
    });
    let mut lags: Vec<i64> = lags.iter().map(|lag| lag.parse().unwrap()).collect();
    lags.sort_unstable();
    let p99 = lags[lags.len() * 99 / 100];
    assert!(lags.len() > 300 && p99 < 1_000_000, "p99 of {} is {p99} us", lags.len());
    println!("near: p99 of {} lags is {p99} us", lags.len());
}
