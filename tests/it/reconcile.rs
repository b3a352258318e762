//! Two sides, one truth: what differs is found and named, nothing is invented, and what came in part is no
//! proof.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allswell::clock;
use allswell::domain::check::Check;
use allswell::domain::check::name::SourceName;
use allswell::domain::check::reason::Cause;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Outcome, round};
use allswell::manifest::{self, Engines, Text};
use allswell::source::Source;
use tokio_util::sync::CancellationToken;

use crate::lab::{Database, cause, shown, source_at, tasks, world};
use crate::servers::Postgres;

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::MySql, Engine::Sqlite];
const ROWS: usize = 1_000;
const ACCOUNTS: usize = 50;

/// A row, as it is meant: amounts in ten-thousandths, instants in seconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    account: usize,
    code: String,
    amount: Option<i64>,
    at: i64,
}

type Lines = BTreeMap<usize, Line>;

fn clean() -> Lines {
    let line = |id: usize| Line {
        account: id % ACCOUNTS,
        code: format!("code-{id} ä"),
        amount: Some(i64::try_from(id * 7_919 % 99_991).unwrap() - 50_000),
        at: 1_772_946_000 + i64::try_from(id).unwrap() * 60,
    };
    (1..=ROWS).map(|id| (id, line(id))).collect()
}

/// A hundred differences, and the ids on which they are.
fn planted() -> (Lines, BTreeSet<usize>) {
    let mut lines = clean();
    let mut ids = BTreeSet::new();
    let mut next = (1..=ROWS).step_by(9);
    let mut take = |count: usize| -> Vec<usize> { next.by_ref().take(count).collect() };
    for id in take(13) {
        lines.remove(&id);
        ids.insert(id);
    }
    for id in take(13) {
        let line = lines[&id].clone();
        lines.insert(id + ROWS, line);
        ids.insert(id + ROWS);
    }
    for id in take(13) {
        *lines.get_mut(&id).unwrap().amount.as_mut().unwrap() += 1;
        ids.insert(id);
    }
    // Both of an account, so that its sum stays.
    for id in take(6) {
        let other = id + ACCOUNTS;
        let (one, two) = (lines[&id].amount, lines[&other].amount);
        lines.get_mut(&id).unwrap().amount = two;
        lines.get_mut(&other).unwrap().amount = one;
        ids.extend([id, other]);
    }
    for id in take(13) {
        lines.get_mut(&id).unwrap().amount = None;
        ids.insert(id);
    }
    for id in take(12) {
        lines.get_mut(&id).unwrap().code.push(' ');
        ids.insert(id);
    }
    for id in take(12) {
        let code = &mut lines.get_mut(&id).unwrap().code;
        *code = code.replace("code", "Code");
        ids.insert(id);
    }
    for id in take(12) {
        lines.get_mut(&id).unwrap().at += 3_600;
        ids.insert(id);
    }
    assert_eq!(ids.len(), 100);
    (lines, ids)
}

/// How amounts are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amounts {
    Integers,
    Decimals,
}

fn create(engine: Engine, amounts: Amounts) -> String {
    let amount = match (engine, amounts) {
        (_, Amounts::Integers) => "bigint",
        (Engine::Sqlite, Amounts::Decimals) => "text",
        (_, Amounts::Decimals) => "decimal(20, 4)",
    };
    match engine {
        Engine::Postgres => format!(
            "create table t (id bigint primary key, account integer, code text, amount {amount}, at timestamptz)"
        ),
        Engine::MySql => format!(
            "create table t (id bigint primary key, account integer, code varchar(40) character set utf8mb4 \
             collate utf8mb4_bin, amount {amount}, at datetime(6))"
        ),
        Engine::Sqlite => format!(
            "create table t (id integer primary key, account integer, code text, amount {amount}, at text)"
        ),
    }
}

/// The amount as this side spells it: a trailing zero more or less is the same number.
fn spelt(engine: Engine, amounts: Amounts, amount: i64) -> String {
    match amounts {
        Amounts::Integers => amount.to_string(),
        Amounts::Decimals => {
            let sign = if amount < 0 { "-" } else { "" };
            let (whole, rest) = (amount.abs() / 10_000, amount.abs() % 10_000);
            match engine {
                Engine::Sqlite if rest == 0 => format!("'{sign}{whole}'"),
                Engine::Sqlite => format!("'{sign}{whole}.{rest:04}0'"),
                Engine::Postgres | Engine::MySql => format!("{sign}{whole}.{rest:04}"),
            }
        }
    }
}

