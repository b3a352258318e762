//! What each generic test of dbt means.

use std::str::FromStr as _;

use bigdecimal::BigDecimal;

use crate::import::found::Rule;
use crate::import::node::{entries, get, is_no, items, scalar, value, values};
use crate::import::written::{list, quoted};
use crate::manifest::{Kind, Node};

/// What a test of dbt becomes.
pub(in crate::import) enum Outcome {
    Rules(Vec<Rule>),
    Needs(String),
    /// No test that is known here.
    Unknown,
}

/// A generic test: its name without its package, its arguments, and its column.
pub(in crate::import) struct Test<'n> {
    pub(in crate::import) name: &'n str,
    pub(in crate::import) args: Option<&'n Node>,
    pub(in crate::import) column: Option<&'n str>,
}

/// The arguments that every test may have, and that change nothing of what it means, or are read apart.
const COMMON: [&str; 19] = [
    "config",
    "arguments",
    "where",
    "severity",
    "name",
    "description",
    "tags",
    "meta",
    "error_if",
    "warn_if",
    "store_failures",
    "store_failures_as",
    "enabled",
    "column_name",
    "model",
    "alias",
    "test_name",
    "row_condition",
    "limit",
];
/// What may stand under `config`.
const CONFIG: [&str; 13] = [
    "where",
    "severity",
    "tags",
    "meta",
    "error_if",
    "warn_if",
    "store_failures",
    "store_failures_as",
    "enabled",
    "limit",
    "alias",
    "schema",
    "group",
];

/// The arguments of each test that are understood.
fn arguments(name: &str) -> &'static [&'static str] {
    match name {
        "accepted_values" | "not_accepted_values" => &["values", "quote"],
        "expect_column_values_to_be_in_set" | "expect_column_values_to_not_be_in_set" => {
            &["value_set", "quote_values"]
        }
        "relationships" => &["to", "field"],
        "accepted_range" => &["min_value", "max_value", "inclusive"],
        "expect_column_values_to_be_between" => &["min_value", "max_value", "strictly"],
        "not_null_proportion" => &["at_least"],
        "expect_column_value_lengths_to_equal" | "expect_table_row_count_to_equal" => &["value"],
        "expect_column_value_lengths_to_be_between" | "expect_table_row_count_to_be_between" => {
            &["min_value", "max_value"]
        }
        "expect_column_values_to_match_regex" => &["regex"],
        "unique_combination_of_columns" => &["combination_of_columns"],
        "expect_compound_columns_to_be_unique" => &["column_list"],
        "expression_is_true" => &["expression"],
        "recency" => &["datepart", "field", "interval"],
        "expect_row_values_to_have_recent_data" => &["datepart", "interval"],
        _ => &[],
    }
}

/// Why the arguments of a test say something that is not understood, where they do.
pub(in crate::import) fn unlike(name: &str, args: &Node) -> Option<String> {
    let known = arguments(name);
    let nested = get(args, "arguments").into_iter().flat_map(entries);
    let own = entries(args).iter().chain(nested);
    let own = own.map(|entry| (entry, COMMON.as_slice()));
    let config = get(args, "config").into_iter().flat_map(entries);
    let all = own.chain(config.map(|entry| (entry, CONFIG.as_slice())));
    for ((key, value), common) in all {
        let key = scalar(key).unwrap_or_default();
        if !common.contains(&key) && !known.contains(&key) {
            return Some(format!("`{key}` of it is not known here"));
        }
        // Who is referred to, and what is written for people, is no value.
        let is_template =
            !matches!(key, "to" | "model" | "description" | "name" | "meta" | "tags" | "alias");
        if is_template && has_jinja(value) {
            return Some(format!("`{key}` holds a macro: write what it stands for"));
        }
    }
    None
}

fn has_jinja(node: &Node) -> bool {
    scalar(node).is_some_and(is_jinja)
        || matches!(&node.kind, Kind::List(items) if items.iter().any(has_jinja))
        || entries(node).iter().any(|(_, value)| has_jinja(value))
}

/// The rows that a test of `dbt_expectations` is about, where it is about some.
pub(in crate::import) fn row_condition(args: &Node) -> Option<&str> {
    let nested = get(args, "arguments").and_then(|nested| get(nested, "row_condition"));
    nested.or_else(|| get(args, "row_condition")).and_then(scalar)
}

