//! Which parts of a query feed anything that is judged.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::domain::sql::words::{Tok, Words};

/// The items of select lists whose names nothing uses: changes there change no verdict.
pub(super) fn idle(words: &Words, judged: Option<&BTreeSet<String>>) -> Vec<Range<usize>> {
    let items = items(words);
    let mut idle: Vec<Range<usize>> = Vec::new();
    loop {
        let before = idle.len();
        for (depth, item) in &items {
            if idle.contains(item) {
                continue;
            }
            let (Some(name), named) = words.named(item) else { continue };
            // Without a name of its own, what it is called depends on the engine.
            let name = name.to_lowercase();
            if named.is_empty() {
                continue;
            }
            let used = match judged {
                Some(judged) if *depth == 0 => judged.contains(&name),
                None if *depth == 0 => true,
                Some(_) | None => is_used(words, &name, item, &idle),
            };
            if !used {
                idle.push(item.clone());
            }
        }
        if idle.len() == before {
            return idle;
        }
    }
}

/// Says whether a name stands anywhere else than in an item and in what is idle.
fn is_used(words: &Words, name: &str, item: &Range<usize>, idle: &[Range<usize>]) -> bool {
    (0..words.0.len()).any(|at| {
        let is_name = matches!(words.tok(at), Some(Tok::Word(word) | Tok::Name(word)) if word.to_lowercase() == name);
        let is_all = matches!(words.tok(at), Some(Tok::Sign("*")))
            && matches!(at.checked_sub(1).and_then(|at| words.tok(at)), Some(Tok::Dot | Tok::Comma | Tok::Word(_)));
        (is_name || is_all) && !item.contains(&at) && !idle.iter().any(|idle| idle.contains(&at))
    })
}

/// The items of all select lists, with their depths.
fn items(words: &Words) -> Vec<(usize, Range<usize>)> {
    let mut all = Vec::new();
    for select in (0..words.0.len()).filter(|at| words.is_word(*at, &["select"])) {
        let depth = words.0[select].depth;
        let first = select + 1 + usize::from(words.is_word(select + 1, &["distinct", "all"]));
        let ends = ["from", "where", "union", "intersect", "except", "order", "limit"];
        let end = words.clause_end(first, depth, &ends);
        let mut start = first;
        for at in first..=end {
            let is_comma = at < end && words.0[at].depth == depth && words.0[at].tok == Tok::Comma;
            if (is_comma || at == end) && start < at {
                all.push((depth, start..at));
                start = at + 1;
            }
        }
    }
    all
}

/// What is known of a column of a result without looking at data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Nulls {
    /// It is never NULL.
    Never,
    /// It is NULL where this column of a table is.
    As(String),
    /// It may be NULL.
    Perhaps,
}

/// Says whether a column of a query's result can be NULL, as far as its words tell.
pub(super) fn nulls(words: &Words, column: &str) -> Nulls {
    let items = words.items().unwrap_or_default();
    let is_it = |item: &&Range<usize>| {
        words.named(item).0.is_some_and(|name| name.eq_ignore_ascii_case(column))
    };
    let Some(item) = items.iter().find(is_it) else { return Nulls::Perhaps };
    let (_, tokens) = words.named(item);
    let tokens = if tokens.is_empty() { item.clone() } else { tokens };
    if is_never_null(words, tokens.clone()) {
        return Nulls::Never;
    }
    let outer = (0..words.0.len()).any(|at| words.is_word(at, &["left", "right", "full"]));
    let last = tokens.end - 1;
    let bare =
        tokens.len() == 1 || tokens.len() == 3 && words.tok(tokens.start + 1) == Some(&Tok::Dot);
    match words.tok(last) {
        Some(Tok::Word(name) | Tok::Name(name)) if bare && !outer => Nulls::As(name.to_lowercase()),
        Some(_) | None => Nulls::Perhaps,
    }
}

/// Counts, literals, `coalesce` with a literal at its end, CASE of literals, and what is computed of those.
fn is_never_null(words: &Words, tokens: Range<usize>) -> bool {
    let mut at = tokens.start;
    while at < tokens.end {
        let next = match words.tok(at) {
            Some(Tok::Number(_) | Tok::Text(_)) => at + 1,
            Some(Tok::Sign("+" | "-" | "*")) => at + 1,
            Some(Tok::Word(word)) if word == "count" && words.tok(at + 1) == Some(&Tok::Open) => {
                words.closing(at + 1) + 1
            }
            Some(Tok::Word(word))
                if word == "coalesce" && words.tok(at + 1) == Some(&Tok::Open) =>
            {
                let close = words.closing(at + 1);
                if !matches!(words.tok(close - 1), Some(Tok::Number(_) | Tok::Text(_))) {
                    return false;
                }
                close + 1
            }
            Some(Tok::Word(word)) if word == "case" => {
                match case_of_literals(words, at, tokens.end) {
                    Some(next) => next,
                    None => return false,
                }
            }
            Some(_) | None => return false,
        };
        at = next;
    }
    !tokens.is_empty()
}

/// Where a CASE ends all of whose results are literals, and which has an ELSE.
fn case_of_literals(words: &Words, at: usize, end: usize) -> Option<usize> {
    let mut has_else = false;
    for i in at + 1..end {
        if words.is_word(i, &["then", "else"]) {
            has_else |= words.is_word(i, &["else"]);
            let after = words.is_word(i + 2, &["when", "else", "end"]);
            if !after || !matches!(words.tok(i + 1), Some(Tok::Number(_) | Tok::Text(_))) {
                return None;
            }
        }
        if words.is_word(i, &["end"]) {
            return has_else.then_some(i + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine, Query};

    #[test]
    fn what_is_never_null_is_known_from_its_words() {
        for (sql, wanted) in [
            ("select count(*) as n from t", Nulls::Never),
            ("select coalesce(sum(x), 0) - count(y) as n from t", Nulls::Never),
            ("select coalesce(x, y) as n from t", Nulls::Perhaps),
            ("select case when x > 1 then 1 when x then 2 else 0 end as n from t", Nulls::Never),
            ("select case when x > 1 then 1 end as n from t", Nulls::Perhaps),
            ("select case when x > 1 then x else 0 end as n from t", Nulls::Perhaps),
            ("select n from t", Nulls::As("n".to_owned())),
            ("select t.cents as n from t", Nulls::As("cents".to_owned())),
            ("select u.n from t left join u on u.a = t.a", Nulls::Perhaps),
            ("select sum(x) as n from t", Nulls::Perhaps),
        ] {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Nothing).unwrap();
            assert_eq!(nulls(&Words::of(&query), "n"), wanted, "{sql}");
        }
    }
}
