//! What can be tried against PostgreSQL.

#![expect(clippy::too_many_lines, reason = "tables are as long as what they list")]

use allswell::domain::sql::Engine;

use super::Harm::{Session, State, Time, Volume, Words};
use super::{Harm, Mechanism, hold, seen_in_review};

const BASE: &str = "create table victim (n integer primary key, m text); \
    insert into victim values (1, 'a'), (2, 'b'), (3, 'c'); create sequence counter; \
    create table big as select generate_series(1, 3000) as n; \
    create procedure wipe() language sql as 'delete from victim'; \
    create materialized view copied as select count(*) from victim";

/// Rows, objects, privileges, comments, settings, sequences, large objects, and locks.
const SNAPSHOT: &str = "
    select n || ':' || m from victim order by n;
    select relname || ':' || relkind::text || ':' || coalesce(relacl::text, '') || coalesce(obj_description(oid, 'pg_class'), '')
      from pg_class where relnamespace >= 16384 or relnamespace = 'public'::regnamespace order by 1;
    select proname from pg_proc where pronamespace = 'public'::regnamespace order by 1;
    select last_value::text || is_called from counter;
    select count(*)::text from pg_largeobject_metadata;
    select count(*)::text from copied where count = (select count(*) from victim);
    select nspname || coalesce(nspacl::text, '') from pg_namespace where nspname !~ '^pg_(temp|toast)' order by 1;
    select coalesce(string_agg(s.setconfig::text, ','), '') from pg_db_role_setting s
      join pg_database d on d.oid = s.setdatabase where d.datname = current_database();
    select rolname || coalesce(rolconfig::text, '') || rolconnlimit from pg_roles where rolname = '$DB';
    select count(*)::text from pg_locks l join pg_database d on d.oid = l.database
      where d.datname = current_database() and l.pid <> pg_backend_pid() and (l.locktype = 'advisory' or l.mode <> 'AccessShareLock');
    select count(*)::text from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in%';
    select count(*)::text from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'active'";

/// Everything that a session could keep is as it is in a new one.
const NEXT: &str = "select case when current_setting('transaction_read_only') = 'on'
      and current_setting('statement_timeout') = '2s'
      and current_setting('default_transaction_read_only') = 'off'
      and current_setting('work_mem') = '16MB'
      and current_setting('row_security') = 'off'
      and current_setting('search_path') = '\"$user\", public'
      and current_setting('session_replication_role') = 'origin'
      and current_setting('enable_seqscan') = 'on'
      and coalesce(current_setting('my.leak', true), '') = ''
      and session_user = current_user
      and not exists (select from pg_prepared_statements where from_sql)
      and not exists (select from pg_cursors where name = 'leak')
      and not exists (select from pg_listening_channels())
      and not exists (select from pg_locks where pid = pg_backend_pid() and locktype = 'advisory')
    then 'good' else 'spoilt' end as v";

const TIMEOUT: &str = "select current_setting('statement_timeout')";
const READ_ONLY: &str = "select current_setting('default_transaction_read_only')";
const WORK_MEM: &str = "select current_setting('work_mem')";
const PATH: &str = "select current_setting('search_path')";
const LEAK: &str = "select coalesce(current_setting('my.leak', true), '')";
const PREPARED: &str = "select count(*)::text from pg_prepared_statements where from_sql";
const LISTENING: &str = "select count(*)::text from pg_listening_channels()";
const CURSORS: &str = "select count(*)::text from pg_cursors where name = 'leak'";

/// A function that does it, called by the check.
macro_rules! hidden {
    ($name:literal, $body:literal, $harm:expr, $verdict:literal) => {
        Mechanism {
            name: $name,
            setup: concat!(
                "create function evil() returns integer language plpgsql as $evil$ begin ",
                $body,
                "; return 1; end $evil$"
            ),
            sql: "select evil() as n",
            harm: $harm,
            verdict: $verdict,
        }
    };
}

