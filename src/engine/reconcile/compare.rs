//! The comparing half of a look: results joined in memory, rows merged as they come.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::Reconcile;
use crate::domain::reconcile::cell::{Cell, Epoch};
use crate::domain::reconcile::claims::Claims;
use crate::domain::reconcile::differences::Tally;
use crate::domain::reconcile::merge::{Merge, Next, Which};
use crate::engine::progress::Watching;
use crate::source::flow::{Flowing, RowBatch};

/// How long rows may take to be compared, all in all.
const ROWS_TAKE_MAX: Duration = Duration::from_secs(6 * 3_600);

/// The channels of one side.
pub(super) struct Channels {
    pub(super) results: Flowing,
    pub(super) rows: Option<Flowing>,
}

/// Why a comparison came to no end.
pub(super) enum Ended {
    /// A side is gone: it says why itself.
    Gone,
    /// It cannot be compared.
    Reason(Reason),
}

impl From<Reason> for Ended {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// What was compared.
pub(super) struct Compared {
    pub(super) results: Tally,
    pub(super) rows: Option<Result<Tally, Ended>>,
}

/// What a comparison knows.
pub(super) struct Comparing<'c> {
    pub(super) reconcile: &'c Reconcile,
    pub(super) with_evidence: bool,
    pub(super) epochs: [Option<Epoch>; 2],
    /// Of which sides columns have no type.
    pub(super) untyped: [bool; 2],
    pub(super) watching: &'c Watching,
    /// What differed before: of the results, and of the rows behind.
    pub(super) earlier: Option<[Arc<Claims>; 2]>,
}

impl Comparing<'_> {
    /// Compares what comes of both sides.
    pub(super) async fn compare(&self, left: Channels, right: Channels) -> Result<Compared, Ended> {
        let (mut left, mut right) = (left, right);
        self.watching.progress.begin(0);
        go(&mut left.results, true);
        go(&mut right.results, true);
        let (l, r) =
            tokio::join!(collect(&mut left.results.parcels), collect(&mut right.results.parcels));
        let results = self.join([l?, r?])?;
        let (Some(detail), Some(mut left), Some(mut right)) =
            (&self.reconcile.detail, left.rows, right.rows)
        else {
            return Ok(Compared { results, rows: None });
        };
        // In each look that differs: rows that differ in two of them are not on their way. A side that was
        // cut is gone.
        let wanted = !results.is_cut() && (detail.always || results.differing() > 0);
        if wanted {
            let expected = results.evidence.each_ref().map(|sum| sum.total().as_count());
            let [l, r] = expected.map(Option::unwrap_or_default);
            self.watching.progress.begin(if self.with_evidence { l.max(r) } else { 0 });
        }
        go(&mut left, wanted);
        go(&mut right, wanted);
        if !wanted {
            return Ok(Compared { results, rows: None });
        }
        let (terms, epochs, untyped) = (detail.terms.clone(), self.epochs, self.untyped);
        let kept_max = self.watching.kept_max();
        let earlier = self.earlier.as_ref().map(|[_, rows]| Arc::clone(rows));
        // On a thread of its own: others are looked at meanwhile.
        let mut joining = JoinSet::new();
        joining.spawn_blocking(move || {
            let merge = Merge::new(&terms, false, epochs, kept_max).after(earlier);
            all(merge.untyped(untyped).without_sums(), [left.parcels, right.parcels])
        });
        let rows = match tokio::time::timeout(ROWS_TAKE_MAX, joining.join_next()).await {
            Ok(Some(Ok(rows))) => rows,
            Ok(Some(Err(_)) | None) => {
                let note = "allswell itself failed on this check; please report it";
                Err(Ended::Reason(Reason::new(Cause::Interrupted, note)))
            }
            Err(_) => {
                let note =
                    "the rows take longer than six hours to compare: compare smaller windows";
                Err(Ended::Reason(Reason::new(Cause::Timeout, note)))
            }
        };
        Ok(Compared { results, rows: Some(rows) })
    }

    /// Joins results that are there, whole or in part.
    fn join(&self, [left, right]: [Collected; 2]) -> Result<Tally, Reason> {
        let (terms, kept_max) = (&self.reconcile.terms, self.watching.kept_max());
        let earlier = self.earlier.as_ref().map(|[results, _]| Arc::clone(results));
        let merge = Merge::new(terms, self.with_evidence, self.epochs, kept_max);
        let mut merge = merge.untyped(self.untyped).after(earlier);
        merge.tally.cut = [left.cut.is_some(), right.cut.is_some()];
        merge.feed(Which::Left, left.cells)?;
        merge.feed(Which::Right, right.cells)?;
        merge.sort();
        merge.end(Which::Left);
        merge.end(Which::Right);
        while merge.advance()? != Next::Done {}
        if let Some(note) = left.cut.or(right.cut) {
            merge.tally.ambiguous = Some(Reason::new(Cause::OverLimit, note));
        }
        Ok(merge.tally)
    }
}

fn go(flowing: &mut Flowing, wanted: bool) {
    if let Some(go) = flowing.go.take() {
        // Whoever does not wait any more says why.
        let _ = go.send(wanted);
    }
}

/// What came of a side's results.
struct Collected {
    cells: Vec<Cell>,
    /// Why not all of them came, where that is so.
    cut: Option<String>,
}

/// Collects all rows of a flow.
async fn collect(parcels: &mut mpsc::Receiver<RowBatch>) -> Result<Collected, Ended> {
    let mut all = Vec::new();
    loop {
        match parcels.recv().await {
            Some(RowBatch::Rows(cells)) => all.extend(cells),
            Some(RowBatch::Cut(note)) => return Ok(Collected { cells: all, cut: Some(note) }),
            Some(RowBatch::End) => return Ok(Collected { cells: all, cut: None }),
            None => return Err(Ended::Gone),
        }
    }
}

/// Merges rows as they come; waits for them, on a thread that may.
fn all(
    mut merge: Merge<'_>,
    [mut left, mut right]: [mpsc::Receiver<RowBatch>; 2],
) -> Result<Tally, Ended> {
    loop {
        let side = match merge.advance()? {
            Next::Done => return Ok(merge.tally),
            Next::Feed(side) => side,
        };
        let parcels = match side {
            Which::Left => &mut left,
            Which::Right => &mut right,
        };
        match parcels.blocking_recv() {
            Some(RowBatch::Rows(cells)) => merge.feed(side, cells)?,
            Some(RowBatch::End) => merge.end(side),
            Some(RowBatch::Cut(note)) => {
                let reason = Reason::new(Cause::OverLimit, note);
                if merge.tally.differing() == 0 {
                    return Err(Ended::Reason(reason));
                }
                // What came before it contradicts already.
                merge.tally.stopped = true;
                merge.tally.ambiguous = Some(reason);
                return Ok(merge.tally);
            }
            None => return Err(Ended::Gone),
        }
    }
}