async fn fill(database: &Database, amounts: Amounts, lines: &Lines) {
    let engine = database.engine();
    let mut sql = String::from("insert into t values ");
    for (place, (id, line)) in lines.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let amount = line.amount.map_or("null".to_owned(), |amount| spelt(engine, amounts, amount));
        let at = chrono::DateTime::from_timestamp(line.at, 0).unwrap();
        let at = at.format("%Y-%m-%d %H:%M:%S");
        let zone = if engine == Engine::Postgres { "Z" } else { "" };
        write!(sql, "{comma}({id}, {}, '{}', {amount}, '{at}{zone}')", line.account, line.code)
            .unwrap();
    }
    database.prepare("delete from t").await;
    database.prepare(&sql).await;
}

/// Parses checks over a left and a right source.
fn checks(engines: [Engine; 2], yaml: &str) -> Vec<Arc<Check>> {
    let name = |name: &str| SourceName::parse(name).unwrap();
    let engines: Engines = [(name("left"), engines[0]), (name("right"), engines[1])].into();
    let text = Text { file: "test.yaml".into(), text: yaml.into() };
    let catalogue = manifest::parse(&[text], world(&engines)).unwrap_or_else(|faults| {
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n"))
    });
    catalogue.checks().to_vec()
}

async fn look(left: Source, right: Source, yaml: &str) -> Vec<Outcome> {
    look_until(left, right, yaml, &CancellationToken::new()).await
}

async fn look_until(
    left: Source,
    right: Source,
    yaml: &str,
    stop: &CancellationToken,
) -> Vec<Outcome> {
    let checks = checks([left.engine(), right.engine()], yaml);
    let name = |name: &str| SourceName::parse(name).unwrap();
    let sources = [(name("left"), Arc::new(left)), (name("right"), Arc::new(right))];
    let sources = Arc::new(Sources::from(sources));
    let mut tasks = tasks(&checks);
    for task in &mut tasks {
        task.watching.kept_max = Some(10_000);
    }
    round(&tasks, &sources, clock::now(), stop, |_| {}).await
}

/// The first of a round.
pub(crate) async fn verdict(left: Source, right: Source, yaml: &str) -> String {
    shown(&look(left, right, yaml).await[0].judgement.verdict)
}

/// One check of two queries, with more of its parts.
pub(crate) fn yaml(left: &str, right: &str, terms: &str) -> String {
    format!(
        "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: because\n    timeout: 5s\n    max_rows: 5000\n    \
         reconcile:\n      left: {{source: left, sql: \"{left}\"}}\n      right: {{source: right, sql: \"{right}\"}}\n      \
         {terms}\n"
    )
}

const LINES: &str = "select id, account, code, amount, at from t";
const TERMS: &str = "key: [id]\n      compare: {account: {tolerance: 0}, code: {tolerance: 0}, amount: {tolerance: 0}, at: {tolerance: 0}}";

/// The rows in memory, and the rows behind their numbers in order.
fn both_ways() -> String {
    let in_memory = yaml(LINES, LINES, &format!("{TERMS}\n      confirm_after: 0s"));
    let behind = TERMS.replace("\n      ", "\n        ");
    let count = "select account, count(*) as n from t group by account";
    let behind = format!(
        "  - id: behind\n    why: because\n    timeout: 5s\n    reconcile:\n      left: {{source: left, sql: \"{count}\"}}\n      \
         right: {{source: right, sql: \"{count}\"}}\n      key: [account]\n      confirm_after: 0s\n      detail:\n        \
         left: {{sql: \"{LINES}\"}}\n        right: {{sql: \"{LINES}\"}}\n        when: always\n        {behind}\n"
    );
    in_memory + &behind
}

