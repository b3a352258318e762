//! Conditions that cannot hold together, or take back what the query joins.

use std::ops::Range;

use bigdecimal::BigDecimal;

use crate::domain::check::code::Code;
use crate::domain::sql::lint::Remark;
use crate::domain::sql::words::{Tok, Words};

/// Words that end the conditions before them.
const ENDS: [&str; 20] = [
    "where",
    "on",
    "group",
    "order",
    "having",
    "limit",
    "union",
    "intersect",
    "except",
    "window",
    "left",
    "right",
    "inner",
    "join",
    "full",
    "cross",
    "natural",
    "fetch",
    "offset",
    "using",
];

/// What a column is held against.
enum Limit {
    Number(BigDecimal),
    Text(String),
    Null,
}

/// A column, the sign as seen from it, and a literal.
struct Comparison {
    at: usize,
    column: String,
    sign: &'static str,
    limit: Limit,
}

pub(super) fn remarks(words: &Words, all: &mut Vec<Remark>) {
    for at in 0..words.0.len() {
        if !words.is_word(at, &["where", "on", "having"]) {
            continue;
        }
        let Some(parts) = conjuncts(words, at) else { continue };
        let compared: Vec<Comparison> =
            parts.iter().flat_map(|part| comparisons(words, part)).collect();
        // A range that begins behind its end is a fault by itself.
        let clash = compared.iter().enumerate().find_map(|(place, one)| {
            let later = compared.get(place + 1..)?;
            later
                .iter()
                .find(|other| other.at != one.at && other.column == one.column && !fit(one, other))
        });
        if let Some(Comparison { at, column, .. }) = clash {
            let message =
                format!("no `{column}` is as this and the condition before it say: no row ever is");
            let hint = "write `or`, or remove what is left over";
            all.push(Remark::new(Code::NeverTrue, words.0[*at].place, message, hint));
        }
    }
    for at in 0..words.0.len() {
        if let Some((alias, taken_back)) = undone(words, at) {
            let message = format!(
                "`left join` keeps rows without a partner in `{alias}`, and this condition drops them again"
            );
            let hint = format!("move it to the `on` of `{alias}`, or write `join`");
            let place = words.0[taken_back].place;
            all.push(Remark::new(Code::OuterJoinUndone, place, message, &hint));
        }
    }
}

/// The conditions behind a word that all have to hold; nothing where one of some is enough.
fn conjuncts(words: &Words, clause: usize) -> Option<Vec<Range<usize>>> {
    let depth = words.0[clause].depth;
    let end = words.clause_end(clause + 1, depth, &ENDS);
    let (mut parts, mut start, mut is_range) = (Vec::new(), clause + 1, false);
    for at in clause + 1..end {
        if words.0[at].depth != depth {
            continue;
        }
        if words.is_word(at, &["or", "xor"]) || words.0[at].tok == Tok::Sign("||") {
            return None;
        }
        is_range |= words.is_word(at, &["between"]);
        if words.is_word(at, &["and"]) && !std::mem::take(&mut is_range) {
            parts.push(start..at);
            start = at + 1;
        }
    }
    parts.push(start..end);
    Some(parts)
}

/// A column with the name of its table, and what follows it.
fn column(words: &Words, at: usize) -> Option<(String, usize)> {
    let name = |at: usize| match words.tok(at)? {
        Tok::Word(name) | Tok::Name(name) => Some(name.to_lowercase()),
        _ => None,
    };
    let (mut all, mut next) = (name(at)?, at + 1);
    while words.tok(next) == Some(&Tok::Dot) {
        all = format!("{all}.{}", name(next + 1)?);
        next += 2;
    }
    (words.tok(next) != Some(&Tok::Open)).then_some((all, next))
}

fn literal(words: &Words, at: usize) -> Option<(Limit, usize)> {
    match (words.tok(at)?, words.tok(at + 1)) {
        (Tok::Sign("-"), Some(Tok::Number(number))) => {
            Some((Limit::Number(-number.parse::<BigDecimal>().ok()?), at + 2))
        }
        (Tok::Number(number), _) => Some((Limit::Number(number.parse().ok()?), at + 1)),
        (Tok::Text(text), _) => Some((Limit::Text(text.trim_end().to_lowercase()), at + 1)),
        _ => None,
    }
}

