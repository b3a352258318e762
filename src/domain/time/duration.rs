//! Durations as they are written: `30s`, `5m`, `2h`, `35d`.

use std::time::Duration;

/// Reads one whole number and one of the units `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// The rule that is broken, as a sentence.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    const RULE: &str = "this is not a duration: write 500ms, 30s, 5m, 2h or 35d";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(RULE),
    };
    let number: u64 = number.parse().map_err(|_| RULE)?;
    let ms = number.checked_mul(factor_ms).ok_or("this is longer than anybody waits")?;
    Ok(Duration::from_millis(ms))
}

/// Writes a duration in the largest unit that divides it.
pub fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, factor_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(factor_ms) {
            return format!("{}{unit}", ms / factor_ms);
        }
    }
    format!("{ms}ms")
}

/// A duration of ours, all of which are written and short, as a difference of instants.
pub(crate) fn delta(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap_or(chrono::TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["500ms", "30s", "90s", "5m", "2h", "35d"] {
            assert_eq!(parse(&show(parse(text).unwrap())), parse(text), "{text}");
        }
        for bad in ["", "s", "5", "5 m", "-5m", "1.5h", "5M", "99999999999999999999s", "5w"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
