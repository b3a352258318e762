//! The parts that several keys are made of: a value that must be there, a source, SQL.

use crate::domain::check::Severity;
use crate::domain::check::name::SourceName;
use crate::domain::check::nearest::suggestion;
use crate::domain::sql::{Binding, Engine, Query};
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::yaml::Node;

/// The keys of a query that may ask another source.
pub(super) const FROM_KEYS: [&str; 2] = ["source", "sql"];
/// The words for severities.
pub(super) const SEVERITIES: [(&str, Severity); 3] =
    [("critical", Severity::Critical), ("warning", Severity::Warning), ("info", Severity::Info)];
/// The place of what checks inherit.
pub(super) const DEFAULTS: Place<'static> = Place::Key(&Place::Root, "defaults");

/// Returns the value of a key that must stand there.
pub(super) fn required<'n>(
    doc: &mut Document<'_>,
    map: &Map<'n>,
    place: Place<'_>,
    key: &str,
) -> Option<&'n Node> {
    let node = map.get(key);
    if node.is_none() {
        let hint = format!("write `{key}:` here");
        doc.fault(map.node, place, format!("`{key}` is missing"), Some(hint));
    }
    node
}

/// Reads the name of a source that the settings know.
pub(super) fn source(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    world: &World<'_>,
) -> Option<(SourceName, Engine)> {
    let name = doc.parsed(node, place, SourceName::parse)?;
    if let Some(engine) = world.engines.get(&name) {
        return Some((name, *engine));
    }
    let valid: Vec<&str> = world.engines.keys().map(SourceName::as_str).collect();
    let hint = suggestion(name.as_str(), &valid)
        .unwrap_or_else(|| "add it under `sources` in allswell.yaml".into());
    doc.fault(node, place, format!("the settings have no source `{name}`"), Some(hint));
    None
}

/// Reads SQL in the dialect of its source; where the source is unknown, only that it is there.
pub(super) fn sql(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    engine: Option<Engine>,
    binding: Binding,
) -> Option<Query> {
    let text = doc.text(node, place)?.to_owned();
    if doc.comment_after(node) {
        let message = "` #` begins a YAML comment, so the SQL ends before it";
        doc.fault(node, place, message, Some("use a block: `sql: |`".into()));
        return None;
    }
    match Query::parse(&text, engine?, binding) {
        Ok(query) if query.has_line_comment() && doc.is_folded(node) => {
            let message = "YAML joins these lines, so a comment in the SQL reaches to its end";
            doc.fault(node, place, message, Some("use a block that keeps lines: `sql: |`".into()));
            None
        }
        Ok(query) => Some(query),
        Err(fault) => {
            let (line, column) = doc.inside(node, fault.line, fault.column);
            doc.fault_at(line, column, place, fault.message, fault.hint);
            None
        }
    }
}
