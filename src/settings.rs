//! The operator's settings: where the checks are and which databases they may ask.
//!
//! As strict as the language of checks. Faults never repeat what stands in the file: it is where
//! people put passwords by mistake.

mod daemon;
mod notices;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bounded;
use crate::domain::check::fault::Fault;
use crate::domain::check::freshness::Freshness;
use crate::domain::check::name::SourceName;
use crate::domain::sql::Engine;
use crate::dsn::Dsn;
use crate::manifest::{self, Document, Engines, Map, Node, Place, Text};
use crate::secret::Reference;
use crate::source::{Instants, SourceSettings};

pub use daemon::{Grace, LedgerEntry, LogEntry, LogFormat, LogLevel, WebEntry};
pub use notices::{HeartbeatEntry, NoticesEntry, PeerEntry, WatchdogEntry};
pub use schema::schema;

const SETTINGS_KEYS: [&str; 12] = [
    "checks",
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
];
const SOURCE_KEYS: [&str; 9] = [
    "url",
    "password",
    "connections",
    "timeout",
    "complete_until",
    "max_lag",
    "standby",
    "instants",
    "allow_superuser",
];
/// The words for `standby`.
const STANDBY: [(&str, bool); 1] = [("direct", true)];
const BYTES_MAX: u64 = 1 << 20;
const CONNECTIONS_MAX: u64 = 64;
const CONNECTIONS: u16 = 2;
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files and folders of checks.
    pub checks: Vec<PathBuf>,
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
    /// How long the daemon lets attempts end when it is told to stop.
    pub grace: Grace,
}

/// One watched database, its password still a reference.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// Its address.
    pub dsn: Dsn,
    password: Option<Reference>,
    connections: u16,
    /// The limit of one statement, where a check has none of its own.
    pub timeout: Duration,
    instants: Option<Instants>,
    freshness: Freshness,
    standby_is_direct: bool,
    allow_superuser: bool,
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

impl SourceEntry {
    /// Reads the password and returns what a source is opened with. One that cannot be read is no reason to watch
    /// nothing else.
    pub fn open(&self) -> SourceSettings {
        let password = self.password.as_ref().map(Reference::read).transpose();
        let password = password.map_err(|e| format!("password of source `{}`: {e}", self.name));
        SourceSettings {
            name: self.name.clone(),
            dsn: self.dsn.clone(),
            password,
            connections: self.connections,
            timeout: self.timeout,
            instants: self.instants,
            freshness: self.freshness.clone(),
            standby_is_direct: self.standby_is_direct,
            allow_superuser: self.allow_superuser,
        }
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
        sources.extend(source(doc, name, node, Place::Key(&place, shown), folder));
    }
    let ledger = daemon::ledger(doc, &map, folder);
    let web = daemon::web(doc, &map, folder);
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
    Some(Settings { checks, sources, ledger, web: web?, log: log?, notices: notices?, grace })
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

fn source(
    doc: &mut Document<'_>,
    name: &str,
    node: &Node,
    place: Place<'_>,
    folder: &Path,
) -> Option<SourceEntry> {
    let name = match SourceName::parse(name) {
        Ok(name) => Some(name),
        Err(rule) => {
            doc.fault(node, place, rule, None);
            None
        }
    };
    let map = doc.map(node, place, &SOURCE_KEYS)?;
    let dsn = match map.get("url") {
        Some(node) => doc.parsed(node, Place::Key(&place, "url"), |t| Dsn::parse(t, folder)),
        None => {
            let hint = "write `url: postgres://user@host/database`, `mysql://…` or \
                        `sqlite:file.db`"
                .to_owned();
            doc.fault(node, place, "`url` is missing", Some(hint));
            None
        }
    };
    let password = optional(&map, "password", |node| {
        let reference = doc.parsed(node, Place::Key(&place, "password"), Reference::parse)?;
        Some(reference.under(folder))
    });
    let connections = optional(&map, "connections", |node| {
        connections(doc, node, Place::Key(&place, "connections"))
    });
    let timeout = optional(&map, "timeout", |node| {
        doc.parsed(node, Place::Key(&place, "timeout"), manifest::timeout)
    });
    let instants = optional(&map, "instants", |node| {
        let place = Place::Key(&place, "instants");
        let form = doc.word(node, place, &Instants::WORDS)?;
        if dsn.as_ref().is_some_and(|dsn| dsn.engine() != Engine::Sqlite) {
            let hint = "remove it: the server has types for instants".to_owned();
            doc.fault(node, place, "`instants` is for SQLite", Some(hint));
            return None;
        }
        Some(form)
    });
    let engine = dsn.as_ref().map(Dsn::engine);
    let freshness = manifest::freshness(doc, [Some((&map, place)), None], engine);
    let standby = optional(&map, "standby", |node| {
        let place = Place::Key(&place, "standby");
        let direct = doc.word(node, place, &STANDBY)?;
        if engine.is_some_and(|engine| engine != Engine::Postgres) {
            let hint = "write `complete_until`: a query for how far the data is complete".into();
            doc.fault(node, place, "`standby` is for PostgreSQL", Some(hint));
            return None;
        }
        Some(direct)
    });
    let allow_superuser = optional(&map, "allow_superuser", |node| {
        let words = [("true", true), ("false", false)];
        doc.word(node, Place::Key(&place, "allow_superuser"), &words)
    });
    Some(SourceEntry {
        name: name?,
        dsn: dsn?,
        password: password?,
        connections: connections?.unwrap_or(CONNECTIONS),
        timeout: timeout?.unwrap_or(TIMEOUT),
        instants: instants?,
        freshness: freshness?,
        standby_is_direct: standby?.unwrap_or(false),
        allow_superuser: allow_superuser?.unwrap_or(false),
    })
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

fn connections(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<u16> {
    let number = doc.whole_number(node, place)?;
    let fits = u16::try_from(number).ok().filter(|_| (1..=CONNECTIONS_MAX).contains(&number));
    if fits.is_none() {
        let message = format!("a source is given 1 to {CONNECTIONS_MAX} connections");
        doc.fault(node, place, message, None);
    }
    fits
}
