//! An order over many windows, carried out a slice at a time: which windows are left, and one transaction of it.

use chrono::{DateTime, Utc};

use crate::ledger::conn::{Conn, Each, Wait, args, each};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::tx::Tx;
use crate::ledger::{Happened, LedgerError, StoreSettings, Terms, TxOutcome, Work};

/// How many rows of an order are touched in one transaction, and of how many series.
const SLICE: usize = 400;
/// The same after slices that the store did not take, at least.
const SLICE_MIN: usize = 16;
const SLICE_SERIES: usize = 400;

/// Which rows are meant.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Of which series, and those of its rows that begin at or after an instant, and before another.
    pub rows: Vec<(i64, DateTime<Utc>, DateTime<Utc>)>,
    /// The selection in words, for the record.
    pub words: String,
}

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

/// An order over many rows, as far as it has been carried out: the engine does a slice of it between two turns.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is left.
    pub(super) rest: Selected,
    /// How many rows it touched.
    pub(super) rows: u64,
    /// The waiver that it stored.
    pub(super) waiver: Option<i64>,
    /// How many rows a slice of it has at most.
    slice: usize,
}

impl Progress {
    /// Nothing of it is done yet.
    pub fn new(mut selected: Selected) -> Self {
        selected.rows.sort_unstable();
        Self { rest: selected, rows: 0, waiver: None, slice: SLICE }
    }

    /// How many rows it touched, where all of it is done.
    pub fn done(&self) -> Option<u64> {
        self.rest.rows.is_empty().then_some(self.rows)
    }

    /// How many rows it touched by now.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Which rows are meant, in words.
    pub fn words(&self) -> &str {
        &self.rest.words
    }

    /// What follows is done in smaller slices.
    pub fn halve(&mut self) {
        self.slice = (self.slice / 2).max(SLICE_MIN);
    }
}

/// A slice of an order, as a transaction.
pub(super) struct Slice<'a> {
    pub(super) tx: Tx<'a>,
    /// How far the order is once this slice is done.
    pub(super) after: Progress,
}

impl<'a> Slice<'a> {
    pub(super) async fn begin(
        conn: &'a mut Conn,
        settings: &'a StoreSettings,
        progress: &Progress,
        work: &'a Work,
        terms: TermsOf<'a>,
    ) -> Result<Self, LedgerError> {
        conn.begin().await?;
        let now = conn.now(work.host_now).await?;
        let tx = Tx::new(conn, settings, work, terms, now);
        Ok(Self { tx, after: progress.clone() })
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
        let ranges: Vec<_> = self.after.rest.rows.iter().take(SLICE_SERIES).copied().collect();
        let series = ranges.iter().map(|(series, ..)| *series).collect();
        self.tx.conn.lock(series, Wait::ForThem).await?;
        let each = match which {
            Rows::All => &ALL,
            Rows::Live => &LIVE,
            Rows::Waived => &WAIVED,
        };
        let wanted: Vec<_> = ranges.iter().map(|(id, from, to)| args![*id, *from, *to]).collect();
        let slice = self.after.slice;
        let most = i64::try_from(slice + 1).unwrap_or(i64::MAX);
        let rows = self.tx.conn.all_each(each, &wanted, &[most.into()]).await?;
        let mut entries = rows.iter().map(Entry::read).collect::<Result<Vec<_>, _>>()?;
        let rest = &mut self.after.rest.rows;
        let Some(next) = entries.get(slice).map(|next| (next.series, next.row.start)) else {
            rest.drain(..ranges.len());
            return Ok(entries);
        };
        // The next slice begins with the first row that is not in this one.
        let whole = |entry: &Entry| (entry.series, entry.row.start) < next;
        let kept = entries.partition_point(whole);
        entries.truncate(if kept == 0 { slice } else { kept });
        rest.retain(|(series, ..)| *series >= next.0);
        if let Some(first) = rest.first_mut() {
            first.1 = next.1;
        }
        Ok(entries)
    }

    /// Ends the slice, and remembers the order where it was the last one.
    pub(super) async fn end(
        mut self,
        kind: &'static str,
        what: &str,
        note: &str,
    ) -> Result<(Progress, TxOutcome), LedgerError> {
        if let Some(rows) = self.after.done() {
            let happened = Happened {
                kind,
                check: None,
                tz: None,
                was: String::new(),
                becomes: format!("{rows} rows {what}"),
                note: format!("{} {note}", self.after.rest.words),
            };
            self.tx.happened(None, happened, None);
        }
        self.tx.recompute_all().await?;
        Ok((self.after, self.tx.commit().await?))
    }
}
