//! Soda: checks of `SodaCL` 3 (`checks for orders:`), and contracts of Soda 4.

use crate::domain::check::fault::Fault;
use crate::domain::time::duration;
use crate::import::dbt::{both, span};
use crate::import::found::{About, Found, Rule};
use crate::import::node::{entries, get, items, not_that, place, scalar, text, value, values};
use crate::import::written::{list, quoted};
use crate::manifest::{Node, Text};

/// Reads a file of checks, or a contract.
pub(super) fn read(file: &Text, root: &Node, found: &mut Found<'_>) -> Result<(), Box<Fault>> {
    if let Some(dataset) = text(root, "dataset") {
        contract(file, root, dataset, found);
        return Ok(());
    }
    let mut any = false;
    for (key, checks) in entries(root) {
        let Some(name) = scalar(key) else { continue };
        let Some(table) = name.strip_prefix("checks for ") else {
            let at = (place(file, key), name.to_owned());
            any |= name.starts_with("filter ") || name.starts_with("for each");
            found.needs(
                at,
                "no rule of a table says that: write it as `where`, or as `tables: […]`",
            );
            continue;
        };
        any = true;
        if table.contains(['%', '*', '{']) {
            let at = (place(file, key), name.to_owned());
            let why = "it is about many tables: write `tables: […]`";
            for _ in items(Some(checks)) {
                found.needs(at.clone(), why);
            }
            continue;
        }
        // `checks for orders [daily]` counts the rows of a filter that stands elsewhere.
        let (table, filter) = table.split_once(" [").map_or((table, None), |(t, f)| (t, Some(f)));
        let about = About { table: table.trim().to_owned(), ..About::default() };
        for check in items(Some(checks)) {
            match filter {
                None => classic(file, check, &about, found),
                Some(_) => {
                    let at = (place(file, check), format!("a check of {name}"));
                    found.needs(at, "it is about the rows of a filter: write it under `where`");
                }
            }
        }
    }
    match any {
        true => Ok(()),
        false => {
            Err(not_that(file, root, "file of Soda: it has no `checks for …` and no `dataset`"))
        }
    }
}

/// A check of `SodaCL`: a sentence, perhaps with more below it.
fn classic(file: &Text, check: &Node, about: &About, found: &mut Found<'_>) {
    let (sentence, more) = match (scalar(check), entries(check)) {
        (Some(sentence), _) => (sentence, None),
        (None, [(key, more)]) => (scalar(key).unwrap_or_default(), Some(more)),
        (None, _) => {
            let at = (place(file, check), format!("a check of {}", about.table));
            return found.needs(at, "one name belongs here, and what belongs to it below");
        }
    };
    let at = (place(file, check), format!("{sentence} of {}", about.table));
    let option = |key: &str| more.and_then(|more| get(more, key));
    let filter = option("filter").and_then(scalar).map(str::to_owned);
    let about = About { filter, ..about.clone() };
    if let Some(key) = more.and_then(|more| unknown(more, known_of(sentence))) {
        return found.needs(at, format!("`{key}` of it is not known here"));
    }
    if ["warn", "fail"].iter().any(|key| option(key).is_some_and(|node| scalar(node).is_some())) {
        return found.needs(at, "it warns at one limit and fails at another: write two checks");
    }
    let rules = schema(sentence, more)
        .or_else(|| reference(sentence))
        .or_else(|| newest(sentence))
        .or_else(|| counted(sentence, &option));
    match (rules, failed_rows(sentence, more)) {
        (Some(rules), _) => found.rules(&about, rules, at),
        (None, Some(FailedRows::Condition(condition))) => {
            found.rules(&about, vec![Rule::Never(condition)], at);
        }
        (None, Some(FailedRows::Query(sql))) => {
            let evidence = Some(format!("select count(*) from {}", about.table));
            let name = option("name").and_then(scalar).unwrap_or("failed-rows");
            let id = format!("{}-{name}", about.table);
            found.sql(&id, about, (sql, "{rows: {equals: 0}}".to_owned(), evidence), at);
        }
        (None, None) if sentence.starts_with("anomaly") || sentence.starts_with("distribution") => {
            found.cannot(at, "nothing is guessed from the past here: say what is right");
        }
        (None, None) if sentence.contains(['<', '>']) && !sentence.contains(['=']) => {
            let why =
                "its limit is out, and ours are in: write the next value, or `sql` with a limit";
            found.needs(at, why);
        }
        (None, None) => found.needs(at, "no rule of a table says that: write `sql` with a limit"),
    }
}

