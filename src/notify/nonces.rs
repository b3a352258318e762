//! The words that go round with the watchdog's alert: only the daemons that share its secret can write one.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::alerting::seen::WATCHDOG;

/// Makes these words, and reads them.
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
        mac.update(format!("{WATCHDOG} {alertmanager} {millis}").as_bytes());
        mac.finalize().into_bytes().iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// When a word was made for an Alertmanager; nothing where we did not make it.
    pub fn read(&self, alertmanager: &str, nonce: &str) -> Option<DateTime<Utc>> {
        let (millis, seal) = nonce.split_once('.')?;
        let millis: i64 = millis.parse().ok()?;
        let ours = self.seal(alertmanager, millis);
        let same = bool::from(ours.as_bytes().ct_eq(seal.as_bytes()));
        same.then(|| DateTime::from_timestamp_millis(millis)).flatten()
    }

    /// Says whether this is the secret itself, in constant time.
    pub fn is_token(&self, given: &str) -> bool {
        let (a, b) = (Sha256::digest(self.token.expose_secret()), Sha256::digest(given));
        a.ct_eq(&b).into()
    }
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
    }
}
