//! Which receivers were rung and heard it, and which failures were drilled: the last time of each.

use chrono::{DateTime, Utc};

use crate::ledger::conn::args;
use crate::ledger::{LedgerError, PATIENCE, Store};

/// What was drilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrillKind {
    /// A receiver was rung.
    Ring,
    /// A failure was planted in an engine of its own.
    Fault,
}

impl DrillKind {
    /// The words for it.
    pub const WORDS: [(&str, Self); 2] = [("ring", Self::Ring), ("fault", Self::Fault)];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Fault => "fault",
        }
    }
}

/// The last drill of a receiver or a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drilled {
    /// What was drilled.
    pub kind: DrillKind,
    /// The receiver, or the failure.
    pub name: String,
    /// The word that was sent along.
    pub word: String,
    /// When it began.
    pub at: DateTime<Utc>,
    /// By whom it was begun, or proved where it was.
    pub by: String,
    /// When it was proved last, also by an earlier one.
    pub proved_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The last drill of each receiver and failure.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn drilled(&mut self) -> Result<Vec<Drilled>, LedgerError> {
        const ALL: &str =
            "SELECT kind, name, word, at, by_whom, proved_at FROM drills ORDER BY kind, name";
        self.on(PATIENCE, async |conn, _| {
            let mut all = Vec::new();
            for row in conn.all(ALL, Vec::new()).await? {
                let kind = row.text("kind")?;
                let Some((_, kind)) = DrillKind::WORDS.iter().find(|(word, _)| *word == kind)
                else {
                    continue;
                };
                all.push(Drilled {
                    kind: *kind,
                    name: row.text("name")?.to_owned(),
                    word: row.text("word")?.to_owned(),
                    at: row.at("at")?,
                    by: row.text("by_whom")?.to_owned(),
                    proved_at: row.maybe_at("proved_at")?,
                });
            }
            Ok(all)
        })
        .await
    }

    /// Keeps the last drill of a receiver or a failure, instead of the one before.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn keep_drilled(&mut self, drilled: &Drilled) -> Result<(), LedgerError> {
        const PUT: &str = "INSERT INTO drills (kind, name, word, at, by_whom, proved_at) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, name) DO UPDATE SET word = excluded.word, \
            at = excluded.at, by_whom = excluded.by_whom, proved_at = excluded.proved_at";
        let Drilled { kind, name, word, at, by, proved_at } = drilled;
        self.on(PATIENCE, async |conn, _| {
            let row =
                args![kind.as_str(), name.as_str(), word.as_str(), *at, by.as_str(), *proved_at];
            conn.run(PUT, row).await.map(drop)
        })
        .await
    }
}
