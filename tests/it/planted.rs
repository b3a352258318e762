//! Wrong checks, planted: each is reported by `test` on the few rows that its author thought of, and its right twin is not.

use std::fmt::Write as _;

use allswell::domain::sql::Engine;

use crate::check_tests::Bed;
use crate::cli::{err, out};

const SCHEMA: &str = "
    create table accounts (id integer primary key, zone varchar(40) not null, home varchar(40));
    create table uses (id integer primary key, account_id integer, zone varchar(40) not null, at @ not null, cents integer,
      state varchar(20), tag varchar(20), gone boolean);
    create table entries (id integer primary key, account_id integer, use_id integer, cents integer);
";

const DEFAULTS: &str = "defaults:
  accounts: {zone: America/New_York, home: America/New_York}
  uses: {account_id: 1, zone: America/New_York, at: 2025-11-02T12:00:00Z, cents: 5, state: paid, tag: a}
  entries: {account_id: 1, use_id: 1, cents: 5}
";

/// Where a check looks: at a local day, or at the present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Day,
    Now,
}

/// A mistake, beside what was meant.
struct Pair {
    name: &'static str,
    /// The engines in which it can be written; empty for all.
    engines: &'static [Engine],
    at: At,
    wrong: &'static str,
    right: &'static str,
    /// The rest of both.
    rest: &'static str,
    /// The rows that the author of the mistake thought of.
    few: &'static [(&'static str, &'static str)],
    /// Those that show what was meant, beside them.
    more: &'static [(&'static str, &'static str)],
}

const ROWS: &str =
    "select id, cents from uses where zone = :zone and at >= :window_start and at < :window_end";
const CENTS: &str = "expect: {values: {cents: {min: 0}}}";
const FEW: &[(&str, &str)] =
    &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")];
const MORE: &[(&str, &str)] = &[
    ("uses: [{id: 1}, {id: 2, cents: -1, zone: Asia/Kathmandu}]", "confirmed"),
    ("uses: [{id: 1, cents: null}]", "violated"),
    ("uses: [{id: 1, cents: 0}, {id: 2, cents: -1, at: 2025-11-01T12:00:00Z}]", "confirmed"),
];

const fn day(name: &'static str, wrong: &'static str) -> Pair {
    Pair { name, engines: &[], at: At::Day, wrong, right: ROWS, rest: CENTS, few: FEW, more: MORE }
}

