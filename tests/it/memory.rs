//! Whatever a server puts into one answer: the daemon stays small, and is done when it says so.

use std::fs;
use std::time::{Duration, Instant};

use crate::lab::{Database, maria_admin};
use crate::servers::{MariaDb, Postgres};
use crate::watchman::{Site, Watchman};

const LIMIT_MIB: u64 = 300;

/// Source, SQL, and how the verdict or the cause may be called: a server that is slow to make so much runs into the limit.
const CASES: &[(&str, &str, &[&str])] = &[
    ("pg", "select f_notice() as n", &["confirmed", "timeout"]),
    ("pg", "select f_detail() as n", &["busy", "query_error", "timeout"]),
    (
        "pg",
        "select cast(repeat('x', 100000000) as integer) as n",
        &["busy", "query_error", "timeout"],
    ),
    ("pg", "select repeat('x', 400000000) as n", &["busy", "over_limit", "timeout"]),
    ("pg", "select 1 + 0 as n, repeat('x', 400000000) as m", &["confirmed", "timeout"]),
    ("maria", "select repeat('x', 1000000000) as n", &["busy", "timeout"]),
    ("maria", "select 1 + 0 as n, repeat('x', 1000000000) as m", &["busy", "timeout"]),
];

fn checks(source: &str, sql: &str) -> String {
    format!(
        "version: 1\nowner: tests\ndefaults: {{schedule: {{every: 5s}}, timeout: 5s}}\nchecks:\n  \
         - id: huge\n    why: because\n    source: {source}\n    sql: {sql}\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n"
    )
}

/// Megabytes at the most, and seconds of computing so far.
fn cost(daemon: &Watchman) -> (u64, f64) {
    let of =
        |what: &str| fs::read_to_string(format!("/proc/{}/{what}", daemon.process.id())).unwrap();
    let status = of("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024;
    let stat = of("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    (peak, ticks / 100.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_takes_more_memory_than_the_daemon_may_have_and_nothing_computes_on() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    let pg = Database::postgres(&postgres).await;
    pg.prepare(
        "create function f_notice() returns integer language plpgsql as \
         $$ begin raise notice '%', repeat('x', 400000000); return 1; end $$; \
         create function f_detail() returns integer language plpgsql as \
         $$ begin raise exception 'no' using detail = repeat('x', 100000000); end $$",
    )
    .await;
    let mut admin = maria_admin(mariadb.port).await;
    sqlx::raw_sql("set global max_allowed_packet = 1073741824").execute(&mut admin).await.unwrap();
    let maria = Database::mariadb(&mariadb).await;
    let settings = format!(
        "sources:\n  pg: {{url: \"{}\", password: \"${{file:secret}}\", connections: 1}}\n  \
         maria: {{url: \"{}\", password: \"${{file:secret}}\", connections: 1}}\n",
        pg.url(),
        maria.url()
    );
    for (source, sql, allowed) in CASES {
        let site = Site::new(&settings, &checks(source, sql));
        fs::write(site.path().join("secret"), "watch").unwrap();
        let daemon = site.start();
        let mut said = None;
        daemon.until(Duration::from_secs(60), |daemon| {
            let last = daemon.series("huge").first().map(|series| series["last"].clone());
            let last = last.unwrap_or_default();
            let word = |key: &str| last[key].as_str().filter(|word| !word.is_empty());
            said = word("cause").or(word("verdict")).map(str::to_owned);
            said.as_ref().map(|_| ()).ok_or(())
        });
        let said = said.unwrap();
        let peak = cost(&daemon).0;
        println!("{said} at {peak} MiB: {sql}");
        assert!(allowed.contains(&said.as_str()), "{said}: {sql}\n{}", daemon.log());
        assert!(peak < LIMIT_MIB, "{peak} MiB: {sql}\n{}", daemon.log());
        ends_to_compute(&daemon);
        assert!(daemon.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_huge_answers_at_once_take_no_more_memory_than_one() {
    let mariadb = MariaDb::start();
    let mut admin = maria_admin(mariadb.port).await;
    sqlx::raw_sql("set global max_allowed_packet = 1073741824").execute(&mut admin).await.unwrap();
    let maria = Database::mariadb(&mariadb).await;
    let settings = format!(
        "sources:\n  maria: {{url: \"{}\", password: \"${{file:secret}}\", connections: 16}}\n",
        maria.url()
    );
    let mut checks =
        "version: 1\nowner: tests\ndefaults: {schedule: {every: 5s}, timeout: 5s}\nchecks:\n"
            .to_owned();
    for n in 0..16 {
        checks.push_str(&format!(
            "  - {{id: huge-{n:02}, why: because, source: maria, sql: \"select repeat('x', 100000000) as n\", \
             expect: {{values: {{n: {{min: 1}}}}}}}}\n"
        ));
    }
    let site = Site::new(&settings, &checks);
    fs::write(site.path().join("secret"), "watch").unwrap();
    let daemon = site.start();
    daemon.until(Duration::from_secs(60), |daemon| {
        let is_ended = |n: usize| {
            let series = daemon.series(&format!("huge-{n:02}"));
            series.first().is_some_and(|series| series["last"]["cause"] == "busy")
        };
        if (0..16).any(is_ended) { Ok(()) } else { Err(()) }
    });
    let peak = cost(&daemon).0;
    println!("{peak} MiB");
    assert!(peak < LIMIT_MIB, "{peak} MiB\n{}", daemon.log());
    ends_to_compute(&daemon);
    assert!(daemon.stop().success());
}

/// Ten seconds after the last verdict nothing computes any more.
fn ends_to_compute(daemon: &Watchman) {
    let (asked, mut before) = (Instant::now(), cost(daemon).1);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = cost(daemon).1;
        if now - before < 0.1 {
            return;
        }
        let spent = now - before;
        assert!(asked.elapsed() < Duration::from_secs(10), "{spent} s of computing in 500 ms");
        before = now;
    }
}
