//! The control connection: stops our own queries, and sees whether another session waits for one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::dial::Route;
use crate::source::memory::End;

/// How long a query runs before the daemon looks whether it is in the way, and how often then.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

const TERMINATE: &str = "\
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
    WHERE pid = $1::integer AND xact_start = $2::timestamptz AND usename = session_user";

/// Who an attempt is at the server: a process, and when its transaction began.
///
/// Both together name no other transaction, not even one that a pooler put on the same process in
/// the meantime, and no function of a check's can change them, as it could a name.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Which of several servers it is at.
    pub(super) server: usize,
    pub(super) pid: String,
    pub(super) began: String,
}

/// One connection at most, opened when it is first needed.
pub(super) struct Control {
    route: Arc<Route>,
    turn: Semaphore,
    /// The connection, and which of several servers it is at.
    conn: Mutex<Option<(usize, PgConnection)>>,
}

impl Control {
    pub(super) fn new(route: Route) -> Self {
        Self { route: Arc::new(route), turn: Semaphore::new(1), conn: Mutex::new(None) }
    }

    /// Stops what the attempt runs, if it still does.
    pub(super) async fn cancel(&self, attempt: &Identity) {
        const CANCEL: &str = "\
            SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity \
            WHERE pid = $1::integer AND xact_start = $2::timestamptz AND usename = session_user";
        // Whether it worked or not, the connection of the attempt is thrown away next.
        drop(self.ask(CANCEL, attempt).await);
    }

    /// Ends the session in which the attempt still runs: a function may catch what
    /// [`Control::cancel`] sends.
    pub(super) async fn terminate(&self, attempt: &Identity) {
        drop(self.ask(TERMINATE, attempt).await);
    }

    /// The same over a connection of its own, for a thread that has nothing of ours.
    pub(super) fn ending(&self, attempt: &Identity) -> End {
        let (route, attempt) = (Arc::clone(&self.route), attempt.clone());
        Box::new(move || {
            Box::pin(async move {
                if let Ok(mut conn) = route.to(attempt.server).await {
                    drop(brings_a_row(&mut conn, TERMINATE, &attempt).await);
                }
            })
        })
    }

    /// Ends when another session waits for a lock that the attempt holds.
    pub(super) async fn somebody_waits_for(&self, attempt: &Identity) {
        const WAITERS: &str = "\
            SELECT 1 FROM pg_catalog.pg_stat_activity a, pg_catalog.pg_locks w \
            WHERE a.pid = $1::integer AND a.xact_start = $2::timestamptz \
              AND a.usename = session_user AND NOT w.granted \
              AND a.pid = ANY (pg_catalog.pg_blocking_pids(w.pid)) LIMIT 1";
        sleep(LOOK_AFTER).await;
        loop {
            if matches!(self.ask(WAITERS, attempt).await, Ok(true)) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Runs one of our queries and says whether it brought a row.
    async fn ask(&self, sql: &'static str, attempt: &Identity) -> Result<bool, sqlx::Error> {
        let Ok(_turn) = self.turn.acquire().await else { return Ok(false) };
        let kept = self.conn.lock().ok().and_then(|mut conn| conn.take());
        let mut conn = match kept {
            Some((server, conn)) if server == attempt.server => conn,
            // Boxed: it is large, rare, and part of every attempt's future.
            Some(_) | None => Box::pin(self.route.to(attempt.server)).await?,
        };
        let any = brings_a_row(&mut conn, sql, attempt).await?;
        if let Ok(mut kept) = self.conn.lock() {
            *kept = Some((attempt.server, conn));
        }
        Ok(any)
    }
}

async fn brings_a_row(
    conn: &mut PgConnection,
    sql: &'static str,
    attempt: &Identity,
) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(sql).bind(&attempt.pid).bind(&attempt.began).persistent(false);
    let rows = query.fetch_all(&mut *conn).await?;
    Ok(rows.iter().any(|row| !row.is_empty()))
}
