//! Catalogues that wait for approval, and the word; catalogues that an operator went back to.

use chrono::{DateTime, Utc};

use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, args};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::schema::{get, put};
use crate::ledger::{Activation, Generation, Happened, LedgerError, PATIENCE, Reader, Store};

/// The key of the files that do not count, because an operator went back behind them.
const PINNED: &str = "pinned";

/// A catalogue that waits, or waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCatalogue {
    /// Its number as a generation.
    pub id: i64,
    /// What it is to follow.
    pub base: i64,
    /// What it waits for, in words.
    pub why: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What became of it.
    pub fate: Fate,
    /// Whose word that was, and why; empty where no one gave one.
    pub by: String,
    /// Why.
    pub because: String,
}

/// What becomes of a catalogue that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits still.
    Waiting,
    /// Somebody said that it is right.
    Approved,
    /// Somebody said that it is not.
    Rejected,
    /// Newer files took its place.
    Outdated,
}

impl Fate {
    const WORDS: [(&str, Self); 4] = [
        ("waiting", Self::Waiting),
        ("approved", Self::Approved),
        ("rejected", Self::Rejected),
        ("outdated", Self::Outdated),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Outdated => "outdated",
        }
    }
}

macro_rules! columns {
    () => {
        "generation, base, why, since, fate, by_whom, because"
    };
}

fn read(row: &Record) -> Result<PendingCatalogue, LedgerError> {
    let fate = row.text("fate")?;
    let fate = Fate::WORDS.iter().find(|(word, _)| *word == fate).map(|(_, fate)| *fate);
    Ok(PendingCatalogue {
        id: row.int("generation")?,
        base: row.int("base")?,
        why: row.text("why")?.to_owned(),
        since: row.at("since")?,
        fate: fate.ok_or_else(|| LedgerError::odd("a candidate of no fate"))?,
        by: row.text("by_whom")?.to_owned(),
        because: row.text("because")?.to_owned(),
    })
}

fn happened(id: i64, becomes: &str, note: String) -> Happened {
    Happened {
        kind: "generation",
        check: None,
        tz: None,
        was: id.to_string(),
        becomes: becomes.to_owned(),
        note,
    }
}

/// The candidate that waits.
async fn waiting(conn: &mut Conn) -> Result<Option<PendingCatalogue>, LedgerError> {
    const WAITING: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM candidates WHERE fate = 'waiting' ORDER BY generation DESC LIMIT 1"
    );
    conn.first(WAITING, Vec::new()).await?.as_ref().map(read).transpose()
}

