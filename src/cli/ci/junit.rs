//! The XML in which unit tests are reported, as servers of continuous integration read it: a suite for each check, a
//! case for each window. What is not confirmed is an error, what is violated a failure: a report without either is a
//! proof.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use crate::cli::ci::{Case, Place, Report, State, Suite};

pub(super) fn write(report: &Report) -> String {
    let mut junit = Junit::new("allswell");
    junit.add_test_suites(report.suites.iter().map(suite));
    let took: Duration = report.suites.iter().flat_map(|s| &s.cases).map(|case| case.took).sum();
    junit.set_time(took);
    junit.to_string().unwrap_or_else(|error| format!("<!-- the report was not made: {error} -->\n"))
}

fn suite(suite: &Suite) -> TestSuite {
    let mut made = TestSuite::new(suite.name.as_str());
    made.add_test_cases(suite.cases.iter().map(|one| case(suite, one)));
    made.set_time(suite.cases.iter().map(|case| case.took).sum());
    made
}

fn case(suite: &Suite, case: &Case) -> TestCase {
    let lines = || case.found.join("\n");
    let status = match case.state {
        State::Passed | State::Warned => TestCaseStatus::success(),
        State::Skipped => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(lines());
            skipped
        }
        State::Failed | State::Error => {
            let kind = match case.state {
                State::Failed => NonSuccessKind::Failure,
                State::Error | State::Warned | State::Passed | State::Skipped => {
                    NonSuccessKind::Error
                }
            };
            let mut bad = TestCaseStatus::non_success(kind);
            bad.set_type(case.word.as_str());
            bad.set_message(case.found.first().map_or(case.word.as_str(), String::as_str));
            bad.set_description(described(suite, case));
            bad
        }
    };
    let mut made = TestCase::new(case.name.as_str(), status);
    made.set_classname(suite.name.as_str()).set_time(case.took);
    if case.state == State::Warned {
        made.set_system_out(lines());
    }
    made
}

/// All that a person needs who opens the case.
fn described(suite: &Suite, case: &Case) -> String {
    let mut lines = case.found.clone();
    for (what, value) in
        [("why", &suite.why), ("owner", &suite.owner), ("severity", &suite.severity)]
    {
        if !value.is_empty() {
            lines.push(format!("{what}: {value}"));
        }
    }
    if let Some(Place { file, line, .. }) = &suite.place {
        lines.push(format!("file: {file}:{line}"));
    }
    lines.join("\n")
}