/// Says whether a text is a template of dbt.
pub(in crate::import) fn is_jinja(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Says whether a text is the name of a column, and no expression.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The table that `ref('customers')` or `source('shop', 'customers')` names.
pub(in crate::import) fn referenced(to: &str) -> Option<String> {
    let names: Vec<&str> = to.split(['\'', '"']).skip(1).step_by(2).collect();
    let is_source = to.contains("source(");
    match names.as_slice() {
        [schema, table] if is_source => Some(format!("{schema}.{table}")),
        [.., table] if to.contains("ref(") => Some((*table).to_owned()),
        _ => None,
    }
}

/// What a test means.
pub(in crate::import) fn rules(test: &Test<'_>) -> Outcome {
    let args = Args { test };
    if let Some(why) = args.odd() {
        return Outcome::Needs(why);
    }
    args.of_column().or_else(|| args.of_rows()).unwrap_or(Outcome::Unknown)
}

/// The arguments of a test.
struct Args<'t> {
    test: &'t Test<'t>,
}

impl Args<'_> {
    fn get(&self, key: &str) -> Option<&Node> {
        let args = self.test.args?;
        get(args, "arguments").and_then(|nested| get(nested, key)).or_else(|| get(args, key))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(scalar)
    }

    fn number(&self, key: &str) -> Option<&str> {
        self.text(key).filter(|text| BigDecimal::from_str(text).is_ok())
    }

    /// Why an argument is an expression, where one is.
    fn odd(&self) -> Option<String> {
        const NUMBERS: [&str; 5] = ["min_value", "max_value", "value", "at_least", "interval"];
        let is_odd = |key: &&str| {
            self.get(key).is_some_and(|node| !matches!(node.kind, Kind::Null))
                && self.number(key).is_none()
        };
        if let Some(key) = NUMBERS.into_iter().find(is_odd) {
            return Some(format!("`{key}` is no number: write what it stands for"));
        }
        let unquoted = ["quote", "quote_values"].iter().any(|key| is_no(self.text(key)));
        let set = ["values", "value_set"].iter().find_map(|key| self.get(key));
        let is_text = |node: &&Node| matches!(node.kind, Kind::Text(_));
        if unquoted && items(set).iter().any(is_text) {
            return Some(
                "its values are not quoted, so they are SQL: write what they stand for".to_owned(),
            );
        }
        let column = self.text("column_name").filter(|_| self.test.column.is_none());
        column
            .filter(|name| !is_name(name))
            .map(|name| format!("`{name}` is no column: write it as `never`, or as `sql`"))
    }

    fn says(&self, key: &str) -> bool {
        self.text(key).is_some_and(|word| word.eq_ignore_ascii_case("true"))
    }

    fn set(&self, key: &str) -> Option<String> {
        self.get(key).and_then(values).map(|all| list(&all))
    }

    /// Several names of columns.
    fn names(&self, key: &str) -> Option<Vec<String>> {
        let all = items(self.get(key)).into_iter();
        let all = all.map(|one| scalar(one).filter(|name| is_name(name)).map(str::to_owned));
        all.collect::<Option<Vec<_>>>().filter(|all| all.len() > 1)
    }

    fn column(&self) -> Option<&str> {
        self.test.column.or_else(|| self.text("column_name"))
    }

    /// What a test says of the values of one column.
    fn of_column(&self) -> Option<Outcome> {
        let word = |word: &str| Some(word.to_owned());
        let (key, value) = match self.test.name {
            "not_null" | "expect_column_values_to_not_be_null" => ("nulls", word("none")),
            "expect_column_values_to_be_null" => ("nulls", word("only")),
            "unique" | "expect_column_values_to_be_unique" => ("unique", word("true")),
            "accepted_values" => ("one_of", self.set("values")),
            "expect_column_values_to_be_in_set" => ("one_of", self.set("value_set")),
            "not_accepted_values" => ("not_one_of", self.set("values")),
            "expect_column_values_to_not_be_in_set" => ("not_one_of", self.set("value_set")),
            "not_empty_string" => ("pattern", word("'[^\\s]'")),
            "expect_column_values_to_match_regex" => ("pattern", self.get("regex").and_then(value)),
            "expect_column_value_lengths_to_equal" => {
                ("length", self.number("value").map(|n| format!("{{equals: {n}}}")))
            }
            "expect_column_value_lengths_to_be_between" => {
                let both = [("min", self.number("min_value")), ("max", self.number("max_value"))];
                ("length", limits(&both))
            }
            "relationships" => ("in", self.referenced()),
            "not_null_proportion" => {
                let least =
                    self.number("at_least").and_then(|text| BigDecimal::from_str(text).ok());
                let most = least.map(|least| BigDecimal::from(1) - least);
                let most = most.map(|most| most.normalized().to_plain_string());
                ("nulls", most.map(|most| format!("{{max_ratio: {most}}}")))
            }
            "accepted_range" | "expect_column_values_to_be_between" => return Some(self.range()),
            _ => return None,
        };
        Some(match (self.column(), value) {
            (Some(column), Some(value)) => {
                Outcome::Rules(vec![Rule::Column(column.to_owned(), key, value)])
            }
            _ => Outcome::Needs(format!("its arguments do not say `{key}` of which column")),
        })
    }

    fn referenced(&self) -> Option<String> {
        let table = self.text("to").and_then(referenced)?;
        let field = self.text("field").filter(|field| is_name(field))?;
        Some(quoted(&format!("{table}.{field}")))
    }

    /// What a test says of rows.
    fn of_rows(&self) -> Option<Outcome> {
        Some(match self.test.name {
            "expect_column_to_exist" => match self.column() {
                Some(column) => Outcome::Rules(vec![Rule::There(column.to_owned())]),
                None => Outcome::Needs("it does not say which column".to_owned()),
            },
            "unique_combination_of_columns" => unique(self.names("combination_of_columns")),
            "expect_compound_columns_to_be_unique" => unique(self.names("column_list")),
            "expression_is_true" => expression(self.column(), self.text("expression")),
            "recency" | "expect_row_values_to_have_recent_data" => self.recency(),
            "expect_table_row_count_to_equal" => {
                rows([("equals", self.number("value")), ("max", None)])
            }
            "expect_table_row_count_to_be_between" => {
                rows([("min", self.number("min_value")), ("max", self.number("max_value"))])
            }
            "equal_rowcount" | "fewer_rows_than" | "equality" => {
                Outcome::Needs("it compares two tables: write `reconcile`".to_owned())
            }
            _ => return None,
        })
    }

    fn recency(&self) -> Outcome {
        let field = self.text("field").or(self.column()).filter(|field| is_name(field));
        let within = self.number("interval").zip(self.text("datepart"));
        match (field, within.and_then(|(count, unit)| span(count, unit))) {
            (Some(field), Some(within)) => {
                Outcome::Rules(vec![Rule::Newest(field.to_owned(), within)])
            }
            _ => Outcome::Needs("say how old the newest value of which column may be".to_owned()),
        }
    }

    fn range(&self) -> Outcome {
        let Some(column) = self.column() else {
            return Outcome::Needs("it does not say which column".to_owned());
        };
        if is_no(self.text("inclusive")) || self.says("strictly") {
            let why = "its limits are not in the range, and ours are: write the next values";
            return Outcome::Needs(why.to_owned());
        }
        let rule = |key, value: &str| Rule::Column(column.to_owned(), key, value.to_owned());
        let least = self.number("min_value").map(|value| rule("min", value));
        let most = self.number("max_value").map(|value| rule("max", value));
        let rules: Vec<Rule> = least.into_iter().chain(most).collect();
        match rules.is_empty() {
            true => Outcome::Needs("its limits are no numbers: write them".to_owned()),
            false => Outcome::Rules(rules),
        }
    }
}

