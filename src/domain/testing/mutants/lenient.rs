//! Where SQL says less than it seems to say: NULL in a comparison, division of whole numbers, `_` in a pattern, an
//! empty text that is not NULL, and what is rounded away.

use std::ops::Range;

use crate::domain::sql::Engine;
use crate::domain::sql::words::Tok;
use crate::domain::testing::columns::{names, operand_after, operand_before};
use crate::domain::testing::mutants::Needs;
use crate::domain::testing::mutants::clauses::{conditions, parts};
use crate::domain::testing::mutants::sql::Found;

/// The character before a `_` that means itself.
const ESCAPE: char = '!';

/// Says whether a column holds dates or instants by its name: SQLite has no type for them, and none of them is empty.
fn is_of_time(column: &str) -> bool {
    column.ends_with("_on") || column.ends_with("_at") || column.contains("date")
}

impl Found<'_> {
    /// All of these mistakes.
    pub(super) fn lenient(&mut self) {
        self.compared_with_null();
        self.empty_texts();
        self.cut();
        self.numbers_as_texts();
        for at in 1..self.words.0.len() {
            self.divided(at);
            self.pattern(at);
            self.rounded(at);
        }
    }

    /// `cents < 0` → the same, or `cents is null`: a comparison with NULL is never true.
    fn compared_with_null(&mut self) {
        for condition in conditions(self.words) {
            let is_where = condition.tokens.start.checked_sub(1);
            if !is_where.is_some_and(|at| self.words.is_word(at, &["where"])) {
                continue;
            }
            let (all, _) = parts(self.words, &condition, "and");
            for part in all {
                let is_sign = |at: &usize| matches!(self.words.tok(*at), Some(Tok::Compare(sign)) if *sign != "=");
                let Some(sign) = part.clone().find(is_sign) else { continue };
                let is_literal =
                    matches!(self.words.tok(sign + 1), Some(Tok::Number(_) | Tok::Text(_)));
                let column = self.bare(part.start..sign);
                let (Some(column), true) = (column, is_literal && sign + 2 == part.end) else {
                    continue;
                };
                let (text, name) = (self.short(part.clone()), self.short(part.start..sign));
                self.replace_where(
                    &part,
                    &format!("({text} or {name} is null)"),
                    format!("`{text}` → the same, or NULL"),
                    "a row in which the value is missing is passed over",
                    &Needs::Null(column),
                );
            }
        }
    }

    /// The column that stands alone in some tokens, with its table at most.
    pub(super) fn bare(&self, tokens: Range<usize>) -> Option<String> {
        let is_bare = tokens.len() == 1
            || tokens.len() == 3 && self.words.tok(tokens.start + 1) == Some(&Tok::Dot);
        names(self.words, tokens).pop().filter(|_| is_bare)
    }

    /// Whether a column that is never NULL in its table can be NULL here.
    pub(super) fn has_outer_join(&self) -> bool {
        (0..self.words.0.len()).any(|at| self.words.is_word(at, &["left", "right", "full"]))
    }

    /// `x is null` → the same, or an empty text.
    fn empty_texts(&mut self) {
        // Who looks for empty texts already knows of them.
        let knows = self.words.0.iter().any(|at| at.tok == Tok::Text(String::new()));
        if knows || self.has_outer_join() {
            return;
        }
        for at in 1..self.words.0.len() {
            if !self.words.is_word(at, &["is"]) {
                continue;
            }
            let not = usize::from(self.words.is_word(at + 1, &["not"]));
            let operand = operand_before(self.words, at);
            let column = self.bare(operand.clone());
            let is_null = self.words.is_word(at + 1 + not, &["null"]);
            let Some(column) = column.filter(|name| is_null && !is_of_time(name)) else { continue };
            let whole = operand.start..at + 2 + not;
            let (text, name) = (self.short(whole.clone()), self.short(operand));
            let new = match not {
                0 => format!("({text} or {name} = '')"),
                _ => format!("({text} and {name} <> '')"),
            };
            self.replace_where(
                &whole,
                &new,
                format!("`{text}` with '' as NULL"),
                "an empty text is none, and is not missing either",
                &Needs::Text(column),
            );
        }
    }

    /// `limit 100` → nothing: what is behind is never looked at.
    fn cut(&mut self) {
        for at in 0..self.words.0.len() {
            let is_cut = self.words.is_word(at, &["limit"])
                && matches!(self.words.tok(at + 1), Some(Tok::Number(_)));
            if is_cut {
                let meaning = "rows behind the first ones are never looked at";
                let change = format!("`{}` → nothing", self.short(at..at + 2));
                self.replace(&(at..at + 2), "", change, meaning);
            }
        }
    }

    /// `code > '100'` → as a number, where the column holds texts: `'99'` is greater.
    fn numbers_as_texts(&mut self) {
        for at in 1..self.words.0.len() {
            let Some(Tok::Compare(sign @ ("<" | "<=" | ">" | ">="))) = self.words.tok(at) else {
                continue;
            };
            let Some(Tok::Text(number)) = self.words.tok(at + 1) else { continue };
            let operand = operand_before(self.words, at);
            let column = self.bare(operand.clone());
            let (Some(column), true) = (column, number.parse::<f64>().is_ok()) else { continue };
            let name = self.short(operand.clone());
            let (new, number) =
                (format!("cast({name} as decimal(30, 6)) {sign} {number}"), number.clone());
            self.replace_where(
                &(operand.start..at + 2),
                &new,
                format!("`{}` as numbers", self.around(at)),
                &format!("texts are compared by their letters, and '9' is greater than '{number}'"),
                &Needs::Text(column),
            );
        }
    }

    /// `a / b` → `a * 1.0 / b`, where whole numbers are divided without a remainder.
    fn divided(&mut self, at: usize) {
        if self.words.tok(at) != Some(&Tok::Sign("/")) || self.query.engine() == Engine::MySql {
            return;
        }
        let operands = [operand_before(self.words, at), operand_after(self.words, at + 1)];
        let around = operands[0].start..operands[1].end;
        let makes_decimals = around.clone().any(|at| {
            matches!(self.words.tok(at), Some(Tok::Number(number)) if number.contains('.'))
                || self.words.is_word(at, &["cast", "avg", "numeric", "decimal", "real", "float"])
        });
        if makes_decimals {
            return;
        }
        let is_summed = around.clone().any(|at| self.words.calls(at, &["sum"]));
        let change = format!("`/` → `* 1.0 /` in `{}`", self.around(at));
        let needs = Needs::Whole { columns: names(self.words, around), is_summed };
        let meaning = "whole numbers are divided, and the remainder is lost";
        self.replace_where(&(at..at + 1), "* 1.0 /", change, meaning, &needs);
    }

    /// `like 'A_%'` → the same with `_` as itself.
    fn pattern(&mut self, at: usize) {
        let is_pattern = self.words.is_word(at - 1, &["like", "ilike"])
            && matches!(self.words.tok(at), Some(Tok::Text(_)))
            && !self.words.is_word(at + 1, &["escape"]);
        let text = self.short(at..at + 1);
        if !is_pattern || !text.contains('_') || text.contains([ESCAPE, '\\']) {
            return;
        }
        let new = format!("{} escape '{ESCAPE}'", text.replace('_', &format!("{ESCAPE}_")));
        let change = format!("`{text}` with `_` as itself");
        self.replace(&(at..at + 1), &new, change, "`_` stands for any character");
    }

    /// `round(a - b)` → `(a - b)`.
    fn rounded(&mut self, at: usize) {
        let at = at - 1;
        if !self.words.calls(at, &["round"]) {
            return;
        }
        let (open, close) = (at + 1, self.words.closing(at + 1));
        let depth = self.words.0[open].depth + 1;
        let is_comma =
            |i: &usize| self.words.0[*i].depth == depth && self.words.0[*i].tok == Tok::Comma;
        let end = (open + 1..close).find(is_comma).unwrap_or(close);
        if close >= self.words.0.len() || open + 1 == end {
            return;
        }
        let inner = self.short(open + 1..end);
        let change = format!("`{}` → `{inner}`", self.short(at..close + 1));
        self.replace(
            &(at..close + 1),
            &format!("({inner})"),
            change,
            "what is rounded away is lost",
        );
    }
}
