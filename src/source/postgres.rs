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
mod standby;
mod guards;
mod takeover;
mod failure;

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use secrecy::SecretString;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::dial::Route;
use crate::domain::check::reason::{Cause, Reason};
use crate::dsn;
use crate::source::SourceSettings;
use crate::source::ask::{Ask, Question, Reply, ResultShape};
use crate::source::bind::{Prepared, Style, bind_typed};
use crate::source::collect::{Collector, Demand, Fetched, whole};
use crate::source::known::Known;
use crate::source::memory::Guard;
use crate::source::postgres::control::{Control, Identity};
use crate::source::postgres::decode::Reading;
use crate::source::postgres::errors::Phase;
use crate::source::postgres::failure::Failure;
use crate::source::postgres::guards::{Begun, Limits, SearchPath, begin, guards, preamble};
use crate::source::postgres::role::inspect;
use crate::source::postgres::standby::Standby;
use crate::source::postgres::wrapped::Wrapped;
use crate::source::role::{Powers, Role};
use crate::source::server;
use crate::source::their_clock::TheirClock;
use crate::source::watch::{CONNECT, SHORT, Watched, opening, short};

/// How long an idle connection is kept, and how long any connection is used.
const IDLE_MAX: Duration = Duration::from_secs(300);
const AGE_MAX: Duration = Duration::from_secs(1800);

/// The keeper of connections to one PostgreSQL database.
pub(super) struct Postgres {
    route: Route,
    control: Control,
    idle: Mutex<Vec<Session>>,
    pub(super) role: Role,
    search_path: SearchPath,
    known: Known,
    pub(super) clock: TheirClock,
    standby: Standby,
    /// The newest timeline of the cluster that was seen last, and which that is.
    newest: Mutex<Option<(String, i64)>>,
    /// Makes the name of each attempt at the server its own, across processes too.
    nonce: u64,
    attempts: AtomicU64,
}

struct Session {
    /// Which of several servers it is at.
    server: usize,
    conn: PgConnection,
    opened: Instant,
    used: Instant,
}

/// The replies so far, and whether the server has sent all that it would.
struct Asked {
    replies: Vec<Reply>,
    drained: bool,
}

