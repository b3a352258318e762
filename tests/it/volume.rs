//! Load: ten thousand checks a minute against a PostgreSQL on the same cores; a hundred thousand
//! series that are hardly ever due.
//!
//! A minute of it runs with the other tests, in a debug build; `tests/load` runs ten minutes of a
//! release build, and the curve.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::{Database, Other};
use crate::servers::Postgres;
use crate::watchman::{SECOND, Site, Watchman};

/// How much is asked.
struct Load {
    checks: usize,
    every: &'static str,
    minutes: u32,
}

/// What was measured.
struct Measured {
    attempts: usize,
    lag_p50_ms: i64,
    lag_p99_ms: i64,
    lag_max_ms: i64,
    missed: usize,
    rss_mib: u64,
    cpu_percent: f64,
    /// What an attempt costs in all: microseconds of computing, kibibytes written to the disk.
    cpu_us: f64,
    written_kib: f64,
    /// How long the middle one of five scrapes took, and how large it was.
    scrape_ms: u128,
    scrape_kib: usize,
}

fn memory_mib(daemon: &Watchman) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Seconds of computing so far, of all threads.
fn cpu_secs(daemon: &Watchman) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// Bytes that went to the disk so far: proc(5).
fn written(daemon: &Watchman) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", daemon.process.id())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

fn head(load: &Load) -> String {
    format!(
        "version: 1\nowner: load\ndefaults: {{source: db, schedule: {{every: {}}}}}\nchecks:\n",
        load.every
    )
}

/// The checks, in files of a thousand: a file is a mebibyte at most.
fn files(load: &Load) -> Vec<String> {
    (0..load.checks.div_ceil(1_000))
        .map(|file| {
            let numbers = file * 1_000..load.checks.min((file + 1) * 1_000);
            numbers.fold(head(load), |mut yaml, number| {
                let _ = write!(
                    yaml,
                    "  - id: check-{number}\n    why: Orders are worth something.\n    sql: |\n      \
                     select min(total) as least, count(*) as n from orders where id > {}\n    \
                     expect: {{values: {{least: {{min: 0}}, n: {{min: 1}}}}}}\n",
                    number % 400
                );
                yaml
            })
        })
        .collect()
}

/// How late first attempts began at what was due in between, in microseconds; and how much was not confirmed.
async fn recorded(ledger: &Path, from: i64, to: i64) -> (Vec<String>, usize) {
    let mut ledger = Other::sqlite(ledger).await;
    let lags = ledger
        .texts(&format!(
            "select cast(a.began_at - e.due as text) from entries e join attempts a on \
                 a.series = e.series and a.kind = e.kind and a.start_at = e.start_at and \
                 a.end_at = e.end_at and a.epoch = 1 where e.due between {from} and {to}"
        ))
        .await;
    let missed = ledger
        .texts(&format!(
            "select cast(count(*) as text) from entries where due between {from} and {to} \
                 and coalesce(said, '') <> 'confirmed'"
        ))
        .await;
    (lags, missed[0].parse().unwrap())
}

fn measure(load: &Load) -> Measured {
    let server = Postgres::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(&server));
    runtime.block_on(async {
        let table = "create table orders (id integer primary key, total numeric(12, 2)); \
                     insert into orders select n, n / 7.0 from generate_series(1, 500) as n";
        database.owner().await.run(table).await.unwrap();
    });
    let files = files(load);
    let settings = format!(
        "sources: {{db: {{url: \"{}\", password: \"${{file:watch}}\", connections: 8}}}}\n",
        database.url()
    );
    let site = Site::new(&settings, &files[0]);
    for (number, file) in files.iter().enumerate().skip(1) {
        site.checks(&format!("checks-{number}.yaml"), file);
    }
    let daemon = site.start();
    // Each new series looks at once: that is another load, and over before this one is measured.
    daemon.until(Duration::from_secs(900), |daemon| {
        let summary = daemon.json("/api/v1/status")["summary"].clone();
        let new =
            summary["series"].as_u64().unwrap_or(0) - summary["confirmed"].as_u64().unwrap_or(0);
        if new == 0 && summary["series"] == load.checks { Ok(()) } else { Err(summary) }
    });
    let (began, cpu_before, written_before) = (Instant::now(), cpu_secs(&daemon), written(&daemon));
    let from = allswell::clock::now().timestamp_micros() + 2 * SECOND;
    std::thread::sleep(Duration::from_secs(u64::from(load.minutes) * 60 + 2));
    let to = allswell::clock::now().timestamp_micros() - 2 * SECOND;
    let cpu_spent = cpu_secs(&daemon) - cpu_before;
    let cpu = cpu_spent / began.elapsed().as_secs_f64() * 100.0;
    let kib = (written(&daemon) - written_before) / 1024;
    let rss_mib = memory_mib(&daemon);
    let mut scrapes = [0; 5].map(|_: u32| {
        let started = Instant::now();
        let (_, page) = daemon.get("/metrics");
        (started.elapsed().as_millis(), page.len() / 1024)
    });
    scrapes.sort_unstable();
    let (scrape_ms, scrape_kib) = scrapes[2];
    assert!(daemon.stop().success());
    let ledger = site.path().join("allswell.db");
    let (lags, missed) = runtime.block_on(recorded(&ledger, from, to));
    let mut lags: Vec<i64> = lags.iter().map(|lag| lag.parse::<i64>().unwrap() / 1_000).collect();
    lags.sort_unstable();
    let count = f64::from(u32::try_from(lags.len().max(1)).unwrap());
    let at = |part: usize| lags.get(lags.len() * part / 1_000).copied().unwrap_or(0);
    Measured {
        attempts: lags.len(),
        lag_p50_ms: at(500),
        lag_p99_ms: at(990),
        lag_max_ms: lags.last().copied().unwrap_or(0),
        missed,
        rss_mib,
        cpu_percent: cpu,
        cpu_us: cpu_spent * 1e6 / count,
        written_kib: f64::from(u32::try_from(kib).unwrap()) / count,
        scrape_ms,
        scrape_kib,
    }
}

