//! The shape of the store, and how it grows.
//!
//! A migration only ever expands: it adds tables, columns with defaults, indexes. What a release does
//! not need any more goes one release later, so that two releases run side by side. The store says
//! which version it has, and which is the oldest that may still write.

use std::path::PathBuf;

use crate::dsn::Dsn;
use crate::ledger::LedgerError;
use crate::ledger::conn::{Conn, args};
use crate::ledger::lock_file::LockFile;

/// The version that this program writes.
pub const VERSION: i64 = 10;
/// The oldest version that may go on beside it.
const OLDEST: i64 = 1;

macro_rules! first {
    ($id:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS generations (id ", $id, ", digest TEXT NOT NULL, ",
            "text TEXT NOT NULL, tz_release TEXT NOT NULL, loaded_at BIGINT NOT NULL, ",
            "loaded_by TEXT NOT NULL, active BIGINT NOT NULL DEFAULT 0);\n",
            "CREATE UNIQUE INDEX IF NOT EXISTS generations_active ON generations (active) ",
            "WHERE active = 1;\n",
            "CREATE TABLE IF NOT EXISTS series (id ", $id, ", check_id TEXT NOT NULL, ",
            "tz TEXT NOT NULL, role TEXT NOT NULL, meaning TEXT NOT NULL, ",
            "presentation TEXT NOT NULL, ",
            "tz_release TEXT NOT NULL, since BIGINT NOT NULL, watermark BIGINT, ",
            "retired_at BIGINT, violated_since BIGINT, unconfirmed_since BIGINT, ",
            "lease_until BIGINT, confirmed_at BIGINT, confirmed_slot BIGINT, ",
            "open_violated BIGINT NOT NULL DEFAULT 0, open_unconfirmed BIGINT NOT NULL DEFAULT 0, ",
            "waived BIGINT NOT NULL DEFAULT 0, last_at BIGINT, last_said TEXT, ",
            "last_cause TEXT, last_evidence BIGINT, last_bad_rows BIGINT, last_took_us BIGINT, ",
            "last_note TEXT, confirmed_total BIGINT NOT NULL DEFAULT 0, ",
            "violated_total BIGINT NOT NULL DEFAULT 0, ",
            "unconfirmed_total BIGINT NOT NULL DEFAULT 0, changed_at BIGINT NOT NULL, ",
            "UNIQUE (check_id, tz));\n",
            "CREATE INDEX IF NOT EXISTS series_changed ON series (changed_at);\n",
            "CREATE TABLE IF NOT EXISTS entries (series BIGINT NOT NULL, kind TEXT NOT NULL, ",
            "start_at BIGINT NOT NULL, end_at BIGINT NOT NULL, period_start BIGINT NOT NULL, ",
            "utc_offset BIGINT NOT NULL, due BIGINT NOT NULL, deadline_nominal BIGINT NOT NULL, ",
            "deadline BIGINT NOT NULL, state TEXT NOT NULL, not_before BIGINT, ",
            "lease_until BIGINT, owner TEXT, epoch BIGINT NOT NULL, vain BIGINT NOT NULL, ",
            "waits_for TEXT, said TEXT, cause TEXT, recorded_at BIGINT, tried_at BIGINT, ",
            "evidence BIGINT, note TEXT, ruling TEXT NOT NULL, waiver BIGINT, ",
            "waived_until BIGINT, source TEXT NOT NULL, priority BIGINT NOT NULL, ",
            "generation BIGINT NOT NULL, tz_release TEXT NOT NULL, ",
            "attempts BIGINT NOT NULL, wake_at BIGINT, lapse_at BIGINT, live BIGINT NOT NULL, ",
            "asked BIGINT NOT NULL, reproof_by BIGINT, PRIMARY KEY (series, kind, start_at, end_at));\n",
            "CREATE INDEX IF NOT EXISTS entries_ready ON entries (source, wake_at) ",
            "WHERE wake_at IS NOT NULL;\n",
            "CREATE INDEX IF NOT EXISTS entries_lapse ON entries (lapse_at) ",
            "WHERE lapse_at IS NOT NULL;\n",
            "CREATE INDEX IF NOT EXISTS entries_live ON entries (series, start_at) ",
            "WHERE live = 1;\n",
            "CREATE INDEX IF NOT EXISTS entries_waived ON entries (series) ",
            "WHERE waiver IS NOT NULL;\n",
            "CREATE INDEX IF NOT EXISTS entries_owner ON entries (owner) ",
            "WHERE owner IS NOT NULL;\n",
            "CREATE TABLE IF NOT EXISTS successors (series BIGINT NOT NULL, ",
            "old_start BIGINT NOT NULL, old_end BIGINT NOT NULL, start_at BIGINT NOT NULL, ",
            "end_at BIGINT NOT NULL, PRIMARY KEY (series, old_start, old_end, start_at, end_at));\n",
            "CREATE TABLE IF NOT EXISTS attempts (series BIGINT NOT NULL, kind TEXT NOT NULL, ",
            "start_at BIGINT NOT NULL, end_at BIGINT NOT NULL, epoch BIGINT NOT NULL, ",
            "owner TEXT NOT NULL, began_at BIGINT NOT NULL, ended_at BIGINT NOT NULL, ",
            "took_us BIGINT NOT NULL, said TEXT NOT NULL, cause TEXT, evidence BIGINT, note TEXT, ",
            "generation BIGINT NOT NULL, outcome TEXT NOT NULL, ",
            "PRIMARY KEY (series, kind, start_at, end_at, epoch));\n",
            "CREATE INDEX IF NOT EXISTS attempts_ended ON attempts (ended_at);\n",
            "CREATE TABLE IF NOT EXISTS events (id ", $id, ", at BIGINT NOT NULL, ",
            "kind TEXT NOT NULL, check_id TEXT, tz TEXT, start_at BIGINT, end_at BIGINT, ",
            "was TEXT, becomes TEXT, note TEXT, replica TEXT NOT NULL);\n",
            "CREATE INDEX IF NOT EXISTS events_at ON events (at);\n",
            "CREATE TABLE IF NOT EXISTS waivers (id ", $id, ", at BIGINT NOT NULL, ",
            "by_whom TEXT NOT NULL, because TEXT NOT NULL, until_at BIGINT, ",
            "selection TEXT NOT NULL, entries BIGINT NOT NULL);\n",
            "CREATE TABLE IF NOT EXISTS replicas (id TEXT PRIMARY KEY, started_at BIGINT NOT NULL, ",
            "seen_at BIGINT NOT NULL, version TEXT NOT NULL, generation BIGINT NOT NULL, ",
            "tz_release TEXT NOT NULL);\n",
        )
    };
}

