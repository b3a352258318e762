//! Who may look, and who may act. Tokens carry roles; users of a `web.config` file may look.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::web::Here;
use crate::web::problem::Problem;

/// How many passwords that fit are remembered: each costs a good part of a second to try.
const REMEMBERED: usize = 64;
/// How many passwords wait to be tried.
const QUEUED: usize = 8;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RoleHeld {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
}

/// Who may look, and who may act.
pub struct Access {
    viewer: Option<SecretString>,
    operator: Option<SecretString>,
    /// Users with the hashes of their passwords.
    users: Vec<(String, String)>,
    /// A hash that no password has: an unknown user takes as long as a known one.
    decoy: String,
    fits: Mutex<BTreeSet<u64>>,
    keyed: RandomState,
    one_at_a_time: Semaphore,
    /// How many wait for that: a client beyond them is refused at once.
    queue: Semaphore,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Lets in who has one of these tokens, or is one of these users. Where there is no viewer's token
    /// and no user, everybody who reaches the door may look.
    pub fn new(
        viewer: Option<SecretString>,
        operator: Option<SecretString>,
        users: Vec<(String, String)>,
    ) -> Self {
        let decoy = users.first().map_or_else(String::new, |(_, hash)| hash.clone());
        Self {
            viewer,
            operator,
            users,
            decoy,
            fits: Mutex::new(BTreeSet::new()),
            keyed: RandomState::new(),
            one_at_a_time: Semaphore::new(1),
            queue: Semaphore::new(QUEUED),
        }
    }

    /// Says whether anybody is asked who he is.
    pub fn is_asked(&self) -> bool {
        self.viewer.is_some() || !self.users.is_empty()
    }

    /// Says what a client may do; `None` where it is not known.
    async fn role(&self, headers: &HeaderMap) -> Option<RoleHeld> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (all.next(), all.next()) else {
            // Of two that differ, a proxy before us may have looked at the other one.
            let is_silent = !headers.contains_key(header::AUTHORIZATION);
            return (is_silent && !self.is_asked()).then_some(RoleHeld::Viewer);
        };
        let given = given.to_str().ok()?;
        let (scheme, secret) = given.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.role_of_token(secret.trim());
        }
        let fits = scheme.eq_ignore_ascii_case("basic") && self.is_user(secret.trim()).await;
        fits.then_some(RoleHeld::Viewer)
    }

    fn role_of_token(&self, token: &str) -> Option<RoleHeld> {
        let is = |known: &Option<SecretString>| {
            let Some(known) = known else { return false };
            // Of digests, so that not even the length is told.
            let (a, b) = (Sha256::digest(known.expose_secret()), Sha256::digest(token));
            bool::from(a.ct_eq(&b))
        };
        if is(&self.operator) {
            Some(RoleHeld::Operator)
        } else {
            is(&self.viewer).then_some(RoleHeld::Viewer)
        }
    }

    async fn is_user(&self, secret: &str) -> bool {
        let Some((name, password)) = basic(secret) else { return false };
        let known = self.users.iter().find(|(user, _)| *user == name);
        let hash = known.map_or_else(|| self.decoy.clone(), |(_, hash)| hash.clone());
        if hash.is_empty() {
            return false;
        }
        let seal = self.keyed.hash_one((&name, &password, &hash));
        if known.is_some() && self.fits.lock().is_ok_and(|fits| fits.contains(&seal)) {
            return true;
        }
        let Ok(_place) = self.queue.try_acquire() else { return false };
        let Ok(_turn) = self.one_at_a_time.acquire().await else { return false };
        let tried = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        let fits = matches!(tried.await, Ok(Ok(true))) && known.is_some();
        if let Ok(mut remembered) = self.fits.lock().map_err(drop)
            && fits
        {
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(seal);
        }
        fits
    }
}

/// Reads `user:password` in base64 (RFC 7617), padded or not.
fn basic(secret: &str) -> Option<(String, String)> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
    let text = String::from_utf8(BASE64.decode(secret).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Lets in who may look, and says to handlers what he may do.
pub(super) async fn guard(State(shared): Here, mut request: Request, next: Next) -> Response {
    let Some(role) = shared.door.access.role(request.headers()).await else {
        let detail = if request.headers().contains_key(header::AUTHORIZATION) {
            "the token, or the user and password, are none that the settings name"
        } else {
            "this needs a token, or a user of the web.config file"
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
        let challenge = "Basic realm=\"allswell\", charset=\"UTF-8\"";
        return ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response();
    };
    request.extensions_mut().insert(role);
    next.run(request).await
}

/// Refuses who may only look.
pub(super) fn operator(role: RoleHeld, access: &Access) -> Result<(), Problem> {
    if role == RoleHeld::Operator {
        return Ok(());
    }
    let detail = if access.operator.is_none() {
        "nobody may act here: the settings name no `operator_token` under `web`"
    } else {
        "this needs the operator's token, as `Authorization: Bearer …`"
    };
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_are_read_from_base64() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(basic("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(basic("YTo="), pair("a", ""));
        for bad in ["", "YQ==", "%%%", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n:", "/////w=="] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }
}
