//! What makes a limit weaker than it looks, as warnings ask.

use crate::domain::check::limit::{Condition, Limit};
use crate::domain::check::literal::Literal;
use crate::domain::check::number::Number;

impl Limit {
    /// Says whether it holds for every whole number from this one on.
    pub(in crate::domain::check) fn holds_from(&self, least: u64) -> bool {
        let from = Number::from(least);
        self.conditions.iter().all(|c| match c {
            Condition::Min(literal) => literal.number().is_some_and(|n| *n <= from),
            Condition::NotEquals(literal) => literal.number().is_some_and(|n| *n < from),
            Condition::Equals(..) | Condition::Max(_) | Condition::OneOf(_) => false,
        })
    }

    /// Says whether it is a date or an instant from which on every value holds.
    pub(in crate::domain::check) fn is_only_from_an_instant(&self) -> bool {
        // What has to be ahead is an expiry, and not fresh data.
        let only = |l: &Literal| l.is_ordered() && !l.is_number() && !l.is_ahead();
        matches!(self.conditions.as_slice(), [Condition::Min(literal)] if only(literal))
    }

    /// Says whether its tolerance reaches as far as the value itself.
    pub(in crate::domain::check) fn tolerates_itself(&self) -> bool {
        let half = Number::parse("0.5");
        self.conditions.iter().any(|c| match c {
            Condition::Equals(literal, tolerance) => {
                let zero = Number::from(0_u64);
                let wide =
                    |t: &Number| literal.number().is_some_and(|n| *n != zero && zero.within(n, t));
                tolerance.absolute.as_ref().is_some_and(wide)
                    || tolerance.ratio.as_ref().zip(half.as_ref()).is_some_and(|(r, h)| r >= h)
            }
            Condition::NotEquals(_)
            | Condition::Min(_)
            | Condition::Max(_)
            | Condition::OneOf(_) => false,
        })
    }
}
