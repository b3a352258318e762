//! The role that a source is asked as: what it could do beyond reading, as the server says.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::check::reason::{Cause, Reason};

/// How long what was found of a role that may watch is relied on.
const LOOK_EACH: Duration = Duration::from_secs(60);
/// How many powers are named.
const NAMED: usize = 3;

/// What a role could do beyond reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Powers {
    /// What it may not have, but for `allow_superuser`: powers over the server and its files.
    pub(super) refused: Vec<String>,
    /// What it does not need: to write, and to own.
    pub(super) needless: Vec<String>,
    /// Whether it sees what others do.
    pub(super) sees_others: bool,
    /// What the server calls itself.
    pub(super) server: String,
    /// Which database it is, where the server says so.
    pub(super) identity: Option<String>,
    /// The longest that its statements may run, by the server's own settings.
    pub(super) limit: Option<Duration>,
}

/// What is known of a role.
pub(super) struct Role {
    /// How a message calls it: `the role is`.
    words: &'static str,
    allow_superuser: bool,
    found: Mutex<Option<(Instant, Powers)>>,
}

impl Role {
    pub(super) fn new(words: &'static str, allow_superuser: bool) -> Self {
        Self { words, allow_superuser, found: Mutex::new(None) }
    }

    /// Says whether it was found a moment ago that the role may watch. That it may not is found anew each time:
    /// the administrator is about to mend it.
    pub(super) fn is_known(&self) -> bool {
        let found = self.found.lock().ok();
        found.is_some_and(|found| {
            found.as_ref().is_some_and(|(at, powers)| {
                at.elapsed() < LOOK_EACH && (self.allow_superuser || powers.refused.is_empty())
            })
        })
    }

    /// Takes note of what was found, and judges it.
    pub(super) fn judge(&self, powers: Powers) -> Result<(), Reason> {
        let refused =
            if self.allow_superuser { String::new() } else { powers.refused.join(" and ") };
        if let Ok(mut found) = self.found.lock() {
            *found = Some((Instant::now(), powers));
        }
        if refused.is_empty() {
            return Ok(());
        }
        let note = format!(
            "{} {refused}: give allswell one that can only read, or write `allow_superuser: true` in the settings of \
             this source",
            self.words
        );
        Err(Reason::new(Cause::Refused, note))
    }

    /// The longest that its statements may run by the server's own settings, as far as that is known.
    pub(super) fn limit(&self) -> Option<Duration> {
        let found = self.found.lock().ok()?;
        found.as_ref().and_then(|(_, powers)| powers.limit)
    }

    /// Forgets what was found: another server answers than the one that was looked at.
    pub(super) fn forget(&self) {
        if let Ok(mut found) = self.found.lock() {
            *found = None;
        }
    }

    /// Which database it is, as far as that is known.
    pub(super) fn identity(&self) -> Option<String> {
        let found = self.found.lock().ok()?;
        found.as_ref().and_then(|(_, powers)| powers.identity.clone())
    }

    /// A reason, with whose limit it was that a query ran into.
    pub(super) fn explained(&self, reason: Reason, asked: Duration) -> Reason {
        match self.limit().filter(|limit| reason.cause == Cause::Timeout && *limit < asked) {
            Some(_) => {
                let note = "; that limit is the role's own at the server, and `timeout` is longer";
                Reason { note: format!("{}{note}", reason.note), ..reason }
            }
            None => reason,
        }
    }

    /// What the server calls itself, as far as that is known.
    pub(super) fn server(&self) -> Option<String> {
        let found = self.found.lock().ok()?;
        found.as_ref().map(|(_, powers)| powers.server.clone())
    }

    /// Whether it sees what others do, as far as that is known.
    pub(super) fn sees_others(&self) -> bool {
        let found = self.found.lock().ok();
        found.is_some_and(|found| found.as_ref().is_some_and(|(_, powers)| powers.sees_others))
    }

    /// What only the role stands for, in words; nothing where it was not looked at yet.
    pub(super) fn rests_on(&self) -> Option<String> {
        self.found.lock().ok()?.as_ref()?;
        let all = "everything: `allow_superuser` lets one watch that could do anything";
        Some(match self.needless() {
            _ if self.allow_superuser => all.to_owned(),
            Some(needless) => needless,
            None => "nothing beyond reading was found".to_owned(),
        })
    }

    /// What the role could do and does not need, where anything is known of that.
    pub(super) fn needless(&self) -> Option<String> {
        let found = self.found.lock().ok()?;
        let (_, powers) = found.as_ref()?;
        // Whoever lets a superuser watch has said that he knows.
        if powers.needless.is_empty() || self.allow_superuser {
            return None;
        }
        let named: Vec<&str> = powers.needless.iter().take(NAMED).map(String::as_str).collect();
        let more = if powers.needless.len() > NAMED { ", and more" } else { "" };
        Some(format!(
            "its role could do more than read: {}{more}; SELECT is all that allswell needs",
            named.join(", ")
        ))
    }
}
