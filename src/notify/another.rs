//! Whether another daemon, with a ledger of its own, tells alerts under the labels of this installation: then neither may
//! end what the other one says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::alertmanager::Health;
use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::seen::installation;
use crate::engine::snapshot::Snapshot;

/// How long it is remembered that another ledger keeps an alert up: of two that send the same one, now the one and now the
/// other was last.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What another ledger keeps up under the labels of this installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Another {
    /// Which alerts.
    pub alerts: Arc<BTreeSet<Fingerprint>>,
    /// The ids of those ledgers.
    pub ledgers: BTreeSet<String>,
}

/// Looks for another one.
pub(crate) struct Lookout {
    found: BTreeMap<Fingerprint, (String, Instant)>,
    shown: watch::Sender<Another>,
}

impl Lookout {
    pub(crate) fn new() -> (Self, watch::Receiver<Another>) {
        let (shown, seen) = watch::channel(Another::default());
        (Self { found: BTreeMap::new(), shown }, seen)
    }

    /// Takes note of what an Alertmanager holds.
    pub(crate) fn look(&mut self, health: &Health, picture: &Snapshot) {
        let (Some(first), Some((at, seen))) = (&health.first, &health.seen) else { return };
        let ours = installation(&picture.labels);
        let ledger = picture.ledger_id.as_ref();
        let times = (first.at, *at);
        let theirs = seen.iter().filter(|a| a.is_kept_by_another((&ours, ledger), times));
        for alert in theirs.filter(|_| !ledger.is_empty()) {
            let theirs = alert.ledger_in(&ours).unwrap_or_default().to_owned();
            self.found.insert(alert.fingerprint(), (theirs, Instant::now()));
        }
    }

    /// Says what is known of another one by now.
    pub(crate) fn show(&mut self) -> Another {
        self.found.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        let another = Another {
            alerts: Arc::new(self.found.keys().copied().collect()),
            ledgers: self.found.values().map(|(ledger, _)| ledger.clone()).collect(),
        };
        self.shown.send_if_modified(|shown| {
            let news = *shown != another;
            if news {
                shown.clone_from(&another);
            }
            news
        });
        another
    }
}
