//! What belongs together otherwise than it looks: conditions without parentheses, and columns of one name in two tables.

use std::ops::Range;

use crate::domain::sql::words::Tok;
use crate::domain::testing::mutants::clauses::{Condition, ENDS, parts};
use crate::domain::testing::mutants::sql::Found;

impl Found<'_> {
    /// `left join` → `join`, and the other way round.
    pub(super) fn joins(&mut self) {
        for at in 0..self.words.0.len() {
            if !self.words.is_word(at, &["join"]) {
                continue;
            }
            let back = |far: usize, words: &[&str]| {
                at.checked_sub(far).is_some_and(|before| self.words.is_word(before, words))
            };
            let outer = usize::from(back(1, &["outer"]));
            let sides = ["left", "right", "full"];
            if back(1 + outer, &sides) {
                let tokens = at - 1 - outer..at + 1;
                self.put(tokens, "join", "who has no partner disappears");
            } else if !back(1, &["cross", "natural", "lateral", "straight_join"])
                && !self.is_needed_below(at)
            {
                let inner = usize::from(back(1, &["inner"]));
                self.put(at - inner..at + 1, "left join", "who has no partner is counted too");
            }
        }
    }

    /// `a and b or c` → `a and (b or c)`: AND binds closer, which is easily forgotten.
    pub(super) fn parentheses(&mut self, either: &[Range<usize>]) {
        let ands = |tokens: &Range<usize>| {
            let tokens = tokens.clone();
            parts(self.words, &Condition { tokens }, "and").0
        };
        let of_each: Vec<_> = either.iter().map(ands).collect();
        for pair in of_each.windows(2) {
            let [before, after] = pair else { continue };
            let (Some(last), Some(first)) = (before.last(), after.first()) else { continue };
            if before.len() + after.len() == 2 {
                continue;
            }
            let tokens = last.start..first.end;
            let text = self.text(&tokens).to_owned();
            let change = format!("`{}` in parentheses", self.short(tokens.clone()));
            let meaning = "`and` binds closer than `or`: another of two conditions is left out";
            self.replace(&tokens, &format!("({text})"), change, meaning);
        }
    }

    /// `o.zone = :zone` → `c.zone = :zone`: of two tables, the other one's column of that name.
    pub(super) fn namesakes(&mut self) {
        let aliases: Vec<String> = self.words.aliases().into_keys().collect();
        for at in 2..self.words.0.len() {
            let Some(Tok::Compare(_)) = self.words.tok(at) else { continue };
            let is_value = |at: Option<usize>| {
                let tok = at.and_then(|at| self.words.tok(at));
                matches!(tok, Some(Tok::Param(_) | Tok::Text(_) | Tok::Number(_)))
            };
            let is_dotted = self.words.tok(at - 2) == Some(&Tok::Dot);
            if !is_dotted || at < 3 || !is_value(Some(at + 1)) {
                continue;
            }
            let (own, column) = (self.short(at - 3..at - 2), self.short(at - 1..at));
            if !aliases.iter().any(|alias| alias.eq_ignore_ascii_case(&own)) {
                continue;
            }
            for other in aliases.iter().filter(|other| !other.eq_ignore_ascii_case(&own)) {
                if self.are_joined(&own, other, &column) {
                    continue;
                }
                let new = format!("{other}.{column}");
                let change = format!("`{own}.{column}` → `{new}` in `{}`", self.around(at));
                let meaning = "the column of that name is another table's";
                self.replace(&(at - 3..at), &new, change, meaning);
            }
        }
    }

    /// Says whether WHERE compares a column of the table that is joined here: then a row without a partner is out anyway.
    fn is_needed_below(&self, join: usize) -> bool {
        let depth = self.words.0[join].depth;
        let is_wanted =
            |at: &usize| self.words.0[*at].depth == depth && self.words.is_word(*at, &["where"]);
        let Some(at) = (join..self.words.0.len()).find(is_wanted) else { return false };
        let name = |at: usize| match self.words.tok(at) {
            Some(Tok::Word(name) | Tok::Name(name)) => Some(name.to_lowercase()),
            Some(_) | None => None,
        };
        // The last name before ON is the alias, or the table where it has none.
        let on = (join + 1..at).find(|at| self.words.is_word(*at, &["on", "using"]));
        let Some(alias) = on.and_then(|on| name(on - 1)) else { return false };
        let end = self.words.clause_end(at + 1, depth, &ENDS);
        let condition = Condition { tokens: at + 1..end };
        if at + 1 >= end || parts(self.words, &condition, "or").0.len() > 1 {
            return false;
        }
        let (all, _) = parts(self.words, &condition, "and");
        all.into_iter().any(|part| {
            part.len() == 5
                && name(part.start).as_ref() == Some(&alias)
                && self.words.tok(part.start + 1) == Some(&Tok::Dot)
                && matches!(self.words.tok(part.start + 3), Some(Tok::Compare(_)))
        })
    }

    /// Says whether two tables are joined by the column of one name.
    fn are_joined(&self, one: &str, other: &str, column: &str) -> bool {
        let text = self.query.text().to_lowercase();
        let text: String = text.split_whitespace().collect();
        let name = |table: &str| format!("{table}.{column}").to_lowercase();
        let (one, other) = (name(one), name(other));
        text.contains(&format!("{one}={other}")) || text.contains(&format!("{other}={one}"))
    }
}
