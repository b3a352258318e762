//! What passes for green elsewhere (docs/internals/silent-green.md, "Runs that prove nothing"), row by row: here it never does.

use allswell::domain::check::verdict::Verdict;

use crate::cli::{allswell, code, err, out, project};
use crate::lab::{Database, ENGINES, look, shown, verdict};

const CHECKS: &str = "
version: 1
owner: t
defaults: {source: db}
checks:
  - id: nothing-is-missing
    why: Each order has a customer.
    sql: |
      select customer from orders
    expect: {values: {customer: {not_equals: nobody}}}
  - id: everything-is-valid
    why: Each order has a state that we know.
    sql: |
      select state from orders
    expect: {values: {state: {one_of: [open, paid]}}}
  - id: nothing-is-there-twice
    why: An order is an order.
    sql: |
      select id from orders group by id having count(*) > 1
    expect: {rows: {equals: 0}}
    evidence:
      sql: |
        select count(*) from orders
  - id: no-row-is-bad
    why: No total is negative.
    sql: |
      select id from orders where total < 0
    expect: {rows: {equals: 0}}
    evidence:
      sql: |
        select count(*) from orders
";
const TABLE: &str = "create table orders (id integer, customer varchar(20), state varchar(20), \
                     total integer, at varchar(20))";
const ONE_GOOD_ROW: &str = "insert into orders values (1, 'ann', 'open', 5, '2026-01-01')";