fn ids(outcome: &Outcome, of_rows: bool) -> BTreeSet<usize> {
    let found = outcome.differences.iter().filter(|differing| differing.of_rows == of_rows);
    found.map(|differing| differing.difference.key[0].plain().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn equal_data_is_confirmed_and_a_hundred_differences_are_found_across_all_pairs_of_engines() {
    let (planted, wrong) = planted();
    for amounts in [Amounts::Decimals, Amounts::Integers] {
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for engine in ENGINES {
            for side in [&mut lefts, &mut rights] {
                let database = Database::new(engine).await;
                database.prepare(&create(engine, amounts)).await;
                fill(&database, amounts, &clean()).await;
                side.push(database);
            }
        }
        for left in &lefts {
            for right in &rights {
                for outcome in look(left.source(), right.source(), &both_ways()).await {
                    let pair = format!("{:?} {:?} {amounts:?}", left.engine(), right.engine());
                    assert_eq!(shown(&outcome.judgement.verdict), "confirmed", "{pair}");
                    assert!(outcome.judgement.evidence > Some(0));
                }
            }
        }
        for right in &rights {
            fill(right, amounts, &planted).await;
        }
        for left in &lefts {
            for right in &rights {
                let pair = format!("{:?} {:?} {amounts:?}", left.engine(), right.engine());
                let outcomes = look(left.source(), right.source(), &both_ways()).await;
                for (outcome, of_rows) in outcomes.iter().zip([false, true]) {
                    let said = shown(&outcome.judgement.verdict);
                    assert!(said.starts_with("violated"), "{pair}: {said}");
                    assert_eq!(ids(outcome, of_rows), wrong, "{pair}: {said}");
                    assert!(said.contains("13 missing in right, 13 missing in left"), "{said}");
                }
            }
        }
    }
}

#[tokio::test]
async fn streams_longer_than_a_segment_are_read_to_their_end_in_every_engine() {
    const MANY: usize = 150_000;
    for engine in ENGINES {
        let (left, right) = (Database::new(engine).await, Database::new(engine).await);
        let numbers = match engine {
            Engine::Postgres => format!("select n from generate_series(1, {MANY}) as n"),
            Engine::MySql => format!("select seq as n from seq_1_to_{MANY}"),
            Engine::Sqlite => format!(
                "with recursive s(n) as (select 1 union all select n + 1 from s where n < {MANY}) select n from s"
            ),
        };
        let text = match engine {
            Engine::Postgres | Engine::MySql => "concat('K''', n % 7)",
            Engine::Sqlite => "'K''' || n % 7",
        };
        for database in [&left, &right] {
            database
                .prepare(&format!(
                    "create table t (k varchar(9) not null, n integer not null, v integer, primary key (k, n)); \
                     insert into t select {text}, n, n from ({numbers}) as x"
                ))
                .await;
        }
        right.prepare(&format!("update t set v = 0 where n in (7, 70000, {MANY})")).await;
        if engine == Engine::Postgres {
            // The keys hold an apostrophe, and this server takes no backslash before one.
            let forbids = "do $$ begin execute format('alter database %I set backslash_quote = off', current_database()); end $$";
            left.prepare(forbids).await;
            right.prepare(forbids).await;
        }
        right.prepare("delete from t where n = 140000").await;
        let terms = "key: [one]\n      confirm_after: 0s\n      detail:\n        \
                     left: {sql: \"select k, n, v from t\"}\n        right: {sql: \"select k, n, v from t\"}\n        \
                     key: [k, n]\n        compare: {v: {tolerance: 0}}\n        when: always";
        let one = "select 1 + 0 as one from t where n = 1";
        let outcomes = look(left.source(), right.source(), &yaml(one, one, terms)).await;
        let found: BTreeSet<String> = outcomes[0]
            .differences
            .iter()
            .map(|differing| differing.difference.key[1].plain().unwrap())
            .collect();
        let wanted = ["7", "70000", "140000", "150000"].map(str::to_owned);
        let said = shown(&outcomes[0].judgement.verdict);
        assert_eq!(found, BTreeSet::from(wanted), "{engine}: {said}");
        assert!(said.contains(&format!("differ on 4 of {MANY} rows")), "{engine}: {said}");
    }
}

#[tokio::test]
async fn what_was_looked_at_is_not_told_as_nothing_where_the_rows_could_not_be_read() {
    let (left, right) = (Database::new(Engine::Sqlite).await, Database::new(Engine::Sqlite).await);
    for (database, v) in [(&left, 1), (&right, 2)] {
        database
            .prepare(&format!(
                "create table t (k integer, v integer); insert into t values (1, {v})"
            ))
            .await;
    }
    let terms = "key: [k]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s\n      detail:\n        \
                 left: {sql: \"select k, v from t\"}\n        right: {sql: \"select k, abs(-9223372036854775807 - 1) as v from t\"}\n        \
                 key: [k]\n        compare: {v: {tolerance: 0}}\n    evidence: {sql: select count(*) from t}";
    let sql = "select k, v from t";
    let outcomes = look(left.source(), right.source(), &yaml(sql, sql, terms)).await;
    let said = format!("{:?}", outcomes[0].judgement);
    assert!(said.contains("Violated") && said.contains("detail: query_error"), "{said}");
    assert_ne!(outcomes[0].judgement.evidence, Some(0));
}

/// The same two rows in three engines, with a column of each kind.
pub(crate) async fn three() -> (Database, Database, Database) {
    let pg = Database::new(Engine::Postgres).await;
    let maria = Database::new(Engine::MySql).await;
    let sqlite = Database::new(Engine::Sqlite).await;
    pg.prepare("create table t (id integer, k text, x double precision, d date, at timestamptz); \
                insert into t values (1, 'A', 0.5, '2026-03-08', '2026-03-08 05:00:00Z'), (2, 'b', 1.5, '2026-03-09', '2026-03-09 05:00:00Z')")
        .await;
    pg.prepare("create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").await;
    maria
        .prepare("create table t (id integer, k varchar(9) collate utf8mb4_general_ci, x double, d date, at datetime); \
                  insert into t values (1, 'A', 0.5, '2026-03-08', '2026-03-08 05:00:00'), (2, 'b', 1.5, '2026-03-09', '2026-03-09 05:00:00')")
        .await;
    sqlite
        .prepare("create table t (id integer, k text collate nocase, x real, d text, at text); \
                  insert into t values (1, 'A', 0.5, '2026-03-08', '2026-03-08 05:00:00'), (2, 'b', 1.5, '2026-03-09', '2026-03-09 05:00:00')")
        .await;
    (pg, maria, sqlite)
}

#[tokio::test]
async fn types_are_compared_by_the_rule_of_their_pair_or_not_at_all() {
    let (pg, maria, sqlite) = three().await;
    // Floats are compared with a tolerance, or not at all.
    let sum = "select 1 + 0 as one, sum(x) as total from t";
    for database in [&pg, &maria, &sqlite] {
        for (tolerance, wanted) in
            [("0", "unsupported_type: column `total` is a float"), ("0.01", "confirmed")]
        {
            let terms = format!(
                "key: [one]\n      compare: {{total: {{tolerance: {tolerance}}}}}\n      confirm_after: 0s"
            );
            let said = verdict(database.source(), pg.source(), &yaml(sum, sum, &terms)).await;
            assert!(said.starts_with(wanted), "{:?} {tolerance}: {said}", database.engine());
        }
    }
    // What no rule compares is named on both sides.
    let terms = "key: [id]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s";
    for (left, right, wanted) in [
        ("d", "d", "confirmed"),
        ("at", "at", "confirmed"),
        (
            "d",
            "at",
            "unsupported_type: column `v` is a date on the left and an instant on the right",
        ),
    ] {
        let (left, right) =
            (format!("select id, {left} as v from t"), format!("select id, {right} as v from t"));
        let said = verdict(pg.source(), maria.source(), &yaml(&left, &right, terms)).await;
        assert!(said.starts_with(wanted), "{said}");
    }
    // Dates and instants that are texts in SQLite.
    for column in ["d", "at"] {
        let sql = format!("select id, {column} as v from t");
        let said = verdict(pg.source(), sqlite.source(), &yaml(&sql, &sql, terms)).await;
        assert_eq!(said, "confirmed", "{column}");
    }
    // A key that is a number here and a text there comes in two orders.
    let many = "with recursive s(n) as (select 1 union all select n + 1 from s where n < 20) select n as id";
    let terms = "key: [one]\n      confirm_after: 0s\n      detail:\n        left: {sql: \"select n as id from generate_series(1, 20) as n\"}\n        \
                 right: {sql: \"RIGHT\"}\n        key: [id]\n        when: always";
    let one = "select 1 + 0 as one";
    for (right, wanted) in [
        (format!("{many} from s"), "confirmed"),
        (
            format!("{} from s", many.replace("n as id", "cast(n as text) as id")),
            "unordered: in `detail`",
        ),
    ] {
        let terms = terms.replace("RIGHT", &right);
        let said = verdict(pg.source(), sqlite.source(), &yaml(one, one, &terms)).await;
        assert!(said.starts_with(wanted) || said.contains("do not come in the order"), "{said}");
        assert_eq!(said == "confirmed", wanted == "confirmed", "{said}");
    }
}

#[tokio::test]
async fn nothing_twice_or_too_much_is_no_proof() {
    let (left, right) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::Sqlite).await);
    for database in [&left, &right] {
        database.prepare("create table t (id integer, v integer)").await;
    }
    let terms = "key: [id]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s";
    let check = yaml("select id, v from t", "select id, v from t", terms);
    let said = verdict(left.source(), right.source(), &check).await;
    assert!(said.starts_with("no_evidence"), "{said}");
    left.prepare("insert into t values (1, 1), (2, 2), (2, 2)").await;
    right.prepare("insert into t values (1, 1), (2, 2), (2, 2)").await;
    let said = verdict(left.source(), right.source(), &check).await;
    assert!(said.starts_with("query_error: a key comes 2 times on both sides"), "{said}");
    // Unequally often is a difference.
    right.prepare("insert into t values (2, 2)").await;
    let said = verdict(left.source(), right.source(), &check).await;
    assert!(said.contains("id=2: 2 times in left, 3 times in right"), "{said}");
    let many = "delete from t; insert into t with recursive s(n) as (select 1 union all select n + 1 from s \
                where n < 6000) select n, n from s";
    left.prepare(many).await;
    right.prepare(many).await;
    let said = verdict(left.source(), right.source(), &check).await;
    assert!(said.starts_with("over_limit: more than 5000 keys on a side"), "{said}");
    // What was read contradicts already: a key that a whole side does not have, or another value. What seems
    // to be missing where not all was read is none.
    right.prepare("delete from t where id not between 100 and 200").await;
    right.prepare("update t set v = 7 where id = 150").await;
    right.prepare("insert into t values (7000, 1)").await;
    let said = verdict(left.source(), right.source(), &check).await;
    let told = "left and right differ on at least 4901 keys: 1 changed, 4900 missing in right; ";
    assert!(said.contains(told), "{said}");
    assert!(said.contains("id=150: v 150 against 7") && !said.contains("7000"), "{said}");
    assert!(!said.contains("sums to"), "{said}");
}

