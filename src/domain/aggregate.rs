//! What a query brings over nothing: an aggregate brings a row whatever there is, and such a row is
//! no evidence that there was something to look at.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What comes where there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverNothing {
    /// No row, as far as one can see.
    NoRow,
    /// One row of NULL, as from `sum(x)`.
    Null,
    /// One row of zero or of something computed, as from `count(*)`.
    Something,
}

/// Aggregates that are zero over nothing, those that are NULL, and what makes something of a NULL.
const ZERO: [&str; 3] = ["count", "total", "count_big"];
const NULL: [&str; 4] = ["sum", "min", "max", "avg"];
const MENDED: [&str; 4] = ["coalesce", "ifnull", "nullif", "case"];

/// Looks at the last select that stands in no parentheses, by its tokens without comments.
pub(crate) fn over_nothing(body: &[&TokenWithSpan]) -> OverNothing {
    let mut depth = 0_u32;
    let mut outer: Vec<(usize, &Word)> = Vec::new();
    for (place, token) in body.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() => {
                outer.push((place, word));
            }
            _ => {}
        }
    }
    let find = |name: &str| outer.iter().rev().find(|(_, w)| w.value.eq_ignore_ascii_case(name));
    let Some((select, _)) = find("select") else { return OverNothing::NoRow };
    let after = |name: &str| find(name).map(|(place, _)| *place).filter(|place| place > select);
    if ["group", "having", "union", "intersect", "except"].iter().any(|name| after(name).is_some())
    {
        return OverNothing::NoRow;
    }
    let Some(from) = after("from") else { return OverNothing::Something };
    list(&body[select + 1..from])
}

/// Looks at a list of columns, but not into subqueries.
fn list(tokens: &[&TokenWithSpan]) -> OverNothing {
    let mut subqueries: Vec<bool> = Vec::new();
    let (mut zero, mut null, mut mended) = (false, false, false);
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1).map(|token| &token.token);
        match &token.token {
            Token::LParen => {
                let inner =
                    matches!(next, Some(Token::Word(w)) if w.value.eq_ignore_ascii_case("select"));
                subqueries.push(inner);
            }
            Token::RParen => drop(subqueries.pop()),
            Token::Word(word) if word.quote_style.is_none() && !subqueries.contains(&true) => {
                let named =
                    |names: &[&str]| names.iter().any(|n| word.value.eq_ignore_ascii_case(n));
                // A window function brings a row for each row.
                if named(&["over"]) {
                    return OverNothing::NoRow;
                }
                let called = matches!(next, Some(Token::LParen));
                zero |= called && named(&ZERO);
                null |= called && named(&NULL);
                mended |= named(&MENDED);
            }
            _ => {}
        }
    }
    match (zero, null) {
        (true, _) => OverNothing::Something,
        (false, true) if mended => OverNothing::Something,
        (false, true) => OverNothing::Null,
        (false, false) => OverNothing::NoRow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine, Query};

    #[test]
    fn a_row_that_comes_whatever_there_is_is_seen() {
        for (sql, wanted) in [
            ("select count(*) as bad from t where x", OverNothing::Something),
            ("with b as (select 1 group by a) select count(*) from b", OverNothing::Something),
            ("select (select count(*) from t) as bad", OverNothing::Something),
            ("select count(*) from (select 1 from t group by z) q where x", OverNothing::Something),
            ("select -- c\n ifnull(sum(v), 0) from t", OverNothing::Something),
            ("select total(v) from t", OverNothing::Something),
            ("select sum(v) from t", OverNothing::Null),
            ("select z, count(*) from t group by z", OverNothing::NoRow),
            ("select count(*) from t having count(*) > 1", OverNothing::NoRow),
            ("select count(*) over (partition by z) from t", OverNothing::NoRow),
            ("select a, (select count(*) from u) from t", OverNothing::NoRow),
            ("select \"count\" from t", OverNothing::NoRow),
            ("values (1)", OverNothing::NoRow),
        ] {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Nothing).unwrap();
            assert_eq!(query.over_nothing(), wanted, "{sql}");
        }
    }
}
