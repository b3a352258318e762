//! Columns of subqueries that may be those of the query around them: where `blocked` has no `id`, `id in (select id from
//! blocked)` holds of every row.

use crate::domain::sql::words::{Tok, Words};
use crate::domain::sql::{Binding, Query, up_to};

/// A column that a subquery selects by its bare name, from one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The column, as it is written.
    pub column: String,
    /// The table, as it is written.
    pub table: String,
}

impl Selected {
    /// What selects the same, with no query around it.
    pub fn alone(&self, from: &Query) -> Option<Query> {
        let sql = format!("select {} from {}", self.column, self.table);
        Query::parse(&sql, from.engine(), Binding::Nothing).ok()
    }

    /// What selects from the table, and none of its columns.
    pub fn of_none(&self, from: &Query) -> Option<Query> {
        let sql = format!("select 1 from {}", self.table);
        Query::parse(&sql, from.engine(), Binding::Nothing).ok()
    }
}

/// The columns that subqueries of a query select so, each once.
pub fn selected(query: &Query) -> Vec<Selected> {
    let words = Words::of(query);
    let mut all = Vec::new();
    for open in 0..words.0.len() {
        if words.tok(open) != Some(&Tok::Open) || !words.is_word(open + 1, &["select"]) {
            continue;
        }
        let column = open + 2 + usize::from(words.is_word(open + 2, &["distinct"]));
        let Some(table) = table_after(&words, column) else { continue };
        let found = Selected {
            column: text(query, &words, column, column),
            table: text(query, &words, table.0, table.1),
        };
        if !all.contains(&found) {
            all.push(found);
        }
    }
    all
}

/// The table behind `column from`, where nothing is joined to it: its first and its last token.
fn table_after(words: &Words, column: usize) -> Option<(usize, usize)> {
    let is_name = |at: usize| matches!(words.tok(at), Some(Tok::Word(_) | Tok::Name(_)));
    if !is_name(column) || !words.is_word(column + 1, &["from"]) || !is_name(column + 2) {
        return None;
    }
    let mut last = column + 2;
    while words.tok(last + 1) == Some(&Tok::Dot) && is_name(last + 2) {
        last += 2;
    }
    const CLAUSES: [&str; 8] =
        ["where", "group", "order", "limit", "having", "union", "offset", "fetch"];
    let mut next = last + 1 + usize::from(words.is_word(last + 1, &["as"]));
    if is_name(next) && !words.is_word(next, &CLAUSES) {
        next += 1;
    }
    let ends = words.tok(next) == Some(&Tok::Close) || words.is_word(next, &CLAUSES);
    ends.then_some((column + 2, last))
}

/// The text of some tokens, as it is written.
fn text(query: &Query, words: &Words, first: usize, last: usize) -> String {
    let (from, to) = (words.0[first].place, words.0[last].end);
    let before = up_to(query.text(), Some(from)).len();
    up_to(query.text(), Some(to))[before..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::Engine;

    #[test]
    fn a_bare_column_of_one_table_is_found_as_it_is_written() {
        for (sql, wanted) in [
            ("select 1 from t where id in (select id from Blocked)", "id from Blocked"),
            (
                "select 1 from t where id in (select distinct Id from s.\"B\" as b where x)",
                "Id from s.\"B\"",
            ),
            ("select 1 from t where id = (select max(id) from b)", ""),
            ("select 1 from t where id in (select b.id from b)", ""),
            ("select 1 from t where id in (select id from b join c on true)", ""),
            ("select 1 from t where id in (select id from b, c)", ""),
            ("select 1 from t where exists (select 1 from b where id = 1)", ""),
        ] {
            let query = Query::parse(sql, Engine::Postgres, Binding::Nothing).unwrap();
            let found: Vec<String> = selected(&query)
                .iter()
                .map(|found| format!("{} from {}", found.column, found.table))
                .collect();
            assert_eq!(found.join("; "), wanted, "{sql}");
        }
    }
}
