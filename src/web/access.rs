//! Who may look, and who may act. Tokens carry roles; users of a `web.config` file may look; a proxy says who asks.

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
use crate::web::origin;
use crate::web::problem::Problem;
use crate::web::proxy::{Peer, Proxy};
use crate::web::session;

/// How many passwords that fit are remembered: each costs a good part of a second to try.
const REMEMBERED: usize = 64;
/// How many passwords wait to be tried.
const QUEUED: usize = 8;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Look.
    Viewer,
    /// Look and act.
    Operator,
}

/// By what a person is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// The token of operators.
    Operator,
    /// The token of an operator who has a name.
    Named(String),
    /// The token of viewers.
    Viewer,
    /// A user of the `web.config` file.
    User(String),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// What he may do.
    pub(super) role: Role,
    /// Who he is, where his token or a proxy says it.
    pub(super) name: Option<String>,
    /// Whether he logged in to pages.
    pub(super) has_session: bool,
    /// Whether a browser says so by itself with each request, those that another site makes it send too.
    pub(super) is_ambient: bool,
}

/// The secrets by which the daemon knows who may look, and who may act.
#[derive(Default)]
pub struct Tokens {
    /// Of viewers.
    pub viewer: Option<SecretString>,
    /// Of operators who have no name.
    pub operator: Option<SecretString>,
    /// Of operators by name; without a token only a proxy says who is one.
    pub operators: Vec<(String, Option<SecretString>)>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Who may look, and who may act.
pub struct Access {
    tokens: Tokens,
    /// Users with the hashes of their passwords.
    users: Vec<(String, String)>,
    proxy: Option<Proxy>,
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
    pub fn new(tokens: Tokens, users: Vec<(String, String)>, proxy: Option<Proxy>) -> Self {
        let decoy = users.first().map_or_else(String::new, |(_, hash)| hash.clone());
        Self {
            tokens,
            users,
            proxy,
            decoy,
            fits: Mutex::new(BTreeSet::new()),
            keyed: RandomState::new(),
            one_at_a_time: Semaphore::new(1),
            queue: Semaphore::new(QUEUED),
        }
    }

    /// Says whether anybody is asked who he is.
    pub fn is_asked(&self) -> bool {
        self.tokens.viewer.is_some() || !self.users.is_empty()
    }

    /// Says whether anybody may act at all.
    pub(super) fn has_operators(&self) -> bool {
        self.tokens.operator.is_some() || !self.tokens.operators.is_empty()
    }

    /// Says whether there is anything to log in with.
    pub(super) fn has_logins(&self) -> bool {
        let named = self.tokens.operators.iter().any(|(_, token)| token.is_some());
        self.is_asked() || self.tokens.operator.is_some() || named
    }

    /// Says whether there are users with passwords.
    pub(super) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Says who asks, and what he may do; `None` where it is not known.
    async fn client(&self, headers: &HeaderMap, peer: Option<Peer>) -> Option<Client> {
        let proxied = self.proxied(headers, peer);
        let session = session::login_of(headers, self);
        let session =
            session.map(|login| Client { has_session: true, ..client_of(login, Ambient(true)) });
        let by_itself = match (proxied, session) {
            // Whom the proxy lets look may log in to act.
            (Some(proxied), Some(session)) if session.role > proxied.role => Some(session),
            (proxied, session) => proxied.or(session),
        };
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        match (all.next(), all.next()) {
            // What a proxy checked, it may hand on: whom it names is known already.
            (Some(_), None) if by_itself.as_ref().is_some_and(|client| !client.has_session) => {
                by_itself
            }
            (Some(given), None) => {
                let (scheme, secret) = given.to_str().ok()?.split_once(' ')?;
                if scheme.eq_ignore_ascii_case("bearer") {
                    return Some(client_of(self.login(secret.trim())?, Ambient(false)));
                }
                let (name, password) = basic(secret.trim())?;
                let fits =
                    scheme.eq_ignore_ascii_case("basic") && self.is_user(&name, &password).await;
                fits.then(|| client_of(Login::User(name), Ambient(true)))
            }
            // Of two that differ, a proxy before us may have looked at the other one.
            (Some(_), Some(_)) => None,
            (None, _) => by_itself.or_else(|| {
                let anybody =
                    Client { role: Role::Viewer, name: None, has_session: false, is_ambient: true };
                (!self.is_asked()).then_some(anybody)
            }),
        }
    }