async fn words(db: &Database, yaml: &str) -> Vec<String> {
    look(db.source(), yaml).await.iter().map(|o| shown(&o.judgement.verdict)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_is_no_evidence() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare(TABLE).await;
        for word in words(&db, CHECKS).await {
            assert!(word.starts_with("no_evidence"), "{engine}: {word}");
        }
        db.prepare(ONE_GOOD_ROW).await;
        assert_eq!(words(&db, CHECKS).await, ["confirmed"; 4], "{engine}: the control");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_is_no_evidence() {
    let filtered = CHECKS.replace("from orders", "from orders where state = 'opne'");
    let filtered = filtered.replace("where state = 'opne' where", "where state = 'opne' and");
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare(&format!("{TABLE}; {ONE_GOOD_ROW}")).await;
        for word in words(&db, &filtered).await {
            assert!(word.starts_with("no_evidence"), "{engine}: {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn freshness_of_an_empty_table_is_no_evidence_and_old_data_is_violated() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare(TABLE).await;
        let rest = "expect:\n  values:\n    newest: {min: 2026-01-01}";
        let said = verdict(db.source(), "select max(at) as newest from orders", rest).await;
        assert!(said.starts_with("no_evidence") && said.contains("NULL"), "{engine}: {said}");
        db.prepare(ONE_GOOD_ROW).await;
        let rest = rest.replace("2026-01-01", "2999-01-01");
        let said = verdict(db.source(), "select max(at) as newest from orders", &rest).await;
        assert!(said.starts_with("violated"), "{engine}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_is_unconfirmed_and_not_zero() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table other (n integer)").await;
        for word in words(&db, CHECKS).await {
            assert!(word.starts_with("query_error") && word.contains("orders"), "{engine}: {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_bounds_of_a_limit_are_judged() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare(&format!("{TABLE}; {ONE_GOOD_ROW}")).await;
        for (limit, holds) in
            [("{min: 1, max: 4}", false), ("{min: 6, max: 9}", false), ("{min: 1, max: 9}", true)]
        {
            let rest = format!("expect:\n  values:\n    total: {limit}");
            let outcome =
                look(db.source(), &crate::lab::one_check("select total from orders", &rest)).await;
            let confirmed = outcome[0].judgement.verdict == Verdict::Confirmed;
            assert_eq!(confirmed, holds, "{engine}: {limit}");
        }
    }
}

/// Each of these runs nothing, or proves nothing, and says so with its exit code.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_proves_nothing_ends_with_zero() {
    let db = Database::new(allswell::domain::sql::Engine::Sqlite).await;
    db.prepare(&format!("{TABLE}; {ONE_GOOD_ROW}")).await;
    let url = db.url();
    let cases = [
        ("no checks at all", "version: 1\nchecks: []\n".to_owned(), 64, "the list is empty"),
        ("an empty file", String::new(), 64, "the file is empty"),
        ("a misspelt section", CHECKS.replace("checks:", "chekcs:"), 64, "did you mean `checks`"),
        ("a misspelt option", CHECKS.replace("one_of", "oneof"), 64, "did you mean `one_of`"),
        (
            "a limit with bounds that exclude each other",
            CHECKS.replace("{one_of: [open, paid]}", "{min: 5, max: 1}"),
            64,
            "no value is at least 5 and at most 1",
        ),
        (
            "an option at the wrong depth",
            CHECKS.replace("    expect: {rows: {equals: 0}}", "    expect:\n    rows: {equals: 0}"),
            64,
            "`rows` is for `table`",
        ),
        (
            "a table that is not there",
            CHECKS.replace("from orders", "from ordres"),
            2,
            "no such table",
        ),
        (
            "an empty table",
            CHECKS.replace("from orders", "from (select * from orders limit 0)"),
            2,
            "no_evidence",
        ),
    ];
    for (what, checks, exit, wanted) in cases {
        let folder = project(&url, &checks);
        let output = allswell(folder.path(), &["run"]);
        let said = format!("{}{}", out(&output), err(&output));
        assert_eq!(code(&output), exit, "{what}: {said}");
        assert!(said.contains(wanted), "{what}: {said}");
    }
    let folder = project(&url, CHECKS);
    assert_eq!(code(&allswell(folder.path(), &["run"])), 0, "the control");
    std::fs::remove_file(folder.path().join("checks/all.yaml")).unwrap();
    assert_eq!(code(&allswell(folder.path(), &["run"])), 64, "a folder whose checks are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_column_in_double_quotes_is_not_a_text() {
    let db = Database::new(allswell::domain::sql::Engine::Sqlite).await;
    db.prepare(&format!("{TABLE}; {ONE_GOOD_ROW}")).await;
    let rest = "expect:\n  rows: {equals: 0}\nevidence: {sql: select count(*) from orders}";
    let said = verdict(db.source(), "select id from orders where \"totl\" = 'bad'", rest).await;
    assert!(said.starts_with("query_error: no such column"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_is_not_proved() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let cases: [(&str, &str, &str); 6] = [
            ("expect:\n  rows: {min: 1, max: 3}\nmax_rows: 3", "violated", "saw 4"),
            ("expect:\n  values:\n    n: {min: 1}\nmax_rows: 3", "over_limit", "more than 3 rows"),
            ("expect:\n  rows: {min: 2}\nmax_rows: 3", "over_limit", "more than 3 rows"),
            ("expect:\n  rows: {equals: 2}\nmax_rows: 3", "violated", "may be more"),
            ("expect:\n  values:\n    n: {max: 1}\nmax_rows: 3", "violated", "broken on 2 of 3"),
            ("expect:\n  rows: {min: 2}\nmax_rows: 4", "confirmed", ""),
        ];
        db.prepare("create table t (n integer); insert into t values (1), (2), (3), (4)").await;
        for (rest, verdict_word, wanted) in cases {
            let said = verdict(db.source(), "select n from t order by n", rest).await;
            assert!(
                said.starts_with(verdict_word) && said.contains(wanted),
                "{engine}: {rest}: {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_keys_have_to_exist_and_to_appear() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table stores (id integer); create table sales (store_id integer)").await;
        let sql = "select store_id as id from sales";
        let rest =
            "expect:\n  keys:\n    columns: [id]\n    from:\n      sql: select id from stores";
        let said = verdict(db.source(), sql, rest).await;
        assert!(said.starts_with("no_evidence: 0 keys were expected"), "{engine}: {said}");
        let counted = format!("{rest}\nevidence: {{sql: select 5}}");
        let said = verdict(db.source(), sql, &counted).await;
        assert!(said.starts_with("no_evidence: 0 keys were expected"), "{engine}: {said}");
        db.prepare("insert into stores values (1), (2), (3)").await;
        let said = verdict(db.source(), sql, rest).await;
        assert!(said.contains("3 of 3 expected did not appear: 1, 2, 3"), "{engine}: {said}");
        db.prepare("insert into sales values (1), (3), (3), (9), (null)").await;
        let said = verdict(db.source(), sql, rest).await;
        assert!(said.contains("1 of 3 expected did not appear: 2"), "{engine}: {said}");
        db.prepare("insert into sales values (2)").await;
        assert_eq!(verdict(db.source(), sql, rest).await, "confirmed", "{engine}");
        db.prepare("insert into stores values (null)").await;
        let said = verdict(db.source(), sql, rest).await;
        assert!(
            said.contains("violated: keys: 1 of the expected keys are NULL"),
            "{engine}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_one_whole_number_or_nothing() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        db.prepare("create table t (n integer); insert into t values (1), (2)").await;
        let cases = [
            ("select 5", "confirmed"),
            ("select 0", "no_evidence"),
            ("select -1", "query_error"),
            ("select 0.5", "query_error"),
            ("select null", "query_error"),
            ("select 'many'", "query_error"),
            ("select n from t", "query_error"),
            ("select n from t where n > 5", "query_error"),
            ("select 1, 2", "query_error"),
            ("select count(*) from nowhere", "query_error"),
        ];
        for (evidence, wanted) in cases {
            let rest =
                format!("expect:\n  rows: {{equals: 0}}\nevidence:\n  sql: |\n    {evidence}");
            let said = verdict(db.source(), "select n from t where n > 9", &rest).await;
            assert!(said.starts_with(wanted), "{engine}: {evidence}: {said}");
        }
        // What is wrong is wrong, whatever the evidence is.
        let rest = "expect:\n  values:\n    n: {min: 9}\nevidence: {sql: select null}";
        let said = verdict(db.source(), "select n from t", rest).await;
        assert!(said.starts_with("violated"), "{engine}: {said}");
        for (column, wanted) in
            [("n", "confirmed"), ("n - 2", "query_error"), ("null", "query_error")]
        {
            let sql = format!("select n, {column} as looked from t");
            let rest = "expect:\n  values:\n    n: {min: 1}\nevidence: {column: looked, min: 3}";
            let said = verdict(db.source(), &sql, rest).await;
            assert!(said.starts_with(wanted), "{engine}: {column}: {said}");
        }
    }
}