fn made(
    name: &'static str,
    setup: &'static str,
    sql: &'static str,
    harm: Harm,
    verdict: &'static str,
) -> Mechanism {
    Mechanism { name, setup, sql, harm, verdict }
}

fn in_review() -> Vec<Mechanism> {
    vec![
        seen_in_review("insert", "insert into victim values (4, 'd')", State),
        seen_in_review("update", "update victim set m = 'x'", State),
        seen_in_review("delete", "delete from victim", State),
        seen_in_review("truncate", "truncate victim", State),
        seen_in_review(
            "merge",
            "merge into victim v using (select 1 + 0 as n) s on v.n = s.n when matched then delete",
            State,
        ),
        seen_in_review("create table", "create table mine (n int)", State),
        seen_in_review("create table as", "create table mine as select 1 + 0 as n", State),
        seen_in_review("create view", "create view mine as select 1 + 0 as n", State),
        seen_in_review("drop table", "drop table victim cascade", State),
        seen_in_review("alter table", "alter table victim rename to gone", State),
        seen_in_review("create index", "create index mine on victim (m)", State),
        seen_in_review("grant", "grant all on victim to public", State),
        seen_in_review("comment", "comment on table victim is 'mine'", State),
        seen_in_review("create schema", "create schema mine", State),
        seen_in_review(
            "alter role",
            "do $$ begin execute 'alter role ' || current_user || ' set work_mem = ''1GB'''; end $$",
            State,
        ),
        seen_in_review(
            "alter database",
            "do $$ begin execute 'alter database ' || current_database() || ' set work_mem = ''1GB'''; end $$",
            State,
        ),
        seen_in_review("do block", "do $$ begin delete from victim; end $$", State),
        seen_in_review("call", "call wipe()", State),
        seen_in_review(
            "refresh",
            "delete from victim; refresh materialized view copied; insert into victim values (1, 'a')",
            State,
        ),
        seen_in_review("select into", "select 1 + 0 as n into mine", State),
        seen_in_review(
            "insert in a CTE",
            "with x as (insert into victim values (4, 'd') returning n) select * from x",
            State,
        ),
        seen_in_review(
            "update in a CTE",
            "with x as (update victim set m = 'x' returning n) select * from x",
            State,
        ),
        seen_in_review(
            "delete in a CTE",
            "with x as (delete from victim returning n) select * from x",
            State,
        ),
        seen_in_review("delete after a CTE", "with x as (select 1) delete from victim", State),
        seen_in_review("a second statement", "select 1 + 0 as n; delete from victim", State),
        seen_in_review(
            "a commit between",
            "select 1 + 0 as n; commit; begin read write; delete from victim; commit",
            State,
        ),
        seen_in_review("explain analyze", "explain analyze delete from victim", State),
        seen_in_review("set", "set statement_timeout = '1h'", Session(TIMEOUT)),
        seen_in_review(
            "set for all transactions",
            "set session characteristics as transaction read only",
            Session(READ_ONLY),
        ),
        seen_in_review("prepare", "prepare leak as select 1", Session(PREPARED)),
        seen_in_review("listen", "listen leak", Session(LISTENING)),
        seen_in_review(
            "declare a cursor",
            "declare leak cursor with hold for select 1",
            Session(CURSORS),
        ),
        seen_in_review(
            "set_config",
            "select set_config('work_mem', '1GB', false)",
            Session(WORK_MEM),
        ),
        seen_in_review("nextval", "select nextval('counter') as n", State),
        seen_in_review("setval", "select setval('counter', 99) as n", State),
        seen_in_review("large object", "select lo_create(0) as n", State),
        seen_in_review("large object from bytes", "select lo_from_bytea(0, 'x') as n", State),
        seen_in_review("session lock", "select pg_advisory_lock(1)", State),
        seen_in_review("session lock, tried", "select pg_try_advisory_lock(1)", State),
        seen_in_review("sleep", "select pg_sleep(60)", Time),
        seen_in_review("sleep until", "select pg_sleep_until(now() + interval '1 minute')", Time),
    ]
}

