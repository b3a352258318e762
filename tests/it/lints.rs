//! What a check gives away by itself: checks that cannot be a proof are faults, what is hardly meant is told by its code,
//! and sound checks are told nothing.

use std::collections::BTreeMap;

use allswell::domain::check::fault::Fault;
use allswell::domain::check::name::SourceName;
use allswell::domain::sql::Engine;
use allswell::manifest::{Engines, Text, World, parse};

use crate::lab::zones;

fn engines() -> Engines {
    let name = |name: &str| SourceName::parse(name).unwrap();
    BTreeMap::from([
        (name("pg"), Engine::Postgres),
        (name("my"), Engine::MySql),
        (name("lite"), Engine::Sqlite),
        (name("pg2"), Engine::Postgres),
    ])
}

/// Reads one check: its faults, or the codes of its warnings.
fn read(check: &str, stored: bool) -> Result<Vec<String>, Vec<Fault>> {
    let lines: String = check.trim().lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("version: 1\nowner: t\nchecks:\n  - id: it\n    why: It.\n{lines}");
    let engines = engines();
    let world = World { stored, ..World::new(&engines, zones()) };
    let catalogue = parse(&[Text { file: "t.yaml".into(), text }], world)?;
    let code = |w: &allswell::domain::check::catalogue::Warning| {
        w.code.map_or("?".to_owned(), |code| code.to_string())
    };
    Ok(catalogue.warnings().iter().map(code).collect())
}

/// A check of one query whose rows must not come.
fn no_rows(source: &str, sql: &str) -> String {
    format!(
        "source: {source}\nsql: |\n  {sql}\nexpect: {{rows: {{equals: 0}}}}\nevidence: {{sql: select count(*) from t}}\n"
    )
}

/// A check of one query of a day.
fn of_a_day(source: &str, condition: &str) -> String {
    format!(
        "source: {source}\nwindow: {{period: day, zone: America/New_York}}\nsql: |\n  select n from t where {condition}\n\
         expect: {{values: {{n: {{min: 1}}}}}}\n"
    )
}

#[test]
fn a_condition_between_literals_is_a_fault() {
    for (source, condition) in [
        ("pg", "a < 0 and 1 = 0"),
        ("pg", "-- note\n  a < 0 and 0 = 1"),
        ("pg", "a < 0 and 1 <> 1"),
        ("pg", "a < 0 and 2 < 1"),
        ("pg", "a in (select b from t where false)"),
        ("my", "a < 0 and false"),
        ("lite", "a < 0 and 0"),
        ("pg", "'stat' = 'bad'"),
        ("pg", "'stat' <> 'good'"),
        ("lite", "'stat' in ('bad', 'worse')"),
        ("lite", "'stat' not in ('good')"),
        ("pg", "'stat' like 'b%'"),
        ("pg", "'stat' is null"),
        ("my", "\"stat\" = 'bad'"),
        ("my", "\"amount\" < 0"),
        ("my", "not \"stat\" in (\"good\", \"fine\")"),
        ("my", "\"paid_at\" is null"),
        ("pg", "a between 10 and 1"),
        ("pg", "b > 1 and ('x' = 'y') and a < 0"),
        ("pg", "a in (select b from t where c > 1 or 1 = 1) and 1 = 0"),
    ] {
        let check = no_rows(source, &format!("select a from t where {condition}"));
        let faults = read(&check, false).expect_err(condition);
        assert!(
            faults.iter().all(|fault| fault.line >= 7 && fault.hint.is_some()),
            "{condition}: {faults:?}"
        );
        // What runs already goes on, and is told.
        assert_eq!(read(&check, true).unwrap(), ["literal_condition"], "{condition}");
    }
}

