//! The XML in which unit tests are reported, as servers of continuous integration read it: a suite for each check, a
//! case for each window. What is not confirmed is an error, what is violated a failure: a report without either is a
//! proof.
//!
//! Elements and attributes are those of the schema that Jenkins publishes (`junit-10.xsd`): one that it does not know
//! makes a strict reader refuse the file.

use std::io;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::cli::ci::{Case, Place, Report, State, Suite};

type Xml = Writer<Vec<u8>>;

pub(super) fn write(report: &Report) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    match all(&mut xml, report) {
        Ok(()) => String::from_utf8_lossy(&xml.into_inner()).into_owned() + "\n",
        Err(error) => format!("<!-- the report was not made: {error} -->\n"),
    }
}

fn all(xml: &mut Xml, report: &Report) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let cases: Vec<&Case> = report.suites.iter().flat_map(|suite| &suite.cases).collect();
    let [tests, failures, errors, _] = counts(&cases);
    let secs = took(&cases);
    let attributes = [
        ("name", "allswell"),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
        ("errors", errors.as_str()),
        ("time", secs.as_str()),
    ];
    let element = xml.create_element("testsuites").with_attributes(attributes);
    element.write_inner_content(|xml| report.suites.iter().try_for_each(|one| suite(xml, one)))?;
    Ok(())
}

fn suite(xml: &mut Xml, suite: &Suite) -> io::Result<()> {
    let cases: Vec<&Case> = suite.cases.iter().collect();
    let [tests, failures, errors, skipped] = counts(&cases);
    let (name, secs) = (legal(&suite.name), took(&cases));
    let attributes = [
        ("name", name.as_str()),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
        ("errors", errors.as_str()),
        ("skipped", skipped.as_str()),
        ("time", secs.as_str()),
    ];
    let element = xml.create_element("testsuite").with_attributes(attributes);
    element
        .write_inner_content(|xml| suite.cases.iter().try_for_each(|one| case(xml, suite, one)))?;
    Ok(())
}

fn case(xml: &mut Xml, suite: &Suite, case: &Case) -> io::Result<()> {
    let (name, class, secs) = (legal(&case.name), legal(&suite.name), took(&[case]));
    let attributes =
        [("name", name.as_str()), ("classname", class.as_str()), ("time", secs.as_str())];
    let element = xml.create_element("testcase").with_attributes(attributes);
    let lines = legal(&case.found.join("\n"));
    let first = legal(case.found.first().map_or(case.word.as_str(), String::as_str));
    let kind = match case.state {
        State::Passed => {
            element.write_empty()?;
            return Ok(());
        }
        State::Failed => "failure",
        State::Error => "error",
        State::Skipped => "skipped",
        State::Warned => "system-out",
    };
    element.write_inner_content(|xml| {
        let element = xml.create_element(kind);
        match case.state {
            State::Skipped => element.with_attribute(("message", lines.as_str())).write_empty(),
            State::Warned | State::Passed => element.write_text_content(BytesText::new(&lines)),
            State::Failed | State::Error => element
                .with_attributes([("type", case.word.as_str()), ("message", first.as_str())])
                .write_text_content(BytesText::new(&legal(&described(suite, case)))),
        }
        .map(drop)
    })?;
    Ok(())
}

/// How many cases there are, fail, cannot be told, and are taken out.
fn counts(cases: &[&Case]) -> [String; 4] {
    let count = |state| cases.iter().filter(|case| case.state == state).count().to_string();
    [cases.len().to_string(), count(State::Failed), count(State::Error), count(State::Skipped)]
}

/// How long they took, in seconds.
fn took(cases: &[&Case]) -> String {
    let took: Duration = cases.iter().map(|case| case.took).sum();
    format!("{:.3}", took.as_secs_f64())
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

/// The text without what XML 1.0 cannot have (§2.2), whatever stands in data.
fn legal(text: &str) -> String {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_legal(c) { c } else { '\u{fffd}' }).collect()
}
