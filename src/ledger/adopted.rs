//! Which ledger this is, how far it has come, and the alerts that it was found not to know of.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::alerts::{alarm_word, text_of};
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::{AlertRow, LedgerError, PATIENCE, Store, schema};

const ID: &str = "id";
const WENT_BACK: &str = "went_back_at";

/// What an alert was that stood at an Alertmanager, and of which this ledger knew nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// When it was found.
    pub at: DateTime<Utc>,
    /// Which ledger it followed from.
    pub ledger: String,
    /// What was told of it.
    pub words: Words,
}

/// What was told of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// In a line.
    pub summary: String,
    /// At length.
    pub description: String,
}

impl Adopted {
    pub(super) fn read(record: &Record) -> Result<Option<Self>, LedgerError> {
        let Some(at) = record.maybe_at("adopted_at")? else { return Ok(None) };
        let words = record.maybe_text("adopted_words")?.map(serde_json::from_str).transpose();
        let words = words.map_err(|_| LedgerError::odd("words that do not read"))?;
        let ledger = record.maybe_text("adopted_from")?.unwrap_or_default().to_owned();
        Ok(Some(Self { at, ledger, words: words.unwrap_or_default() }))
    }
}

/// The id of the ledger: made with it, and copied with it.
pub(super) async fn id(conn: &mut Conn) -> Result<String, LedgerError> {
    const KEEP: &str = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    if let Some(id) = schema::get(conn, ID).await? {
        return Ok(id);
    }
    use std::hash::{BuildHasher as _, RandomState};
    let random = || RandomState::new().hash_one(0);
    let id = format!("{:016x}", random() ^ random().rotate_left(32));
    conn.run(KEEP, args![ID, id]).await?;
    // Another replica may have been first.
    schema::get(conn, ID).await?.ok_or_else(|| LedgerError::odd("a ledger without an id"))
}

impl Store {
    /// When the newest attempt ended that is written down.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn newest_attempt(&mut self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        const NEWEST: &str = "SELECT MAX(ended_at) AS newest FROM attempts";
        self.on(PATIENCE, async |conn, _| {
            let row = conn.first(NEWEST, Vec::new()).await?;
            row.map_or(Ok(None), |row| row.maybe_at("newest"))
        })
        .await
    }

    /// When it was found that this ledger is older than it was, as a copy is that was put back.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn went_back_at(&mut self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.on(PATIENCE, async |conn, _| {
            let micros = schema::get(conn, WENT_BACK).await?;
            let micros = micros.and_then(|micros| micros.parse().ok());
            Ok(micros.and_then(DateTime::from_timestamp_micros))
        })
        .await
    }

    /// Writes down when that was found.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn put_went_back(&mut self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.on(PATIENCE, async |conn, _| {
            schema::put(conn, WENT_BACK, &at.timestamp_micros().to_string()).await
        })
        .await
    }

    /// Writes down alerts that stand and of which nothing is known here; returns how many that were.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn adopt(&mut self, found: &[AlertRow]) -> Result<u64, LedgerError> {
        const ADOPT: Each = each!(
            ["INSERT INTO alerts (fingerprint, labels, series, alarm, starts_at, told_at, adopted_at, adopted_from, \
              adopted_words) SELECT fingerprint, labels, series, alarm, starts_at, starts_at, adopted_at, adopted_from, \
              adopted_words FROM"],
            (0 "fingerprint" "text", 1 "labels" "text", 2 "series" "bigint", 3 "alarm" "text",
             4 "starts_at" "bigint", 5 "adopted_at" "bigint", 6 "adopted_from" "text", 7 "adopted_words" "text"),
            ["WHERE NOT EXISTS (SELECT 1 FROM alerts a WHERE a.fingerprint = r.fingerprint \
              AND (a.ended_at IS NULL OR a.starts_at + 1000000 >= r.starts_at)) \
              ON CONFLICT (fingerprint, starts_at) DO NOTHING"]
        );
        let mut rows = Vec::new();
        for row in found {
            let Some(adopted) = &row.adopted else { continue };
            let words = serde_json::to_string(&adopted.words);
            let words = words.map_err(|_| LedgerError::odd("words that are no text"))?;
            rows.push(args![
                row.labels.fingerprint().to_string(),
                text_of(&row.labels)?,
                row.series,
                alarm_word(row.alarm),
                row.starts_at,
                adopted.at,
                adopted.ledger.as_str(),
                words,
            ]);
        }
        self.on(PATIENCE, async |conn, _| conn.run_each(&ADOPT, &rows, &[]).await).await
    }

    /// Which of these series have windows that are asked for, and were not looked at since.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn asked_for(&mut self, series: &[i64]) -> Result<Vec<i64>, LedgerError> {
        const ASKED: Each = each!(
            ["SELECT DISTINCT series FROM entries JOIN"],
            (0 "wanted" "bigint"),
            ["ON series = r.wanted WHERE asked = 1 AND (wake_at IS NOT NULL OR state = 'running')"]
        );
        let rows: Vec<_> = series.iter().map(|id| args![*id]).collect();
        self.on(PATIENCE, async |conn, _| {
            let asked = conn.all_each(&ASKED, &rows, &[]).await?;
            asked.iter().map(|row| row.int("series")).collect()
        })
        .await
    }
}
