//! Rules for tables: they say what hand-written SQL says, on three engines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;
use allswell::domain::table::Asks;
use allswell::domain::table::pattern::Pattern;
use allswell::engine::round::Outcome;

use crate::dice::Dice;
use crate::lab::{Database, ENGINES, checks, look, shown};

const HEAD: &str = "version: 1\nowner: tests\ndefaults: {source: db, timeout: 20s}\nchecks:\n";

/// How many random tables are made on each engine.
const TABLES: u64 = 200;

/// What columns may hold: of each kind a column, with values that are hard to read or to order.
fn columns(engine: Engine) -> [(&'static str, &'static str, &'static [&'static str]); 5] {
    let whole: &[&str] = &["null", "0", "1", "-1", "7", "9007199254740993"];
    let decimal: &[&str] = match engine {
        Engine::Postgres => &[
            "null",
            "0.10",
            "1.5",
            "-0.000000000001",
            "99999999999999999999.5",
            "'NaN'",
            "'-Infinity'",
        ],
        Engine::MySql => &["null", "0.10", "1.5", "-0.000000000001", "99999999999999999999.5"],
        Engine::Sqlite => &["null", "0.10", "1.5", "-0.25", "1e300", "'x'"],
    };
    let text: &[&str] =
        &["null", "''", "'a'", "'A'", "'ab'", "'é'", "'paid'", "'Paid'", "'paid '", "'12'"];
    let date: &[&str] = &["null", "'2026-02-28'", "'2026-03-08'", "'1999-12-31'"];
    let decimals = match engine {
        Engine::Postgres => "numeric",
        Engine::MySql => "decimal(38, 12)",
        Engine::Sqlite => "numeric",
    };
    let folded = match engine {
        Engine::Postgres => "text collate folded",
        Engine::MySql => "varchar(20) collate utf8mb4_general_ci",
        Engine::Sqlite => "text collate nocase",
    };
    let plain = if engine == Engine::MySql { "varchar(20) collate utf8mb4_bin" } else { "text" };
    let dates = if engine == Engine::Sqlite { "text" } else { "date" };
    [
        ("w", "bigint", whole),
        ("d", decimals, decimal),
        ("t", plain, text),
        ("f", folded, text),
        ("day", dates, date),
    ]
}

