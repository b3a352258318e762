//! What a database's catalogue says of a table: its columns, and what the database itself holds of them.

use std::collections::BTreeSet;

use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::table::TableName;
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};
use tokio_util::sync::CancellationToken;

/// The most rows that are read of a catalogue.
const ROWS_MAX: u32 = 20_000;

/// What a catalogue says of a table.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// Its columns in their order.
    pub(super) columns: Vec<Column>,
    /// Columns that the database holds unique together.
    pub(super) unique: Vec<BTreeSet<String>>,
    /// Columns whose values the database holds in another table.
    pub(super) foreign: BTreeSet<String>,
    /// Columns of which the database checks something else.
    pub(super) checked: BTreeSet<String>,
    /// What the database checks, each in small letters.
    pub(super) checks: Vec<String>,
    /// Tables that have a column `id`, by their names in small letters.
    pub(super) keyed: Vec<String>,
    /// How many rows it has, as far as the server's statistics know.
    pub(super) rows: Option<u64>,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether the database takes NULL.
    pub(super) takes_null: bool,
}

/// What kind of values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Decimal,
    Text,
    Date,
    Instant,
    /// Anything else, and what the database restricts itself, as an enumeration.
    Other,
}

impl Catalogue {
    /// Reads the catalogue.
    pub(super) async fn read(
        source: &Source,
        table: &TableName,
        keeps_instants: bool,
        stop: &CancellationToken,
    ) -> Result<Self, Reason> {
        let odd = |what: String| Reason::new(Cause::QueryError, what);
        let forms = match source.engine() {
            Engine::Postgres => vec![postgres(table)],
            // MariaDB says of a check what it is of; MySQL does not know the word.
            Engine::MySql => vec![mysql(table, true), mysql(table, false)],
            Engine::Sqlite => vec![sqlite(table)],
        };
        let names =
            ["what", "a", "b", "c"].map(|name| ColumnName::parse(name).expect("a short word"));
        let wanted = ResultShape::Rows { columns: names.to_vec(), rows_max: ROWS_MAX };
        let check = CheckId::parse("suggest").map_err(|rule| odd(rule.to_owned()))?;
        let slot = source.slot(stop).await?;
        let mut replies = Err(odd("the catalogue gives no answer".to_owned()));
        for sql in forms {
            let query = Query::parse(&sql, source.engine(), Binding::Nothing)
                .map_err(|fault| odd(fault.message))?;
            let question =
                Question { part: Part::Body, query, bounds: None, wanted: wanted.clone() };
            let ask = Ask::about(check.clone(), source.timeout(), question);
            replies = source.observe(&slot, &ask, stop).await;
            if !replies.as_ref().is_err_and(|reason| reason.cause == Cause::QueryError) {
                break;
            }
        }
        let Some(Reply::Rows(rows)) = replies?.pop() else {
            return Err(odd("the catalogue gives no answer".to_owned()));
        };
        let mut read = Self::default();
        for row in rows.rows() {
            let [what, a, b, c] = [0, 1, 2, 3].map(|at| row.get(at).map(text).unwrap_or_default());
            read.take(&what, (a, b, c), keeps_instants);
        }
        if read.columns.is_empty() {
            let note = format!("there is no table `{table}` that the role of this source may read");
            return Err(odd(note));
        }
        Ok(read)
    }

    /// Says whether a check of the database's keeps a column filled.
    pub(super) fn keeps_filled(&self, column: &str) -> bool {
        let column = column.to_lowercase();
        self.checks.iter().any(|check| names(check, &column) && check.contains("is not null"))
    }

    /// Says whether a check of the database's holds one column against another.
    pub(super) fn compares(&self, first: &str, second: &str) -> bool {
        let (first, second) = (first.to_lowercase(), second.to_lowercase());
        self.checks.iter().any(|check| names(check, &first) && names(check, &second))
    }

