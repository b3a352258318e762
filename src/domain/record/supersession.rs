//! What new rules of a zone do to windows that were recorded under the old ones.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::record::series::Series;
use crate::domain::time::agenda::{Due, Entry, Target};
use crate::domain::time::duration::delta;
use crate::domain::time::window::{Window, WindowRule};

/// A pair of instants, half-open.
pub type Bounds = (DateTime<Utc>, DateTime<Utc>);

/// What new rules change about a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supersession {
    /// Recorded windows that are none any more, each with all the windows that stand for it: it stays
    /// open, if it was, until every one of them is confirmed, those included that are not over yet.
    pub old: Vec<(Bounds, Vec<Window>)>,
    /// Windows behind the watermark that are not recorded: they are due now.
    pub new: Vec<Window>,
}

impl Series {
    /// Holds recorded windows, in order, against today's rules: back to the age up to which anything
    /// is caught up, and on to the watermark of the record.
    ///
    /// Nothing is old whose bounds are still those of a window, whenever it is due. What is new need
    /// not stand for an old one: rules may move a window's end back to before the watermark, behind
    /// which it would not be looked for.
    pub fn superseded(
        &self,
        recorded: &[Bounds],
        watermark: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Supersession> {
        let rule = self.window()?;
        let oldest = now - delta(self.check.catch_up.age);
        let recorded: Vec<Bounds> =
            recorded.iter().copied().filter(|(_, end)| *end > oldest).collect();
        let (first, _) = *recorded.first()?;
        let known: BTreeSet<Bounds> = recorded.iter().copied().collect();
        let old = recorded.into_iter().filter_map(|bounds| {
            let windows = self.overlapping(rule, bounds);
            let is_one = windows.iter().any(|w| (w.start, w.end) == bounds);
            let by: Vec<Window> =
                windows.into_iter().filter(|w| !self.excepts(w.span.date)).collect();
            // Where nothing would stand for it, it stands for itself.
            (!is_one && !by.is_empty()).then_some((bounds, by))
        });
        let old: Vec<(Bounds, Vec<Window>)> = old.collect();
        let entries = self.agenda_after(first).take_while(|entry| entry.at() <= watermark);
        let window = |entry| match entry {
            Entry::Due(Due { target: Target::Window(window), .. }) => Some(window),
            Entry::Due(_) | Entry::Event(_) => None,
        };
        let unknown = |w: &Window| w.end > first && !known.contains(&(w.start, w.end));
        let new: Vec<Window> = entries.filter_map(window).filter(unknown).collect();
        (!old.is_empty() || !new.is_empty()).then_some(Supersession { old, new })
    }

    /// Today's windows that share an instant with a pair of bounds.
    fn overlapping(&self, rule: &WindowRule, (start, end): Bounds) -> Vec<Window> {
        let rules = &self.home.rules;
        let mut span = rule.frame.span_at(rules, start);
        let mut windows = Vec::new();
        while span.start < end {
            windows.extend(span.windows(rules, rule.split));
            span = rule.frame.next(rules, &span);
        }
        windows.retain(|w| w.start < end && w.end > start);
        windows
    }
}
