//! When a check looks, at which data, and by when: `schedule`, `window`, `result_by`, `catch_up`,
//! `alert`, `pause`, `except`.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::{Alert, CatchUp, CatchUpPolicy};
use crate::domain::sql::{Binding, Engine};
use crate::domain::time::crontab::Crontab;
use crate::domain::time::duration;
use crate::domain::time::schedule::{CronSchedule, Every, Except, Pause, Schedule, Until};
use crate::domain::time::timetable::{Fold, Gap};
use crate::domain::time::window::{
    Frame, GridStep, Period, Split, WindowRule, ZoneChoice, ZonesFrom, has_rules,
};
use crate::domain::time::zone::ZoneName;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::{SEVERITIES, required, source, sql};
use crate::manifest::yaml::{Kind, Node};

pub(super) const SCHEDULE_KEYS: [&str; 5] = ["every", "cron", "zone", "gap", "fold"];
pub(super) const WINDOW_KEYS: [&str; 6] =
    ["period", "zone", "zones", "zones_from", "split", "settle"];
pub(super) const ZONES_FROM_KEYS: [&str; 3] = ["source", "sql", "shrinks"];
/// Whether a list of zones may lose as many as it likes.
pub(super) const SHRINKS: [(&str, bool); 1] = [("allowed", true)];
pub(super) const CATCH_UP_KEYS: [&str; 2] = ["policy", "age"];
pub(super) const ALERT_KEYS: [&str; 2] = ["after", "unconfirmed"];
pub(super) const PAUSE_KEYS: [&str; 2] = ["until", "because"];
pub(super) const EXCEPT_KEYS: [&str; 2] = ["dates", "because"];
pub(super) const SPLITS: [(&str, Split); 1] = [("utc_offset", Split::UtcOffset)];
/// The most bad windows in a row that anybody waits for.
pub(super) const AFTER_MAX: u32 = 100;

/// Durations of a year are the longest that are meant.
const LONGEST: Duration = Every::LONGEST;

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
fn within(
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

/// Reads `window`.
pub(super) fn window(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    target: Option<&(SourceName, Engine)>,
    world: &World<'_>,
) -> Option<WindowRule> {
    let map = doc.map(node, place, &WINDOW_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let frame = required(doc, &map, place, "period")
        .and_then(|n| doc.parsed(n, Place::Key(&place, "period"), frame));
    let split = at("split").map_or(Some(Split::Whole), |(n, p)| doc.word(n, p, &SPLITS));
    let settle = at("settle")
        .map_or(Some(Duration::ZERO), |(n, p)| within(doc, n, p, (Duration::ZERO, LONGEST)));
    let zones = zone_choice(doc, &map, place, target, world);
    let (frame, zones) = (frame?, zones?);
    match (frame, &zones) {
        (Frame::Calendar(_), ZoneChoice::Nowhere) => {
            let hint = "write `zone: Europe/Berlin`, or `zone: UTC` if that is meant".to_owned();
            doc.fault(node, place, format!("whose {frame}? a calendar needs a zone"), Some(hint));
            return None;
        }
        (Frame::Grid(_), ZoneChoice::One(_)) => {
            let hint = "remove it, or write `zones: [..]` to look at each zone's rows".to_owned();
            let (n, p) = at("zone").unwrap_or((node, place));
            doc.fault(n, p, "a grid over UTC has no zone", Some(hint));
            return None;
        }
        (Frame::Grid(_), ZoneChoice::Nowhere) if split == Some(Split::UtcOffset) => {
            let (n, p) = at("split").unwrap_or((node, place));
            doc.fault(n, p, "there is no zone whose offset could change", None);
            return None;
        }
        (Frame::Calendar(_) | Frame::Grid(_), _) => {}
    }
    let may_shrink = may_shrink(doc, &map, place)?;
    Some(WindowRule { frame, zones, may_shrink, split: split?, settle: settle? })
}

/// Reads whether the list of zones may lose as many as it likes.
fn may_shrink(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> Option<bool> {
    let Some(node) = map.get("zones_from") else { return Some(false) };
    let place = Place::Key(&place, "zones_from");
    let Kind::Map(pairs) = &node.kind else { return Some(false) };
    let is_key = |key: &Node| matches!(&key.kind, Kind::Text(text) if text == "shrinks");
    match pairs.iter().find(|(key, _)| is_key(key)) {
        Some((_, value)) => doc.word(value, Place::Key(&place, "shrinks"), &SHRINKS),
        None => Some(false),
    }
}

fn frame(text: &str) -> Result<Frame, String> {
    if let Some((_, period)) = Period::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(Frame::Calendar(*period));
    }
    match duration::parse(text) {
        Ok(width) => GridStep::new(width).map(Frame::Grid).map_err(str::to_owned),
        Err(_) => Err("a period is day, week, month, quarter or year, or 1m to 24h".to_owned()),
    }
}

fn zone_choice(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    target: Option<&(SourceName, Engine)>,
    world: &World<'_>,
) -> Option<ZoneChoice> {
    let written: Vec<_> = ["zone", "zones", "zones_from"]
        .into_iter()
        .filter_map(|key| map.get(key).map(|node| (key, node)))
        .collect();
    let (key, node) = match written.as_slice() {
        [] => return Some(ZoneChoice::Nowhere),
        [one] => *one,
        [(first, _), (second, node), ..] => {
            let message = format!("`{first}` says already where");
            doc.fault(node, Place::Key(&place, second), message, Some("keep one of them".into()));
            return None;
        }
    };
    let here = Place::Key(&place, key);
    match key {
        "zone" => zone(doc, node, here, world).map(ZoneChoice::One),
        "zones" => each_zone(doc, node, here, world).map(ZoneChoice::Each),
        _ => zones_from(doc, node, here, target, world).map(ZoneChoice::From),
    }
}

fn each_zone(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    world: &World<'_>,
) -> Option<Vec<ZoneName>> {
    let mut zones: Vec<ZoneName> = Vec::new();
    let mut sound = true;
    for (i, item) in doc.list(node, place)?.iter().enumerate() {
        let here = Place::Item(&place, i);
        match zone(doc, item, here, world) {
            Some(zone) if zones.contains(&zone) => {
                doc.fault(item, here, format!("`{zone}` is listed twice"), None);
                sound = false;
            }
            Some(zone) => zones.push(zone),
            None => sound = false,
        }
    }
    sound.then_some(zones)
}

fn zones_from(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    target: Option<&(SourceName, Engine)>,
    world: &World<'_>,
) -> Option<ZonesFrom> {
    let map = doc.map(node, place, &ZONES_FROM_KEYS)?;
    let target = match map.get("source") {
        Some(n) => source(doc, n, Place::Key(&place, "source"), world),
        None => target.cloned(),
    };
    let engine = target.as_ref().map(|(_, engine)| *engine);
    let node = required(doc, &map, place, "sql")?;
    let query = sql(doc, node, Place::Key(&place, "sql"), engine, Binding::Nothing)?;
    Some(ZonesFrom { source: target?.0, query })
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
            let message = format!("somebody is told after 1 to {AFTER_MAX} bad windows in a row");
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
