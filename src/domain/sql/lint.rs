//! What one query says that its author hardly means: found by its words alone.

mod conditions;
mod functions;
mod nulls;
mod windows;

pub use windows::{Timed, columns_at_bounds, equals};

use sqlparser::tokenizer::Location;

use crate::domain::check::code::Code;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::sql::{Engine, Query};

/// Something that is told about a query, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which.
    pub code: Code,
    /// The line inside of the SQL, from 1.
    pub line: u64,
    /// The column inside of the SQL, from 1.
    pub column: u64,
    /// What is odd.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Remark {
    fn new(code: Code, at: Location, message: impl Into<String>, hint: &str) -> Self {
        let (message, hint) = (message.into(), hint.to_owned());
        Self { code, line: at.line, column: at.column, message, hint }
    }
}

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// Whether it counts what was looked at.
    pub is_evidence: bool,
    /// Whether it keeps to a window.
    pub in_window: bool,
    /// Whether days of the window are those of UTC.
    pub in_utc: bool,
}

/// Everything that a query's words give away.
pub fn remarks(query: &Query, role: Role) -> Vec<Remark> {
    let words = Words::of(query);
    let mut all = Vec::new();
    literal_conditions(&words, &mut all);
    conditions::remarks(&words, &mut all);
    limits(&words, &mut all);
    nulls::nulls(&words, &mut all);
    windows::remarks(&words, role, &mut all);
    divisions(&words, query.engine(), &mut all);
    if query.engine() == Engine::MySql {
        or_signs(&words, &mut all);
    }
    if query.engine() == Engine::Postgres && !role.is_evidence {
        functions::remarks(&words, &mut all);
    }
    if role.is_evidence {
        counts(&words, &mut all);
    }
    all
}

/// Words before which an operand of a condition begins.
const BEFORE: [&str; 9] =
    ["where", "and", "or", "on", "having", "not", "when", "select", "between"];

fn begins_condition(words: &Words, at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    is_before_a_condition(words, before)
        || words.tok(before) == Some(&Tok::Open)
            && before.checked_sub(1).is_some_and(|b| is_before_a_condition(words, b))
}

/// Whether a condition follows a word: no upper bound of a `between`, and no value behind `is not`.
fn is_before_a_condition(words: &Words, at: usize) -> bool {
    if words.is_word(at, &["not"]) {
        return at.checked_sub(1).is_none_or(|before| !words.is_word(before, &["is"]));
    }
    if !words.is_word(at, &["and"]) {
        return words.is_word(at, &BEFORE[..7]);
    }
    let depth = words.0[at].depth;
    let parts = (0..at).rev().take_while(|i| words.0[*i].depth >= depth);
    let mut same = parts.filter(|i| words.0[*i].depth == depth);
    let last = same.find(|i| {
        words.is_word(*i, &["between", "and", "or", "where", "on", "having", "when", "select"])
    });
    !last.is_some_and(|last| words.is_word(last, &["between"]))
}

/// Whether a condition that is never true leaves no row: not as an arm of an `or`, nor in a part of a union, which
/// programs write to have something to begin with.
fn decides(words: &Words, at: usize) -> bool {
    let depth = words.0[at].depth;
    let clause = |i: &usize| {
        words.0[*i].depth == depth && words.is_word(*i, &["where", "on", "having", "when"])
    };
    let from = (0..at).rev().find(clause).unwrap_or(0);
    let ends = [
        "group",
        "order",
        "having",
        "limit",
        "union",
        "intersect",
        "except",
        "then",
        "left",
        "join",
        "window",
    ];
    let to = (at..words.0.len())
        .find(|i| {
            words.0[*i].depth < depth || words.0[*i].depth == depth && words.is_word(*i, &ends)
        })
        .unwrap_or(words.0.len());
    let has = |range: std::ops::Range<usize>, word: &str| {
        range.clone().any(|i| words.0[i].depth == depth && words.is_word(i, &[word]))
    };
    let is_part =
        (0..words.0.len()).any(|i| words.0[i].depth == depth && words.is_word(i, &["union"]));
    if has(from..to, "or") || is_part {
        return false;
    }
    // A CTE that reads nothing is written to have its columns, and is joined to what has rows.
    let opens = (0..at).rev().find(|i| words.0[*i].depth < depth);
    let is_cte = opens.is_some_and(|open| {
        open.checked_sub(1).is_some_and(|before| words.is_word(before, &["as"]))
    });
    let reads = opens.is_none_or(|open| has(open + 1..from, "from"));
    if is_cte && words.is_word(from, &["where"]) && from + 1 == at && !reads {
        return false;
    }
    // In parentheses it is a part of the condition around them.
    let around =
        (0..at).rev().find(|i| words.0[*i].depth + 1 == depth && words.0[*i].tok == Tok::Open);
    match around.filter(|open| begins_condition(words, *open)) {
        Some(open) => decides(words, open),
        None => true,
    }
}

