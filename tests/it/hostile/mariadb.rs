//! What can be tried against MariaDB.

#![expect(clippy::too_many_lines, reason = "tables are as long as what they list")]

use allswell::domain::sql::Engine;

use super::Harm::{Session, State, Time, Volume, Words};
use super::{Harm, Mechanism, hold, seen_in_review};

const BASE: &str = "create table victim (n integer primary key, m varchar(20)); \
    insert into victim values (1, 'a'), (2, 'b'), (3, 'c'); create sequence counter; \
    create table aria (n integer) engine = aria; insert into aria values (1); \
    create table big as select seq as n from seq_1_to_3000; \
    create procedure wipe() delete from victim";

const SNAPSHOT: &str = "
    select concat(n, ':', m) from $DB.victim order by n;
    select concat(n, '') from $DB.aria order by n;
    select concat(table_name, ':', table_type, ':', coalesce(table_comment, '')) from information_schema.tables
      where table_schema = '$DB' order by 1;
    select concat(routine_name, routine_definition) from information_schema.routines where routine_schema = '$DB' order by 1;
    select concat(trigger_name, '') from information_schema.triggers where trigger_schema = '$DB' order by 1;
    select concat(event_name, '') from information_schema.events where event_schema = '$DB' order by 1;
    select concat(index_name, '') from information_schema.statistics where table_schema = '$DB' order by 1;
    select concat(next_not_cached_value, '') from $DB.counter;
    select concat(default_character_set_name, '') from information_schema.schemata where schema_name = '$DB';
    select concat(privilege_type, table_name) from information_schema.table_privileges where table_schema = '$DB' order by 1;
    select concat('lock ', coalesce(is_used_lock('leak'), 'free'));
    select concat(count(*), ' transactions') from information_schema.innodb_trx t join information_schema.processlist p
      on p.id = t.trx_mysql_thread_id where p.user = '$DB';
    select concat(count(*), ' active') from information_schema.processlist where user = '$DB' and command not in ('Sleep', 'Daemon')";

const NEXT: &str = "select case when @@tx_read_only in (0, 1) and @@max_statement_time = 2
      and @@sql_mode like '%STRICT_TRANS_TABLES%' and @@time_zone = '+00:00'
      and @@lock_wait_timeout = 1 and @@foreign_key_checks = 1 and @@unique_checks = 1
      and @@sort_buffer_size = @@global.sort_buffer_size
      and is_used_lock('leak') is null
    then 'good' else 'spoilt' end as v";

const TIMEOUT: &str = "select concat(@@max_statement_time, '')";
const MODE: &str = "select @@sql_mode";
const ZONE: &str = "select @@time_zone";
const VARIABLE: &str = "select coalesce(cast(@leak as char), '')";
const SORT: &str = "select concat(@@sort_buffer_size, '')";
const WAIT: &str = "select concat(@@lock_wait_timeout, '')";
const AUTOCOMMIT: &str = "select concat(@@autocommit, '')";

