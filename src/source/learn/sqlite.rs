//! The statements for SQLite: the texts of its views say what they read.

use crate::domain::dependency::facts::Fact;

/// The statements.
pub(super) const STATEMENTS: [&str; 3] = [
    "SELECT 'relation' AS what, '' AS a, name AS b, CASE WHEN type = 'view' THEN 'view' \
       WHEN lower(sql) LIKE 'create virtual%' THEN 'virtual' ELSE 'table' END AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
       AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')",
    "SELECT 'view' AS what, '' AS a, name AS b, sql AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM sqlite_schema WHERE type = 'view' \
     UNION ALL SELECT 'definition', '', name, sql, '', '', '', '' FROM sqlite_schema WHERE type = 'view'",
    "SELECT 'column' AS what, '' AS a, m.name AS b, x.name AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE m.type = 'table'",
];

/// How many tables one statement asks, and how many statements there are at most.
const TABLES: usize = 400;
const MOST: usize = 10;

/// Statements that say which tables have rows: a file keeps no statistics of that.
pub(super) fn counts(facts: &[Fact]) -> Vec<String> {
    let tables: Vec<&str> = facts
        .iter()
        .filter(|fact| fact[0] == "relation" && fact[3] == "table")
        .map(|fact| fact[2].as_str())
        .collect();
    let one = |table: &&str| {
        let (name, text) = (table.replace('"', "\"\""), table.replace('\'', "''"));
        format!(
            "SELECT 'rows' AS what, '' AS a, '{text}' AS b, CASE WHEN EXISTS (SELECT 1 FROM \"{name}\") THEN 'true' \
             ELSE 'false' END AS c, '' AS d, '' AS e, '' AS f, '' AS g"
        )
    };
    let some = |tables: &[&str]| tables.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    tables.chunks(TABLES).take(MOST).map(some).collect()
}
