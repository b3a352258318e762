//! Small mistakes in SQL.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::domain::sql::Query;
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::words::{Tok, Words};
use crate::domain::testing::mutants::Needs;
use crate::domain::testing::mutants::alive::idle;
use crate::domain::testing::mutants::clauses::{conditions, parts};

/// A query with a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The query.
    pub(super) text: String,
    /// The line at fault, as it was written.
    pub(super) line: String,
    /// What was changed.
    pub(super) change: String,
    /// What nothing would notice.
    pub(super) meaning: String,
    /// What a column has to be for anybody to notice.
    pub(super) needs: Option<Needs>,
}

/// All queries with one mistake; `judged` are the names of what is judged of the result, and nothing where all of it is.
pub(super) fn changes(query: &Query, judged: Option<&BTreeSet<String>>) -> Vec<Change> {
    let words = Words::of(query);
    let idle = idle(&words, judged);
    let mut found = Found { query, words: &words, idle, all: Vec::new() };
    found.comparisons();
    found.conditions();
    found.namesakes();
    found.joins();
    found.functions();
    found.signs();
    found.nulls();
    found.groups();
    found.sets();
    found.lenient();
    found.all
}

/// What is found in a query.
pub(super) struct Found<'q> {
    pub(super) query: &'q Query,
    pub(super) words: &'q Words,
    idle: Vec<Range<usize>>,
    all: Vec<Change>,
}

