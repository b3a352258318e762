//! Rows on their way from a source to the comparison, batch by batch: as many as there are, in
//! memory for few of them.
//!
//! Where they come in the order of a key, they come in segments, each a statement of its own that goes on
//! after the last key: so that none runs longer than its limit, and the server is left alone in between. A
//! segment begins when there is room for it, so that the slowness of one side is not charged to the other.

pub(super) mod segments;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Cell;
use crate::source::watch::interrupted;

/// How many rows a batch has at most, and how many bytes of texts.
const BATCH: (usize, usize) = (4_096, 256 << 10);
/// How many batches wait for the comparison.
const BATCHES: usize = 48;
/// How many bytes of an unordered result are kept, roughly.
const BYTES_MAX: usize = 16 << 20;

/// What comes of a flow.
#[derive(Debug)]
pub enum RowBatch {
    /// Rows, one after the other: so many cells each as there are columns.
    Rows(Vec<Cell>),
    /// There is more, and it is not fetched: too many rows, or too many bytes.
    Cut(String),
    /// That was all.
    End,
}

/// The source's end of a flow.
#[derive(Debug)]
pub struct Flow {
    /// The columns: those of the key, then the others.
    pub columns: Vec<ColumnName>,
    /// How many of them are the key.
    pub key: usize,
    /// Whether the rows come in the order of the key, however many they are.
    pub ordered: bool,
    /// How many rows are fetched at most, where they come in no order.
    pub rows_max: u32,
    gate: Mutex<Option<oneshot::Receiver<bool>>>,
    /// When the source was ready for it: when its snapshot began.
    ready_at: Arc<OnceLock<Instant>>,
    out: mpsc::Sender<RowBatch>,
    rows: Arc<AtomicU64>,
}

/// The other end.
#[derive(Debug)]
pub struct Flowing {
    /// Says whether the rows are wanted; nothing flows before that.
    pub go: Option<oneshot::Sender<bool>>,
    /// When the source was ready for it, once it is.
    pub ready_at: Arc<OnceLock<Instant>>,
    /// What comes; it closes with the source's end, so that nothing waits for a source that is gone.
    pub parcels: mpsc::Receiver<RowBatch>,
}

/// Makes a flow; `rows` counts what flows.
pub fn flow(
    columns: Vec<ColumnName>,
    key: usize,
    ordered: bool,
    rows_max: u32,
    rows: Arc<AtomicU64>,
) -> (Arc<Flow>, Flowing) {
    let (go, gate) = oneshot::channel();
    let (out, parcels) = mpsc::channel(BATCHES);
    let (gate, ready_at) = (Mutex::new(Some(gate)), Arc::new(OnceLock::new()));
    let flow =
        Flow { columns, key, ordered, rows_max, gate, ready_at: Arc::clone(&ready_at), out, rows };
    (Arc::new(flow), Flowing { go: Some(go), ready_at, parcels })
}

/// Nobody wants more of it.
#[derive(Debug)]
pub(super) struct Closed;

impl Flow {
    /// Waits until the comparison says whether the rows are wanted.
    pub(super) async fn is_wanted(&self, stop: &CancellationToken) -> Result<bool, Reason> {
        let _ = self.ready_at.set(Instant::now());
        let gate = self.gate.lock().ok().and_then(|mut gate| gate.take());
        let Some(gate) = gate else { return Ok(false) };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(interrupted()),
            wanted = gate => Ok(wanted.unwrap_or(false)),
        }
    }

    /// Waits until there is room for a segment.
    pub(super) async fn room(&self, rows: u64, stop: &CancellationToken) -> Result<(), Reason> {
        let batches = usize::try_from(rows).unwrap_or(usize::MAX).div_ceil(BATCH.0);
        // What a segment sends is half of what there is room for, unless it is to sort everything.
        let waits = self.out.reserve_many(batches.clamp(1, BATCHES / 2));
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(interrupted()),
            // The room is not kept: nothing else sends.
            room = waits => room.map(drop).map_err(|_| interrupted()),
        }
    }

    pub(super) async fn send(&self, batch: RowBatch) -> Result<(), Closed> {
        self.out.send(batch).await.map_err(|_| Closed)
    }
}

