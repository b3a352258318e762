//! Who is watched: every series of the active generation, and when each is due next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::catalogue::Catalogue;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::{Check, Severity};
use crate::domain::record::series::{Series, Zone};
use crate::domain::record::standing::Alarm;
use crate::domain::time::agenda::{Due, Target};
use crate::domain::time::duration::delta;
use crate::domain::time::owed::{Fate, Owed, Watermark};
use crate::domain::time::schedule::{Every, Schedule};
use crate::domain::time::window::{Window, ZoneChoice, ZonesFrom};
use crate::domain::time::zone::ZoneName;
use crate::engine::meaning::traits;
use crate::ledger::{DueBatch, Planned, Role, SeriesRecord, Terms, Traits};
use crate::zones::Zones;

/// How many rows of one series are materialised at once.
const ROWS_OWED: usize = 300;
/// How much longer attempts are moved apart for each one more that is due with them.
const SPLAY_EACH: TimeDelta = TimeDelta::milliseconds(20);
/// The farthest that attempts are moved apart (docs/internals/resilience.md, "Herds").
const SPLAY_MOST: TimeDelta = TimeDelta::seconds(30);

/// A series that is watched.
#[derive(Debug, Clone)]
pub struct Member {
    /// The series; for a list, a look at the present.
    pub series: Series,
    /// Its list, where it judges one.
    pub list: Option<ZonesFrom>,
    /// What the ledger says of it.
    pub record: Arc<SeriesRecord>,
    /// What the ledger needs to judge its rows.
    pub terms: Terms,
    /// When something is due next, or is not and has to be told.
    wake_at: Option<DateTime<Utc>>,
}

/// Every series that is watched.
#[derive(Debug, Default)]
pub struct Roster {
    members: BTreeMap<i64, Member>,
    wakes: BTreeSet<(DateTime<Utc>, i64)>,
    checks: BTreeMap<CheckId, (Arc<Check>, Traits)>,
}

/// The series of a check that judges its list of zones: a look at the list at each of its slots, else
/// every hour.
fn list_series(check: &Arc<Check>) -> Series {
    let schedule = match &check.schedule {
        Schedule::WindowEnd => Schedule::Every(Every::HOURLY),
        schedule @ (Schedule::Every(_) | Schedule::Cron(_)) => schedule.clone(),
    };
    let check =
        Check { window: None, schedule, result_by: None, except: None, ..(**check).clone() };
    Series { check: Arc::new(check), home: Zone::utc(), clock: Zone::utc() }
}

/// The list that names the zones of a check, where one does.
fn list_of(check: &Check) -> Option<&ZonesFrom> {
    match check.window.as_ref().map(|window| &window.zones) {
        Some(ZoneChoice::From(from)) => Some(from),
        Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_)) | None => None,
    }
}

/// Every series that a catalogue declares, but for those that lists name.
pub fn planned(catalogue: &Catalogue, zones: &Zones) -> Vec<Planned> {
    let rules = |name: &ZoneName| zones.rules(name);
    let mut planned = Vec::new();
    for check in catalogue.checks() {
        if list_of(check).is_some() {
            planned.push(Planned { check: check.id.clone(), tz: None, role: Role::List });
            continue;
        }
        for series in Series::of(check, &rules).unwrap_or_default() {
            let tz = series.tz().map(ToString::to_string);
            planned.push(Planned { check: check.id.clone(), tz, role: Role::Data });
        }
    }
    planned
}

impl Roster {
    /// Watches the series of a catalogue that the ledger knows.
    pub fn new(
        catalogue: &Catalogue,
        engines: &crate::manifest::Engines,
        records: Vec<SeriesRecord>,
        zones: &Zones,
        now: DateTime<Utc>,
    ) -> Self {
        let mut roster = Self::default();
        for check in catalogue.checks() {
            let traits = traits(check, engines);
            roster.checks.insert(check.id.clone(), (Arc::clone(check), traits));
        }
        for record in records {
            roster.admit(record, zones, now);
        }
        roster
    }

