//! What a query brings over nothing: an aggregate brings a row whatever there is, and such a row is
//! no evidence that there was something to look at.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

mod item;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::domain::sql::aggregate::item::{Item, Part, name};

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
    /// Zero, as `count(*)`.
    Number,
    /// Something else than NULL that is not known from the words: as `count(*) = 0`, or `100 - count(*)`.
    Unknown,
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

    /// The rows of both: a column is NULL over nothing where one of them says so.
    fn beside(self, other: Self) -> Self {
        let (Self::Row(mut columns), Self::Row(others)) = (self, other) else { return Self::NoRow };
        for (column, other) in columns.iter_mut().zip(others) {
            column.holds = match (column.holds, other.holds) {
                (Holds::Null, _) | (_, Holds::Null) => Holds::Null,
                (Holds::Unknown, _) | (_, Holds::Unknown) => Holds::Unknown,
                (Holds::Number, Holds::Number) => Holds::Number,
            };
        }
        Self::Row(columns)
    }

    /// The same row, with other names for its columns.
    fn called(mut self, names: Tokens<'_, '_>) -> Self {
        if let Self::Row(columns) = &mut self {
            for (column, name) in columns.iter_mut().zip(items(names)) {
                column.name = self::name(name);
            }
        }
        self
    }

    /// Says whether a row comes whatever there is.
    pub fn is_row(&self) -> bool {
        matches!(self, Self::Row(_))
    }
}

/// Looks at a query by its tokens without comments.
pub(crate) fn over_nothing(body: &[&TokenWithSpan]) -> OverNothing {
    query(body, &[])
}

/// Tokens without comments.
type Tokens<'t, 's> = &'t [&'s TokenWithSpan];

/// What a name of the query stands for, and what comes from it over nothing.
type Named = (String, OverNothing);

/// A query: what it names before, and its parts.
fn query(body: Tokens<'_, '_>, outer: &[Named]) -> OverNothing {
    let (named, rest) = with(body, outer);
    if ["intersect", "except", "minus"].iter().any(|word| find(rest, word).is_some()) {
        return OverNothing::NoRow;
    }
    let parts = split(rest, |token| is_word(token, "union"));
    let rows = parts.into_iter().map(|part| match part {
        [all, part @ ..] if is_word(all, "all") || is_word(all, "distinct") => select(part, &named),
        part => select(part, &named),
    });
    rows.reduce(OverNothing::beside).unwrap_or(OverNothing::NoRow)
}

/// Reads what stands in a `with` at the start, and gives what follows it.
fn with<'t, 's>(body: Tokens<'t, 's>, outer: &[Named]) -> (Vec<Named>, Tokens<'t, 's>) {
    let mut named = outer.to_vec();
    let (Some(first), Some(at)) = (body.first(), find(body, "select")) else {
        return (named, body);
    };
    if !is_word(first, "with") {
        return (named, body);
    }
    let (head, rest) = body.split_at(at);
    for result in split(&head[1..], |token| token.token == Token::Comma) {
        let result = match result {
            [first, result @ ..] if is_word(first, "recursive") => result,
            result => result,
        };
        let (Some(Token::Word(name)), Some(Token::RParen)) =
            (result.first().map(|t| &t.token), result.last().map(|t| &t.token))
        else {
            continue;
        };
        let open = (0..result.len()).rev().find(|i| closes(&result[*i..]));
        let Some(open) = open else { continue };
        let row = query(&result[open + 1..result.len() - 1], &named);
        let row = match &result[1..open] {
            [open, columns @ .., _] if open.token == Token::LParen => {
                row.called(&columns[..find_close(columns)])
            }
            _ => row,
        };
        named.push((name.value.clone(), row));
    }
    (named, rest)
}

/// A part of a query, without what it is united with.
fn select(body: Tokens<'_, '_>, named: &[Named]) -> OverNothing {
    if closes(body) {
        return query(&body[1..body.len() - 1], named);
    }
    let Some(select) = find(body, "select") else { return OverNothing::NoRow };
    let body = &body[select + 1..];
    if is_left_out(body) {
        return OverNothing::NoRow;
    }
    let from = find(body, "from");
    let list = &body[..from.unwrap_or(body.len())];
    let all: Option<Vec<Item>> = items(list).into_iter().map(Item::read).collect();
    let Some(all) = all else { return OverNothing::NoRow };
    // Without a FROM there is one row, whatever stands in it; with an aggregate as well.
    let Some(from) = from.filter(|_| !all.iter().any(|item| item.has(Part::Aggregate))) else {
        return OverNothing::Row(all.into_iter().map(|item| item.column(from.is_some())).collect());
    };
    let Some(below) = single_rows(&body[from + 1..], named) else { return OverNothing::NoRow };
    let columns = items(list).into_iter().zip(all).flat_map(|(tokens, item)| match tokens {
        [star] | [.., star] if star.token == Token::Mul => below.clone(),
        tokens => vec![item.column_above(tokens, &below)],
    });
    OverNothing::Row(columns.collect())
}

