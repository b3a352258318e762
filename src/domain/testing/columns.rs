//! Which columns a query compares with the bounds of its window.

use std::collections::BTreeSet;

use crate::domain::check::{Body, Check};
use crate::domain::sql::Query;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::table::CutBy;

/// The columns that a check compares with its window, by their last names in small letters.
pub fn compared_with_window(check: &Check) -> BTreeSet<String> {
    let mut columns: BTreeSet<String> = check.queries().into_iter().flat_map(of_query).collect();
    if let Body::Table(table) = &check.body
        && let Some(CutBy::Instant(column) | CutBy::Date(column)) = &table.rules().cut_by
    {
        columns.insert(column.as_str().to_lowercase());
    }
    columns
}

/// The names in what is compared with a parameter of the window.
fn of_query(query: &Query) -> BTreeSet<String> {
    let words = Words::of(query);
    let mut columns = BTreeSet::new();
    for at in 0..words.0.len() {
        let Some(Tok::Param(parameter)) = words.tok(at) else { continue };
        if !is_of_window(*parameter) {
            continue;
        }
        let before = at.checked_sub(1);
        let compares =
            |at: Option<usize>| matches!(at.and_then(|at| words.tok(at)), Some(Tok::Compare(_)));
        let between = before.filter(|at| words.is_word(*at, &["between", "and"]));
        if compares(before) {
            columns.extend(names(&words, operand_before(&words, at - 1)));
        } else if let Some(word) = between {
            // `at between :window_start and :window_end`; an `and` of two conditions ends at a comparison before.
            columns.extend(names(&words, operand_before(&words, word)));
        }
        if compares(Some(at + 1)) {
            columns.extend(names(&words, operand_after(&words, at + 2)));
        }
    }
    columns
}

fn is_of_window(parameter: Parameter) -> bool {
    match parameter {
        Parameter::WindowStart | Parameter::WindowEnd | Parameter::WindowDate => true,
        Parameter::Zone | Parameter::UtcOffset | Parameter::WindowHours => false,
    }
}

/// The tokens of the operand that ends before a place.
fn operand_before(words: &Words, end: usize) -> std::ops::Range<usize> {
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
fn operand_after(words: &Words, start: usize) -> std::ops::Range<usize> {
    const ENDS: [&str; 10] =
        ["and", "or", "group", "order", "union", "then", "else", "end", "having", "limit"];
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
fn names(words: &Words, range: std::ops::Range<usize>) -> Vec<String> {
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
    fn what_is_compared_with_the_window_is_found_within_functions_and_on_both_sides() {
        for (sql, wanted) in [
            ("select 1 from t where at >= :window_start and t.at < :window_end", vec!["at"]),
            ("select 1 from t where :window_start <= made_at and x = 1", vec!["made_at"]),
            (
                "select 1 from t where paid_at between :window_start and :window_end",
                vec!["paid_at"],
            ),
            ("select 1 from t where date(at) = :window_date and zone = :zone", vec!["at"]),
            ("select 1 from t where (a = 1 or datetime(\"At\") >= :window_start)", vec!["at"]),
            ("select 1 from t where zone = :zone", vec![]),
            (
                "select case when x then 1 end from t where coalesce(moved_at, made_at) >= :window_start",
                vec!["made_at", "moved_at"],
            ),
        ] {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Window).unwrap();
            let columns: Vec<String> = of_query(&query).into_iter().collect();
            assert_eq!(columns, wanted, "{sql}");
        }
    }
}
