//! A series: a check, or a check in one of the zones over which it fans out. The thing that has
//! health.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::check::Check;
use crate::domain::sql::bounds::Bounds;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::{Window, WindowRule, ZoneChoice};
use crate::domain::time::zone::{Offset, Rules, ZoneName};

/// A zone with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// Its rules.
    pub rules: Arc<Rules>,
}

impl Zone {
    /// UTC, which needs no database.
    pub fn utc() -> Self {
        Self { name: ZoneName::utc(), rules: Arc::new(Rules::fixed(Offset::ZERO)) }
    }
}

/// A check, or a check in one of its zones.
#[derive(Debug, Clone)]
pub struct Series {
    /// The check.
    pub check: Arc<Check>,
    /// Where its windows are, and its days begin; UTC where the check names no zone.
    pub home: Zone,
    /// Where its crontab line is read: home, unless the schedule names a zone.
    pub clock: Zone,
}

impl Series {
    /// The zone that tells this series from the others of its check; none where there are no others.
    pub fn tz(&self) -> Option<&ZoneName> {
        let fans_out = self.check.window.as_ref().is_some_and(|w| w.zones.fans_out());
        fans_out.then_some(&self.home.name)
    }

    /// The window rule of its check.
    pub fn window(&self) -> Option<&WindowRule> {
        self.check.window.as_ref()
    }

    /// What a look at a window of it binds.
    pub fn bounds(&self, window: Window) -> Bounds {
        let past = self.window().and_then(|rule| rule.past_of(&self.home.rules, &window));
        Bounds { window, zone: self.home.name.clone(), past }
    }

    /// Until when it waits; nothing where its check is not paused, or not any more.
    pub fn paused_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.check.pause.as_ref()?.until.instant(&self.home.rules);
        (until > now).then_some(until)
    }

    /// Says whether its owner takes a date out.
    pub fn excepts(&self, date: NaiveDate) -> bool {
        self.check.except.as_ref().is_some_and(|except| except.dates.contains(&date))
    }

    /// The series of a check whose zones it names itself; nothing where a query names them, or where
    /// a zone has no rules here.
    pub fn of(
        check: &Arc<Check>,
        rules: &impl Fn(&ZoneName) -> Option<Arc<Rules>>,
    ) -> Option<Vec<Self>> {
        let zones = match check.window.as_ref().map(|w| &w.zones) {
            None | Some(ZoneChoice::Nowhere) => return Some(vec![Self::at_home(check, rules)?]),
            Some(ZoneChoice::One(zone)) => std::slice::from_ref(zone),
            Some(ZoneChoice::Each(zones)) => zones,
            Some(ZoneChoice::From(_)) => return None,
        };
        zones.iter().map(|zone| Self::in_zone(check, zone, rules)).collect()
    }

    /// The series of a check that has no zone of its own. Its days are those of its crontab line.
    fn at_home(
        check: &Arc<Check>,
        rules: &impl Fn(&ZoneName) -> Option<Arc<Rules>>,
    ) -> Option<Self> {
        let utc = ZoneName::utc();
        // When a grid over UTC is looked at does not move it.
        let clock = written_clock(check).filter(|_| check.window.is_none());
        Self::in_zone(check, clock.unwrap_or(&utc), rules)
    }

    /// The series of a check in a zone.
    pub fn in_zone(
        check: &Arc<Check>,
        name: &ZoneName,
        rules: &impl Fn(&ZoneName) -> Option<Arc<Rules>>,
    ) -> Option<Self> {
        let zone = |name: &ZoneName| Some(Zone { name: name.clone(), rules: rules(name)? });
        let home = zone(name)?;
        let clock = match written_clock(check) {
            Some(clock) => zone(clock)?,
            None => home.clone(),
        };
        Some(Self { check: Arc::clone(check), home, clock })
    }
}

fn written_clock(check: &Check) -> Option<&ZoneName> {
    match &check.schedule {
        Schedule::Cron(cron) => cron.zone.as_ref(),
        Schedule::Every(_) | Schedule::WindowEnd => None,
    }
}

impl ZoneChoice {
    /// Says whether each zone is a series of its own.
    pub fn fans_out(&self) -> bool {
        match self {
            Self::Nowhere | Self::One(_) => false,
            Self::Each(_) | Self::From(_) => true,
        }
    }

    /// The zones that are written down.
    pub fn written(&self) -> &[ZoneName] {
        match self {
            Self::One(zone) => std::slice::from_ref(zone),
            Self::Each(zones) => zones,
            Self::Nowhere | Self::From(_) => &[],
        }
    }
}