/// Whether a GROUP BY brings no row of nothing, or a HAVING takes the one that there is away.
fn is_left_out(body: Tokens<'_, '_>) -> bool {
    let group = find(body, "group").map(|at| &body[at..]);
    let having = find(body, "having").map(|at| &body[at..]);
    // `group by ()`, and what has it among its sets.
    let has_all = |group: Tokens<'_, '_>| {
        let pairs = group.windows(2);
        let empty = |pair: &[&TokenWithSpan]| {
            pair[0].token == Token::LParen && pair[1].token == Token::RParen
        };
        pairs.into_iter().any(empty)
            || group.iter().any(|token| is_word(token, "rollup") || is_word(token, "cube"))
    };
    // A count that may be small is small over nothing.
    let is_kept = |having: Tokens<'_, '_>| {
        having.iter().any(|token| matches!(token.token, Token::Lt | Token::LtEq))
            || having.windows(2).any(|pair| {
                pair[0].token == Token::Eq
                    && matches!(&pair[1].token, Token::Number(n, _) if n == "0")
            })
    };
    group.is_some_and(|group| !has_all(group)) || having.is_some_and(|having| !is_kept(having))
}

/// The columns of what a FROM names, where each of that is one row whatever there is.
fn single_rows(from: Tokens<'_, '_>, named: &[Named]) -> Option<Vec<Column>> {
    const ENDS: [&str; 6] = ["order", "limit", "offset", "fetch", "window", "for"];
    let end =
        from.len().min(ENDS.iter().filter_map(|word| find(from, word)).min().unwrap_or(from.len()));
    // `where true` leaves it as it is.
    let place = find(from, "where");
    if place.is_some_and(|at| !matches!(&from[at + 1..], [always] if is_word(always, "true"))) {
        return None;
    }
    let end = end.min(place.unwrap_or(end));
    let mut columns = Vec::new();
    for table in split(&from[..end], |t| t.token == Token::Comma || is_word(t, "join")) {
        let table = match table {
            [table @ .., cross] if is_word(cross, "cross") => table,
            table => table,
        };
        let table = match table {
            [table @ .., on, always] if is_word(on, "on") && is_word(always, "true") => table,
            table => table,
        };
        let table = match table {
            [table @ .., side] if is_word(side, "left") || is_word(side, "inner") => table,
            table => table,
        };
        let table = match table {
            [lateral, table @ ..] if is_word(lateral, "lateral") => table,
            table => table,
        };
        let row = match table {
            [open, ..] if open.token == Token::LParen => {
                let close = 1 + find_close(&table[1..]);
                is_alias(table.get(close + 1..)?).then(|| query(&table[1..close], named))?
            }
            [first, alias @ ..] if is_alias(alias) => {
                let Token::Word(name) = &first.token else { return None };
                let of = |known: &&Named| known.0.eq_ignore_ascii_case(&name.value);
                named.iter().rev().find(of)?.1.clone()
            }
            _ => return None,
        };
        let OverNothing::Row(row) = row else { return None };
        columns.extend(row);
    }
    Some(columns)
}

/// Whether nothing but another name stands there.
fn is_alias(tokens: Tokens<'_, '_>) -> bool {
    match tokens {
        [] => true,
        [name] | [_, name] => {
            let joins = ["left", "right", "full", "inner", "natural", "on", "using"];
            matches!(&name.token, Token::Word(_)) && !joins.iter().any(|word| is_word(name, word))
        }
        _ => false,
    }
}

/// Where a word stands last outside of parentheses.
fn find(tokens: Tokens<'_, '_>, word: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut found = None;
    for (place, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && is_word(token, word) => found = Some(place),
            _ => {}
        }
    }
    found
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Whether the last parenthesis closes the first token.
fn closes(tokens: Tokens<'_, '_>) -> bool {
    tokens.first().is_some_and(|first| first.token == Token::LParen)
        && find_close(&tokens[1..]) + 2 == tokens.len()
}

/// Where the parenthesis closes in which these tokens begin.
fn find_close(tokens: Tokens<'_, '_>) -> usize {
    let mut depth = 0_u32;
    let close = tokens.iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return true,
            Token::RParen => depth -= 1,
            _ => {}
        }
        false
    });
    close.unwrap_or(tokens.len())
}

