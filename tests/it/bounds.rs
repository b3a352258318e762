//! Bounds select the rows whose instant is in the window, and no other, whatever a column's type.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allswell::clock;
use allswell::domain::check::name::SourceName;
use allswell::domain::record::series::Series;
use allswell::domain::sql::Engine;
use allswell::dsn::Dsn;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Task, round};
use allswell::manifest::{self, Text, World};
use allswell::source::{Instants, Source, SourceSettings};
use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use crate::lab::{self, Database, shown};

/// Looks at the windows of one date and returns their verdicts.
pub(crate) async fn look(source: Source, yaml: &str, date: &str) -> Vec<String> {
    let check = Arc::clone(&lab::checks(source.engine(), yaml)[0]);
    let date: NaiveDate = date.parse().unwrap();
    let mut tasks = Vec::new();
    for series in Series::of(&check, &|zone| lab::zones().rules(zone)).unwrap() {
        let (rule, rules) = (series.window().unwrap(), &series.home.rules);
        let windows = rule.frame.span_of(rules, date).windows(rules, rule.split);
        tasks.extend(windows.into_iter().map(|window| Task::window(&series, window)));
    }
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::new(source))]));
    let outcomes = round(&tasks, &sources, clock::now(), &CancellationToken::new(), |_| {}).await;
    outcomes.iter().map(|outcome| shown(&outcome.judgement.verdict)).collect()
}

pub(crate) fn sqlite_with(db: &Database, instants: Instants) -> Source {
    Source::new(SourceSettings {
        connections: 2,
        timeout: Duration::from_secs(5),
        instants: Some(instants),
        ..SourceSettings::new(
            SourceName::parse("db").unwrap(),
            Dsn::parse(&db.url(), Path::new("/")).unwrap(),
        )
    })
}

/// A check of one day in New York, on 8 March 2026 from 05:00Z to 04:00Z, 23 hours later, that wants
/// the rows 4 and 2 and 1, which are in it.
const DAY: &str = "version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n  - id: it\n    why: w\n    \
    window: {period: day, zone: America/New_York}\n    sql: |\n      select count(*) as n, sum(id) as ids \
    from t where at >= :window_start and at < :window_end\n    expect:\n      values:\n        n: \
    {equals: 3}\n        ids: {equals: 7}\n";

/// The rows, as whole milliseconds of UTC: before, first, first broken second, last, after.
const ROWS: [(i64, &str, &str); 5] = [
    (100, "2026-03-08 04:59:59", ".999"),
    (1, "2026-03-08 05:00:00", ".000"),
    (2, "2026-03-08 05:00:00", ".500"),
    (4, "2026-03-09 03:59:59", ".999"),
    (200, "2026-03-09 04:00:00", ".000"),
];

