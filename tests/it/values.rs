//! What values mean: one rule for `values`, `keys` and `reconcile`, whatever types bring them.

use allswell::domain::check::limit::{Limit, LimitParts};
use allswell::domain::check::number::Number;
use allswell::domain::check::value::{Value, date, instant};
use allswell::domain::reconcile::cell::Cell;
use allswell::domain::sql::Engine;
use allswell::source::Instants;

use crate::bounds::sqlite_with;
use crate::lab::{Database, ENGINES, look, shown};

/// Values of every kind, each beside the text that a person would write for it.
fn values() -> Vec<(Value, &'static str)> {
    let number = |text: &str| Value::Number(Number::parse(text).unwrap());
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        (number("1"), "1"),
        (number("0"), "0"),
        (number("7"), "7.0"),
        (number("-12.50"), "-12.5"),
        (text("1"), "1"),
        (text("007"), "007"),
        (text("7"), "7"),
        (text("a"), "a"),
        (text("true"), "true"),
        (text("2026-03-08"), "2026-03-08"),
        (text("2026-03-08 00:00:00"), "2026-03-08 00:00:00"),
        (text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        (text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (text("d41d8cd98f00b204e9800998ecf8427e"), "d41d8cd98f00b204e9800998ecf8427e"),
        (text("D41D8CD98F00B204E9800998ECF8427E"), "D41D8CD98F00B204E9800998ECF8427E"),
        (Value::Bool(true), "true"),
        (Value::Bool(false), "False"),
        (Value::Date(date("2026-03-08").unwrap()), "2026-03-08"),
        (Value::Instant(instant("2026-03-08T05:00:00Z").unwrap()), "2026-03-08T05:00:00Z"),
    ]
}

fn limit(parts: &LimitParts<'_>) -> Limit {
    Limit::new(parts).unwrap()
}

#[test]
fn equals_and_not_equals_are_opposites_and_what_reconcile_calls_equal_equals_accepts() {
    for (a, written) in values() {
        let equals = limit(&LimitParts { equals: Some(written), ..Default::default() });
        let one_of =
            limit(&LimitParts { one_of: Some(vec![written, "zzz"]), ..Default::default() });
        let not_equals = limit(&LimitParts { not_equals: Some(written), ..Default::default() });
        assert!(equals.holds(&a), "{written} is {a}");
        for (b, _) in values() {
            let same = equals.holds(&b);
            assert_eq!(one_of.holds(&b), same, "{written} and {b}");
            if equals.understands(&b) {
                assert_ne!(not_equals.holds(&b), same, "{written} and {b}");
            } else {
                assert!(!same && !not_equals.holds(&b), "{written} and {b}");
            }
            let (ours, theirs) = (Cell::new(a.clone(), false), Cell::new(b.clone(), false));
            let cells = ours.is_same(&theirs, [None, None]);
            assert_eq!(cells, theirs.is_same(&ours, [None, None]), "{a} and {b}");
            if cells {
                assert!(same, "{a} and {b} are one to `reconcile`, and two to `equals: {written}`");
            }
        }
    }
    // Hashes are texts: only what is written as a UUID is one.
    let hash = limit(&LimitParts {
        equals: Some("d41d8cd98f00b204e9800998ecf8427e"),
        ..Default::default()
    });
    assert!(!hash.holds(&Value::Text("D41D8CD98F00B204E9800998ECF8427E".into())));
}

async fn words(db: &Database, checks: &str) -> Vec<String> {
    let yaml = format!("version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n{checks}");
    let source = match db.engine() {
        Engine::Sqlite => sqlite_with(db, Instants::EpochSecs),
        Engine::Postgres | Engine::MySql => db.source(),
    };
    look(source, &yaml).await.iter().map(|o| shown(&o.judgement.verdict)).collect()
}

fn check(number: usize, sql: &str, limit: &str) -> String {
    format!("  - {{id: c{number}, why: w, sql: \"{sql}\", expect: {{values: {{v: {limit}}}}}}}\n")
}

async fn hold(db: &Database, cases: &[(&str, &str, &str)]) {
    let checks: String =
        cases.iter().enumerate().map(|(i, (sql, limit, _))| check(i, sql, limit)).collect();
    for ((sql, limit, wanted), said) in cases.iter().zip(words(db, &checks).await) {
        assert!(said.starts_with(wanted), "{}: {sql}: {limit}: {said}", db.engine());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truth_uuids_and_times_are_what_they_are_in_every_engine() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (b integer, u varchar(40), note varchar(20))").await;
        db.prepare("insert into t values (1, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '')").await;
        hold(
            &db,
            &[
                ("select b > 0 as v from t", "{equals: true}", "confirmed"),
                ("select b > 0 as v from t", "{equals: True}", "confirmed"),
                ("select b < 0 as v from t", "{equals: true}", "violated"),
                (
                    "select u as v from t",
                    "{equals: a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
                    "confirmed",
                ),
                (
                    "select u as v from t",
                    "{not_equals: a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
                    "violated",
                ),
                ("select note as v from t", "{equals: ''}", "confirmed"),
                ("select note as v from t", "{not_equals: ''}", "violated"),
                ("select u as v from t", "{not_equals: ''}", "confirmed"),
                ("select note as v from t", "{one_of: ['', open]}", "confirmed"),
            ],
        )
        .await;
    }
    let pg = Database::new(Engine::Postgres).await;
    let uuid = "select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as v";
    hold(
        &pg,
        &[
            (uuid, "{equals: A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "confirmed"),
            (uuid, "{not_equals: A0EEBC999C0B4EF8BB6D6BB9BD380A11}", "violated"),
            ("select now() as v", "{min: now - 5m, max: now + 5m}", "confirmed"),
            ("select now() - interval '1 hour' as v", "{min: now - 5m}", "violated"),
            ("select now() + interval '1 hour' as v", "{max: now + 5m}", "violated"),
        ],
    )
    .await;
    let lite = Database::new(Engine::Sqlite).await;
    lite.prepare("create table t (at text, es integer)").await;
    lite.prepare("insert into t values ('2026-03-08 12:00:00', 1772971200)").await;
    hold(
        &lite,
        &[
            ("select at as v from t", "{min: 2026-03-08}", "confirmed"),
            ("select at as v from t", "{max: 2026-03-08}", "violated"),
            (
                "select es as v from t",
                "{min: '2026-03-08T00:00:00Z', max: '2026-03-08T13:00:00Z'}",
                "confirmed",
            ),
            ("select es as v from t", "{min: '2026-03-09T00:00:00Z'}", "violated"),
            ("select unixepoch('now') as v", "{min: now - 5m, max: now + 5m}", "confirmed"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_by_value_and_nothing_but_null_is_no_evidence() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (code varchar(40), paid_on date, n integer)").await;
        db.prepare("insert into t values ('1', null, 1), ('002', null, 2), ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', null, 3)").await;
        let keys = |from: &str, whole: &str| {
            format!(
                "  - {{id: k, why: w, sql: \"select code from t where {whole}\", expect: {{keys: {{columns: [code], from: {{sql: \"{from}\"}}}}}}}}\n"
            )
        };
        let numbers = keys("select 1 as code union all select 2", "n < 3");
        assert_eq!(words(&db, &numbers).await, ["confirmed"], "{engine}");
        let uuid = keys("select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' as code", "n = 3");
        assert_eq!(words(&db, &uuid).await, ["confirmed"], "{engine}");
        let missing = keys("select 1 as code union all select 3", "n < 3");
        assert!(words(&db, &missing).await[0].starts_with("violated"), "{engine}");
        hold(
            &db,
            &[("select paid_on as v from t", "{min: 2020-01-01, nulls: allowed}", "no_evidence")],
        )
        .await;
        // Beside a column that is there, an empty one may be.
        let both = "  - {id: b, why: w, sql: \"select paid_on, n from t\", expect: {values: {paid_on: {min: 2020-01-01, nulls: allowed}, n: {min: 1}}}}\n";
        assert_eq!(words(&db, both).await, ["confirmed"], "{engine}");
        let sides = "  - {id: r, why: w, evidence: {min: 1}, reconcile: {left: {sql: \"select n, paid_on from t\"}, right: {sql: \"select n, paid_on from t where n > 0\"}, key: [n], \
                     compare: {paid_on: {tolerance: 0}}, confirm_after: 0s}}\n";
        let said = words(&db, sides).await;
        assert!(
            said[0].starts_with("no_evidence") && said[0].contains("NULL"),
            "{engine}: {said:?}"
        );
    }
}
