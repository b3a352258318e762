//! Tables: which checks reach, and which no check does.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};

use crate::web::Here;
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;

/// How many tables are listed.
const SHOWN: usize = 500;

#[derive(Template)]
#[template(path = "tables.html")]
struct Tables {
    frame: Frame,
    sources: Vec<SourceView>,
    open: Vec<OpenTable>,
    more: usize,
    /// How many checks reach something that is not known.
    opaque: usize,
}

struct SourceView {
    name: String,
    covered: usize,
    all: usize,
    ignored: usize,
    dark: String,
    learnt: String,
    unlearnt: Option<String>,
}

struct OpenTable {
    source: String,
    name: String,
    size: String,
    written: String,
}

pub(super) async fn tables(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let survey = Survey::of(&shared).await?;
    let now = survey.picture.now();
    let known = &survey.picture.dependencies;
    let (open, _) = known.graph.coverage(&known.ignored);
    let written = |at: Option<DateTime<Utc>>| {
        at.map(|at| format!("{} ({})", Civil::utc(at).text(), ago(at, now))).unwrap_or_default()
    };
    let sources = survey.picture.sources.keys().map(|name| {
        let count = known.coverage.get(name).copied().unwrap_or_default();
        let toll = known.tolls.get(name);
        SourceView {
            name: name.to_string(),
            covered: count.covered,
            all: count.covered + count.uncovered,
            ignored: count.ignored,
            dark: toll.map(crate::notify::self_alerts::dark_words).unwrap_or_default(),
            learnt: written(known.graph.sources.get(name).map(|known| known.learnt_at)),
            unlearnt: known.unlearnt.get(name).cloned(),
        }
    });
    let more = open.len().saturating_sub(SHOWN);
    let table = |one: &crate::domain::dependency::answer::Uncovered| OpenTable {
        source: one.source.to_string(),
        name: one.name.to_string(),
        size: one.bytes.map(kilobytes).unwrap_or_default(),
        written: written(one.written_at),
    };
    let opaque = known.graph.checks.iter().filter(|check| !known.graph.reach(check).1.is_empty());
    page(&Tables {
        sources: sources.collect(),
        open: open.iter().take(SHOWN).map(table).collect(),
        more,
        opaque: opaque.count(),
        frame: Frame::new(&shared, &survey, &visit, "Tables"),
    })
}

fn kilobytes(bytes: u64) -> String {
    match bytes.div_ceil(1_024) {
        small if small < 10_240 => format!("{small} KiB"),
        large => format!("{} MiB", large / 1_024),
    }
}
