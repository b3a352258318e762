//! Exact decimals. No value and no limit ever passes through a float.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Signed, Zero};

/// An exact decimal number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(BigDecimal);

/// The longest number that a limit may spell.
const SPELLED_MAX: usize = 200;
/// The longest number that is shown without an exponent.
const SHOWN_MAX: usize = 60;

impl Number {
    /// Parses `-12.50` or `1e6`: decimal digits, an optional point, an exponent of at most 3 digits.
    ///
    /// Signs other than `-`, `0x`, `_`, `nan` and `inf` are no numbers here.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > SPELLED_MAX {
            return None;
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let exponent_fits = exponent.is_none_or(|e| {
            let e = e.strip_prefix(['-', '+']).unwrap_or(e);
            digits(e) && e.len() <= 3
        });
        (digits(whole) && fraction.is_none_or(digits) && exponent_fits)
            .then(|| BigDecimal::from_str(text).ok().map(Self))
            .flatten()
    }

    /// Reads a text of digits among data: `-12.50`, without an exponent, as long as a database's numbers are.
    pub fn spelled(text: &str) -> Option<Self> {
        const LONGEST: usize = 160_000;
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let fits = text.len() <= LONGEST && digits(whole) && digits(fraction);
        fits.then(|| Self::from_digits(text)).flatten()
    }

    /// Reads digits that a database sent: as [`Number::parse`], of any length.
    pub fn from_digits(text: &str) -> Option<Self> {
        BigDecimal::from_str(text).ok().map(Self)
    }

    /// Takes the shortest decimal that denotes this float, which is what databases print.
    ///
    /// `None` for NaN and the infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::from_digits(&value.to_string())).flatten()
    }

    /// As [`Number::from_f64`] for single precision.
    pub fn from_f32(value: f32) -> Option<Self> {
        value.is_finite().then(|| Self::from_digits(&value.to_string())).flatten()
    }

    /// Returns the number as a count, if it is a non-negative integer that fits.
    pub fn as_count(&self) -> Option<u64> {
        let plain = self.0.normalized();
        if !plain.is_integer() || plain.is_negative() {
            return None;
        }
        plain.with_scale(0).to_plain_string().parse().ok()
    }

    /// Returns the shortest spelling, the same for all equal numbers.
    pub fn normal(&self) -> String {
        self.0.normalized().to_plain_string()
    }

    /// Returns all of its digits, as they came.
    pub fn plain(&self) -> String {
        self.0.to_plain_string()
    }

    /// Says whether the number is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.is_negative()
    }

    /// Takes a number of so many digits after the point: `1234` and 2 are 12.34.
    pub fn scaled(digits: i128, scale: u8) -> Self {
        Self(BigDecimal::new(BigInt::from(digits), i64::from(scale)))
    }

    /// Returns its digits and how many of them are after the point, where they are few enough.
    pub fn digits(&self) -> Option<(i128, u8)> {
        let (digits, scale) = self.0.as_bigint_and_exponent();
        if let Ok(scale) = u8::try_from(scale) {
            return Some((i128::try_from(digits).ok()?, scale));
        }
        let (digits, scale) = self.0.normalized().as_bigint_and_exponent();
        let zeros = u32::try_from(-scale).ok().filter(|zeros| *zeros <= 38)?;
        let digits = i128::try_from(digits).ok()?.checked_mul(10_i128.checked_pow(zeros)?)?;
        Some((digits, 0))
    }

    /// Returns the difference of two numbers.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Returns how far it is from zero.
    #[must_use]
    pub fn magnitude(&self) -> Self {
        Self(self.0.abs())
    }

    /// Says whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Returns the sum of two numbers.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(&self.0 + &other.0)
    }

    /// Says whether two numbers differ by at most `tolerance`.
    pub fn within(&self, other: &Self, tolerance: &Self) -> bool {
        (&self.0 - &other.0).abs() <= tolerance.0
    }

    /// Says whether two numbers differ by at most `ratio` of the larger magnitude.
    pub fn within_ratio(&self, other: &Self, ratio: &Self) -> bool {
        let larger = match self.0.abs().cmp(&other.0.abs()) {
            Ordering::Less => other.0.abs(),
            Ordering::Equal | Ordering::Greater => self.0.abs(),
        };
        (&self.0 - &other.0).abs() <= larger * &ratio.0
    }
}

impl From<Number> for BigDecimal {
    fn from(number: Number) -> Self {
        number.0
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(BigDecimal::from(value))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(BigDecimal::from(value))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.to_plain_string();
        if plain.len() > SHOWN_MAX {
            return f.write_str(&self.0.to_scientific_notation());
        }
        f.write_str(&plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn only_plain_decimals_are_numbers() {
        for good in ["0", "-0.5", "12.50", "1e6", "1E-3", "99999999999999999999999999999999.01"] {
            assert!(Number::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "-", "+1", ".5", "5.", "0x10", "1_000", "nan", "inf", "1e", "1e9999", "1 ", "١"]
        {
            assert!(Number::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn scale_does_not_matter_and_digits_do() {
        assert_eq!(n("1.10"), n("1.1"));
        assert_ne!(n("0.1"), n("0.10000000000000000000000000000000000001"));
        assert_eq!(Number::from_f64(0.1).unwrap(), n("0.1"));
        assert_eq!(Number::from_f32(0.1).unwrap(), n("0.1"));
        assert_eq!(Number::from_f64(f64::NAN), None);
    }

    #[test]
    fn counts_are_non_negative_integers() {
        assert_eq!(n("12.00").as_count(), Some(12));
        assert_eq!(n("1e3").as_count(), Some(1000));
        for bad in ["-1", "0.5", "18446744073709551616"] {
            assert_eq!(n(bad).as_count(), None, "{bad}");
        }
    }

    #[test]
    fn a_tolerance_includes_its_edge() {
        assert!(n("100").within(&n("100.01"), &n("0.01")));
        assert!(!n("100").within(&n("100.011"), &n("0.01")));
        assert!(n("99").within_ratio(&n("100"), &n("0.01")));
        assert!(!n("98.9").within_ratio(&n("100"), &n("0.01")));
        assert!(n("0").within_ratio(&n("0"), &n("0.1")));
    }
}
