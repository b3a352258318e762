//! A round: every task attempted once, each source at its own pace.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::check::Check;
use crate::domain::check::judge::Judgement;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::record::series::Series;
use crate::domain::time::window::{Span, Window};
use crate::domain::time::zone::ZoneName;
use crate::engine::asking::{Look, Sources};
use crate::engine::attempt::{Attempted, attempt};
use crate::engine::progress::Watching;
use crate::engine::reconcile::Differing;

/// How many attempts of one source wait for its connections at once: a source has at most 64.
const UNDER_WAY: usize = 128;

/// One attempt that is to be made.
#[derive(Debug, Clone)]
pub struct Task {
    /// The check.
    pub check: Arc<Check>,
    /// The zone, where the check fans out.
    pub tz: Option<ZoneName>,
    /// What is looked at.
    pub look: Look,
    /// Who watches.
    pub watching: Watching,
}

impl Task {
    /// Looks at the present.
    pub fn present(check: Arc<Check>) -> Self {
        Self { check, tz: None, look: Look::Present, watching: Watching::default() }
    }

    /// Looks at a window of a series.
    pub fn window(series: &Series, window: Window) -> Self {
        let look = Look::at(series, window);
        let (check, tz) = (Arc::clone(&series.check), series.tz().cloned());
        Self { check, tz, look, watching: Watching::default() }
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
    /// The period that is held beside it, where one is.
    pub past: Option<Span>,
    /// The instant at which the round looked.
    pub slot: DateTime<Utc>,
    /// The verdict and its evidence.
    pub judgement: Judgement,
    /// How long the sources were asked; waiting for a free connection is not in it.
    pub took: Duration,
    /// What differs between two sides, as far as it is kept.
    pub differences: Vec<Differing>,
}

impl Outcome {
    /// What became of a task.
    pub fn new(task: &Task, slot: DateTime<Utc>, attempted: Attempted) -> Self {
        Self {
            check: Arc::clone(&task.check),
            tz: task.tz.clone(),
            window: task.look.window().copied(),
            past: task.look.period_beside(),
            slot,
            judgement: attempted.judgement,
            took: attempted.took,
            differences: attempted.differences,
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
    // Each source has its own line, so that a slow one holds up no other.
    let mut lines: BTreeMap<&SourceName, VecDeque<usize>> = BTreeMap::new();
    for (place, task) in tasks.iter().enumerate() {
        lines.entry(&task.check.source).or_default().push_back(place);
    }
    let mut running = JoinSet::new();
    let mut places = BTreeMap::new();
    let start = |running: &mut JoinSet<Attempted>, place: usize| {
        let (task, sources, stop) = (tasks[place].clone(), Arc::clone(sources), stop.clone());
        let look =
            async move { attempt(&task.check, &task.look, &sources, &task.watching, &stop).await };
        running.spawn(look).id()
    };
    for line in lines.values_mut() {
        for place in line.drain(..line.len().min(UNDER_WAY)) {
            places.insert(start(&mut running, place), place);
        }
    }
    let mut outcomes: Vec<Option<Outcome>> = vec![None; tasks.len()];
    while let Some(done) = running.join_next_with_id().await {
        let (id, attempted) = match done {
            Ok((id, attempted)) => (id, attempted),
            Err(error) => (error.id(), panicked()),
        };
        let Some(place) = places.remove(&id) else { continue };
        let line = lines.get_mut(&tasks[place].check.source);
        if let Some(next) = line.and_then(VecDeque::pop_front) {
            places.insert(start(&mut running, next), next);
        }
        let outcome = Outcome::new(&tasks[place], slot, attempted);
        seen(&outcome);
        outcomes[place] = Some(outcome);
    }
    outcomes.into_iter().flatten().collect()
}

fn panicked() -> Attempted {
    let note = "allswell itself failed on this check; please report it";
    Attempted::unconfirmed(Reason::new(Cause::Interrupted, note), Duration::ZERO)
}
