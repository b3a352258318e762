//! Real data, one catalogue, three engines: they agree on what is right and on what is wrong.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use std::sync::Arc;

use allswell::clock;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Task, round};
use chrono::Datelike as _;
use tokio_util::sync::CancellationToken;

use crate::lab::{Database, ENGINES, Other, checks, look, shown, zones};

const CATALOGUE: &str = include_str!("../data/electricity/checks.yaml");
/// The published rows: half hour since 1970, instant, demand, temperature, local date, holiday.
pub(crate) fn rows() -> Vec<[String; 6]> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/victoria-electricity-demand-2012-2014.csv.gz");
    let output = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| {
            let [at, mwh, celsius, date, holiday] =
                line.split(',').collect::<Vec<_>>().try_into().unwrap();
            let instant = chrono::DateTime::parse_from_rfc3339(at).unwrap();
            let half_hour = (instant.timestamp() / 1800).to_string();
            [&half_hour, &at.replace('T', " ").replace('Z', ""), mwh, celsius, date, holiday]
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(rows.len(), 52_608);
    rows
}

async fn load(db: &Database) -> Other {
    let mut owner = db.owner().await;
    owner
        .run(
            "create table demand (half_hour integer, at varchar(20), mwh decimal(24,14), \
             celsius decimal(5,2), local_date date, holiday varchar(8)); \
             create table calendar (local_date date); create table published as \
             select * from demand",
        )
        .await
        .unwrap();
    owner.run("begin").await.unwrap();
    for batch in rows().chunks(2_000) {
        let mut sql = String::from("insert into demand values ");
        for (i, [half_hour, at, mwh, celsius, date, holiday]) in batch.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(sql, "{comma}({half_hour},'{at}',{mwh},{celsius},'{date}','{holiday}')")
                .unwrap();
        }
        owner.run(&sql).await.unwrap();
    }
    // The calendar comes from the calendar, not from the data that it is held against.
    let mut days = String::from("insert into calendar values ");
    let first = chrono::NaiveDate::from_ymd_opt(2012, 1, 1).unwrap();
    for (i, day) in first.iter_days().take(1096).enumerate() {
        write!(days, "{}('{day}')", if i > 0 { "," } else { "" }).unwrap();
    }
    owner.run(&days).await.unwrap();
    owner.run("insert into published select * from demand; commit").await.unwrap();
    owner.run("create index demand_by_date on demand (local_date)").await.unwrap();
    owner
}

/// What was said of each check.
type Words = Vec<(String, String)>;

async fn verdicts(db: &Database) -> Words {
    let outcomes = look(db.source(), CATALOGUE).await;
    outcomes
        .iter()
        .map(|o| {
            let word = match &o.judgement.verdict {
                Verdict::Confirmed => format!("confirmed on {:?}", o.judgement.evidence),
                Verdict::Violated(_) | Verdict::Unconfirmed(_) => shown(&o.judgement.verdict),
            };
            (o.check.id.to_string(), word)
        })
        .collect()
}

/// A defect: what is done to the data of one date, who finds it, and what is said.
const DEFECTS: [(&str, &str, &str, &str); 10] = [
    (
        "a half hour is lost",
        "delete from demand where half_hour = 752090",
        "no-gaps",
        "rows: expected 0, saw 1",
    ),
    (
        "a half hour is there twice",
        "insert into demand select * from published where half_hour = 752090",
        "no-duplicates",
        "rows: expected 0, saw 1",
    ),
    (
        "demand is negative",
        "update demand set mwh = -mwh where half_hour = 752090",
        "demand-in-range",
        "broken on 1 of 52608 rows: -",
    ),
    (
        "demand is in kilowatt hours",
        "update demand set mwh = mwh * 1000 where half_hour = 752090",
        "demand-in-range",
        "broken on 1 of 52608 rows",
    ),
    (
        "demand is not known",
        "update demand set mwh = null where half_hour = 752090",
        "demand-in-range",
        "broken on 1 of 52608 rows: NULL",
    ),
    (
        "a date is lost",
        "delete from demand where local_date = '2012-11-25'",
        "every-date-appears",
        "1 of 1096 expected did not appear",
    ),
    (
        "the last half hour of a date is booked on the next",
        "update demand set local_date = '2012-11-26' where half_hour = (select max(half_hour) from published where local_date = '2012-11-25')",
        "half-hours-per-date",
        "broken on 2 of 1096 rows",
    ),
    (
        "temperature is in Fahrenheit",
        "update demand set celsius = celsius * 1.8 + 32 where half_hour = 752090",
        "temperature-in-range",
        "expected at least -5, at most 48, broken on 1",
    ),
    (
        "a holiday is misspelt",
        "update demand set holiday = 'YES' where half_hour = 752090",
        "holidays-are-known",
        "expected one of TRUE, FALSE, broken on 1 of 3 rows: \"YES\"",
    ),
    (
        "one digit is wrong",
        "update demand set mwh = mwh + 0.001 where half_hour = 752090",
        "total-demand",
        "mwh: expected 245439090",
    ),
];
const TOUCHED: &str = "local_date in ('2012-11-25', '2012-11-26')";