macro_rules! hidden {
    ($name:literal, $body:literal, $harm:expr, $verdict:literal) => {
        Mechanism {
            name: $name,
            setup: concat!(
                "create function evil() returns integer not deterministic modifies sql data begin ",
                $body,
                "; return 1; end"
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
        seen_in_review(
            "insert ignore",
            "insert ignore into victim values (1, 'd'), (5, 'e')",
            State,
        ),
        seen_in_review("replace", "replace into victim values (1, 'd')", State),
        seen_in_review("update", "update victim set m = 'x'", State),
        seen_in_review("delete", "delete from victim", State),
        seen_in_review("delete with return", "delete from victim returning n", State),
        seen_in_review("truncate", "truncate victim", State),
        seen_in_review("write without transactions", "insert into aria values (2)", State),
        seen_in_review("create table", "create table mine (n int)", State),
        seen_in_review("create table as", "create table mine as select 1 + 0 as n", State),
        seen_in_review("create or replace", "create or replace table victim (n int)", State),
        seen_in_review("create view", "create view mine as select 1 + 0 as n", State),
        seen_in_review("create function", "create function mine() returns int return 1", State),
        seen_in_review(
            "create trigger",
            "create trigger mine before insert on victim for each row set new.m = 'x'",
            State,
        ),
        seen_in_review(
            "create event",
            "create event mine on schedule every 1 hour do delete from victim",
            State,
        ),
        seen_in_review("drop table", "drop table victim", State),
        seen_in_review("drop procedure", "drop procedure wipe", State),
        seen_in_review("alter table", "alter table victim comment = 'mine'", State),
        seen_in_review("alter database", "alter database character set latin1", State),
        seen_in_review("rename table", "rename table victim to gone", State),
        seen_in_review("create index", "create index mine on victim (m)", State),
        seen_in_review("call", "call wipe()", State),
        seen_in_review("compound block", "begin not atomic delete from victim; end", State),
        seen_in_review("dynamic", "execute immediate 'delete from victim'", State),
        seen_in_review("a second statement", "select 1 + 0 as n; delete from victim", State),
        seen_in_review("a commit between", "select 1 + 0 as n; commit; delete from victim", State),
        seen_in_review("live comment", "select 4711 as n /*! into @leak */", Session(VARIABLE)),
        seen_in_review(
            "live comment of MariaDB",
            "select 4711 as n /*M! into @leak */",
            Session(VARIABLE),
        ),
        seen_in_review("explain", "analyze delete from victim", State),
        seen_in_review("set", "set session max_statement_time = 77", Session(TIMEOUT)),
        seen_in_review(
            "set for one statement",
            "set statement max_statement_time = 77 for delete from victim",
            State,
        ),
        seen_in_review("set mode", "set sql_mode = ''", Session(MODE)),
        seen_in_review("set variable", "set @leak = 4711", Session(VARIABLE)),
        seen_in_review("assign variable", "select @leak := 4711 as n", Session(VARIABLE)),
        seen_in_review("into variable", "select 4711 into @leak", Session(VARIABLE)),
        seen_in_review("no autocommit", "set autocommit = 0", Session(AUTOCOMMIT)),
        seen_in_review("named lock", "select get_lock('leak', 0) as n", State),
        seen_in_review("sequence", "select nextval(counter) as n", State),
        seen_in_review("sequence in standard words", "select next value for counter as n", State),
        seen_in_review("sequence set", "select setval(counter, 99) as n", State),
        seen_in_review("sleep", "select sleep(60) as n", Time),
        seen_in_review("benchmark", "select benchmark(10000000000, md5('x')) as n", Time),
        seen_in_review("do", "do sleep(60)", Time),
    ]
}

fn in_functions() -> Vec<Mechanism> {
    vec![
        hidden!("function: insert", "insert into victim values (4, 'd')", State, "refused"),
        hidden!("function: update", "update victim set m = 'x'", State, "refused"),
        hidden!("function: delete", "delete from victim", State, "refused"),
        hidden!("function: replace", "replace into victim values (1, 'z')", State, "refused"),
        hidden!(
            "function: write without transactions",
            "insert into aria values (2)",
            State,
            "refused"
        ),
        hidden!("function: calls a procedure", "call wipe()", State, "refused"),
        hidden!(
            "function: swallows the refusal",
            "declare continue handler for sqlexception begin end; delete from victim",
            State,
            "refused|confirmed"
        ),
        hidden!(
            "function: sequence",
            "declare x int; set x = nextval(counter)",
            State,
            "refused|confirmed"
        ),
        hidden!(
            "function: memory",
            "set session sort_buffer_size = 4194304",
            Session(SORT),
            "confirmed"
        ),
        hidden!(
            "function: waits for locks",
            "set session lock_wait_timeout = 99",
            Session(WAIT),
            "confirmed"
        ),
        hidden!("function: zone", "set session time_zone = '+05:30'", Session(ZONE), "confirmed"),
        hidden!(
            "function: no time limit",
            "set session max_statement_time = 77",
            Session(TIMEOUT),
            "confirmed"
        ),
        hidden!("function: variable", "set @leak = 4711", Session(VARIABLE), "confirmed"),
        hidden!(
            "function: named lock",
            "declare x int; set x = get_lock('leak', 0)",
            State,
            "confirmed"
        ),
        hidden!("function: sleep", "declare x int; set x = sleep(60)", Time, "timeout"),
        hidden!("function: loop", "while true do set @x = 1; end while", Time, "timeout"),
        hidden!(
            "function: loop that handles errors",
            "declare continue handler for sqlexception begin end; while true do set @x = sleep(1); end while",
            Time,
            "timeout"
        ),
        hidden!(
            "function: data in the error",
            "signal sqlstate '45000' set message_text = 'the card number is 4711'",
            Words,
            "query_error"
        ),
        hidden!(
            "function: data in an error of parsing",
            "signal sqlstate '42S22' set message_text = 'column 4711', mysql_errno = 1054",
            Words,
            "query_error"
        ),
    ]
}

fn in_objects() -> Vec<Mechanism> {
    const WRITER: &str = "create function w(i integer) returns integer modifies sql data begin \
        delete from victim; return i; end";
    vec![
        made("argument", WRITER, "select w(1) as n", State, "refused"),
        made("where", WRITER, "select n from big where w(n) > 0", State, "refused"),
        made("sort key", WRITER, "select n from big order by w(n)", State, "refused"),
        made("aggregate", WRITER, "select sum(w(n)) as n from big", State, "refused"),
        made(
            "as its definer",
            "create definer = current_user function w() returns integer sql security definer modifies sql data begin delete from victim; return 1; end",
            "select w() as n",
            State,
            "refused",
        ),
        made(
            "endless sequence",
            "select 1",
            "select count(*) as n from seq_1_to_1000000000000 where seq % 7 = 3",
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
            "endless rows",
            "select 1",
            "select a.n, repeat('x', 200) as m from big a, big b, big c",
            Volume,
            "over_limit",
        ),
        made(
            "endless rows by a LIMIT",
            "select 1",
            "select a.n, repeat('x', 200) as m from big a, big b, big c limit 100000000",
            Volume,
            "over_limit",
        ),
        made(
            "many large fields",
            "select 1",
            "select repeat('x', 900000) as n from big limit 99",
            Volume,
            "over_limit",
        ),
        made(
            "huge fields",
            "select 1",
            "select repeat('x', 16000000) as n from big limit 9",
            Volume,
            "over_limit",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_not_harmed() {
    let mut all = in_review();
    all.extend(in_functions());
    all.extend(in_objects());
    hold(Engine::MySql, BASE, SNAPSHOT, NEXT, &all).await;
}