/// What may stand beside a sentence of `SodaCL` and is understood, or changes nothing.
const BESIDE: [&str; 14] = [
    "name",
    "filter",
    "attributes",
    "samples limit",
    "samples columns",
    "valid values",
    "valid regex",
    "valid min",
    "valid max",
    "valid length",
    "valid min length",
    "valid max length",
    "warn",
    "fail",
];
/// The same of a check of a contract.
const IN_CONTRACT: [&str; 17] = [
    "name",
    "qualifier",
    "threshold",
    "filter",
    "attributes",
    "valid_values",
    "valid_regex",
    "valid_min",
    "valid_max",
    "valid_length",
    "valid_min_length",
    "valid_max_length",
    "columns",
    "column",
    "expression",
    "query",
    "store_failed_rows",
];

fn known_of(sentence: &str) -> &'static [&'static str] {
    match sentence {
        "schema" => &["name", "fail", "attributes"],
        sentence if sentence.starts_with("failed rows") => &[
            "name",
            "fail condition",
            "fail query",
            "samples limit",
            "samples columns",
            "attributes",
        ],
        _ => &BESIDE,
    }
}

/// The first key that says something that is not understood.
fn unknown<'n>(more: &'n Node, known: &[&str]) -> Option<&'n str> {
    let keys = entries(more).iter().filter_map(|(key, _)| scalar(key));
    keys.into_iter().find(|key| {
        let spaced = key.replace('_', " ");
        !known.iter().any(|known| known == key || *known == spaced)
    })
}

enum FailedRows {
    Condition(String),
    Query(String),
}

fn failed_rows(sentence: &str, more: Option<&Node>) -> Option<FailedRows> {
    if !sentence.starts_with("failed rows") {
        return None;
    }
    let of = |key: &str| more.and_then(|more| text(more, key));
    let condition = of("fail condition").map(|text| FailedRows::Condition(text.to_owned()));
    condition.or_else(|| {
        let query = of("fail query")?;
        Some(FailedRows::Query(query.trim().trim_end_matches(';').to_owned()))
    })
}

/// `schema:` with required columns.
fn schema(sentence: &str, more: Option<&Node>) -> Option<Vec<Rule>> {
    if sentence != "schema" {
        return None;
    }
    let fail = more.and_then(|more| get(more, "fail"))?;
    let [(key, columns)] = entries(fail) else { return None };
    (scalar(key) == Some("when required column missing")).then_some(())?;
    let columns = items(Some(columns)).into_iter().filter_map(scalar);
    Some(columns.map(|column| Rule::There(column.to_owned())).collect())
}

/// `values in (customer_id) must exist in customers (id)`.
fn reference(sentence: &str) -> Option<Vec<Rule>> {
    let (column, target) = sentence.strip_prefix("values in (")?.split_once(") must exist in ")?;
    let (table, field) = target.trim_end_matches(')').split_once(" (")?;
    let column = Some(column).filter(|column| !column.contains(','))?;
    let target = quoted(&format!("{}.{}", table.trim(), field.trim()));
    Some(vec![Rule::Column(column.trim().to_owned(), "in", target)])
}

/// `freshness(created_at) < 2h`.
fn newest(sentence: &str) -> Option<Vec<Rule>> {
    let (column, limit) = sentence.strip_prefix("freshness(")?.split_once(')')?;
    let is_name = column.trim().chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(())?;
    let within = limit.trim().strip_prefix('<')?.trim_start_matches('=').trim();
    let is_ours = duration::parse(within).is_ok();
    is_ours.then(|| vec![Rule::Newest(column.trim().to_owned(), within.to_owned())])
}

