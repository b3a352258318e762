//! Who is told, and how: Alertmanagers, receivers of webhooks, a heartbeat; and how the way there is
//! proved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::alerting::outbox::Rhythm;
use crate::domain::check::name::LabelName;
use crate::domain::time::duration::delta;
use crate::http::{Auth, Tls};
use crate::manifest::{Document, Map, Node, Place};
use crate::secret::Reference;
use crate::settings::daemon::within;
use crate::settings::optional;

pub(super) const PEER_KEYS: [&str; 7] =
    ["url", "token", "user", "password", "ca_file", "identity_file", "timeout"];
pub(super) const WEBHOOK_KEYS: [&str; 8] =
    ["name", "url", "token", "user", "password", "ca_file", "identity_file", "timeout"];
pub(super) const HEARTBEAT_KEYS: [&str; 3] = ["url", "every", "timeout"];
pub(super) const RHYTHM_KEYS: [&str; 3] = ["resend", "hold", "lasts"];
pub(super) const WATCHDOG_KEYS: [&str; 3] = ["token", "every", "within"];
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// An address: as it is, or a reference to it, where it is a secret by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Plain(String),
    Secret(Reference),
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// What it is called: a webhook's name; else its address.
    pub name: String,
    pub(super) address: Address,
    token: Option<Reference>,
    user: Option<(String, Reference)>,
    /// How far TLS is not as everywhere.
    pub tls: Tls,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl PeerEntry {
    /// One at a plain address, with nothing to show there.
    pub fn plain(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: Address::Plain(url.to_owned()),
            token: None,
            user: None,
            tls: Tls::default(),
            timeout: SECOND * 5,
        }
    }

    /// Where its secrets are.
    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.token.iter().chain(self.user.iter().map(|(_, password)| password))
    }

    /// Reads the address, and how we say who we are.
    ///
    /// # Errors
    /// Where a secret was looked for and not found.
    pub fn open(&self) -> Result<(String, Auth), String> {
        use secrecy::ExposeSecret as _;
        let named = |e: String| format!("`{}`: {e}", self.name);
        let address = match &self.address {
            Address::Plain(address) => address.clone(),
            Address::Secret(reference) => {
                reference.read().map_err(named)?.expose_secret().to_owned()
            }
        };
        let auth = match (&self.token, &self.user) {
            (Some(token), _) => Auth::Bearer(token.read().map_err(named)?),
            (None, Some((user, password))) => {
                Auth::Basic(user.clone(), password.read().map_err(named)?)
            }
            (None, None) => Auth::Nobody,
        };
        Ok((address, auth))
    }
}

/// The heartbeat that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatEntry {
    /// Where it goes.
    pub peer: PeerEntry,
    /// How often.
    pub every: Duration,
}

/// How the way to the Alertmanagers and back is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogEntry {
    /// What who brings it back has to know.
    pub token: Reference,
    /// How often something new goes out.
    pub every: Duration,
    /// How old the newest that came back may be.
    pub within: Duration,
}

/// Who is told, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticesEntry {
    /// The installation's labels, on each notice.
    pub labels: BTreeMap<String, String>,
    /// The Alertmanagers: each is told everything.
    pub alertmanagers: Vec<PeerEntry>,
    /// Receivers of webhooks in Alertmanager's form.
    pub webhooks: Vec<PeerEntry>,
    /// The heartbeat.
    pub heartbeat: Option<HeartbeatEntry>,
    /// When alerts are told.
    pub rhythm: Rhythm,
    /// How the way is proved.
    pub watchdog: Option<WatchdogEntry>,
}

/// What is said where Alertmanagers are told, and nothing tells this installation from another one.
const NAMELESS: &str = "`labels` is empty: two installations that tell one Alertmanager end each other's alerts. Write, \
                        for example, `labels: {cluster: eu-1}`";

/// What is said where nothing proves the way.
const UNPROVED: &str = "there is no `watchdog`: nothing proves that alerts get through. `allswell alertmanager-config` prints \
                        its route and receiver";

impl NoticesEntry {
    /// What had better be otherwise, where something had.
    pub fn warnings(&self) -> Vec<&'static str> {
        if self.alertmanagers.is_empty() {
            return Vec::new();
        }
        let nameless = self.labels.is_empty().then_some(NAMELESS);
        let unproved = self.watchdog.is_none().then_some(UNPROVED);
        nameless.into_iter().chain(unproved).collect()
    }

    /// Says whether a running daemon may go on with these: what it opens at its start is the same.
    pub(super) fn opens_the_same(&self, other: &Self) -> bool {
        Self { labels: other.labels.clone(), ..self.clone() } == *other
    }
}

