//! Which tables a scratch database has, and what its columns take.

use std::fmt;

use crate::domain::check::nearest::suggestion;
use crate::domain::sql::Engine;
use crate::domain::table::TableName;
use crate::source::scratch::writer::{ScratchError, Writer};

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTable {
    /// Its schema, where the engine has any.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub is_view: bool,
    /// Whether it is found by its name alone.
    pub is_visible: bool,
    /// Its columns in their order.
    pub columns: Vec<SeenColumn>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenColumn {
    /// Its name.
    pub name: String,
    /// Its type, as the engine writes it, in small letters.
    pub declared: String,
    /// Whether a row has to say what it holds.
    pub is_needed: bool,
    /// Whether it may be NULL.
    pub takes_null: bool,
    /// Whether the database keeps it from holding the same value twice.
    pub is_unique: bool,
}

impl SeenTable {
    /// Says whether a name means it.
    pub fn is(&self, name: &TableName) -> bool {
        match name.parts() {
            [.., schema, table] => {
                self.name.eq_ignore_ascii_case(table) && self.schema.eq_ignore_ascii_case(schema)
            }
            [table] => self.is_visible && self.name.eq_ignore_ascii_case(table),
            [] => false,
        }
    }

    /// Says whether a name in the SQL of a check, in small letters, means it.
    pub fn is_named(&self, name: &str) -> bool {
        let mut parts = name.rsplit('.');
        let last = parts.next().unwrap_or(name);
        let fits = |schema: &str| self.schema.is_empty() || self.schema.to_lowercase() == schema;
        self.name.to_lowercase() == last && parts.next().map_or(self.is_visible, fits)
    }

    /// Its name as SQL has it.
    pub fn quoted(&self, engine: Engine) -> String {
        let name = quoted(&self.name, engine);
        if self.schema.is_empty() {
            name
        } else {
            format!("{}.{name}", quoted(&self.schema, engine))
        }
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&SeenColumn> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }
}

impl fmt::Display for SeenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.schema.as_str(), "" | "public") {
            f.pad(&self.name)
        } else {
            write!(f, "{}.{}", self.schema, self.name)
        }
    }
}

/// A name as an engine's SQL has it.
pub(super) fn quoted(name: &str, engine: Engine) -> String {
    match engine {
        Engine::MySql => format!("`{}`", name.replace('`', "``")),
        Engine::Postgres | Engine::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Says that there is no such thing, and what was perhaps meant.
pub(super) fn unknown(kind: &str, name: &str, known: &[String]) -> ScratchError {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = suggestion(name, &names).unwrap_or_default();
    ScratchError::new(format!("the schema has no {kind} `{name}`"), hint)
}

/// Reads what there is.
pub(super) async fn tables(
    writer: &mut Writer,
    engine: Engine,
) -> Result<Vec<SeenTable>, ScratchError> {
    const POSTGRES: &str = "SELECT n.nspname, c.relname, (c.relkind IN ('v', 'm'))::text, a.attname, \
          pg_catalog.format_type(a.atttypid, a.atttypmod), \
          (a.attnotnull AND NOT a.atthasdef AND a.attidentity = '')::text, (NOT a.attnotnull)::text, pg_catalog.pg_table_is_visible(c.oid)::text, \
          EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL \
            AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)::text \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' \
          AND n.nspname NOT IN ('information_schema', 'allswell_scratch') ORDER BY n.nspname, c.relname, a.attnum";
    const MYSQL: &str = "SELECT '', c.table_name, IF(t.table_type = 'VIEW', 'true', 'false'), c.column_name, \
          c.column_type, IF(c.is_nullable = 'NO' AND c.column_default IS NULL AND c.extra NOT LIKE '%auto_increment%' \
            AND c.extra NOT LIKE '%GENERATED%', 'true', 'false'), IF(c.is_nullable = 'NO', 'false', 'true'), 'true', IF(c.column_key = 'UNI' OR c.column_key = 'PRI' \
            AND 1 = (SELECT COUNT(*) FROM information_schema.key_column_usage k WHERE k.constraint_name = 'PRIMARY' \
              AND k.table_schema = c.table_schema AND k.table_name = c.table_name), 'true', 'false') \
        FROM information_schema.columns c JOIN information_schema.tables t \
          ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
        WHERE c.table_schema = DATABASE() AND c.table_name <> 'allswell_scratch' \
        ORDER BY c.table_name, c.ordinal_position";
    const SQLITE: &str = "SELECT '', m.name, iif(m.type = 'view', 'true', 'false'), x.name, x.type, \
          iif(x.\"notnull\" AND x.dflt_value IS NULL AND x.hidden = 0 AND NOT (x.pk AND lower(x.type) = 'integer'), \
            'true', 'false'), iif(x.\"notnull\" OR x.pk AND lower(x.type) = 'integer', 'false', 'true'), 'true', \
          iif(x.pk AND 1 = (SELECT count(*) FROM pragma_table_xinfo(m.name) p WHERE p.pk > 0) OR EXISTS (SELECT 1 \
            FROM pragma_index_list(m.name) i WHERE i.\"unique\" AND NOT i.partial \
              AND (SELECT group_concat(n.name) FROM pragma_index_info(i.name) n) = x.name), 'true', 'false') \
        FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type IN ('table', 'view') \
          AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, x.cid";
    let sql = match engine {
        Engine::Postgres => POSTGRES,
        Engine::MySql => MYSQL,
        Engine::Sqlite => SQLITE,
    };
    let mut all: Vec<SeenTable> = Vec::new();
    for row in writer.rows(sql).await.map_err(|error| ScratchError::of(&error))? {
        let [schema, table, is_view, name, declared, is_needed, takes_null, is_visible, is_unique] =
            row.as_slice()
        else {
            continue;
        };
        let column = SeenColumn {
            name: name.clone(),
            declared: declared.to_lowercase(),
            is_needed: is_needed == "true",
            takes_null: takes_null == "true",
            is_unique: is_unique == "true",
        };
        match all.last_mut().filter(|last| last.name == *table && last.schema == *schema) {
            Some(last) => last.columns.push(column),
            None => all.push(SeenTable {
                schema: schema.clone(),
                name: table.clone(),
                is_view: is_view == "true",
                is_visible: is_visible == "true",
                columns: vec![column],
            }),
        }
    }
    if all.is_empty() {
        let hint = "it has to make tables: `create table …`";
        return Err(ScratchError::new("the schema makes no table", hint));
    }
    Ok(all)
}
