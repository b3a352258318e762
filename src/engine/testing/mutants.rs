//! Checks with a mistake in them, held against the tests: which of them nothing notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::Check;
use crate::domain::check::judge::Judgement;
use crate::domain::check::reason::Cause;
use crate::domain::check::verdict::Verdict;
use crate::domain::testing::mutants::{Mutant, of_check};
use crate::domain::testing::{Given, Suite};
use crate::engine::testing::bench::Bench;
use crate::engine::testing::fuzz::FoundTest;
use crate::engine::testing::scene::{Kind, Scene, is_same};
use crate::source::scratch::ScratchError;

/// What became of the mutants of a check.
#[derive(Debug, Clone)]
pub struct Mutated {
    /// Of which check.
    pub check: Arc<Check>,
    /// How many of them a test noticed.
    pub killed: usize,
    /// Those that none did.
    pub survivors: Vec<Mutant>,
    /// Those that none can, as an owner says, with why.
    pub accepted: Vec<(Mutant, String)>,
    /// The names of those that are accepted, though a test notices them or they cannot be.
    pub needless: Vec<String>,
    /// Tests by which some of those that live would be noticed, where such were looked for.
    pub found: Vec<FoundTest>,
    /// The names of those that are accepted, and shown by a test that was found.
    pub shown: Vec<String>,
    /// In how many worlds by chance they were looked for.
    pub looked_in: usize,
    /// How many no database would run.
    pub stillborn: usize,
    /// How long it took.
    pub took: std::time::Duration,
}

impl Mutated {
    /// Which part of the mutants that count is noticed, in hundredths; nothing where none counts.
    pub fn score(&self) -> Option<usize> {
        let all = self.counted();
        (all > 0).then(|| self.killed * 100 / all)
    }

    /// The names of those that are accepted, though rows were found that show them.
    pub(super) fn accepted_and_found(&self) -> Vec<String> {
        let is_accepted =
            |name: &&String| self.accepted.iter().any(|(one, _)| one.name() == **name);
        self.found.iter().map(|found| &found.mutant).filter(is_accepted).cloned().collect()
    }

    /// How many of the mutants count.
    pub fn counted(&self) -> usize {
        self.killed + self.survivors.len()
    }
}

/// Looks with each mutant of a check at each world.
pub(super) async fn mutants(
    check: &Arc<Check>,
    suite: &Suite,
    scenes: &[Scene],
    bench: &mut Bench,
    stop: &CancellationToken,
) -> Result<Mutated, ScratchError> {
    let began = Instant::now();
    let mutants = of_check(check);
    let mutants: Vec<Mutant> = mutants.into_iter().filter(|m| bench.can_notice(m)).collect();
    // Where nothing that is looked at is a violation already, evidence has nothing to say.
    let says_it = |scene: &Scene| {
        matches!(scene.kind, Kind::Empty) && matches!(scene.judged.verdict, Verdict::Violated(_))
    };
    let evidence_is_idle = scenes.iter().any(says_it);
    let mut living: Vec<(usize, BTreeSet<usize>)> =
        (0..mutants.len()).map(|at| (at, BTreeSet::new())).collect();
    let (mut killed, mut stillborn) = (BTreeSet::new(), 0);
    let mut there: Option<Arc<Vec<Given>>> = None;
    for scene in scenes {
        if living.is_empty() || stop.is_cancelled() {
            break;
        }
        if there.as_ref().is_none_or(|there| !Arc::ptr_eq(there, &scene.given)) {
            bench.world(check, &scene.given, clock::now()).await?;
            there = Some(Arc::clone(&scene.given));
        }
        let mut next = Vec::new();
        for (at, mut known) in living {
            let judged = bench.attempt(&mutants[at].check, &scene.look, stop).await.judgement;
            if stop.is_cancelled() {
                break;
            }
            if matches!(scene.kind, Kind::Empty) && is_broken(&judged) && !is_broken(&scene.judged)
            {
                stillborn += 1;
            } else if is_noticed(scene, &judged, &mut known) {
                killed.insert(at);
            } else {
                next.push((at, known));
            }
        }
        living = next;
    }
    let (mut survivors, mut accepted) = (Vec::new(), Vec::new());
    for (at, _) in living {
        let mutant = mutants[at].clone();
        let is_of_nothing =
            mutant.change == "`min: 1` → `min: 0`" || mutant.change.ends_with("→ `1`");
        if evidence_is_idle && mutant.part == "evidence" && is_of_nothing {
            continue;
        }
        match suite.accepts(&check.id, &mutant.name()) {
            Some(because) => accepted.push((mutant, because.to_owned())),
            None => survivors.push(mutant),
        }
    }
    let needed = |name: &&str| accepted.iter().any(|(mutant, _)| mutant.name() == **name);
    let names = suite.accepted(&check.id).filter(|name| !stop.is_cancelled() && !needed(name));
    let needless = names.map(str::to_owned).collect();
    let check = Arc::clone(check);
    let killed = killed.len();
    let (found, shown) = (Vec::new(), Vec::new());
    Ok(Mutated {
        looked_in: 0,
        check,
        killed,
        survivors,
        accepted,
        needless,
        found,
        shown,
        stillborn,
        took: began.elapsed(),
    })
}

/// Says whether a database would not run it.
fn is_broken(judged: &Judgement) -> bool {
    matches!(&judged.verdict, Verdict::Unconfirmed(reason)
        if matches!(reason.cause, Cause::QueryError | Cause::UnsupportedType | Cause::Refused))
}

/// Says whether the tests notice what a mutant says in a world; `known` are the worlds of which it said what the check says.
fn is_noticed(scene: &Scene, judged: &Judgement, known: &mut BTreeSet<usize>) -> bool {
    match &scene.kind {
        Kind::Empty => {
            judged.verdict == Verdict::Confirmed && scene.judged.verdict != Verdict::Confirmed
        }
        Kind::Written(expected) => !expected.is_met_by(&judged.verdict),
        Kind::Whole(world) => {
            if is_same(&scene.judged, judged) {
                known.insert(*world);
            }
            false
        }
        Kind::Moved(world) => known.contains(world) && !is_same(&scene.judged, judged),
    }
}
