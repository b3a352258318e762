//! How a receiver of webhooks does.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::outbox::{Acknowledged, AlertId};

/// How long a receiver may take nothing before that is a fault of its own.
const BROKEN_AFTER: TimeDelta = TimeDelta::minutes(2);

/// How a receiver does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Who.
    pub name: String,
    /// How many messages it took.
    pub accepted: u64,
    /// How many it did not take, and will get again.
    pub failed: u64,
    /// How many it did not take for so long that they are not tried any more.
    pub given_up: u64,
    /// Why it did not take the last one.
    pub why: Option<String>,
    /// Since when it does not take something, where that is so.
    pub failing_since: Option<DateTime<Utc>>,
    /// The earliest end of an alert that it was not told.
    pub unsettled: Option<DateTime<Utc>>,
    /// What it took of each alert.
    pub acknowledged: Arc<BTreeMap<AlertId, Acknowledged>>,
}

impl Health {
    /// Since when notices do not get through to it, and why; nothing where they do, or are only late.
    pub fn broken(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
        let since = self.failing_since.filter(|since| *since + BROKEN_AFTER <= now)?;
        Some((since, self.why.clone().unwrap_or_default()))
    }
}
