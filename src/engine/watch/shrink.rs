//! Lists of zones that lose too many: the list is violated, and nothing of it is taken over, until an operator accepts it.

use std::collections::BTreeSet;

use chrono::DateTime;

use crate::domain::check::name::CheckId;
use crate::domain::check::verdict::{Contradiction, Finding, Verdict};
use crate::domain::record::shrink::gone;
use crate::engine::attempt::Attempted;
use crate::engine::order::AcceptZones;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{LedgerError, Role, RowOrder, Selected};

/// How many of the zones that are gone are named.
const SHOWN: usize = 5;

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Holds a list that was read whole against what was accepted last; says so in the attempt where too many are gone.
    pub(super) fn has_shrunk(
        &self,
        check: &CheckId,
        zones: &[String],
        attempted: &mut Attempted,
    ) -> bool {
        let of_check = || self.roster.members().filter(|member| member.record.check == *check);
        let Some(list) = of_check().find(|member| member.record.role == Role::List) else {
            return false;
        };
        if self.roster.may_shrink(check) || list.record.accepts_zones {
            return false;
        }
        let accepted_at = list.record.zones_accepted_at.unwrap_or(DateTime::UNIX_EPOCH);
        let counts = |at: Option<_>| at.is_none_or(|at| at > accepted_at);
        let accepted = of_check().filter(|member| counts(member.record.retired_at));
        let accepted: BTreeSet<&str> =
            accepted.filter_map(|member| member.record.tz.as_deref()).collect();
        let listed: BTreeSet<&str> = zones.iter().map(String::as_str).collect();
        let Some(gone) = gone(&accepted, &listed) else { return false };
        let first = gone.iter().take(SHOWN).map(|tz| (*tz).to_owned()).collect();
        let contradictions = vec![Contradiction::ZonesGone {
            check: check.to_string(),
            gone: gone.len(),
            of: accepted.len(),
            first,
        }];
        let finding = Finding { contradictions, cut: false, rows: Vec::new() };
        attempted.judgement.verdict = Verdict::Violated(finding);
        true
    }

    /// Takes the next list as it is, by an operator's word, and reads it soon.
    pub(super) async fn accept_zones(&mut self, accept: &AcceptZones) -> Result<(), LedgerError> {
        let AcceptZones { check, by, because } = accept;
        let Some(id) = self.roster.accept_zones(check) else { return Ok(()) };
        self.store.accept_zones(check, (by, because), self.clock.now()).await?;
        let rows = vec![(id, DateTime::UNIX_EPOCH, DateTime::<chrono::Utc>::MAX_UTC)];
        let words = format!("the list of zones of {check}");
        let order = RowOrder::Rerun { by: by.clone(), accepted: None };
        self.store_order(&order, &Selected { rows, words }).await.map(drop)
    }
}
