//! When a crontab line fires in a zone, and what becomes of civil times that do not exist or come
//! twice. Nothing is dropped without a word: each dropped time is an item of the walk.
//!
//! The walk goes through the segments between clock changes; in each of them civil time and instants
//! differ by one offset, so no civil time is ever looked up (docs/internals/time.md, "Clock changes"). It starts from any
//! instant and gives the same items from there on.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::domain::time::crontab::{Crontab, Hours};
use crate::domain::time::zone::{Change, Rules, Segment};

/// What becomes of a civil time that clocks leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// One look at the end of the gap.
    NextValid,
    /// None.
    Skip,
    /// A look as much later as clocks jump.
    Shift,
}

/// What becomes of a civil time that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// A look at the first.
    First,
    /// A look at the second.
    Second,
    /// Two looks.
    Both,
}

impl Gap {
    /// The words for it.
    pub const WORDS: [(&str, Self); 3] =
        [("next_valid", Self::NextValid), ("skip", Self::Skip), ("shift", Self::Shift)];

    /// What is meant where nothing is written.
    pub fn implied(hours: Hours) -> Self {
        match hours {
            Hours::Fixed => Self::NextValid,
            Hours::Wild => Self::Skip,
        }
    }
}

impl Fold {
    /// The words for it.
    pub const WORDS: [(&str, Self); 3] =
        [("first", Self::First), ("second", Self::Second), ("both", Self::Both)];

    /// What is meant where nothing is written.
    pub fn implied(hours: Hours) -> Self {
        match hours {
            Hours::Fixed => Self::First,
            Hours::Wild => Self::Both,
        }
    }
}

/// One item of a walk, at its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happening {
    /// When it happens; for a time in a gap, the end of the gap.
    pub at: DateTime<Utc>,
    /// The civil time that the line names.
    pub civil: NaiveDateTime,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of a civil time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is a slot.
    Slot(Origin),
    /// It is not.
    Dropped(WhyDropped),
}

/// How a slot came to its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Clocks show the civil time then, once.
    Plain,
    /// Clocks show it twice, and this is the first time.
    FirstOfTwo,
    /// Clocks show it twice, and this is the second time.
    SecondOfTwo,
    /// Clocks leave it out, so it comes with the end of the gap.
    EndOfGap(Change),
    /// Clocks leave it out, so it comes as much later as they jump.
    Shifted(Change),
}

/// Why a civil time is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyDropped {
    /// Clocks leave it out, and the policy skips it.
    Gap(Change),
    /// Clocks leave it out, and there is a look at that instant already.
    Merged(Change),
    /// Clocks leave out its whole date.
    NoSuchDate(Change),
    /// It is the first of two, and the policy takes the second.
    FirstOfTwo(Change),
    /// It is the second of two, and the policy took the first.
    SecondOfTwo(Change),
}

impl Happening {
    /// Says whether something is looked at.
    pub fn is_slot(&self) -> bool {
        match self.what {
            What::Slot(_) => true,
            What::Dropped(_) => false,
        }
    }
}

/// What people are told of it; nothing where nothing is odd.
impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.civil.format("%H:%M");
        match self.what {
            What::Slot(Origin::Plain) => Ok(()),
            What::Slot(Origin::FirstOfTwo) => write!(f, "{time} comes twice: the first"),
            What::Slot(Origin::SecondOfTwo) => write!(f, "{time} comes twice: the second"),
            What::Slot(Origin::EndOfGap(change)) => {
                write!(f, "{time} does not exist ({change}): at the end of the gap")
            }
            What::Slot(Origin::Shifted(change)) => {
                write!(f, "{time} does not exist ({change}): shifted")
            }
            What::Dropped(WhyDropped::Gap(change)) => {
                write!(f, "{time} does not exist ({change}): skipped")
            }
            What::Dropped(WhyDropped::Merged(change)) => {
                write!(f, "{time} does not exist ({change}): merged with another look")
            }
            What::Dropped(WhyDropped::NoSuchDate(change)) => {
                write!(f, "{} does not exist ({change}): skipped", self.civil.date())
            }
            What::Dropped(WhyDropped::FirstOfTwo(_)) => {
                write!(f, "{time} comes twice: the first is dropped")
            }
            What::Dropped(WhyDropped::SecondOfTwo(_)) => {
                write!(f, "{time} comes twice: the second is dropped")
            }
        }
    }
}

/// A crontab line in a zone.
#[derive(Debug, Clone, Copy)]
pub struct Timetable<'a> {
    /// The line.
    pub line: &'a Crontab,
    /// The zone's rules.
    pub rules: &'a Rules,
    /// For times that do not exist.
    pub gap: Gap,
    /// For times that come twice.
    pub fold: Fold,
}

impl<'a> Timetable<'a> {
    /// Walks through everything that happens after an instant, in order.
    pub fn after(self, at: DateTime<Utc>) -> Walk<'a> {
        let place = self.rules.place(at);
        let mut walk = Walk {
            table: self,
            after: at,
            place,
            segment: None,
            special: VecDeque::new(),
            regular: None,
        };
        walk.enter(place);
        walk
    }
}

