//! Ctrl-C and SIGTERM: once to stop in order, twice to stop at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::complain;

/// Cancels `stop` at the first signal; returns at the second.
pub(super) async fn on_signal(stop: CancellationToken) {
    let (Ok(mut int), Ok(mut term)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    for first in [true, false] {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        if first {
            complain("\nstopping: what runs is cancelled at the servers; once more stops at once");
            stop.cancel();
        }
    }
}

/// Cancels `stop` at the first signal, and never returns: what has to be ended is ended, however often it is asked.
pub(super) async fn on_first_signal(stop: &CancellationToken) {
    let (Ok(mut int), Ok(mut term)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    complain("\nstopping: what was sent is ended");
    stop.cancel();
    loop {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    }
}
