//! What only the daemon needs: its record, its door, its patience.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::sql::Engine;
use crate::domain::time::duration;
use crate::dsn::Dsn;
use crate::manifest::{Document, Map, Place};
use crate::secret::Reference;
use crate::settings::optional;

pub(super) const LEDGER_KEYS: [&str; 5] = ["url", "password", "retention", "samples_for", "lease"];
pub(super) const LOG_KEYS: [&str; 2] = ["format", "level"];
/// Where the record is where nothing is written.
const LEDGER_FILE: &str = "allswell.db";

/// Where the daemon keeps its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its address: SQLite or PostgreSQL.
    pub dsn: Dsn,
    password: Option<Reference>,
    /// How long recorded windows stay.
    pub retention: Duration,
    /// How long values of the data stay that findings were kept with.
    pub samples_for: Duration,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
}

impl LedgerEntry {
    /// Says whether other replicas may keep their record there too.
    pub fn is_shared(&self) -> bool {
        self.dsn.engine() != Engine::Sqlite
    }

    /// Where the password is.
    pub(super) fn password_at(&self) -> Option<&Reference> {
        self.password.as_ref()
    }

    /// Reads the password.
    ///
    /// # Errors
    /// Where it was looked for and not found.
    pub fn password(&self) -> Result<Option<SecretString>, String> {
        let password = self.password.as_ref().map(Reference::read).transpose();
        password.map_err(|e| format!("password of `ledger`: {e}"))
    }
}

/// How long attempts may take to end when the daemon is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(Duration);

impl Default for Grace {
    fn default() -> Self {
        Self(Duration::from_secs(20))
    }
}

impl Grace {
    /// Takes a duration up to ten minutes.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        within(text, Duration::ZERO, Duration::from_secs(600)).map(Self)
    }

    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

pub(super) fn within(
    text: &str,
    shortest: Duration,
    longest: Duration,
) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration < shortest || duration > longest {
        let (from, to) = (duration::show(shortest), duration::show(longest));
        return Err(format!("this is {from} to {to}"));
    }
    Ok(duration)
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogEntry {
    /// In which form.
    pub format: LogFormat,
    /// How much of it.
    pub level: LogLevel,
}

/// In which form the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

impl LogFormat {
    /// The words for it.
    pub const WORDS: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// The least important line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What changed, and all below.
    #[default]
    Info,
    /// What is odd, and was carried on with.
    Warn,
    /// What a person has to act on.
    Error,
}

impl LogLevel {
    /// The words for it.
    pub const WORDS: [(&str, Self); 3] =
        [("info", Self::Info), ("warn", Self::Warn), ("error", Self::Error)];
}

/// Reads `log`.
pub(super) fn log(doc: &mut Document<'_>, root: &Map<'_>) -> Option<LogEntry> {
    let place = Place::Key(&Place::Root, "log");
    let Some(node) = root.get("log") else { return Some(LogEntry::default()) };
    let map = doc.map(node, place, &LOG_KEYS)?;
    let format = optional(&map, "format", |node| {
        doc.word(node, Place::Key(&place, "format"), &LogFormat::WORDS)
    });
    let level = optional(&map, "level", |node| {
        doc.word(node, Place::Key(&place, "level"), &LogLevel::WORDS)
    });
    Some(LogEntry { format: format?.unwrap_or_default(), level: level?.unwrap_or_default() })
}

/// The file of the record where none is named: in the folder that systemd, or the image, gives to the daemon for
/// its state, else beside the settings.
#[expect(clippy::disallowed_methods, reason = "the environment is read in settings")]
fn ledger_file(folder: &Path) -> PathBuf {
    // systemd.exec(5), StateDirectory=: several folders are separated by colons.
    let state = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    let state = state.split(':').next().filter(|path| path.starts_with('/'));
    state.map_or(folder, Path::new).join(LEDGER_FILE)
}

/// Reads `ledger`.
pub(super) fn ledger(doc: &mut Document<'_>, root: &Map<'_>, folder: &Path) -> Option<LedgerEntry> {
    const DAY: u64 = 86_400;
    let mut entry = LedgerEntry {
        dsn: Dsn::Sqlite(ledger_file(folder)),
        password: None,
        retention: Duration::from_secs(400 * DAY),
        samples_for: Duration::from_secs(14 * DAY),
        lease: Duration::from_secs(30),
    };
    let place = Place::Key(&Place::Root, "ledger");
    let Some(node) = root.get("ledger") else { return Some(entry) };
    let map = doc.map(node, place, &LEDGER_KEYS)?;
    let key = |key| Place::Key(&place, key);
    let dsn = optional(&map, "url", |node| {
        doc.parsed(node, key("url"), |text| match Dsn::parse(text, folder)? {
            dsn if dsn.engine() == Engine::MySql => {
                Err("the ledger is kept in SQLite or PostgreSQL".to_owned())
            }
            dsn => Ok(dsn),
        })
    });
    let password = optional(&map, "password", |node| {
        let reference = doc.parsed(node, key("password"), Reference::parse)?;
        Some(reference.under(folder))
    });
    let retention = optional(&map, "retention", |node| {
        let (least, most) = (Duration::from_secs(36 * DAY), Duration::from_secs(3_660 * DAY));
        doc.parsed(node, key("retention"), |text| within(text, least, most))
    });
    let samples_for = optional(&map, "samples_for", |node| {
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(3_660 * DAY));
        doc.parsed(node, key("samples_for"), |text| within(text, least, most))
    });
    let lease = optional(&map, "lease", |node| {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(600));
        doc.parsed(node, key("lease"), |text| within(text, least, most))
    });
    entry.dsn = dsn?.unwrap_or(entry.dsn);
    entry.password = password?;
    entry.retention = retention?.unwrap_or(entry.retention);
    entry.samples_for = samples_for?.unwrap_or(entry.samples_for);
    entry.lease = lease?.unwrap_or(entry.lease);
    Some(entry)
}
