//! The control connection: stops our own queries, and sees whether somebody waits for one.

use std::sync::Mutex;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Row};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// How long a query runs before we look whether it is in somebody's way, and how often then.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One connection at most, opened when it is first needed.
pub(super) struct Control {
    options: PgConnectOptions,
    turn: Semaphore,
    conn: Mutex<Option<PgConnection>>,
}

impl Control {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, turn: Semaphore::new(1), conn: Mutex::new(None) }
    }

    /// Stops the attempt of this name, if it still runs.
    ///
    /// The name is the attempt's own, so no other query can be hit, not even one that a pooler put
    /// on the same server process in the meantime.
    pub(super) async fn cancel(&self, attempt: &str) {
        const CANCEL: &str = "\
            SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity \
            WHERE application_name = $1 AND usename = session_user \
              AND state <> 'idle' AND pid <> pg_catalog.pg_backend_pid()";
        // Whether it worked or not, the connection of the attempt is thrown away next.
        drop(self.ask(CANCEL, attempt).await);
    }

    /// Ends the session in which the attempt of this name still runs: a function may catch what
    /// [`Control::cancel`] sends.
    pub(super) async fn terminate(&self, attempt: &str) {
        const TERMINATE: &str = "\
            SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
            WHERE application_name = $1 AND usename = session_user \
              AND state <> 'idle' AND pid <> pg_catalog.pg_backend_pid()";
        drop(self.ask(TERMINATE, attempt).await);
    }

    /// Ends when somebody waits for a lock that the attempt of this name holds.
    pub(super) async fn somebody_waits_for(&self, attempt: &str) {
        const WAITERS: &str = "\
            SELECT 1 FROM pg_catalog.pg_stat_activity a, pg_catalog.pg_locks w \
            WHERE a.application_name = $1 AND a.usename = session_user AND NOT w.granted \
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
    async fn ask(&self, sql: &'static str, attempt: &str) -> Result<bool, sqlx::Error> {
        let Ok(_turn) = self.turn.acquire().await else { return Ok(false) };
        let kept = self.conn.lock().ok().and_then(|mut conn| conn.take());
        let mut conn = match kept {
            Some(conn) => conn,
            // Boxed: it is large, rare, and part of every attempt's future.
            None => Box::pin(self.options.connect()).await?,
        };
        let rows = sqlx::query(sql).bind(attempt).persistent(false).fetch_all(&mut conn).await?;
        if let Ok(mut kept) = self.conn.lock() {
            *kept = Some(conn);
        }
        Ok(rows.iter().any(|row| !row.is_empty()))
    }
}
