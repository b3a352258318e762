//! How far data is complete: by `complete_until`, and on standbys of PostgreSQL by what they have replayed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allswell::clock;
use allswell::domain::check::freshness::Freshness;
use allswell::domain::check::name::SourceName;
use allswell::domain::record::series::Series;
use allswell::domain::sql::{Binding, Engine, Query};
use allswell::domain::time::window::{Span, Window};
use allswell::dsn::Dsn;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Task, round};
use allswell::source::{Instants, Source, SourceSettings};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::bounds::look;
use crate::lab::{self, Database, ENGINES, Other, eventually, pg_admin, shown};
use crate::proxy::Proxy;
use crate::servers::{PgBouncer, Postgres};

/// Bad rows of a day, which are not there yet.
const DAY: &str = "version: 1\nowner: t\ndefaults: {source: db@}\nchecks:\n  - id: it\n    why: It.\n    \
    window: {period: day, zone: America/New_York}\n    \
    sql: select n from t where n < 0 and at >= :window_start and at < :window_end\n    \
    expect: {rows: {equals: 0}}\n    evidence: {min: 0, because: bad rows are rare}\n";

fn at_engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime",
        Engine::Sqlite => "text",
    }
}

/// A source whose settings say how far its data is complete.
fn says(db: &Database, sql: Option<&str>, max_lag: Option<Duration>) -> Source {
    let query = sql.map(|sql| Query::parse(sql, db.engine(), Binding::Nothing).unwrap());
    let password = (db.engine() != Engine::Sqlite).then(|| SecretString::from("watch"));
    let dsn = Dsn::parse(&db.url(), Path::new("/")).unwrap();
    Source::new(SourceSettings {
        password: Ok(password),
        instants: Some(Instants::Sql),
        freshness: Freshness { complete_until: query, max_lag },
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_waits_until_its_source_says_that_it_is_complete() {
    const LOG: &str = "select max(loaded_until) from load_log";
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let at = at_engine(engine);
        db.prepare(&format!("create table t (n integer, at {at})")).await;
        db.prepare(&format!("create table load_log (pipeline integer, loaded_until {at})")).await;
        let plain = DAY.replace('@', "");
        // The day of 9 March in New York ends at 04:00Z on the 10th.
        for (loaded, wanted) in [
            ("", "stale: `complete_until` answers NULL"),
            ("2026-03-10 03:59:59", "stale: the data is complete until 2026-03-10T03:59:59Z"),
            ("2026-03-10 04:00:00", "confirmed"),
        ] {
            db.prepare("delete from load_log").await;
            if !loaded.is_empty() {
                db.prepare(&format!("insert into load_log values (1, '{loaded}')")).await;
            }
            let said = look(says(&db, Some(LOG), None), &plain, "2026-03-09").await.remove(0);
            assert!(said.starts_with(wanted), "{engine:?} {loaded}: {said}");
        }
        // What a check says of its own pipeline comes before what its source says.
        let own =
            ", complete_until: {sql: select max(loaded_until) from load_log where pipeline = 2}";
        let own = DAY.replace('@', own);
        let said = look(says(&db, Some(LOG), None), &own, "2026-03-09").await.remove(0);
        assert!(said.starts_with("stale"), "{engine:?}: {said}");
        db.prepare("insert into load_log values (2, '2026-03-11 00:00:00')").await;
        let said = look(says(&db, None, None), &own, "2026-03-09").await.remove(0);
        assert_eq!(said, "confirmed", "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_instant_proves_nothing() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let at = at_engine(engine);
        db.prepare(&format!("create table t (n integer, at {at})")).await;
        db.prepare("insert into t values (1, '2026-03-10 12:00:00'), (2, '2026-03-11 12:00:00')")
            .await;
        let plain = DAY.replace('@', "");
        for sql in ["select 1 + 0", "select 'soon'", "select at from t", "select at from nowhere"] {
            let said = look(says(&db, Some(sql), None), &plain, "2026-03-09").await.remove(0);
            assert!(
                said.starts_with("query_error") && said.contains("complete_until"),
                "{engine:?} {sql}: {said}"
            );
        }
        // A load of years ahead would make each window complete for ever.
        db.prepare(&format!("create table loads (until {at})")).await;
        db.prepare("insert into loads values ('2037-01-01 00:00:00')").await;
        let loads = Some("select max(until) from loads");
        let said = look(says(&db, loads, None), &plain, "2026-03-09").await.remove(0);
        assert!(
            said.starts_with("query_error") && said.contains("days ahead"),
            "{engine:?}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_present_wants_data_that_is_as_fresh_as_it_may_lag() {
    const STOCK: &str = "select count(*) as n from t where n < 0";
    let yaml = lab::one_check(
        STOCK,
        "expect: {values: {n: {equals: 0}}}\nevidence: {sql: \"select count(*) from t\"}",
    );
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let at = at_engine(engine);
        db.prepare(&format!("create table t (n integer, at {at})")).await;
        let ago = |minutes| {
            let at = clock::now() - chrono::TimeDelta::minutes(minutes);
            at.format("%Y-%m-%d %H:%M:%S").to_string()
        };
        db.prepare(&format!("insert into t values (1, '{}')", ago(20))).await;
        for (max_lag, wanted) in [(Some(15), "stale"), (Some(30), "confirmed"), (None, "confirmed")]
        {
            let max_lag = max_lag.map(|minutes| Duration::from_secs(minutes * 60));
            let source = says(&db, Some("select max(at) from t"), max_lag);
            let outcomes = lab::look(source, &yaml).await;
            let said = shown(&outcomes[0].judgement.verdict);
            assert!(said.starts_with(wanted), "{engine:?} {max_lag:?}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_reconciliation_wait_for_their_sources() {
    let db = Database::new(Engine::Postgres).await;
    db.prepare("create table t (n integer, at timestamptz)").await;
    db.prepare("insert into t values (1, '2026-03-09 12:00:00+00')").await;
    let yaml = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: It.\n    \
        window: {period: day, zone: America/New_York}\n    reconcile:\n      \
        left: {sql: \"select n, count(*) as c from t where at >= :window_start and at < :window_end group by n\"}\n      \
        right: {sql: \"select n, sum(1) as c from t where at >= :window_start and at < :window_end group by n\"}\n      \
        key: [n]\n      compare: {c: {tolerance: 0.5}}\n      confirm_after: 0s\n";
    for (until, wanted) in [
        ("2026-03-10 03:00:00+00", "(db): the data is complete until"),
        ("2026-03-10 05:00:00+00", ""),
    ] {
        let sql = format!("select timestamptz '{until}'");
        let source = SourceSettings { connections: 2, ..settings(&db, &sql) };
        let said = look(Source::new(source), yaml, "2026-03-09").await.remove(0);
        assert!(said.contains(wanted), "{said}");
    }
}

fn settings(db: &Database, sql: &str) -> SourceSettings {
    let query = Query::parse(sql, db.engine(), Binding::Nothing).unwrap();
    let dsn = Dsn::parse(&db.url(), Path::new("/")).unwrap();
    SourceSettings {
        password: Ok(Some(SecretString::from("watch"))),
        freshness: Freshness { complete_until: Some(query), max_lag: None },
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    }
}

/// The verdict on the minute that ends now, at one of several servers.
async fn minute(server: &Postgres, db: &Database, direct: bool) -> String {
    let dsn = Dsn::parse(&address(server, db), Path::new("/")).unwrap();
    let source = Source::new(SourceSettings {
        password: Ok(Some(SecretString::from("watch"))),
        standby_is_direct: direct,
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    });
    at_present(source).await
}

/// The verdicts of several attempts that begin together, by a source of which nothing is known.
async fn several(url: &str) -> Vec<String> {
    let dsn = Dsn::parse(url, Path::new("/")).unwrap();
    let source = Source::new(SourceSettings {
        password: Ok(Some(SecretString::from("watch"))),
        connections: 8,
        freshness: Freshness { complete_until: None, max_lag: Some(Duration::from_millis(1)) },
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    });
    let yaml = lab::one_check(
        "select count(*) as n from t where n < 0",
        "expect: {values: {n: {equals: 0}}}\nevidence: {sql: \"select count(*) from t\"}",
    );
    let check = lab::checks(Engine::Postgres, &yaml).remove(0);
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let (tasks, stop) = (vec![Task::present(check); 8], CancellationToken::new());
    let outcomes = round(&tasks, &sources, clock::now(), &stop, |_| {}).await;
    outcomes.iter().map(|outcome| shown(&outcome.judgement.verdict)).collect()
}

fn address(server: &Postgres, db: &Database) -> String {
    format!("postgres://{name}@127.0.0.1:{port}/{name}", name = db.name(), port = server.port)
}

/// Looks at the minute that ends now.
async fn at_present(source: Source) -> String {
    const MINUTE: &str = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: It.\n    \
        window: {period: 1m}\n    \
        sql: select n from t where n < 0 and at >= :window_start and at < :window_end\n    \
        expect: {rows: {equals: 0}}\n    evidence: {min: 0, because: bad rows are rare}\n";
    let check = Arc::clone(&lab::checks(Engine::Postgres, MINUTE)[0]);
    let series = Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap().remove(0);
    let (rule, rules) = (series.window().unwrap(), &series.home.rules);
    let end = clock::now();
    let (start, date) = (end - chrono::TimeDelta::minutes(1), end.date_naive());
    let any = rule.frame.span_of(rules, date).windows(rules, rule.split)[0];
    let window = Window { start, end, span: Span { start, end, date, end_date: date }, ..any };
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let (tasks, stop) = ([Task::window(&series, window)], CancellationToken::new());
    let outcomes = round(&tasks, &sources, clock::now(), &stop, |_| {}).await;
    shown(&outcomes[0].judgement.verdict)
}

async fn admin(server: &Postgres) -> Other {
    Other::Postgres(pg_admin(server.port, "postgres").await)
}

/// Waits until a standby has replayed what its primary has written.
async fn followed(primary: &Postgres, standby: &Postgres) {
    let (mut above, mut below) = (admin(primary).await, admin(standby).await);
    let target = above.texts("select pg_current_wal_lsn()::text").await.remove(0);
    eventually(Duration::from_secs(30), async || {
        let sql = format!("select (pg_last_wal_replay_lsn() >= '{target}')::text");
        let there = below.texts(&sql).await.remove(0);
        if there == "true" { Ok(()) } else { Err(there) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_proves_no_window_that_it_has_not_got() {
    let primary = Postgres::start();
    let db = Database::postgres(&primary).await;
    db.prepare("create table t (n integer, at timestamptz)").await;
    let standby = primary.copy(Some(&primary));
    let behind = standby.copy(Some(&standby));
    let archived = primary.copy(None);
    let write = async || db.prepare("insert into t values (1, now())").await;
    assert_eq!(minute(&primary, &db, false).await, "confirmed");
    // Nothing is replayed while it is paused, whatever stands in the primary.
    admin(&standby).await.run("select pg_wal_replay_pause()").await.unwrap();
    write().await;
    for direct in [false, true] {
        let said = minute(&standby, &db, direct).await;
        assert!(said.starts_with("stale") && said.contains("replay is paused"), "{said}");
    }
    let said = minute(&archived, &db, true).await;
    assert!(said.starts_with("stale") && said.contains("pg_monitor"), "{said}");
    // Also where several attempts find out at once that it is a standby.
    for _ in 0..10 {
        for said in several(&address(&standby, &db)).await {
            assert!(said.starts_with("stale"), "{said}");
        }
    }
    admin(&primary).await.run(&format!("grant pg_monitor to {}", db.name())).await.unwrap();
    admin(&standby).await.run("select pg_wal_replay_resume()").await.unwrap();
    followed(&primary, &standby).await;
    followed(&primary, &behind).await;
    // The primary is idle: only the connection to it says that nothing is missing.
    let said = minute(&standby, &db, false).await;
    assert!(said.starts_with("stale") && said.contains("`standby: direct`"), "{said}");
    let said = minute(&archived, &db, true).await;
    assert!(said.starts_with("stale"), "{said}");
    // Whatever is written next says so without any privilege: it was committed after the window.
    eventually(Duration::from_secs(30), async || {
        write().await;
        let dsn = Dsn::parse(&address(&standby, &db), Path::new("/")).unwrap();
        let source = Source::new(SourceSettings {
            password: Ok(Some(SecretString::from("watch"))),
            freshness: Freshness { complete_until: None, max_lag: Some(Duration::from_secs(1)) },
            ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
        });
        let yaml = lab::one_check(
            "select count(*) as n from t where n < 0",
            "expect: {values: {n: {equals: 0}}}\nevidence: {sql: \"select count(*) from t\"}",
        );
        let said = shown(&lab::look(source, &yaml).await[0].judgement.verdict);
        if said == "confirmed" { Ok(()) } else { Err(said) }
    })
    .await;
    // Cut off, and the one behind it too: neither says that all is well.
    drop(primary);
    for (server, direct) in [(&standby, true), (&standby, false), (&behind, false)] {
        eventually(Duration::from_secs(30), async || {
            let said = minute(server, &db, direct).await;
            if said.starts_with("stale") { Ok(()) } else { Err(said) }
        })
        .await;
    }
    // Promoted, it is a standby no more.
    admin(&standby).await.run("select pg_promote()").await.unwrap();
    eventually(Duration::from_secs(30), async || {
        let said = minute(&standby, &db, false).await;
        if said == "confirmed" { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_and_a_standby_that_take_turns_behind_a_pooler_are_not_taken_for_each_other() {
    let primary = Postgres::start();
    let db = Database::postgres(&primary).await;
    db.prepare("create table t (n integer, at timestamptz)").await;
    let standby = primary.copy(Some(&primary));
    followed(&primary, &standby).await;
    admin(&standby).await.run("select pg_wal_replay_pause()").await.unwrap();
    // Wrong, and seen on the primary only.
    db.prepare("insert into t values (-1, now())").await;
    let turns = Proxy::among(vec![primary.port, standby.port], Duration::ZERO);
    let name = db.name();
    let bouncer = PgBouncer::before_port(turns.port, &[name], 4);
    let url = format!("postgres://{name}@127.0.0.1:{}/{name}", bouncer.port);
    let (mut found, mut waited) = (0, 0);
    for _ in 0..10 {
        for said in several(&url).await {
            assert!(said.starts_with("violated") || said.starts_with("stale"), "{said}");
            found += usize::from(said.starts_with("violated"));
            waited += usize::from(said.starts_with("stale"));
        }
    }
    assert!(found > 0 && waited > 0, "both were asked: {found} {waited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_primary_is_not_a_standby_that_lags() {
    let primary = Postgres::start();
    let db = Database::postgres(&primary).await;
    db.prepare("create table t (n integer, at timestamptz)").await;
    admin(&primary).await.run(&format!("grant pg_monitor to {}", db.name())).await.unwrap();
    let standby = primary.copy(Some(&primary));
    // A primary that does nothing answers a standby that heard nothing for half of `wal_receiver_timeout`.
    admin(&standby).await.run("alter system set wal_receiver_timeout = '2s'").await.unwrap();
    admin(&standby).await.run("select pg_reload_conf()").await.unwrap();
    db.prepare("insert into t values (1, now())").await;
    followed(&primary, &standby).await;
    let dsn = Dsn::parse(&address(&standby, &db), Path::new("/")).unwrap();
    let source = Arc::new(Source::new(SourceSettings {
        password: Ok(Some(SecretString::from("watch"))),
        standby_is_direct: true,
        freshness: Freshness { complete_until: None, max_lag: Some(Duration::from_secs(5)) },
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    }));
    let yaml = lab::one_check(
        "select count(*) as n from t where n < 0",
        "expect: {values: {n: {equals: 0}}}\nevidence: {sql: \"select count(*) + 1 from t\"}",
    );
    let checks = lab::checks(Engine::Postgres, &yaml);
    let sources = Arc::new(Sources::from([(source.name().clone(), source)]));
    let look = async || {
        let (tasks, stop) = (lab::tasks(&checks), CancellationToken::new());
        let outcomes = round(&tasks, &sources, clock::now(), &stop, |_| {}).await;
        shown(&outcomes[0].judgement.verdict)
    };
    // Its last transaction is older than the data may be, and it is as fresh as can be.
    let mut below = admin(&standby).await;
    eventually(Duration::from_secs(30), async || {
        let sql = "select (now() - pg_last_xact_replay_timestamp() > interval '7 s')::text";
        let idle = below.texts(sql).await.remove(0);
        if idle == "true" { Ok(()) } else { Err(idle) }
    })
    .await;
    for _ in 0..20 {
        assert_eq!(look().await, "confirmed");
    }
}

/// What is said over several servers, of which one is meant.
async fn of_several(servers: &str, wanted: &str, db: &Database, check: &str) -> String {
    let url = format!("postgres://{name}@{servers}/{name}{wanted}", name = db.name());
    let source = Source::new(SourceSettings {
        password: Ok(Some(SecretString::from("watch"))),
        ..SourceSettings::new(
            SourceName::parse("db").unwrap(),
            Dsn::parse(&url, Path::new("/")).unwrap(),
        )
    });
    shown(&lab::look(source, check).await[0].judgement.verdict)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_is_asked_that_is_meant() {
    let primary = Postgres::start();
    let db = Database::postgres(&primary).await;
    db.prepare(
        "create table t (n integer); insert into t values (1); create function slow() returns integer language sql \
         as 'select 1 from pg_sleep(60)'",
    )
    .await;
    let standby = primary.copy(Some(&primary));
    db.prepare("insert into t values (2)").await;
    followed(&primary, &standby).await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let all = format!("127.0.0.1:{nowhere},127.0.0.1:{},127.0.0.1:{}", standby.port, primary.port);
    let asks = |limit: &str| {
        lab::one_check(
            "select count(*) * (pg_is_in_recovery())::int as n from t",
            &format!(
                "expect: {{values: {{n: {limit}}}}}\nevidence: {{sql: \"select count(*) from t\"}}"
            ),
        )
    };
    let (of_standby, of_primary) = (asks("{equals: 2}"), asks("{equals: 0}"));
    for (wanted, check) in [
        ("", &of_standby),
        ("?target_session_attrs=any", &of_standby),
        ("?target_session_attrs=standby", &of_standby),
        ("?target_session_attrs=read-only", &of_standby),
        ("?target_session_attrs=prefer-standby", &of_standby),
        ("?target_session_attrs=primary", &of_primary),
        ("?target_session_attrs=read-write", &of_primary),
    ] {
        assert_eq!(of_several(&all, wanted, &db, check).await, "confirmed", "{wanted}");
    }
    // What has to end is ended where it runs.
    let sleeps = lab::one_check(
        "select count(slow()) as n from t",
        "timeout: 1s\nexpect: {values: {n: {equals: 2}}}\nevidence: {sql: \"select count(*) from t\"}",
    );
    let said = of_several(&all, "?target_session_attrs=primary", &db, &sleeps).await;
    assert!(said.starts_with("timeout"), "{said}");
    let mut above = admin(&primary).await;
    let runs = "select count(*)::text from pg_stat_activity where query like '%slow()%' and state = 'active' \
        and pid <> pg_backend_pid()";
    assert_eq!(above.texts(runs).await, ["0"]);
    drop(standby);
    let said = of_several(&all, "?target_session_attrs=prefer-standby", &db, &of_primary).await;
    assert_eq!(said, "confirmed");
    let said = of_several(&all, "?target_session_attrs=standby", &db, &of_standby).await;
    assert!(
        said.starts_with("connect") && said.contains(&format!("{} is not standby", primary.port)),
        "{said}"
    );
}

/// A source that is looked at again and again.
struct Again(Arc<Sources>, Vec<Arc<allswell::domain::check::Check>>);

impl Again {
    fn new(url: &str, check: &str) -> Self {
        let dsn = Dsn::parse(url, Path::new("/")).unwrap();
        let name = SourceName::parse("db").unwrap();
        let source = Source::new(SourceSettings {
            password: Ok(Some(SecretString::from("watch"))),
            ..SourceSettings::new(name.clone(), dsn)
        });
        let checks = lab::checks(Engine::Postgres, check);
        Self(Arc::new(Sources::from([(name, Arc::new(source))])), checks)
    }

    async fn look(&self) -> String {
        let (tasks, stop) = (lab::tasks(&self.1), CancellationToken::new());
        let outcomes = round(&tasks, &self.0, clock::now(), &stop, |_| {}).await;
        shown(&outcomes[0].judgement.verdict)
    }

    /// Looks until it is said: a connection that a server lost is found out by using it.
    async fn until(&self, wanted: &str) {
        eventually(Duration::from_secs(30), async || {
            let said = self.look().await;
            if said.contains(wanted) { Ok(()) } else { Err(said) }
        })
        .await;
    }
}

fn counts(rows: u32) -> String {
    lab::one_check(
        "select count(*) as n from t",
        &format!("expect: {{values: {{n: {{equals: {rows}}}}}}}"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_comes_back_after_another_took_over_is_not_believed() {
    let mut primary = Postgres::start();
    let db = Database::postgres(&primary).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let standby = primary.copy(Some(&primary));
    followed(&primary, &standby).await;
    let name = db.name();
    let url = format!(
        "postgres://{name}@127.0.0.1:{},127.0.0.1:{}/{name}?target_session_attrs=primary",
        primary.port, standby.port
    );
    let (one, two) = (Again::new(&url, &counts(1)), Again::new(&url, &counts(2)));
    assert_eq!(one.look().await, "confirmed");
    assert!(two.look().await.starts_with("violated"));
    primary.kill();
    admin(&standby).await.run("select pg_promote()").await.unwrap();
    one.until("confirmed").await;
    let insert = "insert into t values (2)";
    let mut above = Other::Postgres(pg_admin(standby.port, name).await);
    eventually(Duration::from_secs(30), async || {
        above.run(insert).await.map_err(|e| e.to_string())
    })
    .await;
    two.until("confirmed").await;
    // The old one comes back, writable, and first in the address; what was open to the new one is closed.
    primary.restart();
    let end =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'");
    above.run(&end).await.unwrap();
    for _ in 0..3 {
        two.until("confirmed").await;
        assert!(!two.look().await.starts_with("violated"));
    }
    drop(standby);
    two.until("an earlier primary of its cluster").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_looked_at_before_it_is_asked() {
    let mut first = Postgres::start();
    let db = Database::postgres(&first).await;
    db.prepare("create table t (n integer); insert into t values (1)").await;
    let (name, second) = (db.name(), Postgres::start());
    let mut other = admin(&second).await;
    other.run(&format!("create role {name} superuser login password 'watch'")).await.unwrap();
    other.run(&format!("create database {name} owner {name}")).await.unwrap();
    let mut other = Other::Postgres(pg_admin(second.port, name).await);
    other.run("create table t (n integer); insert into t values (1)").await.unwrap();
    let url =
        format!("postgres://{name}@127.0.0.1:{},127.0.0.1:{}/{name}", first.port, second.port);
    let looks = Again::new(&url, &counts(1));
    assert_eq!(looks.look().await, "confirmed");
    first.kill();
    for _ in 0..5 {
        let said = looks.look().await;
        assert!(!said.starts_with("confirmed"), "{said}");
    }
    looks.until("a superuser").await;
}
