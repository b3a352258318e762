//! What a server cuts without an error is no proof: MariaDB with the settings of a careful administrator.

use std::time::Duration;

use allswell::domain::sql::Engine;

use crate::lab::{Database, eventually, maria_admin, verdict};
use crate::servers::{MariaDb, mysqld};

/// A table of 2,000 rows in a chain, of which the 1,900th is bad.
const CHAIN: &str = "create table tree (id int primary key, parent int, amount int, v varchar(20), key (parent)); \
    insert into tree select seq, if(seq = 1, null, seq - 1), if(seq = 1900, -1, 5), concat('v', seq) \
    from seq_1_to_2000";
const NONE: &str = "expect:\n  rows: {equals: 0}\nevidence: {sql: select count(*) from tree}";
const WALK: &str = "with recursive r as (select id, amount from tree where parent is null union all \
    select t.id, t.amount from tree t join r on t.parent = r.id) select id from r where amount < 0";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_setting_of_the_server_would_cut_is_read_whole() {
    let server = MariaDb::start();
    let mut admin = maria_admin(server.port).await;
    let set = async |admin: &mut sqlx::MySqlConnection, sql: &str| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(admin).await.unwrap();
    };
    let db = Database::mariadb(&server).await;
    let (versioned, own): (&str, &[&str]) = if mysqld().is_some() {
        ("", &["cte_max_recursion_depth = 1000"])
    } else {
        let own = &["max_recursive_iterations = 1000", "system_versioning_asof = @then"];
        ("with system versioning", own)
    };
    db.prepare(CHAIN).await;
    db.prepare(&format!(
        "create table kept (id int, n int) {versioned}; insert into kept values (1, 5)"
    ))
    .await;
    set(&mut admin, "do sleep(0.01); set @then = now(6); do sleep(0.01)").await;
    db.prepare("update kept set n = -5").await;
    for guard in ["sql_select_limit = 100", "group_concat_max_len = 1024", "max_error_count = 0"] {
        set(&mut admin, &format!("set global {guard}")).await;
    }
    for guard in own {
        set(&mut admin, &format!("set global {guard}")).await;
    }
    for (sql, rest) in [
        ("select id, amount as n from tree", "expect:\n  values:\n    n: {min: 0}".to_owned()),
        (
            "select id from tree where amount > 0",
            "expect:\n  keys:\n    columns: [id]\n    from: {sql: select id from tree}".to_owned(),
        ),
        (WALK, NONE.to_owned()),
        (
            "select 1 + 0 as n from tree having group_concat(v order by id) like '%v1900%'",
            NONE.to_owned(),
        ),
        (
            "select 1 + 0 as n from (select json_arrayagg(v) as l from tree) q where l like '%v1900%'",
            NONE.to_owned(),
        ),
        ("select id from kept where n < 0", NONE.to_owned()),
    ] {
        let said = verdict(db.source(), sql, &rest).await;
        assert!(said.starts_with("violated"), "{sql}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cuts_or_misreads_all_the_same_proves_nothing() {
    let db = Database::new(Engine::MySql).await;
    db.prepare(CHAIN).await;
    let counted = "expect:\n  rows: {equals: 0}\nevidence:\n  sql: ";
    let plain = format!("{counted}select count(*) from tree");
    for (sql, rest, words) in [
        ("select id from tree where length(repeat(v, 100000000)) > 1", plain.clone(), "1301"),
        ("select id from tree where v = 7", plain.clone(), "1292"),
        ("select id from tree where amount / (id - 7) > 99", plain.clone(), "1365"),
        ("select id from tree where v = 'x'", format!("{counted}select count(*) from tree where v <> 7"), "in `evidence`"),
        (
            "select id from tree",
            "expect:\n  keys:\n    columns: [id]\n    from: {sql: select id from tree where v <> 7}".to_owned(),
            "in `keys.from`",
        ),
    ] {
        let said = verdict(db.source(), sql, &rest).await;
        assert!(said.starts_with("query_error") && said.contains(words), "{sql}: {said}");
    }
    // What is wrong in what was read is wrong all the same.
    let bad = "select id from tree where amount / (id - 7) < 0 and id > 1899";
    let said = verdict(db.source(), bad, &plain).await;
    assert!(said.starts_with("violated"), "{said}");
    let bad = "select id from tree where amount / (id - 7) is null or id = 1900";
    let said = verdict(db.source(), bad, &plain).await;
    assert!(said.starts_with("violated"), "{said}");
    // A division that finds something says no more than the data does.
    let said = verdict(db.source(), "select id from tree where amount / id > 99", &plain).await;
    assert_eq!(said, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_gives_way_to_whoever_waits_for_a_tables_definition() {
    let server = MariaDb::start();
    let db = Database::mariadb(&server).await;
    db.prepare(CHAIN).await;
    let Database::MariaDb { name, .. } = &db else { unreachable!("a MariaDB") };
    db.admin().await.run(&format!("grant process on *.* to '{name}'@'%'")).await.unwrap();
    let source = db.source();
    let slow = crate::lab::one_check(
        "select count(*) as n from tree a, tree b, tree c where a.id + b.id + c.id > 0",
        "expect:\n  values:\n    n: {min: 1}\nevidence: {sql: select count(*) from tree}",
    );
    let slow = slow.replace("timeout: 2s", "timeout: 60s");
    let look = tokio::spawn(async move { crate::lab::look(source, &slow).await });
    let mut owner = db.owner().await;
    eventually(Duration::from_secs(10), async || {
        let running = "select cast(count(*) as char) from information_schema.processlist \
                       where info like '%tree a, tree b%' and info not like '%processlist%'";
        match db.owner().await.texts(running).await[0].as_str() {
            "0" => Err("it does not run yet"),
            _ => Ok(()),
        }
    })
    .await;
    let started = std::time::Instant::now();
    owner.run("alter table tree add column zz int").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let said = crate::lab::shown(&look.await.unwrap()[0].judgement.verdict);
    assert!(said.starts_with("busy"), "{said}");
}
