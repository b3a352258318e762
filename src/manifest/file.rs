//! One file of checks: its head, its defaults, and each check.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::check::catalogue::Warning;
use crate::domain::check::fault::Fault;
use crate::domain::check::name::{CheckId, LabelName, Owner, SourceName};
use crate::domain::check::{Check, MaxRows, Samples, Severity};
use crate::domain::sql::Engine;
use crate::domain::table::TableName;
use crate::domain::time::duration;
use crate::manifest::body;
use crate::manifest::calendar;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::expectation;
use crate::manifest::freshness::freshness;
use crate::manifest::identity::{Declared, Spoken, TakenOut, removed, was, weakened};
use crate::manifest::lint;
use crate::manifest::mask::{mask, masks_something};
use crate::manifest::needs::Needs;
use crate::manifest::part::{DEFAULTS, SEVERITIES, required, source};
use crate::manifest::table::spread::spread;
use crate::manifest::yaml::Node;
use crate::manifest::{Text, World};

/// The keys of a file.
pub(super) const FILE_KEYS: [&str; 6] =
    ["version", "owner", "defaults", "checks", "removed", "weakened"];
/// The keys of `defaults`.
pub(super) const DEFAULTS_KEYS: [&str; 14] = [
    "source",
    "severity",
    "owner",
    "labels",
    "runbook",
    "timeout",
    "complete_until",
    "max_lag",
    "schedule",
    "window",
    "result_by",
    "catch_up",
    "recheck",
    "alert",
];
/// The keys of a check.
pub(super) const CHECK_KEYS: [&str; 38] = [
    "id",
    "was",
    "why",
    "owner",
    "severity",
    "labels",
    "runbook",
    "source",
    "schedule",
    "window",
    "sql",
    "reconcile",
    "table",
    "tables",
    "where",
    "at",
    "on",
    "zone_column",
    "columns",
    "unique",
    "never",
    "rows",
    "newest",
    "expect",
    "evidence",
    "complete_until",
    "max_lag",
    "result_by",
    "catch_up",
    "recheck",
    "alert",
    "pause",
    "except",
    "timeout",
    "max_rows",
    "samples",
    "mask",
    "accept",
];
/// The shortest and the longest time that a statement may be given.
pub(super) const TIMEOUTS: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(300));

/// What was read of a file.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) declared: Vec<Declared>,
    pub(super) removed: Vec<TakenOut>,
    pub(super) weakened: Vec<Spoken>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
}

/// The source of checks that name none.
#[derive(Debug, Default)]
enum DefaultSource {
    #[default]
    Unwritten,
    /// Written, and at fault: the fault is told once, not again at each check.
    Faulty,
    Named(SourceName),
}

/// What a check takes where it says nothing itself.
#[derive(Debug, Default)]
struct Defaults<'n> {
    source: DefaultSource,
    severity: Option<Severity>,
    owner: Option<Owner>,
    labels: BTreeMap<LabelName, String>,
    runbook: Option<String>,
    timeout: Option<Duration>,
    /// What is read for each check anew, because it depends on the check.
    map: Option<Map<'n>>,
}

/// Reads all checks of a file.
pub(super) fn checks(text: &Text, world: &World<'_>) -> Read {
    let mut document = if world.stored { Document::stored(text) } else { Document::new(text) };
    let mut weakened = Vec::new();
    let (declared, removed) = read(&mut document, world, &mut weakened);
    let warnings = document.take_warnings();
    Read { declared, removed, weakened, faults: document.into_faults(), warnings }
}

fn read(
    doc: &mut Document<'_>,
    world: &World<'_>,
    words: &mut Vec<Spoken>,
) -> (Vec<Declared>, Vec<TakenOut>) {
    let nothing = (Vec::new(), Vec::new());
    let Some(root) = doc.tree() else { return nothing };
    if matches!(root.kind, crate::manifest::yaml::Kind::Null) {
        let hint = "write `version: 1` and `checks:`, or remove the file".to_owned();
        doc.fault_at(0, 0, Place::Root, "the file is empty", Some(hint));
        return nothing;
    }
    let Some(map) = doc.map(&root, Place::Root, &FILE_KEYS) else { return nothing };
    version(doc, &map);
    let mut defaults = map
        .get("defaults")
        .map(|node| read_defaults(doc, node, DEFAULTS, world))
        .unwrap_or_default();
    if let Some(node) = map.get("owner") {
        let owner = doc.parsed(node, Place::Key(&Place::Root, "owner"), Owner::parse);
        if defaults.owner.is_some() {
            let hint = "keep one of them".to_owned();
            let message = "`defaults` names an owner too";
            doc.fault(node, Place::Key(&Place::Root, "owner"), message, Some(hint));
        }
        defaults.owner = defaults.owner.or(owner);
    }
    let removed = map.get("removed").map(|node| removed(doc, node)).unwrap_or_default();
    words.extend(map.get("weakened").map(|node| weakened(doc, node)).unwrap_or_default());
    let place = Place::Key(&Place::Root, "checks");
    let Some(node) = map.get("checks") else {
        if map.get("removed").is_none() && map.get("weakened").is_none() {
            let hint = "write `checks:` and a first check under it".to_owned();
            doc.fault(&root, Place::Root, "`checks` is missing", Some(hint));
        }
        return (Vec::new(), removed);
    };
    let Some(items) = doc.list(node, place) else { return (Vec::new(), removed) };
    let mut declared = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let warned = doc.warned();
        let here = Place::Item(&place, i);
        let read = check(doc, item, here, &defaults, world);
        if let Some((declared, _)) = &read {
            lint::check(doc, item, here, &declared.check, world);
        }
        lint::accept(doc, item, here, warned);
        doc.attribute(warned, read.as_ref().map(|(declared, _)| &declared.check.id));
        if let Some((read, tables)) = read {
            declared.extend(spread(doc, item, here, read, &tables));
        }
    }
    (declared, removed)
}

