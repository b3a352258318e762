//! Scratch databases: where tests of checks make tables and rows, and take them away again.
//!
//! Never a watched database, and never another engine in its place. For SQLite it is a file of its own in a folder of
//! this process; for a server it is a database that is empty but for what an earlier run left, of which a record is
//! kept there.

mod cells;
mod folder;
mod mysql;
mod postgres;
mod seen;
mod sqlite;
mod writer;

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::domain::sql::Engine;
use crate::domain::table::TableName;
use crate::domain::testing::Row;
use crate::source::SourceSettings;
use crate::source::scratch::cells::Writing;
use crate::source::scratch::writer::{Writer, how};

pub use folder::Folder;
pub use seen::{SeenColumn, SeenTable};
pub use writer::ScratchError;

/// A database in which tests may make what they like.
pub struct Scratch {
    writer: Writer,
    settings: SourceSettings,
    schema: String,
    tables: Vec<SeenTable>,
    /// Which tables have rows.
    filled: BTreeSet<usize>,
    /// Whether something is gone that the schema makes.
    is_broken: bool,
    /// The folder of a file, which goes with it.
    folder: Option<Folder>,
}

impl Scratch {
    /// Opens a scratch database for a source: a new file for SQLite, the one of the settings for a server. What an
    /// earlier run left there is taken away.
    ///
    /// # Errors
    /// Why it cannot be used; it is not touched then.
    pub async fn open(
        source: &SourceSettings,
        scratch: Option<&SourceSettings>,
    ) -> Result<Self, ScratchError> {
        let engine = source.dsn.engine();
        let settings = |dsn| SourceSettings {
            dsn,
            connections: source.connections.max(2),
            timeout: source.timeout,
            instants: source.instants,
            search_path: source.search_path.clone(),
            ..SourceSettings::new(source.name.clone(), source.dsn.clone())
        };
        let (writer, settings, folder) = if engine == Engine::Sqlite {
            let folder = Folder::make()?;
            let (writer, dsn) = sqlite::open(&folder).await?;
            (Writer::Sqlite(writer), settings(dsn), Some(folder))
        } else {
            let Some(scratch) = scratch else { return Err(missing(source, engine)) };
            if scratch.dsn.is_where(&source.dsn) {
                let message =
                    format!("the scratch database of `{}` is the source itself", source.name);
                return Err(ScratchError::new(message, how(engine)));
            }
            let password = scratch.password.clone().map_err(|why| ScratchError::new(why, ""))?;
            let mut settings = settings(scratch.dsn.clone());
            settings.password = Ok(password);
            let writer = match engine {
                Engine::Postgres => Writer::Postgres(postgres::open(&settings).await?),
                Engine::MySql | Engine::Sqlite => Writer::MySql(mysql::open(&settings).await?),
            };
            (writer, settings, None)
        };
        let (schema, tables, filled) = (String::new(), Vec::new(), BTreeSet::new());
        Ok(Self { writer, settings, schema, tables, filled, is_broken: false, folder })
    }

    /// Makes the tables that a file of statements makes.
    ///
    /// # Errors
    /// What the database does not take of it.
    pub async fn build(&mut self, schema: &str) -> Result<(), ScratchError> {
        schema.clone_into(&mut self.schema);
        self.rebuild().await
    }

    async fn rebuild(&mut self) -> Result<(), ScratchError> {
        let schema = self.schema.clone();
        match &mut self.writer {
            Writer::Sqlite(conn) => sqlite::build(conn, &schema).await?,
            writer @ Writer::Postgres(_) => postgres::build(writer, &schema).await?,
            writer @ Writer::MySql(_) => mysql::build(writer, &schema).await?,
        }
        self.tables = seen::tables(&mut self.writer, self.settings.dsn.engine()).await?;
        self.filled.clear();
        self.is_broken = false;
        Ok(())
    }

    /// The tables and views that there are.
    pub fn tables(&self) -> &[SeenTable] {
        &self.tables
    }

