//! The gate of one source: how many attempts it takes at once, who is next, and whether it is left
//! alone for a while. No source's gate knows of another's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::domain::check::reason::Cause;
use crate::domain::time::breaker::Breaker;
use crate::domain::time::budget::Budget;
use crate::engine::snapshot::TOOK_BOUNDS_SECS;
use crate::ledger::Candidate;

/// How many rows wait in memory; the others wait in the ledger.
const QUEUE: usize = 1_024;
/// With how few in the queue the ledger is asked for more.
const FEW: usize = 64;
/// From when on a turn of the ledger is slow, and how many rows are claimed ahead at most.
pub(super) const SLOW: Duration = Duration::from_millis(50);
const AHEAD_MAX: usize = 128;

/// The gate of one source.
#[derive(Debug)]
pub struct Gate {
    /// How many attempts it takes at once.
    pub places: usize,
    /// How many are under way.
    pub running: usize,
    /// Whether it is left alone.
    pub breaker: Breaker,
    /// What is left for retries.
    pub budget: Budget,
    /// Attempts that said nothing, by cause.
    pub unconfirmed: BTreeMap<Cause, u64>,
    /// What went wrong last.
    pub trouble: Option<String>,
    /// What its role could do beyond reading, as it was told last.
    pub remark: Option<String>,
    /// Which database it is, as it was written down last, and when.
    pub identity: Option<(String, Instant)>,
    /// Since when it is another database than it ever was, where it is.
    pub moved_at: Option<DateTime<Utc>>,
    /// How many attempts ended.
    pub attempts: u64,
    /// How long they asked it, summed up.
    pub took: Duration,
    /// How many asked it no longer than each of the bounds that are shown.
    pub took_buckets: [u64; TOOK_BOUNDS_SECS.len()],
    /// Whether every check that asks it asks no other source: then no place is held here while one is waited for there.
    pub is_alone: bool,
    /// The series of which a window that was proved is proved again now.
    pub rechecking: Option<i64>,
    /// How many rows are claimed beyond the places, because the ledger is slower than the source.
    ahead: usize,
    /// How long an attempt takes, of late.
    usual: Duration,
    queue: BTreeSet<Candidate>,
    /// Whether the ledger had more than it gave.
    more: bool,
    refilled_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// A check is to ask it: until one has, probes say whether it answers.
    pub fn is_to_be_asked(&mut self, now: DateTime<Utc>) {
        if self.attempts == 0 && self.breaker == Breaker::default() {
            self.breaker = Breaker::unasked(now);
        }
    }

    /// Opens a gate.
    pub fn new(places: usize, now: DateTime<Utc>) -> Self {
        Self {
            places,
            running: 0,
            breaker: Breaker::default(),
            budget: Budget::new(now),
            unconfirmed: BTreeMap::new(),
            trouble: None,
            remark: None,
            identity: None,
            moved_at: None,
            attempts: 0,
            took: Duration::ZERO,
            took_buckets: [0; TOOK_BOUNDS_SECS.len()],
            is_alone: false,
            rechecking: None,
            ahead: 0,
            usual: Duration::ZERO,
            queue: BTreeSet::new(),
            more: false,
            refilled_at: None,
        }
    }

    /// Takes note of an attempt that ended.
    pub fn ended(&mut self, took: Duration) {
        self.running = self.running.saturating_sub(1);
        self.attempts += 1;
        self.took += took;
        self.usual = (self.usual * 3 + took) / 4;
        for (bucket, bound) in self.took_buckets.iter_mut().zip(TOOK_BOUNDS_SECS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// How many more attempts it takes now.
    pub fn free(&self) -> usize {
        if !self.breaker.is_closed() {
            return 0;
        }
        (self.places + self.ahead).saturating_sub(self.running)
    }

    /// Claims as many rows ahead as the source looks at until the next turn of the ledger has ended: they wait for a place
    /// here, and not for the ledger.
    pub fn look_ahead(&mut self, turn: Duration) {
        let apart = self.is_alone && self.attempts > 0;
        let turns = turn.as_micros() / self.usual.max(Duration::from_millis(1)).as_micros();
        let most = self.places.saturating_mul(usize::try_from(turns).unwrap_or(AHEAD_MAX));
        self.ahead = if apart { most.min(AHEAD_MAX).saturating_sub(self.places) } else { 0 };
    }

    /// Says whether a window that was proved may be proved again now, with so many others that begin: one at a time, and
    /// never in the last place.
    pub fn takes_recheck(&self, beginning: usize) -> bool {
        self.rechecking.is_none() && (self.running + beginning) < self.places.max(2) - 1
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Says whether a row waits that may be claimed now.
    pub fn is_waited_for(&self) -> bool {
        let first = self.queue.first();
        first.is_some_and(|first| !first.recheck || self.takes_recheck(0))
    }

    /// Queues a row; who is least urgent stays in the ledger.
    pub fn push(&mut self, candidate: Candidate) {
        self.queue.insert(candidate);
        if self.queue.len() > QUEUE {
            self.queue.pop_last();
            self.more = true;
        }
    }

    /// Takes the most urgent row.
    pub fn pop(&mut self) -> Option<Candidate> {
        self.queue.pop_first()
    }

    /// Says whether the ledger is to be asked who is ready: each second, and whenever the queue runs
    /// dry while there is more.
    pub fn wants_more(&self, now: DateTime<Utc>) -> bool {
        const EACH: chrono::TimeDelta = chrono::TimeDelta::seconds(1);
        let due = self.refilled_at.is_none_or(|at| now - at >= EACH || now < at);
        // What was proved waits as long as it takes, and keeps no other row from being asked for.
        let urgent = self.queue.iter().take_while(|candidate| !candidate.recheck);
        urgent.take(FEW).count() < FEW && (due || self.more)
    }

    /// Has the ledger asked at the next turn.
    pub fn ask_again(&mut self) {
        self.refilled_at = None;
    }

    /// Queues what the ledger gave.
    pub fn refill(&mut self, candidates: Vec<Candidate>, most: usize, now: DateTime<Utc>) {
        self.refilled_at = Some(now);
        self.more = candidates.len() >= most && candidates.last().is_some_and(|last| !last.recheck);
        self.queue.retain(|candidate| !candidate.recheck);
        for candidate in candidates {
            self.push(candidate);
        }
    }
}