/// `missing_count(email) = 0`, `row_count > 0`, `min(total) >= 0`.
fn counted<'n>(sentence: &str, option: &dyn Fn(&str) -> Option<&'n Node>) -> Option<Vec<Rule>> {
    if let Some(limits) = sentence.strip_prefix("row_count between ") {
        let (least, most) = limits.split_once(" and ")?;
        let number = |text: &str| text.trim().parse::<u64>().ok().map(|n| n.to_string());
        return Some(vec![Rule::Rows("min", number(least)?), Rule::Rows("max", number(most)?)]);
    }
    let at = sentence.find(['=', '<', '>'])?;
    let (metric, limit) = sentence.split_at(at);
    let sign: String = limit.chars().take_while(|c| matches!(c, '=' | '<' | '>')).collect();
    let number = limit.trim_start_matches(['=', '<', '>']).trim().trim_end_matches('%').trim();
    let exact: bigdecimal::BigDecimal = number.parse().ok()?;
    let (name, column) = match metric.trim().split_once('(') {
        Some((name, column)) => (name.trim(), column.trim().trim_end_matches(')').trim()),
        None => (metric.trim(), ""),
    };
    let is_zero = exact.sign() == bigdecimal::num_bigint::Sign::NoSign;
    let none = is_zero && matches!(sign.as_str(), "=" | "<=");
    let of = |key, value: String| vec![Rule::Column(column.to_owned(), key, value)];
    let names: Vec<String> = column.split(',').map(|name| name.trim().to_owned()).collect();
    match name {
        "row_count" => {
            let (key, value) = match sign.as_str() {
                ">" => ("min", exact + 1),
                ">=" => ("min", exact),
                "<=" => ("max", exact),
                "<" => ("max", exact - 1),
                _ => ("equals", exact),
            };
            Some(vec![Rule::Rows(key, value.to_plain_string())])
        }
        "missing_count" | "missing_percent" if none => Some(of("nulls", "none".to_owned())),
        "missing_percent" if matches!(sign.as_str(), "<=") => {
            let ratio = (exact / bigdecimal::BigDecimal::from(100)).normalized().to_plain_string();
            Some(of("nulls", format!("{{max_ratio: {ratio}}}")))
        }
        "duplicate_count" | "duplicate_percent" if none => match names.as_slice() {
            [_] => Some(of("unique", "true".to_owned())),
            _ => Some(vec![Rule::Unique(names)]),
        },
        "invalid_count" | "invalid_percent" if none => valid(column, option),
        "min" if sign == ">=" => Some(of("min", number.to_owned())),
        "max" if sign == "<=" => Some(of("max", number.to_owned())),
        _ => None,
    }
}

/// What is valid: `valid values`, `valid regex`, `valid min`, `valid length` …
fn valid<'n>(column: &str, option: &dyn Fn(&str) -> Option<&'n Node>) -> Option<Vec<Rule>> {
    let either = |spaced: &str| option(spaced).or_else(|| option(&spaced.replace(' ', "_")));
    let rule = |key, value| Rule::Column(column.to_owned(), key, value);
    let mut rules = Vec::new();
    // What is there and not understood leaves all of it to a person.
    if let Some(node) = either("valid values") {
        rules.push(rule("one_of", list(&values(node)?)));
    }
    for (theirs, ours) in [("valid regex", "pattern"), ("valid min", "min"), ("valid max", "max")] {
        if let Some(node) = either(theirs) {
            rules.push(rule(ours, value(node)?));
        }
    }
    let mut lengths = Vec::new();
    for (theirs, ours) in
        [("valid length", "equals"), ("valid min length", "min"), ("valid max length", "max")]
    {
        if let Some(node) = either(theirs) {
            lengths.push(format!("{ours}: {}", value(node)?));
        }
    }
    if !lengths.is_empty() {
        rules.push(rule("length", format!("{{{}}}", lengths.join(", "))));
    }
    (!rules.is_empty()).then_some(rules)
}

/// A contract of Soda 4.
fn contract(file: &Text, root: &Node, dataset: &str, found: &mut Found<'_>) {
    let mut parts: Vec<&str> = dataset.split('/').collect();
    let (table, schema) = (parts.pop().unwrap_or(dataset), parts.pop());
    let table = match schema {
        Some(schema) if parts.len() > 1 => format!("{schema}.{table}"),
        Some(_) | None => table.to_owned(),
    };
    let filter = text(root, "filter");
    if let Some(filter) = filter.filter(|filter| filter.contains("${")) {
        let why = "the filter of the contract holds a variable: write what it stands for";
        found.needs((place(file, root), format!("filter of {table}: {filter}")), why);
        let of_columns = items(get(root, "columns")).into_iter();
        let of_columns = of_columns.flat_map(|column| items(get(column, "checks")));
        for check in of_columns.chain(items(get(root, "checks"))) {
            found.needs((place(file, check), format!("a check of {table}")), why);
        }
        return;
    }
    let about = About { table, filter: filter.map(str::to_owned), ..About::default() };
    for column in items(get(root, "columns")) {
        let Some(name) = text(column, "name") else {
            let at = (place(file, column), format!("a column of {}", about.table));
            found.needs(at, "say which column it is");
            continue;
        };
        let own = entries(column).iter().filter_map(|(key, _)| scalar(key));
        if let Some(key) = own
            .into_iter()
            .find(|key| ["missing", "valid", "invalid"].iter().any(|word| key.starts_with(word)))
        {
            for _ in items(get(column, "checks")) {
                let at = (place(file, column), format!("a check of {}.{name}", about.table));
                found.needs(at, format!("`{key}` of the column says what is missing or valid: write it beside the rule"));
            }
            continue;
        }
        for check in items(get(column, "checks")) {
            in_contract(file, check, Some(name), &about, found);
        }
    }
    for check in items(get(root, "checks")) {
        in_contract(file, check, None, &about, found);
    }
}

