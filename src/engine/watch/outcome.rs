//! What comes of things: of an attempt, of a probe, of a turn of the ledger.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::check::evidence::{Evidence, Minimum};
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::reason::Reason;
use crate::domain::check::verdict::Verdict;
use crate::domain::record::usual::earlier_starts;
use crate::domain::record::window_state::WindowKind;
use crate::domain::time::backoff::{Draw, doubled};
use crate::domain::time::breaker::Breaker;
use crate::engine::attempt::Attempted;
use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::LedgerHealth;
use crate::engine::under_way::{About, Brought, ended};
use crate::engine::watch::{AGAIN, CLOCKS_APART, Engine, REFILL, ROWS_MIN};
use crate::ledger::{
    Compared, Ended, Entry, Happened, LedgerError, Listing, RowKey, TxOutcome, Work,
};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Takes note of what a task brought.
    pub(super) fn take(&mut self, (about, brought): (About, Brought)) {
        let now = self.now();
        let draw = Draw::new(self.bits());
        match (about, brought) {
            (About::Source(name), brought) => {
                let worked = matches!(brought, Brought::Probe(Ok(())));
                if let (Brought::Probe(Err(reason)), Some(gate)) =
                    (&brought, self.gates.get_mut(&name))
                {
                    gate.trouble = Some(said(reason));
                }
                self.breaker(&name, |breaker| breaker.probed(worked, now, draw));
            }
            (About::Relations(name), brought) => {
                if let Brought::Relations(learnt) = brought {
                    self.take_relations(&name, *learnt);
                }
            }
            (About::Graph, brought) => {
                let Brought::Graph(health) = brought else { return };
                self.take_graph(health.map(|health| *health));
            }
            (About::Row { key, epoch, generation, check, sources, .. }, brought) => {
                let (attempted, began) = match brought {
                    Brought::Attempt(attempted, began) => (attempted, began),
                    Brought::List(zones, whole, mut attempted, began) => {
                        if !(whole && self.has_shrunk(&check, &zones, &mut attempted)) {
                            self.list(key, &check, zones, whole);
                        }
                        (attempted, began)
                    }
                    Brought::Probe(_) | Brought::Relations(_) | Brought::Graph(_) => return,
                };
                self.leave(&sources, (&check, key.series), &attempted, now, draw);
                let compared = self.compared(key, &attempted);
                let ended = ended((key, epoch, generation), &attempted, began);
                self.ended.push(Ended { compared, ..ended });
            }
        }
    }

    /// Which earlier windows one that was confirmed is held against. Where a check says that no evidence is fine, little is.
    fn compared(&self, key: RowKey, attempted: &Attempted) -> Option<Compared> {
        let is_confirmed = attempted.judgement.verdict == Verdict::Confirmed;
        let member = self.roster.get(key.series).filter(|_| is_confirmed)?;
        let Evidence { history: wanted, minimum, .. } = &member.series.check.evidence;
        let is_needed = wanted.is_some() || matches!(minimum, Minimum::AtLeast(_));
        if key.kind != WindowKind::Window || !is_needed {
            return None;
        }
        let starts = earlier_starts((key.start, key.end), &member.series.home.rules);
        Some(Compared { starts, wanted: *wanted })
    }

    /// Gives the places of an attempt back, and tells each gate how its source did.
    fn leave(
        &mut self,
        sources: &[SourceName],
        (check, series): (&CheckId, i64),
        attempted: &Attempted,
        now: DateTime<Utc>,
        draw: Draw,
    ) {
        let reason = match &attempted.judgement.verdict {
            Verdict::Unconfirmed(reason) => Some(reason),
            Verdict::Confirmed | Verdict::Violated(_) => None,
        };
        let trouble = reason.filter(|reason| reason.is_of_the_source()).map(|reason| reason.cause);
        let blamed = attempted.blamed.as_ref().or(sources.first());
        for source in sources {
            let is_blamed = Some(source) == blamed;
            if let Some(gate) = self.gates.get_mut(source) {
                gate.ended(attempted.took);
                gate.rechecking = gate.rechecking.filter(|rechecking| *rechecking != series);
                gate.budget.earn();
                if let Some(reason) = reason.filter(|_| is_blamed) {
                    *gate.unconfirmed.entry(reason.cause).or_default() += 1;
                    gate.trouble = Some(said(reason));
                }
            }
            // What failed elsewhere says nothing of this one.
            if reason.is_none() || is_blamed {
                self.breaker(source, |breaker| breaker.after(trouble, check, now, draw));
            }
        }
    }

    fn list(&mut self, key: RowKey, check: &CheckId, zones: Vec<String>, whole: bool) {
        let Some(traits) = self.roster.traits(check).cloned() else { return };
        if !zones.is_empty() {
            self.listings.push(Listing { check: check.clone(), key, zones, whole, traits });
        }
    }

    /// Moves a breaker, and remembers where it opens or closes.
    fn breaker(&mut self, name: &SourceName, next: impl FnOnce(Breaker) -> Breaker) {
        let Some(gate) = self.gates.get_mut(name) else { return };
        let before = gate.breaker.is_closed();
        gate.breaker = next(std::mem::take(&mut gate.breaker));
        let after = gate.breaker.is_closed();
        if before != after {
            let word = |closed: bool| if closed { "closed" } else { "open" };
            let note = if after {
                format!("source `{name}` answers again")
            } else {
                let why = gate.trouble.as_deref().unwrap_or("no reason given");
                format!("source `{name}` failed again and again, and is probed: {why}")
            };
            if after {
                tracing::info!(source = %name, "{note}");
            } else {
                tracing::warn!(source = %name, "{note}");
            }
            self.events.push(Happened {
                kind: "breaker",
                check: None,
                tz: None,
                was: word(before).to_owned(),
                becomes: word(after).to_owned(),
                note,
            });
        }
    }

    /// The ledger took a turn.
    pub(super) fn up(&mut self, host: DateTime<Utc>, store: DateTime<Utc>) {
        let before = self.skew;
        self.skew = if self.store.is_shared() { store - host } else { TimeDelta::zero() };
        let apart = (self.skew - before).abs() > CLOCKS_APART;
        if apart && self.counts.turns > 1 {
            self.counts.clock_steps += 1;
            tracing::warn!(apart_s = self.skew.num_seconds(), "the host's clock was set");
        }
        if let LedgerHealth::Down { since, .. } = &self.ledger {
            tracing::info!("the ledger is back, after {} s", (host - *since).num_seconds());
            self.ledger = LedgerHealth::Up;
            self.ledger_since = Instant::now();
            // Until now nothing could be looked at: what is late is missed, not shed.
            self.watching_since = store;
            self.shown_at = None;
        }
        if self.failures > 0 {
            // What was done and not answered has to be announced.
            self.tell_anew = true;
        }
        self.failures = 0;
        self.again_at = None;
    }

    /// The ledger failed: what was to be written is written when it is back.
    pub(super) fn down(&mut self, work: Work, trouble: &LedgerError) {
        let Work { ended, listings, events, .. } = work;
        self.ended.splice(0..0, ended);
        self.listings.splice(0..0, listings);
        self.events.splice(0..0, events);
        self.counts.failed_turns += 1;
        // The same again may fail again: less of it may not.
        self.rows_max = (self.rows_max / 2).max(ROWS_MIN);
        self.failures = self.failures.saturating_add(1);
        if self.ledger == LedgerHealth::Up {
            self.ledger_since = Instant::now();
            tracing::error!(%trouble, "the ledger failed: nothing is called healthy until it is back");
        }
        let since = match self.ledger {
            LedgerHealth::Up => self.clock.now(),
            LedgerHealth::Down { since, .. } => since,
        };
        self.ledger = LedgerHealth::Down { since, why: trouble.to_string() };
        let pause = doubled(AGAIN.0, AGAIN.1, self.failures);
        let pause = Draw::new(self.bits()).of(pause).to_std().unwrap_or_default();
        self.again_at = Some(Instant::now() + pause.max(Duration::from_millis(20)));
        self.shown_at = None;
    }

    /// Takes over what the ledger did.
    pub(super) async fn apply(&mut self, work: Work, outcome: TxOutcome) {
        let now = outcome.now;
        if work.renew.is_some() {
            self.renew_at = Instant::now() + self.store.lease() / 3;
            self.newest_rules = outcome.tz_release;
            self.replicas = outcome.replicas;
        }
        for due_batch in &work.due_batches {
            if outcome.contended.contains(&due_batch.series) {
                self.roster.put_off(due_batch.series, now + TimeDelta::milliseconds(100));
            } else {
                self.roster.kept(due_batch, now);
            }
        }
        for record in outcome.series {
            self.roster.admit(record, &self.reading.zones, now);
        }
        self.alerts.changed |= !outcome.told.is_empty();
        for told in &outcome.told {
            if let Some(member) = self.roster.get(told.series) {
                self.notices.changed(&member.series.check, &member.record, told.notice);
            }
        }
        for (count, more) in self.counts.recorded.iter_mut().zip(outcome.recorded) {
            *count += more;
        }
        for (count, more) in self.counts.rechecked.iter_mut().zip(outcome.rechecked) {
            *count += more;
        }
        self.more_lapses = outcome.more_lapses;
        self.counts.fenced += outcome.fenced;
        self.counts.lapsed += outcome.lapsed;
        let generation = self.generation.as_ref().map_or(0, |generation| generation.id);
        for claim in outcome.claims {
            let row = &claim.entry.row;
            let lag = (now - row.due).num_microseconds().unwrap_or(0).max(0).unsigned_abs();
            if row.failed_attempts == 0 && row.recorded().is_none() {
                self.counts.began(lag);
            }
            self.begin(&claim.entry, generation);
        }
        for (source, candidate) in outcome.next {
            let name = SourceName::parse(&source).ok();
            if let Some(gate) = name.and_then(|name| self.gates.get_mut(&name)) {
                gate.push(candidate);
            }
        }
        for (source, candidates) in outcome.candidates {
            let name = SourceName::parse(&source).ok();
            if let Some(gate) = name.and_then(|name| self.gates.get_mut(&name)) {
                gate.refill(candidates, REFILL, now);
            }
        }
        if outcome.active != generation && outcome.active != 0 {
            self.follow(outcome.active).await;
        }
    }

    fn begin(&mut self, entry: &Entry, generation: i64) {
        // A claim of a series that this replica does not know runs out.
        let Some(member) = self.roster.get(entry.series) else { return };
        self.turnstile = self.turnstile.take().filter(|kept| kept.series != entry.series);
        for source in member.sources() {
            if let Some(gate) = self.gates.get_mut(source) {
                gate.running += 1;
                if entry.is_recheck() {
                    gate.rechecking = Some(entry.series);
                }
            }
        }
        self.under_way.attempt(entry, member, generation);
    }
}

/// What went wrong, in one line.
fn said(reason: &Reason) -> String {
    format!("{}: {}", reason.cause, reason.note)
}
