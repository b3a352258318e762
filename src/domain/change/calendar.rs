//! When a check looks, and at which windows: then and now, held against each other over the days to come.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::change::difference::{Class, Difference, Found, is_same};
use crate::domain::change::looks::{SOONER, looks_of, order, shown};
use crate::domain::check::Check;
use crate::domain::record::series::Series;
use crate::domain::time::duration;
use crate::domain::time::schedule::{Pause, Schedule, Until};
use crate::domain::time::window::{Frame, Split, WindowRule, ZoneChoice};
use crate::domain::time::zone::{Rules, ZoneName};

/// Zones whose clocks change oddly, or never: where a query lists the zones.
const SAMPLES: [&str; 4] = ["UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"];
/// In how many zones that both look at.
const ZONES_MAX: usize = 3;

/// What calendars are compared with.
pub struct World<'w> {
    /// The rules of zones.
    pub rules: &'w dyn Fn(&ZoneName) -> Option<Arc<Rules>>,
    /// From when on.
    pub now: DateTime<Utc>,
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Compares windows, schedules, and what is left out.
pub(super) fn calendar(found: &mut Found, world: &World<'_>, was: &Arc<Check>, now: &Arc<Check>) {
    let is_comparable = match (&was.window, &now.window) {
        (None, None) => true,
        (Some(old), Some(new)) => windows(found, old, new),
        (old, new) => {
            let pair = (shown_window(old.as_ref()), shown_window(new.as_ref()));
            let why = "what is looked at is something else: what is recorded of it ends";
            found.note(Class::Other, "window", pair, why);
            false
        }
    };
    excepts(found, was, now);
    if is_comparable {
        looks(found, world, was, now);
    } else {
        // Of windows that are not the same, only what stands beside them can be compared.
        let settle =
            |check: &Check| check.window.as_ref().map_or(Duration::ZERO, |rule| rule.settle);
        found.size(
            "window.settle",
            (&settle(was), &settle(now)),
            ((Class::Weaker, "windows are looked at later"), (Class::Other, SOONER)),
            |settle| duration::show(*settle),
        );
        if was.schedule != now.schedule {
            let pair = (shown_schedule(&was.schedule), shown_schedule(&now.schedule));
            found.note(Class::Other, "schedule", pair, "it is looked at at other times");
        }
    }
    pause(found, was.pause.as_ref(), now.pause.as_ref());
}

/// Compares two rules for windows; says whether windows of one are windows of the other.
fn windows(found: &mut Found, was: &WindowRule, now: &WindowRule) -> bool {
    zones(found, &was.zones, &now.zones);
    if was.may_shrink != now.may_shrink {
        let word = |may: bool| if may { "allowed" } else { "violated" };
        let (class, why) = match now.may_shrink {
            true => (Class::Weaker, "zones may vanish from the list"),
            false => (Class::Stronger, "zones that vanish from the list are told"),
        };
        found.note(
            class,
            "window.zones_from.shrinks",
            (word(was.may_shrink), word(now.may_shrink)),
            why,
        );
    }
    let word = |split: Split| match split {
        Split::Whole => "whole days",
        Split::UtcOffset => "by utc_offset",
    };
    match (was.split, now.split) {
        (Split::UtcOffset, Split::Whole) => found.note(
            Class::Weaker,
            "window.split",
            (word(was.split), word(now.split)),
            "what is wrong on one side of a clock change can be made up for on the other",
        ),
        (Split::Whole, Split::UtcOffset) => found.note(
            Class::Other,
            "window.split",
            (word(was.split), word(now.split)),
            "each side of a clock change is judged alone, and the whole day is not",
        ),
        (Split::Whole, Split::Whole) | (Split::UtcOffset, Split::UtcOffset) => {}
    }
    if was.frame != now.frame {
        let (class, why) = match is_coarser(was.frame, now.frame) {
            true => (Class::Weaker, "longer periods are judged as one, and later"),
            false => (Class::Other, "other periods are judged: only looking at the data tells"),
        };
        let part = match (was.frame, now.frame) {
            (Frame::Calendar(old), Frame::Calendar(new)) if old.word() == new.word() => {
                "window.from"
            }
            (Frame::Calendar(_) | Frame::Grid(_), _) => "window.period",
        };
        found.note(class, part, (was.frame, now.frame), why);
    }
    if was.past != now.past {
        let shown =
            |past: Option<NonZeroU32>| past.map(|past| past.to_string()).unwrap_or_default();
        let why = "it is held against another period: only looking at the data tells";
        found.note(Class::Other, "window.past", (shown(was.past), shown(now.past)), why);
    }
    was.frame == now.frame && was.split == now.split
}

