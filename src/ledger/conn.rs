//! One connection to the store, whichever it is: statements with numbered parameters, rows of whole
//! numbers and texts.
//!
//! The store is ours and its shape is plain, so that one text of SQL serves both engines. A
//! connection on which anything failed is thrown away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{Column, ConnectOptions, Row, TypeInfo, ValueRef};

use crate::dial::{Any, Route};
use crate::dsn::Server;
use crate::ledger::cells::{Arg, Cell, Record, instant, micros};
use crate::ledger::errors::LedgerError;

/// A connection.
pub(super) enum Conn {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(PgConnection),
}

macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$(crate::ledger::cells::Arg::from($arg)),*] };
}
pub(super) use args;

/// One statement over many rows: the text for a server, and the one for a file. The rows are the first
/// parameter, as one array of arrays in JSON, so that a transaction costs as many round trips as it has
/// statements, and not as it has rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Each {
    pub(super) server: &'static str,
    pub(super) file: &'static str,
}

/// Makes the texts of a statement over many rows, which it sees as a table `r`: what stands before the table,
/// its columns (place, name, type), what stands after it.
macro_rules! each {
    ([$($before:tt)*], ($($place:literal $name:literal $kind:literal),* $(,)?), [$($after:tt)*]) => {
        crate::ledger::conn::Each {
            server: concat!(
                $($before)*,
                " (SELECT ",
                $("(e->>", $place, ")::", $kind, " AS ", $name, ", ",)*
                "0 AS zero FROM jsonb_array_elements($1::jsonb) AS e) AS r ",
                $($after)*
            ),
            file: concat!(
                $($before)*,
                " (SELECT ",
                $("value->>", $place, " AS ", $name, ", ",)*
                "0 AS zero FROM json_each($1)) AS r ",
                $($after)*
            ),
        }
    };
}
pub(super) use each;

/// How long a connection to a server may take to open.
const OPENS: Duration = Duration::from_secs(8);
/// The pages of a new file, in bytes. An attempt touches a row each of many series, in places far from each other, and
/// a page is written whole: small ones cost a third of the default ones. A file keeps the pages that it was made with.
const PAGE_SIZE: u32 = 1_024;
/// After how many pages the log of a file is brought into it (16 MiB): a page that was written often meanwhile is
/// brought there once.
const CHECKPOINT_PAGES: &str = "16000";
/// How many rows go into one statement.
const ROWS_EACH: usize = 500;

/// Rows as one text.
fn rows_text(rows: &[Vec<Arg>]) -> String {
    use serde_json::Value;
    let value = |arg: &Arg| match arg {
        Arg::Int(value) | Arg::MaybeInt(Some(value)) => Value::from(*value),
        // No store keeps the character 0 in a text.
        Arg::Text(text) | Arg::MaybeText(Some(text)) => Value::from(text.replace('\0', "\u{fffd}")),
        Arg::Ints(values) => Value::from(values.clone()),
        Arg::MaybeInt(None) | Arg::MaybeText(None) => Value::Null,
    };
    let rows = rows.iter().map(|row| Value::Array(row.iter().map(value).collect()));
    Value::Array(rows.collect()).to_string()
}

macro_rules! bound {
    ($sql:expr, $args:expr, $ints:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                Arg::Int(value) => query.bind(value),
                Arg::MaybeInt(value) => query.bind(value),
                Arg::Text(value) => query.bind(value),
                Arg::MaybeText(value) => query.bind(value),
                Arg::Ints(values) => $ints(query, values),
            };
        }
        query
    }};
}

macro_rules! records {
    ($rows:expr) => {{
        let rows = $rows;
        let names = rows.first().map(|row| row.columns().iter().map(|c| c.name().to_owned()));
        let names: Arc<[String]> = names.into_iter().flatten().collect();
        rows.iter().map(|row| record!(row, &names)).collect::<Result<Vec<Record>, sqlx::Error>>()
    }};
}

macro_rules! record {
    ($row:expr, $names:expr) => {{
        let row = $row;
        let cells = row.columns().iter().map(|column| {
            let place = column.ordinal();
            let value = row.try_get_raw(place)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let is_text = matches!(value.type_info().name(), "TEXT" | "VARCHAR" | "NAME");
            if is_text {
                row.try_get_unchecked::<String, _>(place).map(Cell::Text)
            } else {
                row.try_get_unchecked::<i64, _>(place).map(Cell::Int)
            }
        });
        let cells = cells.collect::<Result<Vec<Cell>, sqlx::Error>>();
        cells.map(|cells| Record { names: Arc::clone($names), cells })
    }};
}

impl Conn {
    /// Opens a file, and makes it where there is none.
    pub(super) async fn sqlite(path: &Path, read_only: bool) -> Result<Self, LedgerError> {
        let mut options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(!read_only)
            .read_only(read_only)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        if !read_only {
            // Every commit reaches the disk: what was recorded stays recorded.
            options = options
                .page_size(PAGE_SIZE)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
                // What is deleted or cut is overwritten: it may be data of theirs.
                .pragma("secure_delete", "ON")
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
        }
        Ok(Self::Sqlite(options.connect().await?))
    }

