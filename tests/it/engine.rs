//! The engine under a clock that is moved by hand: what it does when things go wrong.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allswell::domain::check::reason::{Cause, Reason};
use allswell::domain::check::verdict::{Contradiction, Finding, Verdict};
use allswell::engine::asking::Look;
use allswell::engine::watch::Engine;
use chrono::{DateTime, TimeDelta, Utc};

use crate::hand::{Hand, Oracle, Told, engine_of, load, work_off};
use crate::lab::Other;
use crate::servers::Folder;

fn violated() -> Verdict {
    let contradictions = vec![Contradiction::Rows { expected: "0".into(), seen: 1 }];
    Verdict::Violated(Finding { contradictions, cut: false, rows: Vec::new() })
}

fn silent(cause: Cause) -> Verdict {
    Verdict::Unconfirmed(Reason::new(cause, "because"))
}

fn yaml(checks: &[(&str, &str)]) -> String {
    let mut yaml = "version: 1\nowner: tests\ndefaults: {source: db}\nchecks:\n".to_owned();
    for (id, more) in checks {
        let sql = if more.contains("zones_from") {
            "select 1 + 0 as n where :window_start < :window_end and :zone <> ''"
        } else if more.contains("window:") {
            "select 1 + 0 as n where :window_start < :window_end"
        } else {
            "select 1 + 0 as n"
        };
        yaml.push_str(&format!(
            "  - id: {id}\n    why: because\n    sql: {sql}\n    {more}\n    expect: {{values: {{n: {{min: 1}}}}}}\n"
        ));
    }
    yaml
}

struct Stage {
    folder: Folder,
    hand: Hand,
    oracle: Arc<Oracle>,
    told: Told,
}

impl Stage {
    fn new(oracle: Oracle) -> Self {
        let hand = Hand::at("2026-03-10T12:00:30Z".parse().unwrap());
        let (oracle, told) = (Arc::new(oracle), Told::default());
        Self { folder: Folder::new("stage"), hand, oracle, told }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.db")
    }

    async fn start(&self, yaml: &str) -> Engine<Oracle, Told> {
        engine_of(&self.path(), &self.hand, &self.oracle, &self.told, yaml).await
    }

    fn told(&self) -> Vec<String> {
        self.told.0.lock().unwrap().clone()
    }
}

/// Lets time pass in steps, looking at each.
async fn pass(engine: &mut Engine<Oracle, Told>, hand: &Hand, time: TimeDelta, step: TimeDelta) {
    let end = hand.now() + time;
    while hand.now() < end {
        hand.set((hand.now() + step).min(end));
        for _ in 0..4 {
            assert!(engine.transact().await);
            engine.settle().await;
        }
    }
}

async fn texts(path: &Path, sql: &str) -> Vec<String> {
    let mut ledger = Other::sqlite(path).await;
    let texts = ledger.texts(sql).await;
    ledger.close().await;
    texts
}

const SAID: &str = "select s.check_id || ' ' || coalesce(e.said, e.state) || coalesce(' ' || e.cause, '') \
    || ' ' || e.attempts from entries e join series s on s.id = e.series order by s.check_id, e.start_at";

#[tokio::test]
async fn a_panic_costs_the_attempt_in_which_it_happens() {
    let stage = Stage::new(Oracle::new(|check, _| {
        assert!(check.id.as_str() != "bad", "a panic on purpose");
        Verdict::Confirmed
    }));
    let checks = yaml(&[("bad", "schedule: {every: 1h}"), ("good", "schedule: {every: 1h}")]);
    let mut engine = stage.start(&checks).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(1), TimeDelta::seconds(10)).await;
    let said = texts(&stage.path(), SAID).await;
    assert!(said[0].starts_with("bad waiting"), "{said:?}");
    assert_eq!(said[1], "good confirmed 1");
    let notes = texts(&stage.path(), "select note from attempts where said = 'unconfirmed'").await;
    assert!(notes.iter().all(|note| note.contains("allswell itself failed")), "{notes:?}");
}

#[tokio::test]
async fn critical_checks_go_first_then_by_deadline() {
    let mut oracle = Oracle::confirms();
    oracle.places = 1;
    let stage = Stage::new(oracle);
    let checks = yaml(&[
        ("info", "severity: info"),
        ("warning-later", "result_by: 50m"),
        ("warning", "result_by: 5m"),
        ("critical", "severity: critical"),
    ]);
    let mut engine = stage.start(&checks).await;
    pass(&mut engine, &stage.hand, TimeDelta::seconds(5), TimeDelta::seconds(1)).await;
    assert_eq!(stage.oracle.seen(), ["critical", "warning", "warning-later", "info"]);
}

#[tokio::test]
async fn trouble_that_passes_is_tried_again_before_anybody_is_told() {
    let tries = AtomicUsize::new(0);
    let stage = Stage::new(Oracle::new(move |_, _| match tries.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => silent(Cause::Busy),
        _ => Verdict::Confirmed,
    }));
    let mut engine = stage.start(&yaml(&[("it", "schedule: {every: 1h}")])).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(3), TimeDelta::seconds(1)).await;
    assert_eq!(texts(&stage.path(), SAID).await, ["it confirmed 3"]);
    assert!(stage.told().is_empty());
}

