//! Whether queries keep to their windows: by the types that PostgreSQL infers, and by asking for windows far from all data.

use allswell::domain::sql::Engine;
use allswell::source::Instants;

use crate::bounds::{look, sqlite_with};
use crate::lab::{Database, ENGINES};

const TABLE: &str = "create table t (id integer, on_day date, at @, note varchar(40), state varchar(8), valid_to @)";

async fn database(engine: Engine) -> Database {
    let db = Database::new(engine).await;
    let instant = match engine {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime",
        Engine::Sqlite => "text",
    };
    db.prepare(&TABLE.replace('@', instant)).await;
    db.prepare(
        "insert into t values (1, '2026-03-10', '2026-03-10 12:00:00', '2026-03-10', 'a', null), \
         (2, '2020-01-01', '2020-01-01 12:00:00', '2020-01-01', 'a', null)",
    )
    .await;
    db
}

/// A check of the day of 10 March 2026 in New York.
fn check(condition: &str, evidence: &str) -> String {
    format!(
        "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: It.\n    window: {{period: day, zone: America/New_York}}\n    \
         sql: |\n      select id from t where {condition}\n    expect: {{values: {{id: {{min: 1}}}}}}\n{evidence}"
    )
}

/// The verdict on 10 March 2026, by a source of its own: nothing is known of its queries yet.
async fn word(db: &Database, yaml: &str) -> String {
    let source = match db.engine() {
        Engine::Sqlite => sqlite_with(db, Instants::Sql),
        Engine::Postgres | Engine::MySql => db.source(),
    };
    look(source, yaml, "2026-03-10").await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_or_a_text_that_is_compared_with_a_bound_proves_nothing_on_postgresql() {
    let db = database(Engine::Postgres).await;
    for (condition, wanted) in [
        ("on_day >= :window_start and on_day < :window_end", "compared with a DATE"),
        ("at::date >= :window_start and at::date < :window_end", "compared with a DATE"),
        ("on_day between :window_start and :window_end", "compared with a DATE"),
        ("note >= :window_start::text and note < :window_end::text", "compared with a text"),
        ("at >= :window_date and on_day = :window_date", "compared with an instant"),
    ] {
        let said = word(&db, &check(condition, "")).await;
        assert!(said.starts_with("query_error") && said.contains(wanted), "{condition}: {said}");
    }
    for condition in [
        "at >= :window_start and at < :window_end",
        "at >= :window_start::timestamptz and at < :window_end::timestamptz",
        "at >= :window_start - interval '1 day' and at < :window_end + interval '0 days'",
        "on_day = :window_date",
        "on_day >= :window_date and on_day < :window_date + 1",
        "(at at time zone :zone)::date = :window_date",
        "date_trunc('hour', at) >= :window_start and at < :window_end",
        "at >= :window_start and at < :window_end and :window_hours > 0 and :zone <> ''",
    ] {
        let said = word(&db, &check(condition, "")).await;
        assert_eq!(said, "confirmed", "{condition}");
    }
    // Dates of UTC are the days of windows in UTC.
    let utc = check("on_day >= :window_start and on_day < :window_end", "");
    assert_eq!(word(&db, &utc.replace("America/New_York", "UTC")).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_compared_with_a_bound_proves_nothing_on_mariadb() {
    let db = database(Engine::MySql).await;
    for condition in [
        "on_day >= :window_start and on_day < :window_end",
        "t.`on_day` between :window_start and :window_end",
        ":window_start <= on_day and :window_end > t.on_day",
    ] {
        let said = word(&db, &check(condition, "")).await;
        assert!(
            said.starts_with("query_error") && said.contains("with a DATE"),
            "{condition}: {said}"
        );
    }
    for condition in ["at >= :window_start and at < :window_end", "on_day = :window_date"] {
        assert_eq!(word(&db, &check(condition, "")).await, "confirmed", "{condition}");
    }
    let utc = check("on_day >= :window_start and on_day < :window_end", "");
    assert_eq!(word(&db, &utc.replace("America/New_York", "UTC")).await, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_compared_with_an_instant_proves_nothing_where_no_types_are_inferred() {
    for engine in [Engine::MySql, Engine::Sqlite] {
        let db = database(engine).await;
        for condition in [
            "at >= :window_date and at < :window_end_date",
            "t.at between :window_date and :window_end_date",
            ":window_date <= at and :window_end_date > t.at",
            "on_day = :window_date and at < :window_end_date",
        ] {
            let said = word(&db, &check(condition, "")).await;
            assert!(
                said.starts_with("query_error") && said.contains("compared with an instant (`at`)"),
                "{engine}: {condition}: {said}"
            );
        }
        // The evidence is held against its window as well.
        let evidence = "    evidence: {sql: select count(*) from t where at >= :window_date and at < :window_end_date}\n";
        let kept = "at >= :window_start and at < :window_end";
        let said = word(&db, &check(kept, evidence)).await;
        assert!(said.contains("compared with an instant"), "{engine}: {said}");
        for condition in [
            "on_day >= :window_date and on_day < :window_end_date",
            // A table that has the name as a date may be the one that is meant.
            "exists (select 1 from other where at >= :window_date and at < :window_end_date)",
        ] {
            db.prepare("drop table if exists other").await;
            db.prepare("create table other (at date)").await;
            db.prepare("insert into other values ('2026-03-10')").await;
            let of_day = format!("{kept} and {condition}");
            assert_eq!(word(&db, &check(&of_day, "")).await, "confirmed", "{engine}: {condition}");
        }
        // What is computed under the name of a column is what it is.
        let computed = "id in (select id from (select id, on_day as at from t) q where at >= :window_date and at < :window_end_date)";
        let of_day = format!("{kept} and {computed}");
        assert_eq!(word(&db, &check(&of_day, "")).await, "confirmed", "{engine}");
        let utc = check("at >= :window_date and at < :window_end_date", "");
        assert_eq!(word(&db, &utc.replace("America/New_York", "UTC")).await, "confirmed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_compared_with_a_bound_proves_nothing_on_sqlite() {
    let db = database(Engine::Sqlite).await;
    for condition in [
        "on_day >= :window_start and on_day < :window_end",
        "\"on_day\" between :window_start and :window_end",
        "note >= :window_start and note < :window_end",
    ] {
        let said = word(&db, &check(condition, "")).await;
        assert!(
            said.starts_with("query_error") && said.contains("with a DATE"),
            "{condition}: {said}"
        );
    }
    // Seconds since 1970 have ten digits too.
    db.prepare("create table seconds (id integer, at text)").await;
    db.prepare("insert into seconds values (1, '1773144000')").await;
    let of_seconds = check("at >= :window_start and at < :window_end", "");
    let of_seconds = of_seconds.replace("from t", "from seconds");
    let source = sqlite_with(&db, Instants::EpochSecs);
    assert_eq!(look(source, &of_seconds, "2026-03-10").await, ["confirmed"]);
    // Dates that are written with their midnight are dates.
    db.prepare("create table midnights (id integer, day text)").await;
    db.prepare("insert into midnights values (1, '2026-03-10 00:00:00')").await;
    let of_days = check("day >= :window_date and day < :window_end_date", "");
    let said = word(&db, &of_days.replace("from t", "from midnights")).await;
    assert_eq!(said, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brings_rows_for_any_window_proves_nothing() {
    let all = "    evidence: {sql: \"select count(*) from t where state = 'a' or at >= :window_start and at < :window_end\"}\n";
    for engine in ENGINES {
        let db = database(engine).await;
        let kept = "at >= :window_start and at < :window_end";
        for (condition, evidence) in [
            ("state = 'b' or state = 'a' or at >= :window_start and at < :window_end", ""),
            (":window_start < :window_end", ""),
            (kept, all),
        ] {
            let said = word(&db, &check(condition, evidence)).await;
            let told = said.contains("does not keep to its window")
                || said.contains("compared with a text, or with another parameter");
            assert!(
                said.starts_with("query_error") && told,
                "{engine}: {condition}{evidence}: {said}"
            );
            // Of another query nothing is known by that.
            assert_eq!(word(&db, &check(kept, "")).await, "confirmed", "{engine}");
        }
        for condition in [
            // Open ends are in a window far ahead, and in none of long ago.
            "at < :window_end and (valid_to is null or valid_to > :window_start)",
            "at >= :window_start and at < :window_end and (state = 'a' or state = 'b')",
        ] {
            assert_eq!(
                word(&db, &check(condition, "")).await,
                "confirmed",
                "{engine}: {condition}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_up_is_found_by_the_first_date_or_the_first_instant_of_its_period() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let instant = match engine {
            Engine::Postgres => "timestamptz",
            Engine::MySql => "datetime",
            Engine::Sqlite => "text",
        };
        db.prepare(&format!("create table m (month date, start {instant}, total integer)")).await;
        // Midnight of Juneau, in winter and in summer.
        db.prepare(
            "insert into m values ('2026-03-01', '2026-03-01 09:00:00', 10), ('2026-04-01', '2026-04-01 08:00:00', 20)",
        )
        .await;
        for (date, total) in [("2026-03-01", 10), ("2026-04-01", 20)] {
            for condition in ["month = :window_date", "start = :window_start"] {
                let yaml = format!(
                    "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: It.\n    \
                     window: {{period: month, zone: America/Juneau}}\n    sql: select total from m where {condition}\n    \
                     expect: {{values: {{total: {{equals: {total}}}}}}}\n"
                );
                let source = match db.engine() {
                    Engine::Sqlite => sqlite_with(&db, Instants::Sql),
                    Engine::Postgres | Engine::MySql => db.source(),
                };
                let said = look(source, &yaml, date).await;
                assert_eq!(said, ["confirmed"], "{engine}: {date}: {condition}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dates_of_a_period_are_those_from_its_first_one_to_that_of_the_next() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let date = if engine == Engine::Sqlite { "text" } else { "date" };
        db.prepare(&format!("create table d (day {date}, total integer)")).await;
        // A row a day of a year that leaps; each counts one.
        let start = chrono::NaiveDate::from_ymd_opt(2028, 1, 1).unwrap();
        let rows: Vec<String> =
            start.iter_days().take(366).map(|day| format!("('{day}', 1)")).collect();
        db.prepare(&format!("insert into d values {}", rows.join(", "))).await;
        for (period, from, date, days) in [
            ("day", "", "2028-03-26", 1),
            ("week", "", "2028-03-20", 7),
            ("week", ", from: sunday", "2028-03-19", 7),
            ("month", "", "2028-02-01", 29),
            ("month", ", from: 31", "2028-01-31", 29),
            ("quarter", "", "2028-01-01", 91),
            ("year", "", "2028-01-01", 366),
        ] {
            // Clocks change in it, and at midnight in Cairo.
            for zone in ["Europe/Berlin", "Africa/Cairo"] {
                let window = format!("window: {{period: {period}, zone: {zone}{from}}}");
                let by_sql = format!(
                    "sql: select sum(total) as n from d where day >= :window_date and day < :window_end_date\n    \
                     expect: {{values: {{n: {{equals: {days}}}}}}}"
                );
                let by_rules = format!("table: d\n    on: day\n    rows: {{equals: {days}}}");
                for rest in [by_sql, by_rules] {
                    let yaml = format!(
                        "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: It.\n    \
                         {window}\n    {rest}\n"
                    );
                    let source = match db.engine() {
                        Engine::Sqlite => sqlite_with(&db, Instants::Sql),
                        Engine::Postgres | Engine::MySql => db.source(),
                    };
                    let said = look(source, &yaml, date).await;
                    assert_eq!(said, ["confirmed"], "{engine}: {date}: {yaml}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_the_sides_of_a_reconciliation_are_asked_for_windows_far_away_too() {
    let strays = "state = 'a' or at >= :window_start and at < :window_end";
    let kept = "at >= :window_start and at < :window_end";
    let of = |rest: String| {
        format!(
            "version: 1\nowner: t\ndefaults: {{source: db}}\nchecks:\n  - id: it\n    why: It.\n    \
             window: {{period: day, zone: America/New_York}}\n{rest}"
        )
    };
    let keys = |condition: &str| {
        of(format!(
            "    sql: select id from t where {kept}\n    expect: {{keys: {{columns: [id], \
             from: {{sql: \"select id from t where {condition}\"}}}}}}\n"
        ))
    };
    let sides = |left: &str, right: &str| {
        let side = |condition: &str| {
            format!("{{source: db, sql: \"select id, state from t where {condition}\"}}")
        };
        of(format!(
            "    reconcile: {{left: {}, right: {}, key: [id], compare: {{state: {{tolerance: 0}}}}, \
             confirm_after: 0s}}\n",
            side(left),
            side(right)
        ))
    };
    for engine in ENGINES {
        let db = database(engine).await;
        for yaml in [keys(strays), sides(strays, kept), sides(kept, strays)] {
            let said = word(&db, &yaml).await;
            assert!(said.starts_with("query_error"), "{engine}: {yaml}: {said}");
            assert!(said.contains("does not keep to its window"), "{engine}: {said}");
        }
        assert_eq!(word(&db, &keys(kept)).await, "confirmed", "{engine}");
        let both = sides(&format!("({kept})"), kept);
        assert_eq!(word(&db, &both).await, "confirmed", "{engine}");
    }
}
