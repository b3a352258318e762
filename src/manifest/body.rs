//! What a check asks, and what healthy means: `sql` with `expect`, `reconcile`, or `table`.

use crate::domain::check::code::Code;
use crate::domain::check::evidence::{Evidence, Measure, Minimum};
use crate::domain::check::name::SourceName;
use crate::domain::check::{Body, Samples};
use crate::domain::sql::Query;
use crate::domain::table::TableName;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::expectation::{self, Context};
use crate::manifest::needs::Needs;
use crate::manifest::needs::windowed_sql;
use crate::manifest::part::required;
use crate::manifest::reconcile::reconcile;
use crate::manifest::table::{refuse_keys, table};
use crate::manifest::yaml::Node;

/// The parts of a check that say what is asked, and how it is judged.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) body: Body,
    pub(super) evidence: Evidence,
    pub(super) samples: Samples,
    /// The sources, beside the check's own, to which parameters are bound.
    pub(super) bound_elsewhere: Option<SourceName>,
    /// The tables that `tables` names; empty where the check is one.
    pub(super) tables: Vec<TableName>,
}

/// Reads what a check asks.
pub(super) fn read(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Asked> {
    if let Some(node) = map.get("table").or(map.get("tables")) {
        if map.get("sql").is_none() && map.get("reconcile").is_none() {
            return table(doc, map, place, context);
        }
        let hint = "keep `table`, `sql` or `reconcile`".to_owned();
        doc.fault(node, Place::Key(&place, "table"), "a check asks in one way", Some(hint));
        return None;
    }
    if !refuse_keys(doc, map, place) {
        return None;
    }
    match (map.get("sql"), map.get("reconcile")) {
        (Some(_), Some(node)) => {
            let hint = "keep `sql` or `reconcile`".to_owned();
            let place = Place::Key(&place, "reconcile");
            doc.fault(node, place, "a check asks in one way", Some(hint));
            None
        }
        (None, Some(node)) => reconcile_body(doc, map, node, place, context),
        (_, None) => one_query(doc, map, place, context),
    }
}

fn one_query(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Asked> {
    let query = required(doc, map, place, "sql").and_then(|node| {
        let needs = context.needs.unwrap_or(Needs(None));
        windowed_sql(doc, node, Place::Key(&place, "sql"), context.engine(), needs)
    });
    let expectation = expectation::read(doc, map, place, context)?;
    let query = query?;
    if expectation.is_met_by_nothing(&query) {
        let message = "this query brings one row even if there is nothing to look at, and what that row holds is in \
                       order";
        warn_of_aggregate(doc, map.get("sql"), Place::Key(&place, "sql"), message);
    }
    let bound_elsewhere = expectation.bound_elsewhere().cloned();
    let expectation::Expectation { expect, evidence, samples } = expectation;
    let body = Body::Sql { query, expect: Box::new(expect) };
    Some(Asked { body, evidence, samples, bound_elsewhere, tables: Vec::new() })
}

fn reconcile_body(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    node: &Node,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Asked> {
    let mut sound = true;
    for (key, hint) in [
        ("expect", "what has to be the same stands under `compare`"),
        ("samples", "keys and what is compared are shown anyway"),
    ] {
        if let Some(node) = map.get(key) {
            let message = format!("`{key}` is for `sql`, not for `reconcile`");
            doc.fault(node, Place::Key(&place, key), message, Some(format!("remove it: {hint}")));
            sound = false;
        }
    }
    let here = Place::Key(&place, "reconcile");
    let evidence = expectation::evidence_of_rows(doc, map, place, context);
    let reconcile = reconcile(doc, node, here, context)?;
    let own = context.target.is_none_or(|(source, _)| *source == reconcile.left.source);
    if !own {
        let message = "the check's own source is another one than that of its left side";
        let hint = "remove `source` of the check, or swap the sides".to_owned();
        doc.fault(node, here, message, Some(hint));
        return None;
    }
    let evidence = evidence.filter(|_| sound)?;
    let aggregate = |query: &Query| query.over_nothing().is_row();
    let counts_rows = evidence.measure == Measure::Rows;
    let needed = matches!(evidence.minimum, Minimum::AtLeast(_));
    if counts_rows && needed && reconcile.sides().iter().all(|side| aggregate(&side.query)) {
        let message = "both sides bring one row even if there is nothing to look at";
        warn_of_aggregate(doc, Some(node), here, message);
    }
    let bound_elsewhere = Some(reconcile.right.source.clone());
    let body = Body::Reconcile(Box::new(reconcile));
    let (samples, tables) = (Samples::default(), Vec::new());
    Some(Asked { body, evidence, samples, bound_elsewhere, tables })
}

/// One row that comes whatever there is counts as evidence, and is none.
fn warn_of_aggregate(doc: &mut Document<'_>, node: Option<&Node>, place: Place<'_>, message: &str) {
    if let Some(node) = node {
        let hint = "write `evidence: {sql: select count(*) from …}` to count what was looked at";
        doc.remark(node, None, place, Code::AggregateOverNothing, message.into(), hint.into());
    }
}