/// A rule of a table, and the same as a check with SQL.
struct Rule {
    /// Under `columns`, the column and what stands there; else a key of the check.
    column: Option<(&'static str, String)>,
    key: String,
    /// Whether the check with SQL limits values, which say nothing where all of them are NULL.
    limits: bool,
    by_hand: String,
}

/// A limit of a column: of its length, of its extremes, or of each of its values.
fn limit(dice: &mut Dice, engine: Engine, column: &'static str, table: &str) -> Rule {
    let is_text = matches!(column, "t" | "f");
    // Of dates that are kept as texts, extremes are none.
    let has_range = !is_text && (column != "day" || engine != Engine::Sqlite);
    let length = match engine {
        Engine::MySql => format!("char_length({column})"),
        Engine::Postgres | Engine::Sqlite => format!("length({column})"),
    };
    let by_values = dice.once_in(2);
    if is_text && !by_values {
        let limit = dice.one(&["{max: 2}", "{min: 1}", "{equals: 1}", "{min: 1, max: 4}"]);
        let by_hand = format!(
            "sql: select {length} as n from {table}\n    expect: {{values: {{n: {limit}}}}}"
        );
        let column = Some((column, format!("{{length: {limit}}}")));
        return Rule { column, key: String::new(), limits: true, by_hand };
    }
    let choices: &[&str] = match (column, has_range && !by_values) {
        ("day", true) => {
            &["min: 2000-01-01", "max: 2026-03-08", "min: 2026-03-01, max: 2026-03-31", "min: 3"]
        }
        (_, true) => &["min: 0", "max: 1", "min: -1, max: 7", "min: 0.10", "min: 2026-01-01"],
        ("w", false) => &[
            "one_of: [0, 1, 7]",
            "equals: 1",
            "not_equals: 9007199254740993",
            "equals: 0, tolerance: 1",
            "one_of: [a, b]",
        ],
        ("d", false) => &["one_of: [0.1, 1.5]", "equals: 1.50", "not_equals: 0.1"],
        ("day", false) => &["one_of: [2026-02-28, 2026-03-08]", "not_equals: 1999-12-31"],
        (_, false) => &[
            "one_of: [paid, a, A]",
            "equals: paid",
            "not_equals: Paid",
            "one_of: ['', 12]",
            "equals: 12",
        ],
    };
    let nulls = if dice.once_in(2) { ", nulls: allowed" } else { "" };
    let limit = format!("{{{}{nulls}}}", dice.one(choices));
    let by_hand =
        format!("sql: select {column} from {table}\n    expect: {{values: {{{column}: {limit}}}}}");
    Rule { column: Some((column, limit)), key: String::new(), limits: true, by_hand }
}

fn rule(dice: &mut Dice, engine: Engine, table: &str) -> Rule {
    let columns = columns(engine);
    let (column, _, _) = columns[dice.below(columns.len())];
    let filled = format!("where {column} is not null");
    let (column_rule, key, sql, expect) = match dice.below(9) {
        0..=3 => return limit(dice, engine, column, table),
        4 => (
            Some("{nulls: none}"),
            String::new(),
            format!("select count(*) as n from {table} where {column} is null"),
            "{values: {n: {equals: 0}}}",
        ),
        5 => (
            Some("{nulls: {max_ratio: 0.3}}"),
            String::new(),
            format!(
                "select 1000 * sum(case when {column} is null then 1 else 0 end) \
                 - 300 * count(*) as n from {table}"
            ),
            "{values: {n: {max: 0}}}",
        ),
        6 => {
            let other = if column == "w" { "t" } else { "w" };
            (
                None,
                format!("unique: [[{column}, {other}]]"),
                format!(
                    "select {column} from {table} where {column} is not null and {other} is not null \
                     group by {column}, {other} having count(*) > 1"
                ),
                "{rows: {equals: 0}}",
            )
        }
        7 => (
            Some("{unique: true}"),
            String::new(),
            format!(
                "select {column} from {table} where {column} is not null group by {column} \
                 having count(*) > 1"
            ),
            "{rows: {equals: 0}}",
        ),
        _ => (
            None,
            "never: w > 1 or t = 'a'".to_owned(),
            format!("select count(*) as n from {table} where w > 1 or t = 'a'"),
            "{values: {n: {equals: 0}}}",
        ),
    };
    let column = column_rule.map(|rule| (column, rule.to_owned()));
    // Where no key is there, nothing is held against another.
    let is_unique = expect == "{rows: {equals: 0}}";
    let counted = match (is_unique, key.split_once(", ")) {
        (false, _) => String::new(),
        (true, None) => filled,
        (true, Some((_, other))) => {
            format!("{filled} and {} is not null", other.trim_end_matches(']'))
        }
    };
    let by_hand = format!(
        "sql: \"{sql}\"\n    expect: {expect}\n    evidence: {{sql: select count(*) from {table} {counted}}}"
    );
    Rule { column, key, limits: is_unique, by_hand }
}

/// A table of up to eight rows, the rules for it, and the checks that say the same.
fn table(seed: u64, engine: Engine) -> (Vec<String>, String, Vec<Rule>) {
    let mut dice = Dice(seed);
    let name = format!("t{seed}");
    let columns = columns(engine);
    let declared: Vec<String> =
        columns.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
    let mut sql = vec![format!("create table {name} ({})", declared.join(", "))];
    // Now and then a column of one value, so that rules hold too.
    let fixed: Vec<Option<usize>> = columns
        .iter()
        .map(|(_, _, values)| (!dice.once_in(3)).then(|| dice.below(values.len().min(3))))
        .collect();
    for _ in 0..dice.below(9) {
        let row: Vec<&str> = columns
            .iter()
            .zip(&fixed)
            .map(|((_, _, values), fixed)| {
                values[fixed.unwrap_or_else(|| dice.below(values.len()))]
            })
            .collect();
        sql.push(format!("insert into {name} values ({})", row.join(", ")));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for _ in 0..1 + dice.below(4) {
        let next = rule(&mut dice, engine, &name);
        let is_new = |rule: &Rule| {
            rule.key.split(':').next() != next.key.split(':').next() || next.key.is_empty()
        };
        let new_column = rules.iter().all(|r| match (&r.column, &next.column) {
            (Some((a, _)), Some((b, _))) => a != b,
            _ => true,
        });
        if new_column && rules.iter().all(is_new) {
            rules.push(next);
        }
    }
    let under: Vec<String> = rules
        .iter()
        .filter_map(|r| r.column.as_ref())
        .map(|(c, rule)| format!("{c}: {rule}"))
        .collect();
    let mut yaml = format!("table: {name}");
    if !under.is_empty() {
        let _ = write!(yaml, "\n    columns: {{{}}}", under.join(", "));
    }
    for rule in rules.iter().filter(|rule| rule.column.is_none()) {
        let _ = write!(yaml, "\n    {}", rule.key);
    }
    (sql, yaml, rules)
}

fn word(outcome: &Outcome) -> String {
    let shown = shown(&outcome.judgement.verdict);
    shown.split(':').next().unwrap().to_owned()
}

/// What several checks say together, where one check asks all of it.
fn together(words: &[(bool, String)], rows: bool) -> String {
    let has = |wanted: &str| words.iter().any(|(_, word)| word == wanted);
    if has("violated") {
        return "violated".into();
    }
    if !rows {
        return "no_evidence".into();
    }
    for cause in ["unsupported_type", "query_error"] {
        if has(cause) {
            return cause.into();
        }
    }
    // Limits that met nothing but NULL say nothing; beside them, other rules do.
    let met = words.iter().any(|(limits, word)| !limits || word == "confirmed");
    if met { "confirmed".into() } else { "no_evidence".into() }
}

#[tokio::test]
async fn rules_say_what_sql_by_hand_says_on_three_engines() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        if engine == Engine::Postgres {
            let sql = "create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
            db.prepare(sql).await;
        }
        let (mut yaml, mut all) = (String::from(HEAD), Vec::new());
        let mut prepared = Vec::new();
        for seed in 0..TABLES {
            let (sql, rules, by_hand) = table(seed, engine);
            prepared.extend(sql);
            let _ = write!(yaml, "  - id: rules-{seed}\n    why: w\n    {rules}\n");
            for (i, rule) in by_hand.iter().enumerate() {
                let _ = write!(yaml, "  - id: hand-{seed}-{i}\n    why: w\n    {}\n", rule.by_hand);
            }
            all.push((seed, rules, by_hand));
        }
        db.prepare(&prepared.join(";\n")).await;
        let outcomes: BTreeMap<String, Outcome> = look(db.source(), &yaml)
            .await
            .into_iter()
            .map(|outcome| (outcome.check.id.to_string(), outcome))
            .collect();
        let mut verdicts: BTreeMap<String, u32> = BTreeMap::new();
        for (seed, rules, by_hand) in all {
            let said = &outcomes[&format!("rules-{seed}")];
            let words: Vec<(bool, String)> = by_hand
                .iter()
                .enumerate()
                .map(|(i, rule)| (rule.limits, word(&outcomes[&format!("hand-{seed}-{i}")])))
                .collect();
            let rows = said.judgement.evidence.is_none_or(|evidence| evidence > 0);
            let wanted = together(&words, rows);
            assert_eq!(
                word(said),
                wanted,
                "{engine}: {rules}\n{words:?}\n{}",
                shown(&said.judgement.verdict)
            );
            *verdicts.entry(wanted).or_default() += 1;
        }
        // The tables are of all kinds.
        for verdict in ["confirmed", "violated", "no_evidence"] {
            assert!(
                verdicts.get(verdict).is_some_and(|times| *times >= 10),
                "{engine}: {verdicts:?}"
            );
        }
    }
}