/// What is told outside, and what an alert tells of a series.
const SECOND: &str = "CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT NOT NULL, \
    labels TEXT NOT NULL, series BIGINT NOT NULL, alarm TEXT NOT NULL, starts_at BIGINT NOT NULL, \
    ended_at BIGINT, PRIMARY KEY (fingerprint, starts_at));\n\
    CREATE TABLE IF NOT EXISTS watchdogs (alertmanager TEXT PRIMARY KEY, sent_at BIGINT NOT NULL, \
    received_at BIGINT NOT NULL);\n\
    ALTER TABLE series ADD COLUMN newest_violated TEXT NOT NULL DEFAULT '';\n\
    ALTER TABLE series ADD COLUMN newest_unconfirmed TEXT NOT NULL DEFAULT '';\n\
    ALTER TABLE series ADD COLUMN by_offset TEXT NOT NULL DEFAULT '';\n";

/// Whether anybody outside was told that an alert stands.
const THIRD: &str = "ALTER TABLE alerts ADD COLUMN told_at BIGINT;\n\
    UPDATE alerts SET told_at = starts_at;\n";

/// What each receiver acknowledged, by the process that it was then; the alerts about the daemon itself.
/// And a proof ends a waiver: those that a proof came after cover nothing any more.
const FOURTH: &str = "CREATE TABLE IF NOT EXISTS notified (receiver TEXT NOT NULL, \
    fingerprint TEXT NOT NULL, starts_at BIGINT NOT NULL, process TEXT NOT NULL, \
    begun_at BIGINT, ended_at BIGINT, PRIMARY KEY (receiver, fingerprint, starts_at));\n\
    CREATE TABLE IF NOT EXISTS self_alerts (fingerprint TEXT NOT NULL, labels TEXT NOT NULL, \
    annotations TEXT NOT NULL, replica TEXT NOT NULL, starts_at BIGINT NOT NULL, ended_at BIGINT, \
    PRIMARY KEY (fingerprint, starts_at));\n\
    UPDATE entries SET ruling = 'standing' WHERE waiver IS NOT NULL \
    AND ruling = 'waived' AND said = 'confirmed';\n\
    UPDATE entries SET ruling = 'standing', live = 1, asked = 1, wake_at = 0 \
    WHERE waiver IS NOT NULL AND ruling = 'waived' AND said = 'violated' AND EXISTS (SELECT 1 FROM attempts a, waivers w \
    WHERE w.id = entries.waiver AND a.series = entries.series AND a.kind = entries.kind \
    AND a.start_at = entries.start_at AND a.end_at = entries.end_at AND a.outcome = 'recorded' \
    AND a.said = 'confirmed' AND a.ended_at > w.at);\n\
    UPDATE series SET waived = (SELECT COUNT(*) FROM entries e WHERE e.series = series.id \
    AND e.waiver IS NOT NULL AND e.ruling = 'waived') WHERE waived > 0;\n";

