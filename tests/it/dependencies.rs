//! What checks stand on, held against the databases: what is dropped makes just those checks fail of which it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allswell::domain::check::Check;
use allswell::domain::check::name::SourceName;
use allswell::domain::check::reason::Cause;
use allswell::domain::dependency::answer::{Dead, Target};
use allswell::domain::dependency::graph::{Asked, CheckUses, Dependencies};
use allswell::domain::dependency::{How, Object, ObjectName, SourceRelations};
use allswell::domain::sql::Engine;
use allswell::source::Source;
use tokio_util::sync::CancellationToken;

use crate::lab::{Database, Other, cause, checks, look};
use crate::notices::SOON;
use crate::verbs::{allswell, text};
use crate::watchman::{Site, Watchman};

fn db() -> SourceName {
    SourceName::parse("db").unwrap()
}

fn yaml(queries: &[(&str, &str)]) -> String {
    let mut text =
        "version: 1\nowner: tests\ndefaults: {source: db, timeout: 5s}\nchecks:\n".to_owned();
    for (id, sql) in queries {
        text += &format!(
            "  - id: {id}\n    why: because\n    sql: |\n      {sql}\n    expect: {{rows: {{max: 1000}}}}\n    evidence: {{min: 0, because: it may be empty}}\n"
        );
    }
    text
}

async fn learn(source: &Source) -> SourceRelations {
    source.learn(&CancellationToken::new()).await.unwrap()
}

fn graph(checks: &[Arc<Check>], known: SourceRelations) -> Dependencies {
    let sources = BTreeMap::from([(db(), Arc::new(known))]);
    Dependencies::of(checks.iter(), &Asked::new(), sources)
}

fn ids(checks: &[Arc<CheckUses>]) -> BTreeSet<String> {
    checks.iter().map(|check| check.id.to_string()).collect()
}

/// The checks that no database takes as they are.
async fn broken(database: &Database, yaml: &str) -> BTreeSet<String> {
    let outcomes = look(database.source(), yaml).await;
    for outcome in &outcomes {
        let cause = cause(outcome);
        assert!(matches!(cause, None | Some(Cause::QueryError | Cause::NoEvidence)), "{outcome:?}");
    }
    let broken = outcomes.iter().filter(|outcome| cause(outcome) == Some(Cause::QueryError));
    broken.map(|outcome| outcome.check.id.to_string()).collect()
}

