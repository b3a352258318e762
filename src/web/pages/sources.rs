//! The sources: how each is, who it says it is, what runs there, and what its role could do.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;

use crate::domain::check::Severity;
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{Snapshot, SourceHealth};
use crate::web::Here;
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::group::Group;
use crate::web::pages::query::Keys;
use crate::web::problem::Problem;

#[derive(Template)]
#[template(path = "sources.html")]
struct Sources {
    frame: Frame,
    sources: Vec<SourceView>,
}

struct SourceView {
    name: String,
    level: &'static str,
    state: String,
    why: Option<String>,
    facts: Vec<(&'static str, String)>,
    /// The checks that ask it, and how many of them are critical.
    checks: usize,
    critical: usize,
    owners: String,
    causes: Vec<(String, u64)>,
}

pub(super) async fn sources(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let picture = shared.picture();
    let groups = Group::all(&picture);
    let all = picture.sources.iter().map(|(name, source)| {
        let asks = |group: &&Group<'_>| group.check.sources().contains(&name);
        let asking: Vec<&Group<'_>> = groups.iter().filter(asks).collect();
        view(&picture, name.as_str(), source, &asking)
    });
    let sources = all.collect();
    page(&Sources { frame: Frame::new(&shared, &picture, &visit, "Sources"), sources })
}

fn view(
    picture: &Snapshot,
    name: &str,
    source: &SourceHealth,
    asking: &[&Group<'_>],
) -> SourceView {
    let now = picture.now();
    let (level, state) = match &source.breaker {
        Breaker::Unasked { .. } => ("new", "not asked yet".to_owned()),
        Breaker::Closed { .. } => ("word", "answers".to_owned()),
        Breaker::Open { since, .. } => (
            "violated",
            format!("left alone since {} ({})", Civil::utc(*since).text(), ago(*since, now)),
        ),
    };
    let is_open = matches!(source.breaker, Breaker::Open { .. });
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for group in asking {
        *owners.entry(group.check.owner.as_str()).or_default() += 1;
    }
    let owners: Vec<String> =
        owners.into_iter().take(20).map(|(owner, count)| format!("{owner} ({count})")).collect();
    let critical = asking.iter().filter(|group| group.severity() == Severity::Critical).count();
    SourceView {
        name: name.to_owned(),
        level,
        state,
        why: source.trouble.clone().filter(|_| is_open),
        facts: facts(source),
        checks: asking.len(),
        critical,
        owners: owners.join(", "),
        causes: source.unconfirmed.iter().map(|(cause, n)| (cause.to_string(), *n)).collect(),
    }
}

fn facts(source: &SourceHealth) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    facts.extend(source.place.clone().map(|place| ("Where", place)));
    facts.extend(source.identity.clone().map(|identity| ("Is", identity)));
    let moved = source.moved_at.map(|at| format!("since {}", Civil::utc(at).text()));
    facts.extend(moved.map(|since| ("Another database", since)));
    facts.extend(source.remark.clone().map(|remark| ("Role", remark)));
    let SourceHealth { running, places, waiting, .. } = source;
    facts.push(("Connections", format!("{running} of {places} at work, {waiting} attempts wait")));
    let each = source.took.as_millis().checked_div(u128::from(source.attempts));
    let took = each.map(|each| format!(", {each} ms each")).unwrap_or_default();
    facts.push(("Attempts", format!("{} since the start{took}", source.attempts)));
    facts
}
