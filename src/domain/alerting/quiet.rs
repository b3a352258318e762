//! A check that an operator keeps quiet for a while: its alerts stand as before, and no one is told of them.
//!
//! In each Alertmanager that is a silence. Its comment names the ledger and the row that it follows from, so that one
//! that was lost is made again, and one that no one wants any more is expired.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// How long a check may be kept quiet.
pub const QUIET_MAX: TimeDelta = TimeDelta::hours(24);
/// The alerts that are held back, as a silence names them.
pub const HELD: &str = "AllswellUnconfirmed|AllswellViolated";

/// A check that is kept quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// Its number in the ledger.
    pub id: i64,
    /// Of which check.
    pub check: String,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
    /// Since when.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// When it was ended before that.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Quiet {
    /// Says whether it holds at an instant.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.until
    }

    /// What the comment of its silence says.
    pub fn comment(&self, ledger: &str) -> String {
        format!("{} [allswell {ledger}/{}]", self.because, self.id)
    }
}

/// A silence, as an Alertmanager lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Who made it.
    pub by: String,
    /// Why.
    pub because: String,
    /// Until when it holds.
    pub until: DateTime<Utc>,
    /// When it was made or changed, by the Alertmanager's clock.
    pub updated_at: DateTime<Utc>,
}

impl Silence {
    /// The number of the row that it follows from, where that is of this ledger.
    pub fn quiet(&self, ledger: &str) -> Option<i64> {
        let (_, marked) = self.because.rsplit_once(" [allswell ")?;
        let (theirs, id) = marked.strip_suffix(']')?.split_once('/')?;
        id.parse().ok().filter(|_| theirs == ledger)
    }

    /// Why, without the mark.
    pub fn words(&self) -> &str {
        self.because.rsplit_once(" [allswell ").map_or(&self.because, |(words, _)| words)
    }
}

/// The labels whose alerts a silence holds back: name, value, and whether that is an expression.
pub fn matchers(check: &str, labels: &BTreeMap<String, String>) -> Vec<(String, String, bool)> {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    let ours = [("alertname", HELD, true), ("check", check, false)];
    let ours = ours.map(|(name, value, is_like)| (name.to_owned(), value.to_owned(), is_like));
    let more = labels.map(|(name, value)| (name.clone(), value.clone(), false));
    ours.into_iter().chain(more).collect()
}

/// The command that makes such a silence by hand.
pub fn by_hand(alertmanager: &str, quiet: &Quiet, labels: &BTreeMap<String, String>) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let matchers = matchers(&quiet.check, labels).into_iter().map(|(name, value, is_like)| {
        let operator = if is_like { "=~" } else { "=" };
        quoted(&format!("{name}{operator}\"{value}\""))
    });
    let matchers: Vec<String> = matchers.collect();
    let minutes = (quiet.until - quiet.from).num_minutes().max(1);
    format!(
        "amtool silence add --alertmanager.url={alertmanager} --duration={minutes}m --author={} --comment={} {}",
        quoted(&quiet.by),
        quoted(&quiet.because),
        matchers.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Quiet {
        let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
        Quiet {
            id: 7,
            check: "billing/paid".to_owned(),
            by: "ana".to_owned(),
            because: "it's being mended".to_owned(),
            from: at(0),
            until: at(7_200),
            ended_at: None,
        }
    }

    #[test]
    fn a_silence_is_known_by_the_ledger_and_the_row_in_its_comment() {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let of = |because: &str| Silence {
            id: "1".to_owned(),
            by: "ana".to_owned(),
            because: because.to_owned(),
            until: at,
            updated_at: at,
        };
        let ours = of(&quiet().comment("abc"));
        assert_eq!((ours.quiet("abc"), ours.words()), (Some(7), "it's being mended"));
        assert_eq!(ours.quiet("abd"), None, "of another ledger");
        assert_eq!(of("planned work").quiet("abc"), None, "made by a person");
    }

    #[test]
    fn the_command_by_hand_holds_back_what_the_silence_would() {
        let labels = BTreeMap::from([("cluster".to_owned(), "eu".to_owned())]);
        let command = by_hand("http://am:9093", &quiet(), &labels);
        assert_eq!(
            command,
            "amtool silence add --alertmanager.url=http://am:9093 --duration=120m --author='ana' \
             --comment='it'\\''s being mended' 'alertname=~\"AllswellUnconfirmed|AllswellViolated\"' \
             'check=\"billing/paid\"' 'cluster=\"eu\"'"
        );
    }

    #[test]
    fn it_holds_until_its_end_and_no_longer() {
        let quiet = quiet();
        assert!(quiet.holds(quiet.from));
        assert!(!quiet.holds(quiet.until));
        let ended = Quiet { ended_at: Some(quiet.from), ..quiet.clone() };
        assert!(!ended.holds(quiet.from));
    }
}