impl Found<'_> {
    fn bytes(&self, tokens: &Range<usize>) -> Range<usize> {
        let first = self.words.0[tokens.start].place;
        let last = self.words.0[tokens.end - 1].end;
        self.query.byte(first)..self.query.byte(last)
    }

    pub(super) fn text(&self, tokens: &Range<usize>) -> &str {
        self.query.text().get(self.bytes(tokens)).unwrap_or_default()
    }

    /// Puts something else in the place of some tokens.
    pub(super) fn put(&mut self, tokens: Range<usize>, new: &str, meaning: &str) {
        let old = self.text(&tokens).to_owned();
        self.replace(&tokens, new, shown(&old, new), meaning);
    }

    pub(super) fn replace(
        &mut self,
        tokens: &Range<usize>,
        new: &str,
        change: String,
        meaning: &str,
    ) {
        if tokens.is_empty() || self.idle.iter().any(|idle| idle.contains(&tokens.start)) {
            return;
        }
        let bytes = self.bytes(tokens);
        let (Some(before), Some(after)) =
            (self.query.text().get(..bytes.start), self.query.text().get(bytes.end..))
        else {
            return;
        };
        let begins = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.query.text()[begins..].lines().next().unwrap_or_default();
        // Apart from its neighbours, so that no two words become one.
        let text = format!("{before} {new} {after}");
        let (line, meaning) = (line.trim().to_owned(), meaning.to_owned());
        self.all.push(Change { text, line, change, meaning, needs: None });
    }

    /// The same, where only columns of some kind show it.
    pub(super) fn replace_where(
        &mut self,
        tokens: &Range<usize>,
        new: &str,
        change: String,
        meaning: &str,
        needs: &Needs,
    ) {
        let before = self.all.len();
        self.replace(tokens, new, change, meaning);
        for change in &mut self.all[before..] {
            change.needs = Some(needs.clone());
        }
    }

    fn param(&self, at: Option<usize>) -> Option<Parameter> {
        match at.and_then(|at| self.words.tok(at)) {
            Some(Tok::Param(parameter)) => Some(*parameter),
            Some(_) | None => None,
        }
    }

    fn comparisons(&mut self) {
        for at in 0..self.words.0.len() {
            let Some(Tok::Compare(sign)) = self.words.tok(at) else { continue };
            let near = self.param(Some(at + 1)).or_else(|| self.param(at.checked_sub(1)));
            let is_bound = near.is_some_and(|near| {
                use Parameter::{PastEnd, PastStart, WindowEnd, WindowStart};
                matches!(near, WindowStart | WindowEnd | PastStart | PastEnd)
            });
            let (new, meaning) = match *sign {
                ">=" => (">", "what lies exactly on the limit is in it or not"),
                ">" => (">=", "what lies exactly on the limit is in it or not"),
                "<=" => ("<", "what lies exactly on the limit is in it or not"),
                "<" => ("<=", "what lies exactly on the limit is in it or not"),
                "=" => ("<>", "the very others are taken"),
                _ => ("=", "the very others are taken"),
            };
            let meaning = if is_bound {
                "a row exactly at the edge of its window is in none, or in two"
            } else {
                meaning
            };
            let tokens = at..at + 1;
            let around = self.around(at);
            self.replace(&tokens, new, format!("`{sign}` → `{new}` in `{around}`"), meaning);
        }
    }

    /// A comparison with a little of what stands beside it.
    pub(super) fn around(&self, at: usize) -> String {
        let mut first = at.saturating_sub(1);
        while first >= 2 && self.words.tok(first - 1) == Some(&Tok::Dot) {
            first -= 2;
        }
        let mut last = (at + 1).min(self.words.0.len() - 1);
        while self.words.tok(last + 1) == Some(&Tok::Dot) && last + 2 < self.words.0.len() {
            last += 2;
        }
        self.text(&(first..last + 1)).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn conditions(&mut self) {
        for condition in conditions(self.words) {
            let (all, joints) = parts(self.words, &condition, "and");
            let (either, or_joints) = parts(self.words, &condition, "or");
            // AND binds closer: where both stand at one depth, only OR takes it apart.
            if either.len() > 1 {
                self.parentheses(&either);
                for at in or_joints {
                    self.put(at..at + 1, "and", "one of the conditions alone suffices or not");
                }
                continue;
            }
            for part in all {
                let text = self.text(&part).to_owned();
                let names_zone =
                    part.clone().any(|at| self.param(Some(at)) == Some(Parameter::Zone));
                let meaning = if names_zone {
                    "rows of other zones are mixed in"
                } else {
                    "rows are taken that the condition leaves out"
                };
                self.replace(&part, "1 = 1", shown(&text, ""), meaning);
            }
            for at in joints {
                self.replace(
                    &(at..at + 1),
                    "or",
                    "`and` → `or`".to_owned(),
                    "one of two conditions suffices",
                );
            }
        }
    }

    fn functions(&mut self) {
        for at in 0..self.words.0.len() {
            if self.words.tok(at + 1) != Some(&Tok::Open) {
                continue;
            }
            let close = self.words.closing(at + 1);
            if close >= self.words.0.len() {
                continue;
            }
            for (from, to, meaning) in [
                ("sum", "max", "all but one of several rows are left out of the sum"),
                ("avg", "max", "the largest stands for all"),
                ("max", "min", "the other end is taken"),
                ("min", "max", "the other end is taken"),
            ] {
                if self.words.is_word(at, &[from]) {
                    self.replace(
                        &(at..at + 1),
                        to,
                        format!("`{from}` → `{to}` in `{}`", self.short(at..close + 1)),
                        meaning,
                    );
                }
            }
            if self.words.is_word(at, &["count"]) {
                self.count(at, close);
            }
            if self.words.is_word(at + 2, &["distinct"]) {
                let change = format!("`{}` without `distinct`", self.short(at..close + 1));
                self.replace(&(at + 2..at + 3), "", change, "what is there twice is counted twice");
            }
            if self.words.is_word(at, &["coalesce", "ifnull", "nvl"]) {
                self.without_fallback(at, close);
            }
        }
    }

    /// `count(…)` → 1, and `count(column)` → `count(*)`.
    fn count(&mut self, at: usize, close: usize) {
        let call = at..close + 1;
        let text = self.text(&call).to_owned();
        let change = shown(&text, "1");
        self.replace(
            &call,
            &format!("({text} * 0 + 1)"),
            change,
            "the count is 1 whatever is there",
        );
        let of_column = matches!(self.words.tok(at + 2), Some(Tok::Word(_) | Tok::Name(_)));
        if of_column && !self.words.is_word(at + 2, &["distinct"]) {
            let change = shown(&self.short(call.clone()), "count(*)");
            let meaning = "rows are counted in which the column is missing";
            match self.bare(at + 2..close).filter(|_| !self.has_outer_join()) {
                Some(column) => {
                    let needs = Needs::Null(column);
                    self.replace_where(&call, "count(*)", change, meaning, &needs);
                }
                None => self.replace(&call, "count(*)", change, meaning),
            }
        }
    }

    /// `coalesce(a, b)` → `a`.
    fn without_fallback(&mut self, at: usize, close: usize) {
        let depth = self.words.0[at + 1].depth + 1;
        let is_comma =
            |i: &usize| self.words.0[*i].depth == depth && self.words.0[*i].tok == Tok::Comma;
        let Some(comma) = (at + 2..close).find(is_comma) else { return };
        let first = self.text(&(at + 2..comma)).to_owned();
        let change = shown(&self.short(at..close + 1), &first);
        self.replace(
            &(at..close + 1),
            &format!("({first})"),
            change,
            "what is missing is no longer taken for nothing",
        );
    }

    pub(super) fn short(&self, tokens: Range<usize>) -> String {
        self.text(&tokens).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn signs(&mut self) {
        for at in 1..self.words.0.len() {
            let Some(Tok::Sign(sign @ ("+" | "-"))) = self.words.tok(at) else { continue };
            let is_operand = matches!(
                self.words.tok(at - 1),
                Some(Tok::Name(_) | Tok::Number(_) | Tok::Close | Tok::Param(_))
            ) || matches!(self.words.tok(at - 1), Some(Tok::Word(word))
                if !["select", "where", "and", "or", "then", "else", "when", "on", "by", "in", "between", "interval"]
                    .contains(&word.as_str()));
            if is_operand {
                let new = if *sign == "+" { "-" } else { "+" };
                let change = format!("`{sign}` → `{new}` in `{}`", self.around(at));
                self.replace(&(at..at + 1), new, change, "the sign is turned");
            }
        }
    }

    fn nulls(&mut self) {
        for at in 0..self.words.0.len() {
            if !self.words.is_word(at, &["is"]) {
                continue;
            }
            if self.words.is_word(at + 1, &["null"]) {
                self.put(
                    at..at + 2,
                    "is not null",
                    "what is missing and what is there are exchanged",
                );
            } else if self.words.is_word(at + 1, &["not"]) && self.words.is_word(at + 2, &["null"])
            {
                self.put(at..at + 3, "is null", "what is missing and what is there are exchanged");
            }
        }
    }

    /// Columns of GROUP BY, where there are several; DISTINCT of a select list.
    fn groups(&mut self) {
        for at in 0..self.words.0.len() {
            if self.words.is_word(at, &["select"]) && self.words.is_word(at + 1, &["distinct"]) {
                let change = "`select distinct` → `select`".to_owned();
                self.replace(&(at + 1..at + 2), "", change, "what is there twice is taken twice");
            }
            if !self.words.is_word(at, &["group"]) || !self.words.is_word(at + 1, &["by"]) {
                continue;
            }
            let depth = self.words.0[at].depth;
            let ends = ["having", "order", "limit", "union", "window", "intersect", "except"];
            let end = self.words.clause_end(at + 2, depth, &ends);
            let commas: Vec<usize> = (at + 2..end)
                .filter(|i| self.words.0[*i].depth == depth && self.words.0[*i].tok == Tok::Comma)
                .collect();
            if commas.is_empty() {
                continue;
            }
            let starts: Vec<usize> =
                std::iter::once(at + 2).chain(commas.iter().map(|i| i + 1)).collect();
            for (i, start) in starts.iter().enumerate() {
                let tokens = match commas.get(i) {
                    Some(comma) => *start..comma + 1,
                    None => commas[i - 1]..end,
                };
                let name = self.text(&(*start..commas.get(i).copied().unwrap_or(end))).to_owned();
                self.replace(
                    &tokens,
                    "",
                    format!("`group by` without `{name}`"),
                    "rows of different groups are one",
                );
            }
        }
    }

    /// `not in (select a from t)` → the same without NULL in the list: with one, nothing is ever outside of it.
    fn without_nulls(&mut self, at: usize) {
        let close = self.words.closing(at + 1);
        if !self.words.is_word(at, &["in"])
            || !self.words.is_word(at + 2, &["select"])
            || close >= self.words.0.len()
        {
            return;
        }
        let depth = self.words.0[at + 2].depth;
        let end = self.words.clause_end(at + 3, depth, &["from"]);
        let (name, _) = self.words.named(&(at + 3..end.max(at + 4)));
        let Some(name) = name.map(str::to_owned) else { return };
        let inner = self.text(&(at + 2..close)).to_owned();
        let new = format!("(select q.{name} from ({inner}) q where q.{name} is not null)");
        let change = format!("`not in {}` without its NULLs", self.short(at + 1..close + 1));
        let meaning = "a NULL in the list lets everything pass";
        let list = at + 1..close + 1;
        match self.has_outer_join() {
            true => self.replace(&list, &new, change, meaning),
            false => {
                let needs = Needs::Null(name.to_lowercase());
                self.replace_where(&list, &new, change, meaning, &needs);
            }
        }
    }

    /// UNION, EXISTS, IN.
    fn sets(&mut self) {
        for at in 0..self.words.0.len() {
            if self.words.is_word(at, &["union"]) {
                if self.words.is_word(at + 1, &["all"]) {
                    self.put(at..at + 2, "union", "what both bring is taken once");
                } else {
                    self.put(at..at + 1, "union all", "what both bring is taken twice");
                }
            }
            let negated = at > 0 && self.words.is_word(at - 1, &["not"]);
            if self.words.calls(at, &["exists", "in"]) {
                let word = if self.words.is_word(at, &["exists"]) { "exists" } else { "in" };
                if negated {
                    self.put(at - 1..at + 1, word, "the very others are taken");
                    self.without_nulls(at);
                } else {
                    self.put(at..at + 1, &format!("not {word}"), "the very others are taken");
                }
            }
        }
    }
}

/// `left join` → `join`.
fn shown(old: &str, new: &str) -> String {
    let old = old.split_whitespace().collect::<Vec<_>>().join(" ");
    if new.is_empty() { format!("`{old}` → nothing") } else { format!("`{old}` → `{new}`") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{Binding, Engine};

    fn all(sql: &str, judged: &[&str]) -> Vec<String> {
        let query = Query::parse(sql, Engine::Sqlite, Binding::Window).unwrap();
        let judged: BTreeSet<String> = judged.iter().map(|name| (*name).to_owned()).collect();
        let changes = changes(&query, Some(&judged));
        for change in &changes {
            let parsed = Query::parse(&change.text, Engine::Sqlite, Binding::Window);
            assert!(parsed.is_ok(), "{}: {}", change.change, change.text);
        }
        changes.into_iter().map(|change| change.change).collect()
    }

    #[test]
    fn each_small_mistake_is_made_once_and_leaves_the_rest_as_it_was() {
        let sql = "select a.id, coalesce(sum(u.cents), 0) - 1 as cents, count(*) as idle
            from accounts a left join usage u on u.account_id = a.id
              and u.at >= :window_start and u.at < :window_end
            where a.time_zone = :zone and a.closed_on is null group by a.id, a.plan";
        let changes = all(sql, &["id", "cents"]);
        for wanted in [
            "`>=` → `>` in `u.at >= :window_start`",
            "`<` → `<=` in `u.at < :window_end`",
            "`=` → `<>` in `u.account_id = a.id`",
            "`u.at < :window_end` → nothing",
            "`a.time_zone = :zone` → nothing",
            "`a.closed_on is null` → nothing",
            "`left join` → `join`",
            "`sum` → `max` in `sum(u.cents)`",
            "`coalesce(sum(u.cents), 0)` → `sum(u.cents)`",
            "`-` → `+` in `) - 1`",
            "`is null` → `is not null`",
            "`group by` without `a.plan`",
        ] {
            assert!(changes.iter().any(|change| change == wanted), "{wanted}: {changes:#?}");
        }
        // What no one judges is left alone.
        assert!(!changes.iter().any(|change| change.contains("count(")), "{changes:#?}");
    }

    #[test]
    fn mistakes_are_found_wherever_they_can_be_made() {
        for (sql, wanted) in [
            ("select count(distinct x) as n from t", "`count(distinct x)` without `distinct`"),
            ("select count(*) as n from t", "`count(*)` → `1`"),
            ("select n from t where a = 1 or b = 2", "`or` → `and`"),
            ("select n from t where not exists (select 1 from u)", "`not exists` → `exists`"),
            ("select n from t where a not in (select b from u)", "`not in` → `in`"),
            ("select n from t union all select n from u", "`union all` → `union`"),
            ("select distinct n from t", "`select distinct` → `select`"),
            ("select n from t join u on u.a = t.a", "`join` → `left join`"),
            (
                "select q.n from (select max(x) as n, min(x) as m from t) q",
                "`max` → `min` in `max(x)`",
            ),
        ] {
            let changes = all(sql, &["n"]);
            assert!(changes.iter().any(|change| change == wanted), "{sql}: {changes:#?}");
        }
        let inner = all("select q.n from (select max(x) as n, min(x) as m from t) q", &["n"]);
        assert!(!inner.iter().any(|change| change.starts_with("`min`")), "{inner:#?}");
    }
}