async fn filled(engine: Engine, column: &str, write: impl Fn(&str, &str) -> String) -> Database {
    let db = Database::new(engine).await;
    let rows = ROWS.map(|(id, second, fraction)| format!("({id}, {})", write(second, fraction)));
    let rows = rows.join(", ");
    db.prepare(&format!("create table t (id integer, at {column}); insert into t values {rows}"))
        .await;
    db
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_compares_both_timestamps_as_utc() {
    for (column, zone) in [("timestamptz", "Z"), ("timestamp", ""), ("timestamptz(3)", "+00:00")] {
        let db = filled(Engine::Postgres, column, |s, f| format!("'{s}{f}{zone}'")).await;
        assert_eq!(look(db.source(), DAY, "2026-03-08").await, ["confirmed"], "{column}");
        // A role whose sessions begin elsewhere makes no difference.
        let mut admin = db.admin().await;
        let alter = format!("alter role {} set timezone = 'America/New_York'", db.name());
        admin.run(&alter).await.unwrap();
        assert_eq!(look(db.source(), DAY, "2026-03-08").await, ["confirmed"], "{column}");
        admin.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_compares_datetime_and_timestamp_as_utc() {
    for column in ["datetime(3)", "timestamp(3) null"] {
        let db = Database::new(Engine::MySql).await;
        let rows =
            ROWS.map(|(id, second, fraction)| format!("({id}, '{second}{fraction}')")).join(", ");
        let sql = format!(
            "set time_zone = '+00:00'; create table t (id integer, at {column}); insert into t values {rows}"
        );
        db.prepare(&sql).await;
        assert_eq!(look(db.source(), DAY, "2026-03-08").await, ["confirmed"], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_compares_instants_as_they_are_stored() {
    let millis = |second: &str, fraction: &str| {
        let at: chrono::DateTime<chrono::Utc> =
            format!("{}{fraction}Z", second.replace(' ', "T")).parse().unwrap();
        at.timestamp_millis()
    };
    type Write = Box<dyn Fn(&str, &str) -> String>;
    let forms: [(Instants, &str, Write); 7] = [
        (Instants::Sql, "text", Box::new(|s, f| format!("'{s}{f}'"))),
        // Whole seconds among fractions, as `datetime()` and `strftime('%f')` write them.
        (Instants::Sql, "text", Box::new(|s, f| format!("'{s}{}'", f.replace(".000", "")))),
        (Instants::Rfc3339, "text", Box::new(|s, f| format!("'{}{f}Z'", s.replace(' ', "T")))),
        (
            Instants::Rfc3339,
            "text",
            Box::new(|s, f| format!("'{}{}+00:00'", s.replace(' ', "T"), f.replace(".000", ""))),
        ),
        (Instants::EpochMillis, "integer", Box::new(move |s, f| millis(s, f).to_string())),
        (
            Instants::EpochSecs,
            "real",
            Box::new(move |s, f| format!("{}.{:03}", millis(s, f) / 1000, millis(s, f) % 1000)),
        ),
        (
            Instants::EpochSecs,
            "",
            Box::new(move |s, f| format!("{}.{:03}", millis(s, f) / 1000, millis(s, f) % 1000)),
        ),
    ];
    for (instants, column, write) in forms {
        let db = filled(Engine::Sqlite, column, write).await;
        let verdicts = look(sqlite_with(&db, instants), DAY, "2026-03-08").await;
        assert_eq!(verdicts, ["confirmed"], "{instants:?} {column}");
    }
    // Why it has to be said: the other text form selects other rows, and none of them is an error.
    let db = filled(Engine::Sqlite, "text", |s, f| format!("'{}{f}Z'", s.replace(' ', "T"))).await;
    let wrong = look(sqlite_with(&db, Instants::Sql), DAY, "2026-03-08").await;
    assert!(wrong[0].starts_with("violated: "), "{wrong:?}");
}

#[test]
fn a_window_over_sqlite_needs_to_know_how_instants_are_stored() {
    let engines = [(SourceName::parse("db").unwrap(), Engine::Sqlite)].into();
    let without = [SourceName::parse("db").unwrap()];
    let world =
        World { engines: &engines, without_instants: &without, zones: lab::zones(), stored: false };
    let text = Text { file: "f".into(), text: DAY.into() };
    let fault = manifest::parse(&[text], world).unwrap_err()[0].to_string();
    assert!(
        fault.contains("how `db` stores instants") && fault.contains("instants: sql"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parameter_is_bound_as_what_it_is() {
    let values = |zone: &str, hours: &str, offset: &str, date: &str| {
        format!(
            "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: w\n    window: \
             {{period: day, zone: {zone}}}\n    sql: |\n      select :window_hours as hours, \
             :window_hours * 2 as twice, :utc_offset as secs, :zone as zone, :window_date as day, :zone as \
             again\n    expect:\n      values:\n        hours: {{equals: {hours}}}\n        twice: {{min: \
             {hours}}}\n        secs: {{equals: {offset}}}\n        zone: {{equals: {zone}}}\n        \
             again: {{equals: {zone}}}\n        day: {{equals: {date}}}\n"
        )
    };
    for engine in lab::ENGINES {
        for (zone, hours, offset, date) in [
            ("America/New_York", "23", "-18000", "2026-03-08"),
            ("Australia/Lord_Howe", "24.5", "39600", "2026-04-05"),
            ("Asia/Kathmandu", "24", "20700", "2026-04-05"),
        ] {
            let db = Database::new(engine).await;
            db.prepare("create table t (id integer)").await;
            let verdicts = look(db.source(), &values(zone, hours, offset, date), date).await;
            assert_eq!(verdicts, ["confirmed"], "{engine} {zone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_may_rest_on_the_evidence_of_its_whole_day() {
    let yaml = |per: &str| {
        format!(
            "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: w\n    window: \
             {{period: day, zone: America/New_York, split: utc_offset}}\n    sql: |\n      select id from \
             t where at >= :window_start and at < :window_end and id < 0\n    expect: {{rows: {{equals: \
             0}}}}\n    evidence:\n      sql: select count(*) from t where at >= :window_start and at < \
             :window_end\n{per}"
        )
    };
    for engine in lab::ENGINES {
        let db = Database::new(engine).await;
        let column = if engine == Engine::Postgres { "timestamptz" } else { "varchar(20)" };
        let rows = "(1, '2026-03-08 05:00:00'), (2, '2026-03-08 06:59:59')";
        db.prepare(&format!(
            "create table t (id integer, at {column}); insert into t values {rows}"
        ))
        .await;
        let own = look(db.source(), &yaml(""), "2026-03-08").await;
        assert_eq!(own[0], "confirmed", "{engine}");
        assert!(own[1].starts_with("no_evidence"), "{engine}: after the change there is nothing");
        let whole = look(db.source(), &yaml("      per: window\n"), "2026-03-08").await;
        assert_eq!(whole, ["confirmed", "confirmed"], "{engine}");
    }
}
