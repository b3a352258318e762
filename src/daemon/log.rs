//! The log: what changed, for people. Secrets and values of rows never reach it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::alertmanager::Health;
use crate::domain::alerting::alert::Fingerprint;
use crate::domain::alerting::seen::FirstLook;
use crate::domain::check::Check;
use crate::domain::check::plain::plain;
use crate::domain::record::standing::{Alarm, Notice};
use crate::domain::record::window_state::VerdictKind;
use crate::engine::ports::{Notices, Receipts};
use crate::ledger::{SelfAlert, SeriesRecord};
use crate::notify::another::Another;
use crate::settings::{LogEntry, LogFormat, LogLevel};
use crate::webhook;

/// Begins to write the log, to standard error.
pub(super) fn begin(entry: LogEntry) {
    let level = match entry.level {
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    // Of others nothing: a database's driver logs the words of its server.
    let ours = Targets::new().with_target("allswell", level);
    let log = fmt::layer().with_writer(|| Plain(io::stderr())).with_target(false).with_ansi(false);
    // There is one already where the program is embedded.
    drop(match entry.format {
        LogFormat::Text => registry().with(log.with_filter(ours)).try_init(),
        LogFormat::Json => {
            let log = log.json().flatten_event(true);
            registry().with(log.with_filter(ours)).try_init()
        }
    });
}

/// Writes nothing that a terminal would obey.
struct Plain<W>(W);

impl<W: io::Write> io::Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(plain(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standings that change, written to the log; and whether everybody knows what ended.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The Alertmanagers.
    pub(super) alertmanagers: Vec<watch::Receiver<Health>>,
    /// The receivers of webhooks.
    pub(super) webhooks: Vec<watch::Receiver<webhook::Health>>,
    /// What another ledger keeps up under the labels of this installation.
    pub(super) another: watch::Receiver<Another>,
    /// How long another daemon takes at most to show itself.
    pub(super) patience: TimeDelta,
    /// The alerts of this replica about itself.
    pub(super) own: watch::Receiver<Option<Arc<Vec<SelfAlert>>>>,
}

impl Notices for Log {
    fn changed(&mut self, check: &Check, series: &SeriesRecord, notice: Notice) {
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
        let last = series.last.as_ref();
        let cause = last.and_then(|last| match last.said {
            VerdictKind::Unconfirmed(cause) => Some(cause.as_str()),
            VerdictKind::Confirmed | VerdictKind::Violated => None,
        });
        // The first line says what was expected and seen; those after it are rows, which are in the record only.
        let finding = last.and_then(|last| last.note.as_deref()?.lines().next());
        if fires {
            tracing::warn!(check = %id, tz, %owner, %severity, open, cause, finding, "{what}: firing");
        } else {
            let waived = series.waived;
            tracing::info!(check = %id, tz, %owner, %severity, waived, "{what}: resolved");
        }
    }

    fn acknowledged(&self) -> Vec<Receipts> {
        let alertmanagers = self.alertmanagers.iter().map(|health| {
            let health = health.borrow();
            (health.name.clone(), Arc::clone(&health.acknowledged))
        });
        let webhooks = self.webhooks.iter().map(|health| {
            let health = health.borrow();
            (format!("webhook {}", health.name), Arc::clone(&health.acknowledged))
        });
        alertmanagers.chain(webhooks).collect()
    }

    fn first_looks(&self) -> Vec<Arc<FirstLook>> {
        self.alertmanagers.iter().filter_map(|health| health.borrow().first.clone()).collect()
    }

    fn kept_by_another(&self) -> Arc<BTreeSet<Fingerprint>> {
        Arc::clone(&self.another.borrow().alerts)
    }

    fn patience(&self) -> TimeDelta {
        self.patience
    }

    fn own(&self) -> Option<Arc<Vec<SelfAlert>>> {
        self.own.borrow().clone()
    }

    fn unsettled(&self) -> Option<DateTime<Utc>> {
        let ways = self.alertmanagers.iter().filter_map(|health| health.borrow().unsettled);
        let hooks = self.webhooks.iter().filter_map(|health| health.borrow().unsettled);
        ways.chain(hooks).min()
    }
}
