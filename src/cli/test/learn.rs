//! `test --learn-schema`: the tables of a source as statements that make them, read from its catalogue. No row is read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::exit::Exit;
use crate::cli::{complain, print};
use crate::domain::check::Check;
use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::nearest::suggestion;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::sql::{Binding, Engine, Query};
use crate::engine::testing::named_by;
use crate::settings::Settings;
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// The most rows that are read of a catalogue.
const ROWS_MAX: u32 = 100_000;

/// What a catalogue has of one relation or type.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// `type`, `column`, `key`, `view` or `whole`.
    what: String,
    /// Its schema; empty where that need not be said.
    schema: String,
    name: String,
    text: String,
}

/// Prints the tables of a source that its checks name.
pub(super) fn learn(settings: &Settings, name: &str, checks: &[Arc<Check>]) -> Exit {
    let names: Vec<&str> = settings.sources.iter().map(|entry| entry.name.as_str()).collect();
    let Some(entry) = settings.sources.iter().find(|entry| entry.name.as_str() == name) else {
        let hint = suggestion(name, &names).map(|hint| format!("; {hint}")).unwrap_or_default();
        complain(&format!("the settings have no source `{name}`{hint}"));
        return Exit::Invalid;
    };
    let source = Source::new(entry.open());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Exit::Io;
        }
    };
    let found = match runtime.block_on(read(&source)) {
        Ok(found) => found,
        Err(reason) => {
            complain(&format!("source `{name}`: {}: {}", reason.cause, reason.note));
            return Exit::Unconfirmed;
        }
    };
    let asking = checks.iter().filter(|check| check.sources_asked().contains(&&entry.name));
    let named: BTreeSet<String> = asking.flat_map(|check| named_by(check)).collect();
    let text = statements(&found, &named, source.engine());
    if text.is_empty() {
        complain(&format!("source `{name}` has none of the tables that its checks name"));
        return Exit::Unconfirmed;
    }
    print(&format!(
        "-- The tables of the source `{name}` that checks read, without foreign keys, defaults and triggers.\n\
         -- Printed by `allswell test --learn-schema {name}`: keep it beside the tests, and look at what changes in it.\n\
         {text}"
    ))
}

/// Reads the catalogue.
async fn read(source: &Source) -> Result<Vec<Found>, Reason> {
    let odd = |what: &str| Reason::new(Cause::QueryError, what);
    let sql = match source.engine() {
        Engine::Postgres => POSTGRES,
        Engine::MySql => MYSQL,
        Engine::Sqlite => SQLITE,
    };
    let query = Query::parse(sql, source.engine(), Binding::Nothing)
        .map_err(|fault| odd(&fault.message))?;
    let columns =
        ["what", "a", "b", "c"].map(|name| ColumnName::parse(name).expect("a short word"));
    let wanted = ResultShape::Rows { columns: columns.to_vec(), rows_max: ROWS_MAX };
    let question = Question { part: Part::Body, query, bounds: None, wanted };
    let id = CheckId::parse("learn-schema").map_err(odd)?;
    let stop = CancellationToken::new();
    let slot = source.slot(&stop).await?;
    let ask = Ask::about(id, source.timeout(), question);
    let Some(Reply::Rows(rows)) = source.observe(&slot, &ask, &stop).await?.pop() else {
        return Err(odd("the catalogue gives no answer"));
    };
    let text = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => text.clone(),
        Some(_) | None => String::new(),
    };
    let found = rows.rows().iter().map(|row| Found {
        what: text(row.first()),
        schema: text(row.get(1)),
        name: text(row.get(2)),
        text: text(row.get(3)),
    });
    Ok(found.collect())
}

