//! PostgreSQL: one guarded read-only transaction per attempt.
//!
//! The rules and their measurements are in docs/internals/databases.md, "A PostgreSQL attempt": limits set inside the
//! transaction, so that they work through PgBouncer and a check cannot switch them off for the next
//! one; the user's SQL on the extended protocol, so that the server refuses a second statement;
//! always ROLLBACK, which undoes whatever the SQL set.

mod control;
mod decode;
mod flow;
mod collation_merge;
mod errors;
mod wrapped;
mod role;
mod bound_types;

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::dial;
use crate::domain::check::reason::{Cause, Reason};
use crate::dsn::Server;
use crate::source::ask::{Ask, Question, Reply, ResultShape};
use crate::source::bind::{Prepared, Style, bind_typed};
use crate::source::collect::{Collector, Demand, Fetched, whole};
use crate::source::known::Known;
use crate::source::memory::Guard;
use crate::source::postgres::control::{Control, Identity};
use crate::source::postgres::decode::Reading;
use crate::source::postgres::errors::Phase;
use crate::source::postgres::role::inspect;
use crate::source::postgres::wrapped::Wrapped;
use crate::source::role::Role;
use crate::source::their_clock::TheirClock;
use crate::source::watch::{SHORT, Watched, opening, short};

/// How long an idle connection is kept, and how long any connection is used.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// How long a transaction may wait for what takes its rows.
const FLOW_IDLE: Duration = Duration::from_secs(600);
const AGE_MAX: Duration = Duration::from_secs(1800);

/// The keeper of connections to one PostgreSQL database.
pub(super) struct Postgres {
    options: PgConnectOptions,
    control: Control,
    idle: Mutex<Vec<Session>>,
    pub(super) role: Role,
    known: Known,
    pub(super) clock: TheirClock,
    /// Makes the name of each attempt at the server its own, across processes too.
    nonce: u64,
    attempts: AtomicU64,
}

struct Session {
    conn: PgConnection,
    opened: Instant,
    used: Instant,
}

/// The replies so far, and whether the server has sent all that it would.
struct Asked {
    replies: Vec<Reply>,
    drained: bool,
}

/// How an attempt went wrong.
enum Failure {
    /// The idle connection was closed in the meantime.
    Stale,
    /// The driver looked up a type of the result, and lost the unnamed statement over it.
    Unprepared,
    /// Something to be told.
    Real(Reason),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Real(reason)
    }
}

impl Postgres {
    pub(super) fn new(
        server: &Server,
        password: Option<&SecretString>,
        allow_superuser: bool,
    ) -> Self {
        let options = dial::postgres(server, password);
        Self {
            control: Control::new(options.clone().application_name("allswell/control")),
            options,
            idle: Mutex::new(Vec::new()),
            role: Role::new("the role is", allow_superuser),
            known: Known::default(),
            clock: TheirClock::default(),
            nonce: RandomState::new().hash_one(0_u8) & 0xffff_ffff,
            attempts: AtomicU64::new(0),
        }
    }

    pub(super) async fn observe(
        &self,
        ask: &Ask,
        stop: &CancellationToken,
    ) -> Result<Vec<Reply>, Reason> {
        if let Some(session) = self.take_idle() {
            match self.attempt(session, ask, stop, true).await {
                Ok(replies) => return Ok(replies),
                Err(Failure::Real(reason)) => return Err(reason),
                // A fresh connection will tell.
                Err(Failure::Stale | Failure::Unprepared) => {}
            }
        }
        let session = self.open(stop).await?;
        match self.attempt(session, ask, stop, false).await {
            Ok(replies) => Ok(replies),
            Err(Failure::Real(reason)) => Err(reason),
            Err(Failure::Stale | Failure::Unprepared) => {
                Err(Reason::new(Cause::Connect, "the connection did not keep its statements"))
            }
        }
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Session, Reason> {
        let mut conn =
            opening(self.options.connect(), stop, |e| errors::reason(e, Phase::Connecting)).await?;
        if !self.role.is_known() {
            let powers = short(inspect(&mut conn), stop, |e| errors::reason(e, Phase::Ours));
            self.role.judge(powers.await?)?;
        }
        let now = Instant::now();
        Ok(Session { conn, opened: now, used: now })
    }

    /// Takes a connection that is open; none where the role is to be looked at again.
    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().ok()?;
        if !self.role.is_known() {
            idle.clear();
        }
        let now = Instant::now();
        idle.retain(|s| now - s.used < IDLE_MAX && now - s.opened < AGE_MAX);
        idle.pop()
    }

