//! A scratch database of PostgreSQL.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::timeout;

use crate::dial::{Any, Route};
use crate::domain::sql::Engine;
use crate::dsn::Dsn;
use crate::source::SourceSettings;
use crate::source::scratch::seen::quoted;
use crate::source::scratch::writer::{ScratchError, Writer, how, in_use, not_empty};

/// How long a server may take to let us in.
const OPENS: Duration = Duration::from_secs(10);
/// The schema that says what is ours there: it is made with the first table, in one transaction with all of them.
const MADE: &str = "allswell_scratch";

/// Opens it, where it is one that may be used.
pub(super) async fn open(settings: &SourceSettings) -> Result<PgConnection, ScratchError> {
    let Dsn::Postgres(server) = &settings.dsn else {
        return Err(ScratchError::new(
            "the scratch database is of another kind",
            how(Engine::Postgres),
        ));
    };
    let password = settings.password.as_ref().ok().and_then(Option::as_ref);
    let route = Route::new(server, password, "allswell").for_writing();
    let conn = timeout(OPENS, route.connect(OPENS, ToString::to_string, &Any)).await;
    let conn = conn.map_err(|_| ScratchError::new("the scratch database does not answer", ""))?;
    let mut writer = Writer::Postgres(conn.map_err(|error| ScratchError::of(&error))?.1);
    prepare(&mut writer, settings).await?;
    match writer {
        Writer::Postgres(conn) => Ok(conn),
        Writer::Sqlite(_) | Writer::MySql(_) => Err(ScratchError::new("no PostgreSQL", "")),
    }
}

async fn prepare(writer: &mut Writer, settings: &SourceSettings) -> Result<(), ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    refuse_powers(writer).await?;
    // The session of a run that has just ended, or was killed, is there until its server notices.
    let lock =
        "BEGIN; SET LOCAL lock_timeout = '3s'; SELECT pg_catalog.pg_advisory_lock(7377815); COMMIT";
    writer.run(lock).await.map_err(|error| {
        let code = error.as_database_error().and_then(|error| error.code());
        let is_held = code.as_deref() == Some("55P03");
        if is_held { in_use() } else { of(error) }
    })?;
    let foreign = foreign(writer).await?;
    if !foreign.is_empty() {
        return Err(not_empty(&foreign, Engine::Postgres));
    }
    wipe(writer).await.map_err(of)?;
    let schemas: Vec<String> =
        settings.search_path.iter().map(|name| quoted(name, Engine::Postgres)).collect();
    let path = match schemas.is_empty() {
        true => String::new(),
        false => format!("SET search_path = {};", schemas.join(", ")),
    };
    let session =
        "SET synchronous_commit = off; SET timezone = 'UTC'; SET client_min_messages = error";
    writer.run(&format!("{path} {session}")).await.map_err(of)
}

/// Refuses a role that could do harm elsewhere.
async fn refuse_powers(writer: &mut Writer) -> Result<(), ScratchError> {
    const POWERS: &str = "\
        SELECT p.word FROM pg_catalog.pg_roles r, LATERAL (VALUES ('is a superuser', r.rolsuper), \
          ('may make roles', r.rolcreaterole), ('may replicate', r.rolreplication), \
          ('passes over row security', r.rolbypassrls)) AS p (word, has) \
          WHERE r.rolname = session_user AND p.has \
        UNION ALL SELECT 'is a member of ' || r.rolname FROM pg_catalog.pg_roles r \
          WHERE (r.rolsuper AND r.rolname <> session_user OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', \
            'pg_write_all_data')) AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') \
        UNION ALL SELECT 'owns the database ' || d.datname FROM pg_catalog.pg_database d \
          WHERE d.datname <> pg_catalog.current_database() AND pg_catalog.pg_has_role(session_user, d.datdba, 'MEMBER') \
        UNION ALL SELECT DISTINCT 'owns something in the database ' || d.datname FROM pg_catalog.pg_shdepend s \
          JOIN pg_catalog.pg_database d ON d.oid = s.dbid JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid \
          WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' \
            AND r.rolname = session_user AND d.datname <> pg_catalog.current_database() \
        UNION ALL SELECT 'may make schemas in the database ' || d.datname FROM pg_catalog.pg_database d \
          WHERE d.datname <> pg_catalog.current_database() AND d.datallowconn \
            AND pg_catalog.has_database_privilege(session_user, d.oid, 'CREATE')";
    let found = writer.rows(POWERS).await.map_err(|error| ScratchError::of(&error))?;
    let Some(first) = found.first() else { return Ok(()) };
    let message = format!(
        "the role of the scratch database {}: a mistake in a test could do harm elsewhere",
        first[0]
    );
    Err(ScratchError::new(message, how(Engine::Postgres)))
}

