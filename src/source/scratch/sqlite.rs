//! A scratch file of SQLite: nothing of it is kept, so that nothing waits for a disk.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::dsn::Dsn;
use crate::source::scratch::folder::Folder;
use crate::source::scratch::writer::ScratchError;

/// Opens a new file.
pub(super) async fn open(folder: &Folder) -> Result<(SqliteConnection, Dsn), ScratchError> {
    let path = folder.path().join("scratch.db");
    let options = SqliteConnectOptions::new()
        .with_regexp()
        .filename(&path)
        .create_if_missing(true)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Memory)
        .synchronous(SqliteSynchronous::Off)
        .disable_statement_logging();
    let conn = options.connect().await.map_err(|error| ScratchError::of(&error))?;
    Ok((conn, Dsn::Sqlite(path)))
}

/// Makes the tables anew.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
pub(super) async fn build(conn: &mut SqliteConnection, schema: &str) -> Result<(), ScratchError> {
    const NAMES: &str = "SELECT 'DROP ' || type || ' IF EXISTS \"' || replace(name, '\"', '\"\"') || '\"' \
        FROM sqlite_master WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC";
    let drops: Vec<String> = sqlx::query_scalar(NAMES)
        .fetch_all(&mut *conn)
        .await
        .map_err(|error| ScratchError::of(&error))?;
    for sql in drops {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *conn)
            .await
            .map_err(|error| ScratchError::of(&error))?;
    }
    let made = sqlx::raw_sql(AssertSqlSafe(schema.to_owned())).execute(conn).await;
    made.map(drop).map_err(|error| ScratchError::of(&error))
}