#[tokio::test]
async fn a_source_that_fails_is_left_alone_and_its_checks_become_an_alarm() {
    let stage = Stage::new(Oracle::new(|_, _| silent(Cause::Connect)));
    stage.oracle.alive.store(false, Ordering::SeqCst);
    let ids: Vec<String> = (0..20).map(|n| format!("it-{n}")).collect();
    let checks: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "result_by: 5m")).collect();
    let mut engine = stage.start(&yaml(&checks)).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(4), TimeDelta::seconds(5)).await;
    let attempts = stage.oracle.seen().len();
    let probes = stage.oracle.probes.load(Ordering::SeqCst);
    assert!(attempts <= 5 + 8, "{attempts} attempts at a source that is down");
    assert!((5..=20).contains(&probes), "{probes} probes in four minutes");
    assert!(stage.told().is_empty(), "nobody is told before the deadline: {:?}", stage.told());
    pass(&mut engine, &stage.hand, TimeDelta::minutes(2), TimeDelta::seconds(5)).await;
    assert_eq!(stage.told().len(), 20, "{:?}", stage.told());
    let causes = texts(&stage.path(), "select distinct cause from entries order by 1").await;
    assert!(causes.contains(&"breaker_open".into()), "{causes:?}");
    // It is back: two good probes, and everything is looked at, though late.
    stage.oracle.alive.store(true, Ordering::SeqCst);
    let before = stage.oracle.seen().len();
    pass(&mut engine, &stage.hand, TimeDelta::minutes(1), TimeDelta::seconds(1)).await;
    assert!(stage.oracle.seen().len() > before);
}

#[tokio::test]
async fn what_there_was_no_time_for_is_shed_by_name() {
    let mut oracle = Oracle::confirms();
    oracle.places = 1;
    let stage = Stage::new(oracle);
    let ids: Vec<String> = (0..100).map(|n| format!("it-{n}")).collect();
    let checks: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "result_by: 10s")).collect();
    let mut engine = stage.start(&yaml(&checks)).await;
    // One attempt, as many as are claimed ahead after that, and then it is too late for the others.
    for _ in 0..2 {
        assert!(engine.transact().await);
        engine.settle().await;
    }
    pass(&mut engine, &stage.hand, TimeDelta::seconds(11), TimeDelta::seconds(11)).await;
    let shed =
        texts(&stage.path(), "select count(*) || '' from entries where cause = 'shed'").await;
    let shed: usize = shed[0].parse().unwrap();
    assert!(shed >= 15, "{shed} shed");
    let missed =
        texts(&stage.path(), "select count(*) || '' from entries where cause = 'missed'").await;
    assert_eq!(missed, ["0"]);
}

#[tokio::test]
async fn after_an_outage_windows_are_caught_up_as_their_check_says() {
    let daily = |policy: &str| {
        format!("window: {{period: day, zone: UTC}}\n    catch_up: {{policy: {policy}}}")
    };
    let (all, latest, none) = (daily("all"), daily("latest"), daily("none"));
    let checks = yaml(&[
        ("all", &all),
        ("latest", &latest),
        ("none", &none),
        ("slot", "schedule: {every: 1h}"),
    ]);
    let stage = Stage::new(Oracle::confirms());
    let mut engine = stage.start(&checks).await;
    work_off(&mut engine, &stage.hand).await;
    drop(engine);
    // Five days in which nobody looks.
    let later: DateTime<Utc> = "2026-03-15T18:00:00Z".parse().unwrap();
    stage.hand.set(later);
    let mut engine = stage.start(&checks).await;
    work_off(&mut engine, &stage.hand).await;
    let said = texts(&stage.path(), SAID).await;
    let count = |check: &str, what: &str| {
        said.iter().filter(|row| row.starts_with(&format!("{check} {what}"))).count()
    };
    assert_eq!((count("all", "confirmed"), count("all", "unconfirmed")), (6, 0), "{said:?}");
    assert_eq!((count("latest", "confirmed"), count("latest", "unconfirmed missed")), (2, 4));
    assert_eq!((count("none", "confirmed"), count("none", "unconfirmed missed")), (1, 5));
    // What is not to be caught up is no alarm; a hole in the present is closed by the next look.
    assert_eq!(count("slot", "unconfirmed missed"), 1);
    let open =
        texts(&stage.path(), "select sum(open_violated + open_unconfirmed) || '' from series")
            .await;
    assert_eq!(open, ["0"], "{said:?}");
}

