//! A crontab line: five fields of civil time, by crontab's numbering.
//!
//! The crate `cron` counts Sunday as 1, wants seconds, and takes `******`; so a line is read here
//! first, item by item, and handed over with days of the week as names (docs/internals/time.md, "Crontab lines").
//! What two programs would read differently is refused, with what to write instead.

mod days;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr as _;

use chrono::{Days as Dates, NaiveDateTime, NaiveTime, TimeDelta, Weekday};
use cron::Schedule;

use crate::domain::check::nearest::nearest;
use crate::domain::time::crontab::days::{Days, placed};

/// A line that fires.
#[derive(Debug, Clone)]
pub struct Crontab {
    text: String,
    schedule: Schedule,
    /// Which of the days that the crate is given are meant.
    days: Days,
    hours: Hours,
}

/// How the hour was written: it decides what a clock change does by default, as in cronie
/// (`timetable::Gap::implied`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hours {
    /// Named hours: each is meant.
    Fixed,
    /// `*` or `*/n`: a rhythm is meant.
    Wild,
}

/// Why a line is no crontab line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronFault {
    /// The rule that is broken.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl CronFault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// A field of the line.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: &'static str,
    values: (u8, u8),
    names: &'static [&'static str],
    /// The number of the first name.
    first_name: u8,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", values: (0, 59), names: &[], first_name: 0 },
    Field { name: "hour", values: (0, 23), names: &[], first_name: 0 },
    Field { name: "day", values: (1, 31), names: &[], first_name: 0 },
    Field { name: "month", values: (1, 12), names: &MONTHS, first_name: 1 },
    Field { name: "weekday", values: (0, 7), names: &WEEKDAYS, first_name: 0 },
];
/// The days of which one is the last of its month.
const LAST_DAYS: &str = "28-31";
const SHAPE: &str = "write five fields: minute hour day month weekday, like `30 2 * * MON-FRI`";
/// The longest line that anybody means.
const LENGTH_MAX: usize = 200;

impl Crontab {
    /// Reads a line, or one of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, CronFault> {
        let text = text.trim();
        if text.len() > LENGTH_MAX {
            return Err(CronFault::new("this line is longer than 200 bytes", SHAPE));
        }
        let line = if text.starts_with('@') { nicknamed(text)? } else { text };
        let tokens: Vec<&str> = line.split_ascii_whitespace().collect();
        let tokens: [&str; 5] = tokens.as_slice().try_into().map_err(|_| miscounted(&tokens))?;
        let (days, day, weekday) = of_their_month(tokens)?;
        let [minute, hour, written_day, month, written_weekday] = tokens;
        let tokens = [minute, hour, day.as_str(), month, weekday.as_str()];
        let mut sets = Vec::with_capacity(5);
        for (field, token) in FIELDS.iter().zip(tokens) {
            sets.push(field.values_of(token)?);
        }
        let [.., day, _, weekday] = tokens;
        refuse_never(&sets[2], &sets[3])?;
        if day != "*" && weekday != "*" {
            return Err(CronFault::new(
                "both days are set: crontab looks on days that are either, other programs on days \
                 that are both",
                format!(
                    "write two checks, `{minute} {hour} {written_day} {month} *` and `{minute} {hour} * {month} \
                     {written_weekday}`, or let the SQL ask for both"
                ),
            ));
        }
        let weekday = if weekday == "*" { weekday.to_owned() } else { weekday_names(&sets[4]) };
        // The crate takes names or numbers in a range, and not one of each.
        let month = if month.contains(|c: char| c.is_ascii_alphabetic()) {
            let numbers: Vec<String> = sets[3].iter().map(ToString::to_string).collect();
            numbers.join(",")
        } else {
            month.to_owned()
        };
        let translated = format!("0 {minute} {hour} {day} {month} {weekday}");
        let schedule = Schedule::from_str(&translated)
            .map_err(|_| CronFault::new("this is not a crontab line", SHAPE))?;
        let wild = hour == "*" || hour.starts_with("*/");
        let hours = if wild { Hours::Wild } else { Hours::Fixed };
        Ok(Self { text: text.to_owned(), schedule, days, hours })
    }

    /// Returns the line, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How the hour was written.
    pub fn hours(&self) -> Hours {
        self.hours
    }

    /// The first civil time at or after the given one at which it fires.
    ///
    /// Civil time is dressed as UTC for the crate: over UTC it makes no mistake (docs/internals/time.md, "Schedules over civil time").
    pub fn at_or_after(&self, civil: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut from = civil;
        loop {
            let before = from.checked_sub_signed(TimeDelta::seconds(1))?.and_utc();
            let at = self.schedule.after(&before).next()?.naive_utc();
            if self.days.hold(at.date()) {
                return Some(at);
            }
            from = at.date().checked_add_days(Dates::new(1))?.and_time(NaiveTime::MIN);
        }
    }
}

