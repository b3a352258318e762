//! The SQL of a check: one statement that reads.
//!
//! What is refused here is refused because it cannot be a proof or could do harm, and because a
//! fault in a review is better than a refusal at night. The databases' own guards do not rely on it:
//! harm hidden in a function or a view is stopped in `source`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the tokenizer's tokens are a foreign, growing list"
)]

pub mod outer;
pub mod parameter;
pub mod bounds;
pub mod instant_form;
pub mod aggregate;
pub mod collation_merge;
pub mod lint;
pub mod reads;
pub mod names;
pub(crate) mod words;
mod effects;
mod review;

use std::fmt;
use std::ops::Range;

use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::domain::sql::aggregate::{OverNothing, over_nothing};
use crate::domain::sql::parameter::Parameter;
use crate::domain::sql::review::{
    Named, not_sql, one_statement, parameter, refuse_function, refuse_live_comments, refuse_nul,
    refuse_open_parentheses, refuse_parameter, refuse_unless_read, refuse_write,
};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// PostgreSQL and what speaks its protocol.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Engine {
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Postgres => &PostgreSqlDialect {},
            Self::MySql => &MySqlDialect {},
            Self::Sqlite => &SQLiteDialect {},
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// One statement that reads, without its closing semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    text: String,
    has_line_comment: bool,
    /// Where parameters stand in the text, in its order.
    uses: Vec<(Range<usize>, Parameter)>,
    over_nothing: OverNothing,
    engine: Engine,
}

/// Whether something is there to bind parameters to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A window.
    Window,
    /// Nothing.
    Nothing,
}

/// Why a text is no [`Query`], with the place inside the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFault {
    /// Line inside the SQL, from 1.
    pub line: u64,
    /// Column inside the SQL, from 1.
    pub column: u64,
    /// The rule that is broken.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Query {
    /// Parses one read-only statement in the engine's dialect.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str, engine: Engine, binding: Binding) -> Result<Self, SqlFault> {
        refuse_nul(text)?;
        let tokens = Tokenizer::new(engine.dialect(), text)
            .with_unescape(false)
            .tokenize_with_location()
            .map_err(|e| not_sql(text, engine, &e))?;
        refuse_live_comments(text, &tokens, engine)?;
        let has_line_comment = tokens
            .iter()
            .any(|t| matches!(t.token, Token::Whitespace(Whitespace::SingleLineComment { .. })));
        let tokens: Vec<&TokenWithSpan> = tokens
            .iter()
            .filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF))
            .collect();
        let body = one_statement(&tokens)?;
        refuse_unless_read(body)?;
        refuse_open_parentheses(body)?;
        let mut brackets = 0_u32;
        let mut uses = Vec::new();
        for (i, token) in body.iter().enumerate() {
            match token.token {
                Token::LBracket => brackets += 1,
                Token::RBracket => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            let before = i.checked_sub(1).map(|i| &body[i].token);
            let after: Vec<&Token> = body[i + 1..].iter().take(2).map(|t| &t.token).collect();
            // `a[1:n]` is a slice; PostgreSQL has no other single colon, the others have none.
            let slice = brackets > 0 && engine == Engine::Postgres && token.token == Token::Colon;
            match parameter(token, body.get(i + 1).copied(), binding) {
                Named::Known(parameter, end) => {
                    uses.push((place(text, token.span.start)..place(text, end), parameter));
                }
                Named::Unknown(_) | Named::Nothing if slice => {}
                Named::Unknown(fault) => return Err(fault),
                Named::Nothing => refuse_parameter(token, &after, engine)?,
            }
            refuse_write(token, before, &after)?;
            refuse_function(token, &after)?;
        }
        let end = body.last().map(|t| t.span.end);
        let over_nothing = over_nothing(body);
        let text = up_to(text, end).to_owned();
        Ok(Self { text, has_line_comment, uses, over_nothing, engine })
    }

    /// The parameters in it, in the order of the text, as often as they stand there.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter> + '_ {
        self.uses.iter().map(|(_, parameter)| *parameter)
    }

    /// Returns the statement with something else where parameters stand, given the number of each
    /// in the order of the text, from 1.
    pub fn with_parameters(
        &self,
        mut placeholder: impl FnMut(usize, Parameter) -> String,
    ) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for ((place, parameter), number) in self.uses.iter().zip(1..) {
            text.push_str(&self.text[done..place.start]);
            text.push_str(&placeholder(number, *parameter));
            done = place.end;
        }
        text.push_str(&self.text[done..]);
        text
    }

    /// Says whether a comment in it, `--` or `#`, reaches to the end of its line.
    pub fn has_line_comment(&self) -> bool {
        self.has_line_comment
    }

    /// Which kind of database it is for.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What it brings where there is nothing to look at.
    pub fn over_nothing(&self) -> &OverNothing {
        &self.over_nothing
    }

    /// The place in its text, in bytes, of a position of its tokens.
    pub(crate) fn byte(&self, at: Location) -> usize {
        place(&self.text, at)
    }

    /// Returns the statement, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The place in the text of a tokenizer's position.
