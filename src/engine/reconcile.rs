//! A reconciliation: both sides asked at once, joined, and asked again before a difference is called one.
//!
//! A look has two tiers. The results of both queries are joined in memory. Where they differ, or where the
//! check always wants it, the rows behind come in the order of their key, in the same two snapshots, and are
//! merged as they come. What differs in two looks by the same amount is a difference; what differs by
//! another amount each time is on its way.

mod compare;

use std::cmp::Ordering;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::check::evidence::{Measure, Minimum, Scope};
use crate::domain::check::judge::{Judgement, count, no_evidence};
use crate::domain::check::name::{ColumnName, SourceName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::reconcile::Reconcile;
use crate::domain::reconcile::claims::Claims;
use crate::domain::reconcile::differences::{Difference, Tally};
use crate::domain::reconcile::merge::Which;
use crate::domain::reconcile::summary::DiffSummary;
use crate::domain::sql::{Engine, Query};
use crate::engine::attempt::{Asking, Look};
use crate::engine::progress::Watching;
use crate::engine::reconcile::compare::{Channels, Compared, Comparing, Ended};
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};
use crate::source::flow::flow;
use crate::source::{Slot, Source};

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
    let mut earlier: Option<Earlier> = None;
    let mut last = [0, 0];
    for number in 1..=LOOKS_MAX {
        let once = look_once(asking, reconcile, look, watching, earlier.as_ref());
        let pass = Box::pin(once).await?;
        // Nothing is on its way, or it was so before.
        let is_said = reconcile.confirm_after.is_zero() || earlier.is_some() && pass.lasts();
        if is_said || !pass.differs() {
            return Ok(conclude(asking, reconcile, pass, watching));
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
    pass: Pass,
    watching: &Watching,
) -> (Judgement, Vec<Differing>) {
    let evidence = pass.evidence.as_ref().ok().copied();
    let names = names(reconcile);
    let mut contradictions = Vec::new();
    if pass.results.lasts() {
        let summary = DiffSummary::new(&reconcile.terms, names.clone(), &pass.results);
        let summary = DiffSummary { skew: pass.skew, ..summary };
        contradictions.push(Contradiction::Differs(Box::new(summary)));
    }
    if let (Some(detail), Some(tally)) = (&reconcile.detail, pass.rows().filter(|t| t.lasts())) {
        let summary = DiffSummary::new(&detail.terms, names, tally);
        let summary = DiffSummary { skew: pass.skew, of_rows: true, ..summary };
        contradictions.push(Contradiction::Differs(Box::new(summary)));
    }
    if contradictions.is_empty() {
        let verdict = match unproved(asking, &pass) {
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
    let of = |of_rows| move |difference| Differing { of_rows, difference };
    let rows = pass.rows.and_then(Result::ok).map_or_else(Vec::new, |rows| rows.kept);
    let differing =
        pass.results.kept.into_iter().map(of(false)).chain(rows.into_iter().map(of(true)));
    (judgement, differing.collect())
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

/// Waits for a connection to each side: always in one order, so that no two attempts wait for each other.
async fn slots<'s>(
    left: &'s Source,
    right: &'s Source,
    reconcile: &Reconcile,
    stop: &CancellationToken,
) -> Result<[Option<Slot<'s>>; 2], Reason> {
    match reconcile.left.source.cmp(&reconcile.right.source) {
        Ordering::Equal => Ok([Some(left.two_slots(stop).await?), None]),
        Ordering::Less => {
            let left = left.slot(stop).await?;
            Ok([Some(left), Some(right.slot(stop).await?)])
        }
        Ordering::Greater => {
            let right = right.slot(stop).await?;
            Ok([Some(left.slot(stop).await?), Some(right)])
        }
    }
}

/// Asks both sides once.
async fn look_once(
    asking: &mut Asking<'_>,
    reconcile: &Reconcile,
    look: &Look,
    watching: &Watching,
    earlier: Option<&Earlier>,
) -> Result<Pass, Reason> {
    let [left, right] = reconcile.sides().map(|side| asking.source(&side.source));
    let (left, right) = (left?, right?);
    let held = slots(&left, &right, reconcile, asking.stop).await?;
    let (Some(left_slot), right_slot) = (&held[0], &held[1]) else {
        return Err(Reason::new(Cause::Busy, "no connection is free"));
    };
    let right_slot = right_slot.as_ref().unwrap_or(left_slot);
    let [left_rows, right_rows] = watching.progress.counters();
    let mut left_side = prepare(asking, reconcile, look, Which::Left, left_rows);
    let right_side = prepare(asking, reconcile, look, Which::Right, right_rows);
    left_side.questions.splice(0..0, asking.evidence_question(look));
    let stop = asking.stop.child_token();
    let ask = |source: &Source, questions| Ask {
        check: asking.check.id.clone(),
        timeout: asking.check.timeout.unwrap_or_else(|| source.timeout()),
        not_before: asking.not_before,
        questions,
    };
    let (left_ask, right_ask) =
        (ask(&left, left_side.questions), ask(&right, right_side.questions));
    let comparing = Comparing {
        reconcile,
        with_evidence: evidence_column(asking).is_some(),
        epochs: [left.epoch(), right.epoch()],
        untyped: [&left, &right].map(|source| source.engine() == Engine::Sqlite),
        watching,
        earlier: earlier.map(|earlier| [&earlier.results, &earlier.rows].map(Arc::clone)),
    };
    let compare = async {
        let compared = comparing.compare(left_side.channels, right_side.channels).await;
        // Whoever has more to say is not listened to any more.
        let broken = |compared: &Compared| matches!(compared.rows, Some(Err(_)));
        if compared.as_ref().map_or(true, broken) {
            stop.cancel();
        }
        compared
    };
    let [left_name, right_name] = reconcile.sides().map(|side| side.source.to_string());
    let (left_name, right_name) = (format!("left ({left_name})"), format!("right ({right_name})"));
    let started = Instant::now();
    let (left_said, right_said, compared) = tokio::join!(
        observed(&left, left_slot, &left_name, left_ask, &stop),
        observed(&right, right_slot, &right_name, right_ask, &stop),
        compare
    );
    asking.took += started.elapsed();
    let skew = match (left_side.began.get(), right_side.began.get()) {
        (Some(l), Some(r)) => *l.max(r) - *l.min(r),
        (None, _) | (_, None) => Duration::ZERO,
    };
    settle(asking, reconcile, (left_said, right_said), compared, skew)
}

/// Asks one side; a side that fails ends the other.
async fn observed(
    source: &Source,
    slot: &Slot<'_>,
    side: &str,
    ask: Ask,
    stop: &CancellationToken,
) -> Result<Vec<Reply>, Reason> {
    let said = source.observe(slot, &ask, stop).await;
    let named = |reason: Reason| Reason { note: format!("{side}: {}", reason.note), ..reason };
    let said = said.map_err(named);
    if said.is_err() {
        stop.cancel();
    }
    // With the question goes its end of the flow.
    drop(ask);
    said
}

type VerdictKind = Result<Vec<Reply>, Reason>;

/// Puts together what both sides and the comparison said.
fn settle(
    asking: &mut Asking<'_>,
    reconcile: &Reconcile,
    (left, right): (VerdictKind, VerdictKind),
    compared: Result<Compared, Ended>,
    skew: Duration,
) -> Result<Pass, Reason> {
    let evidence_asked = matches!(asking.check.evidence.measure, Measure::Query(_));
    let first = match &left {
        Ok(replies) if evidence_asked => replies.first().cloned(),
        Ok(_) | Err(_) => None,
    };
    let failed = failed(asking.stop, (&left, &right), reconcile);
    let compared = match compared {
        Ok(compared) => compared,
        Err(Ended::Reason(reason)) => return Err(reason),
        Err(Ended::Gone) => {
            let (source, reason) = failed.unwrap_or_else(|| {
                let note = "a side ended before all of its rows came";
                (reconcile.left.source.clone(), Reason::new(Cause::Connect, note))
            });
            asking.blamed = Some(source);
            return Err(reason);
        }
    };
    let Compared { results, rows } = compared;
    // Results that came to their end are whole, whatever happened to the rows behind.
    let rows = match (rows, failed) {
        (Some(Err(Ended::Gone)), Some((source, reason))) => {
            asking.blamed = Some(source);
            Some(Err(reason))
        }
        (Some(Err(Ended::Gone)), None) => {
            Some(Err(Reason::new(Cause::Connect, "a side ended before all of its rows came")))
        }
        (Some(Err(Ended::Reason(reason))), _) => Some(Err(reason)),
        // A result of which the source says that something went wrong is none.
        (Some(Ok(_)) | None, Some((source, reason))) if !stopped_by_us(&reason) => {
            asking.blamed = Some(source);
            return Err(reason);
        }
        (Some(Ok(tally)), _) => Some(Ok(tally)),
        (None, _) => None,
    };
    let evidence = evidence(asking, &results, first);
    Ok(Pass { results, rows, evidence, skew })
}

/// We stopped it ourselves, because enough was seen.
fn stopped_by_us(reason: &Reason) -> bool {
    reason.cause == Cause::Interrupted
}

/// Which side failed, and why: not the one that was stopped because the other failed.
fn failed(
    stop: &CancellationToken,
    (left, right): (&VerdictKind, &VerdictKind),
    reconcile: &Reconcile,
) -> Option<(SourceName, Reason)> {
    let [l, r] = reconcile.sides().map(|side| side.source.clone());
    let sides = [(l, left.as_ref().err()), (r, right.as_ref().err())];
    let reasons = sides.into_iter().filter_map(|(source, reason)| Some((source, reason?.clone())));
    let mut reasons: Vec<(SourceName, Reason)> = reasons.collect();
    if !stop.is_cancelled() {
        reasons.sort_by_key(|(_, reason)| stopped_by_us(reason));
    }
    reasons.into_iter().next()
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
            Some(Reply::Rows(_) | Reply::Flowed) | None => Ok(0),
        },
    }
}
