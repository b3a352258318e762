//! Orders over many windows: stored at once, carried out a slice at a time between two turns, by whichever replica is
//! there, also after a crash; and how far each has come.

use chrono::{DateTime, Utc};

use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::{Happened, LedgerError, PATIENCE, Page, Reader, Store};

/// Which rows are meant.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Of which series, each once, and those of its rows that begin at or after an instant, and before another.
    pub rows: Vec<(i64, DateTime<Utc>, DateTime<Utc>)>,
    /// The selection in words, for the record.
    pub words: String,
}

/// Somebody's word for rows that are open.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Who gives it.
    pub by: String,
    /// Why.
    pub because: String,
    /// Until when. Waivers of earlier releases may have no end.
    pub until: Option<DateTime<Utc>>,
}

/// Who takes waivers back, and why.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
}

/// What is ordered of rows.
#[derive(Debug, Clone)]
pub enum RowOrder {
    /// Try them again.
    Rerun {
        /// Who orders it.
        by: String,
        /// Why a proof on less than half of what violated a window is one, where that is accepted.
        accepted: Option<String>,
    },
    /// Vouch for those that are open.
    Waive(Waiver),
    /// Take the waivers of them back.
    Revoke(Revocation),
}

impl RowOrder {
    /// Who gave it.
    pub fn by(&self) -> &str {
        match self {
            Self::Rerun { by, .. } => by,
            Self::Waive(waiver) => &waiver.by,
            Self::Revoke(revocation) => &revocation.by,
        }
    }

    /// Why it was given, where that is said.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Rerun { accepted, .. } => accepted.as_deref(),
            Self::Waive(waiver) => Some(&waiver.because),
            Self::Revoke(revocation) => Some(&revocation.because),
        }
    }

    /// What it is called.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Rerun { .. } => "rerun",
            Self::Waive(_) => "waive",
            Self::Revoke(_) => "revoke",
        }
    }

    fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Waive(waiver) => waiver.until,
            Self::Rerun { .. } | Self::Revoke(_) => None,
        }
    }

    /// What an event says of it: its kind, and what became of so many rows.
    fn event(&self, selection: &str, rows: u64, trouble: Option<&str>) -> Happened {
        let (kind, what) = match self {
            Self::Rerun { .. } => ("rerun", "asked for"),
            Self::Waive(_) => ("waiver", "waived"),
            Self::Revoke(_) => ("waiver", "revoked"),
        };
        let rest = if trouble.is_some() { ", and the rest not" } else { "" };
        let by = format!("{selection} by {}", self.by());
        let why = [self.because(), trouble].into_iter().flatten();
        // A selection names its check first, where it is of one.
        let check = selection.strip_prefix("check ").and_then(|rest| rest.split(", ").next());
        Happened {
            kind,
            check: check.map(str::to_owned),
            tz: None,
            was: String::new(),
            becomes: format!("{rows} rows {what}{rest}"),
            note: why.fold(by, |note, why| format!("{note}: {why}")),
        }
    }
}

/// An order, and how far it has come.
#[derive(Debug, Clone)]
pub struct OrderRecord {
    /// Its number in the store.
    pub id: i64,
    /// When it was given.
    pub at: DateTime<Utc>,
    /// What is ordered.
    pub order: RowOrder,
    /// Which rows are meant, in words.
    pub selection: String,
    /// On how many rows it was carried out by now.
    pub rows: u64,
    /// Of how many series there are rows left.
    pub series_left: u64,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it was given up, where that is so.
    pub trouble: Option<String>,
    /// The waiver that it stored.
    pub(super) waiver: Option<i64>,
}

/// The columns of an order, as [`OrderRecord::read`] takes them.
macro_rules! order_columns {
    () => {
        "id, at, kind, by_whom, because, until_at, selection, waiver, rows_done, ended_at, trouble, \
         (SELECT COUNT(*) FROM order_ranges WHERE order_id = orders.id) AS series_left"
    };
}

impl OrderRecord {
    /// An order that was stored a moment ago.
    pub fn stored(id: i64, at: DateTime<Utc>, order: RowOrder, selected: &Selected) -> Self {
        Self {
            id,
            at,
            order,
            selection: selected.words.clone(),
            rows: 0,
            series_left: u64::try_from(selected.rows.len()).unwrap_or(u64::MAX),
            ended_at: None,
            trouble: None,
            waiver: None,
        }
    }

    fn read(record: &Record) -> Result<Self, LedgerError> {
        let by = record.text("by_whom")?.to_owned();
        let because = || Ok::<_, LedgerError>(record.text("because")?.to_owned());
        let order = match record.text("kind")? {
            "rerun" => {
                let accepted = record.maybe_text("because")?.map(str::to_owned);
                RowOrder::Rerun { by, accepted }
            }
            "waive" => {
                let (because, until) = (because()?, record.maybe_at("until_at")?);
                RowOrder::Waive(Waiver { by, because, until })
            }
            "revoke" => RowOrder::Revoke(Revocation { by, because: because()? }),
            other => return Err(LedgerError::odd(format!("an order is called `{other}`"))),
        };
        Ok(Self {
            id: record.int("id")?,
            at: record.at("at")?,
            order,
            selection: record.text("selection")?.to_owned(),
            rows: record.count("rows_done")?,
            series_left: record.count("series_left")?,
            ended_at: record.maybe_at("ended_at")?,
            trouble: record.maybe_text("trouble")?.map(str::to_owned),
            waiver: record.maybe_int("waiver")?,
        })
    }

