//! `suggest`: what is proposed holds, is not held by the database already, and is what a person would have written.

use std::fs;
use std::process::Output;

use chrono::{Duration, Utc};

use allswell::domain::sql::Engine;

use crate::cli::{code, command, err, out};
use crate::lab::{Database, ENGINES};
use crate::servers::Folder;

/// A shop of the last 40 days; of some tables the database holds what others only happen to keep.
fn shop(engine: Engine) -> Vec<String> {
    let instant = match engine {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime",
        Engine::Sqlite => "text",
    };
    let mut all: Vec<String> = [
        "create table customers (id integer primary key, email varchar(80), country varchar(8) not null)",
        "create table orders (id integer primary key, customer_id integer, number varchar(20), state varchar(20) not null, \
         total_cents bigint, note varchar(80), created_at @ not null, paid_at @)",
        "create table order_lines (order_id integer not null, product_id integer not null, quantity integer)",
        "create table products (id integer primary key, sku varchar(20) unique, price integer check (price >= 0))",
        "create table payments (id integer primary key, order_id integer not null references orders (id), \
         amount_cents bigint, kind varchar(8), at @)",
        "create table refunds (id integer primary key, amount_cents bigint, at @)",
        "create table stores (id integer primary key, closed integer)",
        "create table visits (store_id integer, visitors integer, at @)",
        "create table coupons (code varchar(20), percent integer)",
        "create table logins (id integer primary key, customer_id integer, ok integer, created_at @)",
        "create table suppliers (id integer primary key, name varchar(40))",
        "create table odd (\"Größe\" integer, \"on\" varchar(9))",
    ]
    .map(|table| table.replace('@', instant))
    .to_vec();
    if engine == Engine::MySql {
        all = all.iter().map(|sql| sql.replace('"', "`")).collect();
    }
    all.extend(rows());
    all
}

/// What is in the tables: 40 days of most.
fn rows() -> Vec<String> {
    let mut all = Vec::new();
    let now = Utc::now().naive_utc();
    let at = |hours: i64, minutes: i64| {
        format!(
            "'{}'",
            (now - Duration::hours(hours) + Duration::minutes(minutes)).format("%Y-%m-%d %H:%M:%S")
        )
    };
    let mut insert = |table: &str, rows: Vec<String>| {
        all.push(format!("insert into {table} values {}", rows.join(", ")));
    };
    insert(
        "customers",
        (1..=60)
            .map(|n| format!("({n}, 'c{n}@shop.example', '{}')", ["DE", "FR"][n % 2]))
            .collect(),
    );
    let state = |n: i64| ["open", "paid", "void"][usize::try_from(n % 3).unwrap()];
    let hours = || 0..40 * 24;
    insert(
        "orders",
        hours()
            .map(|n| {
                let note = if n % 7 == 0 { "'late'" } else { "null" };
                format!(
                    "({n}, {}, 'N{n}', '{}', {}, {note}, {}, {})",
                    n % 60 + 1,
                    state(n),
                    n * 10,
                    at(n, 0),
                    at(n, 5)
                )
            })
            .collect(),
    );
    insert(
        "order_lines",
        hours().map(|n| format!("({n}, {}, {})", n % 30 + 1, n % 5 - 1)).collect(),
    );
    insert("products", (1..=30).map(|n| format!("({n}, 'S{n}', {n})")).collect());
    insert(
        "payments",
        hours()
            .map(|n| {
                format!(
                    "({n}, {n}, {}, '{}', {})",
                    n * 10,
                    ["card", "cash"][usize::try_from(n % 2).unwrap()],
                    at(n, 5)
                )
            })
            .collect(),
    );
    // One in a while: there are days without any.
    insert("refunds", (0..30).map(|n| format!("({n}, {}, {})", 50 - n, at(n * 31, 0))).collect());
    insert("stores", (1..=3).map(|n| format!("({n}, 0)")).collect());
    insert(
        "visits",
        hours().map(|n| format!("({}, {}, {})", n % 3 + 1, n % 90, at(n, 0))).collect(),
    );
    insert("coupons", (0..40).map(|n| format!("('K{n}', {})", n % 4 * 5)).collect());
    insert(
        "logins",
        hours().map(|n| format!("({n}, {}, {}, {})", n % 70 + 1, n % 2, at(n, 0))).collect(),
    );
    insert("suppliers", vec!["(1, 'one')".into()]);
    insert("odd", (0..80).map(|n| format!("({n}, '{}')", ["on", "off"][n % 2])).collect());
    all
}

