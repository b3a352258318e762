//! Supersession: windows that new rules of a zone cut differently, and the windows that stand for them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::supersession::{Bounds, Supersession};
use crate::domain::record::window_state::{
    Override, Recorded, State, VerdictKind, WindowKind, WindowState,
};
use crate::ledger::conn::{Each, Wait, args, each};
use crate::ledger::entry::{Entry, stored};
use crate::ledger::slices::TermsOf;
use crate::ledger::tx::Tx;
use crate::ledger::{Happened, LONG, LedgerError, RowKey, SeriesRecord, Store, TxOutcome, Work};

impl Store {
    /// Returns the bounds of the windows of some series that are recorded or wait, in order: those that end after an
    /// instant of each.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn bounds(
        &mut self,
        wanted: &[(i64, DateTime<Utc>)],
    ) -> Result<BTreeMap<i64, Vec<Bounds>>, LedgerError> {
        const BOUNDS: Each = each!(
            ["SELECT series, start_at, end_at FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "since" "bigint"),
            ["ON series = r.wanted WHERE kind = 'window' AND end_at > r.since \
              AND ruling NOT IN ('superseded', 'replaced') ORDER BY series, start_at"]
        );
        let rows: Vec<_> = wanted.iter().map(|(series, since)| args![*series, *since]).collect();
        self.on(LONG, async |conn, _| {
            let mut all: BTreeMap<i64, Vec<Bounds>> = BTreeMap::new();
            for row in conn.all_each(&BOUNDS, &rows, &[]).await? {
                let bounds = (row.at("start_at")?, row.at("end_at")?);
                all.entry(row.int("series")?).or_default().push(bounds);
            }
            Ok(all)
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

/// Closes rows for which others stand since the rules of their zone changed, once all of those are
/// confirmed.
pub(super) async fn replace(tx: &mut Tx<'_>, keys: &[RowKey]) -> Result<(), LedgerError> {
    const OLD: Each = each!(
        ["SELECT DISTINCT s.series AS series, s.old_start AS old_start, s.old_end AS old_end FROM successors s JOIN"],
        (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
        ["ON s.series = r.wanted AND s.start_at = r.from_at AND s.end_at = r.to_at"]
    );
    const LEFT: &str = "SELECT s.start_at FROM successors s LEFT JOIN entries e \
        ON e.series = s.series AND e.kind = 'window' AND e.start_at = s.start_at \
        AND e.end_at = s.end_at AND e.said = 'confirmed' \
        WHERE s.series = $1 AND s.old_start = $2 AND s.old_end = $3 AND e.series IS NULL LIMIT 1";
    let windows: Vec<_> = keys.iter().map(|key| args![key.series, key.start, key.end]).collect();
    for record in tx.conn.all_each(&OLD, &windows, &[]).await? {
        let (series, start, end) =
            (record.int("series")?, record.at("old_start")?, record.at("old_end")?);
        if tx.conn.first(LEFT, args![series, start, end]).await?.is_some() {
            continue;
        }
        let key = RowKey { series, kind: WindowKind::Window, start, end };
        if let Some(entry) = tx.find(key).await? {
            let was = super::summary::is_open(&entry.row, tx.now);
            let overridden = Override::Superseded { replaced: true };
            let row = WindowState { overridden, ..entry.row };
            let entry = Entry { row, ..entry };
            tx.write(&entry);
            tx.opened(entry.key(), was, None, (&entry, entry.generation));
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
        let overridden = Override::Superseded { replaced: confirmed };
        // Who waited is not looked at any more: the windows that stand for it are.
        let state = match entry.row.state {
            State::Waiting { .. } | State::Running { .. } if entry.row.recorded().is_none() => {
                let said = VerdictKind::Unconfirmed(Cause::Missed);
                let (at, tried) = (tx.now, tx.now);
                State::Recorded(Recorded { said, at, tried })
            }
            state @ (State::Waiting { .. } | State::Running { .. } | State::Recorded(_)) => state,
        };
        let row = WindowState { state, overridden, epoch: entry.row.epoch + 1, ..entry.row };
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
