//! How many rows a window has beside an earlier one.

use std::fmt;

/// The number of rows beside that of an earlier window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// How many windows earlier.
    pub past: u32,
    /// At least such a part of it.
    pub least: Option<Ratio>,
    /// At most such a part of it.
    pub most: Option<Ratio>,
}

/// A part or a multiple, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

impl Ratio {
    /// Reads `0.5` or `2`: up to three digits behind the point, above 0 and at most 1,000.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a ratio is above 0 and at most 1000, like 0.5 or 2";
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 4
            || part.len() > 3
            || !is_digits(whole)
            || !is_digits(part)
        {
            return Err(RULE);
        }
        let thousandths = format!("{whole}{part:0<3}").parse::<u32>().map_err(|_| RULE)?;
        if (1..=1_000_000).contains(&thousandths) { Ok(Self(thousandths)) } else { Err(RULE) }
    }

    /// So much of a whole, in thousandths.
    fn of(self, whole: u64) -> u128 {
        u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Volume {
    /// Says whether everything that another one takes is right by this one too; both are held against one window.
    pub fn takes_all_of(&self, other: &Self) -> bool {
        let least = self.least.is_none_or(|own| other.least.is_some_and(|least| least >= own));
        let most = self.most.is_none_or(|own| other.most.is_some_and(|most| most <= own));
        least && most
    }

    /// Says whether so many rows are right beside so many earlier.
    pub(super) fn holds(&self, rows: u64, past: u64) -> bool {
        let rows = u128::from(rows) * 1_000;
        self.least.is_none_or(|least| rows >= least.of(past))
            && self.most.is_none_or(|most| rows <= most.of(past))
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.least.map(|least| format!("at least {least}"));
        let most = self.most.map(|most| format!("at most {most}"));
        let parts: Vec<String> = least.into_iter().chain(most).collect();
        let windows = if self.past == 1 { "window" } else { "windows" };
        write!(f, "{} times as many as {} {windows} earlier", parts.join(" and "), self.past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_held_against_the_earlier_one_exactly() {
        let ratio = |text| Some(Ratio::parse(text).unwrap());
        let volume = Volume { past: 7, least: ratio("0.5"), most: ratio("2") };
        for (rows, past, holds) in [
            (50, 100, true),
            (49, 100, false),
            (200, 100, true),
            (201, 100, false),
            (0, 0, true),
            (1, 0, false),
        ] {
            assert_eq!(volume.holds(rows, past), holds, "{rows} {past}");
        }
        assert_eq!(
            volume.to_string(),
            "at least 0.5 and at most 2 times as many as 7 windows earlier"
        );
        for bad in ["0", "-1", "", "1.0001", "1001", ".5", "x"] {
            assert!(Ratio::parse(bad).is_err(), "{bad}");
        }
    }
}
