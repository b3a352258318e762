//! When to look: on a grid, by a crontab line, or as windows settle.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::time::crontab::Crontab;
use crate::domain::time::timetable::{Fold, Gap, Happening, Origin, Timetable, Walk, What};
use crate::domain::time::zone::{Rules, ZoneName};

/// When a check looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// On a grid over UTC.
    Every(Every),
    /// By a crontab line.
    Cron(Box<CronSchedule>),
    /// When a window has ended and settled.
    WindowEnd,
}

/// A grid over UTC, moved by a phase that follows from the check's id, so that checks with one
/// period do not all look at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    period_secs: u32,
    phase_secs: u32,
}

/// A crontab line, where it is read, and what clock changes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronSchedule {
    /// The line.
    pub line: Crontab,
    /// The zone in which it is read; the series' own where none is written.
    pub zone: Option<ZoneName>,
    /// For civil times that do not exist.
    pub gap: Gap,
    /// For civil times that come twice.
    pub fold: Fold,
}

/// Dates that are not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Except {
    /// The dates: of the window's beginning, or of the slot where there is no window.
    pub dates: Vec<NaiveDate>,
    /// Why.
    pub because: String,
}

/// A check that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Until when: an instant, or the beginning of a date where the check lives.
    pub until: Until,
    /// Why.
    pub because: String,
}

/// The end of a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// An instant.
    Instant(DateTime<Utc>),
    /// The first instant of a local date.
    Date(NaiveDate),
}

impl Every {
    /// Every hour, on the hour.
    pub const HOURLY: Self = Self { period_secs: 3600, phase_secs: 0 };
    /// The longest period.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// Takes whole seconds, 1 s to 366 d.
    ///
    /// # Errors
    /// The rule that is broken, as a sentence.
    pub fn new(period: Duration, id: &CheckId) -> Result<Self, &'static str> {
        const RULE: &str = "`every` is 1s to 366d, in whole seconds";
        let secs = u32::try_from(period.as_secs()).map_err(|_| RULE)?;
        if secs == 0 || period.subsec_nanos() > 0 || period > Self::LONGEST {
            return Err(RULE);
        }
        let phase = u32::try_from(fnv1a(id.as_str()) % u64::from(secs)).map_err(|_| RULE)?;
        Ok(Self { period_secs: secs, phase_secs: phase })
    }

    /// The time between two looks.
    pub fn period(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.period_secs))
    }

    /// The first slot after an instant.
    fn after(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let (period, phase) = (i64::from(self.period_secs), i64::from(self.phase_secs));
        let number = (at.timestamp() - phase).div_euclid(period) + 1;
        DateTime::from_timestamp(number * period + phase, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// FNV-1a, 64 bits: a hash that is the same in every release
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The slots of a schedule, in order, with what became of civil times that are none.
#[derive(Debug)]
pub enum Slots<'a> {
    /// On a grid.
    Every(Every, DateTime<Utc>),
    /// By a line.
    Cron(Walk<'a>),
}

impl Schedule {
    /// Returns the slots after an instant, in a zone's civil time; none where windows decide.
    pub fn slots_after<'a>(&'a self, rules: &'a Rules, at: DateTime<Utc>) -> Option<Slots<'a>> {
        match self {
            Self::Every(every) => Some(Slots::Every(*every, at)),
            Self::Cron(cron) => {
                let CronSchedule { line, gap, fold, .. } = &**cron;
                let table = Timetable { line, rules, gap: *gap, fold: *fold };
                Some(Slots::Cron(table.after(at)))
            }
            Self::WindowEnd => None,
        }
    }

    /// The first slot after an instant.
    pub fn slot_after(&self, rules: &Rules, at: DateTime<Utc>) -> Option<Happening> {
        self.slots_after(rules, at)?.find(Happening::is_slot)
    }

    /// The last slot at or before an instant: by walking forward from ever earlier, because no crate
    /// walks backwards correctly (docs/internals/time.md, "Schedules over civil time").
    pub fn slot_by(&self, rules: &Rules, at: DateTime<Utc>) -> Option<Happening> {
        // Twice the longest time between two slots: 29 February, across a year like 2100.
        const LOOK_BACK_MAX: TimeDelta = TimeDelta::days(366 * 16);
        let mut look_back = match self {
            Self::Every(every) => every.period(),
            Self::Cron(_) | Self::WindowEnd => TimeDelta::hours(2),
        };
        loop {
            let slots = self.slots_after(rules, at - look_back)?;
            let until = slots.take_while(|slot| slot.at <= at);
            if let Some(last) = until.filter(Happening::is_slot).last() {
                return Some(last);
            }
            if look_back > LOOK_BACK_MAX {
                return None;
            }
            look_back = look_back * 2;
        }
    }
}

impl Slots<'_> {
    /// Leaves out slots of a grid before an instant, of which there may be millions; a line's are
    /// walked through, because of what is dropped between them.
    pub fn pass_by(&mut self, before: DateTime<Utc>) {
        match self {
            Self::Every(_, last) => *last = (*last).max(before - TimeDelta::seconds(1)),
            Self::Cron(_) => {}
        }
    }
}

impl Iterator for Slots<'_> {
    type Item = Happening;

    fn next(&mut self) -> Option<Happening> {
        match self {
            Self::Every(every, last) => {
                *last = every.after(*last);
                let (at, what) = (*last, What::Slot(Origin::Plain));
                Some(Happening { at, civil: at.naive_utc(), what })
            }
            Self::Cron(walk) => walk.next(),
        }
    }
}

impl Until {
    /// The instant, given the rules of where the check lives.
    pub fn instant(self, rules: &Rules) -> DateTime<Utc> {
        match self {
            Self::Instant(at) => at,
            Self::Date(date) => rules.day_start(date),
        }
    }
}