fn is_coarser(was: Frame, now: Frame) -> bool {
    match (was, now) {
        (Frame::Calendar(old), Frame::Calendar(new)) => new.days() > old.days(),
        (Frame::Grid(old), Frame::Grid(new)) => new.is_multiple_of(old),
        (Frame::Grid(_), Frame::Calendar(_)) | (Frame::Calendar(_), Frame::Grid(_)) => false,
    }
}

fn zones(found: &mut Found, was: &ZoneChoice, now: &ZoneChoice) {
    let part = "window.zones";
    match (was, now) {
        (ZoneChoice::From(old), ZoneChoice::From(new)) => {
            if old.source != new.source {
                let why = "another database lists the zones";
                found.note(
                    Class::Other,
                    "window.zones_from.source",
                    (&old.source, &new.source),
                    why,
                );
            }
            if !is_same(&old.query, &new.query) {
                let pair = (old.query.text(), new.query.text());
                let why = "the SQL differs: other zones may be listed";
                found.note(Class::Other, "window.zones_from.sql", pair, why);
            }
        }
        (ZoneChoice::From(_), _) | (_, ZoneChoice::From(_)) => {
            let why = "a query lists the zones, or does not any more";
            found.note(Class::Other, part, (shown_zones(was), shown_zones(now)), why);
        }
        _ => {
            let utc = ZoneName::utc();
            let (old, new): (BTreeSet<&ZoneName>, BTreeSet<&ZoneName>) =
                (named(was, &utc), named(now, &utc));
            let list = |zones: Vec<&&ZoneName>| {
                zones.into_iter().map(|zone| zone.as_str()).collect::<Vec<_>>().join(", ")
            };
            let gone = list(old.difference(&new).collect());
            let come = list(new.difference(&old).collect());
            if !gone.is_empty() {
                let why = format!("{gone} is not looked at any more");
                found.note(Class::Weaker, part, (shown_zones(was), shown_zones(now)), why);
            }
            if !come.is_empty() {
                let why = format!("{come} is looked at too");
                found.note(Class::Stronger, part, (shown_zones(was), shown_zones(now)), why);
            }
        }
    }
}

/// The zones that are written; UTC where there is none.
fn named<'z>(zones: &'z ZoneChoice, utc: &'z ZoneName) -> BTreeSet<&'z ZoneName> {
    let written = zones.written();
    if written.is_empty() { BTreeSet::from([utc]) } else { written.iter().collect() }
}

fn shown_zones(zones: &ZoneChoice) -> String {
    match zones {
        ZoneChoice::Nowhere => "UTC".to_owned(),
        ZoneChoice::From(from) => format!("as {} lists them", from.source),
        ZoneChoice::One(_) | ZoneChoice::Each(_) => {
            let names: Vec<&str> = zones.written().iter().map(ZoneName::as_str).collect();
            names.join(", ")
        }
    }
}

fn shown_window(window: Option<&WindowRule>) -> String {
    window
        .map_or_else(String::new, |rule| format!("{} in {}", rule.frame, shown_zones(&rule.zones)))
}

