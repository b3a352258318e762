//! The sources: how each is, who it says it is, what runs there, and what its role could do.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;

use crate::domain::check::name::SourceName;
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{Snapshot, SourceHealth};
use crate::notify::self_alerts::dark_words;
use crate::web::Here;
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::pages::tally::Asked;
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
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let known: BTreeMap<&str, &Asked> = survey.sources().collect();
    let asked = |name: &SourceName| known.get(name.as_str()).copied();
    let all = picture.sources.iter();
    let sources = all.map(|(name, source)| view(picture, name.as_str(), source, asked(name)));
    let sources = sources.collect();
    page(&Sources { frame: Frame::new(&shared, &survey, &visit, "Sources"), sources })
}

fn view(
    picture: &Snapshot,
    name: &str,
    source: &SourceHealth,
    asked: Option<&Asked>,
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
    let owners = asked.iter().flat_map(|asked| &asked.owners).take(20);
    let owners: Vec<String> = owners.map(|(owner, count)| format!("{owner} ({count})")).collect();
    SourceView {
        name: name.to_owned(),
        level,
        state,
        why: source.trouble.clone().filter(|_| is_open),
        facts: {
            let toll = picture.dependencies.tolls.iter().find(|(known, _)| known.as_str() == name);
            let dark = toll.map(|(_, toll)| ("Without it", dark_words(toll)));
            facts(source).into_iter().chain(dark).collect()
        },
        checks: asked.map_or(0, |asked| asked.checks),
        critical: asked.map_or(0, |asked| asked.critical),
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
    facts.extend(source.protections.iter().map(|one| (one.by, one.what.clone())));
    let SourceHealth { running, places, waiting, .. } = source;
    facts.push(("Connections", format!("{running} of {places} at work, {waiting} attempts wait")));
    let each = source.took.as_millis().checked_div(u128::from(source.attempts));
    let took = each.map(|each| format!(", {each} ms each")).unwrap_or_default();
    facts.push(("Attempts", format!("{} since the start{took}", source.attempts)));
    facts
}