    fn take(&mut self, what: &str, (a, b, c): (String, String, String), keeps_instants: bool) {
        match what {
            "column" => {
                let declared = b.to_lowercase();
                let kind = kind(&a, &declared, keeps_instants);
                if declared.contains("unsigned") {
                    self.checked.insert(a.clone());
                }
                self.columns.push(Column { name: a, kind, takes_null: c != "no" });
            }
            "unique" => {
                let columns = a.split('\u{1f}').map(str::to_owned).collect();
                if !self.unique.contains(&columns) {
                    self.unique.push(columns);
                }
            }
            "foreign" => drop(self.foreign.insert(a)),
            "checked" => {
                self.checked.insert(a);
                self.checks.push(without_texts(&b.to_lowercase()));
            }
            "keyed" => self.keyed.push(a),
            "definition" => {
                let lower = without_texts(&a.to_lowercase());
                let checks = checks(&lower);
                let named = |column: &&Column| {
                    checks.iter().any(|check| names(check, &column.name.to_lowercase()))
                };
                let checked = self.columns.iter().filter(named).map(|column| column.name.clone());
                self.checked.extend(checked.collect::<Vec<_>>());
                self.checks.extend(checks.into_iter().map(str::to_owned));
            }
            _ => {
                // A negative number is that of a server which has not counted yet.
                self.rows = a.parse().ok();
            }
        }
    }

    /// Says whether the database holds a column unique by itself.
    pub(super) fn is_unique(&self, column: &str) -> bool {
        self.unique.iter().any(|columns| columns.len() == 1 && columns.contains(column))
    }
}

/// A definition without what stands between quotes: a word in a text names no column.
fn without_texts(definition: &str) -> String {
    definition.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// What stands in the parentheses behind each word `check` of a definition in small letters.
fn checks(definition: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for (at, word) in definition.match_indices("check") {
        let rest = definition[at + word.len()..].trim_start();
        let begins = !definition[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if !begins || !rest.starts_with('(') {
            continue;
        }
        let mut depth = 0_usize;
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        all.extend(end.map(|(end, _)| &rest[..end]));
    }
    all
}

/// Says whether a name stands in a text as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other @ (Value::Null
        | Value::Number(_)
        | Value::NonFinite(_)
        | Value::Bool(_)
        | Value::Date(_)
        | Value::Instant(_)
        | Value::NoDate(_)) => other.to_string(),
    }
}

fn kind(name: &str, declared: &str, keeps_instants: bool) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    let name = name.to_lowercase();
    let is_named_instant = ["_at", "_on", "_time", "_ts"].iter().any(|end| name.ends_with(end))
        || ["at", "ts", "time", "timestamp"].contains(&name.as_str());
    // Ranges are named after what they are made of, and have no end.
    if has(&["enum", "bool", "[]", "json", "set(", "tinyint(1)", "range", "money"]) {
        Kind::Other
    } else if has(&["timestamp", "datetime"]) || keeps_instants && is_named_instant {
        Kind::Instant
    } else if has(&["date"]) {
        Kind::Date
    } else if has(&["int", "serial"]) && !has(&["interval", "point"]) {
        Kind::Whole
    } else if has(&["numeric", "decimal", "real", "double", "float"]) {
        Kind::Decimal
    } else if has(&["char", "text", "clob", "citext"]) {
        Kind::Text
    } else {
        Kind::Other
    }
}

fn literal(text: &str) -> String {
    text.replace('\'', "''")
}

fn postgres(table: &TableName) -> String {
    let quoted: Vec<String> =
        table.parts().iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    let this = format!("to_regclass('{}')", literal(&quoted.join(".")));
    format!(
        "SELECT 'column' AS what, a.attname::text AS a, \
           CASE t.typtype WHEN 'e' THEN 'enum' ELSE format_type(a.atttypid, a.atttypmod) END AS b, \
           CASE WHEN a.attnotnull OR t.typnotnull THEN 'no' ELSE 'yes' END AS c, a.attnum AS place \
         FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
         WHERE a.attrelid = {this} AND a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT 'unique', string_agg(a.attname::text, chr(31)), '', '', 10000 \
         FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a \
           ON a.attrelid = i.indrelid AND array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts \
         WHERE i.indrelid = {this} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
         GROUP BY i.indexrelid \
         UNION ALL SELECT CASE k.contype WHEN 'f' THEN 'foreign' ELSE 'checked' END, a.attname::text, CASE k.contype \
           WHEN 'c' THEN pg_catalog.pg_get_constraintdef(k.oid) ELSE '' END, '', 10001 \
         FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_attribute AS a \
           ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) \
         WHERE k.conrelid = {this} AND k.contype IN ('f', 'c') AND k.convalidated \
         UNION ALL SELECT 'keyed', r.relname::text, '', '', 10002 \
         FROM pg_catalog.pg_class AS r JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid \
         WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.pg_table_is_visible(r.oid) \
           AND r.relnamespace <> 'pg_catalog'::regnamespace \
           AND a.attname = 'id' AND NOT a.attisdropped \
         UNION ALL SELECT 'rows', r.reltuples::bigint::text, '', '', 10003 \
         FROM pg_catalog.pg_class AS r WHERE r.oid = {this} ORDER BY place"
    )
}

