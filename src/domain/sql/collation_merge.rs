//! Whether a query puts rows together, as far as its words say it: a collation that takes different texts for
//! one would merge their keys before anybody compares them.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

use std::collections::BTreeSet;

use sqlparser::tokenizer::{Token, Tokenizer};

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

    /// Which of these names stand where tables do, with the names of their schemas, where those are written.
    pub fn tables<'n>(&self, names: &'n [String]) -> Vec<(&'n String, Option<&str>)> {
        const TABLE: [&str; 4] = ["from", "join", ",", "("];
        let mut all = Vec::new();
        // For each parenthesis that is open, whether tables are listed in it.
        let mut lists = vec![false];
        for (place, (quoted, word)) in self.0.iter().enumerate() {
            let before = |back: usize| place.checked_sub(back).map(|at| self.0[at].1.as_str());
            let listing = lists.last().copied().unwrap_or(false);
            let mut now = listing;
            match word.as_str() {
                "(" if !quoted => {
                    // `from (a, b)` lists tables, `on f(a, b)` does not.
                    let lists_too = listing && before(1).is_some_and(|word| TABLE.contains(&word));
                    lists.push(lists_too);
                    continue;
                }
                ")" if !quoted && lists.len() > 1 => {
                    lists.pop();
                    continue;
                }
                "from" | "join" if !quoted => now = true,
                "where" | "group" | "order" | "having" | "limit" | "select" if !quoted => {
                    now = false;
                }
                _ => {}
            }
            if let Some(last) = lists.last_mut() {
                *last = now;
            }
            let schema = if before(1) == Some(".") { before(2) } else { None };
            let stands = before(if schema.is_some() { 3 } else { 1 });
            if listing && stands.is_some_and(|word| TABLE.contains(&word)) {
                let named = names.iter().filter(|name| name.eq_ignore_ascii_case(word));
                all.extend(named.map(|name| (name, schema)));
            }
        }
        all
    }

    /// Says whether some select puts rows together by what gets its collation elsewhere: its `group by` has none,
    /// or it is inside another one that has the cast. A `group by` of places is that of its own select list.
    pub fn casts_elsewhere(&self) -> bool {
        let is = |place: usize, wanted: &str| {
            self.0.get(place).is_some_and(|(quoted, word)| !quoted && word == wanted)
        };
        if !(0..self.0.len()).any(|place| is(place, "collate")) {
            return false;
        }
        let mut open = vec![Scope::default()];
        let mut ended = Vec::new();
        for place in 0..self.0.len() {
            if is(place, "(") {
                let selects = is(place + 1, "select") || is(place + 1, "with");
                open.push(Scope(selects.then_some(Sign::Select).into_iter().collect()));
            } else if is(place, ")") && open.len() > 1 {
                let inner = open.pop().unwrap_or_default();
                match open.last_mut() {
                    Some(outer) if !inner.has(Sign::Select) => outer.take(&inner),
                    Some(_) | None => ended.push(inner),
                }
            } else if let Some(scope) = open.last_mut() {
                scope.see(&self.0[place].1, self.0[place].0, is(place + 1, "by"));
            }
        }
        ended.extend(open);
        ended.iter().any(|scope| !scope.casts_itself())
    }
}

/// What is seen in one select, or between parentheses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// It is a select.
    Select,
    /// A collation is written in it; and in its `group by`.
    Collates,
    GroupCollates,
    /// Rows are put together: by a `group by`, or whole.
    Groups,
    Whole,
    /// Its `group by` has names, and not places alone.
    GroupNames,
    /// What comes next is of its `group by`.
    InGroup,
}

#[derive(Debug, Default)]
struct Scope(BTreeSet<Sign>);

impl Scope {
    fn has(&self, sign: Sign) -> bool {
        self.0.contains(&sign)
    }

