//! Tests of checks, run: worlds of made-up rows in scratch databases, and attempts like any other at them.

mod bench;
mod edges;
mod free;
mod fuzz;
mod mutants;
mod scene;
mod tested;
mod tiling;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::name::CheckId;
use crate::domain::check::verdict::Verdict;
use crate::domain::testing::{Free, LookAt, Suite, Test};
use crate::engine::meaning::{digest, meaning};
use crate::manifest::{Engines, Noticed, Results, TestedCheck};
use crate::source::scratch::ScratchError;

use crate::engine::testing::scene::{Kind, Scene};
use crate::engine::testing::tested::look_of;

pub use bench::{Bench, Place, named_by};
pub use fuzz::FoundTest;
pub use mutants::Mutated;
pub use tested::{Outcome, Tested, Which};
pub use tiling::tiling;

/// Which mistakes are put into checks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mistakes {
    /// Whether any are.
    pub are_made: bool,
    /// In how many worlds by chance rows are looked for that show those which no test notices.
    pub worlds: usize,
}

/// What came of all tests.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Of each test.
    pub tested: Vec<Tested>,
    /// Of the mutants of each check that has tests, where they were asked for.
    pub mutated: Vec<Mutated>,
    /// Of how many mistakes in a hundred the tests of each check have to notice.
    pub min_score: usize,
}

impl Report {
    /// Why the mutants of a check are not noticed well enough, where that is so.
    pub fn falls_short(&self, mutated: &Mutated) -> Option<String> {
        let least = self.min_score;
        match (mutated.score(), mutated.needless.len()) {
            _ if !mutated.shown.is_empty() => Some(format!(
                "rows show what is accepted as what none can show: {}",
                mutated.shown.join(", ")
            )),
            (Some(score), _) if score < least => Some(format!(
                "its tests notice {score} of a hundred mistakes, and have to notice {least}"
            )),
            (_, 0) => None,
            (_, 1) => Some("a mistake is accepted that need not be".to_owned()),
            (_, many) => Some(format!("{many} mistakes are accepted that need not be")),
        }
    }

    /// What of it is written down for the daemon.
    pub fn results(&self, suite: &Suite, engines: &Engines) -> Results {
        let mut checks: BTreeMap<CheckId, TestedCheck> = BTreeMap::new();
        for Tested { check, result, .. } in &self.tested {
            let entry = checks.entry(check.id.clone()).or_insert_with(|| TestedCheck {
                meaning: meaning(check, engines),
                tests: digest(&suite.written(check)),
                tested: suite.unproved(&check.id).is_empty(),
                mutants: None,
            });
            entry.tested &= matches!(result, Outcome::Passed | Outcome::Waived(_));
        }
        for mutated in &self.mutated {
            let Some(entry) = checks.get_mut(&mutated.check.id) else { continue };
            entry.mutants = Some(Noticed { of: mutated.counted(), noticed: mutated.killed });
        }
        Results::new(checks)
    }
}

/// Runs all tests of some checks. `seen` hears of each as it is done.
///
/// # Errors
/// What the databases do not take of the tests, with its place.
pub async fn test(
    checks: &[Arc<Check>],
    suite: &Suite,
    bench: &mut Bench,
    stop: &CancellationToken,
    mistakes: Mistakes,
    mut seen: impl FnMut(&Tested),
) -> Result<Report, ScratchError> {
    let (mut all, mut mutated) = (Vec::new(), Vec::new());
    let mut testable = Vec::new();
    let mut told = |tested: Tested, all: &mut Vec<Tested>| {
        seen(&tested);
        all.push(tested);
    };
    for check in checks {
        if stop.is_cancelled() {
            break;
        }
        if let Some(why) = bench.lacks(check) {
            told(Tested::new(check, Which::Free(Free::Empty), Outcome::NotRun(why)), &mut all);
            continue;
        }
        testable.push(Arc::clone(check));
        let mut of_check = Vec::new();
        let (empty, mut scenes) = free::empty(check, suite, bench, stop).await?;
        for test in suite.of(&check.id) {
            of_check.push(written(test, bench, &mut scenes, stop).await?);
        }
        of_check.push(empty);
        if check.window.is_some() {
            of_check.push(edges::edges(check, suite, bench, &mut scenes, stop).await?);
        }
        let mut made = None;
        if mistakes.are_made {
            let mut of_mutants = mutants::mutants(check, suite, &scenes, bench, stop).await?;
            let worlds = mistakes.worlds;
            of_mutants.looked_in = worlds;
            // What is accepted as what no row can show is looked for too.
            let accepted = of_mutants.accepted.iter().map(|(mutant, _)| mutant);
            let living: Vec<_> = of_mutants.survivors.iter().chain(accepted).cloned().collect();
            of_mutants.found = fuzz::fuzz(check, suite, &living, worlds, bench, stop).await?;
            of_mutants.shown = of_mutants.accepted_and_found();
            made = Some(of_mutants);
        }
        // What was stopped in the middle says nothing.
        if stop.is_cancelled() {
            break;
        }
        let is_waived = |tested: &Tested| matches!(tested.result, Outcome::Waived(_));
        if of_check.iter().all(is_waived)
            && let Some(first) = of_check.first_mut()
        {
            let why =
                "every test for nothing is switched off, and none is written: nothing was run";
            first.result = Outcome::NotRun(why.to_owned());
        }
        for tested in of_check {
            told(tested, &mut all);
        }
        mutated.extend(made);
    }
    if stop.is_cancelled() {
        return Ok(Report { tested: all, mutated, min_score: 0 });
    }
    for tested in free::broken(&testable, suite, bench, stop).await? {
        told(tested, &mut all);
    }
    Ok(Report { tested: all, mutated, min_score: 0 })
}

/// Runs a test that is written.
async fn written(
    test: &Test,
    bench: &mut Bench,
    scenes: &mut Vec<Scene>,
    stop: &CancellationToken,
) -> Result<Tested, ScratchError> {
    let began = Instant::now();
    bench.world(&test.check, &test.given, clock::now()).await?;
    let given = Arc::new(test.given.clone());
    let mut wrong = Vec::new();
    for look in &test.looks {
        let (judged, at) =
            (bench.attempt(&test.check, &look_of(look), stop).await.judgement, look_of(look));
        let verdict = &judged.verdict;
        if !look.expected.is_met_by(verdict) {
            let place = named(look);
            wrong.push(format!("{place}expected {}, and it is {}", look.expected, shown(verdict)));
        } else {
            let kind = Kind::Written(look.expected.clone());
            scenes.push(Scene { given: Arc::clone(&given), look: at, judged, kind });
        }
    }
    let result = if wrong.is_empty() { Outcome::Passed } else { Outcome::Failed(wrong) };
    let which = Which::Written(test.name.clone(), test.place.clone());
    Ok(Tested { took: began.elapsed(), ..Tested::new(&test.check, which, result) })
}

/// Which of several windows, for people.
fn named(look: &LookAt) -> String {
    let Some((series, window)) = &look.window else { return String::new() };
    format!("{} {} {}: ", window.span.date, series.home.name, window.utc_offset)
}

/// A verdict for people.
fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Confirmed => "confirmed".to_owned(),
        Verdict::Violated(finding) => format!("violated: {finding}"),
        Verdict::Unconfirmed(reason) => format!("unconfirmed: {}: {}", reason.cause, reason.note),
    }
}
