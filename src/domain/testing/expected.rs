//! What has to come of a look, and whether it did.

use std::fmt;

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Cause;
use crate::domain::check::verdict::{Contradiction, Verdict};

/// The verdict that has to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Looked at, and right.
    Confirmed,
    /// Looked at, and wrong; the finding names each of these columns, keys or values.
    Violated(Vec<String>),
    /// Nothing can be said, for this cause.
    Unconfirmed(Cause),
}

/// The causes that rows can bring about; the others are of servers, clocks and the daemon.
pub const CAUSES: [Cause; 6] = [
    Cause::NoEvidence,
    Cause::QueryError,
    Cause::UnsupportedType,
    Cause::OverLimit,
    Cause::Unordered,
    Cause::Stale,
];

impl Expected {
    /// Says whether wrong data has to be found.
    pub fn is_violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Says whether a verdict is the one that had to come.
    pub fn is_met_by(&self, verdict: &Verdict) -> bool {
        match (self, verdict) {
            (Self::Confirmed, Verdict::Confirmed) => true,
            (Self::Violated(names), Verdict::Violated(finding)) => {
                let rows = finding.rows.join("\n");
                // Rows are shown with columns of which nothing is wrong.
                let is_named = |name: &String| {
                    finding.contradictions.iter().any(|one| names_it(one, name))
                        || !is_word(name) && stands_in(&rows, name)
                };
                names.iter().all(is_named)
            }
            (Self::Unconfirmed(cause), Verdict::Unconfirmed(reason)) => *cause == reason.cause,
            (Self::Confirmed | Self::Violated(_) | Self::Unconfirmed(_), _) => false,
        }
    }
}

/// Says whether a finding is about a column or value, or says so in other words where it is about none.
fn names_it(found: &Contradiction, name: &str) -> bool {
    let is_it = |column: &ColumnName| column.as_str().eq_ignore_ascii_case(name);
    match found {
        Contradiction::Values { column, seen, .. } => {
            is_it(column)
                || seen.iter().any(|value| stands_in(value, name))
                || !is_word(name) && stands_in(&found.to_string(), name)
        }
        Contradiction::End { column, seen, .. } => {
            is_it(column)
                || seen.iter().any(|value| stands_in(value, name))
                || !is_word(name) && stands_in(&found.to_string(), name)
        }
        Contradiction::Repeated { columns, .. } => columns.split(", ").any(|one| one == name),
        Contradiction::Rows { .. }
        | Contradiction::Never { .. }
        | Contradiction::Volume { .. }
        | Contradiction::MissingKeys { .. }
        | Contradiction::Zones { .. }
        | Contradiction::ZonesGone { .. }
        | Contradiction::Differs(_)
        | Contradiction::NamelessKeys { .. } => stands_in(&found.to_string(), name),
    }
}

/// Says whether a text could be the name of a column.
fn is_word(name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(is_part)
}

/// Says whether a text stands in another one, and not as a part of a longer word.
fn stands_in(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !(name.starts_with(is_part) && before.ends_with(is_part)
            || name.ends_with(is_part) && after.starts_with(is_part))
    })
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("confirmed"),
            Self::Violated(names) if names.is_empty() => f.write_str("violated"),
            Self::Violated(names) => {
                write!(f, "violated, with `{}` in its finding", names.join("` and `"))
            }
            Self::Unconfirmed(cause) => write!(f, "unconfirmed: {cause}"),
        }
    }
}

/// Two verdicts that say the same: of the same kind, and for the same cause.
pub fn is_same_kind(one: &Verdict, other: &Verdict) -> bool {
    match (one, other) {
        (Verdict::Confirmed, Verdict::Confirmed) | (Verdict::Violated(_), Verdict::Violated(_)) => {
            true
        }
        (Verdict::Unconfirmed(one), Verdict::Unconfirmed(other)) => one.cause == other.cause,
        (Verdict::Confirmed | Verdict::Violated(_) | Verdict::Unconfirmed(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::reason::Reason;
    use crate::domain::check::verdict::Finding;

    #[test]
    fn a_verdict_is_the_expected_one_or_it_is_not() {
        let rows = Contradiction::Rows { expected: "equal to 0".to_owned(), seen: 3 };
        let finding = Finding {
            contradictions: vec![rows],
            cut: false,
            rows: vec!["account_id=7".to_owned()],
        };
        let violated = Verdict::Violated(finding);
        let no_evidence = Verdict::Unconfirmed(Reason::new(Cause::NoEvidence, "nothing"));
        let named = |name: &str| Expected::Violated(vec![name.to_owned()]);
        for (expected, verdict, met) in [
            (Expected::Confirmed, &Verdict::Confirmed, true),
            (Expected::Confirmed, &violated, false),
            (Expected::Violated(Vec::new()), &violated, true),
            (named("account_id=7"), &violated, true),
            (named("account_id=8"), &violated, false),
            (named("id=7"), &violated, false),
            (named("7"), &violated, true),
            (named("account_id"), &violated, false),
            (named("rows"), &violated, true),
            (Expected::Violated(Vec::new()), &no_evidence, false),
            (Expected::Unconfirmed(Cause::NoEvidence), &no_evidence, true),
            (Expected::Unconfirmed(Cause::QueryError), &no_evidence, false),
        ] {
            assert_eq!(expected.is_met_by(verdict), met, "{expected} of {verdict:?}");
        }
    }
}
