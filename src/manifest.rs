//! From YAML to a catalogue, or to every fault in it.
//!
//! It needs to know the sources' names and engines, and nothing else of the world.

pub mod schema;

mod body;
mod calendar;
mod document;
mod expectation;
mod file;
mod folder;
mod freshness;
mod recheck;
mod foreign;
mod identity;
mod lint;
mod mask;
mod place;
mod part;
mod needs;
mod reconcile;
mod table;
mod testing;
mod timing;
mod when;
mod window;
mod yaml;
mod limits;

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::sql::Engine;
use crate::zones::Zones;

pub use document::{Document, Map, Place};
pub use when::When;
pub use yaml::{Kind, Node, word};

pub use testing::results::{Noticed, Results, TestedCheck};
pub use testing::tests;

pub(crate) use file::timeout;
pub(crate) use freshness::freshness;
pub(crate) use timing::{date, instant};

/// The sources that checks may name, with the dialect that each speaks.
pub type Engines = BTreeMap<SourceName, Engine>;

/// What checks may name.
#[derive(Debug, Clone, Copy)]
pub struct World<'w> {
    /// The sources.
    pub engines: &'w Engines,
    /// Those of them to which no instant can be bound yet, because the settings do not say how they
    /// store instants.
    pub without_instants: &'w [SourceName],
    /// The zones.
    pub zones: &'w Zones,
    /// Whether the texts were taken by an earlier release, and run: what is a fault since then is a warning.
    pub stored: bool,
}

impl<'w> World<'w> {
    /// Sources to which everything can be bound, and zones.
    pub fn new(engines: &'w Engines, zones: &'w Zones) -> Self {
        Self { engines, without_instants: &[], zones, stored: false }
    }
}

/// One file of checks, read.
#[derive(Debug, Clone)]
pub struct Text {
    /// The file, as faults name it.
    pub file: String,
    /// Its content.
    pub text: String,
}

/// Loads every `*.yaml` and `*.yml` under the given files and folders.
///
/// # Errors
/// All faults of all files, in the order of files and lines.
pub fn load(paths: &[impl AsRef<Path>], world: World<'_>) -> Result<Catalogue, Vec<Fault>> {
    let mut faults = Vec::new();
    let texts = folder::read(paths, &mut faults);
    match parse(&texts, world) {
        Ok(catalogue) if faults.is_empty() => Ok(catalogue),
        Ok(_) => Err(faults),
        Err(more) => {
            // A folder that could not be read explains why there are no checks.
            if faults.is_empty() || !texts.is_empty() {
                faults.extend(more);
            }
            Err(faults)
        }
    }
}

/// Reads every `*.yaml` and `*.yml` under the given files and folders, without parsing them.
///
/// # Errors
/// What of them cannot be read.
pub fn texts(paths: &[impl AsRef<Path>]) -> Result<Vec<Text>, Vec<Fault>> {
    let mut faults = Vec::new();
    let texts = folder::read(paths, &mut faults);
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

/// Reads every `*.test.yaml` and `*.test.yml` under the given files and folders, without parsing them.
///
/// # Errors
/// What of them cannot be read.
pub fn test_texts(paths: &[impl AsRef<Path>]) -> Result<Vec<Text>, Vec<Fault>> {
    let mut faults = Vec::new();
    let texts = folder::read_tests(paths, &mut faults);
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

/// Parses texts into one catalogue.
///
/// # Errors
/// All faults of all texts.
pub fn parse(texts: &[Text], world: World<'_>) -> Result<Catalogue, Vec<Fault>> {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let (mut declared, mut removed, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let read = file::checks(text, &world);
        declared.extend(read.declared);
        removed.extend(read.removed);
        words.extend(read.weakened);
        faults.extend(read.faults);
        warnings.extend(read.warnings);
    }
    let (checks, removed) = identity::settle(declared, removed, &mut faults);
    let weakened = identity::spoken(words, &checks, &mut faults);
    if faults.is_empty() && checks.is_empty() {
        faults.push(Fault::of_file(
            texts.first().map_or("", |t| t.file.as_str()),
            "there is not one check here",
            "a catalogue without checks proves nothing; write a first check (README: \"A first \
             check\")",
        ));
    }
    if faults.is_empty() {
        Ok(Catalogue::new(checks, removed, warnings).with_weakened(weakened))
    } else {
        Err(faults)
    }
}
