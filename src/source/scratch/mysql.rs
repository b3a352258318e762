//! A scratch database of MySQL or MariaDB.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnection;
use tokio::time::timeout;

use crate::domain::sql::Engine;
use crate::dsn::Dsn;
use crate::source::SourceSettings;
use crate::source::mysql::{grants, options};
use crate::source::role::Powers;
use crate::source::scratch::writer::{ScratchError, Writer, how, in_use, not_empty};

/// How long a server may take to let us in.
const OPENS: Duration = Duration::from_secs(10);
/// The table that says what is ours there. As long as tables are made it says so of everything: the database was
/// empty when that began, and each statement is a transaction of its own here.
const MADE: &str = "allswell_scratch";

/// Opens it, where it is one that may be used.
pub(super) async fn open(settings: &SourceSettings) -> Result<MySqlConnection, ScratchError> {
    let Dsn::MySql(server) = &settings.dsn else {
        return Err(ScratchError::new(
            "the scratch database is of another kind",
            how(Engine::MySql),
        ));
    };
    let password = settings.password.as_ref().ok().and_then(Option::as_ref);
    let conn = timeout(OPENS, options(server, password).connect()).await;
    let conn = conn.map_err(|_| ScratchError::new("the scratch database does not answer", ""))?;
    let mut writer = Writer::MySql(conn.map_err(|error| ScratchError::of(&error))?);
    prepare(&mut writer).await?;
    match writer {
        Writer::MySql(conn) => Ok(conn),
        Writer::Sqlite(_) | Writer::Postgres(_) => Err(ScratchError::new("no MySQL", "")),
    }
}

async fn prepare(writer: &mut Writer) -> Result<(), ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    refuse_powers(writer).await?;
    // The session of a run that has just ended, or was killed, is there until its server notices.
    let lock = "SELECT CAST(GET_LOCK(CONCAT('allswell_', MD5(DATABASE())), 3) AS CHAR)";
    if writer.rows(lock).await.map_err(of)?.first().is_none_or(|row| row[0] != "1") {
        return Err(in_use());
    }
    let all = relations(writer).await.map_err(of)?;
    let made = match all.iter().any(|(name, _)| name == MADE) {
        true => writer.rows(&format!("SELECT name FROM {MADE}")).await.map_err(of)?,
        false => Vec::new(),
    };
    let made: Vec<String> = made.into_iter().map(|row| row[0].clone()).collect();
    let is_foreign = |name: &String| {
        name != MADE && !made.contains(name) && !made.iter().any(|name| name == "*")
    };
    let foreign: Vec<String> = all.into_iter().map(|(name, _)| name).filter(is_foreign).collect();
    if !foreign.is_empty() {
        return Err(not_empty(&foreign, Engine::MySql));
    }
    wipe(writer).await.map_err(of)?;
    writer
        .run(
            "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'), \
             foreign_key_checks = 0, time_zone = '+00:00'",
        )
        .await
        .map_err(of)
}

/// Refuses a user that could do harm elsewhere.
async fn refuse_powers(writer: &mut Writer) -> Result<(), ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    let own = writer.rows("SELECT DATABASE()").await.map_err(of)?;
    let own = own.first().map(|row| row[0].clone()).unwrap_or_default();
    let mut powers = Powers::default();
    for grant in writer.rows("SHOW GRANTS").await.map_err(of)? {
        grants::add(&grant[0], &mut powers);
    }
    // In a pattern of names, `\_` is an underscore that stands for itself.
    let is_own = |power: &&String| {
        let target = power.rsplit_once(" on ").map_or("", |(_, target)| target);
        target.replace('\\', "").starts_with(&format!("`{own}`."))
    };
    let elsewhere = powers.needless.iter().find(|power| !is_own(power));
    let Some(power) = powers.refused.first().or(elsewhere) else { return Ok(()) };
    let message = format!(
        "the user of the scratch database has {power}: a mistake in a test could do harm elsewhere"
    );
    Err(ScratchError::new(message, how(Engine::MySql)))
}

/// The tables, views and routines there, each with its kind.
async fn relations(writer: &mut Writer) -> Result<Vec<(String, String)>, sqlx::Error> {
    const ALL: &str = "SELECT table_name, CASE table_type WHEN 'VIEW' THEN 'VIEW' ELSE 'TABLE' END \
        FROM information_schema.tables WHERE table_schema = DATABASE() UNION ALL \
        SELECT routine_name, routine_type FROM information_schema.routines WHERE routine_schema = DATABASE() \
        ORDER BY 1";
    let rows = writer.rows(ALL).await?;
    Ok(rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect())
}

/// Takes away everything that is there; what says whose it is goes last.
async fn wipe(writer: &mut Writer) -> Result<(), sqlx::Error> {
    let mut all = relations(writer).await?;
    all.sort_by_key(|(name, kind)| (name == MADE, kind != "VIEW"));
    let drop = |(name, kind): &(String, String)| {
        format!("DROP {kind} IF EXISTS `{}`", name.replace('`', "``"))
    };
    let drops: Vec<String> = all.iter().map(drop).collect();
    if drops.is_empty() {
        return Ok(());
    }
    writer.run(&format!("SET foreign_key_checks = 0; {}", drops.join("; "))).await
}

/// Makes the tables anew, and writes down that they are ours.
pub(super) async fn build(writer: &mut Writer, schema: &str) -> Result<(), ScratchError> {
    let of = |error: sqlx::Error| ScratchError::of(&error);
    wipe(writer).await.map_err(of)?;
    let begun =
        format!("CREATE TABLE {MADE} (name varchar(400)); INSERT INTO {MADE} (name) VALUES ('*')");
    writer.run(&begun).await.map_err(of)?;
    writer.run(schema).await.map_err(of)?;
    let done = format!(
        "START TRANSACTION; INSERT INTO {MADE} (name) SELECT table_name FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name <> '{MADE}' UNION ALL SELECT routine_name \
         FROM information_schema.routines WHERE routine_schema = DATABASE(); DELETE FROM {MADE} WHERE name = '*'; COMMIT"
    );
    writer.run(&done).await.map_err(of)
}

/// Takes everything away that was made.
pub(super) async fn leave(writer: &mut Writer) {
    drop(wipe(writer).await);
}
