//! The one outgoing HTTP client: every call has its time, its size, and nobody's proxy.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(25);
/// How large an answer may be, in bytes.
const BODY_MAX: usize = 64 << 20;

/// Somebody whom we ask.
pub struct Peer {
    client: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The address is none.
    #[error("this is no http:// or https:// address")]
    Address,
    /// The certificate of an authority could not be read.
    #[error("the certificate {0} cannot be read: {1}")]
    Certificate(String, String),
    /// Nobody answered.
    #[error("{0} did not answer: {1}")]
    Silent(String, String),
    /// The answer is not JSON, or too large.
    #[error("{0} answered something that is not allswell's: is it the right address?")]
    Odd(String),
}

/// An answer: its status, and what it says.
pub type Answer = (u16, Value);

impl Peer {
    /// Prepares to ask somebody.
    ///
    /// # Errors
    /// Where the address or the authority's certificate is not sound.
    pub fn new(
        address: &str,
        token: Option<SecretString>,
        authority: Option<&Path>,
    ) -> Result<Self, NoAnswer> {
        let base = Url::parse(address).map_err(|_| NoAnswer::Address)?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(NoAnswer::Address);
        }
        // It may be chosen already: by the same choice.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(path) = authority {
            let failed = |e: String| NoAnswer::Certificate(path.display().to_string(), e);
            let pem = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
            let certificate =
                reqwest::Certificate::from_pem(&pem).map_err(|e| failed(e.to_string()))?;
            builder = builder.add_root_certificate(certificate);
        }
        let silent = |e: reqwest::Error| NoAnswer::Silent(address.to_owned(), told(&e));
        Ok(Self { client: builder.build().map_err(silent)?, base, token })
    }

    /// Asks for what is at a path.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, NoAnswer> {
        let mut url = self.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.client.get(url)).await
    }

    /// Hands something in at a path.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        let request = self.client.post(self.at(path)).body(body.to_string());
        self.send(request.header("content-type", "application/json")).await
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let name = self.base.origin().ascii_serialization();
        let silent = |e: reqwest::Error| NoAnswer::Silent(name.clone(), told(&e));
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX {
                return Err(NoAnswer::Odd(name));
            }
        }
        let value = serde_json::from_slice(&body).map_err(|_| NoAnswer::Odd(name))?;
        Ok((status, value))
    }
}

/// What a failure says, with its causes and without the address, which may hold a secret.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}
