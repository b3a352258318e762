//! The list of checks, filtered on the server: the URL is the view.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;

use crate::domain::check::name::CheckId;
use crate::engine::snapshot::Snapshot;
use crate::web::Here;
use crate::web::filter::{STATES, word};
use crate::web::pages::civil::{Civil, ago};
use crate::web::pages::frame::{Frame, Visit, page};
use crate::web::pages::group::{Group, since};
use crate::web::pages::query::{Keys, in_path};
use crate::web::pages::survey::Survey;
use crate::web::pages::tally::Head;
use crate::web::problem::Problem;

/// How many checks are on a page.
const SHOWN: usize = 100;
/// Whether tests show that a check can fail.
const TESTED: [&str; 2] = ["yes", "no"];

#[derive(Template)]
#[template(path = "checks.html")]
struct Checks {
    frame: Frame,
    rows: Vec<Row>,
    /// What the filter can be set to: each with whether it is.
    states: Vec<(&'static str, bool)>,
    owners: Vec<(String, bool)>,
    sources: Vec<(String, bool)>,
    /// Empty where no results of tests are known.
    tested: Vec<(String, bool)>,
    text: String,
    found: usize,
    all: usize,
    earlier: Option<String>,
    later: Option<String>,
}

struct Row {
    id: String,
    href: String,
    state: &'static str,
    severity: &'static str,
    /// Where results of tests are known, and none shows that it can fail.
    is_untested: bool,
    why: String,
    place: String,
    since: Option<String>,
    last: Option<String>,
    next: Option<String>,
    owner: String,
    source: String,
}

pub(super) async fn checks(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let keys = Keys::read(&query, &["owner", "state", "source", "tested", "q", "page"])?;
    let state = keys.get("state").map(|state| word("state", state, &STATES)).transpose()?;
    let tested = keys.get("tested").map(|value| word("tested", value, &TESTED)).transpose()?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    let owners: Vec<&str> = survey.owners().collect();
    let sources: Vec<&str> = survey.sources().map(|(name, _)| name).collect();
    for (key, known) in [("owner", &owners), ("source", &sources)] {
        keys.get(key).map(|value| word(key, value, known)).transpose()?;
    }
    let text = keys.text("q").to_lowercase();
    let fits = |head: &Head| {
        let check = survey.check(head);
        let has_text = |value: &str| value.to_lowercase().contains(&text);
        keys.get("owner").is_none_or(|owner| check.owner.as_str() == owner)
            && keys
                .get("source")
                .is_none_or(|source| check.sources().iter().any(|asked| asked.as_str() == source))
            && state.as_deref().is_none_or(|state| head.has(state))
            && tested.as_deref().is_none_or(|wanted| wanted == in_a_word(picture, &check.id))
            && (text.is_empty() || has_text(check.id.as_str()) || has_text(&check.why))
    };
    let number = keys.page()?;
    let (shown, found) = survey.most_urgent(fits, (number - 1) * SHOWN, SHOWN);
    keys.refuse_past(found, SHOWN)?;
    let shown = shown.into_iter().map(|head| survey.series_of(head));
    let rows: Vec<Row> = shown.map(|group| row(picture, &group, state.as_deref())).collect();
    let link = |number: usize| format!("/checks?{}", keys.with("page", &number.to_string()));
    let choices = |key: &str, all: Vec<&str>| -> Vec<(String, bool)> {
        all.into_iter().map(|value| (value.to_owned(), keys.get(key) == Some(value))).collect()
    };
    page(&Checks {
        frame: Frame::new(&shared, &survey, &visit, "Checks"),
        rows,
        states: STATES.iter().map(|is| (*is, state.as_deref() == Some(*is))).collect(),
        owners: choices("owner", owners),
        sources: choices("source", sources),
        tested: picture.tested.as_ref().map_or(Vec::new(), |_| choices("tested", TESTED.to_vec())),
        text: keys.text("q"),
        found,
        all: survey.checks().len(),
        earlier: (number > 1).then(|| link(number - 1)),
        later: (found > number * SHOWN).then(|| link(number + 1)),
    })
}

/// Whether tests show that a check can fail.
fn in_a_word(picture: &Snapshot, check: &CheckId) -> &'static str {
    if picture.tested(check).is_some_and(|tested| tested.tested) { "yes" } else { "no" }
}

fn row(picture: &Arc<Snapshot>, group: &Group<'_>, state: Option<&str>) -> Row {
    let check = group.check;
    let known = state.and_then(|state| STATES.into_iter().find(|known| *known == state));
    let shown = known.unwrap_or_else(|| group.state());
    let series = group.oldest(shown);
    let at = |at, series: &Arc<crate::engine::snapshot::SeriesHealth>| {
        Civil::new(at, &series.home.rules).to_string()
    };
    let last = group
        .series
        .iter()
        .filter_map(|s| Some((s.record.last.as_ref()?.at, s)))
        .max_by_key(|(at, _)| *at);
    let next = group.series.iter().filter_map(|s| Some((s.next_due?, s))).min_by_key(|(at, _)| *at);
    let count = group.in_state(shown).filter(|series| series.record.tz.is_some()).count();
    Row {
        id: check.id.to_string(),
        href: format!("/checks/{}", in_path(check.id.as_str())),
        // The worst of it, whatever is asked for: that some zone of it is confirmed does not make it so.
        state: group.state(),
        severity: group.severity().as_str(),
        is_untested: picture.tested.is_some() && in_a_word(picture, &check.id) == "no",
        why: check.why.trim().to_owned(),
        place: match group.series.iter().filter(|series| series.record.tz.is_some()).count() {
            0 => String::new(),
            // It is the list of them that is in it.
            zones if count == 0 => format!("the list of its {zones} zones"),
            zones => format!("{count} of {zones} zones {shown}"),
        },
        since: series.and_then(|series| Some(at(since(picture, series)?, series))),
        last: last.map(|(when, _)| ago(when, picture.now())),
        next: next.map(|(when, series)| at(when, series)),
        owner: check.owner.to_string(),
        source: check.sources().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