#[test]
fn a_check_that_cannot_fail_is_a_fault() {
    for check in [
        "source: pg\nsql: select store, count(*) as n from s group by store\nexpect: {values: {n: {min: 1}}}",
        "source: my\nsql: select store, count(*) n from s group by store\nexpect: {values: {n: {min: 0}}}",
        "source: lite\nsql: select count(*) as n from inv\nexpect: {rows: {equals: 1}}\nevidence: {sql: select count(*) from inv}",
        "source: pg\nsql: select max(a) as n from inv\nexpect: {rows: {min: 1}}",
        "source: pg\nsql: select count(*) as n from inv\nexpect: {values: {n: {min: 0}}}\nevidence: {sql: select count(*) from inv}",
        "source: pg\nsql: select true as ok from inv\nexpect: {values: {ok: {equals: true}}}",
        "source: my\nsql: select 1 as ok from inv\nexpect: {values: {ok: {one_of: [1, 2]}}}",
        "source: pg\nsql: select id from inv where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select 1}",
        "source: my\nsql: select id from inv where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select 5 from dual}",
        "source: pg\nsql: select id from inv where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select count(*)}",
        "source: lite\nsql: select id from inv where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: 'select n from (select 7 as n) q'}",
        "reconcile:\n  left: {source: pg, sql: select id from t}\n  right: {source: pg, sql: SELECT id  FROM t -- again\n    }\n  key: [id]",
    ] {
        let faults = read(check, false).expect_err(check);
        assert_eq!(faults.len(), 1, "{check}: {faults:?}");
        assert!(!read(check, true).unwrap().is_empty(), "{check}");
    }
    // Beside something that can fail, it may stand.
    let check = "source: pg\nsql: select store, count(*) as n from s group by store\nexpect: {keys: {columns: [store], from: {sql: select store from stores}}, values: {n: {min: 1}}}";
    assert_eq!(read(check, false).unwrap(), Vec::<String>::new());
    let check = "reconcile:\n  left: {source: pg, sql: select id from t}\n  right: {source: pg2, sql: select id from t}\n  key: [id]";
    assert_eq!(read(check, false).unwrap(), Vec::<String>::new());
}

/// Conditions of a day that are hardly meant, by source, and the code that is told.
const DAYS_HARDLY_MEANT: &[(&str, &str, &str)] = &[
    ("my", "at >= :window_start and at < :window_end and at < utc_timestamp()", "now_in_window"),
    ("lite", "at >= :window_start and at < :window_end and at < datetime('NOW')", "now_in_window"),
    ("pg", "at > :window_start and at < :window_end", "window_edge"),
    ("pg", "at >= :window_start and at <= :window_end", "window_edge"),
    ("my", ":window_start < at and :window_end > at", "window_edge"),
    ("pg", "at between :window_start and :window_end", "window_edge"),
    (
        "pg",
        "t.at::timestamptz between :window_start::timestamptz and :window_end::timestamptz",
        "window_edge",
    ),
    ("pg", "at::date = :window_date", "session_date"),
    ("pg", "d >= :window_date and d <= :window_end_date", "window_edge"),
    ("lite", "d between :window_date and :window_end_date", "window_edge"),
    ("my", "date(at) = :window_date", "session_date"),
    ("lite", "substr(at, 1, 10) = :window_date", "session_date"),
    (
        "lite",
        "created_on >= date(:window_start) and created_on < date(:window_end)",
        "session_date",
    ),
    (
        "my",
        "created_on >= cast(:window_start as date) and created_on < cast(:window_end as date)",
        "session_date",
    ),
    (
        "my",
        "created_on >= date_format(:window_start, '%Y-%m-%d') and at < :window_end",
        "session_date",
    ),
    ("my", "left(at, 10) = :window_date", "session_date"),
    ("my", "to_days(at) = to_days(:window_date)", "session_date"),
    ("lite", "date(at) = date(:window_date)", "session_date"),
    ("lite", "at like :window_date || '%'", "session_date"),
    ("my", "at like concat(:window_date, '%')", "session_date"),
    (
        "pg",
        "at >= :window_date::timestamptz and at < :window_end_date::timestamptz",
        "session_date",
    ),
    (
        "pg",
        "at >= cast(:window_date as timestamp) and at < cast(:window_end_date as timestamp)",
        "session_date",
    ),
    ("my", "at >= timestamp(:window_date) and at < timestamp(:window_end_date)", "session_date"),
    (
        "lite",
        "unixepoch(at) >= unixepoch(:window_date) and unixepoch(at) < unixepoch(:window_end_date)",
        "session_date",
    ),
    ("pg", "cast(at as date) = :window_date", "session_date"),
    ("pg", "date_trunc('day', at) >= :window_start and at < :window_end", "session_date"),
    ("pg", "at >= :window_start and at < :window_end and at < now()", "now_in_window"),
];

