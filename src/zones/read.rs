//! Zone databases as tables of rules.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::{OffsetComponents as _, Tz};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::time::zone::{Offset, Rules, YEARS, ZoneName};

/// What a table spans: the years that have rules, and a week on both sides.
static SPAN: LazyLock<(DateTime<Utc>, DateTime<Utc>)> = LazyLock::new(|| {
    let day = |year| {
        let date = NaiveDate::from_ymd_opt(year, 1, 1).expect("every year has a first of January");
        date.and_time(NaiveTime::MIN).and_utc()
    };
    (day(YEARS.0) - TimeDelta::weeks(1), day(YEARS.1 + 1) + TimeDelta::weeks(1))
});

/// Reads the rules out of a zone of jiff's.
pub(super) fn rules(zone: &TimeZone) -> Rules {
    let (from, to) = *SPAN;
    let stamp = |at: DateTime<Utc>| Timestamp::from_second(at.timestamp()).unwrap_or_default();
    let first = Offset::of_secs(zone.to_offset(stamp(from)).seconds());
    let later = zone.following(stamp(from)).map_while(|change| {
        let at = DateTime::from_timestamp(change.timestamp().as_second(), 0)?;
        (at < to).then(|| (at, Offset::of_secs(change.offset().seconds())))
    });
    Rules::new(first, later)
}

/// Finds the rules of a zone of chrono-tz's, which does not list them: steps of a day miss none
/// (docs/internals/time.md, "Clock changes"), and a bisection finds the instant.
pub(super) fn witness(name: &ZoneName) -> Option<Rules> {
    let zone: Tz = name.as_str().parse().ok()?;
    let offset = |at: DateTime<Utc>| {
        let offset = zone.offset_from_utc_datetime(&at.naive_utc());
        debug_assert_eq!(
            (offset.base_utc_offset() + offset.dst_offset()).num_seconds(),
            i64::from(offset.fix().local_minus_utc())
        );
        Offset::of_secs(offset.fix().local_minus_utc())
    };
    let (from, to) = *SPAN;
    let mut later = Vec::new();
    let mut at = from;
    while at < to {
        let next = at + TimeDelta::days(1);
        if offset(next) != offset(at) {
            let (mut low, mut high) = (at, next);
            while high - low > TimeDelta::seconds(1) {
                let middle = low + TimeDelta::seconds((high - low).num_seconds() / 2);
                if offset(middle) == offset(low) { low = middle } else { high = middle }
            }
            later.push((high, offset(high)));
        }
        at = next;
    }
    Some(Rules::new(offset(from), later))
}
