//! What tests of checks brought: for people, for programs, and for continuous integration.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::ci::{Case, Place, Report, State, Suite};
use crate::cli::paint::Paint;
use crate::domain::check::Check;
use crate::domain::testing::mutants::Mutant;
use crate::domain::testing::{Free, Spot};
use crate::engine::testing::{Mutated, Outcome, Report as Tests, Tested, Which};

/// The tests of one check, and its mutants.
struct Group<'t> {
    check: &'t Arc<Check>,
    tests: Vec<&'t Tested>,
    mutated: Option<&'t Mutated>,
    /// Why its mutants are not noticed well enough, where that is so.
    short: Option<String>,
}

fn groups(report: &Tests) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in &report.tested {
        match groups.iter_mut().find(|group| group.check.id == one.check.id) {
            Some(group) => group.tests.push(one),
            None => {
                let mutated = report.mutated.iter().find(|m| m.check.id == one.check.id);
                let short = mutated.and_then(|mutated| report.falls_short(mutated));
                groups.push(Group { check: &one.check, tests: vec![one], mutated, short });
            }
        }
    }
    groups
}

impl Group<'_> {
    /// The tests that were found by chance, to paste, and how many mistakes no rows were found for.
    fn found(&self) -> String {
        let Some(Mutated { found, shown, survivors, looked_in, .. }) = self.mutated else {
            return String::new();
        };
        if *looked_in == 0 || survivors.is_empty() && shown.is_empty() {
            return String::new();
        }
        let mut text = String::new();
        if !found.is_empty() {
            text.push_str("    to paste under `tests:`, where the check says what it should:\n\n");
        }
        for found in found {
            let _ = writeln!(text, "{}", found.yaml);
        }
        let worlds = plural(*looked_in, "world");
        match survivors.len() - (found.len() - shown.len()) {
            0 => {}
            1 => {
                let _ = writeln!(
                    text,
                    "    for 1 mistake no rows were found in {worlds}: there may be some"
                );
            }
            many => {
                let _ = writeln!(
                    text,
                    "    for {many} mistakes no rows were found in {worlds}: there may be some"
                );
            }
        }
        text
    }

    /// Says whether a person wrote a test of it.
    fn is_written(&self) -> bool {
        self.tests.iter().any(|tested| matches!(tested.which, Which::Written(..)))
    }

    /// How bad it is: the worst of its tests; a mistake that nothing notices is a defect of the tests.
    fn state(&self) -> State {
        let states = self.tests.iter().map(|tested| state(&tested.result));
        let survived =
            self.mutated.is_some_and(|m| !m.survivors.is_empty()).then_some(State::Warned);
        let short = self.short.as_ref().map(|_| State::Failed);
        states
            .chain(survived)
            .chain(short)
            .filter(|state| *state != State::Skipped)
            .min()
            .unwrap_or(State::Passed)
    }

    /// Its mutants, a line each, below how many of them were noticed.
    fn mutants(&self) -> Vec<(String, Vec<String>)> {
        let Some(mutated) = self.mutated else { return Vec::new() };
        let text = std::fs::read_to_string(&self.check.file).unwrap_or_default();
        let survivor = |mutant: &Mutant| {
            // `s: → …` and `newest → gone`: the rule is named first.
            let named = mutant.change.split([':', ' ']).next().map(|name| format!("{name}:"));
            let rule = named.filter(|_| mutant.line.is_empty());
            let place = match line(&text, self.check.line, rule.as_ref().unwrap_or(&mutant.line)) {
                Some(line) if rule.is_some() => format!("{}:{line}", self.check.file),
                Some(line) => format!("{}:{line}: {}", self.check.file, mutant.line),
                None => format!("{}:{}", self.check.file, self.check.line),
            };
            (
                format!("not noticed: {}", mutant.name()),
                vec![place, format!("nothing notices that {}", mutant.meaning)],
            )
        };
        let noticed = mutated.needless.iter().map(|name| {
            let hint =
                "a test notices it, or no row can make it: remove it from `accept`".to_owned();
            (format!("accepted without need: {name}"), vec![hint])
        });
        mutated.survivors.iter().map(survivor).chain(noticed).collect()
    }

    /// Where a person looks first: at the test that failed, else at the check.
    fn place(&self) -> Place {
        let failed = self.tests.iter().find_map(|tested| match (&tested.which, &tested.result) {
            (Which::Written(_, spot), Outcome::Failed(_)) => Some(spot),
            (Which::Written(..) | Which::Free(_), _) => None,
        });
        match failed {
            Some(Spot { file, line, .. }) => Place { file: file.clone(), line: *line, column: 0 },
            None => Place { file: self.check.file.clone(), line: self.check.line, column: 0 },
        }
    }

    /// What was run of it, in a line.
    fn summary(&self) -> String {
        let ran =
            |tested: &&&Tested| !matches!(tested.result, Outcome::NotRun(_) | Outcome::Waived(_));
        let is_free = |tested: &&&Tested| !matches!(tested.which, Which::Written(..));
        let written = self.tests.iter().filter(ran).filter(|t| !is_free(t)).count();
        let free: Vec<&str> =
            self.tests.iter().filter(ran).filter(is_free).map(|t| name(t)).collect();
        let is_live = self.tests.iter().all(|tested| tested.which == Which::Free(Free::Tiling));
        let mut parts = match written {
            0 if is_live => Vec::new(),
            0 => vec!["no test written".to_owned()],
            many => vec![plural(many, "test")],
        };
        parts.extend(free.iter().map(|name| (*name).to_owned()));
        if let Some((mutated, score)) = self.mutated.and_then(|m| Some((m, m.score()?))) {
            let all = mutated.killed + mutated.survivors.len();
            parts.push(format!("{score} % of {} noticed", plural(all, "mistake")));
        }
        parts.join(", ")
    }
}

