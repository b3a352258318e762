//! What was sent to an Alertmanager comes back here, by its webhook: the way is proved.
//!
//! Nothing in a message is believed but a word that only we can have written, so that any replica may
//! take it, as often as it comes.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::ledger::Returned;
use crate::notify::nonces::Nonces;
use crate::web::Here;
use crate::web::problem::{Json, Problem};

/// How large a message may be, in bytes.
const BODY_MAX: usize = 1 << 20;
/// How old what comes back may be.
const AGE_MAX: TimeDelta = TimeDelta::days(1);
/// How far ahead of us the clock of a replica may be.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);

/// Takes a message of an Alertmanager. What is stored is answered with 200; while nothing can be, 503,
/// because Alertmanager tries only those again.
pub(super) async fn receive(State(shared): Here, request: Request) -> Result<Json, Problem> {
    let Some(nonces) = &shared.door.nonces else {
        let detail = "the settings have no `watchdog`: nothing is taken here";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok()).and_then(|v| v.split_once(' '));
    let known = given.is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer") && nonces.is_token(token.trim())
    });
    if !known {
        shared.log_bad_token();
        let detail = "this needs the token of `watchdog`, as `Authorization: Bearer …`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    }
    let body = to_bytes(request.into_body(), BODY_MAX).await.map_err(|_| {
        let detail = format!("a message is at most {BODY_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    let message: Value =
        serde_json::from_slice(&body).map_err(|_| Problem::bad("the message is not JSON"))?;
    let now = shared.picture().now();
    let mut taken = 0;
    for alert in message["alerts"].as_array().map_or(&[][..], Vec::as_slice) {
        if shared.drills.note(alert, now) {
            taken += 1;
            continue;
        }
        let Some(returned) = returned(nonces, alert, now) else { continue };
        let stored = shared.door.orders.returned(returned).await;
        let unstored = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
        stored.map_err(|e| unstored(e.to_string()))?.map_err(|e| unstored(e.to_string()))?;
        taken += 1;
    }
    Ok(Json(StatusCode::OK, json!({"format": 1, "taken": taken})))
}

/// The proof in an alert; nothing where it is none of ours, is over, or too old.
fn returned(nonces: &Nonces, alert: &Value, now: DateTime<Utc>) -> Option<Returned> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // What ended proves nothing of what stands.
    if alert["status"].as_str() != Some("firing") {
        return None;
    }
    let alertmanager = text(&alert["labels"]["alertmanager"])?;
    let sent_at = nonces.read(&alertmanager, &text(&alert["annotations"]["nonce"])?)?;
    let fits = sent_at <= now + AHEAD_MAX && now - sent_at <= AGE_MAX;
    fits.then_some(Returned { alertmanager, sent_at, received_at: now.max(sent_at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_proves_and_only_for_a_day() {
        let ours = Nonces::new("a".to_owned().into());
        let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        let nonce = ours.make("http://one", now);
        let alert = |status: &str| {
            json!({"status": status, "labels": {"alertmanager": "http://one"},
                "annotations": {"nonce": nonce}})
        };
        assert!(returned(&ours, &alert("firing"), now).is_some());
        assert!(returned(&ours, &alert("resolved"), now).is_none());
        assert!(returned(&ours, &alert("firing"), now + TimeDelta::days(2)).is_none());
    }
}
