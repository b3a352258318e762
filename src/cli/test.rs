//! `test`: shows that checks are able to fail, on rows that are made up.

mod learn;
mod told;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::cli::args::{Format, From, TestArgs};
use crate::cli::exit::Exit;
use crate::cli::validate::{Loaded, load, refuse};
use crate::cli::{complain, print, stop};
use crate::domain::check::Check;
use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::SourceName;
use crate::domain::testing::Suite;
use crate::engine::asking::Sources;
use crate::engine::testing::{Bench, Mistakes, Mutated, Outcome, Place, Report, Tested, tiling};
use crate::manifest::{self, World};
use crate::settings::Settings;
use crate::source::Source;
use crate::source::scratch::ScratchError;
use crate::zones::Zones;

pub(super) fn test(args: &TestArgs) -> Exit {
    let Loaded { settings, catalogue, zones } = match load(&args.from) {
        Ok(loaded) => loaded,
        Err(faults) => return refuse(&faults, args.output),
    };
    let checks = match catalogue.select(&args.select.selection()) {
        Ok(checks) => checks,
        Err(message) => {
            complain(&message);
            return Exit::Invalid;
        }
    };
    if let Some(source) = &args.learn_schema {
        return learn::learn(&settings, source, &checks);
    }
    let suite = suite(&args.from, &settings, &catalogue, &zones);
    let suite = match suite {
        Ok(suite) => suite,
        Err(faults) => return refuse(&faults, args.output),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Exit::Io;
        }
    };
    let zones = Arc::new(zones);
    let run = Run { settings: &settings, suite: &suite, checks: &checks, zones };
    let worlds = args.fuzz.unwrap_or(0);
    let mistakes = Mistakes { are_made: args.mutants, worlds };
    let (mut report, stopped) = if args.live {
        runtime.block_on(run.live())
    } else {
        match runtime.block_on(run.whole(mistakes)) {
            Ok(report) => report,
            Err(error) => return refused(&fault(error), args.output),
        }
    };
    if stopped {
        complain("stopped: what was made in scratch databases is taken away again");
    }
    report.min_score = args.min_score.map_or(0, usize::from);
    let exit = exit(&report, stopped);
    if let Some(path) = args.results.as_deref().filter(|_| !stopped)
        && let Err(error) = report.results(&suite, &settings.engines()).write(path)
    {
        complain(&format!("{}: cannot be written: {error}", path.display()));
        return Exit::Io;
    }
    let text = match args.output {
        Format::Text => told::text(&report),
        Format::Json => format!("{}\n", told::json(&report)),
        Format::Junit => told::report(&report).junit(),
        Format::Github => told::report(&report).github(),
        Format::Markdown => told::report(&report).markdown(),
    };
    exit.after(print(&text))
}

/// Reads the tests of a catalogue.
pub(super) fn suite(
    from: &From,
    settings: &Settings,
    catalogue: &Catalogue,
    zones: &Zones,
) -> Result<Suite, Vec<Fault>> {
    let paths = if from.paths.is_empty() { &settings.checks } else { &from.paths };
    let (engines, without_instants) = (settings.engines(), settings.without_instants());
    let world = World { without_instants: &without_instants, ..World::new(&engines, zones) };
    manifest::test_texts(paths).and_then(|texts| manifest::tests(&texts, catalogue, world))
}

/// What is to be tested.
struct Run<'r> {
    settings: &'r Settings,
    suite: &'r Suite,
    checks: &'r [Arc<Check>],
    zones: Arc<Zones>,
}

impl Run<'_> {
    /// Runs all of it, and takes away what was made; says too whether it was stopped before the end.
    async fn whole(self, mistakes: Mistakes) -> Result<(Report, bool), ScratchError> {
        let asked: BTreeSet<&SourceName> =
            self.checks.iter().flat_map(|check| check.sources_asked()).collect();
        let places = self.settings.sources.iter().filter(|entry| asked.contains(&entry.name));
        let places = places.filter_map(|entry| {
            let schema = self.suite.schema(&entry.name)?;
            Some(Place { source: entry.open(), scratch: entry.scratch(), schema })
        });
        let mut bench = Bench::open(places.collect(), self.zones).await?;
        let stop = CancellationToken::new();
        let progress = progress(self.checks.len());
        let mut last = None;
        let seen = |tested: &Tested| {
            if last.replace(tested.check.id.clone()).as_ref() != Some(&tested.check.id) {
                progress.inc(1);
            }
        };
        let tested = {
            let mut run = std::pin::pin!(crate::engine::testing::test(
                self.checks,
                self.suite,
                &mut bench,
                &stop,
                mistakes,
                seen
            ));
            let mut signals = std::pin::pin!(stop::on_signal(stop.clone()));
            let mut twice = false;
            loop {
                tokio::select! {
                    tested = &mut run => break tested,
                    () = &mut signals, if !twice => twice = true,
                }
            }
        };
        progress.finish_and_clear();
        bench.close().await;
        tested.map(|tested| (tested, stop.is_cancelled()))
    }
}

impl Run<'_> {
    /// Takes windows apart on the watched databases.
    async fn live(self) -> (Report, bool) {
        let windowed = || self.checks.iter().filter(|check| check.window.is_some());
        let asked = |name: &SourceName| windowed().any(|check| check.sources().contains(&name));
        let entries = self.settings.sources.iter().filter(|entry| asked(&entry.name));
        let sources: Sources = entries
            .map(|entry| (entry.name.clone(), Arc::new(Source::new(entry.open()))))
            .collect();
        let stop = CancellationToken::new();
        let progress = progress(windowed().count());
        let mut signals = std::pin::pin!(stop::on_signal(stop.clone()));
        let (mut report, mut twice) = (Report::default(), false);
        for check in windowed() {
            let mut tested =
                std::pin::pin!(tiling(check, self.suite, &sources, &self.zones, &stop));
            let tested = loop {
                tokio::select! {
                    tested = &mut tested => break tested,
                    () = &mut signals, if !twice => twice = true,
                }
            };
            if stop.is_cancelled() {
                break;
            }
            report.tested.push(tested);
            progress.inc(1);
        }
        progress.finish_and_clear();
        (report, stop.is_cancelled())
    }
}

/// A line on the terminal while it takes long.
fn progress(checks: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(checks).unwrap_or(0));
    let style = ProgressStyle::with_template("{pos}/{len} checks tested");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Tells what a scratch database does not take.
fn refused(fault: &Fault, output: Format) -> Exit {
    if output == Format::Text {
        complain(&format!("{fault}\n"));
        complain("nothing is said of any check: mend this first");
        return Exit::Invalid;
    }
    refuse(std::slice::from_ref(fault), output)
}

/// What a database does not take, as a fault at its place.
fn fault(error: ScratchError) -> Fault {
    match &error.place {
        Some(place) => place.fault(error.message.clone(), error.hint),
        None => Fault::of_file("allswell test", error.message, error.hint),
    }
}

/// Ends well only where everything was run, and passed, and where enough mistakes are noticed.
fn exit(report: &Report, stopped: bool) -> Exit {
    let any =
        |wanted: fn(&Outcome) -> bool| report.tested.iter().any(|tested| wanted(&tested.result));
    let is_short = |mutated: &Mutated| report.falls_short(mutated).is_some();
    if any(|result| matches!(result, Outcome::Failed(_))) || report.mutated.iter().any(is_short) {
        Exit::Violated
    } else if stopped
        || report.tested.is_empty()
        || any(|result| matches!(result, Outcome::NotRun(_)))
    {
        Exit::Unconfirmed
    } else {
        Exit::Confirmed
    }
}
