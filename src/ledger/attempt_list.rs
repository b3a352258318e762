//! Attempts, and generations, for who reads them beside the writer.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::record::window_state::VerdictKind;
use crate::ledger::cells::Record;
use crate::ledger::conn::args;
use crate::ledger::entry::{kind_word, read_said};
use crate::ledger::{Generation, LedgerError, Reader, RowKey};

/// An attempt that ended.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// The zone of its series, where the check fans out.
    pub tz: Option<String>,
    /// When its window begins and ends.
    pub bounds: (DateTime<Utc>, DateTime<Utc>),
    /// When it began and ended.
    pub ran: (DateTime<Utc>, DateTime<Utc>),
    /// How long the sources were asked.
    pub took: Duration,
    /// What it said.
    pub said: VerdictKind,
    /// How much was looked at.
    pub evidence: Option<u64>,
    /// The finding, or the note of what went wrong.
    pub note: Option<String>,
    /// Under which generation.
    pub generation: i64,
    /// What became of it: `recorded`, or why not.
    pub outcome: String,
}

macro_rules! attempt_columns {
    () => {
        "s.tz AS tz, a.start_at AS start_at, a.end_at AS end_at, a.began_at AS began_at, \
         a.ended_at AS ended_at, a.took_us AS took_us, a.said AS said, a.cause AS cause, \
         a.evidence AS evidence, a.note AS note, a.generation AS generation, a.outcome AS outcome"
    };
}

fn attempt(row: &Record) -> Result<AttemptRow, LedgerError> {
    let evidence = row.maybe_int("evidence")?;
    Ok(AttemptRow {
        tz: Some(row.text("tz")?.to_owned()).filter(|tz| !tz.is_empty()),
        bounds: (row.at("start_at")?, row.at("end_at")?),
        ran: (row.at("began_at")?, row.at("ended_at")?),
        took: Duration::from_micros(row.count("took_us")?),
        said: read_said(row.text("said")?, row.maybe_text("cause")?)?,
        evidence: evidence.and_then(|evidence| u64::try_from(evidence).ok()),
        note: row.maybe_text("note")?.map(str::to_owned),
        generation: row.int("generation")?,
        outcome: row.text("outcome")?.to_owned(),
    })
}

impl Reader {
    /// Returns the attempts of a check at windows that begin at or after an instant, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn attempts_of_check(
        &self,
        check: &str,
        from: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<AttemptRow>, LedgerError> {
        const ATTEMPTS: &str = concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM series s JOIN attempts a ON a.series = s.id WHERE s.check_id = $1 \
             AND a.kind IN ('window', 'slot') AND a.start_at >= $2 \
             ORDER BY a.ended_at DESC, a.start_at DESC, a.series DESC LIMIT $3"
        );
        let values = args![check, from, i64::from(most)];
        let rows = self.on(async |conn| conn.all(ATTEMPTS, values).await).await?;
        rows.iter().map(attempt).collect()
    }

    /// Returns the latest attempts at one window, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn attempts_of_window(
        &self,
        key: RowKey,
        most: u16,
    ) -> Result<Vec<AttemptRow>, LedgerError> {
        const ATTEMPTS: &str = concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempts a JOIN series s ON s.id = a.series WHERE a.series = $1 AND a.kind = $2 \
             AND a.start_at = $3 AND a.end_at = $4 ORDER BY a.epoch DESC LIMIT $5"
        );
        let values = args![key.series, kind_word(key.kind), key.start, key.end, i64::from(most)];
        let rows = self.on(async |conn| conn.all(ATTEMPTS, values).await).await?;
        rows.iter().map(attempt).collect()
    }

    /// Returns attempts of one series that count, of its newest windows, newest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn attempts_of_series(
        &self,
        series: i64,
        from: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<AttemptRow>, LedgerError> {
        const ATTEMPTS: &str = concat!(
            "SELECT ",
            attempt_columns!(),
            " FROM attempts a JOIN series s ON s.id = a.series WHERE a.series = $1 \
             AND a.kind IN ('window', 'slot') AND a.start_at >= $2 AND a.outcome = 'recorded' \
             ORDER BY a.start_at DESC, a.epoch DESC LIMIT $3"
        );
        let values = args![series, from, i64::from(most)];
        let rows = self.on(async |conn| conn.all(ATTEMPTS, values).await).await?;
        rows.iter().map(attempt).collect()
    }

    /// Returns the latest generations, the latest first; the text of each as far as it is asked for.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn generations(&self, most: u16) -> Result<Vec<Generation>, LedgerError> {
        const GENERATIONS: &str = "SELECT id, digest, '' AS text, loaded_at, loaded_by FROM generations \
            ORDER BY id DESC LIMIT $1";
        let values = args![i64::from(most)];
        let rows = self.on(async |conn| conn.all(GENERATIONS, values).await).await?;
        rows.iter().map(Generation::read).collect()
    }

    /// Returns a generation with its text, and the one before it.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn generation_and_before(&self, id: i64) -> Result<Vec<Generation>, LedgerError> {
        const TWO: &str = "SELECT id, digest, text, loaded_at, loaded_by FROM generations \
            WHERE id <= $1 ORDER BY id DESC LIMIT 2";
        let rows = self.on(async |conn| conn.all(TWO, args![id]).await).await?;
        rows.iter().map(Generation::read).collect()
    }
}
