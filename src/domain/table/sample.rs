//! Rows that show what is wrong with a table.

use crate::domain::check::name::ColumnName;
use crate::domain::check::observation::Rows;
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

    /// The rows as they are shown: `column=value`, or how often there is what ought to be there once.
    pub fn shown(&self, check: &Check, statement: &Statement, rows: &Rows) -> Vec<String> {
        let value = |row: &[_], at: usize, column: &ColumnName| match (self, column.as_str()) {
            (Self::Repeated(keys), ROWS) if !keys.contains(column) => {
                format!("({} times)", row[at])
            }
            _ if check.masks(column) => format!("{column}={MASKED}"),
            _ => format!("{column}={}", row[at]),
        };
        let line = |row: &Vec<crate::domain::check::value::Value>| {
            let columns = statement.columns.iter().enumerate();
            columns.map(|(at, column)| value(row, at, column)).collect::<Vec<_>>().join(" ")
        };
        rows.rows().iter().map(line).collect()
    }
}

/// The columns of a row that are shown: the one that is wrong, and those that samples name.
fn columns<'c>(own: Option<&'c ColumnName>, check: &'c Check) -> Vec<&'c ColumnName> {
    let named = check.samples.columns.iter().filter(|name| own != Some(name));
    own.into_iter().chain(named).collect()
}