/// Rows that are put together to a batch.
pub(super) struct Batcher<'f> {
    flow: &'f Flow,
    /// The cells of the row that is being read, and of those before it.
    pub(super) cells: Vec<Cell>,
    bytes: usize,
    bytes_in_all: usize,
    /// How many rows came.
    pub(super) rows: u64,
    /// The last key that was sent, and how many of the last rows have it.
    last: Option<Vec<Cell>>,
    again: u64,
    /// How many rows are passed over: those of the last key of the segment before.
    skip: u64,
    batches: u64,
    began: Instant,
    first_after: Option<Duration>,
}

/// What becomes of a statement after a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FlowDemand {
    /// The next row is wanted.
    More,
    /// Nothing more is.
    Enough,
}

impl<'f> Batcher<'f> {
    /// Puts rows together that go on after a key: those of it that were sent already come again, and are passed
    /// over.
    pub(super) fn new(flow: &'f Flow, after: Option<&After>) -> Self {
        let cells = Vec::with_capacity(BATCH.0 * flow.columns.len());
        Self {
            flow,
            cells,
            bytes: 0,
            bytes_in_all: 0,
            rows: 0,
            last: after.map(|after| after.key.clone()),
            again: after.map_or(0, |after| after.rows),
            skip: after.map_or(0, |after| after.rows),
            batches: 0,
            began: Instant::now(),
            first_after: None,
        }
    }

    /// A row was read that took so many bytes; `None` where a value of it is too large.
    pub(super) async fn row(&mut self, bytes: Option<usize>) -> FlowDemand {
        let Some(bytes) = bytes else {
            return self.cut("a value past 1 MiB: select less of it".to_owned()).await;
        };
        self.rows += 1;
        self.bytes += bytes;
        if self.first_after.is_none() {
            self.first_after = Some(self.began.elapsed());
        }
        let flow = self.flow;
        if self.skip > 0 {
            self.skip -= 1;
            self.cells.truncate(self.cells.len() - flow.columns.len());
            return FlowDemand::More;
        }
        if !flow.ordered {
            self.bytes_in_all += bytes + size_of::<Cell>() * flow.columns.len();
            if self.rows > u64::from(flow.rows_max) {
                let note = format!(
                    "more than {} keys on a side: aggregate more, raise `max_rows`, or compare rows under \
                     `detail`",
                    flow.rows_max
                );
                return self.cut(note).await;
            }
            if self.bytes_in_all > BYTES_MAX {
                let note =
                    "more than 16 MiB on a side: aggregate more, or compare rows under `detail`";
                return self.cut(note.to_owned()).await;
            }
        }
        if self.cells.len() >= BATCH.0 * flow.columns.len() || self.bytes >= BATCH.1 {
            return self.flush().await;
        }
        FlowDemand::More
    }

    /// Says whether the row that was read last has a key that names it, where rows come in its order: where
    /// NULL stands among others, each database says otherwise.
    pub(super) fn is_named(&self) -> Result<(), Reason> {
        if !self.flow.ordered {
            return Ok(());
        }
        let Some(begins) = self.cells.len().checked_sub(self.flow.columns.len()) else {
            return Ok(());
        };
        let key = self.cells[begins..].iter().zip(&self.flow.columns).take(self.flow.key);
        for (cell, column) in key {
            if matches!(cell, Cell::Null | Cell::NonFinite(_) | Cell::NoDate(_)) {
                return Err(no_order(column));
            }
        }
        Ok(())
    }

    /// Says whether the key of the row that was read last has no text in it: a collation may have put several
    /// together.
    pub(super) fn has_no_text(&self, collation: &str) -> Result<(), Reason> {
        let Some(begins) = self.cells.len().checked_sub(self.flow.columns.len()) else {
            return Ok(());
        };
        let mut key = self.cells[begins..].iter().zip(&self.flow.columns).take(self.flow.key);
        match key.find(|(cell, _)| matches!(cell, Cell::Text(_))) {
            Some((_, column)) => {
                Err(merges(column, collation, &format!("{column} collate binary")))
            }
            None => Ok(()),
        }
    }

    /// Says whether the texts in the key of the row that was read last are as short as the server sorts them.
    pub(super) fn is_sorted_whole(&self, bytes_max: usize) -> Result<(), Reason> {
        let Some(begins) = self.cells.len().checked_sub(self.flow.columns.len()) else {
            return Ok(());
        };
        let mut key = self.cells[begins..].iter().zip(&self.flow.columns).take(self.flow.key);
        let is_long = |(cell, _): &(&Cell, &ColumnName)| matches!(cell, Cell::Text(text) if text.len() >= bytes_max);
        match key.find(is_long).filter(|_| self.flow.ordered) {
            Some((_, column)) => Err(Reason::new(
                Cause::Unordered,
                format!(
                    "key column `{column}` has texts of {bytes_max} bytes and more, which the server sorts by their \
                     beginning only: use a shorter key"
                ),
            )),
            None => Ok(()),
        }
    }

