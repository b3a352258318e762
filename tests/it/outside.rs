//! Every call that leaves the process, held against a trace of the daemon: none that the table lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use allswell::settings::external::Kind;
use serde_json::Value;

use crate::alerting::{Alertmanager, Receiver};
use crate::lab::Database;
use crate::notices::SOON;
use crate::servers::{authority, program};
use crate::verbs::text;
use crate::watchman::{Site, Watchman};
use allswell::domain::sql::Engine;

const CHECKS: &str = "version: 1\nowner: tests\ndefaults: {schedule: {every: 1s}}\nchecks:\n  - id: one\n    why: because\n    source: pg\n    \
    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n  - id: two\n    why: because\n    source: maria\n    \
    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n  - id: three\n    why: because\n    source: file\n    \
    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n  - id: bad\n    why: because\n    source: file\n    \
    sql: select 1 + 0 as n\n    expect: {values: {n: {min: 2}}}\n";

/// The addresses to which a trace says that something was connected, and the files that were opened.
fn traced(trace: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut addresses, mut files) = (BTreeSet::new(), BTreeSet::new());
    let between = |line: &str, from: &str, to: &str| {
        let rest = line.split_once(from)?.1;
        Some(rest.split_once(to)?.0.to_owned())
    };
    for line in trace.lines() {
        if line.contains("connect(") || line.contains("sendto(") && line.contains("sa_family") {
            let port = between(line, "htons(", ")");
            let host = between(line, "inet_addr(\"", "\"")
                .or_else(|| between(line, "inet_pton(AF_INET6, \"", "\""));
            match (host, port, between(line, "sun_path=\"", "\"")) {
                (Some(host), Some(port), _) => drop(addresses.insert(format!("{host}:{port}"))),
                (_, _, Some(path)) => drop(addresses.insert(path)),
                _ => {}
            }
        }
        if line.contains("openat(") && !line.contains(" = -1") {
            files.extend(between(line, "\"", "\""));
        }
    }
    (addresses, files)
}

fn calls(site: &Site) -> Vec<(String, String)> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(["deps", "--external", "--output", "json", "--config"])
        .arg(site.path().join("allswell.yaml"))
        .output()
        .unwrap();
    let all: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let kinds = all["external"].as_array().unwrap().iter();
    let of = |kind: &Value| {
        let name = kind["kind"].as_str().unwrap().to_owned();
        let calls = kind["calls"].as_array().unwrap().clone();
        calls.into_iter().map(move |call| (name.clone(), call["to"].as_str().unwrap().to_owned()))
    };
    kinds.flat_map(of).collect()
}