#[tokio::test]
async fn zones_appear_and_vanish_with_their_list_and_a_list_that_fails_changes_nothing() {
    let stage = Stage::new(Oracle::confirms());
    let set = |zones: Option<Vec<&'static str>>| *stage.oracle.zones.lock().unwrap() = zones;
    set(Some(vec!["Europe/Berlin", "Asia/Tokyo"]));
    let window = "window: {period: day, zones_from: {sql: select zone from zones}}";
    let mut engine = stage.start(&yaml(&[("it", window)])).await;
    let hour = TimeDelta::hours(1);
    pass(&mut engine, &stage.hand, TimeDelta::minutes(5), TimeDelta::seconds(30)).await;
    let zones = "select tz || coalesce(' gone', '') from series where tz <> '' and retired_at is not null \
                 union all select tz from series where tz <> '' and retired_at is null order by 1";
    assert_eq!(texts(&stage.path(), zones).await, ["Asia/Tokyo", "Europe/Berlin"]);
    // It cannot be read: those that are known are looked at all the same.
    set(None);
    pass(&mut engine, &stage.hand, TimeDelta::hours(26), TimeDelta::minutes(10)).await;
    assert_eq!(texts(&stage.path(), zones).await, ["Asia/Tokyo", "Europe/Berlin"]);
    let days = "select tz || ' ' || count(*) from entries e join series s on s.id = e.series \
                where e.kind = 'window' and e.said = 'confirmed' group by tz order by tz";
    assert_eq!(texts(&stage.path(), days).await, ["Asia/Tokyo 2", "Europe/Berlin 2"]);
    assert!(
        stage.told().iter().any(|told| told.starts_with("it  Firing(Unconfirmed)")),
        "{:?}",
        stage.told()
    );
    // One goes, one comes.
    set(Some(vec!["Asia/Tokyo", "America/New_York"]));
    pass(&mut engine, &stage.hand, hour * 2, TimeDelta::minutes(5)).await;
    let now = texts(&stage.path(), zones).await;
    assert_eq!(now, ["America/New_York", "Asia/Tokyo", "Europe/Berlin gone"]);
    pass(&mut engine, &stage.hand, TimeDelta::hours(48), TimeDelta::minutes(20)).await;
    let berlin = texts(&stage.path(), days).await;
    assert!(berlin.contains(&"Europe/Berlin 2".into()), "nothing more is due there: {berlin:?}");
}

