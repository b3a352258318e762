//! Five ways to cut days wrongly, in seven zones, across both clock changes of a year: what grand
//! totals miss, windows find, on every engine, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use allswell::clock;
use allswell::domain::check::verdict::{Contradiction, Verdict};
use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::domain::time::window::Window;
use allswell::domain::time::zone::{Rules, ZoneName};
use allswell::engine::asking::Sources;
use allswell::engine::round::{Outcome, Task, round};
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::lab::{self, Database};

const ZONES: [&str; 7] = [
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Atlantic/Azores",
    "Asia/Kathmandu",
];
/// The right way, and five others.
const WAYS: [&str; 6] = ["clean", "frozen_offset", "utc_day", "wrong_way", "plus_24h", "both_ends"];
/// Sums by way.
type Sums = [i64; 6];
/// A zone's number, a local day, an offset in seconds.
type Group = (usize, NaiveDate, i32);

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn rules(zone: &str) -> Arc<Rules> {
    lab::zones().rules(&ZoneName::parse(zone).unwrap()).unwrap()
}

/// One event each quarter of an hour, with a day more on both sides than is looked at.
struct Data {
    events: Vec<(usize, DateTime<Utc>, i64, bool)>,
    /// What the six jobs wrote, and the truth, by local day and offset.
    written: BTreeMap<Group, Sums>,
    truth: BTreeMap<Group, i64>,
}

fn is_looked_at(date: NaiveDate) -> bool {
    (day("2026-02-28")..=day("2026-11-12")).contains(&date)
}

/// The same for every engine.
static DATA: LazyLock<Data> = LazyLock::new(data);

fn data() -> Data {
    let mut dice = Dice(26);
    let mut data = Data { events: Vec::new(), written: BTreeMap::new(), truth: BTreeMap::new() };
    for (zone, name) in ZONES.iter().enumerate() {
        let rules = rules(name);
        let starts: Vec<(NaiveDate, DateTime<Utc>)> = day("2026-02-26")
            .iter_days()
            .take_while(|date| *date <= day("2026-11-15"))
            .map(|date| (date, rules.day_start(date)))
            .collect();
        let frozen = rules.offset_at(rules.day_start(day("2026-02-28")));
        let (mut at, end) =
            (rules.day_start(day("2026-02-27")), rules.day_start(day("2026-11-14")));
        while at < end {
            let amount = i64::try_from(1 + dice.below(100_000)).unwrap();
            let offset = rules.offset_at(at);
            let true_day = offset.civil(at).date();
            let mut put = |way: usize, date: NaiveDate| {
                data.written.entry((zone, date, offset.secs())).or_default()[way] += amount;
            };
            put(0, true_day);
            put(1, frozen.civil(at).date());
            put(2, at.date_naive());
            put(3, (at.naive_utc() - TimeDelta::seconds(i64::from(offset.secs()))).date());
            // An event is in its own day or in one beside it.
            let place = starts.partition_point(|(_, start)| *start <= at);
            for pair in starts[place.saturating_sub(2)..(place + 2).min(starts.len())].windows(2) {
                let ((date, start), (_, next)) = (pair[0], pair[1]);
                if (start..start + TimeDelta::hours(24)).contains(&at) {
                    put(4, date);
                }
                if (start..=next).contains(&at) {
                    put(5, date);
                }
            }
            *data.truth.entry((zone, true_day, offset.secs())).or_default() += amount;
            data.events.push((zone, at, amount, is_looked_at(true_day)));
            at += TimeDelta::minutes(15);
        }
    }
    data
}

/// What is wrong by way, at some grain, computed from the groups alone.
fn wrong<K: Ord + Copy>(data: &Data, grain: impl Fn(Group) -> K) -> Vec<BTreeSet<K>> {
    let mut sums: BTreeMap<K, (Sums, i64)> = BTreeMap::new();
    for (group, written) in data.written.iter().filter(|(group, _)| is_looked_at(group.1)) {
        let entry = sums.entry(grain(*group)).or_default();
        entry.0.iter_mut().zip(written).for_each(|(sum, more)| *sum += more);
    }
    for (group, truth) in data.truth.iter().filter(|(group, _)| is_looked_at(group.1)) {
        sums.entry(grain(*group)).or_default().1 += truth;
    }
    let wrong = |way: usize| {
        let of_way = sums.iter().filter(|(_, (written, truth))| written[way] != *truth);
        of_way.map(|(key, _)| *key).collect()
    };
    (0..WAYS.len()).map(wrong).collect()
}

