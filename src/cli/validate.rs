//! `validate`: read everything, and ask databases only where that is wished for.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::{Format, From, ValidateArgs};
use crate::cli::ci::{Place, Report, State, Suite};
use crate::cli::connect::{Connected, connect};
use crate::cli::exit::Exit;
use crate::cli::test::suite;
use crate::cli::{complain, print};
use crate::domain::check::Severity;
use crate::domain::check::catalogue::{Catalogue, Warning};
use crate::domain::check::code::Code;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::CheckId;
use crate::manifest::{self, World};
use crate::settings::Settings;
use crate::zones::Zones;

/// Settings and the catalogue that they name.
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) catalogue: Catalogue,
    pub(super) zones: Zones,
}

/// Where the settings are.
pub(super) fn config(from: &From) -> PathBuf {
    let ambient = || std::env::var_os("ALLSWELL_CONFIG").filter(|p| !p.is_empty());
    let named = from.config.clone().or_else(|| ambient().map(PathBuf::from));
    named.unwrap_or_else(|| PathBuf::from("allswell.yaml"))
}

/// Where the host's zone rules are, where the environment says so.
pub(super) fn tzdir() -> Option<PathBuf> {
    std::env::var_os("TZDIR").filter(|p| !p.is_empty()).map(PathBuf::from)
}

/// Reads settings and checks.
pub(super) fn load(from: &From) -> Result<Loaded, Vec<Fault>> {
    let settings = Settings::read(&config(from))?;
    let paths = if from.paths.is_empty() { settings.checks.clone() } else { from.paths.clone() };
    load_with(settings, &paths)
}

/// Reads the checks at some paths with settings that are read already.
pub(super) fn load_with(settings: Settings, paths: &[PathBuf]) -> Result<Loaded, Vec<Fault>> {
    let zones = zones();
    let (engines, without_instants) = (settings.engines(), settings.without_instants());
    let world = World {
        engines: &engines,
        without_instants: &without_instants,
        zones: &zones,
        stored: false,
    };
    let catalogue = manifest::load(paths, world)?;
    Ok(Loaded { settings, catalogue, zones })
}

/// Opens the zones: the host's folder is named by `TZDIR`, as for everybody else on it.
pub(super) fn zones() -> Zones {
    Zones::open(tzdir().as_deref())
}

/// How many places of one kind of warning are named.
const PLACES: usize = 3;

/// Tells what is accepted and had better be written otherwise: of each kind the first in full, the next by their
/// places, and how many there are.
pub(super) fn warn<'w>(warnings: impl Iterator<Item = &'w Warning>) {
    let mut kinds: Vec<(&Warning, Vec<&Fault>)> = Vec::new();
    for warning in warnings {
        let same = |first: &Warning| match (first.code, warning.code) {
            (None, None) => first.fault.message == warning.fault.message,
            (first, second) => first == second,
        };
        match kinds.iter_mut().find(|(first, _)| same(first)) {
            Some((_, others)) => others.push(&warning.fault),
            None => kinds.push((warning, Vec::new())),
        }
    }
    for (first, others) in kinds {
        let code = first.code.map_or(String::new(), |code| format!("[{code}]"));
        let mut text = format!("warning{code}: {}\n", first.fault);
        for other in others.iter().take(PLACES - 1) {
            let Fault { file, line, column, path, .. } = other;
            text.push_str(&format!("   = also at {file}:{line}:{column}: {path}\n"));
        }
        if others.len() >= PLACES {
            let more = others.len() + 1 - PLACES;
            text.push_str(&format!(
                "   = and at {more} more; `allswell validate --output json` names all of them\n"
            ));
        }
        complain(&text);
    }
}

/// Tells all faults, and ends as invalid.
pub(super) fn refuse(faults: &[Fault], output: impl Into<Format>) -> Exit {
    match output.into() {
        Format::Text => {
            for fault in faults {
                complain(&format!("{fault}\n"));
            }
            let noun = if faults.len() == 1 { "fault" } else { "faults" };
            complain(&format!("{} {noun}; no database was asked", faults.len()));
            Exit::Invalid
        }
        Format::Json => Exit::Invalid.after(print(&format!("{}\n", report(0, faults, &[])))),
        Format::Junit => Exit::Invalid.after(print(&refused(faults).junit())),
        Format::Github => Exit::Invalid.after(print(&refused(faults).github())),
        Format::Markdown => Exit::Invalid.after(print(&refused(faults).markdown())),
    }
}

