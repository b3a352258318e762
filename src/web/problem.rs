//! Errors for programs (RFC 9457), and answers in JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ledger::LedgerError;

/// Why something was not done.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// What was given is not valid.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response =
            (self.status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response();
        // For who reads pages it is put into words on one.
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer in JSON.
#[derive(Debug)]
pub(super) struct Json(pub(super) StatusCode, pub(super) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        (self.0, [(header::CONTENT_TYPE, kind)], format!("{}\n", self.1)).into_response()
    }
}

/// What is said where the ledger was not read.
pub(super) fn unreadable(trouble: &LedgerError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the ledger was not read: {trouble}"))
}
