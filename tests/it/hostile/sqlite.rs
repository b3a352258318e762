//! What can be tried against SQLite.

#![expect(clippy::too_many_lines, reason = "tables are as long as what they list")]

use allswell::domain::sql::Engine;

use super::Harm::{Session, State, Time, Volume};
use super::{Harm, Mechanism, hold, seen_in_review};

const BASE: &str = "create table victim (n integer primary key, m text); \
    insert into victim values (1, 'a'), (2, 'b'), (3, 'c'); \
    create table big as with recursive s (n) as (select 1 union all select n + 1 from s where n < 3000) \
    select n from s; create view seen as select n from victim";

const SNAPSHOT: &str = "
    select n || ':' || m from victim order by n;
    select type || name || coalesce(sql, '') from sqlite_master order by name;
    select user_version from pragma_user_version;
    select application_id from pragma_application_id;
    select journal_mode from pragma_journal_mode;
    select page_size from pragma_page_size;
    select auto_vacuum from pragma_auto_vacuum;
    select page_count from pragma_page_count";

const NEXT: &str = "select case when (select count(*) from victim) = 3
      and (select query_only from pragma_query_only) = 1
      and (select trusted_schema from pragma_trusted_schema) = 0
      and (select count(*) from pragma_database_list) <= 2
      and (select count(*) from temp.sqlite_master) = 0
    then 'good' else 'spoilt' end as v";

/// A setting of the session, which the control changes.
fn pragma(name: &'static str, set: &'static str, probe: &'static str) -> Mechanism {
    seen_in_review(name, set, Session(probe))
}

fn unseen(name: &'static str, sql: &'static str, harm: Harm, verdict: &'static str) -> Mechanism {
    Mechanism { name, setup: "", sql, harm, verdict }
}

fn statements() -> Vec<Mechanism> {
    vec![
        seen_in_review("insert", "insert into victim values (4, 'd')", State),
        seen_in_review("insert or replace", "insert or replace into victim values (1, 'd')", State),
        seen_in_review(
            "upsert",
            "insert into victim values (1, 'd') on conflict (n) do update set m = 'x'",
            State,
        ),
        seen_in_review("replace", "replace into victim values (1, 'd')", State),
        seen_in_review("update", "update victim set m = 'x'", State),
        seen_in_review("update or ignore", "update or ignore victim set m = 'x'", State),
        seen_in_review("delete", "delete from victim", State),
        seen_in_review("delete with return", "delete from victim returning n", State),
        seen_in_review(
            "insert after a CTE",
            "with x as (select 4 as n) insert into victim select n, 'd' from x",
            State,
        ),
        seen_in_review("delete after a CTE", "with x as (select 1) delete from victim", State),
        seen_in_review(
            "update after a CTE",
            "with x as (select 1) update victim set m = 'x'",
            State,
        ),
        seen_in_review("create table", "create table mine (n int)", State),
        seen_in_review("create table as", "create table mine as select 1 + 0 as n", State),
        seen_in_review("create virtual table", "create virtual table mine using fts5 (m)", State),
        seen_in_review(
            "create temporary table",
            "create temp table mine (n int)",
            Session("select count(*) from temp.sqlite_master"),
        ),
        seen_in_review("create view", "create view mine as select 1 + 0 as n", State),
        seen_in_review(
            "create temporary view",
            "create temp view victim as select 9 as n",
            Session("select count(*) from temp.sqlite_master"),
        ),
        seen_in_review(
            "create trigger",
            "create trigger mine after insert on victim begin delete from victim; end",
            State,
        ),
        seen_in_review("create index", "create index mine on victim (m)", State),
        seen_in_review("drop table", "drop table victim", State),
        seen_in_review("drop view", "drop view seen", State),
        seen_in_review("alter table", "alter table victim rename to gone", State),
        seen_in_review("add column", "alter table victim add column o", State),
        seen_in_review("drop column", "alter table victim drop column m", State),
        seen_in_review("analyze", "analyze", State),
        seen_in_review("vacuum after a delete", "delete from victim; vacuum", State),
        seen_in_review("a second statement", "select 1 + 0 as n; delete from victim", State),
        seen_in_review(
            "three statements",
            "select 1 + 0 as n; begin immediate; delete from victim; commit",
            State,
        ),
        seen_in_review(
            "statement behind a comment",
            "select 1 + 0 as n; -- harmless\ndelete from victim",
            State,
        ),
        seen_in_review(
            "hidden by a string",
            "select ';' as n; delete from victim where m <> ';'",
            State,
        ),
    ]
}

