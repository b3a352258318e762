//! Clocks that are wrong, set, or asleep: nothing is lost, nothing is doubled, and nothing is called
//! confirmed before it is over by the clock of the database that has it.
//!
//! The daemon's clock is moved by libfaketime; the databases' and ours are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::domain::time::agenda::{Entry, Target};
use allswell::domain::time::owed::Watermark;
use allswell::domain::time::zone::ZoneName;
use chrono::{DateTime, TimeDelta, Utc};

use crate::lab::{self, Database, Other};
use crate::servers::Postgres;
use crate::watchman::{Rows, SECOND, Site, Watchman, assert_each_second, rows};

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    found
        .into_iter()
        .find(|path| path.is_file())
        .expect("libfaketime: start the tests with tests/run")
}

/// Starts a daemon whose wall clock is what a file says: `+1h`, `-1d`, `+3600 x60`.
pub(crate) fn start(site: &Site, offset: &str) -> Watchman {
    let file = site.path().join("offset");
    fs::write(&file, offset).unwrap();
    let env = [
        ("LD_PRELOAD", library().to_str().unwrap().to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    site.start_with(&[], &env)
}

/// Sets the wall clock of a daemon that was started here.
pub(crate) fn set(site: &Site, offset: &str) {
    // At once: a half written file would be another offset.
    fs::write(site.path().join("next"), offset).unwrap();
    fs::rename(site.path().join("next"), site.path().join("offset")).unwrap();
}

fn window(id: &str, source: &str) -> String {
    format!(
        "  - id: {id}\n    why: because\n    source: {source}\n    window: {{period: 1m}}\n    result_by: 2h\n    sql: |\n      \
         select 1 + 0 as n where :window_start < :window_end\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
    )
}

async fn ledger(site: &Site) -> Other {
    Other::sqlite(&site.path().join("allswell.db")).await
}

#[test]
fn steps_of_an_hour_and_a_day_and_ten_hours_asleep_lose_and_double_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::postgres(Postgres::shared()));
    let yaml = format!(
        "version: 1\nowner: tests\ndefaults: {{source: near, severity: critical}}\nchecks:\n  - id: second\n    why: because\n    \
         schedule: {{every: 1s}}\n    result_by: 30s\n    sql: select 1 + 0 as n\n    expect: {{values: {{n: {{min: 1}}}}}}\n{}{}",
        window("near", "near"),
        window("far", "far"),
    );
    let settings = format!(
        "sources:\n  far: {{url: \"{}\", password: \"${{file:watch}}\"}}\n  near: {{url: \"sqlite:near.db\", instants: sql}}\n",
        database.url()
    );
    let site = Site::new(&settings, &yaml);
    fs::write(site.path().join("near.db"), "").unwrap();
    let daemon = start(&site, "+0");
    let began = allswell::clock::now();
    let reached = |what: &str, ahead: TimeDelta| {
        let until = began + ahead;
        // The next minute may be a whole one away.
        daemon.until(Duration::from_secs(150), |_| {
            let last = runtime.block_on(async {
                let mut ledger = ledger(&site).await;
                let sql = "select cast(min(watermark) as text) from series";
                let last = ledger.texts(sql).await;
                ledger.close().await;
                last[0].parse::<i64>().unwrap_or(0)
            });
            if last > until.timestamp_micros() { Ok(()) } else { Err((what.to_owned(), last)) }
        });
    };
    reached("at first", TimeDelta::seconds(1));
    for (offset, ahead) in [("+1h", TimeDelta::hours(1)), ("+1d", TimeDelta::days(1))] {
        set(&site, offset);
        reached(offset, ahead);
        // Back again: what is proved lies in the future, and says nothing of now.
        set(&site, "+0");
        daemon.until(Duration::from_secs(20), |daemon| {
            match daemon.get("/allswell?check=second") {
                (503, _) => Ok(()),
                other => Err((offset.to_owned(), other)),
            }
        });
    }
    // Asleep, for longer than anything that was ahead.
    daemon.signal("STOP");
    set(&site, "+34h");
    daemon.signal("CONT");
    reached("awake again", TimeDelta::hours(34));
    daemon.until(Duration::from_secs(60), |daemon| match daemon.get("/allswell?check=second") {
        (200, _) => Ok(()),
        other => Err(other),
    });
    assert!(daemon.stop().success());
    let rows = runtime.block_on(async { rows(&mut ledger(&site).await).await });
    nothing_is_lost(&rows);
}

/// Holds the rows against the calendar, and against our clock, which nobody moved.
fn nothing_is_lost(rows: &Rows) {
    let ended = allswell::clock::now().timestamp_micros();
    for ((check, _), rows) in rows {
        if check == "second" {
            assert_each_second(check, rows);
            assert!(rows.iter().any(|(_, _, said)| said == "unconfirmed missed"), "a hole is told");
            continue;
        }
        for pair in rows.windows(2) {
            assert_eq!(pair[0].1, pair[1].0, "{check}: a window is lost or doubled");
        }
        let minutes = (rows[rows.len() - 1].1 - rows[0].0) / (60 * SECOND);
        assert!(minutes >= 34 * 60, "{check}: only {minutes} minutes");
        if check == "far" {
            let early = rows.iter().filter(|(_, end, said)| *end > ended && said == "confirmed");
            assert_eq!(early.count(), 0, "{check}: confirmed before it was over");
            assert!(
                rows.iter()
                    .any(|(_, end, said)| *end > ended && said.contains("clock")
                        || said == "waiting")
            );
        }
    }
}

