//! Reading a tree of another tool: what is there, without complaining about what is not ours.

use crate::domain::check::fault::Fault;
use crate::import::written::quoted;
use crate::manifest::{Kind, Node, Text};

/// The entries of a map.
pub(super) fn entries(node: &Node) -> &[(Node, Node)] {
    match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Null | Kind::Typed(_) | Kind::Text(_) | Kind::List(_) => &[],
    }
}

/// The value of a key.
pub(super) fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).iter().find(|(name, _)| scalar(name) == Some(key)).map(|(_, value)| value)
}

/// The items of a list; one thing alone is a list of it.
pub(super) fn items(node: Option<&Node>) -> Vec<&Node> {
    match node.map(|node| (&node.kind, node)) {
        None | Some((Kind::Null, _)) => Vec::new(),
        Some((Kind::List(items), _)) => items.iter().collect(),
        Some((_, node)) => vec![node],
    }
}

/// A scalar, as it is spelt.
pub(super) fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) | Kind::Typed(text) => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The scalar of a key.
pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    get(node, key).and_then(scalar)
}

/// Says whether a key says yes.
pub(super) fn is_true(node: &Node, key: &str) -> bool {
    text(node, key).is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

/// Says whether a scalar says no, in whatever letters.
pub(super) fn is_no(word: Option<&str>) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case("false"))
}

/// A scalar as a value of our YAML: numbers stay what they are.
pub(super) fn value(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Typed(text) => Some(text.clone()),
        Kind::Text(text) => Some(quoted(text)),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The scalars of a list, as values of our YAML; nothing where one is none.
pub(super) fn values(node: &Node) -> Option<Vec<String>> {
    let all: Option<Vec<String>> = items(Some(node)).into_iter().map(value).collect();
    all.filter(|all| !all.is_empty())
}

/// Where a node stands.
pub(super) fn place(text: &Text, node: &Node) -> String {
    format!("{}:{}", text.file, node.line)
}

/// A fault of a file that is not what it is to be.
pub(super) fn not_that(text: &Text, node: &Node, what: &str) -> Box<Fault> {
    let mut fault = Fault::of_file(text.file.clone(), format!("this is no {what}"), "");
    (fault.line, fault.column) = (node.line, node.column);
    Box::new(fault)
}
