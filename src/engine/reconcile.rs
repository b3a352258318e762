//! A reconciliation: both sides asked at once, joined, and asked again before a difference is called one.
//!
//! A look has two tiers. The results of both queries are joined in memory. Where they differ, or where the
//! check always wants it, the rows behind come in the order of their key, in the same two snapshots, and are
//! merged as they come. What differs in two looks by the same amount is a difference; what differs by
//! another amount each time is on its way.

mod compare;
mod looks;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::domain::check::evidence::{Measure, Minimum, Scope};
use crate::domain::check::judge::{Judgement, count, no_evidence};
use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::reconcile::Reconcile;
use crate::domain::reconcile::claims::Claims;
use crate::domain::reconcile::differences::{Difference, Tally};
use crate::domain::reconcile::merge::Which;
use crate::domain::reconcile::summary::DiffSummary;
use crate::domain::sql::Query;
use crate::engine::asking::{Asking, Look};
use crate::engine::progress::Watching;
use crate::engine::reconcile::compare::Channels;
use crate::engine::reconcile::looks::look_once;
use crate::source::ask::{Part, Question, Reply, ResultShape};
use crate::source::flow::flow;

/// How often both sides are asked at most before it is said that data are on their way.
const LOOKS_MAX: usize = 3;

/// What differs on a key, of the results or of the rows behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// Whether it is one of the rows.
    pub of_rows: bool,
    /// The difference.
    pub difference: Difference,
}

/// What one look brought.
struct Pass {
    results: Tally,
    /// The rows behind, where they were compared; or why they could not be.
    rows: Option<Result<Tally, Reason>>,
    evidence: Result<u64, Reason>,
    skew: Duration,
}

/// What differed in an earlier look.
struct Earlier {
    results: Arc<Claims>,
    rows: Arc<Claims>,
}

/// Judges a reconciliation.
pub(super) async fn judge(
    asking: &mut Asking<'_>,
    reconcile: &Reconcile,
    look: &Look,
    watching: &Watching,
) -> Result<(Judgement, Vec<Differing>), Reason> {
    asking.keeps_to_its_window(look).await?;
    let mut earlier: Option<Earlier> = None;
    let mut last = [0, 0];
    for number in 1..=LOOKS_MAX {
        let once = look_once(asking, reconcile, look, watching, earlier.as_ref());
        let pass = Box::pin(once).await?;
        // Nothing is on its way, or it was so before.
        let is_said = reconcile.confirm_after.is_zero() || earlier.is_some() && pass.lasts();
        if is_said || !pass.differs() {
            return Ok(conclude(asking, reconcile, &pass, watching));
        }
        if number == LOOKS_MAX
            && let (true, Some(reason)) = (pass.results.is_cut(), &pass.results.ambiguous)
        {
            return Err(reason.clone());
        }
        last = [pass.results.differing(), pass.results.rows[0]];
        if number == LOOKS_MAX {
            break;
        }
        earlier = Some(Earlier {
            results: Arc::new(pass.results.claims.sorted()),
            rows: Arc::new(pass.rows.and_then(Result::ok).unwrap_or_default().claims.sorted()),
        });
        watching.progress.wait();
        tokio::select! {
            biased;
            () = asking.stop.cancelled() => {
                return Err(Reason::new(Cause::Interrupted, "stopped before it was looked at again"));
            }
            () = sleep(reconcile.confirm_after) => {}
        }
    }
    let rows = if reconcile.detail.is_some() { "" } else { ", or name the rows under `detail`" };
    let note = format!(
        "both sides differ on keys that move ({} of {} in the last look), and {LOOKS_MAX} looks do not say \
         whether that is on its way: let the window `settle` for longer, raise `confirm_after`{rows}",
        last[0], last[1]
    );
    Err(Reason::new(Cause::Stale, note))
}

impl Pass {
    fn rows(&self) -> Option<&Tally> {
        self.rows.as_ref().and_then(|rows| rows.as_ref().ok())
    }

    fn differs(&self) -> bool {
        self.results.differing() > 0 || self.rows().is_some_and(|rows| rows.differing() > 0)
    }

    /// Says whether something differs that did so before.
    fn lasts(&self) -> bool {
        self.results.lasts() || self.rows().is_some_and(Tally::lasts)
    }
}

/// Says what follows from what lasted.
fn conclude(
    asking: &Asking<'_>,
    reconcile: &Reconcile,
    pass: &Pass,
    watching: &Watching,
) -> (Judgement, Vec<Differing>) {
    let evidence = pass.evidence.as_ref().ok().copied();
    let (names, mask) = (names(reconcile), asking.check.samples.mask.as_slice());
    let mut contradictions = Vec::new();
    if pass.results.lasts() {
        let summary = DiffSummary::new(&reconcile.terms, names.clone(), &pass.results, mask);
        let summary = DiffSummary { skew: pass.skew, ..summary };
        contradictions.push(Contradiction::Differs(Box::new(summary)));
    }
    if let (Some(detail), Some(tally)) = (&reconcile.detail, pass.rows().filter(|t| t.lasts())) {
        let summary = DiffSummary::new(&detail.terms, names, tally, mask);
        let summary = DiffSummary { skew: pass.skew, of_rows: true, ..summary };
        contradictions.push(Contradiction::Differs(Box::new(summary)));
    }
    if contradictions.is_empty() {
        let verdict = match unproved(asking, pass) {
            Some(reason) => Verdict::Unconfirmed(reason),
            None => Verdict::Confirmed,
        };
        return (Judgement { verdict, evidence }, Vec::new());
    }
    let mut asides = Vec::new();
    if let (true, Some(reason)) = (pass.results.is_cut(), &pass.results.ambiguous) {
        asides.push(format!("not all was compared: {}", reason.note));
    }
    match &pass.rows {
        Some(Err(reason)) => asides.push(format!("detail: {}: {}", reason.cause, reason.note)),
        Some(Ok(tally)) if tally.differing() == 0 => {
            asides.push("detail: no row differs: do its queries look at the same rows?".to_owned());
        }
        Some(Ok(_)) | None => {}
    }
    let cut = pass.results.is_cut() || pass.rows().is_some_and(|rows| rows.stopped);
    let verdict = Verdict::Violated(Finding { contradictions, cut, rows: asides });
    let judgement = Judgement { verdict, evidence };
    if watching.kept_max.is_none() {
        return (judgement, Vec::new());
    }
    let of = |of_rows, terms| {
        move |difference: &Difference| Differing {
            of_rows,
            difference: difference.masked(terms, mask),
        }
    };
    let results = pass.results.kept.iter().map(of(false, &reconcile.terms));
    let rows = pass.rows().zip(reconcile.detail.as_ref());
    let rows =
        rows.into_iter().flat_map(|(rows, detail)| rows.kept.iter().map(of(true, &detail.terms)));
    (judgement, results.chain(rows).collect())
}

