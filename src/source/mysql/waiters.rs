//! Sees whether a session waits for a lock on a table's definition, which each query holds until it ends: a session that
//! waits for one holds up every session that writes to the table.

use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::time::sleep;

/// How long a query runs before the daemon looks whether it is in the way, and how often then.
const LOOK_AFTER: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Ends when a session waits for such a lock in the database that a connection of ours works in.
///
/// Only a user with the privilege PROCESS sees the sessions of others; where it has not, there is no look. Which session a session
/// waits for the server does not say, so that a query gives way to any session that waits beside it.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
pub(super) async fn somebody_waits(options: &MySqlConnectOptions, sees_others: bool, ours: u64) {
    if !sees_others {
        return std::future::pending().await;
    }
    let waiters = format!(
        "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID <> {ours} \
         AND STATE LIKE 'Waiting for table metadata lock%' AND (DB = DATABASE() OR DB IS NULL) LIMIT 1"
    );
    sleep(LOOK_AFTER).await;
    loop {
        // Boxed: it is large, rare, and part of every attempt's future. A user may have no connection left just now.
        if let Ok(mut conn) = Box::pin(options.connect()).await {
            let mut ask =
                async || sqlx::raw_sql(AssertSqlSafe(waiters.clone())).fetch_all(&mut conn).await;
            while let Ok(rows) = ask().await {
                if !rows.is_empty() {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