pub(super) fn validate(args: &ValidateArgs) -> Exit {
    let loaded = load(&args.from).and_then(|loaded| match args.strict {
        true => strict(&args.from, loaded),
        false => Ok(loaded),
    });
    let connected = match &loaded {
        Ok(loaded) if args.connect => match connect(loaded) {
            Ok(connected) => Some(connected),
            Err(exit) => return exit,
        },
        Ok(_) | Err(_) => None,
    };
    match (args.output, loaded) {
        (Format::Text, Ok(Loaded { settings, catalogue, .. })) => {
            warn(catalogue.warnings().iter());
            for warning in settings.notices.warnings() {
                complain(&format!("warning: {warning}\n"));
            }
            for missing in settings.missing_secrets() {
                complain(&format!("warning: {missing}; where `serve` runs it has to be there\n"));
            }
            let count = catalogue.checks().len();
            let noun = if count == 1 { "check is" } else { "checks are" };
            let valid = format!("{count} {noun} valid; `allswell run` looks at the data\n");
            let Some(connected) = connected else { return print(&valid) };
            let exit = connected.exit();
            let valid = if exit == Exit::Confirmed { valid.as_str() } else { "" };
            exit.after(print(&format!("{}{valid}", connected.text())))
        }
        (Format::Json, Ok(Loaded { settings, catalogue, .. })) => {
            let mut report = report(catalogue.checks().len(), &[], catalogue.warnings());
            report["missing_secrets"] = json!(settings.missing_secrets());
            report["settings_warnings"] = json!(settings.notices.warnings());
            let Some(connected) = connected else { return print(&format!("{report}\n")) };
            report["connected"] = connected.json();
            connected.exit().after(print(&format!("{report}\n")))
        }
        (output, Err(faults)) => refuse(&faults, output),
        (output, Ok(Loaded { settings, catalogue, .. })) => {
            let report = accepted(&settings, &catalogue, connected.as_ref());
            let text = match output {
                Format::Junit => report.junit(),
                Format::Github => report.github(),
                Format::Markdown | Format::Text | Format::Json => report.markdown(),
            };
            connected.map_or(Exit::Confirmed, |connected| connected.exit()).after(print(&text))
        }
    }
}

/// Refuses critical checks that no test shows to be able to fail.
fn strict(from: &From, loaded: Loaded) -> Result<Loaded, Vec<Fault>> {
    let Loaded { settings, catalogue, zones } = &loaded;
    let suite = suite(from, settings, catalogue, zones)?;
    let critical = catalogue.checks().iter().filter(|check| check.severity == Severity::Critical);
    let faults: Vec<Fault> = critical
        .flat_map(|check| suite.unproved(&check.id).into_iter().map(move |what| (check, what)))
        .map(|(check, what)| Fault {
            line: check.line,
            column: 1,
            ..Fault::of_file(
                &check.file,
                format!("`{}` is critical, and no test shows {what}", check.id),
                "write one beside it, in a file that ends in `.test.yaml` (docs/testing.md)",
            )
        })
        .collect();
    if faults.is_empty() { Ok(loaded) } else { Err(faults) }
}

/// What is not valid, for tools of continuous integration.
fn refused(faults: &[Fault]) -> Report {
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    let suites = faults.iter().map(|fault| told(State::Failed, "invalid", fault));
    Report::new(format!("{} {noun}; no database was asked", faults.len()), suites.collect())
}

/// What is valid, what had better be written otherwise, and what the databases said.
fn accepted(settings: &Settings, catalogue: &Catalogue, connected: Option<&Connected>) -> Report {
    let mut suites: Vec<Suite> = catalogue
        .warnings()
        .iter()
        .map(|warning| {
            let mut suite = told(State::Warned, "warning", &warning.fault);
            if let Some(code) = warning.code {
                suite.name = format!("{} {code}", suite.name);
            }
            suite
        })
        .collect();
    let mut more: Vec<String> = settings.missing_secrets();
    more.extend(settings.notices.warnings().into_iter().map(str::to_owned));
    let of_settings = |line| Suite::plain(State::Warned, "settings", "warning", vec![line]);
    suites.extend(more.into_iter().map(of_settings));
    suites.extend(connected.iter().flat_map(|connected| connected.suites()));
    let count = catalogue.checks().len();
    let valid = catalogue.checks().iter().map(|check| {
        let id = check.id.as_str();
        let mut suite = match connected.is_none_or(|connected| connected.has_planned(check)) {
            true => Suite::plain(State::Passed, id, "valid", Vec::new()),
            false => {
                let line = "not planned: a source does not answer".to_owned();
                Suite::plain(State::Error, id, "unconfirmed", vec![line])
            }
        };
        suite.place = Some(Place { file: check.file.clone(), line: check.line, column: 0 });
        suite
    });
    let refused = |suite: &Suite| suite.state <= State::Error;
    let known: Vec<String> =
        suites.iter().filter(|suite| refused(suite)).map(|suite| suite.name.clone()).collect();
    suites.extend(valid.filter(|suite| !known.contains(&suite.name)));
    let noun = if count == 1 { "check is" } else { "checks are" };
    let title = match known.len() {
        0 => format!("{count} {noun} valid"),
        bad => format!("{count} {noun} valid in the files; with databases, {bad} went wrong"),
    };
    Report::new(title, suites)
}

fn told(state: State, word: &'static str, fault: &Fault) -> Suite {
    let name = if fault.path.is_empty() { fault.file.as_str() } else { fault.path.as_str() };
    let hint = fault.hint.as_ref().map(|hint| format!("= {hint}"));
    let found = [fault.message.clone()].into_iter().chain(hint).collect();
    let mut suite = Suite::plain(state, name, word, found);
    suite.place = Some(Place { file: fault.file.clone(), line: fault.line, column: fault.column });
    suite
}

fn report(checks: usize, faults: &[Fault], warnings: &[Warning]) -> serde_json::Value {
    let faults: Vec<_> = faults.iter().map(fault).collect();
    let warning = |warning: &Warning| {
        let mut told = fault(&warning.fault);
        told["code"] = json!(warning.code.map(Code::as_str));
        told["check"] = json!(warning.check.as_ref().map(CheckId::as_str));
        told
    };
    let warnings: Vec<_> = warnings.iter().map(warning).collect();
    json!({"format": 1, "checks": checks, "faults": faults, "warnings": warnings})
}

fn fault(fault: &Fault) -> serde_json::Value {
    json!({
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "path": fault.path,
        "message": fault.message,
        "hint": fault.hint,
    })
}
