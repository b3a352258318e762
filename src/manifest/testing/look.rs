//! Where a test looks, and what has to come of it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use crate::domain::check::Check;
use crate::domain::check::reason::Cause;
use crate::domain::record::series::Series;
use crate::domain::testing::LookAt;
use crate::domain::testing::expected::{CAUSES, Expected};
use crate::domain::time::window::{Frame, Span, Window, WindowRule, ZoneChoice};
use crate::domain::time::zone::ZoneName;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::timing::{date, instant, zone};
use crate::manifest::yaml::{Kind, Node};

/// The keys of `window`.
pub(in crate::manifest) const WINDOW_KEYS: [&str; 4] = ["date", "at", "zone", "zones"];
/// The keys of `expect` where it is a map, beside offsets and zones.
pub(in crate::manifest) const EXPECT_KEYS: [&str; 2] = ["violated", "unconfirmed"];
/// The words of `expect`.
const VERDICTS: [(&str, bool); 2] = [("confirmed", true), ("violated", false)];

/// Reads which windows are looked at; nothing in it where the check looks at the present.
pub(super) fn windows(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    check: &Arc<Check>,
    world: &World<'_>,
) -> Option<Vec<(Series, Window)>> {
    let here = Place::Key(&place, "window");
    let (rule, node) = match (&check.window, map.get("window")) {
        (None, None) => return Some(Vec::new()),
        (None, Some(node)) => {
            let message = format!("`{}` looks at the present and has no window", check.id);
            doc.fault(node, here, message, Some("remove it".to_owned()));
            return None;
        }
        (Some(_), None) => {
            let message =
                format!("`{}` looks at a window, and the test does not say which", check.id);
            let hint = "write `window: {date: 2025-11-02, zone: America/New_York}`".to_owned();
            doc.fault(map.node, place, message, Some(hint));
            return None;
        }
        (Some(rule), Some(node)) => (rule, node),
    };
    let written = Written::read(doc, node, here, check, rule, world)?;
    let rules = |name: &ZoneName| world.zones.rules(name);
    let mut all = Vec::new();
    for name in &written.zones {
        let series = Series::in_zone(check, name, &rules)?;
        let span = written.moment.span(&series, rule);
        let found = span.windows(&series.home.rules, rule.split);
        if found.is_empty() {
            let message = format!("in {name}, clocks leave this date out: there is no such window");
            doc.fault(node, here, message, Some("write another date".to_owned()));
            return None;
        }
        all.extend(found.into_iter().map(|window| (series.clone(), window)));
    }
    Some(all)
}

/// When, and where.
struct Written {
    moment: Moment,
    zones: Vec<ZoneName>,
}

#[derive(Clone, Copy)]
enum Moment {
    Date(NaiveDate),
    At(DateTime<Utc>),
}

impl Moment {
    /// The period that a date begins in, or an instant lies in.
    fn span(self, series: &Series, rule: &WindowRule) -> Span {
        let rules = &series.home.rules;
        match self {
            Self::Date(date) => rule.frame.span_of(rules, date),
            Self::At(at) => rule.frame.span_at(rules, at),
        }
    }
}

