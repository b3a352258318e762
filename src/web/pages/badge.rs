//! Badges: the state of a check and how old it is, as a small picture for other pages.

use std::fmt::Write as _;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::web::Here;
use crate::web::pages::civil::ago;
use crate::web::pages::group::since;
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;

/// How wide a letter is, about, and the room beside a text.
const LETTER: usize = 7;
const EDGE: usize = 8;

pub(super) async fn badge(
    State(shared): Here,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let id = name.strip_suffix(".svg").ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "a badge is named by its check, as CHECK.svg")
    })?;
    let survey = Survey::of(&shared).await?;
    let picture = &survey.picture;
    // Who may see badges may not see which checks there are.
    let absent = |_| Problem::new(StatusCode::NOT_FOUND, "there is no check of that name");
    let group = survey.found(id).map_err(absent)?;
    let state = group.state();
    let at = match state {
        "confirmed" => group.series.iter().filter_map(|series| series.record.confirmed_at).min(),
        _ => group.worst().and_then(|series| since(picture, series)),
    };
    let words = match (picture.blind(), at) {
        (Some(_), _) => "not known".to_owned(),
        (None, Some(at)) => format!("{state}, {}", ago(at, picture.now())),
        (None, None) => state.to_owned(),
    };
    let colour = match (picture.blind().is_some(), state) {
        (false, "confirmed") => "#1a6335",
        (false, "violated") => "#a8121b",
        (false, "unconfirmed") => "#7a4a00",
        _ => "#4b535b",
    };
    let kind = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-cache")];
    Ok((kind, svg(id, &words, colour)).into_response())
}

/// Draws both texts beside each other. An id has letters, digits and dashes alone, the words are ours.
fn svg(id: &str, words: &str, colour: &str) -> String {
    let wide = |text: &str| text.chars().count() * LETTER + 2 * EDGE;
    let (left, right) = (wide(id), wide(words));
    let all = left + right;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{id}: {words}\">\
         <title>{id}: {words}</title><rect width=\"{left}\" height=\"20\" fill=\"#333a41\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">"
    );
    for (from, text) in [(0, id), (left, words)] {
        let room = wide(text) - 2 * EDGE;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"14\" textLength=\"{room}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>",
            from + EDGE
        );
    }
    svg.push_str("</g></svg>");
    svg
}
