//! Who vouches for what, as people ask for it.

use chrono::{DateTime, Utc};

use crate::ledger::LedgerError;
use crate::ledger::cells::Record;
use crate::ledger::conn::args;
use crate::ledger::read::{Page, Reader, WaivedBy};

/// A waiver, for those who list them.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its number in the store.
    pub id: i64,
    /// When it was given.
    pub at: DateTime<Utc>,
    /// By whom, why, and until when.
    pub waiver: WaivedBy,
    /// Which rows were meant, in words.
    pub selection: String,
    /// How many rows it was given for.
    pub rows: u64,
    /// For how many of them it stands: it is not over, and no proof, revocation or other waiver came since.
    pub covers: u64,
}

/// A waiver that covers windows of a check.
#[derive(Debug, Clone)]
pub struct OfCheck {
    /// Who, why, and until when.
    pub waiver: WaivedBy,
    /// How many windows of the check it covers.
    pub covers: u64,
    /// The series of the first of them.
    pub series: i64,
    /// In how many series they are.
    pub in_series: u64,
}

impl Reader {
    /// Returns waivers, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn waivers(
        &self,
        page: Option<&str>,
        most: u16,
        now: DateTime<Utc>,
    ) -> Result<Page<Given>, LedgerError> {
        const WAIVERS: &str = "SELECT w.id AS id, w.at AS at, w.by_whom AS by_whom, \
            w.because AS because, w.until_at AS until_at, w.selection AS selection, \
            w.entries AS given, COALESCE(e.covers, 0) AS covers FROM waivers w LEFT JOIN \
            (SELECT waiver, COUNT(*) AS covers FROM entries WHERE waiver IS NOT NULL \
            AND ruling = 'waived' AND (waived_until IS NULL OR waived_until > $3) GROUP BY waiver) e ON e.waiver = w.id \
            WHERE w.id < $1 ORDER BY w.id DESC LIMIT $2";
        let before = page.and_then(|page| page.parse::<i64>().ok()).unwrap_or(i64::MAX);
        let values = args![before, i64::from(most), now];
        let rows = self.on(async |conn| conn.all(WAIVERS, values).await).await?;
        let given = |row: &Record| -> Result<Given, LedgerError> {
            Ok(Given {
                id: row.int("id")?,
                at: row.at("at")?,
                waiver: waived_by(row)?,
                selection: row.text("selection")?.to_owned(),
                rows: row.count("given")?,
                covers: row.count("covers")?,
            })
        };
        let items = rows.iter().map(given).collect::<Result<Vec<_>, _>>()?;
        let full = items.len() >= usize::from(most);
        let next = items.last().filter(|_| full).map(|last| last.id.to_string());
        Ok(Page { items, next })
    }

    /// Returns the waivers that cover windows of a check, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn waivers_of(
        &self,
        check: &str,
        now: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<OfCheck>, LedgerError> {
        const OF_CHECK: &str = "SELECT w.by_whom AS by_whom, w.because AS because, w.until_at AS until_at, \
            e.covers AS covers, e.series AS series, e.in_series AS in_series FROM waivers w JOIN (SELECT waiver, \
            COUNT(*) AS covers, MIN(r.series) AS series, COUNT(DISTINCT r.series) AS in_series FROM series s \
            JOIN entries r ON r.series = s.id WHERE s.check_id = $1 AND r.waiver IS NOT NULL AND r.ruling = 'waived' \
            AND (r.waived_until IS NULL OR r.waived_until > $2) GROUP BY waiver) e ON e.waiver = w.id \
            ORDER BY w.id DESC LIMIT $3";
        let values = args![check, now, i64::from(most)];
        let rows = self.on(async |conn| conn.all(OF_CHECK, values).await).await?;
        let read = |row: &Record| {
            Ok(OfCheck {
                waiver: waived_by(row)?,
                covers: row.count("covers")?,
                series: row.int("series")?,
                in_series: row.count("in_series")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

fn waived_by(row: &Record) -> Result<WaivedBy, LedgerError> {
    Ok(WaivedBy {
        by: row.text("by_whom")?.to_owned(),
        because: row.text("because")?.to_owned(),
        until: row.maybe_at("until_at")?,
    })
}
