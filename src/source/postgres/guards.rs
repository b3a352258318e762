//! What protects a PostgreSQL server from an attempt, set in its transaction.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::domain::check::reason::{Cause, Reason};
use crate::source::ask::Ask;
use crate::source::postgres::control::Identity;
use crate::source::postgres::query_all;
use crate::source::postgres::standby::{FOLLOWED, Followed};
use crate::source::server;
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
    /// Why nothing is to be asked in it, by what the server says of it.
    pub(super) refusal: Option<Reason>,
}

/// What limits an attempt, beside what is asked.
pub(super) struct Limits<'l> {
    /// What it is called at the server.
    pub(super) name: &'l str,
    /// Where names without a schema are looked for.
    pub(super) search_path: &'l SearchPath,
}

/// The schemas in which names without one are looked for, by the settings of a source; empty where the server's own
/// order holds.
pub(super) struct SearchPath {
    /// The statement that sets them, behind another one.
    pub(super) set: String,
    /// An expression for those that the server passes over: it does so without a word, and a table of the same name in
    /// the next schema answers.
    passed_over: String,
}

impl SearchPath {
    pub(super) fn new(schemas: &[String]) -> Self {
        if schemas.is_empty() {
            return Self { set: String::new(), passed_over: "NULL::text".to_owned() };
        }
        let quoted = |quote: &str| {
            let twice = quote.repeat(2);
            let all =
                schemas.iter().map(|name| format!("{quote}{}{quote}", name.replace(quote, &twice)));
            all.collect::<Vec<_>>().join(", ")
        };
        let passed_over = format!(
            "(SELECT pg_catalog.string_agg(named, ', ') FROM pg_catalog.unnest(ARRAY[{}]::text[]) AS named \
             WHERE named <> ALL (pg_catalog.current_schemas(true)::text[]) AND named NOT IN ('$user', 'pg_temp'))",
            quoted("'")
        );
        Self { set: format!("; SET LOCAL search_path = {}", quoted("\"")), passed_over }
    }
}

/// Writes the opening of the transaction: one round trip for all limits, and for who we are there.
pub(super) fn preamble(
    conn: &PgConnection,
    ask: &Ask,
    limits: &Limits<'_>,
    follows: bool,
) -> String {
    let several = ask.questions.len() > 1 || ask.flows();
    // What a role begins with by itself may be no transaction of a standby, or one that waits for writers.
    let isolation = if several { "REPEATABLE READ" } else { "READ COMMITTED" };
    // What is replayed while the transaction begins is not in its snapshot, so that is read before; in one message, so
    // that a pooler does not ask two servers. What it is read in is over with COMMIT.
    let followed = if follows { format!("{FOLLOWED}; COMMIT; ") } else { String::new() };
    let mut sql = format!(
        "{followed}BEGIN READ ONLY ISOLATION LEVEL {isolation} NOT DEFERRABLE; {}",
        guards(conn, ask, limits)
    );
    // What flows has no end that is known beforehand: each of its statements has its limit.
    if conn.server_version_num().unwrap_or(0) >= 170_000 && !ask.flows() {
        // The whole connection ends: the last resort, after everything else had its chance.
        let questions = u128::try_from(ask.questions.len()).unwrap_or(1);
        let all_ms = ask.timeout.as_millis() * questions + (SHORT * 3).as_millis();
        let _ = write!(sql, "; SET LOCAL transaction_timeout = {all_ms}");
    }
    let _ = write!(
        sql,
        "; SELECT pg_catalog.pg_backend_pid()::text, pg_catalog.now()::text, \
         (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint::text, \
         pg_catalog.pg_is_in_recovery()::text, \
         (pg_catalog.current_setting('transaction_read_only') = 'on' \
          AND pg_catalog.current_setting('statement_timeout') <> '0')::text, {}, \
         (pg_catalog.current_setting('zero_damaged_pages') = 'on' \
          OR pg_catalog.current_setting('ignore_checksum_failure') = 'on')::text",
        limits.search_path.passed_over
    );
    sql
}

/// Writes the limits of the next query, and how values are written as texts, which a role or a database may have
/// otherwise. A function that an earlier query called may have changed them, so they are set anew before each.
pub(super) fn guards(conn: &PgConnection, ask: &Ask, limits: &Limits<'_>) -> String {
    let Limits { name, search_path } = limits;
    let mut sql = format!(
        "SET LOCAL statement_timeout = {limit_ms}; \
         SET LOCAL lock_timeout = 1000; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_ms}; \
         SET LOCAL row_security = off; \
         SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL DateStyle = 'ISO, MDY'; \
         SET LOCAL IntervalStyle = postgres; \
         SET LOCAL bytea_output = hex; \
         SET LOCAL extra_float_digits = 1; \
         SET LOCAL standard_conforming_strings = on; \
         SET LOCAL transform_null_equals = off; \
         SET LOCAL gin_fuzzy_search_limit = 0; \
         SET LOCAL work_mem = '16MB'; \
         SET LOCAL max_parallel_workers_per_gather = 0; \
         SET LOCAL jit = off; \
         SET LOCAL client_min_messages = error; \
         SET LOCAL application_name = '{name}'{search_path}",
        search_path = search_path.set,
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
    let row = &rows.pop().ok_or(sqlx::Error::RowNotFound)?;
    let followed = rows.first().map(Followed::read).transpose()?;
    let micros: &str = row.try_get(2)?;
    let clock = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
    let in_recovery = row.try_get::<&str, _>(3)? == "true";
    let refusal = refusal(row)?;
    let identity = Identity { server: 0, pid: row.try_get(0)?, began: row.try_get(1)? };
    Ok(Begun { identity, clock, in_recovery, followed, refusal })
}

/// Says why nothing is to be asked: limits that are not kept to, a schema that is passed over, pages that are read as if
/// they were sound.
fn refusal(row: &PgRow) -> Result<Option<Reason>, sqlx::Error> {
    if row.try_get::<&str, _>(4)? != "true" {
        return Ok(Some(server::without_guards()));
    }
    if row.try_get::<&str, _>(6)? == "true" {
        return Ok(Some(server::hides_damage()));
    }
    Ok(row.try_get::<Option<String>, _>(5)?.map(|schemas| {
        let note = format!(
            "the server passes over what `search_path` names: {schemas}; there is no such schema, or this role may not use \
             it (GRANT USAGE ON SCHEMA)"
        );
        Reason::new(Cause::Auth, note)
    }))
}