/// The statements that make what checks name; all of it, where a view is among that.
fn statements(found: &[Found], named: &BTreeSet<String>, engine: Engine) -> String {
    let is_named = |one: &Found| {
        let name = one.name.to_lowercase();
        named.iter().any(|named| named.rsplit('.').next() == Some(name.as_str()))
    };
    let is_view =
        |one: &Found| one.what == "view" || one.text.to_lowercase().starts_with("create view");
    let all = found.iter().any(|one| is_view(one) && is_named(one));
    let wanted = |one: &&Found| one.what == "type" || all || is_named(one);
    let quote = |name: &str| match engine {
        Engine::MySql => format!("`{name}`"),
        Engine::Postgres | Engine::Sqlite if is_plain(name) => name.to_owned(),
        Engine::Postgres | Engine::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    };
    let full = |one: &Found| match one.schema.as_str() {
        "" => quote(&one.name),
        schema => format!("{}.{}", quote(schema), quote(&one.name)),
    };
    if !found.iter().any(is_named) {
        return String::new();
    }
    let mut text = String::new();
    let mut open: Option<(&str, &str)> = None;
    let schemas: BTreeSet<&str> = found
        .iter()
        .filter(wanted)
        .map(|one| one.schema.as_str())
        .filter(|s| !s.is_empty())
        .collect();
    for schema in schemas {
        let _ = writeln!(text, "create schema if not exists {};", quote(schema));
    }
    for one in found.iter().filter(wanted) {
        let is_part = matches!(one.what.as_str(), "column" | "key");
        if open.is_some_and(|of| !is_part || of != (one.schema.as_str(), one.name.as_str())) {
            text.push_str("\n);\n");
            open = None;
        }
        match one.what.as_str() {
            "type" => drop(writeln!(text, "create type {} as enum ({});", full(one), one.text)),
            "view" => {
                let body = one.text.trim().trim_end_matches(';');
                let _ = writeln!(text, "create view {} as\n{body};", full(one));
            }
            "whole" => drop(writeln!(text, "{};", one.text.trim())),
            _ if open.is_none() => {
                let _ = write!(text, "create table {} (\n  {}", full(one), one.text);
                open = Some((&one.schema, &one.name));
            }
            _ => drop(write!(text, ",\n  {}", one.text)),
        }
    }
    if open.is_some() {
        text.push_str("\n);\n");
    }
    text
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

const POSTGRES: &str = "\
    WITH rel AS (SELECT c.oid, c.relkind, c.relname, CASE WHEN pg_catalog.pg_table_is_visible(c.oid) \
        AND n.nspname = 'public' THEN '' ELSE n.nspname END AS nspname, n.nspname || '.' || c.relname AS place \
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' \
        AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d \
          WHERE d.objid = c.oid AND d.deptype = 'e')) \
    SELECT 'type' AS what, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname END AS a, t.typname::text AS b, \
        string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) AS c, 1 AS rank, t.typname::text AS place, 0 AS at \
      FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_enum AS e ON e.enumtypid = t.oid \
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace GROUP BY n.nspname, t.typname \
    UNION ALL SELECT 'column', r.nspname::text, r.relname::text, quote_ident(a.attname) || ' ' \
        || CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END \
        || CASE WHEN a.attcollation <> t.typcollation AND a.attcollation <> 0 THEN ' collate ' || a.attcollation::regcollation::text \
           ELSE '' END || CASE WHEN a.attnotnull AND a.attidentity = '' AND NOT a.atthasdef THEN ' not null' ELSE '' END, \
        2, r.place, a.attnum \
      FROM rel AS r JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped \
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid WHERE r.relkind IN ('r', 'p', 'f') \
    UNION ALL SELECT 'view', r.nspname::text, r.relname::text, pg_catalog.pg_get_viewdef(r.oid), 3, lpad(r.oid::text, 12, '0'), 0 \
      FROM rel AS r WHERE r.relkind IN ('v', 'm') ORDER BY rank, place, at";

const MYSQL: &str = "\
    SELECT 'column' AS what, '' AS a, CAST(c.table_name AS CHAR) AS b, CAST(CONCAT('`', c.column_name, '` ', c.column_type, \
        CASE WHEN c.collation_name IS NULL THEN '' ELSE CONCAT(' collate ', c.collation_name) END, \
        CASE WHEN c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra = '' THEN ' not null' ELSE ' null' END) AS CHAR) AS c, \
        2 AS ranked, CAST(c.table_name AS CHAR) AS place, c.ordinal_position AS at \
      FROM information_schema.columns AS c JOIN information_schema.tables AS t \
        ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
      WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' \
    UNION ALL SELECT 'view', '', CAST(table_name AS CHAR), \
        CAST(REPLACE(view_definition, CONCAT('`', DATABASE(), '`.'), '') AS CHAR), 3, CAST(table_name AS CHAR), 0 \
      FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY ranked, place, at";

const SQLITE: &str = "\
    SELECT 'whole' AS what, '' AS a, name AS b, sql AS c FROM sqlite_schema \
      WHERE type IN ('table', 'view') AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
