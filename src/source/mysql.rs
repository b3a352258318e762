//! MySQL and MariaDB: one connection and one guarded read-only transaction per attempt.
//!
//! A connection is never used twice: a stored function can change session variables, take named
//! locks and set user variables, and no ROLLBACK undoes that (docs/internals/databases.md, "A MySQL or MariaDB attempt").

mod decode;
mod bound_columns;
mod flow;
pub(super) mod grants;
mod errors;
mod waiters;
mod guards;
mod role;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Statement,
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::check::reason::{Cause, Reason};
use crate::dsn::{Authorities, ClientCertificate, Endpoint, Server, Tls};
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};
use crate::source::bind::{Prepared, Style, bind_typed};
use crate::source::collect::{Collector, Demand, Fetched, whole};
use crate::source::columns::position;
use crate::source::known::Known;
use crate::source::memory::{End, Guard};
use crate::source::mysql::decode::Reading;
use crate::source::mysql::errors::{Phase, Warned};
use crate::source::mysql::guards::{begin, guards, preamble};
use crate::source::mysql::role::{identity, inspect};
use crate::source::mysql::waiters::somebody_waits;
use crate::source::role::{Powers, Role};
use crate::source::server;
use crate::source::their_clock::TheirClock;
use crate::source::watch::{SHORT, Watched, opening, short};

/// The keeper of connections to one MySQL or MariaDB database.
pub(super) struct MySql {
    options: Arc<MySqlConnectOptions>,
    pub(super) role: Role,
    pub(super) clock: TheirClock,
    known: Known,
}

struct Session {
    conn: MySqlConnection,
    /// What the server calls this connection.
    id: u64,
    /// What time it is there.
    clock: Option<DateTime<Utc>>,
    flavour: Flavour,
}

/// What the server says of itself.
struct Greeting {
    id: u64,
    version: String,
    clock: Option<DateTime<Utc>>,
}

/// The two servers name the limit on a statement's time differently.
#[derive(Debug, Clone, Copy)]
enum Flavour {
    MariaDb,
    MySql,
}

impl Session {
    /// A reason about a query, and whether it is of the query alone: then the session goes on after it.
    async fn whose(&mut self, reason: Reason) -> Reason {
        if !matches!(reason.cause, Cause::Connect | Cause::Auth) {
            return reason;
        }
        let goes_on = matches!(timeout(SHORT, self.conn.ping()).await, Ok(Ok(())));
        if goes_on { errors::of_query(reason) } else { reason }
    }
}

impl MySql {
    pub(super) fn new(
        server: &Server,
        password: Option<&SecretString>,
        allow_superuser: bool,
    ) -> Self {
        Self {
            options: Arc::new(options(server, password)),
            role: Role::new("the user has the privilege", allow_superuser),
            clock: TheirClock::default(),
            known: Known::default(),
        }
    }

    pub(super) async fn observe(
        &self,
        ask: &Ask,
        stop: &CancellationToken,
    ) -> Result<Vec<Reply>, Reason> {
        let replies = self.attempt(ask, stop).await;
        replies.map_err(|reason| self.role.explained(reason, ask.timeout))
    }

    async fn attempt(&self, ask: &Ask, stop: &CancellationToken) -> Result<Vec<Reply>, Reason> {
        let mut session = self.open(stop).await?;
        let ask = &*ask.within(self.role.limit());
        self.clock.note(session.clock);
        ask.is_over(session.clock)?;
        let looked = bound_columns::look(&self.known, &mut session.conn, &ask.questions);
        short::<_, Reason, Reason>(looked, stop, Clone::clone).await?;
        let begun = begin(&mut session.conn, preamble(session.flavour, ask));
        if !short(begun, stop, |e| errors::reason(e, &Phase::Ours)).await? {
            return Err(server::without_guards());
        }
        let mut replies = Vec::with_capacity(ask.questions.len());
        for (place, question) in ask.questions.iter().enumerate() {
            let answered = Box::pin(self.answer(&mut session, (ask, question), stop)).await;
            let fetched = match answered {
                Ok(fetched) => fetched,
                Err(reason) => return Err(question.blame(session.whose(reason).await)),
            };
            ask.admits(question, &fetched.reply, session.clock)?;
            if !fetched.drained {
                replies.push(fetched.reply);
                drop(timeout(SHORT, self.cancel(session.id)).await);
                return whole(replies, ask);
            }
            let then = match ask.questions.get(place + 1) {
                Some(_) => guards(session.flavour, ask),
                None => "ROLLBACK".to_owned(),
            };
            let warned = Box::pin(warned(&mut session.conn, &then, stop)).await;
            let reason = warned.map_err(|reason| question.blame(reason))?;
            replies.push(match (fetched.reply, reason) {
                (Reply::Rows(rows), Some(reason)) if question.part == Part::Body => {
                    Reply::Rows(rows.doubted(reason))
                }
                (_, Some(reason)) => return Err(question.blame(reason)),
                (reply, None) => reply,
            });
        }
        // The replies are complete; a farewell that fails takes nothing from them.
        let farewell = async {
            // What a function of theirs locked by name is free when we say that we are done, and not a moment later.
            run(&mut session.conn, "DO RELEASE_ALL_LOCKS()".to_owned()).await?;
            session.conn.close().await
        };
        drop(timeout(SHORT, farewell).await);
        Ok(replies)
    }