    /// Whom a proxy that is believed names.
    fn proxied(&self, headers: &HeaderMap, peer: Option<Peer>) -> Option<Client> {
        let name = self.proxy.as_ref()?.user(headers, peer?)?;
        let is_operator = self.tokens.operators.iter().any(|(operator, _)| *operator == name);
        let role = if is_operator { Role::Operator } else { Role::Viewer };
        Some(Client { role, name: Some(name), has_session: false, is_ambient: true })
    }

    /// Says whose token that is.
    pub(super) fn login(&self, token: &str) -> Option<Login> {
        let is = |known: &Option<SecretString>| {
            let Some(known) = known else { return false };
            // Of digests, so that not even the length is told.
            let (a, b) = (Sha256::digest(known.expose_secret()), Sha256::digest(token));
            bool::from(a.ct_eq(&b))
        };
        if let Some((name, _)) = self.tokens.operators.iter().find(|(_, known)| is(known)) {
            return Some(Login::Named(name.clone()));
        }
        if is(&self.tokens.operator) {
            return Some(Login::Operator);
        }
        is(&self.tokens.viewer).then_some(Login::Viewer)
    }

    /// The secret that a person is known by now: a token, or the hash of a password.
    pub(super) fn secret_of(&self, login: &Login) -> Option<&str> {
        let token = match login {
            Login::Operator => self.tokens.operator.as_ref(),
            Login::Viewer => self.tokens.viewer.as_ref(),
            Login::Named(name) => {
                let named = self.tokens.operators.iter().find(|(known, _)| known == name);
                named.and_then(|(_, token)| token.as_ref())
            }
            Login::User(name) => {
                let known = self.users.iter().find(|(user, _)| user == name);
                return known.map(|(_, hash)| hash.as_str());
            }
        };
        token.map(ExposeSecret::expose_secret)
    }

    /// Says whether a user has that password.
    pub(super) async fn is_user(&self, name: &str, password: &str) -> bool {
        let known = self.users.iter().find(|(user, _)| user == name);
        let hash = known.map_or_else(|| self.decoy.clone(), |(_, hash)| hash.clone());
        if hash.is_empty() {
            return false;
        }
        let seal = self.keyed.hash_one((name, password, &hash));
        if known.is_some() && self.fits.lock().is_ok_and(|fits| fits.contains(&seal)) {
            return true;
        }
        let Ok(_place) = self.queue.try_acquire() else { return false };
        let Ok(_turn) = self.one_at_a_time.acquire().await else { return false };
        let password = password.to_owned();
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

/// Whether a browser says it by itself.
struct Ambient(bool);

fn client_of(login: Login, Ambient(is_ambient): Ambient) -> Client {
    let (role, name) = match login {
        Login::Operator => (Role::Operator, None),
        Login::Named(name) => (Role::Operator, Some(name)),
        Login::Viewer => (Role::Viewer, None),
        Login::User(name) => (Role::Viewer, Some(name)),
    };
    Client { role, name, has_session: false, is_ambient }
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

/// Lets in who may look, and says to handlers who asks.
pub(super) async fn guard(State(shared): Here, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let Some(client) = shared.door.access.client(request.headers(), peer).await else {
        let detail = if request.headers().contains_key(header::AUTHORIZATION) {
            "the token, or the user and password, are none that the settings name"
        } else {
            "this needs a token, or a user of the web.config file"
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, detail);
        let challenge = "Basic realm=\"allswell\", charset=\"UTF-8\"";
        return ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response();
    };
    // What a browser sends by itself, another site may have made it send.
    let acts = !request.method().is_safe() && client.role == Role::Operator;
    if acts && client.is_ambient && !origin::is_own(&shared, request.headers()) {
        return origin::foreign().into_response();
    }
    request.extensions_mut().insert(client);
    next.run(request).await
}

/// Refuses who may only look.
pub(super) fn operator(client: &Client, access: &Access) -> Result<(), Problem> {
    if client.role == Role::Operator {
        return Ok(());
    }
    let detail = if access.has_operators() {
        "this needs an operator's token, as `Authorization: Bearer …`"
    } else {
        "nobody may act here: the settings name no `operator_token` and no `operators` under `web`"
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
