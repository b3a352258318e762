//! Odd types and values: exact, or named with the cast to write. Nothing in between, and no panic.

#![expect(clippy::too_many_lines, reason = "tables are as long as what they list")]

use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;

use crate::lab::{Database, look, shown};
use crate::servers::{mysqld, postgres_major};

/// What must become of a value.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is exactly this.
    Is(&'static str),
    /// It satisfies no limit, and is shown like this.
    NoValue(&'static str),
    /// It has no exact reading; the cast that is named makes one.
    Unsupported,
}
use Fate::{Is, NoValue, Unsupported};

async fn hold(engine: Engine, setup: &str, cases: &[(&str, Fate)]) {
    // Numbers without an end came with PostgreSQL 14.
    let is_there = |value: &str| !value.contains("Infinity'::numeric") || postgres_major() >= 14;
    let cases: Vec<_> = cases.iter().copied().filter(|(value, _)| is_there(value)).collect();
    assert!(cases.len() >= 60, "{engine}: {} cases", cases.len());
    let db = Database::new(engine).await;
    db.prepare(setup).await;
    let mut yaml = String::from("version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n");
    for (i, (value, fate)) in cases.iter().enumerate() {
        let wanted = match fate {
            Is(text) => equals(text),
            NoValue(_) | Unsupported => of_any_type(),
        };
        let value =
            if value.contains(" from ") { (*value).to_owned() } else { format!("{value} as v") };
        yaml.push_str(&check(i, &format!("select {value}"), &wanted));
    }
    let outcomes = look(db.source(), &yaml).await;
    let mut casts = String::from("version: 1\nowner: t\ndefaults: {source: db}\nchecks:\n");
    let mut cast_count = 0;
    for (i, (outcome, (value, fate))) in outcomes.iter().zip(&cases).enumerate() {
        let said = shown(&outcome.judgement.verdict);
        match fate {
            Is(_) => assert_eq!(said, "confirmed", "{engine}: {value}"),
            NoValue(text) => {
                let wanted = format!("broken on 1 of 1 row: {text}");
                assert!(said.ends_with(&wanted), "{engine}: {value}: {said}");
            }
            Unsupported => {
                assert!(said.starts_with("unsupported_type:"), "{engine}: {value}: {said}");
                let cast = said.split('`').rev().nth(1).unwrap();
                let inner = if value.contains(" from ") {
                    (*value).to_owned()
                } else {
                    format!("{value} as v")
                };
                let sql = format!("select {cast} as v from (select {inner}) q");
                casts.push_str(&check(i, &sql, &of_any_type()));
                cast_count += 1;
            }
        }
    }
    if cast_count > 0 {
        for outcome in look(db.source(), &casts).await {
            let verdict = &outcome.judgement.verdict;
            let sql = outcome.check.queries()[0].text();
            assert!(matches!(verdict, Verdict::Violated(_)), "{engine}: {sql}: {}", shown(verdict));
        }
    }
}

fn equals(text: &str) -> String {
    format!("equals: {}", serde_json::json!(text))
}

/// A limit that a value of any type can be held against, and none of these satisfies.
fn of_any_type() -> String {
    "one_of: [\"123456789123\", \"nothing like this\", \"1999-12-30\", \"1999-12-30T23:59:58Z\"]"
        .to_owned()
}

fn check(i: usize, sql: &str, wanted: &str) -> String {
    format!(
        "  - {{id: c{i}, why: w, sql: {}, expect: {{values: {{v: {{{wanted}}}}}}}}}\n",
        serde_json::json!(sql),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_values_are_exact_or_named() {
    let setup = "create type mood as enum ('ok', 'bad'); create domain cents as numeric(12,2); \
                 create type pair as (a int, b text); create extension if not exists citext";
    let setup = setup.split(';').filter(|s| !s.contains("extension")).collect::<Vec<_>>().join(";");
    hold(
        Engine::Postgres,
        &setup,
        &[
            ("1::smallint", Is("1")),
            ("(-32768)::smallint", Is("-32768")),
            ("2147483647::int", Is("2147483647")),
            ("9223372036854775807::bigint", Is("9223372036854775807")),
            ("(-9223372036854775808)::bigint", Is("-9223372036854775808")),
            ("4294967295::oid", Is("4294967295")),
            ("0.1::real", Is("0.1")),
            ("0.1::float8", Is("0.1")),
            ("1e308::float8", Is("1e308")),
            ("5e-324::float8", Is("5e-324")),
            ("'-0'::float8", Is("0")),
            ("'NaN'::float8", NoValue("NaN")),
            ("'Infinity'::float8", NoValue("infinity")),
            ("'-Infinity'::real", NoValue("-infinity")),
            ("0::numeric", Is("0")),
            ("0.00::numeric(10,2)", Is("0")),
            ("-12.50::numeric", Is("-12.5")),
            ("10000::numeric", Is("10000")),
            ("100000000::numeric", Is("100000000")),
            ("0.0001::numeric", Is("0.0001")),
            ("0.00000001::numeric", Is("0.00000001")),
            (
                "1234567890123456789012345678901234567890::numeric",
                Is("1234567890123456789012345678901234567890"),
            ),
            (
                "0.1234567890123456789012345678901234567890::numeric",
                Is("0.1234567890123456789012345678901234567890"),
            ),
            (
                "-99999999999999999999.99999999999999999999::numeric",
                Is("-99999999999999999999.99999999999999999999"),
            ),
            ("1e100::numeric", Is("1e100")),
            ("'NaN'::numeric", NoValue("NaN")),
            ("'Infinity'::numeric", NoValue("infinity")),
            ("'-Infinity'::numeric", NoValue("-infinity")),
            ("1.5::cents", Is("1.5")),
            ("true", Is("true")),
            ("false", Is("false")),
            ("null::int", NoValue("NULL")),
            ("null", NoValue("NULL")),
            ("'x'::text", Is("x")),
            ("'x'", Is("x")),
            ("'x'::varchar(3)", Is("x")),
            ("'x'::char(3)", Is("x")),
            ("'x'::name", Is("x")),
            ("'héllo ☃ 🦀'::text", Is("héllo ☃ 🦀")),
            ("'ok'::mood", Is("ok")),
            (
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
                Is("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ),
            ("'2026-03-08'::date", Is("2026-03-08")),
            ("'0001-01-01'::date", Is("0001-01-01")),
            ("'infinity'::date", NoValue("infinity")),
            ("'-infinity'::date", NoValue("-infinity")),
            ("'4713-01-01 BC'::date", NoValue("-4712-01-01")),
            ("'2026-03-08 02:30'::timestamp", Is("2026-03-08 02:30:00")),
            ("'2026-03-08 02:30+05:30'::timestamptz", Is("2026-03-07T21:00:00Z")),
            ("'2026-03-08 02:30:00.123456'::timestamp", Is("2026-03-08T02:30:00.123456Z")),
            ("'infinity'::timestamptz", NoValue("infinity")),
            ("'-infinity'::timestamp", NoValue("-infinity")),
            ("'1900-01-01'::timestamp", Is("1900-01-01T00:00:00Z")),
            (
                "repeat('x', 1000000)",
                NoValue("\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\""),
            ),
            ("12.5::money", Unsupported),
            ("'12:30'::time", Unsupported),
            ("'12:30+02'::timetz", Unsupported),
            ("'1 day'::interval", Unsupported),
            ("'\\x00ff'::bytea", Unsupported),
            ("'{\"key\": 1}'::json", Unsupported),
            ("'{\"key\": 1}'::jsonb", Unsupported),
            ("'{1,2}'::int[]", Unsupported),
            ("'{a,b}'::text[]", Unsupported),
            ("'[1,2)'::int4range", Unsupported),
            ("'[2026-01-01,2026-02-01)'::daterange", Unsupported),
            ("'10.0.0.1'::inet", Unsupported),
            ("'10.0.0.0/8'::cidr", Unsupported),
            ("'08:00:2b:01:02:03'::macaddr", Unsupported),
            ("'(1,2)'::point", Unsupported),
            ("'((0,0),(1,1))'::box", Unsupported),
            ("b'101'::bit(3)", Unsupported),
            ("b'101'::varbit", Unsupported),
            ("'<a/>'::xml", Unsupported),
            ("'a b'::tsvector", Unsupported),
            ("'a & b'::tsquery", Unsupported),
            ("'16/B374D848'::pg_lsn", Unsupported),
            ("row(1, 'x')::pair", Unsupported),
            ("row(1, 'x')", Unsupported),
            ("'$.a'::jsonpath", Unsupported),
            ("'pg_class'::regclass", Unsupported),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_values_are_exact_or_named() {
    // MariaDB keeps JSON as a text, MySQL in a form of its own.
    let json = if mysqld().is_some() { Unsupported } else { Is("{\"key\": 1}") };
    let setup = "set sql_mode = ''; create table odd (d date, dt datetime, ts timestamp null, \
                 t time, y year, b bit(4), e enum('a','b'), s set('x','y'), j json, \
                 bl blob, vb varbinary(4), g geometry, tb tinyblob, lt longtext, \
                 bin varchar(9) collate utf8mb4_bin, bu bigint unsigned, ti tinyint, t1 tinyint(1)); \
                 insert into odd values ('0000-00-00', '0000-00-00 00:00:00', null, '12:30:00', 2026, \
                 b'101', 'a', 'x,y', '{\"key\": 1}', x'00ff', x'00ff', point(1,2), x'01', \
                 'long', 'Bin', 18446744073709551615, -128, 1)";
    hold(
        Engine::MySql,
        setup,
        &[
            ("1", Is("1")),
            ("-1", Is("-1")),
            ("9223372036854775807", Is("9223372036854775807")),
            ("-9223372036854775807 - 1", Is("-9223372036854775808")),
            ("bu as v from odd", Is("18446744073709551615")),
            ("ti as v from odd", Is("-128")),
            ("t1 as v from odd", Is("1")),
            ("true", Is("1")),
            ("cast(255 as unsigned)", Is("255")),
            ("0.1", Is("0.1")),
            ("0.1e0", Is("0.1")),
            ("1e308", Is("1e308")),
            ("cast(0.1 as float)", Is("0.1")),
            ("cast(0.1 as double)", Is("0.1")),
            ("-12.50", Is("-12.5")),
            ("cast(0 as decimal(10,2))", Is("0")),
            (
                "12345678901234567890123456789012345.0123456789",
                Is("12345678901234567890123456789012345.0123456789"),
            ),
            (
                "cast('99999999999999999999999999999999999' as decimal(35,0))",
                Is("99999999999999999999999999999999999"),
            ),
            ("-0.00000000001", Is("-0.00000000001")),
            ("sum(1) as v from odd", Is("1")),
            ("avg(1) as v from odd", Is("1")),
            ("count(*) as v from odd", Is("1")),
            ("null", NoValue("NULL")),
            ("null as v from odd", NoValue("NULL")),
            ("ts as v from odd", NoValue("NULL")),
            ("d as v from odd", NoValue("0000-00-00")),
            ("dt as v from odd", NoValue("0000-00-00")),
            ("date '2026-03-08'", Is("2026-03-08")),
            ("date '0001-01-01'", Is("0001-01-01")),
            ("date '9999-12-31'", Is("9999-12-31")),
            ("timestamp '2026-03-08 02:30:00'", Is("2026-03-08T02:30:00Z")),
            ("timestamp '2026-03-08 02:30:00.123456'", Is("2026-03-08T02:30:00.123456Z")),
            ("timestamp '1000-01-01 00:00:00'", Is("1000-01-01T00:00:00Z")),
            ("from_unixtime(0)", Is("1970-01-01T00:00:00Z")),
            ("from_unixtime(2147483647)", Is("2038-01-19T03:14:07Z")),
            ("y as v from odd", Is("2026")),
            ("'x'", Is("x")),
            ("cast('x' as char(3))", Is("x")),
            ("'héllo ☃ 🦀'", Is("héllo ☃ 🦀")),
            ("concat('a', 'b')", Is("ab")),
            ("e as v from odd", Is("a")),
            ("s as v from odd", Is("x,y")),
            ("lt as v from odd", Is("long")),
            ("bin as v from odd", Is("Bin")),
            ("_latin1'abc'", Is("abc")),
            (
                "repeat('x', 1000000)",
                NoValue("\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\""),
            ),
            ("1 = 1", Is("1")),
            ("1 / 3 * 0", Is("0")),
            ("5 div 2", Is("2")),
            ("round(2.5)", Is("3")),
            ("pi() * 0", Is("0")),
            ("interval(2, 1, 3)", Is("1")),
            ("json_value('{\"a\": 5}', '$.a')", Is("5")),
            ("inet_ntoa(2130706433)", Is("127.0.0.1")),
            ("unix_timestamp('1970-01-02')", Is("86400")),
            ("j as v from odd", json),
            ("t as v from odd", Unsupported),
            ("time '12:30:00'", Unsupported),
            ("b as v from odd", Unsupported),
            ("bl as v from odd", Unsupported),
            ("vb as v from odd", Unsupported),
            ("tb as v from odd", Unsupported),
            ("g as v from odd", Unsupported),
            ("x'00ff'", Unsupported),
            ("cast('a' as binary)", Unsupported),
            ("unhex('ff')", Unsupported),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_values_are_exact_or_named() {
    let setup = "create table odd (i integer, r real, t text, b blob, n numeric, d date, any); \
                 insert into odd values ('12', 1, 5, x'00', '1e3', '2026-03-08', '007'); \
                 create table strictly (i int, r real, t text, b blob, a any) strict; \
                 insert into strictly values (1, 1, 'x', x'ff', '007')";
    hold(
        Engine::Sqlite,
        setup,
        &[
            ("1", Is("1")),
            ("-1", Is("-1")),
            ("9223372036854775807", Is("9223372036854775807")),
            ("-9223372036854775808", Is("-9223372036854775808")),
            ("9223372036854775808", Is("9223372036854776000")),
            ("0x10", Is("16")),
            ("0.1", Is("0.1")),
            ("-0.0", Is("0")),
            ("1e308", Is("1e308")),
            ("1e-5", Is("0.00001")),
            ("9e999", NoValue("infinity")),
            ("-9e999", NoValue("-infinity")),
            ("9e999 - 9e999", NoValue("NULL")),
            ("1/0", NoValue("NULL")),
            ("1.0/0", NoValue("NULL")),
            ("null", NoValue("NULL")),
            ("'x'", Is("x")),
            ("'12.5'", Is("12.5")),
            ("'héllo ☃ 🦀'", Is("héllo ☃ 🦀")),
            ("char(9731)", Is("☃")),
            ("'a' || 'b'", Is("ab")),
            ("i as v from odd", Is("12")),
            ("r as v from odd", Is("1")),
            ("t as v from odd", Is("5")),
            ("n as v from odd", Is("1000")),
            ("d as v from odd", Is("2026-03-08")),
            ("any as v from odd", Is("007")),
            ("i as v from strictly", Is("1")),
            ("r as v from strictly", Is("1")),
            ("a as v from strictly", Is("007")),
            ("typeof(b) as v from odd", Is("blob")),
            ("count(*) as v from odd", Is("1")),
            ("sum(i) as v from odd", Is("12")),
            ("total(i) as v from odd", Is("12")),
            ("avg(i) as v from odd", Is("12")),
            ("nullif(i, i) as v from odd where i is not null limit 1", NoValue("NULL")),
            ("max(d) as v from odd", Is("2026-03-08")),
            ("group_concat(t) as v from odd", Is("5")),
            ("true", Is("1")),
            ("1 = 1", Is("1")),
            ("not 1", Is("0")),
            ("5 / 2", Is("2")),
            ("5 % 3", Is("2")),
            ("round(2.5)", Is("3")),
            ("abs(-3)", Is("3")),
            ("cast('12abc' as integer)", Is("12")),
            ("cast(1.9 as integer)", Is("1")),
            ("cast(5 as text)", Is("5")),
            ("date('2026-03-08')", Is("2026-03-08")),
            ("datetime('2026-03-08 02:30')", Is("2026-03-08 02:30:00")),
            ("strftime('%s', '1970-01-02')", Is("86400")),
            ("unixepoch('1970-01-02')", Is("86400")),
            ("julianday('2000-01-01')", Is("2451544.5")),
            ("date('not a date')", NoValue("NULL")),
            ("json('{\"a\":1}')", Is("{\"a\":1}")),
            ("json_extract('{\"a\": 1.50}', '$.a')", Is("1.5")),
            ("'{\"a\":5}' ->> 'a'", Is("5")),
            ("hex(x'00ff')", Is("00FF")),
            ("length(x'00ff')", Is("2")),
            ("printf('%.3f', 1.0)", Is("1.000")),
            ("iif(1, 'a', 'b')", Is("a")),
            ("coalesce(null, 'c')", Is("c")),
            (
                "replace(hex(zeroblob(500000)), '0', 'x')",
                NoValue("\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\""),
            ),
            ("x'00ff'", Unsupported),
            ("b as v from odd", Unsupported),
            ("b as v from strictly", Unsupported),
            ("zeroblob(1000)", Unsupported),
            ("cast(x'ff' as text)", Unsupported),
            ("jsonb('{\"a\":1}')", Unsupported),
            ("randomblob(4)", Unsupported),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_columns_of_one_judged_name_are_a_query_error() {
    for engine in crate::lab::ENGINES {
        let db = Database::new(engine).await;
        if engine == Engine::Sqlite {
            db.prepare("create table t (n integer)").await;
        }
        let rest = "expect:\n  values:\n    v: {equals: 1}";
        let said = crate::lab::verdict(db.source(), "select 1 + 0 as v, 2 as v", rest).await;
        assert!(said.starts_with("query_error: the query brings two columns"), "{engine}: {said}");
    }
    // What nobody judges may be called anything.
    for engine in crate::lab::ENGINES {
        let db = Database::new(engine).await;
        if engine == Engine::Sqlite {
            db.prepare("create table t (n integer)").await;
        }
        let sql = "select 1 + 0 as v, 2 as w, 3 as w";
        let said =
            crate::lab::verdict(db.source(), sql, "expect:\n  values:\n    v: {equals: 1}").await;
        assert_eq!(said, "confirmed", "{engine}");
    }
}
