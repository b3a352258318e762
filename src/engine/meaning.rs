//! What a check means, and how it is asked: two digests, so that a new label is no new check and a
//! new limit is.

use std::fmt::Write as _;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::domain::check::evidence::Evidence;
use crate::domain::check::{Body, Check, Severity};
use crate::domain::time::duration::delta;
use crate::domain::time::window::ZoneChoice;
use crate::ledger::Traits;
use crate::manifest::{Engines, Text};

/// The longest that a proof under a new meaning may take where the check does not say.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

/// Returns what the ledger knows of a check.
pub(super) fn traits(check: &Check, engines: &Engines) -> Traits {
    Traits {
        meaning: meaning(check, engines),
        presentation: presentation(check),
        source: check.source.as_str().to_owned(),
        priority: priority(check.severity),
        patience: check.result_by.map_or(PATIENCE, delta),
        list_source: match check.window.as_ref().map(|window| &window.zones) {
            Some(ZoneChoice::From(from)) => Some(from.source.as_str().to_owned()),
            Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_)) | None => None,
        },
    }
}

/// The order in which checks are looked at: critical ones first.
pub(super) fn priority(severity: Severity) -> i64 {
    match severity {
        Severity::Critical => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    }
}

/// The digest of what is proved: where, by which SQL, in which windows, and what it is held against.
/// A later release may write these parts otherwise; then each check is proved once more.
pub fn meaning(check: &Check, engines: &Engines) -> String {
    let mut text = String::new();
    let engine = |source| engines.get(source).map(|engine| format!("{engine:?}"));
    for source in check.sources() {
        let _ = write!(text, "{source} {:?};", engine(source));
    }
    let Check { body, evidence, window, max_rows, .. } = check;
    let frame = window.as_ref().map(|w| (w.frame, w.split));
    let list = window.as_ref().and_then(|w| match &w.zones {
        ZoneChoice::From(from) => Some(from),
        // A zone more or less is a series more or less, and means nothing else for the others.
        ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_) => None,
    });
    let _ = match body {
        Body::Sql { query, expect } => write!(text, "{query:?};{expect:?}"),
        Body::Reconcile(reconcile) => write!(text, "{reconcile:?}"),
        Body::Table(table) => write!(text, "{:?}", table.rules()),
    };
    let Evidence { measure, minimum, scope, history } = evidence;
    let evidence =
        format!("Evidence {{ measure: {measure:?}, minimum: {minimum:?}, scope: {scope:?} }}");
    let _ = write!(text, ";{evidence};{frame:?};{list:?};{max_rows:?}");
    // What said nothing of it before this release goes on to mean what it meant.
    if let Some(query) = &check.freshness.complete_until {
        let _ = write!(text, ";{query:?}");
    }
    if let Some(history) = history {
        let _ = write!(text, ";{history}");
    }
    if let Some(past) = window.as_ref().and_then(|rule| rule.past) {
        let _ = write!(text, ";past {past}");
    }
    digest(&text)
}

/// The digest of how and when it is asked, and how it is shown.
fn presentation(check: &Check) -> String {
    let Check { owner, severity, labels, runbook, source, schedule, pause, alert, .. } = check;
    digest(&format!(
        "{owner};{severity};{labels:?};{runbook:?};{source};{schedule:?};{pause:?};{alert:?}"
    ))
}

/// The digest of a catalogue: of its files, and of the engines that it is read for.
pub(super) fn catalogue_digest(texts: &[Text], engines: &Engines) -> String {
    let mut all = format!("{engines:?}");
    for Text { file, text } in texts {
        let _ = write!(all, "\n{file}\n{}\n{text}", text.len());
    }
    digest(&all)
}

/// A digest of a text.
pub fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