impl Written {
    fn read(
        doc: &mut Document<'_>,
        node: &Node,
        place: Place<'_>,
        check: &Check,
        rule: &WindowRule,
        world: &World<'_>,
    ) -> Option<Self> {
        if let Kind::Text(_) | Kind::Typed(_) = &node.kind {
            let moment = Moment::Date(doc.parsed(node, place, date)?);
            let zones = zones(doc, node, place, rule, None, world)?;
            return Some(Self { moment, zones });
        }
        let map = doc.map(node, place, &WINDOW_KEYS)?;
        let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
        let moment = match (at("date"), at("at")) {
            (Some((node, _)), None) if matches!(rule.frame, Frame::Grid(_)) => {
                let message = format!("the windows of `{}` are parts of a day", check.id);
                let hint =
                    "write `at: 2025-11-02T05:00:00Z`: an instant within the window".to_owned();
                doc.fault(node, place, message, Some(hint));
                return None;
            }
            (Some((node, place)), None) => Moment::Date(doc.parsed(node, place, date)?),
            (None, Some((node, place))) => Moment::At(doc.parsed(node, place, instant)?),
            (Some(_), Some((node, place))) => {
                doc.fault(node, place, "`date` says already when", Some("keep one of them".into()));
                return None;
            }
            (None, None) => {
                let hint =
                    "write `date: 2025-11-02`, or `at:` with an instant within it".to_owned();
                doc.fault(node, place, "this does not say when", Some(hint));
                return None;
            }
        };
        let named = match (at("zone"), at("zones")) {
            (Some((node, place)), None) => Some(vec![zone(doc, node, place, world)?]),
            (None, Some((node, place))) => {
                let items = doc.list(node, place)?.iter().enumerate();
                let read = items.map(|(i, item)| zone(doc, item, Place::Item(&place, i), world));
                Some(read.collect::<Option<Vec<_>>>()?)
            }
            (Some(_), Some((node, place))) => {
                doc.fault(
                    node,
                    place,
                    "`zone` says already where",
                    Some("keep one of them".into()),
                );
                return None;
            }
            (None, None) => None,
        };
        let zones = zones(doc, node, place, rule, named, world)?;
        Some(Self { moment, zones })
    }
}

/// The zones that are meant: those that are named, or the only one that the check has.
fn zones(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    rule: &WindowRule,
    named: Option<Vec<ZoneName>>,
    world: &World<'_>,
) -> Option<Vec<ZoneName>> {
    let fault = |doc: &mut Document<'_>, message: String, hint: String| {
        doc.fault(node, place, message, Some(hint));
        None
    };
    match (&rule.zones, named) {
        (ZoneChoice::Nowhere, None) => Some(vec![ZoneName::utc()]),
        (ZoneChoice::Nowhere, Some(_)) => {
            fault(doc, "the windows of this check have no zone".into(), "remove it".into())
        }
        (ZoneChoice::One(zone), None) => Some(vec![zone.clone()]),
        (ZoneChoice::One(_) | ZoneChoice::Each(_), Some(zones)) => {
            let written = rule.zones.written();
            match zones.iter().find(|zone| !written.contains(zone)) {
                None => Some(zones),
                Some(zone) => {
                    let known: Vec<&str> = written.iter().map(ZoneName::as_str).collect();
                    let message = format!("the check does not look at `{zone}`");
                    fault(doc, message, format!("write one of {}", known.join(", ")))
                }
            }
        }
        (ZoneChoice::From(_), Some(zones)) => Some(zones),
        (ZoneChoice::Each(_) | ZoneChoice::From(_), None) => {
            let some = rule.zones.written().first().map_or("Europe/Berlin", ZoneName::as_str);
            let some =
                world.zones.named(some).map_or_else(|_| some.to_owned(), |z| z.name.to_string());
            let hint = format!("write `zone: {some}`, or `zones:` with several");
            fault(
                doc,
                "the check looks at several zones, and this does not say at which".into(),
                hint,
            )
        }
    }
}

/// Reads what has to come of each look.
pub(super) fn expected(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    windows: Vec<(Series, Window)>,
) -> Option<Vec<LookAt>> {
    if let Some(parts) = by_part(node) {
        return each_expected(doc, node, place, &parts, windows);
    }
    let expected = one_expected(doc, node, place)?;
    if windows.is_empty() {
        return Some(vec![LookAt { window: None, expected }]);
    }
    let look = |window| LookAt { window: Some(window), expected: expected.clone() };
    Some(windows.into_iter().map(look).collect())
}