#[test]
fn what_is_hardly_meant_is_told_by_its_code() {
    let body = |sql: &str| no_rows("pg", sql);
    let cases: Vec<(String, &str)> = vec![
        (body("select id from t order by id limit 100"), "limited"),
        (body("select id from t fetch first 10 rows only"), "limited"),
        (body("select id from (select * from t order by id limit 50) q where q.a < 0"), "limited"),
        (body("select id from t where c not in (select id from t2)"), "not_in"),
        (body("with q as (select * from t order by id limit 50) select id from q where q.a < 0"), "limited"),
        (body("select id from t where c <> all (select id from t2)"), "not_in"),
        (body("select id from t where c not in (1, null)"), "not_in"),
        (body("select id from t where note = (null)"), "equals_null"),
        (body("select id from t where note < cast(null as text)"), "equals_null"),
        (body("select id from t where now() - interval '1 hour' < at and a < 0"), "moving_window"),
        (body("select id from t where at > (now() - interval '1 hour') and a < 0"), "moving_window"),
        (body("select id from t where note = null"), "equals_null"),
        (body("select id from t where note <> null"), "equals_null"),
        (body("select id from t where at > now() - interval '1 hour' and a < 0"), "moving_window"),
        (no_rows("my", "select id from t where created_on = curdate() and a < 0"), "moving_window"),
        (no_rows("lite", "select id from t where at >= datetime('now', '-1 day') and a < 0"), "moving_window"),
        (no_rows("my", "select id from t where a || b = 'xy'"), "or_on_mysql"),
        (body("select id from t where a < 0 and a > 10"), "never_true"),
        (body("select id from t where t.a between 1 and 5 and b = 2 and t.a >= 6"), "never_true"),
        (body("select id from t where state = 'open' and a > 1 and 'done' = state"), "never_true"),
        (body("select id from t where a is null and a < 0"), "never_true"),
        (body("select id from t group by id having count(*) > 1 and id = 3 and id > 3"), "never_true"),
        (no_rows("lite", "select id from (select * from t where a = 1 and a = 2) q"), "never_true"),
        (body("select t.id from t left join accounts a on a.id = t.a where a.zone <> 'x'"), "outer_join_undone"),
        (no_rows("my", "select t.id from t left outer join accounts as a on a.id = t.a where t.b < 0 and a.kind in ('x', 'y')"), "outer_join_undone"),
        (no_rows("lite", "select t.id from t left join (select id, n from u) s on s.id = t.a where s.n = t.n"), "outer_join_undone"),
        (body("select id from bad_orders()"), "from_function"),
        (body("with b as (select * from audit.bad_rows(7)) select id from b where a < 0"), "from_function"),
        (body("select id from bad_orders(generate_series(1, 3))"), "from_function"),
        ("source: pg\nsql: select max(at) as newest from t\nexpect: {values: {newest: {min: 2020-01-01}}}".into(), "no_upper_limit"),
        ("source: pg\nsql: select v from t\nexpect: {values: {v: {equals: 100, tolerance: 100}}}".into(), "wide_tolerance"),
        ("source: pg\nsql: select v from t\nexpect: {values: {v: {equals: 100, tolerance_ratio: 0.99}}}".into(), "wide_tolerance"),
        ("source: pg\nsql: select count(*) filter (where bad) / count(*) as r from t\nexpect: {values: {r: {max: 0}}}".into(), "integer_division"),
        ("source: lite\nsql: select sum(case when bad then 1 else 0 end) / count(*) as r from t\nexpect: {values: {r: {max: 0}}}".into(), "integer_division"),
        ("source: pg\nsql: select id from t where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select count(*) from customers}".into(), "evidence_elsewhere"),
        ("source: pg\nsql: select id from t where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select max(id) from t}".into(), "evidence_no_count"),
        ("source: my\nsql: select id from t where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: 'select coalesce(sum(n), 1) from t'}".into(), "evidence_no_count"),
        ("source: pg\nsql: select store_id from sales\nexpect: {keys: {columns: [store_id], from: {sql: select distinct store_id from sales}}}".into(), "keys_from_themselves"),
        ("source: my\nsql: select account, total, count(*) as n from t group by account\nexpect: {values: {total: {min: 0}}}".into(), "not_grouped"),
        ("source: pg\nsql: select table_name from information_schema.tables where table_name = 'secret'\nexpect: {rows: {equals: 0}}\nevidence: {sql: select count(*) from information_schema.tables}".into(), "catalogue_view"),
        ("source: pg\nsql: select pid from pg_stat_activity where state = 'idle in transaction'\nexpect: {rows: {equals: 0}}\nevidence: {sql: select count(*) from pg_stat_activity}".into(), "catalogue_view"),
        ("source: pg\nschedule: {cron: '0 0 29 2 *', zone: UTC}\nsql: select n from t\nexpect: {values: {n: {min: 1}}}".into(), "long_health"),
        ("source: pg\nschedule: {every: 30d}\nsql: select n from t\nexpect: {values: {n: {min: 1}}}".into(), "long_health"),
        ("reconcile:\n  left: {source: pg, sql: 'select id, total, tax from t'}\n  right: {source: my, sql: 'select id, total, tax from u'}\n  key: [id]\n  compare: {total: {tolerance: 0}}".into(), "not_compared"),
        ("reconcile:\n  left: {source: pg, sql: 'select id, total from t'}\n  right: {source: my, sql: 'select id, total from u'}\n  key: [id]\n  compare: {total: {tolerance_ratio: 0.99}}".into(), "wide_tolerance"),
    ];
    let days = DAYS_HARDLY_MEANT.iter();
    let days = days.map(|(source, condition, code)| (of_a_day(source, condition), *code));
    for (check, code) in cases.into_iter().chain(days) {
        let told = read(&check, false).unwrap_or_else(|faults| panic!("{check}: {faults:?}"));
        assert_eq!(told, [code], "{check}");
        let accepted = format!("{check}\naccept: {{{code}: it is meant}}\n");
        assert_eq!(read(&accepted, false).unwrap(), Vec::<String>::new(), "{accepted}");
    }
}