#[tokio::test]
async fn a_pause_holds_windows_back_and_its_end_catches_them_up() {
    let stage = Stage::new(Oracle::confirms());
    let daily = "window: {period: day, zone: UTC}";
    let paused =
        "window: {period: day, zone: UTC}\n    pause: {until: 2026-03-13, because: migration}";
    let mut engine = stage.start(&yaml(&[("it", daily)])).await;
    work_off(&mut engine, &stage.hand).await;
    load(&mut engine, &stage.oracle, &yaml(&[("it", paused)])).await;
    pass(&mut engine, &stage.hand, TimeDelta::hours(48), TimeDelta::minutes(30)).await;
    assert_eq!(stage.oracle.seen().len(), 1, "it was looked at before the pause, and not in it");
    pass(&mut engine, &stage.hand, TimeDelta::hours(24), TimeDelta::minutes(30)).await;
    let confirmed = "select count(*) || '' from entries where said = 'confirmed'";
    assert_eq!(texts(&stage.path(), confirmed).await, ["4"]);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[tokio::test]
async fn a_window_that_was_promised_before_a_pause_is_no_alarm_until_it_had_its_time_after_it() {
    for called_off in [false, true] {
        let works = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let answers = Arc::clone(&works);
        let stage = Stage::new(Oracle::new(move |_, _| match answers.load(Ordering::SeqCst) {
            true => Verdict::Confirmed,
            false => silent(Cause::Timeout),
        }));
        let daily = "result_by: 2h\n    window: {period: day, zone: UTC}";
        let paused = format!("{daily}\n    pause: {{until: 2026-03-13, because: migration}}");
        let mut engine = stage.start(&yaml(&[("it", daily)])).await;
        pass(&mut engine, &stage.hand, TimeDelta::minutes(10), TimeDelta::minutes(1)).await;
        let tries = stage.oracle.seen().len();
        assert!(tries > 1);
        load(&mut engine, &stage.oracle, &yaml(&[("it", &paused)])).await;
        let rest = TimeDelta::minutes(11 * 60 + 40) + TimeDelta::hours(47);
        pass(&mut engine, &stage.hand, rest, TimeDelta::minutes(10)).await;
        assert_eq!(stage.oracle.seen().len(), tries, "it is looked at in its pause");
        assert!(stage.told().is_empty(), "{:?}", stage.told());
        if called_off {
            load(&mut engine, &stage.oracle, &yaml(&[("it", daily)])).await;
        }
        // An hour and a half after the pause it still may come, three hours after it is late.
        let until = if called_off { 90 } else { 60 + 90 + 10 };
        let step = TimeDelta::minutes(2);
        pass(&mut engine, &stage.hand, TimeDelta::minutes(until), step).await;
        assert!(stage.oracle.seen().len() > tries, "{called_off}");
        assert!(stage.told().is_empty(), "{called_off}: {:?}", stage.told());
        pass(&mut engine, &stage.hand, TimeDelta::minutes(90), step).await;
        assert_eq!(stage.told(), ["it  Firing(Unconfirmed)"], "{called_off}");
        works.store(true, Ordering::SeqCst);
        pass(&mut engine, &stage.hand, TimeDelta::hours(3), TimeDelta::minutes(5)).await;
        assert_eq!(stage.told()[1..], ["it  Resolved(Unconfirmed)"], "{called_off}");
        let rows =
            "select count(*) || ' ' || count(case when said = 'confirmed' then 1 end) from entries";
        assert_eq!(texts(&stage.path(), rows).await, ["4 4"], "{called_off}");
    }
}

#[tokio::test]
async fn who_asks_two_sources_is_not_shed_behind_a_queue_of_one() {
    for phase in 0..3 {
        let mut oracle = Oracle::confirms();
        (oracle.places, oracle.elsewhere) = (1, 1);
        let stage = Stage::new(oracle);
        let both =
            "schedule: {every: 1m}\n    source: other\n    result_by: 50s\n    severity: info";
        let alone = "schedule: {every: 1s}\n    severity: critical";
        let mut yaml = yaml(&[("both", both), ("alone-1", alone), ("alone-2", alone)]);
        let expects = "    expect: {values: {n: {min: 1}}}\n";
        let keys =
            "    expect: {keys: {columns: [n], from: {source: db, sql: select 1 + 0 as n}}}\n";
        yaml = yaml.replacen(expects, keys, 1);
        let mut engine = stage.start(&yaml).await;
        for transact in 0..600 {
            assert!(engine.transact().await);
            stage.hand.set(stage.hand.now() + TimeDelta::milliseconds(500));
            // An attempt takes thirteen seconds, so that a place becomes free when he does not look.
            if transact % 26 == phase {
                engine.settle().await;
            }
        }
        let said = "select e.said || coalesce(e.cause, '') || ' ' || ((e.recorded_at - e.due) / 1000000) from entries e join series s on s.id = e.series \
        where s.check_id = 'both' and e.said is not null";
        let said = texts(&stage.path(), said).await;
        let soon =
            |row: &String| row.strip_prefix("confirmed ").unwrap().parse::<i64>().unwrap() < 20;
        assert!(said.len() > 4 && said.iter().all(soon), "{phase}: {said:?}");
    }
}

#[tokio::test]
async fn an_open_window_is_tried_again_at_later_dues_and_resolves_by_its_own_proof() {
    let good_from = Arc::new(std::sync::Mutex::new(None::<DateTime<Utc>>));
    let (mended, hand) =
        (Arc::clone(&good_from), Hand::at("2026-03-10T12:00:30Z".parse().unwrap()));
    let clock = hand.clone();
    let first: DateTime<Utc> = "2026-03-09T00:00:00Z".parse().unwrap();
    let oracle = Oracle::new(move |_, look| {
        let bad = look.window().is_some_and(|window| window.start == first);
        let mended = mended.lock().unwrap().is_some_and(|at| clock.now() >= at);
        if bad && !mended { violated() } else { Verdict::Confirmed }
    });
    let stage = Stage {
        folder: Folder::new("stage"),
        hand,
        oracle: Arc::new(oracle),
        told: Told::default(),
    };
    let mut engine = stage.start(&yaml(&[("it", "window: {period: day, zone: UTC}")])).await;
    pass(&mut engine, &stage.hand, TimeDelta::hours(60), TimeDelta::minutes(30)).await;
    // Two good days later it fires still.
    assert_eq!(stage.told(), ["it  Firing(Violated)"]);
    *good_from.lock().unwrap() = Some(stage.hand.now());
    pass(&mut engine, &stage.hand, TimeDelta::hours(26), TimeDelta::minutes(30)).await;
    assert_eq!(stage.told(), ["it  Firing(Violated)", "it  Resolved(Violated)"]);
}

#[tokio::test]
async fn one_series_that_catches_up_holds_up_nobody_and_the_engine_rests() {
    let mut oracle = Oracle::confirms();
    oracle.places = 2;
    let stage = Stage::new(oracle);
    let checks = yaml(&[
        ("slow", "severity: critical\n    window: {period: 5m}"),
        ("other", "window: {period: 1h}"),
    ]);
    let mut engine = stage.start(&checks).await;
    work_off(&mut engine, &stage.hand).await;
    drop(engine);
    // Three days later: 864 windows of one, 72 of the other.
    stage.hand.set("2026-03-13T12:00:30Z".parse().unwrap());
    let mut engine = stage.start(&checks).await;
    let before = stage.oracle.seen().len();
    for _ in 0..120 {
        assert!(engine.transact().await);
        engine.settle().await;
    }
    let seen = stage.oracle.seen().split_off(before);
    let other = seen.iter().filter(|check| *check == "other").count();
    assert!(other > 30, "{other} of {} went to the other one", seen.len());
    assert!(seen.len() > 150, "only {} attempts in 120 turns", seen.len());
}

#[tokio::test]
async fn a_check_that_moves_to_another_source_takes_no_place_along() {
    // Both are the same oracle; what counts is whose places are taken.
    let stage = Stage::new(Oracle::confirms());
    let windows = "window: {period: 1h}";
    let ids: Vec<String> = (0..12).map(|n| format!("it-{n}")).collect();
    let checks: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), windows)).collect();
    let first = yaml(&checks);
    let mut engine = stage.start(&first).await;
    work_off(&mut engine, &stage.hand).await;
    for round in 0..3 {
        let source = if round % 2 == 0 { "other" } else { "db" };
        let moved = first.replace("{source: db}", &format!("{{source: {source}}}"));
        load(&mut engine, &stage.oracle, &moved).await;
        pass(&mut engine, &stage.hand, TimeDelta::hours(2), TimeDelta::minutes(5)).await;
    }
    let late =
        "select count(*) || '' from entries where said <> 'confirmed' or reproof_by is not null";
    assert_eq!(texts(&stage.path(), late).await, ["0"]);
    let sources = texts(
        &stage.path(),
        "select distinct source from entries where reproof_by is null \
        and start_at > (select max(start_at) - 3600000000 from entries)",
    )
    .await;
    assert_eq!(sources, ["other"]);
}

