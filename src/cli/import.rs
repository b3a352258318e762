//! `import`: tests of other tools as checks, with what became of each.

use std::fmt::Write as _;
use std::path::Path;

use crate::bounded;
use crate::cli::args::{self, Foreign, ImportArgs};
use crate::cli::exit::Exit;
use crate::cli::validate::{config, refuse, zones};
use crate::cli::{complain, print};
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::sql::Engine;
use crate::import::{Fate, Format, Imported, Item, import as imported};
use crate::manifest::Text;
use crate::settings::Settings;

/// How large a file may be: manifests of dbt are large.
const BYTES_MAX: u64 = 256 << 20;

pub(super) fn import(args: &ImportArgs) -> Exit {
    let (source, engine) = match source(args) {
        Ok(source) => source,
        Err(exit) => return exit,
    };
    let texts: Result<Vec<Text>, Vec<Fault>> = args.paths.iter().map(|path| read(path)).collect();
    let format = match args.format {
        Foreign::Dbt => Format::Dbt,
        Foreign::Soda => Format::Soda,
        Foreign::SqlExporter => Format::SqlExporter,
        Foreign::Odcs => Format::Odcs,
    };
    let zones = zones();
    let done =
        texts.and_then(|texts| imported(format, &texts, (&source, engine), &args.owner, &zones));
    match done {
        Err(faults) => refuse(&faults, args::Format::Text),
        Ok(Imported { yaml, items }) => {
            complain(&report(&items));
            let is_whole = items.iter().all(|item| item.fate == Fate::Taken);
            let exit = if is_whole { Exit::Confirmed } else { Exit::Violated };
            if yaml.is_empty() { exit } else { exit.after(print(&yaml)) }
        }
    }
}

/// Which source the checks ask: the one that is named, or the only one of the settings.
fn source(args: &ImportArgs) -> Result<(SourceName, Engine), Exit> {
    let invalid = |message: String| {
        complain(&format!("allswell: {message}"));
        Exit::Invalid
    };
    let path = config(&args.from());
    let settings = match path.exists() {
        true => Some(Settings::read(&path).map_err(|faults| refuse(&faults, args::Format::Text))?),
        false => None,
    };
    let engines = settings.map(|settings| settings.engines()).unwrap_or_default();
    match (&args.source, engines.iter().next()) {
        (None, Some((name, engine))) if engines.len() == 1 => Ok((name.clone(), *engine)),
        (None, _) => Err(invalid("say which source is asked, with `--source`".to_owned())),
        (Some(name), _) => {
            let name = SourceName::parse(name).map_err(|rule| invalid(rule.to_owned()))?;
            let engine = engines.get(&name).copied();
            match engine {
                None if !engines.is_empty() => {
                    Err(invalid(format!("{} has no source `{name}`", path.display())))
                }
                engine => Ok((name, engine.unwrap_or(Engine::Postgres))),
            }
        }
    }
}

fn read(path: &Path) -> Result<Text, Vec<Fault>> {
    let file = path.display().to_string();
    let text = bounded::read(path, BYTES_MAX).map_err(|error| {
        vec![Fault::of_file(file.clone(), format!("cannot be read: {error}"), "")]
    })?;
    Ok(Text { file, text })
}

/// What became of each test; what is left to do first.
fn report(items: &[Item]) -> String {
    let mut text = String::new();
    for (fate, word) in [(Fate::Cannot, "cannot"), (Fate::Needs, "needs you")] {
        for item in items.iter().filter(|item| item.fate == fate) {
            let _ = writeln!(text, "{word}: {}: {}: {}", item.place, item.what, item.why);
        }
    }
    let count = |fate: Fate| items.iter().filter(|item| item.fate == fate).count();
    let _ = write!(
        text,
        "taken {}, needs you {}, cannot {}",
        count(Fate::Taken),
        count(Fate::Needs),
        count(Fate::Cannot)
    );
    text
}
