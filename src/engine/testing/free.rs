//! Tests for nothing: an empty world, and worlds in which a table is gone, prove nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::evidence::Minimum;
use crate::domain::check::name::CheckId;
use crate::domain::check::reason::Cause;
use crate::domain::check::verdict::Verdict;
use crate::domain::check::{Body, Check};
use crate::domain::sql::words::Words;
use crate::domain::testing::expected::Expected;
use crate::domain::testing::{Free, Given, Suite};
use crate::engine::asking::Look;
use crate::engine::testing::bench::Bench;
use crate::engine::testing::scene::{Kind, Scene};
use crate::engine::testing::tested::{Outcome, Tested, Which, look_of};
use crate::source::scratch::ScratchError;

/// Why a check is not looked at without its tables.
const UNNAMED: &str = "no table of the schema is named in its queries";

/// Looks at a world in which every table is empty; returns that look too.
pub(super) async fn empty(
    check: &Arc<Check>,
    suite: &Suite,
    bench: &mut Bench,
    stop: &CancellationToken,
) -> Result<(Tested, Vec<Scene>), ScratchError> {
    let which = Which::Free(Free::Empty);
    let Some(look) = some_look(check, suite, bench) else {
        return Ok((Tested::new(check, which, no_window(check)), Vec::new()));
    };
    let began = Instant::now();
    bench.clear(check).await?;
    let judged = bench.attempt(check, &look, stop).await.judgement;
    let result = match (&judged.verdict, waived(check, suite)) {
        // What could not be looked at is no proof that nothing is confirmed.
        (Verdict::Unconfirmed(reason), _) if !is_of_nothing(reason.cause) => {
            Outcome::NotRun(format!("{}: {}", reason.cause, reason.note))
        }
        (_, Some(because)) => Outcome::Waived(because),
        (Verdict::Confirmed, None) => Outcome::Failed(vec![format!(
            "with every table empty it is confirmed, looked at {}: its evidence is there when no data is",
            judged.evidence.unwrap_or(0)
        )]),
        (Verdict::Violated(_) | Verdict::Unconfirmed(_), None) => Outcome::Passed,
    };
    let result = match result {
        Outcome::Passed => without_its_tables(check, suite, bench, stop).await?,
        Outcome::Failed(_) | Outcome::Waived(_) | Outcome::NotRun(_) => result,
    };
    let scene = Scene { given: Arc::default(), look, judged, kind: Kind::Empty };
    let tested = Tested { took: began.elapsed(), ..Tested::new(check, which, result) };
    Ok((tested, vec![scene]))
}

/// Says whether a cause is that of a world in which nothing is.
fn is_of_nothing(cause: Cause) -> bool {
    matches!(cause, Cause::NoEvidence | Cause::Stale)
}

/// Takes from the worlds that are confirmed the rows of all tables that are judged: what is left proves nothing.
async fn without_its_tables(
    check: &Arc<Check>,
    suite: &Suite,
    bench: &mut Bench,
    stop: &CancellationToken,
) -> Result<Outcome, ScratchError> {
    let Body::Sql { query, .. } = &check.body else { return Ok(Outcome::Passed) };
    let words = Words::of(query);
    let outer = words.outer_tables();
    let judged = if outer.is_empty() { words.tables() } else { outer };
    // What is behind a view, the query does not say.
    if bench.reads_a_view(check) {
        return Ok(Outcome::Passed);
    }
    for test in suite.of(&check.id) {
        let confirmed = test.looks.iter().find(|look| look.expected == Expected::Confirmed);
        let is_judged = |table: &Given| {
            let name =
                table.table.parts().last().map(|name| name.to_lowercase()).unwrap_or_default();
            judged.iter().any(|judged| judged.rsplit('.').next() == Some(name.as_str()))
        };
        let others: Vec<Given> =
            test.given.iter().filter(|table| !is_judged(table)).cloned().collect();
        let Some(look) = confirmed.filter(|_| others.iter().any(|table| !table.rows.is_empty()))
        else {
            continue;
        };
        bench.world(check, &others, clock::now()).await?;
        let judged = bench.attempt(check, &look_of(look), stop).await.judgement;
        if judged.verdict == Verdict::Confirmed {
            let names: Vec<String> = others.iter().map(|table| table.table.to_string()).collect();
            return Ok(Outcome::Failed(vec![format!(
                "with rows in {} alone it is confirmed, looked at {}: its evidence is not of the rows that are judged",
                names.join(" and "),
                judged.evidence.unwrap_or(0)
            )]));
        }
    }
    Ok(Outcome::Passed)
}