/// A text of a few characters, many of which patterns know.
fn text(dice: &mut Dice) -> String {
    let chars = [
        "a", "b", "A", "1", "9", "_", "-", "@", ".", " ", "\n", "é", "ß", "\\", "'", "[", "^", "$",
        "x", "日",
    ];
    (0..dice.below(6)).map(|_| dice.one(&chars)).collect()
}

/// A pattern of the part that is the same everywhere.
fn some_pattern(dice: &mut Dice, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..1 + dice.below(3) {
        let atom = match dice.below(if depth > 0 { 7 } else { 6 }) {
            0 => ".".to_owned(),
            1 => dice
                .one(&["[ab]", "[^a]", "[a-z]", "[^@\\s]", "[\\d_]", "[é-ü]", "[-x]", "[\\^\\]]"])
                .to_owned(),
            2 => dice.one(&["\\d", "\\w", "\\s", "\\.", "\\\\", "\\$", "\\n"]).to_owned(),
            6 => format!("({})", some_pattern(dice, depth - 1)),
            _ => dice.one(&["a", "b", "A", "1", "@", "-", "'", "é", "日", " "]).to_owned(),
        };
        text.push_str(&atom);
        if dice.once_in(3) {
            text.push_str(dice.one(&["*", "+", "?", "{2}", "{1,3}", "{2,}"]));
        }
    }
    if dice.once_in(4) {
        text = format!("{text}|{}", dice.one(&["ab", "\\d+", "^$"]));
    }
    // An empty value is a fault of YAML before it is a pattern.
    if text.trim().is_empty() {
        text.push('a');
    }
    match dice.below(4) {
        0 => format!("^{text}$"),
        1 => format!("^{text}"),
        2 => format!("{text}$"),
        _ => text,
    }
}

