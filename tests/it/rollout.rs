//! Catalogues that wait for approval, the word, and the way back: by the daemon, with a real Alertmanager, with replicas
//! that are killed.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::alerting::Receiver;
use crate::cli::{code, command, out};
use crate::delivery::{printed, settings};
use crate::lab::{Database, Other};
use crate::servers::Postgres;
use crate::watchman::{Site, Watchman};

const SOURCE: &str = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
const SOON: Duration = Duration::from_secs(60);

/// A critical check that is violated, and one that is not critical.
fn checks(least: i64, other: i64) -> String {
    format!(
        "version: 1\nowner: me\ndefaults: {{source: db, schedule: {{every: 1s}}}}\nchecks:\n  \
         - {{id: it, why: w, severity: critical, sql: select n from t, expect: {{values: {{n: {{min: {least}}}}}}}}}\n  \
         - {{id: beside, why: w, sql: select n from t, expect: {{values: {{n: {{min: {other}}}}}}}}}\n"
    )
}

fn site(more: &str) -> Site {
    site_of(&format!("{more}{SOURCE}"))
}

fn site_of(settings: &str) -> Site {
    let site = Site::new(settings, &checks(5, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = site.path().join("data.db");
        fs::write(&path, "").unwrap();
        let mut data = Other::sqlite(&path).await;
        data.run("create table t (n integer)").await.unwrap();
        data.run("insert into t values (3)").await.unwrap();
    });
    site
}

fn active(daemon: &Watchman) -> i64 {
    daemon.json("/api/v1/status")["generation"]["id"].as_i64().unwrap()
}

/// Waits until something is seen; returns it.
fn seen<T, W: std::fmt::Debug>(daemon: &Watchman, look: impl Fn(&Watchman) -> Result<T, W>) -> T {
    let mut found = None;
    daemon.until(SOON, |daemon| look(daemon).map(|one| found = Some(one)));
    found.unwrap()
}

/// Waits until a catalogue waits; returns its number.
fn waits(daemon: &Watchman) -> i64 {
    seen(daemon, |daemon| {
        let load = daemon.json("/api/v1/status")["last_load"].clone();
        load["waits_as"].as_i64().ok_or(load)
    })
}

fn until_active(daemon: &Watchman, wanted: impl Fn(i64) -> bool) -> i64 {
    seen(daemon, |daemon| {
        let id = active(daemon);
        if wanted(id) { Ok(id) } else { Err(id) }
    })
}

fn violated(daemon: &Watchman) {
    daemon.until(SOON, |daemon| {
        let one = daemon.series("it").remove(0);
        if one["state"] == "violated" { Ok(()) } else { Err(one) }
    });
}

