//! The rules of a time zone, as a table: which offset from UTC holds from which instant on.
//!
//! A table has one meaning, can be compared with another, and needs no clock and no files. Where it
//! comes from is decided in `zones`.

use std::fmt;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// The first and the last day that has rules; instants outside are refused where they come in.
pub const YEARS: (i32, i32) = (1970, 2099);

/// The name of a zone, as the zone database spells it, or as data does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneName(String);

impl ZoneName {
    /// Takes a name of printable characters without blanks, at most 64.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = |c: char| c.is_ascii_graphic();
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a zone is written like `Europe/Berlin`, or `UTC`")
        }
    }

    /// `UTC`.
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A total offset from UTC in seconds, positive to the east.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(i32);

impl Offset {
    /// UTC itself.
    pub const ZERO: Self = Self(0);

    /// Holds a number of seconds.
    pub fn of_secs(secs: i32) -> Self {
        Self(secs)
    }

    /// Returns the number of seconds.
    pub fn secs(self) -> i32 {
        self.0
    }

    fn delta(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.0))
    }

    /// Returns the civil time at an instant.
    pub fn civil(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.delta()
    }

    /// Returns the instant of a civil time.
    pub fn instant(self, civil: NaiveDateTime) -> DateTime<Utc> {
        (civil - self.delta()).and_utc()
    }
}

/// `+05:30`, with seconds where there are any.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let (hours, minutes, secs) =
            (self.0.abs() / 3600, self.0.abs() / 60 % 60, self.0.abs() % 60);
        let mut text = format!("{sign}{hours:02}:{minutes:02}");
        if secs != 0 {
            text = format!("{text}:{secs:02}");
        }
        f.pad(&text)
    }
}

/// A clock change: the first instant of another offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The first instant of the new offset.
    pub at: DateTime<Utc>,
    /// The offset until then.
    pub before: Offset,
    /// The offset from then on.
    pub after: Offset,
}

impl Change {
    /// Says whether civil times are left out; they are repeated otherwise.
    pub fn is_gap(&self) -> bool {
        self.after > self.before
    }
}

/// `02:00 → 03:00`: what clocks show as they change.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.before.civil(self.at), self.after.civil(self.at));
        let shown = |civil: NaiveDateTime| {
            let format = if from.date() == to.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
            civil.format(format)
        };
        write!(f, "{} → {}", shown(from), shown(to))
    }
}

/// A stretch of time with one offset: half-open, and as long as it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first instant; none where it reaches back beyond the table.
    pub from: Option<Change>,
    /// What ends it; none where it reaches beyond the table.
    pub to: Option<Change>,
    /// The offset that holds in it.
    pub offset: Offset,
}

/// The rules of one zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules {
    first: Offset,
    changes: Vec<Change>,
}

impl Rules {
    /// One offset for ever.
    pub fn fixed(offset: Offset) -> Self {
        Self { first: offset, changes: Vec::new() }
    }

    /// Builds rules from the offset at the beginning and the later ones, in order of their instants;
    /// entries that change nothing are left out.
    pub fn new(first: Offset, later: impl IntoIterator<Item = (DateTime<Utc>, Offset)>) -> Self {
        let mut changes: Vec<Change> = Vec::new();
        let mut before = first;
        for (at, after) in later {
            debug_assert!(changes.last().is_none_or(|last| last.at < at));
            if after != before {
                changes.push(Change { at, before, after });
                before = after;
            }
        }
        Self { first, changes }
    }

