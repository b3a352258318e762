//! `import`: tests of other tools become checks that `validate` takes, that hold on sound data and find what is wrong, and
//! nothing is dropped in silence.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{code, command, err, out};
use crate::lab::Other;
use crate::servers::Folder;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)
}

/// Which file, of which tool, what is taken, what needs a person, what cannot be.
const FILES: [(&str, &str, [usize; 3]); 6] = [
    ("dbt", "dbt-schema.yml", [18, 6, 0]),
    ("dbt", "manifest.json", [4, 2, 0]),
    ("soda", "soda.yml", [14, 4, 1]),
    ("soda", "soda-contract.yml", [10, 1, 0]),
    ("odcs", "contract.odcs.yaml", [18, 3, 1]),
    ("sql-exporter", "collector.yml", [0, 3, 0]),
];

fn shop() -> Folder {
    let folder = Folder::new("import");
    let settings = "sources: {shop: {url: \"sqlite:shop.db\", instants: sql}}\n";
    fs::write(folder.path().join("allswell.yaml"), settings).unwrap();
    fs::create_dir(folder.path().join("checks")).unwrap();
    folder
}

async fn sql(folder: &Folder, statements: &[&str]) {
    let path = folder.path().join("shop.db");
    if !path.exists() {
        fs::write(&path, "").unwrap();
    }
    let mut shop = Other::sqlite(&path).await;
    for statement in statements {
        shop.run(statement).await.unwrap();
    }
    shop.close().await;
}

const SOUND: [&str; 4] = [
    "create table customers (id integer, email text, country text, age integer, seen_at text)",
    "create table orders (id integer, customer_id integer, tenant integer, number text, state text, total integer, note text, \
     created_at text, paid_at text)",
    "insert into customers values (1, 'a@shop.example', 'DE', 30, datetime('now')), (2, 'b@shop.example', 'AT', 40, datetime('now'))",
    "insert into orders values (1, 1, 1, 'A', 'open', 10, 'n', datetime('now', '-1 hour'), null), \
     (2, 2, 1, 'B', 'paid', 20, null, datetime('now', '-2 hours'), datetime('now')), \
     (3, 1, 2, 'A', 'void', 30, 'm', datetime('now', '-3 hours'), null), \
     (4, 2, 2, 'B', 'paid', 40, 'o', datetime('now', '-1 hour'), datetime('now'))",
];

/// What breaks every rule at once.
const BROKEN: [&str; 4] = [
    "update orders set created_at = '2020-01-01 00:00:00'",
    "update customers set seen_at = '2020-01-01 00:00:00', country = 'XX', email = ' '",
    "insert into orders values (1, 99, 1, 'A', 'opne', -5, 'longer than twenty characters', '2020-01-01 00:00:00', null), \
     (9, null, 1, 'A', 'paid', null, null, '2020-01-01 00:00:00', null), \
     (9, null, 1, 'A', 'paid', -7, null, '2020-01-01 00:00:00', null), \
     (9, null, 1, 'A', null, -99999999, null, '2020-01-01 00:00:00', null)",
    "insert into customers values (1, null, 'DE', -1, null), (1, ' ', 'XX', 200, null)",
];

/// What of each check is said.
fn verdicts(folder: &Folder) -> Vec<(String, String)> {
    let output = command(folder.path(), &["run", "--output", "json"]).output().unwrap();
    let told: Value =
        serde_json::from_str(&out(&output)).unwrap_or_else(|e| panic!("{e}: {}", err(&output)));
    let runs = told["runs"].as_array().unwrap().iter();
    let word = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    runs.map(|run| {
        (format!("{}: {}", word(run, "check"), word(run, "finding")), word(run, "verdict"))
    })
    .collect()
}

#[tokio::test]
async fn tests_of_other_tools_become_checks_that_hold_and_that_find_what_is_wrong() {
    for (tool, name, counts) in FILES {
        let folder = shop();
        let path = data(name).display().to_string();
        let output = command(folder.path(), &["import", tool, &path]).output().unwrap();
        let (yaml, report) = (out(&output), err(&output));
        let [taken, needs, cannot] = counts;
        assert!(
            report.contains(&format!("taken {taken}, needs you {needs}, cannot {cannot}")),
            "{name}: {report}\n{yaml}"
        );
        assert_eq!(code(&output), i32::from(needs + cannot > 0), "{name}: {report}");
        // What is left is named with its place.
        let left = report
            .lines()
            .filter(|line| line.starts_with("needs you: ") || line.starts_with("cannot: "));
        assert_eq!(left.count(), needs + cannot, "{name}: {report}");
        if taken == 0 {
            assert_eq!(yaml, "");
            continue;
        }
        fs::write(folder.path().join("checks/imported.yaml"), &yaml).unwrap();
        let valid = command(folder.path(), &["validate"]).output().unwrap();
        assert_eq!(code(&valid), 0, "{name}: {}\n{yaml}", err(&valid));
        sql(&folder, &SOUND).await;
        for (what, verdict) in verdicts(&folder) {
            assert_eq!(verdict, "confirmed", "{name}: {what}\n{yaml}");
        }
        sql(&folder, &BROKEN).await;
        for (what, verdict) in verdicts(&folder) {
            assert_eq!(verdict, "violated", "{name}: {what}\n{yaml}");
        }
    }
}

