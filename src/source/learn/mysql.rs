//! The statements for MySQL and MariaDB: a role sees what it has any right to.
//!
//! What a view reads comes from its text: MariaDB has no table that tells it, and the text is canonical, with every name
//! in full.

/// The statements.
pub(super) const STATEMENTS: [&str; 6] = [
    "SELECT 'path' AS what, database() AS a, '' AS b, '' AS c, '' AS d, '' AS e, '' AS f, '' AS g",
    "SELECT 'folds_case' AS what, IF(@@lower_case_table_names = 0, 'false', 'true') AS a, '' AS b, '' AS c, '' AS d, \
       '' AS e, '' AS f, '' AS g",
    "SELECT 'relation' AS what, table_schema AS a, table_name AS b, \
       CASE WHEN table_type LIKE '%VIEW' THEN 'view' WHEN table_type = 'SEQUENCE' THEN 'sequence' ELSE COALESCE(engine, '') END AS c, \
       COALESCE(CONCAT(data_length + index_length), '') AS d, IF(table_rows > 0, 'true', '') AS e, \
       COALESCE(CONCAT(update_time), '') AS f, COALESCE(CONCAT(REPLACE(update_time, ' ', 'T'), 'Z'), '') AS g \
     FROM information_schema.tables \
     WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') \
       AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED', 'SEQUENCE')",
    "SELECT 'column' AS what, table_schema AS a, table_name AS b, column_name AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM information_schema.columns \
     WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')",
    "SELECT 'view' AS what, table_schema AS a, table_name AS b, COALESCE(view_definition, '') AS c, '' AS d, '' AS e, \
       '' AS f, '' AS g \
     FROM information_schema.views \
     WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') \
     UNION ALL \
     SELECT 'definition', table_schema, table_name, MD5(view_definition), '', '', '', '' FROM information_schema.views \
     WHERE view_definition <> '' AND table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')",
    "SELECT 'function' AS what, routine_schema AS a, routine_name AS b, 'SQL' AS c, 'true' AS d, \
       MD5(COALESCE(routine_definition, '')) AS e, '' AS f, '' AS g \
     FROM information_schema.routines WHERE routine_type = 'FUNCTION' \
       AND routine_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')",
];
