//! From when to when rows are meant, in each series by its own clocks.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::zone::{Offset, Rules};
use crate::engine::snapshot::{SeriesHealth, Snapshot};
use crate::ledger::History;
use crate::manifest::When;
use crate::web::filter::Filter;
use crate::web::problem::Problem;

/// The shortest range: a page names one window by its beginning, and means none around it.
pub(super) const ONE: TimeDelta = TimeDelta::microseconds(1);

/// From when to when rows of a series are meant. An instant within a window means that window as well.
pub(super) fn range(
    series: &SeriesHealth,
    (begin, end): (Option<When>, Option<When>),
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Problem> {
    let rules = &series.home.rules;
    let from = begin.map_or(Some(DateTime::UNIX_EPOCH), |begin| begin.begin(rules, now));
    let to = end.map_or(Some(far()), |end| end.end(rules, now));
    let (from, to) = from.zip(to).ok_or_else(|| Problem::bad("there is no such date"))?;
    if from >= to {
        return Err(Problem::bad("`from` is not before `to`"));
    }
    let around = match (begin, &series.check.window) {
        (Some(When::At(_) | When::Away(_)), Some(rule)) if to - from > ONE => {
            rule.window_start(rules, from)
        }
        (_, _) => from,
    };
    Ok((around, to))
}

fn far() -> DateTime<Utc> {
    DateTime::from_timestamp(4_102_444_800, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The ranges of all series of a check.
pub(super) struct Ranges(BTreeMap<Option<String>, (DateTime<Utc>, DateTime<Utc>)>);

impl Ranges {
    pub(super) fn of(picture: &Snapshot, check: &str, filter: &Filter) -> Result<Self, Problem> {
        let now = picture.now();
        let series = picture.series.iter().filter(|s| s.check.id.as_str() == check);
        let mut ranges = BTreeMap::new();
        let mut is_empty = None;
        for series in series {
            match range(series, (filter.from, filter.to), now) {
                Ok(range) => drop(ranges.insert(series.record.tz.clone(), range)),
                // A date may have ended by an instant in one zone, and not in another.
                Err(problem) => {
                    is_empty = Some(problem);
                    ranges.entry(series.record.tz.clone()).or_insert((now, now));
                }
            }
        }
        if let Some(problem) = is_empty.filter(|_| ranges.values().all(|(from, to)| from >= to)) {
            return Err(problem);
        }
        // Of a check that is gone the record is there still.
        if ranges.is_empty() {
            let utc = Rules::fixed(Offset::ZERO);
            let from = filter.from.and_then(|from| from.begin(&utc, now));
            let to = filter.to.and_then(|to| to.end(&utc, now));
            ranges.insert(None, (from.unwrap_or(DateTime::UNIX_EPOCH), to.unwrap_or(far())));
        }
        Ok(Self(ranges))
    }

    /// The first instant of all.
    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        self.0.values().map(|(from, _)| *from).min()
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<DateTime<Utc>> {
        self.0.values().map(|(_, to)| *to).max()
    }

    /// Says whether a row is meant.
    pub(super) fn has(&self, history: &History) -> bool {
        let start = history.entry.row.start;
        self.0.get(&history.tz).is_none_or(|(from, to)| start >= *from && start < *to)
    }
}
