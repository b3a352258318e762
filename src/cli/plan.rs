//! `plan`: what a change of checks does to what they prove, before it is made.

mod against;
mod beside;
mod lines;
mod sarif;
mod seen;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::cli::args::{Format, PlanArgs, PlanFormat};
use crate::cli::exit::Exit;
use crate::cli::plan::against::{Against, Other, other};
use crate::cli::plan::told::Plan;
use crate::cli::print;
use crate::cli::validate::{config, refuse, zones};
use crate::clock;
use crate::domain::change;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::domain::time::zone::ZoneName;
use crate::manifest::{self, World};
use crate::settings::Settings;
use crate::zones::Zones;

pub(super) fn plan(args: &PlanArgs) -> Exit {
    // What is not valid is told in the form that is nearest.
    let form = match args.output {
        PlanFormat::Text => Format::Text,
        PlanFormat::Json | PlanFormat::Sarif => Format::Json,
        PlanFormat::Markdown => Format::Markdown,
        PlanFormat::Junit => Format::Junit,
        PlanFormat::Github => Format::Github,
    };
    let against = match Against::read(args.against.as_deref()) {
        Ok(against) => against,
        Err(fault) => return refuse(&[*fault], form),
    };
    let path = config(&args.from);
    let settings = match Settings::read(&path) {
        Ok(settings) => settings,
        Err(faults) => return refuse(&faults, form),
    };
    let paths = if args.from.paths.is_empty() { &settings.checks } else { &args.from.paths };
    let zones = Arc::new(zones());
    let (now, was) = thread::scope(|scope| {
        let was = scope.spawn(|| other(args, &against, &settings, &zones));
        let now = here(paths, &settings, &zones);
        (now, was.join())
    });
    let was = was.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (catalogue, other) = match (now, was) {
        (Err(faults), _) => return refuse(&faults, form),
        (_, Err(missing)) => return missing.told(form),
        (Ok(now), Ok(was)) => (now, was),
    };
    let seen = args.shadow.map(|windows| seen::seen(args, &against, paths, windows)).transpose();
    let seen = match seen {
        Ok(seen) => seen,
        Err(missing) => return missing.told(form),
    };
    let Other { catalogue: was, name, settings: shared, underneath } = other;
    let rules = |zone: &ZoneName| zones.rules(zone);
    let world = change::World { rules: &rules, now: clock::now() };
    let changes = change::changes(&was, &catalogue, &world);
    let folder = path.parent().unwrap_or(Path::new(""));
    let shared = shared.map(|was| change::settings(&was, &settings.shared(folder)));
    let words = (settings.rollout, catalogue.weakened(), world.now);
    let mut plan = Plan::new(&changes, words, name).with(seen, shared, &catalogue);
    plan.underneath = underneath;
    let text = match args.output {
        PlanFormat::Text => plan.text(),
        PlanFormat::Json => format!("{:#}\n", plan.json()),
        PlanFormat::Markdown => plan.report().markdown(),
        PlanFormat::Junit => plan.report().junit(),
        PlanFormat::Github => plan.report().github(),
        PlanFormat::Sarif => format!("{:#}\n", sarif::write(&plan)),
    };
    plan.exit().after(print(&text))
}

/// Reads the checks that are here.
fn here(paths: &[PathBuf], settings: &Settings, zones: &Zones) -> Result<Catalogue, Vec<Fault>> {
    let (engines, without_instants) = (settings.engines(), settings.without_instants());
    let world =
        World { engines: &engines, without_instants: &without_instants, zones, stored: false };
    manifest::load(paths, world)
}