/// Compares which dates are left out.
fn excepts(found: &mut Found, was: &Check, now: &Check) {
    let dates = |check: &Check| -> BTreeSet<_> {
        check.except.iter().flat_map(|except| &except.dates).copied().collect()
    };
    if let Some(new) = now.except.as_ref().filter(|_| !dates(now).is_subset(&dates(was))) {
        let list = |check: &Check| {
            dates(check).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let difference = Difference {
            class: Class::Weaker,
            part: "except".to_owned(),
            was: list(was),
            now: list(now),
            why: "these dates are not looked at".to_owned(),
            because: None,
        };
        found.note_because(difference, &new.because);
    } else if dates(now) != dates(was) {
        let count = dates(was).difference(&dates(now)).count();
        let why = format!("{count} more dates are looked at");
        found.note(Class::Stronger, "except", (dates(was).len(), dates(now).len()), why);
    }
}

/// Compares when the same windows are looked at, or the present.
fn looks(found: &mut Found, world: &World<'_>, was: &Arc<Check>, now: &Arc<Check>) {
    let settle = |check: &Check| check.window.as_ref().map(|rule| rule.settle);
    let (is_moved, is_settled) = (was.schedule != now.schedule, settle(was) == settle(now));
    if !is_moved && is_settled {
        return;
    }
    let (part, pair) = match is_moved {
        true => ("schedule", both_shown(&was.schedule, &now.schedule)),
        false => {
            let shown = |check: &Check| settle(check).map(duration::show).unwrap_or_default();
            ("window.settle", (shown(was), shown(now)))
        }
    };
    if let (Schedule::Every(old), Schedule::Every(new), None) =
        (&was.schedule, &now.schedule, &now.window)
    {
        let (class, why) = if new.period() > old.period() {
            (Class::Weaker, "it is looked at more seldom")
        } else if new.period() < old.period() {
            (Class::Stronger, "it is looked at more often")
        } else {
            return;
        };
        return found.note(class, part, pair, why);
    }
    let all = series(world, was).into_iter().zip(series(world, now));
    let compared: Vec<(Class, String)> = all
        .filter_map(|(old, new)| order(&looks_of(&old, world.now), &looks_of(&new, world.now)))
        .collect();
    let worst = compared.into_iter().min_by_key(|(class, _)| *class);
    let is_all = |check: &Check| {
        check.window.as_ref().is_none_or(|rule| match &rule.zones {
            ZoneChoice::From(_) => false,
            ZoneChoice::Nowhere | ZoneChoice::One(_) => true,
            ZoneChoice::Each(zones) => zones.len() <= ZONES_MAX,
        })
    };
    match worst {
        Some((Class::Stronger, why)) if !is_all(was) || !is_all(now) => {
            let why = format!("{why}, in the zones that are compared");
            found.note(Class::Other, part, pair, why);
        }
        Some((class, why)) => found.note(class, part, pair, why),
        None if is_all(was) && is_all(now) => {}
        None => {
            let why = "it is looked at at other times in some zone";
            found.note(Class::Other, part, pair, why);
        }
    }
}

/// The series of a check in a few of its zones.
fn series(world: &World<'_>, check: &Arc<Check>) -> Vec<Series> {
    let utc = ZoneName::utc();
    let rules = |name: &ZoneName| (world.rules)(name);
    match &check.window {
        Some(rule) if matches!(rule.zones, ZoneChoice::From(_)) => {
            let samples = SAMPLES.iter().filter_map(|name| ZoneName::parse(name).ok());
            samples.filter_map(|zone| Series::in_zone(check, &zone, &rules)).collect()
        }
        Some(rule) if rule.zones.written().is_empty() => {
            Series::in_zone(check, &utc, &rules).into_iter().collect()
        }
        Some(rule) => {
            let zones: BTreeSet<&ZoneName> = rule.zones.written().iter().collect();
            zones
                .into_iter()
                .take(ZONES_MAX)
                .filter_map(|zone| Series::in_zone(check, zone, &rules))
                .collect()
        }
        None => Series::of(check, &rules).unwrap_or_default(),
    }
}

/// Two schedules; where their lines are one, with what they do at clock changes.
fn both_shown(was: &Schedule, now: &Schedule) -> (String, String) {
    let whole = |schedule: &Schedule| match schedule {
        Schedule::Cron(cron) => {
            let at_changes = format!("gap: {:?}, fold: {:?}", cron.gap, cron.fold).to_lowercase();
            format!("{} ({at_changes})", shown_schedule(schedule))
        }
        Schedule::Every(_) | Schedule::WindowEnd => shown_schedule(schedule),
    };
    match shown_schedule(was) == shown_schedule(now) {
        true => (whole(was), whole(now)),
        false => (shown_schedule(was), shown_schedule(now)),
    }
}

fn shown_schedule(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Every(every) => format!("every {}", shown(every.period())),
        Schedule::Cron(cron) => match &cron.zone {
            Some(zone) => format!("{} in {zone}", cron.line),
            None => cron.line.to_string(),
        },
        Schedule::WindowEnd => "as each window settles".to_owned(),
    }
}

fn pause(found: &mut Found, was: Option<&Pause>, now: Option<&Pause>) {
    // A date begins somewhere within a day and a bit: of one that is held against an instant, the latest.
    let until = |pause: &Pause, hours: i64| match pause.until {
        Until::Instant(at) => at,
        Until::Date(date) => {
            date.and_time(chrono::NaiveTime::MIN).and_utc() + chrono::TimeDelta::hours(hours)
        }
    };
    let shown = |pause: Option<&Pause>| match pause.map(|pause| pause.until) {
        Some(Until::Instant(at)) => format!("until {at:?}"),
        Some(Until::Date(date)) => format!("until {date}"),
        None => String::new(),
    };
    let longer = match (was, now) {
        (None, None) => return,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (Some(old), Some(new)) if old.until == new.until => return,
        (Some(old), Some(new)) => match (old.until, new.until) {
            (Until::Date(old), Until::Date(new)) => new > old,
            (Until::Instant(_), _) | (_, Until::Instant(_)) => until(new, 12) > until(old, -14),
        },
    };
    let difference = Difference {
        class: if longer { Class::Weaker } else { Class::Stronger },
        part: "pause".to_owned(),
        was: shown(was),
        now: shown(now),
        why: if longer {
            "nothing is looked at for longer"
        } else {
            "it is looked at again sooner"
        }
        .to_owned(),
        because: None,
    };
    match now {
        Some(new) => found.note_because(difference, &new.because),
        None => found.all.push(difference),
    }
}
