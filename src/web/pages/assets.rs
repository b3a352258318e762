//! The stylesheet and the script, each under a path that has its digest: a browser keeps them for good.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::web::problem::Problem;

/// A file that pages load.
pub(super) struct Asset {
    kind: &'static str,
    text: &'static str,
    /// Where it is.
    pub(super) path: String,
}

impl Asset {
    fn new(name: &str, kind: &'static str, text: &'static str) -> Self {
        let mut path = "/assets/".to_owned();
        for byte in Sha256::digest(text).iter().take(8) {
            let _ = write!(path, "{byte:02x}");
        }
        let _ = write!(path, "/{name}");
        Self { kind, text, path }
    }
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style.css", "text/css; charset=utf-8", include_str!("../../../templates/style.css"))
});
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let kind = "text/javascript; charset=utf-8";
    Asset::new("page.js", kind, include_str!("../../../templates/page.js"))
});
pub(super) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("icon.svg", "image/svg+xml", include_str!("../../../templates/icon.svg"))
});

/// One of them.
pub(super) async fn asset(Path((digest, name)): Path<(String, String)>) -> Response {
    let path = format!("/assets/{digest}/{name}");
    let all: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    match all.into_iter().find(|asset| asset.path == path) {
        Some(asset) => {
            let forever = "public, max-age=31536000, immutable";
            let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, forever)];
            (headers, asset.text).into_response()
        }
        None => {
            Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path").into_response()
        }
    }
}