/// Reads everything about notices.
pub(super) fn notices(
    doc: &mut Document<'_>,
    root: &Map<'_>,
    folder: &Path,
) -> Option<NoticesEntry> {
    let labels = labels(doc, root);
    let mut peers = |key: &str, keys: &[&str]| -> Option<Vec<PeerEntry>> {
        let Some(node) = root.get(key) else { return Some(Vec::new()) };
        let place = Place::Key(&Place::Root, key);
        let mut all = Vec::new();
        for (number, node) in doc.list(node, place)?.iter().enumerate() {
            all.push(peer(doc, node, Place::Item(&place, number), keys, folder)?);
        }
        Some(all)
    };
    let alertmanagers = peers("alertmanagers", &PEER_KEYS);
    let webhooks = peers("webhooks", &WEBHOOK_KEYS);
    let heartbeat = heartbeat(doc, root, folder);
    let rhythm = rhythm(doc, root);
    let watchdog = watchdog(doc, root, folder);
    let alertmanagers = alertmanagers.and_then(|all| {
        let node = root.get("alertmanagers")?;
        sound(doc, node, &all).then_some(all)
    });
    let alertmanagers =
        if root.get("alertmanagers").is_none() { Some(Vec::new()) } else { alertmanagers };
    let entry = NoticesEntry {
        labels: labels?,
        alertmanagers: alertmanagers?,
        webhooks: webhooks?,
        heartbeat: heartbeat?,
        rhythm: rhythm?,
        watchdog: watchdog?,
    };
    if let (Some(node), true) = (root.get("watchdog"), entry.alertmanagers.is_empty()) {
        let hint = "write `alertmanagers: [{url: \"http://…:9093\"}]` too".to_owned();
        let message = "`watchdog` proves the way to Alertmanagers, and none is named";
        doc.fault(node, Place::Key(&Place::Root, "watchdog"), message, Some(hint));
    }
    Some(entry)
}

/// Says whether each Alertmanager is another one, named without the paths of its API.
fn sound(doc: &mut Document<'_>, node: &Node, all: &[PeerEntry]) -> bool {
    let place = Place::Key(&Place::Root, "alertmanagers");
    let plain = |entry: &PeerEntry| match &entry.address {
        Address::Plain(url) => Some(url.trim_end_matches('/').to_owned()),
        Address::Secret(_) => None,
    };
    let addresses: Vec<String> = all.iter().filter_map(plain).collect();
    for (number, address) in addresses.iter().enumerate() {
        let fault = if address.contains("/api/v") {
            "name the address without /api/…"
        } else if addresses[..number].contains(address) {
            "this Alertmanager is named twice"
        } else {
            continue;
        };
        doc.fault(node, place, fault, None);
        return false;
    }
    true
}

fn labels(doc: &mut Document<'_>, root: &Map<'_>) -> Option<BTreeMap<String, String>> {
    let Some(node) = root.get("labels") else { return Some(BTreeMap::new()) };
    let place = Place::Key(&Place::Root, "labels");
    let map = doc.open_map(node, place)?;
    let mut labels = BTreeMap::new();
    for (name, node) in map.entries() {
        let shown = if LabelName::parse(name).is_ok() { name } else { "?" };
        let place = Place::Key(&place, shown);
        match LabelName::parse(name) {
            Ok(name) if name.is_of_drills() => doc.fault(node, place, LabelName::OF_DRILLS, None),
            Ok(name) => {
                let value = doc.text(node, place)?.to_owned();
                labels.insert(name.as_str().to_owned(), value);
            }
            Err(rule) => doc.fault(node, place, rule, None),
        }
    }
    Some(labels)
}

fn peer(
    doc: &mut Document<'_>,
    node: &Node,
    place: Place<'_>,
    keys: &[&str],
    folder: &Path,
) -> Option<PeerEntry> {
    let map = doc.map(node, place, keys)?;
    let Some(url) = map.get("url") else {
        doc.fault(node, place, "`url` is missing", None);
        return None;
    };
    let address = doc.parsed(url, Place::Key(&place, "url"), address)?.under(folder);
    let name = optional(&map, "name", |node| {
        doc.text(node, Place::Key(&place, "name")).map(str::to_owned)
    });
    let mut reference = |key: &str| {
        optional(&map, key, |node| {
            Some(doc.parsed(node, Place::Key(&place, key), Reference::parse)?.under(folder))
        })
    };
    let (token, password) = (reference("token")?, reference("password")?);
    let user = optional(&map, "user", |node| {
        doc.text(node, Place::Key(&place, "user")).map(str::to_owned)
    })?;
    let user = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            doc.fault(node, place, "`user` and `password` go together", None);
            return None;
        }
    };
    let mut file = |key: &str| -> Option<Option<PathBuf>> {
        optional(&map, key, |node| {
            doc.text(node, Place::Key(&place, key)).map(|path| folder.join(path))
        })
    };
    let tls = Tls { authority: file("ca_file")?, identity: file("identity_file")? };
    let timeout = optional(&map, "timeout", |node| {
        doc.parsed(node, Place::Key(&place, "timeout"), |t| within(t, SECOND, 60 * SECOND))
    });
    // A path or a query may be a secret: who it is, is said without them.
    let shown = match &address {
        Address::Plain(url) => url::Url::parse(url)
            .map_or_else(|_| url.clone(), |url| url.origin().ascii_serialization()),
        Address::Secret(_) => "an address that is a secret".to_owned(),
    };
    let name = name?.unwrap_or(shown);
    let timeout = timeout?.unwrap_or(10 * SECOND);
    Some(PeerEntry { name, address, token, user, tls, timeout })
}