#[expect(clippy::too_many_lines, reason = "one daemon with every kind of call")]
#[tokio::test]
async fn a_daemon_calls_nobody_and_opens_nothing_that_the_table_lacks() {
    let (pg, maria) = (Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await);
    let ledger = Database::new(Engine::Postgres).await;
    let sink = Receiver::start();
    let (hook, pulse) = (Receiver::start(), Receiver::start());
    let alertmanager = Alertmanager::start(&sink.url(), "", "");
    let site = Site::new("sources: {}\n", CHECKS);
    authority(site.path());
    let named = pg.url().replace("127.0.0.1", "localhost");
    site.settings(&format!(
        "sources:\n  pg: {{url: \"{named}\", password: \"${{file:watch}}\"}}\n  maria: {{url: \"{}\", password: \"${{file:watch}}\"}}\n  \
         file: {{url: \"sqlite:data.db\", instants: sql}}\nledger: {{url: \"{}\", password: \"${{file:watch}}\"}}\n\
         alertmanagers: [{{url: \"{}\", ca_file: ca.pem}}]\nwebhooks: [{{name: hook, url: \"{}\"}}]\n\
         heartbeat: {{url: \"{}/beat\", every: 1s}}\nwatchdog: {{token: \"${{file:token}}\"}}\n",
        maria.url(),
        ledger.url(),
        alertmanager.url(),
        hook.url(),
        pulse.url(),
    ));
    fs::write(site.path().join("data.db"), "").unwrap();
    let trace = site.path().join("trace");
    let before = [
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=connect,sendto,openat",
        "-o",
        trace.to_str().unwrap(),
        env!("CARGO_BIN_EXE_allswell"),
    ];
    let mut daemon: Watchman = site.spawn_by(&program("strace", &[]), &before, &[], &[]);
    daemon.wait_until_ready();
    daemon.until(SOON * 2, |daemon| {
        let told = (alertmanager.standing().len(), hook.taken().len(), pulse.taken().len());
        let learnt = daemon.json("/api/v1/deps")["sources"].as_object().map_or(0, |all| all.len());
        let all = told.0 > 0 && told.1 > 0 && told.2 > 0 && learnt == 3;
        if all { Ok(()) } else { Err((told, learnt)) }
    });
    assert!(daemon.stop().success());
    let (addresses, files) = traced(&fs::read_to_string(&trace).unwrap());
    let table = calls(&site);
    let to = |kind: &str| -> Vec<&str> {
        table.iter().filter(|(known, _)| known == kind).map(|(_, to)| to.as_str()).collect()
    };
    let hosts: Vec<String> = table
        .iter()
        .flat_map(|(_, to)| [to.replace("localhost", "127.0.0.1"), to.replace("localhost", "::1")])
        .collect();
    let resolver = !to("names of hosts").is_empty();
    for address in &addresses {
        let by_name = resolver && (address.ends_with(":53") || address.contains("nscd"));
        // To find its own address, a resolver connects to port 0 and sends nothing.
        let nothing = address.ends_with(":0");
        assert!(hosts.contains(address) || by_name || nothing, "{address} of {table:?}");
    }
    for kind in ["source", "control connection", "ledger", "Alertmanager", "webhook", "heartbeat"] {
        assert!(!to(kind).is_empty(), "{kind}");
    }
    for call in
        to("Alertmanager").iter().chain(&to("webhook")).chain(&to("heartbeat")).chain(&to("ledger"))
    {
        assert!(addresses.contains(*call), "{call} was not called: {addresses:?}");
    }
    let known: Vec<&str> = table.iter().map(|(_, to)| to.as_str()).collect();
    let is_listed = |path: &str| {
        known.iter().any(|known| path == *known || Path::new(path).starts_with(known))
            // Beside a file of SQLite are its journal and its log.
            || known.iter().any(|known| path.strip_prefix(known).is_some_and(|rest| rest.starts_with('-')))
    };
    // The program and its libraries; what the kernel tells; names, zones and certificates of the host.
    let hosts_own = [
        "/proc/",
        "/sys/",
        "/dev/",
        "/lib",
        "/usr/lib",
        "/etc/",
        "/usr/share/zoneinfo",
        "/run/nscd",
    ];
    for file in &files {
        let is_own = hosts_own.iter().any(|own| file.starts_with(own));
        assert!(is_own || is_listed(file), "{file}: {known:?}");
    }
}

#[test]
fn what_happens_without_each_call_is_shown_by_a_test_and_stands_in_the_manual() {
    fn walk(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    walk(&root.join("tests"), &mut all);
    walk(&root.join("src"), &mut all);
    let manual = fs::read_to_string(root.join("docs/dependencies.md")).unwrap();
    for kind in Kind::ALL {
        let rule = kind.rule();
        assert!(all.contains(&format!("fn {}(", rule.shown_by)), "{}: no such test", rule.shown_by);
        let row = format!(
            "| {}: {} | {} | {} | {} | {} |",
            kind.as_str(),
            rule.what,
            rule.timeout,
            rule.retries,
            rule.breaker,
            rule.without
        );
        assert!(manual.contains(&row), "docs/dependencies.md lacks:\n{row}");
    }
}
