//! Showing what is: a picture of the engine, not more often than people can look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::check::name::SourceName;
use crate::engine::ports::{Notices, Queries};
use crate::engine::snapshot::{
    Counts, LAG_BOUNDS_MS, LedgerHealth, SeriesHealth, Snapshot, SourceHealth,
};
use crate::engine::watch::Engine;

/// How often a picture is taken.
const EACH: Duration = Duration::from_millis(500);

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Shows what is, unless it was shown a moment ago.
    pub fn show(&mut self) {
        let now = Instant::now();
        if self.shown_at.is_some_and(|at| now - at < EACH) {
            return;
        }
        self.shown_at = Some(now);
        self.look_at_remarks();
        let as_of = self.now();
        let before = self.pictures.borrow().clone();
        let mut known = before.series.iter().peekable();
        let series = self.roster.members().map(|member| {
            let id = member.record.id;
            while known.next_if(|old| old.record.id < id).is_some() {}
            let paused_until = member.series.paused_until(as_of);
            // What did not change is shared with the picture before.
            let same = known.peek().filter(|old| {
                Arc::ptr_eq(&old.record, &member.record)
                    && Arc::ptr_eq(&old.check, &member.series.check)
                    && old.next_due == member.terms.next_due
                    && old.paused_until == paused_until
            });
            match same {
                Some(same) => Arc::clone(same),
                None => Arc::new(SeriesHealth {
                    record: Arc::clone(&member.record),
                    check: Arc::clone(&member.series.check),
                    home: member.series.home.clone(),
                    next_due: member.terms.next_due,
                    next_deadline: member.terms.next_deadline,
                    paused_until,
                }),
            }
        });
        let series = series.collect();
        let snapshot = Snapshot {
            as_of,
            taken: now,
            skew: self.skew,
            ledger_id: Arc::from(self.store.id()),
            sequence: self.sequence(),
            went_back_at: self.adoption.went_back_at,
            ledger: match (&self.ledger, self.alerts.trouble.clone()) {
                // What cannot be written down is not announced.
                (LedgerHealth::Up, Some((since, why))) => LedgerHealth::Down { since, why },
                (ledger, _) => ledger.clone(),
            },
            ledger_since: self.ledger_since,
            generation: self.generation.clone(),
            last_load: self.last_load.clone(),
            is_pinned: self.files.are_pinned,
            idle: self.old_rules(),
            tz_release: self.reading.tz_release(),
            stopping: self.stopping,
            sources: self.sources_shown(),
            series,
            tested: self.tested.clone(),
            labels: Arc::new(self.reading.labels.clone()),
            shared: Arc::clone(&self.reading.shared),
            alerts: Arc::clone(&self.alerts.rows),
            recorded_here: Arc::clone(&self.alerts.recorded_here),
            notified: Arc::clone(&self.alerts.notified),
            own: Some(Arc::clone(&self.alerts.own)),
            has_others: self.store.is_shared() && self.replicas > 1,
            alerts_read_at: self.store.is_shared().then_some(self.alerts.read_at),
            quiets: Arc::clone(&self.alerts.quiets),
            proofs: Arc::clone(&self.alerts.proofs),
            comparing: self.under_way.comparing(),
            dependencies: Arc::clone(&self.learning.shown),
            drilled: Arc::clone(&self.drilled),
            drill_every: self.reading.drill_every,
            counts: self.counts,
        };
        self.pictures.send_replace(Arc::new(snapshot));
    }

    /// Shows what is, however lately it was shown.
    pub fn show_now(&mut self) {
        self.shown_at = None;
        self.show();
    }

    /// Says where a role turns out to be able to do more than it needs.
    fn look_at_remarks(&mut self) {
        for (name, gate) in &mut self.gates {
            let remark = self.under_way.queries.remark(name);
            if gate.remark != remark {
                if let Some(remark) = &remark {
                    tracing::warn!("source `{name}`: {remark}");
                }
                gate.remark = remark;
            }
        }
    }

    fn sources_shown(&self) -> BTreeMap<SourceName, SourceHealth> {
        let shown = self.gates.iter().map(|(name, gate)| {
            let health = SourceHealth {
                breaker: gate.breaker.clone(),
                places: gate.places,
                running: gate.running,
                waiting: gate.waiting(),
                trouble: gate.trouble.clone(),
                remark: gate.remark.clone(),
                protections: self.under_way.queries.protections(name),
                place: self.under_way.queries.place(name),
                instant_form: self.under_way.queries.instant_form(name),
                identity: gate.identity.as_ref().map(|(identity, _)| identity.clone()),
                moved_at: gate.moved_at,
                attempts: gate.attempts,
                took: gate.took,
                took_buckets: gate.took_buckets,
                unconfirmed: gate.unconfirmed.clone(),
            };
            (name.clone(), health)
        });
        shown.collect()
    }
}

impl Counts {
    /// Takes note of how late an attempt began.
    pub(super) fn began(&mut self, lag_us: u64) {
        self.began += 1;
        self.lag_us = self.lag_us.saturating_add(lag_us);
        self.last_lag_us = lag_us;
        for (bucket, bound) in self.lag_buckets.iter_mut().zip(LAG_BOUNDS_MS) {
            if lag_us <= bound * 1_000 {
                *bucket += 1;
            }
        }
    }
}
