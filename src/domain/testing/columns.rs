//! Which columns a query compares with the bounds of its window.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::check::{Body, Check};
use crate::domain::sql::Query;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::table::CutBy;

/// A column that a check holds against both bounds of its window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// Of which table, where the query says so; in small letters.
    pub table: Option<String>,
    /// Its name, in small letters.
    pub column: String,
}

impl Bound {
    /// Says whether a column of a table is this one.
    pub fn is(&self, table: &str, column: &str) -> bool {
        self.column == column.to_lowercase()
            && self.table.as_ref().is_none_or(|name| *name == table.to_lowercase())
    }
}

/// The columns by which a check takes the rows of its window: those that it holds against both of its bounds, or of which
/// it makes a date. A key that has to be equal to a bound or to a date is none.
pub fn compared_with_window(check: &Check) -> BTreeSet<Bound> {
    let mut columns: BTreeSet<Bound> = check.queries().into_iter().flat_map(of_query).collect();
    if let Body::Table(table) = &check.body
        && let Some(CutBy::Instant(column)) = &table.rules().cut_by
    {
        columns.insert(Bound { table: None, column: column.as_str().to_lowercase() });
    }
    columns
}

/// Says whether a check knows the rows of its window by a date or an instant that has to be equal, and by nothing else.
pub fn is_known_by_key(check: &Check) -> bool {
    check.queries().into_iter().all(|query| {
        let words = Words::of(query);
        let is_equal = |at: Option<usize>| {
            at.and_then(|at| words.tok(at)).is_some_and(|tok| *tok == Tok::Compare("="))
        };
        (0..words.0.len()).all(|at| match words.tok(at) {
            Some(Tok::Param(Parameter::WindowStart | Parameter::WindowEnd)) => {
                is_equal(at.checked_sub(1)) || is_equal(Some(at + 1))
            }
            Some(_) | None => true,
        })
    })
}

/// Which side of a window a column was held against.
#[derive(Debug, Default, Clone, Copy)]
struct Sides {
    start: bool,
    end: bool,
}

/// The names in what is compared with a parameter of the window.
fn of_query(query: &Query) -> BTreeSet<Bound> {
    let words = Words::of(query);
    let mut seen: BTreeMap<Bound, Sides> = BTreeMap::new();
    for at in 0..words.0.len() {
        let Some(Tok::Param(parameter)) = words.tok(at) else { continue };
        if !is_of_window(*parameter) {
            continue;
        }
        let before = at.checked_sub(1);
        let sign = |at: Option<usize>| match at.and_then(|at| words.tok(at)) {
            Some(Tok::Compare(sign)) => Some(*sign),
            Some(_) | None => None,
        };
        // In `at between :window_start and :window_end`, the second bound has no operand of its own.
        let between = before.filter(|at| words.is_word(*at, &["between"]));
        let (operand, is_equal) = match (sign(before), between, sign(Some(at + 1))) {
            (Some(sign), ..) => (operand_before(&words, at - 1), sign == "="),
            (None, Some(word), _) => (operand_before(&words, word), false),
            (None, None, Some(sign)) => (operand_after(&words, at + 2), sign == "="),
            (None, None, None) => continue,
        };
        let is_made = operand
            .clone()
            .any(|at| words.tok(at) == Some(&Tok::Open) || words.tok(at) == Some(&Tok::Sign("::")));
        let is_date = matches!(parameter, Parameter::WindowDate | Parameter::WindowEndDate);
        if (is_equal || is_date) && !is_made {
            continue;
        }
        for bound in bounds(&words, operand) {
            let sides = seen.entry(bound).or_default();
            let both = is_equal || between.is_some();
            let is_end = matches!(parameter, Parameter::WindowEnd | Parameter::WindowEndDate);
            sides.start |= both || !is_end;
            sides.end |= both || is_end;
        }
    }
    seen.into_iter().filter(|(_, sides)| sides.start && sides.end).map(|(bound, _)| bound).collect()
}

/// The columns in some tokens, each with its table where an alias or a table stands before it.
fn bounds(words: &Words, range: std::ops::Range<usize>) -> Vec<Bound> {
    let aliases = words.aliases();
    let qualifier = |at: usize| {
        let dot = at.checked_sub(1).filter(|at| words.tok(*at) == Some(&Tok::Dot))?;
        match words.tok(dot.checked_sub(1)?) {
            Some(Tok::Word(name) | Tok::Name(name)) => Some(name.to_lowercase()),
            Some(_) | None => None,
        }
    };
    let bound = |at: usize| match words.tok(at) {
        Some(Tok::Word(name) | Tok::Name(name)) => {
            let table = qualifier(at).and_then(|alias| aliases.get(&alias).cloned());
            Some(Bound { table, column: name.to_lowercase() })
        }
        Some(_) | None => None,
    };
    let is_name = |at: &usize| {
        matches!(words.tok(*at), Some(Tok::Word(_) | Tok::Name(_)))
            && !matches!(words.tok(at + 1), Some(Tok::Open | Tok::Dot))
    };
    range.filter(is_name).filter_map(bound).collect()
}

