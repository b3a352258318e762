//! Whether a source is the database that it was.

use allswell::clock;
use allswell::domain::sql::Engine;
use allswell::ledger::Store;
use chrono::TimeDelta;

use crate::alerting::Receiver;
use crate::lab::{Database, Other, pg_admin};
use crate::ledger::settings as ledger_settings;
use crate::notices::SOON;
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_known_for_35_days_after_it_was_last_seen() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = Database::new(engine).await;
        let mut store = Store::open(ledger_settings(&database, "one")).await.unwrap();
        let start = clock::now();
        // A server computes with its own clock, which is not moved.
        let days_pass = engine == Engine::Sqlite;
        let mut see = async |identity: &str, day: i64| {
            let at = start + TimeDelta::days(day);
            let sighting = store.see_source("billing", identity, at).await.unwrap();
            (sighting.before, sighting.is_known, sighting.moved_at.is_some())
        };
        let before = |name: &str| Some(name.to_owned());
        assert_eq!(see("a", 0).await, (None, false, false), "the first one is no surprise");
        assert_eq!(see("a", 1).await, (None, true, false));
        assert_eq!(see("b", 2).await, (before("a"), false, true), "never seen");
        assert_eq!(see("b", 2).await, (None, true, true), "that stays until it is old");
        assert_eq!(see("a", 3).await, (before("b"), true, false), "a failover back");
        if !days_pass {
            continue;
        }
        assert_eq!(see("b", 30).await.0, before("a"));
        assert!(see("a", 31).await.1, "both are known for as long as they are seen");
        assert_eq!(see("b", 80).await, (None, false, false), "whatever was before is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_points_elsewhere_is_told_and_one_that_comes_back_is_not() {
    let production = Database::new(Engine::Postgres).await;
    let other_server = Postgres::start();
    let staging = Database::postgres(&other_server).await;
    for db in [&production, &staging] {
        db.prepare("create table t (n integer); insert into t values (1)").await;
    }
    let sink = Receiver::start();
    let settings = |db: &Database| {
        format!(
            "sources: {{db: {{url: \"{}\", password: \"${{file:watch}}\"}}}}\n\
             webhooks: [{{name: sink, url: \"{}\"}}]\nnotices: {{resend: 1s, hold: 0s, lasts: 60s}}\n",
            db.url(),
            sink.url()
        )
    };
    let checks = "version: 1\nowner: t\ndefaults: {source: db, schedule: {every: 1s}}\nchecks:\n  \
        - {id: there, why: w, sql: select n from t, expect: {values: {n: {equals: 1}}}}\n";
    let site = Site::new(&settings(&production), checks);
    let daemon = site.start();
    daemon.until_confirmed(1, SOON);
    let identity = || daemon.json("/api/v1/status")["sources"]["db"]["identity"].clone();
    daemon.until(SOON, |_| if identity().is_string() { Ok(()) } else { Err(identity()) });
    let first = identity();
    site.settings(&settings(&staging));
    daemon.signal("HUP");
    sink.until("firing", "AllswellSourceMoved", 0, SOON);
    assert_ne!(identity(), first);
    let said = crate::rollout::allswell(&site, &daemon, &["status"]).1;
    assert!(said.contains("SOURCE db is a database that it never was before"), "{said}");
    let said = crate::rollout::allswell(&site, &daemon, &["status", "--all"]).1;
    assert!(said.contains("source db: the server enforces: read-only transactions"), "{said}");
    assert!(said.contains("source db: rests on the role: "), "{said}");
    // What was proved of the first says nothing of this one.
    daemon.until(SOON, |daemon| {
        let events = daemon.json("/api/v1/events?limit=100").to_string();
        if events.contains("db is another database") { Ok(()) } else { Err(events) }
    });
    site.settings(&settings(&production));
    daemon.signal("HUP");
    sink.until("resolved", "AllswellSourceMoved", 0, SOON);
    daemon.until(SOON, |_| if identity() == first { Ok(()) } else { Err(identity()) });
    let events = daemon.json("/api/v1/events?limit=100");
    let moves = events["events"].as_array().unwrap().iter().filter(|e| e["kind"] == "source");
    let notes: Vec<String> = moves.map(|e| e["note"].to_string()).collect();
    assert_eq!(notes.len(), 2, "{events}");
    assert!(notes.iter().any(|note| note.contains("never was before")), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("that it was before")), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_is_an_event_and_no_alarm() {
    let sink = Receiver::start();
    let settings = format!(
        "sources: {{db: {{url: \"sqlite:data.db\", instants: sql}}}}\n\
         webhooks: [{{name: sink, url: \"{}\"}}]\nnotices: {{resend: 1s, hold: 0s, lasts: 60s}}\n",
        sink.url()
    );
    let checks = "version: 1\nowner: t\ndefaults: {source: db, schedule: {every: 1s}}\nchecks:\n  \
        - {id: there, why: w, sql: select n from t, expect: {values: {n: {equals: 1}}}}\n";
    let site = Site::new(&settings, checks);
    let file = async |name: &str, n: u8| {
        let path = site.path().join(name);
        std::fs::write(&path, "").unwrap();
        let mut data = Other::sqlite(&path).await;
        data.run(&format!("create table t (n integer); insert into t values ({n})")).await.unwrap();
        data.close().await;
        path
    };
    let path = file("data.db", 1).await;
    let daemon = site.start();
    daemon.until_confirmed(1, SOON);
    let identity = || daemon.json("/api/v1/status")["sources"]["db"]["identity"].clone();
    daemon.until(SOON, |_| if identity().is_string() { Ok(()) } else { Err(identity()) });
    std::fs::rename(file("new.db", 2).await, path).unwrap();
    // The next alert says that the new file is read, and what would have been told of it came before.
    sink.until("firing", "AllswellViolated", 0, SOON);
    daemon.until(SOON, |daemon| {
        let events = daemon.json("/api/v1/events?limit=100");
        let moved = events["events"].as_array().unwrap().iter().any(|e| e["kind"] == "source");
        if moved { Ok(()) } else { Err(events) }
    });
    assert!(daemon.json("/api/v1/status")["sources"]["db"]["moved_at"].is_null());
    assert_eq!(sink.count("firing", "AllswellSourceMoved"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_made_anew_at_its_address_is_told_and_a_restored_one_is_stale() {
    let mut server = Postgres::start();
    let db = Database::postgres(&server).await;
    let name = db.name();
    db.prepare("create table t (n integer, at timestamptz); insert into t values (1, now() - interval '1 day')").await;
    let restored = server.copy(None);
    let mut admin = Other::Postgres(pg_admin(restored.port, name).await);
    admin.run("select pg_promote()").await.unwrap();
    db.prepare("insert into t values (1, now())").await;
    let anew = Postgres::start();
    let mut admin = Other::Postgres(pg_admin(anew.port, "postgres").await);
    admin.run(&format!("create role {name} login password 'watch'")).await.unwrap();
    admin.run(&format!("create database {name}")).await.unwrap();
    let mut admin = Other::Postgres(pg_admin(anew.port, name).await);
    let table = "create table t (n integer, at timestamptz); insert into t values (1, now())";
    admin.run(&format!("{table}; grant select on t to {name}")).await.unwrap();
    let sink = Receiver::start();
    let settings = format!(
        "sources: {{db: {{url: \"{}\", password: \"${{file:watch}}\", max_lag: 2h, \
         complete_until: {{sql: select max(at) from t}}}}}}\n\
         webhooks: [{{name: sink, url: \"{}\"}}]\nnotices: {{resend: 1s, hold: 0s, lasts: 60s}}\n",
        db.url(),
        sink.url()
    );
    let checks = "version: 1\nowner: t\ndefaults: {source: db, schedule: {every: 1s}}\nchecks:\n  \
        - {id: there, why: w, sql: select n from t, expect: {values: {n: {equals: 1}}}}\n";
    let site = Site::new(&settings, checks);
    let daemon = site.start();
    daemon.until_confirmed(1, SOON);
    let of = |daemon: &Watchman| daemon.json("/api/v1/status")["sources"]["db"]["identity"].clone();
    daemon.until(SOON, |daemon| if of(daemon).is_string() { Ok(()) } else { Err(of(daemon)) });
    let first = of(&daemon);
    // A copy has the number of what it was copied from: what it lacks is told by how far its data goes.
    server.becomes(restored);
    daemon.until(SOON, |daemon| {
        let checks = daemon.json("/api/v1/checks?check=there");
        if checks.to_string().contains("stale") { Ok(()) } else { Err(checks) }
    });
    assert_eq!(sink.count("firing", "AllswellSourceMoved"), 0);
    assert_eq!(of(&daemon), first);
    server.becomes(anew);
    sink.until("firing", "AllswellSourceMoved", 0, SOON);
    daemon.until_confirmed(1, SOON);
    assert_ne!(of(&daemon), first);
}