#[test]
fn only_the_code_of_a_warning_can_be_accepted() {
    let check = no_rows("pg", "select id from t where a < 0");
    for (code, hint) in
        [("limted", "`limited`"), ("cannot_fail", "cannot be a proof"), ("limited: ''", "")]
    {
        let accepted = if code.contains(':') {
            format!("{check}accept: {{{code}}}\n")
        } else {
            format!("{check}accept: {{{code}: why}}\n")
        };
        let faults = read(&accepted, false).expect_err(code);
        assert!(faults[0].to_string().contains(hint), "{code}: {faults:?}");
    }
}

/// Conditions of a day that experienced people write, and mean.
const CONDITIONS: [(&str, &str); 29] = [
    // Windows.
    ("pg", "at >= :window_start and at < :window_end"),
    ("pg", "t.at >= :window_start and t.at < :window_end and (a < 0 or b is null)"),
    ("pg", "valid_from < :window_end and valid_to > :window_start"),
    ("my", "valid_from < :window_end and (valid_to > :window_start or valid_to is null)"),
    ("pg", "at >= :window_start::timestamptz and at < :window_end::timestamptz"),
    ("pg", "at >= :window_start - interval '1 day' and at < :window_end"),
    ("pg", "created_on = :window_date"),
    (
        "pg",
        "at >= :window_date::timestamp at time zone 'America/New_York' and at < :window_end_date::timestamp at time zone 'America/New_York'",
    ),
    (
        "pg",
        "extract(isodow from created_on) = extract(isodow from :window_date) and created_on = :window_date",
    ),
    ("lite", "created_on = :window_date and substr(code, 1, 3) = 'abc' and left_over > 10"),
    ("lite", "created_on = :window_date and strftime('%w', :window_date) <> '0'"),
    ("my", "created_on = :window_date and name like 'a%'"),
    ("lite", "secs >= strftime('%s', :window_start) and secs < strftime('%s', :window_end)"),
    ("pg", "date_trunc('hour', at) >= date_trunc('hour', :window_start) and at < :window_end"),
    ("pg", "secs >= extract(epoch from :window_start) and secs < extract(epoch from :window_end)"),
    ("pg", "created_on >= :window_date and created_on < :window_end_date"),
    ("pg", "created_on in (:window_date, :window_date - 7)"),
    ("my", "created_on in (:window_date, :window_date - interval 7 day)"),
    ("lite", "created_on in (:window_date, date(:window_date, '-7 days'))"),
    ("pg", "(at at time zone 'America/New_York')::date = :window_date"),
    ("my", "date(convert_tz(at, '+00:00', 'America/New_York')) = :window_date"),
    (
        "pg",
        "epoch >= extract(epoch from :window_start) and epoch < extract(epoch from :window_end)",
    ),
    ("pg", "at >= :window_start and at < :window_end and a not in ('x', 'y')"),
    ("pg", "at >= :window_start and at < :window_end and 1 = 1"),
    ("pg", "at >= :window_start and at < :window_end and a is distinct from b"),
    ("pg", "at >= :window_start and at < :window_end and n between 1 and 10"),
    ("pg", "at >= :window_start and at < :window_end and date_part('minute', at) = 0"),
    ("pg", "at >= :window_start and at < :window_end and a = any (array['x', 'y'])"),
    ("pg", "at >= :window_start and at < :window_end and data ->> 'k' = 'v'"),
];
/// Queries of theirs.
const BODIES: [(&str, &str); 31] = [
    ("pg", "with q as (select id, a from t) select id from q where a < 0"),
    ("pg", "select id from t where a < 0 union all select id from t where b < 0"),
    (
        "pg",
        "select id from (select id, row_number() over (partition by k order by at desc) as r from t) q where r = 1",
    ),
    ("pg", "select id from t where a < (select max(a) from t limit 1)"),
    ("pg", "select id from t join lateral (select 1 from u where u.id = t.id limit 1) q on true"),
    ("pg", "select t.id from t where not exists (select 1 from u where u.id = t.id)"),
    ("pg", "select id from t where c not in (select id from u where id is not null)"),
    ("pg", "select \"Id\" from \"t\" where \"A\" < 0"),
    ("pg", "select id from t where 'EU' = any (regions)"),
    ("pg", "select id from t where 'paid' = state"),
    ("my", "select id from t where state = \"paid\""),
    ("my", "select `id` from `t` where `a` < 0"),
    ("pg", "select id from t where paid_on <= current_date"),
    ("pg", "select g from generate_series(1, 10) g left join t on t.id = g where t.id is null"),
    ("lite", "select id from t where json_extract(doc, '$.a') is null"),
    ("lite", "select id from t where typeof(a) = 'text'"),
    ("pg", "select id from public.t where a > all (select b from u)"),
    ("pg", "select id from t tablesample system (10) where a < 0"),
    ("my", "select id from t where coalesce(a, 0) < 0"),
    ("pg", "select id from t where exists (select 1 from t x where x.id <> t.id and x.k = t.k)"),
    ("pg", "select k, count(*) from t group by k having count(*) > 1"),
    ("my", "select id, name, count(*) from t group by id having count(*) > 1"),
    ("pg", "select id from t where case when a is null then false else a < 0 end"),
    ("pg", "select id from t where (a, b) in (select a, b from u)"),
    ("pg", "select id from t where 1 = 0 or a < 0 or b < 0"),
    ("pg", "select id from t where (1 = 0) or (a < 0)"),
    ("pg", "select id, a from t where a < 0 union all select null, null where 1 = 0"),
    ("pg", "select id from t where at > now() + interval '5 minutes'"),
    ("pg", "select id from t where valid_to > current_date and a < 0"),
    ("pg", "select id from t where not (heartbeat > now() - interval '10 minutes')"),
    ("pg", "select id from t where c not in (select coalesce(parent, 0) from u)"),
];
/// Checks of theirs.
const CHECKS: [&str; 23] = [
    "source: pg\nsql: select count(*) as n from t\nexpect: {values: {n: {min: 20}}}",
    "source: pg\nsql: select 1.0 * count(*) filter (where bad) / count(*) as r from t\nexpect: {values: {r: {max: 0.01}}}",
    "source: my\nsql: select sum(bad) / count(*) as r from t\nexpect: {values: {r: {max: 0.01}}}",
    "source: pg\nsql: select sum(amount) / count(*) as r from t\nexpect: {values: {r: {max: 10}}}",
    "source: pg\nsql: select extract(epoch from now() - max(at)) as age from t\nexpect: {values: {age: {min: 0, max: 3600}}}\nevidence: {sql: select count(*) from t}",
    "source: pg\nsql: select state, count(*) as n from t group by state\nexpect: {values: {state: {one_of: [a, b]}}}",
    "source: lite\nsql: select id, name, count(*) as n from t group by id\nexpect: {values: {name: {not_equals: x}}}",
    "source: pg\nsql: select id from t where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select sum(n) from (select count(*) as n from t union all select count(*) from u) q}",
    "source: pg\nsql: select id from t where a < 0\nexpect: {rows: {equals: 0}}\nevidence: {sql: select row_count from load_log join t on true}",
    "source: pg\nsql: select count(*) as n from information_schema.tables\nexpect: {values: {n: {min: 1}}}",
    "source: pg\nschedule: {cron: '0 6 * * MON', zone: UTC}\nsql: select n from t\nexpect: {values: {n: {min: 1}}}",
    "source: pg\nwindow: {period: month, zone: Europe/Berlin}\nsql: select count(*) as n from t where at >= :window_start and at < :window_end\nexpect: {values: {n: {min: 1}}}",
    "source: pg\nwindow: {period: day, zone: UTC}\nsql: select count(*) as n from t where at::date = :window_date\nexpect: {values: {n: {min: 1}}}",
    "source: pg\nwindow: {period: day, zone: Europe/Berlin}\nsql: select store_id from sales where at >= :window_start and at < :window_end\nexpect: {keys: {columns: [store_id], from: {sql: \"select distinct store_id from sales where at >= :window_start - interval '7 days' and at < :window_end - interval '7 days'\"}}}",
    "source: pg\nsql: select store_id from sales\nexpect: {keys: {columns: [store_id], from: {sql: select id from stores}}}",
    "source: pg\nsql: select v from t\nexpect: {values: {v: {equals: 0, tolerance: 5}}}",
    "source: pg\nsql: select v from t\nexpect: {values: {v: {equals: 100, tolerance_ratio: 0.01}}}",
    "source: my\nsql: select state as s, count(*) as n from t group by s\nexpect: {values: {s: {one_of: [a, b]}}}",
    "source: pg\nsql: select count(note) / count(*)::numeric as r from t\nexpect: {values: {r: {max: 0.5}}}",
    "source: pg\nsql: select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as n\nexpect: {values: {n: {min: 1}}}",
    "source: pg\nsql: select g.n, count(t.id) as c from generate_series(1, 3) g(n) left join t on t.n = g.n group by g.n\nexpect: {values: {c: {min: 1}}}",
    "source: pg\nsql: select t.id, f.total from t cross join lateral totals_of(t.id) f\nexpect: {values: {total: {min: 0}}}",
    "source: pg\nsql: select max(expires_at) as x from t\nexpect: {values: {x: {min: now + 14d}}}",
];