/// Reads which version of the language a file is in.
pub(super) fn version(doc: &mut Document<'_>, map: &Map<'_>) {
    let place = Place::Key(&Place::Root, "version");
    match map.get("version") {
        None => {
            let hint = "begin the file with `version: 1`".to_owned();
            doc.fault(map.node, Place::Root, "`version` is missing", Some(hint));
        }
        Some(node) => match doc.whole_number(node, place) {
            Some(1) | None => {}
            Some(other) => {
                let message = format!("version {other} of the language is not known here");
                doc.fault(node, place, message, Some("write `version: 1`".into()));
            }
        },
    }
}

fn read_defaults<'n>(
    doc: &mut Document<'_>,
    node: &'n Node,
    place: Place<'_>,
    world: &World<'_>,
) -> Defaults<'n> {
    let Some(map) = doc.map(node, place, &DEFAULTS_KEYS) else { return Defaults::default() };
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    Defaults {
        source: match at("source").map(|(n, p)| source(doc, n, p, world)) {
            None => DefaultSource::Unwritten,
            Some(None) => DefaultSource::Faulty,
            Some(Some((name, _))) => DefaultSource::Named(name),
        },
        severity: at("severity").and_then(|(n, p)| doc.word(n, p, &SEVERITIES)),
        owner: at("owner").and_then(|(n, p)| doc.parsed(n, p, Owner::parse)),
        labels: at("labels").map(|(n, p)| labels(doc, n, p, world)).unwrap_or_default(),
        runbook: at("runbook").and_then(|(n, p)| doc.parsed(n, p, http_url)),
        timeout: at("timeout").and_then(|(n, p)| doc.parsed(n, p, timeout)),
        map: Some(map),
    }
}

fn check(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    defaults: &Defaults<'_>,
    world: &World<'_>,
) -> Option<(Declared, Vec<TableName>)> {
    let map = doc.map(node, place, &CHECK_KEYS)?;
    let at = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let id_node = required(doc, &map, place, "id");
    let id = id_node.and_then(|n| doc.parsed(n, Place::Key(&place, "id"), CheckId::parse));
    let was = at("was").map_or(Some(None), |(n, p)| was(doc, n, p, id.as_ref()).map(Some));
    let why = required(doc, &map, place, "why")
        .and_then(|n| doc.text(n, Place::Key(&place, "why")).map(|t| t.trim().to_owned()));
    let severity = at("severity").and_then(|(n, p)| doc.word(n, p, &SEVERITIES));
    let owner = owner(doc, &map, place, defaults);
    let own_labels = at("labels").map(|(n, p)| labels(doc, n, p, world)).unwrap_or_default();
    let runbook = at("runbook").and_then(|(n, p)| doc.parsed(n, p, http_url));
    let own_timeout = at("timeout").and_then(|(n, p)| doc.parsed(n, p, timeout));
    let max_rows = at("max_rows").map_or(Some(MaxRows::default()), |(n, p)| max_rows(doc, n, p));
    let target = target(doc, &map, place, defaults, world);
    let context = calendar::Context {
        inherited: defaults.map.as_ref(),
        id: id.as_ref(),
        target: target.as_ref(),
        world,
    };
    let timing = calendar::read(doc, &map, place, &context);
    // Where the window is at fault, what its queries need is not known.
    let needs = timing.as_ref().map(|timing| Needs(timing.window.as_ref()));
    let inherited = defaults.map.as_ref().map(|map| (map, DEFAULTS));
    let context = expectation::Context {
        target: target.as_ref(),
        needs,
        max_rows: max_rows.unwrap_or_default(),
        world,
    };
    let asked = body::read(doc, &map, place, &context);
    let freshness = freshness(doc, [Some((&map, place)), inherited], context.engine());
    let mask = mask(doc, at("mask"));
    let (source, _) = target?;
    let (asked, timing, freshness) = (asked?, timing?, freshness?);
    let bound = asked.bound_elsewhere.iter().chain([&source]);
    calendar::bindable(doc, &map, place, &bound.collect::<Vec<_>>(), &timing, world)?;
    let declared = Declared {
        column: id_node?.column,
        was_at: map.get("was").map_or((0, 0), |node| (node.line, node.column)),
        check: Check {
            id: id?,
            was: was?,
            why: why?,
            owner: owner?,
            severity: severity.or(defaults.severity).unwrap_or(Severity::Warning),
            labels: defaults.labels.clone().into_iter().chain(own_labels).collect(),
            runbook: runbook.or_else(|| defaults.runbook.clone()),
            source,
            body: asked.body,
            evidence: asked.evidence,
            schedule: timing.schedule,
            window: timing.window,
            result_by: timing.result_by,
            catch_up: timing.catch_up,
            recheck: timing.recheck,
            alert: timing.alert,
            pause: timing.pause,
            except: timing.except,
            freshness,
            timeout: own_timeout.or(defaults.timeout),
            max_rows: max_rows?,
            samples: Samples { mask: mask?, ..asked.samples },
            file: doc.file().to_owned(),
            line: id_node?.line,
        },
    };
    masks_something(doc, at("mask"), &declared.check).then_some((declared, asked.tables))
}

