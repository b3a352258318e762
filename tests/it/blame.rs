//! What is of a query is of that query alone: its source answers others, and nobody calls it down.

use std::fs;
use std::time::Duration;

use allswell::domain::check::reason::Reason;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;

use crate::lab::{Database, look, one_check, shown, source_at, verdict};
use crate::servers::MariaDb;
use crate::watchman::Site;

const COUNTED: &str = "expect:\n  values:\n    n: {min: 1}";

async fn reason(db: &Database, sql: &str) -> Reason {
    let outcomes = look(db.source(), &one_check(sql, COUNTED)).await;
    match &outcomes[0].judgement.verdict {
        Verdict::Unconfirmed(reason) => reason.clone(),
        other @ (Verdict::Confirmed | Verdict::Violated(_)) => panic!("{sql}: {}", shown(other)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_connection_that_a_query_raises_is_of_the_query() {
    let db = Database::new(Engine::Postgres).await;
    for state in ["08000", "08001", "08006", "08P01", "28P01", "53300", "57P01", "57P03"] {
        db.prepare(&format!(
            "create or replace function f() returns integer language plpgsql as \
             $$ begin raise exception 'no' using errcode = '{state}'; end $$"
        ))
        .await;
        let reason = reason(&db, "select f() as n").await;
        assert_eq!(reason.cause.as_str(), "query_error", "{state}: {reason:?}");
        assert!(reason.note.contains(state), "{reason:?}");
    }
    // Where the session itself is gone, nobody knows whether the server is.
    let gone = "select pg_terminate_backend(pg_backend_pid()) as n";
    let gone = one_check(gone, COUNTED).replace("pg_terminate_backend(", "end_me(");
    db.admin()
        .await
        .run(
            "create function end_me(integer) returns integer security definer language sql as \
             'select case when pg_terminate_backend($1) then 1 else 0 end'",
        )
        .await
        .unwrap();
    let outcomes = look(db.source(), &gone).await;
    let Verdict::Unconfirmed(reason) = &outcomes[0].judgement.verdict else {
        panic!("{outcomes:?}")
    };
    assert!(reason.is_of_the_source() && reason.cause.as_str() == "connect", "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_of_mariadb() {
    let db = Database::new(Engine::MySql).await;
    for number in [1040, 1053, 1152, 1158, 1203, 1226, 1045] {
        db.prepare(&format!(
            "create or replace function f() returns int deterministic begin \
             signal sqlstate '08S01' set mysql_errno = {number}; return 1; end"
        ))
        .await;
        let reason = reason(&db, "select f() as n").await;
        assert!(!reason.is_of_the_source(), "{number}: {reason:?}");
        assert!(reason.note.contains(&number.to_string()), "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_role_may_not_read_says_nothing_of_the_source() {
    let db = Database::new(Engine::Postgres).await;
    db.admin().await.run("create table secret (n integer)").await.unwrap();
    let seen = reason(&db, "select n from secret").await;
    assert!(seen.cause.as_str() == "auth" && !seen.is_of_the_source(), "{seen:?}");

    let db = Database::new(Engine::MySql).await;
    let seen = reason(&db, "select host as n from mysql.user").await;
    assert!(seen.cause.as_str() == "auth" && !seen.is_of_the_source(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_ran_as_long_as_its_limit_is_late_whatever_it_answered() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare(
        "create function f() returns integer language plpgsql as $$ begin \
         perform pg_sleep(60); return 1; exception when query_canceled then return 7; end $$",
    )
    .await;
    let seen = reason(&db, "select f() as n").await;
    assert_eq!(seen.cause.as_str(), "timeout", "{seen:?}");
    let said = verdict(db.source(), "select 1 + 0 as n", COUNTED).await;
    assert_eq!(said, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_looked_at_again_and_what_it_does_not_need_is_named() {
    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { name, port } = &db else { unreachable!("a PostgreSQL") };
    let mut admin = db.admin().await;
    admin.run(&format!("grant pg_write_server_files to {name}")).await.unwrap();
    let source = std::sync::Arc::new(source_at(&db.url(), 2));
    let said = async |source: &std::sync::Arc<allswell::source::Source>| {
        let checks = crate::lab::checks(Engine::Postgres, &one_check("select 1 + 0 as n", COUNTED));
        let name = allswell::domain::check::name::SourceName::parse("db").unwrap();
        let sources = std::sync::Arc::new(allswell::engine::asking::Sources::from([(
            name,
            std::sync::Arc::clone(source),
        )]));
        let stop = tokio_util::sync::CancellationToken::new();
        let tasks = crate::lab::tasks(&checks);
        let now = allswell::clock::now();
        let outcomes = allswell::engine::round::round(&tasks, &sources, now, &stop, |_| {}).await;
        shown(&outcomes[0].judgement.verdict)
    };
    assert!(said(&source).await.starts_with("refused"), "{port}");
    // Somebody mends it, and nothing is started anew.
    admin.run(&format!("revoke pg_write_server_files from {name}")).await.unwrap();
    assert_eq!(said(&source).await, "confirmed");
    let powers = source.remark().unwrap();
    assert!(powers.contains("owns the database"), "{powers}");
    let plain = format!("{name}_plain");
    for sql in [
        format!("create role {plain} login password 'watch' noinherit"),
        format!("create role {plain}_writers"),
        format!(
            "create sequence numbers; create table booked (n int); create table kept (n int); grant insert on kept to {plain}_writers"
        ),
    ] {
        admin.run(&sql).await.unwrap();
    }
    let url = format!("postgres://{plain}@127.0.0.1:{port}/{name}");
    for (grant, told) in [
        ("select on booked".to_owned(), None),
        ("create on schema public".to_owned(), Some("to create objects in the schema public")),
        ("update on sequence numbers".to_owned(), Some("to move the sequence numbers")),
        ("insert on booked".to_owned(), Some("to write to booked")),
        ("trigger on booked".to_owned(), Some("to put triggers or foreign keys on booked")),
        ("references (n) on booked".to_owned(), Some("triggers or foreign keys on booked")),
        (format!("{plain}_writers"), Some("to write to kept")),
        ("pg_signal_backend".to_owned(), Some("a member of pg_signal_backend")),
        (format!("create on database {name}"), Some("to create schemas in the database")),
    ] {
        admin.run(&format!("grant {grant} to {plain}")).await.unwrap();
        // What was found is relied on for a minute; this one has found nothing yet.
        let source = std::sync::Arc::new(source_at(&url, 1));
        assert_eq!(said(&source).await, "confirmed");
        let powers = source.remark();
        let is_told = told.is_none_or(|told| powers.as_ref().is_some_and(|p| p.contains(told)));
        assert!(is_told && powers.is_some() == told.is_some(), "{grant}: {powers:?}");
        admin.run(&format!("revoke {grant} from {plain}")).await.unwrap();
    }

    let db = Database::mariadb(MariaDb::shared()).await;
    let source = std::sync::Arc::new(db.source());
    assert_eq!(said(&source).await, "confirmed");
    let powers = source.remark().unwrap();
    assert!(powers.contains("ALL PRIVILEGES on"), "{powers}");
}

#[test]
fn a_secret_that_cannot_be_read_locks_one_source_out_and_no_other() {
    let check = |id: &str, source: &str| {
        format!(
            "  - {{id: {id}, why: because, source: {source}, sql: select 1 + 0 as n, \
             expect: {{values: {{n: {{min: 1}}}}}}}}\n"
        )
    };
    let checks = format!(
        "version: 1\nowner: tests\ndefaults: {{schedule: {{every: 1s}}, result_by: 5s}}\nchecks:\n{}{}",
        check("here", "db"),
        check("there", "locked")
    );
    let settings = "sources:\n  db: {url: \"sqlite:data.db\", instants: sql}\n  \
                    locked: {url: \"postgres://u@127.0.0.1:1/d\", password: \"${file:gone}\"}\n";
    let site = Site::new(settings, &checks);
    fs::write(site.path().join("data.db"), "").unwrap();
    let daemon = site.start();
    daemon.until(Duration::from_secs(30), |daemon| {
        let last = |id: &str| daemon.series(id).first().cloned().unwrap_or_default();
        let (here, there) = (last("here"), last("there"));
        let cause = there["last"]["cause"].as_str() == Some("auth");
        if here["state"] == "confirmed" && cause { Ok(()) } else { Err((here, there)) }
    });
    assert!(daemon.log().contains("password of source `locked`"), "{}", daemon.log());
    assert!(daemon.stop().success());
}