#[tokio::test]
async fn windows_of_another_zone_are_not_proved_by_the_old_ones() {
    let stage = Stage::new(Oracle::new(|_, look| match look {
        Look::Window { bounds, .. } if bounds.zone.as_str() == "America/New_York" => violated(),
        Look::Present | Look::Window { .. } => Verdict::Confirmed,
    }));
    let berlin = yaml(&[("it", "window: {period: day, zone: Europe/Berlin}")]);
    let mut engine = stage.start(&berlin).await;
    work_off(&mut engine, &stage.hand).await;
    let lease =
        "select coalesce(lease_until, 0) || '' from series where retired_at is null and tz = ''";
    assert_ne!(texts(&stage.path(), lease).await, ["0"]);
    load(&mut engine, &stage.oracle, &berlin.replace("Europe/Berlin", "America/New_York")).await;
    assert_eq!(texts(&stage.path(), lease).await, ["0"], "nothing is proved of the new zone");
    work_off(&mut engine, &stage.hand).await;
    assert_eq!(stage.told(), ["it  Firing(Violated)"]);
}

#[tokio::test]
async fn a_list_of_zones_proves_no_window_of_before() {
    let stage = Stage::new(Oracle::new(|_, _| violated()));
    *stage.oracle.zones.lock().unwrap() = Some(vec!["Asia/Tokyo"]);
    let one = yaml(&[("it", "window: {period: day, zone: Europe/Berlin}")]);
    let mut engine = stage.start(&one).await;
    work_off(&mut engine, &stage.hand).await;
    assert_eq!(stage.told(), ["it  Firing(Violated)"]);
    let many = yaml(&[("it", "window: {period: day, zones_from: {sql: select zone from zones}}")]);
    // It fires, so that somebody has to say that its windows go.
    assert!(crate::hand::try_load(&mut engine, &stage.oracle, &many).await.is_err());
    let declared = many + "removed: [{id: other, because: x}]\n";
    assert!(crate::hand::try_load(&mut engine, &stage.oracle, &declared).await.is_err());
    pass(&mut engine, &stage.hand, TimeDelta::hours(3), TimeDelta::minutes(10)).await;
    assert_eq!(stage.told(), ["it  Firing(Violated)"], "and nothing was resolved");
}

#[tokio::test]
async fn a_new_meaning_is_tried_until_it_is_proved_and_is_an_alarm_when_it_is_not() {
    let calm = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let answers = Arc::clone(&calm);
    let stage = Stage::new(Oracle::new(move |_, _| {
        if answers.load(Ordering::SeqCst) { Verdict::Confirmed } else { silent(Cause::Busy) }
    }));
    let daily = yaml(&[("it", "window: {period: day, zone: UTC}\n    result_by: 30m")]);
    let mut engine = stage.start(&daily).await;
    work_off(&mut engine, &stage.hand).await;
    // It means something else, and the first attempts say nothing.
    calm.store(false, Ordering::SeqCst);
    load(&mut engine, &stage.oracle, &daily.replace("{min: 1}", "{min: 2}")).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(10), TimeDelta::seconds(20)).await;
    assert!(stage.oracle.seen().len() > 3, "{} attempts", stage.oracle.seen().len());
    assert!(stage.told().is_empty());
    let reproof = "select count(*) || '' from entries where reproof_by is not null";
    assert_eq!(texts(&stage.path(), reproof).await, ["1"]);
    pass(&mut engine, &stage.hand, TimeDelta::minutes(30), TimeDelta::minutes(1)).await;
    assert_eq!(stage.told(), ["it  Firing(Unconfirmed)"]);
    calm.store(true, Ordering::SeqCst);
    pass(&mut engine, &stage.hand, TimeDelta::hours(2), TimeDelta::minutes(5)).await;
    assert_eq!(stage.told(), ["it  Firing(Unconfirmed)", "it  Resolved(Unconfirmed)"]);
    assert_eq!(texts(&stage.path(), reproof).await, ["0"]);
}

