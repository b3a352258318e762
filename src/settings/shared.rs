//! What teams share: the settings that decide what is asked and who is told, flat, to be compared; no secret among them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::domain::time::duration::show;
use crate::dsn::Dsn;
use crate::settings::notices::{Address, PeerEntry};
use crate::settings::{Settings, SourceEntry};
use crate::source::Instants;

/// How many bytes of a digest stand for an address that may be a secret.
const DIGEST: usize = 4;

/// Settings by their place, as people compare them.
pub type Shared = BTreeMap<String, String>;

impl Settings {
    /// What teams share, by its place in the file. Relative paths count from `folder`.
    pub fn shared(&self, folder: &Path) -> Shared {
        let mut all = Shared::new();
        for source in &self.sources {
            source.shared(folder, &mut all);
        }
        let notices = &self.notices;
        for (name, value) in &notices.labels {
            all.insert(format!("labels.{name}"), value.clone());
        }
        for peer in &notices.alertmanagers {
            all.insert(format!("alertmanagers.{}", peer.name), peer.shown_address());
        }
        for peer in &notices.webhooks {
            all.insert(format!("webhooks.{}", peer.name), peer.shown_address());
        }
        if let Some(heartbeat) = &notices.heartbeat {
            all.insert("heartbeat.url".to_owned(), heartbeat.peer.shown_address());
            all.insert("heartbeat.every".to_owned(), show(heartbeat.every));
        }
        if let Some(watchdog) = &notices.watchdog {
            all.insert("watchdog.every".to_owned(), show(watchdog.every));
            all.insert("watchdog.within".to_owned(), show(watchdog.within));
        }
        let rhythm = &notices.rhythm;
        let times = [("resend", rhythm.resend), ("hold", rhythm.hold), ("lasts", rhythm.lasts)];
        for (name, time) in times {
            let time = time.to_std().unwrap_or(Duration::ZERO);
            all.insert(format!("notices.{name}"), show(time));
        }
        all.insert("rollout.weaker".to_owned(), self.rollout.weaker.as_str().to_owned());
        all.insert("rollout.other".to_owned(), self.rollout.other.as_str().to_owned());
        all
    }
}

impl SourceEntry {
    fn shared(&self, folder: &Path, all: &mut Shared) {
        let mut put = |key: &str, value: String| {
            all.insert(format!("sources.{}.{key}", self.name), value);
        };
        put(
            "url",
            match &self.dsn {
                Dsn::Sqlite(path) => {
                    format!("SQLite {}", path.strip_prefix(folder).unwrap_or(path).display())
                }
                Dsn::Postgres(_) | Dsn::MySql(_) => self.dsn.to_string(),
            },
        );
        put("timeout", show(self.timeout));
        put("connections", self.connections.to_string());
        if let Some(query) = &self.freshness.complete_until {
            put("complete_until", query.text().to_owned());
        }
        if let Some(lag) = self.freshness.max_lag {
            put("max_lag", show(lag));
        }
        if self.standby_is_direct {
            put("standby", "direct".to_owned());
        }
        if !self.search_path.is_empty() {
            put("search_path", self.search_path.join(", "));
        }
        if let Some(instants) = self.instants {
            let word = Instants::WORDS.into_iter().find(|(_, one)| *one == instants);
            put("instants", word.map_or("", |(word, _)| word).to_owned());
        }
        if self.allow_superuser {
            put("allow_superuser", "true".to_owned());
        }
    }
}

impl PeerEntry {
    /// Where it is, so that another address is seen and none is told: those of webhooks are secrets by themselves.
    fn shown_address(&self) -> String {
        let address = match &self.address {
            Address::Plain(address) => address,
            Address::Secret(reference) => return reference.to_string(),
        };
        let Ok(url) = url::Url::parse(address) else { return "?".to_owned() };
        let origin = url.origin().ascii_serialization();
        if matches!(url.path(), "" | "/") && url.query().is_none() {
            return origin;
        }
        let digest = Sha256::digest(address.as_bytes());
        let digest: String = digest.iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
        format!("{origin}/… ({digest})")
    }
}
