//! What protects a MySQL or MariaDB server from an attempt, set in its session.

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row};

use crate::source::ask::Ask;
use crate::source::mysql::Flavour;
use crate::source::watch::SHORT;

/// By how many bytes texts are sorted where rows flow in the order of a key.
pub(super) const SORTED_BYTES: usize = 4_096;
/// How long a list may be that the server puts together: longer than any value that is read.
const LIST_BYTES: usize = 64 << 20;
/// How many warnings of one statement MariaDB keeps. On MySQL only an administrator may say that.
const WARNINGS: usize = 1_024;
/// How long a transaction may wait for what takes its rows.
const FLOW_IDLE: Duration = Duration::from_secs(600);

/// Writes the opening of the transaction: one round trip for all limits.
pub(super) fn preamble(flavour: Flavour, ask: &Ask) -> String {
    let limited = match flavour {
        Flavour::MariaDb => "@@SESSION.max_statement_time",
        Flavour::MySql => "@@SESSION.max_execution_time",
    };
    format!(
        "{}; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
         START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; SELECT CAST({limited} > 0 AS CHAR)",
        guards(flavour, ask)
    )
}

/// Opens the transaction, and says whether the server keeps to its limits.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
pub(super) async fn begin(conn: &mut MySqlConnection, sql: String) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(conn).await?;
    let kept: &str = row.try_get_unchecked(0)?;
    Ok(kept == "1")
}

/// Writes the limits of the next query. A function that an earlier one called may have changed
/// them, so they are set anew before each.
pub(super) fn guards(flavour: Flavour, ask: &Ask) -> String {
    let ms = ask.timeout.as_millis();
    let limit = match flavour {
        Flavour::MariaDb => format!("max_statement_time = {}.{:03}", ms / 1000, ms % 1000),
        Flavour::MySql => format!("max_execution_time = {ms}"),
    };
    // DEFAULT would be what is set for the whole server, but for `system_versioning_asof`, where it is now.
    // Earlier releases pass over what they do not know: MariaDB 10.2.2 and 10.3 brought these, MySQL 8.0.3 that.
    let uncut = match flavour {
        Flavour::MariaDb => format!(
            ", max_error_count = {WARNINGS} /*M!100202 , max_recursive_iterations = 4294967295 */ \
             /*M!100300 , system_versioning_asof = DEFAULT */"
        ),
        Flavour::MySql => "/*!80003 , cte_max_recursion_depth = 4294967295 */".to_owned(),
    };
    // sql_select_limit would cut cursors inside functions too, without a word: rows are counted as
    // they come, and the rest is killed. wait_timeout: how long a session outlives us, should we die between two statements.
    format!(
        "SET SESSION {limit}, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, \
         wait_timeout = {wait}, \
         max_sort_length = CAST(GREATEST(@@GLOBAL.max_sort_length, {sort}) AS UNSIGNED), time_zone = '+00:00', \
         sql_mode = CONCAT(@@SESSION.sql_mode, ',ERROR_FOR_DIVISION_BY_ZERO{grouped}'), \
         div_precision_increment = CAST(GREATEST(@@SESSION.div_precision_increment, 4) AS UNSIGNED), \
         sql_select_limit = 18446744073709551615, group_concat_max_len = {LIST_BYTES} {uncut}",
        // MariaDB's version of it refuses sound queries.
        grouped = if matches!(flavour, Flavour::MySql) { ",ONLY_FULL_GROUP_BY" } else { "" },
        // Keys that begin alike are told apart where rows come in their order. Fifteen of them have to fit into
        // the server's sort buffer, which has 256 KiB by default.
        sort = if ask.flows() { SORTED_BYTES } else { 1_024 },
        wait = if ask.flows() { FLOW_IDLE.max(ask.timeout * 2) } else { SHORT * 2 }.as_secs(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::Engine;

    /// What a plain user of MySQL may not set for a session: MySQL 9 Reference Manual, 7.1.9.1 "System Variable
    /// Privileges", and each variable that is described with "restricted".
    const RESTRICTED: [&str; 16] = [
        "auto_increment",
        "binlog_",
        "bulk_insert_buffer_size",
        "character_set_",
        "collation_database",
        "default_collation_for_utf8mb4",
        "explicit_defaults_for_timestamp",
        "gtid_",
        "histogram_generation_max_mem_size",
        "max_error_count",
        "pseudo_",
        "query_prealloc_size",
        "range_alloc_block_size",
        "session_track_gtids",
        "sql_log_bin",
        "transaction_",
    ];

    #[test]
    fn nothing_is_set_that_a_plain_user_of_mysql_may_not_set() {
        let set = guards(Flavour::MySql, &Ask::probe(Engine::MySql));
        for restricted in RESTRICTED {
            assert!(!set.contains(restricted), "{restricted}: {set}");
        }
    }
}