/// What is proposed at least for a table, and what is not.
const RULES: [(&str, &[&str], &[&str]); 9] = [
    (
        "customers",
        &["email: {nulls: none, unique: true}", "country: {one_of: [DE, FR]}"],
        &["      id:"],
    ),
    (
        "orders",
        &[
            "at: created_at",
            "customer_id: {nulls: none, in: customers.id}",
            "number: {nulls: none}",
            "state: {one_of: [open, paid, void]}",
            "total_cents: {min: 0}",
            "paid_at: {nulls: none}",
            "never: [\"paid_at < created_at\"]",
            "rows: {past: 7, min_ratio: 0.5}",
            "number: {unique: true}",
            "left out: note: expected no NULL",
        ],
        &["    note:", "      id:"],
    ),
    (
        "order_lines",
        &["product_id: {in: products.id}", "unique: [[order_id, product_id]]", "the lowest is -1"],
        &["quantity: {min"],
    ),
    (
        "products",
        &["sku: {nulls: none}", "holds this itself, a check: price"],
        &["min: 0", "unique: true"],
    ),
    ("payments", &["kind: {one_of: [card, cash]}", "amount_cents: {min: 0}"], &[]),
    (
        "refunds",
        &["amount_cents: {min: 0}", "schedule: {every: 1d}", "some days have none"],
        &["window:"],
    ),
    ("visits", &["store_id: {nulls: none, in: stores.id}", "visitors: {min: 0}"], &[]),
    ("coupons", &["code: {nulls: none, unique: true}", "percent: {min: 0}"], &["one_of"]),
    // Some of them log in who are no customers.
    (
        "logins",
        &["customer_id: {nulls: none}", "left out: customer_id: expected one of customers.id"],
        &["in: customers"],
    ),
];

