//! `plan`: what a change of checks does to what they prove, before it is made.

mod against;
mod sarif;
mod told;

use std::sync::Arc;

use crate::cli::args::{Format, PlanArgs, PlanFormat};
use crate::cli::exit::Exit;
use crate::cli::plan::against::{Against, Other, other};
use crate::cli::plan::told::Plan;
use crate::cli::print;
use crate::cli::validate::{Loaded, load, refuse};
use crate::clock;
use crate::domain::change::{World, changes};
use crate::domain::time::zone::ZoneName;

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
    let Loaded { settings, catalogue, zones } = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, form),
    };
    let Other { catalogue: was, name } = match other(args, &against, &settings, &zones) {
        Ok(other) => other,
        Err(against::Missing::Faults(faults)) => return refuse(&faults, form),
        Err(against::Missing::Printed(exit)) => return exit,
    };
    let zones = Arc::new(zones);
    let rules = |zone: &ZoneName| zones.rules(zone);
    let world = World { rules: &rules, now: clock::now() };
    let changes = changes(&was, &catalogue, &world);
    let plan = Plan::new(&changes, settings.rollout, catalogue.weakened(), world.now, name);
    let text = match args.output {
        PlanFormat::Text => plan.text(),
        PlanFormat::Json => format!("{:#}\n", plan.json()),
        PlanFormat::Markdown => plan.report().markdown(),
        PlanFormat::Junit => plan.report().junit(),
        PlanFormat::Github => plan.report().github(),
        PlanFormat::Sarif => format!("{:#}\n", sarif::write(&plan)),
    };
    let exit = if plan.is_waiting() { Exit::Violated } else { Exit::Confirmed };
    exit.after(print(&text))
}
