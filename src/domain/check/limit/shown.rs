//! Limits in words, as findings say what was expected.

use std::borrow::Cow;
use std::fmt;

use crate::domain::check::limit::{Condition, Limit};
use crate::domain::check::literal::Literal;
use crate::domain::check::plain::line;

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, condition) in self.conditions.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            condition.fmt(f)?;
        }
        if self.nulls_allowed { f.write_str(", or NULL") } else { Ok(()) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equals(literal, tolerance) => {
                f.write_str(&shown(literal))?;
                if let Some(absolute) = &tolerance.absolute {
                    write!(f, " ± {absolute}")?;
                }
                if let Some(ratio) = &tolerance.ratio {
                    write!(f, " ± {ratio} of the larger")?;
                }
                Ok(())
            }
            Self::NotEquals(literal) => write!(f, "not {}", shown(literal)),
            Self::Min(literal) => write!(f, "at least {}", literal.text()),
            Self::Max(literal) => write!(f, "at most {}", literal.text()),
            Self::OneOf(all) => {
                let texts: Vec<_> = all.iter().map(shown).collect();
                write!(f, "one of {}", texts.join(", "))
            }
        }
    }
}

/// A literal in one line. What would not be seen stands in quotes.
fn shown(literal: &Literal) -> Cow<'_, str> {
    let text = literal.text();
    match text.trim() == text && !text.is_empty() {
        true => line(text),
        false => Cow::Owned(format!("\"{}\"", line(text))),
    }
}
