//! The bench on which checks are tried: databases of their own, and a round from YAML to verdicts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use allswell::clock;
use allswell::domain::check::Check;
use allswell::domain::check::name::SourceName;
use allswell::domain::check::reason::Cause;
use allswell::domain::check::verdict::Verdict;
use allswell::domain::sql::Engine;
use allswell::dsn::Dsn;
use allswell::engine::asking::Sources;
use allswell::engine::round::{Outcome, Task, round};
use allswell::manifest::{self, Engines, Text, World};
use allswell::source::{Instants, Source, SourceSettings};
use allswell::zones::Zones;
use secrecy::SecretString;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio_util::sync::CancellationToken;

use crate::servers::{Folder, MariaDb, Postgres, mysqld};

/// A database of the test's own, and who watches it.
///
/// The watcher owns everything in it and may write: the guards are ours, not the role's.
#[derive(Debug)]
pub(crate) enum Database {
    Postgres { port: u16, name: String },
    MariaDb { port: u16, name: String },
    Sqlite { path: PathBuf, _folder: Folder },
}

/// A connection of somebody else: the database's owner, or its administrator.
pub(crate) enum Other {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    Sqlite(SqliteConnection),
}

fn fresh_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Database {
    pub(crate) async fn new(engine: Engine) -> Self {
        match engine {
            Engine::Postgres => Self::postgres(Postgres::shared()).await,
            Engine::MySql => Self::mariadb(MariaDb::shared()).await,
            Engine::Sqlite => Self::sqlite(),
        }
    }

    pub(crate) async fn postgres(server: &Postgres) -> Self {
        let name = fresh_name();
        let mut admin = pg_admin(server.port, "postgres").await;
        for sql in [
            format!("CREATE ROLE {name} LOGIN PASSWORD 'watch'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            admin.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        let mut admin = pg_admin(server.port, &name).await;
        // Before release 15 everybody may make tables in it.
        for sql in [
            format!("ALTER SCHEMA public OWNER TO {name}"),
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        ] {
            admin.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        Self::Postgres { port: server.port, name }
    }

    pub(crate) async fn mariadb(server: &MariaDb) -> Self {
        let name = fresh_name();
        let mut admin = maria_admin(server.port).await;
        for sql in [
            format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            format!("CREATE USER '{name}'@'%' IDENTIFIED BY 'watch'"),
            format!("GRANT ALL ON {name}.* TO '{name}'@'%'"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        Self::MariaDb { port: server.port, name }
    }

    pub(crate) fn sqlite() -> Self {
        let folder = Folder::new("sqlite");
        Self::Sqlite { path: folder.path().join("data.db"), _folder: folder }
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Postgres { .. } => Engine::Postgres,
            Self::MariaDb { .. } => Engine::MySql,
            Self::Sqlite { .. } => Engine::Sqlite,
        }
    }

    /// The address at which it is watched.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres { port, name } => format!("postgres://{name}@127.0.0.1:{port}/{name}"),
            Self::MariaDb { port, name } => format!("mysql://{name}@127.0.0.1:{port}/{name}"),
            Self::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
        }
    }

    /// Somebody who owns all tables and watches nothing.
    pub(crate) async fn owner(&self) -> Other {
        match self {
            Self::Postgres { port, name } => {
                let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(*port);
                let options = options.username(name).password("watch").database(name);
                Other::Postgres(options.connect().await.unwrap())
            }
            Self::MariaDb { port, name } => {
                let options = MySqlConnectOptions::new().host("127.0.0.1").port(*port);
                let options = options.username(name).password("watch").database(name);
                Other::MariaDb(options.connect().await.unwrap())
            }
            Self::Sqlite { path, .. } => {
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                Other::Sqlite(options.connect().await.unwrap())
            }
        }
    }

    /// The server's administrator, in this database.
    pub(crate) async fn admin(&self) -> Other {
        match self {
            Self::Postgres { port, name } => Other::Postgres(pg_admin(*port, name).await),
            Self::MariaDb { port, .. } => Other::MariaDb(maria_admin(*port).await),
            Self::Sqlite { .. } => self.owner().await,
        }
    }

    /// Runs SQL as the owner.
    pub(crate) async fn prepare(&self, sql: &str) {
        let mut owner = self.owner().await;
        owner.run(sql).await.unwrap_or_else(|e| panic!("{e}: {sql}"));
        owner.close().await;
    }

    /// Its name on its server.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Postgres { name, .. } | Self::MariaDb { name, .. } => name,
            Self::Sqlite { .. } => "main",
        }
    }

    /// Ends whatever the owner's sessions still do at the server.
    pub(crate) async fn end_sessions(&self) {
        let mut admin = self.admin().await;
        match self {
            Self::Postgres { name, .. } => {
                let sql = format!(
                    "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"
                );
                admin.run(&sql).await.unwrap();
            }
            Self::MariaDb { name, .. } => {
                let sessions = format!(
                    "select cast(id as char) from information_schema.processlist where user = '{name}'"
                );
                for id in admin.texts(&sessions).await {
                    // It may be gone by itself.
                    drop(admin.run(&format!("kill {id}")).await);
                }
            }
            Self::Sqlite { .. } => {}
        }
    }

    pub(crate) fn source(&self) -> Source {
        source_at(&self.url(), 4)
    }
}

