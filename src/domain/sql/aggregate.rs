//! What a query brings over nothing: an aggregate brings a row whatever there is, and such a row is
//! no evidence that there was something to look at.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use std::collections::BTreeSet;

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What comes where there is nothing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverNothing {
    /// No row, as far as one can see.
    NoRow,
    /// One row, of these columns.
    Row(Vec<Column>),
}

/// A column of that row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What the query calls it, where it does.
    name: Option<String>,
    holds: Holds,
}

/// What a column holds over nothing, as far as its tokens say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// NULL, or an error: as `sum(x)`, and whatever is computed from it or divided by something of the data.
    Null,
    /// Zero, or something that is the same whatever there is: as `count(*)`.
    Number,
}

impl OverNothing {
    /// What a column of this name holds in the one row that comes; nothing where no row comes.
    pub fn column(&self, name: &str) -> Option<Holds> {
        let Self::Row(columns) = self else { return None };
        let is_it = |column: &&Column| {
            column.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        match columns.as_slice() {
            // Whatever the database calls it.
            [only] => Some(only.holds),
            all => Some(all.iter().find(is_it).map_or(Holds::Number, |column| column.holds)),
        }
    }

    /// Says whether a row comes whatever there is.
    pub fn is_row(&self) -> bool {
        matches!(self, Self::Row(_))
    }
}

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
    // Each part of a UNION brings rows of its own.
    if ["union", "intersect", "except"].iter().any(|name| find(name).is_some())
        || ["group", "having"].iter().any(|name| after(name).is_some())
    {
        return OverNothing::NoRow;
    }
    let from = after("from");
    let list = &body[select + 1..from.unwrap_or(body.len())];
    let items: Option<Vec<Item>> = items(list).into_iter().map(Item::read).collect();
    let Some(items) = items else { return OverNothing::NoRow };
    // Without a FROM there is one row, whatever stands in it.
    if from.is_some() && !items.iter().any(|item| item.has(Part::Aggregate)) {
        return OverNothing::NoRow;
    }
    OverNothing::Row(items.into_iter().map(|item| item.column(from.is_some())).collect())
}

/// The items of a list, by its commas.
fn items<'t, 's>(list: &'t [&'s TokenWithSpan]) -> Vec<&'t [&'s TokenWithSpan]> {
    let mut depth = 0_u32;
    list.split(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.token == Token::Comma
    })
    .collect()
}

/// What stands in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
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
}

/// What the tokens of an item say.
#[derive(Debug)]
struct Item {
    name: Option<String>,
    parts: BTreeSet<Part>,
}

impl Item {
    /// Reads an item; nothing where it has a window function, which brings a row for each row.
    fn read(tokens: &[&TokenWithSpan]) -> Option<Self> {
        let mut parts = BTreeSet::new();
        // What each parenthesis that is open belongs to.
        let mut subqueries: Vec<bool> = Vec::new();
        let mut aggregates: Vec<bool> = Vec::new();
        let mut opens_aggregate = false;
        for (place, token) in tokens.iter().enumerate() {
            let next = tokens.get(place + 1).map(|token| &token.token);
            match &token.token {
                Token::LParen => {
                    let inner = matches!(next, Some(Token::Word(w)) if w.value.eq_ignore_ascii_case("select"));
                    parts.extend(inner.then_some(Part::Subquery));
                    subqueries.push(inner);
                    aggregates.push(std::mem::take(&mut opens_aggregate));
                }
                Token::RParen => {
                    subqueries.pop();
                    aggregates.pop();
                }
                // What an aggregate is computed from matters no more over nothing.
                _ if aggregates.contains(&true) => {}
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
                    opens_aggregate = zero || null;
                    parts.extend((outside && (zero || null)).then_some(Part::Aggregate));
                    parts.extend(zero.then_some(Part::Zero));
                    parts.extend((null || named(&["nullif", "div"])).then_some(Part::Null));
                    parts.extend(named(&MENDED).then_some(Part::Mended));
                }
                _ => {}
            }
        }
        Some(Self { name: name(tokens), parts })
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn column(self, has_from: bool) -> Column {
        // A row that a subquery does not find is NULL, as a column beside aggregates is; what asks nothing is the same
        // whatever there is.
        let asks = self.has(Part::Subquery) || has_from;
        let empties = self.has(Part::Null) || !self.has(Part::Zero);
        let holds =
            if asks && empties && !self.has(Part::Mended) { Holds::Null } else { Holds::Number };
        Column { name: self.name, holds }
    }
}

/// What an item is called.
fn name(tokens: &[&TokenWithSpan]) -> Option<String> {
    match &tokens.last()?.token {
        Token::Word(word) => Some(word.value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine, Query};

    #[test]
    fn a_row_that_comes_whatever_there_is_is_seen() {
        use Holds::{Null, Number};
        for (sql, wanted) in [
            ("select count(*) as n from t where x", Some(Number)),
            ("with b as (select 1 group by a) select count(*) n from b", Some(Number)),
            ("select (select count(*) from t) as n", Some(Number)),
            ("select count(*) as n from (select 1 from t group by z) q where x", Some(Number)),
            ("select -- c\n ifnull(sum(v), 0) as n from t", Some(Number)),
            ("select nvl(sum(v), 0) as n from t", Some(Number)),
            ("select iif(sum(v) < 0, 1, 0) as n from t", Some(Number)),
            ("select sum(v) is null or sum(v) > 0 as n from t", Some(Number)),
            ("select total(v) as n from t", Some(Number)),
            ("select 1 as n", Some(Number)),
            ("select 1 / 0 as n", Some(Number)),
            ("select count(*) - count(distinct v) as n from t", Some(Number)),
            ("select coalesce(sum(v) / nullif(count(*), 0), 0) as n from t", Some(Number)),
            ("select count(*) / 24.0 as n from t", Some(Number)),
            ("select count(nullif(ok, true)) as n from t", Some(Number)),
            ("select count(*) filter (where v > 1) as n from t", Some(Number)),
            ("select coalesce(sum(coalesce(v, 0)), 0) as n from t", Some(Number)),
            ("select sum(v) as n from t", Some(Null)),
            ("select sum(case when bad then 1 else 0 end) as n from t", Some(Null)),
            ("select sum(coalesce(v, 0)) as n from t", Some(Null)),
            ("select bool_and(ok) as n from t", Some(Null)),
            ("select max(v) / 24.0 as n from t", Some(Null)),
            ("select count(*) as c, max(v) as n from t", Some(Null)),
            ("select max(v) as m, count(*) as \"n\" from t", Some(Number)),
            ("select sum(a) - sum(b) as n from t", Some(Null)),
            ("select count(*) filter (where bad) * 1.0 / count(*) as n from t", Some(Null)),
            ("select sum(v) / nullif(count(*), 0) as n from t", Some(Null)),
            ("select (select sum(v) from t) - (select sum(v) from u) as n", Some(Null)),
            ("select (select v from t limit 1) as n", Some(Null)),
            ("select z, count(*) as n from t group by z", None),
            ("select count(*) as n from t having count(*) > 1", None),
            ("select count(*) over (partition by z) as n from t", None),
            ("select a as n, (select count(*) from u) from t", None),
            ("select \"count\" as n from t", None),
            ("select v as n from t union all select sum(x) from u", None),
            ("values (1)", None),
        ] {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Nothing).unwrap();
            assert_eq!(query.over_nothing().column("n"), wanted, "{sql}");
        }
    }
}
