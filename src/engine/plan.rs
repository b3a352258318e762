//! Whether the databases would answer what a check asks: each query is planned where it would be run, and none is run but
//! for windows far from all data.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::check::evidence::{Measure, Scope};
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::{Body, Check};
use crate::domain::reconcile::Terms;
use crate::domain::sql::Query;
use crate::domain::sql::outer::{Selected, selected};
use crate::domain::time::window::ZoneChoice;
use crate::engine::asking::{Asking, Look, Sources};
use crate::engine::probe::Probed;
use crate::engine::table;
use crate::source::ask::{Part, Question, ResultShape};

/// What was found of a check's queries.
#[derive(Debug, Default)]
pub struct Planned {
    /// How many queries were planned.
    pub queries: usize,
    /// Which of them the databases do not take, each with its source.
    pub refused: Vec<(SourceName, Reason)>,
    /// Whether it is not known that the check keeps to its window: the query for that was slow, or failed.
    pub not_probed: bool,
    /// Columns that subqueries take from the query around them, each in words.
    pub outer: Vec<String>,
}

/// Plans every query of a check.
///
/// Do not drop the future: cancel `stop`, and it ends within seconds.
pub async fn plan(
    check: &Check,
    look: &Look,
    sources: &Sources,
    stop: &CancellationToken,
) -> Planned {
    let mut asking = Asking {
        check,
        sources,
        stop,
        not_before: None,
        needed: None,
        now: clock::now(),
        took: Duration::ZERO,
        blamed: None,
    };
    let mut planned = Planned::default();
    for (source, question) in questions(check, look) {
        planned.queries += 1;
        let query = question.query.clone();
        match asking.ask(&source, vec![question]).await {
            Ok(_) => planned.outer.extend(outer_columns(&mut asking, &source, &query).await),
            Err(reason) => planned.refused.push((source, reason)),
        }
    }
    if planned.refused.is_empty() {
        match asking.keeps_to_its_window(look).await {
            Ok(probed) => planned.not_probed = probed == Probed::Partly,
            Err(reason) => {
                let source = asking.blamed.unwrap_or_else(|| check.source.clone());
                planned.refused.push((source, reason));
            }
        }
    }
    planned
}

/// Columns of its subqueries that their tables do not have: each is one of the query around, whatever its author meant.
async fn outer_columns(asking: &mut Asking<'_>, source: &SourceName, query: &Query) -> Vec<String> {
    let mut all = Vec::new();
    for found in selected(query) {
        let (Some(alone), Some(of_none)) = (found.alone(query), found.of_none(query)) else {
            continue;
        };
        let planned = |query: Query| Question {
            part: Part::Body,
            query,
            bounds: None,
            wanted: ResultShape::Plan(Box::new(ResultShape::Rows {
                columns: Vec::new(),
                rows_max: 1,
            })),
        };
        let is_unknown = match asking.ask(source, vec![planned(alone)]).await {
            Ok(_) => false,
            Err(reason) => reason.cause == Cause::QueryError,
        };
        // A name of a `with` is no table, and neither is known alone.
        if is_unknown && asking.ask(source, vec![planned(of_none)]).await.is_ok() {
            let Selected { column, table } = &found;
            all.push(format!(
                "`{column}` of `(select {column} from {table} …)` is no column of `{table}`: it is that of the query \
                 around, and holds of every row; write `{table}.` before the column that is meant"
            ));
        }
    }
    all
}

/// Every query of a check, with whom it asks and what it has to bring.
fn questions(check: &Check, look: &Look) -> Vec<(SourceName, Question)> {
    let own = &check.source;
    let question = |part, query: &Query, scope, wanted| Question {
        part,
        query: query.clone(),
        bounds: look.bounds(scope),
        wanted: ResultShape::Plan(Box::new(wanted)),
    };
    let rows = |columns| ResultShape::Rows { columns, rows_max: 1 };
    let mut all = Vec::new();
    match &check.body {
        Body::Sql { query, expect } => {
            let body = question(Part::Body, query, Scope::Window, rows(check.columns_read()));
            all.push((own.clone(), body));
            if let Some(keys) = expect.keys() {
                let wanted = rows(keys.columns.clone());
                let keys_question = question(Part::Keys, &keys.from, Scope::Window, wanted);
                all.push((keys.source.clone(), keys_question));
            }
        }
        Body::Table(table) => {
            let asked = table::questions(table, look).into_iter();
            all.extend(asked.map(|q| {
                let wanted = ResultShape::Plan(Box::new(q.wanted));
                (own.clone(), Question { wanted, ..q })
            }));
        }
        Body::Reconcile(reconcile) => {
            let columns = |terms: &Terms| rows(terms.columns().cloned().collect());
            for side in reconcile.sides() {
                let wanted = columns(&reconcile.terms);
                let side_question = question(Part::Side, &side.query, Scope::Window, wanted);
                all.push((side.source.clone(), side_question));
            }
            if let Some(detail) = &reconcile.detail {
                let [left, right] = reconcile.sides().map(|side| side.source.clone());
                for (source, query) in [(left, &detail.left), (right, &detail.right)] {
                    let wanted = columns(&detail.terms);
                    all.push((source, question(Part::Detail, query, Scope::Window, wanted)));
                }
            }
        }
    }
    if let Measure::Query(query) = &check.evidence.measure {
        let scope = check.evidence.scope;
        all.push((own.clone(), question(Part::Evidence, query, scope, ResultShape::OneValue)));
    }
    if let Some(query) = &check.freshness.complete_until {
        let wanted = ResultShape::OneValue;
        all.push((own.clone(), question(Part::CompleteUntil, query, Scope::Window, wanted)));
    }
    if let Some(ZoneChoice::From(from)) = check.window.as_ref().map(|window| &window.zones) {
        let wanted = rows(Vec::new());
        let zones =
            Question { bounds: None, ..question(Part::Zones, &from.query, Scope::Window, wanted) };
        all.push((from.source.clone(), zones));
    }
    all
}