fn pragmas() -> Vec<Mechanism> {
    vec![
        seen_in_review("user version", "pragma user_version = 7", State),
        seen_in_review("application id", "pragma application_id = 7", State),
        seen_in_review("write-ahead log", "pragma journal_mode = wal", State),
        seen_in_review(
            "write the schema",
            "pragma writable_schema = 1; update sqlite_master set sql = 'create table victim (x)' where name = 'victim'",
            State,
        ),
        pragma("query only", "pragma query_only = 1", "select query_only from pragma_query_only"),
        pragma(
            "foreign keys",
            "pragma foreign_keys = 0",
            "select foreign_keys from pragma_foreign_keys",
        ),
        pragma(
            "ignore constraints",
            "pragma ignore_check_constraints = 1",
            "select ignore_check_constraints from pragma_ignore_check_constraints",
        ),
        pragma(
            "cache size",
            "pragma cache_size = -900000",
            "select cache_size from pragma_cache_size",
        ),
        pragma(
            "synchronous",
            "pragma synchronous = 0",
            "select synchronous from pragma_synchronous",
        ),
        pragma("temp store", "pragma temp_store = 1", "select temp_store from pragma_temp_store"),
        pragma(
            "trusted schema",
            "pragma trusted_schema = 0",
            "select trusted_schema from pragma_trusted_schema",
        ),
        pragma("locking mode", "pragma locking_mode = exclusive", "pragma locking_mode"),
        pragma("busy timeout", "pragma busy_timeout = 600000", "pragma busy_timeout"),
        pragma(
            "reverse order",
            "pragma reverse_unordered_selects = 1",
            "select reverse_unordered_selects from pragma_reverse_unordered_selects",
        ),
        pragma(
            "read uncommitted",
            "pragma read_uncommitted = 1",
            "select read_uncommitted from pragma_read_uncommitted",
        ),
        pragma(
            "recursive triggers",
            "pragma recursive_triggers = 1",
            "select recursive_triggers from pragma_recursive_triggers",
        ),
        pragma(
            "secure delete",
            "pragma secure_delete = 1",
            "select secure_delete from pragma_secure_delete",
        ),
        pragma(
            "automatic index",
            "pragma automatic_index = 0",
            "select automatic_index from pragma_automatic_index",
        ),
        pragma(
            "short names",
            "pragma short_column_names = 0",
            "select short_column_names from pragma_short_column_names",
        ),
        pragma(
            "full names",
            "pragma full_column_names = 1",
            "select full_column_names from pragma_full_column_names",
        ),
        pragma(
            "legacy alter",
            "pragma legacy_alter_table = 1",
            "select legacy_alter_table from pragma_legacy_alter_table",
        ),
        pragma(
            "cell size check",
            "pragma cell_size_check = 1",
            "select cell_size_check from pragma_cell_size_check",
        ),
        pragma("full sync", "pragma fullfsync = 1", "select fullfsync from pragma_fullfsync"),
        pragma("analysis limit", "pragma analysis_limit = 7", "pragma analysis_limit"),
        pragma("page limit", "pragma max_page_count = 99", "pragma max_page_count"),
        pragma(
            "journal size",
            "pragma journal_size_limit = 7",
            "select journal_size_limit from pragma_journal_size_limit",
        ),
    ]
}

fn queries() -> Vec<Mechanism> {
    const ENDLESS: &str = "with recursive r (n) as (select 1 union all select n + 1 from r)";
    let endless =
        |rest: &str| -> &'static str { Box::leak(format!("{ENDLESS} {rest}").into_boxed_str()) };
    vec![
        unseen("endless recursion", endless("select count(*) as n from r"), Time, "timeout"),
        unseen("endless sum", endless("select sum(n) as n from r"), Time, "timeout"),
        unseen("endless search", endless("select n from r where n < 0"), Time, "timeout"),
        unseen(
            "endless existence",
            endless("select 1 + 0 as n where exists (select 1 from r where n < 0)"),
            Time,
            "timeout",
        ),
        unseen("cross join", "select count(*) as n from big a, big b, big c", Time, "timeout"),
        unseen(
            "subquery for each row",
            "select (select count(*) from big b, big c where b.n + c.n + a.n > 0) as n from big a",
            Time,
            "timeout",
        ),
        unseen(
            "sort of a cross join",
            "select a.n from big a, big b, big c order by a.n * b.n * c.n desc",
            Time,
            "timeout",
        ),
        unseen(
            "distinct of a cross join",
            "select count(distinct a.n * b.n * c.n) as n from big a, big b, big c",
            Time,
            "timeout",
        ),
        unseen(
            "endless rows",
            endless("select n, replace(hex(zeroblob(100)), '0', 'x') as m from r"),
            Volume,
            "over_limit",
        ),
        unseen(
            "rows of a cross join",
            "select a.n, replace(hex(zeroblob(100)), '0', 'x') as m from big a, big b, big c",
            Volume,
            "over_limit",
        ),
        unseen("huge field", "select hex(zeroblob(9000000)) as n", Volume, "over_limit"),
        unseen(
            "many large fields",
            "select replace(hex(zeroblob(400000)), '0', 'x') as n from big limit 99",
            Volume,
            "over_limit",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_not_harmed() {
    let mut all = statements();
    all.extend(pragmas());
    all.extend(queries());
    hold(Engine::Sqlite, BASE, SNAPSHOT, NEXT, &all).await;
}

/// These cannot do harm even where nobody guards: the library was built without them.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_library_was_built_without_is_not_there() {
    let db = crate::lab::Database::new(Engine::Sqlite).await;
    let mut owner = db.owner().await;
    for sql in [
        "attach '/tmp/allswell-attached.db' as other",
        "vacuum into '/tmp/allswell-copied.db'",
        "select load_extension('/tmp/x')",
        "select writefile('/tmp/x', 'x')",
        "select readfile('/etc/passwd')",
        "select edit('x')",
        "select length(zeroblob(100000000))",
        "select \"no such column\" as n",
    ] {
        assert!(owner.run(sql).await.is_err(), "{sql}");
    }
}