fn word(daemon: &Watchman, path: &str) -> (u16, Value) {
    let (status, body) =
        daemon.post(path, &json!({"by": "kim", "because": "it is right"}).to_string());
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

pub(crate) fn allswell(site: &Site, daemon: &Watchman, args: &[&str]) -> (i32, String) {
    let url = format!("http://{}", daemon.address);
    let output = command(site.path(), args)
        .env("ALLSWELL_URL", url)
        .env("ALLSWELL_TOKEN", crate::watchman::TOKEN)
        .env("USER", "kim")
        .output()
        .unwrap();
    (code(&output), format!("{}{}", out(&output), crate::cli::err(&output)))
}

#[test]
fn what_makes_a_critical_check_weaker_waits_for_a_word_and_what_was_open_stays_open() {
    let site = site("");
    let daemon = site.start();
    violated(&daemon);
    let first = active(&daemon);
    // What is not critical changes as its owner likes.
    site.checks("checks.yaml", &checks(5, -5));
    let second = until_active(&daemon, |id| id > first);
    site.checks("checks.yaml", &checks(1, -5));
    let candidate = waits(&daemon);
    assert_eq!(active(&daemon), second);
    assert_eq!(daemon.series("it")[0]["state"], "violated");
    let status = daemon.json("/api/v1/status");
    assert_eq!(status["last_load"]["good"], Value::Null, "{status:#}");
    let why = status["last_load"]["why"].as_str().unwrap();
    assert!(
        why.contains("it is weaker (expect.values.n:") && why.contains("passes that failed"),
        "{why}"
    );
    assert!(daemon.get("/metrics").1.contains("allswell_catalogue_waits 1"));
    let (_, page) = daemon.get("/generations");
    assert!(page.contains("waiting") && page.contains("it is weaker"), "{page}");
    assert!(daemon.get("/checks").1.contains("approval, and the ones before go on"));
    let (code, said) = allswell(&site, &daemon, &["generations"]);
    assert!(code == 0 && said.contains("it waits for approval"), "{said}");
    let (_, said) = allswell(&site, &daemon, &["status"]);
    assert!(said.contains("A CHANGE OF CHECKS WAITS as generation"), "{said}");
    let (code, said) = allswell(&site, &daemon, &["plan"]);
    assert!(code == 1 && said.contains("WEAKER   it"), "{said}");
    // Who may only look gives no word.
    assert_eq!(
        daemon.post("/api/v1/generations/999/approve", "{\"by\":\"a\",\"because\":\"b\"}").0,
        409
    );
    let (code, said) =
        allswell(&site, &daemon, &["approve", &candidate.to_string(), "--because", "it is right"]);
    assert!(
        code == 0 && said.contains(&format!("generation {candidate} with 2 checks is active")),
        "{said}"
    );
    assert_eq!(active(&daemon), candidate);
    daemon.until(SOON, |daemon| {
        let one = daemon.series("it").remove(0);
        if one["state"] == "confirmed" { Ok(()) } else { Err(one) }
    });
    let (status, answer) = word(&daemon, &format!("/api/v1/generations/{candidate}/approve"));
    assert_eq!(
        (status, answer["detail"].as_str().unwrap().contains("it is approved")),
        (409, true),
        "{answer}"
    );
    let events = daemon.json("/api/v1/events?limit=100")["events"].to_string();
    assert!(events.contains("by kim: it is right"), "{events}");
}

#[test]
fn what_was_rejected_waits_until_the_files_change_and_a_word_in_the_files_is_one() {
    let site = site("");
    let mut daemon = site.start();
    let first = active(&daemon);
    site.checks("checks.yaml", &checks(1, 0));
    let candidate = waits(&daemon);
    let (status, answer) = word(&daemon, &format!("/api/v1/generations/{candidate}/reject"));
    assert_eq!((status, &answer["fate"]), (200, &json!("rejected")), "{answer}");
    let why = daemon.json("/api/v1/status")["last_load"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("was rejected by kim"), "{why}");
    // It stays rejected through a restart.
    drop(daemon);
    daemon = site.start();
    let why = seen(&daemon, |daemon| {
        let load = daemon.json("/api/v1/status")["last_load"].clone();
        if load["waits_as"].is_null() { Err(load) } else { Ok(load["why"].to_string()) }
    });
    assert!(why.contains("was rejected by kim"), "{why}");
    assert_eq!(active(&daemon), first);
    // Other files take its place.
    site.checks("checks.yaml", &checks(2, 0));
    let other = seen(&daemon, |daemon| {
        let id = waits(daemon);
        if id == candidate { Err(id) } else { Ok(id) }
    });
    assert_eq!(word(&daemon, &format!("/api/v1/generations/{candidate}/approve")).0, 409);
    // The author's word, in the same review.
    let written = "weakened: [{id: it, because: the import is smaller, until: 2099-01-01}]\n";
    site.checks("checks.yaml", &format!("{}{written}", checks(2, 0)));
    let last = until_active(&daemon, |id| id > first);
    assert!(last > other, "{last} {other}");
    let load = daemon.json("/api/v1/status")["last_load"].clone();
    assert_eq!(load["good"], json!(true), "{load}");
    let all = daemon.json("/api/v1/generations");
    let fate = |id: i64| {
        let all = all["generations"].as_array().unwrap();
        all.iter().find(|one| one["id"] == id).unwrap()["candidate"]["fate"].clone()
    };
    assert_eq!((fate(candidate), fate(other)), (json!("rejected"), json!("outdated")));
}

#[test]
fn an_operator_goes_back_and_the_files_count_again_once_they_change() {
    let site = site("");
    let mut daemon = site.start();
    let first = active(&daemon);
    let (code, said) = allswell(&site, &daemon, &["rollback", "--because", "w"]);
    assert!(code == 64 && said.contains("no generation before this one"), "{said}");
    site.checks("checks.yaml", &checks(7, 0));
    let second = until_active(&daemon, |id| id > first);
    let (code, said) = allswell(&site, &daemon, &["rollback", "--because", "too strict"]);
    assert!(
        code == 0 && said.contains(&format!("generation {first} with 2 checks is active again")),
        "{said}"
    );
    assert_eq!(active(&daemon), first);
    // The same again is no change.
    let (code, said) =
        allswell(&site, &daemon, &["rollback", &first.to_string(), "--because", "too strict"]);
    assert!(code == 0 && said.contains("is active already"), "{said}");
    for _ in 0..2 {
        daemon.signal("KILL");
        drop(daemon);
        daemon = site.start();
        let pinned = |daemon: &Watchman| daemon.json("/api/v1/status")["pinned"] == json!(true);
        daemon.until(SOON, |daemon| if pinned(daemon) { Ok(()) } else { Err(active(daemon)) });
        assert_eq!(active(&daemon), first);
    }
    let (_, said) = allswell(&site, &daemon, &["status"]);
    assert!(said.contains("THE FILES DO NOT COUNT"), "{said}");
    site.checks("checks.yaml", &checks(8, 0));
    let third = until_active(&daemon, |id| id != first);
    assert!(third > second);
    let status = daemon.json("/api/v1/status");
    assert_eq!(status["pinned"], json!(false));
    // Those behind which he went count again by themselves: others were active meanwhile.
    site.checks("checks.yaml", &checks(7, 0));
    let word = waits(&daemon);
    assert_eq!(active(&daemon), third, "7 is weaker than 8");
    assert_eq!(word, second);
    let (code, said) = allswell(&site, &daemon, &["rollback", "4711", "--because", "w"]);
    assert!(code == 64 && said.contains("is not kept"), "{said}");
}

/// One critical check that is due in a year, with this SQL.
fn asking(sql: &str) -> String {
    format!(
        "version: 1\nowner: me\nweakened: [{{id: it, because: the data is old, until: 2099-01-01}}]\n\
         removed: [{{id: beside, because: it is over}}]\n\
         defaults: {{source: db, schedule: {{every: 366d}}}}\nchecks:\n  \
         - {{id: it, why: w, severity: critical, sql: \"{sql}\", expect: {{values: {{n: {{min: 5}}}}}}}}\n"
    )
}

/// How many rows the ledger has of what was looked at, and of who was told.
fn rows_of(site: &Site) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ledger = Other::sqlite(&site.path().join("allswell.db")).await;
        let sql = "select count(*) || '' from attempts union all select count(*) || '' from entries \
                   union all select count(*) || '' from alerts";
        let rows = ledger.texts(sql).await;
        ledger.close().await;
        rows
    })
}

