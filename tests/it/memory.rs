//! Whatever a server puts into one answer: the daemon stays small, and is done when it says so.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::lab::{Database, maria_admin};
use crate::servers::{MariaDb, Postgres};
use crate::watchman::{Site, Watchman};

const LIMIT_MIB: u64 = 300;

/// Name, source, SQL, and how what is said of it begins.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("notice", "pg", "select f_notice() as n", "confirmed"),
    ("detail", "pg", "select f_detail() as n", "busy"),
    ("message", "pg", "select cast(repeat('x', 400000000) as integer) as n", "busy"),
    ("value-pg", "pg", "select repeat('x', 400000000) as n", "over_limit"),
    ("beside-pg", "pg", "select 1 as n, repeat('x', 400000000) as m", "confirmed"),
    ("value-maria", "maria", "select repeat('x', 600000000) as n", "busy"),
    ("beside-maria", "maria", "select 1 as n, repeat('x', 600000000) as m", "busy"),
];

fn checks() -> String {
    let head =
        "version: 1\nowner: tests\ndefaults: {schedule: {every: 6s}, timeout: 6s}\nchecks:\n";
    CASES.iter().fold(head.to_owned(), |yaml, (name, source, sql, _)| {
        yaml + &format!(
            "  - id: {name}\n    why: because\n    source: {source}\n    sql: {sql}\n    \
             expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    })
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
         $$ begin raise exception 'no' using detail = repeat('x', 400000000); end $$",
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
    let site = Site::new(&settings, &checks());
    fs::write(site.path().join("secret"), "watch").unwrap();
    let daemon = site.start();
    // One that ran beside a huge one may be given up with it, and is looked at again.
    let mut seen = BTreeSet::new();
    daemon.until(Duration::from_secs(120), |daemon| {
        for (name, _, _, wanted) in CASES {
            let last = daemon
                .series(name)
                .first()
                .map(|series| series["last"].clone())
                .unwrap_or_default();
            let said = [&last["cause"], &last["verdict"]].map(|word| word.as_str().unwrap_or(""));
            if said.contains(wanted) {
                seen.insert(*name);
            }
        }
        if seen.len() == CASES.len() { Ok(()) } else { Err((seen.clone(), cost(daemon))) }
    });
    let (peak, _) = cost(&daemon);
    println!("peak {peak} MiB");
    assert!(peak < LIMIT_MIB, "{peak} MiB\n{}", daemon.log());
    // Ten seconds after the last verdict nothing computes any more.
    let (asked, mut before) = (Instant::now(), cost(&daemon).1);
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = cost(&daemon).1;
        if now - before < 0.2 {
            break;
        }
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{} s of computing in a second",
            now - before
        );
        before = now;
    }
    assert!(daemon.stop().success());
}