    /// Takes over what the ledger says of a series, whether it is known here or not.
    pub fn admit(&mut self, record: SeriesRecord, zones: &Zones, now: DateTime<Utc>) {
        let id = record.id;
        let (series, list) = match self.members.remove(&id) {
            Some(member) => {
                if let Some(at) = member.wake_at {
                    self.wakes.remove(&(at, id));
                }
                (member.series, member.list)
            }
            None => match self.series_of(&record, zones) {
                Some(known) => known,
                None => return,
            },
        };
        let mut member = Member {
            terms: Terms {
                after: series.check.alert.after.get(),
                next_due: None,
                next_deadline: now,
                patience: TimeDelta::hours(1),
                paused_until: series.paused_until(now),
                age: delta(series.check.catch_up.age),
                recheck: series.check.recheck,
                critical: [Alarm::Violated, Alarm::Unconfirmed]
                    .map(|alarm| alarm.severity(&series.check) == Severity::Critical),
            },
            series,
            list,
            record: Arc::new(record),
            wake_at: None,
        };
        member.look_ahead(now);
        self.wakes.extend(member.wake_at.map(|at| (at, id)));
        self.members.insert(id, member);
    }

    /// The series that a record is of; nothing where its check is gone.
    fn series_of(
        &self,
        record: &SeriesRecord,
        zones: &Zones,
    ) -> Option<(Series, Option<ZonesFrom>)> {
        let (check, _) = self.checks.get(&record.check)?;
        if record.role == Role::List {
            return Some((list_series(check), Some(list_of(check)?.clone())));
        }
        let rules = |name: &ZoneName| zones.rules(name);
        let series = match &record.tz {
            Some(tz) => Series::in_zone(check, &ZoneName::parse(tz).ok()?, &rules)?,
            None => Series::of(check, &rules)?.pop()?,
        };
        Some((series, None))
    }

    /// What is known of a check.
    pub fn traits(&self, check: &CheckId) -> Option<&Traits> {
        self.checks.get(check).map(|(_, traits)| traits)
    }

    /// What is known of all checks.
    pub fn all_traits(&self) -> BTreeMap<CheckId, Traits> {
        self.checks.iter().map(|(id, (_, traits))| (id.clone(), traits.clone())).collect()
    }

    /// All checks.
    pub fn checks(&self) -> impl Iterator<Item = &Arc<Check>> {
        self.checks.values().map(|(check, _)| check)
    }

    /// A series.
    pub fn get(&self, id: i64) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Every series, in the order of the store.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// When something is due next.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// What is due by now, of at most so many series, and no more rows than that once one is there; it stays due
    /// until it is kept or put off.
    pub fn due(&self, now: DateTime<Utc>, most: usize, rows_max: usize) -> Vec<DueBatch> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now).take(most);
        let (mut due_batches, mut rows): (Vec<DueBatch>, usize) = (Vec::new(), 0);
        for (_, id) in due {
            let Some(member) = self.members.get(id) else { continue };
            let left = rows_max.saturating_sub(rows);
            if left == 0 {
                break;
            }
            let due_batch = member.due_batch(*id, now, left);
            rows += due_batch.batch.owed.len().max(1);
            due_batches.push(due_batch);
        }
        let mut crowds: BTreeMap<String, i32> = BTreeMap::new();
        for due_batch in &due_batches {
            *crowds.entry(due_batch.source.clone()).or_default() += 1;
        }
        for due_batch in &mut due_batches {
            let crowd = crowds.get(&due_batch.source).copied().unwrap_or(1) - 1;
            due_batch.splay = due_batch.splay.min(SPLAY_EACH * crowd);
        }
        due_batches
    }

    /// What new rules make due of a series, to be looked at now.
    pub fn due_batch_of(&self, id: i64, new: &[Window], now: DateTime<Utc>) -> Option<DueBatch> {
        let member = self.members.get(&id)?;
        let mut due_batch = member.due_batch(id, now, ROWS_OWED);
        let owed = new.iter().map(|window| {
            let due = Due { at: now, target: Target::Window(*window), slot: None };
            let deadline = now + member.series.patience(&due);
            Owed { due, deadline_nominal: deadline, deadline, fate: Fate::Wait }
        });
        due_batch.batch.owed = owed.collect();
        due_batch.batch.missed_slots = None;
        due_batch.batch.events = Vec::new();
        Some(due_batch)
    }

    /// Takes note that the ledger holds what was materialised.
    pub fn kept(&mut self, due_batch: &DueBatch, now: DateTime<Utc>) {
        let Some(member) = self.members.get_mut(&due_batch.series) else { return };
        if let Some(at) = member.wake_at {
            self.wakes.remove(&(at, due_batch.series));
        }
        Arc::make_mut(&mut member.record).watermark = Some(due_batch.batch.watermark);
        member.look_ahead(now);
        self.wakes.extend(member.wake_at.map(|at| (at, due_batch.series)));
    }

    /// Takes the next list of zones of a check as it is; returns the series of the list, where it has one.
    pub fn accept_zones(&mut self, check: &CheckId) -> Option<i64> {
        let is_list = |member: &&mut Member| {
            member.record.role == Role::List && member.record.check == *check
        };
        let member = self.members.values_mut().find(is_list)?;
        Arc::make_mut(&mut member.record).accepts_zones = true;
        Some(member.record.id)
    }

    /// Whether the list of zones of a check may lose as many as it likes.
    pub fn may_shrink(&self, check: &CheckId) -> bool {
        let check = self.checks.get(check).and_then(|(check, _)| check.window.as_ref());
        check.is_some_and(|window| window.may_shrink)
    }

    /// Looks at a series again a little later: another replica works on it.
    pub fn put_off(&mut self, id: i64, until: DateTime<Utc>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(at) = member.wake_at.filter(|at| *at < until) {
            self.wakes.remove(&(at, id));
            member.wake_at = Some(until);
            self.wakes.insert((until, id));
        }
    }
}