impl Address {
    fn under(self, folder: &Path) -> Self {
        match self {
            Self::Secret(reference) => Self::Secret(reference.under(folder)),
            Self::Plain(url) => Self::Plain(url),
        }
    }
}

fn address(text: &str) -> Result<Address, String> {
    if text.starts_with("${") {
        return Reference::parse(text).map(Address::Secret).map_err(str::to_owned);
    }
    let url = url::Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    let url =
        url.ok_or("write an address as http://… or https://…, or as ${env:…} or ${file:…}")?;
    if url.password().is_some() || !url.username().is_empty() {
        return Err("a user stands in the address: write `user` and `password` beside it".into());
    }
    Ok(Address::Plain(text.to_owned()))
}

fn heartbeat(
    doc: &mut Document<'_>,
    root: &Map<'_>,
    folder: &Path,
) -> Option<Option<HeartbeatEntry>> {
    let Some(node) = root.get("heartbeat") else { return Some(None) };
    let place = Place::Key(&Place::Root, "heartbeat");
    let map = doc.map(node, place, &HEARTBEAT_KEYS)?;
    let every = optional(&map, "every", |node| {
        doc.parsed(node, Place::Key(&place, "every"), |t| within(t, SECOND, HOUR))
    });
    let Some(url) = map.get("url") else {
        doc.fault(node, place, "`url` is missing", None);
        return None;
    };
    let address = doc.parsed(url, Place::Key(&place, "url"), address)?.under(folder);
    let timeout = optional(&map, "timeout", |node| {
        doc.parsed(node, Place::Key(&place, "timeout"), |t| within(t, SECOND, 60 * SECOND))
    });
    let peer = PeerEntry {
        name: "heartbeat".to_owned(),
        address,
        token: None,
        user: None,
        tls: Tls::default(),
        timeout: timeout?.unwrap_or(10 * SECOND),
    };
    Some(Some(HeartbeatEntry { peer, every: every?.unwrap_or(60 * SECOND) }))
}

fn rhythm(doc: &mut Document<'_>, root: &Map<'_>) -> Option<Rhythm> {
    let place = Place::Key(&Place::Root, "notices");
    let mut read = |key: &str, least: Duration, most: Duration, otherwise: Duration| {
        let Some(node) = root.get("notices") else { return Some(otherwise) };
        let map = doc.map(node, place, &RHYTHM_KEYS)?;
        let value = optional(&map, key, |node| {
            doc.parsed(node, Place::Key(&place, key), |text| within(text, least, most))
        });
        Some(value?.unwrap_or(otherwise))
    };
    let resend = read("resend", SECOND, HOUR / 4, 60 * SECOND)?;
    let hold = read("hold", Duration::ZERO, HOUR, 45 * SECOND)?;
    let lasts = read("lasts", 4 * SECOND, 24 * HOUR, HOUR)?;
    Some(Rhythm { resend: delta(resend), hold: delta(hold), lasts: delta(lasts.max(resend * 4)) })
}

fn watchdog(
    doc: &mut Document<'_>,
    root: &Map<'_>,
    folder: &Path,
) -> Option<Option<WatchdogEntry>> {
    let Some(node) = root.get("watchdog") else { return Some(None) };
    let place = Place::Key(&Place::Root, "watchdog");
    let map = doc.map(node, place, &WATCHDOG_KEYS)?;
    let Some(token) = map.get("token") else {
        let hint = "write `token: ${file:…}`, and the same in Alertmanager's receiver".to_owned();
        doc.fault(node, place, "`token` is missing", Some(hint));
        return None;
    };
    let token = doc.parsed(token, Place::Key(&place, "token"), Reference::parse)?.under(folder);
    let mut read = |key: &str, least: Duration, otherwise: Duration| {
        let value = optional(&map, key, |node| {
            doc.parsed(node, Place::Key(&place, key), |text| within(text, least, HOUR))
        });
        Some(value?.unwrap_or(otherwise))
    };
    let every = read("every", SECOND, 30 * SECOND)?;
    let within = read("within", 2 * SECOND, 300 * SECOND)?;
    if within < every * 2 {
        let hint = "write `within` at least twice as long as `every`".to_owned();
        doc.fault(node, place, "no proof comes so often: each would be late", Some(hint));
        return None;
    }
    Some(Some(WatchdogEntry { token, every, within }))
}