/// The line of a file, from 1, on which a text stands, from another line on.
fn line(text: &str, from: u64, wanted: &str) -> Option<usize> {
    let from = usize::try_from(from).ok()?;
    let lines = || text.lines().enumerate().skip(from.saturating_sub(1));
    // The next check begins where another id does.
    let end = lines().skip(1).find(|(_, line)| line.trim_start().starts_with("- id:"));
    let end = end.map_or(usize::MAX, |(at, _)| at);
    let lines = || lines().take_while(|(at, _)| *at < end);
    // The very line, before one of which it is a part.
    let whole = lines().find(|(_, line)| line.trim() == wanted);
    // A key, and not the end of a longer one.
    let is_key = |line: &str| {
        line.match_indices(wanted)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let found = whole.or_else(|| lines().find(|(_, line)| is_key(line)));
    found.filter(|_| !wanted.is_empty()).map(|(at, _)| at + 1)
}

fn state(result: &Outcome) -> State {
    match result {
        Outcome::Failed(_) => State::Failed,
        Outcome::NotRun(_) => State::Error,
        Outcome::Waived(_) => State::Skipped,
        Outcome::Passed => State::Passed,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Failed => "failed",
        State::Error => "not run",
        State::Skipped => "switched off",
        State::Warned => "weak",
        State::Passed => "passed",
    }
}

fn name(tested: &Tested) -> &str {
    match &tested.which {
        Which::Written(name, _) => name,
        Which::Free(free) => free.as_str(),
    }
}

fn lines(result: &Outcome) -> Vec<String> {
    match result {
        Outcome::Passed => Vec::new(),
        Outcome::Failed(lines) => {
            lines.iter().flat_map(|line| line.lines()).map(str::to_owned).collect()
        }
        Outcome::Waived(why) | Outcome::NotRun(why) => why.lines().map(str::to_owned).collect(),
    }
}

/// In words.
pub(super) fn text(report: &Tests) -> String {
    let paint = Paint::of_stdout();
    let mut groups = groups(report);
    groups.sort_by_key(|group| std::cmp::Reverse(group.state()));
    let mut text = String::new();
    for group in &groups {
        let state = group.state();
        let shown = format!("{:<8}", word(state));
        let shown = match state {
            State::Failed => paint.red(&shown),
            State::Error | State::Warned => paint.yellow(&shown),
            State::Passed | State::Skipped => paint.green(&shown),
        };
        let _ = writeln!(text, "{shown} {}  {}", group.check.id, group.summary());
        for tested in &group.tests {
            if matches!(tested.result, Outcome::Passed) {
                continue;
            }
            let place = match &tested.which {
                Which::Written(_, Spot { file, line, .. }) => format!("  {file}:{line}"),
                Which::Free(_) => String::new(),
            };
            let _ = writeln!(
                text,
                "    {}: {}{place}",
                word(self::state(&tested.result)),
                name(tested)
            );
            for line in lines(&tested.result) {
                let _ = writeln!(text, "        {}", paint.wrapped(&line, 8));
            }
        }
        if let Some(short) = &group.short {
            let _ = writeln!(text, "    failed: mutants\n        {short}");
        }
        for (head, lines) in group.mutants() {
            let _ = writeln!(text, "    {}", paint.wrapped(&head, 8));
            for line in lines {
                let _ = writeln!(text, "        {}", paint.wrapped(&line, 8));
            }
        }
        text.push_str(&group.found());
    }
    let _ = writeln!(text, "{}", title(report));
    text
}

/// How it is, in a line.
fn title(report: &Tests) -> String {
    let (groups, tested) = (groups(report), &report.tested);
    let of = |wanted: State| groups.iter().filter(|group| group.state() == wanted).count();
    let run =
        tested.iter().filter(|t| matches!(state(&t.result), State::Passed | State::Failed)).count();
    let (checks, tests) = (plural(groups.len(), "check"), plural(run, "test"));
    if groups.is_empty() {
        return "nothing was tested: there is no check".to_owned();
    }
    let weak = of(State::Warned);
    let passed = of(State::Passed) + weak + of(State::Skipped);
    let (failed, not_run) = (of(State::Failed), of(State::Error));
    let weak = if weak > 0 { format!(" ({weak} weak)") } else { String::new() };
    let unwritten = groups.iter().filter(|group| !group.is_written()).count();
    let unwritten = match unwritten {
        0 => String::new(),
        1 => ", 1 without a written test".to_owned(),
        many => format!(", {many} without a written test"),
    };
    let mut title = format!(
        "{checks}: {passed} passed{weak}, {failed} failed, {not_run} not wholly tested{unwritten}; {tests} run"
    );
    if !report.mutated.is_empty() {
        let killed: usize = report.mutated.iter().map(|m| m.killed).sum();
        let survived: usize = report.mutated.iter().map(|m| m.survivors.len()).sum();
        let accepted: usize = report.mutated.iter().map(|m| m.accepted.len()).sum();
        let _ = write!(
            title,
            "; of {} the tests notice {killed}, {accepted} are accepted",
            plural(killed + survived + accepted, "mistake")
        );
    }
    title
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// For programs.
pub(super) fn json(report: &Tests) -> Value {
    let checks = groups(report).into_iter().map(|group| {
        let tests = group.tests.iter().map(|tested| {
            let (kind, place) = match &tested.which {
                Which::Written(_, place) => ("written", Some(place)),
                Which::Free(_) => ("free", None),
            };
            json!({
                "name": name(tested),
                "kind": kind,
                "result": word(state(&tested.result)).replace(' ', "_"),
                "found": lines(&tested.result),
                "file": place.map(|place| &place.file),
                "line": place.map(|place| place.line),
                "took_ms": u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX),
            })
        });
        json!({
            "check": group.check.id.as_str(),
            "owner": group.check.owner.as_str(),
            "severity": group.check.severity.as_str(),
            "result": word(group.state()).replace(' ', "_"),
            "tests": tests.collect::<Vec<_>>(),
            "mutants": group.mutated.map(mutants),
            "falls_short": group.short,
        })
    });
    json!({"format": 1, "checks": checks.collect::<Vec<_>>()})
}

fn mutants(mutated: &Mutated) -> Value {
    let told = |mutant: &Mutant| {
        json!({
            "name": mutant.name(),
            "part": mutant.part,
            "change": mutant.change,
            "line": mutant.line,
            "meaning": mutant.meaning,
        })
    };
    json!({
        "score": mutated.score(),
        "noticed": mutated.killed,
        "not_run": mutated.stillborn,
        "not_noticed": mutated.survivors.iter().map(told).collect::<Vec<_>>(),
        "accepted": mutated.accepted.iter().map(|(mutant, because)| {
            json!({"name": mutant.name(), "because": because})
        }).collect::<Vec<_>>(),
        "accepted_without_need": mutated.needless,
        "found": mutated.found.iter().map(|found| {
            json!({"name": found.mutant, "test": found.yaml})
        }).collect::<Vec<_>>(),
        "took_ms": u64::try_from(mutated.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// For continuous integration.
pub(super) fn report(report: &Tests) -> Report {
    let suites = groups(report).into_iter().map(|group| {
        let state = group.state();
        let case = |tested: &&Tested| {
            let state = self::state(&tested.result);
            Case {
                state,
                name: name(tested).to_owned(),
                word: word(state).to_owned(),
                found: lines(&tested.result),
                took: tested.took,
            }
        };
        let told = |tested: &&Tested| {
            let name = name(tested).to_owned();
            lines(&tested.result).into_iter().map(move |line| format!("{name}: {line}"))
        };
        let bad = group
            .tests
            .iter()
            .copied()
            .filter(|t| matches!(state_of(t), State::Failed | State::Error));
        let weak = group
            .mutants()
            .into_iter()
            .map(|(head, lines)| format!("{head} ({})", lines.join("; ")));
        let found = Some(group.found()).filter(|found| !found.is_empty());
        let weak: Vec<String> = group.short.iter().cloned().chain(weak).chain(found).collect();
        let mutants = group.mutated.map(|mutated| {
            let state = match (&group.short, mutated.survivors.is_empty()) {
                (Some(_), _) => State::Failed,
                (None, false) => State::Warned,
                (None, true) => State::Passed,
            };
            let (word, found, took) = (word(state).to_owned(), weak.clone(), mutated.took);
            Case { state, name: "mutants".to_owned(), word, found, took }
        });
        Suite {
            state,
            name: group.check.id.to_string(),
            word: word(state),
            severity: group.check.severity.to_string(),
            owner: group.check.owner.to_string(),
            why: group.check.why.trim().to_owned(),
            seen: group.summary(),
            found: bad.flat_map(|tested| told(&tested)).chain(weak.clone()).collect(),
            place: Some(group.place()),
            cases: group.tests.iter().map(case).chain(mutants).collect(),
        }
    });
    Report::new(title(report), suites.collect())
}

fn state_of(tested: &Tested) -> State {
    state(&tested.result)
}
