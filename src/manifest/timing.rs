//! When a check looks, and by when: `schedule`, `result_by`, `catch_up`, `alert`, `pause`, `except`.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::check::{Alert, CatchUp, CatchUpPolicy};
use crate::domain::time::crontab::Crontab;
use crate::domain::time::duration;
use crate::domain::time::schedule::{CronSchedule, Every, Except, Pause, Schedule, Until};
use crate::domain::time::timetable::{Fold, Gap};
use crate::domain::time::window::{Frame, WindowRule, ZoneChoice, has_rules};
use crate::domain::time::zone::ZoneName;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::{SEVERITIES, required};
use crate::manifest::yaml::{Kind, Node};

pub(super) const SCHEDULE_KEYS: [&str; 5] = ["every", "cron", "zone", "gap", "fold"];
pub(super) const CATCH_UP_KEYS: [&str; 2] = ["policy", "age"];
pub(super) const ALERT_KEYS: [&str; 2] = ["after", "unconfirmed"];
pub(super) const PAUSE_KEYS: [&str; 2] = ["until", "because"];
pub(super) const EXCEPT_KEYS: [&str; 2] = ["dates", "because"];
/// The most bad windows in a row that anybody waits for.
pub(super) const AFTER_MAX: u32 = 100;

/// Durations of a year are the longest that are meant.
pub(super) const LONGEST: Duration = Every::LONGEST;

/// Reads a zone that may stand in a check; an old name is told, and taken.
pub(super) fn zone(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    world: &World<'_>,
) -> Option<ZoneName> {
    let text = doc.text(node, place)?.to_owned();
    match world.zones.named(&text) {
        Ok(named) => {
            if let Some(present) = named.present {
                let message = format!("`{text}` is an old name");
                doc.warn(node, place, message, Some(format!("write `{present}`")));
            }
            Some(named.name)
        }
        Err(refused) => {
            doc.fault(node, place, refused.message, Some(refused.hint));
            None
        }
    }
}

/// Reads a duration within bounds.
pub(super) fn within(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    (shortest, longest): (Duration, Duration),
) -> Option<Duration> {
    doc.parsed(node, place, |text| {
        let read = duration::parse(text)?;
        if read < shortest || read > longest {
            let (from, to) = (duration::show(shortest), duration::show(longest));
            return Err(format!("this is {from} to {to}"));
        }
        Ok(read)
    })
}