macro_rules! fifth {
    ($id:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS orders (id ",
            $id,
            ", at BIGINT NOT NULL, ",
            "kind TEXT NOT NULL, by_whom TEXT NOT NULL, because TEXT, until_at BIGINT, ",
            "selection TEXT NOT NULL, waiver BIGINT, rows_done BIGINT NOT NULL DEFAULT 0, ",
            "ended_at BIGINT, trouble TEXT);\n",
            "CREATE TABLE IF NOT EXISTS order_ranges (order_id BIGINT NOT NULL, ",
            "series BIGINT NOT NULL, from_at BIGINT NOT NULL, to_at BIGINT NOT NULL, ",
            "PRIMARY KEY (order_id, series));\n",
        )
    };
}

/// Which databases each source has been.
const SIXTH: &str = "CREATE TABLE IF NOT EXISTS source_identities (source TEXT NOT NULL, \
    identity TEXT NOT NULL, first_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, \
    PRIMARY KEY (source, identity));\n";

/// Since when the attempts of a series fail in a row, and the cause that its alert began with; alerts that stood and were
/// not known.
const SEVENTH: &str = "ALTER TABLE series ADD COLUMN failing_since BIGINT;\n\
    ALTER TABLE series ADD COLUMN unconfirmed_cause TEXT;\n\
    ALTER TABLE series ADD COLUMN changed_note TEXT;\n\
    ALTER TABLE series ADD COLUMN open_critical BIGINT NOT NULL DEFAULT 0;\n\
    ALTER TABLE entries ADD COLUMN critical BIGINT NOT NULL DEFAULT 0;\n\
    ALTER TABLE series ADD COLUMN accepts_zones BIGINT NOT NULL DEFAULT 0;\n\
    ALTER TABLE series ADD COLUMN zones_accepted_at BIGINT;\n\
    UPDATE series SET zones_accepted_at = (SELECT COALESCE(MAX(s.retired_at), 0) FROM series s) \
    WHERE role = 'list';\n\
    ALTER TABLE series ADD COLUMN newest_waived BIGINT NOT NULL DEFAULT 0;\n\
    ALTER TABLE alerts ADD COLUMN adopted_at BIGINT;\n\
    ALTER TABLE alerts ADD COLUMN adopted_from TEXT;\n\
    ALTER TABLE alerts ADD COLUMN adopted_words TEXT;\n";

