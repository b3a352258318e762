//! Attempts that are under way: each in a task of its own, so that a panic costs that attempt alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::dependency::SourceRelations;
use crate::domain::record::series::Series;
use crate::domain::record::window_state::VerdictKind;
use crate::domain::time::window::{Split, Window, ZonesFrom};
use crate::domain::time::zone::Offset;
use crate::engine::asking::Look;
use crate::engine::attempt::Attempted;
use crate::engine::ports::Queries;
use crate::engine::progress::Progress;
use crate::engine::roster::Member;
use crate::engine::snapshot::{Comparing, DependencyHealth};
use crate::ledger::{Ended, Entry, RowKey};

/// The longest note that is kept of an attempt, in bytes.
const NOTE_MAX: usize = 2_000;

/// What a task brought.
#[derive(Debug)]
pub(super) enum Brought {
    /// An attempt.
    Attempt(Attempted, DateTime<Utc>),
    /// A list of zones, whether those are all, and its judgement.
    List(Vec<String>, bool, Attempted, DateTime<Utc>),
    /// Whether a source answers.
    Probe(Result<(), Reason>),
    /// What the catalogue of a source tells.
    Relations(Box<Result<SourceRelations, Reason>>),
    /// What checks stand on; nothing where it could not be put together.
    Graph(Option<Box<DependencyHealth>>),
}

/// What a task is about.
#[derive(Debug, Clone)]
pub(super) enum About {
    /// A row.
    Row {
        key: RowKey,
        epoch: u64,
        generation: i64,
        check: CheckId,
        /// Whom it asks, its own source first: it has a place at each.
        sources: Vec<SourceName>,
        began: DateTime<Utc>,
        /// How far it is, where it compares rows.
        progress: Progress,
    },
    /// A source.
    Source(SourceName),
    /// The catalogue of a source.
    Relations(SourceName),
    /// What all checks stand on.
    Graph,
}

/// Tasks that are under way.
#[derive(Debug)]
pub(super) struct UnderWay<Q> {
    tasks: JoinSet<Brought>,
    about: BTreeMap<Id, About>,
    busy: BTreeSet<i64>,
    pub(super) queries: Arc<Q>,
    clock: Clock,
    stop: CancellationToken,
}

impl<Q: Queries> UnderWay<Q> {
    pub(super) fn new(queries: Arc<Q>, clock: Clock) -> Self {
        Self {
            tasks: JoinSet::new(),
            about: BTreeMap::new(),
            busy: BTreeSet::new(),
            queries,
            clock,
            stop: CancellationToken::new(),
        }
    }

    /// Says whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Says whether a row of a series is under way here.
    pub(super) fn is_busy(&self, series: i64) -> bool {
        self.busy.contains(&series)
    }

    /// The claims that are under way.
    pub(super) fn claims(&self) -> Vec<(RowKey, u64)> {
        let claim = |about: &About| match about {
            About::Row { key, epoch, .. } => Some((*key, *epoch)),
            About::Source(_) | About::Relations(_) | About::Graph => None,
        };
        self.about.values().filter_map(claim).collect()
    }

    /// What compares rows, and how far it is.
    pub(super) fn comparing(&self) -> Vec<Comparing> {
        let comparing = |about: &About| match about {
            About::Row { key, check, began, progress, .. } => {
                let (rows, expected) = (progress.rows(), progress.expected());
                let (series, check) = (key.series, check.clone());
                let seen = Comparing { series, check, rows, expected, began: *began };
                (rows != [0, 0]).then_some(seen)
            }
            About::Source(_) | About::Relations(_) | About::Graph => None,
        };
        self.about.values().filter_map(comparing).collect()
    }

    /// Tells everything under way to stop.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Attempts a row that is ours.
    pub(super) fn attempt(&mut self, entry: &Entry, member: &Member, generation: i64) {
        let check = Arc::clone(&member.series.check);
        let (began, progress) = (self.clock.now(), Progress::default());
        let about = About::Row {
            key: entry.key(),
            epoch: entry.row.epoch,
            generation,
            check: check.id.clone(),
            sources: member.sources().into_iter().cloned().collect(),
            began,
            progress: progress.clone(),
        };
        let (queries, stop) = (Arc::clone(&self.queries), self.stop.clone());
        let is_slot = entry.row.kind == crate::domain::record::window_state::WindowKind::Slot;
        let task = match &member.list {
            // A list is looked at as it is now; a window of it has no use any more.
            Some(from) if is_slot => {
                let from: ZonesFrom = from.clone();
                self.tasks.spawn(async move {
                    let listed = queries.list(check, from, stop).await;
                    let zones = listed.zones.iter().map(ToString::to_string).collect();
                    Brought::List(zones, listed.whole, listed.attempted, began)
                })
            }
            Some(_) | None => {
                let look = look(entry, &member.series);
                self.tasks.spawn(async move {
                    let attempted = match look {
                        Ok(look) => queries.attempt(check, look, progress, stop).await,
                        Err(reason) => Attempted::unconfirmed(reason, Duration::ZERO),
                    };
                    Brought::Attempt(attempted, began)
                })
            }
        };
        self.busy.insert(entry.series);
        self.about.insert(task.id(), about);
    }

