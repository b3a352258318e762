//! `tables`: the same rules for several tables, each with a check of its own.

use crate::domain::check::name::CheckId;
use crate::domain::check::{Body, Check};
use crate::domain::table::TableName;
use crate::domain::time::schedule::{Every, Schedule};
use crate::manifest::document::{Document, Place};
use crate::manifest::identity::Declared;
use crate::manifest::yaml::Node;

/// Makes a check of each table; their ids are that of the declaration and the name of the table.
pub(in crate::manifest) fn spread(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    declared: Declared,
    tables: &[TableName],
) -> Vec<Declared> {
    if tables.is_empty() {
        return vec![declared];
    }
    let Body::Table(table) = declared.check.body.clone() else { return vec![declared] };
    let mut all = Vec::new();
    for name in tables {
        let of_table = |id: &CheckId| CheckId::parse(&format!("{id}-{}", slug(name)));
        let id = of_table(&declared.check.id);
        let was = declared.check.was.as_ref().map(of_table).transpose();
        let (Ok(id), Ok(was), Ok(table)) = (id, was, table.of(name.clone())) else {
            let node = node.entry("tables").unwrap_or(node);
            let message =
                format!("with `{name}`, the id of this check is longer than 63 characters");
            let hint = "give it a shorter id, or write a check for that table alone".to_owned();
            doc.fault(node, Place::Key(&place, "tables"), message, Some(hint));
            return Vec::new();
        };
        let schedule = match &declared.check.schedule {
            // Each has its own moment within the period.
            Schedule::Every(every) => every
                .period()
                .to_std()
                .ok()
                .and_then(|period| Every::new(period, &id).ok())
                .map_or_else(|| declared.check.schedule.clone(), Schedule::Every),
            Schedule::WindowEnd | Schedule::Cron(_) => declared.check.schedule.clone(),
        };
        let body = Body::Table(Box::new(table));
        let check = Check { id, was, schedule, body, ..declared.check.clone() };
        all.push(Declared { check, ..declared });
    }
    all
}

/// The name of a table as a part of an id: `sales.Order_Items` is `sales-order-items`.
fn slug(name: &TableName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.to_string().chars().map(plain).collect()
}
