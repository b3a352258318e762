//! Alerts as an Alertmanager holds them: which record they follow from, and what it does with them.
//!
//! Each alert says which ledger it follows from, and of which installation that is. So a daemon whose ledger was lost
//! finds the alerts that no daemon would keep up any more, and one that shares its labels with another daemon finds that
//! out.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::alert::{Fingerprint, Labels};
use crate::domain::record::standing::Alarm;

/// The annotation with the ledger's id.
pub const LEDGER: &str = "ledger";
/// The annotation with the installation's labels.
pub const INSTALLATION: &str = "installation";
/// The annotation of the watchdog's alert that says up to when the ledger had attempts.
pub const SEQUENCE: &str = "sequence";
/// What goes out and comes back.
pub const WATCHDOG: &str = "AllswellWatchdog";
/// How much later than the first look an alert has to be updated: clocks say whole seconds.
const LATER: TimeDelta = TimeDelta::seconds(2);
/// How long after it was sent last an alert is taken to be kept up.
const KEPT: TimeDelta = TimeDelta::minutes(10);

/// An alert that an Alertmanager holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAlert {
    /// Its labels.
    pub labels: Labels,
    /// What is told of it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it stands.
    pub starts_at: DateTime<Utc>,
    /// When it was sent last, by the Alertmanager's clock.
    pub updated_at: DateTime<Utc>,
    /// What is done with it.
    pub handling: Handling,
}

/// What an Alertmanager does with an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handling {
    /// The receivers that its routes name.
    pub receivers: Vec<String>,
    /// The silences that hold it back.
    pub silenced_by: Vec<String>,
    /// Whether another alert holds it back.
    pub is_inhibited: bool,
    /// Whether a time interval of its route holds it back.
    pub is_muted: bool,
}

/// Everything of allswell that an Alertmanager held before this process sent anything to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstLook {
    /// The alerts.
    pub alerts: Vec<SeenAlert>,
    /// When that was, by the Alertmanager's clock.
    pub at: DateTime<Utc>,
}

/// An installation by its labels, as alerts carry it.
pub fn installation(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

impl SeenAlert {
    /// What Alertmanager calls it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.labels.fingerprint()
    }

    /// Which alert about a series it is; nothing where it is about something else.
    pub fn alarm(&self) -> Option<Alarm> {
        let is = |alarm: &Alarm| alarm.alertname() == self.labels.get("alertname");
        [Alarm::Violated, Alarm::Unconfirmed].into_iter().find(is)
    }

    /// The ledger that it follows from, where it is of this installation.
    pub fn ledger_in(&self, installation: &str) -> Option<&str> {
        let theirs = self.annotations.get(INSTALLATION).map_or("", String::as_str);
        let ledger = self.annotations.get(LEDGER).map(String::as_str);
        ledger.filter(|_| theirs == installation)
    }

    /// Says whether another ledger keeps it up under the labels of this installation: it was sent since the first look, and
    /// not long before it was listed.
    pub fn is_kept_by_another(
        &self,
        (installation, ours): (&str, &str),
        (first, now): (DateTime<Utc>, DateTime<Utc>),
    ) -> bool {
        let is_anothers = self.ledger_in(installation).is_some_and(|theirs| theirs != ours);
        is_anothers && self.updated_at > first + LATER && now - self.updated_at < KEPT
    }

    /// Up to when its ledger had attempts, where it is the watchdog's.
    pub fn sequence(&self) -> Option<DateTime<Utc>> {
        let is_watchdog = self.labels.get("alertname") == WATCHDOG;
        let micros = self.annotations.get(SEQUENCE).filter(|_| is_watchdog)?.parse().ok()?;
        DateTime::from_timestamp_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(pairs: &[(&str, &str)], annotations: &[(&str, &str)], updated: i64) -> SeenAlert {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
        SeenAlert {
            labels: Labels::new(pairs.iter().map(owned)),
            annotations: annotations.iter().map(owned).collect(),
            starts_at: at(0),
            updated_at: at(updated),
            handling: Handling::default(),
        }
    }

    #[test]
    fn another_ledger_under_the_same_labels_is_told_from_ours_and_from_other_installations() {
        let first = DateTime::from_timestamp(100, 0).unwrap();
        let labels = BTreeMap::from([("cluster".to_owned(), "a".to_owned())]);
        let ours = installation(&labels);
        let name = [("alertname", "AllswellViolated"), ("cluster", "a")];
        let of = |ledger, installation, updated| {
            let annotations = [("ledger", ledger), ("installation", installation)];
            let times = (first, first + TimeDelta::minutes(5));
            alert(&name, &annotations, updated).is_kept_by_another((&ours, "l1"), times)
        };
        assert!(of("l2", "cluster=a", 103));
        assert!(!of("l2", "cluster=a", 101), "it was not sent since");
        assert!(!of("l1", "cluster=a", 103), "it is ours");
        assert!(!of("l2", "cluster=b", 103), "another installation");
        let earlier = alert(&name, &[], 103);
        assert!(!earlier.is_kept_by_another((&ours, "l1"), (first, first)), "an earlier release");
        let stopped = alert(&name, &[("ledger", "l2"), ("installation", "cluster=a")], 103);
        let later = first + TimeDelta::minutes(11);
        assert!(!stopped.is_kept_by_another((&ours, "l1"), (first, later)), "it was stopped");
    }

    #[test]
    fn only_the_watchdog_says_how_far_its_ledger_was() {
        let sequence = [("sequence", "1000000")];
        assert!(alert(&[("alertname", "AllswellWatchdog")], &sequence, 0).sequence().is_some());
        assert!(alert(&[("alertname", "AllswellViolated")], &sequence, 0).sequence().is_none());
    }
}
