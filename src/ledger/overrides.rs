//! What people, and new rules of a zone, say beside the data: waivers, reruns, supersession.

use chrono::{DateTime, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::supersession::{Bounds, Supersession};
use crate::domain::record::window_state::{
    Override, Recorded, State, VerdictKind, WindowKind, WindowState,
};
use crate::ledger::conn::{Conn, Each, Wait, args, each};
use crate::ledger::entry::{Entry, columns, stored};
use crate::ledger::tx::Tx;
use crate::ledger::{
    Happened, LONG, LedgerError, RowKey, SeriesRecord, Store, StoreSettings, Terms, TxOutcome, Work,
};

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

/// Which rows of a selection an order reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// Those that may be open.
    Live,
    /// Those that a waiver covers.
    Waived,
}

type TermsOf<'a> = &'a (dyn Fn(i64) -> Option<Terms> + Sync);

/// An order over many rows, as far as it has been carried out: the engine does a slice of it between two turns.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is left.
    rest: Selected,
    /// How many rows it touched.
    rows: u64,
    /// The waiver that it stored.
    waiver: Option<i64>,
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

impl Store {
    /// Vouches for the rows of a slice of a selection that are open.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn waive(
        &mut self,
        progress: &mut Progress,
        waiver: &Waiver,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                let entries = slice.read(Rows::Live).await?;
                let tx = &mut slice.tx;
                let open = entries.into_iter().filter(|e| e.row.open(tx.now).is_some());
                let open: Vec<Entry> = open.collect();
                if !open.is_empty() {
                    let words = &progress.rest.words;
                    let id = store_waiver(tx, words, waiver, progress.waiver, open.len()).await?;
                    slice.after.waiver = Some(id);
                }
                for entry in open {
                    let tx = &mut slice.tx;
                    let was = super::summary::is_open(&entry.row, tx.now);
                    let row = WindowState {
                        ruling: Override::Waived { until: waiver.until },
                        ..entry.row
                    };
                    let entry = Entry { row, waiver: slice.after.waiver, ..entry };
                    tx.write(&entry);
                    tx.opened(entry.key(), was, None, &entry);
                    slice.after.rows += 1;
                }
                let note = format!("by {}: {}", waiver.by, waiver.because);
                slice.end("waiver", "waived", &note).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }

    /// Takes the waivers of a slice of a selection back: what they covered is open again.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn revoke(
        &mut self,
        progress: &mut Progress,
        revocation: &Revocation,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                for entry in slice.read(Rows::Waived).await? {
                    let tx = &mut slice.tx;
                    let was = super::summary::is_open(&entry.row, tx.now);
                    let row = WindowState { ruling: Override::Standing, ..entry.row };
                    let is = super::summary::is_open(&row, tx.now);
                    let entry = Entry { row, ..entry };
                    tx.write(&entry);
                    tx.opened(entry.key(), was, is, &entry);
                    slice.after.rows += 1;
                }
                let note = format!("by {}: {}", revocation.by, revocation.because);
                slice.end("waiver", "revoked", &note).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }

    /// Has every recorded row of a slice of a selection tried again, as soon as there is a place.
    ///
    /// # Errors
    /// Where the store failed: then nothing of the slice is done.
    pub async fn rerun(
        &mut self,
        progress: &mut Progress,
        by: &str,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        let done = self
            .on(LONG, async |conn, settings| {
                let mut slice = Slice::begin(conn, settings, progress, work, terms).await?;
                let entries = slice.read(Rows::All).await?;
                let series = entries.iter().map(|entry| entry.series).collect();
                slice.tx.read_last_slots(series).await?;
                for entry in entries {
                    let tx = &mut slice.tx;
                    // What is past of the present cannot be looked at.
                    if !tx.is_newest(&entry) {
                        continue;
                    }
                    let row = match entry.row.state {
                        State::Running { .. } => continue,
                        // However often it was in vain before.
                        State::Recorded(_) => WindowState { vain: 0, ..entry.row },
                        State::Waiting { last, .. } => {
                            let state = State::Waiting { not_before: tx.now, last };
                            WindowState { state, ..entry.row }
                        }
                    };
                    tx.write_quietly(&Entry { row, asked: true, ..entry });
                    slice.after.rows += 1;
                }
                slice.end("rerun", "asked for", &format!("by {by}")).await
            })
            .await?;
        *progress = done.0;
        Ok(done.1)
    }

    /// Returns the bounds of the windows of a series that are recorded or wait, in order.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn bounds(
        &mut self,
        series: i64,
        since: DateTime<Utc>,
    ) -> Result<Vec<Bounds>, LedgerError> {
        const BOUNDS: &str = "SELECT start_at, end_at FROM entries WHERE series = $1 \
            AND kind = 'window' AND end_at > $2 AND ruling NOT IN ('superseded', 'replaced') \
            ORDER BY start_at";
        self.on(LONG, async |conn, _| {
            let rows = conn.all(BOUNDS, args![series, since]).await?;
            rows.iter().map(|row| Ok((row.at(0)?, row.at(1)?))).collect()
        })
        .await
    }

    /// Writes down what new rules of a zone do to a series: what stands for what. The new windows are
    /// promised by `work`.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn supersede(
        &mut self,
        series: i64,
        what: &Supersession,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<TxOutcome, LedgerError> {
        self.on(LONG, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(work.host_now).await?;
            let mut tx = Tx::new(conn, settings, work, terms, now);
            tx.conn.lock(vec![series], Wait::ForThem).await?;
            supersede(&mut tx, series, what).await?;
            tx.recompute_all().await?;
            tx.commit().await
        })
        .await
    }

    /// Says that the windows of a series are cut by a release of zone rules from now on.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn cut_by(&mut self, series: Vec<i64>, tz_release: &str) -> Result<(), LedgerError> {
        const CUT: Each = each!(
            ["UPDATE series SET tz_release = r.release FROM"],
            (0 "wanted" "bigint", 1 "release" "text"),
            ["WHERE id = r.wanted"]
        );
        self.on(LONG, async |conn, _| {
            let rows: Vec<_> = series.into_iter().map(|id| args![id, tz_release]).collect();
            conn.run_each(&CUT, &rows, &[]).await.map(drop)
        })
        .await
    }
}

