//! SQLite: a file opened read-only for each attempt.
//!
//! There is no server to enforce anything, so a progress handler stops the query from inside. A
//! file is opened anew each time: it may have been replaced, and a connection would go on reading
//! the old one.

mod bound_columns;
mod decode;
mod flow;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigdecimal::ToPrimitive as _;
use futures_util::TryStreamExt;
use sqlx::sqlite::{Sqlite as Sqlite3, SqliteArguments, SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Executor, SqlSafeStr, Statement};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Epoch;
use crate::domain::sql::bounds::Bound;
use crate::source::ask::{Ask, Question, Reply, ResultShape};
use crate::source::bind::{Instants, Prepared, Stored, Style};
use crate::source::collect::{Collector, Demand, Fetched, whole};
use crate::source::columns::position;
use crate::source::memory::{Guard, InProcess, SQLITE_MAX};
use crate::source::sqlite::flow::Flows;
use crate::source::watch::{SHORT, Watched, opening, short};

/// How many virtual machine steps pass between two looks at the order to stop: about 50 µs.
const STEPS: i32 = 1_000;
/// The compile-time options without which SQLite would take a misspelt column for a text, or open
/// other files.
const OPTIONS_NEEDED: [&str; 2] = ["DQS=0", "MAX_ATTACHED=0"];

/// The keeper of one SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
    instants: Option<Instants>,
    /// Which file it was when it was opened last: an asker does not wait for a disk that hangs.
    identity: Mutex<Option<String>>,
    /// Held once by each connection that is there: a function that cannot be interrupted keeps its own after the attempt has
    /// ended.
    open: Arc<()>,
    /// How many there may be.
    open_max: usize,
}

impl Sqlite {
    pub(super) fn new(path: PathBuf, instants: Option<Instants>, connections: u16) -> Self {
        // Those that are closed at this moment count as well.
        let open_max = usize::from(connections) * 2;
        Self { path, instants, identity: Mutex::default(), open: Arc::default(), open_max }
    }

    /// Which file it is, once it was opened.
    pub(super) fn identity(&self) -> Option<String> {
        self.identity.lock().ok()?.clone()
    }

    /// How instants are stored, where that is as numbers.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        flow::epoch(self.instants)
    }

    pub(super) async fn observe(
        &self,
        ask: &Ask,
        stop: &CancellationToken,
    ) -> Result<Vec<Reply>, Reason> {
        let _in_process = InProcess::begin();
        let ended = Arc::new(AtomicBool::new(false));
        let mut conn = self.open(&ended, stop).await?;
        let mut replies = Vec::with_capacity(ask.questions.len());
        let build = short(begin(&mut conn), stop, |e| reason(e, Phase::Ours)).await?;
        refuse_lax_build(&build)?;
        for question in &ask.questions {
            // Where it cannot be read, nothing is known: the attempt finds out why.
            let looked = bound_columns::look(&mut conn, question);
            let looked = short(looked, stop, |e| reason(e, Phase::Ours)).await;
            if let Ok(Some(reason)) = looked {
                return Err(question.blame(reason));
            }
            if let ResultShape::Flow(flow) = &question.wanted {
                let (ended, instants) = (&ended, self.instants);
                let mut flows = Flows { conn: &mut conn, ended, instants, stop };
                let flowed = flows.flow(ask, question, flow).await;
                let drained = flowed.map_err(|reason| question.blame(reason))?;
                replies.push(Reply::Flowed);
                if !drained {
                    ended.store(true, Ordering::Relaxed);
                    return whole(replies, ask);
                }
                continue;
            }
            let watched = Watched {
                work: fetch(&mut conn, question, self.instants),
                limit: ask.timeout,
                stop,
                in_the_way: std::future::pending(),
                // Its memory has a limit of its own.
                memory: Guard::none(),
                cancel: async { ended.store(true, Ordering::Relaxed) },
                terminate: std::future::ready(()),
            };
            let fetched = watched.end().await.map_err(|reason: Reason| question.blame(reason))?;
            ask.admits(question, &fetched.reply, Some(clock::now()))?;
            replies.push(fetched.reply);
            if !fetched.drained {
                ended.store(true, Ordering::Relaxed);
                return whole(replies, ask);
            }
        }
        drop(timeout(SHORT, conn.close()).await);
        Ok(replies)
    }

    async fn open(
        &self,
        ended: &Arc<AtomicBool>,
        stop: &CancellationToken,
    ) -> Result<SqliteConnection, Reason> {
        if !self.path.is_file() {
            let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
            let what = if path.exists() { "is no file" } else { "does not exist" };
            let message = format!("{} {what}", path.display());
            return Err(Reason::new(Cause::Connect, message));
        }
        refuse_foreign_log(&self.path)?;
        let held = Arc::clone(&self.open);
        if Arc::strong_count(&held) - 1 > self.open_max {
            let note = format!(
                "{} earlier queries of this file still compute and cannot be stopped: narrow those that end with `timeout`",
                self.open_max
            );
            return Err(Reason::new(Cause::Busy, note));
        }
        if let (Ok(file), Ok(mut known)) = (std::fs::metadata(&self.path), self.identity.lock()) {
            *known = Some(format!("sqlite {}:{}", file.dev(), file.ino()));
        }
        let options = SqliteConnectOptions::new()
            .with_regexp()
            .filename(&self.path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(1))
            .foreign_keys(false)
            .pragma("query_only", "1")
            .pragma("trusted_schema", "0")
            .pragma("temp_store", "2")
            .pragma("hard_heap_limit", SQLITE_MAX.to_string())
            .disable_statement_logging();
        let mut conn = opening(options.connect(), stop, |e| reason(e, Phase::Ours)).await?;
        {
            let mut handle = conn.lock_handle().await.map_err(|e| reason(&e, Phase::Ours))?;
            let ended = Arc::clone(ended);
            // The handler goes when the connection does, in the thread that computes.
            handle.set_progress_handler(STEPS, move || {
                let _held = &held;
                !ended.load(Ordering::Relaxed)
            });
        }
        Ok(conn)
    }
}

