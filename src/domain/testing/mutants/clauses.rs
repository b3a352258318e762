//! Conditions within a query: where each begins and ends, and the parts that AND and OR join.

use std::ops::Range;

use crate::domain::sql::words::{Tok, Words};

/// A condition after WHERE, ON or HAVING: its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) tokens: Range<usize>,
}

/// What ends a condition at its own depth.
pub(super) const ENDS: [&str; 19] = [
    "group",
    "order",
    "having",
    "limit",
    "union",
    "intersect",
    "except",
    "window",
    "where",
    "join",
    "left",
    "right",
    "full",
    "inner",
    "cross",
    "natural",
    "fetch",
    "offset",
    "on",
];

/// All conditions of a query, at any depth.
pub(super) fn conditions(words: &Words) -> Vec<Condition> {
    let mut all = Vec::new();
    for at in 0..words.0.len() {
        if !words.is_word(at, &["where", "on", "having"]) {
            continue;
        }
        let depth = words.0[at].depth;
        let end = words.clause_end(at + 1, depth, &ENDS);
        if at + 1 < end {
            all.push(Condition { tokens: at + 1..end });
        }
        all.extend(groups(words, at + 1..end));
    }
    all
}

/// Conditions in parentheses within a condition: `(a = 1 or b = 2)`.
fn groups(words: &Words, range: Range<usize>) -> Vec<Condition> {
    let mut all = Vec::new();
    for open in range.clone().filter(|at| words.0[*at].tok == Tok::Open) {
        let close = words.closing(open);
        let inner = open + 1..close.min(range.end);
        let depth = words.0[open].depth + 1;
        let joins = |at: usize| words.0[at].depth == depth && words.is_word(at, &["and", "or"]);
        let is_query = words.is_word(open + 1, &["select", "with", "values"]);
        if !is_query && inner.clone().any(joins) {
            all.push(Condition { tokens: inner });
        }
    }
    all
}

/// The parts of a condition that one word joins at its own depth, and where the words stand.
pub(super) fn parts(
    words: &Words,
    condition: &Condition,
    word: &str,
) -> (Vec<Range<usize>>, Vec<usize>) {
    let range = condition.tokens.clone();
    let depth = words.0[range.start].depth;
    let (mut parts, mut joints) = (Vec::new(), Vec::new());
    let (mut start, mut between, mut cases) = (range.start, false, 0_usize);
    for at in range.clone() {
        if words.0[at].depth != depth {
            continue;
        }
        if words.is_word(at, &["case"]) {
            cases += 1;
        } else if words.is_word(at, &["end"]) {
            cases = cases.saturating_sub(1);
        } else if words.is_word(at, &["between"]) {
            between = true;
        } else if words.is_word(at, &["and"]) && between {
            between = false;
        } else if words.is_word(at, &[word]) && cases == 0 {
            parts.push(start..at);
            joints.push(at);
            start = at + 1;
        }
    }
    parts.push(start..range.end);
    (parts, joints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine, Query};

    fn shown(sql: &str) -> Vec<usize> {
        let query = Query::parse(sql, Engine::Postgres, Binding::Window).unwrap();
        let words = Words::of(&query);
        let conditions = conditions(&words);
        conditions.iter().map(|condition| parts(&words, condition, "and").0.len()).collect()
    }

    #[test]
    fn conditions_and_what_joins_them_are_found_at_any_depth() {
        for (sql, wanted) in [
            ("select 1 from t where a = 1", vec![1]),
            ("select 1 from t where a = 1 and b between 1 and 2 and c = 3 order by a", vec![3]),
            ("select 1 from t join u on u.a = t.a and u.b = 1 where t.c = 2", vec![2, 1]),
            ("select 1 from t where (a = 1 or b = 2) and c = 3", vec![2, 1]),
            (
                "select 1 from (select 2 from t where x = 1 and y = 2) q where left(z, 1) = 'a'",
                vec![2, 1],
            ),
            ("select 1 from t where case when a = 1 and b = 2 then 1 end = 1 and c = 1", vec![2]),
            ("select 1 from t where exists (select 1 from u where u.a = t.a)", vec![1, 1]),
        ] {
            assert_eq!(shown(sql), wanted, "{sql}");
        }
    }
}
