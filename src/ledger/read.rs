//! Reading the record beside its writer: history, waivers and events, a page at a time.

mod waivers;

pub use waivers::{Given, OfCheck};

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use crate::domain::record::standing::Alarm;
use crate::ledger::cells::{Record, micros};
use crate::ledger::conn::{Conn, args};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::summary::is_open;
use crate::ledger::{LedgerError, StoreSettings, connect};

/// How long a reader waits for a page.
const PATIENCE: Duration = Duration::from_secs(5);

/// A row of the record, as people ask for it.
#[derive(Debug, Clone)]
pub struct History {
    /// The zone of its series, where the check fans out.
    pub tz: Option<String>,
    /// The row.
    pub entry: Entry,
    /// Whether it is bad by now.
    pub open: Option<Alarm>,
    /// Who vouches for it and why, where it is waived.
    pub waiver: Option<WaivedBy>,
}

/// Who vouches for a row.
#[derive(Debug, Clone)]
pub struct WaivedBy {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
}

/// Something that was remembered.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its number: later ones are larger.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What kind of thing.
    pub kind: String,
    /// The check, where it is about one.
    pub check: Option<String>,
    /// The zone, where it is about one.
    pub tz: Option<String>,
    /// The bounds of the row, where it is about one.
    pub bounds: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What was before.
    pub was: Option<String>,
    /// What is now.
    pub becomes: Option<String>,
    /// What a person should know.
    pub note: Option<String>,
    /// Who wrote it.
    pub replica: String,
}

/// A page, and where the next one begins.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for next; nothing where this is the last.
    pub next: Option<String>,
}

/// Which rows of a check are asked for.
#[derive(Debug, Clone, Default)]
pub struct HistoryQuery {
    /// Only of this zone.
    pub tz: Option<String>,
    /// Only those that are open.
    pub open: bool,
    /// Only those that begin at or after this instant.
    pub from: Option<DateTime<Utc>>,
    /// Only those that begin before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Only those that begin with this offset from UTC, in seconds.
    pub utc_offset: Option<i32>,
    /// Where the page begins, as the page before said.
    pub page: Option<String>,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only of this check.
    pub check: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Where the page begins, as the page before said.
    pub page: Option<String>,
}

/// A way to read beside the writer.
pub struct Reader {
    settings: StoreSettings,
    conn: Mutex<Option<Conn>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Prepares to read the store that these settings name.
    pub fn new(settings: StoreSettings) -> Self {
        Self { settings, conn: Mutex::new(None) }
    }

    /// How long recorded windows stay.
    pub fn retention(&self) -> Duration {
        self.settings.retention
    }

    pub(super) async fn on<T>(
        &self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let all = async {
            let mut kept = self.conn.lock().await;
            let mut conn = match kept.take() {
                Some(conn) => conn,
                None => connect(&self.settings, true).await?,
            };
            let done = work(&mut conn).await?;
            *kept = Some(conn);
            Ok::<_, LedgerError>(done)
        };
        super::within(PATIENCE, all).await
    }

