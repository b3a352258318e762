//! The reconciliation of the example catalogue, over two different engines: a year that is right is
//! confirmed, and of the year with the defect exactly the stretches that are wrong are violated.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use allswell::domain::sql::Engine;
use serde_json::Value;

use crate::lab::{Database, Other};
use crate::servers::Folder;
use crate::usual;

const ZONES: &str = "('America/New_York', 'America/St_Johns', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe')";

fn allswell(folder: &Path, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allswell"));
    command.current_dir(folder).args(args).env("PW", "watch");
    command.output().unwrap().stdout
}

/// Copies rows, each written by a query as what stands after VALUES.
async fn copy(from: &mut Other, rows: &str, to: &mut Other, table: &str) {
    let rows = from.texts(rows).await;
    assert!(!rows.is_empty(), "{table}");
    for part in rows.chunks(5_000) {
        to.run(&format!("insert into {table} values {}", part.join(", "))).await.unwrap();
    }
}

/// The windows of a year: whether each is violated, by zone, date and offset.
fn year(site: &Path) -> Vec<((String, String, i64), bool)> {
    let check = "billed-equals-used-on-each-side-of-a-clock-change";
    let args = ["run", "--check", check, "--window", "2025-01-01..2026-01-01", "--output", "json"];
    let report: Value = serde_json::from_slice(&allswell(site, &args)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let runs = report["runs"].as_array().unwrap().iter().filter(|run| !run["window"].is_null());
    runs.map(|run| {
        let window = &run["window"];
        assert_ne!(run["verdict"], "unconfirmed", "{run}");
        let offset = window["utc_offset"].as_i64().unwrap();
        ((text(&run["tz"]), text(&window["date"]), offset), run["verdict"] == "violated")
    })
    .collect()
}

/// The company's database. Nothing in its year is thin.
async fn company(demo: &Path) -> Other {
    let mut company = Other::sqlite(&demo.join("company.db")).await;
    usual::assert_the_demo_is_not_thin(&mut company).await;
    company
}

#[tokio::test]
async fn of_a_year_over_two_engines_exactly_the_wrong_stretches_are_violated() {
    let folder = Folder::new("flagship");
    allswell(folder.path(), &["demo", "--folder", "demo"]);
    let demo = folder.path().join("demo");
    let (usage, billing) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await);
    let (mut pg, mut maria) = (usage.owner().await, billing.owner().await);
    pg.run(
        "create table accounts (id integer, time_zone text, utc_offset integer); \
         create table usage (account_id integer, at timestamptz, amount_cents integer); \
         create index on usage (at)",
    )
    .await
    .unwrap();
    // Decimals there, integers here: the same numbers.
    maria
        .run(
            "create table billed_hours (account_id bigint, time_zone varchar(40), at datetime, \
             cents decimal(12, 2), key (time_zone, at))",
        )
        .await
        .unwrap();
    let mut company = company(&demo).await;
    let mut billed = Other::sqlite(&demo.join("billing.db")).await;
    let accounts = format!(
        "select '(' || id || ', ''' || time_zone || ''', ' || utc_offset || ')' from accounts where time_zone in {ZONES}"
    );
    copy(&mut company, &accounts, &mut pg, "accounts").await;
    let hours =
        format!("from usage u join accounts a on a.id = u.account_id where a.time_zone in {ZONES}");
    let used = format!(
        "select '(' || u.account_id || ', ''' || u.at || 'Z'', ' || u.amount_cents || ')' {hours}"
    );
    copy(&mut company, &used, &mut pg, "usage").await;
    pg.run("analyze").await.unwrap();
    let right = format!(
        "select '(' || u.account_id || ', ''' || a.time_zone || ''', ''' || u.at || ''', ' || u.amount_cents || ')' {hours}"
    );
    copy(&mut company, &right, &mut maria, "billed_hours").await;
    let checks = demo.join("checks");
    std::fs::write(
        folder.path().join("allswell.yaml"),
        format!(
            "checks: [{}]\nsources:\n  company: {{url: \"{}\", password: \"${{env:PW}}\", connections: 4}}\n  \
             billing: {{url: \"{}\", password: \"${{env:PW}}\", connections: 4}}\n",
            checks.join("reconciliation.yaml").display(),
            usage.url(),
            billing.url()
        ),
    )
    .unwrap();
    let clean = year(folder.path());
    assert!(clean.len() > 5 * 365, "{}", clean.len());
    assert!(clean.iter().all(|(_, violated)| !violated));
    // The billing system's own year.
    maria.run("delete from billed_hours").await.unwrap();
    let wrong = format!(
        "select '(' || account_id || ', ''' || time_zone || ''', ''' || at || ''', ' || cents || ')' \
         from billed_hours where time_zone in {ZONES}"
    );
    copy(&mut billed, &wrong, &mut maria, "billed_hours").await;
    let frozen = pg.texts("select distinct time_zone || ' ' || utc_offset from accounts").await;
    let frozen: BTreeSet<String> = frozen.into_iter().collect();
    let (mut violated, mut halves) = (0, 0);
    for ((zone, date, offset), is_violated) in year(folder.path()) {
        let in_the_weeks = ("2025-10-01"..="2025-12-13").contains(&date.as_str());
        let expected = in_the_weeks && !frozen.contains(&format!("{zone} {offset}"));
        assert_eq!(is_violated, expected, "{zone} {date} {offset}");
        violated += usize::from(is_violated);
        let changes = clean.iter().filter(|((z, d, _), _)| *z == zone && *d == date).count() > 1;
        halves += usize::from(is_violated && changes);
    }
    assert!(violated > 150 && halves >= 4, "{violated} violated, {halves} on a day of a change");
}