#[tokio::test]
async fn a_pattern_means_the_same_on_three_engines() {
    const TEXTS: usize = 20;
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let mut dice = Dice(7);
        let quoted = |text: &str| match engine {
            // As bytes, so that no mode of a session reads a backslash otherwise.
            Engine::MySql => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("_utf8mb4 x'{hex}'")
            }
            Engine::Postgres | Engine::Sqlite => format!("'{}'", text.replace('\'', "''")),
        };
        let kind =
            if engine == Engine::MySql { "varchar(20) character set utf8mb4" } else { "text" };
        let (mut sql, mut yaml, mut wanted) = (Vec::new(), String::from(HEAD), Vec::new());
        for number in 0..500 {
            if number % 25 == 0 {
                let texts: Vec<String> = (0..TEXTS).map(|_| text(&mut dice)).collect();
                sql.push(format!("create table t{number} (id int, t {kind})"));
                let rows =
                    texts.iter().enumerate().map(|(id, text)| format!("({id}, {})", quoted(text)));
                sql.push(format!(
                    "insert into t{number} values {}",
                    rows.collect::<Vec<_>>().join(", ")
                ));
                wanted.push((number, texts, Vec::new()));
            }
            // One that every text has is refused.
            let pattern = std::iter::repeat_with(|| some_pattern(&mut dice, 2))
                .find(|pattern| Pattern::parse(pattern).is_ok())
                .unwrap();
            let (table, texts, of) = wanted.last_mut().unwrap();
            let is_like = regex_lite::Regex::new(&format!("(?s){pattern}")).unwrap();
            let unlike = (0..TEXTS).filter(|id| !is_like.is_match(&texts[*id]));
            of.push((number, pattern.clone(), unlike.collect::<Vec<_>>()));
            let pattern = pattern.replace('\'', "''");
            let _ = write!(
                yaml,
                "  - id: p-{number}\n    why: w\n    table: t{table}\n    columns: {{t: {{pattern: '{pattern}'}}}}\n    \
                 samples: {{rows: {TEXTS}, columns: [id]}}\n    mask: [t]\n"
            );
        }
        db.prepare(&sql.join(";\n")).await;
        let outcomes: BTreeMap<String, Outcome> = look(db.source(), &yaml)
            .await
            .into_iter()
            .map(|o| (o.check.id.to_string(), o))
            .collect();
        for (number, pattern, unlike) in wanted.into_iter().flat_map(|(_, _, of)| of) {
            let verdict = &outcomes[&format!("p-{number}")].judgement.verdict;
            let rows: Vec<String> = match verdict {
                Verdict::Confirmed => Vec::new(),
                Verdict::Violated(finding) => finding.rows.clone(),
                Verdict::Unconfirmed(reason) => panic!("{engine}: {pattern}: {}", reason.note),
            };
            let mut seen: Vec<usize> =
                rows.iter().map(|row| row.rsplit("id=").next().unwrap().parse().unwrap()).collect();
            seen.sort_unstable();
            assert_eq!(seen, unlike, "{engine}: {pattern}");
        }
    }
}