fn limits(both: &[(&'static str, Option<&str>)]) -> Option<String> {
    let all: Vec<String> =
        both.iter().filter_map(|(key, value)| Some(format!("{key}: {}", (*value)?))).collect();
    (!all.is_empty()).then(|| format!("{{{}}}", all.join(", ")))
}

fn unique(columns: Option<Vec<String>>) -> Outcome {
    match columns {
        Some(columns) => Outcome::Rules(vec![Rule::Unique(columns)]),
        None => {
            Outcome::Needs("say which columns are unique together: expressions are none".to_owned())
        }
    }
}

fn expression(column: Option<&str>, expression: Option<&str>) -> Outcome {
    match expression {
        Some(text) if !is_jinja(text) => {
            let whole = column.map_or_else(|| text.to_owned(), |column| format!("{column} {text}"));
            Outcome::Rules(vec![Rule::Never(format!("not ({whole})"))])
        }
        Some(_) => {
            Outcome::Needs("its expression holds a macro: write what it stands for".to_owned())
        }
        None => Outcome::Needs("it has no expression".to_owned()),
    }
}

fn rows(limits: [(&'static str, Option<&str>); 2]) -> Outcome {
    let rules: Vec<Rule> = limits
        .into_iter()
        .filter_map(|(key, value)| Some(Rule::Rows(key, value?.to_owned())))
        .collect();
    match rules.is_empty() {
        true => Outcome::Needs("say how many rows".to_owned()),
        false => Outcome::Rules(rules),
    }
}

/// A time as we write it: `12 hour` is `12h`.
pub(in crate::import) fn span(count: &str, unit: &str) -> Option<String> {
    let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
    let (count, unit) = match unit.trim_end_matches('s') {
        "second" => (count, "s"),
        "minute" => (count, "m"),
        "hour" => (count, "h"),
        "day" => (count, "d"),
        "week" => (count.checked_mul(7)?, "d"),
        _ => return None,
    };
    Some(format!("{count}{unit}"))
}
