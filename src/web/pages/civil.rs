//! Times as pages show them: the civil time of the series, with its offset; never the browser's.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Timelike as _, Utc};

use crate::domain::time::zone::{Offset, Rules};

/// An instant, as HTML: the civil time with its offset to read, and UTC for programs and on asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Civil {
    at: DateTime<Utc>,
    offset: Offset,
}

impl Civil {
    pub(super) fn new(at: DateTime<Utc>, rules: &Rules) -> Self {
        Self { at, offset: rules.offset_at(at) }
    }

    pub(super) fn with_offset(at: DateTime<Utc>, secs: i32) -> Self {
        Self { at, offset: Offset::of_secs(secs) }
    }

    /// Of what belongs to no series: in UTC.
    pub(super) fn utc(at: DateTime<Utc>) -> Self {
        Self { at, offset: Offset::ZERO }
    }

    /// The civil time as plain text.
    pub(super) fn text(&self) -> String {
        let civil = self.offset.civil(self.at);
        let form = if civil.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
        format!("{} {}", civil.format(form), self.offset)
    }
}

/// Digits, and names of nothing that anybody wrote: safe in HTML.
impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let title = self.at.format("%Y-%m-%d %H:%M:%S UTC");
        write!(f, "<time datetime=\"{utc}\" title=\"{title}\">{}</time>", self.text())
    }
}

/// How long something is, in the two largest units that tell.
pub(super) fn lasts(delta: TimeDelta) -> String {
    let secs = delta.num_seconds().max(0);
    let (days, hours, minutes) = (secs / 86_400, secs % 86_400 / 3_600, secs % 3_600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (1..10, hours, _) => format!("{days} d {hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

/// How long ago something was.
pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", lasts(now - at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_shows_both_of_its_hours() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let change = (at("2025-11-02T06:00:00Z"), Offset::of_secs(-18_000));
        let rules = Rules::new(Offset::of_secs(-14_400), [change]);
        let text = |text| Civil::new(at(text), &rules).text();
        assert_eq!(text("2025-11-02T05:30:00Z"), "2025-11-02 01:30 -04:00");
        assert_eq!(text("2025-11-02T06:30:00Z"), "2025-11-02 01:30 -05:00");
        assert_eq!(
            Civil::new(at("2025-11-02T06:30:07Z"), &rules).to_string(),
            "<time datetime=\"2025-11-02T06:30:07Z\" title=\"2025-11-02 06:30:07 UTC\">2025-11-02 01:30:07 -05:00</time>"
        );
    }

    #[test]
    fn lengths_are_told_in_two_units() {
        for (secs, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (3_660, "1 h 1 min"),
            (86_400, "1 d"),
            (90_000, "1 d 1 h"),
            (8_640_000, "100 d"),
        ] {
            assert_eq!(lasts(TimeDelta::seconds(secs)), words);
        }
    }
}
