//! Load: ten thousand checks a minute against a PostgreSQL on the same cores; a hundred thousand
//! series that are hardly ever due.
//!
//! A minute of it runs with the other tests, in a debug build; `tests/load` runs ten minutes of a
//! release build, and the curve.

mod tables;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::{Database, Other};
use crate::servers::Postgres;
use crate::visitor::open;
use crate::watchman::{SECOND, Site, Watchman};

/// How much is asked.
struct Load {
    checks: usize,
    every: &'static str,
    minutes: u32,
    /// How many readers reload two pages each second.
    readers: usize,
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
    /// The same of the first page.
    page_ms: u128,
    page_kib: usize,
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
    read_for(&daemon, load.readers, Duration::from_secs(u64::from(load.minutes) * 60 + 2));
    let to = allswell::clock::now().timestamp_micros() - 2 * SECOND;
    let cpu_spent = cpu_secs(&daemon) - cpu_before;
    let cpu = cpu_spent / began.elapsed().as_secs_f64() * 100.0;
    let kib = (written(&daemon) - written_before) / 1024;
    let rss_mib = memory_mib(&daemon);
    let (scrape_ms, scrape_kib) = middle(|| daemon.get("/metrics").1);
    let (page_ms, page_kib) = middle(|| open(&daemon, "/").body);
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
        page_ms,
        page_kib,
    }
}

/// How many milliseconds the middle one of five answers takes, and how many kibibytes it has.
fn middle(ask: impl Fn() -> String) -> (u128, usize) {
    let mut all = [0; 5].map(|_: u32| {
        let started = Instant::now();
        let page = ask();
        (started.elapsed().as_millis(), page.len() / 1024)
    });
    all.sort_unstable();
    all[2]
}