#[test]
fn sql_that_differs_is_looked_at_in_shadow_and_waits_where_something_speaks_against_it() {
    let site = site("");
    let daemon = site.start();
    violated(&daemon);
    let often = active(&daemon);
    // Nothing is due from now on: what is written down is not of a look that was.
    site.checks("checks.yaml", &asking("select n from t"));
    let first = until_active(&daemon, |id| id > often);
    let before = rows_of(&site);
    for (sql, words) in [
        ("select n + 100 as n from t", "1 violated before and confirmed now"),
        ("select n from t where n > 100", "1 unconfirmed now (no_evidence"),
        ("select n from elsewhere", "1 unconfirmed now (query_error"),
    ] {
        site.checks("checks.yaml", &asking(sql));
        let why = seen(&daemon, |daemon| {
            let load = daemon.json("/api/v1/status")["last_load"].clone();
            let why = load["why"].as_str().unwrap_or_default().to_owned();
            if why.contains(words) { Ok(why) } else { Err(load) }
        });
        assert!(
            why.starts_with("it: 1 window looked at in shadow") && why.ends_with("needs approval"),
            "{why}"
        );
        assert_eq!(active(&daemon), first, "{sql}");
    }
    assert_eq!(rows_of(&site), before, "nothing of it is written down");
    // What says the same is active by itself.
    site.checks("checks.yaml", &asking("select n from t where n < 100"));
    let last = until_active(&daemon, |id| id > first);
    let all = daemon.json("/api/v1/generations");
    let one = all["generations"].as_array().unwrap().iter().find(|one| one["id"] == last).unwrap();
    assert_eq!(one["candidate"]["fate"], "approved", "{one:#}");
    assert!(one["candidate"]["because"].as_str().unwrap().contains("1 the same"), "{one:#}");
    // A shorter time may end unconfirmed: it is looked at too, and is enough here.
    let shorter =
        asking("select n from t where n < 100").replace("expect:", "timeout: 900ms, expect:");
    site.checks("checks.yaml", &shorter);
    until_active(&daemon, |id| id > last);
}

