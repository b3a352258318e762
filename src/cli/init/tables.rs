//! The tables that a role may read, those that had most rows first.

use tokio_util::sync::CancellationToken;

use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::sql::{Binding, Engine, Query};
use crate::settings::SourceEntry;
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// How many are read at most.
const TABLES_MAX: u32 = 100;

/// Asks the catalogue of a source.
pub(super) fn tables(entry: &SourceEntry) -> Result<Vec<String>, Reason> {
    let odd = |what: String| Reason::new(Cause::Connect, what);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| odd(error.to_string()))?;
    runtime.block_on(async {
        let (source, stop) = (Source::new(entry.open()), CancellationToken::new());
        let query = Query::parse(sql(source.engine()), source.engine(), Binding::Nothing)
            .map_err(|fault| odd(fault.message))?;
        let name = ColumnName::parse("name").map_err(|rule| odd(rule.to_owned()))?;
        let wanted = ResultShape::Rows { columns: vec![name], rows_max: TABLES_MAX };
        let question = Question { part: Part::Body, query, bounds: None, wanted };
        let check = CheckId::parse("init").map_err(|rule| odd(rule.to_owned()))?;
        let ask = Ask::about(check, source.timeout(), question);
        let slot = source.slot(&stop).await?;
        let replies = source.observe(&slot, &ask, &stop).await?;
        let mut names = Vec::new();
        for reply in replies {
            let Reply::Rows(rows) = reply else { continue };
            names.extend(rows.rows().iter().filter_map(|row| match row.first() {
                Some(Value::Text(name)) => Some(name.to_string()),
                Some(_) | None => None,
            }));
        }
        Ok(names)
    })
}

/// The names of base tables that may be read, in the order of how many rows statistics know.
fn sql(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "SELECT CASE WHEN n.nspname = 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END AS name \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
             AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
             ORDER BY c.relpages DESC, c.relname LIMIT 100"
        }
        Engine::MySql => {
            "SELECT table_name AS name FROM information_schema.tables \
             WHERE table_schema = database() AND table_type = 'BASE TABLE' \
             ORDER BY data_length DESC, table_name LIMIT 100"
        }
        Engine::Sqlite => {
            "SELECT name AS name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             ORDER BY name LIMIT 100"
        }
    }
}