#[tokio::test]
async fn all_aggregates_cost_one_scan_and_each_column_of_500_is_judged() {
    for engine in ENGINES {
        let db = Database::new(engine).await;
        let kind = if engine == Engine::Sqlite { "integer" } else { "int" };
        let declared: Vec<String> = (0..500).map(|n| format!("c{n} {kind}")).collect();
        let row = |bad: Option<usize>| {
            let values: Vec<String> = (0..500)
                .map(|n| if bad == Some(n) { "-5".into() } else { n.to_string() })
                .collect();
            format!("insert into wide values ({})", values.join(", "))
        };
        db.prepare(&format!("create table wide ({})", declared.join(", "))).await;
        db.prepare(&row(None)).await;
        let rules: Vec<String> = (0..500).map(|n| format!("c{n}: {{min: 0, max: 500}}")).collect();
        let yaml = format!(
            "{HEAD}  - id: wide\n    why: w\n    table: wide\n    columns: {{{}}}\n",
            rules.join(", ")
        );
        assert_eq!(checks(engine, &yaml)[0].table().unwrap().statements().len(), 1);
        assert_eq!(word(&look(db.source(), &yaml).await[0]), "confirmed", "{engine}");
        db.prepare(&row(Some(499))).await;
        let said = shown(&look(db.source(), &yaml).await[0].judgement.verdict);
        assert_eq!(
            said, "violated: c499: expected at least 0, at most 500, the lowest is -5",
            "{engine}"
        );
        let few: Vec<String> =
            (0..20).map(|n| format!("c{n}: {{min: 0, length: {{min: 1}}}}")).collect();
        let yaml = format!(
            "{HEAD}  - id: few\n    why: w\n    table: wide\n    columns: {{{}}}\n    never: c0 > c1\n    newest: {{of: c2, \
             within: 1h}}\n",
            few.join(", ")
        );
        let check = &checks(engine, &yaml)[0];
        let [statement] = check.table().unwrap().statements() else { panic!("one statement") };
        assert_eq!(statement.asks, Asks::Scan);
        let explain = match engine {
            Engine::MySql => "explain format=json",
            Engine::Postgres => "explain",
            Engine::Sqlite => "explain query plan",
        };
        let plan = format!("{explain} {}", statement.query.text());
        let plan = db.owner().await.texts(&plan).await;
        let named = |word: &str| plan.join("\n").to_lowercase().matches(word).count();
        let scans = match engine {
            Engine::MySql => named("\"table_name\""),
            Engine::Postgres => named("seq scan"),
            // Each step is a row, and a scan is the only one.
            Engine::Sqlite => plan.len(),
        };
        assert_eq!(scans, 1, "{engine}: {plan:?}");
    }
}
