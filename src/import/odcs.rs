//! The Open Data Contract Standard 3: what a contract says of the columns and rows of its tables.

use crate::domain::check::fault::Fault;
use crate::import::dbt::is_jinja;
use crate::import::found::{About, Found, Rule};
use crate::import::node::{
    entries, get, is_true, items, not_that, place, scalar, text, value, values,
};
use crate::import::written::{list, quoted};
use crate::manifest::{Node, Text};

/// The words for a limit, in the contract and here; those that leave their limit out have none here.
const LIMITS: [(&str, &str); 4] = [
    ("mustBe", "equals"),
    ("mustNotBe", "not_equals"),
    ("mustBeGreaterOrEqualTo", "min"),
    ("mustBeLessOrEqualTo", "max"),
];
const OPEN: [&str; 4] =
    ["mustBeGreaterThan", "mustBeLessThan", "mustBeBetween", "mustNotBeBetween"];

/// Reads a contract.
pub(super) fn read(file: &Text, root: &Node, found: &mut Found<'_>) -> Result<(), Box<Fault>> {
    if text(root, "kind") != Some("DataContract") && get(root, "schema").is_none() {
        return Err(not_that(
            file,
            root,
            "contract: `kind: DataContract` and `schema` are missing",
        ));
    }
    let owner = owner(root);
    for object in items(get(root, "schema")) {
        let Some(name) = text(object, "physicalName").or_else(|| text(object, "name")) else {
            found.needs(
                (place(file, object), "a table without a name".to_owned()),
                "say which it is",
            );
            continue;
        };
        let about = About { table: name.to_owned(), owner: owner.clone(), ..About::default() };
        for property in items(get(object, "properties")) {
            self::property(file, property, &about, found);
        }
        key(file, object, &about, found);
        for relation in items(get(object, "relationships")) {
            let at = (place(file, relation), format!("relationship of {name}"));
            found.needs(at, "a reference of several columns: write `sql`, or `in` for one of them");
        }
        for rule in items(get(object, "quality")) {
            quality(file, rule, None, &about, found);
        }
    }
    for rule in items(get(root, "quality")) {
        let at = (place(file, rule), "quality of the whole contract".to_owned());
        found.needs(at, "say of which table");
    }
    for key in ["slaProperties", "servicelevels"] {
        for sla in items(get(root, key)) {
            let what = text(sla, "property").unwrap_or("a service level");
            let why = "say in which zone, and write it as `newest`, `window` or `schedule`";
            found.needs((place(file, sla), format!("slaProperties: {what}")), why);
        }
    }
    Ok(())
}

/// Who answers: the team, or its first member.
fn owner(root: &Node) -> Option<String> {
    let team = get(root, "team")?;
    let name = text(team, "name").or_else(|| {
        items(Some(team))
            .first()
            .and_then(|one| text(one, "name").or_else(|| text(one, "username")))
    });
    name.map(str::to_owned)
}

fn property(file: &Text, property: &Node, about: &About, found: &mut Found<'_>) {
    let Some(name) = text(property, "physicalName").or_else(|| text(property, "name")) else {
        let at = (place(file, property), format!("a property of {}", about.table));
        return found.needs(at, "say which column it is");
    };
    let column = |key, value: &str| Rule::Column(name.to_owned(), key, value.to_owned());
    let at =
        |what: &str, node: &Node| (place(file, node), format!("{what} of {}.{name}", about.table));
    found.rules(about, vec![Rule::There(name.to_owned())], at("property", property));
    if is_true(property, "required") || is_true(property, "primaryKey") {
        found.rules(about, vec![column("nulls", "none")], at("required", property));
    }
    if is_true(property, "unique") {
        found.rules(about, vec![column("unique", "true")], at("unique", property));
    }
    for key in ["properties", "items"] {
        if let Some(node) = get(property, key) {
            found.needs(at(key, node), "what is within a value is no column: write `sql`");
        }
    }
    if let Some(options) = get(property, "logicalTypeOptions") {
        self::options(file, options, name, about, found);
    }
    for relation in items(get(property, "relationships")) {
        let to = text(relation, "to").filter(|to| to.split('.').count() >= 2 && !to.contains('/'));
        match to {
            Some(to) => {
                found.rules(about, vec![column("in", &quoted(to))], at("relationship", relation));
            }
            None => found.needs(
                at("relationship", relation),
                "say which column it refers to: `in: table.column`",
            ),
        }
    }
    for rule in items(get(property, "quality")) {
        quality(file, rule, Some(name), about, found);
    }
}