#[test]
fn what_is_no_file_of_a_tool_is_a_fault_with_its_place() {
    let folder = shop();
    for (tool, text, words) in [
        ("dbt", "models:\n\t- a\n", "file:2:"),
        ("dbt", "a: b\n", "file:1:1: this is no file of dbt's properties"),
        ("dbt", "- 1\n", "file:1:1"),
        ("soda", "a: [1\n", "file"),
        ("soda", "version: 1\n", "file:1:1: this is no file of Soda"),
        ("odcs", "kind: Dog\n", "file:1:1: this is no contract"),
        ("odcs", "&a [*a]\n", "file:1"),
        ("sql-exporter", "x: 1\n", "file:1:1: this is no collector"),
        ("sql-exporter", "\u{feff}x: 1\n", "file:1:1"),
        ("odcs", "kind: \"\u{0}\"\n", "file"),
    ] {
        fs::write(folder.path().join("file"), text).unwrap();
        let output = command(folder.path(), &["import", tool, "file"]).output().unwrap();
        assert_eq!(code(&output), 64, "{tool}: {text}: {}{}", out(&output), err(&output));
        assert!(err(&output).contains(words), "{tool}: {text}: {}", err(&output));
    }
    for (text, words) in [("{", "manifest.json:1:"), ("{\"nodes\": 1}", "it has no `nodes`")] {
        fs::write(folder.path().join("manifest.json"), text).unwrap();
        let output = command(folder.path(), &["import", "dbt", "manifest.json"]).output().unwrap();
        assert!(code(&output) == 64 && err(&output).contains(words), "{text}: {}", err(&output));
    }
    // Texts of others are texts here.
    let hostile = "models:\n  - name: \"o'; drop table x; --\"\n    columns:\n      - name: \"a: [b]\\n- c\"\n        tests: [not_null]\n      \
                   - name: s\n        tests:\n          - accepted_values: {values: [\"'\", \"a\\\"b\", \"{c}\", \"null\"]}\n";
    fs::write(folder.path().join("schema.yml"), hostile).unwrap();
    let output = command(folder.path(), &["import", "dbt", "schema.yml"]).output().unwrap();
    assert!([0, 1].contains(&code(&output)), "{}", err(&output));
    let nothing = command(folder.path(), &["import", "dbt", "nowhere.yml"]).output().unwrap();
    assert!(code(&nothing) == 64 && err(&nothing).contains("cannot be read"), "{}", err(&nothing));
}