    /// Reads the order that is carried out next, and keeps it from other replicas until the transaction ends; nothing
    /// where there is none, or another replica is at it: none overtakes another, since one may take back what the one before
    /// does.
    pub(super) async fn next(conn: &mut Conn) -> Result<Option<Self>, LedgerError> {
        const FILE: &str = concat!(
            "SELECT ",
            order_columns!(),
            " FROM orders WHERE ended_at IS NULL ORDER BY id LIMIT 1"
        );
        const SERVER: &str = concat!(
            "SELECT ",
            order_columns!(),
            " FROM orders WHERE id = (SELECT MIN(id) FROM orders WHERE ended_at IS NULL) \
             AND ended_at IS NULL FOR UPDATE SKIP LOCKED"
        );
        let sql = if conn.is_server() { SERVER } else { FILE };
        conn.first(sql, Vec::new()).await?.map(|record| Self::read(&record)).transpose()
    }

    /// Writes down how far it has come.
    pub(super) async fn write(&self, conn: &mut Conn) -> Result<(), LedgerError> {
        const WRITE: &str = "UPDATE orders SET rows_done = $1, waiver = $2, ended_at = $3, \
                             trouble = $4 WHERE id = $5";
        let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
        let values = args![rows, self.waiver, self.ended_at, self.trouble.clone(), self.id];
        conn.run(WRITE, values).await.map(drop)
    }

    /// What an event says of an order that is over.
    pub(super) fn event(&self) -> Happened {
        self.order.event(&self.selection, self.rows, self.trouble.as_deref())
    }
}

impl Store {
    /// Stores an order; returns its number.
    ///
    /// # Errors
    /// Where the store failed: then it is not stored, or, where only the answer was lost, it is.
    pub async fn store_order(
        &mut self,
        order: &RowOrder,
        selected: &Selected,
        host_now: DateTime<Utc>,
    ) -> Result<i64, LedgerError> {
        const ADD: &str = "INSERT INTO orders (at, kind, by_whom, because, until_at, selection) \
                           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
        const RANGES: Each = each!(
            ["INSERT INTO order_ranges (order_id, series, from_at, to_at) \
              SELECT $2, series, from_at, to_at FROM"],
            (0 "series" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
            [""]
        );
        self.on(PATIENCE, async |conn, _| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let values = args![
                now,
                order.word(),
                order.by(),
                order.because().map(str::to_owned),
                order.until(),
                selected.words.as_str(),
            ];
            let row = conn.first(ADD, values).await?;
            let id = row.ok_or_else(|| LedgerError::odd("an order was not stored"))?.int("id")?;
            let ranges = selected.rows.iter().map(|(series, from, to)| args![*series, *from, *to]);
            conn.run_each(&RANGES, &ranges.collect::<Vec<_>>(), &[id.into()]).await?;
            conn.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Gives the oldest order up: what was carried out of it stays so, and the rest is not.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn give_order_up(
        &mut self,
        why: &str,
        host_now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        const REST: &str = "DELETE FROM order_ranges WHERE order_id = $1";
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            if let Some(order) = OrderRecord::next(conn).await? {
                let (ended_at, trouble) = (Some(now), Some(why.to_owned()));
                let order = OrderRecord { ended_at, trouble, ..order };
                conn.run(REST, args![order.id]).await?;
                order.write(conn).await?;
                add_events(conn, &[event_values(settings, now, order.event(), None)]).await?;
            }
            conn.commit().await
        })
        .await
    }
}

impl Reader {
    /// Returns an order, where there is one of that number.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn order(&self, id: i64) -> Result<Option<OrderRecord>, LedgerError> {
        const ONE: &str = concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1");
        let row = self.on(async |conn| conn.first(ONE, args![id]).await).await?;
        row.map(|record| OrderRecord::read(&record)).transpose()
    }

    /// Returns orders, latest first.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn orders(
        &self,
        page: Option<&str>,
        most: u16,
    ) -> Result<Page<OrderRecord>, LedgerError> {
        const ALL: &str = concat!(
            "SELECT ",
            order_columns!(),
            " FROM orders WHERE id < $1 ORDER BY id DESC LIMIT $2"
        );
        let before = page.and_then(|page| page.parse::<i64>().ok()).unwrap_or(i64::MAX);
        let values = args![before, i64::from(most)];
        let rows = self.on(async |conn| conn.all(ALL, values).await).await?;
        let items = rows.iter().map(OrderRecord::read).collect::<Result<Vec<_>, _>>()?;
        let full = items.len() >= usize::from(most);
        let next = items.last().filter(|_| full).map(|last| last.id.to_string());
        Ok(Page { items, next })
    }
}
