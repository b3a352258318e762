//! The log: what changed, for people. Secrets and values of rows never reach it.

use tracing_subscriber::fmt;

use crate::domain::check::Check;
use crate::domain::life::Said;
use crate::domain::standing::{Alarm, Notice};
use crate::engine::ports::Notices;
use crate::ledger::SeriesRecord;

/// Begins to write the log, to standard error.
pub fn begin() {
    let log = fmt().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // There is one already where the program is embedded.
    drop(log.with_max_level(tracing::Level::INFO).try_init());
}

/// Standings that change, written to the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log;

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
            tracing::info!(check = %id, tz, %owner, %severity, "{what}: resolved");
        }
    }
}
