//! Learning what checks stand on: the catalogue of each source is asked after each generation and every six hours, and
//! what changed underneath a check is told and proved again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use crate::domain::check::Check;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::reason::Reason;
use crate::domain::dependency::SourceRelations;
use crate::domain::dependency::answer::Toll;
use crate::domain::dependency::changed::{Changed, changed};
use crate::domain::dependency::graph::{Asked, Dependencies};
use crate::engine::load::RelationSettings;
use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::DependencyHealth;
use crate::engine::watch::Engine;
use crate::ledger::{Happened, Learnt, LedgerError, RowOrder, Selected};

/// How often a source is asked for its catalogue, and how soon again where it did not tell it.
const EACH: Duration = Duration::from_secs(6 * 3_600);
const AGAIN: Duration = Duration::from_secs(300);

/// What is known of what checks stand on.
#[derive(Debug, Default)]
pub(super) struct Learning {
    /// For which generation sources are asked.
    generation: Option<i64>,
    /// Whether what an earlier process learnt was read.
    is_read: bool,
    known: BTreeMap<SourceName, Learnt>,
    /// When each source is asked next.
    next: BTreeMap<SourceName, Instant>,
    under_way: BTreeSet<SourceName>,
    /// What was learnt and is not written down yet.
    unwritten: BTreeSet<SourceName>,
    /// Why nothing, or nothing new, is known of a source.
    unlearnt: BTreeMap<SourceName, String>,
    /// Whether what is shown is older than what is known, and whether it is being put together.
    is_stale: bool,
    is_building: bool,
    /// What changed underneath checks that are yet to be found.
    changed: Vec<(SourceName, Changed)>,
    pub(super) shown: Arc<DependencyHealth>,
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Asks sources for their catalogues where it is time.
    pub(super) async fn look_at_relations(&mut self) -> Result<(), LedgerError> {
        let (Some(generation), Some(settings)) =
            (self.generation.as_ref().map(|g| g.id), self.reading.relations.clone())
        else {
            return Ok(());
        };
        if self.stopping {
            return Ok(());
        }
        let now = Instant::now();
        let learning = &mut self.learning;
        if learning.generation != Some(generation) {
            learning.generation = Some(generation);
            learning.is_stale = true;
            learning.next.clear();
        }
        let is_due = |(name, gate): (&SourceName, &crate::engine::gate::Gate)| {
            let is_early = learning.next.get(name).is_some_and(|at| now < *at);
            let is_asked = learning.under_way.contains(name);
            (!is_early && !is_asked && gate.running < gate.places && gate.free() > 0)
                .then(|| name.clone())
        };
        let due: Vec<SourceName> = self.gates.iter().filter_map(is_due).collect();
        // Of a source that is down, what was learnt before is known all the same.
        if !self.learning.is_read || !due.is_empty() && self.store.is_shared() {
            self.read_learnt().await?;
        }
        for name in due {
            let known = self.learning.known.get(&name);
            let age = known.map(|known| self.clock.now() - known.at);
            let is_fresh = known.is_some_and(|known| known.generation == generation);
            let rest = TimeDelta::from_std(EACH).unwrap_or_default() - age.unwrap_or_default();
            if is_fresh && let Some(rest) = rest.to_std().ok().filter(|rest| !rest.is_zero()) {
                self.learning.next.insert(name, now + rest.min(EACH));
                continue;
            }
            if let Some(gate) = self.gates.get_mut(&name) {
                gate.running += 1;
            }
            self.learning.under_way.insert(name.clone());
            self.under_way.learn(&name);
        }
        if self.learning.is_stale && !self.learning.is_building {
            self.put_together(&settings);
        }
        Ok(())
    }

    /// Reads what this process before, or another replica, has learnt.
    async fn read_learnt(&mut self) -> Result<(), LedgerError> {
        for (name, learnt) in self.store.learnt().await? {
            let known = self.learning.known.get(&name);
            if known.is_none_or(|known| known.at < learnt.at) {
                self.learning.known.insert(name, learnt);
                self.learning.is_stale = true;
            }
        }
        self.learning.is_read = true;
        Ok(())
    }

    fn put_together(&mut self, settings: &RelationSettings) {
        let checks: Vec<_> = self.roster.checks().cloned().collect();
        let sources: BTreeMap<SourceName, Arc<SourceRelations>> = self
            .learning
            .known
            .iter()
            .filter(|(name, _)| self.gates.contains_key(name))
            .map(|(name, known)| (name.clone(), Arc::clone(&known.relations)))
            .collect();
        let (settings, mut unlearnt) = (settings.clone(), self.learning.unlearnt.clone());
        for name in self.gates.keys().filter(|name| !sources.contains_key(*name)) {
            unlearnt.entry(name.clone()).or_insert_with(|| "it was not asked yet".to_owned());
        }
        (self.learning.is_stale, self.learning.is_building) = (false, true);
        self.under_way.put_together(move || {
            let asked: Asked<'_> =
                settings.asked_first.iter().map(|(name, query)| (name.clone(), query)).collect();
            let graph = Dependencies::of(checks.iter(), &asked, sources);
            let names: BTreeSet<SourceName> =
                graph.checks.iter().flat_map(|check| check.sources.iter().cloned()).collect();
            let tolls: BTreeMap<SourceName, Toll> =
                names.into_iter().map(|name| (name.clone(), graph.toll(&name))).collect();
            let (_, coverage) = graph.coverage(&settings.ignored);
            DependencyHealth { graph, unlearnt, tolls, coverage, ignored: settings.ignored }
        });
    }