/// Lets so many readers reload the first page and a check, each once a second.
fn read_for(daemon: &Watchman, readers: usize, lasts: Duration) {
    let until = Instant::now() + lasts;
    std::thread::scope(|scope| {
        for reader in 0..readers {
            scope.spawn(move || {
                while Instant::now() < until {
                    let path = if reader % 2 == 0 { "/" } else { "/checks/check-7" };
                    let answer = open(daemon, path);
                    // Where too many ask the ledger at once, that is said.
                    assert!([200, 503].contains(&answer.status), "{path}: {answer:?}");
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
        }
        std::thread::sleep(lasts);
    });
}

fn show(load: &Load, measured: &Measured) {
    let Measured { attempts, lag_p50_ms, lag_p99_ms, lag_max_ms, missed, .. } = measured;
    let Measured { rss_mib, cpu_percent, scrape_ms, scrape_kib, cpu_us, written_kib, .. } =
        measured;
    let Measured { page_ms, page_kib, .. } = measured;
    println!(
        "{} checks every {}, {} min: {attempts} attempts, lag p50 {lag_p50_ms} ms, p99 {lag_p99_ms} ms, \
         max {lag_max_ms} ms, {missed} not confirmed, at most {rss_mib} MiB, {cpu_percent:.1} % of a core \
         ({cpu_us:.0} µs an attempt), {written_kib:.1} KiB written an attempt, \
         a scrape of {scrape_kib} KiB in {scrape_ms} ms, the first page of {page_kib} KiB in {page_ms} ms, \
         {} readers",
        load.checks, load.every, load.minutes, load.readers
    );
}

#[test]
fn many_checks_a_minute_are_looked_at_in_time() {
    let whole = std::env::var("ALLSWELL_LOAD").is_ok();
    let (checks, minutes) = (10_000, if whole { 10 } else { 1 });
    let load = Load { checks, every: "1m", minutes, readers: 0 };
    let measured = measure(&load);
    show(&load, &measured);
    let expected = load.checks * usize::try_from(load.minutes).unwrap();
    assert!(measured.attempts >= expected * 9 / 10, "{} attempts", measured.attempts);
    assert_eq!(measured.missed, 0);
    assert!(measured.lag_p99_ms < 1_000, "p99 is {} ms", measured.lag_p99_ms);
    assert!(measured.rss_mib < 256, "{} MiB", measured.rss_mib);
    assert!(measured.scrape_ms < 500, "a scrape takes {} ms", measured.scrape_ms);
    assert!(measured.page_ms < 50, "the first page takes {} ms", measured.page_ms);
    assert!(measured.page_kib < 60, "the first page has {} KiB", measured.page_kib);
    if whole {
        for checks in [1_000, 10_000, 100_000] {
            let load = Load { checks, every: "1d", minutes: 1, readers: 0 };
            show(&load, &measure(&load));
        }
        let read = Load { checks: 10_000, every: "1m", minutes: 2, readers: 50 };
        let measured = measure(&read);
        show(&read, &measured);
        assert!(measured.lag_p99_ms < 1_000, "p99 is {} ms", measured.lag_p99_ms);
    }
}

/// A month of days in four hundred zones: 12,400 windows, some of them wrong.
#[test]
fn a_month_of_four_hundred_zones_is_drawn_in_time() {
    const MONTH: &str = "insert into entries (series, kind, start_at, end_at, period_start, utc_offset, due, \
        deadline_nominal, deadline, state, epoch, vain, said, recorded_at, tried_at, evidence, ruling, source, \
        priority, generation, tz_release, attempts, live, asked) \
        with recursive days(day) as (select 0 union all select day + 1 from days where day < 30) \
        select id, 'window', at, at + 86400000000, at, (id % 27 - 12) * 3600, at, at, at, 'recorded', 1, 0, \
        case when day = 9 and id % 27 < 5 then 'violated' else 'confirmed' end, at, at, 7, 'standing', 'db', 1, 1, \
        '', 1, case when day = 9 and id % 27 < 5 then 1 else 0 end, 0 from (select s.id as id, day, \
        (strftime('%s', '2025-03-01') + day * 86400 - (s.id % 27 - 12) * 3600) * 1000000 as at \
        from series s cross join days where s.role <> 'list')";
    let zones: Vec<String> = chrono_tz::TZ_VARIANTS
        .iter()
        .filter(|zone| zone.name().contains('/') && !zone.name().starts_with("Etc"))
        .map(|zone| zone.name().to_owned())
        .take(400)
        .collect();
    let checks = format!(
        "version: 1\nowner: load\nchecks:\n  - id: days\n    why: because\n    source: db\n    \
         window: {{period: day, zones: [{}], settle: 1h}}\n    catch_up: {{policy: none}}\n    \
         sql: select count(*) as n from data where at >= :window_start and at < :window_end and zone = :zone\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n",
        zones.join(", ")
    );
    let site = Site::new("sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n", &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let data = "create table data (at text, zone text)";
    let made = async { Other::sqlite(&site.path().join("data.db")).await.run(data).await };
    runtime.block_on(made).unwrap();
    let daemon = site.start();
    daemon.until(Duration::from_secs(60), |daemon| {
        let series = daemon.json("/api/v1/status")["summary"]["series"].clone();
        if series == zones.len() { Ok(()) } else { Err(series) }
    });
    assert!(daemon.stop().success());
    let ledger = site.path().join("allswell.db");
    runtime.block_on(async { Other::sqlite(&ledger).await.run(MONTH).await }).unwrap();
    let daemon = site.start();
    let mut page = String::new();
    let (took_ms, kib) = middle(|| open(&daemon, "/checks/days?month=2025-03").body);
    page.push_str(&open(&daemon, "/checks/days?month=2025-03").body);
    println!("a month of {} zones: {took_ms} ms, {kib} KiB", zones.len());
    assert_eq!(page.matches("<td class=\"violated\">").count(), 5, "five offsets on one day");
    assert!(page.matches("<td class=\"confirmed\">").count() > 700, "{kib} KiB");
    assert!(took_ms < 100, "{took_ms} ms");
    assert!(daemon.stop().success());
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
    let load = Load { checks: 1_000, every: "1h", minutes: 0, readers: 0 };
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
