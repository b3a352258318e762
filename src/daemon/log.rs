//! The log: what changed, for people. Secrets and values of rows never reach it.

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::alertmanager::Health;
use crate::domain::alert::Fingerprint;
use crate::domain::check::Check;
use crate::domain::life::Said;
use crate::domain::standing::{Alarm, Notice};
use crate::engine::ports::Notices;
use crate::ledger::SeriesRecord;
use crate::webhook;

/// Begins to write the log, to standard error.
pub fn begin() {
    // Of others nothing: a database's driver logs the words of its server.
    let ours = Targets::new().with_target("allswell", Level::INFO);
    let log = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // There is one already where the program is embedded.
    drop(registry().with(log.with_filter(ours)).try_init());
}

/// Standings that change, written to the log; and whether everybody knows what ended.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The Alertmanagers.
    pub(super) alertmanagers: Vec<watch::Receiver<Health>>,
    /// The receivers of webhooks.
    pub(super) webhooks: Vec<watch::Receiver<webhook::Health>>,
}

impl Notices for Log {
    fn tell(&mut self, check: &Check, series: &SeriesRecord, notice: Notice) {
        let (alarm, fires) = match notice {
            Notice::Firing(alarm) => (alarm, true),
            Notice::Resolved(alarm) => (alarm, false),
        };
        let (what, open) = match alarm {
            Alarm::Violated => ("violated", series.open_violated),
            Alarm::Unconfirmed => ("unconfirmed", series.open_unconfirmed),
        };
        let (id, owner, severity) = (&check.id, &check.owner, check.severity);
        let tz = series.tz.as_deref();
        // What an attempt found may hold values of rows: it is in the record, not here.
        let cause = series.last.as_ref().and_then(|last| match last.said {
            Said::Unconfirmed(cause) => Some(cause.as_str()),
            Said::Confirmed | Said::Violated => None,
        });
        if fires {
            tracing::warn!(check = %id, tz, %owner, %severity, open, cause, "{what}: firing");
        } else {
            let waived = series.waived;
            tracing::info!(check = %id, tz, %owner, %severity, waived, "{what}: resolved");
        }
    }

    fn heard(&self, alert: (Fingerprint, DateTime<Utc>)) -> bool {
        self.alertmanagers.iter().any(|health| health.borrow().heard.contains(&alert))
    }

    fn unsettled(&self) -> Option<DateTime<Utc>> {
        let ways = self.alertmanagers.iter().filter_map(|health| health.borrow().unsettled);
        let hooks = self.webhooks.iter().filter_map(|health| health.borrow().unsettled);
        ways.chain(hooks).min()
    }
}
