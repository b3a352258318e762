//! The statements for PostgreSQL: its catalogue is readable to every role.
//!
//! Sizes are those of the statistics: the functions that measure a file would wait for a table's lock.

/// The statements.
pub(super) const STATEMENTS: [&str; 14] = [
    "SELECT 'path' AS what, s::text AS a, '' AS b, '' AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM unnest(pg_catalog.current_schemas(true)) AS s",
    "SELECT 'system' AS what, c.relname::text AS a, '' AS b, '' AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_class c WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v')",
    "SELECT 'relation' AS what, n.nspname::text AS a, c.relname::text AS b, c.relkind::text AS c, \
       CASE WHEN c.relpages > 0 THEN (c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint)::text \
         ELSE '' END AS d, \
       CASE WHEN c.relkind NOT IN ('r', 'm') THEN '' \
         WHEN pg_catalog.pg_stat_get_live_tuples(c.oid) > 0 OR c.reltuples > 0 OR c.relpages > 0 THEN 'true' \
         WHEN coalesce(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid), \
           pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL \
         THEN 'false' ELSE '' END AS e, \
       CASE WHEN c.relkind IN ('r', 'm') THEN (pg_catalog.pg_stat_get_tuples_inserted(c.oid) \
         + pg_catalog.pg_stat_get_tuples_updated(c.oid) + pg_catalog.pg_stat_get_tuples_deleted(c.oid))::text \
         ELSE '' END AS f, '' AS g \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
       AND n.nspname !~ '^pg_(toast|temp)'",
    "SELECT 'column' AS what, n.nspname::text AS a, c.relname::text AS b, \
       pg_catalog.string_agg(t.attname::text, pg_catalog.chr(31)) AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
       JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped \
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
       AND n.nspname !~ '^pg_(toast|temp)' GROUP BY n.nspname, c.relname",
    "SELECT DISTINCT 'reads' AS what, vn.nspname::text AS a, v.relname::text AS b, tn.nspname::text AS c, \
       t.relname::text AS d, CASE v.relkind WHEN 'm' THEN 'matview' ELSE 'view' END AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class \
       JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace \
       JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND x.objid = r.oid \
         AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
       JOIN pg_catalog.pg_class t ON t.oid = x.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
     WHERE r.ev_type = '1' AND v.relkind IN ('v', 'm') AND t.oid <> v.oid AND t.relkind IN ('r', 'p', 'v', 'm', 'f') \
       AND vn.nspname NOT IN ('pg_catalog', 'information_schema') AND tn.nspname NOT IN ('pg_catalog', 'information_schema')",
    "SELECT DISTINCT 'calls' AS what, vn.nspname::text AS a, v.relname::text AS b, tn.nspname::text AS c, \
       t.proname::text AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class \
       JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace \
       JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND x.objid = r.oid \
       LEFT JOIN pg_catalog.pg_operator o ON o.oid = x.refobjid \
         AND x.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass \
       JOIN pg_catalog.pg_proc t ON t.oid = CASE x.refclassid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN x.refobjid \
         ELSE o.oprcode::oid END JOIN pg_catalog.pg_namespace tn ON tn.oid = t.pronamespace \
     WHERE r.ev_type = '1' AND v.relkind IN ('v', 'm') AND tn.nspname NOT IN ('pg_catalog', 'information_schema')",
    // What the engine brought along is not among dependencies: a view that calls one of these runs a text.
    "SELECT 'unknown' AS what, vn.nspname::text AS a, v.relname::text AS b, \
       'it runs a text, by query_to_xml or its like' AS c, '' AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class \
       JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace \
       CROSS JOIN (SELECT ':funcid (' || pg_catalog.string_agg(p.oid::text, '|') || ') ' AS pattern FROM pg_catalog.pg_proc p \
         WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND (p.proname ~ '^(query|table|schema|database|cursor)_to_xml' \
           OR p.proname IN ('ts_stat', 'ts_rewrite'))) AS runs \
     WHERE r.ev_type = '1' AND v.relkind IN ('v', 'm') AND vn.nspname NOT IN ('pg_catalog', 'information_schema') \
       AND r.ev_action::text ~ runs.pattern",
    "SELECT 'definition' AS what, vn.nspname::text AS a, v.relname::text AS b, pg_catalog.md5(r.ev_action::text) AS c, \
       '' AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class v ON v.oid = r.ev_class \
       JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace \
     WHERE r.ev_type = '1' AND v.relkind IN ('v', 'm') AND vn.nspname NOT IN ('pg_catalog', 'information_schema')",
    // Functions of extensions in C read no tables, but for those that are handed SQL.
    "SELECT 'function' AS what, n.nspname::text AS a, p.proname::text AS b, l.lanname::text AS c, \
       CASE WHEN l.lanname = 'internal' OR pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NOT NULL \
         OR l.lanname = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_depend x JOIN pg_catalog.pg_extension t ON t.oid = x.refobjid \
           WHERE x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid AND x.deptype = 'e' \
             AND x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND t.extname NOT IN ('dblink', 'tablefunc', 'xml2')) \
         THEN 'false' ELSE 'true' END AS d, \
       pg_catalog.md5(p.prosrc || coalesce(pg_catalog.to_jsonb(p) ->> 'prosqlbody', '')) AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
       JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
     WHERE p.prokind IN ('f', 'w', 'a') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
       AND n.nspname !~ '^pg_(toast|temp)' ORDER BY n.nspname, p.proname, p.oid",
    "SELECT DISTINCT CASE WHEN t.oid IS NULL THEN 'body_calls' ELSE 'body_reads' END AS what, \
       n.nspname::text AS a, p.proname::text AS b, coalesce(tn.nspname, qn.nspname)::text AS c, \
       coalesce(t.relname, q.proname)::text AS d, '' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
       JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid \
       LEFT JOIN pg_catalog.pg_class t ON t.oid = x.refobjid AND t.relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
       LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
       LEFT JOIN pg_catalog.pg_proc q ON q.oid = x.refobjid \
         AND x.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
       LEFT JOIN pg_catalog.pg_namespace qn ON qn.oid = q.pronamespace \
     WHERE coalesce(tn.nspname, qn.nspname) NOT IN ('pg_catalog', 'information_schema') \
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')",
    "SELECT 'reads' AS what, pn.nspname::text AS a, p.relname::text AS b, cn.nspname::text AS c, c.relname::text AS d, \
       'partition' AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
       JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
       JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace WHERE p.relkind IN ('r', 'p', 'f')",
    "SELECT 'server' AS what, s.srvname::text AS a, \
       coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'hostaddr'), (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'host'), '') AS b, \
       coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'port'), '') AS c, \
       coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'dbname'), '') AS d, \
       w.fdwname::text AS e, '' AS f, '' AS g \
     FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw",
    "SELECT 'foreign' AS what, n.nspname::text AS a, c.relname::text AS b, s.srvname::text AS c, \
       coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'schema_name'), '') AS d, \
       coalesce((SELECT o.option_value FROM pg_catalog.pg_options_to_table(t.ftoptions) o WHERE o.option_name = 'table_name'), '') AS e, \
       '' AS f, '' AS g \
     FROM pg_catalog.pg_foreign_table t JOIN pg_catalog.pg_class c ON c.oid = t.ftrelid \
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
       JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver",
    "SELECT 'subscription' AS what, n.nspname::text AS a, c.relname::text AS b, s.subname::text AS c, '' AS d, '' AS e, \
       '' AS f, '' AS g \
     FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_class c ON c.oid = r.srrelid \
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
       JOIN (SELECT DISTINCT subid, subname FROM pg_catalog.pg_stat_subscription) s ON s.subid = r.srsubid",
];
