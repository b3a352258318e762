//! What is deployed, run: the scripts for roles, the settings for Kubernetes, the stack of Compose.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::alerting::{Alertmanager, Receiver};
use crate::cli::{command, err, out};
use crate::servers::{Folder, MariaDb, Postgres, free_port, postgres_folder, program};
use crate::watchman::Site;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// Runs a file by psql as the administrator, with nobody at a terminal.
fn psql(server: &Postgres, database: &str, args: &[&str]) -> Output {
    let psql = program("psql", &[postgres_folder().to_str().unwrap(), "/usr/bin"]);
    let mut command = Command::new(psql);
    command.args([
        "-X",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-p",
        &server.port.to_string(),
        "-d",
        database,
    ]);
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    let said = format!("{}{}", out(output), err(output));
    assert!(output.status.success(), "{said}");
    said
}

/// Looks once with some settings; says how it ended, and everything that was said.
fn run(sources: &str, sql: &str) -> (Option<i32>, String) {
    let folder = Folder::new("kit");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("allswell.yaml"), format!("checks: [it.yaml]\nsources: {{shop: {sources}}}\n"))
        .unwrap();
    let check = "version: 1\nowner: it\nchecks:\n  - id: it\n    why: It.\n    source: shop\n    expect: {values: {n: {min: 1}}}\n";
    fs::write(at("it.yaml"), format!("{check}    sql: {sql}\n")).unwrap();
    let output = command(folder.path(), &["run"]).env("WORD", "it's a % secret").output().unwrap();
    (output.status.code(), format!("{}{}", out(&output), err(&output)))
}

#[test]
fn the_script_for_postgresql_runs_unattended_and_twice_and_makes_a_role_that_only_reads() {
    let server = Postgres::start();
    let role = deploy("roles/postgresql.sql");
    let role = role.to_str().unwrap();
    succeeds(&psql(&server, "postgres", &["-c", "create database shop"]));
    succeeds(&psql(
        &server,
        "shop",
        &["-c", "create role app", "-c", "create table t (n integer)"],
    ));
    succeeds(&psql(
        &server,
        "shop",
        &["-c", "insert into t values (1)", "-c", "grant create on schema public to app"],
    ));
    // Without a password it says so, and the role cannot log in.
    assert!(succeeds(&psql(&server, "shop", &["-f", role])).contains("no password"));
    let with = ["-v", "password=it's a % secret", "-v", "owner=app", "-f", role];
    for _ in 0..2 {
        let said = succeeds(&psql(&server, "shop", &with));
        assert_eq!(said.trim(), "", "it has nothing to say");
    }
    let empty = psql(&server, "shop", &["-v", "password=", "-f", role]);
    assert!(!empty.status.success(), "an empty password would clear the one that it has");
    // Without one it stays; tables that come later can be read as well.
    assert_eq!(succeeds(&psql(&server, "shop", &["-f", role])).trim(), "");
    let later = [
        "-c",
        "set role app",
        "-c",
        "create table later (n integer)",
        "-c",
        "insert into later values (1)",
    ];
    succeeds(&psql(&server, "shop", &later));
    let source = format!(
        "{{url: \"postgres://allswell@127.0.0.1:{}/shop\", password: \"${{env:WORD}}\"}}",
        server.port
    );
    for sql in ["select count(*) as n from t", "select count(*) as n from later"] {
        let (code, said) = run(&source, sql);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("could do more"), "{said}");
    }
}