impl PartialEq for Crontab {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Crontab {}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Takes out what says which days of their month are meant; returns both fields of days as the crate has them.
fn of_their_month(tokens: [&str; 5]) -> Result<(Days, String, String), CronFault> {
    let [_, _, day, _, weekday] = tokens;
    let [_, _, of_day, _, of_weekday] = &FIELDS;
    let is_last = day.eq_ignore_ascii_case("L");
    if !is_last && day.to_ascii_uppercase().contains(['L', 'W']) {
        let hint = "the last day of each month is `L`, alone; let the window or the SQL say which other days";
        return Err(of_day.fault(format!("`{day}` is not a day"), hint));
    }
    let items: Vec<&str> = weekday.split(',').collect();
    let placed: Vec<_> = items.iter().map(|item| placed(item)).collect();
    let (own, day) = match is_last {
        true => (Days::Last, LAST_DAYS.to_owned()),
        false => (Days::All, day.to_owned()),
    };
    if placed.iter().all(Option::is_none) {
        return Ok((own, day, weekday.to_owned()));
    }
    let hint = "write the first Saturday of each month as `SAT#1`, the last Friday as `FRIL`";
    let mut days = Vec::new();
    for (item, placed) in items.iter().zip(placed) {
        let Some(placed) = placed else {
            let message = format!("`{item}` is each of them, and others are one of their month");
            return Err(of_weekday.fault(message, "write two checks, one for each kind"));
        };
        let (name, place) = placed.map_err(|wrong| of_weekday.fault(wrong, hint))?;
        let number = of_weekday.value(name)?;
        let weekday = Weekday::try_from((number + 6) % 7).unwrap_or(Weekday::Sun);
        days.push((weekday, place));
    }
    let names: BTreeSet<String> =
        days.iter().map(|(day, _)| day.to_string().to_ascii_uppercase()).collect();
    let names: Vec<String> = names.into_iter().collect();
    Ok((Days::Nth(days), day, names.join(",")))
}

fn nicknamed(text: &str) -> Result<&'static str, CronFault> {
    const KNOWN: [(&str, &str); 7] = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ];
    let lowered = text.to_ascii_lowercase();
    if let Some((_, line)) = KNOWN.iter().find(|(name, _)| *name == lowered) {
        return Ok(line);
    }
    if let Some(every) = lowered.strip_prefix("@every") {
        let hint = format!("write `schedule: {{every: {}}}`", every.trim());
        return Err(CronFault::new("`@every` is no time of the day", hint));
    }
    if lowered == "@reboot" {
        let hint = "write `schedule: {every: 1h}` or a time of the day";
        return Err(CronFault::new(
            "a check is not looked at because allswell was restarted",
            hint,
        ));
    }
    let hint = match nearest(&lowered, KNOWN.iter().map(|(name, _)| *name)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => SHAPE.to_owned(),
    };
    Err(CronFault::new(format!("`{text}` is no name for a schedule"), hint))
}