#[tokio::test(flavor = "multi_thread")]
async fn the_engines_agree_on_real_data_and_on_ten_planted_defects() {
    let mut seen: Vec<(Engine, Vec<Words>)> = Vec::new();
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let mut owner = load(&db).await;
        let clean = verdicts(&db).await;
        for (check, word) in &clean {
            assert!(word.starts_with("confirmed on"), "{engine}: {check}: {word}");
        }
        let mut all = vec![clean];
        for (what, defect, finder, wanted) in DEFECTS {
            owner.run(defect).await.unwrap();
            let found = verdicts(&db).await;
            let (_, word) = found.iter().find(|(check, _)| check == finder).unwrap();
            assert!(
                word.starts_with("violated") && word.contains(wanted),
                "{engine}: {what}: {word}"
            );
            all.push(found);
            let undo = format!(
                "delete from demand where {TOUCHED}; \
                 insert into demand select * from published where {TOUCHED}"
            );
            owner.run(&undo).await.unwrap();
        }
        assert_eq!(verdicts(&db).await, all[0], "{engine}: what was undone is right again");
        seen.push((engine, all));
    }
    let (first, reference) = &seen[0];
    for (engine, all) in &seen[1..] {
        for ((ours, theirs), round) in all.iter().zip(reference).zip(0..) {
            for ((check, mine), (_, other)) in ours.iter().zip(theirs) {
                let what = if round == 0 { "clean" } else { DEFECTS[round - 1].0 };
                let head = |w: &str| w.split([' ', ':']).next().unwrap_or("").to_owned();
                assert_eq!(head(mine), head(other), "{what}: {check}: {engine} and {first} differ");
            }
        }
    }
}

/// A check of each local day: its half hours, and its demand against the sum by the published date.
/// SQLite has no decimals, so there the demand is looked at in units of its last digit alone.
fn by_local_day(engine: Engine) -> String {
    let (decimals, expected) = match engine {
        Engine::Sqlite => ("", ""),
        Engine::Postgres | Engine::MySql => (
            "sum(mwh) - (select sum(mwh) from typed where local_date = :window_date) as mwh, ",
            "        mwh: {equals: 0}\n",
        ),
    };
    format!(
        "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: days\n    why: w\n    window: \
         {{period: day, zone: Australia/Melbourne}}\n    sql: |\n      select {decimals}count(*) as \
         half_hours, sum(units) - (select sum(units) from typed where local_date = :window_date) as \
         units, count(*) - 2 * :window_hours as surplus from typed where at >= :window_start and at < \
         :window_end\n    expect:\n      values:\n        half_hours: {{one_of: [46, 48, 50]}}\n        \
         units: {{equals: 0}}\n        surplus: {{equals: 0}}\n{expected}    evidence: {{column: \
         half_hours, min: 46}}\n"
    )
}

/// The demand in units of its last digit, of which there are at most thirteen.
fn units(mwh: &str) -> i64 {
    let (whole, fraction) = mwh.split_once('.').unwrap_or((mwh, ""));
    assert!(fraction.len() <= 13, "{mwh}");
    format!("{whole}{fraction:0<13}").parse().unwrap()
}

async fn load_typed(db: &Database) {
    let mut owner = db.owner().await;
    let instant = match db.engine() {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "timestamp null",
        Engine::Sqlite => "text",
    };
    let create = format!(
        "create table typed (at {instant}, mwh decimal(24,14), units bigint, local_date date)"
    );
    owner.run(&create).await.unwrap();
    // A session of MariaDB reads the text of a timestamp by its own zone.
    let zone = if db.engine() == Engine::MySql { "set time_zone = '+00:00'; " } else { "" };
    owner.run(&format!("{zone}begin")).await.unwrap();
    for batch in rows().chunks(4_000) {
        let mut sql = String::from("insert into typed values ");
        for (i, [_, at, mwh, _, date, _]) in batch.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(sql, "{comma}('{at}',{mwh},{},'{date}')", units(mwh)).unwrap();
        }
        owner.run(&sql).await.unwrap();
    }
    owner.run("commit; create index typed_at on typed (at); create index typed_date on typed (local_date)")
        .await
        .unwrap();
    owner.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_day_of_melbourne_has_its_half_hours_and_its_demand() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        load_typed(&db).await;
        let check = checks(engine, &by_local_day(engine)).remove(0);
        let series = Series::of(&check, &|zone| zones().rules(zone)).unwrap().remove(0);
        let (rule, rules) = (series.window().unwrap(), &series.home.rules);
        let mut span = rule.frame.span_of(rules, "2012-01-01".parse().unwrap());
        let mut tasks = Vec::new();
        while span.date.year() < 2015 {
            tasks.extend(
                span.windows(rules, rule.split).into_iter().map(|w| Task::window(&series, w)),
            );
            span = rule.frame.next(rules, &span);
        }
        assert_eq!(tasks.len(), 1_096);
        let source = db.source();
        let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
        let stop = CancellationToken::new();
        let outcomes = round(&tasks, &sources, clock::now(), &stop, |_| {}).await;
        let mut lengths = std::collections::BTreeMap::new();
        for outcome in &outcomes {
            let date = outcome.window.unwrap().span.date;
            assert_eq!(shown(&outcome.judgement.verdict), "confirmed", "{engine} {date}");
            *lengths.entry(outcome.judgement.evidence.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(lengths, [(46, 3), (48, 1_090), (50, 3)].into(), "{engine}");
    }
}