/// What operators keep quiet; how much evidence is usual: what a series meant before this version is not known.
macro_rules! eighth {
    ($id:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS quiets (id ",
            $id,
            ", at BIGINT NOT NULL, ",
            "check_id TEXT NOT NULL, by_whom TEXT NOT NULL, because TEXT NOT NULL, ",
            "until_at BIGINT NOT NULL, ended_at BIGINT);\n",
            "ALTER TABLE series ADD COLUMN meaning_at BIGINT NOT NULL DEFAULT 0;\n",
            "UPDATE series SET meaning_at = changed_at;\n",
            "ALTER TABLE series ADD COLUMN thin_at BIGINT;\n",
            "ALTER TABLE series ADD COLUMN thin_note TEXT;\n",
            "ALTER TABLE series ADD COLUMN closed_note TEXT;\n",
            "ALTER TABLE series ADD COLUMN changed_start BIGINT;\n",
        )
    };
}

/// Catalogues that wait for approval.
const NINTH: &str = "CREATE TABLE IF NOT EXISTS candidates (generation BIGINT PRIMARY KEY, base BIGINT NOT NULL, \
    why TEXT NOT NULL, since BIGINT NOT NULL, fate TEXT NOT NULL, by_whom TEXT NOT NULL, because TEXT NOT NULL, \
    decided_at BIGINT);\n";

/// What was learnt of the catalogues of sources; which receivers were rung, and which failures were drilled.
const TENTH: &str = "CREATE TABLE IF NOT EXISTS source_relations (source TEXT PRIMARY KEY, at BIGINT NOT NULL, \
    generation BIGINT NOT NULL, learnt TEXT NOT NULL);\n\
    CREATE TABLE IF NOT EXISTS drills (kind TEXT NOT NULL, name TEXT NOT NULL, word TEXT NOT NULL, \
    at BIGINT NOT NULL, by_whom TEXT NOT NULL, proved_at BIGINT, PRIMARY KEY (kind, name));\n";

/// Copies a file of an earlier version beside itself before it is migrated: the way back for who goes back to the earlier
/// release. Of a server it says what to keep.
///
/// # Errors
/// Where there is no room for a copy, or the folder takes none: then nothing was migrated.
pub(super) async fn keep_copy(
    conn: &mut Conn,
    found: Option<(i64, i64)>,
    dsn: &Dsn,
    held: Option<&LockFile>,
) -> Result<(), LedgerError> {
    let Some((found, _)) = found.filter(|(found, _)| *found < VERSION) else { return Ok(()) };
    let (path, held) = match (dsn, held) {
        (Dsn::Sqlite(path), Some(held)) => (path, held),
        (Dsn::Sqlite(_) | Dsn::Postgres(_) | Dsn::MySql(_), _) => {
            tracing::warn!(
                "the ledger goes from version {found} to {VERSION}; both releases can work with it. Keep what \
                 `pg_dump` made of its database before, for the way back"
            );
            return Ok(());
        }
    };
    let beside = |ending: &str| {
        let mut name = path.clone().into_os_string();
        name.push(format!(".version-{found}{ending}"));
        PathBuf::from(name)
    };
    let (copy, partial) = (beside(""), beside(".partial"));
    let file = |error| LedgerError::File { path: copy.display().to_string(), error };
    drop(std::fs::remove_file(&partial));
    // Nobody else writes: all of it is in the file then.
    conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    held.copy_to(&partial).await?;
    std::fs::rename(&partial, &copy).map_err(file)?;
    tracing::info!(
        "the ledger goes from version {found} to {VERSION}; as it was it is in {}",
        copy.display()
    );
    Ok(())
}