fn miscounted(tokens: &[&str]) -> CronFault {
    if tokens.first().is_some_and(|t| t.contains('=')) {
        return CronFault::new(
            "the zone does not stand in the line",
            "write `zone: Europe/Berlin` beside `cron:`",
        );
    }
    let (6 | 7, Some(five)) = (tokens.len(), tokens.get(1..6)) else {
        return CronFault::new(format!("{} fields, and five belong here", tokens.len()), SHAPE);
    };
    let message = format!(
        "{} fields: seconds{} have no place in a crontab line",
        tokens.len(),
        if tokens.len() == 7 { " and years" } else { "" }
    );
    let five: Vec<&str> = five.iter().map(|t| if *t == "?" { "*" } else { t }).collect();
    let (first, weekday) = (five[..4].join(" "), five[4]);
    // Only what is a line may be shown as one.
    let joined = Some(tokens.join(" ").replace(", ", ",").replace(" ,", ","));
    if let Some(line) = joined.filter(|line| is_line(line)) {
        return CronFault::new(message, format!("is a space inside a field? write `{line}`"));
    }
    let by_name = format!("{first} MON-FRI");
    let of_week = weekday.split('#').next().unwrap_or(weekday);
    let numbered = of_week.bytes().any(|b| b.is_ascii_digit()) && !weekday.starts_with("*/");
    let hint = if numbered && is_line(&by_name) {
        format!(
            "write days of the week by name, like `{by_name}`: in lines with seconds 1 is Sunday, in \
             crontab it is Monday"
        )
    } else {
        let line = Some(five.join(" ")).filter(|line| !numbered && is_line(line));
        line.map_or_else(|| SHAPE.to_owned(), |line| format!("write `{line}`"))
    };
    CronFault::new(message, hint)
}

fn is_line(text: &str) -> bool {
    text.split_ascii_whitespace().count() == FIELDS.len() && Crontab::parse(text).is_ok()
}

/// A date must exist in some year for the line to fire.
fn refuse_never(days: &BTreeSet<u8>, months: &BTreeSet<u8>) -> Result<(), CronFault> {
    let longest = |month: u8| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fires = months.iter().any(|month| days.iter().any(|day| *day <= longest(*month)));
    if fires {
        return Ok(());
    }
    Err(CronFault::new(
        "this never fires: no such month has such a day",
        "for the last day of a month, write `0 0 L * *`",
    ))
}

fn weekday_names(set: &BTreeSet<u8>) -> String {
    let days: BTreeSet<usize> = set.iter().map(|day| usize::from(*day) % 7).collect();
    let names: Vec<&str> = days.into_iter().filter_map(|day| WEEKDAYS.get(day).copied()).collect();
    names.join(",")
}

impl Field {
    fn fault(&self, message: impl fmt::Display, hint: impl Into<String>) -> CronFault {
        CronFault::new(format!("in the {}: {message}", self.name), hint)
    }

    fn all(&self) -> RangeInclusive<u8> {
        self.values.0..=self.values.1
    }

    /// Reads a list of items and returns every value that it names.
    fn values_of(&self, token: &str) -> Result<BTreeSet<u8>, CronFault> {
        let mut values = BTreeSet::new();
        for item in token.split(',') {
            if item.is_empty() {
                return Err(self.fault("a comma without a value", "is a space inside a field?"));
            }
            if item.starts_with('*') && token.contains(',') {
                return Err(self.fault("`*` in a list is everything", "write `*` alone"));
            }
            values.extend(self.item(item)?);
        }
        Ok(values)
    }

