//! Where the daemon listens, who may look and act there, and whether it shows pages.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::manifest::{Document, Map, Node, Place};
use crate::secret::Reference;
use crate::settings::optional;
use crate::web::{Network, Proxy, Tokens};

pub(super) const WEB_KEYS: [&str; 11] = [
    "listen",
    "public_url",
    "config_file",
    "viewer_token",
    "operator_token",
    "operators",
    "proxy_user_header",
    "proxy_from",
    "lifecycle",
    "pages",
    "badges",
];
pub(super) const OPERATOR_KEYS: [&str; 2] = ["name", "token"];
/// Where the daemon listens where nothing is written: on this machine only.
const LISTEN: &str = "127.0.0.1:9847";
/// How long the name of an operator may be, in characters.
const NAME_MAX: usize = 63;

/// Where the daemon listens, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebEntry {
    /// The address.
    pub listen: SocketAddr,
    /// How people reach it: for links.
    pub public_url: Option<String>,
    /// A file in the form of Prometheus' `web.config`: TLS, users, headers.
    pub config_file: Option<PathBuf>,
    viewer_token: Option<Reference>,
    operator_token: Option<Reference>,
    operators: Vec<OperatorEntry>,
    /// The proxy that says who asks, where there is one.
    pub proxy: Option<Proxy>,
    /// What is switched on or off.
    pub switches: Switches,
}

/// What is switched on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Whether `POST /-/reload` does something.
    pub lifecycle: bool,
    /// Whether there are pages for people.
    pub pages: bool,
    /// Whether badges are shown to everybody, where viewers need a token otherwise.
    pub badges: bool,
}

/// An operator who has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OperatorEntry {
    name: String,
    token: Option<Reference>,
}

impl WebEntry {
    /// Where its secrets are.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        let tokens = self.viewer_token.iter().chain(&self.operator_token);
        tokens.chain(self.operators.iter().filter_map(|operator| operator.token.as_ref()))
    }

    /// Reads who may look, and who may act.
    ///
    /// # Errors
    /// Where one was looked for and not found.
    pub fn tokens(&self) -> Result<Tokens, String> {
        let read = |name: &str, reference: &Option<Reference>| {
            let token = reference.as_ref().map(Reference::read).transpose();
            token.map_err(|e| format!("`{name}` of `web`: {e}"))
        };
        let named = |entry: &OperatorEntry| {
            Ok((entry.name.clone(), read(&format!("operators: {}", entry.name), &entry.token)?))
        };
        Ok(Tokens {
            viewer: read("viewer_token", &self.viewer_token)?,
            operator: read("operator_token", &self.operator_token)?,
            operators: self.operators.iter().map(named).collect::<Result<_, String>>()?,
        })
    }
}

/// Says whether a URL has no blanks and no `%` that escapes nothing.
fn is_written_well(url: &str) -> bool {
    let escapes = url.split('%').skip(1);
    let hex = |rest: &str| rest.len() > 1 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    url.bytes().all(|b| b.is_ascii_graphic()) && escapes.into_iter().all(hex)
}

