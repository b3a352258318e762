//! A round: every task attempted once, each source at its own pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::check::Check;
use crate::domain::judge::Judgement;
use crate::domain::series::Series;
use crate::domain::verdict::{Cause, Doubt};
use crate::domain::window::Window;
use crate::domain::zone::ZoneName;
use crate::engine::attempt::{Attempted, Look, Sources, attempt};

/// One attempt that is to be made.
#[derive(Debug, Clone)]
pub struct Task {
    /// The check.
    pub check: Arc<Check>,
    /// The zone, where the check fans out.
    pub tz: Option<ZoneName>,
    /// What is looked at.
    pub look: Look,
}

impl Task {
    /// Looks at the present.
    pub fn present(check: Arc<Check>) -> Self {
        Self { check, tz: None, look: Look::Present }
    }

    /// Looks at a window of a series.
    pub fn window(series: &Series, window: Window) -> Self {
        let look = Look::at(series, window);
        Self { check: Arc::clone(&series.check), tz: series.tz().cloned(), look }
    }
}

/// What became of one task in a round.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The check.
    pub check: Arc<Check>,
    /// The zone, where the check fans out.
    pub tz: Option<ZoneName>,
    /// The window, where it looks at one.
    pub window: Option<Window>,
    /// The instant at which the round looked.
    pub slot: DateTime<Utc>,
    /// The verdict and its evidence.
    pub judgement: Judgement,
    /// How long the sources were asked; waiting for a free connection is not in it.
    pub took: Duration,
}

impl Outcome {
    /// Says whether it is of the list of zones that a check fans out over.
    pub fn is_zone_list(&self) -> bool {
        self.check.window.is_some() && self.window.is_none()
    }

    /// What became of a task.
    pub fn new(task: &Task, slot: DateTime<Utc>, attempted: Attempted) -> Self {
        Self {
            check: Arc::clone(&task.check),
            tz: task.tz.clone(),
            window: task.look.window().copied(),
            slot,
            judgement: attempted.judgement,
            took: attempted.took,
        }
    }
}

/// Attempts every task once and returns the outcomes in the order of the tasks.
///
/// When `stop` is cancelled, what runs is stopped at the servers, and what did not run yet comes
/// back as interrupted: nothing is left out. A panic costs the attempt in which it happens.
pub async fn round(
    tasks: &[Task],
    sources: &Arc<Sources>,
    slot: DateTime<Utc>,
    stop: &CancellationToken,
    mut seen: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut running = JoinSet::new();
    let mut places = BTreeMap::new();
    for (place, task) in tasks.iter().enumerate() {
        let (task, sources, stop) = (task.clone(), Arc::clone(sources), stop.clone());
        let look = async move { attempt(&task.check, &task.look, &sources, &stop).await };
        places.insert(running.spawn(look).id(), place);
    }
    let mut outcomes: Vec<Option<Outcome>> = vec![None; tasks.len()];
    while let Some(done) = running.join_next_with_id().await {
        let (id, attempted) = match done {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => (error.id(), panicked()),
        };
        let Some(place) = places.remove(&id) else { continue };
        let outcome = Outcome::new(&tasks[place], slot, attempted);
        seen(&outcome);
        outcomes[place] = Some(outcome);
    }
    outcomes.into_iter().flatten().collect()
}

fn panicked() -> Attempted {
    let note = "allswell itself failed on this check; please report it";
    Attempted::doubtful(Doubt::new(Cause::Interrupted, note), Duration::ZERO)
}
