//! A ledger that is lost, put back from a copy, or not the only one of its installation, while alerts stand: no alert
//! ends for that, and the daemon says what happened.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use allswell::domain::alerting::alert::Labels;
use allswell::domain::alerting::seen::{FirstLook, Handling, SeenAlert};
use allswell::domain::check::verdict::{Contradiction, Finding, Verdict};
use chrono::{DateTime, TimeDelta, Utc};

use crate::alerting::{Alertmanager, Receiver};
use crate::delivery::{printed, set, settings, site_of};
use crate::hand::{Hand, Oracle, Told, engine_of, work_off};
use crate::lab::{Database, Other};
use crate::notices::{SOON, confirmed};
use crate::servers::{Folder, Postgres};
use crate::watchman::{Site, Watchman};

/// How long an alert stands that nobody sends any more.
const LASTS: Duration = Duration::from_secs(20);
/// How long it takes at most until an alert that was adopted ends after its proof.
const ENDS: Duration = Duration::from_secs(120);

fn short(urls: &[String], more: &str) -> String {
    settings(urls, more).replace("lasts: 1h", &format!("lasts: {}s", LASTS.as_secs()))
}

/// Watches until the alert has outlived what it lasts by itself.
fn outlives(daemon: &Watchman, sink: &Receiver, alertmanager: &Alertmanager) {
    let until = Instant::now() + LASTS + Duration::from_secs(4);
    daemon.until(SOON, |_| {
        assert_eq!(sink.count("resolved", "AllswellViolated"), 0, "{:?}", sink.alerts());
        let stands = ("AllswellViolated".to_owned(), "it".to_owned());
        assert!(alertmanager.standing().contains(&stands), "{:?}", alertmanager.standing());
        if Instant::now() > until { Ok(()) } else { Err(until) }
    });
}

fn ends(daemon: &Watchman, sink: &Receiver, alertname: &str) {
    daemon.until(ENDS, |_| {
        let ended = sink.count("resolved", alertname);
        if ended == 1 { Ok(()) } else { Err(sink.alerts()) }
    });
}

/// The file of a ledger is gone, and what stands beside it.
fn lose_file(site: &Site) {
    let files = fs::read_dir(site.path()).unwrap().map(|file| file.unwrap().path());
    let ledger = files.filter(|path| path.to_string_lossy().contains("allswell.db"));
    for file in ledger.collect::<Vec<_>>() {
        fs::remove_file(file).unwrap();
    }
}

fn lost(first: &str, second: &str, lose: impl FnOnce(&Site)) {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let urls = [alertmanager.url()];
    let site = site_of(&short(&urls, first), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
    site.settings(&short(&urls, second));
    lose(&site);
    // What was wrong is past: the data of now is right.
    set(&site, "it", 1);
    let daemon = site.start();
    sink.until("firing", "AllswellLedgerNew", 0, SOON);
    let adopted = daemon.json("/api/v1/adopted");
    assert_eq!(adopted["adopted"][0]["check"], "it", "{adopted}");
    outlives(&daemon, &sink, &alertmanager);
    ends(&daemon, &sink, "AllswellViolated");
    ends(&daemon, &sink, "AllswellLedgerNew");
    assert!(daemon.stop().success());
}

#[test]
fn no_alert_of_a_ledger_that_was_deleted_ends_before_its_series_is_proved_anew() {
    lost("", "", lose_file);
}

#[test]
fn no_alert_of_a_ledger_that_was_replaced_by_an_empty_one_ends_before_its_series_is_proved_anew() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let databases = [0, 1].map(|_| runtime.block_on(Database::postgres(Postgres::shared())));
    let ledger = |database: &Database| {
        let url = database.url();
        format!("ledger: {{url: \"{url}\", password: \"${{file:watch}}\", lease: 2s}}\n")
    };
    lost(&ledger(&databases[0]), &ledger(&databases[1]), |_| {});
}

#[test]
fn a_ledger_that_is_put_back_from_a_copy_says_so_and_ends_nothing() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let site = site_of(&short(&[alertmanager.url()], ""), &["it"]);
    let mut daemon = site.start();
    confirmed(&daemon);
    assert!(daemon.stop().success());
    let (ledger, copy) = (site.path().join("allswell.db"), site.path().join("copy"));
    fs::copy(&ledger, &copy).unwrap();
    daemon = site.start();
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
    fs::copy(&copy, &ledger).unwrap();
    set(&site, "it", 1);
    daemon = site.start();
    sink.until("firing", "AllswellLedgerWentBack", 0, SOON);
    outlives(&daemon, &sink, &alertmanager);
    ends(&daemon, &sink, "AllswellViolated");
    assert!(daemon.stop().success());
}

