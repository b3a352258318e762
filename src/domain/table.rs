//! A check over a table: rules for its columns and rows, without SQL of its author.
//!
//! No limit becomes SQL. One statement counts and brings the extremes of all columns, one more brings the values of each
//! column that is held against a set, one counts per `unique` and per `in`; what they bring is held against the same
//! limits that `values` has.

pub mod judge;
pub mod pattern;
pub mod sample;
mod seen;
mod statements;
pub mod volume;

use std::fmt;
use std::time::Duration;

use crate::domain::check::limit::Limit;
use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Reason;
use crate::domain::check::share::Share;
use crate::domain::sql::{Engine, Query, SqlFault};
use crate::domain::table::pattern::Pattern;
use crate::domain::table::volume::Volume;

/// What a check asks of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    rules: Rules,
    engine: Engine,
    statements: Vec<Statement>,
}

/// Which rows of which table, and what has to hold of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The table.
    pub table: TableName,
    /// `where`: which of its rows.
    pub condition: Option<String>,
    /// The column that windows cut.
    pub cut_by: Option<CutBy>,
    /// The column that says whose zone a row is in.
    pub zone_column: Option<ColumnName>,
    /// What has to hold of each column.
    pub columns: Vec<ColumnRules>,
    /// Columns that are unique together.
    pub unique: Vec<Vec<ColumnName>>,
    /// Conditions that hold on no row.
    pub never: Vec<String>,
    /// How many rows there are.
    pub rows: Option<RowLimit>,
    /// How many rows there are beside those of an earlier window.
    pub volume: Option<Volume>,
    /// How old the newest row is.
    pub newest: Option<Newest>,
    /// How many different values a column may have that is held against a set.
    pub values_max: u32,
}

/// The name of a table, with its schema where one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(Vec<String>);

/// The column by which windows cut the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutBy {
    /// `at`: a column of instants.
    Instant(ColumnName),
    /// `on`: a column of dates, of which a window has one.
    Date(ColumnName),
    /// `on`: the same, of which a window has several.
    Dates(ColumnName),
}

/// What has to hold of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRules {
    /// Its name.
    pub column: ColumnName,
    /// How often it may be NULL.
    pub nulls: Nulls,
    /// What its lowest and its highest value have to satisfy.
    pub range: Option<Limit>,
    /// What each of its values has to satisfy.
    pub values: Vec<Limit>,
    /// What the lengths of its texts have to satisfy.
    pub length: Option<Limit>,
    /// What its texts look like.
    pub pattern: Option<Pattern>,
    /// Where its values have to be.
    pub within: Option<Reference>,
}

/// How often a column may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Never.
    Never,
    /// Never, because NULL satisfies no limit, and the column has limits.
    AsLimits,
    /// Always: it has no other value.
    Always,
    /// On such a part of the rows at most.
    AtMost(Share),
    /// As often as it likes.
    Allowed,
}

/// A column of a table in which values have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: ColumnName,
}

/// How old the newest value of a column may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The column of instants.
    pub column: ColumnName,
    /// How old, for people.
    pub within: Duration,
    /// The same as limits: not too old, and not of the future.
    pub limits: [Limit; 2],
}

/// One statement of a check over a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is for.
    pub asks: Asks,
    /// The statement.
    pub query: Query,
    /// The columns that it brings.
    pub columns: Vec<ColumnName>,
}

/// What a statement is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// Counts and extremes of all columns.
    Scan,
    /// How many rows an earlier window has.
    Past,
    /// How often the values of columns that are unique together are there more than once.
    Duplicates(Vec<ColumnName>),
    /// On how many rows a column, by its place in the rules, has a value that is not in its reference.
    Orphans(usize),
    /// The values of a column, by its place in the rules, and how often each is there.
    Values(usize),
}

impl Table {
    /// Makes the statements that ask what rules need.
    ///
    /// # Errors
    /// Where a condition is no SQL; conditions are held against that one by one before, by [`Table::condition`].
    pub fn new(rules: Rules, engine: Engine) -> Result<Self, SqlFault> {
        let statements = statements::all(&rules, engine)?;
        Ok(Self { rules, engine, statements })
    }

    /// The same rules for another table.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn of(&self, table: TableName) -> Result<Self, SqlFault> {
        Self::new(Rules { table, ..self.rules.clone() }, self.engine)
    }

    /// Holds a condition of `where` or `never` against the rules for SQL.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn condition(text: &str, engine: Engine) -> Result<(), SqlFault> {
        statements::condition(text, engine)
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The dialect of the statements.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What is asked, in this order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Says whether a query asks an earlier window than the one that is looked at.
    pub fn asks_past(&self, query: &Query) -> bool {
        let of_past = |statement: &&Statement| statement.asks == Asks::Past;
        self.statements.iter().filter(of_past).any(|statement| statement.query == *query)
    }

    /// A reason in the words of the check, which does not name the columns of statements that are not its own.
    pub fn in_its_words(&self, reason: Reason) -> Reason {
        let values = self.rules.columns.iter().filter(|rules| !rules.values.is_empty());
        let held = values.map(|rules| rules.column.as_str()).collect::<Vec<_>>().join("` or `");
        let newest = self.rules.newest.iter().map(|newest| newest.column.as_str()).collect();
        let mut names =
            vec![(statements::VALUE.to_owned(), held), (statements::NEWEST.to_owned(), newest)];
        for (at, rules) in self.rules.columns.iter().enumerate() {
            let column = rules.column.as_str().to_owned();
            let ends = ["lowest", "highest"];
            names.extend(ends.map(|end| (statements::item(end, at), column.clone())));
        }
        let is_named = |(name, _): &&(String, String)| reason.note.contains(&format!("`{name}`"));
        let Some((name, column)) =
            names.iter().find(is_named).filter(|(_, column)| !column.is_empty())
        else {
            return reason;
        };
        let said = reason.note.split(": select").next().unwrap_or_default();
        let note = said.replace(&format!("`{name}`"), &format!("`{column}`"));
        Reason {
            note: format!("{note}: judge it under `sql`, which can select another form of it"),
            ..reason
        }
    }

    /// How many windows earlier is asked too, where that is.
    pub fn past(&self) -> Option<u32> {
        self.rules.volume.as_ref().map(|volume| volume.past)
    }
}

