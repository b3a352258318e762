//! Rows that show what is wrong with a table.

use crate::domain::check::judge::in_time;
use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::observation::{Moment, Rows};
use crate::domain::check::value::Value;
use crate::domain::check::{Check, MASKED};
use crate::domain::table::statements::{From, ROWS, enclosed};
use crate::domain::table::{Asks, Statement, Table};

/// Which rows to show; a number is the place of a column or a condition in the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// Where a column is NULL.
    Null(usize),
    /// Where it is not.
    Filled(usize),
    /// Where it is lowest.
    Lowest(usize),
    /// Where it is highest.
    Highest(usize),
    /// Where its text is shortest.
    Shortest(usize),
    /// Where its text is longest.
    Longest(usize),
    /// Where its text is not like its pattern.
    Unlike(usize),
    /// Where its value is not in its reference.
    Orphans(usize),
    /// Where a condition holds that never does.
    Never(usize),
    /// What columns have more than once that are unique together.
    Repeated(Vec<ColumnName>),
}

impl Sample {
    /// The statement that brings so many rows; nothing where they would show nothing that may be shown.
    pub fn statement(&self, check: &Check, table: &Table) -> Option<Statement> {
        let (rules, engine) = (table.rules(), table.engine());
        let from = From::new(rules, engine);
        let limit = check.samples.rows;
        let column = |at: &usize| rules.columns.get(*at);
        let of = |at: &usize, own: bool, more: Vec<String>, order: &str| {
            let columns = columns(own.then_some(&column(at)?.column), check);
            let rest = format!("{order}\nLIMIT {limit}");
            Some((columns, more, rest))
        };
        let name = |at: &usize| column(at).map(|rules| from.column(&rules.column));
        let filled = |at: &usize| column(at).map(|rules| from.filled(&rules.column));
        let length = |at: &usize| column(at).map(|rules| from.length(&rules.column));
        let (list, more, rest) = match self {
            Self::Null(at) => of(at, false, vec![format!("{} IS NULL", name(at)?)], "")?,
            Self::Filled(at) => of(at, true, vec![filled(at)?], "")?,
            Self::Lowest(at) => {
                of(at, true, vec![filled(at)?], &format!("ORDER BY {}", name(at)?))?
            }
            Self::Highest(at) => {
                of(at, true, vec![filled(at)?], &format!("ORDER BY {} DESC", name(at)?))?
            }
            Self::Shortest(at) => {
                of(at, true, vec![filled(at)?], &format!("ORDER BY {}", length(at)?))?
            }
            Self::Longest(at) => {
                of(at, true, vec![filled(at)?], &format!("ORDER BY {} DESC", length(at)?))?
            }
            Self::Unlike(at) => {
                let pattern = column(at)?.pattern.as_ref()?;
                let is_like = pattern.condition(&name(at)?, engine);
                of(at, true, vec![filled(at)?, format!("NOT ({is_like})")], "")?
            }
            Self::Orphans(at) => of(at, true, from.orphan(column(at)?)?, "")?,
            Self::Never(at) => {
                let condition = enclosed(rules.never.get(*at)?);
                (columns(None, check), vec![condition], format!("\nLIMIT {limit}"))
            }
            Self::Repeated(keys) => return self.repeated(&from, keys, limit),
        };
        if list.is_empty() {
            return None;
        }
        let items: Vec<String> = list.iter().map(|column| from.named(column)).collect();
        let names: Vec<&str> = list.iter().map(|column| column.as_str()).collect();
        from.statement(Asks::Scan, &from.select(&items.join(", "), &more, rest.trim()), &names).ok()
    }

    fn repeated(&self, from: &From<'_>, keys: &[ColumnName], limit: usize) -> Option<Statement> {
        let list: Vec<String> = keys.iter().map(|column| from.named(column)).collect();
        let mut list = list.join(", ");
        let mut names: Vec<&str> = keys.iter().map(|column| column.as_str()).collect();
        // Beside a key of the same name there is no place for the number of rows.
        if !names.iter().any(|name| name.eq_ignore_ascii_case(ROWS)) {
            list = format!("{list}, count(*) AS {ROWS}");
            names.push(ROWS);
        }
        let sql = from.repeated(keys, &list);
        let sql = format!("{sql}\nORDER BY count(*) DESC\nLIMIT {limit}");
        from.statement(Asks::Scan, &sql, &names).ok()
    }

    /// The rows as they are shown: `column=value`, or how often there is what ought to be there once. Of the lowest and
    /// the highest, only those that break the limit.
    pub fn shown(
        &self,
        check: &Check,
        table: &Table,
        statement: &Statement,
        rows: &Rows,
        moment: &Moment,
    ) -> Vec<String> {
        let value = |row: &[Value], at: usize, column: &ColumnName| match (self, column.as_str()) {
            (Self::Repeated(keys), ROWS) if !keys.contains(column) => {
                format!("({} times)", row[at])
            }
            _ if check.masks(column) => format!("{column}={MASKED}"),
            _ => format!("{column}={}", row[at]),
        };
        let line = |row: &Vec<Value>| {
            let columns = statement.columns.iter().enumerate();
            columns.map(|(at, column)| value(row, at, column)).collect::<Vec<_>>().join(" ")
        };
        let is_wrong =
            |row: &&Vec<Value>| row.first().is_none_or(|value| self.is_wrong(value, table, moment));
        rows.rows().iter().filter(is_wrong).map(line).collect()
    }

    /// Says whether a value of the column that is shown first is one that breaks its limit.
    fn is_wrong(&self, value: &Value, table: &Table, moment: &Moment) -> bool {
        let columns = &table.rules().columns;
        let (limit, value) = match self {
            Self::Lowest(at) | Self::Highest(at) => {
                (columns.get(*at).and_then(|rules| rules.range.as_ref()), value.clone())
            }
            Self::Shortest(at) | Self::Longest(at) => {
                let length =
                    |text: &String| u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
                let Value::Text(text) = value else { return true };
                let limit = columns.get(*at).and_then(|rules| rules.length.as_ref());
                (limit, Value::Number(Number::from(length(text))))
            }
            Self::Null(_)
            | Self::Filled(_)
            | Self::Unlike(_)
            | Self::Orphans(_)
            | Self::Never(_)
            | Self::Repeated(_) => return true,
        };
        let limit = limit.and_then(|limit| limit.at(moment));
        limit.is_none_or(|limit| !limit.holds(&in_time(&value, &limit, moment.epoch)))
    }
}

/// The columns of a row that are shown: the one that is wrong, and those that samples name.
fn columns<'c>(own: Option<&'c ColumnName>, check: &'c Check) -> Vec<&'c ColumnName> {
    let named = check.samples.columns.iter().filter(|name| own != Some(name));
    own.into_iter().chain(named).collect()
}
