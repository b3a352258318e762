//! Rules that may be proposed for a table: guessed by names and types, and written as a check.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cli::suggest::catalogue::{Catalogue, Column, Kind};
use crate::domain::check::verdict::Contradiction;
use crate::domain::sql::Engine;
use crate::manifest::word;

/// Names of columns that are hardly ever there twice, and ends of such names.
const KEYS: [&str; 11] =
    ["id", "uuid", "guid", "number", "no", "code", "email", "slug", "sku", "key", "token"];
const KEY_ENDS: [&str; 6] = ["_uuid", "_number", "_no", "_code", "_key", "_ref"];
/// Names of columns of instants by which windows are cut, the likeliest first.
const INSTANTS: [&str; 8] =
    ["created_at", "inserted_at", "occurred_at", "created", "at", "ts", "timestamp", "event_time"];
/// How many pairs of instants are held against each other.
const PAIRS_MAX: usize = 6;

/// A rule that may be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// A column is never NULL.
    Filled(String),
    /// A column is never below 0.
    Positive(String),
    /// A column has one of a few values; before they are known, none of them.
    OneOf(String, Vec<String>),
    /// A column's values are ids of a table.
    In(String, String),
    /// The second instant is never before the first: their names, and the condition that says so.
    Order(String, String, String),
    /// There are at least half as many rows as a week ago.
    Volume,
    /// Columns are unique together.
    Unique(Vec<String>),
}

/// The column of instants by which windows are cut, where one can be guessed.
pub(super) fn cut_by(catalogue: &Catalogue) -> Option<&str> {
    let instants = || catalogue.columns.iter().filter(|column| column.kind == Kind::Instant);
    let named = |name: &&str| {
        instants()
            .find(|column| column.name.eq_ignore_ascii_case(name))
            .map(|column| column.name.as_str())
    };
    let only = || {
        let mut all = instants();
        all.next().filter(|_| all.next().is_none()).map(|column| column.name.as_str())
    };
    INSTANTS.iter().find_map(named).or_else(only)
}

/// Rules about rows that names and types suggest, and that the database does not hold itself.
pub(super) fn candidates(catalogue: &Catalogue, at: Option<&str>, engine: Engine) -> Vec<Rule> {
    let mut all = Vec::new();
    for column in &catalogue.columns {
        let name = column.name.clone();
        let is_cut_by = at == Some(name.as_str());
        if column.takes_null && !is_cut_by && !catalogue.keeps_filled(&name) {
            all.push(Rule::Filled(name.clone()));
        }
        let is_free = !catalogue.checked.contains(&name);
        let is_key =
            catalogue.is_unique(&name) || name.to_lowercase().ends_with("_id") || name == "id";
        match column.kind {
            Kind::Whole | Kind::Decimal if is_free && !is_key => all.push(Rule::Positive(name)),
            Kind::Text if is_free && !catalogue.is_unique(&name) => {
                all.push(Rule::OneOf(name, Vec::new()));
            }
            Kind::Whole | Kind::Decimal | Kind::Text | Kind::Date | Kind::Instant | Kind::Other => {
            }
        }
    }
    all.extend(catalogue.columns.iter().filter_map(|column| reference(catalogue, column)));
    let instants: Vec<&Column> =
        catalogue.columns.iter().filter(|column| column.kind == Kind::Instant).collect();
    let pairs = instants.iter().enumerate().flat_map(|(i, first)| {
        instants[i + 1..].iter().map(move |second| (first.name.clone(), second.name.clone()))
    });
    let pairs = pairs.filter(|(first, second)| !catalogue.compares(first, second));
    all.extend(pairs.take(PAIRS_MAX).map(|(first, second)| {
        let condition = format!("{} < {}", in_sql(&second, engine), in_sql(&first, engine));
        Rule::Order(first, second, condition)
    }));
    all
}

