//! Drills: which receivers were rung and which failures drilled, for the record.

use std::sync::Arc;

use crate::engine::order::Drill;
use crate::engine::ports::{Notices, Queries};
use crate::engine::watch::Engine;
use crate::ledger::{Drilled, Happened, LedgerError};

impl<Q: Queries, N: Notices> Engine<Q, N> {
    /// Reads which drills there were.
    pub(super) async fn resume_drills(&mut self) -> Result<(), LedgerError> {
        self.drilled = Arc::new(self.store.drilled().await?);
        Ok(())
    }

    /// Writes down a drill that was begun or proved.
    pub(super) async fn note_drill(&mut self, drill: Drill) -> Result<(), LedgerError> {
        // Another replica may have written the one before.
        self.resume_drills().await?;
        let Drill { kind, name, word, by, is_proved, note } = drill;
        let before = self.drilled.iter().find(|one| one.kind == kind && one.name == name);
        let now = self.now();
        let proved_at =
            if is_proved { Some(now) } else { before.and_then(|before| before.proved_at) };
        let begun = before.filter(|before| before.word == word).map(|before| before.at);
        let at = begun.unwrap_or(now);
        let drilled = Drilled { kind, name: name.clone(), word, at, by: by.clone(), proved_at };
        self.store.keep_drilled(&drilled).await?;
        let becomes = if is_proved { "proved" } else { "begun" };
        let note = if note.is_empty() { format!("by {by}") } else { format!("{note}, by {by}") };
        self.events.push(Happened {
            kind: "drill",
            check: None,
            tz: None,
            was: format!("{} {name}", kind.as_str()),
            becomes: becomes.to_owned(),
            note,
        });
        self.resume_drills().await
    }
}