#[test]
fn sound_queries_are_told_nothing() {
    for (source, condition) in CONDITIONS {
        let told = read(&of_a_day(source, condition), false).unwrap();
        assert_eq!(told, Vec::<String>::new(), "{source}: {condition}");
    }
    for (source, sql) in BODIES {
        assert_eq!(
            read(&no_rows(source, sql), false).unwrap(),
            Vec::<String>::new(),
            "{source}: {sql}"
        );
    }
    for check in CHECKS {
        let told = read(check, false).unwrap_or_else(|faults| panic!("{check}: {faults:?}"));
        assert_eq!(told, Vec::<String>::new(), "{check}");
    }
}

#[test]
fn a_quotient_at_the_end_of_a_query_is_read_like_any_other() {
    for source in ["pg", "lite"] {
        for sql in [
            "select n from t where n > (n + 5) / n",
            "select n from t group by n having count(*) > (select count(*) from t) / 2",
        ] {
            assert_eq!(read(&no_rows(source, sql), false).unwrap(), Vec::<String>::new(), "{sql}");
        }
    }
}

#[test]
fn a_bound_of_a_range_and_a_truth_value_are_no_conditions() {
    for sql in [
        "select n from t where n between -4 and 0",
        "select n from t where not n between -100 and 0",
        "select n from t where (n > 1) is not false",
        "with e as (select 1 as n where false) select t.n from t left join e on e.n = t.n",
        // What can hold together, what need not, and what asks for rows without a partner.
        "select n from t where n > 0 and n < 10 and n <> 5",
        "select n from t where n >= 5 and n <= 5",
        "select n from t where n < 0 or n > 10",
        "select n from t where (n < 0 or n > 10) and n <> 4",
        "select n from t where n < 0 and m > 10",
        "select n from t where s = 'a' and s <> 'b' and s >= 'A'",
        "select n from t where not n < 0 and n < 10",
        "select n from t where n between 1 and 3 and n between 3 and 9",
        "select n from t where n < 0 and exists (select 1 from u where n > 10)",
        "select case when n < 0 and n > -5 then 1 end from t",
        "select t.n from t left join u on u.n = t.n where u.n is null",
        "select t.n from t left join u on u.n = t.n and u.kind = 'x' where t.n < 0",
        "select t.n from t left join u on u.n = t.n where u.n is null or u.n < 0",
        "select t.n from t left join u on u.n = t.n where coalesce(u.n, 0) < t.n",
        "select t.n from t join u on u.n = t.n where u.kind = 'x'",
        "select t.n from t left join u on u.n = t.n union all select u.n from u where u.n < 0",
    ] {
        for source in ["pg", "my", "lite"] {
            assert_eq!(read(&no_rows(source, sql), false).unwrap(), Vec::<String>::new(), "{sql}");
        }
    }
    for never in [
        "select n from t where n between 1 and 2 and false",
        "with bad as (select n from t where false) select n from bad",
    ] {
        assert!(read(&no_rows("pg", never), false).is_err(), "{never}");
    }
}