    fn keep(&self, mut session: Session) {
        session.used = Instant::now();
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(session);
        }
    }

    /// Runs one attempt; the connection is kept only if nothing at all went wrong.
    async fn attempt(
        &self,
        mut session: Session,
        ask: &Ask,
        stop: &CancellationToken,
        reused: bool,
    ) -> Result<Vec<Reply>, Failure> {
        let ours = |e: &sqlx::Error| errors::reason(e, Phase::Ours);
        for question in &ask.questions {
            let looked = bound_types::look(&self.known, &mut session.conn, question);
            short::<_, Reason, Failure>(looked, stop, |reason| reason.clone().into()).await?;
        }
        let mut lessons = 0;
        let asked = loop {
            match self.ask_all(&mut session.conn, ask, stop, reused).await {
                // Each question teaches the driver its types once; then all is asked again, so
                // that all is seen in one snapshot.
                Err(Failure::Unprepared) if lessons < ask.questions.len() => {
                    lessons += 1;
                    let undone = run(&mut session.conn, "ROLLBACK".to_owned());
                    short::<_, _, Failure>(undone, stop, |e| ours(e).into()).await?;
                }
                asked => break asked?,
            }
        };
        if !asked.drained {
            // The rest is still on its way, and goes with the connection.
            return whole(asked.replies, ask).map_err(Failure::Real);
        }
        let clean = short::<_, _, Failure>(end(&mut session.conn), stop, |e| ours(e).into());
        if clean.await? {
            self.keep(session);
        }
        Ok(asked.replies)
    }

    /// Opens the transaction and asks every question in it.
    async fn ask_all(
        &self,
        conn: &mut PgConnection,
        ask: &Ask,
        stop: &CancellationToken,
        reused: bool,
    ) -> Result<Asked, Failure> {
        let name = self.attempt_name(ask);
        let opening = preamble(conn, ask, &name);
        let begun = short(begin(conn, opening), stop, |e| {
            let stale = matches!(e, sqlx::Error::Io(_)) || errors::is_shutdown(e);
            if reused && stale {
                return Failure::Stale;
            }
            Failure::Real(errors::reason(e, Phase::Ours))
        });
        let (identity, clock) = begun.await?;
        self.clock.note(clock);
        if let Err(reason) = ask.is_over(clock) {
            let undone = run(conn, "ROLLBACK".to_owned());
            short::<_, _, Failure>(undone, stop, |e| errors::reason(e, Phase::Ours).into()).await?;
            return Err(Failure::Real(reason));
        }
        let mut replies = Vec::with_capacity(ask.questions.len());
        for (place, question) in ask.questions.iter().enumerate() {
            if place > 0 {
                let anew = run(conn, guards(conn, ask, &name));
                let failed = |e: &sqlx::Error| Failure::Real(errors::reason(e, Phase::Ours));
                short(anew, stop, failed).await?;
            }
            if let ResultShape::Flow(flow) = &question.wanted {
                let flowed = self.flow(conn, (ask, question, flow), &identity, stop).await;
                let drained = flowed.map_err(|failure| blamed(question, failure))?;
                replies.push(Reply::Flowed);
                if !drained {
                    drop(timeout(SHORT, self.control.cancel(&identity)).await);
                    return Ok(Asked { replies, drained: false });
                }
                continue;
            }
            let watched = Watched {
                work: fetch(conn, question, ask.timeout),
                limit: ask.timeout,
                stop,
                in_the_way: self.control.somebody_waits_for(&identity),
                memory: Guard::over(self.control.ending(&identity)),
                cancel: self.control.cancel(&identity),
                terminate: self.control.terminate(&identity),
            };
            let fetched = watched.end().await.map_err(|failure| blamed(question, failure))?;
            replies.push(fetched.reply);
            if !fetched.drained {
                drop(timeout(SHORT, self.control.cancel(&identity)).await);
                return Ok(Asked { replies, drained: false });
            }
        }
        Ok(Asked { replies, drained: true })
    }

    /// Names an attempt at the server, for its administrator.
    fn attempt_name(&self, ask: &Ask) -> String {
        // 63 bytes are what PostgreSQL keeps of a name.
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) & 0xff_ffff;
        let check: String = ask.check.as_str().chars().take(38).collect();
        format!("allswell/{check}#{:08x}{number:x}", self.nonce)
    }
}

/// Says of which query of the check something went wrong.
fn blamed(question: &Question, failure: Failure) -> Failure {
    match failure {
        Failure::Real(reason) => Failure::Real(question.blame(reason)),
        Failure::Stale | Failure::Unprepared => failure,
    }
}

