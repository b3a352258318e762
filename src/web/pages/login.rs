//! Logging in with a token, or as a user with a password; and out again.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::web::access::Login;
use crate::web::origin;
use crate::web::pages::act::form;
use crate::web::pages::frame::{Frame, Visit, page_with};
use crate::web::pages::query::Keys;
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;
use crate::web::proxy::Peer;
use crate::web::session;
use crate::web::{Here, Shared};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    to: String,
    has_users: bool,
    is_asked: bool,
    has_operators: bool,
    /// Why no one can log in over this connection.
    refused: Option<String>,
    failed: Option<&'static str>,
}

/// Why no one can log in over this connection, where that is so.
fn refused(shared: &Shared, headers: &HeaderMap, peer: Option<Peer>) -> Option<String> {
    if !shared.door.access.has_logins() {
        return Some(
            "There is nothing to log in with: the settings name no token and no user under `web`."
                .to_owned(),
        );
    }
    let is_encrypted = peer.is_some_and(|peer| peer.is_encrypted);
    let public = shared.door.pages.public_url.as_deref().unwrap_or("");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let is_local = peer.is_some_and(|peer| peer.address.to_canonical().is_loopback())
        && matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    // A browser says where a request comes from only on an encrypted connection: that to the proxy.
    let public = url::Url::parse(public).ok().filter(|public| public.scheme() == "https");
    let has_proxy = public.is_some_and(|public| {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        headers.contains_key("sec-fetch-site")
            || origin == Some(public.origin().ascii_serialization().as_str())
    });
    (!is_encrypted && !is_local && !has_proxy).then(|| {
        "This connection is not encrypted: a token that is typed here could be read on its way, and a browser \
         keeps no session from it. Log in over https: `web: {config_file}` has the certificate, or `web: \
         {public_url: https://…}` names the proxy that has it. On its own machine, http://127.0.0.1 will do."
            .to_owned()
    })
}

/// A path of ours to lead back to; anything else is the first page.
fn ours(path: &str) -> String {
    let is_ours = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.contains(char::is_control)
        && path.is_ascii();
    if is_ours { path.to_owned() } else { "/".to_owned() }
}

async fn shown(
    shared: &Arc<Shared>,
    visit: &Visit,
    to: &str,
    refused: Option<String>,
    failed: Option<&'static str>,
) -> Result<Response, Problem> {
    let access = &shared.door.access;
    let status = if failed.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let visit = Visit { client: None, path: visit.path.clone() };
    let survey = Survey::of(shared).await?;
    let mut frame = Frame::new(shared, &survey, &visit, "Log in");
    frame.can_log_in = false;
    let page = LoginPage {
        frame,
        to: ours(to),
        has_users: access.has_users(),
        is_asked: access.is_asked(),
        has_operators: access.has_operators(),
        refused,
        failed,
    };
    page_with(status, &page)
}

pub(super) async fn login(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let keys = Keys::read(&query, &["to"])?;
    let refused = refused(&shared, &headers, peer.map(|Extension(peer)| peer));
    shown(&shared, &visit, &keys.text("to"), refused, None).await
}

pub(super) async fn log_in(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    if !origin::is_own(&shared, &headers) {
        return Err(origin::foreign());
    }
    if let Some(why) = refused(&shared, &headers, peer.map(|Extension(peer)| peer)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let form = form(request, &["token", "user", "password", "to"]).await?;
    let to = form.get("to").map_or("/", String::as_str);
    let access = &shared.door.access;
    let login = match (form.get("token"), form.get("user"), form.get("password")) {
        (Some(token), None, None) => access.login(token),
        (None, Some(user), Some(password)) => {
            access.is_user(user, password).await.then(|| Login::User(user.clone()))
        }
        _ => {
            let rule = "Type a token, or a user and a password.";
            return shown(&shared, &visit, to, None, Some(rule)).await;
        }
    };
    let Some(cookie) = login.and_then(|login| session::begun(&login, access)) else {
        let rule = match form.contains_key("token") {
            true => "The settings name no such token.",
            false => "There is no such user with that password.",
        };
        return shown(&shared, &visit, to, None, Some(rule)).await;
    };
    let headers = [(header::LOCATION, ours(to)), (header::SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage {
    frame: Frame,
}

/// Asks whether the session is to end: no link of another site ends it.
pub(super) async fn logout(
    State(shared): Here,
    Extension(visit): Extension<Visit>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Keys::read(&query, &[])?;
    let visit = Visit { client: None, path: visit.path };
    let survey = Survey::of(&shared).await?;
    let frame = Frame::new(&shared, &survey, &visit, "Log out");
    page_with(StatusCode::OK, &LogoutPage { frame })
}

/// Ends the session of this browser: nothing is stored, so that there is nothing else to end.
pub(super) async fn log_out(State(shared): Here, headers: HeaderMap) -> Result<Response, Problem> {
    if !origin::is_own(&shared, &headers) {
        return Err(origin::foreign());
    }
    let headers = [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, session::ended())];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_back_to_pages_of_ours_alone() {
        assert_eq!(ours("/checks?state=violated"), "/checks?state=violated");
        for foreign in ["//evil.example", "https://evil.example", "/\\evil", "evil", "/a\r\nb", ""]
        {
            assert_eq!(ours(foreign), "/", "{foreign:?}");
        }
    }
}