/// A column as a condition names it: in quotes, where it would be read as something else.
fn in_sql(name: &str, engine: Engine) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // A word with an underscore is no word of SQL.
    if is_plain && (name.contains('_') || ["at", "ts", "created", "updated"].contains(&name)) {
        return name.to_owned();
    }
    match engine {
        Engine::MySql => format!("`{}`", name.replace('`', "``")),
        Engine::Postgres | Engine::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// `customer_id` may be the id of `customers`, or of `customer`.
fn reference(catalogue: &Catalogue, column: &Column) -> Option<Rule> {
    if catalogue.foreign.contains(&column.name) {
        return None;
    }
    let lower = column.name.to_lowercase();
    let noun = lower.strip_suffix("_id")?;
    let forms = [
        format!("{noun}s"),
        noun.to_owned(),
        format!("{noun}es"),
        format!("{}ies", noun.trim_end_matches('y')),
    ];
    let table = forms
        .iter()
        .find_map(|form| catalogue.keyed.iter().find(|table| table.eq_ignore_ascii_case(form)))?;
    Some(Rule::In(column.name.clone(), table.clone()))
}

/// Columns that may be unique in the whole table, and that the database does not hold unique.
pub(super) fn keys(catalogue: &Catalogue) -> Vec<Rule> {
    let is_named = |column: &&Column| {
        let name = column.name.to_lowercase();
        KEYS.contains(&name.as_str()) || KEY_ENDS.iter().any(|end| name.ends_with(end))
    };
    let is_free = |column: &&Column| {
        matches!(column.kind, Kind::Whole | Kind::Text | Kind::Other)
            && !catalogue.is_unique(&column.name)
    };
    let single: Vec<Rule> = catalogue
        .columns
        .iter()
        .filter(is_named)
        .filter(is_free)
        .map(|column| Rule::Unique(vec![column.name.clone()]))
        .collect();
    if !single.is_empty() || !catalogue.unique.is_empty() {
        return single;
    }
    // A table without any key: its first two columns of ids.
    let ids = catalogue.columns.iter().filter(|c| c.name.to_lowercase().ends_with("_id"));
    let ids: Vec<String> = ids.take(2).map(|column| column.name.clone()).collect();
    if ids.len() == 2 { vec![Rule::Unique(ids)] } else { Vec::new() }
}

impl Rule {
    /// Says whether what was found is against it.
    pub(super) fn is_broken_by(&self, found: &Contradiction) -> bool {
        match (self, found) {
            (Self::Filled(name), Contradiction::Values { column, expected, .. }) => {
                column.as_str() == name && expected == "no NULL"
            }
            (Self::In(name, table), Contradiction::Values { column, expected, .. }) => {
                column.as_str() == name && *expected == format!("one of {table}.id")
            }
            (Self::OneOf(name, _), Contradiction::Values { column, expected, .. }) => {
                column.as_str() == name
                    && expected.starts_with("one of ")
                    && !expected.ends_with(".id")
            }
            // No number is the highest, where there is one.
            (Self::Positive(name), Contradiction::End { column, .. }) => column.as_str() == name,
            (Self::Order(..), Contradiction::Never { condition, .. }) => {
                self.condition() == *condition
            }
            (Self::Volume, Contradiction::Volume { .. }) => true,
            (Self::Unique(names), Contradiction::Repeated { columns, .. }) => {
                names.join(", ") == *columns
            }
            (
                Self::Filled(_)
                | Self::In(..)
                | Self::OneOf(..)
                | Self::Positive(_)
                | Self::Order(..)
                | Self::Volume
                | Self::Unique(_),
                _,
            ) => false,
        }
    }

    fn condition(&self) -> String {
        match self {
            Self::Order(_, _, condition) => condition.clone(),
            Self::Filled(_)
            | Self::In(..)
            | Self::OneOf(..)
            | Self::Positive(_)
            | Self::Volume
            | Self::Unique(_) => String::new(),
        }
    }

    /// The columns that are unique together, where that is the rule.
    fn key(&self) -> Option<&[String]> {
        if let Self::Unique(names) = self { Some(names) } else { None }
    }

    /// The column that has few values, and those, where that is the rule.
    pub(super) fn set(&mut self) -> Option<(&str, &mut Vec<String>)> {
        if let Self::OneOf(name, values) = self { Some((name, values)) } else { None }
    }

    /// Says whether it is about a column of which every row is NULL: then it was held against nothing.
    pub(super) fn is_hollow(&self, found: &Contradiction) -> bool {
        let Contradiction::Values { column, expected, rows, of, .. } = found else { return false };
        let name = column.as_str();
        let is_about = match self {
            Self::Order(first, second, _) => first == name || second == name,
            Self::Unique(names) => names.iter().any(|known| known == name),
            Self::Filled(_) | Self::Positive(_) | Self::OneOf(..) | Self::In(..) | Self::Volume => {
                self.column() == Some(name)
            }
        };
        is_about && expected == "no NULL" && rows == of
    }

    fn column(&self) -> Option<&str> {
        match self {
            Self::Filled(name)
            | Self::Positive(name)
            | Self::OneOf(name, _)
            | Self::In(name, _) => Some(name),
            Self::Order(..) | Self::Volume | Self::Unique(_) => None,
        }
    }
}

/// The rules as keys of a check, each line indented by four; some columns may be NULL.
pub(super) fn written(rules: &[Rule], nullable: &BTreeSet<String>) -> String {
    let mut yaml = String::new();
    let mut columns: Vec<&str> = Vec::new();
    for column in rules.iter().filter_map(Rule::column) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let single = |rule: &Rule| rule.key().filter(|names| names.len() == 1)?.first().cloned();
    let unique: Vec<String> = rules.iter().filter_map(single).collect();
    let more: Vec<&str> =
        unique.iter().map(String::as_str).filter(|name| !columns.contains(name)).collect();
    columns.extend(more);
    if !columns.is_empty() {
        yaml.push_str("    columns:\n");
    }
    for column in columns {
        let of = rules.iter().filter(|rule| rule.column() == Some(column));
        let mut keys: Vec<String> = Vec::new();
        let is_filled = of.clone().any(|rule| matches!(rule, Rule::Filled(_)));
        let mut has_limit = false;
        for rule in of {
            match rule {
                Rule::Positive(_) => keys.push("min: 0".to_owned()),
                Rule::OneOf(_, values) => {
                    let values: Vec<String> = values.iter().map(|value| word(value)).collect();
                    keys.push(format!("one_of: [{}]", values.join(", ")));
                }
                Rule::In(_, table) => keys.push(format!("in: {}", word(&format!("{table}.id")))),
                Rule::Filled(_) | Rule::Order(..) | Rule::Volume | Rule::Unique(_) => {}
            }
            has_limit |= matches!(rule, Rule::Positive(_) | Rule::OneOf(..));
        }
        match (is_filled, has_limit) {
            // A limit is a rule against NULL as well.
            (true, true) => {}
            (true, false) => keys.insert(0, "nulls: none".to_owned()),
            (false, true) if nullable.contains(column) => keys.push("nulls: allowed".to_owned()),
            (false, true) => {}
            (false, false) => {}
        }
        if unique.iter().any(|name| name == column) {
            keys.push("unique: true".to_owned());
        }
        let _ = writeln!(yaml, "      {}: {{{}}}", word(column), keys.join(", "));
    }
    let together = rules.iter().filter_map(Rule::key).filter(|names| names.len() > 1);
    let together = together.map(|names| {
        format!("[{}]", names.iter().map(|name| word(name)).collect::<Vec<_>>().join(", "))
    });
    let together: Vec<String> = together.collect();
    if !together.is_empty() {
        let _ = writeln!(yaml, "    unique: [{}]", together.join(", "));
    }
    let never = rules.iter().map(Rule::condition).filter(|condition| !condition.is_empty());
    let never: Vec<String> = never.map(|c| serde_json::Value::from(c).to_string()).collect();
    if !never.is_empty() {
        let _ = writeln!(yaml, "    never: [{}]", never.join(", "));
    }
    if rules.contains(&Rule::Volume) {
        yaml.push_str("    rows: {past: 7, min_ratio: 0.5}\n");
    }
    yaml
}