#[test]
fn a_real_alertmanager_hears_that_a_catalogue_waits_and_that_it_does_not_any_more() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let site = site_of(&settings(&[alertmanager.url()], ""));
    let daemon = site.start();
    site.checks("checks.yaml", &checks(1, 0));
    let candidate = waits(&daemon);
    sink.until("firing", "AllswellCatalogueWaits", 0, SOON);
    assert_eq!(word(&daemon, &format!("/api/v1/generations/{candidate}/approve")).0, 200);
    sink.until("resolved", "AllswellCatalogueWaits", 0, SOON * 2);
}

#[test]
fn one_word_activates_a_catalogue_once_whatever_becomes_of_the_replica_that_heard_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let ledger = format!(
        "ledger: {{url: \"{}\", password: \"${{file:watch}}\", lease: 2s}}\n",
        database.url()
    );
    // All read the same files, as they do where they are mounted.
    let site = site(&ledger);
    let mut replicas: Vec<Watchman> = (0..3).map(|_| site.start()).collect();
    let mut last = replicas.iter().map(active).max().unwrap();
    for round in 0..3 {
        site.checks("checks.yaml", &checks(4 - round, 0));
        let candidates: Vec<i64> = replicas
            .iter()
            .map(|replica| {
                seen(replica, |replica| {
                    let id = waits(replica);
                    if id > last { Ok(id) } else { Err(id) }
                })
            })
            .collect();
        assert!(candidates.iter().all(|id| *id == candidates[0]), "one of them: {candidates:?}");
        let path = format!("/api/v1/generations/{}/approve", candidates[0]);
        let heard = usize::try_from(round).unwrap();
        let body = json!({"by": "kim", "because": "it is right"}).to_string();
        // It dies before it answers, after it did, or while it does.
        std::thread::scope(|scope| {
            let replica = &replicas[heard];
            let asked = scope.spawn(|| drop(replica.try_ask("POST", &path, &body)));
            if round == 1 {
                asked.join().unwrap();
            }
            replica.signal("KILL");
        });
        // Whoever had no answer says it again, to another one.
        let (status, said) = replicas[(heard + 1) % 3].post(&path, &body);
        assert!([200, 409].contains(&status), "{said}");
        for (place, replica) in replicas.iter().enumerate().filter(|(place, _)| *place != heard) {
            let id = until_active(replica, |id| id > last);
            assert_eq!(id, candidates[0], "replica {place}");
        }
        last = candidates[0];
        replicas[heard] = site.start();
        assert_eq!(until_active(&replicas[heard], |id| id >= last), last);
    }
    let sql = "select becomes || '' from events where kind = 'generation' and becomes not in ('waits', 'approved', 'outdated')";
    let mut activated = runtime.block_on(async { database.owner().await.texts(sql).await });
    let count = activated.len();
    activated.sort();
    activated.dedup();
    assert_eq!(activated.len(), count, "each is active once: {activated:?}");
    assert_eq!(count, 4);
}
