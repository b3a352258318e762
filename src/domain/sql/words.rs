//! A query's tokens, each with its depth in parentheses: for rules that need no more than words.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::{Engine, Query};

/// A token, as far as rules care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok {
    /// A bare word, in small letters.
    Word(String),
    /// A quoted name.
    Name(String),
    /// A text literal.
    Text(String),
    /// What MySQL takes for a text, and everybody else for a name.
    DoubleQuoted(String),
    Number(String),
    Param(Parameter),
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`.
    Compare(&'static str),
    /// Any other sign.
    Sign(&'static str),
    Open,
    Close,
    Comma,
    Dot,
    Other,
}

/// A token at its place.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) tok: Tok,
    /// In how many parentheses; a parenthesis stands outside of itself.
    pub(crate) depth: usize,
    pub(crate) place: Location,
    /// Where it ends.
    pub(crate) end: Location,
}

/// The tokens of a query, without blanks and comments.
#[derive(Debug, Clone)]
pub(crate) struct Words(pub(crate) Vec<At>);

impl Words {
    pub(crate) fn of(query: &Query) -> Self {
        let tokens = Tokenizer::new(query.engine().dialect(), query.text())
            .with_unescape(false)
            .tokenize_with_location()
            .unwrap_or_default();
        let tokens: Vec<_> = tokens
            .into_iter()
            .filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF))
            .collect();
        let (mut depth, mut all) = (0_usize, Vec::with_capacity(tokens.len()));
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let (place, mut end) = (token.span.start, token.span.end);
            let tok = match token.token {
                Token::Colon => match tokens.peek().map(|next| (&next.token, next.span.start)) {
                    Some((Token::Word(word), at)) if at == token.span.end => {
                        match Parameter::of_name(&word.value) {
                            Some(parameter) => {
                                end = tokens.next().map_or(end, |next| next.span.end);
                                Tok::Param(parameter)
                            }
                            None => Tok::Other,
                        }
                    }
                    _ => Tok::Other,
                },
                Token::RParen => {
                    depth = depth.saturating_sub(1);
                    Tok::Close
                }
                other => tok(other, query.engine()),
            };
            let opens = tok == Tok::Open;
            all.push(At { tok, depth, place, end });
            depth += usize::from(opens);
        }
        Self(all)
    }

    pub(crate) fn tok(&self, at: usize) -> Option<&Tok> {
        self.0.get(at).map(|at| &at.tok)
    }

    /// Says whether a bare word stands there.
    pub(crate) fn is_word(&self, at: usize, words: &[&str]) -> bool {
        matches!(self.tok(at), Some(Tok::Word(word)) if words.contains(&word.as_str()))
    }

    /// Says whether one of some functions is called there.
    pub(crate) fn calls(&self, at: usize, names: &[&str]) -> bool {
        self.is_word(at, names) && self.tok(at + 1) == Some(&Tok::Open)
    }

    /// The first bare word of that name in no parentheses, from a place on.
    pub(crate) fn find_outside(&self, from: usize, word: &str) -> Option<usize> {
        (from..self.0.len()).find(|i| self.0[*i].depth == 0 && self.is_word(*i, &[word]))
    }

    /// Where the parenthesis is closed that opens there; the end of the text where none is.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let Some(depth) = self.0.get(open).map(|at| at.depth) else { return self.0.len() };
        let closes = |i: &usize| self.0[*i].depth == depth && self.0[*i].tok == Tok::Close;
        (open + 1..self.0.len()).find(closes).unwrap_or(self.0.len())
    }

    /// Where a clause ends that goes on from a place at a depth: at one of some words there, where its parentheses close, or
    /// where the text ends.
    pub(crate) fn clause_end(&self, from: usize, depth: usize, words: &[&str]) -> usize {
        let ends = |at: &usize| {
            let there = self.0[*at].depth;
            // `left(…)` and `right(…)` are functions too.
            let calls = self.calls(*at, &["left", "right"]);
            there < depth || there == depth && self.is_word(*at, words) && !calls
        };
        (from..self.0.len()).find(ends).unwrap_or(self.0.len())
    }

    /// The items of the last select that stands in no parentheses: the ranges of their tokens. Nothing where parts of a
    /// union bring rows, or where there is none.
    pub(crate) fn items(&self) -> Option<Vec<std::ops::Range<usize>>> {
        if ["union", "intersect", "except"].iter().any(|word| self.find_outside(0, word).is_some())
        {
            return None;
        }
        let select = (0..self.0.len())
            .rev()
            .find(|i| self.0[*i].depth == 0 && self.is_word(*i, &["select"]))?;
        let first = select + 1 + usize::from(self.is_word(select + 1, &["distinct", "all"]));
        let end = self.find_outside(first, "from").unwrap_or(self.0.len());
        let mut items = Vec::new();
        let mut start = first;
        for i in first..=end {
            let is_comma = i < end && self.0[i].depth == 0 && self.0[i].tok == Tok::Comma;
            if (is_comma || i == end) && start < i {
                items.push(start..i);
                start = i + 1;
            }
        }
        Some(items)
    }

    /// What an item is called, and its tokens without that name.
    pub(crate) fn named(
        &self,
        item: &std::ops::Range<usize>,
    ) -> (Option<&str>, std::ops::Range<usize>) {
        let last = item.end - 1;
        let name = match &self.0[last].tok {
            Tok::Word(word) | Tok::Name(word) => Some(word.as_str()),
            _ => None,
        };
        let has_as = last > item.start && self.is_word(last - 1, &["as"]);
        let is_bare = last > item.start
            && !has_as
            && !matches!(self.0[last - 1].tok, Tok::Dot | Tok::Sign(_));
        let end = if has_as {
            last - 1
        } else if is_bare && name.is_some() {
            last
        } else {
            item.end
        };
        (name, item.start..end)
    }

    /// Says whether the query groups rows, at its outer level.
    pub(crate) fn is_grouped(&self) -> bool {
        self.find_outside(0, "group").is_some_and(|at| self.is_word(at + 1, &["by"]))
    }

    /// The tables and views that are read at any depth, by the last part of their names, and those with their schema.
    pub(crate) fn tables(&self) -> BTreeSet<String> {
        let mut own = BTreeSet::new();
        for i in 0..self.0.len() {
            // `name as (select …)`, and `name (columns) as (…)`.
            let named = i > 0 && self.is_word(i, &["as"]) && self.tok(i + 1) == Some(&Tok::Open);
            if named
                && (self.is_word(i + 2, &["select", "with", "values"])
                    || self.tok(i + 2) == Some(&Tok::Open))
            {
                let before = if self.0[i - 1].tok == Tok::Close {
                    let depth = self.0[i - 1].depth;
                    (0..i - 1)
                        .rev()
                        .find(|j| self.0[*j].depth == depth && self.0[*j].tok == Tok::Open)
                } else {
                    Some(i)
                };
                if let Some(Tok::Word(name) | Tok::Name(name)) =
                    before.and_then(|at| at.checked_sub(1)).and_then(|at| self.tok(at))
                {
                    own.insert(name.to_lowercase());
                }
            }
        }
        let mut tables = BTreeSet::new();
        for i in 0..self.0.len() {
            if !self.is_word(i, &["from", "join"]) || self.is_from_of_a_function(i) {
                continue;
            }
            let depth = self.0[i].depth;
            let mut at = i + 1;
            loop {
                at += usize::from(self.is_word(at, &["lateral", "only"]));
                let (name, next) = self.name_at(at);
                if let Some(name) = name
                    && self.tok(next) != Some(&Tok::Open)
                    && !own.contains(name.rsplit('.').next().unwrap_or(&name))
                    && name != "dual"
                {
                    tables.insert(name);
                }
                // The next of a list with commas, before the next clause.
                let ends = [
                    "where",
                    "group",
                    "order",
                    "limit",
                    "having",
                    "union",
                    "join",
                    "on",
                    "window",
                    "except",
                    "intersect",
                ];
                let comma = (next..self.0.len())
                    .take_while(|j| {
                        self.0[*j].depth >= depth
                            && !(self.0[*j].depth == depth && self.is_word(*j, &ends))
                    })
                    .find(|j| self.0[*j].depth == depth && self.0[*j].tok == Tok::Comma);
                match comma {
                    Some(comma) => at = comma + 1,
                    None => break,
                }
            }
        }
        tables
    }

    /// What tables are called in the query, in small letters: by their aliases, and by their own names.
    pub(crate) fn aliases(&self) -> BTreeMap<String, String> {
        let mut aliases = BTreeMap::new();
        for i in 0..self.0.len() {
            let begins = self.is_word(i, &["from", "join"]) || self.0[i].tok == Tok::Comma;
            let (Some(name), next) = self.name_at(i + 1) else { continue };
            if !begins || self.is_from_of_a_function(i) && self.0[i].tok != Tok::Comma {
                continue;
            }
            let table = name.rsplit('.').next().unwrap_or(&name).to_owned();
            let at = next + usize::from(self.is_word(next, &["as"]));
            if let Some(Tok::Word(alias) | Tok::Name(alias)) = self.tok(at) {
                aliases.insert(alias.to_lowercase(), table.clone());
            }
            aliases.insert(table.clone(), table);
        }
        aliases
    }

    /// The tables of the outermost FROM, where it names any: those whose rows the query is about.
    pub(crate) fn outer_tables(&self) -> BTreeSet<String> {
        let outer = Self(self.0.iter().filter(|at| at.depth == 0).cloned().collect());
        // What a query calls by a name of its own, it says further in.
        outer.tables().intersection(&self.tables()).cloned().collect()
    }

    /// Says whether rows come from elsewhere than tables: from functions under FROM, or from a query that calls itself.
    pub(crate) fn makes_rows(&self) -> bool {
        (0..self.0.len()).any(|i| {
            let function =
                self.is_word(i, &["from", "join"]) && !self.is_from_of_a_function(i) && {
                    let at = i + 1 + usize::from(self.is_word(i + 1, &["lateral"]));
                    let (name, next) = self.name_at(at);
                    name.is_some() && self.tok(next) == Some(&Tok::Open)
                };
            function || self.is_word(i, &["recursive"])
        })
    }

    /// `extract(epoch from x)`, `substring(x from 1)`, `trim(both from x)`, `is distinct from x`.
    fn is_from_of_a_function(&self, at: usize) -> bool {
        if at > 0 && self.is_word(at - 1, &["distinct"]) {
            return true;
        }
        let depth = self.0[at].depth;
        let open =
            (0..at).rev().find(|j| self.0[*j].depth + 1 == depth && self.0[*j].tok == Tok::Open);
        let names = ["extract", "substring", "trim", "overlay", "position"];
        open.and_then(|open| open.checked_sub(1)).is_some_and(|before| self.is_word(before, &names))
    }

    /// A name with its qualifiers, in small letters, and where it ends.
    fn name_at(&self, at: usize) -> (Option<String>, usize) {
        let (mut name, mut at) = (String::new(), at);
        while let Some(Tok::Word(part) | Tok::Name(part)) = self.tok(at) {
            name.push_str(&part.to_lowercase());
            at += 1;
            if self.tok(at) != Some(&Tok::Dot) {
                return (Some(name), at);
            }
            name.push('.');
            at += 1;
        }
        (None, at)
    }

    /// The tokens as one text, for comparing: words in small letters, blanks and comments gone.
    pub(crate) fn normal(&self) -> String {
        self.0.iter().map(|at| format!("{:?}\n", at.tok)).collect()
    }
}

fn tok(token: Token, engine: Engine) -> Tok {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Tok::Word(word.value.to_lowercase()),
        Token::Word(word) => Tok::Name(word.value),
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::NationalStringLiteral(text) => Tok::Text(text),
        Token::DollarQuotedString(text) => Tok::Text(text.value),
        Token::DoubleQuotedString(text) if engine == Engine::MySql => Tok::DoubleQuoted(text),
        Token::DoubleQuotedString(text) => Tok::Name(text),
        Token::Number(number, _) => Tok::Number(number),
        Token::Eq | Token::DoubleEq => Tok::Compare("="),
        Token::Neq => Tok::Compare("<>"),
        Token::Lt => Tok::Compare("<"),
        Token::LtEq => Tok::Compare("<="),
        Token::Gt => Tok::Compare(">"),
        Token::GtEq => Tok::Compare(">="),
        Token::Plus => Tok::Sign("+"),
        Token::Minus => Tok::Sign("-"),
        Token::Mul => Tok::Sign("*"),
        Token::Div => Tok::Sign("/"),
        Token::StringConcat => Tok::Sign("||"),
        Token::DoubleColon => Tok::Sign("::"),
        Token::LParen => Tok::Open,
        Token::Comma => Tok::Comma,
        Token::Period => Tok::Dot,
        _ => Tok::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::Binding;

    #[test]
    fn tables_are_found_at_any_depth_and_names_of_the_query_are_none() {
        for (sql, wanted) in [
            ("select 1", vec![]),
            ("select count(*) from t", vec!["t"]),
            (
                "select * from a, public.b join c on c.x = a.x where a.z in (select z from d)",
                vec!["a", "c", "d", "public.b"],
            ),
            ("with q as (select * from t), r(n) as (select 1) select * from q, r", vec!["t"]),
            ("select extract(epoch from at), a is distinct from b from t", vec!["t"]),
            ("select * from (select * from t) s, u where s.x in (1, 2)", vec!["t", "u"]),
            ("select n from generate_series(1, 3) g(n)", vec![]),
            ("select 1 from \"T\" as x", vec!["t"]),
        ] {
            let query = Query::parse(sql, Engine::Postgres, Binding::Nothing).unwrap();
            let tables: Vec<String> = Words::of(&query).tables().into_iter().collect();
            assert_eq!(tables, wanted, "{sql}");
        }
    }
}