fn because(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> Option<String> {
    let node = required(doc, map, place, "because")?;
    doc.text(node, Place::Key(&place, "because")).map(|text| text.trim().to_owned())
}

/// Reads `schedule`, given what the check's windows already say about where.
pub(super) fn schedule(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    id: Option<&CheckId>,
    window: Option<&WindowRule>,
    world: &World<'_>,
) -> Option<Schedule> {
    if let Kind::Text(text) | Kind::Typed(text) = &node.kind {
        let bare = text.trim_start_matches('@').trim_start_matches("every").trim();
        let key = if duration::parse(bare).is_ok() { "every" } else { "cron" };
        let quoted = if key == "cron" { format!("\"{text}\"") } else { bare.to_owned() };
        let hint = format!("write `schedule: {{{key}: {quoted}}}`");
        doc.fault(node, place, "a schedule is a grid or a crontab line", Some(hint));
        return None;
    }
    let map = doc.map(node, place, &SCHEDULE_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    match (at("every"), at("cron")) {
        (Some(_), Some((n, p))) => {
            doc.fault(n, p, "`every` says already when", Some("keep one of them".into()));
            None
        }
        (None, None) => {
            let hint = "write `every: 5m` or `cron: \"0 6 * * *\"`".to_owned();
            doc.fault(node, place, "this does not say when", Some(hint));
            None
        }
        (Some((n, p)), None) => {
            for key in ["zone", "gap", "fold"] {
                if let Some((n, p)) = at(key) {
                    let message = format!("`{key}` belongs to `cron`: a grid is over UTC");
                    doc.fault(n, p, message, Some("remove it".into()));
                }
            }
            let period = within(doc, n, p, (Duration::from_secs(1), LONGEST))?;
            match Every::new(period, id?) {
                Ok(every) => Some(Schedule::Every(every)),
                Err(rule) => {
                    doc.fault(n, p, rule, None);
                    None
                }
            }
        }
        (None, Some((n, p))) => {
            let line = crontab(doc, n, p);
            let own = at("zone").map(|(n, p)| zone(doc, n, p, world));
            let gap = at("gap").map(|(n, p)| doc.word(n, p, &Gap::WORDS));
            let fold = at("fold").map(|(n, p)| doc.word(n, p, &Fold::WORDS));
            if own.is_none() && window.is_none_or(|w| w.zones == ZoneChoice::Nowhere) {
                let hint = "write `zone: Europe/Berlin`, or `zone: UTC`, beside it".to_owned();
                doc.fault(n, p, "by whose clock?", Some(hint));
                return None;
            }
            let line = line?;
            let hours = line.hours();
            Some(Schedule::Cron(Box::new(CronSchedule {
                zone: own.map_or(Some(None), |zone| zone.map(Some))?,
                gap: gap.map_or(Some(Gap::implied(hours)), |gap| gap)?,
                fold: fold.map_or(Some(Fold::implied(hours)), |fold| fold)?,
                line,
            })))
        }
    }
}

fn crontab(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Crontab> {
    let text = doc.text(node, place)?.to_owned();
    match Crontab::parse(&text) {
        Ok(line) => Some(line),
        Err(fault) => {
            doc.fault(node, place, fault.message, Some(fault.hint));
            None
        }
    }
}

/// Reads `result_by`.
pub(super) fn result_by(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Duration> {
    within(doc, node, place, (Duration::from_secs(1), LONGEST))
}

/// Reads `catch_up`.
pub(super) fn catch_up(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<CatchUp> {
    let map = doc.map(node, place, &CATCH_UP_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let implied = CatchUp::default();
    let policy =
        at("policy").map_or(Some(implied.policy), |(n, p)| doc.word(n, p, &CatchUpPolicy::WORDS));
    let bounds = (Duration::from_secs(60), LONGEST);
    let age = at("age").map_or(Some(implied.age), |(n, p)| within(doc, n, p, bounds));
    Some(CatchUp { policy: policy?, age: age? })
}

/// Reads `alert`.
pub(super) fn alert(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Alert> {
    let map = doc.map(node, place, &ALERT_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let after = at("after").map_or(Some(NonZeroU32::MIN), |(n, p)| {
        let number = doc.whole_number(n, p)?;
        let after = u32::try_from(number).ok().filter(|n| *n <= AFTER_MAX);
        let after = after.and_then(NonZeroU32::new);
        if after.is_none() {
            let message = format!("an alert fires after 1 to {AFTER_MAX} bad windows in a row");
            doc.fault(n, p, message, None);
        }
        after
    });
    let unconfirmed =
        at("unconfirmed").map_or(Some(None), |(n, p)| doc.word(n, p, &SEVERITIES).map(Some));
    Some(Alert { after: after?, unconfirmed: unconfirmed? })
}

/// Reads `pause`.
pub(super) fn pause(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Pause> {
    let map = doc.map(node, place, &PAUSE_KEYS)?;
    let until = required(doc, &map, place, "until")
        .and_then(|n| doc.parsed(n, Place::Key(&place, "until"), until));
    let because = because(doc, &map, place);
    Some(Pause { until: until?, because: because? })
}

fn until(text: &str) -> Result<Until, String> {
    if text.len() == 10 {
        return date(text).map(Until::Date);
    }
    instant(text).map(Until::Instant)
}

/// Reads an instant by RFC 3339, in the years that have rules.
///
/// # Errors
/// The rule that is broken, as a sentence.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let rule =
        || "write a date like 2026-12-24, or an instant like 2026-12-24T18:00:00Z".to_owned();
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| rule())?.to_utc();
    if has_rules(at.date_naive()) { Ok(at) } else { Err(beyond()) }
}

/// Reads a date like `2026-12-24`, in the years that have rules.
///
/// # Errors
/// The rule that is broken, as a sentence.
pub(crate) fn date(text: &str) -> Result<NaiveDate, String> {
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain);
    let date = date.ok_or_else(|| {
        let rule = if plain { "no calendar has this date" } else { "write a date like 2026-12-24" };
        rule.to_owned()
    })?;
    if has_rules(date) { Ok(date) } else { Err(beyond()) }
}

fn beyond() -> String {
    "there are rules for the years 1970 to 2099 only".to_owned()
}

/// Reads `except`, given how the check's windows cut time.
pub(super) fn except(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    window: Option<&WindowRule>,
) -> Option<Except> {
    let map = doc.map(node, place, &EXCEPT_KEYS)?;
    let here = Place::Key(&place, "dates");
    let mut dates: Vec<NaiveDate> = Vec::new();
    let mut sound = true;
    let items = required(doc, &map, place, "dates").and_then(|n| doc.list(n, here));
    for (i, item) in items.unwrap_or_default().iter().enumerate() {
        let at = Place::Item(&here, i);
        let Some(date) = doc.parsed(item, at, date) else {
            sound = false;
            continue;
        };
        let first = match window.map(|rule| rule.frame) {
            Some(Frame::Calendar(period)) => period.first_date(date),
            Some(Frame::Grid(_)) | None => date,
        };
        if dates.contains(&date) {
            doc.fault(item, at, format!("{date} is listed twice"), None);
            sound = false;
        } else if first != date {
            let frame = window.map_or_else(String::new, |rule| rule.frame.to_string());
            let message = format!("no {frame} begins on {date}, so nothing would be taken out");
            doc.fault(item, at, message, Some(format!("write {first}")));
            sound = false;
        }
        dates.push(date);
    }
    let because = because(doc, &map, place);
    items?;
    Some(Except { dates: Some(dates).filter(|_| sound)?, because: because? })
}
