//! Keys that a collation takes for one: they are merged in the database before anybody compares them, which is
//! no proof, whatever brings them.

use allswell::domain::sql::Engine;

use crate::lab::{Database, nopad};
use crate::reconcile::{rows_alone, three, verdict, yaml};

#[tokio::test]
async fn what_cannot_be_compared_exactly_is_said_with_the_cast_to_write() {
    let (pg, maria, sqlite) = three().await;
    let key = |column: &str, select: &str| {
        let sql = format!("select {select} as {column}, count(*) as n from t group by 1");
        yaml(
            &sql,
            &sql,
            &format!(
                "key: [{column}]\n      compare: {{n: {{tolerance: 0}}}}\n      confirm_after: 0s"
            ),
        )
    };
    // A collation that takes different keys for one merges them before anybody sees them.
    for (database, select, wanted) in [
        (&maria, "k", "unordered: key column `k` has the collation utf8mb4_general_ci"),
        (
            &maria,
            "k collate utf8mb4_bin",
            "unordered: key column `k` has the collation utf8mb4_bin",
        ),
        (&maria, &format!("k collate {}", nopad()), "confirmed"),
        (&maria, "id", "confirmed"),
        (&sqlite, "k", "unordered: key column `k` has the collation NOCASE"),
        (&sqlite, "k collate binary", "confirmed"),
        (&sqlite, "id", "confirmed"),
        (&pg, "k", "confirmed"),
        (&pg, "k collate loose", "unordered: key column `k` has the collation loose"),
    ] {
        let said = verdict(database.source(), database.source(), &key("k", select)).await;
        let said = said.replace("left (left): ", "").replace("right (right): ", "");
        assert!(said.starts_with(wanted), "{select}: {said}");
    }
}

#[tokio::test]
async fn keys_that_a_collation_has_merged_are_no_proof_whatever_brings_them() {
    let pg = Database::new(Engine::Postgres).await;
    let maria = Database::new(Engine::MySql).await;
    let sqlite = Database::new(Engine::Sqlite).await;
    maria.prepare("create table t (k varchar(9) collate utf8mb4_general_ci, v integer); insert into t values ('A', 1), ('a', 2), ('B', 3)").await;
    sqlite.prepare("create table t (k text collate nocase, v integer); create index i on t (k); insert into t values ('A', 1), ('a', 2), ('B', 3)").await;
    pg.prepare("create table t (k text, v integer); insert into t values ('A', 3), ('B', 3)").await;
    let sums = "select k, sum(v) as v from t group by k";
    for other in [&maria, &sqlite] {
        let check = rows_alone(sums, sums, "compare: {v: {tolerance: 0}}");
        let said = verdict(pg.source(), other.source(), &check).await;
        assert!(said.starts_with("unordered"), "{:?}: {said}", other.engine());
        // Rows that nobody put together come each by itself.
        let check =
            rows_alone("select k, v from t", "select k, v from t", "compare: {v: {tolerance: 0}}");
        let said = verdict(other.source(), other.source(), &check).await;
        assert_eq!(said, "confirmed", "{:?}", other.engine());
    }
    // So does a view, of which the query says nothing.
    sqlite.prepare("create view merged as select k, sum(v) as v from t group by k").await;
    let viewed = "select k, v from merged";
    for check in [
        rows_alone(sums, viewed, "compare: {v: {tolerance: 0}}"),
        yaml(sums, viewed, "key: [k]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s"),
    ] {
        let said = verdict(pg.source(), sqlite.source(), &check).await;
        assert!(said.starts_with("unordered: right"), "{said}");
    }
    let distinct = yaml(
        "select distinct k from t",
        "select distinct k from t",
        "key: [k]\n      confirm_after: 0s",
    );
    let said = verdict(pg.source(), sqlite.source(), &distinct).await;
    assert!(said.starts_with("unordered: right"), "{said}");
}

/// Texts that some collation takes for one, and sums that differ where nobody merges them.
const DIFFERING: [&str; 2] = ["('A', 5), ('a', 5)", "('A', 1), ('a', 9)"];

