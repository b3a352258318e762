//! How a scalar is written: quoted, as a block, folded; and where a place inside its text stands in the file.

use crate::manifest::document::{Document, scalar};
use crate::manifest::yaml::Node;

impl<'t> Document<'t> {
    /// Says whether a comment cut this plain scalar short.
    pub fn comment_after(&self, node: &Node) -> bool {
        if self.is_quoted(node) || self.is_block(node) {
            return false;
        }
        let rest = self.text.text.get(node.span.end..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("");
        line.trim_start().starts_with('#')
    }

    /// Translates a place inside a scalar's text to a place in the file.
    ///
    /// Exact for blocks and for scalars of one line; the scalar's own place otherwise.
    pub fn inside(&self, node: &Node, line: u64, column: u64) -> (u64, u64) {
        let source = self.source(node);
        let quote = u64::from(self.is_quoted(node));
        if self.is_block(node) {
            (node.line + line - 1, node.column + column - 1)
        } else if source.contains('\n') {
            (node.line, node.column)
        } else {
            (node.line, node.column + column - 1 + quote)
        }
    }

    /// Says whether a scalar is a block: only a block's source reaches past its last word.
    fn is_block(&self, node: &Node) -> bool {
        let source = self.source(node);
        !self.is_quoted(node) && source.trim_end().len() < source.len()
    }

    /// Says whether YAML has made fewer lines of a scalar than were written.
    pub fn is_folded(&self, node: &Node) -> bool {
        let breaks = |text: &str| text.trim().replace("\r\n", "\n").matches(['\n', '\r']).count();
        let written = breaks(self.source(node));
        // An escaped line break in quotes makes up for a folded one: only blocks are counted.
        match scalar(node) {
            Some(text) if self.is_block(node) => breaks(text) < written,
            Some(text) => written > 0 && (self.is_quoted(node) || breaks(text) < written),
            None => false,
        }
    }

    /// Says whether a map stands in braces.
    pub(super) fn is_flow(&self, node: &Node) -> bool {
        self.text.text.get(node.span.start..).is_some_and(|rest| rest.starts_with('{'))
    }

    /// Says whether a scalar stands in quotes.
    pub fn is_quoted(&self, node: &Node) -> bool {
        self.source(node).starts_with(['"', '\''])
    }

    /// Returns a node's spelling.
    pub(super) fn source(&self, node: &Node) -> &'t str {
        self.text.text.get(node.span.clone()).unwrap_or("")
    }
}
