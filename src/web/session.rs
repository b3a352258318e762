//! Sessions of browsers: a cookie that says who logged in and until when, sealed with what he logged in with.
//!
//! Nothing is stored: any replica accepts it, and it ends where the token or password that it was made with changes.
//! Its name begins with `__Host-` (RFC 6265bis): browsers take it from an encrypted connection only, and from their
//! own machine.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::web::access::{Access, Login};

const COOKIE: &str = "__Host-allswell";
/// How long a session lasts, in seconds.
const LASTS: i64 = 12 * 3_600;

/// The header that begins a session.
pub(super) fn begun(login: &Login, access: &Access) -> Option<String> {
    let until = clock::now().timestamp() + LASTS;
    let content = content(login, until);
    let seal =
        URL_SAFE_NO_PAD.encode(seal(&content, access.secret_of(login)?).finalize().into_bytes());
    Some(format!(
        "{COOKIE}={content}.{seal}; Path=/; Max-Age={LASTS}; HttpOnly; Secure; SameSite=Strict"
    ))
}

/// The header that ends one.
pub(super) fn ended() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict")
}

/// Who logged in, where that still holds.
pub(super) fn login_of(headers: &HeaderMap, access: &Access) -> Option<Login> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).map(str::trim);
    let value = pairs.find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))?;
    let (content, given) = value.rsplit_once('.')?;
    let (login, until) = read(content)?;
    let given = URL_SAFE_NO_PAD.decode(given).ok()?;
    seal(content, access.secret_of(&login)?).verify_slice(&given).ok()?;
    (clock::now().timestamp() < until).then_some(login)
}

fn content(login: &Login, until: i64) -> String {
    let (kind, name) = match login {
        Login::Operator => ('o', ""),
        Login::Named(name) => ('n', name.as_str()),
        Login::Viewer => ('v', ""),
        Login::User(name) => ('u', name.as_str()),
    };
    format!("{kind}.{}.{until}", URL_SAFE_NO_PAD.encode(name))
}

fn read(content: &str) -> Option<(Login, i64)> {
    let mut parts = content.split('.');
    let (kind, name, until) = (parts.next()?, parts.next()?, parts.next()?);
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
    let login = match kind {
        "o" => Login::Operator,
        "n" => Login::Named(name),
        "v" => Login::Viewer,
        "u" => Login::User(name),
        _ => return None,
    };
    parts.next().is_none().then_some((login, until.parse().ok()?))
}

fn seal(content: &str, secret: &str) -> Hmac<Sha256> {
    let key = Sha256::new().chain_update("allswell session\n").chain_update(secret).finalize();
    let mut seal = Hmac::<Sha256>::new_from_slice(&key).expect("a key of HMAC may have any length");
    seal.update(content.as_bytes());
    seal
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use secrecy::SecretString;

    use super::*;
    use crate::web::access::Tokens;

    fn access(token: &str) -> Access {
        let operators = vec![("ada".to_owned(), Some(SecretString::from(token)))];
        Access::new(Tokens { operators, ..Tokens::default() }, Vec::new(), None)
    }

    fn headers(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap();
        let cookies = HeaderValue::from_str(&format!("theme=dark; {pair}")).unwrap();
        HeaderMap::from_iter([(header::COOKIE, cookies)])
    }

    #[test]
    fn a_session_is_taken_until_its_token_changes_and_never_one_that_was_changed() {
        let ada = Login::Named("ada".into());
        let cookie = begun(&ada, &access("one")).unwrap();
        assert_eq!(login_of(&headers(&cookie), &access("one")), Some(ada.clone()));
        assert_eq!(login_of(&headers(&cookie), &access("two")), None, "the token was changed");
        let pair = cookie.split(';').next().unwrap();
        for place in COOKIE.len() + 1..pair.len() {
            let mut bytes = pair.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            // The last letter of a seal has bits that say nothing: strict base64 refuses those that are set.
            assert_eq!(login_of(&headers(&forged), &access("one")), None, "{forged}");
        }
        let (was, seal) = (content(&ada, 1), seal(&content(&ada, 1), "one"));
        let seal = URL_SAFE_NO_PAD.encode(seal.finalize().into_bytes());
        assert_eq!(login_of(&headers(&format!("{COOKIE}={was}.{seal}")), &access("one")), None);
        assert!(begun(&Login::Viewer, &access("one")).is_none(), "there is no such token");
    }
}
