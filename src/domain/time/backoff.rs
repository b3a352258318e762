//! How long to wait before something is tried again: ever longer, and never all at once.
//!
//! Full jitter: anything between nothing and the pause that doubles. Pauses that only grow keep a
//! herd together; a random draw scatters it (docs/internals/resilience.md, "Retries").

use chrono::TimeDelta;

/// A random draw, made by the caller: what is decided here stays a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw(u64);

/// Into how many parts a span of time is cut by a draw.
const PARTS: u64 = 1 << 20;

impl Draw {
    /// Takes random bits.
    pub fn new(bits: u64) -> Self {
        Self(bits % PARTS)
    }

    /// A part of a span: from nothing to just short of all of it.
    pub fn of(self, span: TimeDelta) -> TimeDelta {
        let part = i64::try_from(self.0).unwrap_or(0);
        let parts = i64::try_from(PARTS).unwrap_or(i64::MAX);
        let micros = span.num_microseconds().unwrap_or(0).max(0);
        // Whole parts first: a year of microseconds times a million would not fit.
        TimeDelta::microseconds(micros / parts * part + micros % parts * part / parts)
    }
}

/// A pause that begins with `first`, doubles with each try in vain after the first, and ends at
/// `longest`.
pub fn doubled(first: TimeDelta, longest: TimeDelta, failed_attempts: u32) -> TimeDelta {
    let factor = 1_i32.checked_shl(failed_attempts.saturating_sub(1).min(16)).unwrap_or(i32::MAX);
    first.checked_mul(factor).map_or(longest, |pause| pause.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_a_part_of_the_span_and_never_all_of_it() {
        let span = TimeDelta::days(400);
        assert_eq!(Draw::new(0).of(span), TimeDelta::zero());
        assert!(Draw::new(PARTS - 1).of(span) < span);
        assert!(Draw::new(PARTS - 1).of(span) > span - TimeDelta::hours(1));
        assert_eq!(Draw::new(PARTS / 2).of(span), span / 2);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pause = |failed_attempts| {
            doubled(TimeDelta::seconds(1), TimeDelta::seconds(60), failed_attempts).num_seconds()
        };
        assert_eq!([0, 1, 2, 3, 7, 400].map(pause), [1, 1, 2, 4, 60, 60]);
    }
}
