//! What new rules of a zone do to windows that were recorded under the old ones.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::agenda::{Due, Entry, Target, delta};
use crate::domain::series::Series;
use crate::domain::window::Window;

/// Windows that new rules put in the place of recorded ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supersession {
    /// The recorded windows that are none any more, by their bounds.
    pub old: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// What is due now in their place.
    pub new: Vec<Window>,
}

impl Series {
    /// Holds recorded windows, in order, against what today's rules make due up to the watermark of
    /// the record: back to the age up to which anything is caught up.
    ///
    /// What is recorded and is no window any more is old; what would be recorded and is not is new,
    /// also where no old window stands in its place: rules may move a window's end back to before
    /// the watermark, behind which nobody would look for it.
    pub fn superseded(
        &self,
        recorded: &[(DateTime<Utc>, DateTime<Utc>)],
        watermark: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Supersession> {
        let oldest = now - delta(self.check.catch_up.age);
        let recorded: Vec<_> = recorded.iter().copied().filter(|(_, end)| *end > oldest).collect();
        let (first, _) = *recorded.first()?;
        let entries = self.agenda_after(first).take_while(|entry| entry.at() <= watermark);
        let window = |entry| match entry {
            Entry::Due(Due { target: Target::Window(window), .. }) => Some(window),
            Entry::Due(_) | Entry::Event(_) => None,
        };
        let due: Vec<Window> = entries.filter_map(window).filter(|w| w.end > first).collect();
        let bounds: BTreeSet<_> = due.iter().map(|w| (w.start, w.end)).collect();
        let known: BTreeSet<_> = recorded.iter().copied().collect();
        let old: Vec<_> = recorded.into_iter().filter(|b| !bounds.contains(b)).collect();
        let new: Vec<_> = due.into_iter().filter(|w| !known.contains(&(w.start, w.end))).collect();
        (!old.is_empty() || !new.is_empty()).then_some(Supersession { old, new })
    }
}
