//! What new rules of a zone do to windows that were recorded under the old ones.

use chrono::{DateTime, Utc};

use crate::domain::agenda::delta;
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
    /// Holds recorded windows, in order, against today's rules: those which the rules moved, back to
    /// the age up to which anything is caught up.
    ///
    /// An old window is replaced by every new one that shares an instant with it, so that no instant
    /// that was proved, or was to be, is lost between the two sets of rules.
    pub fn superseded(
        &self,
        recorded: &[(DateTime<Utc>, DateTime<Utc>)],
        now: DateTime<Utc>,
    ) -> Option<Supersession> {
        let rule = self.window()?;
        let rules = &self.home.rules;
        let oldest = now - delta(self.check.catch_up.age);
        let recorded = recorded.iter().filter(|(_, end)| *end > oldest);
        let mut found = Supersession { old: Vec::new(), new: Vec::new() };
        for (start, end) in recorded {
            let mut span = rule.frame.span_at(rules, *start);
            let mut windows = Vec::new();
            while span.start < *end {
                windows.extend(span.windows(rules, rule.split));
                span = rule.frame.next(rules, &span);
            }
            if windows.iter().any(|w| (w.start, w.end) == (*start, *end)) {
                continue;
            }
            found.old.push((*start, *end));
            found.new.extend(windows.into_iter().filter(|w| w.start < *end && w.end > *start));
        }
        if found.old.is_empty() {
            return None;
        }
        found.new.sort();
        found.new.dedup();
        // What has not settled yet comes with its own due.
        let settled = |w: &Window| w.span.end + delta(rule.settle) <= now;
        found.new.retain(settled);
        Some(found)
    }
}
