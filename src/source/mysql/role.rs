//! What the user of a MySQL or MariaDB source could do beyond reading, as the server says, and which server that is.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row};

use crate::source::mysql::grants;
use crate::source::role::Powers;

/// Asks what the user could do beyond reading, its roles included.
pub(super) async fn inspect(conn: &mut MySqlConnection) -> Result<Powers, sqlx::Error> {
    const ROLES: &str = "SELECT DISTINCT role_name FROM information_schema.applicable_roles";
    let mut grants = sqlx::raw_sql("SHOW GRANTS").fetch_all(&mut *conn).await?;
    let mut powers = Powers::default();
    let (mut shown, mut unread) = (BTreeSet::new(), Vec::new());
    // A role that is granted may be switched on by a function, whether it is a default or not.
    for role in sqlx::raw_sql(ROLES).fetch_all(&mut *conn).await.unwrap_or_default() {
        let role: String = role.try_get_unchecked(0)?;
        match grants_of(conn, &role, &mut shown).await? {
            Some(more) => grants.extend(more),
            None => unread.push(role),
        }
    }
    // What comes by another role is shown with that.
    unread.retain(|role| !shown.contains(role));
    let words = unread.iter().map(|role| format!("of the role {role}, which it cannot read"));
    powers.refused.extend(words);
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

/// Reads what a role grants, and which roles are shown with it. One that came by another role shows it only to who has taken
/// that on.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL is put together")]
async fn grants_of(
    conn: &mut MySqlConnection,
    role: &str,
    shown: &mut BTreeSet<String>,
) -> Result<Option<Vec<MySqlRow>>, sqlx::Error> {
    const ENABLED: &str = "SELECT role_name FROM information_schema.enabled_roles";
    let quoted = |role: &str| format!("`{}`", role.replace('`', "``"));
    let role_name = quoted(role);
    // The second is MySQL's own, for roles that a user has and may not look at.
    for sql in [
        format!("SHOW GRANTS FOR {role_name}"),
        format!("SHOW GRANTS FOR CURRENT_USER() USING {role_name}"),
    ] {
        if let Ok(rows) = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *conn).await {
            return Ok(Some(rows));
        }
    }
    let Ok(before) = sqlx::raw_sql("SELECT CURRENT_ROLE()").fetch_one(&mut *conn).await else {
        return Ok(None);
    };
    let before: Option<String> = before.try_get_unchecked(0)?;
    if before.as_deref().is_some_and(|name| name == "NONE" || name.contains('@')) {
        // MySQL shows it among those of the role by which it came.
        return Ok(Some(Vec::new()));
    }
    // MariaDB has one role at a time, and those that come by it.
    let take_on = AssertSqlSafe(format!("SET ROLE {role_name}"));
    let taken = sqlx::raw_sql(take_on).execute(&mut *conn).await.is_ok();
    let rows = sqlx::raw_sql("SHOW GRANTS").fetch_all(&mut *conn).await?;
    for row in sqlx::raw_sql(ENABLED).fetch_all(&mut *conn).await.unwrap_or_default() {
        shown.extend(row.try_get_unchecked::<Option<String>, _>(0)?);
    }
    if !taken {
        return Ok(None);
    }
    let back = before.as_deref().map_or_else(|| "NONE".to_owned(), quoted);
    sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {back}"))).execute(&mut *conn).await?;
    Ok(Some(rows))
}

/// Which server this is, and which database: MySQL draws a number when its data is made, a Galera cluster shares one.
/// MariaDB by itself has none that outlasts its machine, so that the database alone is its own there.
pub(super) async fn identity(conn: &mut MySqlConnection) -> Option<String> {
    const CLUSTER: &str = "SELECT CONCAT(VARIABLE_VALUE, '/', DATABASE()) \
        FROM information_schema.GLOBAL_STATUS \
        WHERE VARIABLE_NAME = 'wsrep_cluster_state_uuid' AND VARIABLE_VALUE <> ''";
    const SERVER: &str = "SELECT CONCAT(@@GLOBAL.server_uuid, '/', DATABASE())";
    const DATABASE: &str = "SELECT CONCAT('?/', DATABASE())";
    let row = match sqlx::raw_sql(CLUSTER).fetch_optional(&mut *conn).await {
        Ok(Some(row)) => row,
        Ok(None) | Err(_) => match sqlx::raw_sql(SERVER).fetch_one(&mut *conn).await {
            Ok(row) => row,
            Err(_) => sqlx::raw_sql(DATABASE).fetch_one(&mut *conn).await.ok()?,
        },
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