/// A closed database in WAL mode gets its log files from the first process that opens it; were that we, and
/// not its owner, the application could not write any more.
fn refuse_foreign_log(path: &Path) -> Result<(), Reason> {
    const WAL_VERSION: u8 = 2;
    let mut header = [0_u8; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    let log = path.with_file_name(format!(
        "{}-shm",
        path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default()
    ));
    // The write version of the file format, byte 18: https://www.sqlite.org/fileformat.html
    if read.is_err() || header[18] != WAL_VERSION || log.exists() {
        return Ok(());
    }
    let owner = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
    if owner(path) == owner(Path::new("/proc/self")) {
        return Ok(());
    }
    Err(Reason::new(
        Cause::Refused,
        "the database is in WAL mode, closed, and of another user: opening it would leave log files \
         that its owner cannot write; run allswell as its owner, or while the application runs",
    ))
}

/// Opens the transaction and returns how SQLite was built.
async fn begin(conn: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let options = "SELECT compile_options FROM pragma_compile_options";
    let options = sqlx::query_scalar(options).fetch_all(&mut *conn).await?;
    sqlx::raw_sql("BEGIN").execute(conn).await?;
    Ok(options)
}

fn refuse_lax_build(options: &[String]) -> Result<(), Reason> {
    if OPTIONS_NEEDED.iter().all(|needed| options.iter().any(|o| o == needed)) {
        return Ok(());
    }
    Err(Reason::new(
        Cause::Refused,
        "this allswell was built without the SQLite options of .cargo/config.toml: build it inside \
         its repository",
    ))
}

/// Fetches what is wanted of one query's result; prepared first, to tell faults of the text from
/// trouble with the data.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut SqliteConnection,
    question: &Question,
    instants: Option<Instants>,
) -> Result<Fetched, Reason> {
    let bound = Prepared::new(question, Style::NumberedMark);
    let mut collector = Collector::new(&question.wanted);
    let wanted = question.wanted.itself();
    let bare = AssertSqlSafe(bound.text.clone()).into_sql_str();
    let bare = conn.prepare(bare).await.map_err(|e| reason(&e, Phase::Preparing))?;
    let brought: Vec<&str> = bare.columns().iter().map(Column::name).collect();
    let names: Vec<String> = match wanted {
        ResultShape::Rows { columns, .. } => {
            // In a subquery, SQLite would quietly take the first of two columns of one name.
            for column in columns {
                position(&brought, column)?;
            }
            columns.iter().map(ToString::to_string).collect()
        }
        ResultShape::FirstColumn { name, .. } => vec![name.to_string()],
        ResultShape::OneValue => brought.iter().map(|_| "evidence".to_owned()).collect(),
        // What flows is read elsewhere.
        ResultShape::Flow(_) | ResultShape::Plan(_) => Vec::new(),
    };
    let first = brought.first().copied().unwrap_or_default();
    let sql = wrapped(&bound.text, wanted, first, collector.rows_asked());
    let sql = AssertSqlSafe(sql).into_sql_str();
    let prepared = conn.prepare(sql).await.map_err(|e| reason(&e, Phase::Preparing))?;
    if matches!(question.wanted, ResultShape::Plan(_)) {
        return Ok(Fetched { reply: Reply::Planned, drained: true });
    }
    let mut rows = bind(prepared.query(), &bound.values, instants)?.fetch(&mut *conn);
    while let Some(row) = rows.try_next().await.map_err(|e| reason(&e, Phase::Running))? {
        let (values, bytes) = decode::row(&row, &names)?;
        match collector.push(values, bytes) {
            Demand::More | Demand::Enough => {}
            Demand::TooMuch => return collector.finish_cut_off(),
        }
    }
    drop(rows);
    collector.finish()
}