/// Whether what stands there ends an operand: nothing is computed from it.
fn ends_operand(words: &Words, at: usize) -> bool {
    match words.tok(at) {
        None | Some(Tok::Close | Tok::Comma) => true,
        Some(Tok::Word(_)) => words.is_word(
            at,
            &[
                "and",
                "or",
                "group",
                "order",
                "having",
                "limit",
                "union",
                "then",
                "except",
                "intersect",
                "else",
                "end",
                "left",
                "join",
                "window",
            ],
        ),
        Some(_) => false,
    }
}

/// A literal: as a number, where it is one.
fn literal(words: &Words, at: usize) -> Option<(Option<f64>, bool)> {
    match words.tok(at)? {
        Tok::Number(number) => Some((number.parse().ok(), false)),
        Tok::Text(_) => Some((None, false)),
        Tok::DoubleQuoted(_) => Some((None, true)),
        _ => None,
    }
}

/// Two literals that are compared say nothing of the data: a left-over, or a name between the wrong quotes.
fn literal_conditions(words: &Words, all: &mut Vec<Remark>) {
    const HINT: &str = "compare a column, or remove the condition";
    for (at, token) in words.0.iter().enumerate() {
        if !begins_condition(words, at) || !decides(words, at) {
            continue;
        }
        if words.is_word(at, &["false"]) && ends_operand(words, at + 1) {
            let message = "a condition that is never true: no row satisfies it";
            all.push(Remark::new(Code::LiteralCondition, token.place, message, "remove it"));
            continue;
        }
        let Some((number, double)) = literal(words, at) else { continue };
        if number == Some(0.0) && ends_operand(words, at + 1) {
            let message = "a condition that is never true: no row satisfies it";
            all.push(Remark::new(Code::LiteralCondition, token.place, message, "remove it"));
            continue;
        }
        let other = match words.tok(at + 1) {
            Some(Tok::Compare(sign)) => literal(words, at + 2)
                .filter(|_| ends_operand(words, at + 3))
                .map(|(other, _)| number.zip(other).is_some_and(|(a, b)| holds(a, sign, b))),
            _ if number.is_some() => None,
            _ if words.is_word(at + 1, &["is"]) => Some(false),
            _ if words
                .is_word(at + 1, &["like", "ilike", "regexp", "rlike", "glob", "between"]) =>
            {
                literal(words, at + 2).map(|_| false)
            }
            _ => {
                let not = usize::from(words.is_word(at + 1, &["not"]));
                let is_list = words.is_word(at + 1 + not, &["in"])
                    && words.tok(at + 2 + not) == Some(&Tok::Open);
                is_list.then(|| literal(words, at + 3 + not)).flatten().map(|_| false)
            }
        };
        // `1 = 1` is how programs begin a list of conditions.
        if other == Some(false) {
            let (message, hint) = if double {
                (
                    "a word in double quotes is a text on MySQL and MariaDB, and this compares it with another literal",
                    "write a column's name as it is, or in `backticks`",
                )
            } else {
                ("two literals are compared: whatever the data, the answer is the same", HINT)
            };
            all.push(Remark::new(Code::LiteralCondition, token.place, message, hint));
        }
    }
    empty_ranges(words, all);
}

fn holds(a: f64, sign: &str, b: f64) -> bool {
    match sign {
        "=" => a.total_cmp(&b).is_eq(),
        "<>" => a.total_cmp(&b).is_ne(),
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        _ => a >= b,
    }
}

/// `between 10 and 1` holds nothing.
fn empty_ranges(words: &Words, all: &mut Vec<Remark>) {
    for (at, token) in words.0.iter().enumerate() {
        if !words.is_word(at, &["between"]) || words.is_word(at + 1, &["symmetric"]) {
            continue;
        }
        let number = |at| literal(words, at).and_then(|(number, _)| number);
        if let (Some(from), Some(to)) = (number(at + 1), number(at + 3))
            && words.is_word(at + 2, &["and"])
            && from > to
        {
            let message = "no value lies between these two: the larger one comes first";
            all.push(Remark::new(Code::LiteralCondition, token.place, message, "swap them"));
        }
    }
}

