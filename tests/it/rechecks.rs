//! Windows that were proved are proved again: what comes late, is changed or is purged is found, at each age, in
//! three zones, over a winter; and nothing that is due waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allswell::domain::check::reason::{Cause, Reason};
use allswell::domain::check::verdict::{Contradiction, Finding, Verdict};
use allswell::engine::asking::Look;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use crate::hand::{Hand, Oracle, Told, engine_of, watch_until, work_off};
use crate::lab::Other;
use crate::servers::Folder;

const CHECKS: &str = "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    source: db\n    \
    window: {period: day, zones: [Europe/Berlin, America/New_York, Asia/Kolkata]}\n    recheck: [1d, 7d, 35d]\n    \
    sql: select 1 + 0 as n where :window_start < :window_end and :zone <> ''\n    expect: {values: {n: {min: 1}}}\n";

fn violated() -> Verdict {
    let contradictions = vec![Contradiction::Rows { expected: "0".into(), seen: 1 }];
    Verdict::Violated(Finding { contradictions, cut: false, rows: Vec::new() })
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn texts(folder: &Folder, sql: &str) -> Vec<String> {
    let mut ledger = Other::sqlite(&folder.path().join("ledger.db")).await;
    let texts = ledger.texts(sql).await;
    ledger.close().await;
    texts
}

/// By the middle of a window: which day of the month it is of.
fn day(look: &Look) -> u32 {
    let span = look.window().unwrap().span;
    (span.start + (span.end - span.start) / 2).day()
}

#[tokio::test]
async fn late_changed_and_purged_rows_of_a_confirmed_day_are_found_in_three_zones_over_two_clock_changes()
 {
    let hand = Hand::at(at("2026-09-20T12:00:00Z"));
    let clock = hand.clone();
    let oracle = Oracle::new(move |_, look| {
        let age = clock.now() - look.window().unwrap().span.end;
        match day(look) {
            // A row that came late, one that was changed after three days, and one after a month.
            5 if age > TimeDelta::hours(12) => violated(),
            10 if age > TimeDelta::days(3) => violated(),
            15 if age > TimeDelta::days(30) => violated(),
            // Rows that are kept for three weeks.
            20 if age > TimeDelta::days(21) => {
                Verdict::Unconfirmed(Reason::new(Cause::NoEvidence, "there is nothing left"))
            }
            _ => Verdict::Confirmed,
        }
    });
    let folder = Folder::new("rechecks");
    let path = folder.path().join("ledger.db");
    let (oracle, told) = (Arc::new(oracle), Told::default());
    let mut engine = engine_of(&path, &hand, &oracle, &told, CHECKS).await;
    watch_until(&mut engine, &hand, at("2027-04-05T12:00:00Z")).await;
    // What became of the windows of each day of the month, of those that are older than the last age, and how old they
    // were when that was recorded, in days.
    let rows = "select strftime('%d', (start_at + end_at) / 2000000, 'unixepoch') || ' ' || said || ' ' || \
        case when said = 'violated' then (recorded_at - due) / 86400000000 else '-' end from entries \
        where end_at < strftime('%s', '2027-02-25') * 1000000 and kind = 'window'";
    let said = texts(&folder, rows).await;
    let of = |day: &str| {
        let mut of: Vec<&str> = said.iter().filter_map(|row| row.strip_prefix(day)).collect();
        of.sort_unstable();
        of.dedup();
        of
    };
    assert_eq!(of("05 "), ["violated 1"]);
    assert_eq!(of("10 "), ["violated 7"]);
    assert_eq!(of("15 "), ["violated 35"]);
    assert_eq!(of("20 "), ["confirmed -"], "what says nothing replaces no fact");
    assert_eq!(of("21 "), ["confirmed -"]);
    let attempts = "select distinct n || '' from (select count(*) as n from attempts \
        where end_at < strftime('%s', '2027-02-25') * 1000000 \
        and strftime('%d', (start_at + end_at) / 2000000, 'unixepoch') = '21' group by series, start_at)";
    assert_eq!(texts(&folder, attempts).await, ["4"], "once when it was due, and once at each age");
    let note = "select note from entries where said = 'violated' limit 1";
    let note = texts(&folder, note).await.remove(0);
    assert!(note.starts_with("confirmed on 2026-"), "{note}");
    assert!(note.contains(", violated now (evidence 1 then, 1 now): "), "{note}");
    // What says nothing is told until its window says something again, whatever others say.
    let changed = "select count(*) || '' from series where changed_note like '%was confirmed, and says nothing now%'";
    assert_eq!(texts(&folder, changed).await, ["3"]);
    let events = "select distinct note from events where kind = 'recheck'";
    assert_eq!(
        texts(&folder, events).await,
        ["looked at again: no_evidence: there is nothing left"]
    );
}

#[tokio::test]
async fn rechecks_wait_until_everything_that_is_due_was_looked_at_and_go_one_at_a_time() {
    let hand = Hand::at(at("2026-03-10T12:00:00Z"));
    let under_way = Arc::new(AtomicUsize::new(0));
    let oracle = Arc::new(Oracle::confirms());
    let folder = Folder::new("rechecks");
    let path = folder.path().join("ledger.db");
    let daily = |id: usize| {
        format!(
            "  - id: it-{id}\n    why: because\n    source: db\n    window: {{period: day, zone: UTC}}\n    \
             sql: select 1 + 0 as n where :window_start < :window_end\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        )
    };
    let checks: String = (0..20).map(daily).collect();
    let checks = format!("version: 1\nowner: tests\nchecks:\n{checks}");
    let told = Told::default();
    let mut engine = engine_of(&path, &hand, &oracle, &told, &checks).await;
    work_off(&mut engine, &hand).await;
    assert_eq!(oracle.seen().len(), 20);
    // The next day: twenty windows are due, and twenty are to be proved again.
    hand.set(at("2026-03-11T12:00:00Z"));
    let mut most = 0;
    for _ in 0..200 {
        let before = oracle.seen().len();
        assert!(engine.transact().await);
        engine.settle().await;
        let began = oracle.seen().len() - before;
        if before >= 40 {
            most = most.max(began);
        }
        under_way.fetch_add(began, Ordering::SeqCst);
        hand.set(hand.now() + TimeDelta::seconds(1));
    }
    assert_eq!(under_way.load(Ordering::SeqCst), 40);
    assert_eq!(most, 1, "one at a time");
    let order = "select case when exists (select 1 from attempts b where b.series = a.series \
        and b.start_at = a.start_at and b.epoch < a.epoch) then 'again' else 'first' end \
        from attempts a where ended_at > strftime('%s', '2026-03-11') * 1000000 order by ended_at, epoch";
    let order = texts(&folder, order).await;
    assert_eq!(order.iter().take(20).filter(|of| *of == "first").count(), 20, "{order:?}");
}
