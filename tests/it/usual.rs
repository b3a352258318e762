//! Evidence is held against its own history: a load that stops half-way is told at the next window, and quiet nights,
//! weekends, clock changes and short stretches are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allswell::domain::record::usual::{Earlier, Usual, are_alike, compare, earlier_starts, usual};
use allswell::domain::time::zone::{Rules, ZoneName};
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};

use crate::electricity;
use crate::hand::{Hand, Oracle, Told, engine_of, load, watch_until};
use crate::lab::{Other, zones};
use crate::servers::Folder;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn check(evidence: &str) -> String {
    format!(
        "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    source: db\n    \
         window: {{period: day, zones: [Europe/Berlin, Asia/Kolkata]}}\n    recheck: {{ages: none, because: the data is not kept}}\n    \
         sql: select 1 + 0 as n where :window_start < :window_end and :zone <> ''\n    \
         expect: {{values: {{n: {{min: 1}}}}}}\n{evidence}"
    )
}

async fn texts(folder: &Folder, sql: &str) -> Vec<String> {
    let mut ledger = Other::sqlite(&folder.path().join("ledger.db")).await;
    let texts = ledger.texts(sql).await;
    ledger.close().await;
    texts
}

/// A million rows on a weekday, and a tenth of that at weekends; on one day, what a load that stopped left.
fn loaded(left: u64) -> (Arc<AtomicU64>, Oracle) {
    let (stopped, mut oracle) = (Arc::new(AtomicU64::new(0)), Oracle::confirms());
    let now = Arc::clone(&stopped);
    oracle.evidence = Box::new(move |look| {
        let span = look.window().unwrap().span;
        let middle = span.start + (span.end - span.start) / 2;
        let is_weekend = middle.weekday().num_days_from_monday() >= 5;
        let usual = if is_weekend { 100_000 } else { 1_000_000 };
        if now.load(Ordering::SeqCst) > 0 { left } else { usual }
    });
    (stopped, oracle)
}

#[tokio::test]
async fn a_part_of_a_load_is_told_at_the_next_window_and_is_a_proof_all_the_same() {
    let hand = Hand::at(at("2026-02-02T12:00:00Z"));
    let (stopped, oracle) = loaded(1);
    let (oracle, told, folder) = (Arc::new(oracle), Told::default(), Folder::new("usual"));
    let path = folder.path().join("ledger.db");
    let mut engine = engine_of(&path, &hand, &oracle, &told, &check("")).await;
    // Nine weeks, and a clock change in Berlin.
    watch_until(&mut engine, &hand, at("2026-04-08T12:00:00Z")).await;
    let thin = "select coalesce(thin_note, '') from series order by tz";
    assert_eq!(texts(&folder, thin).await, ["", ""], "weekends and clock changes are usual");
    stopped.store(1, Ordering::SeqCst);
    watch_until(&mut engine, &hand, at("2026-04-09T12:00:00Z")).await;
    assert_eq!(
        texts(&folder, thin).await,
        [
            "the window of 2026-04-07T18:30Z: 1 looked at, where 1000000 are usual at this time of the week",
            "the window of 2026-04-07T22:00Z: 1 looked at, where 1000000 are usual at this time of the week"
        ]
    );
    let state = "select distinct open_violated + open_unconfirmed || '' from series";
    assert_eq!(texts(&folder, state).await, ["0"]);
    let events =
        "select tz || ' ' || was || ' ' || becomes from events where kind = 'evidence' order by tz";
    assert_eq!(
        texts(&folder, events).await,
        ["Asia/Kolkata usual thin", "Europe/Berlin usual thin"]
    );
    stopped.store(0, Ordering::SeqCst);
    watch_until(&mut engine, &hand, at("2026-04-10T12:00:00Z")).await;
    assert_eq!(texts(&folder, thin).await, ["", ""], "the next one is as usual");
}

