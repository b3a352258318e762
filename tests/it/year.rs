//! A year in the zone of each difficult transition, under a clock that is moved by hand: the ledger
//! equals the pure agenda.

use std::collections::BTreeSet;
use std::path::Path;

use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine as Dialect;
use allswell::domain::time::agenda::{Entry, Target};
use allswell::domain::time::owed::Watermark;
use allswell::domain::time::zone::ZoneName;
use chrono::{DateTime, TimeDelta, Utc};

use crate::hand::{Hand, Oracle, engine, watch_until};
use crate::lab;
use crate::servers::Folder;

/// What the ledger holds: check, kind, start, end, and what was said.
type LockFile = BTreeSet<(String, String, i64, i64, String)>;

async fn held(path: &Path) -> LockFile {
    let mut ledger = lab::Other::sqlite(path).await;
    let sql = "select s.check_id || '|' || e.kind || '|' || e.start_at || '|' || e.end_at || '|' \
               || coalesce(e.said, e.state) from entries e join series s on s.id = e.series";
    let rows = ledger.texts(sql).await;
    let parts = rows.iter().map(|row| {
        let parts: Vec<&str> = row.split('|').collect();
        let number = |i: usize| parts[i].parse::<i64>().unwrap();
        (parts[0].into(), parts[1].into(), number(2), number(3), parts[4].into())
    });
    parts.collect()
}

/// What the calendar says, without any engine.
fn expected(yaml: &str, loaded: DateTime<Utc>, end: DateTime<Utc>) -> LockFile {
    let mut expected = LockFile::new();
    let rules = |name: &ZoneName| lab::zones().rules(name);
    for check in lab::checks(Dialect::Sqlite, yaml) {
        for series in Series::of(&check, &rules).unwrap() {
            let first = series.owed(Watermark::New { loaded }, loaded, 100).owed;
            let later = series.agenda_after(loaded).take_while(|entry| entry.at() <= end);
            let later = later.filter_map(|entry| match entry {
                Entry::Due(due) => Some(due.target),
                Entry::Event(_) => None,
            });
            for target in first.iter().map(|owed| owed.due.target).chain(later) {
                let (kind, start, end) = match target {
                    Target::Window(window) => ("window", window.start, window.end),
                    Target::Slot(at) => ("slot", at, at),
                };
                let (start, end) = (start.timestamp_micros(), end.timestamp_micros());
                let id = check.id.to_string();
                let new = expected.insert((id, kind.into(), start, end, "confirmed".into()));
                assert!(new, "the calendar has it twice: {check:?} {kind} {start}");
            }
        }
    }
    expected
}

fn yaml(zone: &str) -> String {
    let windowed = |id: &str, window: &str| {
        format!(
            "  - id: {id}\n    why: because\n    window: {{{window}, zone: {zone}}}\n    sql: |\n      \
             select count(*) as n from t where at >= :window_start and at < :window_end\n    \
             expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    };
    let slot = |id: &str, cron: &str| {
        format!(
            "  - id: {id}\n    why: because\n    schedule: {{cron: \"{cron}\", zone: {zone}}}\n    \
             sql: select count(*) as n from t\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    };
    format!(
        "version: 1\nowner: tests\ndefaults: {{source: db}}\nchecks:\n{}{}{}{}{}",
        windowed("days", "period: day"),
        windowed("stretches", "period: day, split: utc_offset, settle: 2h"),
        windowed("weeks", "period: week"),
        slot("night", "30 2 * * *"),
        slot("midnight", "0 0 * * *"),
    )
}

#[test]
fn a_year_of_each_difficult_zone_is_recorded_as_the_calendar_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (zone, from) in [
        ("Europe/Berlin", "2026-01-15T00:00:00Z"),
        ("America/Sao_Paulo", "2017-08-01T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-01-01T00:00:00Z"),
        ("Pacific/Apia", "2011-06-01T00:00:00Z"),
        ("Africa/Casablanca", "2025-12-01T00:00:00Z"),
        ("Asia/Gaza", "2023-01-01T00:00:00Z"),
        ("Antarctica/Troll", "2026-01-01T00:00:00Z"),
        ("America/Havana", "2026-01-01T00:00:00Z"),
        ("Pacific/Kwajalein", "1993-03-01T00:00:00Z"),
        ("America/Vancouver", "2026-03-01T00:00:00Z"),
    ] {
        let loaded: DateTime<Utc> = from.parse().unwrap();
        let end = loaded + TimeDelta::days(366);
        let folder = Folder::new("year");
        let path = folder.path().join("ledger.db");
        let hand = Hand::at(loaded);
        runtime.block_on(async {
            let yaml = yaml(zone);
            let mut engine = engine(&path, &hand, Oracle::confirms(), &yaml).await;
            watch_until(&mut engine, &hand, end).await;
            drop(engine);
            let (held, expected) = (held(&path).await, expected(&yaml, loaded, end));
            assert!(held.len() > 1_100, "{zone}: {}", held.len());
            let missing: Vec<_> = expected.difference(&held).take(3).collect();
            let extra: Vec<_> = held.difference(&expected).take(3).collect();
            assert!(missing.is_empty() && extra.is_empty(), "{zone}: {missing:?} / {extra:?}");
        });
    }
}
