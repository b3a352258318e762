//! What an administrator sets for the sessions of a server, a database or a role changes no verdict: it is set anew, or the
//! attempt says why it proves nothing.

use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::dsn::Dsn;
use allswell::source::{Source, SourceSettings};
use secrecy::SecretString;

use crate::guards::COUNTED;
use crate::lab::{Database, look_again, maria_admin, one_check, shown, source_at, verdict};
use crate::servers::{MariaDb, mysqld};

/// No row, of those that there are.
const NONE: &str = "expect:\n  rows: {equals: 0}\nevidence: {sql: select count(*) from t}";

fn equals(text: &str) -> String {
    format!("expect:\n  values:\n    v: {{equals: {}}}", serde_json::json!(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_of_postgresql_begins_with_changes_no_verdict() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t values (1), (2)").await;
    let mut admin = db.admin().await;
    for setting in [
        "extra_float_digits = 0",
        "bytea_output = escape",
        "IntervalStyle = iso_8601",
        "DateStyle = 'SQL, DMY'",
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "gin_fuzzy_search_limit = 1",
        "default_transaction_isolation = serializable",
        "default_transaction_deferrable = on",
    ] {
        admin.run(&format!("alter role {} set {setting}", db.name())).await.unwrap();
    }
    for (sql, text) in [
        (
            "select (n * 0.1::float8 + 0.2::float8)::text as v from t where n = 1",
            "0.30000000000000004",
        ),
        ("select '\\xff'::bytea::text || n as v from t where n = 1", "\\xff1"),
        ("select (n * interval '26 hours')::text as v from t where n = 1", "26:00:00"),
        ("select (date '2026-02-01' + n)::text as v from t where n = 1", "2026-02-02"),
        ("select 'a\\' || n as v from t where n = 1", "a\\1"),
        ("select current_setting('gin_fuzzy_search_limit') || n as v from t where n = 1", "01"),
        (
            "select current_setting('transaction_isolation') || n as v from t where n = 1",
            "read committed1",
        ),
    ] {
        assert_eq!(verdict(db.source(), sql, &equals(text)).await, "confirmed", "{sql}");
    }
    assert_eq!(verdict(db.source(), "select n from t where n = null", NONE).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_reads_damaged_pages_as_empty_ones_proves_nothing() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let sql = format!("alter role {} set zero_damaged_pages = on", db.name());
    db.admin().await.run(&sql).await.unwrap();
    let said = verdict(db.source(), "select n from t", COUNTED).await;
    assert!(said.starts_with("refused") && said.contains("zero_damaged_pages"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_the_search_path_that_is_passed_over_is_told_and_no_other_one_answers() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare(
        "create schema other; create table other.t (n integer); insert into other.t values (-1); \
         create table t (n integer); insert into t values (1)",
    )
    .await;
    let name = format!("{}_reads", db.name());
    let mut admin = db.admin().await;
    let grant = format!(
        "create role {name} login password 'watch'; grant usage on schema other to {name}; \
         grant select on all tables in schema other, public to {name}"
    );
    admin.run(&grant).await.unwrap();
    let url = db.url().replace(&format!("//{}@", db.name()), &format!("//{name}@"));
    let source = |schemas: &[&str]| {
        let dsn = Dsn::parse(&url, std::path::Path::new("/")).unwrap();
        Source::new(SourceSettings {
            password: Ok(Some(SecretString::from("watch"))),
            connections: 1,
            search_path: schemas.iter().map(|name| (*name).to_owned()).collect(),
            ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
        })
    };
    let none = "select n from t where n < 0";
    for (schemas, wanted) in [
        (&["other", "public"][..], "violated: rows"),
        (&["$user", "public"], "confirmed"),
        (&["othr", "public"], "auth: the server passes over what `search_path` names: othr"),
        (&["OTHER", "public"], "auth: the server passes over what `search_path` names: OTHER"),
    ] {
        let said = verdict(source(schemas), none, NONE).await;
        assert!(said.starts_with(wanted), "{schemas:?}: {said}");
    }
    admin.run(&format!("revoke usage on schema other from {name}")).await.unwrap();
    let said = verdict(source(&["other", "public"]), none, NONE).await;
    assert!(said.starts_with("auth: the server passes over"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_of_mysqls_kind_has_for_all_sessions_changes_no_verdict() {
    let server = MariaDb::start();
    let mut admin = maria_admin(server.port).await;
    for setting in ["sql_mode = ''", "div_precision_increment = 0", "max_sort_length = 65536"] {
        let sql = sqlx::AssertSqlSafe(format!("set global {setting}"));
        sqlx::raw_sql(sql).execute(&mut admin).await.unwrap();
    }
    let db = Database::mariadb(&server).await;
    db.prepare(
        "create table t (id int, a int, b int, v text); \
         insert into t values (1, 5, 0, concat(repeat('x', 1100), 'a')), (2, -5, 1, concat(repeat('x', 1100), 'b'))",
    )
    .await;
    for (sql, rest, wanted) in [
        ("select sum(a / b) as v from t", equals("-5"), "query_error"),
        (
            "select sum(id = 1) / 7 as n from t",
            "expect:\n  values:\n    n: {max: 0}".to_owned(),
            "violated",
        ),
        // Texts that begin alike for longer than the server sorts by default.
        (
            "select id from (select id, a, row_number() over (partition by v order by id) as k from t) as q \
             where k = 1 and a < 0",
            NONE.to_owned(),
            "violated",
        ),
    ] {
        let said = verdict(db.source(), sql, &rest).await;
        assert!(said.starts_with(wanted), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_reads_as_another_one_is_no_proof_whatever_it_warns_of() {
    let db = Database::new(Engine::MySql).await;
    db.prepare(
        "create table t (id int, doc text, amount varchar(20)); insert into t values (1, '{amount: -5}', '123456.7')",
    )
    .await;
    let mut all = vec![
        ("select id from t where cast(amount as decimal(5, 2)) > 1000", "1264"),
        ("select id from t where uncompress(doc) <> 'ok'", "1256"),
    ];
    if mysqld().is_none() {
        // MySQL makes these errors.
        all.push(("select id from t where json_extract(doc, '$.amount') < 0", "40"));
        all.push(("select id from t where from_base64(doc) <> ''", "1958"));
    }
    for (sql, code) in all {
        let said = verdict(db.source(), sql, NONE).await;
        assert!(said.starts_with("query_error") && said.contains(code), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_of_a_file_that_cannot_be_stopped_do_not_add_up() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    // One call that compares for seconds, and looks at nothing meanwhile.
    let slow = "select n from t where instr(hex(zeroblob(n * 1000000)), hex(zeroblob(n * 500000)) || 'b') > 0";
    let source = std::sync::Arc::new(source_at(&db.url(), 1));
    let mut said = Vec::new();
    for _ in 0..4 {
        let yaml = one_check(slow, NONE).replace("timeout: 2s", "timeout: 1s");
        said.push(shown(&look_again(&source, &yaml).await[0].judgement.verdict));
    }
    assert!(said[0].starts_with("timeout"), "{said:?}");
    assert!(said[3].starts_with("busy") && said[3].contains("cannot be stopped"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_role_that_only_reads_may_watch_and_one_by_whose_role_comes_more_may_not() {
    let db = Database::new(Engine::MySql).await;
    let name = db.name();
    let mut admin = db.admin().await;
    for sql in [
        "create table t (n integer)".to_owned(),
        format!("create role inner_{name}, outer_{name}"),
        format!("grant select on {name}.* to inner_{name}"),
        format!("grant inner_{name} to outer_{name}"),
        format!("grant outer_{name} to '{name}'@'%'"),
    ] {
        let sql = sql.replace("table t", &format!("table {name}.t"));
        admin.run(&sql).await.unwrap();
    }
    db.prepare("insert into t values (1)").await;
    assert_eq!(verdict(db.source(), "select n from t", COUNTED).await, "confirmed");
    admin.run(&format!("grant file on *.* to inner_{name}")).await.unwrap();
    let said = verdict(db.source(), "select n from t", COUNTED).await;
    assert!(said.starts_with("refused: the user has the privilege FILE"), "{said}");
}
