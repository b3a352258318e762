//! Everything that could be sent, and where the routes of an Alertmanager take it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::alerting::alert::{About, Labels, labels};
use crate::domain::alerting::routing::Route;
use crate::domain::alerting::seen::WATCHDOG;
use crate::domain::check::reason::Cause;
use crate::domain::check::{Check, Severity};
use crate::domain::record::standing::Alarm;
use crate::domain::time::window::ZoneChoice;

/// The label of alerts that mean nothing: they go out and come back.
pub const DRILL: &str = "drill";
/// The label of alerts that ring a person to see whether he hears them.
pub const RING: &str = "ring";
/// The receiver that brings them back.
pub const DRILL_RECEIVER: &str = "allswell-drill";
/// The alert about a source that does not answer.
pub const SOURCE_DOWN: &str = "AllswellSourceDown";
/// The alerts that are about a source each.
const OF_SOURCES: [&str; 2] = [SOURCE_DOWN, "AllswellSourceMoved"];

/// A failure that can be drilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The data is wrong.
    Violated,
    /// There is no data.
    NoData,
    /// The source refuses connections.
    Refuse,
    /// The source takes connections, and never answers.
    Stall,
    /// Connections to the source break off.
    Reset,
    /// The source answers too slowly.
    Slow,
    /// The password does not fit.
    WrongPassword,
    /// The engine stands still.
    Frozen,
    /// One of two Alertmanagers is away.
    AlertmanagerAway,
    /// The clock of the host is set back by a day.
    ClockBack,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Violated,
        Self::NoData,
        Self::Refuse,
        Self::Stall,
        Self::Reset,
        Self::Slow,
        Self::WrongPassword,
        Self::Frozen,
        Self::AlertmanagerAway,
        Self::ClockBack,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::NoData => "no_data",
            Self::Refuse => "refuse",
            Self::Stall => "stall",
            Self::Reset => "reset",
            Self::Slow => "slow",
            Self::WrongPassword => "wrong_password",
            Self::Frozen => "frozen",
            Self::AlertmanagerAway => "alertmanager_away",
            Self::ClockBack => "clock_back",
        }
    }
}

impl Failure {
    /// What it is, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::Violated => "the data is wrong",
            Self::NoData => "the tables are empty",
            Self::Refuse => "the source refuses connections; a file is gone",
            Self::Stall => "the source takes connections and never answers; a file is locked",
            Self::Reset => "connections to the source break off",
            Self::Slow => "the source answers too slowly",
            Self::WrongPassword => "the password does not fit",
            Self::Frozen => "the engine stands still",
            Self::AlertmanagerAway => {
                "one of two Alertmanagers is away, and the source refuses connections"
            }
            Self::ClockBack => "the clock of the host is set back by a day",
        }
    }
}

/// Owners as a label has them: `,billing,shop,`, so that a route finds one by `.*,billing,.*`.
pub fn owners_label(owners: &BTreeSet<&str>) -> String {
    if owners.is_empty() {
        return String::new();
    }
    let owners: Vec<&str> = owners.iter().copied().collect();
    format!(",{},", owners.join(","))
}

/// A kind of alert: what routes usually go by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Its name.
    pub alertname: String,
    /// How bad it is.
    pub severity: String,
    /// Whose it is; empty where it is about the daemon.
    pub owner: String,
}

impl Kind {
    /// The kind of an alert.
    pub fn of(labels: &Labels) -> Self {
        let [alertname, severity, owner] =
            ["alertname", "severity", "owner"].map(|name| labels.get(name).to_owned());
        Self { alertname, severity, owner }
    }

    /// Says whether a person has to get up for it.
    pub fn is_critical(&self) -> bool {
        self.severity == Severity::Critical.as_str()
    }
}

