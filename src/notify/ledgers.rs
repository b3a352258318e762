//! What is wrong with the record as such: it is a new one, an older copy of itself, or not the only one of its installation.

use chrono::{DateTime, TimeDelta, Utc};

use crate::engine::snapshot::Snapshot;
use crate::notify::another::Another;
use crate::notify::self_alerts::Symptom;

/// How long it is told that the ledger is older than it was.
const BACK_FOR: TimeDelta = TimeDelta::days(1);
/// How many alerts are named.
const NAMED: usize = 5;

pub(crate) fn symptoms(picture: &Snapshot, another: &Another, now: DateTime<Utc>) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    symptoms.extend(new_ledger(picture));
    if let Some(since) = picture.went_back_at.filter(|at| now < *at + BACK_FOR) {
        symptoms.push(Symptom {
            since: Some(since),
            ..Symptom::critical(
                "AllswellLedgerWentBack",
                "the ledger is older than it was: a copy was put back",
                "what was recorded after the copy was made is lost. Every window that it calls confirmed is proved \
                 again, newest first, as far back as catch_up.age; `allswell status` shows what is found. Waivers \
                 that were given since have to be given again."
                    .to_owned(),
            )
        });
    }
    if !another.ledgers.is_empty() {
        let ledgers: Vec<&str> = another.ledgers.iter().map(String::as_str).collect();
        symptoms.push(Symptom::critical(
            "AllswellInstallationShared",
            "another daemon tells alerts under the labels of this one",
            format!(
                "its ledger is {}, ours is {}. Give each installation `labels` of its own in allswell.yaml, for example \
                 `labels: {{cluster: eu-1}}`, or stop one of them. Alerts that the other one keeps up are not ended \
                 from here.",
                ledgers.join(", "),
                picture.ledger_id
            ),
        ));
    }
    symptoms
}

/// Alerts stand that another ledger knew of, and no one keeps up but us.
fn new_ledger(picture: &Snapshot) -> Option<Symptom> {
    let ours = picture.ledger_id.as_ref();
    let is_anothers = |row: &&crate::ledger::AlertRow| {
        row.ended_at.is_none() && row.adopted.as_ref().is_some_and(|from| from.ledger != ours)
    };
    let mut checks: Vec<String> = Vec::new();
    for row in picture.alerts.iter().filter(is_anothers) {
        let (check, tz) = (row.labels.get("check"), row.labels.get("tz"));
        checks.push(if tz.is_empty() { check.to_owned() } else { format!("{check} {tz}") });
    }
    if checks.is_empty() {
        return None;
    }
    let count = checks.len();
    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
    checks.truncate(NAMED);
    let why = format!(
        "{}{more}: kept up until each is proved again. If the ledger was lost, put it back from a copy; if a new one is \
         meant, `allswell adopt` lists them, and `allswell adopt --end CHECK --because …` ends them.",
        checks.join(", ")
    );
    let summary =
        format!("the ledger is a new one, and {count} alerts of the one before still stand");
    Some(Symptom::critical("AllswellLedgerNew", summary, why))
}
