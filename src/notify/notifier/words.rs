//! What alerts say that do not follow from a series alone: how many zones are bad, what ended, what was adopted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::alerting::alert::{Alert, cut};
use crate::domain::alerting::seen::{INSTALLATION, LEDGER, installation};
use crate::domain::record::standing::Alarm;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{Adopted, AlertRow};

/// How long the description of an alert that was adopted is at most, in bytes.
const FOUND_MAX: usize = 3_000;

/// How long the summary of one that is over is at most, in bytes.
const SUMMARY_MAX: usize = 500;

/// In how many zones checks are bad, and in how many they look.
pub(super) struct Zones<'p> {
    bad: BTreeMap<(&'p str, Alarm), usize>,
    all: BTreeMap<&'p str, usize>,
}

impl<'p> Zones<'p> {
    /// Counts those of checks that fan out and of which an alert stands.
    pub(super) fn count(picture: &'p Snapshot) -> Self {
        let mut zones = Self { bad: BTreeMap::new(), all: BTreeMap::new() };
        let standing = picture.alerts.iter().filter(|row| row.ended_at.is_none());
        for row in standing.filter(|row| !row.labels.get("tz").is_empty()) {
            let check = row.labels.get("check");
            *zones.bad.entry((check, row.alarm)).or_default() += 1;
            zones.all.entry(check).or_default();
        }
        if zones.all.is_empty() {
            return zones;
        }
        for series in picture.series.iter().filter(|series| !series.is_over()) {
            if let (Some(_), Some(count)) =
                (&series.record.tz, zones.all.get_mut(series.check.id.as_str()))
            {
                *count += 1;
            }
        }
        zones
    }

    /// Of the check of an alert, and in its way.
    pub(super) fn of(&self, row: &AlertRow) -> (usize, usize) {
        let check = row.labels.get("check");
        let bad = self.bad.get(&(check, row.alarm)).copied();
        (bad.unwrap_or_default(), self.all.get(check).copied().unwrap_or_default())
    }
}

/// An alert that ended. Where it is the first that a person hears of it, he reads what it was; and that it is over
/// before that, or it would be read as if it stood still.
pub(super) fn over(
    alert: &Alert,
    at: DateTime<Utc>,
    (closed, was_told): (Option<&str>, bool),
) -> Alert {
    let (check, tz) = (alert.labels.get("check"), alert.labels.get("tz"));
    let tz = if tz.is_empty() { String::new() } else { format!(" ({tz})") };
    let mut annotations = alert.annotations.clone();
    annotations.remove("windows_open");
    // A process that began after that does not know what was said.
    let was = |name: &str| alert.annotations.get(name).filter(|_| was_told);
    let summary = was("summary").map(|said| format!("; it was: {said}")).unwrap_or_default();
    let summary = format!("{check}{tz}: over, nothing is open any more{summary}");
    annotations.insert("summary".to_owned(), cut(&summary, SUMMARY_MAX));
    let text = format!(
        "It ended at {}, and this alert ends within a minute or so: what was open was proved, waived, or removed. \
         `allswell history {check}` says which.",
        at.format("%Y-%m-%dT%H:%M:%SZ")
    );
    let closed = closed.map(|note| format!("\nThe last of it was {note}."));
    let said = was("description").map(|said| format!("\nWhile it stood, it said:\n{said}"));
    let text = text + &closed.unwrap_or_default() + &said.unwrap_or_default();
    annotations.insert("description".to_owned(), text);
    Alert { annotations, ..alert.clone() }
}

/// Says which ledger an alert follows from, and of which installation.
pub(super) fn sign(annotations: &mut BTreeMap<String, String>, picture: &Snapshot) {
    if !picture.ledger_id.is_empty() {
        annotations.insert(LEDGER.to_owned(), picture.ledger_id.to_string());
        annotations.insert(INSTALLATION.to_owned(), installation(&picture.labels));
        annotations.retain(|_, text| !text.is_empty());
    }
}

/// An alert that stood before the ledger knew of it: what was told of it then, and how it ends.
pub(super) fn found(row: &AlertRow, adopted: &Adopted, picture: &Snapshot) -> Alert {
    let Adopted { at, words, .. } = adopted;
    let check = row.labels.get("check");
    let text = format!(
        "This alert stood already when allswell found, at {}, that its ledger knows nothing of it. It ends when {check} is \
         proved again, or by `allswell adopt --end {check} --because WHY`. Until then it said:\n{}",
        at.format("%Y-%m-%dT%H:%M:%SZ"),
        words.description,
    );
    let mut annotations = BTreeMap::from([
        ("summary".to_owned(), words.summary.clone()),
        ("description".to_owned(), cut(&text, FOUND_MAX)),
    ]);
    sign(&mut annotations, picture);
    Alert { labels: row.labels.clone(), annotations, starts_at: row.starts_at, link: None }
}

/// An alert of which nothing more is known: its check is gone.
pub(super) fn bare(row: &AlertRow, picture: &Snapshot) -> Alert {
    let summary = format!("{} {}", row.labels.get("alertname"), row.labels.get("check"));
    let mut annotations = BTreeMap::from([("summary".to_owned(), summary)]);
    sign(&mut annotations, picture);
    Alert { labels: row.labels.clone(), annotations, starts_at: row.starts_at, link: None }
}
