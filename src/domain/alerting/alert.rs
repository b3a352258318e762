//! An alert as it stands outside: whom it is about, and what a person needs to know at night.
//!
//! Its labels are its name: two alerts with the same labels are one. What is told of it may change
//! as often as anybody learns more.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::check::{Check, Severity};
use crate::domain::record::standing::Alarm;

/// How much is told of one alert at most, in bytes: receivers cut or refuse what is longer
/// (docs/internals/alertmanager.md, "Identity and size").
const TOLD_MAX: usize = 4 * 1024;
/// How much of what was found the first line has, in bytes.
const WHAT_MAX: usize = 200;
/// How long one line of it may be, in bytes.
const LINE_MAX: usize = 600;

/// The labels of an alert: none is empty, because an empty label is no label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Takes labels; those without a value are left out, and of two with one name the later one holds.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(labels.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// All of them, by name.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// One of them; nothing where it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// What Alertmanager calls an alert with these labels: FNV-1a over names and values, each with a
    /// byte 0xFF after it (docs/internals/alertmanager.md, "Identity and size").
    pub fn fingerprint(&self) -> Fingerprint {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let end = [0xff];
        let parts = self.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let bytes = parts.flat_map(|part| part.bytes().chain(end));
        Fingerprint(bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

/// What an alert is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Reads one as it is written; nothing where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An alert that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Whom it is about.
    pub labels: Labels,
    /// What is told of it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it stands: the same after any restart.
    pub starts_at: DateTime<Utc>,
    /// Where there is more to see.
    pub link: Option<String>,
}

impl Alarm {
    /// What its alert is called.
    pub fn alertname(self) -> &'static str {
        match self {
            Self::Violated => "AllswellViolated",
            Self::Unconfirmed => "AllswellUnconfirmed",
        }
    }

    /// How bad it is for a check.
    pub fn severity(self, check: &Check) -> Severity {
        match self {
            Self::Violated => check.severity,
            Self::Unconfirmed => check.alert.unconfirmed.unwrap_or(check.severity),
        }
    }
}

/// What an alert about a series says in its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Which of its two alerts.
    pub alarm: Alarm,
    /// How bad it is.
    pub severity: Severity,
    /// The cause that it began with, where no waiting mends it.
    pub cause: Option<Cause>,
}

/// The labels of the alert about a series.
///
/// `more` are those of the installation; neither they nor the team's own change what the alert is about. The cause is
/// the one that it began with, where no waiting mends that: one lost grant is one group of alerts.
pub fn labels(
    check: &Check,
    tz: Option<&str>,
    about: &About,
    more: &BTreeMap<String, String>,
) -> Labels {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let teams = check.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let other = check.sources().into_iter().find(|source| **source != check.source);
    let ours = [
        ("alertname", about.alarm.alertname()),
        ("check", check.id.as_str()),
        ("tz", tz.unwrap_or("")),
        ("owner", check.owner.as_str()),
        ("severity", about.severity.as_str()),
        ("source", check.source.as_str()),
        ("other_source", other.map_or("", |source| source.as_str())),
        ("cause", about.cause.map_or("", Cause::as_str)),
    ];
    let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::new(more.chain(teams).chain(ours).map(owned))
}

/// What is known of a series, as far as an alert tells it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Since when it stands.
    pub since: DateTime<Utc>,
    /// How many of its windows are bad in this way.
    pub open: u64,
    /// The newest of them, in words.
    pub newest: &'a [String],
    /// What the last attempt said.
    pub last: Option<&'a str>,
    /// When it was confirmed last.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// In how many zones the check is bad in this way, and in how many it looks.
    pub zones: (usize, usize),
    /// Where its source is.
    pub place: Option<&'a str>,
    /// Whether it cannot be proved at all, before its deadline too.
    pub fails: bool,
    /// Where the manual tells what the alert means, where that is known.
    pub manual: Option<&'a str>,
}