/// Reads `web`.
pub(super) fn web(doc: &mut Document<'_>, root: &Map<'_>, folder: &Path) -> Option<WebEntry> {
    let mut entry = WebEntry {
        listen: LISTEN.parse().expect("the default is an address"),
        public_url: None,
        config_file: None,
        viewer_token: None,
        operator_token: None,
        operators: Vec::new(),
        proxy: None,
        switches: Switches { lifecycle: false, pages: true, badges: false },
    };
    let place = Place::Key(&Place::Root, "web");
    let Some(node) = root.get("web") else { return Some(entry) };
    let map = doc.map(node, place, &WEB_KEYS)?;
    let key = |key| Place::Key(&place, key);
    let listen = optional(&map, "listen", |node| {
        let rule = "an address to listen on is written like 127.0.0.1:9847 or [::1]:9847";
        doc.parsed(node, key("listen"), |text| text.parse::<SocketAddr>().map_err(|_| rule))
    });
    let public_url = optional(&map, "public_url", |node| {
        doc.parsed(node, key("public_url"), |text| match url::Url::parse(text) {
            // Alertmanager refuses links that are not written by the rules (RFC 3986).
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.host().is_some()
                    && is_written_well(text) =>
            {
                Ok(text.trim_end_matches('/').to_owned())
            }
            Ok(_) | Err(_) => Err("this is an http:// or https:// URL"),
        })
    });
    let config_file = optional(&map, "config_file", |node| {
        doc.text(node, key("config_file")).map(|path| folder.join(path))
    });
    let mut token = |name| optional(&map, name, |node| secret(doc, node, key(name), folder));
    let (viewer, operator) = (token("viewer_token"), token("operator_token"));
    let operators = optional(&map, "operators", |node| operators(doc, node, place, folder));
    let proxy = proxy(doc, &map, place);
    let mut switch = |name| {
        let words = [("true", true), ("false", false)];
        optional(&map, name, |node| doc.word(node, key(name), &words))
    };
    let (lifecycle, pages, badges) = (switch("lifecycle"), switch("pages"), switch("badges"));
    entry.listen = listen?.unwrap_or(entry.listen);
    entry.public_url = public_url?;
    entry.config_file = config_file?;
    (entry.viewer_token, entry.operator_token) = (viewer?, operator?);
    entry.operators = operators?.unwrap_or_default();
    entry.proxy = proxy?;
    entry.switches = Switches {
        lifecycle: lifecycle?.unwrap_or(entry.switches.lifecycle),
        pages: pages?.unwrap_or(entry.switches.pages),
        badges: badges?.unwrap_or(entry.switches.badges),
    };
    Some(entry)
}

fn secret(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    folder: &Path,
) -> Option<Reference> {
    doc.parsed(node, place, Reference::parse).map(|reference| reference.under(folder))
}

/// Reads the operators who have names, each once.
fn operators(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    folder: &Path,
) -> Option<Vec<OperatorEntry>> {
    let place = Place::Key(&place, "operators");
    let mut all: Vec<OperatorEntry> = Vec::new();
    let nodes = doc.list(node, place)?;
    let mut is_whole = true;
    for node in nodes {
        let Some(map) = doc.map(node, place, &OPERATOR_KEYS) else {
            is_whole = false;
            continue;
        };
        let name = match map.get("name") {
            Some(node) => doc.parsed(node, Place::Key(&place, "name"), operator_name),
            None => {
                doc.fault(map.node, place, "`name` is missing", None);
                None
            }
        };
        let token =
            optional(&map, "token", |node| secret(doc, node, Place::Key(&place, "token"), folder));
        let (Some(name), Some(token)) = (name, token) else {
            is_whole = false;
            continue;
        };
        if all.iter().any(|before| before.name == name) {
            doc.fault(map.node, place, format!("`{name}` is named twice"), None);
            is_whole = false;
        }
        all.push(OperatorEntry { name, token });
    }
    is_whole.then_some(all)
}

fn operator_name(text: &str) -> Result<String, &'static str> {
    let is_plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if !text.is_empty() && text.chars().count() <= NAME_MAX && is_plain {
        Ok(text.to_owned())
    } else {
        Err("the name of an operator is 1 to 63 characters without blanks")
    }
}

/// Reads which proxy says who asks: which header, and from where.
fn proxy(doc: &mut Document<'_>, map: &Map<'_>, place: Place<'_>) -> Option<Option<Proxy>> {
    let key = |key| Place::Key(&place, key);
    match (map.get("proxy_user_header"), map.get("proxy_from")) {
        (None, None) => Some(None),
        (Some(node), None) => {
            let hint = Some("write `proxy_from: [10.0.0.7]`".to_owned());
            let message =
                "from where the proxy connects is missing: everybody could write that header";
            doc.fault(node, key("proxy_user_header"), message, hint);
            None
        }
        (None, Some(node)) => {
            let hint = Some("write `proxy_user_header: X-Forwarded-User`".to_owned());
            let message = "the header in which the proxy says who asks is missing";
            doc.fault(node, key("proxy_from"), message, hint);
            None
        }
        (Some(header), Some(from)) => {
            let header = doc.parsed(header, key("proxy_user_header"), Proxy::header);
            let nodes = doc.list(from, key("proxy_from"))?;
            let networks: Vec<Option<Network>> = nodes
                .iter()
                .map(|node| doc.parsed(node, key("proxy_from"), Network::parse))
                .collect();
            let from: Option<Vec<Network>> = networks.into_iter().collect();
            header.zip(from).map(|(header, from)| Some(Proxy { header, from }))
        }
    }
}
