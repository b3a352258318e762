//! Ways by which a table could pass for right and is not: names that hide each other, dates that no calendar has, values
//! that are none, windows that are cut by the wrong column.

use std::sync::Arc;

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use allswell::clock;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Outcome, Task, round};

use crate::lab::{Database, ENGINES, checks, look, shown, zones};

fn yaml(rules: &[&str]) -> String {
    let check = |(i, rules): (usize, &&str)| format!("  - {{id: c-{i}, why: w, {rules}}}\n");
    let all: String = rules.iter().enumerate().map(check).collect();
    format!("version: 1\nowner: tests\ndefaults: {{source: db, timeout: 20s}}\nchecks:\n{all}")
}

/// What is said of each, in the order of the rules.
async fn said(db: &Database, rules: &[&str]) -> Vec<String> {
    let outcomes = look(db.source(), &yaml(rules)).await;
    let said = |i: usize| {
        let id = format!("c-{i}");
        let outcome = outcomes.iter().find(|outcome| outcome.check.id.as_str() == id).unwrap();
        shown(&outcome.judgement.verdict)
    };
    (0..rules.len()).map(said).collect()
}

/// What is said of one local day.
async fn of_day(db: &Database, rules: &str, day: &str) -> String {
    let check = checks(db.engine(), &yaml(&[rules])).remove(0);
    let series = Series::of(&check, &|name: &_| zones().rules(name)).unwrap().remove(0);
    let (rule, zone) = (series.window().unwrap(), &series.home.rules);
    let date: NaiveDate = day.parse().unwrap();
    let window = rule.frame.span_of(zone, date).windows(zone, rule.split).remove(0);
    let source = db.source();
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let tasks = [Task::window(&series, window)];
    let outcomes = round(&tasks, &sources, clock::now(), &CancellationToken::new(), |_| {}).await;
    shown(&outcomes[0].judgement.verdict)
}

#[tokio::test]
async fn no_name_hides_another_and_nothing_but_null_proves_nothing() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare(
            "create table known (id integer, parent_id integer); insert into known values (1, 1), (2, 99);
             create table c (cid integer); insert into c values (7);
             create table hollow (a integer, id integer); insert into hollow values (null, 1), (null, 1);
             create table hollow_too (id integer)",
        )
        .await;
        let instant = if engine == Engine::Postgres { "timestamp" } else { "varchar(30)" };
        db.prepare(&format!(
            "create table dated (at {instant}); insert into dated values ('2001-01-01 00:00:00')"
        ))
        .await;
        let words = said(
            &db,
            &[
                "table: known, columns: {parent_id: {in: known.id}}",
                "table: known, columns: {parent_id: {in: c.cid}}",
                "table: hollow, columns: {a: {unique: true}}",
                "table: hollow, columns: {a: {in: c.cid}}",
                "table: hollow, unique: [[a, id]]",
                "table: hollow, columns: {a: {nulls: only}}",
                "table: hollow_too, newest: {of: id, within: 2h}, evidence: {min: 0, because: w}",
                "table: dated, columns: {at: {min: now + 99999999d}}",
            ],
        )
        .await;
        for (said, wanted) in words.iter().zip([
            "violated: parent_id: expected one of known.id, broken on 1 of 2 rows",
            "violated: parent_id: expected one of c.cid, broken on 2 of 2 rows",
            "no_evidence",
            "no_evidence",
            "no_evidence",
            "confirmed",
            "violated: id: expected at least now - 2h",
            "query_error: the limit of `at` is an instant that no calendar has",
        ]) {
            assert!(said.starts_with(wanted), "{engine}: {said}");
        }
    }
}

#[tokio::test]
async fn a_column_that_is_no_date_cuts_no_days() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let kind = match engine {
            Engine::Postgres => "timestamp",
            Engine::MySql => "datetime",
            Engine::Sqlite => "text",
        };
        db.prepare(&format!(
            "create table Mixed (id integer, c {kind});
             insert into Mixed values (1, '2026-03-08 00:00:00'), (999, '2026-03-08 10:00:00')"
        ))
        .await;
        let table = if engine == Engine::Postgres { "mixed" } else { "Mixed" };
        for zone in ["UTC", "Europe/Berlin"] {
            let rules = format!(
                "table: {table}, on: c, window: {{period: day, zone: {zone}}}, columns: {{id: {{max: 100}}}}"
            );
            let said = of_day(&db, &rules, "2026-03-08").await;
            assert!(said.starts_with("query_error"), "{engine} {zone}: {said}");
        }
        // What is newest is not of the future either where windows are looked at.
        db.prepare(&format!(
            "create table later (at {kind}, c {kind}); insert into later values ('2026-03-08 10:00:00', '2037-01-01 00:00:00')"
        ))
        .await;
        let rules =
            "table: later, at: at, window: {period: day, zone: UTC}, newest: {of: c, within: 2h}";
        let said = of_day(&db, rules, "2026-03-08").await;
        assert!(said.starts_with("violated: c: expected at most now + 5m"), "{engine}: {said}");
    }
}