    /// All clock changes of the table.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The clock changes in `[from, to)`.
    pub fn changes_within(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> &[Change] {
        let start = self.changes.partition_point(|c| c.at < from);
        let end = self.changes.partition_point(|c| c.at < to);
        self.changes.get(start..end).unwrap_or(&[])
    }

    /// The offset that holds at an instant.
    pub fn offset_at(&self, at: DateTime<Utc>) -> Offset {
        self.segment(self.place(at)).map_or(self.first, |segment| segment.offset)
    }

    /// What clocks show at an instant.
    pub fn civil_at(&self, at: DateTime<Utc>) -> NaiveDateTime {
        self.offset_at(at).civil(at)
    }

    /// The number of the segment that an instant lies in.
    pub fn place(&self, at: DateTime<Utc>) -> usize {
        self.changes.partition_point(|c| c.at <= at)
    }

    /// The segment of a number, from 0.
    pub fn segment(&self, place: usize) -> Option<Segment> {
        if place > self.changes.len() {
            return None;
        }
        let from = place.checked_sub(1).and_then(|i| self.changes.get(i)).copied();
        let to = self.changes.get(place).copied();
        Some(Segment { from, to, offset: from.map_or(self.first, |change| change.after) })
    }

    /// The first instant at which clocks show the date, or anything later.
    ///
    /// Where midnight does not exist it is the end of the gap, where it comes twice the first; a date
    /// that clocks leave out begins, and ends, where the next one begins.
    pub fn day_start(&self, date: NaiveDate) -> DateTime<Utc> {
        self.first_at(date.and_time(NaiveTime::MIN))
    }

    /// The first instant at which clocks show a civil time, or anything later.
    fn first_at(&self, civil: NaiveDateTime) -> DateTime<Utc> {
        // No offset is as large as a day and a half.
        let mut place = self.place((civil - TimeDelta::hours(36)).and_utc());
        loop {
            let Some(segment) = self.segment(place) else { return civil.and_utc() };
            let at = segment.offset.instant(civil);
            match segment.to {
                Some(end) if end.at <= at => place += 1,
                Some(_) | None => return segment.from.map_or(at, |from| at.max(from.at)),
            }
        }
    }

    /// The first instant from a date on at which clocks show this time of it, or anything later.
    ///
    /// A date that clocks leave out begins, and ends, where the next one begins.
    pub fn day_start_at(&self, date: NaiveDate, time: TimeDelta) -> DateTime<Utc> {
        let mut date = date;
        // No zone leaves out more than a date or two.
        for _ in 0..3 {
            if !self.leaves_out(date) {
                break;
            }
            date = date + Days::new(1);
        }
        self.first_at(date.and_time(NaiveTime::MIN) + time)
    }

    /// The date that clocks show at an instant.
    pub fn date_at(&self, at: DateTime<Utc>) -> NaiveDate {
        self.civil_at(at).date()
    }

    /// Says whether clocks leave out a date as a whole.
    pub fn leaves_out(&self, date: NaiveDate) -> bool {
        self.day_start(date) == self.day_start(date + Days::new(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn apia() -> Rules {
        let west = Offset::of_secs(-10 * 3600);
        Rules::new(west, [(at("2011-12-30T10:00:00Z"), Offset::of_secs(14 * 3600))])
    }

    #[test]
    fn a_date_that_clocks_leave_out_has_no_length() {
        let rules = apia();
        let day = |d| NaiveDate::from_ymd_opt(2011, 12, d).unwrap();
        assert!(rules.leaves_out(day(30)));
        assert!(!rules.leaves_out(day(29)) && !rules.leaves_out(day(31)));
        assert_eq!(rules.day_start(day(29)), at("2011-12-29T10:00:00Z"));
        assert_eq!(rules.day_start(day(30)), at("2011-12-30T10:00:00Z"));
        assert_eq!(rules.day_start(day(31)), at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn what_changes_nothing_is_no_change() {
        let zero = Offset::ZERO;
        let rules = Rules::new(zero, [(at("2000-01-01T00:00:00Z"), zero)]);
        assert_eq!(rules, Rules::fixed(zero));
    }

    #[test]
    fn offsets_and_changes_are_shown_as_clocks_show_them() {
        for (secs, shown) in
            [(0, "+00:00"), (-12_600, "-03:30"), (45_900, "+12:45"), (-2_670, "-00:44:30")]
        {
            assert_eq!(Offset::of_secs(secs).to_string(), shown);
        }
        let shown = apia().changes()[0].to_string();
        assert_eq!(shown, "2011-12-30 00:00 → 2011-12-31 00:00");
    }
}