/// The keys and values of a map that says what has to come by offset or zone.
fn by_part(node: &Node) -> Option<Vec<(&Node, &Node)>> {
    let Kind::Map(pairs) = &node.kind else { return None };
    let named = |key: &Node| matches!(word(key), Some(word) if EXPECT_KEYS.contains(&word));
    let is_part = |key: &Node| {
        word(key)
            .is_some_and(|word| word.contains('/') || word.starts_with(['+', '-']) || word == "UTC")
    };
    let parts = pairs.iter().any(|(key, _)| is_part(key));
    (parts && !pairs.iter().any(|(key, _)| named(key)))
        .then(|| pairs.iter().map(|(key, value)| (key, value)).collect())
}

fn word(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) | Kind::Typed(text) => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn each_expected(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    parts: &[(&Node, &Node)],
    windows: Vec<(Series, Window)>,
) -> Option<Vec<LookAt>> {
    let called = |(series, window): &(Series, Window)| {
        [window.utc_offset.to_string(), series.home.name.to_string()]
    };
    let mut read = Vec::new();
    for (key, value) in parts {
        let part = word(key).unwrap_or_default();
        let here = Place::Key(&place, part);
        if !windows.iter().any(|window| called(window).iter().any(|name| name == part)) {
            let mut known: Vec<String> =
                windows.iter().map(|window| called(window)[0].clone()).collect();
            known.dedup();
            let message = format!("no window of this test is `{part}`");
            let hint = match known.is_empty() {
                true => "the check looks at the present: write the verdict alone".to_owned(),
                false => format!("its windows have the offsets {}", known.join(" and ")),
            };
            doc.fault(key, here, message, Some(hint));
            return None;
        }
        read.push((part, one_expected(doc, value, here)?));
    }
    let mut looks = Vec::new();
    for window in windows {
        let names = called(&window);
        let expected = read.iter().find(|(part, _)| names.iter().any(|name| name == part));
        let Some((_, expected)) = expected else {
            let message = format!("this does not say what comes of the window of {}", names[0]);
            doc.fault(node, place, message, Some(format!("write `\"{}\": confirmed`", names[0])));
            return None;
        };
        looks.push(LookAt { expected: expected.clone(), window: Some(window) });
    }
    Some(looks)
}

/// Reads one verdict.
fn one_expected(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Expected> {
    if let Kind::Text(_) | Kind::Typed(_) = &node.kind {
        if word(node) == Some("unconfirmed") {
            let hint = "write `expect: {unconfirmed: no_evidence}`".to_owned();
            doc.fault(node, place, "unconfirmed for which cause?", Some(hint));
            return None;
        }
        let confirmed = doc.word(node, place, &VERDICTS)?;
        return Some(if confirmed { Expected::Confirmed } else { Expected::Violated(Vec::new()) });
    }
    let map = doc.map(node, place, &EXPECT_KEYS)?;
    match map.entries() {
        [("violated", node)] => {
            let place = Place::Key(&place, "violated");
            if let Kind::List(_) = &node.kind {
                let items = doc.list(node, place)?.iter().enumerate();
                let names = items.map(|(i, item)| {
                    doc.text(item, Place::Item(&place, i)).map(|name| name.trim().to_owned())
                });
                return names.collect::<Option<_>>().map(Expected::Violated);
            }
            doc.text(node, place).map(|name| Expected::Violated(vec![name.trim().to_owned()]))
        }
        [(_, node)] => {
            let place = Place::Key(&place, "unconfirmed");
            let words: Vec<(&str, Cause)> =
                CAUSES.iter().map(|cause| (cause.as_str(), *cause)).collect();
            let other = word(node).filter(|word| !CAUSES.iter().any(|c| c.as_str() == *word));
            if let Some(other) = other.filter(|word| Cause::ALL.iter().any(|c| c.as_str() == *word))
            {
                let message = format!("no rows bring about `{other}`");
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let hint = format!("rows can bring about: {}", known.join(", "));
                doc.fault(node, place, message, Some(hint));
                return None;
            }
            doc.word(node, place, &words).map(Expected::Unconfirmed)
        }
        _ => {
            doc.fault(node, place, "one verdict belongs here", Some("keep one of them".into()));
            None
        }
    }
}
