//! What time costs: one next slot, the memory of a schedule, and `allswell next` for 10,000 checks.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

#[path = "../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod servers;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use allswell::domain::time::crontab::Crontab;
use allswell::domain::time::period::Period;
use allswell::domain::time::timetable::{Fold, Gap, Happening, Timetable};
use allswell::domain::time::window::{Frame, Split};
use allswell::domain::time::zone::ZoneName;
use allswell::zones::Zones;
use chrono::{DateTime, TimeDelta, Utc};

use servers::Folder;

const CHECKS: usize = 10_000;
const FILES: usize = 100;
const SCHEDULES: usize = 100_000;

/// Runs something often from instants all over a year, and returns microseconds per run: the least
/// of several batches.
fn micros(mut run: impl FnMut(DateTime<Utc>)) -> f64 {
    const RUNS: i32 = 2_000;
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let batch = || {
        let started = Instant::now();
        for i in 0..RUNS {
            run(start + TimeDelta::seconds(i64::from(i) * 15_791));
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS)
    };
    std::iter::repeat_with(batch).take(15).fold(f64::INFINITY, f64::min)
}

/// Memory of this process in bytes, by the kernel's count of pages.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn slots(zones: &Zones) {
    let rules = zones.rules(&ZoneName::parse("America/New_York").unwrap()).unwrap();
    println!("one next slot in America/New_York, release");
    for (what, text) in [
        ("every 15 minutes", "*/15 * * * *"),
        ("daily", "30 2 * * *"),
        ("monthly", "30 2 1 * *"),
        ("29 February", "0 0 29 2 *"),
    ] {
        let line = Crontab::parse(text).unwrap();
        let table =
            Timetable { line: &line, rules: &rules, gap: Gap::NextValid, fold: Fold::First };
        let cost = micros(|at| {
            black_box(table.after(at).find(Happening::is_slot));
        });
        println!("  {what:<18} {cost:>8.2} us");
    }
    let day = Frame::Calendar(Period::DAY);
    let cost = micros(|at| {
        black_box(day.span_at(&rules, at).windows(&rules, Split::UtcOffset));
    });
    println!("  {:<18} {cost:>8.2} us", "stretches of a day");
}

fn memory() {
    let lines = ["30 2 * * *", "*/15 * * * *", "0 6 * * MON-FRI", "15,45 0-12/2 1,15 * *"];
    let before = resident();
    let all: Vec<Crontab> =
        (0..SCHEDULES).map(|i| Crontab::parse(lines[i % lines.len()]).unwrap()).collect();
    let after = resident();
    println!("memory of a schedule: {} bytes", (after - before) / black_box(&all).len());
}

fn next() {
    let folder = Folder::new("calendar");
    let settings = "sources:\n  db: {url: \"sqlite:data.db\", instants: sql}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    let zones = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Chatham"];
    for file in 0..FILES {
        let mut text = String::from("version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n");
        for check in 0..CHECKS / FILES {
            let zone = zones[check % zones.len()];
            let _ = write!(
                text,
                "  - id: c-{file}-{check}\n    why: w\n    window: {{period: day, zone: {zone}}}\n    sql: \
                 select count(*) as n from t where day = :window_date\n    expect: {{values: {{n: {{min: \
                 1}}}}}}\n"
            );
        }
        fs::write(folder.path().join(format!("checks/{file}.yaml")), text).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allswell"));
        command.current_dir(folder.path()).args(args).stdin(Stdio::null());
        let started = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        (started.elapsed().as_secs_f64(), text.lines().last().unwrap().to_owned())
    };
    let (load, _) = run(&["validate"]);
    let (whole, last) = run(&["next", "--from", "2026-10-20", "--to", "2026-11-19"]);
    println!(
        "`allswell next`, {CHECKS} daily checks over 30 days: {whole:.2} s, of which {load:.2} s to load"
    );
    println!("  {last}");
}

fn main() {
    slots(&Zones::bundled());
    memory();
    next();
}