    /// Asks one question.
    async fn answer(
        &self,
        session: &mut Session,
        (ask, question): (&Ask, &Question),
        stop: &CancellationToken,
    ) -> Result<Fetched, Reason> {
        if let ResultShape::Flow(flow) = &question.wanted {
            let drained = self.flow(session, (ask, question, flow), stop).await?;
            return Ok(Fetched { reply: Reply::Flowed, drained });
        }
        let watched = Watched {
            work: fetch(&mut session.conn, question, ask.timeout),
            limit: ask.timeout,
            stop,
            in_the_way: Box::pin(somebody_waits(
                &self.options,
                self.role.sees_others(),
                session.id,
            )),
            memory: Guard::over(self.ending(session.id)),
            cancel: self.cancel(session.id),
            terminate: std::future::ready(()),
        };
        watched.end().await
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Session, Reason> {
        let mut conn =
            opening(self.options.connect(), stop, |e| errors::reason(e, &Phase::Connecting))
                .await?;
        let greeting = greet(&mut conn);
        let Greeting { id, version, clock } =
            short(greeting, stop, |e| errors::reason(e, &Phase::Ours)).await?;
        // Another server may answer than the one that was looked at.
        if let Some(known) = self.role.identity() {
            let now = async { Ok::<_, Reason>(identity(&mut conn).await) };
            if short(now, stop, Reason::clone).await?.is_some_and(|now| now != known) {
                self.role.forget();
            }
        }
        if !self.role.is_known() {
            server::mysql(&version)?;
            let powers = short(inspect(&mut conn), stop, |e| errors::reason(e, &Phase::Ours));
            self.role.judge(Powers { server: version.clone(), ..powers.await? })?;
        }
        let maria = version.to_ascii_lowercase().contains("mariadb");
        Ok(Session {
            conn,
            id,
            clock,
            flavour: if maria { Flavour::MariaDb } else { Flavour::MySql },
        })
    }

    /// Ends our own connection of this id, and what it runs.
    async fn cancel(&self, id: u64) {
        kill(&self.options, id).await;
    }

    /// The same, for a thread that has nothing of ours.
    fn ending(&self, id: u64) -> End {
        let options = Arc::clone(&self.options);
        Box::new(move || Box::pin(async move { kill(&options, id).await }))
    }
}

/// Ends a connection of our own user, and what it runs. A user may always do that to itself.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
async fn kill(options: &MySqlConnectOptions, id: u64) {
    let stopped = async {
        let mut conn = options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut conn).await?;
        conn.close().await
    };
    // Whether it worked or not, the connection of the attempt is thrown away next.
    drop::<Result<(), sqlx::Error>>(stopped.await);
}

pub(super) fn options(server: &Server, password: Option<&SecretString>) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .username(&server.user)
        .database(&server.database)
        // The session keeps the server's own sql_mode, so that SQL means what it means elsewhere.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(Some("+00:00".to_owned()));
    if let Some(password) = password {
        options = options.password(password.expose_secret());
    }
    options = match &server.endpoint {
        Endpoint::Tcp { host, port } => options.host(host).port(*port),
        Endpoint::Socket { path, .. } => options.socket(path),
    };
    let authorities = |options: MySqlConnectOptions, from: &Authorities| match from {
        Authorities::System => options,
        Authorities::File(path) => options.ssl_ca(path),
    };
    options = match &server.tls {
        Tls::Off => options.ssl_mode(MySqlSslMode::Disabled),
        Tls::Encrypted => options.ssl_mode(MySqlSslMode::Required),
        Tls::VerifyCa(from) => authorities(options.ssl_mode(MySqlSslMode::VerifyCa), from),
        Tls::VerifyFull(from) => authorities(options.ssl_mode(MySqlSslMode::VerifyIdentity), from),
    };
    if let Some(ClientCertificate { certificate, key }) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    options.disable_statement_logging()
}

