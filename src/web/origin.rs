//! Whether a request that a browser authenticated by itself comes from our own pages.
//!
//! By Fetch Metadata (`Sec-Fetch-Site`, W3C), and by `Origin` where a browser is older than that: the algorithm of
//! Go's `CrossOriginProtection`, but that a request with neither is refused, because no browser sends one.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use crate::web::Shared;
use crate::web::problem::Problem;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) fn is_own(shared: &Shared, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(&FETCH_SITE) {
        return matches!(text(&FETCH_SITE), Some("same-origin" | "none"));
    }
    let Some(origin) = text(&header::ORIGIN) else { return false };
    let public = shared.door.pages.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    if public.is_some_and(|public| public.origin().ascii_serialization() == origin) {
        return true;
    }
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(&header::HOST)
}

pub(super) fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this came from another site than allswell's own pages, and was not done; behind a proxy, `web: \
         {public_url}` is the address that pages are reached by",
    )
}
