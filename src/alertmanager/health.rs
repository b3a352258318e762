//! How an Alertmanager does, as we see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::outbox::{Acknowledged, AlertId};
use crate::domain::alerting::quiet::Silence;
use crate::domain::alerting::routing::Route;
use crate::domain::alerting::seen::{FirstLook, SeenAlert};

/// How an Alertmanager does, as we see it.
#[derive(Debug, Clone)]
pub struct Health {
    /// Who.
    pub name: String,
    /// When it last took what it was told, or said that it is there.
    pub reached_at: Option<DateTime<Utc>>,
    /// Since when it does not, where that is so.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it does not, or which alert it refuses.
    pub why: Option<String>,
    /// Its release.
    pub version: Option<String>,
    /// How many alerts it took.
    pub accepted: u64,
    /// How many it did not take, because it did not answer or was not well.
    pub failed: u64,
    /// How many it refused.
    pub refused: u64,
    /// How many stand, how many of those it does not know yet, and how many it refuses.
    pub standing: (usize, usize, usize),
    /// The earliest end of an alert that it does not know of.
    pub unsettled: Option<DateTime<Utc>>,
    /// How far its clock is ahead of ours.
    pub ahead: TimeDelta,
    /// What it acknowledged of each alert.
    pub acknowledged: Arc<BTreeMap<AlertId, Acknowledged>>,
    /// Which alerts any replica sent it just before it was asked, and when that was; `None` where it did not answer.
    pub repeated: Option<(Instant, Arc<BTreeSet<Fingerprint>>)>,
    /// What it held before this process sent anything to it; nothing before it was asked.
    pub first: Option<Arc<FirstLook>>,
    /// What it holds, as it said last, and when that was by its clock; nothing where it does not say.
    pub seen: Option<(DateTime<Utc>, Arc<Vec<SeenAlert>>)>,
    /// Its routes, where it shows them and they can be read.
    pub routes: Option<Arc<Route>>,
    /// Its receivers, and whether each notifies, where it shows them and they can be read.
    pub receivers: Option<Arc<BTreeMap<String, bool>>>,
    /// The silences that hold back what it holds, by their ids.
    pub silences: Arc<BTreeMap<String, Silence>>,
    /// What became of each check that is kept quiet: its silence is there, or why it is not.
    pub quiets: Arc<BTreeMap<i64, Result<(), String>>>,
    /// Which cluster it belongs to, by its members; nothing where it is alone, or does not say.
    pub cluster: Option<String>,
    /// Its scheme, host and port.
    pub address: String,
}

impl Health {
    /// Before anything was told.
    pub fn new(name: String, address: String) -> Self {
        Self {
            name,
            reached_at: None,
            failing_since: None,
            why: None,
            version: None,
            accepted: 0,
            failed: 0,
            refused: 0,
            standing: (0, 0, 0),
            unsettled: None,
            ahead: TimeDelta::zero(),
            acknowledged: Arc::default(),
            repeated: None,
            first: None,
            seen: None,
            routes: None,
            receivers: None,
            silences: Arc::default(),
            quiets: Arc::default(),
            cluster: None,
            address,
        }
    }
}
