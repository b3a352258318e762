//! The names of things: checks, sources, columns. Whoever holds one knows that its rule holds.

use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// The stable identity of a check: a label in metrics and alerts, the key of its history.
    CheckId
}
name! {
    /// The name of a watched database in the operator's settings.
    SourceName
}
name! {
    /// The name of a column in a query's result, as the result spells it.
    ColumnName
}
name! {
    /// Who answers for a check: a team's name, used as a label.
    Owner
}
name! {
    /// The name of a label of the team's own.
    LabelName
}

/// Labels that every notice carries, so that no team may set them.
const RESERVED_LABELS: [&str; 8] =
    ["alertname", "check", "tz", "owner", "severity", "source", "other_source", "instance"];

impl CheckId {
    /// Parses `[a-z0-9-]`, 1 to 63 characters.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        lowercase_name(text).map(Self)
    }
}

impl SourceName {
    /// Parses `[a-z0-9-]`, 1 to 63 characters.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        lowercase_name(text).map(Self)
    }
}

impl ColumnName {
    /// Parses any text of 1 to 128 characters without control characters.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.chars().count() > 128 {
            return Err("a column's name has 1 to 128 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("a column's name has no control characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Owner {
    /// Parses `[A-Za-z0-9._-]`, 1 to 63 characters: an owner is a label's value.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if (1..=63).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("an owner is 1 to 63 letters, digits, `.`, `_` or `-`")
        }
    }
}

impl LabelName {
    /// Why a label that drills have is none of a check's.
    pub const OF_DRILLS: &str =
        "allswell tells drills by this label: a real alarm would be taken for one";

    /// Says whether drills are told by it.
    pub fn is_of_drills(&self) -> bool {
        matches!(self.as_str(), "drill" | "ring")
    }

    /// Parses `[a-z_][a-z0-9_]*`, 1 to 63 characters, that is not one of the built-in labels.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let rest = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !first || !rest || text.len() > 63 || text.starts_with("__") {
            return Err("a label's name is 1 to 63 of `a-z`, `0-9` and `_`, not starting with a \
                        digit or `__`");
        }
        if RESERVED_LABELS.contains(&text) {
            return Err("allswell sets this label itself");
        }
        Ok(Self(text.to_owned()))
    }
}

fn lowercase_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=63).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 63 characters of `a-z`, `0-9` and `-`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_label_value_that_needs_no_quoting() {
        for good in ["a", "invoices-are-positive", "0", &"x".repeat(63)] {
            assert!(CheckId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "a_b", "ä", &"x".repeat(64)] {
            assert!(CheckId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_team_cannot_take_a_built_in_label() {
        assert!(LabelName::parse("tier").is_ok());
        for bad in ["severity", "check", "__name", "9a", "", "Tier"] {
            assert!(LabelName::parse(bad).is_err(), "{bad}");
        }
    }
}