#[tokio::test]
async fn what_is_on_its_way_is_no_difference_and_a_real_one_is_found() {
    let (left, right) = (Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await);
    for database in [&left, &right] {
        database
            .prepare("create table t (id integer primary key, account integer, amount integer)")
            .await;
    }
    let sums = "select account, sum(amount) as total, count(*) as n from t group by account";
    let terms = "key: [account]\n      compare: {total: {tolerance: 0}, n: {tolerance: 0}}\n      confirm_after: 300ms";
    let check = yaml(sums, sums, terms);
    // Each row comes to the right a moment after it came to the left.
    let stop = CancellationToken::new();
    let (mut here, mut there) = (left.owner().await, right.owner().await);
    let stopped = stop.clone();
    let writer = tokio::spawn(async move {
        let mut id = 0_u32;
        while !stopped.is_cancelled() {
            id += 1;
            let insert = format!("insert into t values ({id}, {}, {})", id * 7 % 40, id * 31 % 977);
            here.run(&insert).await.unwrap();
            tokio::time::sleep(Duration::from_millis(15)).await;
            there.run(&insert).await.unwrap();
        }
        id
    });
    let mut seen_moving = false;
    for _ in 0..12 {
        let looked = Instant::now();
        let outcome = &look(left.source(), right.source(), &check).await[0];
        match &outcome.judgement.verdict {
            Verdict::Confirmed => {}
            Verdict::Unconfirmed(reason)
                if matches!(reason.cause, Cause::Stale | Cause::NoEvidence) =>
            {
                seen_moving = true;
            }
            other @ (Verdict::Violated(_) | Verdict::Unconfirmed(_)) => panic!("{}", shown(other)),
        }
        // It waited, because what it saw first differed.
        seen_moving |= looked.elapsed() > Duration::from_millis(300);
    }
    assert!(seen_moving);
    right.prepare("update t set amount = amount + 1 where id = 3").await;
    let started = Instant::now();
    loop {
        let said = verdict(left.source(), right.source(), &check).await;
        if said.contains("account=21: total") {
            assert!(said.contains("differ on 1 of 40 keys: 1 changed"), "{said}");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{said}");
    }
    stop.cancel();
    assert!(writer.await.unwrap() > 100);
}

/// A check that streams rows without an end, or very many.
fn endless(left: &str, right: &str) -> String {
    let terms = format!(
        "key: [one]\n      confirm_after: 0s\n      detail:\n        left: {{sql: \"{left}\"}}\n        \
         right: {{sql: \"{right}\"}}\n        key: [n]\n        when: always"
    );
    yaml("select 1 + 0 as one", "select 1 + 0 as one", &terms)
}

const MANY: &str = "select n, repeat('x', 200) as x from generate_series(1, 100000000) as n";

/// Waits until a server sends rows of a check.
async fn until_rows_flow(database: &Database) {
    let mut admin = database.admin().await;
    crate::lab::eventually(Duration::from_secs(20), async || {
        let sending = "select query from pg_stat_activity where state = 'active' and \
                       application_name like 'allswell/it%' and query like 'COPY%'";
        match admin.texts(sending).await {
            none if none.is_empty() => Err("no rows flow"),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_side_that_dies_stalls_or_is_cut_in_the_middle_is_no_comparison() {
    let mut server = Postgres::start();
    let left = Database::new(Engine::Postgres).await;
    left.prepare("create table t as select n from generate_series(1, 3000000) as n; create unique index on t (n)")
        .await;
    let rows = "select n from t";
    // The right is killed in the middle.
    let right = Database::postgres(&server).await;
    right.prepare("create table t as select n from generate_series(1, 3000000) as n; create unique index on t (n)")
        .await;
    let (l, r) = (left.source(), source_at(&right.url(), 4));
    let killed = tokio::spawn(async move { look(l, r, &endless(rows, rows)).await });
    until_rows_flow(&right).await;
    right.end_sessions().await;
    let outcomes = killed.await.unwrap();
    assert_eq!(
        cause(&outcomes[0]),
        Some(Cause::Connect),
        "{}",
        shown(&outcomes[0].judgement.verdict)
    );
    // The right is frozen: its limit ends it.
    let (l, r) = (left.source(), source_at(&right.url(), 4));
    let frozen = tokio::spawn(async move { look(l, r, &endless(rows, rows)).await });
    until_rows_flow(&right).await;
    server.signal("STOP");
    let outcomes = frozen.await.unwrap();
    server.signal("CONT");
    assert_eq!(
        cause(&outcomes[0]),
        Some(Cause::Timeout),
        "{}",
        shown(&outcomes[0].judgement.verdict)
    );
    // Our own order to stop.
    let stop = CancellationToken::new();
    let (l, r, stopped) = (left.source(), source_at(&right.url(), 4), stop.clone());
    let cut = tokio::spawn(async move { look_until(l, r, &endless(rows, rows), &stopped).await });
    until_rows_flow(&right).await;
    stop.cancel();
    let outcomes = cut.await.unwrap();
    assert_eq!(cause(&outcomes[0]), Some(Cause::Interrupted));
    server.kill();
    let said = verdict(left.source(), source_at(&right.url(), 4), &endless(rows, rows)).await;
    assert!(said.starts_with("connect"), "{said}");
    // Nothing of it is left at the server.
    let mut admin = left.admin().await;
    crate::lab::eventually(Duration::from_secs(10), async || {
        let own = "select application_name from pg_stat_activity where state <> 'idle' and application_name like 'allswell/it%'";
        match admin.texts(own).await {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        }
    })
    .await;
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_side_without_an_end_takes_no_memory_and_is_stopped_when_enough_differs() {
    let (left, right) = (Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await);
    right.prepare("create table few (n integer); insert into few values (5)").await;
    let before = resident_mib();
    let few = "select n from few";
    let outcomes = look(left.source(), right.source(), &endless(MANY, few)).await;
    let said = shown(&outcomes[0].judgement.verdict);
    // It sorts the whole of it, which takes too long; or sends more than anybody looks at.
    assert!(said.starts_with("timeout") || said.contains("at least 1000000 of"), "{said}");
    assert!(resident_mib() < before + 150, "{before} MiB, then {} MiB", resident_mib());
    // Keys that come by an index.
    left.prepare("create table t as select n from generate_series(1, 1500000) as n; create unique index on t (n); analyze t")
        .await;
    let outcomes = look(left.source(), right.source(), &endless("select n from t", few)).await;
    let said = shown(&outcomes[0].judgement.verdict);
    assert!(said.contains("differ on at least 1000000 of"), "{said}");
    assert!(said.contains("there may be more"), "{said}");
}

/// Some rows; and the same with a few of them changed, gone, or new.
fn random(dice: &mut crate::dice::Dice) -> [Lines; 2] {
    let line = |dice: &mut crate::dice::Dice| Line {
        account: dice.below(4),
        code: dice.one(&["a", "A", "a ", "", "ä", "NULL", "0"]).to_owned(),
        amount: (!dice.once_in(5)).then(|| i64::try_from(dice.below(7)).unwrap() * 5_000 - 15_000),
        at: 1_772_946_000 + i64::try_from(dice.below(5)).unwrap() * 1_800,
    };
    let left: Lines = (0..dice.below(60)).map(|_| (1 + dice.below(80), line(dice))).collect();
    let mut right = left.clone();
    for _ in 0..dice.below(12) {
        let id = 1 + dice.below(80);
        if dice.once_in(3) {
            right.remove(&id);
        } else {
            right.insert(id, line(dice));
        }
    }
    [left, right]
}

#[tokio::test]
async fn random_tables_differ_exactly_where_an_oracle_says() {
    let mut dice = crate::dice::Dice(6);
    let mut sides = [Vec::new(), Vec::new()];
    for engine in ENGINES {
        for side in &mut sides {
            let database = Database::new(engine).await;
            database.prepare(&create(engine, Amounts::Decimals)).await;
            side.push(database);
        }
    }
    for _ in 0..40 {
        let [left, right] = random(&mut dice);
        let (l, r) = (&sides[0][dice.below(3)], &sides[1][dice.below(3)]);
        for (database, lines) in [(l, &left), (r, &right)] {
            database.prepare("delete from t").await;
            if !lines.is_empty() {
                fill(database, Amounts::Decimals, lines).await;
            }
        }
        let ids_of_both: BTreeSet<usize> = left.keys().chain(right.keys()).copied().collect();
        let wrong: BTreeSet<usize> =
            ids_of_both.into_iter().filter(|id| left.get(id) != right.get(id)).collect();
        let outcomes = look(l.source(), r.source(), &both_ways()).await;
        for (outcome, of_rows) in outcomes.iter().zip([false, true]) {
            let said = shown(&outcome.judgement.verdict);
            assert_eq!(ids(outcome, of_rows), wrong, "{said}: {left:?} {right:?}");
            let nothing = left.is_empty() && right.is_empty();
            let wanted = match (nothing, wrong.is_empty()) {
                (true, _) => "no_evidence",
                (false, true) => "confirmed",
                (false, false) => "violated",
            };
            assert!(said.starts_with(wanted), "{said}: {left:?} {right:?}");
        }
    }
}

#[test]
fn the_daemon_tells_which_keys_differ_and_ends_it_by_a_proof() {
    let sink = crate::alerting::Receiver::start();
    let checks = "version: 1\nowner: tests\nchecks:\n  - id: it\n    why: What was used was billed.\n    severity: critical\n    \
        schedule: {every: 1s}\n    result_by: 20s\n    reconcile:\n      \
        left: {source: usage, sql: \"select id, v from t\"}\n      right: {source: billing, sql: \"select id, v from t\"}\n      \
        key: [id]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 500ms\n";
    let settings = format!(
        "sources: {{usage: {{url: \"sqlite:usage.db\", instants: sql}}, billing: {{url: \"sqlite:billing.db\", instants: sql}}}}\n\
         notices: {{resend: 1s, hold: 1s}}\nwebhooks: [{{name: pager, url: \"{}\"}}]\n",
        sink.url()
    );
    let site = crate::watchman::Site::new(&settings, checks);
    let run = |file: &str, sql: &str| {
        let path = site.path().join(file);
        if !path.exists() {
            std::fs::write(&path, "").unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut data = crate::lab::Other::sqlite(&path).await;
            data.run(sql).await.unwrap();
            data.close().await;
        });
    };
    for file in ["usage.db", "billing.db"] {
        run(file, "create table t (id integer, v integer); insert into t values (1, 10), (2, 20)");
    }
    let daemon = site.start();
    let soon = Duration::from_secs(30);
    daemon.until_confirmed(1, soon);
    run("billing.db", "update t set v = 21 where id = 2");
    let alert = sink.until("firing", "AllswellViolated", 0, soon);
    assert_eq!(alert["labels"]["source"], "usage");
    assert_eq!(alert["labels"]["other_source"], "billing");
    let told = alert["annotations"].to_string();
    assert!(told.contains("usage and billing differ on 1 of 2 keys"), "{told}");
    assert!(told.contains("id=2: v 20 against 21"), "{told}");
    run("usage.db", "update t set v = 21 where id = 2");
    sink.until("resolved", "AllswellViolated", 0, soon);
    // One side that is away is no difference.
    std::fs::rename(site.path().join("billing.db"), site.path().join("away.db")).unwrap();
    let down = sink.until("firing", "AllswellSourceDown", 0, soon * 2);
    assert_eq!(down["labels"]["source"], "billing", "{down}");
    assert_eq!(sink.count("firing", "AllswellViolated"), 1);
    assert!(daemon.stop().success());
}

/// A check that compares rows alone.
pub(crate) fn rows_alone(left: &str, right: &str, compare: &str) -> String {
    let terms = format!(
        "key: [one]\n      confirm_after: 0s\n      detail:\n        left: {{sql: \"{left}\"}}\n        \
         right: {{sql: \"{right}\"}}\n        key: [k]\n        {compare}\n        when: always"
    );
    yaml("select 1 + 0 as one", "select 1 + 0 as one", &terms)
}

#[tokio::test]
async fn a_key_that_comes_again_is_counted_wherever_a_segment_ends() {
    for engine in ENGINES {
        let (left, right) = (Database::new(engine).await, Database::new(engine).await);
        for database in [&left, &right] {
            database.prepare("create table t (k integer, v integer)").await;
            let sql = match engine {
                Engine::Postgres => "insert into t select n, 1 from generate_series(1, 12000) as n",
                Engine::MySql => "insert into t select seq, 1 from seq_1_to_12000",
                Engine::Sqlite => {
                    "insert into t with recursive s(n) as (select 1 union all select n + 1 from s where n < 12000) select n, 1 from s"
                }
            };
            database.prepare(sql).await;
        }
        let check =
            rows_alone("select k, v from t", "select k, v from t", "compare: {v: {tolerance: 0}}");
        // The first segment has 2,048 rows; later ones end elsewhere.
        for key in [2_047, 2_048, 2_049, 10_240] {
            left.prepare(&format!("insert into t values ({key}, 1)")).await;
            let said = verdict(left.source(), right.source(), &check).await;
            let wanted = format!("k={key}: 2 times in left, 1 times in right");
            assert!(said.contains(&wanted), "{engine} {key}: {said}");
            right.prepare(&format!("insert into t values ({key}, 99)")).await;
            let said = verdict(left.source(), right.source(), &check).await;
            assert!(said.starts_with("query_error: a key comes 2 times"), "{engine} {key}: {said}");
            for database in [&left, &right] {
                database.prepare(&format!("delete from t where k = {key}")).await;
                database.prepare(&format!("insert into t values ({key}, 1)")).await;
            }
        }
        // More rows of one key than a segment has, in whatever order they come.
        for database in [&left, &right] {
            database.prepare("update t set k = 7 where k between 100 and 5000").await;
        }
        left.prepare("insert into t values (7, 1)").await;
        let said = verdict(left.source(), right.source(), &check).await;
        assert!(said.contains("k=7: 4903 times in left, 4902 times in right"), "{engine}: {said}");
    }
}

#[tokio::test]
async fn rows_of_one_key_are_not_paired_by_the_order_in_which_they_come() {
    let (left, right) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::Sqlite).await);
    for (database, values) in [(&left, "('a', 1), ('a', 2)"), (&right, "('a', 2), ('a', 1)")] {
        database.prepare("create table t (k varchar(9), v integer)").await;
        database.prepare(&format!("insert into t values {values}")).await;
    }
    for check in [
        rows_alone("select k, v from t", "select k, v from t", "compare: {v: {tolerance: 0}}"),
        yaml(
            "select k, v from t",
            "select k, v from t",
            "key: [k]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s",
        ),
    ] {
        let said = verdict(left.source(), right.source(), &check).await;
        assert!(said.starts_with("query_error: a key comes 2 times"), "{said}");
    }
}

#[tokio::test]
async fn beside_thousands_that_are_on_their_way_a_difference_is_found_and_counted_alone() {
    let (left, right) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::Postgres).await);
    let moving = |more: u8| format!("(extract(epoch from now()) * 1000000)::bigint + {more}");
    let rows = |more: u8| {
        let v = moving(more);
        format!(
            "select n as k, case when n = 15000 then {more} else {v} end as v from generate_series(1, 20000) as n"
        )
    };
    let result = |more: u8| format!("select 1 + 0 as one, {} as v", moving(more));
    let terms = format!(
        "key: [one]\n      compare: {{v: {{tolerance: 0}}}}\n      confirm_after: 20ms\n      detail:\n        \
         left: {{sql: \"{}\"}}\n        right: {{sql: \"{}\"}}\n        key: [k]\n        compare: {{v: {{tolerance: 0}}}}",
        rows(1),
        rows(2)
    );
    let said = verdict(left.source(), right.source(), &yaml(&result(1), &result(2), &terms)).await;
    assert!(said.contains("differ on 1 of 20000 rows: 1 changed; 19999 more"), "{said}");
    assert!(said.contains("k=15000: v 1 against 2"), "{said}");
}

#[tokio::test]
async fn a_float_is_none_wherever_it_stands_in_a_column_without_a_type() {
    let (left, right) = (Database::new(Engine::Sqlite).await, Database::new(Engine::Sqlite).await);
    for database in [&left, &right] {
        database.prepare("create table t (k integer)").await;
    }
    for rows in ["(1, 1), (2, 0.5)", "(1, 0.5), (2, 1)"] {
        let sql = format!("select column1 as k, column2 as v from (values {rows})");
        let exact = "key: [k]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s";
        let said = verdict(left.source(), right.source(), &yaml(&sql, &sql, exact)).await;
        assert!(said.starts_with("unsupported_type: column `v` is a float"), "{said}");
        let near = exact.replace("tolerance: 0", "tolerance: 0.1");
        assert_eq!(
            verdict(left.source(), right.source(), &yaml(&sql, &sql, &near)).await,
            "confirmed"
        );
    }
}

#[tokio::test]
async fn a_lag_that_stays_the_same_is_no_difference() {
    let (left, right) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::Postgres).await);
    for database in [&left, &right] {
        database.prepare("create table t (id integer primary key, v integer)").await;
    }
    // The right is always so many rows behind: what is there was here a second before, far longer ago than the two
    // sides are looked at one after the other.
    const BEHIND: u32 = 25;
    let (mut here, mut there) = (left.owner().await, right.owner().await);
    here.run(&format!("insert into t select n, 1 from generate_series(0, {}) n", BEHIND + 4))
        .await
        .unwrap();
    there.run("insert into t select n, 1 from generate_series(0, 4) n").await.unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let writer = tokio::spawn(async move {
        let mut id = 5;
        while !stopped.is_cancelled() {
            here.run(&format!("insert into t values ({}, 1)", id + BEHIND)).await.unwrap();
            there.run(&format!("insert into t values ({id}, 1)")).await.unwrap();
            id += 1;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let sums = "select 1 + 0 as k, sum(v) as v from t";
    let rows = "\n      detail:\n        left: {sql: \"select id, v from t\"}\n        right: {sql: \"select id, v from t\"}\n        \
                key: [id]\n        compare: {v: {tolerance: 0}}";
    for detail in ["", rows] {
        let terms = format!(
            "key: [k]\n      compare: {{v: {{tolerance: 0}}}}\n      confirm_after: 3s{detail}"
        );
        let said = verdict(left.source(), right.source(), &yaml(sums, sums, &terms)).await;
        assert!(said.starts_with("stale"), "{said}");
    }
    // With the rows, a real difference is found beside it, and nothing that is on its way is named.
    right.prepare("update t set v = 5 where id = 2").await;
    let terms =
        format!("key: [k]\n      compare: {{v: {{tolerance: 0}}}}\n      confirm_after: 3s{rows}");
    let said = verdict(left.source(), right.source(), &yaml(sums, sums, &terms)).await;
    assert!(said.contains("differ on 1 of") && said.contains("id=2: v 1 against 5"), "{said}");
    stop.cancel();
    writer.await.unwrap();
}
