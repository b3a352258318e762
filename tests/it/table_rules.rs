//! What rules for tables say of windows, zones and rows, by the command line.

use std::collections::BTreeMap;
use std::fs;

use chrono::{Duration, Utc};
use serde_json::Value;

use crate::cli::{allswell, err, out, project};
use crate::lab::Other;
use crate::servers::Folder;

/// A check for each rule, of which most find something.
const RULES: &str = "  - {id: set, why: w, table: orders, columns: {state: {one_of: [open, paid, draft]}}}
  - {id: but, why: w, table: orders, columns: {state: {not_one_of: [draft, Paid]}}}
  - {id: masked, why: w, table: orders, columns: {state: {one_of: [paid]}, total: {max: 5}}, mask: [state, total]}
  - {id: orphan, why: w, table: orders, columns: {customer: {in: customers.id}}, samples: {columns: [id]}}
  - {id: share, why: w, table: customers, columns: {email: {nulls: {max_ratio: 0.34}, length: {max: 14}}}}
  - {id: too-many, why: w, table: customers, columns: {email: {nulls: {max_ratio: 0.333}}}}
  - {id: only, why: w, table: customers, columns: {email: {nulls: only}}, samples: {columns: [id]}}
  - {id: like, why: w, table: customers, columns: {email: {pattern: '^[^@]+@[^@]+$', nulls: allowed}}}
  - {id: never, why: w, table: orders, never: [total < 0, total > 100], samples: {columns: [id, total]}}
  - {id: pairs, why: w, table: orders, unique: [[id, customer]]}
  - {id: old, why: w, table: orders, newest: {of: at, within: 1d}}
  - {id: new, why: w, table: fresh, newest: {of: at, within: 2h}}
  - {id: future, why: w, table: ahead, newest: {of: at, within: 2h}}
  - {id: absent, why: w, table: orders, columns: {Totals: {}}}
  - {id: present, why: w, table: orders, columns: {total: }}
  - {id: dated, why: w, table: orders, columns: {day: {min: 2026-01-01}}}
  - {id: sparse, why: w, table: empty, columns: {id: {min: 1}}, evidence: {min: 0, because: none is normal}}
  - {id: same, why: w, tables: [alike, orders], columns: {id: {unique: true}}}
  - {id: many, why: w, table: orders, max_rows: 2, columns: {state: {not_equals: none}}}
";

/// What each of them says, and which rows it shows.
const FOUND: [(&str, &str, &[&str]); 20] = [
    (
        "set",
        "violated: state: expected one of open, paid, draft, broken on 1 of 5 rows: \"Paid\"",
        &[],
    ),
    (
        "but",
        "state: expected not draft, broken on 1 of 5 rows: \"draft\"; state: expected not Paid, broken",
        &[],
    ),
    (
        "masked",
        "broken on 4 of 5 rows; total: expected at most 5, and the highest is not",
        &["total=***"; 3],
    ),
    (
        "orphan",
        "customer: expected one of customers.id, broken on 1 of 5 rows",
        &["customer=9 id=2"],
    ),
    ("share", "confirmed", &[]),
    ("too-many", "email: expected NULL on at most 0.333 of the rows, broken on 1 of 3 rows", &[]),
    (
        "only",
        "email: expected nothing but NULL, broken on 2 of 3 rows",
        &["email=\"a@shop.example\" id=1", "email=\"b.shop.example\" id=2"],
    ),
    (
        "like",
        "email: expected like ^[^@]+@[^@]+$, broken on 1 of 3 rows",
        &["email=\"b.shop.example\""],
    ),
    ("never", "never `total < 0`: it holds on 1 of 5 rows", &["id=2 total=-3"]),
    ("pairs", "confirmed", &[]),
    ("old", "violated: at: expected at least now - 1d", &[]),
    ("new", "confirmed", &[]),
    ("future", "violated: at: expected at most now + 5m, the newest is \"2099-01-01", &[]),
    ("absent", "query_error", &[]),
    ("present", "confirmed", &[]),
    ("dated", "unsupported_type: `day` holds its dates as texts", &[]),
    ("sparse", "confirmed", &[]),
    ("same-alike", "confirmed", &[]),
    ("same-orders", "id: 1 value is there more than once", &["id=2 (2 times)"]),
    ("many", "over_limit", &[]),
];

/// Orders of two days in Berlin and in Tokyo, of which something is wrong with most.
async fn shop(checks: &str) -> Folder {
    let head = "version: 1\nowner: shop\ndefaults: {source: db}\nchecks:\n";
    let folder = project("sqlite:data.db", &format!("{head}{checks}"));
    let settings = "sources: {db: {url: \"sqlite:data.db\", instants: sql}}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    let path = folder.path().join("data.db");
    fs::write(&path, "").unwrap();
    let mut data = Other::sqlite(&path).await;
    let hour_ago = (Utc::now() - Duration::hours(1)).format("%Y-%m-%d %H:%M:%S");
    data.run(&format!(
        "create table customers (id integer, email text);
         insert into customers values (1, 'a@shop.example'), (2, 'b.shop.example'), (3, null);
         create table orders (id integer, customer integer, state text, total integer, tz text, at text, day text);
         insert into orders values
           (1, 1, 'open', 5, 'Europe/Berlin', '2026-03-28 23:30:00', '2026-03-29'),
           (2, 9, 'paid', -3, 'Europe/Berlin', '2026-03-29 01:30:00', '2026-03-29'),
           (2, 2, 'Paid', 10, 'Europe/Berlin', '2026-03-29 21:30:00', '2026-03-29'),
           (3, null, 'draft', 7, 'Asia/Tokyo', '2026-03-28 15:30:00', '2026-03-29'),
           (4, 1, 'open', 7, 'Europe/Berlin', '2026-03-29 22:30:00', '2026-03-30');
         create table fresh (at text);
         insert into fresh values ('{hour_ago}');
         create table ahead (at text);
         insert into ahead values ('{hour_ago}'), ('2099-01-01 00:00:00');
         create table empty (id integer, at text);
         create table alike (id integer);
         insert into alike values (1)"
    ))
    .await
    .unwrap();
    data.close().await;
    folder
}