#[tokio::test]
async fn a_hole_in_which_nobody_looked_stays_one() {
    let calm = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let answers = Arc::clone(&calm);
    let stage = Stage::new(Oracle::new(move |_, _| {
        if answers.load(Ordering::SeqCst) { Verdict::Confirmed } else { violated() }
    }));
    let checks = yaml(&[("it", "schedule: {every: 1h}")]);
    let mut engine = stage.start(&checks).await;
    work_off(&mut engine, &stage.hand).await;
    drop(engine);
    calm.store(false, Ordering::SeqCst);
    stage.hand.set("2026-03-10T22:30:00Z".parse().unwrap());
    let mut engine = stage.start(&checks).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(5), TimeDelta::seconds(30)).await;
    calm.store(true, Ordering::SeqCst);
    pass(&mut engine, &stage.hand, TimeDelta::minutes(3), TimeDelta::seconds(30)).await;
    let hole =
        "select said || ' ' || cause || ' ' || attempts from entries where start_at <> end_at";
    assert_eq!(texts(&stage.path(), hole).await, ["unconfirmed missed 0"]);
}

#[tokio::test]
async fn an_attempt_that_never_ends_or_panics_is_an_alarm_when_its_time_is_over() {
    for hangs in [true, false] {
        let oracle = if hangs {
            Oracle::confirms()
        } else {
            Oracle::new(|_, _| panic!("as a fault of ours would"))
        };
        oracle.hangs.store(hangs, Ordering::SeqCst);
        let stage = Stage::new(oracle);
        let mut engine =
            stage.start(&yaml(&[("it", "schedule: {every: 1m}\n    result_by: 30s")])).await;
        for _ in 0..40 {
            assert!(engine.transact().await);
            stage.hand.set(stage.hand.now() + TimeDelta::seconds(5));
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.told(), ["it  Firing(Unconfirmed)"], "{hangs}");
    }
}

#[tokio::test]
async fn a_check_that_cannot_run_is_told_within_two_minutes_and_keeps_the_cause_that_it_began_with()
{
    let causes = [Cause::Auth, Cause::QueryError, Cause::Refused, Cause::UnsupportedType];
    let ids = ["auth", "query", "refused", "type", "slow", "once"];
    let tries = AtomicUsize::new(0);
    let later = Arc::new(AtomicUsize::new(0));
    let is_later = Arc::clone(&later);
    let stage = Stage::new(Oracle::new(move |check, _| {
        let place = ids.iter().position(|id| *id == check.id.as_str()).unwrap();
        match causes.get(place) {
            Some(_) if is_later.load(Ordering::SeqCst) > 0 => silent(Cause::Timeout),
            Some(cause) => silent(*cause),
            // What waiting may mend, and what was back with the second attempt.
            None if place == 4 => silent(Cause::Timeout),
            None if tries.fetch_add(1, Ordering::SeqCst) == 0 => silent(Cause::QueryError),
            None => Verdict::Confirmed,
        }
    }));
    let slot = "schedule: {every: 6h}\n    result_by: 3h";
    let checks: Vec<(&str, &str)> = ids.iter().map(|id| (*id, slot)).collect();
    let mut engine = stage.start(&yaml(&checks)).await;
    pass(&mut engine, &stage.hand, TimeDelta::seconds(59), TimeDelta::seconds(1)).await;
    assert!(stage.told().is_empty(), "one attempt is not told: {:?}", stage.told());
    pass(&mut engine, &stage.hand, TimeDelta::seconds(61), TimeDelta::seconds(1)).await;
    let mut told = stage.told();
    told.sort();
    let firing = |id: &&str| format!("{id}  Firing(Unconfirmed)");
    let mut wanted: Vec<String> = ids[..4].iter().map(firing).collect();
    wanted.sort();
    assert_eq!(told, wanted);
    let fired = "select check_id || ' ' || unconfirmed_cause from series \
                 where unconfirmed_cause is not null order by 1";
    let wanted = ["auth auth", "query query_error", "refused refused", "type unsupported_type"];
    assert_eq!(texts(&stage.path(), fired).await, wanted);
    later.store(1, Ordering::SeqCst);
    pass(&mut engine, &stage.hand, TimeDelta::minutes(10), TimeDelta::seconds(10)).await;
    assert_eq!(
        texts(&stage.path(), fired).await,
        wanted,
        "an alert keeps its name while it stands"
    );
    assert_eq!(stage.told().len(), 4, "and nothing new is told: {:?}", stage.told());
}

#[tokio::test]
async fn a_check_that_looks_each_half_minute_and_cannot_run_is_told_as_soon() {
    let stage = Stage::new(Oracle::new(|_, _| silent(Cause::Auth)));
    let checks = yaml(&[("it", "schedule: {every: 30s}\n    result_by: 3h")]);
    let mut engine = stage.start(&checks).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(2), TimeDelta::seconds(1)).await;
    assert_eq!(stage.told(), ["it  Firing(Unconfirmed)"]);
}