#[tokio::test]
async fn a_check_that_wants_half_of_what_is_usual_calls_less_no_proof() {
    let hand = Hand::at(at("2026-02-02T12:00:00Z"));
    let (stopped, oracle) = loaded(400_000);
    let (oracle, told, folder) = (Arc::new(oracle), Told::default(), Folder::new("usual"));
    let path = folder.path().join("ledger.db");
    let half = check("    evidence: {history: 0.5}\n");
    let mut engine = engine_of(&path, &hand, &oracle, &told, &half).await;
    watch_until(&mut engine, &hand, at("2026-04-08T12:00:00Z")).await;
    stopped.store(1, Ordering::SeqCst);
    watch_until(&mut engine, &hand, at("2026-04-09T12:00:00Z")).await;
    let open = "select distinct said || ' ' || cause || ': ' || note from entries where live = 1 and said is not null";
    assert_eq!(
        texts(&folder, open).await,
        [
            "unconfirmed no_evidence: 400000 looked at, where 1000000 are usual at this time of the week: \
          `evidence: {history: 0.5}` wants more"
        ]
    );
    // What it means now has no history yet, and neither has what it meant before.
    let other = half.replace("min: 1", "min: 0");
    load(&mut engine, &oracle, &other).await;
    watch_until(&mut engine, &hand, at("2026-04-10T12:00:00Z")).await;
    let newest = "select distinct said from entries where start_at > strftime('%s', '2026-04-08T12:00:00Z') * 1000000 \
        and kind = 'window' and said is not null";
    assert_eq!(texts(&folder, newest).await, ["confirmed"]);
}

/// What windows had: from when to when, and how much.
type Had = Vec<(DateTime<Utc>, DateTime<Utc>, u64)>;

/// Which of them would be told, each held against those before it.
fn thin(had: &Had, rules: &Rules) -> Vec<DateTime<Utc>> {
    let by_start: BTreeMap<DateTime<Utc>, Earlier> = had
        .iter()
        .map(|(start, end, evidence)| {
            (*start, Earlier { evidence: *evidence, lasts: *end - *start })
        })
        .collect();
    let is_thin = |(start, end, evidence): &&(DateTime<Utc>, DateTime<Utc>, u64)| {
        let starts = earlier_starts((*start, *end), rules);
        let earlier: Vec<Earlier> =
            starts.iter().filter_map(|at| by_start.get(at).copied()).collect();
        let usual = usual(*end - *start, &earlier);
        usual.is_some_and(|usual| compare(*evidence, usual, None) == Usual::Thin)
    };
    had.iter().filter(is_thin).map(|(start, ..)| *start).collect()
}

