//! The daemon's own memory while a server answers: the drivers read a message as a whole, however long it is.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// By how much the process may grow while a query is under way.
const GROWTH_MAX: u64 = 96 << 20;
/// How often the process looks.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until the process has grown by more than it may since this was called; for ever where the system does not
/// say how large it is.
pub(super) async fn outgrown() {
    let Some(before) = resident() else { return std::future::pending().await };
    loop {
        sleep_until(Instant::now() + LOOK).await;
        if resident().is_some_and(|now| now > before + GROWTH_MAX) {
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
    async fn a_process_that_outgrows_itself_is_told() {
        let grown = outgrown();
        let mut grown = std::pin::pin!(grown);
        let soon = Duration::from_millis(100);
        assert!(tokio::time::timeout(soon, &mut grown).await.is_err(), "nothing has grown");
        let large = vec![1_u8; usize::try_from(GROWTH_MAX).unwrap() + (64 << 20)];
        tokio::time::timeout(Duration::from_secs(10), grown).await.unwrap();
        drop(large);
    }
}