impl Postgres {
    pub(super) fn new(
        server: &dsn::Server,
        password: Option<&SecretString>,
        settings: &SourceSettings,
    ) -> Self {
        Self {
            control: Control::new(Route::new(server, password, "allswell/control")),
            route: Route::new(server, password, "allswell"),
            idle: Mutex::new(Vec::new()),
            role: Role::new("the role is", settings.allow_superuser),
            search_path: SearchPath::new(&settings.search_path),
            known: Known::default(),
            clock: TheirClock::default(),
            standby: Standby::new(settings.standby_is_direct),
            newest: Mutex::default(),
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
                Err(Failure::Real(reason) | Failure::Waits(reason)) => {
                    return Err(self.role.explained(reason, ask.timeout));
                }
                // A fresh connection will tell.
                Err(Failure::Stale | Failure::Unprepared | Failure::Standby) => {}
            }
        }
        let session = self.open(stop).await?;
        match self.attempt(session, ask, stop, false).await {
            Ok(replies) => Ok(replies),
            Err(Failure::Real(reason) | Failure::Waits(reason)) => {
                Err(self.role.explained(reason, ask.timeout))
            }
            Err(Failure::Stale | Failure::Unprepared | Failure::Standby) => {
                Err(Reason::new(Cause::Connect, "the connection did not keep its statements"))
            }
        }
    }

    async fn open(&self, stop: &CancellationToken) -> Result<Session, Reason> {
        let explain = |e: &sqlx::Error| errors::reason(e, Phase::Connecting).note;
        let connected = self.route.connect(CONNECT, explain, self);
        let failed = |e: &sqlx::Error| errors::reason(e, Phase::Connecting);
        let (number, mut conn) = opening(connected, stop, failed).await?;
        if !self.role.is_known() {
            let version = query(&mut conn, "SELECT pg_catalog.version()".to_owned());
            let version = short(version, stop, |e| errors::reason(e, Phase::Ours)).await?;
            let version: String = version.try_get(0).unwrap_or_default();
            server::postgres(&version)?;
            let powers = short(inspect(&mut conn), stop, |e| errors::reason(e, Phase::Ours));
            // The rest of it is about the compiler.
            let server = version.split(['(', ',']).next().unwrap_or_default();
            let server = server.split(" on ").next().unwrap_or_default().trim().to_owned();
            self.role.judge(Powers { server, ..powers.await? })?;
        }
        let now = Instant::now();
        Ok(Session { server: number, conn, opened: now, used: now })
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
        let ask = &*ask.within(self.role.limit());
        for question in &ask.questions {
            let looked =
                bound_types::look(&self.known, &mut session.conn, question, &self.search_path.set);
            short::<_, Reason, Failure>(looked, stop, |reason| reason.clone().into()).await?;
        }
        let (mut lessons, mut is_standby) = (0, false);
        let asked = loop {
            let follows = ask.unsaid().is_some() && (is_standby || self.standby.is_known());
            match self.ask_all(&mut session, (ask, follows), stop, reused).await {
                // Each question teaches the driver its types once; then all is asked again, so
                // that all is seen in one snapshot.
                Err(Failure::Unprepared) if lessons < ask.questions.len() => {
                    lessons += 1;
                    let undone = run(&mut session.conn, "ROLLBACK".to_owned());
                    short::<_, _, Failure>(undone, stop, |e| ours(e).into()).await?;
                }
                // It is a standby since a moment ago, or another server answers than the last time.
                Err(Failure::Standby) if !is_standby => {
                    is_standby = true;
                    let undone = run(&mut session.conn, "ROLLBACK".to_owned());
                    short::<_, _, Failure>(undone, stop, |e| ours(e).into()).await?;
                }
                Err(Failure::Waits(reason)) => {
                    // Nothing is wrong with the connection: it is asked again in a while.
                    let clean = short(end(&mut session.conn), stop, |e| Failure::from(ours(e)));
                    if clean.await? {
                        self.keep(session);
                    }
                    return Err(Failure::Real(reason));
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
        Session { conn, server, .. }: &mut Session,
        (ask, follows): (&Ask, bool),
        stop: &CancellationToken,
        reused: bool,
    ) -> Result<Asked, Failure> {
        let name = self.attempt_name(ask);
        let limits = Limits { name: &name, search_path: &self.search_path };
        let opening = preamble(conn, ask, &limits, follows);
        let begun = short(begin(conn, opening), stop, |e| lost(e, reused)).await?;
        let Begun { identity, clock, in_recovery, followed, .. } = begun;
        let identity = Identity { server: *server, ..identity };
        if let Some(reason) = &begun.refusal {
            return Err(Failure::Real(reason.clone()));
        }
        self.standby.learn(in_recovery);
        match (ask.unsaid(), followed) {
            (Some(needed), Some(followed)) if in_recovery => {
                self.standby.judge(&followed, &needed).map_err(Failure::Waits)?;
            }
            (Some(_), None) if in_recovery => return Err(Failure::Standby),
            (Some(_) | None, _) => {}
        }
        self.clock.note(clock);
        ask.is_over(clock).map_err(Failure::Waits)?;
        let mut replies = Vec::with_capacity(ask.questions.len());
        for (place, question) in ask.questions.iter().enumerate() {
            if place > 0 {
                let anew = run(conn, guards(conn, ask, &limits));
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
            ask.admits(question, &fetched.reply, clock).map_err(Failure::Waits)?;
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

/// What became of a statement of ours: a connection that was idle may have been closed in the meantime.
fn lost(error: &sqlx::Error, reused: bool) -> Failure {
    let gone = matches!(error, sqlx::Error::Io(_)) || errors::is_shutdown(error);
    if reused && gone { Failure::Stale } else { errors::reason(error, Phase::Ours).into() }
}

/// Says of which query of the check something went wrong.
fn blamed(question: &Question, failure: Failure) -> Failure {
    match failure {
        Failure::Real(reason) => Failure::Real(question.blame(reason)),
        Failure::Waits(_) | Failure::Stale | Failure::Unprepared | Failure::Standby => failure,
    }
}

/// Runs statements of ours and returns all rows that they bring.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn query_all(conn: &mut PgConnection, sql: String) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(conn).await
}

/// Runs statements of ours and returns the one row that they bring.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn query(conn: &mut PgConnection, sql: String) -> Result<PgRow, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(conn).await
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

/// Has the server plan a query, for which it looks at names, types and rights.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn plan(
    conn: &mut PgConnection,
    question: &Question,
    wanted: &ResultShape,
) -> Result<Fetched, Failure> {
    let bound = Prepared::new(question, Style::Dollar);
    let rows_asked = Collector::new(wanted).rows_asked();
    let wrapped = Wrapped::new(&bound.text, wanted, rows_asked).explained();
    let query = sqlx::query(AssertSqlSafe(wrapped.sql.clone())).persistent(false);
    let planned = bind_typed!(query, bound.values).fetch_all(conn).await;
    planned.map(|_| Fetched { reply: Reply::Planned, drained: true }).map_err(|e| {
        let phase = Phase::Theirs { wrapped: &wrapped, limit: Duration::MAX, ran: Duration::ZERO };
        Failure::Real(errors::reason(&e, phase))
    })
}

/// Fetches what is wanted of one query's result.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut PgConnection,
    question: &Question,
    limit: Duration,
) -> Result<Fetched, Failure> {
    if let ResultShape::Plan(wanted) = &question.wanted {
        return plan(conn, question, wanted).await;
    }
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