/// The columns of a table's key, together.
fn key(file: &Text, object: &Node, about: &About, found: &mut Found<'_>) {
    let all = items(get(object, "properties")).into_iter();
    let mut keys: Vec<(&str, &str)> = all
        .filter(|property| is_true(property, "primaryKey"))
        .filter_map(|property| {
            let name = text(property, "physicalName").or_else(|| text(property, "name"))?;
            Some((text(property, "primaryKeyPosition").unwrap_or_default(), name))
        })
        .collect();
    keys.sort_by_key(|(position, _)| position.parse::<u32>().unwrap_or_default());
    let names: Vec<String> = keys.iter().map(|(_, name)| (*name).to_owned()).collect();
    let rule = match names.as_slice() {
        [] => return,
        [one] => Rule::Column(one.clone(), "unique", "true".to_owned()),
        _ => Rule::Unique(names),
    };
    let at = (place(file, object), format!("primaryKey of {}", about.table));
    found.rules(about, vec![rule], at);
}

fn options(file: &Text, options: &Node, name: &str, about: &About, found: &mut Found<'_>) {
    let limit = |key: &str| get(options, key).and_then(value);
    let at = |what: &str| (place(file, options), format!("{what} of {}.{name}", about.table));
    let rule = |key, value| vec![Rule::Column(name.to_owned(), key, value)];
    for (theirs, ours) in [("minimum", "min"), ("maximum", "max"), ("pattern", "pattern")] {
        if let Some(value) = limit(theirs) {
            found.rules(about, rule(ours, value), at(theirs));
        }
    }
    let lengths: Vec<String> = [("minLength", "min"), ("maxLength", "max")]
        .into_iter()
        .filter_map(|(theirs, ours)| Some(format!("{ours}: {}", limit(theirs)?)))
        .collect();
    if !lengths.is_empty() {
        found.rules(about, rule("length", format!("{{{}}}", lengths.join(", "))), at("length"));
    }
    const KNOWN: [&str; 5] = ["minimum", "maximum", "pattern", "minLength", "maxLength"];
    for (key, _) in entries(options) {
        match scalar(key).unwrap_or_default() {
            known if KNOWN.contains(&known) => {}
            open @ ("exclusiveMinimum" | "exclusiveMaximum") => found
                .needs(at(open), "the limit itself is out, and ours is in: write the next value"),
            other => found.needs(at(other), "no rule of a column says that"),
        }
    }
}

fn quality(file: &Text, rule: &Node, column: Option<&str>, about: &About, found: &mut Found<'_>) {
    let name = ["name", "metric", "rule", "type"].into_iter().find_map(|key| text(rule, key));
    let of = column.map(|column| format!(".{column}")).unwrap_or_default();
    let at = (
        place(file, rule),
        format!("quality: {} of {}{of}", name.unwrap_or("a rule"), about.table),
    );
    if let Some(when) = text(rule, "schedule") {
        let why = "say in which zone, and write it as `schedule` of the check";
        found.needs((at.0.clone(), format!("schedule {when} of {}", at.1)), why);
    }
    let severity = text(rule, "severity").map(str::to_lowercase);
    let severity = match severity.as_deref() {
        Some("critical" | "error" | "high") => Some("critical"),
        Some("info" | "low") => Some("info"),
        _ => None,
    };
    let about = About { severity, ..about.clone() };
    let written = entries(rule).iter().filter_map(|(key, _)| scalar(key));
    if written.filter(|key| key.starts_with("must")).count() > 1 {
        return found.needs(at, "it has several limits: write a rule for each");
    }
    if let Some(rule) = counted_open(rule) {
        return found.rules(&about, vec![rule], at);
    }
    if let Some(open) = OPEN.iter().find(|key| get(rule, key).is_some()) {
        return found.needs(at, format!("`{open}` leaves its limits out, and `min` and `max` take them in: write which are meant"));
    }
    let limit = LIMITS
        .into_iter()
        .find_map(|(theirs, ours)| Some((ours, get(rule, theirs).and_then(value)?)));
    match (text(rule, "type").unwrap_or("library"), limit) {
        ("sql", Some((key, limit))) => match text(rule, "query") {
            Some(query) => {
                let query = filled(query, &about.table, column);
                if is_jinja(&query) || query.contains("${") {
                    return found.needs(
                        at,
                        "its query holds something else than `{object}` and `{property}`",
                    );
                }
                let sql = format!("select ({}) as value", query.trim().trim_end_matches(';'));
                let expect = format!("{{values: {{value: {{{key}: {limit}}}}}}}");
                let evidence = Some(format!("select count(*) from {}", about.table));
                let id = format!("{}-{}", about.table, name.unwrap_or("sql"));
                found.sql(&id, about, (sql, expect, evidence), at);
            }
            None => found.needs(at, "it has no query"),
        },
        ("library", limit) => library(rule, (column, limit), &about, at, found),
        ("text", _) => found.needs(at, "it is prose: say it as a limit"),
        ("custom", _) => found.cannot(at, "it is written for another tool"),
        (_, _) => found.needs(at, "say what has to hold: `min`, `max`, `equals` …"),
    }
}

