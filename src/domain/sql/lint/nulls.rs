//! What NULL makes of a condition: nothing equals it, and `not in` a set that holds it is never true.

use crate::domain::check::code::Code;
use crate::domain::sql::lint::{BEFORE, Remark};
use crate::domain::sql::words::{Tok, Words};

/// Comparisons that are never true where a NULL comes by.
pub(super) fn nulls(words: &Words, all: &mut Vec<Remark>) {
    for (at, token) in words.0.iter().enumerate() {
        let compared = matches!(token.tok, Tok::Compare(_));
        let opens = usize::from(words.tok(at + 1) == Some(&Tok::Open));
        let cast = words.calls(at + 1, &["cast"]) && words.is_word(at + 3, &["null"]);
        let with_null = words.is_word(at + 1 + opens, &["null"])
            || cast
            || at > 0
                && words.is_word(at - 1, &["null"])
                && at > 1
                && words.is_word(at - 2, &BEFORE[..7]);
        if compared && with_null {
            let message = "nothing equals NULL, and nothing differs from it: this is never true";
            all.push(Remark::new(
                Code::EqualsNull,
                token.place,
                message,
                "write `is null` or `is not null`",
            ));
        }
        let far = words.is_word(at, &["in"]) && is_negated(words, at);
        let not_in = far || words.is_word(at, &["not"]) && words.is_word(at + 1, &["in"]);
        let not_all = token.tok == Tok::Compare("<>") && words.is_word(at + 1, &["all"]);
        let open = if far { at + 1 } else { at + 2 };
        let is_query = words.tok(open) == Some(&Tok::Open)
            && words.is_word(open + 1, &["select", "with", "table"]);
        let holds_null = not_in
            && words.tok(open) == Some(&Tok::Open)
            && (open + 1..words.closing(open))
                .any(|i| words.0[i].depth == token.depth + 1 && words.is_word(i, &["null"]))
            && !is_query;
        if holds_null {
            let message = "with a NULL in its list, `not in` is never true";
            all.push(Remark::new(Code::NotIn, token.place, message, "remove the NULL"));
        }
        if (not_in || not_all) && is_query {
            let inner = open + 1..words.closing(open);
            let guarded = inner.clone().any(|i| {
                words.is_word(i, &["is"])
                    && words.is_word(i + 1, &["not"])
                    && words.is_word(i + 2, &["null"])
            });
            // What is made of a NULL, and what is counted, is none.
            let is_never_null = words.calls(open + 2, &["coalesce", "ifnull", "count"]);
            if !guarded && !is_never_null {
                let message =
                    "with one NULL among what the subquery brings, `not in` is never true";
                let hint = "write `not exists (select 1 from … where …)`, or `where … is not null` in the subquery";
                all.push(Remark::new(Code::NotIn, token.place, message, hint));
            }
        }
    }
}

/// Whether an `in` is denied from afar: `not x in (…)`, `not (x in (…))`.
fn is_negated(words: &Words, at: usize) -> bool {
    let Some(mut start) = at.checked_sub(1) else { return false };
    if words.tok(start) == Some(&Tok::Close) {
        let depth = words.0[start].depth;
        let opens = |i: &usize| words.0[*i].depth == depth && words.0[*i].tok == Tok::Open;
        start = (0..start).rev().find(opens).unwrap_or(start);
        let calls = |name: &usize| {
            matches!(words.tok(*name), Some(Tok::Word(_) | Tok::Name(_)))
                && !words.is_word(*name, &BEFORE)
        };
        start = start.checked_sub(1).filter(calls).unwrap_or(start);
    }
    while start >= 2 && words.tok(start - 1) == Some(&Tok::Dot) {
        start -= 2;
    }
    let Some(before) = start.checked_sub(1) else { return false };
    words.is_word(before, &["not"])
        || words.tok(before) == Some(&Tok::Open)
            && before.checked_sub(1).is_some_and(|not| words.is_word(not, &["not"]))
            && words.closing(before) == words.closing(at + 1) + 1
}
