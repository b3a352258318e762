//! Everybody who is told: opened at the start, run beside the engine, and told the last word at the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alertmanager::{Alertmanager, Health};
use crate::board::Board;
use crate::clock::Clock;
use crate::domain::alerting::outbox::Rhythm;
use crate::engine::snapshot::Snapshot;
use crate::heartbeat::Heartbeat;
use crate::http::Peer;
use crate::ledger::SelfAlert;
use crate::notify::alert_path::Paths;
use crate::notify::another::Lookout;
use crate::notify::links::Links;
use crate::notify::nonces::Nonces;
use crate::notify::notifier::{Notifier, Receiver};
use crate::notify::reached::Reached;
use crate::settings::{PeerEntry, Settings};
use crate::webhook::{self, Webhook};

/// Everybody who is told.
pub(super) struct Senders {
    pub(super) paths: Paths,
    lookout: Lookout,
    pub(super) nonces: Option<Nonces>,
    every: Duration,
    rhythm: Rhythm,
    has_others: bool,
    alertmanagers: Vec<Alertmanager>,
    webhooks: Vec<Webhook>,
    heartbeat: Option<Heartbeat>,
    slow_ones: watch::Sender<Arc<BTreeMap<String, String>>>,
    clock: Clock,
}

fn open(entry: &PeerEntry) -> Result<Peer, String> {
    let (address, auth) = entry.open()?;
    let peer = Peer::new(&address, auth, &entry.tls, Some(entry.timeout));
    peer.map_err(|error| format!("`{}`: {error}", entry.name))
}

/// A name that is not taken yet.
fn another(name: &str, taken: &dyn Fn(&str) -> bool) -> String {
    let mut name = name.to_owned();
    while taken(&name) {
        name.push_str(" (another)");
    }
    name
}

fn named(receiver: &watch::Receiver<webhook::Health>) -> String {
    receiver.borrow().name.clone()
}

impl Senders {
    /// Prepares to tell everybody whom the settings name.
    ///
    /// # Errors
    /// Where a secret, an address or a certificate is not there.
    pub(super) fn open(settings: &Settings, clock: &Clock) -> Result<Self, String> {
        let entry = &settings.notices;
        let (mut alertmanagers, mut healths) = (Vec::new(), Vec::new());
        for peer in &entry.alertmanagers {
            // A proof of one way is none of another: no two have one name.
            let taken = |name: &str| {
                healths.iter().any(|h: &watch::Receiver<Health>| h.borrow().name == name)
            };
            let name = another(&peer.name, &taken);
            let (alertmanager, health) =
                Alertmanager::new(name, open(peer)?, entry.rhythm, clock.clone());
            alertmanagers.push(alertmanager);
            healths.push(health);
        }
        let (mut webhooks, mut receivers) =
            (Vec::new(), Vec::<watch::Receiver<webhook::Health>>::new());
        for peer in &entry.webhooks {
            let taken = |name: &str| receivers.iter().any(|known| named(known) == name);
            let name = another(&peer.name, &taken);
            let (webhook, health) = Webhook::new(name, open(peer)?, clock.clone());
            webhooks.push(webhook);
            receivers.push(health);
        }
        let (mut heartbeat, mut seen) = (None, None);
        if let Some(entry) = &entry.heartbeat {
            let (beats, health) = Heartbeat::new(open(&entry.peer)?, entry.every, clock.clone());
            (heartbeat, seen) = (Some(beats), Some(health));
        }
        let mut nonces = None;
        if let Some(watchdog) = &entry.watchdog {
            let token = watchdog.token.read().map_err(|e| format!("`token` of `watchdog`: {e}"))?;
            nonces = Some(Nonces::new(token));
        }
        let (slow_ones, slow) = watch::channel(Arc::default());
        let (lookout, another) = Lookout::new();
        let paths = Paths {
            alertmanagers: healths,
            webhooks: receivers,
            proved_within: entry.watchdog.as_ref().map(|watchdog| watchdog.within),
            heartbeat: seen,
            since: clock.now(),
            began: Instant::now(),
            slow,
            another,
            reached: Reached::default(),
        };
        let every = entry.watchdog.as_ref().map_or(Duration::from_secs(60), |w| w.every);
        let clock = clock.clone();
        let rhythm = entry.rhythm;
        let has_others = settings.ledger.is_shared();
        Ok(Self {
            paths,
            nonces,
            every,
            rhythm,
            has_others,
            alertmanagers,
            webhooks,
            heartbeat,
            slow_ones,
            lookout,
            clock,
        })
    }

    /// Tells everybody until it is told to stop.
    pub(super) fn run(
        self,
        pictures: watch::Receiver<Arc<Snapshot>>,
        labels: watch::Receiver<BTreeMap<String, String>>,
        links: Links,
        (replica, written): (String, watch::Sender<Option<Arc<Vec<SelfAlert>>>>),
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let Self { paths, nonces, every, rhythm, has_others, slow_ones, lookout, clock, .. } = self;
        let (alertmanagers, webhooks, heartbeat) =
            (self.alertmanagers, self.webhooks, self.heartbeat);
        let mut receivers = Vec::new();
        let mut told: Vec<watch::Receiver<Arc<Board>>> = Vec::new();
        let names = paths.alertmanagers.iter().map(|health| {
            let name = health.borrow().name.clone();
            (name.clone(), Some(name))
        });
        let hooks =
            paths.webhooks.iter().map(|health| (format!("webhook {}", named(health)), None));
        for (name, alertmanager) in names.chain(hooks) {
            let (board, receiver) = watch::channel(Arc::default());
            receivers.push(Receiver { name, alertmanager, board });
            told.push(receiver);
        }
        let (seen, ways) = (pictures.clone(), paths.clone());
        let notifier = Notifier {
            pictures,
            paths,
            clock,
            labels,
            links,
            receivers,
            nonces,
            every,
            rhythm,
            replica,
            has_others,
            written,
            known: BTreeMap::new(),
            own: BTreeMap::new(),
            slow: BTreeMap::new(),
            slow_ones,
            lookout,
            told_sequence: None,
            began: Instant::now(),
        };
        async move {
            let mut parts = JoinSet::new();
            let mut told = told.into_iter();
            // They are stopped when the last word is said.
            let said = CancellationToken::new();
            for (alertmanager, wanted) in alertmanagers.into_iter().zip(told.by_ref()) {
                parts.spawn(alertmanager.run(wanted, said.clone()));
            }
            for (webhook, wanted) in webhooks.into_iter().zip(told) {
                parts.spawn(webhook.run(wanted, said.clone()));
            }
            if let Some(heartbeat) = heartbeat {
                let earned = move || ways.earned(&seen.borrow());
                parts.spawn(heartbeat.run(earned, said.clone()));
            }
            // A part that ends by itself ends the others: the process then ends.
            tokio::select! {
                () = notifier.run(stop.clone()) => {}
                Some(_) = parts.join_next() => {}
            }
            said.cancel();
            while parts.join_next().await.is_some() {}
        }
    }
}
