//! A file in the form of Prometheus' `web.config`: TLS, users, headers. Teams have it already.
//!
//! As strict as everything else: a key that is not known here is a fault, because what it asks for
//! would not be done.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::bounded;
use crate::domain::check::fault::Fault;
use crate::manifest::{Document, Map, Node, Place, Text};

const KEYS: [&str; 3] = ["tls_server_config", "http_server_config", "basic_auth_users"];
const TLS_KEYS: [&str; 5] =
    ["cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"];
const HTTP_KEYS: [&str; 2] = ["http2", "headers"];
const BYTES_MAX: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// How connections are encrypted, where they are.
    pub tls: Option<Arc<ServerConfig>>,
    /// Users with the hashes of their passwords.
    pub users: Vec<(String, String)>,
    /// Headers for each answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    None,
    Require,
}

/// Reads a file.
///
/// # Errors
/// All its faults.
pub fn read(path: &Path) -> Result<WebConfig, Vec<Fault>> {
    let file = path.display().to_string();
    let text = bounded::read(path, BYTES_MAX)
        .map_err(|e| vec![Fault::of_file(file.clone(), format!("cannot be read: {e}"), "")])?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let text = Text { file, text };
    let mut doc = Document::confidential(&text);
    let config = config(&mut doc, folder);
    let faults = doc.into_faults();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        Some(_) | None => Err(faults),
    }
}

fn config(doc: &mut Document<'_>, folder: &Path) -> Option<WebConfig> {
    let root = doc.tree()?;
    let map = doc.map(&root, Place::Root, &KEYS)?;
    let mut config = WebConfig::default();
    if let Some(node) = map.get("basic_auth_users") {
        config.users = users(doc, node);
    }
    if let Some(node) = map.get("http_server_config") {
        config.headers = headers(doc, node)?;
    }
    if let Some(node) = map.get("tls_server_config") {
        config.tls = Some(tls(doc, node, folder)?);
    }
    Some(config)
}

fn users(doc: &mut Document<'_>, node: &Node) -> Vec<(String, String)> {
    let place = Place::Key(&Place::Root, "basic_auth_users");
    let Some(map) = doc.open_map(node, place) else { return Vec::new() };
    let mut users = Vec::new();
    for (name, value) in map.entries() {
        let hash = doc.parsed(value, place, |text| match text.parse::<bcrypt::HashParts>() {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("a password is written as its bcrypt hash (htpasswd -nBC 10 \"\")"),
        });
        users.extend(hash.map(|hash| ((*name).to_owned(), hash)));
    }
    users
}

fn headers(doc: &mut Document<'_>, node: &Node) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let place = Place::Key(&Place::Root, "http_server_config");
    let map = doc.map(node, place, &HTTP_KEYS)?;
    if let Some(node) = map.get("http2") {
        let place = Place::Key(&place, "http2");
        if doc.word(node, place, &[("true", true), ("false", false)])? {
            let hint = Some("write `http2: false`, or leave it away".to_owned());
            doc.fault(node, place, "HTTP/2 is not spoken here", hint);
        }
    }
    let place = Place::Key(&place, "headers");
    let Some(node) = map.get("headers") else { return Some(Vec::new()) };
    let mut headers = Vec::new();
    for (name, value) in doc.open_map(node, place)?.entries() {
        let here = Place::Key(&place, name);
        let text = doc.text(value, here)?.to_owned();
        match (name.parse::<HeaderName>(), HeaderValue::from_str(&text)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => doc.fault(value, here, "this is no header", None),
        }
    }
    Some(headers)
}

fn tls(doc: &mut Document<'_>, node: &Node, folder: &Path) -> Option<Arc<ServerConfig>> {
    let place = Place::Key(&Place::Root, "tls_server_config");
    let map = doc.map(node, place, &TLS_KEYS)?;
    let words =
        [("NoClientCert", ClientAuth::None), ("RequireAndVerifyClientCert", ClientAuth::Require)];
    let auth = match map.get("client_auth_type") {
        Some(node) => doc.word(node, Place::Key(&place, "client_auth_type"), &words)?,
        None => ClientAuth::None,
    };
    let versions = [("TLS12", true), ("TLS13", false)];
    let old = match map.get("min_version") {
        Some(node) => doc.word(node, Place::Key(&place, "min_version"), &versions)?,
        None => true,
    };
    let cert = path(doc, &map, place, "cert_file", folder)?;
    let key = path(doc, &map, place, "key_file", folder)?;
    let authority = match (auth, map.get("client_ca_file")) {
        (ClientAuth::Require, _) => Some(path(doc, &map, place, "client_ca_file", folder)?),
        (ClientAuth::None, None) => None,
        (ClientAuth::None, Some(node)) => {
            let hint = Some("write `client_auth_type: RequireAndVerifyClientCert`".to_owned());
            let place = Place::Key(&place, "client_ca_file");
            doc.fault(node, place, "no client is asked for a certificate", hint);
            return None;
        }
    };
    match server(&cert, &key, authority.as_deref(), old) {
        Ok(config) => Some(Arc::new(config)),
        Err(message) => {
            doc.fault(node, place, message, None);
            None
        }
    }
}

fn path(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    key: &str,
    folder: &Path,
) -> Option<PathBuf> {
    let Some(node) = map.get(key) else {
        doc.fault(map.node, place, format!("`{key}` is missing"), None);
        return None;
    };
    doc.text(node, Place::Key(&place, key)).map(|path| folder.join(path))
}

fn server(
    cert: &Path,
    key: &Path,
    authority: Option<&Path>,
    old: bool,
) -> Result<ServerConfig, String> {
    let certificates = |path: &Path| -> Result<Vec<CertificateDer<'static>>, String> {
        let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let all: Vec<_> = all.map_err(|e| format!("{}: {e}", path.display()))?;
        if all.is_empty() {
            Err(format!("{} holds no certificate", path.display()))
        } else {
            Ok(all)
        }
    };
    let chain = certificates(cert)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] =
        if old { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS13] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|e| e.to_string())?;
    let builder = match authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| e.to_string())?)
        }
    };
    let mut config = builder.with_single_cert(chain, private).map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