fn in_functions() -> Vec<Mechanism> {
    vec![
        hidden!("function: insert", "insert into victim values (4, 'd')", State, "refused"),
        hidden!("function: update", "update victim set m = 'x'", State, "refused"),
        hidden!("function: delete", "delete from victim", State, "refused"),
        hidden!("function: truncate", "truncate victim", State, "refused"),
        hidden!("function: create table", "create table mine (n int)", State, "refused"),
        hidden!(
            "function: temporary table",
            "create temporary table mine (n int)",
            Session("select count(*)::text from pg_class where relname = 'mine'"),
            "refused"
        ),
        hidden!("function: drop", "drop table victim cascade", State, "refused"),
        hidden!("function: dynamic", "execute 'delete ' || 'from victim'", State, "refused"),
        hidden!("function: nextval", "perform nextval('counter')", State, "refused"),
        hidden!("function: setval", "perform setval('counter', 99)", State, "refused"),
        hidden!("function: large object", "perform lo_create(0)", State, "refused|confirmed"),
        hidden!(
            "function: swallows the refusal",
            "begin delete from victim; exception when others then null; end",
            State,
            "confirmed"
        ),
        hidden!("function: grant", "grant all on victim to public", State, "refused"),
        hidden!("function: comment", "comment on table victim is 'mine'", State, "refused"),
        hidden!(
            "function: no time limit",
            "perform set_config('statement_timeout', '1h', false)",
            Session(TIMEOUT),
            "confirmed"
        ),
        hidden!(
            "function: writes by default",
            "perform set_config('default_transaction_read_only', 'on', false)",
            Session(READ_ONLY),
            "confirmed"
        ),
        hidden!("function: memory", "set work_mem = '1GB'", Session(WORK_MEM), "confirmed"),
        hidden!(
            "function: search path",
            "perform set_config('search_path', 'pg_catalog', false)",
            Session(PATH),
            "confirmed"
        ),
        hidden!(
            "function: setting of its own",
            "perform set_config('my.leak', '4711', false)",
            Session(LEAK),
            "confirmed"
        ),
        hidden!(
            "function: prepare",
            "execute 'prepare leak as select 1'",
            Session(PREPARED),
            "confirmed"
        ),
        hidden!("function: listen", "execute 'listen leak'", Session(LISTENING), "confirmed"),
        hidden!(
            "function: cursor that stays",
            "execute 'declare leak cursor with hold for select 1'",
            Session(CURSORS),
            "confirmed"
        ),
        hidden!("function: session lock", "perform pg_advisory_lock(4711)", State, "confirmed"),
        hidden!(
            "function: many session locks",
            "perform pg_advisory_lock(n) from generate_series(1, 50) n",
            State,
            "confirmed"
        ),
        hidden!("function: sleep", "perform pg_sleep(60)", Time, "timeout"),
        hidden!("function: loop", "loop end loop", Time, "timeout"),
        hidden!(
            "function: loop that catches the cancel",
            "loop begin perform pg_sleep(30); exception when query_canceled then null; end; end loop",
            Time,
            "timeout"
        ),
        hidden!(
            "function: no limit, then loop",
            "perform set_config('statement_timeout', '0', false); loop end loop",
            Time,
            "timeout"
        ),
        hidden!(
            "function: other name, then loop",
            "perform set_config('application_name', 'innocent', false); perform pg_sleep(60)",
            Time,
            "timeout"
        ),
        hidden!(
            "function: other name, deaf to us and to the end of the connection",
            "perform set_config('application_name', 'innocent', true); \
             perform set_config('client_connection_check_interval', '0', true); \
             loop begin perform pg_sleep(30); exception when query_canceled then null; end; end loop",
            Time,
            "timeout"
        ),
        hidden!(
            "function: data in the error",
            "raise exception 'the card number is 4711'",
            Words,
            "query_error"
        ),
        hidden!(
            "function: data in a class 42 error",
            "raise exception 'column 4711 does not exist' using errcode = '42703'",
            Words,
            "query_error"
        ),
        hidden!(
            "function: data in a dynamic error",
            "execute 'select \"4711\" from victim'",
            Words,
            "query_error"
        ),
        hidden!(
            "function: data in a cast",
            "perform cast(m || '4711' as integer) from victim",
            Words,
            "query_error"
        ),
    ]
}

