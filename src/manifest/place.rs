//! Where a node stands inside its document, as faults name it.

use std::fmt;

/// The place of a node inside its document.
#[derive(Debug, Clone, Copy)]
pub enum Place<'p> {
    /// The document itself.
    Root,
    /// Under a key.
    Key(&'p Place<'p>, &'p str),
    /// At a position of a list, from 0.
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Item(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}