/// What is told of a series that is not well.
pub fn annotations(
    check: &Check,
    tz: Option<&str>,
    alarm: Alarm,
    known: &Known<'_>,
) -> BTreeMap<String, String> {
    let Known { since, open, newest, last, confirmed_at, zones, .. } = *known;
    let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let zone = tz.map(|tz| format!(" in {tz}")).unwrap_or_default();
    // In one word for a look at the present, and in one for windows.
    let (looks, windows) = match alarm {
        Alarm::Violated => ("violated", "violated"),
        Alarm::Unconfirmed if known.fails => {
            ("cannot run", "without a result: the check cannot run")
        }
        Alarm::Unconfirmed => ("no result in time", "without a result in time"),
    };
    // A check that looks each minute is wrong since then, and not four hundred times.
    let how = match (&check.window, open) {
        (None, _) => looks.to_owned(),
        (Some(_), 1) => format!("1 window {windows}"),
        (Some(_), open) => format!("{open} windows {windows}"),
    };
    // One zone of many is another fault than all of them.
    let of = match zones {
        (bad, all) if tz.is_some() && all > 1 => format!(" ({bad} of {all} zones)"),
        _ => String::new(),
    };
    // A pager shows this line, and may show no other.
    let what = newest.first().map(|line| format!(": {}", cut(line, WHAT_MAX))).unwrap_or_default();
    let summary = format!("{}{zone}: {how}, since {}{of}{what}", check.id, at(since));
    let mut lines = vec![format!("Why it matters: {}", check.why.trim())];
    lines.push(match alarm {
        Alarm::Violated => "The data is wrong. Open, newest first:".to_owned(),
        Alarm::Unconfirmed => {
            "The check has no result: the data may be right or wrong. Open, newest first:"
                .to_owned()
        }
    });
    // Looks at the present say the same again and again: the newest one says it.
    let most = if check.window.is_some() { newest.len() } else { 1 };
    lines.extend(newest.iter().take(most).map(|line| format!("- {line}")));
    let shown = u64::try_from(newest.len()).unwrap_or(u64::MAX);
    if open > shown && check.window.is_some() {
        lines.push(format!("- and {} more", open - shown));
    }
    if let Some(last) = last.filter(|_| newest.is_empty()) {
        lines.push(format!("Last: {last}"));
    }
    lines.push(match confirmed_at {
        Some(last) => {
            format!("First seen at {}. The check last passed at {}.", at(since), at(last))
        }
        None => format!("First seen at {}. The check has never passed.", at(since)),
    });
    let mut told = BTreeMap::from([
        ("summary".to_owned(), cut(&summary, LINE_MAX)),
        ("since".to_owned(), at(since)),
    ]);
    if check.window.is_some() {
        told.insert("windows_open".to_owned(), open.to_string());
    }
    // What the team wrote down is nearer than what the manual says.
    if let Some(runbook) = check.runbook.as_deref().or(known.manual) {
        told.insert("runbook_url".to_owned(), cut(runbook, LINE_MAX));
    }
    let used: usize = told.iter().map(|(name, value)| name.len() + value.len()).sum();
    let lines: Vec<String> = lines.iter().map(|line| cut(line, LINE_MAX)).collect();
    let next = next_steps(check, tz, known.place);
    // However much was found, what to do stands below it.
    let most = (TOLD_MAX - used - 17).saturating_sub(next.len());
    told.insert("description".to_owned(), format!("{}\n{next}", cut(&lines.join("\n"), most)));
    told
}

/// Whose it is, where it is declared, and what a person types next.
fn next_steps(check: &Check, tz: Option<&str>, place: Option<&str>) -> String {
    // Without a window the next look is another one, and is found wrong again.
    let waive = match check.window.is_some() {
        true => format!(
            "\nTo accept what was found, until a date: allswell waive {}{} --until DATE --because WHY --by NAME",
            check.id,
            tz.map(|tz| format!(" --zone {tz}")).unwrap_or_default()
        ),
        false => String::new(),
    };
    let in_all = if tz.is_some() { ", in all zones" } else { "" };
    let zone = tz.map(|tz| format!(" --zone {tz}")).unwrap_or_default();
    let Check { id, owner, source, file, line, .. } = check;
    let file = cut(file, LINE_MAX);
    let place = place.map(|place| format!(" ({})", cut(place, LINE_MAX))).unwrap_or_default();
    format!(
        "Owner {owner}, source {source}{place}, declared in {file}:{line}.\n\
         To look: allswell history {id}{zone} --open\n\
         To try again, once it is mended: allswell rerun {id}{zone}\n\
         To mute it for two hours{in_all}: allswell quiet {id} --for 2h --because WHY --by NAME{waive}"
    )
}

/// The text, or as much of it as has room.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        // From a payload of Alertmanager 0.25.
        let bad_time = labels(&[("alertname", "BadTime")]);
        assert_eq!(bad_time.fingerprint().to_string(), "b1600c1a7cfeee9c");
        assert_eq!(labels(&[("alertname", "BadTime"), ("tz", "")]), bad_time);
    }

    #[test]
    fn what_is_told_is_cut_between_characters() {
        assert_eq!(cut("Zürich", 6), "Zü…");
        assert_eq!(cut("Zürich", 7), "Zürich");
        assert_eq!(cut("Zürich", 5), "Z…");
        assert_eq!(cut("Zürich", 1), "…");
    }
}
