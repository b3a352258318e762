//! What a check asks, when and what for, in words.

use crate::domain::check::evidence::Measure;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::{Body, Check, Expect};
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::Query;
use crate::domain::sql::bounds::{Bound, Bounds};
use crate::domain::sql::instant_form::InstantForm;
use crate::domain::sql::parameter::Parameter;
use crate::domain::time::window::ZoneChoice;
use crate::engine::snapshot::Snapshot;
use crate::manifest::Noticed;

/// What came of the tests of a check; nothing where no results of tests are known.
pub(super) fn tested(picture: &Snapshot, check: &CheckId) -> Option<String> {
    picture.tested.as_ref()?;
    let Some(tested) = picture.tested(check) else {
        return Some("not as it is now: it has no test, or changed since they ran".to_owned());
    };
    let passed = match tested.tested {
        true => "its tests show it confirmed and violated",
        false => "its tests did not all pass, or do not show it confirmed and violated",
    };
    Some(match tested.mutants {
        Some(Noticed { of, noticed }) if of > 0 => {
            format!("{passed}; they notice {noticed} of {of} mistakes in it")
        }
        Some(_) | None => passed.to_owned(),
    })
}

/// What has to hold, a line each.
pub(super) fn expected(check: &Check) -> Vec<String> {
    let mut lines = Vec::new();
    match &check.body {
        Body::Sql { expect, .. } => {
            if let Some(rows) = expect.rows() {
                lines.push(format!("rows: {rows}"));
            }
            lines
                .extend(expect.values().iter().map(|(column, limit)| format!("{column}: {limit}")));
            if let Some(keys) = expect.keys() {
                let columns: Vec<&str> =
                    keys.columns.iter().map(|column| column.as_str()).collect();
                lines.push(format!("every {} of {} appears", columns.join(", "), keys.source));
            }
        }
        Body::Reconcile(reconcile) => lines.push(format!(
            "the rows of {} and of {} are the same",
            reconcile.left.source, reconcile.right.source
        )),
        Body::Table(table) => lines.extend(table.rules().in_words()),
    }
    lines
}

/// A query of a check: what it is for, whom it asks, and what.
pub(super) struct NamedQuery<'c> {
    pub(super) title: String,
    pub(super) source: &'c SourceName,
    pub(super) query: &'c Query,
}

/// The queries of a check.
pub(super) fn queries(check: &Check) -> Vec<NamedQuery<'_>> {
    let asked = |what: &str, source, query| {
        let comma = if what.is_empty() { "" } else { ", " };
        NamedQuery { title: format!("{what}{comma}asks {source}"), source, query }
    };
    let mut queries = Vec::new();
    match &check.body {
        Body::Sql { query, .. } => queries.push(asked("", &check.source, query)),
        Body::Table(table) => queries.extend(table.statements().iter().map(|statement| {
            asked(&statement.asks.title(table.rules()), &check.source, &statement.query)
        })),
        Body::Reconcile(reconcile) => {
            let Reconcile { left, right, detail, .. } = &**reconcile;
            queries.push(asked("left", &left.source, &left.query));
            queries.push(asked("right", &right.source, &right.query));
            if let Some(detail) = detail {
                queries.push(asked("rows of the left", &left.source, &detail.left));
                queries.push(asked("rows of the right", &right.source, &detail.right));
            }
        }
    }
    if let Measure::Query(query) = &check.evidence.measure {
        queries.push(asked("evidence", &check.source, query));
    }
    if let Some(keys) = check.expect().and_then(Expect::keys) {
        queries.push(asked("who must appear", &keys.source, &keys.from));
    }
    queries
}

/// The query that lists the zones of a check, where one does.
pub(super) fn list_of_zones(check: &Check) -> Option<(String, &Query)> {
    match check.window.as_ref().map(|rule| &rule.zones) {
        Some(ZoneChoice::From(from)) => Some((format!("asks {}", from.source), &from.query)),
        Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_)) | None => None,
    }
}

/// What was bound, and the query with it written where parameters stand, as its source takes it.
pub(super) fn bound(
    query: &Query,
    bounds: Option<&Bounds>,
    form: InstantForm,
) -> (Vec<String>, String) {
    let Some(bounds) = bounds else { return (Vec::new(), query.text().to_owned()) };
    let mut named: Vec<Parameter> = query.parameters().collect();
    named.sort();
    named.dedup();
    let values = named.iter().map(|p| format!("{p} = {}", bounds.value(*p))).collect();
    let text = query.with_parameters(|_, parameter| literal(&bounds.value(parameter), form));
    (values, text)
}

/// A value as SQL has it.
fn literal(bound: &Bound<'_>, form: InstantForm) -> String {
    match bound {
        Bound::Instant(at) => form.literal(*at),
        Bound::Date(date) => format!("'{date}'"),
        Bound::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Bound::Secs(_) | Bound::Hours(_) => bound.to_string(),
    }
}
