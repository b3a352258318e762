//! Orders about many rows: stored at once, and carried out slice by slice between turns, so that claims are renewed
//! and what is due is looked at. A slice that the ledger did not take is tried again, smaller.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::LedgerHealth;
use crate::engine::watch::{Engine, LONG};
use crate::ledger::{LedgerError, RowOrder, Selected, TxOutcome};

/// How many rows a slice has at most, and how many at least.
const ROWS: (usize, usize) = (400, 16);
/// How often a slice is tried while the ledger takes everything else.
const TRIES: u32 = 8;
/// How long an order waits after a slice that was not taken, at first.
const AGAIN: Duration = Duration::from_millis(100);

/// The orders that are stored and not carried out.
#[derive(Debug)]
pub(super) struct UnderOrder {
    /// Whether there may be one.
    pub(super) any: bool,
    /// How many rows the next slice has at most.
    rows: usize,
    /// How often the next slice was tried in vain, and when it may be tried again.
    failures: u32,
    not_before: Instant,
}

impl UnderOrder {
    /// Those that an earlier process left may be there.
    pub(super) fn new(now: Instant) -> Self {
        Self { any: true, rows: ROWS.0, failures: 0, not_before: now }
    }

    /// Says whether a slice may be carried out now.
    pub(super) fn is_ready(&self) -> bool {
        self.any && Instant::now() >= self.not_before
    }

    fn halve(&mut self) {
        self.rows = (self.rows / 2).max(ROWS.1);
    }
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    pub(super) async fn store_order(
        &mut self,
        order: &RowOrder,
        selected: &Selected,
    ) -> Result<i64, LedgerError> {
        let stored = self.store.store_order(order, selected, self.clock.now()).await;
        // Also where only the answer was lost.
        self.under_order.any = true;
        stored
    }

    /// Carries out a slice of the order that came first.
    pub async fn carry_out(&mut self) {
        // While the ledger is away, an order waits.
        if !self.under_order.is_ready() || self.ledger != LedgerHealth::Up {
            return;
        }
        let work = self.bare_work();
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        let started = Instant::now();
        let done = self.store.carry_out(self.under_order.rows, &work, &terms).await;
        let orders = &mut self.under_order;
        match done {
            Ok(Some(outcome)) => {
                orders.failures = 0;
                match started.elapsed() >= LONG {
                    true => orders.halve(),
                    false => orders.rows = (orders.rows + orders.rows / 4).min(ROWS.0),
                }
                self.take_touched(outcome);
                self.shown_at = None;
            }
            Ok(None) => orders.any = false,
            Err(trouble) if trouble.may_pass() && orders.failures < TRIES => {
                tracing::warn!(%trouble, "a part of an order was not carried out, and is tried again");
                orders.halve();
                orders.not_before = Instant::now() + AGAIN * (1 << orders.failures);
                orders.failures += 1;
            }
            Err(trouble) => {
                let why = trouble.to_string();
                tracing::error!(%trouble, "an order is given up");
                let given_up = self.store.give_order_up(&why, self.clock.now()).await;
                let orders = &mut self.under_order;
                match given_up {
                    Ok(()) => orders.failures = 0,
                    Err(_) => orders.not_before = Instant::now() + AGAIN * (1 << TRIES),
                }
            }
        }
    }

    pub(super) fn take_touched(&mut self, outcome: TxOutcome) {
        let now = outcome.now;
        for record in outcome.series {
            self.roster.admit(record, &self.reading.zones, now);
        }
        self.alerts.changed |= !outcome.told.is_empty();
        for told in &outcome.told {
            if let Some(member) = self.roster.get(told.series) {
                self.notices.changed(&member.series.check, &member.record, told.notice);
            }
        }
        for gate in self.gates.values_mut() {
            gate.ask_again();
        }
    }
}