    /// Opens a session at a server.
    pub(super) async fn postgres(
        server: &Server,
        password: Option<&SecretString>,
    ) -> Result<Self, LedgerError> {
        // Nothing of ours takes long: what does is stuck, and another replica may wait for its locks.
        const LIMITS: &str = "SET statement_timeout = '8s'; SET lock_timeout = '2s'; \
                              SET idle_in_transaction_session_timeout = '10s'; SET jit = off; \
                              SET TimeZone = 'UTC'";
        let route = Route::new(server, password, "allswell/ledger").for_writing();
        let (_, mut conn) = route.connect(OPENS, ToString::to_string, &Any).await?;
        sqlx::raw_sql(LIMITS).execute(&mut conn).await?;
        Ok(Self::Postgres(conn))
    }

    /// Runs a statement and says how many rows it touched.
    pub(super) async fn run(
        &mut self,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> Result<u64, LedgerError> {
        match self {
            Self::Sqlite(conn) => {
                let query = bound!(sql, args, |query, _| query);
                Ok(query.execute(conn).await?.rows_affected())
            }
            Self::Postgres(conn) => {
                let query = bound!(sql, args, sqlx::query::Query::bind);
                Ok(query.execute(conn).await?.rows_affected())
            }
        }
    }

    /// Runs statements without parameters or rows.
    pub(super) async fn batch(&mut self, sql: &'static str) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(conn) => {
                sqlx::raw_sql(sql).execute(conn).await?;
            }
            Self::Postgres(conn) => {
                sqlx::raw_sql(sql).execute(conn).await?;
            }
        }
        Ok(())
    }

    /// Returns all rows of a query.
    pub(super) async fn all(
        &mut self,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> Result<Vec<Record>, LedgerError> {
        let records: Result<Vec<Record>, sqlx::Error> = match self {
            Self::Sqlite(conn) => {
                records!(bound!(sql, args, |query, _| query).fetch_all(conn).await?)
            }
            Self::Postgres(conn) => {
                records!(bound!(sql, args, sqlx::query::Query::bind).fetch_all(conn).await?)
            }
        };
        Ok(records?)
    }

    /// Returns the first row of a query, where there is one.
    pub(super) async fn first(
        &mut self,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> Result<Option<Record>, LedgerError> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// Runs a statement over many rows, with more parameters, and says how many rows it touched.
    pub(super) async fn run_each(
        &mut self,
        each: &Each,
        rows: &[Vec<Arg>],
        more: &[Arg],
    ) -> Result<u64, LedgerError> {
        let sql = self.text_of(each);
        let mut touched = 0;
        for rows in rows.chunks(ROWS_EACH) {
            let rows = Arg::Text(rows_text(rows));
            touched += self.run(sql, [&[rows], more].concat()).await?;
        }
        Ok(touched)
    }

    /// Returns all rows of a query over many rows.
    pub(super) async fn all_each(
        &mut self,
        each: &Each,
        rows: &[Vec<Arg>],
        more: &[Arg],
    ) -> Result<Vec<Record>, LedgerError> {
        let sql = self.text_of(each);
        let mut records = Vec::new();
        for rows in rows.chunks(ROWS_EACH) {
            let rows = Arg::Text(rows_text(rows));
            records.extend(self.all(sql, [&[rows], more].concat()).await?);
        }
        Ok(records)
    }

    fn text_of(&self, each: &Each) -> &'static str {
        if self.is_server() { each.server } else { each.file }
    }

    /// Opens a transaction that will write.
    pub(super) async fn begin(&mut self) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(_) => self.batch("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => self.batch("BEGIN").await,
        }
    }

    /// Ends a transaction: all of it is there from now on.
    pub(super) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.batch("COMMIT").await
    }

    /// Reads the store's clock; a file has none, and takes the one given.
    pub(super) async fn now(&mut self, host: DateTime<Utc>) -> Result<DateTime<Utc>, LedgerError> {
        const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now";
        match self {
            // As exact as it is stored: what is read again is what was written.
            Self::Sqlite(_) => Ok(instant(micros(host))),
            Self::Postgres(_) => match self.first(NOW, Vec::new()).await? {
                Some(row) => row.at("now"),
                None => Err(LedgerError::odd("the store has no clock")),
            },
        }
    }

    /// Locks series, so that no other replica writes about them until the transaction ends; returns those
    /// that are locked now. A file has one writer, who holds everything.
    pub(super) async fn lock(
        &mut self,
        mut series: Vec<i64>,
        wait: Wait,
    ) -> Result<Vec<i64>, LedgerError> {
        const WAITING: &str =
            "SELECT id FROM series WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
        const PASSING: &str =
            "SELECT id FROM series WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED";
        series.sort_unstable();
        series.dedup();
        if series.is_empty() || matches!(self, Self::Sqlite(_)) {
            return Ok(series);
        }
        let sql = match wait {
            Wait::ForThem => WAITING,
            Wait::Never => PASSING,
        };
        let rows = self.all(sql, vec![Arg::Ints(series)]).await?;
        rows.iter().map(|row| row.int("id")).collect()
    }

    /// Says whether several replicas may write.
    pub(super) fn is_server(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// What to do where another replica holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Wait, always in the order of ids.
    ForThem,
    /// Pass by: the replica that holds it does the work.
    Never,
}