#[tokio::test]
async fn a_check_that_was_changed_into_one_that_cannot_run_is_told_before_its_next_window() {
    let stage =
        Stage::new(Oracle::new(|check, _| match format!("{:?}", check.body).contains("broken") {
            true => silent(Cause::QueryError),
            false => Verdict::Confirmed,
        }));
    let daily = yaml(&[("it", "window: {period: day, zone: UTC}")]);
    let mut engine = stage.start(&daily).await;
    work_off(&mut engine, &stage.hand).await;
    let broken = daily.replace("select 1 + 0 as n", "select broken as n");
    load(&mut engine, &stage.oracle, &broken).await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(2), TimeDelta::seconds(1)).await;
    assert_eq!(stage.told(), ["it  Firing(Unconfirmed)"]);
    let said = texts(&stage.path(), SAID).await;
    assert!(said.iter().any(|row| row.starts_with("it unconfirmed query_error")), "{said:?}");
}

#[tokio::test]
async fn a_violated_window_is_not_closed_by_less_than_half_of_what_violated_it_unless_that_is_accepted()
 {
    let state = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&state);
    let mut oracle = Oracle::new(move |_, _| match now.load(Ordering::SeqCst) {
        0 => violated(),
        _ => Verdict::Confirmed,
    });
    let now = Arc::clone(&state);
    oracle.evidence = Box::new(move |_| if now.load(Ordering::SeqCst) == 1 { 10 } else { 21 });
    let stage = Stage::new(oracle);
    let daily = yaml(&[("it", "window: {period: day, zone: UTC}")]);
    let mut engine = stage.start(&daily).await;
    work_off(&mut engine, &stage.hand).await;
    let said = "select said || ' ' || evidence || ' ' || coalesce(note, '-') from entries";
    let before = texts(&stage.path(), said).await;
    assert!(before[0].starts_with("violated 21 "), "{before:?}");
    // Of twenty-one rows ten are left, and all of those are good.
    state.store(1, Ordering::SeqCst);
    pass(&mut engine, &stage.hand, TimeDelta::hours(13), TimeDelta::minutes(10)).await;
    assert_eq!(texts(&stage.path(), said).await[0], before[0], "a fact stays");
    let why = "select note from attempts where cause = 'no_evidence' limit 1";
    let why = texts(&stage.path(), why).await;
    assert!(why[0].contains("--accept-evidence"), "{why:?}");
    // Mended by another catalogue, on all of them.
    state.store(2, Ordering::SeqCst);
    load(&mut engine, &stage.oracle, &daily.replace("why: because", "why: still")).await;
    pass(&mut engine, &stage.hand, TimeDelta::hours(26), TimeDelta::minutes(30)).await;
    let closed = "select note from events where becomes = 'closed'";
    assert_eq!(
        texts(&stage.path(), closed).await,
        ["proved under generation 2; it was open under generation 1"]
    );
}

#[tokio::test]
async fn less_evidence_closes_a_violated_window_where_an_operator_accepts_that() {
    use allswell::engine::order::Order;
    use allswell::ledger::{RowOrder, Selected};
    let mended = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&mended);
    let mut oracle = Oracle::new(move |_, _| match now.load(Ordering::SeqCst) {
        0 => violated(),
        _ => Verdict::Confirmed,
    });
    let now = Arc::clone(&mended);
    oracle.evidence = Box::new(move |_| if now.load(Ordering::SeqCst) == 0 { 21 } else { 3 });
    let stage = Stage::new(oracle);
    let mut engine = stage.start(&yaml(&[("it", "window: {period: day, zone: UTC}")])).await;
    work_off(&mut engine, &stage.hand).await;
    mended.store(1, Ordering::SeqCst);
    let said = "select said || ' ' || evidence from entries";
    for (accepted, wanted) in [(None, "violated 21"), (Some("they were tests"), "confirmed 3")] {
        let rows = vec![(1, DateTime::UNIX_EPOCH, stage.hand.now())];
        let order = RowOrder::Rerun { by: "ana".into(), accepted: accepted.map(str::to_owned) };
        let (reply, stored) = tokio::sync::oneshot::channel();
        let selected = Selected { rows, words: "it".into() };
        engine.obey(Order::Rows(selected, order, reply)).await;
        stored.await.unwrap().unwrap();
        engine.carry_out().await;
        pass(&mut engine, &stage.hand, TimeDelta::minutes(5), TimeDelta::minutes(1)).await;
        assert_eq!(texts(&stage.path(), said).await, [wanted], "{accepted:?}");
    }
}

