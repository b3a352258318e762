//! What a look or the reading of files brought, as tools of continuous integration take it.

mod github;
mod junit;
mod markdown;

use std::time::Duration;

/// How one thing is. The first is what a person looks at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It is wrong.
    Failed,
    /// Nothing is known of it.
    Error,
    /// It is accepted, and had better be otherwise.
    Warned,
    /// It is right.
    Passed,
    /// Its owner takes it out.
    Skipped,
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    /// From 1; 0 for the file as a whole.
    pub(super) line: u64,
    /// From 1; 0 where that is not known.
    pub(super) column: u64,
}

/// A check, a fault or a warning.
#[derive(Debug, Clone)]
pub(super) struct Suite {
    pub(super) state: State,
    /// The check's id, or where a fault is.
    pub(super) name: String,
    /// The word for how it is: `violated`.
    pub(super) word: &'static str,
    /// How bad it is, whose it is, and why it is there; empty where that is not said.
    pub(super) severity: String,
    pub(super) owner: String,
    pub(super) why: String,
    /// What was looked at.
    pub(super) seen: String,
    /// What was found, and where else to look, a line each.
    pub(super) found: Vec<String>,
    pub(super) place: Option<Place>,
    pub(super) cases: Vec<Case>,
}

impl Suite {
    /// One thing that has no parts.
    pub(super) fn plain(state: State, name: &str, word: &'static str, found: Vec<String>) -> Self {
        let case = Case {
            state,
            name: name.to_owned(),
            word: word.to_owned(),
            found: found.clone(),
            took: Duration::ZERO,
        };
        let (name, cases) = (name.to_owned(), vec![case]);
        let [severity, owner, why, seen] = Default::default();
        Self { state, name, word, severity, owner, why, seen, found, place: None, cases }
    }
}

/// One window of a check, or its only look.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) state: State,
    /// Which window.
    pub(super) name: String,
    /// The verdict, or the cause why there is none.
    pub(super) word: String,
    /// What was found, a line each.
    pub(super) found: Vec<String>,
    pub(super) took: Duration,
}

/// All of it, and how it is in one line.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) title: String,
    pub(super) suites: Vec<Suite>,
}

impl Report {
    /// Puts the worst first; what is as bad stays in its order.
    pub(super) fn new(title: impl Into<String>, mut suites: Vec<Suite>) -> Self {
        suites.sort_by_key(|suite| suite.state);
        Self { title: title.into(), suites }
    }

    pub(super) fn junit(&self) -> String {
        junit::write(self)
    }

    pub(super) fn github(&self) -> String {
        github::write(self)
    }

    pub(super) fn markdown(&self) -> String {
        markdown::write(self)
    }
}
