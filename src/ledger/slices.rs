//! A slice of an order over many windows, as one transaction: which of its rows come next, and how far it is then.

use crate::ledger::conn::{Conn, Each, Wait, args, each};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::orders::{OrderRecord, RowOrder};
use crate::ledger::tx::Tx;
use crate::ledger::{LedgerError, PATIENCE, Store, StoreSettings, Terms, TxOutcome, Work};

/// Of how many series a slice is at most, and of how many rows are asked for first: a server sorts all that it finds.
const SERIES_MAX: i64 = 400;
const SERIES_FIRST: usize = 4;

/// Which rows of a selection an order reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    /// Those that may be open.
    Live,
    /// Those that a waiver covers.
    Waived,
}

pub(super) type TermsOf<'a> = &'a (dyn Fn(i64) -> Option<Terms> + Sync);

/// A slice of an order, as a transaction.
pub(super) struct Slice<'a> {
    pub(super) tx: Tx<'a>,
    /// The order, and how far it is once this slice is done.
    pub(super) order: OrderRecord,
    /// How many rows it has at most.
    most: usize,
}

impl<'a> Slice<'a> {
    /// Begins a slice of the oldest order; nothing where there is none.
    pub(super) async fn begin(
        conn: &'a mut Conn,
        settings: &'a StoreSettings,
        most: usize,
        work: &'a Work,
        terms: TermsOf<'a>,
    ) -> Result<Option<Self>, LedgerError> {
        conn.begin().await?;
        let now = conn.now(work.host_now).await?;
        let Some(order) = OrderRecord::next(conn).await? else {
            conn.batch("ROLLBACK").await?;
            return Ok(None);
        };
        let tx = Tx::new(conn, settings, work, terms, now);
        Ok(Some(Self { tx, order, most }))
    }

    /// Reads the next rows of the order, under the locks of their series.
    pub(super) async fn read(&mut self, which: Rows) -> Result<Vec<Entry>, LedgerError> {
        const LIVE: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
            ["ON series = r.wanted AND start_at >= r.from_at AND start_at < r.to_at \
              WHERE live = 1 ORDER BY series, start_at LIMIT $2"]
        );
        const WAIVED: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
            ["ON series = r.wanted AND start_at >= r.from_at AND start_at < r.to_at \
              WHERE waiver IS NOT NULL AND ruling = 'waived' ORDER BY series, start_at LIMIT $2"]
        );
        const ALL: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
            ["ON series = r.wanted AND start_at >= r.from_at AND start_at < r.to_at \
              ORDER BY series, start_at LIMIT $2"]
        );
        const RANGES: &str = "SELECT series, from_at, to_at FROM order_ranges WHERE order_id = $1 \
                              ORDER BY series LIMIT $2";
        let ranges = self.tx.conn.all(RANGES, args![self.order.id, SERIES_MAX]).await?;
        let mut wanted = Vec::with_capacity(ranges.len());
        for range in &ranges {
            wanted.push((range.int("series")?, range.at("from_at")?, range.at("to_at")?));
        }
        let series = wanted.iter().map(|(series, ..)| *series).collect();
        self.tx.conn.lock(series, Wait::ForThem).await?;
        let each = match which {
            Rows::All => &ALL,
            Rows::Live => &LIVE,
            Rows::Waived => &WAIVED,
        };
        let most = i64::try_from(self.most + 1).unwrap_or(i64::MAX);
        let rows: Vec<_> = wanted.iter().map(|(id, from, to)| args![*id, *from, *to]).collect();
        let (mut entries, mut rest, mut series) = (Vec::new(), rows.as_slice(), SERIES_FIRST);
        while !rest.is_empty() && entries.len() <= self.most {
            let (now, later) = rest.split_at(series.min(rest.len()));
            for record in self.tx.conn.all_each(each, now, &[most.into()]).await? {
                entries.push(Entry::read(&record)?);
            }
            (rest, series) = (later, series * 2);
        }
        let next = entries.get(self.most).map(|next| (next.series, next.row.start));
        if let Some(next) = next {
            // The next slice begins with the first row that is not in this one.
            let whole = |entry: &Entry| (entry.series, entry.row.start) < next;
            let kept = entries.partition_point(whole);
            entries.truncate(if kept == 0 { self.most } else { kept });
        }
        self.go_on(wanted.last().map(|(series, ..)| *series), next).await?;
        Ok(entries)
    }

    /// Strikes out the ranges that are done: all up to a series, or those before the row that comes next.
    async fn go_on(
        &mut self,
        last: Option<i64>,
        next: Option<(i64, chrono::DateTime<chrono::Utc>)>,
    ) -> Result<(), LedgerError> {
        const DONE: &str = "DELETE FROM order_ranges WHERE order_id = $1 AND series <= $2";
        const BEGINS: &str =
            "UPDATE order_ranges SET from_at = $3 WHERE order_id = $1 AND series = $2";
        const LEFT: &str = "SELECT COUNT(*) AS series FROM order_ranges WHERE order_id = $1";
        let (id, conn) = (self.order.id, &mut *self.tx.conn);
        match next {
            Some((series, start)) => {
                conn.run(DONE, args![id, series - 1]).await?;
                conn.run(BEGINS, args![id, series, start]).await?;
            }
            None => {
                conn.run(DONE, args![id, last.unwrap_or(i64::MAX)]).await?;
            }
        }
        let left = conn.first(LEFT, args![id]).await?;
        self.order.series_left = left.map_or(Ok(0), |left| left.count("series"))?;
        Ok(())
    }

    /// Ends the slice, and the order where it was the last one.
    pub(super) async fn end(mut self) -> Result<TxOutcome, LedgerError> {
        if self.order.series_left == 0 {
            self.order.ended_at = Some(self.tx.now);
            self.tx.happened(None, self.order.event(), None);
        }
        self.order.write(self.tx.conn).await?;
        self.tx.recompute_all().await?;
        self.tx.commit().await
    }
}

impl Store {
    /// Carries out a slice of the oldest order, of so many rows at most; nothing where there is none.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done, or, where only the answer was lost, all of it.
    pub async fn carry_out(
        &mut self,
        rows: usize,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<Option<TxOutcome>, LedgerError> {
        self.on(PATIENCE, async |conn, settings| {
            let slice = Slice::begin(conn, settings, rows, work, terms).await?;
            let Some(mut slice) = slice else { return Ok(None) };
            match slice.order.order.clone() {
                RowOrder::Rerun { accepted, .. } => slice.rerun(accepted.is_some()).await?,
                RowOrder::Waive(waiver) => slice.waive(&waiver).await?,
                RowOrder::Revoke(_) => slice.revoke().await?,
            }
            slice.end().await.map(Some)
        })
        .await
    }
}
