//! Verbs that talk to a daemon: who is asked, and what an answer that is an error says.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use crate::cli::args::Remote;
use crate::cli::complain;
use crate::cli::exit::Exit;
use crate::http::{Answer, Auth, NoAnswer, Peer, Receipt, Tls};
use crate::secret::Reference;

/// Where a daemon listens by default.
const HERE: &str = "http://127.0.0.1:9847";

/// A daemon that is asked.
pub(super) struct Daemon {
    peer: Peer,
    runtime: Arc<tokio::runtime::Runtime>,
}

/// Reads a word of the environment, where there is one.
fn ambient(name: &str) -> Option<SecretString> {
    Reference::Env(name.to_owned()).read().ok()
}

impl Daemon {
    /// Prepares to ask; says why not, and how it ends then.
    pub(super) fn new(remote: &Remote) -> Result<Self, Exit> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            complain(&format!("allswell: cannot start: {error}"));
            Exit::Io
        })?;
        Self::on(remote, Arc::new(runtime))
    }

    /// The same over a runtime that is there: a connection that is kept belongs to the runtime that opened it.
    pub(super) fn on(remote: &Remote, runtime: Arc<tokio::runtime::Runtime>) -> Result<Self, Exit> {
        use secrecy::ExposeSecret as _;
        let told = |message: String, exit| {
            complain(&format!("allswell: {message}"));
            exit
        };
        let url = remote.url.clone();
        let url = url.or_else(|| ambient("ALLSWELL_URL").map(|s| s.expose_secret().to_owned()));
        let token = match &remote.token_file {
            Some(path) => {
                let token = Reference::File(path.clone()).read();
                Some(token.map_err(|message| told(message, Exit::Invalid))?)
            }
            None => ambient("ALLSWELL_TOKEN"),
        };
        let tls = Tls { authority: remote.cacert.clone(), identity: None };
        let auth = token.map_or(Auth::Nobody, Auth::Bearer);
        let peer = Peer::new(url.as_deref().unwrap_or(HERE), auth, &tls, None);
        let peer = peer.map_err(|error| told(error.to_string(), Exit::Invalid))?;
        Ok(Self { peer, runtime })
    }

    /// Where it is asked.
    pub(super) fn name(&self) -> String {
        self.peer.name()
    }

    /// Asks for what is at a path, whatever the answer looks like.
    pub(super) fn look(&self, path: &str) -> Result<Receipt, NoAnswer> {
        self.runtime.block_on(self.peer.look(path))
    }

    /// Asks for what is at a path.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Exit> {
        settle(self.runtime.block_on(self.peer.get(path, query)))
    }

    /// Asks for what is at a path; nothing, and no word, where there is no answer.
    pub(super) fn try_get(&self, path: &str) -> Value {
        self.runtime.block_on(self.ask(path))
    }

    /// Orders something.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Exit> {
        settle(self.runtime.block_on(self.peer.post(path, body)))
    }

    /// Asks for what is at a path, within a runtime; nothing where there is no answer.
    pub(super) async fn ask(&self, path: &str) -> Value {
        match self.peer.get(path, &[]).await {
            Ok((200, value)) => value,
            Ok(_) | Err(_) => Value::Null,
        }
    }

    /// Asks for a list, page by page, until there are enough.
    pub(super) fn list(
        &self,
        path: &str,
        name: &str,
        query: &[(&str, String)],
        enough: usize,
    ) -> Result<Vec<Value>, Exit> {
        let mut all: Vec<Value> = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", (enough - all.len()).clamp(1, 1_000).to_string()));
            query.extend(page.take().map(|page| ("page", page)));
            let mut answer = self.get(path, &query)?;
            if let Some(Value::Array(items)) = answer.get_mut(name).map(Value::take) {
                all.extend(items);
            }
            match answer.get("next").and_then(Value::as_str) {
                Some(next) if all.len() < enough => page = Some(next.to_owned()),
                Some(_) | None => return Ok(all),
            }
        }
    }
}

/// Takes an answer, or tells what is wrong with it.
fn settle(answer: Result<Answer, NoAnswer>) -> Result<Value, Exit> {
    match answer {
        Ok((200..=299, value)) => Ok(value),
        Ok((status, value)) => {
            let detail = value.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            let hint = match status {
                401 | 403 => "\nthe token comes from `--token-file` or $ALLSWELL_TOKEN",
                _ => "",
            };
            complain(&format!("allswell: {detail} (HTTP {status}){hint}"));
            Err(if status >= 500 { Exit::Io } else { Exit::Invalid })
        }
        Err(error) => {
            complain(&format!(
                "allswell: {error}\nis `allswell serve` running, and is `--url` right?"
            ));
            Err(Exit::Io)
        }
    }
}

/// The text of a key; nothing where it is null.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The number of a key.
pub(super) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}
