//! What the user of a MySQL or MariaDB source could do beyond reading, as the server says, and which server that is.

use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row};

use crate::source::mysql::grants;
use crate::source::role::Powers;

/// Asks what the user could do beyond reading, its roles included.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
pub(super) async fn inspect(conn: &mut MySqlConnection) -> Result<Powers, sqlx::Error> {
    const ROLES: &str = "SELECT DISTINCT role_name FROM information_schema.applicable_roles";
    let mut grants = sqlx::raw_sql("SHOW GRANTS").fetch_all(&mut *conn).await?;
    let mut powers = Powers::default();
    // A role that is granted may be switched on by a function, whether it is a default or not.
    for role in sqlx::raw_sql(ROLES).fetch_all(&mut *conn).await.unwrap_or_default() {
        let role: String = role.try_get_unchecked(0)?;
        let sql = format!("SHOW GRANTS FOR `{}`", role.replace('`', "``"));
        match sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *conn).await {
            Ok(more) => grants.extend(more),
            Err(_) => powers.refused.push(format!("of the role {role}, which it cannot read,")),
        }
    }
    for row in &grants {
        let grant: String = row.try_get_unchecked(0)?;
        grants::add(&grant, &mut powers);
    }
    powers.limit = limit(conn).await;
    powers.identity = identity(conn).await;
    for list in [&mut powers.refused, &mut powers.needless] {
        list.sort();
        list.dedup();
    }
    Ok(powers)
}

/// Which server this is, and which database: MySQL draws a number when its data is made, a Galera cluster shares one.
/// MariaDB by itself has none.
async fn identity(conn: &mut MySqlConnection) -> Option<String> {
    const CLUSTER: &str = "SELECT CONCAT(VARIABLE_VALUE, '/', DATABASE()) \
        FROM information_schema.GLOBAL_STATUS \
        WHERE VARIABLE_NAME = 'wsrep_cluster_state_uuid' AND VARIABLE_VALUE <> ''";
    const SERVER: &str = "SELECT CONCAT(@@GLOBAL.server_uuid, '/', DATABASE())";
    let row = match sqlx::raw_sql(CLUSTER).fetch_optional(&mut *conn).await {
        Ok(Some(row)) => row,
        Ok(None) | Err(_) => sqlx::raw_sql(SERVER).fetch_one(&mut *conn).await.ok()?,
    };
    let id: &str = row.try_get_unchecked(0).ok()?;
    Some(format!("mysql {id}"))
}

/// The longest that the server lets the statements of this user run, which is what a new session begins with.
async fn limit(conn: &mut MySqlConnection) -> Option<Duration> {
    const MARIADB: &str = "SELECT CAST(ROUND(@@SESSION.max_statement_time * 1000) AS CHAR)";
    const MYSQL: &str = "SELECT CAST(@@SESSION.max_execution_time AS CHAR)";
    let row = match sqlx::raw_sql(MARIADB).fetch_one(&mut *conn).await {
        Ok(row) => row,
        Err(_) => sqlx::raw_sql(MYSQL).fetch_one(&mut *conn).await.ok()?,
    };
    let millis: &str = row.try_get_unchecked(0).ok()?;
    let millis: u64 = millis.parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}