fn in_objects() -> Vec<Mechanism> {
    const WRITER: &str = "create function w(i integer) returns integer language plpgsql as \
        $w$ begin delete from victim; return i; end $w$;";
    vec![
        made(
            "view over a writer",
            concat_setup(WRITER, "create view v as select w(1) as n"),
            "select n from v",
            State,
            "refused",
        ),
        made(
            "operator",
            concat_setup(
                WRITER,
                "create function w2(a integer, b integer) returns boolean language sql as 'select w(a) = b'; create operator === (leftarg = integer, rightarg = integer, function = w2)",
            ),
            "select 1 + 0 as n where 1 === 1",
            State,
            "refused",
        ),
        made(
            "domain",
            concat_setup(WRITER, "create domain d as integer check (w(value) > 0)"),
            "select 5::d as n",
            State,
            "refused",
        ),
        made(
            "aggregate",
            concat_setup(
                WRITER,
                "create function s(a integer, b integer) returns integer language sql as 'select w(b)'; create aggregate agg (integer) (sfunc = s, stype = integer, initcond = '0')",
            ),
            "select agg(n) as n from big",
            State,
            "refused",
        ),
        made(
            "as its definer",
            "create function w() returns integer language plpgsql security definer as $w$ begin delete from victim; return 1; end $w$",
            "select w() as n",
            State,
            "refused",
        ),
        made(
            "SQL function",
            "create function w() returns integer language sql as 'delete from victim returning n'",
            "select w() as n",
            State,
            "refused",
        ),
        made(
            "lateral",
            concat_setup(WRITER, "select 1"),
            "select x as n from victim, lateral w(victim.n) x",
            State,
            "refused",
        ),
        made(
            "sort key",
            concat_setup(WRITER, "select 1"),
            "select n from victim order by w(n)",
            State,
            "refused",
        ),
        made(
            "endless recursion",
            "select 1",
            "with recursive r as (select 1 + 0 as n union all select n + 1 from r) select count(*) as n from r",
            Time,
            "timeout",
        ),
        made(
            "cross join",
            "select 1",
            "select count(*) as n from big a, big b, big c",
            Time,
            "timeout",
        ),
        made(
            "endless function",
            "select 1",
            "select count(*) as n from generate_series(1, 100000000000) g",
            Time,
            "timeout",
        ),
        made(
            "endless rows",
            "select 1",
            "select generate_series(1, 100000000000) as n, repeat('x', 100) as m",
            Volume,
            "over_limit",
        ),
        // Of a size that a slow machine makes well within the limit: the cap is to end it, not the clock.
        made("huge field", "select 1", "select repeat('x', 18000000) as n", Volume, "over_limit"),
        made(
            "many large fields",
            "select 1",
            "select repeat('x', 900000) as n from generate_series(1, 99)",
            Volume,
            "over_limit",
        ),
    ]
}

fn concat_setup(a: &'static str, b: &'static str) -> &'static str {
    Box::leak(format!("{a} {b}").into_boxed_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_not_harmed() {
    let mut all = in_review();
    all.extend(in_functions());
    all.extend(in_objects());
    hold(Engine::Postgres, BASE, SNAPSHOT, NEXT, &all).await;
}
