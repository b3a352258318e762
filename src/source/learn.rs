//! What a database's own catalogue tells of its relations, and of what each of them reads.
//!
//! It is asked as a check is: in one read-only transaction with every guard, over a connection that counts among those
//! of the source. No table is opened and no lock is waited for on PostgreSQL: only its catalogue is read.

mod mysql;
mod postgres;
mod sqlite;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::observation::Completeness;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::dependency::facts::{self, Fact};
use crate::domain::dependency::{SourceRelations, address};
use crate::domain::sql::{Binding, Engine, Query};
use crate::dsn::{Dsn, Endpoint};
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// The most rows of one statement.
const ROWS_MAX: u32 = 1_000_000;
/// What each statement's columns are called.
const COLUMNS: [&str; 8] = ["what", "a", "b", "c", "d", "e", "f", "g"];

impl Source {
    /// Asks the catalogue: at most 20 statements, whatever it holds.
    ///
    /// Do not drop the future: cancel `stop`, and it ends within seconds.
    ///
    /// # Errors
    /// Why nothing was learnt.
    pub async fn learn(&self, stop: &CancellationToken) -> Result<SourceRelations, Reason> {
        let statements = match self.engine() {
            Engine::Postgres => postgres::STATEMENTS.to_vec(),
            Engine::MySql => mysql::STATEMENTS.to_vec(),
            Engine::Sqlite => sqlite::STATEMENTS.to_vec(),
        };
        let mut facts = self.facts(&statements, stop).await?;
        if self.engine() == Engine::Sqlite {
            let counts = sqlite::counts(&facts);
            let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
            facts.extend(self.facts(&counts, stop).await?);
            for fact in facts.iter_mut().filter(|fact| fact[0] == "definition") {
                fact[3] = digest(&fact[3]);
            }
        }
        let here = match self.dsn() {
            Dsn::Postgres(server) => match &server.endpoint {
                Endpoint::Tcp { host, port } => address(host, *port, &server.database),
                Endpoint::Socket { path, port } => {
                    address(&path.display().to_string(), *port, &server.database)
                }
            },
            Dsn::MySql(_) | Dsn::Sqlite(_) => self.place(),
        };
        Ok(facts::read(&facts, self.engine(), here, clock::now()))
    }

    async fn facts(&self, sql: &[&str], stop: &CancellationToken) -> Result<Vec<Fact>, Reason> {
        let odd = |what: String| Reason::new(Cause::QueryError, what);
        let names = COLUMNS.map(|name| ColumnName::parse(name).expect("a short word is a name"));
        let mut questions = Vec::new();
        for sql in sql {
            let query = Query::parse(sql, self.engine(), Binding::Nothing);
            let query = query.map_err(|fault| odd(format!("{}: {sql}", fault.message)))?;
            let wanted = ResultShape::Rows { columns: names.to_vec(), rows_max: ROWS_MAX };
            questions.push(Question { part: Part::Body, query, bounds: None, wanted });
        }
        let Some(first) = questions.pop() else { return Ok(Vec::new()) };
        let check = CheckId::parse("deps").map_err(|rule| odd(rule.to_owned()))?;
        let mut ask = Ask::about(check, self.timeout(), first);
        ask.questions.splice(0..0, questions);
        let slot = self.slot(stop).await?;
        let mut facts = Vec::new();
        for reply in self.observe(&slot, &ask, stop).await? {
            let Reply::Rows(rows) = reply else { continue };
            if rows.completeness() != Completeness::Whole {
                return Err(odd("the catalogue is larger than what is read of one".to_owned()));
            }
            facts.extend(
                rows.rows()
                    .iter()
                    .map(|row| std::array::from_fn(|at| row.get(at).map(text).unwrap_or_default())),
            );
        }
        Ok(facts)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Null
        | Value::Instant(_)
        | Value::Date(_)
        | Value::NonFinite(_)
        | Value::NoDate(_) => String::new(),
    }
}

/// A text's digest: the text itself is not kept.
fn digest(text: &str) -> String {
    let mut hex = String::new();
    for byte in &Sha256::digest(text)[..8] {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_at_most_twenty_statements_and_each_reads() {
        let fact = |name: &str| -> Fact {
            let words = ["relation", "", name, "table"];
            std::array::from_fn(|at| words.get(at).unwrap_or(&"").to_string())
        };
        let tables: Vec<Fact> = (0..9_000).map(|number| fact(&format!("t'\"{number}"))).collect();
        let counts = sqlite::counts(&tables);
        let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
        let files = [&sqlite::STATEMENTS[..], &counts].concat();
        let all = [
            (Engine::Postgres, postgres::STATEMENTS.to_vec()),
            (Engine::MySql, mysql::STATEMENTS.to_vec()),
            (Engine::Sqlite, files),
        ];
        for (engine, statements) in all {
            assert!(statements.len() <= 20, "{engine}: {}", statements.len());
            for sql in statements {
                assert!(Query::parse(sql, engine, Binding::Nothing).is_ok(), "{engine}: {sql}");
            }
        }
    }
}