    /// Takes note of what was put together.
    pub(super) fn take_graph(&mut self, health: Option<DependencyHealth>) {
        self.learning.is_building = false;
        if let Some(health) = health {
            self.learning.shown = Arc::new(health);
        }
    }

    /// Takes note of what a source told of itself, or why it did not.
    pub(super) fn take_relations(
        &mut self,
        source: &SourceName,
        learnt: Result<SourceRelations, Reason>,
    ) {
        self.learning.under_way.remove(source);
        if let Some(gate) = self.gates.get_mut(source) {
            gate.running = gate.running.saturating_sub(1);
        }
        self.learning.is_stale = true;
        let now = Instant::now();
        match learnt {
            Ok(mut relations) => {
                relations.learnt_at = self.clock.now();
                if let Some(known) = self.learning.known.get(source) {
                    relations.remember(&known.relations);
                    let changes = changed(&known.relations, &relations).into_iter();
                    self.learning.changed.extend(changes.map(|one| (source.clone(), one)));
                }
                let generation = self.learning.generation.unwrap_or(0);
                let at = relations.learnt_at;
                let learnt = Learnt { at, generation, relations: Arc::new(relations) };
                self.learning.known.insert(source.clone(), learnt);
                self.learning.unlearnt.remove(source);
                self.learning.next.insert(source.clone(), now + EACH);
                self.learning.unwritten.insert(source.clone());
            }
            Err(reason) => {
                let why = format!("{}: {}", reason.cause, reason.note);
                if self.learning.unlearnt.get(source) != Some(&why) {
                    tracing::warn!("what the tables of `{source}` are was not learnt: {why}");
                }
                self.learning.unlearnt.insert(source.clone(), why);
                self.learning.next.insert(source.clone(), now + AGAIN);
            }
        }
    }

    /// Writes down what was learnt, and has the checks proved again underneath which something changed.
    pub(super) async fn write_relations(&mut self) -> Result<(), LedgerError> {
        while let Some(name) = self.learning.unwritten.first().cloned() {
            if let Some(learnt) = self.learning.known.get(&name) {
                self.store.keep_learnt(&name, learnt).await?;
            }
            self.learning.unwritten.remove(&name);
        }
        // By what is known now, which checks those are can be said.
        if self.learning.is_stale || self.learning.is_building {
            return Ok(());
        }
        while let Some((source, change)) = self.learning.changed.first().cloned() {
            let graph = &self.learning.shown.graph;
            let above = graph.looked_at_by(&(source.clone(), change.object.clone()));
            let ids: BTreeSet<CheckId> =
                above.into_iter().map(|(check, _)| check.id.clone()).collect();
            let words: Vec<&str> = ids.iter().map(CheckId::as_str).collect();
            if !ids.is_empty() {
                tracing::warn!(
                    source = source.as_str(),
                    "changed underneath {}: {}; they are proved again",
                    words.join(", "),
                    change.how
                );
                let words = format!("{} of {source} changed", change.object);
                self.prove_newest_again(|check| ids.contains(&check.id), words).await?;
            }
            self.events.push(Happened {
                kind: "underneath",
                check: None,
                tz: None,
                was: source.to_string(),
                becomes: change.object.to_string(),
                note: match words.as_slice() {
                    [] => change.how.clone(),
                    words => format!("{}; underneath {}", change.how, words.join(", ")),
                },
            });
            self.learning.changed.remove(0);
        }
        Ok(())
    }

    /// Has the newest windows of some checks tried again, because of what happened to what they read.
    pub(super) async fn prove_newest_again(
        &mut self,
        is_meant: impl Fn(&Check) -> bool,
        words: String,
    ) -> Result<(), LedgerError> {
        let series: Vec<i64> = self
            .roster
            .members()
            .filter(|member| is_meant(&member.series.check) && member.list.is_none())
            .map(|member| member.record.id)
            .collect();
        let mut rows = Vec::new();
        for id in series {
            let keys = self.store.newest_due(id).await?;
            if let (Some(first), Some(last)) = (keys.first(), keys.last()) {
                rows.push((id, first.start, last.start + TimeDelta::microseconds(1)));
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let order = RowOrder::Rerun { by: "allswell".to_owned(), accepted: None };
        self.store_order(&order, &Selected { rows, words }).await.map(drop)
    }
}