/// Why nothing has to be there for a proof, where an owner says so.
fn waived(check: &Check, suite: &Suite) -> Option<String> {
    if let Some(because) = suite.because(&check.id, Free::Empty) {
        return Some(because.to_owned());
    }
    match &check.evidence.minimum {
        Minimum::Waived { because } => Some(format!("the check needs no evidence: {because}")),
        Minimum::AtLeast(_) => None,
    }
}

/// A look at a window of its tests, or at any.
fn some_look(check: &Arc<Check>, suite: &Suite, bench: &Bench) -> Option<Look> {
    if check.window.is_none() {
        return Some(Look::Present);
    }
    let written = suite.of(&check.id).flat_map(|test| &test.looks).next().map(look_of);
    written.or_else(|| bench.some_window(check))
}

fn no_window(check: &Check) -> Outcome {
    Outcome::NotRun(format!("there is no window of `{}` to look at", check.id))
}

/// Takes each table away that a check names, one after the other: without it nothing is confirmed.
pub(super) async fn broken(
    checks: &[Arc<Check>],
    suite: &Suite,
    bench: &mut Bench,
    stop: &CancellationToken,
) -> Result<Vec<Tested>, ScratchError> {
    let mut all: BTreeMap<CheckId, Tested> = BTreeMap::new();
    for check in checks {
        let outcome = match suite.because(&check.id, Free::Broken) {
            Some(because) => Outcome::Waived(because.to_owned()),
            None => Outcome::NotRun(UNNAMED.to_owned()),
        };
        all.insert(check.id.clone(), Tested::new(check, Which::Free(Free::Broken), outcome));
    }
    for source in bench.sources() {
        let tables = bench.scratch(&source).map_or(0, |scratch| scratch.tables().len());
        for table in 0..tables {
            let names = |check: &&Arc<Check>| {
                suite.because(&check.id, Free::Broken).is_none()
                    && check.sources_asked().contains(&&source)
                    && bench.tables_of(check, &source).contains(&table)
            };
            let named: Vec<Arc<Check>> = checks.iter().filter(names).cloned().collect();
            if named.is_empty() || stop.is_cancelled() {
                continue;
            }
            let Some(scratch) = bench.scratch(&source) else { continue };
            let gone = scratch.tables()[table].to_string();
            scratch.clear().await?;
            scratch.drop_table(table).await?;
            for check in named {
                let began = Instant::now();
                let Some(look) = some_look(&check, suite, bench) else { continue };
                let attempted = bench.attempt(&check, &look, stop).await;
                let Some(tested) = all.get_mut(&check.id) else { continue };
                tested.took += began.elapsed();
                tested.result = with(tested.result.clone(), &gone, &attempted.judgement.verdict);
            }
            if let Some(scratch) = bench.scratch(&source) {
                scratch.clear().await?;
            }
        }
    }
    Ok(all.into_values().collect())
}

/// What is known of a check once it was looked at without one more table: only an error of its query says that it missed it.
fn with(known: Outcome, gone: &str, verdict: &Verdict) -> Outcome {
    let bad = |words: &str| format!("without the table `{gone}` {words}");
    match (known, verdict) {
        (Outcome::Failed(mut wrong), Verdict::Confirmed) => {
            wrong.push(bad("it is confirmed"));
            Outcome::Failed(wrong)
        }
        (_, Verdict::Confirmed) => Outcome::Failed(vec![bad("it is confirmed")]),
        (Outcome::NotRun(why), Verdict::Unconfirmed(reason))
            if reason.cause == Cause::QueryError =>
        {
            if why == UNNAMED {
                Outcome::Passed
            } else {
                Outcome::NotRun(why)
            }
        }
        (known, Verdict::Unconfirmed(reason)) if reason.cause == Cause::QueryError => known,
        (Outcome::Failed(wrong), _) => Outcome::Failed(wrong),
        (_, Verdict::Unconfirmed(reason)) => {
            Outcome::NotRun(bad(&format!("it is unconfirmed: {}: {}", reason.cause, reason.note)))
        }
        (_, Verdict::Violated(_)) => Outcome::NotRun(bad("it is violated, and does not miss it")),
    }
}
