//! The agenda of a series: what is due when, by when its absence is an alarm, and what is owed after
//! a start, a sleep or an outage. It decides; the engine does.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::domain::record::series::Series;
use crate::domain::time::duration::delta;
use crate::domain::time::schedule::{Every, Schedule, Slots};
use crate::domain::time::timetable::{Happening, What};
use crate::domain::time::window::{Frame, Span, Window, WindowRule};
use crate::domain::time::zone::YEARS;

/// Something to be looked at, at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it is to be looked at.
    pub at: DateTime<Utc>,
    /// What is to be looked at.
    pub target: Target,
    /// How a crontab line came to that instant.
    pub slot: Option<Happening>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A window.
    Window(Window),
    /// The present, for a check without window.
    Slot(DateTime<Utc>),
}

impl Due {
    /// The beginning of the period that is looked at, or the slot.
    pub fn period(&self) -> DateTime<Utc> {
        match &self.target {
            Target::Window(window) => window.span.start,
            Target::Slot(at) => *at,
        }
    }
}

/// Something that is not looked at, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When it would have been.
    pub at: DateTime<Utc>,
    /// Why it is not.
    pub what: Omission,
}

/// Why something is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// Clocks leave the civil time out, or show it twice.
    Civil(Happening),
    /// Clocks leave the whole period out.
    NoSuchDate(NaiveDate),
    /// The owner took the date out.
    Excepted(NaiveDate),
}

/// An item of the agenda, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Something is due.
    Due(Due),
    /// Something is not.
    Event(Event),
}

impl Entry {
    /// The instant that it belongs to.
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Due(due) => due.at,
            Self::Event(event) => event.at,
        }
    }
}

/// The agenda of a series, after an instant. It has no end but that of the years that have rules.
#[derive(Debug)]
pub struct Agenda<'a> {
    series: &'a Series,
    after: DateTime<Utc>,
    from: From<'a>,
    ready: VecDeque<Entry>,
}

#[derive(Debug)]
enum From<'a> {
    /// Each slot is due.
    Slots(Slots<'a>),
    /// Each period is due, as it settles or at the first slot after that.
    Spans(Box<Spans<'a>>),
}

#[derive(Debug)]
struct Spans<'a> {
    rule: &'a WindowRule,
    next: Span,
    slots: Option<Slots<'a>>,
    /// The slot that was reached, and not passed.
    slot: Option<Happening>,
}

impl Series {
    /// What is due after an instant, and what is not. It is the same list from any instant on.
    pub fn agenda_after(&self, at: DateTime<Utc>) -> Agenda<'_> {
        let schedule = &self.check.schedule;
        let slots = |at| schedule.slots_after(&self.clock.rules, at);
        let from = match (self.window(), slots(at)) {
            (None, Some(slots)) => From::Slots(slots),
            // The manifest gives a snapshot check a schedule.
            (None, None) => From::Slots(Slots::Every(Every::HOURLY, at)),
            (Some(rule), None) => From::Spans(Box::new(self.spans(rule, at, None))),
            (Some(rule), Some(_)) => {
                // Windows that settled since the last slot belong to the next one.
                let last = schedule.slot_by(&self.clock.rules, at).map_or(at, |slot| slot.at);
                From::Spans(Box::new(self.spans(rule, last, slots(last))))
            }
        };
        Agenda { series: self, after: at, from, ready: VecDeque::new() }
    }

    fn spans<'a>(
        &'a self,
        rule: &'a WindowRule,
        settled_after: DateTime<Utc>,
        slots: Option<Slots<'a>>,
    ) -> Spans<'a> {
        let next = rule.frame.span_at(&self.home.rules, settled_after - settle(rule));
        Spans { rule, next, slots, slot: None }
    }

    /// How long after its due something may be missing before that is an alarm: what the check says,
    /// else an hour, or the time to the next slot or window end where that is shorter.
    pub fn patience(&self, due: &Due) -> TimeDelta {
        const HOUR: TimeDelta = TimeDelta::hours(1);
        if let Some(written) = self.check.result_by {
            return delta(written);
        }
        let next = match (&due.target, self.window(), &self.check.schedule) {
            (Target::Window(window), Some(rule), Schedule::WindowEnd) => {
                let next = self.following(rule.frame, &window.span);
                next.map(|next| next.end - window.span.end)
            }
            (Target::Window(_) | Target::Slot(_), _, schedule) => {
                let next = schedule.slot_after(&self.clock.rules, due.at);
                next.map(|next| next.at - due.at)
            }
        };
        next.map_or(HOUR, |next| next.min(HOUR))
    }

    /// The next period that has a length.
    fn following(&self, frame: Frame, span: &Span) -> Option<Span> {
        let mut next = frame.next(&self.home.rules, span);
        while next.is_empty() {
            next = frame.next(&self.home.rules, &next);
        }
        (next.date.year() <= YEARS.1).then_some(next)
    }
}