/// What a condition says of a plain column: nothing where it is any other condition.
fn comparisons(words: &Words, part: &Range<usize>) -> Vec<Comparison> {
    let all = || {
        let at = part.start;
        if let Some((limit, next)) = literal(words, at) {
            let Some(Tok::Compare(sign)) = words.tok(next) else { return None };
            let (column, end) = column(words, next + 1)?;
            let sign = match *sign {
                "<" => ">",
                "<=" => ">=",
                ">" => "<",
                ">=" => "<=",
                same => same,
            };
            return Some((vec![Comparison { at, column, sign, limit }], end));
        }
        let (column, next) = column(words, at)?;
        if words.is_word(next, &["is"]) && words.is_word(next + 1, &["null"]) {
            return Some((
                vec![Comparison { at, column, sign: "=", limit: Limit::Null }],
                next + 2,
            ));
        }
        if words.is_word(next, &["between"]) {
            let (low, and) = literal(words, next + 1)?;
            let (high, end) = literal(words, and + 1)?;
            let low = Comparison { at, column: column.clone(), sign: ">=", limit: low };
            let high = Comparison { at, column, sign: "<=", limit: high };
            return Some((vec![low, high], end));
        }
        let Some(Tok::Compare(sign)) = words.tok(next) else { return None };
        let (limit, end) = literal(words, next + 1)?;
        Some((vec![Comparison { at, column, sign, limit }], end))
    };
    all().filter(|(_, end)| *end == part.end).map(|(found, _)| found).unwrap_or_default()
}

/// Says whether some value is as both say.
fn fit(one: &Comparison, other: &Comparison) -> bool {
    match (&one.limit, &other.limit) {
        (Limit::Null, Limit::Null) => true,
        (Limit::Null, _) | (_, Limit::Null) => false,
        (Limit::Number(a), Limit::Number(b)) => {
            let takes =
                |comparison: &Comparison, value: &BigDecimal, limit: &BigDecimal| match comparison
                    .sign
                {
                    "<" => value < limit,
                    "<=" => value <= limit,
                    ">" => value > limit,
                    ">=" => value >= limit,
                    "=" => value == limit,
                    _ => value != limit,
                };
            // Between two limits, at them, and beyond either.
            let (low, high) = (a.min(b), a.max(b));
            let values = [a.clone(), b.clone(), (a + b) / 2, low - 1, high + 1];
            values.iter().any(|value| takes(one, value, a) && takes(other, value, b))
        }
        (Limit::Text(a), Limit::Text(b)) => match (one.sign, other.sign) {
            ("=", "=") => a == b,
            _ => true,
        },
        (Limit::Number(_), Limit::Text(_)) | (Limit::Text(_), Limit::Number(_)) => true,
    }
}

/// The table of a `left join` at a place, and the condition of its select that needs a partner there.
fn undone(words: &Words, at: usize) -> Option<(String, usize)> {
    if !words.is_word(at, &["left"]) {
        return None;
    }
    let join = at + 1 + usize::from(words.is_word(at + 1, &["outer"]));
    if !words.is_word(join, &["join"]) {
        return None;
    }
    let table = join + 1 + usize::from(words.is_word(join + 1, &["lateral"]));
    let (name, next) = match words.tok(table)? {
        Tok::Open => (String::new(), words.closing(table) + 1),
        _ => column(words, table)?,
    };
    let next = next + usize::from(words.is_word(next, &["as"]));
    let alias = match words.tok(next)? {
        Tok::Word(word) if ENDS.contains(&word.as_str()) => name.rsplit('.').next()?.to_owned(),
        Tok::Word(alias) | Tok::Name(alias) => alias.to_lowercase(),
        _ => return None,
    };
    let depth = words.0[at].depth;
    let after =
        ["where", "group", "order", "having", "limit", "union", "intersect", "except", "window"];
    let clause = words.clause_end(next, depth, &after);
    if !words.is_word(clause, &["where"]) {
        return None;
    }
    let needs = |part: &Range<usize>| {
        // Zones and offsets of the window narrow every table.
        let is_bound = part.clone().any(|at| matches!(words.tok(at), Some(Tok::Param(_))));
        let (name, next) = column(words, part.start)?;
        let (table, _) = name.rsplit_once('.')?;
        let compares = matches!(words.tok(next), Some(Tok::Compare(_)))
            || words.is_word(next, &["in", "like", "between"]);
        (table == alias && compares && !is_bound).then_some(part.start)
    };
    let taken_back = conjuncts(words, clause)?.iter().find_map(needs)?;
    Some((alias, taken_back))
}
