//! The rules of a zone change under a record that is there: what moves is proved anew, and what was
//! open stays so until it is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use allswell::domain::check::reason::{Cause, Reason};
use allswell::domain::check::succession::Removals;
use allswell::domain::check::verdict::{Contradiction, Finding, Verdict};
use allswell::engine::load::Reading;
use allswell::engine::order::Load;
use allswell::engine::watch::Engine;
use allswell::ledger::Store;
use allswell::manifest::Text;
use allswell::zones::{Database, Zones};
use chrono::{DateTime, TimeDelta, Utc};

use crate::hand::{Hand, Oracle, Told, pictures, reading_by, store_settings, work_off};
use crate::lab::Other;
use crate::servers::Folder;

const CHECKS: &str = "version: 1\nowner: tests\ndefaults: {source: db, result_by: 6h}\nchecks:\n  - id: it\n    why: because\n    \
    window: {period: day, zone: Europe/Berlin}\n    sql: select 1 + 0 as n where :window_start < :window_end\n    \
    expect: {values: {n: {min: 1}}}\n";

/// A zone database of one zone, as the compiler of zone databases makes it.
fn rules(folder: &Path, release: &str, zone: &str) -> Arc<Reading> {
    let home = folder.join(release);
    fs::create_dir(&home).unwrap();
    fs::write(home.join("source"), zone).unwrap();
    fs::write(home.join("tzdata.zi"), format!("# version {release}\n")).unwrap();
    let zic = ["/usr/sbin/zic", "/usr/bin/zic"].map(Path::new).into_iter().find(|p| p.exists());
    let made = Command::new(zic.expect("zic, of libc-bin"))
        .arg("-d")
        .arg(&home)
        .arg(home.join("source"))
        .status()
        .unwrap();
    assert!(made.success());
    reading_by(Zones::only(Database::folder(&home)))
}

async fn start(
    path: &Path,
    hand: &Hand,
    oracle: &Arc<Oracle>,
    told: &Told,
    reading: &Arc<Reading>,
) -> Engine<Oracle, Told> {
    let store = Store::open(store_settings(path, "hand")).await.unwrap();
    let (queries, reading) = (Arc::clone(oracle), Arc::clone(reading));
    let (shared, shown) = (Arc::clone(&reading), pictures(hand));
    let mut engine = Engine::new(store, queries, told.clone(), shared, hand.clock(), shown);
    engine.resume().await.unwrap();
    let texts = vec![Text { file: "checks.yaml".into(), text: CHECKS.into() }];
    let (queries, removals) = (Arc::clone(oracle), Removals::AsDeclared);
    engine.load(Load { texts, reading, queries, removals, by: "test".into() }).await.unwrap();
    engine
}

async fn pass(engine: &mut Engine<Oracle, Told>, hand: &Hand, hours: i64) {
    for _ in 0..hours * 4 {
        hand.set(hand.now() + TimeDelta::minutes(15));
        work_off(engine, hand).await;
    }
}

async fn rows(path: &Path) -> Vec<String> {
    let mut ledger = Other::sqlite(path).await;
    let sql = "select strftime('%m-%dT%H', start_at / 1000000, 'unixepoch') || '/' || \
        strftime('%m-%dT%H', end_at / 1000000, 'unixepoch') || ' ' || coalesce(said, state) || ' ' || ruling || ' ' || \
        tz_release from entries order by start_at, end_at";
    let rows = ledger.texts(sql).await;
    ledger.close().await;
    rows
}

#[tokio::test]
async fn windows_that_new_rules_move_are_proved_anew_and_what_was_open_stays_open_until_then() {
    let folder = Folder::new("rules");
    let path = folder.path().join("ledger.db");
    let before = rules(folder.path(), "2026a", "Zone Europe/Berlin 1:00 - CET\n");
    // Whoever went on at half past ten on the eleventh went on by another hour.
    let after = rules(
        folder.path(),
        "2026b",
        "Zone Europe/Berlin 1:00 - CET 2026 Mar 11 0:00\n                   3:00 - MSK\n",
    );
    let hand = Hand::at("2026-03-10T12:00:30Z".parse().unwrap());
    let (bad, silent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (is_bad, is_silent) = (Arc::clone(&bad), Arc::clone(&silent));
    let eleventh: DateTime<Utc> = "2026-03-10T23:00:00Z".parse().unwrap();
    let oracle = Arc::new(Oracle::new(move |_, look| {
        let window = look.window().unwrap();
        if is_silent.load(Ordering::SeqCst) {
            Verdict::Unconfirmed(Reason::new(Cause::Timeout, "because"))
        } else if window.start == eleventh && is_bad.load(Ordering::SeqCst) {
            let contradictions = vec![Contradiction::Rows { expected: "0".into(), seen: 1 }];
            Verdict::Violated(Finding { contradictions, cut: false, rows: Vec::new() })
        } else {
            Verdict::Confirmed
        }
    }));
    let told = Told::default();
    let mut engine = start(&path, &hand, &oracle, &told, &before).await;
    work_off(&mut engine, &hand).await;
    pass(&mut engine, &hand, 47).await;
    assert_eq!(
        rows(&path).await,
        [
            "03-08T23/03-09T23 confirmed standing 2026a",
            "03-09T23/03-10T23 confirmed standing 2026a",
            "03-10T23/03-11T23 violated standing 2026a",
        ]
    );
    drop(engine);
    // The new rules come while the data is right again, and the database does not answer.
    bad.store(false, Ordering::SeqCst);
    silent.store(true, Ordering::SeqCst);
    let mut engine = start(&path, &hand, &oracle, &told, &after).await;
    work_off(&mut engine, &hand).await;
    pass(&mut engine, &hand, 1).await;
    assert_eq!(
        rows(&path).await,
        [
            "03-08T23/03-09T23 confirmed standing 2026a",
            "03-09T23/03-10T23 confirmed standing 2026a",
            "03-10T23/03-11T21 waiting standing 2026b",
            "03-10T23/03-11T23 violated superseded 2026a",
        ]
    );
    assert_eq!(*told.0.lock().unwrap(), ["it  Firing(Violated)"]);
    silent.store(false, Ordering::SeqCst);
    pass(&mut engine, &hand, 1).await;
    // The rest of the old window lies in the next one, which is not over yet.
    assert_eq!(rows(&path).await[2..3], ["03-10T23/03-11T21 confirmed standing 2026b"]);
    assert_eq!(*told.0.lock().unwrap(), ["it  Firing(Violated)"]);
    pass(&mut engine, &hand, 24).await;
    assert_eq!(
        rows(&path).await[2..],
        [
            "03-10T23/03-11T21 confirmed standing 2026b",
            "03-10T23/03-11T23 violated replaced 2026a",
            "03-11T21/03-12T21 confirmed standing 2026b",
        ]
    );
    assert_eq!(*told.0.lock().unwrap(), ["it  Firing(Violated)", "it  Resolved(Violated)"]);
}
