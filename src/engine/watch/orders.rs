//! Orders over many rows: carried out slice by slice between turns, so that claims are renewed and what is due is
//! looked at. A slice that the ledger did not take is tried again, smaller.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::engine::order::{HalfDone, Touched};
use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::LedgerHealth;
use crate::engine::watch::Engine;
use crate::ledger::{Happened, LedgerError, Progress, Revocation, Selected, TxOutcome, Waiver};

/// How often a slice is tried while the ledger takes everything else.
const TRIES: u32 = 8;
/// How long an order waits after a slice that was not taken, at first.
const AGAIN: Duration = Duration::from_millis(100);

/// An order over many rows, as far as it has been carried out.
#[derive(Debug)]
pub(super) struct UnderOrder {
    progress: Progress,
    what: What,
    reply: oneshot::Sender<Touched>,
    /// How often the next slice was tried in vain.
    failures: u32,
    not_before: Instant,
}

/// What is done to the rows.
#[derive(Debug)]
pub(super) enum What {
    Rerun(String),
    Waive(Waiver),
    Revoke(Revocation),
}

impl What {
    /// What an event calls it, what became of its rows, and who ordered it.
    fn words(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Rerun(by) => ("rerun", "asked for", by),
            Self::Waive(waiver) => ("waiver", "waived", &waiver.by),
            Self::Revoke(revocation) => ("waiver", "revoked", &revocation.by),
        }
    }
}

impl UnderOrder {
    /// Says whether a slice of it may be tried now.
    pub(super) fn is_ready(&self) -> bool {
        Instant::now() >= self.not_before
    }
}

impl<Q: Queries, N: Notices> Engine<Q, N> {
    pub(super) fn begin_order(
        &mut self,
        selected: Selected,
        what: What,
        reply: oneshot::Sender<Touched>,
    ) {
        let (progress, not_before) = (Progress::new(selected), Instant::now());
        self.under_order.push_back(UnderOrder { progress, what, reply, failures: 0, not_before });
    }

    /// Carries out a slice of the order that came first.
    pub(super) async fn carry_out(&mut self) {
        // While the ledger is away, an order waits.
        let is_ready = self.under_order.front().is_some_and(UnderOrder::is_ready);
        if !is_ready || self.ledger != LedgerHealth::Up {
            return;
        }
        let Some(mut order) = self.under_order.pop_front() else { return };
        let work = self.bare_work();
        let roster = &self.roster;
        let terms = |series: i64| roster.get(series).map(|member| member.terms);
        let (store, progress) = (&mut self.store, &mut order.progress);
        let done = match &order.what {
            What::Rerun(by) => store.rerun(progress, by, &work, &terms).await,
            What::Waive(waiver) => store.waive(progress, waiver, &work, &terms).await,
            What::Revoke(revocation) => store.revoke(progress, revocation, &work, &terms).await,
        };
        match done {
            Ok(outcome) => {
                self.take_touched(outcome);
                order.failures = 0;
                match order.progress.done() {
                    Some(rows) => self.answer(order.reply, Ok(rows)),
                    None => self.under_order.push_front(order),
                }
            }
            Err(trouble) if trouble.may_pass() && order.failures < TRIES => {
                tracing::warn!(%trouble, "a part of an order was not carried out, and is tried again");
                order.progress.halve();
                order.not_before = Instant::now() + AGAIN * (1 << order.failures);
                order.failures += 1;
                self.under_order.push_front(order);
            }
            Err(trouble) => self.give_up(order, trouble),
        }
    }

    /// Remembers how far an order came that does not go on, and says so to the operator that gave it.
    fn give_up(&mut self, order: UnderOrder, trouble: LedgerError) {
        let rows = order.progress.rows();
        self.remember_half(&order, &trouble.to_string());
        self.answer(order.reply, Err(HalfDone { rows, trouble }));
    }

    fn remember_half(&mut self, order: &UnderOrder, why: &str) {
        let rows = order.progress.rows();
        if rows == 0 {
            return;
        }
        let (kind, what, by) = order.what.words();
        self.events.push(Happened {
            kind,
            check: None,
            tz: None,
            was: String::new(),
            becomes: format!("{rows} rows {what}, and the rest not"),
            note: format!("{} by {by}: {why}", order.progress.words()),
        });
    }

    /// Remembers how far orders came that this process does not finish any more. Whoever gave them hears that the
    /// daemon stops.
    pub(super) fn leave_orders(&mut self) {
        for order in std::mem::take(&mut self.under_order) {
            self.remember_half(&order, "the daemon was stopped");
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