/// The hours, the local days and the stretches of one offset within them, from one instant to another.
fn windows(
    rules: &Rules,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> [Vec<(DateTime<Utc>, DateTime<Utc>)>; 3] {
    let hours = (0..(to - from).num_hours()).map(|n| from + TimeDelta::hours(n));
    let hours = hours.map(|start| (start, start + TimeDelta::hours(1))).collect();
    let (mut days, mut stretches) = (Vec::new(), Vec::new());
    let mut date = rules.date_at(from) + TimeDelta::days(1);
    while rules.day_start(date + TimeDelta::days(1)) <= to {
        let (start, end) = (rules.day_start(date), rules.day_start(date + TimeDelta::days(1)));
        days.push((start, end));
        let changes = rules.changes_within(start, end).iter().map(|change| change.at);
        let cuts: Vec<_> =
            std::iter::once(start).chain(changes.filter(|at| *at > start)).chain([end]).collect();
        stretches.extend(cuts.windows(2).map(|two| (two[0], two[1])));
        date += TimeDelta::days(1);
    }
    [hours, days, stretches]
}

/// How much of what happened then lies in each window.
fn filled(
    windows: &[(DateTime<Utc>, DateTime<Utc>)],
    happened: &BTreeMap<DateTime<Utc>, u64>,
) -> Had {
    let sum = |(start, end): &(DateTime<Utc>, DateTime<Utc>)| {
        (*start, *end, happened.range(*start..*end).map(|(_, count)| count).sum())
    };
    // What had nothing was no proof.
    windows.iter().map(sum).filter(|(.., evidence)| *evidence > 0).collect()
}

fn rules(zone: &str) -> Rules {
    zones().databases()[0].rules(&ZoneName::parse(zone).unwrap()).unwrap()
}

fn assert_nothing_is_thin(zone: &str, happened: &BTreeMap<DateTime<Utc>, u64>) -> usize {
    let rules = rules(zone);
    let (first, last) = (*happened.keys().next().unwrap(), *happened.keys().last().unwrap());
    let mut judged = 0;
    for windows in windows(&rules, (first, last)) {
        let had = filled(&windows, happened);
        judged += had.len();
        assert_eq!(thin(&had, &rules), Vec::<DateTime<Utc>>::new(), "{zone}");
    }
    judged
}

#[test]
fn a_year_of_electricity_has_no_window_that_an_owner_would_not_call_thin() {
    let rows = electricity::rows();
    let happened = rows.iter().map(|row| {
        let instant = format!("{}Z", row[1].replace(' ', "T"));
        (at(&instant), row[2].split('.').next().unwrap().parse().unwrap())
    });
    let happened: BTreeMap<_, _> = happened.take(366 * 48).collect();
    assert!(assert_nothing_is_thin("Australia/Melbourne", &happened) > 9_000);
    // And where half a day is lost, it is seen.
    let rules = rules("Australia/Melbourne");
    let [_, days, _] = windows(&rules, (at("2012-01-01T00:00:00Z"), at("2012-12-30T00:00:00Z")));
    let mut had = filled(&days, &happened);
    had[200].2 /= 10;
    assert_eq!(thin(&had, &rules), [had[200].0]);
}

/// The year of the demo has no window that is thin in any of its zones.
pub(crate) async fn assert_the_demo_is_not_thin(company: &mut Other) {
    let usage = "select a.time_zone || ' ' || replace(u.at, ' ', 'T') || 'Z ' || sum(u.amount_cents) \
        from usage u join accounts a on a.id = u.account_id group by a.time_zone, u.at";
    let mut by_zone: BTreeMap<String, BTreeMap<DateTime<Utc>, u64>> = BTreeMap::new();
    for row in company.texts(usage).await {
        let words: Vec<&str> = row.split(' ').collect();
        by_zone
            .entry(words[0].to_owned())
            .or_default()
            .insert(at(words[1]), words[2].parse().unwrap());
    }
    assert!(by_zone.len() > 8, "{by_zone:?}");
    for (zone, happened) in &by_zone {
        assert!(assert_nothing_is_thin(zone, happened) > 9_000);
    }
}

#[test]
fn quiet_nights_weekends_and_nothing_on_sundays_are_usual_in_zones_with_clock_changes() {
    // Numbers that look drawn, and are the same each time.
    let mut state = 7_u64;
    let mut draw = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"] {
        let rules = rules(zone);
        let mut happened = BTreeMap::new();
        let (mut now, end) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        while now < end {
            let civil = rules.civil_at(now);
            let most = match (civil.weekday(), civil.hour()) {
                (Weekday::Sun, _) => 0,
                (Weekday::Sat, 8..20) => 60,
                (_, 8..20) => 600,
                (_, _) => 3,
            };
            happened.insert(now, if most == 0 { 0 } else { most / 2 + draw() % most });
            now += TimeDelta::minutes(15);
        }
        assert!(assert_nothing_is_thin(zone, &happened) > 6_000);
    }
}

#[test]
fn a_short_stretch_is_held_against_no_whole_day() {
    let hour = TimeDelta::hours;
    assert!(are_alike(hour(24), hour(23)) && are_alike(hour(23), hour(25)));
    assert!(!are_alike(hour(24), hour(21)) && !are_alike(hour(2), hour(24)));
    assert!(are_alike(TimeDelta::days(31), TimeDelta::days(28)));
}
