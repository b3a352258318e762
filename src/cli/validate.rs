//! `validate`: read everything, ask nobody.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::{From, Output, ValidateArgs};
use crate::cli::exit::Exit;
use crate::cli::{complain, print};
use crate::domain::catalogue::Catalogue;
use crate::domain::fault::Fault;
use crate::manifest;
use crate::settings::Settings;

/// Settings and the catalogue that they name.
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) catalogue: Catalogue,
}

/// Reads settings and checks.
pub(super) fn load(from: &From) -> Result<Loaded, Vec<Fault>> {
    let path = from
        .config
        .clone()
        .or_else(|| {
            std::env::var_os("ALLSWELL_CONFIG").filter(|p| !p.is_empty()).map(PathBuf::from)
        })
        .unwrap_or_else(|| PathBuf::from("allswell.yaml"));
    let settings = Settings::read(&path)?;
    let paths = if from.paths.is_empty() { &settings.checks } else { &from.paths };
    let catalogue = manifest::load(paths, &settings.engines())?;
    Ok(Loaded { settings, catalogue })
}

/// Tells all faults, and ends as invalid.
pub(super) fn refuse(faults: &[Fault], output: Output) -> Exit {
    match output {
        Output::Text => {
            for fault in faults {
                complain(&format!("{fault}\n"));
            }
            let noun = if faults.len() == 1 { "fault" } else { "faults" };
            complain(&format!("{} {noun}; no database was asked", faults.len()));
            Exit::Invalid
        }
        Output::Json => Exit::Invalid.after(print(&format!("{}\n", report(0, faults)))),
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
    let loaded = load(&args.from);
    match (args.output, loaded) {
        (Output::Text, Ok(Loaded { catalogue, .. })) => {
            let count = catalogue.checks().len();
            let noun = if count == 1 { "check is" } else { "checks are" };
            print(&format!("{count} {noun} valid; `allswell run` looks at the data\n"))
        }
        (Output::Json, Ok(Loaded { catalogue, .. })) => {
            print(&format!("{}\n", report(catalogue.checks().len(), &[])))
        }
        (output, Err(faults)) => refuse(&faults, output),
    }
}

fn report(checks: usize, faults: &[Fault]) -> serde_json::Value {
    let faults: Vec<_> = faults
        .iter()
        .map(|f| {
            json!({
                "file": f.file,
                "line": f.line,
                "column": f.column,
                "path": f.path,
                "message": f.message,
                "hint": f.hint,
            })
        })
        .collect();
    json!({"format": 1, "checks": checks, "faults": faults})
}
