//! What rules for a table cost: one scan for all of them, beside a plain query, and beside one query for each rule.
//!
//! `ALLSWELL_TABLE_ROWS` says how many rows there are: 300,000 where it says nothing.

use std::time::{Duration, Instant};

use allswell::domain::sql::Engine;

use crate::lab::{Database, checks, look, shown};

const TRIES: usize = 3;

/// Twenty rules that share a scan: of ten columns, and of rows.
fn rules() -> Vec<String> {
    let columns = (0..8).map(|n| format!("columns: {{c{n}: {{min: 0, max: 2000000000}}}}"));
    let texts = (0..4).map(|n| format!("columns: {{t{n}: {{length: {{max: 40}}}}}}"));
    let pairs = (0..6).map(|n| format!("never: c{n} < -{}", n + 1));
    let others =
        ["columns: {t4: {nulls: none}}", "newest: {of: at, within: 3650d}"].map(str::to_owned);
    columns.chain(texts).chain(pairs).chain(others).collect()
}

fn yaml(bodies: &[String]) -> String {
    let head = "version: 1\nowner: tests\ndefaults: {source: db, timeout: 5m}\nchecks:\n";
    let check = |(n, body): (usize, &String)| {
        format!("  - id: c-{n}\n    why: w\n    table: wide\n    {body}\n")
    };
    head.to_owned() + &bodies.iter().enumerate().map(check).collect::<String>()
}

/// All rules in one check.
fn together(rules: &[String]) -> String {
    let of = |key: &str| rules.iter().filter_map(|rule| rule.strip_prefix(key)).collect::<Vec<_>>();
    let columns: Vec<&str> =
        of("columns: {").iter().map(|rule| rule.strip_suffix('}').unwrap()).collect();
    let newest = of("newest: ")[0];
    format!(
        "columns: {{{}}}\n    never: [{}]\n    newest: {newest}",
        columns.join(", "),
        of("never: ").join(", ")
    )
}

async fn took(db: &Database, yaml: &str) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let mut all = Duration::ZERO;
        for outcome in look(db.source(), yaml).await {
            assert_eq!(shown(&outcome.judgement.verdict), "confirmed");
            all += outcome.took;
        }
        best = best.min(all);
    }
    best
}

#[tokio::test]
async fn twenty_rules_cost_one_scan() {
    let rows: u64 = std::env::var("ALLSWELL_TABLE_ROWS").map_or(300_000, |n| n.parse().unwrap());
    let db = Database::new(Engine::Postgres).await;
    let whole = (0..8).map(|n| format!("(g * {} % 1000003)::bigint AS c{n}", n + 7));
    let texts = (0..5).map(|n| format!("'text ' || g % {} AS t{n}", 100 + n));
    let columns: Vec<String> = whole.chain(texts).collect();
    db.prepare(&format!(
        "create table wide as select {}, now() - interval '1 hour' as at from generate_series(1::bigint, {rows}) as g",
        columns.join(", ")
    ))
    .await;
    db.prepare("vacuum analyze wide").await;
    let rules = rules();
    assert_eq!(rules.len(), 20);
    let one = yaml(&[together(&rules)]);
    let check = &checks(Engine::Postgres, &one)[0];
    let [statement] = check.table().unwrap().statements() else { panic!("one statement") };
    let mut owner = db.owner().await;
    // An attempt has no workers beside its own process and no compiler: the guards switch both off.
    owner.run("set max_parallel_workers_per_gather = 0; set jit = off").await.unwrap();
    let mut plain = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        owner.texts(statement.query.text()).await;
        plain = plain.min(began.elapsed());
    }
    let scan = took(&db, &one).await;
    let each = took(&db, &yaml(&rules)).await;
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let (beside, saved) = (ratio(scan, plain), ratio(each, scan));
    println!(
        "{rows} rows, 20 rules: one check {scan:?}, the plain query {plain:?} ({beside:.2} of it), a check for each rule \
         {each:?} ({saved:.1} times as long)"
    );
    assert!(beside <= 1.6, "{beside:.2} times the plain query: {scan:?} {plain:?}");
    assert!(
        saved >= 2.5,
        "one query for each rule takes {saved:.1} times as long: {each:?} {scan:?}"
    );
}
