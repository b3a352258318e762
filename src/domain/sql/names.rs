//! Which relations and functions a statement names, by its syntax tree: names that the statement gives itself are none.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query as Ast, SetExpr, Statement, TableFactor, Visit,
    Visitor,
};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::domain::sql::{Engine, Query};

/// A name as a statement writes it, part by part, in the case that the engine reads.
pub type Name = Vec<String>;

/// What a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What stands where tables do.
    pub relations: BTreeSet<Name>,
    /// What is called.
    pub functions: BTreeSet<Name>,
    /// Every identifier: the columns are among them.
    pub words: BTreeSet<String>,
}

impl Names {
    /// What the query of a check names.
    ///
    /// # Errors
    /// Where it does not parse: what is in the way.
    pub fn of(query: &Query) -> Result<Self, String> {
        // What a parameter stands for names nothing.
        let text = query.with_parameters(|_, _| "''".to_owned());
        Self::of_statement(&text, query.engine())
    }

    /// What a statement names, a query or one that makes a view.
    ///
    /// # Errors
    /// Where it does not parse: what is in the way.
    pub fn of_statement(text: &str, engine: Engine) -> Result<Self, String> {
        let tokens = Tokenizer::new(engine.dialect(), text).tokenize_with_location();
        let tokens = without_charsets(tokens.map_err(|error| error.to_string())?, engine);
        let mut parser = Parser::new(engine.dialect()).with_tokens_with_locations(tokens);
        let statement = parser.parse_statement().map_err(|error| match error {
            ParserError::TokenizerError(why) | ParserError::ParserError(why) => why,
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        })?;
        if parser.peek_token().token != Token::EOF && parser.peek_token().token != Token::SemiColon
        {
            return Err(format!("it goes on with `{}`", parser.peek_token()));
        }
        let mut reader =
            Reader { engine, names: Self::default(), scopes: Vec::new(), called: None };
        let done = match &statement {
            Statement::CreateView(view) => view.query.visit(&mut reader),
            statement => statement.visit(&mut reader),
        };
        match done {
            ControlFlow::Continue(()) => Ok(reader.names),
            ControlFlow::Break(()) => Err("it was not read to its end".to_owned()),
        }
    }

    /// Why a statement may read what it does not name, where that is so: a text says it.
    pub fn hides(&self, engine: Engine) -> Option<String> {
        const SQL_AS_TEXT: [&str; 14] = [
            "query_to_xml",
            "query_to_xmlschema",
            "query_to_xml_and_xmlschema",
            "table_to_xml",
            "table_to_xmlschema",
            "table_to_xml_and_xmlschema",
            "schema_to_xml",
            "schema_to_xmlschema",
            "schema_to_xml_and_xmlschema",
            "database_to_xml",
            "database_to_xmlschema",
            "database_to_xml_and_xmlschema",
            "ts_stat",
            "ts_rewrite",
        ];
        const TABLE_AS_TEXT: [&str; 10] = [
            "pg_relation_size",
            "pg_total_relation_size",
            "pg_table_size",
            "pg_indexes_size",
            "pg_relation_filepath",
            "has_table_privilege",
            "has_column_privilege",
            "has_any_column_privilege",
            "to_regclass",
            "pg_get_viewdef",
        ];
        const SEQUENCES: [&str; 3] = ["nextval", "lastval", "setval"];
        let calls = |known: &[&str]| {
            let mut last = self.functions.iter().filter_map(|name| name.last());
            last.find(|name| known.contains(&name.to_lowercase().as_str())).cloned()
        };
        match engine {
            Engine::Postgres => calls(&SQL_AS_TEXT)
                .or_else(|| calls(&TABLE_AS_TEXT))
                .or_else(|| self.words.contains("regclass").then(|| "regclass".to_owned()))
                .map(|name| format!("it names a table as a text, for `{name}`")),
            Engine::MySql => {
                calls(&SEQUENCES).map(|name| format!("it reads a sequence, by `{name}`"))
            }
            Engine::Sqlite => None,
        }
    }
}

/// Leaves out what MariaDB writes into casts of its views, `cast(x as char charset utf8mb4)`, and no parser reads.
fn without_charsets(tokens: Vec<TokenWithSpan>, engine: Engine) -> Vec<TokenWithSpan> {
    if engine != Engine::MySql {
        return tokens;
    }
    let is = |token: &TokenWithSpan, word: &str| matches!(&token.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word));
    let mut tokens = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let (mut kept, mut after_char) = (Vec::new(), false);
    while let Some(token) = tokens.next() {
        if after_char && is(&token, "charset") {
            tokens.next();
            continue;
        }
        // `char(10) charset x`
        after_char = is(&token, "char") || after_char && !matches!(token.token, Token::Comma);
        after_char &= !matches!(token.token, Token::Word(ref w) if w.quote_style.is_some());
        kept.push(token);
    }
    kept
}

/// What a query calls by names of its own.
struct Scope {
    /// The queries that have names, by their place in memory.
    named: Vec<(*const Ast, String)>,
    /// The names that hold where the reader is.
    visible: Vec<String>,
}

struct Reader {
    engine: Engine,
    names: Names,
    scopes: Vec<Scope>,
    /// The name of a function under FROM, which is visited as one of a table next.
    called: Option<*const ObjectName>,
}

impl Reader {
    fn part(&self, ident: &Ident) -> String {
        match (self.engine, ident.quote_style) {
            // PostgreSQL folds what is not quoted.
            (Engine::Postgres, None) => ident.value.to_lowercase(),
            (Engine::Postgres | Engine::MySql | Engine::Sqlite, _) => ident.value.clone(),
        }
    }