/// Everything that a person may have made there: schemas, relations, routines and types that no extension brought.
const OBJECTS: &str = "\
    SELECT 'schema ' || n.nspname AS name FROM pg_catalog.pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_%' \
      AND n.nspname NOT IN ('information_schema', 'public', 'allswell_scratch') \
    UNION ALL SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c \
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') \
      AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'allswell_scratch') \
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') \
    UNION ALL SELECT 'function ' || p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p \
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' \
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype IN ('e', 'i')) \
    UNION ALL SELECT 'type ' || t.typname FROM pg_catalog.pg_type t \
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd', 'r') \
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')";

/// What is not ours: that of which no earlier run wrote down that it made it.
async fn foreign(writer: &mut Writer) -> Result<Vec<String>, ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    let all = writer.rows(&format!("{OBJECTS} ORDER BY 1")).await.map_err(of)?;
    let known = format!("SELECT pg_catalog.to_regclass('{MADE}.made')::text");
    let known = writer.rows(&known).await.map_err(of)?;
    let made = match known.first().is_some_and(|row| !row[0].is_empty()) {
        true => writer.rows(&format!("SELECT name FROM {MADE}.made")).await.map_err(of)?,
        false => Vec::new(),
    };
    Ok(all.into_iter().filter(|row| !made.contains(row)).map(|row| row[0].clone()).collect())
}

/// Takes away everything that the role owns there.
async fn wipe(writer: &mut Writer) -> Result<(), sqlx::Error> {
    const DROPS: &str = "\
        SELECT 'DROP SCHEMA ' || pg_catalog.quote_ident(n.nspname) || ' CASCADE' FROM pg_catalog.pg_namespace n \
          WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'public') \
            AND pg_catalog.pg_has_role(session_user, n.nspowner, 'MEMBER') \
        UNION ALL SELECT 'DROP ' || CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' \
            WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END \
            || ' IF EXISTS ' || c.oid::pg_catalog.regclass::text || ' CASCADE' \
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
            AND pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER') \
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i', 'e')) \
        UNION ALL SELECT 'DROP ROUTINE IF EXISTS ' || p.oid::pg_catalog.regprocedure::text || ' CASCADE' \
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
          WHERE n.nspname = 'public' AND pg_catalog.pg_has_role(session_user, p.proowner, 'MEMBER') \
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype IN ('e', 'i')) \
        UNION ALL SELECT 'DROP TYPE IF EXISTS ' || t.oid::pg_catalog.regtype::text || ' CASCADE' \
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
          LEFT JOIN pg_catalog.pg_class k ON k.oid = t.typrelid \
          WHERE n.nspname = 'public' AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND k.relkind = 'c') \
            AND pg_catalog.pg_has_role(session_user, t.typowner, 'MEMBER')";
    let drops: Vec<String> =
        writer.rows(DROPS).await?.into_iter().map(|row| row[0].clone()).collect();
    if drops.is_empty() {
        return Ok(());
    }
    writer
        .run(&format!("BEGIN; SET LOCAL client_min_messages = error; {}; COMMIT", drops.join("; ")))
        .await
}

/// A test says which rows there are, and not those that they refer to: as in the other engines, nothing holds that.
const WITHOUT_KEYS: &str = "DO $$ DECLARE k record; BEGIN FOR k IN SELECT conrelid::pg_catalog.regclass AS t, conname AS n \
    FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0 LOOP \
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', k.t, k.n); END LOOP; END $$";

/// Makes the tables anew, and writes down in the same transaction that they are ours.
pub(super) async fn build(writer: &mut Writer, schema: &str) -> Result<(), ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    wipe(writer).await.map_err(of)?;
    writer.run("BEGIN").await.map_err(of)?;
    let made = async {
        writer.run(schema).await?;
        writer.run(WITHOUT_KEYS).await?;
        writer
            .run(&format!(
                "CREATE TEMP TABLE made ON COMMIT DROP AS SELECT name::text FROM ({OBJECTS}) o; \
                 CREATE SCHEMA {MADE}; CREATE TABLE {MADE}.made AS SELECT name FROM pg_temp.made; COMMIT"
            ))
            .await
    };
    let made: Result<(), sqlx::Error> = made.await;
    if let Err(error) = made {
        drop(writer.run("ROLLBACK").await);
        return Err(of(error));
    }
    Ok(())
}

/// Takes everything away that was made.
pub(super) async fn leave(writer: &mut Writer) {
    drop(wipe(writer).await);
}