/// Reads who answers for a check, itself or by its file.
fn owner(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    defaults: &Defaults<'_>,
) -> Option<Owner> {
    if let Some(node) = map.get("owner") {
        return doc.parsed(node, Place::Key(&place, "owner"), Owner::parse);
    }
    if defaults.owner.is_none() {
        let hint = "write `owner:` at the head of the file, or here".to_owned();
        doc.fault(map.node, place, "no owner answers for this check", Some(hint));
    }
    defaults.owner.clone()
}

/// Returns the source that a check asks, or records that there is none.
fn target(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    defaults: &Defaults<'_>,
    world: &World<'_>,
) -> Option<(SourceName, Engine)> {
    if let Some(node) = map.get("source") {
        return source(doc, node, Place::Key(&place, "source"), world);
    }
    // A reconciliation's own source is that of its left side.
    let left = map.get("reconcile").and_then(|node| node.entry("left")?.entry("source"));
    if let Some(node) = left {
        let (reconcile, left) = (Place::Key(&place, "reconcile"), "left");
        let left = Place::Key(&reconcile, left);
        return source(doc, node, Place::Key(&left, "source"), world);
    }
    match &defaults.source {
        DefaultSource::Named(name) => world.engines.get(name).map(|engine| (name.clone(), *engine)),
        DefaultSource::Faulty => None,
        DefaultSource::Unwritten => {
            let hint = "write `source:` here or under `defaults`".to_owned();
            doc.fault(map.node, place, "`source` is missing", Some(hint));
            None
        }
    }
}

fn labels(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    world: &World<'_>,
) -> BTreeMap<LabelName, String> {
    let mut labels = BTreeMap::new();
    let Some(map) = doc.open_map(node, place) else { return labels };
    for (key, value) in map.entries() {
        let here = Place::Key(&place, key);
        match LabelName::parse(key) {
            // An earlier release took them: what is stored runs on.
            Ok(name) if name.is_of_drills() && !world.stored => {
                doc.fault(value, here, LabelName::OF_DRILLS, None);
            }
            Ok(name) => {
                if let Some(text) = doc.parsed(value, here, label_value) {
                    labels.insert(name, text);
                }
            }
            Err(rule) => doc.fault(value, here, rule, None),
        }
    }
    labels
}

fn label_value(text: &str) -> Result<String, &'static str> {
    if text.len() > 200 || text.chars().any(char::is_control) {
        return Err("a label's value is one line of at most 200 bytes");
    }
    Ok(text.to_owned())
}

fn http_url(text: &str) -> Result<String, &'static str> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => {
            Ok(text.to_owned())
        }
        Ok(_) | Err(_) => Err("a runbook is an http:// or https:// URL"),
    }
}

/// Reads how long a statement may run.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let (shortest, longest) = TIMEOUTS;
    let timeout = duration::parse(text)?;
    if timeout < shortest || timeout > longest {
        return Err(format!(
            "a statement is given {} to {}",
            duration::show(shortest),
            duration::show(longest)
        ));
    }
    Ok(timeout)
}

fn max_rows(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<MaxRows> {
    let number = doc.whole_number(node, place)?;
    let rows = MaxRows::new(number);
    if rows.is_none() {
        let hint = "aggregate in SQL instead of reading more".to_owned();
        let message = format!("`max_rows` is 1 to {}", MaxRows::MOST);
        doc.fault(node, place, message, Some(hint));
    }
    rows
}