    /// Returns rows of a check, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn windows(
        &self,
        check: &str,
        wanted: &HistoryQuery,
        now: DateTime<Utc>,
        most: u16,
    ) -> Result<Page<History>, LedgerError> {
        const ROWS: &str = concat!(
            "SELECT ",
            columns!(),
            ", tz, by_whom, because, until_at, live FROM (SELECT e.*, s.tz AS tz, w.by_whom AS by_whom, \
             w.because AS because, w.until_at AS until_at FROM entries e \
             JOIN series s ON s.id = e.series LEFT JOIN waivers w ON w.id = e.waiver \
             WHERE s.check_id = $1 AND ($2 = 0 OR s.tz = $3) AND ($4 = 0 OR e.live = 1) \
             AND e.start_at >= $5 AND e.start_at < $6 AND ($11 = 0 OR e.utc_offset = $12) AND (e.start_at < $7 \
             OR (e.start_at = $7 AND (e.end_at < $8 OR (e.end_at = $8 AND e.series < $9))))) AS rows_of \
             ORDER BY start_at DESC, end_at DESC, series DESC LIMIT $10"
        );
        let page = wanted.page.as_deref().and_then(place).unwrap_or([i64::MAX; 3]);
        let tz = wanted.tz.clone().unwrap_or_default();
        let values = args![
            check,
            i64::from(wanted.tz.is_some()),
            tz,
            i64::from(wanted.open),
            wanted.from.map_or(i64::MIN, micros),
            wanted.to.map_or(i64::MAX, micros),
            page[0],
            page[1],
            page[2],
            i64::from(most),
            i64::from(wanted.utc_offset.is_some()),
            i64::from(wanted.utc_offset.unwrap_or(0)),
        ];
        let rows = self.on(async |conn| conn.all(ROWS, values).await).await?;
        let mut items = rows.iter().map(|row| history(row, now)).collect::<Result<Vec<_>, _>>()?;
        let full = items.len() >= usize::from(most);
        let next = items.last().filter(|_| full).map(|last| {
            let row = &last.entry.row;
            format!("{}.{}.{}", micros(row.start), micros(row.end), last.entry.series)
        });
        if wanted.open {
            items.retain(|item| item.open.is_some());
        }
        Ok(Page { items, next })
    }

    /// Returns the open rows of a check, latest first: those of its live rows that are bad by now.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn open_windows(
        &self,
        check: &str,
        now: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<History>, LedgerError> {
        const OPEN: &str = concat!(
            "SELECT ",
            columns!(),
            ", tz, by_whom, because, until_at, live FROM (SELECT e.*, s.tz AS tz, NULL AS by_whom, \
             NULL AS because, NULL AS until_at FROM series s JOIN entries e ON e.series = s.id \
             WHERE s.check_id = $1 AND e.live = 1 AND e.ruling <> 'removed' AND e.ruling <> 'replaced' \
             AND (e.said = 'violated' OR e.said = 'unconfirmed' AND e.deadline <= $2)) AS rows_of \
             ORDER BY start_at DESC, end_at DESC, series DESC LIMIT $3"
        );
        let values = args![check, now, i64::from(most)];
        let rows = self.on(async |conn| conn.all(OPEN, values).await).await?;
        let mut items = rows.iter().map(|row| history(row, now)).collect::<Result<Vec<_>, _>>()?;
        items.retain(|item| item.open.is_some());
        Ok(items)
    }

    /// Returns the latest events of one window, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn events_of_window(
        &self,
        check: &str,
        tz: Option<&str>,
        start: DateTime<Utc>,
        most: u16,
    ) -> Result<Vec<Listed>, LedgerError> {
        // Nothing happens to a window before it begins: the index over time keeps what is older out.
        const OF_WINDOW: &str = "SELECT id, at, kind, check_id, tz, start_at, end_at, was, becomes, note, replica \
            FROM events WHERE at >= $3 AND check_id = $1 AND COALESCE(tz, '') = $2 AND start_at = $3 \
            ORDER BY at DESC, id DESC LIMIT $4";
        let values = args![check, tz.unwrap_or_default(), start, i64::from(most)];
        let rows = self.on(async |conn| conn.all(OF_WINDOW, values).await).await?;
        rows.iter().map(event).collect()
    }

    /// Returns the generation that was active at an instant, where that is known.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn generation_at(&self, at: DateTime<Utc>) -> Result<Option<String>, LedgerError> {
        const AT: &str = "SELECT becomes FROM events WHERE at <= $1 AND kind = 'generation' \
            ORDER BY at DESC, id DESC LIMIT 1";
        let row = self.on(async |conn| conn.first(AT, args![at]).await).await?;
        Ok(row
            .map(|row| row.maybe_text("becomes").map(|text| text.map(str::to_owned)))
            .transpose()?
            .flatten())
    }

    /// Returns events, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn events(
        &self,
        wanted: &EventQuery,
        most: u16,
    ) -> Result<Page<Listed>, LedgerError> {
        const EVENTS: &str = "SELECT id, at, kind, check_id, tz, start_at, end_at, was, becomes, \
            note, replica FROM events WHERE id < $1 AND ($2 = 0 OR check_id = $3) \
            AND ($4 = 0 OR kind = $5) ORDER BY id DESC LIMIT $6";
        let EventQuery { check, kind, page } = wanted;
        let page = page.as_deref().and_then(|page| page.parse::<i64>().ok());
        let values = args![
            page.unwrap_or(i64::MAX),
            i64::from(check.is_some()),
            check.clone().unwrap_or_default(),
            i64::from(kind.is_some()),
            kind.clone().unwrap_or_default(),
            i64::from(most),
        ];
        let rows = self.on(async |conn| conn.all(EVENTS, values).await).await?;
        let items = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let full = items.len() >= usize::from(most);
        let next = items.last().filter(|_| full).map(|last| last.id.to_string());
        Ok(Page { items, next })
    }
}

fn history(row: &Record, now: DateTime<Utc>) -> Result<History, LedgerError> {
    let entry = Entry::read(row)?;
    let by = row.maybe_text("by_whom")?.map(str::to_owned);
    let waiver = match by {
        Some(by) => Some(WaivedBy {
            by,
            because: row.text("because")?.to_owned(),
            until: row.maybe_at("until_at")?,
        }),
        None => None,
    };
    let tz = Some(row.text("tz")?.to_owned()).filter(|tz| !tz.is_empty());
    // A slot that a later one closed is not open any more.
    let open = is_open(&entry.row, now).filter(|_| row.int("live").is_ok_and(|live| live == 1));
    Ok(History { tz, entry, open, waiver })
}

fn event(row: &Record) -> Result<Listed, LedgerError> {
    let owned = |name: &str| Ok::<_, LedgerError>(row.maybe_text(name)?.map(str::to_owned));
    Ok(Listed {
        id: row.int("id")?,
        at: row.at("at")?,
        kind: row.text("kind")?.to_owned(),
        check: owned("check_id")?,
        tz: owned("tz")?,
        bounds: row.maybe_at("start_at")?.zip(row.maybe_at("end_at")?),
        was: owned("was")?.filter(|text| !text.is_empty()),
        becomes: owned("becomes")?,
        note: owned("note")?,
        replica: row.text("replica")?.to_owned(),
    })
}

/// Reads where a page begins.
fn place(page: &str) -> Option<[i64; 3]> {
    let numbers: Option<Vec<i64>> = page.split('.').map(|n| n.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Says whether a page token is one that a list of windows gives.
pub fn is_page_of_windows(page: &str) -> bool {
    place(page).is_some()
}

/// Says whether a page token is one that a list of events, or of series, gives.
pub fn is_page_by_number(page: &str) -> bool {
    page.parse::<i64>().is_ok()
}
