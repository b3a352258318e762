//! Whether a query puts rows together, as far as its words say it: a collation that takes different texts for
//! one would merge their keys before anybody compares them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use sqlparser::tokenizer::{Token, Tokenizer};

use crate::domain::name::ColumnName;
use crate::domain::sql::Engine;

/// The words of a query, without strings and comments: whether each is quoted, and how it is written.
#[derive(Debug)]
pub struct Words(Vec<(bool, String)>);

impl Words {
    /// Reads a query, or the definition of a view; nothing of what cannot be read.
    pub fn of(sql: &str, engine: Engine) -> Option<Self> {
        let tokens = Tokenizer::new(engine.dialect(), sql).tokenize().ok()?;
        let tokens = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_)));
        let word = |token: Token| match &token {
            Token::Word(word) => (word.quote_style.is_some(), word.value.to_ascii_lowercase()),
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => (true, String::new()),
            _ => (false, token.to_string().to_ascii_lowercase()),
        };
        Some(Self(tokens.map(word).collect()))
    }

    /// Says whether rows may be put together: where they are not, each comes by itself.
    pub fn merge(&self) -> bool {
        let words = ["group", "distinct", "union", "intersect", "except"];
        self.0.iter().any(|(quoted, word)| !quoted && words.contains(&word.as_str()))
    }

    /// Which of these names are said.
    pub fn names<'n>(&'n self, names: &'n [String]) -> impl Iterator<Item = &'n String> {
        let said = |name: &&String| self.0.iter().any(|(_, word)| word.eq_ignore_ascii_case(name));
        names.iter().filter(said)
    }

    /// Says whether a column gets a collation in the select list, and rows are put together by its bare name:
    /// that is the column of the table, with its own collation.
    pub fn group_by_bare_name(&self, column: &ColumnName) -> bool {
        let is =
            |place: usize, wanted: &str| self.0.get(place).is_some_and(|(_, word)| word == wanted);
        let name = column.as_str().to_ascii_lowercase();
        let named = |place: usize| self.0.get(place).is_some_and(|(_, word)| *word == name);
        let all = 0..self.0.len();
        // `collate c as k`, or `collate c k`; the collation may have a schema.
        let cast = all.clone().filter(|at| is(*at, "collate")).any(|at| {
            (at + 2..=at + 5).any(|place| named(place) && (is(place - 1, "as") || place == at + 2))
        });
        let grouped = all.filter(|at| is(*at, "group") && is(at + 1, "by")).any(|at| {
            (at + 2..self.0.len())
                .take_while(|place| {
                    !["having", "order", "limit", ")"].iter().any(|w| is(*place, w))
                })
                .any(|place| named(place) && !is(place - 1, ".") && !is(place + 1, "collate"))
        });
        cast && grouped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_put_rows_together_are_seen_and_strings_and_comments_are_not() {
        for (sql, merges) in [
            ("select k from t group by k", true),
            ("select distinct k from t", true),
            ("select k from a union all select k from b", true),
            ("select k from t where k <> 'group' -- distinct", false),
            ("select \"group\" as k from t", false),
        ] {
            let words = Words::of(sql, Engine::Postgres).unwrap();
            assert_eq!(words.merge(), merges, "{sql}");
        }
    }

    #[test]
    fn a_group_by_the_name_that_the_cast_has_too_is_seen() {
        for (sql, wrong) in [
            ("select k collate utf8mb4_bin as k, sum(v) as v from t group by k", true),
            ("select k collate utf8mb4_bin k from t group by k, v having v > 1", true),
            ("select k collate utf8mb4_bin as k from t group by k collate utf8mb4_bin", false),
            ("select k collate utf8mb4_bin as k from t group by 1", false),
            ("select k as k from t group by k", false),
        ] {
            let words = Words::of(sql, Engine::MySql).unwrap();
            let name = ColumnName::parse("k").unwrap();
            assert_eq!(words.group_by_bare_name(&name), wrong, "{sql}");
        }
    }
}