fn suggest(folder: &Folder, args: &[&str]) -> Output {
    command(folder.path(), &[&["suggest"], args].concat()).env("WATCH", "watch").output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_holds_and_is_what_a_person_would_have_written() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        for sql in shop(engine) {
            db.prepare(&sql).await;
        }
        if engine == Engine::Postgres {
            db.prepare("analyze").await;
        }
        let folder = Folder::new("suggest");
        let more = match engine {
            Engine::Sqlite => "instants: sql",
            Engine::Postgres | Engine::MySql => "password: \"${env:WATCH}\"",
        };
        let settings =
            format!("checks: [one.yaml]\nsources: {{shop: {{url: \"{}\", {more}}}}}\n", db.url());
        fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
        for (table, wanted, unwanted) in RULES {
            let output = suggest(&folder, &[table]);
            let text = out(&output);
            assert_eq!(code(&output), 0, "{engine} {table}: {text}{}", err(&output));
            for words in wanted {
                assert!(text.contains(words), "{engine} {table}: {words}\n{text}");
            }
            let yaml = text.split_once("checks:\n").unwrap().1;
            for words in unwanted {
                assert!(!yaml.contains(words), "{engine} {table}: {words}\n{text}");
            }
            // As it was printed, it runs and holds.
            fs::write(folder.path().join("one.yaml"), &text).unwrap();
            let run = command(folder.path(), &["run"]).env("WATCH", "watch").output().unwrap();
            assert_eq!(code(&run), 0, "{engine} {table}: {}{}", out(&run), err(&run));
        }
        let thin = suggest(&folder, &["stores"]);
        assert!(code(&thin) == 2 && err(&thin).contains("3 rows: too few"), "{}", err(&thin));
        let odd = suggest(&folder, &["odd"]);
        assert!(
            out(&odd).contains("\"on\": {one_of: [\"off\", \"on\"]}"),
            "{}{}",
            out(&odd),
            err(&odd)
        );
        assert!(out(&odd).contains("\"Größe\": {min: 0}"), "{}", out(&odd));
        for (args, words) in [
            (&["odrers"][..], "there is no table `odrers`"),
            (&["orders", "--at", "creatd_at"], "did you mean `created_at`"),
            (&["orders", "--source", "shpo"], "did you mean `shop`"),
            (&["orders", "--zone", "Europe/Berln"], "no zone is called"),
            (&["a;b"], "a table's name"),
        ] {
            let refused = suggest(&folder, args);
            assert!(
                code(&refused) != 0 && err(&refused).contains(words),
                "{args:?}: {}",
                err(&refused)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_does_not_hold_is_not_taken_for_held() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare(
        "create table parents (id integer primary key);
         insert into parents with recursive n(i) as (select 1 union all select i + 1 from n where i < 60) select i from n;
         create table kids (code text primary key, parent_id integer references parents (id), check_id integer,
           amount integer check (amount >= 0), kind text, \"from\" datetime, \"to\" datetime, gone_at datetime);
         insert into kids select 'k' || id, id, id, id, case id % 2 when 0 then 'a' else 'b' end,
           '2026-01-01 10:00:00', '2026-01-02 10:00:00', null from parents;
         create unique index lowered on kids (lower(kind), code)",
    )
    .await;
    let folder = Folder::new("suggest");
    let settings =
        format!("checks: []\nsources: {{shop: {{url: \"{}\", instants: sql}}}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings.replace("checks: []\n", "")).unwrap();
    let output = suggest(&folder, &["kids"]);
    let text = out(&output);
    assert_eq!(code(&output), 0, "{text}{}", err(&output));
    for wanted in [
        "code: {nulls: none}",
        "parent_id: {nulls: none, in: parents.id}",
        "kind: {one_of: [a, b]}",
        "holds this itself, a check: amount\n",
        "holds this itself, unique: code\n",
        r#"never: ["\"to\" < \"from\""]"#,
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    // Nothing is proposed of a column that has no value.
    assert!(!text.contains("gone_at <") && !text.contains("< gone_at"), "{text}");
    assert!(!text.contains("a check: kind") && !text.contains("foreign key"), "{text}");
}

/// Proposes for a table, runs what was printed, and gives it.
fn held(folder: &Folder, args: &[&str]) -> String {
    let output = suggest(folder, args);
    let text = out(&output);
    assert_eq!(code(&output), 0, "{args:?}: {text}{}", err(&output));
    fs::write(folder.path().join("proposed.yaml"), &text).unwrap();
    let run = command(folder.path(), &["run", "proposed.yaml"]).output().unwrap();
    assert_eq!(code(&run), 0, "{args:?}: {text}{}{}", out(&run), err(&run));
    text
}

#[test]
fn what_is_proposed_for_the_demo_holds() {
    let folder = Folder::new("suggest-demo");
    let made = command(folder.path(), &["demo", "--folder", "."]).output().unwrap();
    assert!(out(&made).contains("violated"), "{}{}", out(&made), err(&made));
    for (table, source, wanted) in [
        ("billed_hours", "billing", "cents: {min: 0}"),
        ("accounts", "company", "plan: {one_of: [basic, business, plus]}"),
        ("invoice_lines", "company", "account_id: {in: accounts.id}"),
        ("usage", "company", "account_id: {in: accounts.id}"),
    ] {
        let text = held(&folder, &[table, "--source", source]);
        assert!(text.contains(wanted), "{table}: {wanted}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_for_years_of_electricity_and_for_500_columns_holds() {
    let db = Database::new(Engine::Sqlite).await;
    db.prepare(
        "create table demand (half_hour integer, at text, mwh real, celsius real, local_date text, holiday text)",
    )
    .await;
    for batch in crate::electricity::rows().chunks(2_000) {
        let rows: Vec<String> = batch
            .iter()
            .map(|[half_hour, at, mwh, celsius, date, holiday]| {
                format!("({half_hour}, '{at}', {mwh}, {celsius}, '{date}', '{holiday}')")
            })
            .collect();
        db.prepare(&format!("insert into demand values {}", rows.join(", "))).await;
    }
    let columns: Vec<String> = (0..500).map(|n| format!("c{n} integer")).collect();
    db.prepare(&format!("create table wide ({})", columns.join(", "))).await;
    for row in 0..60 {
        let values: Vec<String> = (0..500).map(|n| (n + row).to_string()).collect();
        db.prepare(&format!("insert into wide values ({})", values.join(", "))).await;
    }
    let folder = Folder::new("suggest-large");
    let settings = format!("sources: {{db: {{url: \"{}\", instants: sql}}}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let text = held(&folder, &["demand"]);
    for wanted in ["half_hour: {min: 0}", "mwh: {min: 0}", "holiday: {one_of: ["] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let wide = held(&folder, &["wide"]);
    assert_eq!(wide.matches("{min: 0").count(), 500, "{wide}");
}
