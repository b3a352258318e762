//! What was sent to an Alertmanager comes back here, by its webhook: the way is proved.
//!
//! Nothing in a message is believed but a word that only we can have written, so that any replica may
//! take it, as often as it comes.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

use crate::ledger::Returned;
use crate::web::Here;
use crate::web::problem::{Json, Problem};

/// What the alert is called that goes round.
pub const ALERTNAME: &str = "AllswellWatchdog";
/// How large a message may be, in bytes.
const BODY_MAX: usize = 1 << 20;
/// How old what comes back may be.
const AGE_MAX: TimeDelta = TimeDelta::days(1);
/// How far ahead of us the clock of a replica may be.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);

/// Whoever makes and knows the words that go round.
#[derive(Clone)]
pub struct Nonces {
    token: SecretString,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    /// Makes words by a secret that all replicas share.
    pub fn new(token: SecretString) -> Self {
        Self { token }
    }

    /// The word for an Alertmanager at an instant.
    pub fn make(&self, alertmanager: &str, sent_at: DateTime<Utc>) -> String {
        let millis = sent_at.timestamp_millis();
        format!("{millis}.{}", self.seal(alertmanager, millis))
    }

    fn seal(&self, alertmanager: &str, millis: i64) -> String {
        use std::fmt::Write as _;
        let mac = Hmac::<Sha256>::new_from_slice(self.token.expose_secret().as_bytes());
        let mut mac = mac.expect("a key of this function may have any length");
        mac.update(format!("{ALERTNAME} {alertmanager} {millis}").as_bytes());
        mac.finalize().into_bytes().iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// When a word was made for an Alertmanager; nothing where we did not make it.
    fn read(&self, alertmanager: &str, nonce: &str) -> Option<DateTime<Utc>> {
        let (millis, seal) = nonce.split_once('.')?;
        let millis: i64 = millis.parse().ok()?;
        let ours = self.seal(alertmanager, millis);
        let same = bool::from(ours.as_bytes().ct_eq(seal.as_bytes()));
        same.then(|| DateTime::from_timestamp_millis(millis)).flatten()
    }

    fn is_token(&self, given: &str) -> bool {
        let (a, b) = (Sha256::digest(self.token.expose_secret()), Sha256::digest(given));
        a.ct_eq(&b).into()
    }
}

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
        shared.knocked();
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
    fn only_words_of_ours_are_believed() {
        let (ours, theirs) =
            (Nonces::new("a".to_owned().into()), Nonces::new("b".to_owned().into()));
        let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        let nonce = ours.make("http://one", now);
        assert_eq!(ours.read("http://one", &nonce), Some(now));
        assert_eq!(ours.read("http://two", &nonce), None);
        assert_eq!(theirs.read("http://one", &nonce), None);
        for bad in ["", ".", "1.", "x.y", "9999999999999999999.00"] {
            assert_eq!(ours.read("http://one", bad), None, "{bad}");
        }
        let alert = |status: &str| {
            json!({"status": status, "labels": {"alertmanager": "http://one"},
                "annotations": {"nonce": nonce}})
        };
        assert!(returned(&ours, &alert("firing"), now).is_some());
        assert!(returned(&ours, &alert("resolved"), now).is_none());
        assert!(returned(&ours, &alert("firing"), now + TimeDelta::days(2)).is_none());
    }
}
