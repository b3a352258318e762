//! What a round found, for tools of continuous integration.

use crate::cli::ci::{Case, Place, Report, State, Suite};
use crate::cli::report::{Aside, Group, groups, place, rank, summary, told};
use crate::domain::check::verdict::Verdict;
use crate::engine::round::Outcome;

pub(in crate::cli) fn report(outcomes: &[Outcome], asides: &[Aside]) -> Report {
    let groups = groups(outcomes);
    let mut suites: Vec<Suite> = groups.iter().map(suite).collect();
    suites.extend(asides.iter().map(|aside| {
        let (word, what) = aside.words();
        Suite::plain(State::Skipped, aside.check.id.as_str(), word, vec![what])
    }));
    // Where each check is taken out by its owner, nothing failed, and nothing is proved.
    if outcomes.is_empty() {
        let line = "nothing was looked at: no check that was asked for is due to be".to_owned();
        suites.push(Suite::plain(State::Error, "allswell", "unconfirmed", vec![line]));
    }
    Report::new(summary(outcomes, &groups), suites)
}

fn state(rank: u8) -> (State, &'static str) {
    match rank {
        0 => (State::Failed, "violated"),
        1 => (State::Error, "unconfirmed"),
        _ => (State::Passed, "confirmed"),
    }
}

fn suite(group: &Group<'_>) -> Suite {
    let check = group.check;
    let (state, word) = state(group.rank());
    let many = group.outcomes.len() > 1;
    let mut found: Vec<String> =
        told(&group.bad(), many).into_iter().map(|(_, line)| line).collect();
    found.extend(runbook(group.outcomes.first(), state));
    Suite {
        state,
        name: check.id.to_string(),
        word,
        severity: check.severity.to_string(),
        owner: check.owner.to_string(),
        why: check.why.trim().to_owned(),
        seen: group.looked(),
        found,
        place: Some(Place { file: check.file.clone(), line: check.line, column: 0 }),
        cases: group.outcomes.iter().map(|outcome| case(outcome)).collect(),
    }
}

/// Where the owner wrote down what to do about what is not right.
fn runbook(outcome: Option<&&Outcome>, state: State) -> Option<String> {
    let runbook = outcome.filter(|_| state != State::Passed)?.check.runbook.as_ref()?;
    Some(format!("runbook: {runbook}"))
}

fn case(outcome: &Outcome) -> Case {
    let (state, word) = state(rank(&outcome.judgement.verdict));
    let name = match (place(outcome), &outcome.tz) {
        (place, _) if !place.is_empty() => place,
        (_, Some(zone)) => zone.to_string(),
        (_, None) if outcome.check.window.is_some() => "the list of its zones".to_owned(),
        (_, None) => outcome.check.id.to_string(),
    };
    let cause = match &outcome.judgement.verdict {
        Verdict::Unconfirmed(reason) => reason.cause.as_str(),
        Verdict::Confirmed | Verdict::Violated(_) => word,
    };
    let lines = told(&[outcome], false).into_iter().map(|(_, line)| line);
    let found = lines.chain(runbook(Some(&outcome), state)).collect();
    Case { state, name, word: cause.to_owned(), found, took: outcome.took }
}