#[tokio::test]
async fn a_cast_that_only_the_select_list_has_and_views_hide_no_merging() {
    let (pg, maria) = (Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await);
    let others = [Database::new(Engine::Postgres).await, Database::new(Engine::MySql).await];
    let of_pg = "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
                 create table t (k text collate loose, v integer); insert into t values ";
    let of_maria = "create table t (k varchar(20) collate utf8mb4_general_ci, v integer); insert into t values ";
    let views = "; create view sums as select k, sum(v) as v from t group by k; \
                 create view more as select k, v from sums";
    for (place, values) in DIFFERING.into_iter().enumerate() {
        let [a, b] = [[&pg, &others[0]], [&maria, &others[1]]].map(|sides| sides[place]);
        a.prepare(&format!("{of_pg}{values}{views}")).await;
        b.prepare(&format!("{of_maria}{values}{views}")).await;
    }
    let (c, bin) = ("collate \"C\"", &*format!("collate {}", nopad()));
    for (left, right, cast) in [(&pg, &others[0], c), (&maria, &others[1], bin)] {
        let engine = left.engine();
        for (sql, merged) in [
            (format!("select k {cast} as k, sum(v) as v from t group by k"), true),
            (format!("select t.k {cast} as k, sum(v) as v from t group by t.k"), true),
            (
                format!(
                    "select q.k {cast} as k, v from (select k, sum(v) as v from t group by k) as q"
                ),
                true,
            ),
            (format!("select k {cast} as k, v from sums"), true),
            (format!("select k {cast} as k, v from more"), true),
            (format!("select k {cast} as k, sum(v) as v from t group by k {cast}"), false),
            (format!("select k {cast} as k, v from t where k <> 'group'"), false),
        ] {
            let sql = sql.replace('"', "\\\"");
            let wanted = if merged { "unordered: " } else { "violated: " };
            let results = yaml(
                &sql,
                &sql,
                "key: [k]\n      compare: {v: {tolerance: 0}}\n      confirm_after: 0s",
            );
            for check in [results, rows_alone(&sql, &sql, "compare: {v: {tolerance: 0}}")] {
                let said = verdict(left.source(), right.source(), &check).await;
                assert!(said.starts_with(wanted), "{engine:?} {sql}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn spaces_at_the_end_and_a_distinct_by_an_index_merge_too() {
    let (left, right) = (Database::new(Engine::MySql).await, Database::new(Engine::MySql).await);
    let table =
        "create table t (k varchar(20) collate utf8mb4_bin, v integer); insert into t values ";
    left.prepare(&format!("{table} ('a', 5), ('a ', 5)")).await;
    right.prepare(&format!("{table} ('a', 1), ('a ', 9)")).await;
    let sums = |cast: &str| format!("select k {cast} as k, sum(v) as v from t group by k {cast}");
    for (sql, wanted) in [
        (sums(""), "unordered: "),
        (sums(&format!("collate {}", nopad())), "violated: "),
        ("select k, v from t".to_owned(), "violated: "),
    ] {
        let said = verdict(
            left.source(),
            right.source(),
            &rows_alone(&sql, &sql, "compare: {v: {tolerance: 0}}"),
        )
        .await;
        assert!(said.starts_with(wanted), "{sql}: {said}");
    }
    let (left, right) = (Database::new(Engine::Sqlite).await, Database::new(Engine::Sqlite).await);
    for (database, rows) in [(&left, "('A'), ('a')"), (&right, "('A'), ('A')")] {
        let made = "create table t (k text collate nocase); create index i on t (k); \
                    create view seen as select distinct k from t; insert into t values ";
        database.prepare(&format!("{made}{rows}")).await;
    }
    let seen = "select k from seen";
    let said = verdict(left.source(), right.source(), &rows_alone(seen, seen, "")).await;
    assert!(said.starts_with("unordered: "), "{said}");
}

#[tokio::test]
async fn a_text_of_mariadb_without_a_length_is_a_key() {
    let maria = Database::new(Engine::MySql).await;
    maria
        .prepare("create table t (k text collate utf8mb4_bin, v integer); insert into t select sha2(seq, 256), seq from seq_1_to_6000")
        .await;
    let sql = "select k, v from t";
    let check = rows_alone(sql, sql, "compare: {v: {tolerance: 0}}");
    assert_eq!(verdict(maria.source(), maria.source(), &check).await, "confirmed");
}