fn show(load: &Load, measured: &Measured) {
    let Measured { attempts, lag_p50_ms, lag_p99_ms, lag_max_ms, missed, .. } = measured;
    let Measured { rss_mib, cpu_percent, scrape_ms, scrape_kib, cpu_us, written_kib, .. } =
        measured;
    println!(
        "{} checks every {}, {} min: {attempts} attempts, lag p50 {lag_p50_ms} ms, p99 {lag_p99_ms} ms, \
         max {lag_max_ms} ms, {missed} not confirmed, at most {rss_mib} MiB, {cpu_percent:.1} % of a core \
         ({cpu_us:.0} µs an attempt), {written_kib:.1} KiB written an attempt, \
         a scrape of {scrape_kib} KiB in {scrape_ms} ms",
        load.checks, load.every, load.minutes
    );
}

#[test]
fn many_checks_a_minute_are_looked_at_in_time() {
    let whole = std::env::var("ALLSWELL_LOAD").is_ok();
    let (checks, minutes) = (10_000, if whole { 10 } else { 1 });
    let load = Load { checks, every: "1m", minutes };
    let measured = measure(&load);
    show(&load, &measured);
    let expected = load.checks * usize::try_from(load.minutes).unwrap();
    assert!(measured.attempts >= expected * 9 / 10, "{} attempts", measured.attempts);
    assert_eq!(measured.missed, 0);
    assert!(measured.lag_p99_ms < 1_000, "p99 is {} ms", measured.lag_p99_ms);
    assert!(measured.rss_mib < 256, "{} MiB", measured.rss_mib);
    assert!(measured.scrape_ms < 500, "a scrape takes {} ms", measured.scrape_ms);
    if whole {
        for checks in [1_000, 10_000, 100_000] {
            let load = Load { checks, every: "1d", minutes: 1 };
            show(&load, &measure(&load));
        }
    }
}

#[test]
fn a_thousand_alerts_are_taken_within_a_second_of_their_record() {
    let sink = Receiver::start();
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let receiver = Receiver::in_front_of(&alertmanager.url(), &[]);
    let settings = format!(
        "sources: {{db: {{url: \"sqlite:data.db\", instants: sql, connections: 8}}}}\n\
         alertmanagers: [{{url: \"http://127.0.0.1:{}\"}}]\n",
        receiver.port
    );
    let load = Load { checks: 1_000, every: "1h", minutes: 0 };
    let checks = files(&load)[0].replace(
        "select min(total) as least, count(*) as n from orders where id >",
        "select -1 as least, 1 as n where 0 <=",
    );
    let site = Site::new(&settings, &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    let daemon = site.start();
    daemon.until(Duration::from_secs(60), |_| {
        let known = receiver.delays().len();
        if known == load.checks { Ok(()) } else { Err(known) }
    });
    let mut delays: Vec<i64> = receiver.delays().into_values().collect();
    delays.sort_unstable();
    let (p50, p99) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!("{} alerts taken after their record: p50 {p50} ms, p99 {p99} ms", delays.len());
    assert!(p99 < 1_000, "p99 is {p99} ms");
    assert_eq!(alertmanager.standing().len(), load.checks);
    assert!(daemon.stop().success());
}
