//! Sees whether somebody waits for a lock on a table's definition, which each query holds until it ends: whoever
//! waits for one has everybody behind him who writes to the table.

use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::time::sleep;

/// How long a query runs before we look whether it is in somebody's way, and how often then.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ends when somebody waits for such a lock in the database that a connection of ours works in.
///
/// Only a user with the privilege PROCESS sees the sessions of others; without it this never ends. Whom a session
/// waits for the server does not say, so that a query gives way to whoever waits beside it.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
pub(super) async fn somebody_waits(options: &MySqlConnectOptions, ours: u64) {
    let waiters = format!(
        "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID <> {ours} \
         AND STATE LIKE 'Waiting for table metadata lock%' AND (DB = DATABASE() OR DB IS NULL) LIMIT 1"
    );
    sleep(LOOK_AFTER).await;
    // Boxed: it is large, rare, and part of every attempt's future.
    let Ok(mut conn) = Box::pin(options.connect()).await else {
        return std::future::pending().await;
    };
    loop {
        let sql = AssertSqlSafe(waiters.clone());
        match sqlx::raw_sql(sql).fetch_all(&mut conn).await {
            Ok(rows) if !rows.is_empty() => return,
            Ok(_) => sleep(LOOK_EVERY).await,
            Err(_) => return std::future::pending().await,
        }
    }
}
