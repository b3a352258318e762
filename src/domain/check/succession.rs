//! From one catalogue to the next: what is renamed, what goes, and whether that needs an operator's word.
//!
//! An empty mount, a wrong branch or a slip in a path take checks away without an error. What would
//! take a check of which something is open, more than a fifth of all, or everything, waits for `removed:` entries or
//! `--accept-removals`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::name::CheckId;
use crate::domain::time::window::ZoneChoice;
use crate::domain::time::zone::ZoneName;

/// A check that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: CheckId,
    /// Whether it fires, or something of it is open: a violated window goes with its check, also one that is not
    /// told of yet.
    pub open: bool,
    /// What it looks at.
    pub shape: Shape,
}

/// What a check looks at: rows of one shape say nothing for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// The present.
    Snapshot,
    /// Windows of a grid over UTC.
    Grid,
    /// Windows of one zone.
    Zone(ZoneName),
    /// Windows of several zones, each a series of its own.
    Zones,
}

impl Shape {
    /// What a check looks at.
    pub fn of(check: &Check) -> Self {
        match check.window.as_ref().map(|window| &window.zones) {
            None => Self::Snapshot,
            Some(ZoneChoice::Nowhere) => Self::Grid,
            Some(ZoneChoice::One(zone)) => Self::Zone(zone.clone()),
            Some(ZoneChoice::Each(_) | ZoneChoice::From(_)) => Self::Zones,
        }
    }
}

/// Whether an operator vouches for what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    /// Only what `removed:` entries name.
    AsDeclared,
    /// All of them: `--accept-removals`.
    Accepted,
}

/// What the next catalogue does to those who run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Succession {
    /// Earlier ids, each with its new one.
    pub renamed: Vec<(CheckId, CheckId)>,
    /// Checks that go, each with the reason where one is declared.
    pub gone: Vec<(CheckId, Option<String>)>,
    /// Checks of the same id that look at something else, like windows of another zone: what is
    /// recorded of them ends too.
    pub reshaped: Vec<CheckId>,
}

/// Why a catalogue waits for an operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It leaves nothing of what runs.
    Everything {
        /// How many checks run.
        running: usize,
    },
    /// It takes away checks of which something is open.
    Open(Vec<CheckId>),
    /// It takes away more than a fifth.
    TooMany {
        /// How many go.
        gone: Vec<CheckId>,
        /// How many run.
        running: usize,
    },
}

/// How many checks may go without a word, however few there are.
const FEW: usize = 3;
/// The part of all checks that may go without a word.
const PART: usize = 5;

/// Holds the next catalogue against what runs.
///
/// # Errors
/// Where it needs an operator's word.
pub fn succession(
    running: &[Running],
    next: &Catalogue,
    removals: Removals,
) -> Result<Succession, Refusal> {
    let declared: BTreeMap<&CheckId, Shape> =
        next.checks().iter().map(|check| (&check.id, Shape::of(check))).collect();
    let reasons: BTreeMap<&CheckId, &str> =
        next.removed().iter().map(|removed| (&removed.id, removed.because.as_str())).collect();
    let known: BTreeSet<&CheckId> = running.iter().map(|check| &check.id).collect();
    let renamed = next.checks().iter().filter_map(|check| Some((check.was.as_ref()?, &check.id)));
    // Once it is renamed, the entry may stay.
    let renamed = renamed.filter(|(was, id)| known.contains(was) && !known.contains(id));
    let renamed: BTreeMap<&CheckId, &CheckId> = renamed.collect();
    let mut succession = Succession::default();
    let (mut open, mut gone) = (Vec::new(), Vec::new());
    for check in running {
        let id = renamed.get(&check.id).copied().unwrap_or(&check.id);
        let reason = reasons.get(&check.id).map(|reason| (*reason).to_owned());
        let accepted = reason.is_some() || removals == Removals::Accepted;
        match declared.get(id) {
            Some(shape) if *shape == check.shape => {}
            Some(_) => {
                succession.reshaped.push(id.clone());
                if check.open && !accepted {
                    open.push(check.id.clone());
                }
            }
            None => {
                succession.gone.push((check.id.clone(), reason));
                if !accepted {
                    gone.push(check.id.clone());
                    if check.open {
                        open.push(check.id.clone());
                    }
                }
            }
        }
    }
    if !running.is_empty() && gone.len() == running.len() {
        return Err(Refusal::Everything { running: running.len() });
    }
    if !open.is_empty() {
        return Err(Refusal::Open(open));
    }
    if gone.len() > FEW && gone.len() * PART > running.len() {
        return Err(Refusal::TooMany { gone, running: running.len() });
    }
    succession.renamed = renamed.into_iter().map(|(was, id)| (was.clone(), id.clone())).collect();
    Ok(succession)
}

/// How many ids are named.
const NAMED: usize = 5;

fn list(ids: &[CheckId]) -> String {
    let mut text: Vec<&str> = ids.iter().take(NAMED).map(CheckId::as_str).collect();
    if ids.len() > NAMED {
        text.push("…");
    }
    text.join(", ")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORD: &str = "if that is meant, list them in a file of checks, as in `removed: [{id: …, because: …}]`, \
                            or start with `--accept-removals`; otherwise look whether the folder is whole";
        match self {
            Self::Everything { running } => {
                write!(f, "none of the {running} checks that run is in it; {WORD}")
            }
            Self::Open(ids) => {
                write!(f, "it removes checks of which something is open ({}); {WORD}", list(ids))
            }
            Self::TooMany { gone, running } => {
                let count = gone.len();
                write!(f, "it removes {count} of {running} checks ({}); {WORD}", list(gone))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::catalogue::Removed;

    fn id(text: &str) -> CheckId {
        CheckId::parse(text).unwrap()
    }

    /// Weighs a catalogue that declares nothing and removes these by name.
    fn verdict_on(running: &str, removed: &[&str], removals: Removals) -> Result<usize, String> {
        // Upper case fires.
        let running: Vec<Running> = running
            .chars()
            .map(|c| Running {
                id: id(&c.to_ascii_lowercase().to_string()),
                open: c.is_ascii_uppercase(),
                shape: Shape::Snapshot,
            })
            .collect();
        let removed = removed
            .iter()
            .map(|word| Removed { id: id(word), because: "because".into() })
            .collect();
        let next = Catalogue::new(Vec::new(), removed, Vec::new());
        succession(&running, &next, removals)
            .map(|succession| succession.gone.len())
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_takes_everything_or_what_fires_needs_a_word() {
        let declared = Removals::AsDeclared;
        assert_eq!(verdict_on("", &[], declared), Ok(0));
        assert!(verdict_on("a", &[], declared).unwrap_err().contains("none of the 1"));
        assert_eq!(verdict_on("a", &[], Removals::Accepted), Ok(1));
        assert_eq!(verdict_on("a", &["a"], declared), Ok(1));
        assert!(verdict_on("aB", &["a"], declared).unwrap_err().contains("open (b)"));
        assert_eq!(verdict_on("aB", &["a", "b"], declared), Ok(2));
        assert!(verdict_on("abcdef", &["a"], declared).unwrap_err().contains("removes 5 of 6"));
        assert_eq!(verdict_on("abcd", &["a"], declared), Ok(4), "three may go without a word");
    }
}
