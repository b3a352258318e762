//! The program as its users start it: files in, words and exit codes out.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use allswell::domain::sql::Engine;

use crate::lab::Database;
use crate::servers::Folder;

/// Runs the program in a folder.
pub(crate) fn allswell(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allswell"));
    command.current_dir(folder).args(args).env_remove("ALLSWELL_CONFIG").stdin(Stdio::null());
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("signal {:?}", output.status.signal()))
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with settings for one source, and one file of checks.
pub(crate) fn project(url: &str, checks: &str) -> Folder {
    let folder = Folder::new("project");
    let password = if url.starts_with("sqlite") { "" } else { ", password: \"${env:WATCH}\"" };
    let settings = format!("sources:\n  db: {{url: \"{url}\"{password}}}\n");
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    fs::write(folder.path().join("checks/all.yaml"), checks).unwrap();
    folder
}

#[test]
fn the_demo_shows_all_three_verdicts_and_leaves_a_folder_to_change() {
    let folder = Folder::new("demo");
    let started = Instant::now();
    let output = allswell(folder.path(), &["demo"]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(code(&output), 0, "{}", err(&output));
    let text = out(&output);
    for wanted in [
        "violated     each-local-day-is-invoiced-as-used        494 of 4380 windows",
        "violated     billed-equals-used-on-each-side-of-a-clock-change  487 of 4397 windows",
        "    -03:30 America/St_Johns      XXXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
        "company and billing differ on 4 of 48 rows: 4 changed\n",
        "confirmed    the-grand-total-agrees ",
        "confirmed    the-total-of-each-account-agrees ",
        // The stripe: half hours and quarters, from the clock change to the repair.
        "    -03:30 America/St_Johns       XXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
        "    -03:30 America/St_Johns     XXXXXXXXXXXXXX.................\n",
        "    +10:30 Australia/Adelaide        XXXXXXXXXXXXXXXXXXXXXXXXXX\n",
        "    +13:45 Pacific/Chatham      XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
        "7 confirmed, 2 violated, 2 unconfirmed; of 8777 windows 981 violated, 0 unconfirmed",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let words = text.split_once("What you see:\n").unwrap().1;
    let words = words.lines().take_while(|line| !line.is_empty());
    for (id, _) in words.filter_map(|l| l.strip_prefix("  ")?.split_once("  ")) {
        assert!(text.matches(id.trim()).count() >= 2, "{id} has a word and no verdict: {text}");
    }
    let demo = folder.path().join("allswell-demo");
    assert_eq!(code(&allswell(&demo, &["validate"])), 0);
    let year = ["run", "--check", "each-local-day-is-invoiced-as-used", "--window"];
    let look = |dates| code(&allswell(&demo, &[&year[..], &[dates]].concat()));
    assert_eq!(look("2025-11-03"), 1);
    assert_eq!(look("2025-06-01..2025-06-08"), 0);
    assert_eq!(code(&allswell(&demo, &["run"])), 2, "of last night there is no data");
    assert_eq!(code(&allswell(&demo, &["run", "--owner", "accounts"])), 2);
    assert_eq!(code(&allswell(&demo, &["run", "--check", "plans-are-known"])), 0);

    // What the user changes stays changed.
    let checks = demo.join("checks/billing.yaml");
    let text = fs::read_to_string(&checks).unwrap();
    fs::write(
        &checks,
        text.replace("difference_cents: {equals: 0}", "difference_cents: {min: -100, max: 100}"),
    )
    .unwrap();
    let again = allswell(folder.path(), &["demo"]);
    assert!(
        out(&again).contains(
            "8 confirmed, 1 violated, 2 unconfirmed; of 8777 windows 487 violated, 0 unconfirmed"
        ),
        "{}",
        out(&again)
    );
}

#[test]
fn machine_output_keeps_its_contract() {
    let folder = Folder::new("json");
    allswell(folder.path(), &["demo"]);
    let demo = folder.path().join("allswell-demo");
    let output = allswell(&demo, &["run", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["format"], 1);
    assert_eq!(
        report["summary"],
        // Each zone of the last night is without evidence.
        serde_json::json!({"confirmed": 9, "violated": 0, "unconfirmed": 26, "paused": 0})
    );
    let windows = report["runs"].as_array().unwrap().iter().filter(|run| !run["window"].is_null());
    assert_eq!(windows.clone().count(), 24);
    for run in windows {
        let keys: Vec<&String> = run["window"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["date", "end", "start", "utc_offset", "zone"]);
        assert!(run["tz"].is_string() && run["cause"] == "no_evidence", "{run}");
    }
    for run in report["runs"].as_array().unwrap() {
        let keys: Vec<&String> = run.as_object().unwrap().keys().collect();
        let wanted = [
            "cause", "check", "evidence", "file", "finding", "findings", "labels", "line", "owner",
            "rows", "severity", "slot", "source", "took_ms", "tz", "verdict", "why", "window",
        ];
        assert_eq!(keys, wanted);
        let slot = run["slot"].as_str().unwrap();
        assert!(
            slot.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(slot).is_ok(),
            "{slot}"
        );
        assert_eq!(run["verdict"] == "unconfirmed", run["cause"].is_string(), "{run}");
        assert_eq!(run["verdict"] == "confirmed", run["finding"].is_null(), "{run}");
    }
    fs::write(demo.join("checks/bad.yaml"), "version: 1\nchecks: []\n").unwrap();
    let output = allswell(&demo, &["validate", "--output", "json"]);
    assert_eq!(code(&output), 64);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let fault = &report["faults"][0];
    assert_eq!(
        (&fault["line"], &fault["column"], &fault["path"]),
        (&2.into(), &9.into(), &"checks".into())
    );
}

#[test]
fn words_that_select_nothing_are_not_a_round_without_faults() {
    let folder = Folder::new("select");
    allswell(folder.path(), &["demo"]);
    let demo = folder.path().join("allswell-demo");
    for (args, wanted) in [
        (&["run", "--check", "plans-are-knwn"][..], "did you mean `plans-are-known`?"),
        (&["run", "--owner", "bilding"], "did you mean `billing`?"),
        (&["run", "--source", "compny"], "did you mean `company`?"),
        (&["run", "--owner", "billing", "--check", "plans-are-known"], "fits all of the selection"),
        (&["run", "nowhere"], "nowhere: cannot be read"),
        (&["run", "--config", "nowhere.yaml"], "allswell demo"),
        (&["runn"], "'run'"),
        (&["run", "--chek", "x"], "--check"),
    ] {
        let output = allswell(&demo, args);
        assert_eq!((code(&output), out(&output)), (64, String::new()), "{args:?}");
        assert!(err(&output).contains(wanted), "{args:?}: {}", err(&output));
    }
    assert_eq!(code(&allswell(&demo, &["--help"])), 0);
    assert_eq!(code(&allswell(&demo, &["--version"])), 0);
}

#[test]
fn the_schema_is_printed_as_json() {
    let output = allswell(Path::new("/"), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["checks"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_says_of_postgres_does_not_matter() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let checks = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - {id: it, why: w, \
                  sql: select n from t, expect: {values: {n: {equals: 1}}}}\n";
    let folder = project(&db.url(), checks);
    let mut command = command(folder.path(), &["run"]);
    for (name, value) in [
        ("PGHOST", "/nowhere"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGPASSWORD", "wrong"),
        ("PGDATABASE", "nowhere"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/nowhere"),
        ("PGOPTIONS", "-c statement_timeout=1"),
        ("PGAPPNAME", "somebody-else"),
        ("WATCH", "watch"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));

    // And no password, or a wrong one, is never helped out by them.
    let mut command = super::cli::command(folder.path(), &["run"]);
    let output = command.env("PGPASSWORD", "watch").env_remove("WATCH").output().unwrap();
    assert_eq!(code(&output), 2, "{}", out(&output));
    let said = out(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("auth") && said.contains("variable WATCH is not set"), "{said}");
    let output =
        super::cli::command(folder.path(), &["run"]).env("WATCH", "hunter2").output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(out(&output).contains("auth") && !out(&output).contains("hunter2"), "{}", out(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_the_queries_and_reports_what_was_not_looked_at() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t select generate_series(1, 300)").await;
    let mut checks =
        String::from("version: 1\nowner: t\ndefaults: {source: db, timeout: 60s}\nchecks:\n");
    for i in 0..6 {
        checks.push_str(&format!(
            "  - {{id: slow-{i}, why: w, sql: \"select count(*) as n from t a, t b, t c, t d, t e\", \
             expect: {{values: {{n: {{min: 1}}}}}}}}\n"
        ));
    }
    let folder = project(&db.url(), &checks);
    let mut command = command(folder.path(), &["run", "--output", "json"]);
    let child = command
        .env("WATCH", "watch")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut admin = db.admin().await;
    let Database::Postgres { name, .. } = &db else { unreachable!("a PostgreSQL") };
    let running = format!(
        "select count(*) from pg_stat_activity where usename = '{name}' and state = 'active' \
         and application_name like 'allswell/slow-%'"
    );
    crate::lab::eventually(Duration::from_secs(20), async || {
        let now = admin.texts(&running).await;
        if now == ["2"] { Ok(()) } else { Err(now) }
    })
    .await;
    drop(Command::new("kill").args(["-INT", &child.id().to_string()]).output());
    let started = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(code(&output), 2, "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|r| r["cause"] == "interrupted"), "{report}");
    crate::lab::eventually(Duration::from_secs(2), async || {
        let now = admin.texts(&running).await;
        if now == ["0"] { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_is_shown_on_request() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare("create table t (n integer)").await;
    let checks = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: w\n    \
                  sql: |\n      select n\n      from t\n    expect: {values: {n: {min: 1}}}\n";
    let folder = project(&db.url(), checks);
    let output = allswell(folder.path(), &["run", "--sql"]);
    assert!(out(&output).contains("      select n\n      from t\n"), "{}", out(&output));
}

#[test]
fn nothing_that_a_check_says_moves_a_cursor() {
    let hostile = "\\e]0;pwned\\a\\e[2J\\u202e";
    let checks = format!(
        "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: \"{hostile}\"\n    \
         sql: select 'x' as n\n    expect: {{values: {{n: {{equals: \"a\\nb{hostile}\"}}}}}}\n"
    );
    let folder = project("sqlite:data.db", &checks);
    fs::write(folder.path().join("data.db"), "").unwrap();
    fs::write(folder.path().join("checks/b\u{1b}[31m\n.yam"), "").unwrap();
    let clean = |output: &Output| {
        let said = format!("{}{}", out(output), err(output));
        let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!said.contains(obeyed), "{said:?}");
        said
    };
    for args in [&["validate"][..], &["run"], &["validate", "--output", "json"]] {
        let said = clean(&allswell(folder.path(), args));
        assert!(said.contains("looks like a file of checks"), "{said}");
    }
    fs::remove_file(folder.path().join("checks/b\u{1b}[31m\n.yam")).unwrap();
    for args in
        [&["run"][..], &["run", "--output", "json"], &["next"], &["next", "--output", "json"]]
    {
        let said = clean(&allswell(folder.path(), args));
        assert!(!said.contains("a\nb"), "{said}");
    }
    let json = out(&allswell(folder.path(), &["run", "--output", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        json.to_string().contains("\\u001b") || json.to_string().contains('\u{202e}'),
        "{json}"
    );
}

#[test]
fn links_that_lead_back_up_are_one_fault_each() {
    let one = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - {id: it, why: w, sql: select 1 + 0 as n, \
               expect: {values: {n: {min: 1}}}}\n";
    let folder = project("sqlite:data.db", one);
    for name in ["p", "q", "r"] {
        let below = folder.path().join("checks").join(name);
        fs::create_dir(&below).unwrap();
        for link in ["x", "y", "z"] {
            std::os::unix::fs::symlink("..", below.join(link)).unwrap();
        }
    }
    let started = Instant::now();
    let output = allswell(folder.path(), &["validate"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let said = err(&output);
    assert_eq!((code(&output), said.matches("is read already").count()), (64, 9), "{said}");
    // Nor is a file waited for that is never at its end.
    for link in ["p/x", "p/y", "p/z", "q/x", "q/y", "q/z", "r/x", "r/y", "r/z"] {
        fs::remove_file(folder.path().join("checks").join(link)).unwrap();
    }
    assert_eq!(code(&allswell(folder.path(), &["validate"])), 0);
    let pipe = folder.path().join("checks/pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(code(&allswell(folder.path(), &["validate"])), 64);
}

#[test]
fn a_warning_comes_once_with_its_places_and_only_for_checks_that_are_looked_at() {
    let check = |id: &str, column: &str| {
        format!(
            "  - {{id: {id}, why: w, sql: \"select {column} as n from t\", expect: {{values: {{n: {{max: 5}}}}}}}}\n"
        )
    };
    let warned: String = (0..5).map(|i| check(&format!("count-{i}"), "count(*)")).collect();
    let others = [
        ("ratio", "count(*) filter (where v > 1) * 1.0 / count(*)"),
        ("nullif", "sum(v) / nullif(count(*), 0)"),
        ("difference", "sum(v) - sum(v)"),
        ("two", "(select sum(v) from t) - (select sum(v) from t) as m, max(v)"),
    ];
    let sound: String = others.iter().map(|(id, column)| check(id, column)).collect();
    let checks =
        format!("version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n{warned}{sound}");
    let folder = project("sqlite:data.db", &checks);
    fs::write(folder.path().join("data.db"), "").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = crate::lab::Other::sqlite(&folder.path().join("data.db")).await;
        data.run("create table t (v integer); insert into t values (1)").await.unwrap();
        data.close().await;
    });
    let said = err(&allswell(folder.path(), &["validate"]));
    assert_eq!(said.matches("warning[aggregate_over_nothing]: ").count(), 1, "{said}");
    assert_eq!(said.matches("also at").count(), 2, "{said}");
    assert!(said.contains("and at 2 more"), "{said}");
    for (id, _) in others {
        let said = err(&allswell(folder.path(), &["run", "--check", id]));
        assert!(!said.contains("warning"), "{id}: {said}");
    }
    let said = err(&allswell(folder.path(), &["run", "--check", "count-3"]));
    assert!(said.contains("warning") && !said.contains("also at"), "{said}");
}

#[test]
fn a_sample_of_one_column_is_shown() {
    let checks = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: w\n    \
                  sql: select id from t where v is null\n    expect: {rows: {equals: 0}}\n    \
                  evidence: {sql: select count(*) from t}\n    samples: {rows: 5, columns: [id]}\n";
    let folder = project("sqlite:data.db", checks);
    fs::write(folder.path().join("data.db"), "").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = crate::lab::Other::sqlite(&folder.path().join("data.db")).await;
        data.run("create table t (id integer, v text); insert into t values (41, null), (42, 'x')")
            .await
            .unwrap();
        data.close().await;
    });
    let said = out(&allswell(folder.path(), &["run"]));
    assert!(said.contains("id=41") && !said.contains("id=42"), "{said}");
    let json = out(&allswell(folder.path(), &["run", "--output", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json.to_string().contains("id=41"), "{json}");
}

#[test]
fn a_value_for_which_there_is_no_memory_is_over_the_limit_and_no_broken_file() {
    let checks = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: w\n    \
                  sql: select hex(zeroblob(30000000)) as n\n    expect: {values: {n: {not_equals: x}}}\n";
    let folder = project("sqlite:data.db", checks);
    fs::write(folder.path().join("data.db"), "").unwrap();
    let output = allswell(folder.path(), &["run"]);
    assert_eq!(code(&output), 2, "{}", out(&output));
    assert!(out(&output).contains("over_limit"), "{}{}", out(&output), err(&output));
}

#[test]
fn a_query_that_sorts_without_end_takes_no_more_memory_than_it_may_have() {
    let checks = "version: 1\nowner: t\ndefaults: {source: db, timeout: 2m}\nchecks:\n  - id: it\n    why: w\n    \
                  sql: select max(x) as n from (select hex(randomblob(1000)) as x from t a, t b, t c order by 1 limit 99999999)\n    \
                  expect: {values: {n: {not_equals: x}}}\n";
    let folder = project("sqlite:data.db", checks);
    fs::write(folder.path().join("data.db"), "").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut data = crate::lab::Other::sqlite(&folder.path().join("data.db")).await;
        let rows = "with recursive s(n) as (select 1 union all select n + 1 from s where n < 1000) \
                    insert into t select n from s";
        data.run("create table t (n integer)").await.unwrap();
        data.run(rows).await.unwrap();
        data.close().await;
    });
    let said = out(&allswell(folder.path(), &["run"]));
    assert!(said.contains("over_limit") && said.contains("needs more memory"), "{said}");
}

#[tokio::test]
async fn a_column_of_a_subquery_that_is_one_of_the_query_around_is_told() {
    const OUTER: &str = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  \
        - {id: outwards, why: w, sql: select n from t where id in (select id from blocked), expect: {values: {n: {min: 1}}}}\n  \
        - {id: inwards, why: w, sql: select n from t where id in (select user_id from blocked), expect: {values: {n: {min: 1}}}}\n  \
        - {id: named, why: w, sql: select n from t where id in (select t.id from blocked), expect: {values: {n: {min: 1}}}}\n  \
        - {id: of-a-cte, why: w, sql: with b as (select user_id as id from blocked) select n from t where id in (select id from b), \
           expect: {values: {n: {min: 1}}}}\n";
    for engine in crate::lab::ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (id integer, n integer)").await;
        db.prepare("create table blocked (user_id integer)").await;
        let folder = project(&db.url(), OUTER);
        let more = match engine {
            Engine::Sqlite => "instants: sql",
            Engine::Postgres | Engine::MySql => "password: \"${file:watch}\"",
        };
        let settings = format!("sources: {{db: {{url: \"{}\", {more}}}}}\n", db.url());
        fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
        fs::write(folder.path().join("watch"), "watch").unwrap();
        let output = allswell(folder.path(), &["validate", "--connect"]);
        let said = out(&output);
        assert_eq!(code(&output), 0, "{engine:?}: {said}{}", err(&output));
        assert_eq!(said.matches("outer_column").count(), 1, "{engine:?}: {said}");
        assert!(
            said.contains("outwards: warning[outer_column]: `id` of `(select id from blocked"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_databases_say_which_queries_they_would_not_take() {
    const CHECKS: &str = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  \
        - {id: sound, why: w, sql: select n from t, expect: {values: {n: {min: 1}}}}\n  \
        - {id: no-table, why: w, sql: select n from nowhere, expect: {values: {n: {min: 1}}}}\n  \
        - {id: no-column, why: w, sql: select id from t, expect: {values: {n: {min: 1}}}}\n  \
        - {id: no-right, why: w, sql: select n from secret, expect: {values: {n: {min: 1}}}}\n  \
        - {id: no-evidence, why: w, sql: select n from t, expect: {rows: {equals: 0}}, evidence: {sql: select count(*) from gone}}\n  \
        - {id: zoned, why: w, window: {period: day, zones_from: {sql: select zone from t}}, \
           sql: \"select n from t where zone = :zone and at >= :window_start and at < :window_end\", expect: {values: {n: {min: 1}}}}\n  \
        - {id: two-sides, why: w, reconcile: {left: {sql: select n from t}, right: {sql: select n from t where n > 0}, key: [n]}}\n";
    for engine in crate::lab::ENGINES {
        let db = Database::new(engine).await;
        let at = if engine == Engine::Postgres { "timestamptz" } else { "datetime" };
        db.prepare(&format!("create table t (id integer, n integer, zone varchar(40), at {at})"))
            .await;
        let can_refuse = engine == Engine::Postgres;
        if can_refuse {
            let mut admin = db.admin().await;
            admin.run("create table secret (n integer)").await.unwrap();
        }
        let folder = project(&db.url(), CHECKS);
        let more = match engine {
            Engine::Sqlite => "instants: sql",
            Engine::Postgres | Engine::MySql => "connections: 2, password: \"${file:watch}\"",
        };
        let settings = format!("sources: {{db: {{url: \"{}\", {more}}}}}\n", db.url());
        fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
        fs::write(folder.path().join("watch"), "watch").unwrap();
        let output = allswell(folder.path(), &["validate", "--connect"]);
        let said = out(&output);
        assert_eq!(code(&output), 64, "{engine:?}: {said}{}", err(&output));
        for wanted in
            ["no-table\n", "no-column\n", "no-evidence\n", "in `evidence`: ", "no-right\n"]
        {
            assert!(said.contains(wanted), "{engine:?} {wanted}: {said}");
        }
        for taken in [": sound\n", ": zoned\n", ": two-sides\n"] {
            assert!(!said.contains(taken), "{engine:?}: {said}");
        }
        assert!(!can_refuse || said.contains("db: auth: "), "{said}");
        assert!(
            said.contains("the server enforces") && said.contains("rests on the role"),
            "{said}"
        );
        let output = allswell(folder.path(), &["validate", "--connect", "--output", "json"]);
        let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(json["connected"]["checks"].as_array().unwrap().len(), 7, "{json}");
    }
    // A source that does not answer is no fault of the checks.
    let port = crate::servers::free_port();
    let folder = project("sqlite:x.db", CHECKS);
    let settings = format!("sources: {{db: {{url: \"postgres://a@127.0.0.1:{port}/b\"}}}}\n");
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let output = allswell(folder.path(), &["validate", "--connect"]);
    assert_eq!(code(&output), 2, "{}", out(&output));
    assert!(out(&output).contains("not reached"), "{}", out(&output));
}
