//! Which changes wait for approval, and whether it is given.

use chrono::NaiveDate;

use crate::domain::change::{Changed, Class, Difference};
use crate::domain::check::Severity;
use crate::domain::check::catalogue::Weakened;

/// What changes of critical checks wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// Of those that are weaker, or gone.
    pub weaker: Wait,
    /// Of those of which only the data tells.
    pub other: Wait,
}

/// Whether a change waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until a person says that it is right.
    Ask,
    /// Until it was looked at in shadow, and then where something speaks against it.
    Look,
    /// Not at all.
    Accept,
}

impl Wait {
    /// The words for it, where a change is weaker.
    pub const OF_WEAKER: [(&str, Self); 2] = [("ask", Self::Ask), ("accept", Self::Accept)];
    /// The words for it, where only the data tells.
    pub const OF_OTHER: [(&str, Self); 3] =
        [("shadow", Self::Look), ("ask", Self::Ask), ("accept", Self::Accept)];
}

impl Wait {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Look => "shadow",
            Self::Accept => "accept",
        }
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self { weaker: Wait::Ask, other: Wait::Look }
    }
}

/// Whether a change has the word that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It needs none.
    Free,
    /// The files give it, with this reason.
    Given(String),
    /// The files gave it, up to this date.
    Expired(NaiveDate),
    /// It is looked at in shadow, and needs one where something speaks against it.
    Look,
    /// It needs one.
    Needed,
}

impl Word {
    /// Says whether the change has to wait.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Needed | Self::Expired(_))
    }
}

impl Changed {
    /// Says whether the check is critical, or was.
    pub fn is_critical(&self) -> bool {
        self.was.iter().chain(&self.now).any(|check| check.severity == Severity::Critical)
    }

    /// Says whether something is looked at, or judged, otherwise than before, or is new.
    pub fn is_asked_otherwise(&self) -> bool {
        let asks =
            |one: &Difference| matches!(one.class, Class::Weaker | Class::Other | Class::Stronger);
        self.now.is_some() && (self.class == Class::New || self.differences.iter().any(asks))
    }

    /// Says whether it has to be looked at in shadow, whatever word it has for what is weaker.
    pub fn is_to_be_looked_at(&self, rollout: Rollout) -> bool {
        let is_other = |one: &Difference| one.class == Class::Other && is_shown_by_looking(one);
        rollout.other == Wait::Look
            && self.is_critical()
            && self.was.is_some()
            && self.now.is_some()
            && self.differences.iter().any(is_other)
    }

    /// Says whether the change has the word that it needs.
    pub fn word(&self, rollout: Rollout, weakened: &[Weakened], today: NaiveDate) -> Word {
        let wait = match self.class {
            Class::Weaker | Class::Gone => rollout.weaker,
            Class::Other => rollout.other,
            Class::Exposes | Class::Routing | Class::New | Class::Stronger => Wait::Accept,
        };
        if wait == Wait::Accept || !self.is_critical() {
            return Word::Free;
        }
        if let Some(because) = &self.because {
            return Word::Given(because.clone());
        }
        if let Some(word) = weakened.iter().find(|word| word.id == self.id) {
            return match word.until < today {
                true => Word::Expired(word.until),
                false => Word::Given(word.because.clone()),
            };
        }
        let is_hidden = |one: &Difference| one.class == Class::Other && !is_shown_by_looking(one);
        if wait == Wait::Look && !self.differences.iter().any(is_hidden) {
            return Word::Look;
        }
        let asks = |one: &&Difference| {
            one.class == Class::Weaker
                || one.class == Class::Other && rollout.other == Wait::Ask
                || rollout.other == Wait::Look && is_hidden(one)
        };
        let mut asking = self.differences.iter().filter(asks).peekable();
        let first = asking.peek().and_then(|one| one.because.clone());
        match first {
            // What the language wants a reason for has its word beside it.
            Some(because) if asking.all(|one| one.because.is_some()) => Word::Given(because),
            Some(_) | None => Word::Needed,
        }
    }
}

/// Says whether looks at windows that have settled show what a difference does: they are of data that is all there, and
/// at no time of a schedule.
fn is_shown_by_looking(one: &Difference) -> bool {
    const HIDDEN: [&str; 5] = ["schedule", "window.settle", "recheck", "complete_until", "max_lag"];
    !HIDDEN.contains(&one.part.as_str())
}