fn mysql(table: &TableName, is_mariadb: bool) -> String {
    let (schema, name) = match table.parts() {
        [name] => ("DATABASE()".to_owned(), name),
        [.., schema, name] => (format!("'{}'", literal(schema)), name),
        [] => ("DATABASE()".to_owned(), &String::new()),
    };
    let name = literal(name);
    let this = format!("table_schema = {schema} AND table_name = '{name}'");
    // Who may only read sees no constraint of a table in MariaDB's list of those, but what is checked.
    let checks = if is_mariadb {
        format!(
            "information_schema.check_constraints AS k WHERE k.constraint_schema = {schema} AND k.table_name = '{name}'"
        )
    } else {
        format!(
            "information_schema.check_constraints AS k JOIN information_schema.table_constraints AS t \
             ON t.constraint_schema = k.constraint_schema AND t.constraint_name = k.constraint_name \
             WHERE t.table_schema = {schema} AND t.table_name = '{name}' AND t.constraint_type = 'CHECK'"
        )
    };
    format!(
        "SELECT 'column' AS what, CAST(column_name AS CHAR) AS a, CAST(column_type AS CHAR) AS b, \
           CASE is_nullable WHEN 'NO' THEN 'no' ELSE 'yes' END AS c, ordinal_position AS place \
         FROM information_schema.columns WHERE {this} \
         UNION ALL SELECT 'unique', CAST(GROUP_CONCAT(column_name SEPARATOR '\u{1f}') AS CHAR), '', '', 10000 \
         FROM information_schema.statistics WHERE {this} AND non_unique = 0 GROUP BY index_name \
         HAVING COUNT(column_name) = COUNT(*) \
         UNION ALL SELECT 'foreign', CAST(column_name AS CHAR), '', '', 10001 \
         FROM information_schema.key_column_usage WHERE {this} AND referenced_table_name IS NOT NULL \
         UNION ALL SELECT 'keyed', CAST(table_name AS CHAR), '', '', 10002 \
         FROM information_schema.columns WHERE table_schema = {schema} AND column_name = 'id' \
         UNION ALL SELECT 'definition', CONCAT('check (', CAST(k.check_clause AS CHAR), ')'), '', '', 10004 \
         FROM {checks} \
         UNION ALL SELECT 'rows', CAST(table_rows AS CHAR), '', '', 10003 \
         FROM information_schema.tables WHERE {this} ORDER BY place"
    )
}

/// Foreign keys are left out: SQLite keeps them only where each writer asks for that.
fn sqlite(table: &TableName) -> String {
    let name = literal(table.parts().last().map_or("", String::as_str));
    format!(
        "SELECT 'column' AS what, name AS a, type AS b, \
           CASE WHEN \"notnull\" = 1 OR (pk > 0 AND lower(type) = 'integer') THEN 'no' ELSE 'yes' END AS c, cid AS place \
         FROM pragma_table_info('{name}') \
         UNION ALL SELECT 'unique', group_concat(name, char(31)), '', '', 10000 \
         FROM pragma_table_info('{name}') WHERE pk > 0 HAVING count(*) > 0 \
         UNION ALL SELECT 'unique', group_concat(i.name, char(31)), '', '', 10000 \
         FROM pragma_index_list('{name}') AS l JOIN pragma_index_info(l.name) AS i \
         WHERE l.\"unique\" = 1 AND l.partial = 0 GROUP BY l.name HAVING count(i.name) = count(*) \
         UNION ALL SELECT 'keyed', m.name, '', '', 10002 \
         FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS p \
         WHERE m.type IN ('table', 'view') AND p.name = 'id' \
         UNION ALL SELECT 'definition', sql, '', '', 10003 FROM sqlite_schema \
         WHERE type = 'table' AND lower(name) = lower('{name}') AND sql IS NOT NULL ORDER BY place"
    )
}