/// The time that a window takes to settle.
fn settle(rule: &WindowRule) -> TimeDelta {
    delta(rule.settle)
}

impl Iterator for Agenda<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                // The walk begins with the slot before, so that no window is lost between two.
                if entry.at() > self.after {
                    return Some(entry);
                }
                continue;
            }
            match &mut self.from {
                From::Slots(slots) => return Some(slot_entry(self.series, slots.next()?)),
                From::Spans(spans) => spans.refill(self.series, &mut self.ready)?,
            }
        }
    }
}

fn slot_entry(series: &Series, slot: Happening) -> Entry {
    let at = slot.at;
    let date = series.clock.rules.date_at(at);
    match slot.what {
        What::Dropped(_) => Entry::Event(Event { at, what: Omission::Civil(slot) }),
        What::Slot(_) if series.excepts(date) => {
            Entry::Event(Event { at, what: Omission::Excepted(date) })
        }
        What::Slot(_) => Entry::Due(Due { at, target: Target::Slot(at), slot: Some(slot) }),
    }
}

impl Spans<'_> {
    /// Puts the entries of the next period into `ready`.
    fn refill(&mut self, series: &Series, ready: &mut VecDeque<Entry>) -> Option<()> {
        let span = self.next;
        if span.date.year() > YEARS.1 {
            return None;
        }
        self.next = self.rule.frame.next(&series.home.rules, &span);
        let settled = span.end + settle(self.rule);
        let at = match &mut self.slots {
            None => settled,
            Some(slots) => loop {
                slots.pass_by(settled);
                let slot = match self.slot {
                    Some(slot) => slot,
                    None => *self.slot.insert(slots.next()?),
                };
                if slot.is_slot() && slot.at >= settled {
                    break slot.at;
                }
                if let What::Dropped(_) = slot.what {
                    let event = Event { at: slot.at, what: Omission::Civil(slot) };
                    ready.push_back(Entry::Event(event));
                }
                self.slot = None;
            },
        };
        let omitted = |what| Entry::Event(Event { at, what });
        if span.is_empty() {
            ready.push_back(omitted(Omission::NoSuchDate(span.date)));
        } else if series.excepts(span.date) {
            ready.push_back(omitted(Omission::Excepted(span.date)));
        } else {
            let windows = span.windows(&series.home.rules, self.rule.split);
            let due = |window| Due { at, target: Target::Window(window), slot: self.slot };
            ready.extend(windows.into_iter().map(|window| Entry::Due(due(window))));
        }
        Some(())
    }
}

impl Series {}

impl Target {
    /// The civil time that people call it by: the window's first date, or the slot.
    pub fn civil(&self, series: &Series) -> NaiveDateTime {
        match self {
            Self::Window(window) => window.span.date.and_time(chrono::NaiveTime::MIN),
            Self::Slot(at) => series.clock.rules.civil_at(*at),
        }
    }
}
