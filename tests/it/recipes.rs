//! The recipes of docs/recipes.md, run against three engines: once where each holds, once where each finds something.

use std::collections::BTreeMap;
use std::fs;

use chrono::{Duration, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Europe::Berlin;

use allswell::domain::sql::Engine;

use crate::cli::{command, err, out};
use crate::docs::{Example, examples, indented};
use crate::lab::{Database, ENGINES};
use crate::servers::Folder;

/// The recipes that an engine has: those for all of them, and those of its own.
fn recipes(engine: Engine) -> Vec<Example> {
    let word = match engine {
        Engine::Postgres => "postgres",
        Engine::MySql => "mariadb",
        Engine::Sqlite => "sqlite",
    };
    let all = examples("docs/recipes.md").into_iter();
    let all = all.filter(|example| example.text.starts_with("- id:"));
    all.filter(|example| example.kind == "yaml" || example.kind == format!("yaml {word}")).collect()
}

fn literal(at: NaiveDateTime) -> String {
    format!("'{}'", at.format("%Y-%m-%d %H:%M:%S"))
}

/// A shop of the last ten days in which every rule is kept.
fn shop(engine: Engine) -> Vec<String> {
    let instant = match engine {
        Engine::Postgres => "timestamptz",
        Engine::MySql => "datetime",
        Engine::Sqlite => "text",
    };
    let mut all: Vec<String> = [
        "create table customers (id integer primary key, email varchar(80), country varchar(8))",
        "create table orders (id integer primary key, customer_id integer, number varchar(20), state varchar(20), \
         total_cents bigint, note varchar(80), created_at @, paid_at @)",
        "create table exports (id integer, state varchar(8), total integer, currency varchar(3))",
        "create table order_lines (order_id integer, product integer)",
        "create table prices (id integer primary key, product integer, valid_from @, valid_to @)",
        "create table products (id integer primary key)",
        "create table invoices (id integer, total_cents bigint)",
        "create table invoice_copies (id integer, amount_cents bigint)",
        "create table sales (store_id integer, sold_on date)",
        "create table stores (id integer primary key, closed integer)",
        "create table readings (meter integer, at @, received_at @)",
        "create table meters (id integer primary key, installed_at @, removed_at @)",
        "create table revenue (store_id integer, at @, cents bigint)",
        "create table revenue_new (store_id integer, at @, cents bigint)",
        "create table payments (id integer primary key, order_id integer, amount_cents bigint, paid_at @)",
    ]
    .map(|table| table.replace('@', instant))
    .to_vec();
    let now = Utc::now().naive_utc();
    let mut insert = |table: &str, rows: Vec<String>| {
        all.push(format!("insert into {table} values {}", rows.join(", ")));
    };
    insert("customers", (1..=5).map(|id| format!("({id}, 'c{id}@shop.example', 'DE')")).collect());
    insert("stores", vec!["(1, 0)".into(), "(2, 0)".into(), "(3, 1)".into()]);
    insert("products", (1..=25).map(|id| format!("({id})")).collect());
    insert("invoices", (1..=30).map(|id| format!("({id}, {id}50)")).collect());
    insert("invoice_copies", (1..=30).map(|id| format!("({id}, {id}50)")).collect());
    let (mut orders, mut lines, mut payments, mut readings) = (vec![], vec![], vec![], vec![]);
    let mut revenue = vec![];
    for back in 0..240 {
        let (id, at) = (1_000 - back, now - Duration::hours(back));
        let (placed, paid) = (literal(at), literal(at + Duration::minutes(1)));
        let customer = back % 5 + 1;
        orders.push(format!("({id}, {customer}, 'N{id}', 'paid', 1990, 'ring', {placed}, {paid})"));
        lines.extend([format!("({id}, 1)"), format!("({id}, 2)")]);
        revenue.push(format!("({}, {placed}, 1990)", back % 2 + 1));
        payments.push(format!("({id}, {id}, 1990, {paid})"));
        let hour = at.and_utc().timestamp() / 3_600 * 3_600;
        let hour = Utc.timestamp_opt(hour, 0).unwrap().naive_utc();
        readings.push(format!("(7, {}, {})", literal(hour), literal(hour + Duration::minutes(9))));
    }
    let long_ago = literal(now - Duration::days(90));
    insert("meters", vec![format!("(7, {long_ago}, null)")]);
    insert("orders", orders);
    insert("order_lines", lines);
    insert("payments", payments);
    insert("revenue", revenue.clone());
    insert("revenue_new", revenue);
    insert("readings", readings);
    let (long_ago, lately, ahead) =
        (now - Duration::days(90), now - Duration::days(9), now + Duration::days(90));
    let price = |id: i64, from, to| format!("({id}, 1, {}, {})", literal(from), literal(to));
    insert("prices", vec![price(1, long_ago, lately), price(2, lately, ahead)]);
    let today = Utc::now().with_timezone(&Berlin).date_naive();
    let days = (0..12).map(|back| today - Duration::days(back));
    insert(
        "sales",
        days.flat_map(|on| [1, 1, 2].map(|store| format!("({store}, '{on}')"))).collect(),
    );
    all
}

/// What breaks every rule of the shop.
fn damage(engine: Engine) -> Vec<String> {
    let berlin = Utc::now().with_timezone(&Berlin).date_naive();
    // The windows that are looked at: of the last days, whichever of them has settled.
    let ago = |hours: i64| literal(Utc::now().naive_utc() - Duration::hours(hours));
    let plus = |column: &str, minutes: u32| match engine {
        Engine::Postgres => format!("{column} + interval '{minutes} minutes'"),
        Engine::MySql => format!("{column} + interval {minutes} minute"),
        Engine::Sqlite => format!("datetime({column}, '+{minutes} minutes')"),
    };
    let statements = [
        "insert into customers values (11, null, 'D'), (12, 'no at', 'DE')".to_owned(),
        format!(
            "insert into orders values (2001, null, 'N999', 'opne', -5, null, {day}, {}), \
             (2002, 999, 'N999', 'paid', 7, null, {day}, {day})",
            ago(200),
            day = ago(199)
        ),
        "update orders set note = null".to_owned(),
        // The newest are gone, and most of each day.
        format!("delete from orders where created_at > {} and id <= 1000", ago(3)),
        "delete from orders where id <= 1000 and id % 3 = 0".to_owned(),
        format!("update orders set total_cents = 400 where id <= 1000 and created_at > {}", ago(100)),
        "insert into order_lines values (990, 1)".to_owned(),
        "update prices set valid_to = (select max(valid_from) from (select valid_from from prices) p) where id = 1"
            .to_owned(),
        format!("update prices set valid_from = {} where id = 2", ago(24 * 30)),
        "delete from products where id > 3".to_owned(),
        "delete from invoices where id = 9".to_owned(),
        "delete from revenue_new where store_id = 2".to_owned(),
        "alter table exports drop column currency".to_owned(),
        format!("delete from sales where store_id = 1 and sold_on >= '{}'", berlin - Duration::days(3)),
        "delete from readings where at in (select at from (select at, row_number() over (order by at) as n \
         from readings) r where n % 6 = 0)"
            .to_owned(),
        format!("update readings set received_at = {}", plus("at", 200)),
        format!("insert into payments select id + 5000, order_id, amount_cents, {} from payments", plus("paid_at", 2)),
    ];
    statements.to_vec()
}

/// Runs recipes by the program itself; returns what is said of each.
fn said(db: &Database, recipes: &[Example]) -> BTreeMap<String, String> {
    // Nothing is on its way here: there is nothing to wait for.
    let at_once = |text: &str| text.replace("\n    key: ", "\n    confirm_after: 0s\n    key: ");
    let checks: String = recipes.iter().map(|example| indented(&at_once(&example.text))).collect();
    let file =
        format!("version: 1\nowner: shop-team\ndefaults: {{source: shop}}\nchecks:\n{checks}");
    let folder = Folder::new("recipes");
    fs::write(folder.path().join("recipes.yaml"), file).unwrap();
    let more = match db.engine() {
        Engine::Sqlite => "instants: sql",
        Engine::Postgres | Engine::MySql => "password: \"${env:WATCH}\"",
    };
    let settings =
        format!("checks: [recipes.yaml]\nsources: {{shop: {{url: \"{}\", {more}}}}}\n", db.url());
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let output = command(folder.path(), &["run", "--output", "json"])
        .env("WATCH", "watch")
        .output()
        .unwrap();
    let told: serde_json::Value =
        serde_json::from_str(&out(&output)).unwrap_or_else(|e| panic!("{e}: {}", err(&output)));
    assert!(!err(&output).contains("recipes.yaml"), "a recipe is warned about: {}", err(&output));
    let runs = told["runs"].as_array().unwrap_or_else(|| panic!("{told:#}"));
    let words = |run: &serde_json::Value| {
        let words =
            ["verdict", "cause", "finding"].map(|key| run[key].as_str().unwrap_or("").to_owned());
        (run["check"].as_str().unwrap().to_owned(), words.join(" ").trim_end().to_owned())
    };
    runs.iter().map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipe_holds_on_sound_data_and_finds_what_is_broken_on_three_engines() {
    for engine in ENGINES {
        let recipes = recipes(engine);
        assert!(recipes.len() >= 18, "{engine}: {}", recipes.len());
        let db = Database::new(engine).await;
        for sql in shop(engine) {
            db.prepare(&sql).await;
        }
        let sound = said(&db, &recipes);
        assert_eq!(sound.len(), recipes.len(), "{engine}: {sound:#?}");
        let wrong: Vec<_> = sound.iter().filter(|(_, words)| *words != "confirmed").collect();
        assert!(wrong.is_empty(), "{engine}: {wrong:#?}");
        for sql in damage(engine) {
            db.prepare(&sql).await;
        }
        let broken = said(&db, &recipes);
        let missed: Vec<_> =
            broken.iter().filter(|(_, words)| !words.starts_with("violated")).collect();
        assert!(missed.is_empty(), "{engine}: {missed:#?}");
    }
}
