//! A share: a part of something, exact to a thousandth.

use std::fmt;

/// A part of something, in thousandths: above nothing, and all of it at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u16);

impl Share {
    /// Says whether it is the larger part.
    pub fn is_more_than(self, other: Self) -> bool {
        self.0 > other.0
    }

    /// Reads `0.5`: up to three digits behind the point.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a part is above 0 and at most 1, with up to three digits, like 0.5";
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = (1..=3).contains(&whole.len()) && part.len() <= 3;
        if !(is_number && is_digits(whole) && is_digits(part)) {
            return Err(RULE);
        }
        let thousandths = format!("{whole}{part:0<3}").parse::<u32>().map_err(|_| RULE)?;
        let thousandths = u16::try_from(thousandths).map_err(|_| RULE)?;
        if (1..=1_000).contains(&thousandths) { Ok(Self(thousandths)) } else { Err(RULE) }
    }

    /// Says whether so much is at least that part of a whole.
    pub fn is_met_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000 >= u128::from(whole) * u128::from(self.0)
    }

    /// Says whether so much is at most that part of a whole.
    pub fn is_kept_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000 <= u128::from(whole) * u128::from(self.0)
    }

    /// Says whether it is all of it.
    pub fn is_whole(self) -> bool {
        self.0 == 1_000
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_nothing_and_all_of_it_at_most() {
        for (text, shown) in
            [("0.5", "0.5"), ("1", "1"), ("1.000", "1"), ("0.001", "0.001"), ("0.25", "0.25")]
        {
            assert_eq!(Share::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "0", "0.0", "1.001", "-0.5", ".5", "0.0001", "half", "50%", "2", "1e-1"] {
            assert!(Share::parse(bad).is_err(), "{bad}");
        }
        let third = Share::parse("0.333").unwrap();
        assert!(third.is_met_by(333, 1_000) && !third.is_met_by(332, 1_000));
        assert!(Share::parse("1").unwrap().is_met_by(u64::MAX, u64::MAX));
    }
}
