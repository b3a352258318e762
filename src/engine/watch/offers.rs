//! Who may take the free places of a source, and who of its queue has to wait for another one.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::name::SourceName;
use crate::domain::check::reason::Cause;
use crate::domain::record::window_state::WindowKind;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::{Engine, REFILL};
use crate::ledger::{Candidate, Deferral, Offer};

/// How long a row waits that finds no place at another source that it asks too.
const ELSEWHERE: TimeDelta = TimeDelta::seconds(1);
/// How long a place at that source is kept for it: as long as those who have one may take.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// How long a retry waits for which there is no budget.
const UNFUNDED: TimeDelta = TimeDelta::seconds(15);

/// The next place that becomes free at a source is kept for a series that asks another one too: those
/// who ask that source alone would always be there first. One at a time, so that no two wait for each
/// other.
#[derive(Debug)]
pub(super) struct Turnstile {
    source: SourceName,
    pub(super) series: i64,
    until: DateTime<Utc>,
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Who may take the free places of a source, less those that are taken in this turn; and who of its
    /// queue has to wait for another one.
    pub(super) fn offer(
        &mut self,
        name: &SourceName,
        taken: &mut BTreeMap<SourceName, usize>,
        now: DateTime<Utc>,
    ) -> (Option<Offer>, Vec<Deferral>) {
        self.turnstile = self.turnstile.take().filter(|kept| now < kept.until);
        let kept = self.turnstile.as_ref().is_some_and(|kept| kept.source == *name);
        let open: BTreeMap<SourceName, DateTime<Utc>> = self
            .gates
            .iter()
            .filter_map(|(name, gate)| Some((name.clone(), gate.breaker.held_until()?)))
            .collect();
        let full: Vec<SourceName> = self
            .gates
            .iter()
            .filter(|(other, gate)| *other != name && gate.free() <= count(taken, other))
            .map(|(name, _)| name.clone())
            .collect();
        let Some(gate) = self.gates.get_mut(name) else { return (None, Vec::new()) };
        let (mut candidates, mut holds) = (Vec::new(), Vec::new());
        let closed = gate.breaker.is_closed();
        let places = gate.free().saturating_sub(usize::from(kept) + count(taken, name));
        while closed && candidates.len() < places || !closed && holds.len() < REFILL {
            let Some(candidate) = gate.pop() else { break };
            let another = candidates.iter().any(|taken: &Candidate| taken.recheck);
            if candidate.recheck && closed && (another || !gate.takes_recheck(candidates.len())) {
                // Those behind it prove again too.
                gate.push(candidate);
                break;
            }
            let Some(member) = self.roster.get(candidate.key.series) else { continue };
            let key = candidate.key;
            let held = member.sources().iter().filter_map(|s| open.get(*s)).max().copied();
            let ours = self.turnstile.as_ref().is_some_and(|kept| kept.series == key.series);
            if ours && (held.is_some() || member.terms.pause(now).is_some()) {
                // No place is kept for a candidate that may not take it.
                self.turnstile = None;
            }
            if let Some(until) = held {
                holds.push(Deferral { key, cause: Some(Cause::BreakerOpen), until });
            } else if let Some(until) = member.terms.pause(now) {
                holds.push(Deferral { key, cause: Some(Cause::Paused), until });
            } else if let Some(source) = member.sources().into_iter().find(|s| full.contains(*s)) {
                // It would only hold a place here while it waits for one there.
                let (source, series, until) = (source.clone(), key.series, now + KEPT);
                self.turnstile.get_or_insert(Turnstile { source, series, until });
                holds.push(Deferral { key, cause: Some(Cause::Shed), until: now + ELSEWHERE });
            } else if self.under_way.is_busy(key.series)
                || candidates.iter().any(|c: &Candidate| c.key.series == key.series)
            {
                // When the attempt at its series ends, the ledger names the next row.
            } else if candidate.retry && !gate.budget.spend(now) {
                // Out of the way, so that others are seen behind it.
                holds.push(Deferral { key, cause: None, until: now + UNFUNDED });
            } else {
                for source in member.sources() {
                    *taken.entry(source.clone()).or_default() += 1;
                }
                candidates.push(candidate);
            }
        }
        let followers = self.followers(name, now);
        let is_empty = candidates.is_empty() && followers.is_empty();
        let offer = (!is_empty && closed).then_some(Offer { places, candidates, followers });
        (offer, holds)
    }
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// The series whose next window may be taken as soon as the attempt that ended is recorded: of sources that no
    /// check asks together with another one.
    fn followers(&self, name: &SourceName, now: DateTime<Utc>) -> Vec<i64> {
        if self.gates.get(name).is_none_or(|gate| !gate.is_alone || !gate.breaker.is_closed()) {
            return Vec::new();
        }
        let windows = self.ended.iter().filter(|ended| ended.key.kind == WindowKind::Window);
        let follows = |series: &i64| {
            let member = self.roster.get(*series);
            member.is_some_and(|m| m.sources() == [name] && m.terms.pause(now).is_none())
        };
        windows.map(|ended| ended.key.series).filter(follows).collect()
    }
}

fn count(taken: &BTreeMap<SourceName, usize>, name: &SourceName) -> usize {
    taken.get(name).copied().unwrap_or(0)
}
