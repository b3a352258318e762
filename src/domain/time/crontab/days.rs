//! Days that depend on their month: its last day (`L`), its first Saturday (`SAT#1`), its last Friday (`FRIL`).
//!
//! The crate `cron` knows none of these. It is given every day that may be one, and what is not is left out here.

use chrono::{Datelike as _, NaiveDate, Weekday};

/// Which of the days that a line names are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Days {
    /// All.
    All,
    /// The last one of the month.
    Last,
    /// Weekdays by their place in the month.
    Nth(Vec<(Weekday, Place)>),
}

/// Which of the same weekdays of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first is 1; few months have a fifth.
    Number(u32),
    /// The last.
    Last,
}

impl Days {
    /// Says whether a date is meant.
    pub(super) fn hold(&self, date: NaiveDate) -> bool {
        let left = u32::from(date.num_days_in_month()) - date.day();
        match self {
            Self::All => true,
            Self::Last => left == 0,
            Self::Nth(all) => all.iter().any(|(weekday, place)| {
                *weekday == date.weekday()
                    && match place {
                        Place::Number(number) => (date.day() - 1) / 7 + 1 == *number,
                        Place::Last => left < 7,
                    }
            }),
        }
    }
}

/// The weekday before `#1` or `L`, and which of them is meant; nothing where an item is neither, what is wrong where it
/// is one of them and no such day.
pub(super) fn placed(item: &str) -> Option<Result<(&str, Place), String>> {
    if let Some((weekday, number)) = item.split_once('#') {
        let place = number.parse().ok().filter(|place| (1..=5).contains(place));
        let place = place.filter(|_| number.len() == 1).map(Place::Number);
        let wrong = || format!("`#{number}` is none of `#1` to `#5`");
        return Some(place.map(|place| (weekday, place)).ok_or_else(wrong));
    }
    let weekday = item.strip_suffix(['L', 'l'])?;
    Some(match weekday.is_empty() {
        true => Err("`L` says the last of which weekday?".to_owned()),
        false => Ok((weekday, Place::Last)),
    })
}