    /// Asks whether a source answers.
    pub(super) fn probe(&mut self, source: &SourceName) {
        let (queries, stop) = (Arc::clone(&self.queries), self.stop.clone());
        let name = source.clone();
        let task = self.tasks.spawn(async move { Brought::Probe(queries.probe(name, stop).await) });
        self.about.insert(task.id(), About::Source(source.clone()));
    }

    /// Asks a source for its catalogue.
    pub(super) fn learn(&mut self, source: &SourceName) {
        let (queries, stop) = (Arc::clone(&self.queries), self.stop.clone());
        let name = source.clone();
        let learn = async move { Brought::Relations(Box::new(queries.learn(name, stop).await)) };
        let task = self.tasks.spawn(learn);
        self.about.insert(task.id(), About::Relations(source.clone()));
    }

    /// Puts together what checks stand on: over many checks that takes a while.
    pub(super) fn put_together(
        &mut self,
        work: impl FnOnce() -> DependencyHealth + Send + 'static,
    ) {
        let work = move || Brought::Graph(Some(Box::new(work())));
        let task = self.tasks.spawn_blocking(work);
        self.about.insert(task.id(), About::Graph);
    }

    /// Waits for something to end; never ends while nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(About, Brought)> {
        loop {
            let Some(done) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            if let Some(done) = self.settle(done) {
                return Some(done);
            }
        }
    }

    /// Takes what has ended by now.
    pub(super) fn ready(&mut self) -> Vec<(About, Brought)> {
        let mut ready = Vec::new();
        while let Some(done) = self.tasks.try_join_next_with_id() {
            ready.extend(self.settle(done));
        }
        ready
    }

    fn settle(&mut self, done: Result<(Id, Brought), JoinError>) -> Option<(About, Brought)> {
        let (id, brought) = match done {
            Ok((id, brought)) => (id, Some(brought)),
            Err(error) => (error.id(), None),
        };
        let about = self.about.remove(&id)?;
        if let About::Row { key, .. } = &about {
            self.busy.remove(&key.series);
        }
        let brought = brought.unwrap_or_else(|| panicked(&about));
        Some((about, brought))
    }
}

/// What stands for a task that panicked.
fn panicked(about: &About) -> Brought {
    let note = "allswell itself failed on this check; please report it";
    let reason = Reason::new(Cause::Interrupted, note);
    match about {
        About::Row { began, .. } => {
            Brought::Attempt(Attempted::unconfirmed(reason, Duration::ZERO), *began)
        }
        About::Source(_) => Brought::Probe(Err(reason)),
        About::Relations(_) => Brought::Relations(Box::new(Err(reason))),
        About::Graph => Brought::Graph(None),
    }
}

/// What an attempt at a row looks at.
fn look(entry: &Entry, series: &Series) -> Result<Look, Reason> {
    use crate::domain::record::window_state::WindowKind;
    let rule = series.window();
    match (entry.row.kind, rule) {
        (WindowKind::Slot, _) => Ok(Look::Present),
        (WindowKind::Window, Some(rule)) => {
            let rules = &series.home.rules;
            let (start, end) = (entry.row.start, entry.row.end);
            let mut span = rule.frame.span_at(rules, entry.period_start);
            if rule.split == Split::Whole || end > span.end {
                // Rules may have changed since: what was recorded is what is looked at.
                (span.start, span.end) = (start, end);
            }
            let utc_offset = Offset::of_secs(entry.utc_offset);
            Ok(Look::when_over(series, Window { start, end, utc_offset, span }))
        }
        (WindowKind::Window, None) => {
            Err(Reason::new(Cause::Refused, "its check has no windows any more"))
        }
    }
}

/// What is recorded of an attempt.
pub(super) fn ended(
    (key, epoch, generation): (RowKey, u64, i64),
    attempted: &Attempted,
    began: DateTime<Utc>,
) -> Ended {
    let verdict = &attempted.judgement.verdict;
    let (note, bad_rows) = match verdict {
        Verdict::Confirmed => (None, Some(0)),
        Verdict::Violated(finding) => (Some(finding.kept()), Some(bad_rows(finding))),
        Verdict::Unconfirmed(reason) => (Some(reason.note.clone()), None),
    };
    let note = note.map(|mut note| {
        note.truncate(note.floor_char_boundary(NOTE_MAX));
        note
    });
    Ended {
        key,
        epoch,
        generation,
        said: VerdictKind::from(verdict),
        evidence: attempted.judgement.evidence,
        bad_rows,
        note,
        began,
        took: attempted.took,
        compared: None,
    }
}

/// On how many rows something is wrong, at least.
fn bad_rows(finding: &Finding) -> u64 {
    let of = |contradiction: &Contradiction| match contradiction {
        Contradiction::Rows { seen, .. } | Contradiction::Volume { seen, .. } => *seen,
        Contradiction::Values { rows, .. }
        | Contradiction::Repeated { rows, .. }
        | Contradiction::Never { rows, .. }
        | Contradiction::NamelessKeys { rows } => *rows,
        Contradiction::End { .. } => 1,
        Contradiction::MissingKeys { missing, .. } => *missing,
        Contradiction::ZonesGone { gone, .. } => u64::try_from(*gone).unwrap_or(u64::MAX),
        Contradiction::Differs(told) => told.differing(),
        Contradiction::Zones { nameless, unknown, .. } => {
            nameless + u64::try_from(unknown.len()).unwrap_or(0)
        }
    };
    finding.contradictions.iter().map(of).max().unwrap_or(0)
}