async fn greet(conn: &mut MySqlConnection) -> Result<Greeting, sqlx::Error> {
    const GREETING: &str = "SET SESSION sql_select_limit = 18446744073709551615; SELECT CAST(CONNECTION_ID() AS CHAR), CONCAT(VERSION(), ' ', @@version_comment), \
        CAST(FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000000) AS CHAR)";
    let row = sqlx::raw_sql(GREETING).fetch_one(conn).await?;
    let id: &str = row.try_get_unchecked(0)?;
    let version: String = row.try_get_unchecked(1)?;
    let micros: &str = row.try_get_unchecked(2)?;
    let clock = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
    Ok(Greeting { id: id.parse().unwrap_or(0), version, clock })
}

/// Reads what the server warned of in the last statement, and does what follows in the same round trip: returns why the
/// result proves nothing, where it was misread.
///
/// # Errors
/// Where the result was cut: then nothing that stands in it says anything.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
async fn warned(
    conn: &mut MySqlConnection,
    then: &str,
    stop: &CancellationToken,
) -> Result<Option<Reason>, Reason> {
    let sql = AssertSqlSafe(format!("SHOW COUNT(*) WARNINGS; SHOW WARNINGS; {then}"));
    let rows = sqlx::raw_sql(sql).fetch_all(conn);
    let rows = short(rows, stop, |e| errors::reason(e, &Phase::Ours)).await?;
    let failed = |e: sqlx::Error| errors::reason(&e, &Phase::Ours);
    let Some((count, kept)) = rows.split_first() else { return Ok(None) };
    let count: u64 = count.try_get_unchecked(0).map_err(failed)?;
    let mut misread = None;
    for row in kept {
        let level: String = row.try_get_unchecked(0).map_err(failed)?;
        let code: u32 = row.try_get_unchecked(1).map_err(failed)?;
        // The query was answered: an error is of a statement before it, which one without a table leaves in the list.
        if level == "Error" {
            continue;
        }
        let Some((what, words)) = errors::warned(code, level == "Note") else { continue };
        let note = format!("the server {words} (warning {code}): such a result proves nothing");
        let reason = Reason::new(Cause::QueryError, note);
        match what {
            Warned::Cut => return Err(reason),
            Warned::Misread => drop(misread.get_or_insert(reason)),
        }
    }
    // No session of MySQL may say how many are kept (`max_error_count`); they are counted all the same.
    if usize::try_from(count).map_or(true, |count| count > kept.len()) {
        let note = "the server has more warnings of the query than it keeps: `SHOW WARNINGS` after it says which";
        misread.get_or_insert(Reason::new(Cause::QueryError, note));
    }
    Ok(misread)
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn run(conn: &mut MySqlConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(|_| ())
}

/// Fetches what is wanted of one query's result.
///
/// It is prepared first: that brings the names of the columns even where no row comes, and tells
/// what is wrong with the text from what goes wrong with the data.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut MySqlConnection,
    question: &Question,
    limit: Duration,
) -> Result<Fetched, Reason> {
    let bound = Prepared::new(question, Style::Mark);
    let sql = AssertSqlSafe(bound.text).into_sql_str();
    let started = Instant::now();
    let prepared = conn.prepare(sql).await.map_err(|e| errors::reason(&e, &Phase::Preparing))?;
    let wanted = question.wanted.itself();
    let positions = positions(&prepared, wanted)?;
    if matches!(question.wanted, ResultShape::Plan(_)) {
        return Ok(Fetched { reply: Reply::Planned, drained: true });
    }
    let mut collector = Collector::new(&question.wanted);
    let mut readings: Option<Vec<Reading>> = None;
    let mut rows = bind_typed!(prepared.query(), bound.values).fetch(&mut *conn);
    let trouble =
        |e: &sqlx::Error| errors::reason(e, &Phase::Running { limit, ran: started.elapsed() });
    while let Some(row) = rows.try_next().await.map_err(|e| trouble(&e))? {
        let readings = match &readings {
            Some(readings) => readings,
            None => readings.insert(decode::readings(&row, &positions)?),
        };
        let (values, bytes) = decode::row(&row, readings)?;
        match collector.push(values, bytes) {
            Demand::More => {}
            // There may be any number of rows more.
            Demand::Enough | Demand::TooMuch => return collector.finish_cut_off(),
        }
    }
    drop(rows);
    collector.finish()
}

/// Finds the wanted columns in the result.
fn positions(
    prepared: &sqlx::mysql::MySqlStatement,
    wanted: &ResultShape,
) -> Result<Vec<usize>, Reason> {
    let names: Vec<&str> = prepared.columns().iter().map(Column::name).collect();
    match wanted {
        ResultShape::OneValue => Ok((0..names.len()).collect()),
        // What flows is found elsewhere.
        ResultShape::Flow(_) | ResultShape::Plan(_) => Ok(Vec::new()),
        ResultShape::FirstColumn { .. } => Ok((0..names.len().min(1)).collect()),
        ResultShape::Rows { columns, .. } => columns.iter().map(|c| position(&names, c)).collect(),
    }
}