#[tokio::test]
async fn a_list_of_zones_that_shrinks_by_more_than_a_fifth_is_violated_until_somebody_accepts_it() {
    use allswell::domain::check::name::CheckId;
    use allswell::engine::order::{AcceptZones, Order};
    let stage = Stage::new(Oracle::confirms());
    let set = |zones: &[&'static str]| {
        *stage.oracle.zones.lock().unwrap() = Some(zones.to_vec());
    };
    let all = ["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Africa/Lagos"];
    set(&all);
    let list = |more: &str| {
        yaml(&[(
            "it",
            &format!("window: {{period: day, zones_from: {{sql: select zone from zones{more}}}}}"),
        )])
    };
    let mut engine = stage.start(&list("")).await;
    let two_hours = (TimeDelta::hours(2), TimeDelta::minutes(10));
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    let gone = "select tz from series where tz <> '' and retired_at is not null order by 1";
    // One of four, and another one later: little by little is as much.
    set(&all[..3]);
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    assert_eq!(texts(&stage.path(), gone).await, ["Africa/Lagos"]);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    set(&all[..2]);
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    assert_eq!(stage.told(), ["it  Firing(Violated)"]);
    assert_eq!(texts(&stage.path(), gone).await, ["Africa/Lagos"], "nothing of it is taken over");
    let note = texts(&stage.path(), "select last_note from series where tz = ''").await.remove(0);
    assert!(note.contains("2 of 4 are gone") && note.contains("accept-zones it"), "{note}");
    let accept = AcceptZones {
        check: CheckId::parse("it").unwrap(),
        by: "ana".into(),
        because: "sold".into(),
    };
    let (reply, answer) = tokio::sync::oneshot::channel();
    engine.obey(Order::AcceptZones(accept, reply)).await;
    answer.await.unwrap().unwrap();
    engine.carry_out().await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(5), TimeDelta::minutes(1)).await;
    assert_eq!(texts(&stage.path(), gone).await, ["Africa/Lagos", "America/New_York"]);
    assert_eq!(stage.told().last().unwrap(), "it  Resolved(Violated)");
    // Two are left: one more may go, and then both count from here on.
    set(&all[..1]);
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    assert_eq!(stage.told().len(), 2, "{:?}", stage.told());
    // Who says that it may shrink is not asked.
    load(&mut engine, &stage.oracle, &list(", shrinks: allowed")).await;
    set(&all);
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    set(&all[..1]);
    pass(&mut engine, &stage.hand, two_hours.0, two_hours.1).await;
    assert_eq!(texts(&stage.path(), gone).await.len(), 3);
    assert_eq!(stage.told().len(), 2, "{:?}", stage.told());
}

#[tokio::test]
async fn a_check_that_looks_at_less_since_it_was_changed_may_close_what_it_violated() {
    let state = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&state);
    let mut oracle = Oracle::new(move |_, _| match now.load(Ordering::SeqCst) {
        0 => violated(),
        _ => Verdict::Confirmed,
    });
    let now = Arc::clone(&state);
    oracle.evidence = Box::new(move |_| if now.load(Ordering::SeqCst) == 0 { 1_000 } else { 3 });
    let stage = Stage::new(oracle);
    let daily = yaml(&[("it", "window: {period: day, zone: UTC}")]);
    let mut engine = stage.start(&daily).await;
    work_off(&mut engine, &stage.hand).await;
    state.store(1, Ordering::SeqCst);
    load(&mut engine, &stage.oracle, &daily.replace("select 1 + 0 as n", "select 2 + 0 as n"))
        .await;
    pass(&mut engine, &stage.hand, TimeDelta::minutes(10), TimeDelta::minutes(1)).await;
    let said = "select distinct said from entries";
    assert_eq!(texts(&stage.path(), said).await, ["confirmed"]);
}

#[tokio::test]
async fn what_was_critical_when_it_opened_stays_so_until_it_is_closed() {
    let bad = Arc::new(AtomicUsize::new(1));
    let is_bad = Arc::clone(&bad);
    let stage = Stage::new(Oracle::new(move |_, _| match is_bad.load(Ordering::SeqCst) {
        1 => violated(),
        _ => Verdict::Confirmed,
    }));
    let check = |severity: &str| {
        yaml(&[("it", &format!("severity: {severity}\n    window: {{period: day, zone: UTC}}"))])
    };
    let mut engine = stage.start(&check("critical")).await;
    work_off(&mut engine, &stage.hand).await;
    let critical = "select open_critical || '' from series";
    assert_eq!(texts(&stage.path(), critical).await, ["1"]);
    load(&mut engine, &stage.oracle, &check("info")).await;
    // It is tried again meanwhile, and is wrong still; the next day is wrong too, and no more than that.
    pass(&mut engine, &stage.hand, TimeDelta::hours(26), TimeDelta::minutes(30)).await;
    assert_eq!(texts(&stage.path(), critical).await, ["1"]);
    let rows = "select critical || '' from entries order by start_at";
    assert_eq!(texts(&stage.path(), rows).await, ["1", "0"]);
    bad.store(0, Ordering::SeqCst);
    pass(&mut engine, &stage.hand, TimeDelta::hours(50), TimeDelta::minutes(30)).await;
    assert_eq!(texts(&stage.path(), critical).await, ["0"]);
}
