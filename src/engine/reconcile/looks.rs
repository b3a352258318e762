//! One look at both sides: places at both sources, rows that flow to where they are compared, and which side failed.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::evidence::Measure;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::Reconcile;
use crate::domain::reconcile::merge::Which;
use crate::domain::sql::Engine;
use crate::engine::asking::{Asking, Look};
use crate::engine::progress::Watching;
use crate::engine::reconcile::compare::{Compared, Comparing, Ended};
use crate::engine::reconcile::{Earlier, Pass, evidence, evidence_column, prepare};
use crate::source::ask::{Ask, Reply};
use crate::source::{Slot, Source};

/// Waits for a connection to each side: always in one order, so that no two attempts wait for each other.
pub(super) async fn slots<'s>(
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
pub(super) async fn look_once(
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
    let left_ask = asking.ask_of(&left, left_side.questions);
    let right_ask = asking.ask_of(&right, right_side.questions);
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
pub(super) async fn observed(
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

pub(super) type Answer = Result<Vec<Reply>, Reason>;

/// Puts together what both sides and the comparison said.
pub(super) fn settle(
    asking: &mut Asking<'_>,
    reconcile: &Reconcile,
    (left, right): (Answer, Answer),
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
pub(super) fn stopped_by_us(reason: &Reason) -> bool {
    reason.cause == Cause::Interrupted
}

/// Which side failed, and why: not the one that was stopped because the other failed.
pub(super) fn failed(
    stop: &CancellationToken,
    (left, right): (&Answer, &Answer),
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
