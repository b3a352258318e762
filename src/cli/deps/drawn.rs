//! Answers as graphs: DOT for Graphviz, or Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::cli::args::DepsFormat;
use crate::domain::dependency::graph::{CheckUses, Dependencies, Node};
use crate::domain::dependency::{How, Object};

/// A point of the drawing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Check(String),
    Object(Node),
    /// What cannot be known of a check.
    Unknown(String),
}

/// Draws some checks and everything that they stand on.
pub(super) fn draw(all: &Dependencies, checks: &[Arc<CheckUses>], form: DepsFormat) -> String {
    let mut lines: BTreeSet<(Point, &'static str, Point)> = BTreeSet::new();
    for check in checks {
        let from = Point::Check(check.id.to_string());
        for node in check.uses.keys() {
            lines.insert((from.clone(), How::Query.as_str(), Point::Object(node.clone())));
        }
        let (reach, unknown) = all.reach(check);
        for node in reach {
            for (how, below) in all.below(&node) {
                lines.insert((Point::Object(node.clone()), how.as_str(), Point::Object(below)));
            }
        }
        if !unknown.is_empty() {
            let id = check.id.to_string();
            lines.insert((from, "opaque", Point::Unknown(id)));
        }
    }
    let mut points: BTreeMap<Point, usize> = BTreeMap::new();
    let drawn = checks.iter().map(|check| Point::Check(check.id.to_string()));
    let ends = lines.iter().flat_map(|(from, _, to)| [from.clone(), to.clone()]);
    for point in drawn.chain(ends) {
        let next = points.len();
        points.entry(point).or_insert(next);
    }
    let mut out = String::new();
    let is_dot = form == DepsFormat::Dot;
    out.push_str(if is_dot { "digraph allswell {\n  rankdir=LR;\n" } else { "flowchart LR\n" });
    for (point, number) in &points {
        let (label, shape) = label(point);
        if is_dot {
            let label = label.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(out, "  n{number} [label=\"{label}\", shape={}];", shape.0);
        } else {
            let label = label.replace('"', "#quot;");
            let _ = writeln!(out, "  n{number}{}\"{label}\"{}", shape.1, shape.2);
        }
    }
    for (from, how, to) in &lines {
        let (from, to) = (points[from], points[to]);
        if is_dot {
            let _ = writeln!(out, "  n{from} -> n{to} [label=\"{how}\"];");
        } else {
            let _ = writeln!(out, "  n{from} -->|{how}| n{to}");
        }
    }
    if is_dot {
        out.push_str("}\n");
    }
    out
}

type Shape = (&'static str, &'static str, &'static str);

fn label(point: &Point) -> (String, Shape) {
    match point {
        Point::Check(id) => (id.clone(), ("box", "[", "]")),
        Point::Unknown(_) => ("not known".to_owned(), ("octagon", "{{", "}}")),
        Point::Object((source, object)) => {
            let shape = match object {
                Object::Relation(_) => ("cylinder", "[(", ")]"),
                Object::Function(_) => ("component", "[[", "]]"),
                Object::Server(_) => ("house", "([", "])"),
            };
            (format!("{source}: {object}"), shape)
        }
    }
}