/// Brings the store to this version; one migration at a time, each whole or not at all.
pub(super) async fn migrate(conn: &mut Conn) -> Result<(), LedgerError> {
    const META: &str =
        "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)";
    // Two that do this at once collide in the catalogue (`IF NOT EXISTS` looks first), at its type, its
    // name or an index of either: one of them made it.
    const META_SERVER: &str = "DO $$ BEGIN \
        CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL); \
        EXCEPTION WHEN unique_violation OR duplicate_table OR duplicate_object THEN NULL; END $$";
    const LOCK: &str = "LOCK TABLE meta IN ACCESS EXCLUSIVE MODE";
    /// Those that number rows: for a file, and for a server.
    const FILE: [&str; 3] = [
        first!("INTEGER PRIMARY KEY"),
        fifth!("INTEGER PRIMARY KEY"),
        eighth!("INTEGER PRIMARY KEY"),
    ];
    const SERVER: [&str; 3] = [
        first!("BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        fifth!("BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        eighth!("BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    ];
    if version(conn).await?.is_some_and(|(version, _)| version == VERSION) {
        return Ok(());
    }
    if version(conn).await?.is_none() && !conn.is_server() {
        let others = conn.first("SELECT name FROM sqlite_schema LIMIT 1", Vec::new()).await?;
        if others.is_some() {
            return Err(LedgerError::Foreign);
        }
    }
    conn.batch(if conn.is_server() { META_SERVER } else { META }).await?;
    conn.begin().await?;
    if conn.is_server() {
        // Two replicas that start at once must not both make the tables.
        conn.batch(LOCK).await?;
    }
    let found = version(conn).await?;
    check(found)?;
    let [first, fifth, eighth] = if conn.is_server() { SERVER } else { FILE };
    if found.is_none_or(|(version, _)| version < 1) {
        conn.batch(first).await?;
    }
    if found.is_none_or(|(version, _)| version < 2) {
        conn.batch(SECOND).await?;
    }
    if found.is_none_or(|(version, _)| version < 3) {
        conn.batch(THIRD).await?;
    }
    if found.is_none_or(|(version, _)| version < 4) {
        conn.batch(FOURTH).await?;
    }
    if found.is_none_or(|(version, _)| version < 5) {
        conn.batch(fifth).await?;
    }
    if found.is_none_or(|(version, _)| version < 6) {
        conn.batch(SIXTH).await?;
    }
    if found.is_none_or(|(version, _)| version < 7) {
        conn.batch(SEVENTH).await?;
    }
    if found.is_none_or(|(version, _)| version < 8) {
        conn.batch(eighth).await?;
    }
    if found.is_none_or(|(version, _)| version < 9) {
        conn.batch(NINTH).await?;
    }
    if found.is_none_or(|(version, _)| version < 10) {
        conn.batch(TENTH).await?;
    }
    if found.is_none_or(|(version, _)| version < VERSION) {
        put(conn, "version", &VERSION.to_string()).await?;
        put(conn, "oldest", &OLDEST.to_string()).await?;
    }
    conn.commit().await
}

/// Reads the store's version and the oldest that may write; nothing where it is empty.
pub(super) async fn version(conn: &mut Conn) -> Result<Option<(i64, i64)>, LedgerError> {
    const SQLITE: &str = "SELECT name FROM sqlite_schema WHERE name = 'meta'";
    const POSTGRES: &str = "SELECT to_regclass('meta')::text AS name";
    let sql = if conn.is_server() { POSTGRES } else { SQLITE };
    let there = conn.first(sql, Vec::new()).await?;
    if !there.is_some_and(|row| row.maybe_text("name").is_ok_and(|name| name.is_some())) {
        return Ok(None);
    }
    let mut number = async |key: &str| {
        let value = get(conn, key).await?;
        Ok::<_, LedgerError>(value.and_then(|value| value.parse::<i64>().ok()))
    };
    Ok(number("version").await?.zip(number("oldest").await?))
}

/// Refuses a store that a later release made, unless that one says that we may go on.
pub(super) fn check(found: Option<(i64, i64)>) -> Result<(), LedgerError> {
    match found {
        Some((version, oldest)) if oldest > VERSION => {
            Err(LedgerError::Version { version, ours: VERSION })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads one of the store's own words.
pub(super) async fn get(conn: &mut Conn, key: &str) -> Result<Option<String>, LedgerError> {
    let row = conn.first("SELECT value FROM meta WHERE key = $1", args![key]).await?;
    row.map(|row| row.text("value").map(str::to_owned)).transpose()
}

/// Writes one of the store's own words.
pub(super) async fn put(conn: &mut Conn, key: &str, value: &str) -> Result<(), LedgerError> {
    const PUT: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) \
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    conn.run(PUT, args![key, value]).await.map(drop)
}