impl Member {
    /// Finds out when something is due next.
    fn look_ahead(&mut self, now: DateTime<Utc>) {
        let Some(watermark) = self.record.watermark else {
            // New: it owes its last window, or a look.
            self.wake_at = self.record.retired_at.is_none().then_some(self.record.since);
            return;
        };
        let next = self.series.next_due_batch(watermark);
        self.terms.next_due = next.map(|(due, _)| due);
        self.terms.next_deadline = next.map_or(now, |(_, deadline)| deadline);
        let patience = next.map(|(due, deadline)| deadline - self.series.held(due));
        self.terms.patience = patience.unwrap_or(self.terms.patience);
        let entry = self.series.agenda_after(watermark).next().map(|entry| entry.at());
        // What was due before it ended is looked at, and nothing after.
        let ended = self.record.retired_at;
        self.wake_at = entry.filter(|at| ended.is_none_or(|ended| *at <= ended));
    }

    /// What is owed by now.
    fn due_batch(&self, id: i64, now: DateTime<Utc>, most: usize) -> DueBatch {
        let until = self.record.retired_at.map_or(now, |ended| ended.min(now));
        let since = match self.record.watermark {
            Some(at) => Watermark::Through(at),
            None => Watermark::New { loaded: self.record.since },
        };
        let batch = self.series.owed(since, until, ROWS_OWED.min(most));
        let check = &self.series.check;
        let patience = batch.owed.first().map(|owed| owed.deadline - owed.due.at.max(now));
        let patience = patience.unwrap_or(TimeDelta::hours(1)).max(TimeDelta::zero());
        // A grid has phases, so that its slots are apart already.
        let splay = match check.schedule {
            Schedule::Every(_) => TimeDelta::zero(),
            Schedule::Cron(_) | Schedule::WindowEnd => (patience / 10).min(SPLAY_MOST),
        };
        let source = self.list.as_ref().map_or(&check.source, |list| &list.source);
        DueBatch {
            series: id,
            from: self.record.watermark,
            batch,
            splay,
            source: source.as_str().to_owned(),
            priority: crate::engine::meaning::priority(check.severity),
            patience,
        }
    }

    /// The sources that an attempt asks.
    pub fn sources(&self) -> Vec<&SourceName> {
        match &self.list {
            Some(list) => vec![&list.source],
            None => self.series.check.sources_asked(),
        }
    }
}