/// What the calendar says from one instant to another.
fn expected(
    yaml: &str,
    loaded: DateTime<Utc>,
    until: DateTime<Utc>,
) -> BTreeSet<(String, i64, i64)> {
    let mut expected = BTreeSet::new();
    let rules = |name: &ZoneName| lab::zones().rules(name);
    for check in lab::checks(Engine::Sqlite, yaml) {
        for series in Series::of(&check, &rules).unwrap() {
            let first = series.owed(Watermark::New { loaded }, loaded, 10).owed;
            let first = first.into_iter().map(|owed| owed.due.target);
            let later = series.agenda_after(loaded).take_while(|entry| entry.at() <= until);
            let later = later.filter_map(|entry| match entry {
                Entry::Due(due) => Some(due.target),
                Entry::Event(_) => None,
            });
            for target in first.chain(later) {
                let (start, end) = match target {
                    Target::Window(window) => (window.start, window.end),
                    Target::Slot(at) => (at, at),
                };
                let micros = |at: DateTime<Utc>| at.timestamp_micros();
                expected.insert((check.id.to_string(), micros(start), micros(end)));
            }
        }
    }
    expected
}

#[test]
fn a_start_in_the_middle_of_a_fold_looks_at_each_hour_that_clocks_show_twice() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let slot = |id: &str, cron: &str, more: &str| {
        format!(
            "  - id: {id}\n    why: because\n    schedule: {{cron: \"{cron}\", zone: Europe/Berlin{more}}}\n    result_by: 50m\n    \
             sql: select 1 + 0 as n\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    };
    let yaml = format!(
        "version: 1\nowner: tests\ndefaults: {{source: db}}\nchecks:\n{}{}{}{}",
        slot("tens", "*/10 * * * *", ""),
        slot("first", "45 2 * * *", ""),
        slot("second", "45 2 * * *", ", fold: second"),
        slot("both", "45 2 * * *", ", fold: both"),
    );
    let site = Site::new("sources: {db: {url: \"sqlite:db.db\", instants: sql}}\n", &yaml);
    fs::write(site.path().join("db.db"), "").unwrap();
    // 02:40 in Berlin, for the first time that night; a minute passes in half a second.
    let start_at: DateTime<Utc> = "2026-10-25T00:40:00Z".parse().unwrap();
    let behind = (allswell::clock::now() - start_at).num_seconds();
    let daemon = start(&site, &format!("-{behind} x120"));
    // Until after 02:45 for the second time.
    let enough: DateTime<Utc> = "2026-10-25T02:05:00Z".parse().unwrap();
    daemon.until(Duration::from_secs(90), |_| {
        let (recorded, last) = runtime.block_on(async {
            let mut ledger = ledger(&site).await;
            let waiting = "select cast(count(*) as text) from entries where state <> 'recorded'";
            let waiting = ledger.texts(waiting).await[0].clone();
            let last = "select cast(max(watermark) as text) from series";
            let last = ledger.texts(last).await[0].parse::<i64>().unwrap_or(0);
            ledger.close().await;
            (waiting == "0", last)
        });
        if recorded && last > enough.timestamp_micros() { Ok(()) } else { Err(last) }
    });
    assert!(daemon.stop().success());
    let (rows, since) = runtime.block_on(async {
        let mut ledger = ledger(&site).await;
        let since = ledger.texts("select cast(min(start_at) as text) from entries").await;
        (rows(&mut ledger).await, since[0].parse::<i64>().unwrap())
    });
    let loaded = DateTime::from_timestamp_micros(since).unwrap();
    assert!(loaded < start_at + TimeDelta::minutes(4), "{loaded}");
    let mut held = BTreeSet::new();
    let mut last = 0;
    for ((check, _), rows) in &rows {
        for (start, end, said) in rows {
            assert_eq!(said, "confirmed", "{check}");
            held.insert((check.clone(), *start, *end));
            last = last.max(*start);
        }
    }
    let until = DateTime::from_timestamp_micros(last).unwrap();
    let expected = expected(&yaml, loaded, until);
    // The first looks are at the moment of loading, which each has a little later.
    let later = |set: &BTreeSet<(String, i64, i64)>| -> BTreeSet<(String, i64, i64)> {
        let first = loaded.timestamp_micros() + 5 * SECOND;
        set.iter().filter(|(_, start, _)| *start > first).cloned().collect()
    };
    assert_eq!(later(&held), later(&expected));
    let count = |id: &str| later(&held).iter().filter(|(check, ..)| check == id).count();
    assert_eq!((count("first"), count("second"), count("both")), (1, 1, 2));
    assert!(count("tens") >= 8, "{held:?}");
}

#[test]
fn the_library_that_moves_clocks_moves_them() {
    let site =
        Site::new("sources: {db: {url: \"sqlite:db.db\", instants: sql}}\n", &window("it", "db"));
    site.checks("checks.yaml", &format!("version: 1\nowner: t\nchecks:\n{}", window("it", "db")));
    let daemon = start(&site, "+400d");
    let as_of = daemon.json("/api/v1/status")["as_of"].as_str().unwrap().to_owned();
    let as_of: DateTime<Utc> = as_of.parse().unwrap();
    assert!(as_of > allswell::clock::now() + TimeDelta::days(399), "{as_of}");
    assert!(Path::new(&library()).is_file());
}
