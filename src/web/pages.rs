//! Pages for people: what is not proved, and why, from the same picture as API and metrics.
//!
//! They are made on the server, from templates that escape what they are given; a script keeps them current, and
//! nothing needs it. Who may see the API may see them; who may act finds forms there.

mod act;
mod alerting;
mod assets;
mod attempts;
mod badge;
mod catalogue;
mod check;
mod checks;
mod civil;
mod events;
mod frame;
mod graph;
mod group;
mod listed;
mod login;
mod manual;
mod mark;
mod matrix;
mod overview;
mod queries;
mod query;
mod sources;
mod survey;
mod tables;
mod tally;
mod window;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::web::access::Client;
use crate::web::pages::frame::{Frame, Visit, page_with};
use crate::web::pages::query::in_path;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;
use crate::web::{Here, Shared};

pub(super) use overview::Maps;
pub(super) use survey::Surveys;

/// Pages that need no answer of the ledger.
pub(super) fn of_the_picture() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/checks", get(checks::checks))
        .route("/sources", get(sources::sources))
        .route("/tables", get(tables::tables))
        .route("/alerting", get(alerting::alerting))
        .route("/docs", get(manual::index))
        .route("/docs/", get(manual::index))
        .route("/docs/{*chapter}", get(manual::read))
        .route_layer(middleware::from_fn(visited))
}

/// Pages that ask the ledger, and what is ordered there.
pub(super) fn of_the_ledger() -> Router<Arc<Shared>> {
    Router::new()
        .route("/checks/{id}", get(check::check))
        .route("/checks/{id}", post(act::of_check))
        .route("/checks/{id}/windows/{*place}", get(window::window))
        .route("/checks/{id}/windows/{*place}", post(act::of_window))
        .route("/events", get(events::events))
        .route("/generations", get(catalogue::catalogue))
        .route("/generations/{id}", get(catalogue::generation))
        .route_layer(middleware::from_fn(visited))
}

/// What is there for everybody: the way in, and what pages are made of.
pub(super) fn open() -> Router<Arc<Shared>> {
    Router::new()
        .route("/login", get(login::login))
        .route("/login", post(login::log_in))
        .route("/logout", get(login::logout))
        .route("/logout", post(login::log_out))
        .route("/assets/{digest}/{name}", get(assets::asset))
        .route_layer(middleware::from_fn(visited))
}

/// Badges.
pub(super) fn badges() -> Router<Arc<Shared>> {
    Router::new().route("/badge/{name}", get(badge::badge))
}

/// Whether a person asks: programs are answered as before.
fn is_for_people(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.contains("text/html"))
}

/// The path and the query of a request.
fn path_of(request: &Request) -> String {
    request.uri().path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned())
}

/// Says to pages who looks at which.
async fn visited(mut request: Request, next: Next) -> Response {
    let client = request.extensions().get::<Client>().cloned();
    let visit = Visit { client, path: path_of(&request) };
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(visit);
    response
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    title: &'static str,
    detail: String,
    /// The page from which something was sent that was not done.
    back: Option<String>,
    login: Option<String>,
}

/// Puts what went wrong on a page, for people; who is not known is led to where he logs in.
pub(super) async fn dressed(State(shared): Here, request: Request, next: Next) -> Response {
    let path = path_of(&request);
    // What programs ask is answered as to programs, whatever they say that they accept.
    let is_api = ["/api/", "/allswell", "/metrics", "/-/", "/webhooks/", "/badge/", "/assets/"];
    let is_page = !is_api.iter().any(|prefix| path.starts_with(prefix));
    let has_credentials = request.headers().contains_key(header::AUTHORIZATION);
    let back = (!request.method().is_safe()).then(|| path.clone());
    let for_people = is_page && is_for_people(request.headers());
    let response = next.run(request).await;
    let problem = response.extensions().get::<Problem>().filter(|_| for_people).cloned();
    let Some(problem) = problem else { return response };
    if problem.status == StatusCode::UNAUTHORIZED && !has_credentials && back.is_none() {
        let place = format!("/login?to={}", in_path(&path));
        return (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
    }
    let visit = response.extensions().get::<Visit>().cloned();
    let visit = visit.unwrap_or(Visit { client: None, path });
    let title = problem.status.canonical_reason().unwrap_or("Something went wrong");
    let Ok(survey) = Survey::of(&shared).await else { return response };
    let mut frame = Frame::new(&shared, &survey, &visit, title);
    frame.is_live = false;
    let login = visit.login(&shared).filter(|_| problem.status == StatusCode::FORBIDDEN);
    let page = ProblemPage { frame, title, detail: problem.detail, back, login };
    let Ok(mut page) = page_with(problem.status, &page) else { return response };
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}