#[test]
fn two_installations_with_the_same_labels_say_so_and_end_nothing_of_each_other() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let site = || site_of(&settings(&[alertmanager.url()], ""), &["it"]);
    let (one, other) = (site(), site());
    set(&one, "it", 0);
    let bad = one.start();
    sink.until("firing", "AllswellViolated", 0, SOON);
    let good = other.start();
    confirmed(&good);
    sink.until("firing", "AllswellInstallationShared", 0, SOON);
    // The other one was wrong too, for a moment, and is mended.
    set(&other, "it", 0);
    good.until(SOON, |daemon| match daemon.series("it")[0]["state"].as_str() {
        Some("violated") => Ok(()),
        state => Err(state.map(str::to_owned)),
    });
    set(&other, "it", 1);
    confirmed(&good);
    let until = Instant::now() + Duration::from_secs(10);
    good.until(SOON, |_| {
        assert_eq!(sink.count("resolved", "AllswellViolated"), 0, "{:?}", sink.alerts());
        if Instant::now() > until { Ok(()) } else { Err(until) }
    });
    assert!(good.stop().success() && bad.stop().success());
}

const DAILY: &str = "version: 1\nowner: tests\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: because\n    \
    sql: select 1 + 0 as n where :window_start < :window_end\n    window: {period: day, zone: UTC}\n    \
    catch_up: {policy: all, age: 7d}\n    expect: {values: {n: {min: 1}}}\n";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// An alert that an Alertmanager holds, as another process sent it.