#[tokio::test]
async fn mariadb_names_what_no_calendar_and_no_expression_decides() {
    let db = Database::new(Engine::MySql).await;
    db.prepare(
        "set session sql_mode = 'ALLOW_INVALID_DATES';
         create table days (c date, at datetime, plain date);
         insert into days values ('2019-06-01', '2019-06-01 10:00:00', '2019-06-01'),
           ('2020-05-00', '2020-02-31 10:00:00', '2020-02-29'), ('2021-01-01', '2021-01-01 00:00:00', '2021-01-01');
         create table Cut (id integer, c date); insert into Cut values (1, '2026-03-09'), (999, '2026-03-08');
         create table texts (t varchar(80)); insert into texts values (concat(repeat('x', 40), 'zzz'));
         create table latin (t varchar(20) character set latin1); insert into latin values ('é')",
    )
    .await;
    let words = said(
        &db,
        &[
            "table: days, columns: {c: {min: 2019-01-01}}",
            "table: days, columns: {at: {max: 2030-01-01}}",
            "table: days, columns: {plain: {min: 2019-01-01}}",
            "table: texts, columns: {t: {pattern: '(x+x+)+y|zzz'}}",
            "table: latin, columns: {t: {pattern: '^[éα]$'}}",
        ],
    )
    .await;
    for (said, wanted) in words.iter().zip([
        "violated: c: expected at least 2019-01-01, and a date of the calendar, broken on 1 of 3 rows",
        "violated: at: expected at most 2030-01-01, and a date of the calendar, broken on 1 of 3 rows",
        "confirmed",
        "query_error: the server gave a regular expression up",
        "confirmed",
    ]) {
        assert!(said.starts_with(wanted), "{said}");
    }
    let rules = "table: Cut, at: c, window: {period: day, zone: America/New_York}, columns: {id: {max: 100}}";
    let said = of_day(&db, rules, "2026-03-08").await;
    assert!(said.starts_with("query_error"), "{said}");
}

#[tokio::test]
async fn values_of_two_minds_are_held_against_their_rules() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare(
        "create type address as (s text, z text);
         create table homes (c address); insert into homes values (row('a', null)), (row('a', null));
         create table files (b bytea, n numeric); insert into files values ('\\x00', 3), ('\\x01', 70), ('\\x01', 80)",
    )
    .await;
    let words = said(
        &db,
        &[
            "table: homes, columns: {c: {unique: true}}",
            "table: files, columns: {b: {one_of: [a]}}",
            "table: files, columns: {n: {max: 50}}, samples: {columns: [nope]}",
        ],
    )
    .await;
    assert!(words[0].starts_with("violated: c: 1 value is there more than once"), "{}", words[0]);
    assert!(words[1].starts_with("unsupported_type: ") && words[1].contains("`b`"), "{}", words[1]);
    let outcomes = look(db.source(), &yaml(&["table: files, columns: {n: {max: 50}}"])).await;
    let rows = |outcome: &Outcome| match &outcome.judgement.verdict {
        Verdict::Violated(finding) => finding.rows.clone(),
        other @ (Verdict::Confirmed | Verdict::Unconfirmed(_)) => panic!("{other:?}"),
    };
    // Not the next lower one, which is within the limit.
    assert_eq!(rows(&outcomes[0]), ["n=80", "n=70"]);
    let outcomes = look(
        db.source(),
        &yaml(&["table: files, columns: {n: {max: 50}}, samples: {columns: [nope]}"]),
    )
    .await;
    assert!(
        rows(&outcomes[0])[0].contains("the rows could not be read"),
        "{:?}",
        rows(&outcomes[0])
    );

    let db = Database::new(Engine::Sqlite).await;
    db.prepare(
        "create table nul (t text); insert into nul values ('a' || char(0) || 'bcdefgh');
         create table forms (at text);
         insert into forms values (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')), (date('now') || ' 00:00:00')",
    )
    .await;
    let words = said(
        &db,
        &[
            "table: nul, columns: {t: {length: {max: 3}}}",
            "table: forms, newest: {of: at, within: 2h}",
        ],
    )
    .await;
    for (said, wanted) in words.iter().zip([
        "unsupported_type: `t` has texts with a NUL character",
        "unsupported_type: `at` keeps instants in several forms",
    ]) {
        assert!(said.starts_with(wanted), "{said}");
    }
}
