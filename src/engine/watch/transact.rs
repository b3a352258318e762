//! One transaction of the engine with the ledger: what it writes, what it asks for, and what came of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::domain::check::name::SourceName;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::{Engine, GROUP, LONG, ROWS_MAX, ROWS_MIN, SERIES_MAX};
use crate::ledger::{Candidate, DueBatch, RowKey, Work};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Does everything that there is to do by now, as one transaction of the ledger.
    ///
    /// Returns whether the ledger took it.
    pub async fn transact(&mut self) -> bool {
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let now = self.now();
        self.probe(now);
        let work = self.work(now);
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        let (began, started) = (self.clock.now(), Instant::now());
        self.counts.turns += 1;
        let outcome = self.store.transact(&work, &terms).await;
        self.turn_ended = Instant::now();
        match outcome {
            Ok(outcome) => {
                let took = started.elapsed();
                self.turn_took = (self.turn_took * 3 + took) / 4;
                self.up(began, outcome.now);
                // What took long may take too long the next time: less of it is better.
                self.rows_max = match took >= LONG {
                    true => (self.rows_max / 2).max(ROWS_MIN),
                    false => (self.rows_max + self.rows_max / 4).min(ROWS_MAX),
                };
                self.apply(work, outcome).await;
                true
            }
            Err(trouble) => {
                self.down(work, &trouble);
                false
            }
        }
    }

    pub(super) fn may_materialise(&self) -> bool {
        !self.stopping && self.old_rules().is_none()
    }

    /// Why this replica computes no dues: another one knows newer rules of zones.
    pub(super) fn old_rules(&self) -> Option<String> {
        let ours = self.reading.tz_release();
        let newest = self.newest_rules.as_ref().filter(|newest| **newest > ours)?;
        Some(format!(
            "its zone rules ({ours}) are older than those of another replica ({newest}): update it"
        ))
    }

    /// Puts together what the next transaction does.
    pub(super) fn work(&mut self, now: DateTime<Utc>) -> Work {
        let due_batches = if self.may_materialise() {
            self.roster.due(now, SERIES_MAX, self.rows_max)
        } else {
            Vec::new()
        };
        for due_batch in &due_batches {
            self.queue_materialised(due_batch, now);
        }
        let (mut offers, mut holds, mut refill) = (Vec::new(), Vec::new(), Vec::new());
        if self.generation.is_some() && !self.stopping {
            let names: Vec<SourceName> = self.gates.keys().cloned().collect();
            let mut taken = BTreeMap::new();
            for gate in self.gates.values_mut() {
                gate.look_ahead(self.turn_took.max(GROUP));
            }
            for name in names {
                let (offer, held) = self.offer(&name, &mut taken, now);
                offers.extend(offer);
                holds.extend(held);
                if self.gates.get(&name).is_some_and(|gate| gate.wants_more(now)) {
                    refill.push(name.as_str().to_owned());
                }
            }
        }
        let renew = (Instant::now() >= self.renew_at).then(|| self.under_way.claims());
        Work {
            host_now: self.clock.now(),
            watching_since: self.watching_since,
            generation: self.generation.as_ref().map_or(0, |generation| generation.id),
            tz_release: self.reading.tz_release(),
            ended: std::mem::take(&mut self.ended),
            due_batches,
            offers,
            holds,
            refill,
            renew,
            listings: std::mem::take(&mut self.listings),
            events: std::mem::take(&mut self.events),
            rows_max: i64::try_from(self.rows_max).unwrap_or(i64::MAX),
            seed: self.bits(),
        }
    }

    /// What is materialised now may be claimed in the same transaction.
    pub(super) fn queue_materialised(&mut self, due_batch: &DueBatch, now: DateTime<Utc>) {
        use crate::domain::record::window_state::WindowKind;
        use crate::domain::time::agenda::Target;
        use crate::domain::time::owed::Fate;
        let name = SourceName::parse(&due_batch.source);
        let Some(gate) = name.ok().and_then(|name| self.gates.get_mut(&name)) else { return };
        let terms = self.roster.get(due_batch.series).map(|member| member.terms);
        if terms.is_some_and(|terms| terms.pause(now).is_some()) {
            return;
        }
        // One row of a series at a time.
        let first = due_batch.batch.owed.iter().find(|owed| owed.fate == Fate::Wait);
        if let Some(owed) = first {
            let (kind, start, end) = match owed.due.target {
                Target::Window(window) => (WindowKind::Window, window.start, window.end),
                Target::Slot(at) => (WindowKind::Slot, at, at),
            };
            let key = RowKey { series: due_batch.series, kind, start, end };
            let deadline = owed.deadline;
            gate.push(Candidate {
                priority: due_batch.priority,
                deadline,
                key,
                retry: false,
                recheck: false,
            });
        }
    }
}