/// The same statements for MySQL, which has no tables of numbers and does not replace functions.
fn for_mysql(sql: &str) -> String {
    let digits = (0..10).map(|digit| format!("select {digit} as d"));
    let digits = digits.collect::<Vec<_>>().join(" union all ");
    let places = ["a", "b", "c", "d", "e", "f"];
    let tables = places.map(|place| format!("({digits}) as {place}")).join(", ");
    let sum = "1 + a.d + 10 * b.d + 100 * c.d + 1000 * d.d + 10000 * e.d + 100000 * f.d";
    let numbers = regex_lite::Regex::new("seq_1_to_([0-9]+)").unwrap();
    let sql = numbers.replace_all(sql, |found: &regex_lite::Captures<'_>| {
        let last = &found[1];
        format!("(select n as seq from (select {sum} as n from {tables}) as m where n <= {last}) as seq_1_to_{last}")
    });
    let functions = regex_lite::Regex::new(r"create or replace function (\w+)").unwrap();
    functions.replace_all(&sql, "drop function if exists $1; create function $1").into_owned()
}

/// The collation under which nothing but equal texts are equal.
pub(crate) fn nopad() -> &'static str {
    if mysqld().is_some() { "utf8mb4_0900_bin" } else { "utf8mb4_nopad_bin" }
}

pub(crate) async fn pg_admin(port: u16, database: &str) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
    options.username("postgres").database(database).connect().await.unwrap()
}

pub(crate) async fn maria_admin(port: u16) -> MySqlConnection {
    let options = MySqlConnectOptions::new().host("127.0.0.1").port(port).username("root");
    options.database("mysql").connect().await.unwrap()
}

/// A source that watches an address; servers know the watcher by its password.
pub(crate) fn source_at(url: &str, connections: u16) -> Source {
    let dsn = Dsn::parse(url, Path::new("/")).unwrap();
    let password = (dsn.engine() != Engine::Sqlite).then(|| SecretString::from("watch"));
    Source::new(SourceSettings {
        password: Ok(password),
        connections,
        timeout: Duration::from_secs(10),
        instants: Some(Instants::Sql),
        ..SourceSettings::new(SourceName::parse("db").unwrap(), dsn)
    })
}

impl Other {
    /// Opens a file.
    pub(crate) async fn sqlite(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path);
        Self::Sqlite(options.busy_timeout(Duration::from_secs(10)).connect().await.unwrap())
    }

    /// Runs statements without looking at their results.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = match self {
            Self::MariaDb(_) if mysqld().is_some() => for_mysql(sql),
            Self::Postgres(_) | Self::MariaDb(_) | Self::Sqlite(_) => sql.to_owned(),
        };
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Postgres(conn) => sql.execute(conn).await.map(|_| ()),
            Self::MariaDb(conn) => sql.execute(conn).await.map(|_| ()),
            Self::Sqlite(conn) => sql.execute(conn).await.map(|_| ()),
        }
    }

    /// Returns the first column of all rows as text.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<String> {
        self.try_texts(sql).await.unwrap_or_else(|e| panic!("{e}: {sql}"))
    }

    /// As [`Other::texts`], for what may not be there any more.
    pub(crate) async fn try_texts(&mut self, sql: &str) -> Result<Vec<String>, sqlx::Error> {
        use sqlx::Row as _;
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let text = |t: Option<String>| t.unwrap_or_else(|| "NULL".into());
        macro_rules! first_column {
            ($conn:expr) => {{
                let rows = query.fetch_all($conn).await?;
                rows.iter().map(|r| r.try_get_unchecked(0).map(text)).collect()
            }};
        }
        match self {
            Self::Postgres(conn) => first_column!(conn),
            Self::MariaDb(conn) => first_column!(conn),
            Self::Sqlite(conn) => first_column!(conn),
        }
    }

    /// Reads a result until it has brought so many bytes, and says how many it brought.
    pub(crate) async fn bytes_until(&mut self, sql: &str, enough: usize) -> usize {
        use futures_util::TryStreamExt as _;
        use sqlx::Row as _;
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let mut bytes = 0;
        macro_rules! read {
            ($conn:expr) => {{
                let mut rows = query.fetch($conn);
                while let Ok(Some(row)) = rows.try_next().await {
                    for i in 0..row.len() {
                        bytes += row.try_get_unchecked::<String, _>(i).map_or(8, |v| v.len());
                    }
                    if bytes > enough {
                        break;
                    }
                }
            }};
        }
        match self {
            Self::Postgres(conn) => read!(conn),
            Self::MariaDb(conn) => read!(conn),
            Self::Sqlite(conn) => read!(conn),
        }
        bytes
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Postgres(conn) => drop(conn.close().await),
            Self::MariaDb(conn) => drop(conn.close().await),
            Self::Sqlite(conn) => drop(conn.close().await),
        }
    }
}