fn place(text: &str, at: Location) -> usize {
    up_to(text, Some(at)).len()
}

/// Cuts the text after the last token, so that a closing semicolon and what follows it are gone.
fn up_to(text: &str, end: Option<Location>) -> &str {
    let Some(end) = end else { return text };
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(index(end.line) - 1).map(str::len).sum();
    let within: usize =
        lines.next().unwrap_or("").chars().take(index(end.column) - 1).map(char::len_utf8).sum();
    &text[..before + within]
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(sql: &str, engine: Engine) -> Result<Query, SqlFault> {
        Query::parse(sql, engine, Binding::Nothing)
    }

    #[test]
    fn parameters_are_found_where_they_are_and_nowhere_else() {
        let sql = "select ':zone', \"a:zone\", 'é' as x -- :zone\n from t /* :zone */ where \
                   at>=:window_start and at < :window_end and (tz = :zone or :zone is null)";
        for engine in ENGINES {
            let query = Query::parse(sql, engine, Binding::Window).unwrap();
            let shown = query.with_parameters(|n, _| format!("${n}"));
            let wanted = "select ':zone', \"a:zone\", 'é' as x -- :zone\n from t /* :zone */ where \
                          at>=$1 and at < $2 and (tz = $3 or $4 is null)";
            assert_eq!(shown, wanted, "{engine}");
            for (sql, hint) in [
                ("select :window_strat", "`:window_start`"),
                ("select :qqq", "valid here: `:window_start`"),
                ("select : zone", ""),
            ] {
                let fault = Query::parse(sql, engine, Binding::Window).expect_err(sql);
                assert!(fault.hint.unwrap_or_default().contains(hint), "{engine}: {sql}");
            }
        }
        let pg = "select a::text, $$:zone$$, b[1:zone], b[i:j] from t where at >= :window_start";
        let query = Query::parse(pg, Engine::Postgres, Binding::Window).unwrap();
        assert_eq!(query.parameters().count(), 2, "in a window, a slice cannot end at `zone`");
    }

    const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::MySql, Engine::Sqlite];

    #[test]
    fn reads_are_taken_as_they_are_written() {
        for sql in [
            "select 1",
            "SELECT a, b FROM t -- note",
            "with x as (select 1 as delete_from) select * from x",
            "values (1), (2)",
            "(select 1) union all (select 2)",
            "select ';', 'delete from t; into', \"into\" from t",
            "select count(*) as updates from t where deleted = 0 /* ; drop table t */",
            "select case when a then 1 else 2 end from t",
            "select substring(a, 1, 3) from t where note = 'for update'",
        ] {
            for engine in ENGINES {
                let query = parse(sql, engine);
                assert!(query.is_ok(), "{engine}: {sql}: {query:?}");
            }
        }
        let pg = [
            "select a::text, b[1:2], c ? 'k', d #>> '{a}' from t",
            "select b[1:n], b[i:j], b[:2], b[2:], b[t.i:t.j], make_interval(days := 1) from t",
            "select $$ ; delete from t $$ as x, $q$ :name $q$ as y",
            "select t.update, t.into from t where lock in (1, 2)",
            "select '10:30'::time, e'it\\'s ;'",
        ];
        for sql in pg {
            let query = parse(sql, Engine::Postgres);
            assert!(query.is_ok(), "{sql}: {query:?}");
        }
        assert!(parse("select @@version, `into` # note", Engine::MySql).is_ok());
    }

    #[test]
    fn the_closing_semicolon_and_what_follows_it_go() {
        for (sql, kept) in [
            ("select 1;", "select 1"),
            ("select 1 ; ;\n-- done", "select 1"),
            ("select 'é'\n  , 2 -- end", "select 'é'\n  , 2"),
        ] {
            assert_eq!(parse(sql, Engine::Postgres).unwrap().text(), kept);
        }
    }

    #[test]
    fn what_is_not_one_read_is_refused_with_its_place() {
        let cases = [
            ("", "no SQL"),
            ("  -- only a note", "no SQL"),
            ("select 1; select 2", "second statement"),
            ("delete from t", "does not begin a read"),
            ("sellect 1", "does not begin a read"),
            ("begin", "does not begin a read"),
            ("with x as (delete from t returning 1) select * from x", "writes"),
            ("with x as (select 1) delete from t", "writes"),
            ("with x as (update t set a = 1 returning 1) select 1", "writes"),
            ("select * into copy from t", "writes"),
            ("select * from t into outfile '/tmp/x'", "writes"),
            ("select * from t for update", "locks"),
            ("select * from t for no key update", "locks"),
            ("select * from t lock in share mode", "locks"),
            ("select pg_sleep(10)", "more than read"),
            ("select pg_catalog.pg_advisory_lock (1)", "more than read"),
            ("select sleep(10)", "more than read"),
            ("select load_extension('x')", "more than read"),
            ("select 1) q, (select 2", "closes nothing"),
            ("select (1", "never closed"),
            ("select 'a", "not "),
            ("select * from t where id = :id", "`:id`"),
            ("select next value for s", "sequence"),
            ("select n from t limit rows examined 5", "cuts the result"),
        ];
        for (sql, rule) in cases {
            for engine in ENGINES {
                let fault = parse(sql, engine).expect_err(sql);
                assert!(fault.message.contains(rule), "{engine}: {sql}: {}", fault.message);
            }
        }
        let fault = parse("select 1\n  ; drop table t", Engine::Sqlite).unwrap_err();
        assert_eq!((fault.line, fault.column), (2, 5));
    }

    #[test]
    fn what_only_one_server_obeys_is_refused_there() {
        for sql in [
            "select 1 /*! into outfile '/tmp/x' */",
            "select 1 /*M! for update */",
            "select /*+ SET_VAR(max_execution_time=0) */ 1",
            "select @a := 1",
            "select @a",
            "select * from t where a = ?",
        ] {
            assert!(parse(sql, Engine::MySql).is_err(), "{sql}");
        }
        for sql in [
            "select $1",
            "select \"set_config\"('a', 'b', false)",
            "select U&\"\\0073et_config\"('a', 'b', false)",
        ] {
            assert!(parse(sql, Engine::Postgres).is_err(), "{sql}");
        }
        for sql in ["select ?", "select ?1", "select :1", "select @a", "select $a"] {
            assert!(parse(sql, Engine::Sqlite).is_err(), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(sql in "\\PC{0,80}", tail in "[a-z ();:'\"$/*\\-\n]{0,60}") {
            for engine in ENGINES {
                let _ = parse(&sql, engine).is_ok();
                let _ = parse(&format!("select {tail}"), engine).is_ok();
            }
        }
    }
}