async fn load(db: &Database, data: &Data) {
    let mut owner = db.owner().await;
    let instant = match db.engine() {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime",
        Engine::Sqlite => "text",
    };
    let create = format!(
        "create table events (zone varchar(40), at {instant}, amount integer, looked_at integer); \
         create table daily (zone varchar(40), local_day date, local_month date, secs integer, \
         looked_at integer, clean integer, frozen_offset integer, utc_day integer, wrong_way integer, \
         plus_24h integer, both_ends integer)"
    );
    owner.run(&create).await.unwrap();
    owner.run("begin").await.unwrap();
    for batch in data.events.chunks(4_000) {
        let mut sql = String::from("insert into events values ");
        for (i, (zone, at, amount, looked_at)) in batch.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            // PostgreSQL reads a text without a zone by the session's, which is UTC.
            let at = at.format("%Y-%m-%d %H:%M:%S");
            let _ = write!(
                sql,
                "{comma}('{}','{at}',{amount},{})",
                ZONES[*zone],
                i32::from(*looked_at)
            );
        }
        owner.run(&sql).await.unwrap();
    }
    let mut sql = String::from("insert into daily values ");
    for (i, ((zone, date, secs), sums)) in data.written.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let month = date.with_day(1).unwrap();
        let sums = sums.map(|sum| sum.to_string()).join(",");
        let zone = ZONES[*zone];
        let looked_at = i32::from(is_looked_at(*date));
        let _ = write!(sql, "{comma}('{zone}','{date}','{month}',{secs},{looked_at},{sums})");
    }
    owner.run(&sql).await.unwrap();
    owner.run("commit; create index events_at on events (zone, at)").await.unwrap();
    owner.close().await;
}

/// Checks that hold what was written against events, window by window.
fn catalogue() -> String {
    let sums = |of: &str| -> String {
        WAYS.map(|way| format!("d.{way} - r.amount as {way}")).join(", ") + of
    };
    let expect = WAYS.map(|way| format!("        {way}: {{equals: 0}}\n")).concat();
    let ways = WAYS.map(|way| format!("coalesce(sum({way}), 0) as {way}")).join(", ");
    let check = |id: &str, window: &str, raw: &str, daily: &str| {
        format!(
            "  - id: {id}\n    why: w\n{window}    sql: |\n      with r as (select count(*) as events_seen, \
             coalesce(sum(amount), 0) as amount from events where looked_at = 1{raw}),\n      d as \
             (select {ways} from daily where looked_at = 1{daily})\n      select r.events_seen, {} from r \
             cross join d\n    expect:\n      values:\n{expect}    evidence: {{column: events_seen, min: 1}}\n",
            sums("")
        )
    };
    let zones = ZONES.join(", ");
    let window = |period: &str| format!("    window: {{period: {period}, zones: [{zones}]}}\n");
    let bounds = " and zone = :zone and at >= :window_start and at < :window_end";
    let mut text = String::from("version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n");
    text += &check("grand", "", "", "");
    text += &check(
        "stretches",
        &window("day, split: utc_offset"),
        bounds,
        " and zone = :zone and local_day = :window_date and secs = :utc_offset",
    );
    text +=
        &check("days", &window("day"), bounds, " and zone = :zone and local_day = :window_date");
    text += &check(
        "months",
        &window("month"),
        bounds,
        " and zone = :zone and local_month = :window_date",
    );
    text
}

/// The windows of a series that begin on the dates that are looked at.
fn windows(series: &Series) -> Vec<Window> {
    let (rule, rules) = (series.window().unwrap(), &series.home.rules);
    let mut span = rule.frame.span_of(rules, day("2026-02-28"));
    let mut windows = Vec::new();
    while span.date <= day("2026-11-12") {
        windows.extend(span.windows(rules, rule.split));
        span = rule.frame.next(rules, &span);
    }
    windows
}