/// What is written, of which tool, what of it is taken, and words of what is left.
const NARROWED: [(&str, &str, bool, &str); 32] = [
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{not_null: {zzz: 3}}]}]}]",
        false,
        "`zzz`",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{unique: {config: {fail_calc: 'sum(n)'}}}]}]}]",
        false,
        "`fail_calc`",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{accepted_values: {values: [\"{{ var('v') }}\"]}}]}]}]",
        false,
        "macro",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{not_null: {config: {enabled: false}}}]}]}]",
        false,
        "switched off",
    ),
    (
        "dbt",
        "models: [{name: t, config: {enabled: false}, columns: [{name: a, tests: [not_null]}]}]",
        false,
        "switched off",
    ),
    ("dbt", "models: [{columns: [{name: a, tests: [not_null]}]}]", false, "without a name"),
    (
        "dbt",
        "models: [{name: t, tests: [{dbt_utils.recency: {field: at, datepart: day, interval: 1, group_by_columns: [a]}}]}]",
        false,
        "group_by_columns",
    ),
    (
        "dbt",
        "sources: [{name: s, freshness: {error_after: {count: 1, period: day}}, loaded_at_field: at, tables: [{name: t}]}]",
        true,
        "",
    ),
    ("dbt", "version: 2\nunit_tests: [{name: u}]", false, "tests a model"),
    (
        "soda",
        "checks for t: [{missing_count(a) = 0: {missing values: [NA]}}]",
        false,
        "missing values",
    ),
    ("soda", "checks for dim_%: [row_count > 0]", false, "many tables"),
    ("soda", "checks for t: [\"freshness(at, NOW) < 1d\"]", false, "its limit is out"),
    ("soda", "dataset: d/s/t\nfilter: \"at > ${var.x}\"\ncolumns: []", false, "variable"),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: a, properties: [{name: b, required: true}]}]}]",
        true,
        "within a value",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: a, quality: [{metric: missingValues, arguments: {missingValues: ['']}, mustBe: 0}]}]}]",
        true,
        "`missingValues` of it",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{dbt_utils.accepted_range: {min_value: 0, max_value: b}}]}]}]",
        false,
        "`max_value` is no number",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{accepted_values: {values: [b, c], quote: false}}]}]}]",
        false,
        "not quoted",
    ),
    (
        "dbt",
        "models: [{name: t, tests: [{unique: {column_name: \"a || b\"}}]}]",
        false,
        "no column",
    ),
    (
        "soda",
        "checks for t: [{invalid_count(a) = 0: {valid format: email, valid min length: 3}}]",
        false,
        "valid format",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: a, quality: [{metric: invalidValues, arguments: {validValues: [b], pattern: c}, mustBe: 0}]}]}]",
        true,
        "in two ways",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: a, quality: [{metric: invalidValues, arguments: {pattern: c, foo: 3}, mustBe: 0}]}]}]",
        true,
        "`foo`",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: []\nquality: [{metric: rowCount, mustBe: 3}]",
        false,
        "of which table",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{not_null: {config: {enabled: False}}}]}]}]",
        false,
        "switched off",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{dbt_utils.accepted_range: {min_value: 0, inclusive: False}}]}]}]",
        false,
        "not in the range",
    ),
    (
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{not_null: null, config: {where: b}}]}]}]",
        false,
        "several keys",
    ),
    ("dbt", "models: [{name: t, columns: [{tests: [not_null]}]}]", false, "of which column"),
    ("soda", "checks for t: [null]", false, "one name"),
    ("soda", "dataset: d/s/t\nfilter: \"at > ${var.x}\"\nchecks: [row_count:]", false, "variable"),
    (
        "soda",
        "dataset: d/s/t\nchecks: [{row_count: {threshold: {must_be_greater_than_or_equal: 1, must_be_less_than_or_equal: 5}}}]",
        false,
        "several limits",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{properties: [{name: a, required: true}]}]",
        false,
        "a table without a name",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{required: true}]}]",
        false,
        "which column",
    ),
    (
        "odcs",
        "kind: DataContract\nschema: [{name: t, quality: [{metric: rowCount, mustBeGreaterOrEqualTo: 1, mustBeLessOrEqualTo: 5}]}]",
        false,
        "several limits",
    ),
];

#[test]
fn what_narrows_a_test_is_never_left_out() {
    let folder = shop();
    let run = |tool: &str, text: &str| {
        fs::write(folder.path().join("file.yml"), text).unwrap();
        let output = command(folder.path(), &["import", tool, "file.yml"]).output().unwrap();
        (code(&output), out(&output), err(&output))
    };
    for (tool, text, is_taken, words) in NARROWED {
        let (code, yaml, report) = run(tool, text);
        assert_eq!(
            (code, yaml.is_empty()),
            (i32::from(!words.is_empty()), !is_taken),
            "{text}: {yaml}{report}"
        );
        assert!(report.contains(words), "{text}: {report}");
    }
    let (_, yaml, _) = run(
        "dbt",
        "models: [{name: t, columns: [{name: a, tests: [{dbt_expectations.expect_column_values_to_be_between: {max_value: 9, \
         row_condition: \"s = 'paid'\"}}]}]}]",
    );
    assert!(yaml.contains("where: \"s = 'paid'\""), "{yaml}");
    let (_, yaml, _) = run(
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: d, primaryKey: true, primaryKeyPosition: 2}, {name: c, \
         primaryKey: true, primaryKeyPosition: 1}], quality: [{metric: rowCount, mustBeGreaterThan: 9}]}]",
    );
    assert!(yaml.contains("unique: [[c, d]]") && yaml.contains("rows: {min: 10}"), "{yaml}");
    let (_, yaml, _) = run(
        "odcs",
        "kind: DataContract\nschema: [{name: t, properties: [{name: d, required: True}]}]",
    );
    assert!(yaml.contains("d: {nulls: none}"), "{yaml}");
    let (_, yaml, _) = run(
        "dbt",
        "sources: [{name: s, tables: [{name: t, loaded_at_field: at, freshness: {warn_after: {count: 1, period: hour}, \
         error_after: {count: 1, period: day}}}]}]",
    );
    assert!(yaml.contains("within: 1d") && yaml.contains("within: 1h"), "{yaml}");
    let (_, yaml, _) = run("soda", "checks for t: [row_count between 10 and 20]");
    assert!(yaml.contains("rows: {max: 20, min: 10}"), "{yaml}");
}
