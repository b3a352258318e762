//! The operator's settings: where the checks are and which databases they may ask.
//!
//! As strict as the language of checks. Faults never repeat what stands in the file: it is where
//! people put passwords by mistake.

mod daemon;
pub mod external;
mod notices;
mod schema;
mod shared;
mod web;
mod source;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bounded;
use crate::domain::change::word::{Rollout, Wait};
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::sql::Engine;
use crate::domain::time::duration;
use crate::dsn::Dsn;
use crate::engine::load::RelationSettings;
use crate::manifest::{Document, Engines, Map, Node, Place, Text};

pub use daemon::{Grace, LedgerEntry, LogEntry, LogFormat, LogLevel};
pub use notices::{HeartbeatEntry, NoticesEntry, PeerEntry, WatchdogEntry};
pub use schema::schema;
pub use shared::Shared;
pub use source::SourceEntry;
pub use web::WebEntry;

const SETTINGS_KEYS: [&str; 15] = [
    "checks",
    "tests",
    "rollout",
    "sources",
    "ledger",
    "web",
    "log",
    "grace",
    "labels",
    "alertmanagers",
    "webhooks",
    "heartbeat",
    "notices",
    "watchdog",
    "drill",
];
/// The keys under `drill`.
const DRILL_KEYS: [&str; 1] = ["every"];
/// The keys under `tests`.
const TESTS_KEYS: [&str; 1] = ["results"];
/// The keys under `rollout`.
const ROLLOUT_KEYS: [&str; 2] = ["weaker", "other"];
const BYTES_MAX: u64 = 1 << 20;
/// How often drills may be asked for.
const DRILL_EVERY: (Duration, Duration) =
    (Duration::from_secs(86_400), Duration::from_secs(400 * 86_400));
/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files and folders of checks.
    pub checks: Vec<PathBuf>,
    /// The file in which stands what came of the tests of checks.
    pub results: Option<PathBuf>,
    /// What changes of critical checks wait for.
    pub rollout: Rollout,
    /// The watched databases.
    pub sources: Vec<SourceEntry>,
    /// Where the daemon keeps its record.
    pub ledger: LedgerEntry,
    /// Where the daemon listens, and to whom.
    pub web: WebEntry,
    /// How the log is written.
    pub log: LogEntry,
    /// Who is told, and how.
    pub notices: NoticesEntry,
    /// How long ago a receiver may have been rung, and a failure drilled, before that is told.
    pub drill_every: Option<Duration>,
    /// How long the daemon lets attempts end when it is told to stop.
    pub grace: Grace,
}

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// All faults of the file.
    pub fn read(path: &Path) -> Result<Self, Vec<Fault>> {
        let file = path.display().to_string();
        let text = bounded::read(path, BYTES_MAX).map_err(|error| {
            let hint = "name the settings with `--config FILE`, or try `allswell demo` for a \
                        folder to look at";
            vec![Fault::of_file(file.clone(), format!("cannot be read: {error}"), hint)]
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&Text { file, text }, folder)
    }

    /// Parses settings whose relative paths count from `folder`.
    ///
    /// # Errors
    /// All faults of the text.
    pub fn parse(text: &Text, folder: &Path) -> Result<Self, Vec<Fault>> {
        let mut doc = Document::confidential(text);
        let settings = settings(&mut doc, folder);
        let faults = doc.into_faults();
        match settings {
            Some(settings) if faults.is_empty() => Ok(settings),
            Some(_) | None => Err(faults),
        }
    }

    /// Says whether a running daemon may go on with these settings as they are: what it opens once, at
    /// its start, is the same.
    pub fn opens_the_same(&self, other: &Self) -> bool {
        self.ledger == other.ledger
            && self.web == other.web
            && self.log == other.log
            && self.grace == other.grace
            && self.notices.opens_the_same(&other.notices)
    }

    /// Names the sources and their dialects, which is all that checks are read with.
    pub fn engines(&self) -> Engines {
        self.sources.iter().map(|s| (s.name.clone(), s.dsn.engine())).collect()
    }

    /// With what it is learnt on which tables checks stand.
    pub fn relations(&self) -> RelationSettings {
        let asked = self.sources.iter();
        let asked = asked.filter_map(|s| Some((s.name.clone(), s.complete_until()?.clone())));
        let ignored = self.sources.iter().map(|s| (s.name.clone(), s.ignored.clone()));
        RelationSettings { asked_first: asked.collect(), ignored: ignored.collect() }
    }

    /// Names the sources of which it is not known how they store instants.
    pub fn without_instants(&self) -> Vec<SourceName> {
        let unknown = |s: &&SourceEntry| s.dsn.engine() == Engine::Sqlite && s.instants.is_none();
        self.sources.iter().filter(unknown).map(|s| s.name.clone()).collect()
    }
}

impl Settings {
    /// Looks for every secret that is named; returns those that are not here, before a start.
    pub fn missing_secrets(&self) -> Vec<String> {
        let notices = &self.notices;
        let peers = notices.alertmanagers.iter().chain(&notices.webhooks);
        let peers = peers.chain(notices.heartbeat.iter().map(|heartbeat| &heartbeat.peer));
        let watchdog = notices.watchdog.as_ref().map(|watchdog| {
            watchdog.token.read().map(drop).map_err(|e| format!("`token` of `watchdog`: {e}"))
        });
        let all = self.sources.iter().map(|source| source.open().password.map(drop));
        let all = all.chain([self.ledger.password().map(drop), self.web.tokens().map(drop)]);
        let all = all.chain(peers.map(|peer| peer.open().map(drop))).chain(watchdog);
        all.filter_map(Result::err).collect()
    }
}

