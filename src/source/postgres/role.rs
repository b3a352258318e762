//! What the role of a PostgreSQL source could do beyond reading, as the server says.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use crate::source::role::Powers;

/// Has the server end a transaction of ours that is left idle: a process that is frozen would hold it for ever.
const NEVER_LEFT: &str = "SET LOCAL idle_in_transaction_session_timeout = 10000";

/// Asks what the role could do beyond reading.
pub(super) async fn inspect(conn: &mut PgConnection) -> Result<Powers, sqlx::Error> {
    const POWERS: &str = "\
        SELECT 'a superuser' FROM pg_catalog.pg_roles \
          WHERE rolname = session_user AND rolsuper \
        UNION ALL SELECT 'a member of ' || r.rolname FROM pg_catalog.pg_roles r \
          WHERE (r.rolsuper OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', \
                                             'pg_execute_server_program')) \
            AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user) \
            AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')";
    let mut transaction = conn.begin_with("BEGIN READ ONLY").await?;
    sqlx::query(NEVER_LEFT).persistent(false).execute(&mut *transaction).await?;
    let rows = sqlx::query(POWERS).persistent(false).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    let words = rows.iter().map(|row| row.try_get(0));
    let refused = words.collect::<Result<Vec<String>, _>>()?;
    // Whoever may do everything may do each of these.
    let needless = if refused.is_empty() { needless(conn).await } else { Vec::new() };
    let limit = limit(conn).await.unwrap_or_default();
    let identity = identity(conn).await.ok();
    Ok(Powers { refused, needless, sees_others: true, limit, identity, ..Powers::default() })
}

/// Which database this is: the number that `initdb` drew, which copies and standbys keep, and the name.
pub(super) async fn identity(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    const IDENTITY: &str = "SELECT system_identifier::text || '/' || pg_catalog.current_database() \
        FROM pg_catalog.pg_control_system()";
    let row = sqlx::raw_sql(IDENTITY).fetch_one(conn).await?;
    Ok(format!("postgresql {}", row.try_get::<&str, _>(0)?))
}

/// The longest that the server lets the statements of this role run.
async fn limit(conn: &mut PgConnection) -> Result<Option<Duration>, sqlx::Error> {
    const LIMIT: &str =
        "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'";
    let row = sqlx::raw_sql(LIMIT).fetch_one(conn).await?;
    let millis: Option<u64> = row.try_get::<&str, _>(0)?.parse().ok();
    Ok(millis.filter(|millis| *millis > 0).map(Duration::from_millis))
}

/// Asks what the role could do and does not need. There may be any number of tables: what is not known within a while
/// is not told.
pub(super) async fn needless(conn: &mut PgConnection) -> Vec<String> {
    // A role that inherits nothing may still become each role that it is a member of.
    const NEEDLESS: &str = "\
        WITH own AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg\\_%' \
          AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER')) \
        SELECT p.word FROM pg_catalog.pg_roles r, \
          LATERAL (VALUES ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb), \
                          ('REPLICATION', r.rolreplication)) AS p (word, has) \
          WHERE r.rolname = session_user AND p.has \
        UNION ALL SELECT 'it owns the database' FROM pg_catalog.pg_database d \
          WHERE d.datname = pg_catalog.current_database() \
            AND pg_catalog.pg_has_role(session_user, d.datdba, 'MEMBER') \
        UNION ALL SELECT 'to create schemas in the database' \
          WHERE EXISTS (SELECT FROM own WHERE \
            pg_catalog.has_database_privilege(own.oid, pg_catalog.current_database(), 'CREATE')) \
        UNION ALL (SELECT 'to create objects in the schema ' || n.oid::pg_catalog.regnamespace::text \
          FROM pg_catalog.pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_%' \
            AND EXISTS (SELECT FROM own WHERE pg_catalog.has_schema_privilege(own.oid, n.oid, 'CREATE')) ORDER BY n.nspname LIMIT 4) \
        UNION ALL (SELECT 'to move the sequence ' || c.oid::pg_catalog.regclass::text \
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind = 'S' AND n.nspname NOT LIKE 'pg\\_%' \
            AND EXISTS (SELECT FROM own WHERE pg_catalog.has_sequence_privilege(own.oid, c.oid, 'USAGE, UPDATE')) ORDER BY c.relname LIMIT 4) \
        UNION ALL (SELECT 'to write to ' || c.oid::pg_catalog.regclass::text \
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind IN ('r', 'p', 'f', 'v') AND n.nspname NOT LIKE 'pg\\_%' \
            AND n.nspname <> 'information_schema' AND EXISTS (SELECT FROM own WHERE \
              pg_catalog.has_table_privilege(own.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
              OR pg_catalog.has_any_column_privilege(own.oid, c.oid, 'INSERT, UPDATE')) ORDER BY c.relname LIMIT 4) \
        UNION ALL (SELECT 'to put triggers or foreign keys on ' || c.oid::pg_catalog.regclass::text \
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind IN ('r', 'p', 'f', 'v') AND n.nspname NOT LIKE 'pg\\_%' \
            AND n.nspname <> 'information_schema' AND EXISTS (SELECT FROM own WHERE \
              pg_catalog.has_table_privilege(own.oid, c.oid, 'TRIGGER, REFERENCES') \
              OR pg_catalog.has_any_column_privilege(own.oid, c.oid, 'REFERENCES')) ORDER BY c.relname LIMIT 4) \
        UNION ALL (SELECT 'a member of ' || r.rolname FROM pg_catalog.pg_roles r \
          WHERE r.rolname IN ('pg_signal_backend', 'pg_signal_autovacuum_worker', 'pg_checkpoint', 'pg_maintain', \
                              'pg_write_all_data', 'pg_create_subscription', 'pg_use_reserved_connections') \
            AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') ORDER BY r.rolname)";
    let asked = async {
        let mut transaction = conn.begin_with("BEGIN READ ONLY").await?;
        sqlx::query(NEVER_LEFT).persistent(false).execute(&mut *transaction).await?;
        sqlx::query("SET LOCAL statement_timeout = 1000")
            .persistent(false)
            .execute(&mut *transaction)
            .await?;
        let rows = sqlx::query(NEEDLESS).persistent(false).fetch_all(&mut *transaction).await;
        transaction.rollback().await?;
        rows?.iter().map(|row| row.try_get(0)).collect()
    };
    let asked: Result<Vec<String>, sqlx::Error> = asked.await;
    asked.unwrap_or_default()
}
