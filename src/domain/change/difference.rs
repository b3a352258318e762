//! One difference between two versions of a check, and what it does to what the check proves.

use std::fmt;

use crate::domain::check::limit::compare::Passing;
use crate::domain::sql::Query;
use crate::domain::sql::words::{Tok, Words};

/// What a change does to what is proved, the one that needs a look most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Something passes, or is not looked at, that was not right before.
    Weaker,
    /// Something else is asked: only looking at the data tells.
    Other,
    /// The check is gone.
    Gone,
    /// More values of the data are shown.
    Exposes,
    /// Others are told.
    Routing,
    /// The check was not there.
    New,
    /// Less passes, or more is looked at.
    Stronger,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 7] = [
        Self::Weaker,
        Self::Other,
        Self::Gone,
        Self::Exposes,
        Self::Routing,
        Self::New,
        Self::Stronger,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weaker => "weaker",
            Self::Other => "other",
            Self::Gone => "gone",
            Self::Exposes => "exposes",
            Self::Routing => "routing",
            Self::New => "new",
            Self::Stronger => "stronger",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A part of a check that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it does.
    pub class: Class,
    /// Which part, as YAML names it: `expect.rows`.
    pub part: String,
    /// What it was; empty where it was not there.
    pub was: String,
    /// What it is; empty where it is not there.
    pub now: String,
    /// Why it is of that class.
    pub why: String,
    /// The reason that the file gives beside it, where the language wants one.
    pub because: Option<String>,
}

/// Collects differences.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) all: Vec<Difference>,
}

impl Found {
    /// Notes a difference.
    pub(super) fn note(
        &mut self,
        class: Class,
        part: impl Into<String>,
        (was, now): (impl fmt::Display, impl fmt::Display),
        why: impl Into<String>,
    ) {
        let (was, now) = (was.to_string(), now.to_string());
        let (part, why) = (part.into(), why.into());
        self.all.push(Difference { class, part, was, now, why, because: None });
    }

    /// Notes a difference beside which its reason stands.
    pub(super) fn note_because(&mut self, difference: Difference, because: &str) {
        self.all.push(Difference { because: Some(because.to_owned()), ..difference });
    }

    /// Notes that a limit is another one.
    pub(super) fn limit(
        &mut self,
        part: impl Into<String>,
        (was, now): (impl fmt::Display, impl fmt::Display),
        passing: Option<Passing>,
    ) {
        let Some(passing) = passing else {
            let why = "which of the two lets more pass cannot be said";
            return self.note(Class::Other, part, (was, now), why);
        };
        let Passing { more, less, count } = passing;
        let (class, why) = match (more, less) {
            (None, None) => return,
            (Some(_), None) if count == Some(1) => {
                (Class::Weaker, "1 value passes that failed".to_owned())
            }
            (Some(more), None) => {
                let why = match count {
                    Some(count) => format!("{count} values pass that failed"),
                    None => format!("{more} passes that failed"),
                };
                (Class::Weaker, why)
            }
            (None, Some(less)) => (Class::Stronger, format!("{less} fails that passed")),
            (Some(more), Some(less)) => {
                (Class::Other, format!("{more} passes that failed, and {less} fails that passed"))
            }
        };
        self.note(class, part, (was, now), why);
    }

    /// Notes that a part is there that was not, or the other way round.
    pub(super) fn comes_or_goes<T: fmt::Display>(
        &mut self,
        part: impl Into<String>,
        (was, now): (Option<T>, Option<T>),
        (comes, goes): (&str, &str),
    ) {
        let class = match (&was, &now) {
            (None, Some(_)) => Class::Stronger,
            (Some(_), None) => Class::Weaker,
            (None, None) | (Some(_), Some(_)) => return,
        };
        let shown = |value: Option<T>| value.map(|value| value.to_string()).unwrap_or_default();
        let why = if class == Class::Stronger { comes } else { goes };
        self.note(class, part, (shown(was), shown(now)), why);
    }

    /// Notes that a quantity is larger or smaller than it was.
    pub(super) fn size<T: PartialOrd>(
        &mut self,
        part: impl Into<String>,
        (was, now): (&T, &T),
        (grows, shrinks): (Effect<'_>, Effect<'_>),
        show: impl Fn(&T) -> String,
    ) {
        let (class, why) = if now > was {
            grows
        } else if now < was {
            shrinks
        } else {
            return;
        };
        self.note(class, part, (show(was), show(now)), why);
    }

    /// Notes that a query asks something else.
    pub(super) fn query(&mut self, part: impl Into<String>, was: &Query, now: &Query) {
        if !is_same(was, now) {
            self.note(Class::Other, part, (was.text(), now.text()), SQL_DIFFERS);
        }
    }
}

/// What a change of a quantity does, and why.
pub(super) type Effect<'e> = (Class, &'e str);

/// Why two queries cannot be ordered.
const SQL_DIFFERS: &str = "the SQL differs: only looking at the data tells";

/// Says whether two queries differ in spaces, comments and letter case at most.
pub(super) fn is_same(was: &Query, now: &Query) -> bool {
    was == now || was.engine() == now.engine() && words(was) == words(now)
}

/// The tokens of a query as they are written; words in small letters.
fn words(query: &Query) -> Vec<String> {
    let words = Words::of(query);
    // Beyond ASCII, engines fold letters in their own ways.
    let word = |at: &crate::domain::sql::words::At| {
        let written = query.text().get(query.byte(at.place)..query.byte(at.end));
        let written = written.unwrap_or_default();
        // MySQL tells tables apart by the case of their letters on most hosts.
        let folds = query.engine() != crate::domain::sql::Engine::MySql;
        if matches!(at.tok, Tok::Word(_)) && folds {
            written.to_ascii_lowercase()
        } else {
            written.to_owned()
        }
    };
    words.0.iter().map(word).collect()
}