/// What was found wrong, by way.
fn found<K: Ord>(outcomes: &[Outcome], id: &str, key: impl Fn(&Outcome) -> K) -> Vec<BTreeSet<K>> {
    let mut found: Vec<BTreeSet<K>> = WAYS.map(|_| BTreeSet::new()).into();
    for outcome in outcomes.iter().filter(|outcome| outcome.check.id.as_str() == id) {
        match &outcome.judgement.verdict {
            Verdict::Confirmed => {}
            Verdict::Violated(finding) => {
                for contradiction in &finding.contradictions {
                    let Contradiction::Values { column, .. } = contradiction else {
                        panic!("{contradiction}")
                    };
                    let way = WAYS.iter().position(|way| *way == column.as_str()).unwrap();
                    found[way].insert(key(outcome));
                }
            }
            Verdict::Unconfirmed(reason) => panic!("{id} {:?}: {reason:?}", outcome.window),
        }
    }
    found
}

fn sizes<K>(sets: &[BTreeSet<K>]) -> Vec<usize> {
    sets.iter().map(BTreeSet::len).collect()
}

async fn windows_find_what_totals_miss(engine: Engine) {
    let data = &*DATA;
    let db = Database::new(engine).await;
    load(&db, data).await;
    let source = db.source();
    let checks = lab::checks(engine, &catalogue());
    let mut tasks = vec![Task::present(Arc::clone(&checks[0]))];
    for check in &checks[1..] {
        for series in Series::of(check, &|zone| lab::zones().rules(zone)).unwrap() {
            tasks.extend(windows(&series).into_iter().map(|window| Task::window(&series, window)));
        }
    }
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let stop = CancellationToken::new();
    let outcomes = round(&tasks, &sources, clock::now(), &stop, |_| {}).await;

    let zone = |outcome: &Outcome| {
        let tz = outcome.tz.as_ref().unwrap().as_str();
        ZONES.iter().position(|zone| *zone == tz).unwrap()
    };
    let date = |outcome: &Outcome| outcome.window.unwrap().span.date;
    let stretch = |o: &Outcome| (zone(o), date(o), o.window.unwrap().utc_offset.secs());
    let stretches = found(&outcomes, "stretches", stretch);
    // What is written at an offset that the day does not have is in no stretch; the day has it.
    let existing: BTreeSet<Group> = data.truth.keys().copied().collect();
    let mut wanted = wrong(data, |group| group);
    wanted.iter_mut().for_each(|set| set.retain(|group| existing.contains(group)));
    assert_eq!(stretches, wanted, "{engine}: stretches");
    let days = found(&outcomes, "days", |o| (zone(o), date(o)));
    assert_eq!(days, wrong(data, |(zone, date, _)| (zone, date)), "{engine}: days");
    let months = found(&outcomes, "months", |o| (zone(o), date(o)));
    let month = |(zone, date, _): Group| (zone, date.with_day(1).unwrap());
    assert_eq!(months, wrong(data, month), "{engine}: months");
    let grand = found(&outcomes, "grand", |_| ());
    assert_eq!(grand, wrong(data, |_| ()), "{engine}: grand total");

    // The table: what each grain sees of each way.
    let users = wrong(data, |(zone, ..)| zone);
    assert_eq!(tasks.iter().filter(|t| t.check.id.as_str() == "days").count(), 1_806);
    assert_eq!(sizes(&grand)[..2], [0, 0], "the grand total does not see a frozen offset");
    assert_eq!(sizes(&users)[..2], [0, 0], "nor does the total of any user");
    assert_eq!(sizes(&months)[..2], [0, 38]);
    assert_eq!(sizes(&days)[..2], [0, 1_020]);
    assert_eq!((sizes(&users)[2], sizes(&months)[2]), (7, 64), "the day of UTC");
    assert_eq!((sizes(&users)[3], sizes(&months)[3]), (7, 64), "the wrong direction");
    // On the Azores a day of summer is a day of UTC: 209 of the 1,806 are right all the same.
    assert_eq!(sizes(&days)[2..4], [1_597, 1_597]);
    assert_eq!((sizes(&users)[4], sizes(&months)[4], sizes(&days)[4]), (5, 10, 10), "24 hours");
    assert_eq!((sizes(&users)[5], sizes(&months)[5], sizes(&days)[5]), (7, 70, 1_806), "both ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_find_on_postgres_what_totals_miss() {
    windows_find_what_totals_miss(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_find_on_mariadb_what_totals_miss() {
    windows_find_what_totals_miss(Engine::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_find_on_sqlite_what_totals_miss() {
    windows_find_what_totals_miss(Engine::Sqlite).await;
}