    /// Notes the last key, and how many of the last rows have it: the next segment goes on with that key.
    fn remember(&mut self) {
        let key = self.flow.key;
        let mut rows = self.cells.chunks(self.flow.columns.len()).rev();
        let Some(last) = rows.next().map(|row| row[..key].to_vec()) else { return };
        let same = 1 + rows.by_ref().take_while(|row| row[..key] == last[..]).count();
        let all = rows.next().is_none() && self.cells.len() == same * self.flow.columns.len();
        let before = if all && self.last.as_ref() == Some(&last) { self.again } else { 0 };
        self.again = before + u64::try_from(same).unwrap_or(0);
        self.last = Some(last);
    }

    /// Says that there is more, after what came before: that may contradict already.
    async fn cut(&mut self, note: String) -> FlowDemand {
        if self.flush().await == FlowDemand::More {
            drop(self.flow.send(RowBatch::Cut(note)).await);
        }
        FlowDemand::Enough
    }

    /// Sends what is there.
    pub(super) async fn flush(&mut self) -> FlowDemand {
        let width = self.flow.columns.len();
        if self.cells.is_empty() {
            return FlowDemand::More;
        }
        let rows = u64::try_from(self.cells.len() / width).unwrap_or(0);
        self.remember();
        self.batches += 1;
        let cells = std::mem::replace(&mut self.cells, Vec::with_capacity(BATCH.0 * width));
        self.bytes = 0;
        self.flow.rows.fetch_add(rows, Ordering::Relaxed);
        match self.flow.send(RowBatch::Rows(cells)).await {
            Ok(()) => FlowDemand::More,
            Err(Closed) => FlowDemand::Enough,
        }
    }

    /// Sends the rest; says what was brought, and whether no more is wanted.
    pub(super) async fn finish(mut self, wanted: FlowDemand) -> Segment {
        let wanted = if wanted == FlowDemand::More { self.flush().await } else { wanted };
        Segment {
            rows: self.rows,
            last: self.last.map(|key| After { key, rows: self.again }),
            batches: self.batches,
            enough: wanted == FlowDemand::Enough,
            first_after: self.first_after.unwrap_or_default(),
        }
    }
}

/// Where a segment goes on.
#[derive(Debug, Clone)]
pub(super) struct After {
    /// The last key that came.
    pub(super) key: Vec<Cell>,
    /// How many rows of it came.
    pub(super) rows: u64,
}

/// What a segment brought.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) rows: u64,
    /// Its last key, where there are rows, and how many rows of it came so far.
    pub(super) last: Option<After>,
    /// In how many batches.
    pub(super) batches: u64,
    /// Nobody wants more.
    pub(super) enough: bool,
    /// How long the first row took.
    pub(super) first_after: Duration,
}

/// A key by which no segment can go on.
pub(super) fn no_order(column: &ColumnName) -> Reason {
    Reason::new(
        Cause::Unordered,
        format!(
            "key column `{column}` is NULL or not finite on some row, and such a key names no row: leave \
             those rows out, or use `coalesce`"
        ),
    )
}

/// A query that groups by the name of a column to which its select list gives a collation.
pub(super) fn groups_otherwise(column: &ColumnName, cast: &str) -> Reason {
    Reason::new(
        Cause::Unordered,
        format!(
            "key column `{column}` gets a collation in the select list, and `group by {column}` means the table's \
             own column, which merges different texts: group by `{cast}` too"
        ),
    )
}

/// What puts texts together without a sign of it in the query.
pub(super) fn hidden(what: &str, cast: &str) -> Reason {
    Reason::new(
        Cause::Unordered,
        format!(
            "{what} puts rows together by a text whose collation may take different texts for one: ask the \
             table itself, and group by `{cast}`"
        ),
    )
}

/// A key whose collation takes different texts for one.
pub(super) fn merges(column: &ColumnName, collation: &str, cast: &str) -> Reason {
    Reason::new(
        Cause::Unordered,
        format!(
            "key column `{column}` has the collation {collation}, which takes different texts for one, so \
             that a `group by` merges them: select and group by `{cast}`"
        ),
    )
}