fn seen(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> SeenAlert {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    SeenAlert {
        labels: Labels::new(labels.iter().map(owned)),
        annotations: annotations.iter().map(owned).collect(),
        starts_at: at("2026-03-08T00:00:00Z"),
        updated_at: at("2026-03-10T11:59:00Z"),
        handling: Handling::default(),
    }
}

fn violated() -> SeenAlert {
    let labels = [("alertname", "AllswellViolated"), ("check", "it"), ("owner", "tests")];
    seen(&labels, &[("ledger", "another"), ("summary", "it: 1 window violated")])
}

struct Stage {
    folder: Folder,
    hand: Hand,
    told: Told,
}

impl Stage {
    fn new(looks: Vec<SeenAlert>) -> Self {
        let hand = Hand::at(at("2026-03-10T12:00:30Z"));
        let look = FirstLook { alerts: looks, at: hand.now() };
        let told = Told::default();
        told.1.lock().unwrap().looks = vec![Arc::new(look)];
        Self { folder: Folder::new("ledgers"), hand, told }
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let mut ledger = Other::sqlite(&self.folder.path().join("ledger.db")).await;
        let texts = ledger.texts(sql).await;
        ledger.close().await;
        texts
    }

    async fn standing(&self) -> usize {
        self.texts("select fingerprint from alerts where ended_at is null").await.len()
    }

    /// Lets a minute pass.
    async fn minute(&self, engine: &mut allswell::engine::watch::Engine<Oracle, Told>) {
        self.hand.set(self.hand.now() + TimeDelta::minutes(1));
        work_off(engine, &self.hand).await;
        engine.carry_out().await;
        engine.house_keeping().await;
    }
}

#[tokio::test]
async fn what_is_adopted_ends_by_a_proof_that_came_after_it_and_not_before_another_ledger_would_be_seen()
 {
    let stage = Stage::new(vec![violated()]);
    let oracle = Arc::new(Oracle::confirms());
    let path = stage.folder.path().join("ledger.db");
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    engine.house_keeping().await;
    assert_eq!(stage.standing().await, 1);
    for round in 1..3 {
        // A minute and a half, with what is moved apart.
        stage.minute(&mut engine).await;
        assert_eq!(stage.standing().await, 1, "another ledger may be there: round {round}");
    }
    stage.minute(&mut engine).await;
    stage.minute(&mut engine).await;
    assert_eq!(stage.standing().await, 0, "its series was proved since");
}

#[tokio::test]
async fn what_another_ledger_keeps_up_does_not_end_as_long_as_it_does() {
    let stage = Stage::new(vec![violated()]);
    let oracle = Arc::new(Oracle::confirms());
    let path = stage.folder.path().join("ledger.db");
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    engine.house_keeping().await;
    stage.told.1.lock().unwrap().others = [violated().fingerprint()].into();
    for _ in 0..6 {
        stage.minute(&mut engine).await;
    }
    assert_eq!(stage.standing().await, 1, "it is proved, and the other one says that it stands");
    // The other one is stopped.
    stage.told.1.lock().unwrap().others.clear();
    stage.minute(&mut engine).await;
    assert_eq!(stage.standing().await, 0);
}

/// What says that all is confirmed until a number is set, and that all is violated from then on.
fn turning() -> (Arc<AtomicUsize>, Arc<Oracle>) {
    let bad = Arc::new(AtomicUsize::new(0));
    let is_bad = Arc::clone(&bad);
    let oracle = Oracle::new(move |_, _| match is_bad.load(Ordering::SeqCst) {
        0 => Verdict::Confirmed,
        _ => {
            let contradictions = vec![Contradiction::Rows { expected: "0".into(), seen: 1 }];
            Verdict::Violated(Finding { contradictions, cut: false, rows: Vec::new() })
        }
    });
    (bad, Arc::new(oracle))
}

#[tokio::test]
async fn a_ledger_behind_what_is_known_outside_proves_again_what_it_calls_confirmed() {
    let (bad, oracle) = turning();
    let stage = Stage::new(Vec::new());
    let path = stage.folder.path().join("ledger.db");
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    work_off(&mut engine, &stage.hand).await;
    assert_eq!(stage.texts("select distinct said from entries").await, ["confirmed"]);
    let id = stage.texts("select value from meta where key = 'id'").await.remove(0);
    drop(engine);
    // A watchdog's alert of a minute later was sent by this very ledger.
    let later = (stage.hand.now() + TimeDelta::minutes(1)).timestamp_micros().to_string();
    let watchdog =
        seen(&[("alertname", "AllswellWatchdog")], &[("ledger", &id), ("sequence", &later)]);
    let look = FirstLook { alerts: vec![watchdog], at: stage.hand.now() };
    stage.told.1.lock().unwrap().looks = vec![Arc::new(look)];
    bad.store(1, Ordering::SeqCst);
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    for _ in 0..3 {
        engine.house_keeping().await;
        engine.carry_out().await;
        work_off(&mut engine, &stage.hand).await;
    }
    let said = stage.texts("select distinct said from entries where kind = 'window'").await;
    assert_eq!(said, ["violated"], "what it called confirmed was looked at again");
}

#[tokio::test]
async fn a_copy_put_back_after_another_ledger_was_used_proves_again_what_that_one_alerted_of() {
    let (bad, oracle) = turning();
    let stage = Stage::new(Vec::new());
    let path = stage.folder.path().join("ledger.db");
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    work_off(&mut engine, &stage.hand).await;
    assert_eq!(stage.texts("select distinct said from entries").await, ["confirmed"]);
    drop(engine);
    // Meanwhile another ledger found it wrong, and said so.
    let look = FirstLook { alerts: vec![violated()], at: stage.hand.now() };
    stage.told.1.lock().unwrap().looks = vec![Arc::new(look)];
    bad.store(1, Ordering::SeqCst);
    let mut engine = engine_of(&path, &stage.hand, &oracle, &stage.told, DAILY).await;
    for _ in 0..3 {
        engine.house_keeping().await;
        engine.carry_out().await;
        work_off(&mut engine, &stage.hand).await;
    }
    let said = stage.texts("select distinct said from entries where kind = 'window'").await;
    assert_eq!(said, ["violated"], "what the other one alerted of was looked at again");
    assert!(stage.standing().await > 0);
}

#[test]
fn an_alertmanager_that_answers_later_than_the_daemon_begins_loses_no_alert_of_a_lost_ledger() {
    let sink = Receiver::start();
    let alertmanager = printed(&sink);
    let site = site_of(&settings(&[alertmanager.url()], ""), &["it"]);
    let daemon = site.start();
    confirmed(&daemon);
    set(&site, "it", 0);
    sink.until("firing", "AllswellViolated", 0, SOON);
    assert!(daemon.stop().success());
    alertmanager.signal("STOP");
    lose_file(&site);
    set(&site, "it", 1);
    let daemon = site.start();
    confirmed(&daemon);
    daemon.until(SOON, |daemon| {
        let ways = daemon.json("/api/v1/status")["alert_paths"].clone();
        if ways[0]["why"].is_string() { Ok(()) } else { Err(ways) }
    });
    alertmanager.signal("CONT");
    sink.until("firing", "AllswellLedgerNew", 0, SOON);
    assert_eq!(sink.count("resolved", "AllswellViolated"), 0, "{:?}", sink.alerts());
    // By a person's word it ends, without waiting for more.
    let body = "{\"check\": \"it\", \"by\": \"ana\", \"because\": \"looked at\"}";
    let (status, said) = daemon.post("/api/v1/adopted/end", body);
    assert_eq!(status, 200, "{said}");
    ends(&daemon, &sink, "AllswellViolated");
    assert!(daemon.stop().success());
}
