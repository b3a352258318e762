//! What came of tests, as it is written down for the daemon: `allswell test --results FILE`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;

/// The largest file that is read.
const BYTES_MAX: u64 = 16 << 20;
/// The form of the file.
const VERSION: u32 = 1;

/// What came of the tests of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    version: u32,
    checks: BTreeMap<String, TestedCheck>,
}

/// What came of the tests of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestedCheck {
    /// The digest of what the check meant then.
    pub meaning: String,
    /// The digest of its tests, and of the tables of its sources.
    pub tests: String,
    /// Whether all its tests passed, of which one shows it confirmed and one violated.
    pub tested: bool,
    /// Its mistakes, where they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutants: Option<Noticed>,
}

/// How many mistakes in a check its tests notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noticed {
    /// Of how many; those that are accepted do not count.
    pub of: usize,
    /// So many.
    pub noticed: usize,
}

impl TestedCheck {
    fn is_impossible(&self) -> bool {
        self.mutants.is_some_and(|mutants| mutants.noticed > mutants.of)
    }

    /// Which part of the mistakes is noticed, from 0 to 1; nothing where none was made.
    pub fn score(&self) -> Option<f64> {
        let Noticed { of, noticed } = self.mutants.filter(|mutants| mutants.of > 0)?;
        Some(f64::from(u32::try_from(noticed).ok()?) / f64::from(u32::try_from(of).ok()?))
    }
}

impl Results {
    /// Puts together what came of tests.
    pub fn new(checks: impl IntoIterator<Item = (CheckId, TestedCheck)>) -> Self {
        let checks = checks.into_iter().map(|(id, check)| (id.to_string(), check));
        Self { version: VERSION, checks: checks.collect() }
    }

    /// Reads a file of results.
    ///
    /// # Errors
    /// Where it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, Box<Fault>> {
        let file = path.display().to_string();
        let hint = "write it anew with `allswell test --mutants --results FILE`";
        let fault = |message: String| Fault::of_file(file.clone(), message, hint);
        let text = bounded::read(path, BYTES_MAX).map_err(|error| {
            Box::new(fault(format!("results of tests cannot be read: {error}")))
        })?;
        let results: Self = serde_json::from_str(&text).map_err(|error| {
            // Where it is, the fault says itself.
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default().to_owned();
            let place = |number: usize| u64::try_from(number).unwrap_or(0);
            let (line, column) = (place(error.line()), place(error.column()));
            let fault = fault(format!("these are no results of tests: {said}"));
            Box::new(Fault { line, column, ..fault })
        })?;
        match results.version {
            VERSION => match results.checks.iter().find(|(_, check)| check.is_impossible()) {
                None => Ok(results),
                Some((id, _)) => {
                    Err(Box::new(fault(format!("`{id}` has more mistakes noticed than made"))))
                }
            },
            other => Err(Box::new(fault(format!("`version` {other} is not known here")))),
        }
    }

    /// Writes them, whole or not at all. Same results give the same file, so that it can be committed.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        std::fs::write(&unfinished, text + "\n")?;
        std::fs::rename(&unfinished, path)
    }

    /// What came of the tests of a check, if it means now what it meant then, and its tests are those, where they are here.
    pub fn of(&self, check: &CheckId, meaning: &str, tests: Option<&str>) -> Option<&TestedCheck> {
        let tested = self.checks.get(check.as_str()).filter(|tested| tested.meaning == meaning)?;
        tests.is_none_or(|tests| tests == tested.tests).then_some(tested)
    }
}
