//! Loading a catalogue: all of it is read first; what it removes is weighed; then it is made the
//! active one for every replica, or nothing changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::change::word::Rollout;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::check::succession::Refusal;
use crate::domain::dependency::answer::Ignored;
use crate::domain::sql::{Engine, Query};
use crate::domain::testing::Suite;
use crate::ledger::LedgerError;
use crate::manifest::{self, Engines, Results, Text, World};
use crate::zones::Zones;

/// What catalogues are read with.
#[derive(Debug)]
pub struct Reading {
    /// The sources, with the dialect that each speaks.
    pub engines: Engines,
    /// Those of which it is not known how they store instants.
    pub without_instants: Vec<SourceName>,
    /// The installation's labels, on each notice.
    pub labels: BTreeMap<String, String>,
    /// What changes of critical checks wait for.
    pub rollout: Rollout,
    /// The settings that teams share, by their places.
    pub shared: Arc<BTreeMap<String, String>>,
    /// What came of the tests of checks, where a file of it is named and reads.
    pub tested: Option<Results>,
    /// The files of tests beside the checks.
    pub tests: Vec<Text>,
    /// With what it is learnt on which tables checks stand; nothing where that is not wanted.
    pub relations: Option<RelationSettings>,
    /// How long ago a drill may be, where that is to be told.
    pub drill_every: Option<Duration>,
    /// The rules of zones.
    pub zones: Arc<Zones>,
}

/// With what it is learnt on which tables checks stand.
#[derive(Debug, Clone, Default)]
pub struct RelationSettings {
    /// The queries of sources that say how far their data is complete.
    pub asked_first: BTreeMap<SourceName, Query>,
    /// Tables that need no check.
    pub ignored: BTreeMap<SourceName, Vec<Ignored>>,
}

impl Reading {
    /// Parses a catalogue.
    ///
    /// # Errors
    /// All its faults.
    pub fn parse(&self, texts: &[Text]) -> Result<Catalogue, Vec<Fault>> {
        manifest::parse(texts, self.world(false))
    }

    /// Parses a catalogue that was taken before, by this release or an earlier one.
    ///
    /// # Errors
    /// All its faults, but for those that are faults since it was taken.
    pub fn parse_stored(&self, texts: &[Text]) -> Result<Catalogue, Vec<Fault>> {
        manifest::parse(texts, self.world(true))
    }

    /// The same, where the settings do not name every source any more that it asks: those are taken to speak any dialect
    /// in which it reads.
    ///
    /// # Errors
    /// All its faults.
    pub fn parse_replaced(&self, texts: &[Text]) -> Result<Catalogue, Vec<Fault>> {
        let faults = match self.parse_stored(texts) {
            Ok(catalogue) => return Ok(catalogue),
            Err(faults) => faults,
        };
        let named = texts.iter().flat_map(|text| text.text.split("source:").skip(1));
        let named = named.filter_map(|rest| {
            let rest = rest.trim_start_matches([' ', '"', '\'']);
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)));
            SourceName::parse(rest.get(..end.unwrap_or(rest.len()))?).ok()
        });
        let missing: Vec<SourceName> =
            named.filter(|name| !self.engines.contains_key(name)).collect();
        for engine in [Engine::Postgres, Engine::MySql, Engine::Sqlite] {
            let mut engines = self.engines.clone();
            engines.extend(missing.iter().map(|name| (name.clone(), engine)));
            let world = World { engines: &engines, ..self.world(true) };
            if let Ok(catalogue) = manifest::parse(texts, world) {
                return Ok(catalogue);
            }
        }
        Err(faults)
    }

    fn world(&self, stored: bool) -> World<'_> {
        let Self { engines, without_instants, zones, .. } = self;
        World { engines, without_instants, zones, stored }
    }

    /// The tests beside the checks of a catalogue; nothing where there are none, or they do not read.
    pub fn suite(&self, catalogue: &Catalogue) -> Option<Suite> {
        if self.tests.is_empty() {
            return None;
        }
        let suite = manifest::tests(&self.tests, catalogue, self.world(true));
        // A suite that does not read has no test that could have passed.
        Some(suite.unwrap_or_default())
    }

    /// The release of the zone rules, where they say it.
    pub fn tz_release(&self) -> String {
        self.zones.chosen().release.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// A catalogue that is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Its generation.
    pub generation: i64,
    /// How many checks it has.
    pub checks: usize,
    /// Whether it was not the active one before.
    pub changed: bool,
}