const fn now(
    name: &'static str,
    [wrong, right, rest]: [&'static str; 3],
    few: &'static [(&'static str, &'static str)],
    more: &'static [(&'static str, &'static str)],
) -> Pair {
    Pair { name, engines: &[], at: At::Now, wrong, right, rest, few, more }
}

const SQLITE: &[Engine] = &[Engine::Sqlite];
const NONE: &str = "expect: {rows: {equals: 0}}\nevidence: {sql: select count(*) from uses}";

/// What is missing breaks no comparison.
const NULL_PASSES: (&str, &str) = ("uses: [{id: 1, cents: null}]", "confirmed");

const OF_WINDOWS: &[Pair] = &[
    Pair {
        name: "the zone of another table",
        engines: &[],
        at: At::Day,
        wrong: "select u.id, u.cents from uses u join accounts a on a.id = u.account_id \
                where u.zone = :zone and u.at >= :window_start and u.at < :window_end",
        right: "select u.id, u.cents from uses u join accounts a on a.id = u.account_id \
                where a.zone = :zone and u.at >= :window_start and u.at < :window_end",
        rest: CENTS,
        few: &[
            ("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed"),
            ("accounts: [{id: 1}], uses: [{id: 1, cents: -1}]", "violated"),
        ],
        more: &[
            (
                "accounts: [{id: 1}, {id: 2, zone: Asia/Kathmandu}], uses: [{id: 1}, {id: 2, account_id: 2, cents: -1}]",
                "confirmed",
            ),
            ("accounts: [{id: 1}], uses: [{id: 1, zone: Asia/Kathmandu, cents: null}]", "violated"),
            (
                "accounts: [{id: 1}], uses: [{id: 1, cents: 0}, {id: 2, cents: -1, at: 2025-11-01T12:00:00Z}]",
                "confirmed",
            ),
        ],
    },
    day(
        "closed end",
        "select id, cents from uses where zone = :zone and at >= :window_start and at <= :window_end",
    ),
    day(
        "open start",
        "select id, cents from uses where zone = :zone and at > :window_start and at < :window_end",
    ),
    day(
        "between",
        "select id, cents from uses where zone = :zone and at between :window_start and :window_end",
    ),
    day(
        "or without parentheses",
        "select id, cents from uses where zone = :zone and at >= :window_start and at < :window_end or state = 'x'",
    ),
    day(
        "from the first of two bounds on",
        "select id, cents from uses where zone = :zone and at >= :window_start and at <> :window_end",
    ),
    Pair {
        engines: SQLITE,
        ..day(
            "a day of UTC",
            "select id, cents from uses where zone = :zone and date(at) = :window_date",
        )
    },
    Pair {
        engines: &[Engine::MySql],
        ..day(
            "a day of UTC in MariaDB",
            "select id, cents from uses where zone = :zone and date(at) = :window_date",
        )
    },
    Pair {
        engines: &[Engine::Postgres],
        ..day(
            "a cast to date",
            "select id, cents from uses where zone = :zone and at::date = :window_date",
        )
    },
    Pair {
        engines: SQLITE,
        ..day(
            "from midnight of UTC",
            "select id, cents from uses where zone = :zone and at >= date(:window_start) and at < :window_end",
        )
    },
    Pair {
        at: At::Day,
        few: &[
            ("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed"),
            ("accounts: [{id: 1}], uses: [{id: 1, cents: -1}]", "violated"),
        ],
        more: &[
            (
                "accounts: [{id: 1}, {id: 2, zone: UTC}], uses: [{id: 1}, {id: 2, cents: -1, account_id: 2}, {id: 3, account_id: 9, cents: -1}]",
                "confirmed",
            ),
            ("accounts: [{id: 1}], uses: [{id: 1, cents: null}]", "violated"),
            (
                "accounts: [{id: 1}], uses: [{id: 1, cents: 0}, {id: 2, cents: -1, at: 2025-11-01T12:00:00Z}]",
                "confirmed",
            ),
        ],
        right: "select u.id, u.cents from uses u where exists (select 1 from accounts a where a.id = u.account_id and a.zone = :zone) \
                    and u.at >= :window_start and u.at < :window_end",
        ..day(
            "another column of zones",
            "select u.id, u.cents from uses u where exists (select 1 from accounts a where a.id = u.account_id and a.home = :zone) \
                    and u.at >= :window_start and u.at < :window_end",
        )
    },
];

fn pairs() -> impl Iterator<Item = &'static Pair> {
    [OF_WINDOWS, OF_THE_PRESENT, OF_LIMITS, OF_LENIENCE].into_iter().flatten()
}

const fn n_of_accounts() -> &'static str {
    "expect: {values: {n: {min: 1}}}"
}