type Query<'q> = sqlx::query::Query<'q, Sqlite3, SqliteArguments>;

/// Binds values in the form in which this database stores them.
fn bind<'q>(
    query: Query<'q>,
    values: &[Bound<'_>],
    instants: Option<Instants>,
) -> Result<Query<'q>, Reason> {
    values.iter().try_fold(query, |query, value| {
        Ok(match value {
            Bound::Instant(at) => match instants.map(|instants| instants.form(*at)) {
                Some(Stored::Text(text)) => query.bind(text),
                Some(Stored::Number(number)) => query.bind(number),
                None => {
                    let note = "the settings do not say how this source stores instants: write \
                                `instants:`";
                    return Err(Reason::new(Cause::Refused, note));
                }
            },
            Bound::Date(date) => query.bind(date.to_string()),
            Bound::Text(text) => query.bind((*text).to_owned()),
            Bound::Secs(secs) => query.bind(*secs),
            // Whole hours compare with counts; quarters and halves are exact as they are.
            Bound::Hours(hours) => match hours.to_i64().filter(|_| hours.is_integer()) {
                Some(whole) => query.bind(whole),
                None => query.bind(hours.to_f64()),
            },
        })
    })
}

/// The user's query inside ours: only rows and columns that are wanted, and nothing but a query
/// can stand in parentheses.
fn wrapped(inner: &str, wanted: &ResultShape, first: &str, rows_asked: usize) -> String {
    let quoted = |name: &str| format!("q.\"{}\"", name.replace('"', "\"\""));
    let list = match wanted {
        ResultShape::OneValue | ResultShape::Flow(_) | ResultShape::Plan(_) => "*".to_owned(),
        ResultShape::Rows { columns, .. } if columns.is_empty() => "1".to_owned(),
        ResultShape::Rows { columns, .. } => {
            columns.iter().map(|c| quoted(c.as_str())).collect::<Vec<_>>().join(", ")
        }
        ResultShape::FirstColumn { .. } => quoted(first),
    };
    format!("SELECT {list} FROM (\n{inner}\n) AS q LIMIT {rows_asked}")
}

/// What we were doing when it happened.
#[derive(Clone, Copy)]
enum Phase {
    Ours,
    /// The text was parsed; no data was read yet.
    Preparing,
    Running,
}

/// Finds the cause, without a word that could be data.
fn reason(error: &sqlx::Error, phase: Phase) -> Reason {
    let sqlx::Error::Database(error) = error else {
        // The driver's thread panics where it cannot copy a value.
        if matches!((error, phase), (sqlx::Error::WorkerCrashed, Phase::Running)) {
            let note = "the query brings a value for which there is no memory";
            return Reason::new(Cause::OverLimit, note);
        }
        return Reason::new(Cause::Connect, "the file could not be opened");
    };
    let code: i32 = error.code().and_then(|c| c.parse().ok()).unwrap_or(1);
    let with = |cause, note: &str| Reason::new(cause, format!("{note} (SQLite code {code})"));
    match code & 0xff {
        5 | 6 => with(Cause::Busy, "another process writes, and did not finish within 1s"),
        7 => with(Cause::OverLimit, "the query needs more memory than it may have"),
        8 => with(Cause::Refused, "the query writes, and a check only reads"),
        9 => with(Cause::Interrupted, "the query was stopped"),
        10 => with(Cause::Connect, "the file could not be read"),
        11 => with(Cause::QueryError, "the database is malformed: run `PRAGMA integrity_check`"),
        14 => with(Cause::Connect, "the file could not be opened: look at its permissions"),
        18 => with(Cause::OverLimit, "a value is larger than 64 MiB"),
        23 => with(Cause::Refused, "this is not allowed in a check"),
        26 => with(Cause::Connect, "the file is not an SQLite database"),
        _ => match phase {
            // Every word of it stands in the check.
            Phase::Preparing => with(Cause::QueryError, error.message()),
            Phase::Running => with(Cause::QueryError, "the query failed while it ran"),
            Phase::Ours => with(Cause::Connect, "the file could not be opened"),
        },
    }
}
