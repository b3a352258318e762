//! An alert on its way to a receiver: as it stands, or as it ended.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::alerting::alert::{Alert, Fingerprint};

/// An alert on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertToSend {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The alert.
    pub alert: Arc<Alert>,
    /// When it ended; where it stands, for how long it stands without being sent again.
    pub end: End,
    /// Which state of it that is.
    pub(super) version: u64,
}

/// How far an alert on its way reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It stands, for so long without being sent again.
    Lasts(TimeDelta),
    /// It ended.
    At(DateTime<Utc>),
}

impl AlertToSend {
    /// Says whether it stands.
    pub fn stands(&self) -> bool {
        matches!(self.end, End::Lasts(_))
    }

    /// The same without its link.
    #[must_use]
    pub fn without_link(&self) -> Self {
        let alert = Arc::new(Alert { link: None, ..Alert::clone(&self.alert) });
        Self { alert, ..self.clone() }
    }
}
