//! Functions of the engines that do more than compute.
//!
//! A list can never be whole, and no guard relies on it: it tells a reviewer before the night does.

/// Functions with effects: they sleep, lock, write, change settings, signal, or read files.
const REFUSED_FUNCTIONS: [&str; 63] = [
    // PostgreSQL
    "set_config",
    "setval",
    "nextval",
    "pg_notify",
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_promote",
    "pg_export_snapshot",
    "pg_switch_wal",
    "pg_create_restore_point",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_prewarm",
    "pg_log_backend_memory_contexts",
    "pg_import_system_collations",
    "pg_extension_config_dump",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "xpath_table",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "ts_rewrite",
    "ts_stat",
    "setseed",
    "txid_current",
    "pg_current_xact_id",
    "brin_summarize_new_values",
    "brin_summarize_range",
    "brin_desummarize_range",
    "gin_clean_pending_list",
    // MySQL and MariaDB
    "sleep",
    "benchmark",
    "get_lock",
    "release_lock",
    "release_all_locks",
    "load_file",
    "master_pos_wait",
    "master_gtid_wait",
    "source_pos_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "lastval",
    "sys_exec",
    "sys_eval",
    "sys_set",
    "uuid_short",
    // SQLite
    "load_extension",
    "readfile",
    "writefile",
    "edit",
    "fts3_tokenizer",
    "sqlite_log",
    "fsdir",
];

/// As above, by the beginning of the name.
const REFUSED_PREFIXES: [&str; 18] = [
    "pg_sleep",
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_read_",
    "pg_ls_",
    "pg_stat_file",
    "pg_file_",
    "pg_stat_reset",
    "pg_logical_",
    "pg_replication_",
    "pg_create_",
    "pg_drop_",
    "pg_copy_",
    "lo_",
    "loread",
    "lowrite",
    "dblink",
    "pg_logdir_ls",
];

/// Says whether a function of this name, in lower case, has effects in one of the engines.
pub(super) fn has_effects(name: &str) -> bool {
    REFUSED_FUNCTIONS.contains(&name)
        || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
