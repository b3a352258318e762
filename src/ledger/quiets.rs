//! Checks that an operator keeps quiet for a while.

use chrono::{DateTime, Utc};

use crate::domain::alerting::quiet::Quiet;
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, args};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::{Happened, LedgerError, PATIENCE, Store};

/// What keeps a check quiet, by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepQuiet {
    /// Which check.
    pub check: String,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

/// What ends it, by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndQuiet {
    /// Of which check.
    pub check: String,
    /// Only this row; all of the check where none is named.
    pub id: Option<i64>,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
}

fn read(record: &Record) -> Result<Quiet, LedgerError> {
    Ok(Quiet {
        id: record.int("id")?,
        check: record.text("check_id")?.to_owned(),
        by: record.text("by_whom")?.to_owned(),
        because: record.text("because")?.to_owned(),
        from: record.at("at")?,
        until: record.at("until_at")?,
        ended_at: record.maybe_at("ended_at")?,
    })
}

fn happened(check: &str, becomes: &str, note: String) -> Happened {
    Happened {
        kind: "quiet",
        check: Some(check.to_owned()),
        tz: None,
        was: String::new(),
        becomes: becomes.to_owned(),
        note,
    }
}

/// Those whose time is not over; those that were ended before it too.
async fn all(conn: &mut Conn, now: DateTime<Utc>) -> Result<Vec<Quiet>, LedgerError> {
    const ALL: &str = "SELECT id, at, check_id, by_whom, because, until_at, ended_at FROM quiets \
        WHERE until_at > $1 ORDER BY id";
    conn.all(ALL, args![now]).await?.iter().map(read).collect()
}

impl Store {
    /// The checks that are kept quiet, and those that were until a while ago.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn quiets(&mut self, host_now: DateTime<Utc>) -> Result<Vec<Quiet>, LedgerError> {
        self.on(PATIENCE, async |conn, _| {
            let now = conn.now(host_now).await?;
            all(conn, now).await
        })
        .await
    }

    /// Writes down that a check is kept quiet. Returns its number, and all that are.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn keep_quiet(
        &mut self,
        keep: &KeepQuiet,
        host_now: DateTime<Utc>,
    ) -> Result<(i64, Vec<Quiet>), LedgerError> {
        const KEEP: &str = "INSERT INTO quiets (at, check_id, by_whom, because, until_at) \
            VALUES ($1, $2, $3, $4, $5) RETURNING id";
        const FORGET: &str = "DELETE FROM quiets WHERE until_at <= $1";
        self.on(PATIENCE, async |conn, settings| {
            let KeepQuiet { check, until, by, because } = keep;
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            conn.run(FORGET, args![now]).await?;
            let kept = args![now, check.as_str(), by.as_str(), because.as_str(), *until];
            let row = conn.first(KEEP, kept).await?;
            let id = row.map(|row| row.int("id")).transpose()?;
            let id = id.ok_or_else(|| LedgerError::odd("a row without a number"))?;
            let note = format!("until {} by {by}: {because}", until.format("%Y-%m-%dT%H:%M:%SZ"));
            let event = event_values(settings, now, happened(check, "quiet", note), None);
            add_events(conn, &[event]).await?;
            let all = all(conn, now).await?;
            conn.commit().await?;
            Ok((id, all))
        })
        .await
    }

    /// Writes down that checks are quiet no longer. Returns how many rows that ended, and all that there are.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn end_quiet(
        &mut self,
        end: &EndQuiet,
        host_now: DateTime<Utc>,
    ) -> Result<(u64, Vec<Quiet>), LedgerError> {
        const END: &str = "UPDATE quiets SET ended_at = $1 WHERE check_id = $2 AND ended_at IS NULL \
            AND until_at > $3 AND ($4 = 0 OR id = $4)";
        let EndQuiet { check, id, by, because } = end;
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let ended = conn.run(END, args![now, check.as_str(), now, id.unwrap_or(0)]).await?;
            if ended > 0 {
                let event = happened(check, "told again", format!("by {by}: {because}"));
                add_events(conn, &[event_values(settings, now, event, None)]).await?;
            }
            let all = all(conn, now).await?;
            conn.commit().await?;
            Ok((ended, all))
        })
        .await
    }
}
