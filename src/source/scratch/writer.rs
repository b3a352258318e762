//! The connection that makes what tests need, and what can be wrong with a scratch database.

use std::fmt;

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row as _};

use crate::domain::sql::Engine;
use crate::domain::testing::Spot;
use crate::source::reach;

/// Why a scratch database cannot be used, or does not take what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchError {
    /// What is in the way.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Where in a file of tests, where it is about what stands there.
    pub place: Option<Spot>,
}

impl ScratchError {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), place: None }
    }

    pub(super) fn of(error: &sqlx::Error) -> Self {
        let said = error.as_database_error().map(|error| error.message().to_owned());
        Self::new(said.unwrap_or_else(|| reach::reason(error).note), "")
    }
}

/// Another run holds the lock of the scratch database.
pub(super) fn in_use() -> ScratchError {
    let message = "another run of tests uses the scratch database at this moment";
    ScratchError::new(message, "wait for it, or give each its own database")
}

impl fmt::Display for ScratchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The connection that makes tables and rows.
pub(super) enum Writer {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Writer {
    /// Runs any number of statements.
    #[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(conn) => sql.execute(conn).await.map(drop),
            Self::Postgres(conn) => sql.execute(conn).await.map(drop),
            Self::MySql(conn) => sql.execute(conn).await.map(drop),
        }
    }

    /// Reads rows of texts; NULL is an empty one.
    #[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, sqlx::Error> {
        macro_rules! texts {
            ($conn:expr) => {{
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all($conn).await?;
                let text = |row: &_, at| -> Result<String, sqlx::Error> {
                    let text: Option<String> = sqlx::Row::try_get_unchecked(row, at)?;
                    Ok(text.unwrap_or_default())
                };
                rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect()
            }};
        }
        match self {
            Self::Sqlite(conn) => texts!(conn),
            Self::Postgres(conn) => texts!(conn),
            Self::MySql(conn) => texts!(conn),
        }
    }

    pub(super) async fn close(self) {
        let closed = match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
            Self::MySql(conn) => conn.close().await,
        };
        drop(closed);
    }
}

/// What to write, and how such a database is made.
pub(super) fn how(engine: Engine) -> String {
    let (scheme, make) = match engine {
        Engine::MySql => (
            "mysql",
            "create database allswell_test; create user allswell_test identified by '…'; \
             grant all on allswell_test.* to allswell_test",
        ),
        Engine::Postgres | Engine::Sqlite => (
            "postgres",
            "create role allswell_test login password '…'; create database allswell_test owner allswell_test",
        ),
    };
    format!(
        "write `scratch: {{url: {scheme}://allswell_test@HOST/allswell_test, password: \"${{env:…}}\"}}` at the source: an \
         empty database of its own (`{make}`)"
    )
}

/// Says that a database holds what tests did not make.
pub(super) fn not_empty(foreign: &[String], engine: Engine) -> ScratchError {
    let more = if foreign.len() > 3 { ", …" } else { "" };
    let shown = foreign.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let message = format!("the scratch database holds what no test made: {shown}{more}");
    ScratchError::new(message, how(engine))
}
