//! Which data a check looks at: `window`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::domain::check::name::SourceName;
use crate::domain::sql::{Binding, Engine};
use crate::domain::time::duration;
use crate::domain::time::period::{DayStart, MonthStart, Period};
use crate::domain::time::window::{Frame, GridStep, Split, WindowRule, ZoneChoice, ZonesFrom};
use crate::domain::time::zone::ZoneName;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::{required, source, sql};
use crate::manifest::timing::{LONGEST, within, zone};
use crate::manifest::yaml::{Kind, Node};

pub(super) const WINDOW_KEYS: [&str; 8] =
    ["period", "from", "zone", "zones", "zones_from", "split", "settle", "past"];
/// How many periods earlier the one may be that queries hold theirs against.
pub(super) const PAST_MAX: u64 = 400;
pub(super) const ZONES_FROM_KEYS: [&str; 3] = ["source", "sql", "shrinks"];
pub(super) const SPLITS: [(&str, Split); 1] = [("utc_offset", Split::UtcOffset)];
/// Whether a list of zones may lose as many as it likes.
pub(super) const SHRINKS: [(&str, bool); 1] = [("allowed", true)];

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
    let frame = match (frame, at("from")) {
        (Some(frame), Some((n, p))) => from(doc, n, p, frame),
        (frame, _) => frame,
    };
    let split = at("split").map_or(Some(Split::Whole), |(n, p)| doc.word(n, p, &SPLITS));
    let past = at("past").map_or(Some(None), |(n, p)| past(doc, n, p).map(Some));
    if let (Some((n, p)), Some(Split::UtcOffset)) = (at("past"), split) {
        let message = "what is beside a window is a whole period, and these are parts of one";
        doc.fault(n, p, message, Some("take `split` out, or `past`".to_owned()));
        return None;
    }
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
    Some(WindowRule { frame, zones, may_shrink, split: split?, settle: settle?, past: past? })
}

/// Reads with what a period begins.
fn from(doc: &mut Document<'_>, node: &Node, place: Place<'_>, frame: Frame) -> Option<Frame> {
    let period = match frame {
        Frame::Calendar(Period::Day(_)) => Period::Day(doc.parsed(node, place, DayStart::parse)?),
        Frame::Calendar(Period::Week(_)) => {
            Period::Week(doc.word(node, place, &Period::WEEKDAYS)?)
        }
        Frame::Calendar(Period::Month(_)) => {
            let day = doc.whole_number(node, place)?;
            let Some(start) = MonthStart::new(day) else {
                let hint = "write `from: 31` for the last day of each month".to_owned();
                doc.fault(node, place, "a month begins with a day of 1 to 31", Some(hint));
                return None;
            };
            Period::Month(start)
        }
        Frame::Calendar(Period::Quarter | Period::Year) | Frame::Grid(_) => {
            let message =
                format!("a window of `{frame}` has no `from`: days, weeks and months have");
            doc.fault(node, place, message, Some("take `from` out".to_owned()));
            return None;
        }
    };
    Some(Frame::Calendar(period))
}

/// Reads how many periods earlier the one is that queries hold theirs against.
fn past(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<NonZeroU32> {
    let past = doc.whole_number(node, place)?;
    let past = u32::try_from(past).ok().filter(|past| u64::from(*past) <= PAST_MAX);
    let past = past.and_then(NonZeroU32::new);
    if past.is_none() {
        doc.fault(node, place, format!("`past` is 1 to {PAST_MAX} periods"), None);
    }
    past
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
