//! What a check asks, as a person can ask it.

use std::sync::Arc;

use crate::domain::record::series::Series;
use crate::domain::sql::Query;
use crate::domain::sql::bounds::Bounds;
use crate::engine::asking::past;
use crate::engine::snapshot::Snapshot;
use crate::web::pages::group::Group;
use crate::web::pages::words;

/// A query, what is bound in it, and its text with that written out.
pub(super) struct QueryView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) values: Vec<String>,
    pub(super) text: String,
}

/// The queries of a check, with what is bound for a window.
pub(super) fn queries(
    picture: &Snapshot,
    group: &Group<'_>,
    bounds: Option<&Bounds>,
) -> Vec<QueryView> {
    let all = words::queries(group.check).into_iter().enumerate();
    let view =
        |(place, words::NamedQuery { title, source, query }): (usize, words::NamedQuery<'_>)| {
            let form = picture.sources.get(source).map(|source| source.instant_form);
            let is_past = group.check.table().is_some_and(|table| table.asks_past(query));
            let earlier = bounds.filter(|_| is_past).and_then(|bounds| earlier(group, bounds));
            let bounds = earlier.as_ref().or(bounds);
            let (values, text) = words::bound(query, bounds, form.unwrap_or_default());
            QueryView { id: format!("sql-{place}"), title, values, text }
        };
    all.map(view).collect()
}

/// What is bound where an earlier window is asked beside one.
fn earlier(group: &Group<'_>, bounds: &Bounds) -> Option<Bounds> {
    let series = group.series.iter().find(|series| series.home.name == bounds.zone)?;
    let (check, home, clock) =
        (Arc::clone(&series.check), series.home.clone(), series.home.clone());
    let window = past(&Series { check, home, clock }, &bounds.window)?;
    Some(Bounds { window, ..bounds.clone() })
}

/// The query that lists the zones of a check.
pub(super) fn list_query(group: &Group<'_>) -> Vec<QueryView> {
    let view = |(title, query): (String, &Query)| QueryView {
        id: "sql-zones".to_owned(),
        title,
        values: Vec::new(),
        text: query.text().to_owned(),
    };
    words::list_of_zones(group.check).map(view).into_iter().collect()
}
