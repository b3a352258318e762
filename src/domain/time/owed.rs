//! What is owed of a series after a start, a sleep or an outage: what became due since its watermark.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::{CatchUp, CatchUpPolicy};
use crate::domain::record::series::Series;
use crate::domain::time::agenda::{Due, Entry, Event, Target};
use crate::domain::time::duration::delta;

/// What becomes of something that came due while the daemon did not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is looked at.
    Wait,
    /// It is recorded as missed.
    Missed {
        /// Whether that is an alarm of its own; not where the check's owner wants no catching up.
        open: bool,
    },
}

/// Something owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// What, and since when.
    pub due: Due,
    /// Until when it is not an alarm, seen from its due.
    pub deadline_nominal: DateTime<Utc>,
    /// The same, seen from when it came to be known.
    pub deadline: DateTime<Utc>,
    /// What becomes of it.
    pub fate: Fate,
}

/// How far the record of a series reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// Nowhere: the series is new since an instant.
    New {
        /// When its catalogue was loaded.
        loaded: DateTime<Utc>,
    },
    /// Everything due up to here is recorded.
    Through(DateTime<Utc>),
}

/// What is to be written into the record of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What is owed, in the order of its dues.
    pub owed: Vec<Owed>,
    /// What is not, and why.
    pub events: Vec<Event>,
    /// Slots that were not looked at, as one range: the first and the last.
    pub missed_slots: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// How far the record reaches with it.
    pub watermark: DateTime<Utc>,
    /// Whether that is all that is due by now.
    pub complete: bool,
}

impl Batch {
    fn empty(watermark: DateTime<Utc>) -> Self {
        Self { owed: Vec::new(), events: Vec::new(), missed_slots: None, watermark, complete: true }
    }
}

impl Series {
    /// What is owed by now, since the record ends: at most about `most` items at once.
    ///
    /// A window is known by its bounds: where a schedule or the rules of its zone were changed, one
    /// that is recorded already may come again, and is not written twice.
    pub fn owed(&self, since: Watermark, now: DateTime<Utc>, most: usize) -> Batch {
        let through = match since {
            Watermark::Through(at) => at,
            Watermark::New { loaded } => return self.first_owed(loaded, now),
        };
        let mut batch = Batch::empty(through);
        let mut dues: Vec<Due> = Vec::new();
        for entry in self.agenda_after(through).take_while(|entry| entry.at() <= now) {
            // What is due together stays together.
            let full = dues.len() + batch.events.len() >= most.max(1);
            if full && entry.at() > batch.watermark {
                batch.complete = false;
                break;
            }
            batch.watermark = entry.at();
            match entry {
                Entry::Due(due) => dues.push(due),
                Entry::Event(event) => batch.events.push(event),
            }
        }
        if batch.complete {
            batch.watermark = batch.watermark.max(now);
        }
        if self.window().is_none() {
            self.slots_owed(&mut batch, &dues, now);
            return batch;
        }
        let latest = self.check.catch_up.policy == CatchUpPolicy::Latest && !dues.is_empty();
        let newest = if latest { self.last_dues(now) } else { Vec::new() };
        let newest = newest.first().map(Due::period);
        batch.owed = dues.into_iter().map(|due| self.due_row(due, now, newest)).collect();
        batch
    }

    /// What is due next after an instant, and until when it is not an alarm; nothing where the years
    /// that have rules are over.
    pub fn next_due_batch(&self, after: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let due = self.agenda_after(after).find_map(|entry| match entry {
            Entry::Due(due) => Some(due),
            Entry::Event(_) => None,
        })?;
        Some((due.at, self.held(due.at) + self.patience(&due)))
    }

    /// A new series owes its last window that was due, or a look at the present.
    fn first_owed(&self, loaded: DateTime<Utc>, now: DateTime<Utc>) -> Batch {
        let mut batch = Batch::empty(now);
        let (schedule, rules) = (&self.check.schedule, &self.clock.rules);
        let dues = match self.window() {
            Some(_) => self.last_dues(now),
            None if self.excepts(rules.date_at(now)) || self.paused_until(now).is_some() => {
                Vec::new()
            }
            // The slot before tells how long there is to the next.
            None => {
                let at = schedule.slot_by(rules, now).map_or(now, |slot| slot.at);
                vec![Due { at, target: Target::Slot(now), slot: None }]
            }
        };
        for due in dues {
            let patience = self.patience(&due);
            let deadline_nominal = loaded.max(self.held(loaded)) + patience;
            let deadline = deadline_nominal.max(now + patience);
            let due = Due { at: now, ..due };
            batch.owed.push(Owed { due, deadline_nominal, deadline, fate: Fate::Wait });
        }
        batch
    }

    /// Slots are never caught up: the last is looked at now, the others are one hole.
    fn slots_owed(&self, batch: &mut Batch, dues: &[Due], now: DateTime<Utc>) {
        // What falls into a pause is no slot.
        let dues: Vec<Due> =
            dues.iter().copied().filter(|due| self.held(due.at) == due.at).collect();
        let Some((last, missed)) = dues.split_last() else { return };
        let (last, missed) =
            if batch.complete { (Some(last), missed) } else { (None, dues.as_slice()) };
        batch.missed_slots = missed.first().zip(missed.last()).map(|(a, b)| (a.at, b.at));
        batch.owed.extend(last.map(|due| self.due_row(*due, now, Some(due.period()))));
    }

    /// What was due last by now: by walking forward from ever earlier.
    fn last_dues(&self, now: DateTime<Utc>) -> Vec<Due> {
        // Twice the longest time between two dues: 29 February, across a year like 2100.
        const LOOK_BACK_MAX: TimeDelta = TimeDelta::days(366 * 16);
        let mut look_back = TimeDelta::days(2);
        loop {
            let entries = self.agenda_after(now - look_back).take_while(|entry| entry.at() <= now);
            let mut last: Vec<Due> = Vec::new();
            for entry in entries {
                let Entry::Due(due) = entry else { continue };
                if last.first().is_some_and(|first| first.period() != due.period()) {
                    last.clear();
                }
                last.push(due);
            }
            if !last.is_empty() || look_back > LOOK_BACK_MAX {
                return last;
            }
            look_back = look_back * 4;
        }
    }

    /// When something that was due at an instant may be looked at: after the pause that it fell into.
    pub fn held(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        let until = self.check.pause.as_ref().map(|pause| pause.until.instant(&self.home.rules));
        until.map_or(due, |until| until.max(due))
    }

    fn due_row(&self, due: Due, now: DateTime<Utc>, newest: Option<DateTime<Utc>>) -> Owed {
        let patience = self.patience(&due);
        let CatchUp { policy, age } = self.check.catch_up;
        let held = self.held(due.at);
        let late = held + patience <= now;
        let fate = if late && held + delta(age) < now {
            Fate::Missed { open: true }
        } else if late && !policy.catches_up(Some(due.period()) == newest) {
            Fate::Missed { open: false }
        } else {
            Fate::Wait
        };
        Owed { due, deadline_nominal: held + patience, deadline: held.max(now) + patience, fate }
    }
}