/// A slice of an order, as a transaction.
struct Slice<'a> {
    tx: Tx<'a>,
    /// How far the order is once this slice is done.
    after: Progress,
}

impl<'a> Slice<'a> {
    async fn begin(
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
    async fn read(&mut self, which: Rows) -> Result<Vec<Entry>, LedgerError> {
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
    async fn end(
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

/// Stores a waiver, or adds rows to the one that an earlier slice stored; returns its number.
async fn store_waiver(
    tx: &mut Tx<'_>,
    words: &str,
    waiver: &Waiver,
    stored: Option<i64>,
    entries: usize,
) -> Result<i64, LedgerError> {
    const ADD: &str = "INSERT INTO waivers (at, by_whom, because, until_at, selection, entries) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    const MORE: &str = "UPDATE waivers SET entries = entries + $1 WHERE id = $2";
    let count = i64::try_from(entries).unwrap_or(i64::MAX);
    if let Some(id) = stored {
        tx.conn.run(MORE, args![count, id]).await?;
        return Ok(id);
    }
    let (by, because) = (waiver.by.as_str(), waiver.because.as_str());
    let values = args![tx.now, by, because, waiver.until, words, count];
    let row = tx.conn.first(ADD, values).await?;
    row.ok_or_else(|| LedgerError::odd("a waiver was not stored"))?.int(0)
}

/// Closes rows for which others stand since the rules of their zone changed, once all of those are
/// confirmed.
pub(super) async fn replace(tx: &mut Tx<'_>, keys: &[RowKey]) -> Result<(), LedgerError> {
    const OLD: Each = each!(
        ["SELECT DISTINCT s.series, s.old_start, s.old_end FROM successors s JOIN"],
        (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
        ["ON s.series = r.wanted AND s.start_at = r.from_at AND s.end_at = r.to_at"]
    );
    const LEFT: &str = "SELECT s.start_at FROM successors s LEFT JOIN entries e \
        ON e.series = s.series AND e.kind = 'window' AND e.start_at = s.start_at \
        AND e.end_at = s.end_at AND e.said = 'confirmed' \
        WHERE s.series = $1 AND s.old_start = $2 AND s.old_end = $3 AND e.series IS NULL LIMIT 1";
    let windows: Vec<_> = keys.iter().map(|key| args![key.series, key.start, key.end]).collect();
    for record in tx.conn.all_each(&OLD, &windows, &[]).await? {
        let (series, start, end) = (record.int(0)?, record.at(1)?, record.at(2)?);
        if tx.conn.first(LEFT, args![series, start, end]).await?.is_some() {
            continue;
        }
        let key = RowKey { series, kind: WindowKind::Window, start, end };
        if let Some(entry) = tx.find(key).await? {
            let was = super::summary::is_open(&entry.row, tx.now);
            let ruling = Override::Superseded { replaced: true };
            let row = WindowState { ruling, ..entry.row };
            let entry = Entry { row, ..entry };
            tx.write(&entry);
            tx.opened(entry.key(), was, None, &entry);
        }
    }
    tx.flush().await
}

async fn supersede(tx: &mut Tx<'_>, series: i64, what: &Supersession) -> Result<(), LedgerError> {
    const ADD: Each = each!(
        ["INSERT INTO successors (series, old_start, old_end, start_at, end_at) \
          SELECT series, old_start, old_end, start_at, end_at FROM"],
        (0 "series" "bigint", 1 "old_start" "bigint", 2 "old_end" "bigint", 3 "start_at" "bigint",
         4 "end_at" "bigint"),
        ["WHERE true ON CONFLICT DO NOTHING"]
    );
    let keys = what.old.iter().map(|((start, end), _)| RowKey {
        series,
        kind: WindowKind::Window,
        start: *start,
        end: *end,
    });
    tx.load(keys).await?;
    let mut successors = Vec::new();
    for ((start, end), by) in &what.old {
        let key = RowKey { series, kind: WindowKind::Window, start: *start, end: *end };
        let Some(entry) = tx.find(key).await? else { continue };
        let confirmed = entry.row.recorded().is_some_and(|r| r.said == VerdictKind::Confirmed);
        let ruling = Override::Superseded { replaced: confirmed };
        // Who waited is not looked at any more: the windows that stand for it are.
        let state = match entry.row.state {
            State::Waiting { .. } | State::Running { .. } if entry.row.recorded().is_none() => {
                let said = VerdictKind::Unconfirmed(Cause::Missed);
                let (at, tried) = (tx.now, tx.now);
                State::Recorded(Recorded { said, at, tried })
            }
            state @ (State::Waiting { .. } | State::Running { .. } | State::Recorded(_)) => state,
        };
        let row = WindowState { state, ruling, epoch: entry.row.epoch + 1, ..entry.row };
        tx.write(&Entry { row, owner: None, ..entry });
        successors
            .extend(by.iter().map(|window| args![series, *start, *end, window.start, window.end]));
    }
    tx.conn.run_each(&ADD, &successors, &[]).await?;
    tx.flush().await?;
    super::due::materialise_new(tx, series).await?;
    tx.done.series.extend(SeriesRecord::find(tx.conn, series).await?);
    let happened = Happened {
        kind: "rules",
        check: None,
        tz: None,
        was: format!("{} windows", what.old.len()),
        becomes: format!("{} windows", what.new.len()),
        note: format!("series {}: the rules of its zone changed", stored(series.unsigned_abs())),
    };
    tx.happened(None, happened, None);
    Ok(())
}