/// Tokens between those that are meant, outside of parentheses.
fn split<'t, 's>(
    tokens: Tokens<'t, 's>,
    mut is_between: impl FnMut(&TokenWithSpan) -> bool,
) -> Vec<Tokens<'t, 's>> {
    let mut depth = 0_u32;
    let between = |token: &&TokenWithSpan| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && is_between(token)
    };
    tokens.split(between).collect()
}

/// The items of a list, by its commas.
fn items<'t, 's>(list: Tokens<'t, 's>) -> Vec<Tokens<'t, 's>> {
    split(list, |token| token.token == Token::Comma)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine, Query};

    #[test]
    fn a_row_that_comes_whatever_there_is_is_seen() {
        use Holds::{Null, Number, Unknown};
        holds(&[
            ("select count(*) as n from t where x", Some(Number)),
            ("with b as (select 1 group by a) select count(*) n from b", Some(Number)),
            ("select (select count(*) from t) as n", Some(Number)),
            ("select count(*) as n from (select 1 from t group by z) q where x", Some(Number)),
            ("select -- c\n ifnull(sum(v), 0) as n from t", Some(Number)),
            ("select nvl(sum(v), 0) as n from t", Some(Number)),
            ("select iif(sum(v) < 0, 1, 0) as n from t", Some(Unknown)),
            ("select sum(v) is null or sum(v) > 0 as n from t", Some(Unknown)),
            ("select coalesce(round(sum(v), 2), 0) as n from t", Some(Number)),
            ("select coalesce(sum(v), 0) * 100 as n from t", Some(Number)),
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
        ]);
    }

    #[test]
    fn what_is_made_of_such_a_row_and_what_wraps_it_is_seen() {
        use Holds::{Null, Number, Unknown};
        holds(&[
            ("select count(*) = 0 as n from t where x", Some(Unknown)),
            ("select not exists (select 1 from t) as n", Some(Unknown)),
            ("select coalesce(bool_and(v > 0), true) as n from t", Some(Unknown)),
            ("select case when count(*) = 0 then 'ok' else 'bad' end as n from t", Some(Unknown)),
            ("select coalesce(min(v), 1) as n from t", Some(Unknown)),
            ("select 100 - count(*) as n from t", Some(Unknown)),
            ("select count(*) + 1 as n from t", Some(Unknown)),
            ("select count(*) as n from t having count(*) < 5", Some(Number)),
            ("select coalesce(sum(v), 0) as n from t group by ()", Some(Number)),
            ("select sum(v) as n from t group by rollup (g)", Some(Null)),
            (
                "select a.n from (select count(*) as n from t) a join (select 1 as m) b on true",
                Some(Number),
            ),
            ("with c as (select count(*) as n from t) select n from c where true", Some(Number)),
            ("select q.n from lateral (select max(v) as n from t) q", Some(Null)),
            ("select n from (select count(*) as n from t) q", Some(Number)),
            ("select q.n from (select sum(v) as n from t where x) as q order by 1", Some(Null)),
            ("select * from (select sum(v) as n from t) q", Some(Null)),
            ("with q as (select sum(v) as n from t) select n from q", Some(Null)),
            ("with q(n) as materialized (select sum(v) from t) select n from q", Some(Null)),
            (
                "with q as (select sum(v) as s from t) select coalesce(s, 0) as n from q",
                Some(Number),
            ),
            (
                "with a as (select count(*) as x from t), b as (select count(*) as y from u) \
              select x - y as n from a, b",
                Some(Number),
            ),
            (
                "with a as (select count(*) as x from t), b as (select max(v) as y from u) \
              select a.x - b.y as n from a cross join b",
                Some(Null),
            ),
            ("select count(*) as n from t union all select count(*) from u", Some(Number)),
            ("(select count(*) as n from t) union all (select sum(v) from u)", Some(Null)),
            ("with q as (select sum(v) as n from t) select n from q where n > 1", None),
            ("with q as (select v as n from t) select n from q", None),
            ("with q as (select sum(v) as n from t) select n from q join u on true", None),
            ("with q as (select sum(v) as n from t) select q.n from q, u", None),
            ("select sum(v) as n from t except select 1", None),
        ]);
    }

    fn holds(cases: &[(&str, Option<Holds>)]) {
        for (sql, wanted) in cases {
            let query = Query::parse(sql, Engine::Sqlite, Binding::Nothing).unwrap();
            assert_eq!(query.over_nothing().column("n"), *wanted, "{sql}");
        }
    }
}