#[test]
fn complete_until_has_to_read_what_could_be_behind() {
    let check = |sql: &str| {
        format!(
            "source: pg\nwindow: {{period: day, zone: UTC}}\ncomplete_until: {{sql: \"{sql}\"}}\n\
             table: t\nat: at\ncolumns: {{n: {{min: 0}}}}\n"
        )
    };
    for sql in ["select now()", "select timestamptz '9999-12-31'", "select current_timestamp"] {
        let faults = read(&check(sql), false).unwrap_err();
        assert!(faults[0].message.contains("reads no table"), "{sql}: {faults:?}");
        // What an earlier release took is told.
        assert_eq!(read(&check(sql), true).unwrap(), ["complete_until_of_nothing"]);
    }
    for sql in ["select max(at) from loads", "select loaded_until()"] {
        assert_eq!(read(&check(sql), false).unwrap(), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn a_denial_from_afar_is_read_like_not_in() {
    let subquery = "in (select id from u)";
    for denied in [
        format!("not n {subquery}"),
        format!("not t.n {subquery}"),
        format!("not (n {subquery})"),
        format!("not coalesce(n, m) {subquery}"),
    ] {
        let sql = format!("select n from t where {denied}");
        assert_eq!(read(&no_rows("pg", &sql), false).unwrap(), ["not_in"], "{denied}");
    }
    for sound in ["n in (select id from u)", "not (n > 1) and n in (select id from u)"] {
        let sql = format!("select n from t where {sound}");
        assert_eq!(read(&no_rows("pg", &sql), false).unwrap(), Vec::<String>::new(), "{sound}");
    }
}
