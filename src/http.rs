//! The one outgoing HTTP client: every call has its time, its size, and no proxy of the environment.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

/// How long a connection may take to open.
pub const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(25);
/// How large an answer may be, in bytes.
const BODY_MAX: usize = 64 << 20;

/// How much of an answer is kept that only says why something was refused, in bytes.
const WORDS_MAX: usize = 1_024;

/// Somebody whom we ask.
pub struct Peer {
    client: Mutex<reqwest::Client>,
    /// The same, with no connection open yet.
    next: Mutex<Option<reqwest::Client>>,
    /// Opens a connection for each call, and looks its address up anew.
    afresh: reqwest::Client,
    is_distrusted: AtomicBool,
    base: Url,
    auth: Auth,
    /// What time it was there when it answered last, until that is taken.
    date: Mutex<Option<DateTime<Utc>>>,
}

/// How we say who we are.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// We do not.
    #[default]
    Nobody,
    /// By a token (RFC 6750).
    Bearer(SecretString),
    /// By a name and a password (RFC 7617).
    Basic(String, SecretString),
}

/// How far TLS is not as everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file with the certificate of one more authority.
    pub authority: Option<PathBuf>,
    /// A file with our certificate and its key, where the other side wants one.
    pub identity: Option<PathBuf>,
}

/// What came of something that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The status.
    pub status: u16,
    /// What was said, or the beginning of it.
    pub words: String,
    /// After how many seconds it may be tried again, where that was said.
    pub retry_after_secs: Option<u64>,
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