fn settings(doc: &mut Document<'_>, folder: &Path) -> Option<Settings> {
    let root = doc.tree()?;
    let map = doc.map(&root, Place::Root, &SETTINGS_KEYS)?;
    let place = Place::Key(&Place::Root, "checks");
    let checks = match map.get("checks") {
        None => vec![folder.join("checks")],
        Some(node) => {
            let items = doc.list(node, place)?;
            let paths = items.iter().enumerate();
            paths
                .filter_map(|(i, n)| doc.text(n, Place::Item(&place, i)))
                .map(|p| folder.join(p))
                .collect()
        }
    };
    let results = results(doc, &map, folder);
    let rollout = rollout(doc, &map);
    let place = Place::Key(&Place::Root, "sources");
    let Some(node) = map.get("sources") else {
        let hint = "write `sources:` with at least one database".to_owned();
        doc.fault(&root, Place::Root, "`sources` is missing", Some(hint));
        return None;
    };
    let entries = doc.open_map(node, place)?;
    let mut sources = Vec::new();
    for (name, node) in entries.entries() {
        // What is no name may be anything, a password among it.
        let shown = if SourceName::parse(name).is_ok() { name } else { "?" };
        sources.extend(source::source(doc, name, node, Place::Key(&place, shown), folder));
    }
    let ledger = daemon::ledger(doc, &map, folder);
    let web = web::web(doc, &map, folder);
    let log = daemon::log(doc, &map);
    let notices = notices::notices(doc, &map, folder);
    let grace = optional(&map, "grace", |node| {
        doc.parsed(node, Place::Key(&Place::Root, "grace"), Grace::parse)
    });
    let grace = grace?.unwrap_or_default();
    let ledger = ledger?;
    if let Some(same) = sources.iter().find(|source| same_file(&source.dsn, &ledger.dsn)) {
        let message = format!("the ledger is the database of source `{}`", same.name);
        let hint =
            "name a file of its own under `ledger`: what is watched is not written to".into();
        doc.fault(map.get("ledger").unwrap_or(&root), Place::Root, message, Some(hint));
    }
    let drill_every = drill_every(doc, &map);
    let (results, rollout, drill_every) = (results?, rollout?, drill_every?);
    let (web, log, notices) = (web?, log?, notices?);
    Some(Settings {
        checks,
        results,
        rollout,
        sources,
        ledger,
        web,
        log,
        notices,
        drill_every,
        grace,
    })
}

/// Reads `drill`.
fn drill_every(doc: &mut Document<'_>, root: &Map<'_>) -> Option<Option<Duration>> {
    let place = Place::Key(&Place::Root, "drill");
    let Some(node) = root.get("drill") else { return Some(None) };
    let map = doc.map(node, place, &DRILL_KEYS)?;
    optional(&map, "every", |node| {
        doc.parsed(node, Place::Key(&place, "every"), |text| {
            let every = duration::parse(text).map_err(str::to_owned)?;
            let fits = (DRILL_EVERY.0..=DRILL_EVERY.1).contains(&every);
            if fits { Ok(every) } else { Err("drills are a day to 400 days apart".to_owned()) }
        })
    })
}

/// Reads `rollout`.
fn rollout(doc: &mut Document<'_>, root: &Map<'_>) -> Option<Rollout> {
    let place = Place::Key(&Place::Root, "rollout");
    let Some(node) = root.get("rollout") else { return Some(Rollout::default()) };
    let map = doc.map(node, place, &ROLLOUT_KEYS)?;
    let weaker = optional(&map, "weaker", |node| {
        doc.word(node, Place::Key(&place, "weaker"), &Wait::OF_WEAKER)
    });
    let other = optional(&map, "other", |node| {
        doc.word(node, Place::Key(&place, "other"), &Wait::OF_OTHER)
    });
    let usual = Rollout::default();
    Some(Rollout { weaker: weaker?.unwrap_or(usual.weaker), other: other?.unwrap_or(usual.other) })
}

/// Reads `tests`.
fn results(doc: &mut Document<'_>, root: &Map<'_>, folder: &Path) -> Option<Option<PathBuf>> {
    let place = Place::Key(&Place::Root, "tests");
    let Some(node) = root.get("tests") else { return Some(None) };
    let map = doc.map(node, place, &TESTS_KEYS)?;
    optional(&map, "results", |node| {
        Some(folder.join(doc.text(node, Place::Key(&place, "results"))?))
    })
}

/// Says whether two addresses name one file.
fn same_file(a: &Dsn, b: &Dsn) -> bool {
    match (a, b) {
        (Dsn::Sqlite(a), Dsn::Sqlite(b)) => {
            a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// Reads a value that may be absent; the outer `None` is a fault.
fn optional<T>(
    map: &Map<'_>,
    key: &str,
    read: impl FnOnce(&Node) -> Option<T>,
) -> Option<Option<T>> {
    match map.get(key) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}
