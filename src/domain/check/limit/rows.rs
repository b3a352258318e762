//! The limit of the number of rows.

use std::fmt;

use crate::domain::check::limit::{Condition, Limit, LimitFault, LimitParts, Tolerance};
use crate::domain::check::literal::Literal;
use crate::domain::check::number::Number;
use crate::domain::check::value::Value;

/// What a number of rows must satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLimit(pub(super) Limit);

impl RowLimit {
    /// Puts a limit on a number of rows together, where at most `rows_max` rows are read.
    ///
    /// # Errors
    /// As [`Limit::new`]; also where a number is no count, where every count satisfies the limit,
    /// and where what may be read can never decide it.
    pub fn new(parts: &LimitParts<'_>, rows_max: u32) -> Result<Self, LimitFault> {
        if parts.nulls_allowed {
            return Err(LimitFault::new("nulls", "a number of rows is never NULL", "remove it"));
        }
        let limit = Limit::new(parts)?;
        for (key, literal) in limit.literals() {
            let Some(count) = literal.number().and_then(Number::as_count) else {
                return Err(LimitFault::new(
                    key,
                    format!("a number of rows is a whole number from 0, not {}", literal.text()),
                    "",
                ));
            };
            if count > u64::from(rows_max) {
                return Err(LimitFault::new(
                    key,
                    format!("at most {rows_max} rows are read, so {count} can never be judged"),
                    "count in the SQL and limit the value, or raise `max_rows`",
                ));
            }
        }
        let every_count = limit.conditions.iter().all(|c| match c {
            Condition::Min(l) => l.number().and_then(Number::as_count) == Some(0),
            Condition::Equals(..)
            | Condition::NotEquals(_)
            | Condition::Max(_)
            | Condition::OneOf(_) => false,
        });
        if every_count {
            return Err(LimitFault::new(
                "min",
                "`min: 0` cannot fail: every query brings at least 0 rows",
                "write `min: 1`, or a `max`",
            ));
        }
        Ok(Self(limit))
    }

    /// Says whether this many rows satisfy the limit.
    pub fn holds(&self, rows: u64) -> bool {
        self.0.holds(&Value::Number(Number::from(rows)))
    }

    /// Says whether no larger number of rows can satisfy the limit either: the verdict on a result
    /// that was read only in part.
    pub fn is_past(&self, rows: u64) -> bool {
        let above = |l: &Literal| l.number().is_some_and(|n| *n < Number::from(rows));
        self.0.conditions.iter().any(|c| match c {
            Condition::Equals(l, tolerance) => above(l) && *tolerance == Tolerance::default(),
            Condition::Max(l) => above(l),
            Condition::OneOf(all) => all.iter().all(above),
            Condition::Min(_) | Condition::NotEquals(_) => false,
        })
    }
}

impl fmt::Display for RowLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