impl Rules {
    /// Which columns' values may be shown.
    pub fn columns_shown(&self) -> impl Iterator<Item = &ColumnName> {
        let named = self.columns.iter().map(|rules| &rules.column);
        let newest = self.newest.iter().map(|newest| &newest.column);
        named.chain(self.unique.iter().flatten()).chain(newest)
    }
}

impl Rules {
    /// What has to hold, a line each.
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.rows.iter().map(|limit| format!("rows: {limit}")));
        lines.extend(self.volume.iter().map(|volume| format!("rows: {volume}")));
        lines.extend(self.columns.iter().map(ColumnRules::in_words));
        lines.extend(self.unique.iter().map(|columns| format!("unique: {}", listed(columns))));
        lines.extend(self.never.iter().map(|condition| format!("never: {condition}")));
        lines.extend(
            self.newest
                .iter()
                .map(|newest| format!("newest {}: {}", newest.column, newest.limits[0])),
        );
        lines
    }
}

impl Asks {
    /// What it is for, in a word or two.
    pub fn title(&self, rules: &Rules) -> String {
        let column = |at: &usize| rules.columns.get(*at).map_or("", |c| c.column.as_str());
        match self {
            Self::Scan => "table".to_owned(),
            Self::Past => "rows of an earlier window".to_owned(),
            Self::Duplicates(columns) => format!("unique {}", listed(columns)),
            Self::Orphans(at) => format!("in, of {}", column(at)),
            Self::Values(at) => format!("values of {}", column(at)),
        }
    }
}

/// Names of columns in a line.
fn listed(columns: &[ColumnName]) -> String {
    columns.iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ")
}

impl ColumnRules {
    fn in_words(&self) -> String {
        let nulls = match self.nulls {
            Nulls::Never | Nulls::AsLimits => Some("never NULL".to_owned()),
            Nulls::Always => Some("always NULL".to_owned()),
            Nulls::AtMost(share) => Some(format!("NULL on at most {share} of the rows")),
            Nulls::Allowed => None,
        };
        let limits = self.range.iter().chain(&self.values).map(ToString::to_string);
        let length = self.length.iter().map(|limit| format!("length {limit}"));
        let pattern = self.pattern.iter().map(|pattern| format!("like {}", pattern.as_str()));
        let within = self.within.iter().map(|reference| format!("one of {reference}"));
        let all: Vec<String> =
            nulls.into_iter().chain(limits).chain(length).chain(pattern).chain(within).collect();
        let rules = if all.is_empty() { "is there".to_owned() } else { all.join("; ") };
        format!("{}: {rules}", self.column)
    }

    /// Says whether something is held against values that are there.
    pub fn judges_values(&self) -> bool {
        self.range.is_some()
            || !self.values.is_empty()
            || self.length.is_some()
            || self.pattern.is_some()
    }
}

impl TableName {
    /// Reads `orders` or `sales.orders`: each part is quoted as it stands.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.len() > 3 {
            return Err("a table is written as `orders`, `sales.orders` or `shop.sales.orders`");
        }
        let is_name = |part: &String| {
            !part.is_empty()
                && part.chars().count() <= 128
                && part.trim() == part
                && !part.chars().any(|c| c.is_control() || matches!(c, '"' | '`' | '[' | ']' | ';'))
        };
        if !parts.iter().all(is_name) {
            return Err(
                "a table's name has 1 to 128 characters and no quotes: they are written for you",
            );
        }
        Ok(Self(parts))
    }

    /// Its parts, the table last.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join("."))
    }
}

impl Reference {
    /// Reads `customers.id` or `sales.customers.id`: the column is last.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a reference is a table and its column, like `customers.id`";
        let (table, column) = text.rsplit_once('.').ok_or(RULE)?;
        Ok(Self { table: TableName::parse(table)?, column: ColumnName::parse(column)? })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_they_are_written() {
        for (text, parts) in [("orders", 1), ("sales.Orders", 2), ("a.b.c", 3), ("größe", 1)] {
            assert_eq!(TableName::parse(text).unwrap().parts().len(), parts, "{text}");
        }
        for bad in ["", "a.", ".a", "a.b.c.d", "a\"b", "a;b", " a", "`a`"] {
            assert!(TableName::parse(bad).is_err(), "{bad}");
        }
        let reference = Reference::parse("sales.customers.id").unwrap();
        assert_eq!(reference.to_string(), "sales.customers.id");
        assert!(Reference::parse("customers").is_err());
    }
}
