//! The daemon's own memory while a server answers: the drivers read a message as a whole, however long it is.
//!
//! How large the process is belongs to no source, so what is counted here is the process's own. What SQLite takes is
//! bounded by itself, and allowed for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// By how much the process may grow while a query is under way.
const GROWTH_MAX: u64 = 96 << 20;
/// How much memory SQLite may take in this process, in bytes: the queries of all checks, and the ledger where it is a
/// file.
pub(super) const SQLITE_MAX: u64 = 128 << 20;
/// How often the process looks.
const LOOK: Duration = Duration::from_millis(25);

/// How many attempts at SQLite databases began, and how many ended.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);

/// An attempt at an SQLite database, as long as it lasts: it takes memory of this process.
pub(super) struct InProcess(());

impl InProcess {
    pub(super) fn begin() -> Self {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until the process has grown by more than it may since this was called; for ever where the system does not
/// say how large it is.
pub(super) async fn outgrown() {
    let Some(before) = resident() else { return std::future::pending().await };
    let ended = ENDED.load(Ordering::Relaxed);
    loop {
        sleep_until(Instant::now() + LOOK).await;
        // One that was under way at any moment since may have grown, and what it frees may stay with the process.
        let beside = BEGUN.load(Ordering::Relaxed) > ended;
        let most = before + GROWTH_MAX + if beside { SQLITE_MAX } else { 0 };
        if resident().is_some_and(|now| now > most) {
            return;
        }
    }
}

/// How many bytes of the process are in memory: the second number of `/proc/self/statm`, proc(5).
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_outgrows_itself_is_told_and_sqlite_is_allowed_for() {
        let grown = outgrown();
        let mut grown = std::pin::pin!(grown);
        let soon = Duration::from_millis(100);
        assert!(tokio::time::timeout(soon, &mut grown).await.is_err(), "nothing has grown");
        let megabytes = |count: usize| vec![1_u8; count << 20];
        let attempt = InProcess::begin();
        let large = megabytes(160);
        assert!(tokio::time::timeout(soon, &mut grown).await.is_err(), "SQLite may take that");
        drop(attempt);
        assert!(
            tokio::time::timeout(soon, &mut grown).await.is_err(),
            "it may be kept for a while"
        );
        let more = megabytes(96);
        tokio::time::timeout(Duration::from_secs(10), grown).await.unwrap();
        drop((large, more));
    }
}
