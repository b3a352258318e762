//! What a check looks at in the days to come, then and now.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::change::difference::Class;
use crate::domain::record::series::Series;
use crate::domain::time::agenda::{Entry, Target};
use crate::domain::time::duration;

/// How far ahead calendars are compared.
const DAYS: TimeDelta = TimeDelta::days(400);
/// How many looks of a series are compared at most.
const LOOKS_MAX: usize = 40_000;
/// What a look that comes sooner may meet.
pub(super) const SOONER: &str =
    "data that comes late may not be there yet: only looking at the data tells";

/// What a series looks at in the days to come, and when. A window belongs to the days that it begins in, however
/// soon it is looked at: by its look, one of two calendars would lack the windows at both ends.
pub(super) fn looks_of(series: &Series, now: DateTime<Utc>) -> BTreeMap<Target, DateTime<Utc>> {
    let due = |entry: Entry| match entry {
        Entry::Due(due) => Some(due),
        Entry::Event(_) => None,
    };
    let to_come = series.agenda_after(now).filter_map(due).skip_while(|due| due.period() < now);
    let within = to_come.take_while(|due| due.period() < now + DAYS);
    within.take(LOOKS_MAX).map(|due| (due.target, due.at)).collect()
}

/// Orders two calendars: nothing where they are the same.
pub(super) fn order(
    was: &BTreeMap<Target, DateTime<Utc>>,
    now: &BTreeMap<Target, DateTime<Utc>>,
) -> Option<(Class, String)> {
    let is_cut = was.len() == LOOKS_MAX || now.len() == LOOKS_MAX;
    let found = if was == now { None } else { Some(ordered(was, now)) };
    match found {
        // What comes after the looks that are compared is not known.
        None | Some((Class::Stronger, _)) if is_cut => Some((
            Class::Other,
            format!("these are more looks in {} days than are compared", DAYS.num_days()),
        )),
        found => found,
    }
}

fn ordered(
    was: &BTreeMap<Target, DateTime<Utc>>,
    now: &BTreeMap<Target, DateTime<Utc>>,
) -> (Class, String) {
    let of_windows = |all: &BTreeMap<Target, DateTime<Utc>>| {
        all.keys().any(|target| matches!(target, Target::Window(_)))
    };
    if !of_windows(was) && !of_windows(now) {
        return order_of_slots(was, now);
    }
    // What only one of them reaches, as it looks at more, is no difference.
    let end = match (was.len(), now.len()) {
        (_, 0) => {
            return (Class::Weaker, format!("nothing is looked at in {} days", DAYS.num_days()));
        }
        (LOOKS_MAX.., _) | (_, LOOKS_MAX..) => was.values().max().min(now.values().max()).copied(),
        _ => None,
    };
    let end = end.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let missing = was.iter().filter(|(target, at)| **at < end && !now.contains_key(target)).count();
    let later = was.iter().filter_map(|(target, at)| Some(*now.get(target)? - *at)).max();
    let later = later.unwrap_or_default();
    let sooner = was.iter().filter_map(|(target, at)| Some(*at - *now.get(target)?)).max();
    let sooner = sooner.unwrap_or_default();
    let zero = TimeDelta::zero();
    if missing > 0 {
        (
            Class::Weaker,
            match missing {
                1 => format!("1 window of the next {} days is not looked at", DAYS.num_days()),
                _ => format!(
                    "{missing} windows of the next {} days are not looked at",
                    DAYS.num_days()
                ),
            },
        )
    } else if later > zero {
        (Class::Weaker, format!("a window is looked at up to {} later", shown(later)))
    } else if sooner > zero {
        (Class::Other, format!("a window is looked at up to {} sooner: {SOONER}", shown(sooner)))
    } else {
        (Class::Stronger, "more windows are looked at".to_owned())
    }
}

/// Looks at the present: by the longest time between two of them.
fn order_of_slots(
    was: &BTreeMap<Target, DateTime<Utc>>,
    now: &BTreeMap<Target, DateTime<Utc>>,
) -> (Class, String) {
    let longest = |all: &BTreeMap<Target, DateTime<Utc>>| {
        let at: Vec<&DateTime<Utc>> = all.values().collect();
        at.windows(2).map(|two| *two[1] - *two[0]).max().unwrap_or(DAYS)
    };
    let (old, new) = (longest(was), longest(now));
    let has_all = was.keys().all(|target| now.contains_key(target) || now.len() == LOOKS_MAX);
    if new > old {
        let why = format!("up to {} pass without a look, where {} did", shown(new), shown(old));
        (Class::Weaker, why)
    } else if new < old && now.len() >= was.len() {
        let why = format!("at most {} pass without a look, where {} did", shown(new), shown(old));
        (Class::Stronger, why)
    } else if has_all && new <= old {
        (Class::Stronger, "it is looked at more often".to_owned())
    } else {
        (Class::Other, "it is looked at at other times".to_owned())
    }
}

/// A time for people: of days, hours or minutes, what is left over is not told.
pub(super) fn shown(delta: TimeDelta) -> String {
    let whole = match delta.num_seconds() {
        172_800.. => TimeDelta::days(delta.num_days()),
        7_200.. => TimeDelta::hours(delta.num_hours()),
        120.. => TimeDelta::minutes(delta.num_minutes()),
        _ => delta,
    };
    duration::show(whole.to_std().unwrap_or_default())
}
