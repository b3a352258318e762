//! The guards of a source: who may watch, what a blinded role says, what the environment may not.

use std::path::Path;
use std::time::Duration;

use allswell::domain::check::reason::Cause;
use allswell::domain::sql::Engine;

use crate::lab::{Database, ENGINES, cause, eventually, look, one_check, source_at, verdict};
use crate::servers::{MariaDb, PgBouncer, Postgres, mysqld};

pub(crate) const COUNTED: &str = "expect:\n  values:\n    n: {min: 1}";

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_proof_is_confirmed_on_every_engine() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (n integer); insert into t values (1), (2)").await;
        assert_eq!(verdict(db.source(), "select n from t", COUNTED).await, "confirmed", "{engine}");
        assert_eq!(
            verdict(db.source(), "select n from t where n > 1;", "expect:\n  rows: {equals: 2}")
                .await,
            "violated: rows: expected 2, saw 1",
            "{engine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_column_is_a_query_error_even_where_no_row_comes() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (n integer)").await;
        let rest = "expect:\n  values:\n    m: {min: 1}\nevidence: {min: 0, because: sparse}";
        let said = verdict(db.source(), "select n from t", rest).await;
        assert!(
            said.starts_with("query_error: the query brings no column `m`"),
            "{engine}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_blinded_by_row_level_security_never_confirms() {
    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { port, name } = &db else { unreachable!("a PostgreSQL") };
    let mut admin = db.admin().await;
    let sql = format!(
        "create table secrets (n integer); insert into secrets values (1); \
         alter table secrets enable row level security; grant select on secrets to {name}"
    );
    admin.run(&sql).await.unwrap();
    let zero = "expect:\n  rows: {equals: 0}\nevidence: {min: 0, because: none}";
    for (sql, rest) in
        [("select n from secrets where n < 0", zero), ("select n from secrets", COUNTED)]
    {
        let said = verdict(db.source(), sql, rest).await;
        assert!(said.starts_with("auth:") && said.contains("row-level security"), "{said}");
    }
    let bouncer = PgBouncer::before(Postgres::shared(), &[name], 2);
    let url = format!("postgres://{name}@127.0.0.1:{}/{name}", bouncer.port);
    let said = verdict(source_at(&url, 2), "select n from secrets where n < 0", zero).await;
    assert!(said.starts_with("auth:"), "{port}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_and_a_role_with_server_files_are_refused() {
    let server = Postgres::shared();
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let said = verdict(source_at(&url, 1), "select 1 + 0 as n", COUNTED).await;
    assert!(said.starts_with("refused: the role is a superuser"), "{said}");

    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { name, .. } = &db else { unreachable!("a PostgreSQL") };
    db.admin().await.run(&format!("grant pg_write_server_files to {name}")).await.unwrap();
    let said = verdict(db.source(), "select 1 + 0 as n", COUNTED).await;
    assert!(said.starts_with("refused: the role is a member of pg_write_server_files"), "{said}");

    for privilege in ["FILE", "SUPER"] {
        let db = Database::mariadb(MariaDb::shared()).await;
        let Database::MariaDb { name, .. } = &db else { unreachable!("a MariaDB") };
        db.admin().await.run(&format!("grant {privilege} on *.* to '{name}'@'%'")).await.unwrap();
        let said = verdict(db.source(), "select 1 + 0 as n", COUNTED).await;
        assert!(
            said.starts_with(&format!("refused: the user has the privilege {privilege}")),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_may_watch_where_the_operator_says_so() {
    use allswell::dsn::Dsn;
    use allswell::source::{Source, SourceSettings};
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", Postgres::shared().port);
    let source = Source::new(SourceSettings {
        connections: 1,
        timeout: Duration::from_secs(5),
        allow_superuser: true,
        ..SourceSettings::new(
            allswell::domain::check::name::SourceName::parse("db").unwrap(),
            Dsn::parse(&url, Path::new("/")).unwrap(),
        )
    });
    assert_eq!(verdict(source, "select 1 + 0 as n", COUNTED).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_checks_share_few_connections_through_a_pooler() {
    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { name, .. } = &db else { unreachable!("a PostgreSQL") };
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let bouncer = PgBouncer::before(Postgres::shared(), &[name], 2);
    let url = format!("postgres://{name}@127.0.0.1:{}/{name}", bouncer.port);
    let mut yaml = String::from("version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n");
    for i in 0..200 {
        yaml.push_str(&format!(
            "  - {{id: c{i}, why: w, sql: \"select n from t where {i} >= 0\", \
             expect: {{values: {{n: {{equals: 1}}}}}}, \
             evidence: {{sql: \"select count(*) from t\"}}}}\n"
        ));
    }
    let outcomes = look(source_at(&url, 8), &yaml).await;
    let bad: Vec<_> = outcomes.iter().filter(|o| cause(o).is_some()).collect();
    assert!(outcomes.len() == 200 && bad.is_empty(), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_us_gets_through() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t select generate_series(1, 100)").await;
    let source = db.source();
    let yaml = one_check(
        "select count(*) as n from t a, t b, t c, t d, t e, t f",
        "expect:\n  values:\n    n: {min: 1}\ntimeout: 30s",
    );
    let looking = tokio::spawn(async move { look(source, &yaml).await });
    let mut admin = db.admin().await;
    let held = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation \
                where c.relname = 't' and l.granted";
    eventually(Duration::from_secs(10), async || {
        let locks = admin.texts(held).await;
        if locks == ["0"] { Err(locks) } else { Ok(()) }
    })
    .await;
    let started = std::time::Instant::now();
    db.prepare("alter table t add column m integer").await;
    let waited = started.elapsed();
    let outcomes = looking.await.unwrap();
    assert_eq!(cause(&outcomes[0]), Some(Cause::Busy), "{outcomes:?}");
    assert!(waited < Duration::from_secs(6), "the owner waited {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_busy_and_not_a_verdict() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let mut owner = db.owner().await;
    owner.run("begin; lock table t in access exclusive mode").await.unwrap();
    let said = verdict(db.source(), "select n from t", COUNTED).await;
    assert!(said.starts_with("busy:"), "{said}");

    let db = Database::new(Engine::MySql).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let mut owner = db.owner().await;
    owner.run("lock tables t write").await.unwrap();
    let said = verdict(db.source(), "select n from t", COUNTED).await;
    assert!(said.starts_with("busy:"), "{said}");

    let db = Database::new(Engine::Sqlite).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let mut owner = db.owner().await;
    owner.run("begin exclusive; insert into t values (2)").await.unwrap();
    let said = verdict(db.source(), "select n from t", COUNTED).await;
    assert!(said.starts_with("busy:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_we_cannot_reach_is_named_by_its_cause() {
    let db = Database::new(Engine::Postgres).await;
    let Database::Postgres { port, name } = &db else { unreachable!("a PostgreSQL") };
    let closed = crate::servers::free_port();
    let cases = [
        (format!("postgres://{name}@127.0.0.1:{closed}/{name}"), "connect: "),
        (format!("mysql://{name}@127.0.0.1:{closed}/{name}"), "connect: "),
        (format!("postgres://{name}@127.0.0.1:{port}/nowhere"), "auth: there is no such database"),
        (format!("postgres://nobody@127.0.0.1:{port}/{name}"), "auth: "),
        (format!("mysql://nobody@127.0.0.1:{}/mysql", MariaDb::shared().port), "auth: "),
        (format!("postgres://{name}@127.0.0.1:{port}/{name}?sslmode=verify-full"), "connect: "),
        ("sqlite:/nowhere/at/all.db".to_owned(), "connect: /nowhere/at/all.db does not exist"),
        ("sqlite:/etc/passwd".to_owned(), "connect: the file is not an SQLite database"),
    ];
    for (url, wanted) in cases {
        let said = verdict(source_at(&url, 1), "select 1 + 0 as n", COUNTED).await;
        assert!(said.starts_with(wanted), "{url}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_that_was_replaced_is_read_anew() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let Database::Sqlite { path, .. } = &db else { unreachable!("an SQLite") };
    let source = db.source();
    let yaml = one_check("select n from t", "expect:\n  values:\n    n: {equals: 1}");
    let checks = crate::lab::checks(Engine::Sqlite, &yaml);
    let sources = [(source.name().clone(), std::sync::Arc::new(source))].into();
    let sources = std::sync::Arc::new(sources);
    let stop = tokio_util::sync::CancellationToken::new();
    let now = allswell::clock::now();
    let before =
        allswell::engine::round::round(&crate::lab::tasks(&checks), &sources, now, &stop, |_| {})
            .await;
    assert_eq!(crate::lab::shown(&before[0].judgement.verdict), "confirmed");
    let other = Database::new(Engine::Sqlite).await;
    other.prepare("create table t (n integer); insert into t values (2)").await;
    let Database::Sqlite { path: new, .. } = &other else { unreachable!("an SQLite") };
    std::fs::rename(new, path).unwrap();
    let after =
        allswell::engine::round::round(&crate::lab::tasks(&checks), &sources, now, &stop, |_| {})
            .await;
    assert!(crate::lab::shown(&after[0].judgement.verdict).starts_with("violated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_only_as_far_as_its_certificate_goes() {
    let (server, ca) = Postgres::start_with_tls();
    let db = Database::postgres(&server).await;
    let (name, port, ca) = (db.name(), server.port, ca.display());
    let cases = [
        (format!("localhost:{port}/{name}?sslmode=verify-full&sslrootcert={ca}"), "confirmed"),
        (
            format!("127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={ca}"),
            "connect: TLS failed",
        ),
        (format!("127.0.0.1:{port}/{name}?sslmode=verify-ca&sslrootcert={ca}"), "confirmed"),
        (format!("localhost:{port}/{name}?sslmode=verify-ca"), "connect: TLS failed"),
        (format!("localhost:{port}/{name}?sslmode=verify-full"), "connect: TLS failed"),
        (format!("localhost:{port}/{name}?sslmode=require"), "confirmed"),
        (format!("localhost:{port}/{name}?sslrootcert={ca}"), "confirmed"),
        (format!("localhost:{port}/{name}?sslmode=disable"), "auth: "),
    ];
    for (rest, wanted) in cases {
        let url = format!("postgres://{name}@{rest}");
        let said = verdict(source_at(&url, 1), "select 1 + 0 as n", COUNTED).await;
        assert!(said.starts_with(wanted), "{url}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_evidence_query_switches_off_is_on_again_for_the_check() {
    let db = Database::new(Engine::Postgres).await;
    let name = db.name();
    let sql = format!(
        "create table hidden (id integer, who text); insert into hidden values (1, '{name}'), (2, 'x'); \
         alter table hidden enable row level security; \
         create policy own on hidden using (who = current_user); grant select on hidden to {name}"
    );
    db.admin().await.run(&sql).await.unwrap();
    db.prepare(
        "create function blind() returns integer language plpgsql as $f$ begin \
         perform set_config('row_security', 'on', true); return 5; end $f$",
    )
    .await;
    let rest = "expect:\n  rows: {equals: 0}\nevidence: {sql: select blind()}";
    let said = verdict(db.source(), "select id from hidden where id = 2", rest).await;
    assert!(said.starts_with("auth:"), "{said}");

    let db = Database::new(Engine::MySql).await;
    db.prepare("create table t (n integer); insert into t values (0), (-1), (-2), (-3)").await;
    db.prepare(
        "create function short() returns integer begin set session sql_select_limit = 1; \
         return 5; end",
    )
    .await;
    let rest = "expect:\n  values:\n    n: {min: 0}\nevidence: {sql: select short()}";
    let said = verdict(db.source(), "select n from t order by n desc", rest).await;
    assert!(said.starts_with("violated: n: expected at least 0, broken on 3 of 4 rows"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_that_comes_by_a_role_is_power() {
    let db = Database::new(Engine::Postgres).await;
    let name = db.name();
    let sql = format!("create role boss_{name} superuser; grant boss_{name} to {name}");
    db.admin().await.run(&sql).await.unwrap();
    let said = verdict(db.source(), "select 1 + 0 as n", COUNTED).await;
    assert!(said.starts_with("refused: the role is a member of boss_"), "{said}");

    let db = Database::new(Engine::MySql).await;
    let name = db.name();
    let mut admin = db.admin().await;
    let to = if mysqld().is_some() { "to" } else { "for" };
    for sql in [
        format!("create role files_{name}"),
        format!("grant file on *.* to files_{name}"),
        format!("grant files_{name} to '{name}'@'%'"),
        format!("set default role files_{name} {to} '{name}'@'%'"),
    ] {
        admin.run(&sql).await.unwrap();
    }
    let said = verdict(db.source(), "select 1 + 0 as n", COUNTED).await;
    assert!(said.starts_with("refused: the user has the privilege FILE"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_closed_write_ahead_log_is_left_alone() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare("pragma journal_mode = wal; create table t (n integer); insert into t values (1)")
        .await;
    let Database::Sqlite { path, .. } = &db else { unreachable!("an SQLite") };
    assert_eq!(verdict(db.source(), "select n from t", COUNTED).await, "confirmed");
    // Only root can give a file away; elsewhere there is nothing to see.
    for leftover in ["data.db-shm", "data.db-wal"] {
        drop(std::fs::remove_file(path.with_file_name(leftover)));
    }
    if std::os::unix::fs::chown(path, Some(12_345), None).is_ok() {
        let said = verdict(db.source(), "select n from t", COUNTED).await;
        assert!(said.starts_with("refused: the database is in WAL mode"), "{said}");
        assert!(!path.with_file_name("data.db-shm").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_a_transaction_that_is_left_idle() {
    let db = Database::postgres(Postgres::shared()).await;
    db.prepare(
        "create function slow() returns integer language sql as 'select 1 from pg_sleep(2)'",
    )
    .await;
    let folder = crate::cli::project(
        &db.url(),
        &one_check("select slow() as n", "timeout: 20s\nexpect: {values: {n: {equals: 1}}}"),
    );
    let settings =
        format!("sources: {{db: {{url: \"{}\", password: \"${{env:WATCH}}\"}}}}\n", db.url());
    std::fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let process =
        crate::servers::Process::start(Path::new(env!("CARGO_BIN_EXE_allswell")), |command| {
            command.arg("run").current_dir(folder.path()).env("WATCH", "watch");
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        });
    let mut admin = db.admin().await;
    let states = format!(
        "select state from pg_stat_activity where usename = '{}' and xact_start is not null and query like '%slow()%'",
        db.name()
    );
    let mut until = async |wanted: &[&str]| {
        eventually(Duration::from_secs(30), async || {
            let seen = admin.texts(&states).await;
            if seen == wanted { Ok(()) } else { Err(seen) }
        })
        .await;
    };
    until(&["active"]).await;
    // Frozen, it neither reads the answer nor ends the transaction.
    process.signal("STOP");
    until(&["idle in transaction"]).await;
    until(&[]).await;
    process.signal("KILL");
}