const OF_THE_PRESENT: &[Pair] = &[
    now(
        "or without parentheses, of the present",
        [
            "select id from uses where account_id = 1 and state = 'open' or state = 'held' and cents < 0",
            "select id from uses where account_id = 1 and (state = 'open' or state = 'held') and cents < 0",
            NONE,
        ],
        &[
            ("uses: [{id: 1}]", "confirmed"),
            ("uses: [{id: 1, state: open, cents: -1}]", "violated"),
            ("uses: [{id: 1, state: held, cents: -1}]", "violated"),
        ],
        &[
            ("uses: [{id: 1, state: open, cents: 0}]", "confirmed"),
            ("uses: [{id: 1, state: held, cents: null}]", "confirmed"),
            ("uses: [{id: 1, state: paid, cents: -1}]", "confirmed"),
            ("uses: [{id: 1, account_id: 2, state: open, cents: -1}]", "confirmed"),
        ],
    ),
    now(
        "inner join",
        [
            "select a.id, count(u.id) as n from accounts a join uses u on u.account_id = a.id group by a.id",
            "select a.id, count(u.id) as n from accounts a left join uses u on u.account_id = a.id group by a.id",
            n_of_accounts(),
        ],
        &[("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed")],
        &[("accounts: [{id: 1}, {id: 2}], uses: [{id: 1}]", "violated")],
    ),
    now(
        "outer join that is filtered",
        [
            "select a.id, count(u.id) as n from accounts a left join uses u on u.account_id = a.id where u.state = 'paid' group by a.id",
            "select a.id, count(u.id) as n from accounts a left join uses u on u.account_id = a.id and u.state = 'paid' group by a.id",
            n_of_accounts(),
        ],
        &[("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed")],
        &[(
            "accounts: [{id: 1}, {id: 2}], uses: [{id: 1}, {id: 2, account_id: 2, state: open}]",
            "violated",
        )],
    ),
    now(
        "not in, with NULL",
        [
            "select id from uses where account_id not in (select account_id from entries)",
            "select u.id from uses u where not exists (select 1 from entries l where l.account_id = u.account_id)",
            NONE,
        ],
        &[
            ("uses: [{id: 1}], entries: [{id: 1}]", "confirmed"),
            ("uses: [{id: 1, account_id: 2}], entries: [{id: 1}]", "violated"),
        ],
        &[("uses: [{id: 1, account_id: 2}], entries: [{id: 1, account_id: null}]", "violated")],
    ),
    now(
        "equals NULL",
        ["select id from uses where tag = null", "select id from uses where tag is null", NONE],
        &[("uses: [{id: 1}]", "confirmed")],
        &[("uses: [{id: 1, tag: null}]", "violated"), ("uses: [{id: 1, tag: ''}]", "confirmed")],
    ),
    now(
        "evidence of another table",
        [
            "select id from uses where cents < 0",
            "select id from uses where cents < 0",
            "expect: {rows: {equals: 0}}\nevidence: {sql: select count(*) from EVIDENCE}",
        ],
        &[
            ("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed"),
            ("accounts: [{id: 1}], uses: [{id: 1, cents: -1}]", "violated"),
        ],
        &[
            ("uses: [{id: 1, cents: 0}]", "confirmed"),
            ("uses: [{id: 1, cents: -1}]", "violated"),
            NULL_PASSES,
        ],
    ),
    now(
        "wider evidence",
        [
            "select id, cents from uses where state = 'paid' and cents < 0",
            "select id, cents from uses where cents < 0",
            NONE,
        ],
        &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")],
        &[("uses: [{id: 1, cents: 0}]", "confirmed"), NULL_PASSES],
    ),
    now(
        "a constant",
        [
            "select 1 as n from uses",
            "select case when cents >= 0 then 1 else 0 end as n from uses",
            n_of_accounts(),
        ],
        &[("uses: [{id: 1}]", "confirmed")],
        &[("uses: [{id: 1, cents: -1}]", "violated"), ("uses: [{id: 1, cents: 0}]", "confirmed")],
    ),
    now(
        "more than one, for any",
        [
            "select case when count(*) > 1 then 1 else 0 end as n from uses",
            "select case when count(*) > 0 then 1 else 0 end as n from uses",
            n_of_accounts(),
        ],
        &[("uses: [{id: 1}, {id: 2}]", "confirmed"), ("{}", "violated")],
        &[],
    ),
    now(
        "rows twice by a join",
        [
            "select sum(u.cents) as n from uses u join entries l on l.use_id = u.id",
            "select sum(u.cents) as n from uses u where exists (select 1 from entries l where l.use_id = u.id)",
            "expect: {values: {n: {max: 10}}}\nevidence: {sql: select count(*) from uses}",
        ],
        &[
            ("uses: [{id: 1}], entries: [{id: 1}]", "confirmed"),
            ("uses: [{id: 1, cents: 11}], entries: [{id: 1}]", "violated"),
        ],
        &[
            (
                "uses: [{id: 1, cents: 6}, {id: 2, cents: 4}, {id: 3, cents: 9}], entries: [{id: 1}, {id: 2}, {id: 3, use_id: 2}]",
                "confirmed",
            ),
            (
                "uses: [{id: 1, cents: 6}, {id: 2, cents: 6}], entries: [{id: 1}, {id: 2, use_id: 2}]",
                "violated",
            ),
            ("uses: [{id: 1, cents: null}], entries: [{id: 1}]", "violated"),
        ],
    ),
    now(
        "a count that leaves NULL out",
        [
            "select count(tag) as n from uses",
            "select count(*) as n from uses",
            "expect: {values: {n: {max: 2}}}\nevidence: {sql: select count(*) from uses}",
        ],
        &[
            ("uses: [{id: 1}, {id: 2}]", "confirmed"),
            ("uses: [{id: 1}, {id: 2}, {id: 3}]", "violated"),
        ],
        &[],
    ),
    now(
        "a sum of different values",
        [
            "select sum(distinct cents) as n from uses",
            "select sum(cents) as n from uses",
            "expect: {values: {n: {max: 10}}}",
        ],
        &[
            ("uses: [{id: 1, cents: 3}, {id: 2, cents: 7}]", "confirmed"),
            ("uses: [{id: 1, cents: 5}, {id: 2, cents: 6}]", "violated"),
        ],
        &[("uses: [{id: 1, cents: null}]", "{unconfirmed: no_evidence}")],
    ),
    now(
        "union without all",
        [
            "select count(*) as n from (select cents from uses union select cents from entries) q",
            "select count(*) as n from (select cents from uses union all select cents from entries) q",
            "expect: {values: {n: {max: 2}}}\nevidence: {sql: select count(*) from uses}",
        ],
        &[
            ("uses: [{id: 1, cents: 1}], entries: [{id: 1, cents: 2}]", "confirmed"),
            (
                "uses: [{id: 1, cents: 1}, {id: 2, cents: 2}], entries: [{id: 1, cents: 3}]",
                "violated",
            ),
        ],
        &[(
            "uses: [{id: 1, cents: 2}, {id: 2, cents: 2}], entries: [{id: 1, cents: 2}]",
            "violated",
        )],
    ),
    now(
        "having that hides",
        [
            "select account_id, sum(cents) as n from uses group by account_id having sum(cents) > 0",
            "select account_id, sum(cents) as n from uses group by account_id",
            n_of_accounts(),
        ],
        &[("uses: [{id: 1, cents: 1}, {id: 2, cents: 2}]", "confirmed")],
        &[
            ("uses: [{id: 1, cents: 1}, {id: 2, cents: -1}]", "violated"),
            ("uses: [{id: 1, cents: null}]", "violated"),
            ("uses: [{id: 1, cents: 2}, {id: 2, cents: -1}]", "confirmed"),
        ],
    ),
    now(
        "what is missing taken for nothing",
        [
            "select id, coalesce(cents, 0) as n from uses",
            "select id, cents as n from uses",
            "expect: {values: {n: {min: 0}}}",
        ],
        &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
    now(
        "what is missing left out",
        [
            "select id, cents as n from uses where cents is not null",
            "select id, cents as n from uses",
            "expect: {values: {n: {min: 0}}}",
        ],
        &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
    now(
        "duplicates counted once",
        [
            "select count(distinct account_id) as n from uses",
            "select count(account_id) as n from uses",
            "expect: {values: {n: {max: 2}}}\nevidence: {sql: select count(*) from uses}",
        ],
        &[
            ("uses: [{id: 1}, {id: 2, account_id: 2}]", "confirmed"),
            ("uses: [{id: 1}, {id: 2, account_id: 2}, {id: 3, account_id: 3}]", "violated"),
        ],
        &[
            ("uses: [{id: 1}, {id: 2}, {id: 3, account_id: null}]", "confirmed"),
            ("uses: [{id: 1}, {id: 2}, {id: 3}]", "violated"),
        ],
    ),
    now(
        "the other end",
        [
            "select min(cents) as n from uses",
            "select max(cents) as n from uses",
            "expect: {values: {n: {max: 10}}}",
        ],
        &[("uses: [{id: 1, cents: 10}]", "confirmed"), ("uses: [{id: 1, cents: 11}]", "violated")],
        &[
            ("uses: [{id: 1, cents: 1}, {id: 2, cents: 11}]", "violated"),
            ("uses: [{id: 1, cents: null}]", "{unconfirmed: no_evidence}"),
        ],
    ),
    now(
        "joined by the wrong column",
        [
            "select u.id, count(a.id) as n from uses u left join accounts a on a.id = u.id group by u.id",
            "select u.id, count(a.id) as n from uses u left join accounts a on a.id = u.account_id group by u.id",
            n_of_accounts(),
        ],
        &[("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed")],
        &[("accounts: [{id: 1}], uses: [{id: 1}, {id: 2, account_id: 2}]", "violated")],
    ),
    now(
        "one of several rows",
        [
            "select distinct account_id as n from uses",
            "select account_id as n from uses",
            "expect: {rows: {max: 2}, values: {n: {min: 1}}}\nevidence: {sql: select count(*) from uses}",
        ],
        &[
            ("uses: [{id: 1}, {id: 2, account_id: 2}]", "confirmed"),
            ("uses: [{id: 1, account_id: 0}]", "violated"),
            ("uses: [{id: 1}, {id: 2, account_id: 2}, {id: 3, account_id: 3}]", "violated"),
        ],
        &[
            ("uses: [{id: 1}, {id: 2}, {id: 3}]", "violated"),
            ("uses: [{id: 1, account_id: null}]", "violated"),
        ],
    ),
];

const fn table(
    name: &'static str,
    [wrong, right]: [&'static str; 2],
    more: &'static [(&'static str, &'static str)],
) -> Pair {
    let few = &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")];
    Pair { name, engines: &[], at: At::Now, wrong, right, rest: "", few, more }
}

const OF_LIMITS: &[Pair] = &[
    now(
        "a wide tolerance",
        ["WIDE", "EXACT", ""],
        &[("uses: [{id: 1, cents: 10}]", "confirmed"), ("uses: [{id: 1, cents: 500}]", "violated")],
        &[
            ("uses: [{id: 1, cents: 11}]", "violated"),
            ("uses: [{id: 1, cents: 10}, {id: 2, cents: null}]", "violated"),
        ],
    ),
    now(
        "off by one",
        ["LESS", "LEAST", ""],
        &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, cents: -5}]", "violated")],
        &[("uses: [{id: 1, cents: -1}]", "violated"), ("uses: [{id: 1, cents: null}]", "violated")],
    ),
    now(
        "one bad row is none",
        ["ONE", "NO", ""],
        &[
            ("uses: [{id: 1}]", "confirmed"),
            ("uses: [{id: 1, cents: -1}, {id: 2, cents: -2}]", "violated"),
        ],
        &[
            ("uses: [{id: 1, cents: -1}]", "violated"),
            ("uses: [{id: 1, cents: 0}]", "confirmed"),
            NULL_PASSES,
        ],
    ),
    table(
        "rules for some rows",
        [
            "table: uses\nwhere: state = 'paid'\ncolumns: {cents: {min: 0}}",
            "table: uses\ncolumns: {cents: {min: 0}}",
        ],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
    table(
        "rules that let NULL pass",
        [
            "table: uses\ncolumns: {cents: {min: 0, nulls: allowed}}",
            "table: uses\ncolumns: {cents: {min: 0}}",
        ],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
    table(
        "rules a step too wide",
        ["table: uses\ncolumns: {cents: {min: -0.5}}", "table: uses\ncolumns: {cents: {min: 0}}"],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
];

/// Where SQL says less than it seems to say.
const OF_LENIENCE: &[Pair] = &[
    now(
        "NULL in a comparison",
        [
            "select id from uses where cents < 0",
            "select id from uses where cents < 0 or cents is null",
            NONE,
        ],
        &[("uses: [{id: 1, cents: 0}]", "confirmed"), ("uses: [{id: 1, cents: -1}]", "violated")],
        &[("uses: [{id: 1, cents: null}]", "violated")],
    ),
    Pair {
        engines: &[Engine::Sqlite, Engine::Postgres],
        ..now(
            "whole numbers that are divided",
            [
                "select sum(cents) / count(*) as n from uses",
                "select sum(cents) * 1.0 / count(*) as n from uses",
                "expect: {values: {n: {max: 10}}}",
            ],
            &[
                ("uses: [{id: 1, cents: 10}, {id: 2, cents: 10}]", "confirmed"),
                ("uses: [{id: 1, cents: 11}, {id: 2, cents: 11}]", "violated"),
            ],
            &[("uses: [{id: 1, cents: 10}, {id: 2, cents: 11}]", "violated")],
        )
    },
    now(
        "a pattern with _",
        [
            "select id from uses where tag not like 'A_%'",
            "select id from uses where tag not like 'A!_%' escape '!'",
            NONE,
        ],
        &[("uses: [{id: 1, tag: A_1}]", "confirmed"), ("uses: [{id: 1, tag: B}]", "violated")],
        &[("uses: [{id: 1, tag: AB1}]", "violated")],
    ),
    now(
        "an empty text is not NULL",
        [
            "select id from uses where tag is null",
            "select id from uses where tag is null or tag = ''",
            NONE,
        ],
        &[("uses: [{id: 1}]", "confirmed"), ("uses: [{id: 1, tag: null}]", "violated")],
        &[("uses: [{id: 1, tag: ''}]", "violated")],
    ),
    now(
        "what is rounded away",
        [
            "select id, round(cents / 100.0) as n from uses",
            "select id, cents / 100.0 as n from uses",
            "expect: {values: {n: {max: 1}}}",
        ],
        &[
            ("uses: [{id: 1, cents: 100}]", "confirmed"),
            ("uses: [{id: 1, cents: 200}]", "violated"),
            ("uses: [{id: 1, cents: null}]", "violated"),
        ],
        &[("uses: [{id: 1, cents: 120}]", "violated")],
    ),
    Pair {
        engines: SQLITE,
        ..now(
            "a truth written as a text",
            ["select id from uses where gone = 'true'", "select id from uses where gone", NONE],
            &[
                ("uses: [{id: 1, gone: false}]", "confirmed"),
                ("uses: [{id: 1, gone: true}]", "violated"),
            ],
            &[],
        )
    },
    now(
        "a limit that was left",
        ["select id, cents from uses order by id limit 2", "select id, cents from uses", CENTS],
        &[
            ("uses: [{id: 1}]", "confirmed"),
            ("uses: [{id: 1, cents: 0}, {id: 2, cents: -1}]", "violated"),
            ("uses: [{id: 1, cents: null}]", "violated"),
        ],
        &[("uses: [{id: 1}, {id: 2}, {id: 3, cents: -1}]", "violated")],
    ),
    now(
        "numbers as texts",
        [
            "select id from uses where tag > '100'",
            "select id from uses where cast(tag as decimal(30, 6)) > 100",
            NONE,
        ],
        &[
            ("uses: [{id: 1, tag: \"100\"}]", "confirmed"),
            ("uses: [{id: 1, tag: \"200\"}]", "violated"),
            ("uses: [{id: 1, tag: null}]", "confirmed"),
        ],
        &[("uses: [{id: 1, tag: \"99\"}]", "confirmed")],
    ),
    now(
        "a column of the outer query",
        [
            "select id from uses where account_id not in (select account_id from accounts)",
            "select id from uses where account_id not in (select id from accounts)",
            NONE,
        ],
        &[
            ("accounts: [{id: 1}], uses: [{id: 1}]", "confirmed"),
            ("accounts: [{id: 1}], uses: [{id: 1, account_id: 2}]", "violated"),
        ],
        &[],
    ),
];

/// The YAML of a check.
fn check(pair: &Pair, id: &str, sql: &str) -> String {
    let (sql, rest) = match sql {
        "WIDE" => (
            "select id, cents from uses",
            "expect: {values: {cents: {equals: 10, tolerance: 100}}}",
        ),
        "EXACT" => ("select id, cents from uses", "expect: {values: {cents: {equals: 10}}}"),
        "LESS" => ("select id, cents from uses", "expect: {values: {cents: {min: -1}}}"),
        "LEAST" => ("select id, cents from uses", "expect: {values: {cents: {min: 0}}}"),
        "ONE" => (
            "select id from uses where cents < 0",
            "expect: {rows: {max: 1}}\nevidence: {sql: select count(*) from uses}",
        ),
        "NO" => ("select id from uses where cents < 0", NONE),
        sql => (sql, pair.rest),
    };
    let evidence = if id == "wrong" { "accounts" } else { "uses" };
    let mut lines = vec![format!("id: {id}"), "why: w".to_owned()];
    if pair.at == At::Day {
        lines.push("window: {period: day, zones: [America/New_York, Asia/Kathmandu]}".to_owned());
    }
    if sql.starts_with("table:") {
        lines.extend(sql.lines().map(str::to_owned));
    } else {
        lines.push(format!("sql: \"{sql}\""));
    }
    lines.extend(rest.replace("EVIDENCE", evidence).lines().map(str::to_owned));
    format!("  - {}\n", lines.join("\n    "))
}

/// The YAML of tests.
fn tests(pair: &Pair, id: &str, all: &[(&str, &str)]) -> String {
    let mut text = format!("version: 1\nschema: schema.sql\n{DEFAULTS}tests:\n");
    for (number, (given, expect)) in all.iter().enumerate() {
        if expect.is_empty() {
            continue;
        }
        let window = if pair.at == At::Day {
            "window: {date: 2025-11-02, zone: America/New_York}, "
        } else {
            ""
        };
        let given =
            if given.starts_with('{') { (*given).to_owned() } else { format!("{{{given}}}") };
        let _ = writeln!(
            text,
            "  - {{of: {id}, name: test {number}, {window}given: {given}, expect: {expect}}}"
        );
    }
    text
}

/// What is not reported as it has to be.
async fn odd(engine: Engine) -> Vec<String> {
    let mut odd = Vec::new();
    let bed = Bed::new(engine, "", "", SCHEMA).await;
    for pair in pairs().filter(|p| p.engines.is_empty() || p.engines.contains(&engine)) {
        let head = "version: 1\nowner: me\ndefaults: {source: db}\nchecks:\n";
        // Rows of a table that only the wrong one reads are not for the right one.
        let all = match pair.rest.contains("EVIDENCE") {
            true => pair.more.to_vec(),
            false => [pair.few, pair.more].concat(),
        };
        for (id, sql, rows) in [("wrong", pair.wrong, pair.few), ("right", pair.right, &all[..])] {
            bed.write("checks/all.yaml", &format!("{head}{}", check(pair, id, sql)));
            bed.write("checks/all.test.yaml", &tests(pair, id, rows));
            let output = bed.test(&["--mutants"]);
            let said = out(&output);
            let is_reported = output.status.code() != Some(0) || said.contains("not noticed");
            if is_reported != (id == "wrong") {
                odd.push(format!("{}: {id}:\n{said}{}", pair.name, err(&output)));
            }
        }
    }
    odd
}

/// A mistake is reported on the few rows of its author, and what was meant is not, on the rows that show it.
async fn assert_reported(engine: Engine) {
    let odd = odd(engine).await;
    assert!(odd.is_empty(), "{}\n{} of them", odd.join("\n"), odd.len());
}

#[tokio::test]
async fn a_planted_mistake_is_reported_in_sqlite_and_its_right_twin_is_not() {
    assert!(pairs().count() >= 40);
    assert_reported(Engine::Sqlite).await;
}

#[tokio::test]
async fn a_planted_mistake_is_reported_in_postgres_and_its_right_twin_is_not() {
    assert_reported(Engine::Postgres).await;
}

#[tokio::test]
async fn a_planted_mistake_is_reported_in_mariadb_and_its_right_twin_is_not() {
    assert_reported(Engine::MySql).await;
}