/// An endless, ordered walk; it ends with the years that have rules.
#[derive(Debug)]
pub struct Walk<'a> {
    table: Timetable<'a>,
    after: DateTime<Utc>,
    place: usize,
    segment: Option<Segment>,
    /// What the gap at the segment's beginning leaves behind, in order.
    special: VecDeque<Happening>,
    /// The next civil time of the line inside the segment.
    regular: Option<NaiveDateTime>,
}

impl Iterator for Walk<'_> {
    type Item = Happening;

    fn next(&mut self) -> Option<Happening> {
        loop {
            let segment = self.segment?;
            let regular = self.regular.map(|civil| self.regular(segment, civil));
            let special = self.special.front().copied();
            let special = special.filter(|s| regular.is_none_or(|r| s.at <= r.at));
            let next = match (special, regular) {
                (None, None) => {
                    segment.to?;
                    self.enter(self.place + 1);
                    continue;
                }
                // What was merged stands before what it was merged with.
                (Some(special), regular) => {
                    self.special.pop_front();
                    match regular {
                        Some(regular) if regular.at == special.at => merged(special),
                        Some(_) | None => special,
                    }
                }
                (None, Some(regular)) => {
                    self.regular = self.following(segment, regular.civil + TimeDelta::seconds(1));
                    regular
                }
            };
            if next.at > self.after {
                return Some(next);
            }
        }
    }
}

/// A slot that falls on a regular one is that one.
fn merged(special: Happening) -> Happening {
    match special.what {
        What::Slot(Origin::EndOfGap(change) | Origin::Shifted(change)) => {
            Happening { what: What::Dropped(WhyDropped::Merged(change)), ..special }
        }
        What::Slot(Origin::Plain | Origin::FirstOfTwo | Origin::SecondOfTwo) | What::Dropped(_) => {
            special
        }
    }
}

impl Walk<'_> {
    /// Begins a segment.
    fn enter(&mut self, place: usize) {
        self.place = place;
        self.segment = self.table.rules.segment(place);
        self.special.clear();
        let Some(segment) = self.segment else { return };
        if let Some(change) = segment.from.filter(Change::is_gap) {
            self.special = self.in_gap(change).into();
        }
        let start = self.after + TimeDelta::seconds(1);
        let start = segment.from.map_or(start, |from| from.at.max(start));
        self.regular = self.following(segment, segment.offset.civil(start));
    }

    /// The line's next civil time inside the segment, at or after the given one.
    fn following(&self, segment: Segment, civil: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = self.table.line.at_or_after(civil)?;
        let end = segment.to.map(|end| segment.offset.civil(end.at));
        end.is_none_or(|end| next < end).then_some(next)
    }

    /// What becomes of a civil time that exists.
    fn regular(&self, segment: Segment, civil: NaiveDateTime) -> Happening {
        let at = segment.offset.instant(civil);
        let folded = |change: &Change| !change.is_gap();
        // Clocks went back to where they show this time again, or will go back to it.
        let again = segment.from.filter(folded).filter(|c| civil < c.before.civil(c.at));
        let once_more = segment.to.filter(folded).filter(|c| civil >= c.after.civil(c.at));
        let what = match (again, once_more, self.table.fold) {
            (None, None, _) => What::Slot(Origin::Plain),
            (Some(change), _, Fold::First) => What::Dropped(WhyDropped::SecondOfTwo(change)),
            (Some(_), _, Fold::Second | Fold::Both) => What::Slot(Origin::SecondOfTwo),
            (None, Some(change), Fold::Second) => What::Dropped(WhyDropped::FirstOfTwo(change)),
            (None, Some(_), Fold::First | Fold::Both) => What::Slot(Origin::FirstOfTwo),
        };
        Happening { at, civil, what }
    }

    /// What becomes of the civil times that a gap leaves out.
    fn in_gap(&self, change: Change) -> Vec<Happening> {
        let (from, to) = (change.before.civil(change.at), change.after.civil(change.at));
        let mut all = Vec::new();
        let mut looked = false;
        let mut next = self.table.line.at_or_after(from);
        while let Some(civil) = next.filter(|civil| *civil < to) {
            let no_date = left_out(civil.date(), from, to);
            let (at, what) = match self.table.gap {
                _ if no_date => (change.at, What::Dropped(WhyDropped::NoSuchDate(change))),
                Gap::Skip => (change.at, What::Dropped(WhyDropped::Gap(change))),
                Gap::NextValid if looked => (change.at, What::Dropped(WhyDropped::Merged(change))),
                Gap::NextValid => (change.at, What::Slot(Origin::EndOfGap(change))),
                Gap::Shift => (change.before.instant(civil), What::Slot(Origin::Shifted(change))),
            };
            looked |= matches!(what, What::Slot(_));
            all.push(Happening { at, civil, what });
            next = self.table.line.at_or_after(civil + TimeDelta::seconds(1));
        }
        // Dropped ones have the instant of the gap's end; slots that are shifted come later.
        all.sort_by_key(|happening| happening.at);
        all
    }
}

/// Says whether a gap takes away a whole date.
fn left_out(date: NaiveDate, from: NaiveDateTime, to: NaiveDateTime) -> bool {
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    midnight >= from && midnight + TimeDelta::days(1) <= to
}