/// A query that cuts its own result judges the part that it kept.
fn limits(words: &Words, all: &mut Vec<Remark>) {
    const HINT: &str =
        "remove it: `max_rows` bounds what is read, and more is `over_limit`, not green";
    for (at, token) in words.0.iter().enumerate() {
        let fetch = words.is_word(at, &["fetch"]) && words.is_word(at + 1, &["first", "next"]);
        let limit = words.is_word(at, &["limit"])
            && !matches!(
                words.tok(at + 1),
                None | Some(Tok::Dot | Tok::Comma | Tok::Close | Tok::Compare(_))
            );
        if !fetch && !limit || at == 0 {
            continue;
        }
        let open = (0..at)
            .rev()
            .find(|i| words.0[*i].depth + 1 == token.depth && words.0[*i].tok == Tok::Open);
        // Of a subquery that brings one value, or answers a question, a limit is part of the sense.
        let cuts = match open.and_then(|open| open.checked_sub(1)) {
            None => token.depth == 0,
            Some(before) => {
                words.is_word(before, &["from", "join", "as"])
                    && !matches!(words.tok(at + 1), Some(Tok::Number(number)) if number == "1")
            }
        };
        if cuts {
            let message = "the query cuts its own result: what lies behind the limit is not judged";
            all.push(Remark::new(Code::Limited, token.place, message, HINT));
        }
    }
}

/// A quotient of two counts is a whole number, and nearly always 0.
fn divisions(words: &Words, engine: Engine, all: &mut Vec<Remark>) {
    if engine == Engine::MySql {
        return;
    }
    for (at, token) in words.0.iter().enumerate() {
        if token.tok != Tok::Sign("/") || at == 0 || words.tok(at - 1) != Some(&Tok::Close) {
            continue;
        }
        let counts = words.calls(at + 1, &["count"])
            || words.calls(at + 1, &["nullif"]) && words.calls(at + 3, &["count"]);
        let open = |close: usize| {
            let depth = words.0[close].depth;
            (0..close).rev().find(|i| words.0[*i].depth == depth && words.0[*i].tok == Tok::Open)
        };
        let mut left = open(at - 1).and_then(|open| open.checked_sub(1));
        // `count(*) filter (where …)`
        if let Some(filter) = left.filter(|left| words.is_word(*left, &["filter"])) {
            left = open(filter - 1).and_then(|open| open.checked_sub(1));
        }
        let Some(left) = left else { continue };
        let sums_ones = words.calls(left, &["sum"]) && words.is_word(left + 2, &["case"]);
        let scaled = left > 0 && words.tok(left - 1) == Some(&Tok::Sign("*"));
        let end = words.closing(at + 2) + 1;
        let casts = words.tok(end) == Some(&Tok::Sign("::"));
        if counts && !scaled && !casts && (words.calls(left, &["count"]) || sums_ones) {
            let message = "a count divided by a count is a whole number here: 999 of 1000 is 0";
            let hint = "write `1.0 * count(…) / count(…)`, or compare the counts";
            all.push(Remark::new(Code::IntegerDivision, token.place, message, hint));
        }
    }
}

fn or_signs(words: &Words, all: &mut Vec<Remark>) {
    if let Some(token) = words.0.iter().find(|at| at.tok == Tok::Sign("||")) {
        let message = "`||` is OR on MySQL and MariaDB, and joins no texts";
        all.push(Remark::new(Code::OrOnMysql, token.place, message, "write `concat(a, b)`"));
    }
}

/// Functions that count, or add up counts.
const COUNTS: [&str; 4] = ["count", "sum", "total", "count_big"];

/// An evidence query counts what was looked at; the largest id does not.
fn counts(words: &Words, all: &mut Vec<Remark>) {
    let called = |names: &[&str]| (0..words.0.len()).find(|i| words.calls(*i, names));
    let one = |at: usize| matches!(words.tok(at), Some(Tok::Number(number)) if number.parse::<f64>().is_ok_and(|n| n > 0.0));
    let odd = called(&["max", "min", "avg"]).filter(|_| called(&COUNTS).is_none());
    // `coalesce(count, 1)`: one where there is none.
    let never_none = (0..words.0.len()).find(|i| {
        words.calls(*i, &["coalesce", "ifnull", "greatest"])
            && one(words.closing(i + 1).saturating_sub(1))
    });
    // `count(*) + 1`, `case when count(*) = 0 then 1 …`
    let more = (0..words.0.len()).find(|i| {
        let adds = words.tok(*i) == Some(&Tok::Sign("+"))
            && (one(i + 1) || i.checked_sub(1).is_some_and(one));
        words.0[*i].depth == 0 && (adds || words.is_word(*i, &["then", "else"]) && one(i + 1))
    });
    if let Some(at) = odd.or(never_none).or(more) {
        let message = "evidence is how many rows were looked at, and this is another number";
        let hint = "write `select count(*) from …`";
        all.push(Remark::new(Code::EvidenceNoCount, words.0[at].place, message, hint));
    }
}
