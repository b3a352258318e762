//! A round: every selected check attempted once, each source at its own pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::check::Check;
use crate::domain::judge::Judgement;
use crate::domain::verdict::{Cause, Doubt, Verdict};
use crate::engine::attempt::{Attempted, Sources, attempt};

/// What became of one check in a round.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check.
    pub check: Arc<Check>,
    /// The instant at which the round looked.
    pub slot: DateTime<Utc>,
    /// The verdict and its evidence.
    pub judgement: Judgement,
    /// How long the sources were asked; waiting for a free connection is not in it.
    pub took: Duration,
}

/// Attempts every check once and returns the outcomes in the order of the checks.
///
/// When `stop` is cancelled, what runs is stopped at the servers, and what did not run yet comes
/// back as interrupted: nothing is left out. A panic costs the attempt in which it happens.
pub async fn round(
    checks: &[Arc<Check>],
    sources: &Arc<Sources>,
    slot: DateTime<Utc>,
    stop: &CancellationToken,
    mut seen: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut running = JoinSet::new();
    let mut places = BTreeMap::new();
    for (place, check) in checks.iter().enumerate() {
        let (check, sources, stop) = (Arc::clone(check), Arc::clone(sources), stop.clone());
        let task = running.spawn(async move { attempt(&check, &sources, &stop).await });
        places.insert(task.id(), place);
    }
    let mut outcomes: Vec<Option<Outcome>> = vec![None; checks.len()];
    while let Some(done) = running.join_next_with_id().await {
        let (id, Attempted { judgement, took }) = match done {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => (error.id(), panicked()),
        };
        let Some(place) = places.remove(&id) else { continue };
        let outcome = Outcome { check: Arc::clone(&checks[place]), slot, judgement, took };
        seen(&outcome);
        outcomes[place] = Some(outcome);
    }
    outcomes.into_iter().flatten().collect()
}

fn panicked() -> Attempted {
    let note = "allswell itself failed on this check; please report it";
    let verdict = Verdict::Unconfirmed(Doubt::new(Cause::Interrupted, note));
    Attempted { judgement: Judgement { verdict, evidence: None }, took: Duration::ZERO }
}