    /// What an attempt opens.
    pub fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    /// Puts rows into a table.
    ///
    /// # Errors
    /// The row that the table does not take, and why.
    pub async fn fill(
        &mut self,
        table: &TableName,
        rows: &[Row],
        now: DateTime<Utc>,
    ) -> Result<(), ScratchError> {
        let found = self.tables.iter().position(|seen| seen.is(table));
        let Some(at) = found else {
            let known: Vec<String> = self.tables.iter().map(SeenTable::to_string).collect();
            return Err(seen::unknown("table", &table.to_string(), &known));
        };
        self.filled.insert(at);
        let seen = &self.tables[at];
        let writing = Writing { engine: self.settings.dsn.engine(), settings: &self.settings, now };
        for insert in writing.inserts(seen, rows)? {
            if self.writer.run(&insert.sql).await.is_ok() {
                continue;
            }
            // One by one, to know which it is.
            for (sql, row) in insert.each {
                if let Err(error) = self.writer.run(&sql).await {
                    let mut error = ScratchError::of(&error);
                    error.message =
                        format!("the database does not take this row: {}", error.message);
                    error.place = Some(row.place.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes all rows away, and brings back what was taken apart.
    ///
    /// # Errors
    /// What the database did not do.
    pub async fn clear(&mut self) -> Result<(), ScratchError> {
        if self.is_broken {
            return self.rebuild().await;
        }
        if self.filled.is_empty() {
            return Ok(());
        }
        let engine = self.settings.dsn.engine();
        let names = self.filled.iter().filter_map(|at| self.tables.get(*at));
        let delete = |table: &SeenTable| format!("DELETE FROM {}", table.quoted(engine));
        let sql: Vec<String> = names.map(delete).collect();
        if self.writer.run(&sql.join("; ")).await.is_err() {
            // Rows of one table hold those of another.
            return self.rebuild().await;
        }
        self.filled.clear();
        Ok(())
    }

    /// Takes a table or a view away, and whatever depends on it, until the next [`Self::clear`].
    ///
    /// # Errors
    /// What the database did not do.
    pub async fn drop_table(&mut self, at: usize) -> Result<(), ScratchError> {
        let Some(table) = self.tables.get(at) else { return Ok(()) };
        let engine = self.settings.dsn.engine();
        let kind = if table.is_view { "VIEW" } else { "TABLE" };
        let cascade = if engine == Engine::Postgres { " CASCADE" } else { "" };
        let name = table.quoted(engine);
        let is_view = table.is_view;
        self.is_broken = true;
        let dropped = self.writer.run(&format!("DROP {kind} {name}{cascade}")).await;
        match dropped {
            Err(_) if is_view && engine == Engine::Postgres => {
                let sql = format!("DROP MATERIALIZED VIEW {name}{cascade}");
                self.writer.run(&sql).await.map_err(|error| ScratchError::of(&error))
            }
            dropped => dropped.map_err(|error| ScratchError::of(&error)),
        }
    }

    /// Holds a file so that no one else can read it; of a server, nothing is held.
    pub async fn hold(&mut self) {
        if let Writer::Sqlite(_) = self.writer {
            // Where it cannot be held, it is read: that shows.
            drop(self.writer.run("BEGIN EXCLUSIVE").await);
        }
    }

    /// Lets a file go that was held.
    pub async fn release(&mut self) {
        if let Writer::Sqlite(_) = self.writer {
            // Nothing may be held.
            drop(self.writer.run("ROLLBACK").await);
        }
    }

    /// Takes away everything that was made.
    pub async fn close(mut self) {
        match &mut self.writer {
            Writer::Sqlite(_) => {}
            writer @ Writer::Postgres(_) => postgres::leave(writer).await,
            writer @ Writer::MySql(_) => mysql::leave(writer).await,
        }
        self.writer.close().await;
        drop(self.folder);
    }
}

fn missing(source: &SourceSettings, engine: Engine) -> ScratchError {
    let message = format!(
        "source `{}` has no scratch database, so that none of its checks is tested",
        source.name
    );
    ScratchError::new(message, how(engine))
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("source", &self.settings.name).finish_non_exhaustive()
    }
}