/// What `run` says of each check, and of each zone of it.
fn said(folder: &Folder, more: &[&str]) -> BTreeMap<String, (String, Vec<String>)> {
    let output = allswell(folder.path(), &[&["run", "--output", "json"], more].concat());
    let json: Value =
        serde_json::from_str(&out(&output)).unwrap_or_else(|_| panic!("{}", err(&output)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |run: &Value| {
        let tz = run["tz"].as_str().map(|tz| format!(" {tz}")).unwrap_or_default();
        let verdict =
            text(run.get("cause").filter(|cause| cause.is_string()).unwrap_or(&run["verdict"]));
        let finding = text(&run["finding"]);
        let said = if finding.is_empty() { verdict } else { format!("{verdict}: {finding}") };
        let rows = run["rows"].as_array().unwrap().iter().map(text).collect();
        (format!("{}{tz}", text(&run["check"])), (said, rows))
    };
    json["runs"].as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn holds(said: &BTreeMap<String, (String, Vec<String>)>, cases: &[(&str, &str, &[&str])]) {
    for (check, wanted, rows) in cases {
        let (text, shown) = said.get(*check).unwrap_or_else(|| panic!("{check}: {said:?}"));
        assert!(text.contains(wanted), "{check}: {text}");
        assert_eq!(shown, rows, "{check}: {text}");
    }
    assert_eq!(said.len(), cases.len(), "{said:?}");
}

#[tokio::test]
async fn each_window_is_judged_by_its_own_rows() {
    let folder = shop(
        "  - {id: whole, why: w, table: orders, window: {period: day, zone: Europe/Berlin}, at: at,
     columns: {total: {min: 0}}, rows: {equals: 3}, where: tz = 'Europe/Berlin' -- ours}
  - {id: dates, why: w, table: orders, window: {period: day, zone: Europe/Berlin}, on: day, rows: {equals: 4}}
  - {id: zones, why: w, table: orders, window: {period: day, zones: [Europe/Berlin, Asia/Tokyo, America/Lima]}, at: at,
     zone_column: tz, columns: {customer: {nulls: none}}}
  - {id: none, why: w, table: empty, window: {period: day, zone: UTC}, at: at, columns: {id: {unique: true}}}
  - {id: less, why: w, table: orders, window: {period: day, zone: Europe/Berlin}, at: at, rows: {past: 1, min_ratio: 0.5}}
  - {id: older, why: w, table: orders, window: {period: day, zone: Europe/Berlin}, at: at, rows: {past: 7, min_ratio: 0.5}}
  - {id: twice, why: w, table: orders, window: {period: day, zone: Europe/Berlin}, at: at,
     columns: {id: {unique: true}}, evidence: {min: 5}}
",
    )
    .await;
    holds(
        &said(&folder, &["--window", "2026-03-29"]),
        &[
            ("whole", "violated: total: expected at least 0, the lowest is -3", &["total=-3"]),
            ("dates", "confirmed", &[]),
            ("zones Europe/Berlin", "confirmed", &[]),
            ("zones Asia/Tokyo", "violated: customer: expected no NULL, broken on 1 of 1 row", &[]),
            ("zones America/Lima", "no_evidence", &[]),
            ("none", "no_evidence", &[]),
            ("less", "confirmed", &[]),
            ("older", "no_evidence: 7 windows earlier there was no row", &[]),
            (
                "twice",
                "violated: id: 1 value is there more than once, on 2 rows",
                &["id=2 (2 times)"],
            ),
        ],
    );
    // The day after has a quarter of the rows.
    let next = said(&folder, &["--window", "2026-03-30", "--check", "less"]);
    let (text, _) = &next["less"];
    let wanted =
        "rows: expected at least 0.5 times as many as 1 window earlier, saw 1 where there were 3";
    assert!(text.contains(wanted), "{text}");
    // Each part of a day with one offset has rows of its own.
    let parts = shop(
        "  - {id: parts, why: w, table: orders, window: {period: day, zone: Europe/Berlin, split: utc_offset}, at: at,
     columns: {customer: {in: customers.id}}}
",
    )
    .await;
    let output = allswell(parts.path(), &["run", "--window", "2026-03-29", "--output", "json"]);
    let json: Value = serde_json::from_str(&out(&output)).unwrap();
    let verdicts: Vec<(i64, &str, &str)> = json["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let offset = run["window"]["utc_offset"].as_i64().unwrap();
            (offset, run["verdict"].as_str().unwrap(), run["finding"].as_str().unwrap_or_default())
        })
        .collect();
    let wrong = "customer: expected one of customers.id, broken on 1 of 2 rows";
    assert_eq!(verdicts, [(3_600, "confirmed", ""), (7_200, "violated", wrong)]);
}

#[tokio::test]
async fn each_rule_finds_what_breaks_it_and_shows_no_more_than_it_may() {
    let folder = shop(RULES).await;
    holds(&said(&folder, &[]), &FOUND);
    // What is asked can be seen, and a check over a table asks no more than it says.
    let text = out(&allswell(folder.path(), &["run", "--check", "set", "--sql"]));
    assert!(text.contains("values of state on db"), "{text}");
    let json = out(&allswell(folder.path(), &["validate", "--connect"]));
    assert!(json.contains("the databases would answer"), "{json}");
}