    fn name(&self, name: &ObjectName) -> Name {
        let part = |part: &ObjectNamePart| part.as_ident().map(|ident| self.part(ident));
        name.0.iter().filter_map(part).collect()
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        match self.engine {
            Engine::Postgres => one == other,
            Engine::MySql | Engine::Sqlite => one.eq_ignore_ascii_case(other),
        }
    }

    fn read(&mut self, name: Name) {
        let own = |one: &String| {
            let mut visible = self.scopes.iter().flat_map(|scope| &scope.visible);
            visible.any(|own| self.is_same(own, one))
        };
        let nothing = match name.as_slice() {
            [one] => own(one) || self.engine == Engine::MySql && one.eq_ignore_ascii_case("dual"),
            _ => name.is_empty(),
        };
        if !nothing {
            self.names.relations.insert(name);
        }
    }
}

impl Reader {
    /// Reads `table orders`, which no other place of the tree has.
    fn read_whole(&mut self, body: &SetExpr) {
        if let SetExpr::SetOperation { left, right, .. } = body {
            self.read_whole(left);
            self.read_whole(right);
        }
        if let SetExpr::Table(table) = body {
            let name = [&table.schema_name, &table.table_name].into_iter().flatten();
            let name = name.map(|ident| self.part(ident)).collect();
            self.read(name);
        }
    }
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Ast) -> ControlFlow<()> {
        let mut scope = Scope { named: Vec::new(), visible: Vec::new() };
        if let Some(with) = &query.with {
            let named = with.cte_tables.iter();
            scope.named = named
                .map(|cte| (std::ptr::from_ref(&*cte.query), self.part(&cte.alias.name)))
                .collect();
            // Otherwise a query may read a table by the name that it is given itself.
            if with.recursive || self.engine == Engine::Sqlite {
                scope.visible = scope.named.iter().map(|(_, name)| name.clone()).collect();
            }
        }
        self.scopes.push(scope);
        self.read_whole(&query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Ast) -> ControlFlow<()> {
        self.scopes.pop();
        if let Some(scope) = self.scopes.last_mut() {
            let named = scope.named.iter().find(|(at, _)| std::ptr::eq(*at, query));
            scope.visible.extend(named.map(|(_, name)| name.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            self.called = Some(std::ptr::from_ref(name));
            let name = self.name(name);
            self.names.functions.insert(name);
        }
        if let TableFactor::Function { name, .. } = factor {
            let name = self.name(name);
            self.names.functions.insert(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        if self.called.take_if(|called| std::ptr::eq(*called, name)).is_none() {
            let name = self.name(name);
            self.read(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let name = self.name(&function.name);
            self.names.functions.insert(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<()> {
        let word = self.part(ident);
        self.names.words.insert(word);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relations(sql: &str, engine: Engine) -> String {
        let Ok(names) = Names::of_statement(sql, engine) else { return "-".to_owned() };
        names.relations.iter().map(|name| name.join(".")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_name_that_a_query_gives_itself_is_no_table_where_it_holds_and_one_where_it_does_not() {
        use Engine::{MySql, Postgres, Sqlite};
        for (sql, wanted) in [
            ("select 1 from Orders o join shop.\"Orders\" using (id)", "orders shop.Orders"),
            ("with a as (select 1) select * from a, b", "b"),
            ("with orders as (select * from orders) select * from orders", "orders"),
            ("with a as (select * from b), b as (select 1) select * from a join b on true", "b"),
            (
                "with recursive b as (select 1 union select * from b), c as (select * from b) select * from c",
                "",
            ),
            ("select (with a as (select 1) select count(*) from a), (select count(*) from a)", "a"),
            ("with a as (with c as (select * from t) select * from c) select * from a, c", "c t"),
            ("select * from generate_series(1, 3) g, lateral shop.f(g) x, t", "t"),
            ("select * from t where exists (select from u) and x in (select y from v)", "t u v"),
            (
                "select extract(epoch from at), trim(both from a) from t where a is distinct from b",
                "t",
            ),
            ("select * from a union all (select * from b except table c)", "a b c"),
            ("select * from only t tablesample system (10), (select * from u) v", "t u"),
            ("select a::text, b[1:2], c #>> '{a}' from db.s.t where x = any($$a$$)", "db.s.t"),
        ] {
            assert_eq!(relations(sql, Postgres), wanted, "{sql}");
        }
        for (sql, wanted) in [
            ("select 1 from dual", ""),
            ("select cast(`t`.`a` as char charset utf8mb4) AS `b` from `Shop`.`T` `t`", "Shop.T"),
            ("select cast(a as char(10) charset utf8mb4), b from t where c = 1", "t"),
            ("select straight_join 1 from a use index (y) join b on(a.x = b.x)", "a b"),
        ] {
            assert_eq!(relations(sql, MySql), wanted, "{sql}");
        }
        for (sql, wanted) in [
            ("create view \"V\" (a, b) as select * from [T 1] join Main.u", "Main.u T 1"),
            ("create temp view if not exists v as with A as (select 1) select * from a, b", "b"),
            ("select * from json_each('[1]') j, t indexed by i", "t"),
        ] {
            assert_eq!(relations(sql, Sqlite), wanted, "{sql}");
        }
    }

    #[test]
    fn functions_are_named_where_they_are_called_and_every_word_is_kept() {
        let sql =
            "select shop.total(o.id), count(*) from orders o, rows_of(1) r where \"Paid\" > now()";
        let names = Names::of_statement(sql, Engine::Postgres).unwrap();
        let functions: Vec<String> = names.functions.iter().map(|name| name.join(".")).collect();
        assert_eq!(functions.join(" "), "count now rows_of shop.total");
        assert!(names.words.contains("Paid") && names.words.contains("id"));
    }
}