/// The zones that tests compute with, whatever the host has.
pub(crate) fn zones() -> &'static Zones {
    static ZONES: LazyLock<Zones> = LazyLock::new(Zones::bundled);
    &ZONES
}

/// What checks may name in tests.
pub(crate) fn world(engines: &Engines) -> World<'_> {
    World::new(engines, zones())
}

/// One look at the present for each check.
pub(crate) fn tasks(checks: &[Arc<Check>]) -> Vec<Task> {
    checks.iter().cloned().map(Task::present).collect()
}

/// Parses checks that ask one source called `db`.
pub(crate) fn checks(engine: Engine, yaml: &str) -> Vec<Arc<Check>> {
    let engines = [(SourceName::parse("db").unwrap(), engine)].into();
    let text = Text { file: "test.yaml".into(), text: yaml.into() };
    // As a catalogue that ran before: here it is values that matter, and not what checks of them could prove.
    let world = World { stored: true, ..world(&engines) };
    let catalogue = manifest::parse(&[text], world).unwrap_or_else(|faults| {
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n"))
    });
    catalogue.checks().to_vec()
}

/// Makes a round of checks over one source.
pub(crate) async fn look(source: Source, yaml: &str) -> Vec<Outcome> {
    look_again(&Arc::new(source), yaml).await
}

/// The same with a source that may have been asked before.
pub(crate) async fn look_again(source: &Arc<Source>, yaml: &str) -> Vec<Outcome> {
    let checks = checks(source.engine(), yaml);
    let sources = Arc::new(Sources::from([(source.name().clone(), Arc::clone(source))]));
    round(&tasks(&checks), &sources, clock::now(), &CancellationToken::new(), |_| {}).await
}

/// Writes one check whose parts after `sql` are given, indented by four.
pub(crate) fn one_check(sql: &str, rest: &str) -> String {
    let indented = |text: &str, by: usize| {
        let pad = " ".repeat(by);
        text.lines().map(|l| format!("{pad}{l}\n")).collect::<String>()
    };
    format!(
        "version: 1\nowner: tests\ndefaults: {{source: db, timeout: 2s}}\nchecks:\n  - id: it\n    \
         why: because\n    sql: |\n{}{}",
        indented(sql, 6),
        indented(rest, 4)
    )
}

/// Looks once with one check and returns `confirmed`, `violated: …` or `cause: …`.
pub(crate) async fn verdict(source: Source, sql: &str, rest: &str) -> String {
    shown(&look(source, &one_check(sql, rest)).await[0].judgement.verdict)
}

pub(crate) fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Confirmed => "confirmed".into(),
        Verdict::Violated(finding) => format!("violated: {finding}"),
        Verdict::Unconfirmed(reason) => format!("{}: {}", reason.cause, reason.note),
    }
}

pub(crate) fn cause(outcome: &Outcome) -> Option<Cause> {
    match &outcome.judgement.verdict {
        Verdict::Unconfirmed(reason) => Some(reason.cause),
        Verdict::Confirmed | Verdict::Violated(_) => None,
    }
}

/// Waits for a state of the world, and says the last one seen if it does not come.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<(), T>,
) {
    let started = std::time::Instant::now();
    loop {
        match look().await {
            Ok(()) => return,
            Err(last) if started.elapsed() > within => panic!("last seen: {last:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

pub(crate) const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::MySql, Engine::Sqlite];
