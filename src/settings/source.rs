//! The watched databases: where each is, and what is known of it.

use std::path::Path;
use std::time::Duration;

use crate::domain::check::freshness::Freshness;
use crate::domain::check::name::SourceName;
use crate::domain::dependency::answer::Ignored;
use crate::domain::sql::{Engine, Query};
use crate::dsn::Dsn;
use crate::manifest::{self, Document, Map, Node, Place};
use crate::secret::{PasswordFrom, Reference};
use crate::settings::optional;
use crate::source::{Instants, SourceSettings};

pub(super) const SOURCE_KEYS: [&str; 12] = [
    "url",
    "password",
    "connections",
    "timeout",
    "complete_until",
    "max_lag",
    "standby",
    "search_path",
    "instants",
    "allow_superuser",
    "scratch",
    "ignore_tables",
];
/// The keys of an item of `ignore_tables`.
pub(super) const IGNORED_KEYS: [&str; 2] = ["tables", "because"];
/// The keys of `scratch`.
pub(super) const SCRATCH_KEYS: [&str; 2] = ["url", "password"];
/// The words for `standby`.
pub(super) const STANDBY: [(&str, bool); 1] = [("direct", true)];
pub(super) const CONNECTIONS_MAX: u64 = 64;
const CONNECTIONS: u16 = 2;
const TIMEOUT: Duration = Duration::from_secs(30);

/// One watched database, its password still a reference.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// Its address.
    pub dsn: Dsn,
    password: PasswordFrom,
    pub(super) connections: u16,
    /// The limit of one statement, where a check has none of its own.
    pub timeout: Duration,
    pub(super) instants: Option<Instants>,
    pub(super) freshness: Freshness,
    pub(super) standby_is_direct: bool,
    pub(super) search_path: Vec<String>,
    /// Whether a role may watch that could do more than read.
    pub allow_superuser: bool,
    /// Where tests of its checks make their tables.
    scratch: Option<(Dsn, PasswordFrom)>,
    /// Tables that need no check.
    pub ignored: Vec<Ignored>,
}

impl SourceEntry {
    /// What says how far its data is complete, in words.
    pub fn says_complete(&self) -> &'static str {
        match (&self.freshness.complete_until, self.dsn.engine()) {
            (Some(_), _) => "`complete_until` says it",
            (None, Engine::Postgres) if self.standby_is_direct => {
                "a standby says it, by the connection to its primary"
            }
            (None, Engine::Postgres) => "where it is a standby, that says it; else nothing does",
            (None, Engine::MySql | Engine::Sqlite) => "nothing says it",
        }
    }

    /// The query that says how far its data is complete, where there is one.
    pub fn complete_until(&self) -> Option<&Query> {
        self.freshness.complete_until.as_ref()
    }

    /// Where its password is.
    pub(super) fn password_at(&self) -> &PasswordFrom {
        &self.password
    }

    /// Where tests of its checks make their tables, where that is written.
    pub fn scratch(&self) -> Option<SourceSettings> {
        let (dsn, from) = self.scratch.as_ref()?;
        let password = from.read();
        let password = password
            .map_err(|e| format!("password of the scratch database of `{}`: {e}", self.name));
        let settings = SourceSettings::new(self.name.clone(), dsn.clone());
        Some(SourceSettings { password, password_from: from.clone(), ..settings })
    }

    /// Reads the password and returns what a source is opened with. One that cannot be read is no reason to watch
    /// nothing else.
    pub fn open(&self) -> SourceSettings {
        let password = self.password.read();
        let password = password.map_err(|e| format!("password of source `{}`: {e}", self.name));
        SourceSettings {
            name: self.name.clone(),
            dsn: self.dsn.clone(),
            password,
            password_from: self.password.clone(),
            connections: self.connections,
            timeout: self.timeout,
            instants: self.instants,
            freshness: self.freshness.clone(),
            search_path: self.search_path.clone(),
            standby_is_direct: self.standby_is_direct,
            allow_superuser: self.allow_superuser,
        }
    }
}

pub(super) fn source(
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
    let (dsn, password) = address_and_password(doc, &map, place, folder);
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
    let search_path = optional(&map, "search_path", |node| {
        search_path(doc, node, Place::Key(&place, "search_path"), engine)
    });
    let allow_superuser = optional(&map, "allow_superuser", |node| {
        let words = [("true", true), ("false", false)];
        doc.word(node, Place::Key(&place, "allow_superuser"), &words)
    });
    let scratch = optional(&map, "scratch", |node| {
        scratch(doc, node, Place::Key(&place, "scratch"), dsn.as_ref(), folder)
    });
    let ignored = optional(&map, "ignore_tables", |node| {
        ignored(doc, node, Place::Key(&place, "ignore_tables"))
    });
    Some(SourceEntry {
        name: name?,
        dsn: dsn?,
        password: password?,
        connections: connections?.unwrap_or(CONNECTIONS),
        timeout: timeout?.unwrap_or(TIMEOUT),
        instants: instants?,
        freshness: freshness?,
        search_path: search_path?.unwrap_or_default(),
        standby_is_direct: standby?.unwrap_or(false),
        allow_superuser: allow_superuser?.unwrap_or(false),
        scratch: scratch?,
        ignored: ignored?.unwrap_or_default(),
    })
}

