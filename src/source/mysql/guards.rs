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
/// How many warnings of one statement the server keeps.
pub(super) const WARNINGS: usize = 1_024;
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
        Flavour::MariaDb => {
            "/*M!100202 , max_recursive_iterations = 4294967295 */ \
             /*M!100300 , system_versioning_asof = DEFAULT */"
        }
        Flavour::MySql => "/*!80003 , cte_max_recursion_depth = 4294967295 */",
    };
    // sql_select_limit would cut cursors inside functions too, without a word: rows are counted as
    // they come, and the rest is killed. wait_timeout: how long a session outlives us, should we die between two statements.
    format!(
        "SET SESSION {limit}, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, \
         wait_timeout = {wait}, max_sort_length = {sort}, time_zone = '+00:00', \
         sql_select_limit = 18446744073709551615, group_concat_max_len = {LIST_BYTES}, \
         max_error_count = {WARNINGS} {uncut}",
        // Keys that begin alike are told apart where rows come in their order. Fifteen of them have to fit into
        // the server's sort buffer, which has 256 KiB by default.
        sort = if ask.flows() { SORTED_BYTES } else { 1_024 },
        wait = if ask.flows() { FLOW_IDLE.max(ask.timeout * 2) } else { SHORT * 2 }.as_secs(),
    )
}
