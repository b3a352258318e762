//! `allswell run` beside `pgbench`: the same statement, the same connections, in one run.
//!
//! Prints checks per second and client CPU per check as ratios, and how long 10,000 checks from 100
//! files take to load. Both clients are whole processes; their CPU is what the kernel says of
//! finished children, so start-up and parsing are in it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

#[path = "../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod servers;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use servers::{Folder, Postgres};

const CHECKS: usize = 1_000;
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 9;

/// What one process cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall_secs: f64,
    cpu_secs: f64,
}

/// CPU of finished children, in seconds: fields 16 and 17 of `/proc/self/stat`, in 1/100 s.
fn children_cpu_secs() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}

fn cost(mut command: Command) -> Cost {
    let (before, started) = (children_cpu_secs(), Instant::now());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let cost =
        Cost { wall_secs: started.elapsed().as_secs_f64(), cpu_secs: children_cpu_secs() - before };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    cost
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn project(folder: &Path, port: u16, files: usize, checks_per_file: usize) {
    let settings = format!(
        "sources:\n  db: {{url: \"postgres://watch@127.0.0.1:{port}/postgres\", \
         password: \"${{file:password}}\", connections: {CONNECTIONS}}}\n"
    );
    fs::write(folder.join("allswell.yaml"), settings).unwrap();
    fs::write(folder.join("password"), "watch").unwrap();
    fs::create_dir(folder.join("checks")).unwrap();
    for file in 0..files {
        let mut text = String::from("version: 1\nowner: bench\ndefaults: {source: db}\nchecks:\n");
        for check in 0..checks_per_file {
            write!(
                text,
                "  - id: c-{file}-{check}\n    why: A trivial check.\n    sql: |\n      select 1 + 0 as n\n    \
                 expect:\n      values:\n        n: {{equals: 1}}\n"
            )
            .unwrap();
        }
        fs::write(folder.join(format!("checks/{file}.yaml")), text).unwrap();
    }
}

fn allswell(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allswell"));
    command.current_dir(folder).args([verb, "--output", "json"]);
    command
}

fn pgbench(folder: &Path, port: u16) -> Command {
    let mut command =
        Command::new(servers::program("pgbench", &[servers::postgres_folder().to_str().unwrap()]));
    let per_client = (CHECKS / CONNECTIONS).to_string();
    command
        .args([
            "-n",
            "-M",
            "extended",
            "-c",
            &CONNECTIONS.to_string(),
            "-j",
            "2",
            "-t",
            &per_client,
        ])
        .args(["-f", folder.join("statement.sql").to_str().unwrap()])
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "watch", "postgres"])
        .env("PGPASSWORD", "watch");
    command
}

fn main() {
    let server = Postgres::start();
    let admin =
        Command::new(servers::program("psql", &[servers::postgres_folder().to_str().unwrap()]))
            .args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "postgres", "postgres"])
            .args(["-qc", "create role watch login password 'watch'"])
            .status();
    assert!(admin.unwrap().success());
    let small = Folder::new("bench");
    project(small.path(), server.port, 10, CHECKS / 10);
    fs::write(small.path().join("statement.sql"), "select 1 + 0 as n;\n").unwrap();
    let double = Folder::new("bench-double");
    project(double.path(), server.port, 20, CHECKS / 10);
    let large = Folder::new("bench-load");
    project(large.path(), server.port, 100, 100);

    let (mut ours, mut theirs, mut loads, mut parses) = (vec![], vec![], vec![], vec![]);
    let mut doubles = vec![];
    for _ in 0..ROUNDS {
        ours.push(cost(allswell(small.path(), "run")));
        doubles.push(cost(allswell(double.path(), "run")));
        theirs.push(cost(pgbench(small.path(), server.port)));
        loads.push(cost(allswell(large.path(), "validate")));
        parses.push(cost(allswell(small.path(), "validate")));
    }
    let wall = |costs: &[Cost]| median(costs.iter().map(|c| c.wall_secs).collect());
    // The kernel counts in hundredths of a second: the sum of all rounds is finer than each.
    let cpu = |costs: &[Cost]| costs.iter().map(|c| c.cpu_secs).sum::<f64>() / costs.len() as f64;
    let per_check_us = |secs: f64| secs / CHECKS as f64 * 1e6;
    let pairs = ours.iter().zip(&theirs).map(|(a, b)| a.wall_secs / b.wall_secs).collect();
    println!("{CHECKS} checks, {CONNECTIONS} connections, {ROUNDS} rounds, medians");
    println!(
        "  allswell run   {:.3} s  {:>6.0} checks/s  client CPU {:>4.0} us per check",
        wall(&ours),
        CHECKS as f64 / wall(&ours),
        per_check_us(cpu(&ours)),
    );
    println!(
        "  of it start, settings, parsing ({} checks): {:.3} s, CPU {:.0} us per check",
        CHECKS,
        wall(&parses),
        per_check_us(cpu(&parses)),
    );
    println!(
        "  a check more (from {CHECKS} to {} checks): CPU {:.0} us, parsing included",
        2 * CHECKS,
        per_check_us(cpu(&doubles) - cpu(&ours)),
    );
    println!(
        "  pgbench        {:.3} s  {:>6.0} statements/s  client CPU {:>4.0} us per statement",
        wall(&theirs),
        CHECKS as f64 / wall(&theirs),
        per_check_us(cpu(&theirs)),
    );
    println!(
        "  ratio allswell/pgbench: time {:.2} (pair by pair), client CPU {:.2}",
        median(pairs),
        cpu(&ours) / cpu(&theirs),
    );
    println!("10,000 checks from 100 files load in {:.3} s", wall(&loads));
}