/// Reads which tables need no check, and why.
fn ignored(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Vec<Ignored>> {
    let items = doc.list(node, place)?;
    let rules = items.iter().enumerate().map(|(i, node)| {
        let place = Place::Item(&place, i);
        let map = doc.map(node, place, &IGNORED_KEYS)?;
        let mut word = |key: &'static str| match map.get(key) {
            Some(node) => doc.text(node, Place::Key(&place, key)).map(str::to_owned),
            None => {
                let hint = "write `{tables: \"audit_*\", because: \"…\"}`".to_owned();
                doc.fault(map.node, place, format!("`{key}` is missing"), Some(hint));
                None
            }
        };
        Some(Ignored { tables: word("tables")?, because: word("because")? })
    });
    // All faults are told.
    let rules: Vec<Option<Ignored>> = rules.collect();
    rules.into_iter().collect()
}

/// Reads where tests of a source's checks make their tables.
fn scratch(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    source: Option<&Dsn>,
    folder: &Path,
) -> Option<(Dsn, PasswordFrom)> {
    let map = doc.map(node, place, &SCRATCH_KEYS)?;
    let (dsn, password) = address_and_password(doc, &map, place, folder);
    let (dsn, password) = (dsn?, password?);
    let (message, hint) = match source.map(Dsn::engine) {
        Some(Engine::Sqlite) => {
            ("tests of an SQLite source make a file of their own", "remove it".to_owned())
        }
        Some(engine) if engine != dsn.engine() => (
            "the scratch database has to be of the same engine",
            format!("write the address of an empty {engine} database"),
        ),
        Some(_) if source.is_some_and(|source| source.is_where(&dsn)) => (
            "this is the watched database itself, and tests would write into it",
            "write the address of an empty database of its own".to_owned(),
        ),
        Some(_) | None => return Some((dsn, password)),
    };
    doc.fault(node, place, message, Some(hint));
    None
}

/// Reads where a database is, and where its password.
fn address_and_password(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    folder: &Path,
) -> (Option<Dsn>, Option<PasswordFrom>) {
    let address = match map.get("url") {
        Some(node) => doc.parsed(node, Place::Key(&place, "url"), |t| address(t, folder)),
        None => {
            let hint = "write `url: postgres://user@host/database`, `mysql://…` or \
                        `sqlite:file.db`"
                .to_owned();
            doc.fault(map.node, place, "`url` is missing", Some(hint));
            None
        }
    };
    let password = optional(map, "password", |node| {
        let reference = doc.parsed(node, Place::Key(&place, "password"), Reference::parse)?;
        Some(reference.under(folder))
    });
    let has_one = address.as_ref().is_some_and(|(.., has_password)| *has_password);
    if let (true, Some(Some(_))) = (has_one, &password) {
        let hint = "remove `password`, or the one in the address".to_owned();
        doc.fault(map.node, place, "the address has a password already", Some(hint));
    }
    let Some((dsn, from, _)) = address else {
        return (
            None,
            password.map(|named| named.map_or(PasswordFrom::Nowhere, PasswordFrom::Reference)),
        );
    };
    let password = password.map(|named| match (named, from) {
        (Some(password), Some(address)) => {
            PasswordFrom::Beside { password, address, folder: folder.to_owned() }
        }
        (Some(password), None) => PasswordFrom::Reference(password),
        (None, Some(reference)) => PasswordFrom::Address { reference, folder: folder.to_owned() },
        (None, None) => PasswordFrom::Nowhere,
    });
    (Some(dsn), password)
}

/// An address as it is, or a reference to it, and whether a password stands in that.
fn address(text: &str, folder: &Path) -> Result<(Dsn, Option<Reference>, bool), String> {
    if !text.starts_with("${") {
        return Ok((Dsn::parse(text, folder)?, None, false));
    }
    let reference = Reference::parse(text)?.under(folder);
    let (address, password) = reference.read_address()?;
    Ok((Dsn::parse(&address, folder)?, Some(reference), password.is_some()))
}

/// The schemas in which names without one are looked for.
fn search_path(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
) -> Option<Vec<String>> {
    if engine.is_some_and(|engine| engine != Engine::Postgres) {
        let hint = "remove it: the database in the address says where tables are".to_owned();
        doc.fault(node, place, "`search_path` is for PostgreSQL", Some(hint));
        return None;
    }
    let items = doc.list(node, place)?;
    let names = items.iter().enumerate().map(|(i, node)| {
        doc.parsed(node, Place::Item(&place, i), |name| {
            let fits = name.len() < 64 && !name.chars().any(char::is_control);
            if fits { Ok(name.to_owned()) } else { Err("a schema has a name of at most 63 bytes") }
        })
    });
    names.collect()
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
