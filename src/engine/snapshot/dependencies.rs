//! What checks stand on, as it was learnt.

use std::collections::BTreeMap;

use crate::domain::check::name::SourceName;
use crate::domain::dependency::answer::{Coverage, Ignored, Toll};
use crate::domain::dependency::graph::Dependencies;

/// What checks stand on.
#[derive(Debug, Default)]
pub struct DependencyHealth {
    /// The checks and the relations.
    pub graph: Dependencies,
    /// Why nothing, or nothing new, is known of a source.
    pub unlearnt: BTreeMap<SourceName, String>,
    /// What goes dark with each source that a check asks.
    pub tolls: BTreeMap<SourceName, Toll>,
    /// How many tables of each source checks reach.
    pub coverage: BTreeMap<SourceName, Coverage>,
    /// Tables that need no check.
    pub ignored: BTreeMap<SourceName, Vec<Ignored>>,
}
