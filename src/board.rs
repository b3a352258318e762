//! What a receiver of alerts is handed: everything that stands or ended a while ago, and how far that can be
//! relied on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::outbox::{AlertState, Sight};
use crate::domain::alerting::quiet::Quiet;

/// How long ago the record may have been read, where other replicas write it too, before nothing is said of what
/// begins or ends.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// What a receiver is handed.
#[derive(Debug, Clone, Default)]
pub struct Board {
    /// The alerts.
    pub alerts: Vec<AlertState>,
    /// When they were read from the record; `None` where no other replica writes it.
    pub read_at: Option<Instant>,
    /// Whether the record is known to be out of reach, where other replicas write it too.
    pub is_cut: bool,
    /// Whether other replicas send alerts too.
    pub has_others: bool,
    /// When the newest proof of the way was sent that came back, and how often one is sent.
    pub proof: Option<(DateTime<Utc>, TimeDelta)>,
    /// How often proofs are sent, where any are.
    pub proofs: Option<TimeDelta>,
    /// How far the record's clock is ahead of the host's.
    pub skew: TimeDelta,
    /// Alerts under our labels that another ledger keeps up: their ends are not ours to tell.
    pub kept_by_another: Arc<BTreeSet<Fingerprint>>,
    /// What is to be silent.
    pub quiet: QuietBoard,
    /// Whether proofs should come back, and none did for a while.
    pub is_unproved: bool,
}

/// What is to be silent at an Alertmanager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuietBoard {
    /// The checks that are kept quiet, and those that were until a while ago.
    pub all: Arc<Vec<Quiet>>,
    /// Which ledger that follows from.
    pub ledger: Arc<str>,
    /// The labels of its installation.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether this one makes silences: of a cluster, one does.
    pub makes_silences: bool,
}

impl Board {
    /// Whether the record was read a moment ago.
    pub fn sight(&self) -> Sight {
        match self.read_at {
            Some(at) if self.is_cut || at.elapsed() > READ_WITHIN => Sight::Blind,
            Some(_) | None => Sight::Clear,
        }
    }
}