/// Why two sides that do not differ are no proof yet.
fn unproved(asking: &Asking<'_>, pass: &Pass) -> Option<Reason> {
    let rows = pass.rows.as_ref();
    if let Some(Err(reason)) = rows {
        return Some(reason.clone());
    }
    let ambiguous = rows.and_then(|rows| rows.as_ref().ok()?.ambiguous.clone());
    if let Some(reason) = pass.results.ambiguous.clone().or(ambiguous) {
        return Some(reason);
    }
    let minimum = &asking.check.evidence.minimum;
    let nothing = pass.results.rows == [0, 0] && !matches!(minimum, Minimum::Waived { .. });
    match &pass.evidence {
        Err(reason) => Some(reason.clone()),
        Ok(_) if nothing => Some(no_evidence(asking.check, 0)),
        Ok(_) if pass.results.is_all_null() && !matches!(minimum, Minimum::Waived { .. }) => {
            let note = "everything that is compared is NULL on both sides: nothing was held against anything";
            Some(Reason::new(Cause::NoEvidence, note))
        }
        Ok(evidence) if minimum.is_met_by(*evidence) => None,
        Ok(evidence) => Some(no_evidence(asking.check, *evidence)),
    }
}

/// What the sides are called: their sources, where those are two.
fn names(reconcile: &Reconcile) -> [String; 2] {
    let [left, right] = reconcile.sides().map(|side| side.source.to_string());
    if left == right { ["left".to_owned(), "right".to_owned()] } else { [left, right] }
}

/// What is asked of one side, and where its rows come out.
struct Prepared {
    questions: Vec<Question>,
    channels: Channels,
    /// When its snapshot began, once it has.
    began: Arc<OnceLock<Instant>>,
}

/// Puts together what is asked of a side: its results, and the rows behind, where the check names them.
fn prepare(
    asking: &Asking<'_>,
    reconcile: &Reconcile,
    look: &Look,
    side: Which,
    rows: Arc<AtomicU64>,
) -> Prepared {
    let detail = reconcile.detail.as_ref();
    let (query, behind) = match side {
        Which::Left => (&reconcile.left.query, detail.map(|detail| (&detail.left, &detail.terms))),
        Which::Right => {
            (&reconcile.right.query, detail.map(|detail| (&detail.right, &detail.terms)))
        }
    };
    let bounds = look.bounds(Scope::Window);
    let question = |part, query: &Query, flow| Question {
        part,
        query: query.clone(),
        bounds: bounds.clone(),
        wanted: ResultShape::Flow(flow),
    };
    let mut columns: Vec<ColumnName> = reconcile.terms.columns().cloned().collect();
    columns.extend(evidence_column(asking).cloned());
    let (key, rows_max) = (reconcile.terms.key.len(), asking.check.max_rows.get());
    let (results, flowing) = flow(columns, key, false, rows_max, Arc::clone(&rows));
    let began = Arc::clone(&flowing.ready_at);
    let mut questions = vec![question(Part::Side, query, results)];
    let mut channels = Channels { results: flowing, rows: None };
    if let Some((query, terms)) = behind {
        let columns = terms.columns().cloned().collect();
        let (flow, flowing) = flow(columns, terms.key.len(), true, 0, rows);
        questions.push(question(Part::Detail, query, flow));
        channels.rows = Some(flowing);
    }
    Prepared { questions, channels, began }
}

fn evidence_column<'a>(asking: &Asking<'a>) -> Option<&'a ColumnName> {
    match &asking.check.evidence.measure {
        Measure::Column(column) => Some(column),
        Measure::Rows | Measure::ExpectedKeys | Measure::Query(_) => None,
    }
}

fn evidence(asking: &Asking<'_>, results: &Tally, first: Option<Reply>) -> Result<u64, Reason> {
    let [left, right] = results.rows;
    match &asking.check.evidence.measure {
        Measure::Rows | Measure::ExpectedKeys => Ok(left.max(right)),
        Measure::Column(_) => {
            let [left, right] = results.evidence.each_ref().map(|sum| sum.total().as_count());
            Ok(left.unwrap_or(0).max(right.unwrap_or(0)))
        }
        Measure::Query(_) => match first {
            Some(Reply::Value(value)) => count(&value),
            Some(Reply::Rows(_) | Reply::Flowed | Reply::Planned) => Ok(0),
            None => Err(Reason::new(
                Cause::Interrupted,
                "what was looked at was not counted to the end",
            )),
        },
    }
}
