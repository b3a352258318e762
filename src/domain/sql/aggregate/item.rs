//! An item of a select's list, by its tokens: what it holds over nothing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use std::collections::BTreeSet;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::domain::sql::aggregate::{Column, Holds};

/// Aggregates that are zero over nothing, those that are NULL, and what makes something of a NULL.
const ZERO: [&str; 4] = ["count", "total", "count_big", "regr_count"];
const NULL: [&str; 34] = [
    "sum",
    "min",
    "max",
    "avg",
    "bool_and",
    "bool_or",
    "every",
    "bit_and",
    "bit_or",
    "bit_xor",
    "string_agg",
    "array_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "group_concat",
    "json_arrayagg",
    "json_objectagg",
    "json_group_array",
    "json_group_object",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "std",
    "variance",
    "var_pop",
    "var_samp",
    "any_value",
    "corr",
    "median",
];
const MENDED: [&str; 11] = [
    "coalesce",
    "ifnull",
    "nvl",
    "case",
    "if",
    "iif",
    "exists",
    "is",
    "greatest",
    "concat",
    "concat_ws",
];

/// Words that make a truth of something.
const NON_ZERO: [&str; 7] = ["exists", "not", "true", "false", "is", "case", "greatest"];

/// Functions that give something else for a NULL.
const STANDS: [&str; 5] = ["coalesce", "ifnull", "nvl", "isnull", "greatest"];

/// What stands in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// An aggregate, outside of subqueries.
    Aggregate,
    /// A subquery.
    Subquery,
    /// Something that is zero over nothing.
    Zero,
    /// Something that is NULL, or an error.
    Null,
    /// Something that makes another thing of a NULL.
    Mended,
    /// Something that makes another thing than zero of a zero.
    NonZero,
}

/// What the tokens of an item say.
#[derive(Debug)]
pub(super) struct Item {
    name: Option<String>,
    parts: BTreeSet<Part>,
}

impl Item {
    /// Reads an item; nothing where it has a window function, which brings a row for each row.
    pub(super) fn read(tokens: &[&TokenWithSpan]) -> Option<Self> {
        let mut parts = BTreeSet::new();
        // What each parenthesis that is open belongs to.
        let mut subqueries: Vec<bool> = Vec::new();
        let mut aggregates: Vec<bool> = Vec::new();
        let mut mends: Vec<bool> = Vec::new();
        let mut opens_aggregate = false;
        for (place, token) in tokens.iter().enumerate() {
            let next = tokens.get(place + 1).map(|token| &token.token);
            match &token.token {
                Token::LParen => {
                    let inner = matches!(next, Some(Token::Word(w)) if w.value.eq_ignore_ascii_case("select"));
                    parts.extend(inner.then_some(Part::Subquery));
                    subqueries.push(inner);
                    aggregates.push(std::mem::take(&mut opens_aggregate));
                    let name = place.checked_sub(1).map(|before| &tokens[before].token);
                    mends.push(matches!(name, Some(Token::Word(name)) if STANDS.iter().any(|n| name.value.eq_ignore_ascii_case(n))));
                }
                Token::RParen => {
                    subqueries.pop();
                    aggregates.pop();
                    mends.pop();
                }
                // What an aggregate is computed from matters no more over nothing.
                _ if aggregates.contains(&true) => {}
                // What is added to a zero, or stands for a NULL, makes something else of it.
                Token::Number(number, _) if number.parse() != Ok(0.0) => {
                    let before = place.checked_sub(1).map(|before| &tokens[before].token);
                    let is_added = [before, next].into_iter().flatten();
                    let mut is_added = is_added.filter(|t| matches!(t, Token::Plus | Token::Minus));
                    let stands_for = before == Some(&Token::Comma) && mends.last() == Some(&true);
                    let turns = is_added.next().is_some() || stands_for;
                    parts.extend((turns && !subqueries.contains(&true)).then_some(Part::NonZero));
                }
                Token::Eq
                | Token::Neq
                | Token::Lt
                | Token::LtEq
                | Token::Gt
                | Token::GtEq
                | Token::SingleQuotedString(_)
                    if !subqueries.contains(&true) =>
                {
                    parts.extend([Part::NonZero]);
                }
                // A number is the same whatever there is.
                Token::Div if !matches!(next, Some(Token::Number(..))) => {
                    parts.extend([Part::Null]);
                }
                Token::Word(word) if word.quote_style.is_none() => {
                    let named =
                        |names: &[&str]| names.iter().any(|n| word.value.eq_ignore_ascii_case(n));
                    let outside = !subqueries.contains(&true);
                    if outside && named(&["over"]) {
                        return None;
                    }
                    let called = matches!(next, Some(Token::LParen));
                    let (zero, null) = (called && named(&ZERO), called && named(&NULL));
                    // What a filter takes is of the aggregate before it.
                    opens_aggregate = zero || null || called && named(&["filter"]);
                    parts.extend((outside && (zero || null)).then_some(Part::Aggregate));
                    parts.extend(zero.then_some(Part::Zero));
                    parts.extend((null || named(&["nullif", "div"])).then_some(Part::Null));
                    parts.extend(named(&MENDED).then_some(Part::Mended));
                    parts.extend((outside && named(&NON_ZERO)).then_some(Part::NonZero));
                }
                _ => {}
            }
        }
        Some(Self { name: name(tokens), parts })
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    pub(super) fn column(self, has_from: bool) -> Column {
        // A row that a subquery does not find is NULL, as a column beside aggregates is; what asks nothing is the same
        // whatever there is.
        let asks = self.has(Part::Subquery) || has_from;
        let empties = self.has(Part::Null) || !self.has(Part::Zero);
        let holds =
            match (asks && empties && !self.has(Part::Mended), asks && self.has(Part::NonZero)) {
                (true, _) => Holds::Null,
                (false, true) => Holds::Unknown,
                (false, false) => Holds::Number,
            };
        Column { name: self.name, holds }
    }

    /// The same over one row of these columns, where nothing is aggregated again.
    pub(super) fn column_above(self, tokens: &[&TokenWithSpan], below: &[Column]) -> Column {
        let is_null = |token: &&TokenWithSpan| {
            let Token::Word(word) = &token.token else { return false };
            let is_it = |name: &String| name.eq_ignore_ascii_case(&word.value);
            let mut known = below.iter().filter(|column| column.name.as_ref().is_some_and(is_it));
            known.any(|column| column.holds == Holds::Null)
        };
        let empties = self.has(Part::Null) || tokens.iter().any(is_null);
        let holds = match (empties && !self.has(Part::Mended), self.has(Part::NonZero)) {
            (true, _) => Holds::Null,
            (false, true) => Holds::Unknown,
            (false, false) => Holds::Number,
        };
        Column { name: self.name, holds }
    }
}

/// What an item is called.
pub(super) fn name(tokens: &[&TokenWithSpan]) -> Option<String> {
    match &tokens.last()?.token {
        Token::Word(word) => Some(word.value.clone()),
        _ => None,
    }
}
