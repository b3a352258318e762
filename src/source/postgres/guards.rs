//! What protects a PostgreSQL server from an attempt, set in its transaction.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::source::ask::Ask;
use crate::source::postgres::control::Identity;
use crate::source::postgres::query_all;
use crate::source::postgres::standby::{FOLLOWED, Followed};
use crate::source::watch::SHORT;

/// How long a transaction may wait for what takes its rows.
const FLOW_IDLE: Duration = Duration::from_secs(600);

/// What is known once the transaction has begun: who we are in it, what time it is there, and whether it is a standby.
pub(super) struct Begun {
    pub(super) identity: Identity,
    pub(super) clock: Option<DateTime<Utc>>,
    pub(super) in_recovery: bool,
    /// How far it has followed, where it was asked.
    pub(super) followed: Option<Followed>,
    /// Whether the transaction is read-only and has a limit in time, as the server says.
    pub(super) keeps_to_limits: bool,
}

/// What limits an attempt, beside what is asked.
pub(super) struct Limits<'l> {
    /// What it is called at the server.
    pub(super) name: &'l str,
    /// See [`search_path`].
    pub(super) search_path: &'l str,
}

/// Writes what sets the schemas in which names without one are looked for.
pub(super) fn search_path(schemas: &[String]) -> String {
    if schemas.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> =
        schemas.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    format!("; SET LOCAL search_path = {}", quoted.join(", "))
}

/// Writes the opening of the transaction: one round trip for all limits, and for who we are there.
pub(super) fn preamble(
    conn: &PgConnection,
    ask: &Ask,
    limits: &Limits<'_>,
    follows: bool,
) -> String {
    let several = ask.questions.len() > 1 || ask.flows();
    let isolation = if several { " ISOLATION LEVEL REPEATABLE READ" } else { "" };
    // What is replayed while the transaction begins is not in its snapshot, so that is read before; in one message, so
    // that a pooler does not ask two servers. What it is read in is over with COMMIT.
    let followed = if follows { format!("{FOLLOWED}; COMMIT; ") } else { String::new() };
    let mut sql = format!("{followed}BEGIN READ ONLY{isolation}; {}", guards(conn, ask, limits));
    // What flows has no end that is known beforehand: each of its statements has its limit.
    if conn.server_version_num().unwrap_or(0) >= 170_000 && !ask.flows() {
        // The whole connection ends: the last resort, after everything else had its chance.
        let questions = u128::try_from(ask.questions.len()).unwrap_or(1);
        let all_ms = ask.timeout.as_millis() * questions + (SHORT * 3).as_millis();
        let _ = write!(sql, "; SET LOCAL transaction_timeout = {all_ms}");
    }
    sql.push_str(
        "; SELECT pg_catalog.pg_backend_pid()::text, pg_catalog.now()::text, \
         (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint::text, \
         pg_catalog.pg_is_in_recovery()::text, \
         (pg_catalog.current_setting('transaction_read_only') = 'on' \
          AND pg_catalog.current_setting('statement_timeout') <> '0')::text",
    );
    sql
}

/// Writes the limits of the next query. A function that an earlier one called may have changed
/// them, so they are set anew before each.
pub(super) fn guards(conn: &PgConnection, ask: &Ask, limits: &Limits<'_>) -> String {
    let Limits { name, search_path } = limits;
    let mut sql = format!(
        "SET LOCAL statement_timeout = {limit_ms}; \
         SET LOCAL lock_timeout = 1000; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_ms}; \
         SET LOCAL row_security = off; \
         SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL work_mem = '16MB'; \
         SET LOCAL max_parallel_workers_per_gather = 0; \
         SET LOCAL jit = off; \
         SET LOCAL client_min_messages = error; \
         SET LOCAL application_name = '{name}'{search_path}",
        limit_ms = ask.timeout.as_millis(),
        // Whoever has ended waits for the other side's statement.
        idle_ms = if ask.flows() { FLOW_IDLE.max(ask.timeout * 2) } else { SHORT * 2 }.as_millis(),
    );
    if conn.server_version_num().unwrap_or(0) >= 140_000 {
        // A busy server does not read its socket: this is how it notices that we died.
        sql.push_str("; SET LOCAL client_connection_check_interval = 1000");
    }
    sql
}

/// Opens the transaction and returns who we are in it, and what time it is there.
pub(super) async fn begin(conn: &mut PgConnection, sql: String) -> Result<Begun, sqlx::Error> {
    let mut rows = query_all(conn, sql).await?;
    let row = rows.pop().ok_or(sqlx::Error::RowNotFound)?;
    let followed = rows.first().map(Followed::read).transpose()?;
    let micros: &str = row.try_get(2)?;
    let clock = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
    let in_recovery = row.try_get::<&str, _>(3)? == "true";
    let keeps_to_limits = row.try_get::<&str, _>(4)? == "true";
    let identity = Identity { pid: row.try_get(0)?, began: row.try_get(1)? };
    Ok(Begun { identity, clock, in_recovery, followed, keeps_to_limits })
}
