//! Tests of other tools as checks: what can be taken is, what needs a person is named, and nothing is dropped in silence.
//!
//! What is taken means what it meant: where the other tool passes NULL, the check allows it.

mod dbt;
mod found;
mod manifest_json;
mod node;
mod odcs;
mod soda;
mod sql_exporter;
mod written;

use std::collections::BTreeMap;

use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::sql::Engine;
use crate::manifest::{self, Document, Engines, Text, World};
use crate::zones::Zones;

pub use found::{Fate, Item};

use found::{Check, Found};

/// Whose tests are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// dbt: `target/manifest.json`, or the files of properties.
    Dbt,
    /// `SodaCL` 3, and contracts of Soda 4.
    Soda,
    /// Collectors of `sql_exporter`.
    SqlExporter,
    /// The Open Data Contract Standard 3.
    Odcs,
}

/// What becomes of the tests of some files.
#[derive(Debug)]
pub struct Imported {
    /// A file of checks; empty where nothing was taken.
    pub yaml: String,
    /// What became of each test.
    pub items: Vec<Item>,
}

/// Reads files of another tool.
///
/// # Errors
/// All faults of files that cannot be read as what they are to be.
pub fn import(
    format: Format,
    texts: &[Text],
    (source, engine): (&SourceName, Engine),
    owner: &str,
    zones: &Zones,
) -> Result<Imported, Vec<Fault>> {
    let engines: Engines = BTreeMap::from([(source.clone(), engine)]);
    let head = format!(
        "version: 1\nowner: {}\ndefaults: {{source: {source}}}\nchecks:\n",
        manifest::word(owner)
    );
    let objection = |check: &Check| {
        let text = format!("{head}{}", written::check(check));
        let text = Text { file: "import".to_owned(), text };
        let faults = manifest::parse(&[text], World::new(&engines, zones)).err()?;
        Some(faults.first().map_or_else(String::new, |fault| fault.message.clone()))
    };
    let (mut found, mut faults) = (Found::new(objection), Vec::new());
    for text in texts {
        let is_json = format == Format::Dbt && text.file.ends_with(".json");
        let read = match format {
            Format::Dbt if is_json => manifest_json::read(text, &mut found).map_err(|f| vec![*f]),
            Format::Dbt => tree(text, |root| dbt::read(text, root, &mut found)),
            Format::Soda => tree(text, |root| soda::read(text, root, &mut found)),
            Format::SqlExporter => tree(text, |root| sql_exporter::read(text, root, &mut found)),
            Format::Odcs => tree(text, |root| odcs::read(text, root, &mut found)),
        };
        faults.extend(read.err().into_iter().flatten());
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (checks, items) = found.into_parts();
    let checks: String = checks.iter().map(written::check).collect();
    let yaml = if checks.is_empty() { checks } else { format!("{head}{checks}") };
    Ok(Imported { yaml, items })
}

fn tree(
    text: &Text,
    read: impl FnOnce(&manifest::Node) -> Result<(), Box<Fault>>,
) -> Result<(), Vec<Fault>> {
    let mut doc = Document::new(text);
    let root = doc.tree();
    match root {
        Some(root) => read(&root).map_err(|fault| vec![*fault]),
        None => Err(doc.into_faults()),
    }
}