/// Drops each object in turn, and holds the checks that fail against those of which it was said.
async fn hold(
    database: &Database,
    schema: &str,
    clean: &str,
    queries: &[(&str, &str)],
    drops: &[(&str, &str)],
) -> BTreeMap<String, Dead> {
    let yaml = yaml(queries);
    let all = checks(database.engine(), &yaml);
    database.prepare(schema).await;
    assert_eq!(broken(database, &yaml).await, BTreeSet::new(), "all is there");
    let graph = graph(&all, learn(&database.source()).await);
    let mut answers = BTreeMap::new();
    for (name, drop) in drops {
        let dead = graph.dead(&graph.find(name).unwrap_or_else(|why| panic!("{name}: {why}")));
        database.prepare(drop).await;
        let failed = broken(database, &yaml).await;
        let unknown: BTreeSet<String> =
            dead.unknown.iter().map(|(check, _)| check.id.to_string()).collect();
        let said = ids(&dead.dark);
        let missed: Vec<_> = failed.difference(&said).filter(|id| !unknown.contains(*id)).collect();
        assert!(missed.is_empty(), "{drop}: not said of {missed:?}; said of {said:?}");
        let spared: Vec<_> = said.difference(&failed).collect();
        assert!(spared.is_empty(), "{drop}: said of {spared:?}, which go on; failed {failed:?}");
        answers.insert((*name).to_owned(), dead);
        database.prepare(clean).await;
        database.prepare(schema).await;
    }
    answers
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one schema, and what is dropped of it")]
async fn what_is_dropped_in_postgresql_makes_just_those_checks_fail_of_which_it_is_said() {
    let (database, remote) =
        (Database::new(Engine::Postgres).await, Database::new(Engine::Postgres).await);
    let Database::Postgres { port, name } = &database else { unreachable!() };
    let there = remote.name();
    remote.prepare("create table usage (id int)").await;
    let mut admin = database.admin().await;
    for sql in [
        "create extension postgres_fdw".to_owned(),
        format!("grant usage on foreign data wrapper postgres_fdw to {name}"),
    ] {
        admin.run(&sql).await.unwrap();
    }
    let schema = format!(
        "set search_path to public; create schema {name}; create schema shop;
         create table orders (id int, customer int, at timestamptz); create table customers (id int);
         create table \"Mixed Case\" (\"Id\" int); create table shop.orders (id int);
         create table {name}.lacking (only_here int); create table lacking (id int);
         create table {name}.trap (id int); create table trap (id int, n int); create table {name}.alone (id int);
         create table events (at date) partition by range (at);
         create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
         create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01');
         create view v1 as select id, customer from orders;
         create view v2 as select v1.id from v1 join customers c on c.id = v1.customer;
         create materialized view mv as select id from v2;
         create view \"V Mixed\" as with orders as (select \"Id\" as id from \"Mixed Case\") select id from orders;
         create view over_parts as select at from events;
         create function f_atomic() returns bigint language sql begin atomic select count(*) from shop.orders; end;
         create view over_atomic as select f_atomic() as n;
         create function f_text() returns bigint language sql as 'select count(*) from customers';
         create function f_rows() returns setof int language plpgsql as $$ begin return query select id from customers; end $$;
         create server there foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{port}', dbname '{there}');
         create user mapping for {name} server there options (user '{there}', password 'watch');
         create foreign table remote_usage (id int) server there options (schema_name 'public', table_name 'usage');
         create view over_remote as select id from remote_usage;
         create sequence numbers; create table operands (id int);
         create function eqf(int, int) returns boolean begin atomic select count(*) > 0 from operands; end;
         create operator === (leftarg = int, rightarg = int, function = eqf);
         create view over_operator as select id from customers where id === 1;
         create table texts (id int); create view over_text as select length(query_to_xml('select * from public.texts', true, true, '')::text) as id;
         create table summed (id int);
         create function aggf(int, int) returns int begin atomic select $1 + (select count(*)::int from summed); end;
         create aggregate myagg (int) (sfunc = aggf, stype = int, initcond = '0');
         create table twice (id int);
         create function over_loaded(int) returns bigint begin atomic select 1::bigint; end;
         create function over_loaded(text) returns bigint begin atomic select count(*) from twice; end;"
    );
    let clean = format!(
        "drop server if exists there cascade; drop schema {name} cascade; drop schema if exists shop cascade; drop table if exists lacking; \
         drop function if exists f_rows, f_text, f_atomic cascade; \
         drop view if exists v1, v2, \"V Mixed\", over_parts, over_atomic, over_remote cascade; \
         drop operator if exists === (int, int) cascade; drop aggregate if exists myagg (int) cascade; \
         drop function if exists eqf, aggf, over_loaded(int), over_loaded(text) cascade; drop sequence if exists numbers; \
         drop view if exists over_operator, over_text cascade; drop table if exists operands, texts, summed, twice cascade; \
         drop table if exists orders, customers, \"Mixed Case\", trap, events cascade"
    );
    let twice = format!("select a.id as n from {name}.trap a join trap b on a.id = b.id");
    let other_way = format!("select a.id as n from trap a join {name}.trap b on a.id = b.id");
    let queries = [
        ("plain", "select id as n from Orders"),
        ("trap-and-qualified", twice.as_str()),
        ("qualified-and-trap", other_way.as_str()),
        ("mixed", "select \"Id\" as n from \"Mixed Case\""),
        ("other-schema", "select id as n from shop.orders"),
        ("trap", "select id as n from trap"),
        ("alone", "select id as n from alone"),
        ("public-trap", "select id as n from public.trap"),
        ("parts", "select count(*) as n from events"),
        ("part", "select count(*) as n from events_2025"),
        ("parts-by-view", "select count(*) as n from over_parts"),
        ("view", "select id as n from v1"),
        ("view-of-view", "select id as n from v2"),
        ("copy", "select id as n from mv"),
        ("mixed-view", "select id as n from \"V Mixed\""),
        ("shadowed", "with orders as (select 1 as n) select n from orders"),
        ("shadow-over-it", "with orders as (select id from orders) select id as n from orders"),
        (
            "further-in",
            "select 1 as n where exists (select from customers) or 1 in (select id from v1)",
        ),
        (
            "union",
            "select id as n from shop.orders union all (select id from customers except table \"Mixed Case\")",
        ),
        ("atomic", "select f_atomic() as n"),
        ("atomic-by-view", "select n from over_atomic"),
        ("text-body", "select f_text() as n"),
        ("rows-of", "select r as n from f_rows() as r"),
        ("foreign", "select id as n from remote_usage"),
        ("sequence", "select last_value as n from numbers"),
        ("operator", "select id as n from over_operator"),
        ("by-a-text", "select id as n from over_text"),
        ("aggregate", "select myagg(id) as n from customers"),
        ("overloaded", "select over_loaded('a'::text) as n"),
        ("lacks-a-column", "select only_here as n from lacking"),
        ("foreign-by-view", "select id as n from over_remote"),
        (
            "system",
            "select count(*) as n from pg_class join information_schema.tables on true where false",
        ),
        ("words", "select 'from customers' as n /* from orders */ -- join trap"),
    ];
    let public_trap = format!("drop table {name}.trap");
    let alone = format!("drop table {name}.alone");
    let lacking = format!("drop table {name}.lacking");
    let lacking_name = format!("{name}.lacking");
    let (alone_name, trap_name) = (format!("{name}.alone"), format!("{name}.trap"));
    let drops = [
        ("public.orders", "drop table orders cascade"),
        ("customers", "drop table customers cascade"),
        ("Mixed Case", "drop table \"Mixed Case\" cascade"),
        ("shop.orders", "drop table shop.orders cascade"),
        (trap_name.as_str(), public_trap.as_str()),
        (alone_name.as_str(), alone.as_str()),
        ("public.trap", "drop table public.trap"),
        ("events", "drop table events cascade"),
        ("events_2025", "drop table events_2025"),
        ("v1", "drop view v1 cascade"),
        ("v2", "drop view v2 cascade"),
        ("mv", "drop materialized view mv"),
        ("f_atomic()", "drop function f_atomic cascade"),
        ("f_rows()", "drop function f_rows"),
        (lacking_name.as_str(), lacking.as_str()),
        ("numbers", "drop sequence numbers"),
        ("operands", "drop table operands cascade"),
        ("summed", "drop table summed cascade"),
        ("texts", "drop table texts cascade"),
        ("twice", "drop table twice cascade"),
        ("remote_usage", "drop foreign table remote_usage cascade"),
        ("foreign:there", "drop server there cascade"),
    ];
    let answers = hold(&database, &schema, &clean, &queries, &drops).await;
    let unknown: BTreeSet<String> =
        answers["events"].unknown.iter().map(|(check, _)| check.id.to_string()).collect();
    assert_eq!(
        unknown,
        BTreeSet::from(["by-a-text", "overloaded", "rows-of", "text-body"].map(str::to_owned)),
        "opaque"
    );
    let lessened =
        |name: &str| ids(&answers[name].lessened).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(lessened("events_2025"), "parts parts-by-view", "they go on over less");
    assert_eq!(lessened(&trap_name), "trap", "another table of the name is taken for it");

    // Where the other server is a source too, its table is one below.
    let known = learn(&database.source()).await;
    let theirs = learn(&remote.source()).await;
    let other = SourceName::parse("other").unwrap();
    let all = checks(Engine::Postgres, &yaml(&queries));
    let sources = BTreeMap::from([(db(), Arc::new(known)), (other.clone(), Arc::new(theirs))]);
    let graph = Dependencies::of(all.iter(), &Asked::new(), sources);
    let usage =
        Target::Object((other.clone(), Object::Relation(ObjectName::new("public", "usage"))));
    let wanted = BTreeSet::from(["foreign", "foreign-by-view"].map(str::to_owned));
    assert_eq!(ids(&graph.dead(&usage).dark), wanted);
    assert_eq!(ids(&graph.dead(&Target::Source(other.clone())).dark), wanted);
    assert_eq!((graph.toll(&other).checks, graph.toll(&db()).checks), (2, all.len()));
    let yaml = yaml(&queries);
    remote.prepare("drop table usage").await;
    assert_eq!(broken(&database, &yaml).await, wanted, "and so it is");
}

#[tokio::test]
async fn what_is_dropped_in_mariadb_makes_just_those_checks_fail_of_which_it_is_said() {
    let database = Database::new(Engine::MySql).await;
    let schema = "create table orders (id int, customer int); create table Orders (id int); create table customers (id int);
        create table `Mixed Case` (id int); create table other (id int);
        create view v1 as select id, customer, cast(id as char) as text from orders;
        create view v2 as select v1.id from v1 join customers c on c.id = v1.customer;
        create view `V Mixed` as with orders as (select id from `Mixed Case`) select id from orders;
        create view deep as select id from v2 where exists (select 1 from other where other.id = v2.id) union select id from `V Mixed`;
        create function f_reads() returns int reads sql data return (select count(*) from customers);
        create view over_function as select f_reads() as n;";
    let clean = "drop view if exists deep, over_function, `V Mixed`, v2, v1; drop function if exists f_reads; \
        drop table if exists orders, Orders, customers, `Mixed Case`, other";
    let queries = [
        ("plain", "select id as n from orders"),
        ("another-case", "select id as n from Orders"),
        ("mixed", "select id as n from `Mixed Case`"),
        ("view", "select id as n from v1"),
        ("view-of-view", "select id as n from v2"),
        ("mixed-view", "select id as n from `V Mixed`"),
        ("deep", "select id as n from deep"),
        ("shadowed", "with orders as (select 1 as n) select n from orders"),
        ("shadow-over-it", "with orders as (select id from orders) select id as n from orders"),
        (
            "further-in",
            "select 1 as n from dual where exists (select 1 from customers) or 1 in (select id from v1)",
        ),
        ("function", "select f_reads() as n"),
        ("function-by-view", "select n from over_function"),
        ("system", "select count(*) as n from information_schema.tables where table_schema = 'x'"),
        ("words", "select 'from customers' as n /* from orders */ -- join other"),
    ];
    let drops = [
        ("orders", "drop table orders"),
        ("Orders", "drop table Orders"),
        ("customers", "drop table customers"),
        ("Mixed Case", "drop table `Mixed Case`"),
        ("other", "rename table other to another; drop table another"),
        ("v1", "drop view v1"),
        ("v2", "drop view v2"),
        ("V Mixed", "drop view `V Mixed`"),
        ("f_reads()", "drop function f_reads"),
    ];
    let answers = hold(&database, schema, clean, &queries, &drops).await;
    let unknown: BTreeSet<String> =
        answers["other"].unknown.iter().map(|(check, _)| check.id.to_string()).collect();
    assert_eq!(unknown, BTreeSet::from(["function", "function-by-view"].map(str::to_owned)));

    // A role that may read a view and not what it is made of is told which right it lacks.
    let mut admin = database.admin().await;
    let name = database.name();
    for sql in [
        "create user if not exists 'narrow'@'%' identified by 'watch'".to_owned(),
        format!("grant select on {name}.v1 to 'narrow'@'%'"),
        format!("grant select, show view on {name}.v2 to 'narrow'@'%'"),
    ] {
        admin.run(&sql).await.unwrap();
    }
    let url = database.url().replace(&format!("//{name}@"), "//narrow@");
    let known = learn(&crate::lab::source_at(&url, 2)).await;
    let all = checks(Engine::MySql, &yaml(&queries));
    let graph = graph(&all, known);
    let why = |id: &str| {
        let check = graph.checks.iter().find(|check| check.id.as_str() == id).unwrap();
        graph.reach(check).1.into_iter().collect::<Vec<_>>().join("; ")
    };
    assert!(why("view").contains("the role lacks SHOW VIEW on it"), "{}", why("view"));
    assert!(why("view-of-view").contains("SELECT on it is lacking"), "{}", why("view-of-view"));
    assert!(
        why("plain").contains("it is not there, or the role may not see it"),
        "{}",
        why("plain")
    );
}

#[tokio::test]
async fn what_is_dropped_in_a_file_makes_just_those_checks_fail_of_which_it_is_said() {
    let database = Database::new(Engine::Sqlite).await;
    let schema = "create table orders (id int, customer int); create table customers (id int); create table [Mixed Case] (id int);
        create view v1 as select id, customer from Orders;
        create view v2 as select v1.id from main.v1 join customers c on c.id = v1.customer;
        create view \"V Mixed\" (id) as with orders(id) as (select id from [Mixed Case]) select id from orders;
        create virtual table words using fts5(text);
        create view over_words as select text from words;";
    let clean = "drop view if exists v2; drop view if exists v1; drop view if exists \"V Mixed\"; drop view if exists over_words; \
        drop table if exists orders; drop table if exists customers; drop table if exists [Mixed Case]; drop table if exists words";
    let queries = [
        ("plain", "select id as n from ORDERS"),
        ("by-schema", "select id as n from main.\"orders\""),
        ("mixed", "select id as n from `mixed case`"),
        ("view", "select id as n from v1"),
        ("view-of-view", "select id as n from v2"),
        ("mixed-view", "select id as n from \"V Mixed\""),
        ("shadowed", "with orders as (select 1 as n) select n from orders"),
        (
            "further-in",
            "select 1 as n where exists (select 1 from customers) or 1 in (select id from v1)",
        ),
        ("virtual", "select count(*) as n from words"),
        ("virtual-by-view", "select text as n from over_words"),
        ("made-up", "select value as n from json_each('[1]')"),
        ("system", "select count(*) as n from sqlite_schema"),
        ("words", "select 'from customers' as n /* from orders */ -- join v1"),
    ];
    let drops = [
        ("orders", "drop table orders"),
        ("customers", "drop table customers"),
        ("mixed case", "drop table [Mixed Case]"),
        ("v1", "drop view v1"),
        ("v2", "drop view v2"),
        ("words", "drop table words"),
    ];
    let answers = hold(&database, schema, clean, &queries, &drops).await;
    let unknown: BTreeSet<String> =
        answers["orders"].unknown.iter().map(|(check, _)| check.id.to_string()).collect();
    assert_eq!(unknown, BTreeSet::from(["virtual", "virtual-by-view"].map(str::to_owned)));
    database.prepare("insert into customers values (1)").await;
    let known = learn(&database.source()).await;
    let rows = |name: &str| known.relations[&ObjectName::new("", name)].has_rows;
    assert_eq!((rows("customers"), rows("orders")), (Some(true), Some(false)));
}

#[test]
fn what_ten_thousand_checks_over_two_thousand_tables_stand_on_is_answered_at_once() {
    let mut facts = Vec::new();
    let fact = |words: &[&str]| -> [String; 8] {
        std::array::from_fn(|at| words.get(at).unwrap_or(&"").to_string())
    };
    facts.push(fact(&["path", "public"]));
    for table in 0..2_000 {
        facts.push(fact(&["relation", "public", &format!("t{table}"), "r", "8192", "true", "1"]));
        facts.push(fact(&["relation", "public", &format!("v{table}"), "v"]));
        let (view, below) = (format!("v{table}"), format!("t{table}"));
        facts.push(fact(&["reads", "public", &view, "public", &below, "view"]));
        if table > 0 {
            let below = format!("v{}", table / 2);
            facts.push(fact(&["reads", "public", &view, "public", &below, "view"]));
        }
    }
    let known = allswell::domain::dependency::facts::read(
        &facts,
        Engine::Postgres,
        "h:1/d".into(),
        chrono::DateTime::UNIX_EPOCH,
    );
    assert_eq!(known.edges.values().flatten().filter(|(how, _)| *how == How::View).count(), 3_999);
    let ids: Vec<(String, String)> = (0..10_000)
        .map(|i| {
            (format!("c{i}"), format!("select count(*) as n from v{} where id > 1", i % 2_000))
        })
        .collect();
    let queries: Vec<(&str, &str)> =
        ids.iter().map(|(id, sql)| (id.as_str(), sql.as_str())).collect();
    let parts = queries.chunks(2_000).map(|part| checks(Engine::Postgres, &yaml(part)));
    let all: Vec<Arc<Check>> = parts.flatten().collect();
    let graph = graph(&all, known);
    let began = Instant::now();
    let dead = graph.dead(&graph.find("t0").unwrap());
    assert_eq!(dead.dark.len(), 10_000, "each view stands on the first table");
    assert_eq!(graph.dead(&graph.find("t1999").unwrap()).dark.len(), 5);
    let (open, counts) = graph.coverage(&BTreeMap::new());
    assert_eq!((open.len(), counts[&db()].covered), (0, 2_000));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Waits until something is as wanted, and returns it.
fn found<T>(daemon: &Watchman, mut look: impl FnMut() -> Result<T, String>) -> T {
    let mut found = None;
    daemon.until(SOON * 2, |_| match look() {
        Ok(one) => {
            found = Some(one);
            Ok(())
        }
        Err(last) => Err(last),
    });
    found.unwrap()
}

/// A site over a file with a view, and a table that nothing looks at.
async fn site(more: &str) -> Site {
    let checks = "version: 1\nowner: shop\ndefaults: {source: db, severity: critical, schedule: {every: 1h}}\nchecks:\n  - id: paid\n    why: because\n    \
        \n    sql: select id, cents from v_orders\n    expect: {values: {cents: {min: 1}}}\n";
    let settings = format!(
        "sources:\n  db: {{url: \"sqlite:data.db\", instants: sql{more}}}\n  away: {{url: \"postgres://x@127.0.0.1:1/x\"}}\n"
    );
    let site = Site::new(&settings, checks);
    std::fs::write(site.path().join("data.db"), "").unwrap();
    let mut owner = Other::sqlite(&site.path().join("data.db")).await;
    owner
        .run(
            "create table orders (id int, cents int); create table orders_new (id int, cents int); \
             create table audit_log (id int); create table empty_one (id int); create view v_orders as select id, cents from orders; \
             insert into orders values (1, 5); insert into orders_new values (1, 0); insert into audit_log values (1)",
        )
        .await
        .unwrap();
    owner.close().await;
    site
}

#[tokio::test]
async fn a_view_that_changes_underneath_is_told_and_the_checks_on_it_are_proved_again() {
    let site =
        site(", ignore_tables: [{tables: \"audit_*\", because: \"a log of another system\"}]")
            .await;
    let daemon = site.start();
    daemon.until_confirmed(1, SOON);
    let learnt = |source: &str| daemon.json("/api/v1/deps")["sources"][source].is_object();
    found(&daemon, || learnt("db").then_some(()).ok_or_else(|| "not learnt".to_owned()));
    let out = text(&allswell(&site, &daemon, &["deps", "--table", "orders"]));
    assert!(
        out.contains("paid  (critical, shop): by way of v_orders  [1 of 1 proved now]"),
        "{out}"
    );
    let out = text(&allswell(&site, &daemon, &["deps", "--uncovered"]));
    assert!(out.contains("db  orders_new  size not known"), "{out}");
    assert!(out.contains("db: checks reach 1 of 2 tables; 1 need none"), "{out}");
    let metrics = daemon.get("/metrics").1;
    assert!(metrics.contains("allswell_tables{covered=\"no\",source=\"db\"} 1"), "{metrics}");
    assert!(daemon.get("/tables").1.contains("orders_new"));

    let mut owner = Other::sqlite(&site.path().join("data.db")).await;
    owner
        .run("drop view v_orders; create view v_orders as select id, cents from orders_new")
        .await
        .unwrap();
    owner.close().await;
    // A new generation has every source asked anew.
    let more = "version: 1\nowner: shop\nchecks:\n  - id: another\n    why: because\n    source: db\n    schedule: {every: 1h}\n    \
        sql: select id from orders\n    expect: {values: {id: {min: 1}}}\n";
    site.checks("more.yaml", more);
    let changed = found(&daemon, || {
        let events = daemon.json("/api/v1/events");
        let all = events["events"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|event| event["kind"] == "underneath")
            .ok_or_else(|| "no event".to_owned())
    });
    let note = changed["note"].as_str().unwrap();
    assert_eq!(note, "`v_orders` reads `orders_new` now, and not `orders`; underneath paid");
    found(&daemon, || {
        let state = daemon.series("paid")[0]["state"].clone();
        (state == "violated").then_some(()).ok_or_else(|| state.to_string())
    });
    let out = text(&allswell(
        &site,
        &daemon,
        &["plan", "--config", site.path().join("allswell.yaml").to_str().unwrap()],
    ));
    assert!(out.contains("UNDERNEATH") && out.contains("reads `orders_new` now"), "{out}");
    // What was learnt outlives the process: it is not asked for again.
    assert!(daemon.stop().success());
    let daemon = site.start();
    found(&daemon, || {
        let deps = daemon.json("/api/v1/deps");
        let read = deps["checks"].as_array().is_some_and(|all| all.len() == 2);
        (read && deps["changed"].as_array().unwrap().len() == 1)
            .then_some(())
            .ok_or_else(|| deps.to_string())
    });
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn a_source_that_is_down_says_what_goes_dark() {
    let site = site("").await;
    site.checks(
        "away.yaml",
        "version: 1\nowner: billing\ndefaults: {source: away, severity: critical, schedule: {every: 1s}}\nchecks:\n  - id: far\n    why: because\n    \
         sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n  - id: near\n    why: because\n    severity: warning\n    \
         sql: select 1 + 0 as n\n    expect: {values: {n: {min: 1}}}\n",
    );
    let daemon = site.start();
    let said = found(&daemon, || {
        let said = text(&allswell(&site, &daemon, &["status"]));
        if said.contains("SOURCE away fails") { Ok(said) } else { Err(said) }
    });
    assert!(said.contains("  without it: 2 checks, 1 critical of billing go dark"), "{said}");
    let out = text(&allswell(&site, &daemon, &["deps", "--dead", "away"]));
    assert!(out.contains("Without away: 2 checks, 1 critical of billing go dark"), "{out}");
    assert!(out.contains("  critical, billing: far\n  warning, billing: near\n"), "{out}");
    for (args, wanted) in [
        (&["deps", "--dead", "oders"][..], "did you mean `orders`"),
        (&["deps", "--table", "db"], "is no table: `--dead` takes sources"),
        (&["deps", "--check", "pai"], "did you mean `paid`"),
        (&["deps", "--dead", "foreign:x"], "no source has a foreign server `x`"),
    ] {
        let output = allswell(&site, &daemon, args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(text(&output).contains(wanted), "{args:?}: {}", text(&output));
    }
    let dot = text(&allswell(&site, &daemon, &["deps", "--check", "paid", "--output", "dot"]));
    assert!(
        dot.contains("[label=\"db: v_orders\", shape=cylinder]")
            && dot.contains("[label=\"view\"]"),
        "{dot}"
    );
    let mermaid =
        text(&allswell(&site, &daemon, &["deps", "--check", "paid", "--output", "mermaid"]));
    assert!(mermaid.contains("flowchart LR") && mermaid.contains("-->|view|"), "{mermaid}");
    assert!(daemon.stop().success());
}
