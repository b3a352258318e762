//! What stands around every page: where one is, how old it is, what is wrong as a whole, and who looks.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use crate::engine::snapshot::LastLoad;
use crate::web::Shared;
use crate::web::access::{Client, Role};
use crate::web::instants::instant;
use crate::web::pages::assets::{ICON, SCRIPT, STYLE};
use crate::web::pages::civil::{Civil, lasts};
use crate::web::pages::survey::Survey;
use crate::web::problem::Problem;

/// What a browser may do with a page: load our style and script, ask us, send forms to us; nothing else.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The pages that every page leads to.
const NAV: [(&str, &str); 8] = [
    ("/", "Overview"),
    ("/checks", "Checks"),
    ("/events", "Events"),
    ("/sources", "Sources"),
    ("/tables", "Tables"),
    ("/alerting", "Alerting"),
    ("/generations", "Catalogue"),
    ("/docs", "Manual"),
];

/// Something that a person has to know on whatever page he is.
pub(super) struct Banner {
    pub(super) level: &'static str,
    pub(super) text: String,
    pub(super) link: String,
    pub(super) link_text: &'static str,
}

/// What stands around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) path: String,
    pub(super) nav: Vec<(&'static str, &'static str, bool)>,
    pub(super) installation: Option<String>,
    pub(super) stale: Option<String>,
    pub(super) banners: Vec<Banner>,
    pub(super) as_of: String,
    pub(super) as_of_utc: String,
    pub(super) moved: String,
    pub(super) version: &'static str,
    pub(super) who: Option<String>,
    pub(super) can_leave: bool,
    pub(super) can_log_in: bool,
    pub(super) is_live: bool,
    pub(super) icon: &'static str,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
}

/// Who looks at a page, and at which.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// Who; nothing before he is known.
    pub(super) client: Option<Client>,
    /// The path and the query.
    pub(super) path: String,
}

impl Visit {
    pub(super) fn can_act(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.role == Role::Operator)
    }

    /// Where one logs in to act, where that is possible and not done.
    pub(super) fn login(&self, shared: &Shared) -> Option<String> {
        let can = !self.can_act()
            && shared.door.access.has_operators()
            && shared.door.access.has_logins();
        can.then(|| format!("/login?to={}", super::query::in_path(&self.path)))
    }

    /// The name that orders are given in, where it is known.
    pub(super) fn name(&self) -> Option<&str> {
        self.client.as_ref()?.name.as_deref()
    }
}

impl Frame {
    pub(super) fn new(
        shared: &Shared,
        survey: &Survey,
        visit: &Visit,
        title: impl Into<String>,
    ) -> Self {
        let picture = &*survey.picture;
        let is_known = visit.client.is_some();
        let path = visit.path.split('?').next().unwrap_or("/");
        let is_here = |at: &str| path == at || at != "/" && path.starts_with(&format!("{at}/"));
        let labels: Vec<String> =
            picture.labels.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let age = TimeDelta::from_std(picture.taken.elapsed()).unwrap_or_default();
        let access = &shared.door.access;
        let has_session = visit.client.as_ref().is_some_and(|client| client.has_session);
        Self {
            title: title.into(),
            path: super::query::in_path(&visit.path),
            nav: NAV.iter().map(|(at, name)| (*at, *name, is_here(at))).collect(),
            installation: (is_known && !labels.is_empty()).then(|| labels.join(", ")),
            stale: is_known.then(|| picture.blind()).flatten(),
            banners: if is_known { banners(survey) } else { Vec::new() },
            as_of: picture.as_of.format("%Y-%m-%d %H:%M:%S").to_string(),
            as_of_utc: instant(picture.as_of),
            moved: lasts(age),
            version: env!("CARGO_PKG_VERSION"),
            who: visit.client.as_ref().and_then(who),
            can_leave: has_session,
            can_log_in: !has_session && !visit.can_act() && access.has_logins(),
            is_live: is_known,
            icon: &ICON.path,
            style: &STYLE.path,
            script: &SCRIPT.path,
        }
    }
}

fn who(client: &Client) -> Option<String> {
    let may = if client.role == Role::Operator { "may act" } else { "may look" };
    match (&client.name, client.role) {
        (Some(name), _) => Some(format!("{name} {may}.")),
        (None, Role::Operator) => Some("Logged in as an operator.".to_owned()),
        (None, Role::Viewer) => None,
    }
}

fn banner(level: &'static str, text: String, link: (&str, &'static str)) -> Banner {
    Banner { level, text, link: link.0.to_owned(), link_text: link.1 }
}

/// What is wrong as a whole.
fn banners(survey: &Survey) -> Vec<Banner> {
    let picture = &*survey.picture;
    let mut banners = Vec::new();
    if let (None, Some(why)) = (picture.blind(), picture.unready()) {
        banners.push(banner("bad", format!("Not ready: {why}."), ("", "")));
    }
    if let Some(why) = &survey.clock {
        banners.push(banner("bad", format!("A clock is wrong: {why}."), ("", "")));
    }
    if let LastLoad::Bad { at, why } = &picture.last_load {
        let first = why.lines().take(2).collect::<Vec<_>>().join(" ");
        let text = format!(
            "The checks that were to be loaded at {} were refused, and the ones before go on: {first}",
            Civil::utc(*at).text()
        );
        banners.push(banner("bad", text, ("/generations", "Catalogue")));
    }
    if let LastLoad::Waits { at, id, .. } = &picture.last_load {
        let text = format!(
            "Changed checks wait since {} as generation {id} for approval, and the ones before go on.",
            Civil::utc(*at).text()
        );
        banners.push(banner("word", text, ("/generations", "Catalogue")));
    }
    if picture.is_pinned {
        let text = "An operator went back to an earlier catalogue: the files count again once they change.";
        banners.push(banner("word", text.to_owned(), ("/generations", "Catalogue")));
    }
    for path in &survey.ways {
        let name = path["alertmanager"].as_str().unwrap_or_default();
        let refused = path["refused"].as_u64().unwrap_or(0);
        if let Some(since) = path["broken_since"].as_str() {
            let why = path["why"].as_str().unwrap_or("no proof comes back");
            let text = format!("Alerts do not get through to {name} since {since}: {why}.");
            banners.push(banner("bad", text, ("/alerting", "Alerting")));
        } else if refused > 0 {
            let text = format!("{name} refuses {refused} alerts.");
            banners.push(banner("bad", text, ("/alerting", "Alerting")));
        }
    }
    for webhook in &survey.webhooks {
        if webhook["broken"] == true {
            let name = webhook["webhook"].as_str().unwrap_or_default();
            let text = format!("Notices do not get through to {name}.");
            banners.push(banner("bad", text, ("/alerting", "Alerting")));
        }
    }
    banners.extend(held_back(survey.held_back));
    banners
}

/// Critical checks that are not well, and of which no one hears.
fn held_back(held: usize) -> Option<Banner> {
    let text = match held {
        0 => return None,
        1 => {
            "1 critical series is not well, and nobody is told: its alerts are silenced, or reach nobody.".to_owned()
        }
        held => format!(
            "{held} critical series are not well, and nobody is told: their alerts are silenced, or reach nobody."
        ),
    };
    Some(banner("doubt", text, ("/alerting", "Alerting")))
}

/// A page, as an answer.
pub(super) fn page(template: &impl Template) -> Result<Response, Problem> {
    page_with(StatusCode::OK, template)
}

pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the page was not made: {error}"))
    })?;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "Accept, Cookie"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok((status, headers, text).into_response())
}