/// Every set of labels with which an alert about a check can be sent: by its zones, and by the causes that alert early.
/// The zones of a list are not known here: they are left out.
fn of_check(check: &Check, more: &BTreeMap<String, String>) -> Vec<Labels> {
    let zones = check.window.as_ref().map(|window| &window.zones);
    let zones: Vec<Option<&str>> = match zones {
        Some(ZoneChoice::Each(zones)) => zones.iter().map(|zone| Some(zone.as_str())).collect(),
        Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::From(_)) | None => vec![None],
    };
    let mut all = Vec::new();
    for tz in zones {
        for (alarm, cause) in [
            (Alarm::Violated, None),
            (Alarm::Unconfirmed, None),
            (Alarm::Unconfirmed, Some(Cause::QueryError)),
        ] {
            let about = About { alarm, severity: alarm.severity(check), cause };
            all.push(labels(check, tz, &about, more));
        }
    }
    all
}

/// Every set of labels with which an alert can be sent.
pub fn all<'c>(
    checks: impl Iterator<Item = &'c Check>,
    own: &[(&str, &str)],
    more: &BTreeMap<String, String>,
) -> Vec<Labels> {
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut all = Vec::new();
    for check in checks {
        for source in check.sources() {
            owners.entry(source.as_str()).or_default().insert(check.owner.as_str());
        }
        all.extend(of_check(check, more));
    }
    for (name, severity) in own {
        let ours = [("alertname", *name), ("severity", *severity)];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels: BTreeMap<String, String> = more.clone().into_iter().chain(ours).collect();
        if !OF_SOURCES.contains(name) {
            all.push(Labels::new(labels));
            continue;
        }
        for (source, owners) in &owners {
            let is_down = *name == SOURCE_DOWN;
            let owners = if is_down { owners_label(owners) } else { String::new() };
            let about = [("source", (*source).to_owned()), ("owners", owners)];
            let about = about.map(|(name, value)| (name.to_owned(), value));
            all.push(Labels::new(labels.clone().into_iter().chain(about)));
        }
    }
    all
}

/// Who is told of a kind of alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The receivers.
    pub receivers: Vec<String>,
    /// Whether one of them tells anybody.
    pub is_heard: bool,
    /// Whether only the first route takes it.
    pub is_default: bool,
    /// Whether a time interval mutes it now and then.
    pub is_muted_at_times: bool,
}

/// Where each kind of alert goes, and of how many checks.
pub type Destinations = BTreeMap<(Destination, Kind), BTreeSet<String>>;

/// Where everything goes by these routes, where these receivers tell a person.
pub fn destinations(
    all: &[Labels],
    routes: &Route,
    notifying: &BTreeMap<String, bool>,
) -> Destinations {
    let mut destinations = Destinations::new();
    for labels in all {
        let taken = routes.taken(labels.all());
        let receivers: BTreeSet<String> =
            taken.iter().map(|taken| taken.receiver.clone()).collect();
        let destination = Destination {
            is_heard: receivers.iter().any(|receiver| notifying.get(receiver) == Some(&true)),
            receivers: receivers.into_iter().collect(),
            is_default: taken.iter().all(|taken| taken.is_default),
            is_muted_at_times: taken.iter().any(|taken| taken.is_muted_at_times),
        };
        let checks = destinations.entry((destination, Kind::of(labels))).or_default();
        let check = labels.get("check");
        checks.extend((!check.is_empty()).then(|| check.to_owned()));
    }
    destinations
}

/// Says whether what proves the way reaches a person: it comes twice a minute.
pub fn rings_all_night(routes: &Route, notifying: &BTreeMap<String, bool>) -> Option<String> {
    let watchdog = BTreeMap::from([("alertname".to_owned(), WATCHDOG.to_owned())]);
    let taken = routes.taken(&watchdog);
    // Where addresses are not shown, the receiver that only brings it back cannot be told from another one.
    let only = taken
        .iter()
        .map(|taken| &taken.receiver)
        .find(|receiver| notifying.get(*receiver) == Some(&true));
    only.filter(|_| taken.iter().any(|taken| taken.is_default)).cloned()
}
