//! How many rows a table has to have, and how old the newest of them may be.

use std::time::Duration;

use crate::domain::check::evidence::{Evidence, Minimum};
use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::limit::{Limit, LimitParts};
use crate::domain::check::name::ColumnName;
use crate::domain::table::Newest;
use crate::domain::table::volume::{Ratio, Volume};
use crate::domain::time::duration;
use crate::domain::time::window::{Split, WindowRule};
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::limits::{ROW_LIMIT_KEYS, limit_fault, limit_parts};
use crate::manifest::part::required;
use crate::manifest::table::present;
use crate::manifest::yaml::Node;

/// The keys of `rows` that hold it against an earlier window.
pub(in crate::manifest) const VOLUME_KEYS: [&str; 3] = ["past", "min_ratio", "max_ratio"];
/// The keys of `newest`.
pub(in crate::manifest) const NEWEST_KEYS: [&str; 2] = ["of", "within"];

/// How many windows earlier `rows` may look.
pub(in crate::manifest) const PAST_MAX: u32 = 400;
/// How far ahead of us the newest row of a table may be: clocks differ.
const AHEAD: &str = "now + 5m";
/// How old the newest row may be at most: ten years.
const WITHIN_MAX: Duration = Duration::from_secs(3_650 * 86_400);

/// Reads how many rows there have to be, and how many beside an earlier window.
pub(super) fn rows(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    window: Option<Option<&WindowRule>>,
) -> Option<(Option<RowLimit>, Option<Volume>)> {
    let keys: Vec<&str> = ROW_LIMIT_KEYS.iter().chain(&VOLUME_KEYS).copied().collect();
    let map = doc.map(node, place, &keys)?;
    let plain = map.only(&ROW_LIMIT_KEYS);
    let limit = if plain.entries().is_empty() {
        None
    } else {
        let parts = limit_parts(doc, &plain, place)?;
        // The server counts: nothing is read up to a maximum.
        let limit = RowLimit::new(&parts, u32::MAX);
        Some(limit.map_err(|fault| limit_fault(doc, &plain, place, fault)).ok()?)
    };
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let least = present(at("min_ratio"), |(n, p)| doc.parsed(n, p, Ratio::parse))?;
    let most = present(at("max_ratio"), |(n, p)| doc.parsed(n, p, Ratio::parse))?;
    let past = present(at("past"), |(n, p)| past(doc, n, p, window))?;
    let volume = match (past, least.is_some() || most.is_some()) {
        (Some(past), true) => Some(Volume { past, least, most }),
        (None, false) => None,
        (Some(_), false) => {
            let hint = "write `min_ratio: 0.5` beside it, or `max_ratio`".to_owned();
            doc.fault(
                node,
                place,
                "`past` says beside which window, and not how many rows",
                Some(hint),
            );
            return None;
        }
        (None, true) => {
            let hint = "write `past: 7` beside it, for the window seven periods earlier".to_owned();
            doc.fault(node, place, "a ratio is held against an earlier window", Some(hint));
            return None;
        }
    };
    if least.zip(most).is_some_and(|(least, most)| least > most) {
        let hint = Some("did you mean them the other way round?".to_owned());
        doc.fault(node, place, "no number of rows is within `min_ratio` and `max_ratio`", hint);
        return None;
    }
    Some((limit, volume))
}

fn past(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    window: Option<Option<&WindowRule>>,
) -> Option<u32> {
    let past = doc.whole_number(node, place)?;
    let past = u32::try_from(past).ok().filter(|past| (1..=PAST_MAX).contains(past));
    if past.is_none() {
        doc.fault(node, place, format!("`past` is 1 to {PAST_MAX} windows"), None);
    }
    match window {
        Some(None) => {
            let hint = "give the check a `window`".to_owned();
            doc.fault(node, place, "a check without a window has no earlier one", Some(hint));
            None
        }
        Some(Some(rule)) if rule.split != Split::Whole => {
            let hint = "take `split` out, or `past`".to_owned();
            let message = "a part of a day cannot be held against a whole earlier one";
            doc.fault(node, place, message, Some(hint));
            None
        }
        Some(Some(_)) | None => past,
    }
}

/// Reads how old the newest row may be.
pub(super) fn newest(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    window: Option<Option<&WindowRule>>,
) -> Option<Newest> {
    let map = doc.map(node, place, &NEWEST_KEYS)?;
    let of = required(doc, &map, place, "of");
    let column = of.and_then(|n| doc.parsed(n, Place::Key(&place, "of"), ColumnName::parse));
    let node = required(doc, &map, place, "within");
    let within = node.and_then(|n| doc.parsed(n, Place::Key(&place, "within"), duration::parse));
    let (column, within) = (column?, within?);
    if within.is_zero() || within > WITHIN_MAX {
        let message =
            format!("`within` is more than nothing, and at most {}", duration::show(WITHIN_MAX));
        doc.fault(node?, Place::Key(&place, "within"), message, None);
        return None;
    }
    let limits = age_limits(within, window?.is_some());
    Some(Newest { column, within, limits })
}

/// The limits that say how old a newest instant may be; one of the future is as wrong as an old one.
fn age_limits(within: Duration, in_window: bool) -> [Limit; 2] {
    let word = if in_window { "window_end" } else { "now" };
    let min = format!("{word} - {}", duration::show(within));
    let limit = |min, max| {
        let parts = LimitParts { min, max, ..LimitParts::default() };
        Limit::new(&parts).expect("an instant less or more a duration is a limit")
    };
    [limit(Some(&min), None), limit(None, Some(AHEAD))]
}

/// As many rows as prove something have to be as many as there may be.
pub(in crate::manifest) fn can_be_confirmed(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    rows: Option<&RowLimit>,
    evidence: &Evidence,
) -> Option<()> {
    let (Some(limit), Minimum::AtLeast(least)) = (rows, &evidence.minimum) else { return Some(()) };
    if !limit.is_past(least.get()) {
        return Some(());
    }
    let node = map.get("rows").unwrap_or(map.node);
    let message = format!(
        "this can never be confirmed: its evidence is the rows that were looked at, {least} or more, and `rows` allows fewer"
    );
    let hint = "say why there may be none: `evidence: {min: 0, because: …}`".to_owned();
    doc.fault(node, Place::Key(&place, "rows"), message, Some(hint));
    None
}
