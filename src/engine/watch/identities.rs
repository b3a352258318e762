//! Whether each source is the database that it was: a name that points elsewhere answers as readily as the right one.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::check::Check;
use crate::domain::check::name::SourceName;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{Happened, LedgerError, Sighting};

/// How often it is written down that a source is still the same.
const EACH: Duration = Duration::from_secs(3_600);

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Writes down which database each source is, and what that means where it is another one than before.
    pub(super) async fn look_at_identities(&mut self) -> Result<(), LedgerError> {
        let now = Instant::now();
        let names: Vec<SourceName> = self.gates.keys().cloned().collect();
        for name in names {
            let Some(identity) = self.under_way.queries.identity(&name) else { continue };
            let same = |gate: &crate::engine::gate::Gate| {
                let written = gate.identity.as_ref();
                written.is_some_and(|(known, at)| *known == identity && now - *at < EACH)
            };
            if self.gates.get(&name).is_none_or(same) {
                continue;
            }
            let at = self.clock.now();
            let seen = self.store.sighting(name.as_str(), &identity, at).await?;
            let is_file = identity.starts_with("sqlite ");
            if seen.before.is_some() && !seen.is_known && !is_file {
                // What was proved of the other database says nothing of this one. It is ordered before it is written
                // down: what ends in between is ordered twice, and never forgotten.
                let words = format!("{name} is another database");
                let asks = |check: &Check| check.sources().contains(&&name);
                self.prove_newest_again(asks, words).await?;
            }
            let sighting = self.store.see_source(name.as_str(), &identity, at).await?;
            self.events.extend(moved(&name, &identity, &sighting));
            if let Some(gate) = self.gates.get_mut(&name) {
                // A file that is replaced is how files are updated.
                gate.moved_at = sighting.moved_at.filter(|_| !is_file);
                gate.identity = Some((identity, now));
            }
        }
        Ok(())
    }
}

/// The event that a source is another database than it was.
fn moved(name: &SourceName, identity: &str, sighting: &Sighting) -> Option<Happened> {
    let before = sighting.before.as_ref()?;
    let known = if sighting.is_known { "that it was before" } else { "that it never was before" };
    let note = format!("source {name}: it is a database {known}");
    tracing::warn!("{note}: {identity}, and it was {before}");
    Some(Happened {
        kind: "source",
        check: None,
        tz: None,
        was: before.clone(),
        becomes: identity.to_owned(),
        note,
    })
}
