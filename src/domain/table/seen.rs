//! What the statements of a table brought, by what each is for.

use std::collections::BTreeMap;

use crate::domain::check::judge::count;
use crate::domain::check::name::ColumnName;
use crate::domain::check::number::Number;
use crate::domain::check::observation::Rows;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::table::statements::ROWS;
use crate::domain::table::{Asks, ColumnRules, Nulls, Rules, Table};

/// What was brought, by what it is for.
pub(super) struct Seen<'b> {
    pub(super) rows: u64,
    pub(super) scan: BTreeMap<&'b str, &'b Value>,
    others: Vec<(&'b Asks, &'b Rows)>,
}

impl<'b> Seen<'b> {
    pub(super) fn new(table: &'b Table, brought: &'b [Rows]) -> Result<Self, Reason> {
        let mut scan = BTreeMap::new();
        let mut others = Vec::new();
        for (statement, rows) in table.statements().iter().zip(brought) {
            if statement.asks != Asks::Scan {
                others.push((&statement.asks, rows));
                continue;
            }
            let row = rows.rows().first().ok_or_else(too_large)?;
            scan.extend(statement.columns.iter().map(ColumnName::as_str).zip(row));
        }
        let rows = count(scan.get(ROWS).copied().unwrap_or(&Value::Null))?;
        Ok(Self { rows, scan, others })
    }

    pub(super) fn value(&self, name: &str) -> &'b Value {
        self.scan.get(name).copied().unwrap_or(&Value::Null)
    }

    pub(super) fn count(&self, name: &str) -> Result<u64, Reason> {
        count(self.value(name))
    }

    pub(super) fn of(&self, wanted: impl Fn(&Asks) -> bool) -> Option<&'b Rows> {
        self.others.iter().find(|(asks, _)| wanted(asks)).map(|(_, rows)| *rows)
    }
}

/// A value of the scan that was too large to be fetched.
pub(super) fn too_large() -> Reason {
    Reason::new(Cause::OverLimit, "the lowest or the highest value of a column has more than 1 MiB")
}

/// One number out of the one row of a statement.
pub(super) fn counted(rows: Option<&Rows>, name: &str) -> Result<u64, Reason> {
    let value = rows.and_then(|rows| Some(&rows.rows().first()?[rows.find(name)?]));
    value.map_or_else(|| Err(too_large()), count)
}

impl Rules {
    /// Says whether some rule is held against something wherever there is a row, whatever is NULL there.
    pub fn is_always_held(&self) -> bool {
        let of_rows = !self.never.is_empty()
            || self.rows.is_some()
            || self.volume.is_some()
            || self.newest.is_some();
        of_rows || self.columns.iter().any(|column| column.nulls != Nulls::Allowed)
    }

    /// Says whether some rule was held against something: limits, `unique` and `in` say nothing where all is NULL.
    pub(super) fn met<'v>(&self, seen: impl Fn(&str, usize) -> &'v Value) -> bool {
        let none = Value::Number(Number::from(0_u64));
        let is_filled = |kind: &str, at: usize| *seen(kind, at) != none;
        let of_rows = !self.never.is_empty()
            || self.rows.is_some()
            || self.volume.is_some()
            || self.newest.is_some();
        // A column without such a rule is judged by how often it is NULL, or has to be there.
        let is_met = |(at, column): (usize, &ColumnRules)| {
            let is_about_values = column.judges_values() || column.within.is_some();
            let is_unique = self.unique.contains(&vec![column.column.clone()]);
            let is_about_nulls = !matches!(column.nulls, Nulls::Allowed | Nulls::AsLimits);
            is_filled("filled", at) || is_about_nulls || !(is_about_values || is_unique)
        };
        of_rows
            || self.columns.iter().enumerate().any(is_met)
            || (0..self.unique.len()).any(|at| is_filled("keyed", at))
    }
}
