//! `mask`: columns whose values are shown nowhere.

use crate::domain::check::Check;
use crate::domain::check::name::ColumnName;
use crate::domain::check::nearest::suggestion;
use crate::manifest::document::{Document, Place};
use crate::manifest::expectation::columns;
use crate::manifest::yaml::Node;

/// Reads the columns whose values are shown nowhere.
pub(super) fn mask(
    doc: &mut Document<'_>,
    at: Option<(&Node, Place<'_>)>,
) -> Option<Vec<ColumnName>> {
    let Some((node, place)) = at else { return Some(Vec::new()) };
    columns(doc, node, place)
}

/// A column that is not shown anyway is misspelt.
pub(super) fn masks_something(
    doc: &mut Document<'_>,
    at: Option<(&Node, Place<'_>)>,
    check: &Check,
) -> bool {
    let Some((node, place)) = at else { return true };
    let shown = check.columns_shown();
    let Some(column) = check.samples.mask.iter().find(|column| !shown.contains(column)) else {
        return true;
    };
    let names: Vec<&str> = shown.iter().map(ColumnName::as_str).collect();
    let message = format!("no value of `{column}` is shown, so that there is nothing to mask");
    doc.fault(node, place, message, suggestion(column.as_str(), &names));
    false
}