impl Store {
    /// Has a catalogue wait for approval, once: where it waits already, or was decided upon, says what is known of it.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn stand_by(
        &mut self,
        activation: &Activation,
        why: &str,
        host_now: DateTime<Utc>,
    ) -> Result<PendingCatalogue, LedgerError> {
        const KNOWN: &str = "SELECT MAX(id) AS id FROM generations WHERE digest = $1";
        const ADD: &str = "INSERT INTO generations (digest, text, tz_release, loaded_at, loaded_by, active) \
            VALUES ($1, $2, $3, $4, $5, 0) RETURNING id";
        const ONE: &str = concat!("SELECT ", columns!(), " FROM candidates WHERE generation = $1");
        const OUTDATED: &str = "UPDATE candidates SET fate = 'outdated', decided_at = $1 \
            WHERE fate = 'waiting' AND generation <> $2";
        const WAIT: &str = "INSERT INTO candidates (generation, base, why, since, fate, by_whom, because) \
            VALUES ($1, $2, $3, $4, 'waiting', '', '') ON CONFLICT (generation) DO UPDATE SET base = excluded.base, \
            why = excluded.why, since = excluded.since, fate = 'waiting', by_whom = '', because = '', decided_at = NULL";
        let base = activation.expected.unwrap_or(0);
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            if conn.is_server() {
                // Replicas that read the same files at once make one candidate of them.
                conn.batch("LOCK TABLE candidates IN SHARE ROW EXCLUSIVE MODE").await?;
            }
            let now = conn.now(host_now).await?;
            let digest = activation.digest.as_str();
            let known = conn.first(KNOWN, args![digest]).await?;
            let id = match known.map(|row| row.maybe_int("id")).transpose()?.flatten() {
                Some(id) => id,
                None => {
                    let (text, tz) = (activation.text.as_str(), activation.tz_release.as_str());
                    let values = args![digest, text, tz, now, activation.loaded_by.as_str()];
                    let row = conn.first(ADD, values).await?;
                    row.ok_or_else(|| LedgerError::odd("a candidate was not stored"))?.int("id")?
                }
            };
            if let Some(row) = conn.first(ONE, args![id]).await? {
                let known = read(&row)?;
                // A word holds for what it was given for.
                if known.base == base && known.fate != Fate::Outdated {
                    conn.commit().await?;
                    return Ok(known);
                }
            }
            conn.run(WAIT, args![id, base, why, now]).await?;
            conn.run(OUTDATED, args![now, id]).await?;
            let event = happened(id, "waits", why.chars().take(2_000).collect());
            add_events(conn, &[event_values(settings, now, event, None)]).await?;
            conn.commit().await?;
            Ok(PendingCatalogue {
                id,
                base,
                why: why.to_owned(),
                since: now,
                fate: Fate::Waiting,
                by: String::new(),
                because: String::new(),
            })
        })
        .await
    }

    /// Keeps what is said of a catalogue that waits.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn says(&mut self, id: i64, why: &str) -> Result<(), LedgerError> {
        const SAYS: &str =
            "UPDATE candidates SET why = $1 WHERE generation = $2 AND fate = 'waiting'";
        self.on(PATIENCE, async |conn, _| conn.run(SAYS, args![why, id]).await.map(drop)).await
    }

    /// Takes a word for or against a catalogue that waits; returns what is known of it, where it waited.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn decide(
        &mut self,
        id: i64,
        fate: Fate,
        (by, because): (&str, &str),
        host_now: DateTime<Utc>,
    ) -> Result<Option<PendingCatalogue>, LedgerError> {
        const DECIDE: &str = concat!(
            "UPDATE candidates SET fate = $1, by_whom = $2, because = $3, decided_at = $4 \
             WHERE generation = $5 AND fate = 'waiting' RETURNING ",
            columns!()
        );
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let row = conn.first(DECIDE, args![fate.as_str(), by, because, now, id]).await?;
            let decided = row.as_ref().map(read).transpose()?;
            if decided.is_some() {
                let event = happened(id, fate.as_str(), format!("by {by}: {because}"));
                add_events(conn, &[event_values(settings, now, event, None)]).await?;
            }
            conn.commit().await?;
            Ok(decided)
        })
        .await
    }

    /// Takes back the approval of a catalogue that an operator went back from.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn withdraw(
        &mut self,
        id: i64,
        (by, because): (&str, &str),
        host_now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        const WITHDRAW: &str = "UPDATE candidates SET fate = 'rejected', by_whom = $1, because = $2, decided_at = $3 \
            WHERE generation = $4 AND fate = 'approved'";
        self.on(PATIENCE, async |conn, _| {
            let now = conn.now(host_now).await?;
            conn.run(WITHDRAW, args![by, because, now, id]).await.map(drop)
        })
        .await
    }

    /// The catalogue that waits for a word, where one does.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn candidate(&mut self) -> Result<Option<PendingCatalogue>, LedgerError> {
        self.on(PATIENCE, async |conn, _| waiting(conn).await).await
    }

    /// Nothing waits any more: files that need no word took its place.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn nothing_waits(&mut self, host_now: DateTime<Utc>) -> Result<(), LedgerError> {
        const NONE: &str =
            "UPDATE candidates SET fate = 'outdated', decided_at = $1 WHERE fate = 'waiting'";
        self.on(PATIENCE, async |conn, _| {
            let now = conn.now(host_now).await?;
            conn.run(NONE, args![now]).await.map(drop)
        })
        .await
    }

    /// A generation that is kept, by its number; the one before the active one where none is named.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn kept(&mut self, id: Option<i64>) -> Result<Option<Generation>, LedgerError> {
        const ONE: &str =
            "SELECT id, digest, text, loaded_at, loaded_by FROM generations WHERE id = $1";
        const BEFORE: &str = "SELECT was FROM events WHERE kind = 'generation' AND was <> '' \
            AND becomes = (SELECT CAST(id AS TEXT) FROM generations WHERE active = 1) ORDER BY id DESC LIMIT 1";
        self.on(PATIENCE, async |conn, _| {
            let id = match id {
                Some(id) => Some(id),
                None => {
                    let row = conn.first(BEFORE, Vec::new()).await?;
                    row.map(|row| row.text("was").map(str::to_owned))
                        .transpose()?
                        .and_then(|was| was.parse().ok())
                }
            };
            let Some(id) = id else { return Ok(None) };
            let row = conn.first(ONE, args![id]).await?;
            row.as_ref().map(Generation::read).transpose()
        })
        .await
    }

    /// The digest of the files that do not count, where an operator went back behind them.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn pinned(&mut self) -> Result<Option<String>, LedgerError> {
        self.on(PATIENCE, async |conn, _| {
            Ok(get(conn, PINNED).await?.filter(|digest| !digest.is_empty()))
        })
        .await
    }

    /// Has files of a digest not count any more, by whose word; an empty digest has all files count again.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn pin(
        &mut self,
        digest: &str,
        word: Option<(i64, &str, &str)>,
        host_now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            put(conn, PINNED, digest).await?;
            if let Some((id, by, because)) = word {
                let event = happened(id, "rolled back to", format!("by {by}: {because}"));
                add_events(conn, &[event_values(settings, now, event, None)]).await?;
            }
            conn.commit().await
        })
        .await
    }
}

impl Reader {
    /// The latest catalogues that waited, the latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn candidates(&self, most: u16) -> Result<Vec<PendingCatalogue>, LedgerError> {
        const ALL: &str =
            concat!("SELECT ", columns!(), " FROM candidates ORDER BY generation DESC LIMIT $1");
        let rows = self.on(async |conn| conn.all(ALL, args![i64::from(most)]).await).await?;
        rows.iter().map(read).collect()
    }
}