fn is_of_window(parameter: Parameter) -> bool {
    match parameter {
        Parameter::WindowStart
        | Parameter::WindowEnd
        | Parameter::WindowDate
        | Parameter::WindowEndDate => true,
        Parameter::Zone | Parameter::UtcOffset | Parameter::WindowHours => false,
        // Its rows are another window's.
        Parameter::PastStart | Parameter::PastEnd | Parameter::PastDate => false,
    }
}

/// The tokens of the operand that ends before a place.
pub(super) fn operand_before(words: &Words, end: usize) -> std::ops::Range<usize> {
    const ENDS: [&str; 12] = [
        "where", "and", "or", "on", "not", "when", "having", "select", "then", "else", "if",
        "between",
    ];
    let depth = words.0.get(end).map_or(0, |at| at.depth);
    let mut start = end;
    while let Some(before) = start.checked_sub(1) {
        let at = &words.0[before];
        let leaves = at.depth < depth;
        let is_end = at.depth == depth
            && (words.is_word(before, &ENDS) || matches!(at.tok, Tok::Comma | Tok::Compare(_)));
        if leaves || is_end {
            break;
        }
        start = before;
    }
    start..end
}

/// The tokens of the operand that begins at a place.
pub(super) fn operand_after(words: &Words, start: usize) -> std::ops::Range<usize> {
    const ENDS: [&str; 13] = [
        "and", "or", "group", "order", "union", "then", "else", "end", "having", "limit", "from",
        "where", "as",
    ];
    let depth = words.0.get(start).map_or(0, |at| at.depth);
    let ends = |at: &usize| {
        let there = &words.0[*at];
        there.depth < depth
            || there.depth == depth
                && (words.is_word(*at, &ENDS) || matches!(there.tok, Tok::Comma | Tok::Compare(_)))
    };
    let end = (start..words.0.len()).find(ends).unwrap_or(words.0.len());
    start..end
}

/// The names in some tokens that are no functions: the last part of each.
pub(super) fn names(words: &Words, range: std::ops::Range<usize>) -> Vec<String> {
    let is_name = |at: &usize| {
        matches!(words.tok(*at), Some(Tok::Word(_) | Tok::Name(_)))
            && !matches!(words.tok(at + 1), Some(Tok::Open | Tok::Dot))
    };
    let name = |at: usize| match words.tok(at) {
        Some(Tok::Word(name) | Tok::Name(name)) => Some(name.to_lowercase()),
        Some(_) | None => None,
    };
    range.filter(is_name).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine};

    #[test]
    fn a_column_that_is_held_against_both_bounds_is_found_with_its_table() {
        for (sql, wanted) in [
            ("select 1 from t where at >= :window_start and t.at < :window_end", vec![]),
            ("select 1 from t where t.at >= :window_start and t.at < :window_end", vec!["t.at"]),
            (
                "select 1 from t where :window_start <= made_at and made_at < :window_end",
                vec!["made_at"],
            ),
            (
                "select 1 from t where paid_at between :window_start and :window_end",
                vec!["paid_at"],
            ),
            ("select 1 from t where date(at) = :window_date and zone = :zone", vec!["at"]),
            ("select 1 from t where day = :window_date", vec![]),
            ("select 1 from t where day >= :window_date and day < :window_end_date", vec![]),
            (
                "select 1 from t where date(at) >= :window_date and date(at) < :window_end_date",
                vec!["at"],
            ),
            ("select 1 from t where start = :window_start", vec![]),
            ("select 1 from t where started < :window_end and ended > :window_start", vec![]),
            (
                "select 1 from orders o join customers as c on c.id = o.id where o.at >= :window_start and o.at < :window_end",
                vec!["orders.at"],
            ),
            (
                "select 1 from t where (a = 1 or datetime(\"At\") >= :window_start) and at < :window_end",
                vec!["at"],
            ),
        ] {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Window).unwrap();
            let shown = |bound: Bound| match bound.table {
                Some(table) => format!("{table}.{}", bound.column),
                None => bound.column,
            };
            let columns: Vec<String> = of_query(&query).into_iter().map(shown).collect();
            assert_eq!(columns, wanted, "{sql}");
        }
    }
}