/// Rows are whole: more than 9 are 10.
fn counted_open(rule: &Node) -> Option<Rule> {
    (text(rule, "metric").or_else(|| text(rule, "rule")) == Some("rowCount")).then_some(())?;
    if text(rule, "unit").is_some_and(|unit| unit.starts_with("percent")) {
        return None;
    }
    let least = text(rule, "mustBeGreaterThan").and_then(|n| n.parse::<u64>().ok()?.checked_add(1));
    let most = text(rule, "mustBeLessThan").and_then(|n| n.parse::<u64>().ok()?.checked_sub(1));
    match (least, most) {
        (Some(least), None) => Some(Rule::Rows("min", least.to_string())),
        (None, Some(most)) => Some(Rule::Rows("max", most.to_string())),
        _ => None,
    }
}

/// `{object}` and `{property}` stand for the table and the column, with or without a `$`.
fn filled(query: &str, table: &str, column: Option<&str>) -> String {
    let mut query = query.to_owned();
    for (word, name) in
        [("object", Some(table)), ("table", Some(table)), ("property", column), ("column", column)]
    {
        let Some(name) = name else { continue };
        query = query.replace(&format!("${{{word}}}"), name).replace(&format!("{{{word}}}"), name);
    }
    query
}

fn library(
    rule: &Node,
    (column, limit): (Option<&str>, Option<(&'static str, String)>),
    about: &About,
    at: (String, String),
    found: &mut Found<'_>,
) {
    let metric = text(rule, "metric").or_else(|| text(rule, "rule")).unwrap_or_default();
    let is_none =
        limit.as_ref().is_some_and(|(key, limit)| matches!(*key, "equals" | "max") && limit == "0");
    let is_percent = text(rule, "unit").is_some_and(|unit| unit.starts_with("percent"));
    let arguments = get(rule, "arguments");
    let argument = |key: &str| arguments.and_then(|all| get(all, key)).or_else(|| get(rule, key));
    let of =
        |key, value: String| column.map(|column| vec![Rule::Column(column.to_owned(), key, value)]);
    let share = limit
        .as_ref()
        .filter(|(key, _)| *key == "max" && is_percent)
        .and_then(|(_, limit)| ratio(limit));
    let known: &[&str] = match metric {
        "duplicateValues" | "duplicateCount" => &["properties"],
        "invalidValues" => &["validValues", "pattern"],
        _ => &[],
    };
    let given: Vec<&str> =
        arguments.into_iter().flat_map(entries).filter_map(|(key, _)| scalar(key)).collect();
    if let Some(key) = given.iter().find(|key| !known.contains(key)) {
        return found.needs(at, format!("`{key}` of it is not known here"));
    }
    let ways = ["validValues", "pattern"].into_iter().filter(|key| argument(key).is_some());
    if metric == "invalidValues" && ways.count() > 1 {
        return found.needs(at, "it says in two ways what is valid: write a rule for each");
    }
    let rules = match metric {
        "nullValues" | "missingValues" if is_none => of("nulls", "none".to_owned()),
        "nullValues" | "missingValues" => {
            share.and_then(|share| of("nulls", format!("{{max_ratio: {share}}}")))
        }
        "duplicateValues" | "duplicateCount" if is_none => match column {
            Some(_) => of("unique", "true".to_owned()),
            None => argument("properties").map(|all| {
                let all = items(Some(all)).into_iter().filter_map(scalar).map(str::to_owned);
                vec![Rule::Unique(all.collect())]
            }),
        },
        "invalidValues" if is_none => {
            let set =
                argument("validValues").and_then(values).and_then(|all| of("one_of", list(&all)));
            set.or_else(|| argument("pattern").and_then(value).and_then(|one| of("pattern", one)))
        }
        "rowCount" if !is_percent => limit.map(|(key, limit)| vec![Rule::Rows(key, limit)]),
        _ => None,
    };
    match rules {
        Some(rules) => found.rules(about, rules, at),
        None => found.needs(at, "no rule of a table says that: write `sql` with a limit"),
    }
}

/// A percentage as a ratio.
fn ratio(percent: &str) -> Option<String> {
    let percent: bigdecimal::BigDecimal = percent.parse().ok()?;
    Some((percent / bigdecimal::BigDecimal::from(100)).normalized().to_plain_string())
}