/// Writes the opening of the transaction: one round trip for all limits, and for who we are there.
fn preamble(conn: &PgConnection, ask: &Ask, name: &str) -> String {
    let several = ask.questions.len() > 1 || ask.flows();
    let isolation = if several { " ISOLATION LEVEL REPEATABLE READ" } else { "" };
    let mut sql = format!("BEGIN READ ONLY{isolation}; {}", guards(conn, ask, name));
    // What flows has no end that is known beforehand: each of its statements has its limit.
    if conn.server_version_num().unwrap_or(0) >= 170_000 && !ask.flows() {
        // The whole connection ends: the last resort, after everything else had its chance.
        let questions = u128::try_from(ask.questions.len()).unwrap_or(1);
        let all_ms = ask.timeout.as_millis() * questions + (SHORT * 3).as_millis();
        let _ = write!(sql, "; SET LOCAL transaction_timeout = {all_ms}");
    }
    sql.push_str(
        "; SELECT pg_catalog.pg_backend_pid()::text, pg_catalog.now()::text, \
         (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint::text",
    );
    sql
}

/// Writes the limits of the next query. A function that an earlier one called may have changed
/// them, so they are set anew before each.
fn guards(conn: &PgConnection, ask: &Ask, name: &str) -> String {
    let mut sql = format!(
        "SET LOCAL statement_timeout = {limit_ms}; \
         SET LOCAL lock_timeout = 1000; \
         SET LOCAL idle_in_transaction_session_timeout = {idle_ms}; \
         SET LOCAL row_security = off; \
         SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL work_mem = '16MB'; \
         SET LOCAL max_parallel_workers_per_gather = 0; \
         SET LOCAL jit = off; \
         SET LOCAL client_min_messages = error; \
         SET LOCAL application_name = '{name}'",
        limit_ms = ask.timeout.as_millis(),
        // Whoever has ended waits for the other side's statement.
        idle_ms = if ask.flows() { FLOW_IDLE.max(ask.timeout * 2) } else { SHORT * 2 }.as_millis(),
    );
    if conn.server_version_num().unwrap_or(0) >= 140_000 {
        // A busy server does not read its socket: this is how it notices that we died.
        sql.push_str("; SET LOCAL client_connection_check_interval = 1000");
    }
    sql
}

/// Opens the transaction and returns who we are in it, and what time it is there.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn begin(
    conn: &mut PgConnection,
    sql: String,
) -> Result<(Identity, Option<DateTime<Utc>>), sqlx::Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(conn).await?;
    let micros: &str = row.try_get(2)?;
    let clock = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
    Ok((Identity { pid: row.try_get(0)?, began: row.try_get(1)? }, clock))
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn run(conn: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(|_| ())
}

/// Ends the transaction and says whether the session is as it was before.
///
/// ROLLBACK undoes settings. It keeps session locks, which are given back, and statements that a
/// function prepared, after which the session is not used again.
async fn end(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const END: &str = "ROLLBACK; \
        SELECT pg_catalog.pg_advisory_unlock_all()::text, \
               (SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql)::text";
    let row = sqlx::raw_sql(END).fetch_one(conn).await?;
    let left: &str = row.try_get(1)?;
    Ok(left == "0")
}

/// Fetches what is wanted of one query's result.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut PgConnection,
    question: &Question,
    limit: Duration,
) -> Result<Fetched, Failure> {
    let mut collector = Collector::new(&question.wanted);
    let bound = Prepared::new(question, Style::Dollar);
    let wrapped = Wrapped::new(&bound.text, &question.wanted, collector.rows_asked());
    let started = Instant::now();
    let trouble = |e: &sqlx::Error| {
        if errors::is_lost_statement(e) {
            return Failure::Unprepared;
        }
        let ran = started.elapsed();
        Failure::Real(errors::reason(e, Phase::Theirs { wrapped: &wrapped, limit, ran }))
    };
    let query = sqlx::query(AssertSqlSafe(wrapped.sql.clone())).persistent(false);
    let mut rows = bind_typed!(query, bound.values).fetch(&mut *conn);
    let mut readings: Option<Vec<Reading>> = None;
    while let Some(row) = rows.try_next().await.map_err(|e| trouble(&e))? {
        let readings = match &readings {
            Some(readings) => readings,
            None => readings.insert(decode::readings(&row, &wrapped.columns)?),
        };
        let appetite = match decode::row(&row, readings)? {
            Some((values, bytes)) => collector.push(values, bytes),
            None => collector.too_large(),
        };
        match appetite {
            Demand::More | Demand::Enough => {}
            Demand::TooMuch => break,
        }
    }
    drop(rows);
    Ok(collector.finish()?)
}