#[test]
fn the_script_for_mariadb_runs_unattended_and_twice_and_fails_without_its_settings() {
    let server = MariaDb::shared();
    let script = fs::read_to_string(deploy("roles/mariadb.sql")).unwrap();
    let client = |sql: &str| {
        let mut command = Command::new(program("mariadb", &["/usr/bin"]));
        command.args([
            "--no-defaults",
            "-h",
            "127.0.0.1",
            "-u",
            "root",
            "-P",
            &server.port.to_string(),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    succeeds(&client(
        "create database if not exists kitXshop; create table if not exists kitXshop.t (n int); \
         create database if not exists kit_shop; create table if not exists kit_shop.t (n int); insert into kit_shop.t values (1);",
    ));
    assert!(!client(&script).status.success());
    let empty = "SET @password = CONVERT(FROM_BASE64('') USING utf8mb4), @database = 'kit_shop', @host = '127.0.0.%';\n";
    assert!(!client(&format!("{empty}{script}")).status.success(), "no user without a password");
    let settings = "SET @password = CONVERT(FROM_BASE64('aXQncyBhICUgc2VjcmV0Cg==') USING utf8mb4), \
         @database = 'kit_shop', @host = '127.0.0.%';\n";
    for _ in 0..2 {
        succeeds(&client(&format!("{settings}{script}")));
    }
    let source = format!(
        "{{url: \"mysql://allswell@127.0.0.1:{}/kit_shop\", password: \"${{env:WORD}}\"}}",
        server.port
    );
    let (code, said) = run(&source, "select count(*) as n from t");
    assert_eq!(code, Some(0), "{said}");
    // `_` is no wildcard: a database whose name is like the one that is meant stays closed.
    for other in ["mysql.user", "kitXshop.t"] {
        let (_, said) = run(&source, &format!("select count(*) as n from {other}"));
        assert!(said.contains("auth"), "{other}: {said}");
    }
}

/// The settings for Kubernetes as they are written, but for addresses and certificates.
#[test]
fn three_replicas_with_the_settings_for_kubernetes_fit_the_limit_of_the_scripts_role() {
    let server = Postgres::start();
    let role = deploy("roles/postgresql.sql");
    for database in ["shop", "allswell"] {
        succeeds(&psql(&server, "postgres", &["-c", &format!("create database {database}")]));
    }
    succeeds(&psql(&server, "shop", &["-v", "password=word", "-f", role.to_str().unwrap()]));
    succeeds(&psql(
        &server,
        "postgres",
        &[
            "-c",
            "create role keeper login password 'word'",
            "-c",
            "alter database allswell owner to keeper",
        ],
    ));
    let settings = fs::read_to_string(deploy("kubernetes/allswell.yaml")).unwrap();
    let kept: String = settings
        .lines()
        .filter(|line| !line.starts_with("- {url") && !line.starts_with("alertmanagers"))
        .filter(|line| {
            !line.starts_with("heartbeat")
                && !line.starts_with("watchdog")
                && !line.starts_with("web")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let local = format!("127.0.0.1:{}", server.port);
    let kept = kept
        .replace("allswell@ledger-db.allswell.svc", &format!("keeper@{local}"))
        .replace("shop-db.shop.svc", &local)
        .replace("?sslrootcert=/etc/allswell/ca.pem", "")
        .replace("[/etc/allswell-checks]", "[checks/]")
        .replace("/run/secrets/allswell/shop", "word")
        .replace("/run/secrets/allswell/ledger", "word");
    let checks: String = (0..30)
        .map(|n| {
            format!(
                "  - {{id: c{n}, why: It., schedule: {{every: 1s}}, sql: \"select count(*) as n from generate_series(1, 100000)\", \
                 expect: {{values: {{n: {{min: 1}}}}}}}}\n"
            )
        })
        .collect();
    let checks = format!(
        "version: 1\nowner: shop\ndefaults: {{source: shop, severity: critical}}\nchecks:\n{checks}"
    );
    let site = Site::new(&kept, &checks);
    let deployed = fs::read_to_string(deploy("kubernetes/checks.yaml")).unwrap();
    site.checks("deployed.yaml", &deployed.replace("every: 30s", "every: 1s"));
    fs::write(site.path().join("word"), "word").unwrap();
    let replicas: Vec<_> = (0..3).map(|_| site.start()).collect();
    let count = |word: &str| {
        let (_, page) = replicas[0].get("/metrics");
        let of = format!("verdict=\"{word}\"}} ");
        let lines = page.lines().filter(|line| line.starts_with("allswell_check_attempts_total"));
        lines.filter_map(|line| line.split_once(&of)?.1.parse::<u64>().ok()).sum::<u64>()
    };
    replicas[0].until(Duration::from_secs(60), |_| {
        let confirmed = count("confirmed");
        if confirmed > 400 { Ok(()) } else { Err(confirmed) }
    });
    assert_eq!((count("unconfirmed"), count("violated")), (0, 0));
    for replica in replicas {
        assert!(!replica.log().contains("53300"), "{}", replica.log());
        assert!(replica.stop().success());
    }
}

/// The stack of Compose with its own settings, checks, scripts and Alertmanager's configuration, as processes.
#[test]
fn the_alert_of_the_stack_of_compose_arrives_and_resolves_when_the_data_is_mended() {
    let server = Postgres::start();
    succeeds(&psql(&server, "postgres", &["-c", "create database shop"]));
    succeeds(&psql(&server, "shop", &["-f", deploy("docker/shop.sql").to_str().unwrap()]));
    let word = fs::read_to_string(deploy("docker/secrets/shop")).unwrap();
    let password = format!("password={}", word.trim());
    let role = deploy("roles/postgresql.sql");
    succeeds(&psql(&server, "shop", &["-v", &password, "-f", role.to_str().unwrap()]));
    let (receiver, port) = (Receiver::start(), free_port());
    let config = fs::read_to_string(deploy("docker/alertmanager.yml")).unwrap();
    let config = config
        .replace("http://receiver:8080/", &receiver.url())
        .replace("http://allswell:9847", &format!("http://127.0.0.1:{port}"))
        .replace("/run/secrets/watchdog", deploy("docker/secrets/watchdog").to_str().unwrap())
        .replace("group_wait: 30s", "group_wait: 1s")
        .replace("group_interval: 30s", "group_interval: 1s")
        .replace("repeat_interval: 29s", "repeat_interval: 500ms");
    let alertmanager = Alertmanager::configured(&config, None);
    let settings = fs::read_to_string(deploy("docker/allswell.yaml")).unwrap();
    let settings = settings
        .replace("allswell@shop/", &format!("allswell@127.0.0.1:{}/", server.port))
        .replace("/run/secrets/", &format!("{}/", deploy("docker/secrets").display()))
        .replace("http://alertmanager:9093", &alertmanager.url())
        .replace(
            "\"0.0.0.0:9847\"",
            &format!("\"127.0.0.1:{port}\", operator_token: \"${{file:token}}\""),
        );
    let checks = fs::read_to_string(deploy("docker/checks/shop.yaml")).unwrap();
    let settings = format!("{settings}notices: {{hold: 2s}}\n");
    let site = Site::new(&settings, &checks.replace("every: 10s", "every: 1s"));
    let daemon = site.start();
    let within = Duration::from_secs(60);
    let alert = receiver.until("firing", "AllswellViolated", 0, within);
    assert_eq!(alert["labels"]["check"], "totals-are-positive");
    let told = alert["annotations"]["description"].as_str().unwrap();
    assert!(told.contains("booked as an order"), "{told}");
    daemon.until(within, |daemon| {
        let status = daemon.json("/api/v1/status");
        if status["alert_paths"][0]["proved_at"].is_null() { Err(status) } else { Ok(()) }
    });
    succeeds(&psql(&server, "shop", &["-c", "delete from orders where total_cents < 0"]));
    receiver.until("resolved", "AllswellViolated", 0, Duration::from_secs(120));
    assert!(daemon.stop().success());
}
