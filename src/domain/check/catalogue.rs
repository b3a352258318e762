//! The catalogue: all checks that are loaded, each id once.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;

use crate::domain::check::Check;
use crate::domain::check::code::Code;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;
use crate::domain::check::nearest::suggestion;

/// All checks that are loaded, in the order of their files.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    checks: Vec<Arc<Check>>,
    removed: Vec<Removed>,
    weakened: Vec<Weakened>,
    warnings: Vec<Warning>,
}

/// What is accepted, and had better be written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Of which check, where it is of one.
    pub check: Option<CheckId>,
    /// Its code, where it has one: by that it can be accepted.
    pub code: Option<Code>,
    /// What, and where.
    pub fault: Fault,
}

/// A check that its owner made weaker: the word that such a change of a critical check waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakened {
    /// Its id.
    pub id: CheckId,
    /// Why.
    pub because: String,
    /// The last date on which that is a word.
    pub until: NaiveDate,
}

/// A check that was, and that its owner took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub id: CheckId,
    /// Why.
    pub because: String,
}

/// Which checks are wanted; an empty list wants all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// By id.
    pub checks: Vec<String>,
    /// By owner.
    pub owners: Vec<String>,
    /// By source.
    pub sources: Vec<String>,
}

impl Catalogue {
    /// Holds checks whose ids are known to differ, those that are known to be gone, and what their
    /// owners should know about them.
    pub fn new(checks: Vec<Check>, removed: Vec<Removed>, warnings: Vec<Warning>) -> Self {
        debug_assert_eq!(
            checks.iter().map(|c| &c.id).collect::<BTreeSet<_>>().len(),
            checks.len(),
            "the manifest refuses duplicate ids"
        );
        Self {
            checks: checks.into_iter().map(Arc::new).collect(),
            removed,
            weakened: Vec::new(),
            warnings,
        }
    }

    /// All checks.
    pub fn checks(&self) -> &[Arc<Check>] {
        &self.checks
    }

    /// The checks that their owners took out.
    pub fn removed(&self) -> &[Removed] {
        &self.removed
    }

    /// The checks that their owners made weaker.
    pub fn weakened(&self) -> &[Weakened] {
        &self.weakened
    }

    /// The same with the checks that their owners made weaker.
    #[must_use]
    pub fn with_weakened(self, weakened: Vec<Weakened>) -> Self {
        Self { weakened, ..self }
    }

    /// What is accepted, and had better be written otherwise.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The same of some checks, and of what is of none.
    pub fn warnings_of<'c>(
        &'c self,
        checks: &'c [Arc<Check>],
    ) -> impl Iterator<Item = &'c Warning> {
        let ids: BTreeSet<&CheckId> = checks.iter().map(|check| &check.id).collect();
        let is_asked =
            move |warning: &&Warning| warning.check.as_ref().is_none_or(|id| ids.contains(id));
        self.warnings.iter().filter(is_asked)
    }

    /// Returns the checks that are wanted.
    ///
    /// # Errors
    /// A word that selects nothing, with the nearest that would, or a selection that is empty as a
    /// whole: a run of nothing must not look like a run in which nothing was wrong.
    pub fn select(&self, wanted: &Selection) -> Result<Vec<Arc<Check>>, String> {
        type Word = fn(&Check) -> Vec<&str>;
        let filters: [(&str, &[String], Word); 3] = [
            ("check", &wanted.checks, |c| vec![c.id.as_str()]),
            ("owner", &wanted.owners, |c| vec![c.owner.as_str()]),
            ("source", &wanted.sources, |c| c.sources().iter().map(|s| s.as_str()).collect()),
        ];
        for (what, words, word_of) in filters {
            let valid: BTreeSet<&str> = self.checks.iter().flat_map(|c| word_of(c)).collect();
            if let Some(unknown) = words.iter().find(|w| !valid.contains(w.as_str())) {
                let valid: Vec<&str> = valid.into_iter().collect();
                let hint = suggestion(unknown, &valid).unwrap_or_default();
                return Err(match what {
                    "source" => format!("no check asks a source called `{unknown}`; {hint}"),
                    "owner" => format!("no check has an owner called `{unknown}`; {hint}"),
                    _ => format!("no check is called `{unknown}`; {hint}"),
                });
            }
        }
        let fits = |check: &Check| {
            filters.iter().all(|(_, words, word_of)| {
                words.is_empty() || word_of(check).iter().any(|w| words.iter().any(|x| x == w))
            })
        };
        let selected: Vec<_> = self.checks.iter().filter(|c| fits(c)).cloned().collect();
        if selected.is_empty() {
            return Err("no check fits all of the selection at once; select less narrowly".into());
        }
        Ok(selected)
    }
}