    fn item(&self, item: &str) -> Result<impl Iterator<Item = u8> + use<>, CronFault> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(range, step)?)),
            None => (item, None),
        };
        let range = match range.split_once('-') {
            _ if range == "*" => self.all(),
            None if step.is_some() => {
                self.value(range)?;
                let hint = format!("write `{range}-{}/{}`", self.values.1, step.unwrap_or(1));
                return Err(self.fault(format!("`{item}` has no end to step to"), hint));
            }
            None => {
                let value = self.value(range)?;
                value..=value
            }
            Some((from, to)) => self.range(from, to)?,
        };
        Ok(range.step_by(usize::from(step.unwrap_or(1))))
    }

    fn range(&self, from: &str, to: &str) -> Result<RangeInclusive<u8>, CronFault> {
        let (low, high) = (self.value(from)?, self.value(to)?);
        // `SAT-SUN` ends on the seventh day.
        let weekdays = self.names.len() == WEEKDAYS.len();
        let high = if weekdays && high == 0 && low > 0 { 7 } else { high };
        let low = if weekdays && low == 7 && high < 7 { 0 } else { low };
        if low > high {
            let (first, last) = self.values;
            let end = if self.names.len() == 7 { "SAT".to_owned() } else { last.to_string() };
            let start = if self.names.len() == 7 { "SUN".to_owned() } else { first.to_string() };
            let hint = format!("write `{from}-{end},{start}-{to}`");
            return Err(self.fault(format!("`{from}-{to}` runs backwards"), hint));
        }
        Ok(low..=high)
    }

    fn step(&self, range: &str, step: &str) -> Result<u8, CronFault> {
        let span = self.values.1 - self.values.0;
        let number = step.parse::<u8>().ok().filter(|n| (1..=span).contains(n));
        let plain = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
        number.filter(|_| plain).ok_or_else(|| {
            let hint = match step.parse::<u32>() {
                Ok(n) if n > u32::from(span) && range == "*" => {
                    format!("write `{}` for one time", self.values.0)
                }
                Ok(_) | Err(_) if range == "*" => "write `*/5`".to_owned(),
                Ok(_) | Err(_) => format!("write one of 1 to {span} after the `/`"),
            };
            self.fault(format!("`/{step}` is no step of 1 to {span}"), hint)
        })
    }

    fn value(&self, word: &str) -> Result<u8, CronFault> {
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            let number = word.parse::<u8>().ok().filter(|n| self.all().contains(n));
            return number.ok_or_else(|| {
                let (first, last) = self.values;
                self.fault(format!("`{word}` is not within {first} to {last}"), SHAPE)
            });
        }
        let upper = word.to_ascii_uppercase();
        if let Some(place) = self.names.iter().position(|name| *name == upper) {
            return Ok(u8::try_from(place).unwrap_or(0) + self.first_name);
        }
        let odd = upper.contains(|c: char| c == '#' || c.is_ascii_digit());
        let hint = match nearest(upper.get(..3).unwrap_or(&upper), self.names.iter().copied()) {
            _ if word == "?" => "write `*`".to_owned(),
            _ if word == "H" => "write the minute or hour that you want".to_owned(),
            Some(name) if !odd => format!("did you mean `{name}`?"),
            Some(_) | None if upper.contains('W') => {
                "crontab has no `W`: look more often, and let the window or the SQL say which days"
                    .to_owned()
            }
            Some(_) | None => SHAPE.to_owned(),
        };
        Err(self.fault(format!("`{word}` is not a {}", self.name), hint))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_mean_what_crontab_means() {
        for (line, translated) in [
            ("0 6 * * 1-5", "0 0 6 * * MON,TUE,WED,THU,FRI"),
            ("0 6 * * 5-7", "0 0 6 * * SUN,FRI,SAT"),
            ("0 6 * * SAT-SUN", "0 0 6 * * SUN,SAT"),
            ("0 6 * * SUN-SUN", "0 0 6 * * SUN"),
            ("0 6 * * 0-0", "0 0 6 * * SUN"),
            ("0 6 * * 7-2", "0 0 6 * * SUN,MON,TUE"),
            ("0 0 1 JAN-12/3 *", "0 0 0 1 1,4,7,10 *"),
            ("*/15 * * * *", "0 */15 * * * *"),
            ("0 0 29 feb *", "0 0 0 29 2 *"),
            ("@Weekly", "0 0 0 * * SUN"),
            (" 5,10-20/5\t1-3 * * 0 ", "0 5,10-20/5 1-3 * * SUN"),
        ] {
            let parsed = Crontab::parse(line).unwrap_or_else(|f| panic!("{line}: {f:?}"));
            assert_eq!(parsed.schedule.source(), translated, "{line}");
        }
        assert_eq!(Crontab::parse("0 */2 * * *").unwrap().hours(), Hours::Wild);
        assert_eq!(Crontab::parse("0 2-4 * * *").unwrap().hours(), Hours::Fixed);
    }

    #[test]
    fn what_is_refused_comes_with_the_right_line() {
        for (line, rule, hint) in [
            ("0 30 2 * * *", "6 fields", "`30 2 * * *`"),
            ("0 30 2 ? * MON-FRI 2026", "7 fields", "`30 2 * * MON-FRI`"),
            ("0 0 6 * * 1-5", "6 fields", "1 is Sunday"),
            ("0 2 * *", "4 fields", "five fields"),
            ("", "0 fields", "five fields"),
            ("******", "1 fields", "five fields"),
            ("0 1, 2 * * *", "6 fields", "`0 1,2 * * *`"),
            ("1, 2 * * *", "comma", "space"),
            ("0 0 13 * FRI", "both days", "`0 0 * * FRI`"),
            ("0 0 30 2 *", "never fires", "last day"),
            ("0 0 31 4,6,9,11 *", "never fires", "last day"),
            ("0 24 * * *", "`24` is not within 0 to 23", ""),
            ("*/0 * * * *", "no step", "`*/5`"),
            ("*/60 * * * *", "no step", "`0`"),
            ("0 22-2 * * *", "backwards", "`22-23,0-2`"),
            ("0 0 * * FRI-MON", "backwards", "`FRI-SAT,SUN-MON`"),
            ("5/15 * * * *", "no end", "`5-59/15`"),
            ("*,5 * * * *", "everything", "alone"),
            ("0 0 * * Tuesday", "not a weekday", "`TUE`"),
            ("0 0 ? * *", "not a day", "`*`"),
            ("0 0 L-3 * *", "not a day", "`L`, alone"),
            ("0 0 15W * *", "not a day", "which other days"),
            ("0 0 L * FRI", "both days", "`0 0 L * *`"),
            ("0 0 L * FRIL", "both days", "`0 0 * * FRIL`"),
            ("0 0 * * FRI#6", "`#6` is none of", "`SAT#1`"),
            ("0 0 * * FRY#1", "not a weekday", "`FRI`"),
            ("0 0 * * L", "last of which weekday", "`FRIL`"),
            ("0 0 * * SAT#1,SUN", "`SUN` is each of them", "two checks"),
            ("0 L * * *", "not a hour", "five fields"),
            ("H 2 * * *", "not a minute", "hour that you want"),
            ("0 0 9 ? * MON#1", "6 fields", "`0 9 * * MON#1`"),
            ("0 0 9 ? * 2#1", "6 fields", "1 is Sunday"),
            ("0 0 9 ? * 2-6", "6 fields", "`0 9 * * MON-FRI`"),
            ("5/90 * * * *", "no step", "1 to 59"),
            ("99/3 * * * *", "not within", ""),
            ("0 0 1 JAN/3 *", "no end", "`JAN-12/3`"),
            ("CRON_TZ=UTC 0 0 * * *", "zone", "`zone: Europe/Berlin`"),
            ("@every 5m", "no time of the day", "{every: 5m}"),
            ("@dayly", "no name", "`@daily`"),
            ("0 0 * * ５", "not a weekday", ""),
            ("99999999999 0 * * *", "not within", ""),
        ] {
            let fault = Crontab::parse(line).expect_err(line);
            assert!(fault.message.contains(rule), "{line}: {}", fault.message);
            assert!(fault.hint.contains(hint), "{line}: {}", fault.hint);
        }
    }

    #[test]
    fn days_of_their_month_are_what_a_calendar_shows() {
        let fires = |line: &str, from: &str| {
            let mut at: NaiveDateTime = from.parse().unwrap();
            let line = Crontab::parse(line).unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
            let mut all = Vec::new();
            for _ in 0..4 {
                at = line.at_or_after(at).unwrap();
                all.push(at.format("%m-%dT%H:%M").to_string());
                at += TimeDelta::seconds(1);
            }
            all.join(" ")
        };
        for (line, wanted) in [
            ("0 4 * * SAT#1", "01-03T04:00 02-07T04:00 03-07T04:00 04-04T04:00"),
            ("0 4 * * 6#1", "01-03T04:00 02-07T04:00 03-07T04:00 04-04T04:00"),
            ("0 4 * * MON#1,MON#3", "01-05T04:00 01-19T04:00 02-02T04:00 02-16T04:00"),
            ("0 4 * * sun#5", "03-29T04:00 05-31T04:00 08-30T04:00 11-29T04:00"),
            ("0 4 * * 7L", "01-25T04:00 02-22T04:00 03-29T04:00 04-26T04:00"),
            ("0 4 * * FRIL", "01-30T04:00 02-27T04:00 03-27T04:00 04-24T04:00"),
            ("0 4 L * *", "01-31T04:00 02-28T04:00 03-31T04:00 04-30T04:00"),
            ("*/30 23 l 2 *", "02-28T23:00 02-28T23:30 02-28T23:00 02-28T23:30"),
        ] {
            assert_eq!(fires(line, "2026-01-01T00:00:00"), wanted, "{line}");
        }
        assert!(fires("0 0 29 2 *", "2026-01-01T00:00:00").starts_with("02-29"));
        assert!(fires("0 0 L 2 *", "2027-03-01T00:00:00").starts_with("02-29T00:00 02-28"));
    }

    #[test]
    fn of_each_month_one_day_is_the_last_and_each_weekday_has_its_places() {
        let last = Crontab::parse("0 0 L * *").unwrap();
        for number in 1..=4 {
            let nth = Crontab::parse(&format!("0 0 * * WED#{number}")).unwrap();
            let mut month = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            while chrono::Datelike::year(&month) < 2038 {
                let next = month + chrono::Months::new(1);
                let in_month = |line: &Crontab| {
                    let mut at = month.and_time(NaiveTime::MIN);
                    let mut all = Vec::new();
                    while let Some(fires) = line.at_or_after(at).filter(|at| at.date() < next) {
                        all.push(fires.date());
                        at = fires + TimeDelta::seconds(1);
                    }
                    all
                };
                assert_eq!(in_month(&last), [next - Dates::new(1)]);
                // By another road: the Wednesdays of the month, counted.
                let days = month.iter_days().take_while(|day| *day < next);
                let of_week: Vec<_> =
                    days.filter(|day| chrono::Datelike::weekday(day) == Weekday::Wed).collect();
                assert_eq!(in_month(&nth), [of_week[number - 1]]);
                month = next;
            }
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_and_each_refusal_says_what_to_write(
            noise in "\\PC{0,40}",
            line in "[0-9*/,A-Za-z@#?LW -]{0,60}",
            near in "([0-9*]{1,3}(/[0-9]{1,2})?[ ,-]?){5,7}",
        ) {
            for text in [noise, line, near] {
                match Crontab::parse(&text) {
                    Ok(line) => {
                        let start = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
                        let first = line.at_or_after(start.and_hms_opt(0, 0, 0).unwrap());
                        prop_assert!(first.is_some(), "{text} never fires");
                    }
                    Err(fault) => {
                        prop_assert!(!fault.message.is_empty() && !fault.hint.is_empty());
                        // Whatever is shown as a line is one.
                        let shown = fault.hint.split('`').skip(1).step_by(2);
                        for line in shown.filter(|s| s.split_whitespace().count() == 5) {
                            prop_assert!(is_line(line), "{text}: {}", fault.hint);
                        }
                    }
                }
            }
        }
    }
}
