//! What systemd is told (`sd_notify(3)`): ready, reloading, stopping, and that the engine moves.
//! Without systemd nothing is sent, and nothing is different.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::snapshot::{FRESH, Snapshot};

/// How much time the start asks for at once, in microseconds, and how often.
const MORE_TIME: u32 = 60_000_000;
const MORE_TIME_EACH: Duration = Duration::from_secs(15);

fn announce(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Waits for a part of the start that may take long, and asks for time meanwhile.
pub(super) async fn while_starting<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        announce(&[NotifyState::ExtendTimeoutUsec(MORE_TIME)]);
        tokio::select! {
            done = &mut work => return done,
            () = sleep(MORE_TIME_EACH) => {}
        }
    }
}

pub(super) fn ready() {
    announce(&[NotifyState::Ready]);
}

pub(super) fn stopping() {
    announce(&[NotifyState::Stopping]);
}

/// Says that a reload began; [`ready`] says that it is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => announce(&[NotifyState::Reloading, now]),
        Err(_) => announce(&[NotifyState::Reloading]),
    }
}

/// Feeds the watchdog as long as the engine moves: one that is stuck is ended and started anew.
pub(super) async fn watchdog(pictures: watch::Receiver<Arc<Snapshot>>, stop: CancellationToken) {
    let Some(limit) = watchdog_enabled() else {
        stop.cancelled().await;
        return;
    };
    let each = (limit / 3).max(Duration::from_millis(100));
    loop {
        if pictures.borrow().taken.elapsed() < FRESH.min(limit) {
            announce(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(each) => {}
        }
    }
}