fn builder(tls: &Tls, within: Option<Duration>) -> Result<reqwest::ClientBuilder, NoAnswer> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(within.unwrap_or(ANSWER))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let failed = |path: &Path, e: String| NoAnswer::Certificate(path.display().to_string(), e);
    let read = |path: &Path| std::fs::read(path).map_err(|e| failed(path, e.to_string()));
    if let Some(path) = &tls.authority {
        let certificate = reqwest::Certificate::from_pem(&read(path)?);
        let certificate = certificate.map_err(|e| failed(path, e.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    if let Some(path) = &tls.identity {
        let identity = reqwest::Identity::from_pem(&read(path)?);
        builder = builder.identity(identity.map_err(|e| failed(path, e.to_string()))?);
    }
    Ok(builder)
}

impl Peer {
    /// Prepares to ask a server.
    ///
    /// # Errors
    /// Where the address or the authority's certificate is not sound.
    pub fn new(
        address: &str,
        auth: Auth,
        tls: &Tls,
        within: Option<Duration>,
    ) -> Result<Self, NoAnswer> {
        let base = Url::parse(address).map_err(|_| NoAnswer::Address)?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(NoAnswer::Address);
        }
        // It may be chosen already: by the same choice.
        drop(rustls::crypto::ring::default_provider().install_default());
        let name = base.origin().ascii_serialization();
        let silent = |e: reqwest::Error| NoAnswer::Silent(name.clone(), told(&e));
        let client = builder(tls, within)?.build().map_err(silent)?;
        let next = builder(tls, within)?.build().map_err(silent)?;
        let afresh = builder(tls, within)?.pool_max_idle_per_host(0).build().map_err(silent)?;
        let (is_distrusted, date) = (AtomicBool::new(false), Mutex::default());
        let (client, next) = (Mutex::new(client), Mutex::new(Some(next)));
        Ok(Self { client, next, afresh, is_distrusted, base, auth, date })
    }

    /// Says whether connections that are open already are to be used: one may swallow what it gets. Those that were
    /// open when trust was lost are never used again; from the second time on, each call opens one of its own.
    pub fn trust(&self, is_trusted: bool) {
        let was_distrusted = self.is_distrusted.swap(!is_trusted, Ordering::Relaxed);
        if !(is_trusted && was_distrusted) {
            return;
        }
        if let (Ok(mut client), Ok(mut next)) = (self.client.lock(), self.next.lock()) {
            let fresh = next.take();
            *client = fresh.unwrap_or_else(|| self.afresh.clone());
        }
    }

    /// The client to use now, and the one to use where it can open no connection.
    fn clients(&self) -> (reqwest::Client, reqwest::Client) {
        let open = self.client.lock().map_or_else(|_| self.afresh.clone(), |client| client.clone());
        let distrusted = self.is_distrusted.load(Ordering::Relaxed);
        (if distrusted { self.afresh.clone() } else { open.clone() }, open)
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
        self.send(self.clients().0.get(url)).await
    }

    /// Hands something in at a path.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
        let request = self.clients().0.post(self.at(path)).body(body.to_string());
        self.send(request.header("content-type", "application/json")).await
    }

    /// Hands something in at a path, and says what became of it, whatever the answer looks like.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn deliver(&self, path: &str, body: String) -> Result<Receipt, NoAnswer> {
        let send = async |client: &reqwest::Client| {
            let request = client.post(self.at(path)).body(body.clone());
            self.known(request.header("content-type", "application/json")).send().await
        };
        let silent = |e: reqwest::Error| NoAnswer::Silent(self.name(), told(&e));
        let (client, open) = self.clients();
        let sent = match send(&client).await {
            // Where none can be opened, one that is open is better than nothing.
            Err(error) if error.is_connect() => send(&open).await,
            sent => sent,
        };
        let response = sent.map_err(silent)?;
        self.note_date(&response);
        Ok(receipt(response).await)
    }

    /// Removes what is at a path.
    ///
    /// # Errors
    /// Why it is there still.
    pub async fn remove(&self, path: &str) -> Result<(), String> {
        let answer = self.known(self.clients().0.delete(self.at(path))).send().await;
        let status =
            answer.map_err(|e| NoAnswer::Silent(self.name(), told(&e)).to_string())?.status();
        // What is not there any more is removed.
        let is_gone = status.is_success() || status.as_u16() == 404;
        if is_gone { Ok(()) } else { Err(format!("it answers with status {status}")) }
    }

    /// Asks for what is at a path, whatever the answer looks like.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn look(&self, path: &str) -> Result<Receipt, NoAnswer> {
        let answer = self.known(self.clients().0.get(self.at(path))).send().await;
        Ok(receipt(answer.map_err(|e| NoAnswer::Silent(self.name(), told(&e)))?).await)
    }

    /// Asks for the text at a path.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn text(&self, path: &str) -> Result<String, NoAnswer> {
        let silent = |e: reqwest::Error| NoAnswer::Silent(self.name(), told(&e));
        let request = self.known(self.clients().0.get(self.at(path)));
        let body = self.body(request.send().await.map_err(silent)?).await?;
        String::from_utf8(body).map_err(|_| NoAnswer::Odd(self.name()))
    }

    /// What time it was there, to the second, as the answer says that came since the last call (RFC 9110, 6.6.1).
    pub fn take_date(&self) -> Option<DateTime<Utc>> {
        self.date.lock().ok().and_then(|mut date| date.take())
    }

    fn note_date(&self, response: &reqwest::Response) {
        let said = response.headers().get("date").and_then(|value| value.to_str().ok());
        let said = said.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        if let Ok(mut date) = self.date.lock() {
            *date = said.map(|at| at.with_timezone(&Utc));
        }
    }

    /// Who it is: scheme, host and port, without what may be secret.
    pub fn name(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    fn known(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.auth {
            Auth::Nobody => request,
            Auth::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Auth::Basic(user, password) => request.basic_auth(user, Some(password.expose_secret())),
        }
    }

    fn at(&self, path: &str) -> Url {
        if path.is_empty() {
            return self.base.clone();
        }
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
        let name = self.name();
        let silent = |e: reqwest::Error| NoAnswer::Silent(name.clone(), told(&e));
        let response = self.known(request).send().await.map_err(silent)?;
        self.note_date(&response);
        let status = response.status().as_u16();
        let body = self.body(response).await?;
        let value = serde_json::from_slice(&body).map_err(|_| NoAnswer::Odd(name))?;
        Ok((status, value))
    }

    /// Reads what an answer holds, up to the most that is read.
    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, NoAnswer> {
        let silent = |e: reqwest::Error| NoAnswer::Silent(self.name(), told(&e));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX {
                return Err(NoAnswer::Odd(self.name()));
            }
        }
        Ok(body)
    }
}

/// Reads an answer, or the beginning of it.
async fn receipt(mut response: reqwest::Response) -> Receipt {
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let status = response.status().as_u16();
    let mut words = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        words.extend_from_slice(&chunk);
        if words.len() >= WORDS_MAX {
            words.truncate(WORDS_MAX);
            break;
        }
    }
    let words = String::from_utf8_lossy(&words).into_owned();
    Receipt { status, words, retry_after_secs: retry_after }
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