/// Why a catalogue is not the active one.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// It has faults.
    #[error("the catalogue has faults:\n{}", Shown(.0))]
    Faulty(Vec<Fault>),
    /// It takes too much away.
    #[error("the catalogue was not taken: {0}")]
    Refused(Refusal),
    /// It waits for approval.
    #[error("the catalogue waits as generation {id} for approval: {why}")]
    Waits {
        /// Its number.
        id: i64,
        /// For what.
        why: String,
    },
    /// Somebody said that it is not right.
    #[error("generation {id} was rejected by {by}: {because}; change the files")]
    Rejected {
        /// Its number.
        id: i64,
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// There is no such generation any more, or none before.
    #[error("{0}")]
    NotKept(String),
    /// The store failed.
    #[error("the catalogue could not be stored: {0}")]
    Store(#[from] LedgerError),
    /// Another replica was faster, again and again.
    #[error("another replica loads catalogues at the same time; try again")]
    Contended,
}

impl NotLoaded {
    /// Says whether the same catalogue may be taken when it is tried again.
    pub fn may_pass(&self) -> bool {
        match self {
            // Another replica may hear the word.
            Self::Store(_) | Self::Contended | Self::Waits { .. } => true,
            Self::Faulty(_) | Self::Refused(_) | Self::Rejected { .. } | Self::NotKept(_) => false,
        }
    }
}

/// How many faults are shown in one message.
const SHOWN: usize = 5;

/// Faults for a log or a status: the first of them, and how many more there are.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a [Fault]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.0.iter().take(SHOWN) {
            writeln!(f, "{fault}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "and {more} more; `allswell validate` shows all"),
        }
    }
}

/// Writes files of checks as one text that the store keeps.
pub(super) fn to_text(texts: &[Text]) -> String {
    let mut all = String::new();
    for Text { file, text } in texts {
        // A length before each part: nothing in a file can look like the next one's beginning.
        all.push_str(&format!("{} {}\n{file}\n{text}\n", file.len(), text.len()));
    }
    all
}

/// Reads what [`to_text`] wrote.
pub(crate) fn from_text(all: &str) -> Option<Vec<Text>> {
    let (mut rest, mut texts) = (all, Vec::new());
    while !rest.is_empty() {
        let (lengths, after) = rest.split_once('\n')?;
        let (file_length, text_length) = lengths.split_once(' ')?;
        let (file, after) = after.split_at_checked(file_length.parse().ok()?)?;
        let after = after.strip_prefix('\n')?;
        let (text, after) = after.split_at_checked(text_length.parse().ok()?)?;
        rest = after.strip_prefix('\n')?;
        texts.push(Text { file: file.to_owned(), text: text.to_owned() });
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_back() {
        let text = |file: &str, text: &str| Text { file: file.into(), text: text.into() };
        let texts = [text("a b.yaml", "3 4\nx\ny\n"), text("", ""), text("é", "ü\n\n")];
        let back = from_text(&to_text(&texts)).unwrap();
        let pairs = |texts: &[Text]| -> Vec<(String, String)> {
            texts.iter().map(|t| (t.file.clone(), t.text.clone())).collect()
        };
        assert_eq!(pairs(&back), pairs(&texts));
        for broken in ["x", "1 1\nab", "9 1\na\nb\n", "1 1\na\nb"] {
            assert!(from_text(broken).is_none(), "{broken}");
        }
    }
}