fn in_contract(
    file: &Text,
    check: &Node,
    column: Option<&str>,
    about: &About,
    found: &mut Found<'_>,
) {
    let (kind, more) = match (scalar(check), entries(check)) {
        (Some(kind), _) => (kind, None),
        (None, [(key, more)]) => (scalar(key).unwrap_or_default(), Some(more)),
        (None, _) => {
            let at = (place(file, check), format!("a check of {}", about.table));
            return found.needs(at, "one name belongs here, and what belongs to it below");
        }
    };
    let of = column.map(|column| format!(".{column}")).unwrap_or_default();
    let at = (place(file, check), format!("{kind} of {}{of}", about.table));
    let option = |key: &str| more.and_then(|more| get(more, key));
    let filter = both(about.filter.as_deref(), option("filter").and_then(scalar));
    let about = About { filter, ..about.clone() };
    if let Some(key) = more.and_then(|more| unknown(more, &IN_CONTRACT)) {
        return found.needs(at, format!("`{key}` of it is not known here"));
    }
    let threshold = option("threshold");
    let limit = |key: &str| threshold.and_then(|threshold| text(threshold, key));
    let musts = threshold.map_or(&[][..], entries).iter().filter_map(|(key, _)| scalar(key));
    if musts.filter(|key| key.starts_with("must")).count() > 1 {
        return found.needs(at, "it has several limits: write a check for each");
    }
    let is_none = threshold.is_none() || limit("must_be") == Some("0");
    let rule = |key, value: &str| {
        column.map(|name| vec![Rule::Column(name.to_owned(), key, value.to_owned())])
    };
    let rules = match kind {
        "missing" if is_none => rule("nulls", "none"),
        "duplicate" if is_none => match column {
            Some(_) => rule("unique", "true"),
            None => option("columns").map(|all| {
                let names = items(Some(all)).into_iter().filter_map(scalar).map(str::to_owned);
                vec![Rule::Unique(names.collect())]
            }),
        },
        "invalid" if is_none => column.and_then(|column| valid(column, &option)),
        "row_count" => match threshold {
            None => Some(vec![Rule::Rows("min", "1".to_owned())]),
            Some(_) => [
                ("must_be", "equals"),
                ("must_be_greater_than_or_equal", "min"),
                ("must_be_less_than_or_equal", "max"),
            ]
            .into_iter()
            .find_map(|(theirs, ours)| Some(vec![Rule::Rows(ours, limit(theirs)?.to_owned())])),
        },
        "freshness" => {
            let column = option("column").and_then(scalar);
            let unit = threshold.and_then(|threshold| text(threshold, "unit")).unwrap_or("hour");
            let most = limit("must_be_less_than_or_equal").or_else(|| limit("must_be_less_than"));
            let within = most.and_then(|count| span(count, unit));
            column.zip(within).map(|(column, within)| vec![Rule::Newest(column.to_owned(), within)])
        }
        "failed_rows" => {
            option("expression").and_then(scalar).map(|text| vec![Rule::Never(text.to_owned())])
        }
        _ => None,
    };
    match (rules, option("query").and_then(scalar)) {
        (Some(rules), _) => found.rules(&about, rules, at),
        (None, Some(query)) if kind == "failed_rows" && is_none => {
            let evidence = Some(format!("select count(*) from {}", about.table));
            let sql = query.trim().trim_end_matches(';').to_owned();
            let id = format!("{}-failed-rows", about.table);
            found.sql(&id, about, (sql, "{rows: {equals: 0}}".to_owned(), evidence), at);
        }
        (None, _) => found.needs(at, "no rule of a table says that: write `sql` with a limit"),
    }
}
