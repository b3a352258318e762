//! Periods of the local calendar: how long they are, and with what they begin.

use std::fmt;

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, TimeDelta, Utc, Weekday};

use crate::domain::time::zone::Rules;

/// A period of the local calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From a time of the day to the same of the next day.
    Day(DayStart),
    /// From a weekday on.
    Week(Weekday),
    /// From a day of the month on.
    Month(MonthStart),
    /// From the first of January, April, July and October.
    Quarter,
    /// From the first of January.
    Year,
}

/// The time of the day with which days begin, in whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayStart(u16);

/// The day of the month with which months begin; in a month without it, its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthStart(u8);

impl DayStart {
    /// As calendars have it.
    pub const MIDNIGHT: Self = Self(0);

    /// Takes a time of the day, as in `06:00`.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "a day begins at a time from \"00:00\" to \"23:59\", in quotes";
        let (hour, minute) = text.split_once(':').ok_or(RULE)?;
        let number = |text: &str, most: u16| {
            let is_written = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| is_written && *number <= most).ok_or(RULE)
        };
        Ok(Self(number(hour, 23)? * 60 + number(minute, 59)?))
    }

    fn time(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.0))
    }
}

impl fmt::Display for DayStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl MonthStart {
    /// As calendars have it.
    pub const FIRST: Self = Self(1);

    /// Takes a day of the month, 1 to 31.
    pub fn new(day: u64) -> Option<Self> {
        u8::try_from(day).ok().filter(|day| (1..=31).contains(day)).map(Self)
    }

    /// The date with which the month of another date begins.
    fn in_month_of(self, date: NaiveDate) -> NaiveDate {
        let last = u32::from(date.num_days_in_month());
        date.with_day(u32::from(self.0).min(last)).unwrap_or(date)
    }
}

/// What the release before wrote for periods that begin as calendars have it goes on to mean what it meant.
impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Day(_) => "Day",
            Self::Week(_) => "Week",
            Self::Month(_) => "Month",
            Self::Quarter => "Quarter",
            Self::Year => "Year",
        };
        f.write_str(name)?;
        self.from().map_or(Ok(()), |from| write!(f, "({from})"))
    }
}

impl Period {
    /// From midnight to midnight.
    pub const DAY: Self = Self::Day(DayStart::MIDNIGHT);
    /// The words for it; each begins as calendars have it: a week with Monday (ISO 8601).
    pub const WORDS: [(&str, Self); 5] = [
        ("day", Self::DAY),
        ("week", Self::Week(Weekday::Mon)),
        ("month", Self::Month(MonthStart::FIRST)),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];
    /// The words for weekdays with which weeks begin.
    pub const WEEKDAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Mon),
        ("tuesday", Weekday::Tue),
        ("wednesday", Weekday::Wed),
        ("thursday", Weekday::Thu),
        ("friday", Weekday::Fri),
        ("saturday", Weekday::Sat),
        ("sunday", Weekday::Sun),
    ];

    /// The first date of the period that a date lies in.
    pub fn first_date(self, date: NaiveDate) -> NaiveDate {
        let first = |month| date.with_day(1).and_then(|d| d.with_month(month)).unwrap_or(date);
        match self {
            Self::Day(_) => date,
            Self::Week(weekday) => date.week(weekday).first_day(),
            Self::Month(start) => match start.in_month_of(date) {
                begun if begun <= date => begun,
                _ => start.in_month_of(date.with_day(1).unwrap_or(date) - Days::new(1)),
            },
            Self::Quarter => first((date.month() - 1) / 3 * 3 + 1),
            Self::Year => first(1),
        }
    }

    /// The first date of the period after the one that begins with a date.
    pub fn next(self, first: NaiveDate) -> NaiveDate {
        match self {
            Self::Day(_) => first + Days::new(1),
            Self::Week(_) => first + Days::new(7),
            Self::Month(start) => start.in_month_of(first + Months::new(1)),
            Self::Quarter => first + Months::new(3),
            Self::Year => first + Months::new(12),
        }
    }

    /// How long it is at most, and at least about so long: days.
    pub fn days(self) -> i64 {
        match self {
            Self::Day(_) => 1,
            Self::Week(_) => 7,
            Self::Month(_) => 31,
            Self::Quarter => 92,
            Self::Year => 366,
        }
    }

    /// With what it begins, where that is not as calendars have it.
    pub fn from(self) -> Option<String> {
        match self {
            Self::Day(DayStart::MIDNIGHT) | Self::Week(Weekday::Mon) => None,
            Self::Month(MonthStart::FIRST) | Self::Quarter | Self::Year => None,
            Self::Day(start) => Some(start.to_string()),
            Self::Week(weekday) => {
                let word = Self::WEEKDAYS.iter().find(|(_, one)| *one == weekday);
                word.map(|(word, _)| (*word).to_owned())
            }
            Self::Month(MonthStart(day)) => Some(day.to_string()),
        }
    }

    /// The word for it, whatever it begins with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day(_) => "day",
            Self::Week(_) => "week",
            Self::Month(_) => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// When the period begins that has this first date.
    pub(super) fn start(self, rules: &Rules, first: NaiveDate) -> DateTime<Utc> {
        match self {
            Self::Day(start) => rules.day_start_at(first, start.time()),
            Self::Week(_) | Self::Month(_) | Self::Quarter | Self::Year => rules.day_start(first),
        }
    }
}