    fn see(&mut self, word: &str, quoted: bool, by_follows: bool) {
        let is = |wanted: &[&str]| !quoted && wanted.contains(&word);
        if is(&["group"]) && by_follows {
            self.0.extend([Sign::Groups, Sign::InGroup]);
        } else if is(&["union", "intersect", "except"]) {
            self.0.remove(&Sign::InGroup);
            self.0.insert(Sign::Whole);
        } else if is(&["having", "order", "limit"]) {
            self.0.remove(&Sign::InGroup);
        } else if is(&["distinct"]) {
            self.0.insert(Sign::Whole);
        } else if is(&["collate"]) {
            self.0.insert(Sign::Collates);
            self.0.extend(self.has(Sign::InGroup).then_some(Sign::GroupCollates));
        } else if self.has(Sign::InGroup) && !is(&["by", ","]) && word.parse::<u32>().is_err() {
            self.0.insert(Sign::GroupNames);
        }
    }

    /// What stands in parentheses that are no select.
    fn take(&mut self, inner: &Self) {
        for sign in [Sign::Collates, Sign::Whole] {
            self.0.extend(inner.has(sign).then_some(sign));
        }
        if self.has(Sign::InGroup) {
            self.0.insert(Sign::GroupNames);
            self.0.extend(inner.has(Sign::Collates).then_some(Sign::GroupCollates));
        }
    }

    fn casts_itself(&self) -> bool {
        let places = !self.has(Sign::GroupNames) && self.has(Sign::Collates);
        let by = self.has(Sign::GroupCollates) || places;
        (!self.has(Sign::Groups) || by) && (!self.has(Sign::Whole) || self.has(Sign::Collates))
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
    fn a_cast_that_is_not_where_rows_are_put_together_is_seen() {
        for (sql, elsewhere) in [
            ("select k collate utf8mb4_bin as k, sum(v) as v from t group by k", true),
            ("select t.k collate utf8mb4_bin as k, sum(v) as v from t group by t.k", true),
            ("select k collate utf8mb4_bin as id from t group by k, v having v > 1", true),
            (
                "select q.k collate b as id from (select k, sum(v) as v from t group by k) as q",
                true,
            ),
            (
                "select q.k collate b as id from (select k, sum(v) as v from t group by 1) as q",
                true,
            ),
            ("select q.k collate b as id from (select distinct k from t) as q", true),
            ("select (`t`.`k` collate b) AS `k`, sum(`t`.`v`) from `t` group by `t`.`k`", true),
            (
                "select (`t`.`k` collate b) AS `k`, sum(`t`.`v`) from `t` group by (`t`.`k` collate b)",
                false,
            ),
            ("select k collate b as k from t group by k collate b", false),
            (
                "select k collate b as k, count(distinct v) as n from t group by k collate b, v",
                false,
            ),
            ("select distinct k collate b as k from t", false),
            ("select k collate b as k from t group by 1", false),
            ("select k as k from t group by k", false),
        ] {
            assert_eq!(
                Words::of(sql, Engine::MySql).unwrap().casts_elsewhere(),
                elsewhere,
                "{sql}"
            );
        }
    }

    #[test]
    fn tables_are_what_stands_where_tables_do() {
        let names = ["status".to_owned(), "sums".to_owned(), "more".to_owned()];
        let sql = "select a.status, more from t, sums join s.more on t.status = 1 where status = 2";
        let words = Words::of(sql, Engine::MySql).unwrap();
        assert_eq!(words.tables(&names), [(&names[1], None), (&names[2], Some("s"))]);
        for (sql, named) in [
            ("select 1 from (select k from t where k > 1) as q, sums", true),
            ("select 1 from t join u on t.k = u.k, sums", true),
            ("select 1 from t join u on f(t.k, sums) = 1", false),
            ("select 1 from (t, sums)", true),
            ("select k from t where k in (select k from sums where k > 1)", true),
        ] {
            let words = Words::of(sql, Engine::MySql).unwrap();
            assert_eq!(!words.tables(&names).is_empty(), named, "{sql}");
        }
    }
}
