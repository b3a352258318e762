//! The daemon's own memory while a server answers: the drivers read a message as a whole, however long it is.
//!
//! How large the process is belongs to no source, so what is counted here is the process's own. What SQLite takes is
//! bounded by itself, and allowed for.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// By how much the process may grow while a query is under way.
const GROWTH_MAX: u64 = 96 << 20;
/// How much memory SQLite may take in this process, in bytes: the queries of all checks, and the ledger where it is a
/// file.
pub(super) const SQLITE_MAX: u64 = 128 << 20;
/// How often the process looks, how often while it grows by so much between two looks, and how long without a query
/// until it does not.
const LOOK: Duration = Duration::from_millis(20);
const CLOSE_LOOK: Duration = Duration::from_millis(2);
const FAST: u64 = 4 << 20;
const REST: Duration = Duration::from_secs(1);
/// How long it may take to tell a server that a query has to end.
const END_MAX: Duration = Duration::from_secs(5);

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

/// Ends a query at its server, over a connection of its own.
pub(super) type End = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A query at a server, guarded as long as this lives.
///
/// The drivers read a message in one go as long as bytes come in, and the thread that reads does nothing else until then:
/// so another thread looks, and has the server end the query. A server that waits until we have read stops there at once.
pub(super) struct Guard {
    number: u64,
    outgrown: CancellationToken,
    reads: Arc<Reads>,
}

/// Whether a query reads what its server sends: one that only waits is not what makes the process grow.
#[derive(Debug, Default)]
struct Reads {
    /// How often it was polled.
    polls: AtomicU64,
    /// Whether it is polled now: a driver reads a message without a pause.
    now: AtomicBool,
}

impl Guard {
    /// Over what is bounded otherwise.
    pub(super) fn none() -> Self {
        Self { number: 0, outgrown: CancellationToken::new(), reads: Arc::default() }
    }

    pub(super) fn over(end: End) -> Self {
        let outgrown = CancellationToken::new();
        let reads = Arc::<Reads>::default();
        let number = match (resident(), LOOKOUT.queries.lock()) {
            (Some(before), Ok(mut queries)) => {
                let ended = ENDED.load(Ordering::Relaxed);
                queries.next += 1;
                let number = queries.next;
                let query = Query {
                    before,
                    ended,
                    outgrown: outgrown.clone(),
                    end,
                    reads: Arc::clone(&reads),
                    seen: 0,
                };
                queries.under_way.insert(number, query);
                if std::mem::take(&mut queries.is_at_rest) {
                    LOOKOUT.wanted.notify_one();
                }
                number
            }
            // The system does not say how large the process is.
            _ => 0,
        };
        Self { number, outgrown, reads }
    }

    /// The same work, of which can be seen whether it reads.
    pub(super) fn seen<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        let reads = Arc::clone(&self.reads);
        let mut work = Box::pin(work);
        std::future::poll_fn(move |context| {
            reads.now.store(true, Ordering::Relaxed);
            let polled = work.as_mut().poll(context);
            reads.now.store(false, Ordering::Relaxed);
            reads.polls.fetch_add(1, Ordering::Relaxed);
            polled
        })
    }

    /// Waits until the process has grown by more than it may since the query began. The query is being ended then.
    pub(super) async fn outgrown(&self) {
        self.outgrown.cancelled().await;
    }

    pub(super) fn has_outgrown(&self) -> bool {
        self.outgrown.is_cancelled()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(mut queries) = LOOKOUT.queries.lock() {
            queries.under_way.remove(&self.number);
        }
    }
}

/// The thread that looks how large the process is, while a query is under way.
static LOOKOUT: LazyLock<Lookout> = LazyLock::new(|| {
    let looks = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(look_out());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("memory".to_owned()).spawn(looks) {
        tracing::warn!(
            "huge answers are not stopped: the thread that looks did not start: {error}"
        );
    }
    Lookout::default()
});

#[derive(Default)]
struct Lookout {
    queries: Mutex<Queries>,
    wanted: Notify,
}

#[derive(Default)]
struct Queries {
    under_way: BTreeMap<u64, Query>,
    next: u64,
    /// Whether the thread waits to be told of a query.
    is_at_rest: bool,
}

struct Query {
    /// How large the process was when the query began, in bytes.
    before: u64,
    /// How many attempts at SQLite databases had ended by then.
    ended: u64,
    outgrown: CancellationToken,
    end: End,
    reads: Arc<Reads>,
    /// How often it had been polled when it was last looked at.
    seen: u64,
}

impl Query {
    /// Whether it has read since it was last looked at.
    fn has_read(&mut self) -> bool {
        let polls = self.reads.polls.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut self.seen, polls);
        before != polls || self.reads.now.load(Ordering::Relaxed)
    }

    fn is_outgrown(&self, now: u64) -> bool {
        // An attempt that was under way at any moment since may have grown, and what it frees may stay with the process.
        let beside = BEGUN.load(Ordering::Relaxed) > self.ended;
        now > self.before + GROWTH_MAX + if beside { SQLITE_MAX } else { 0 }
    }
}

async fn look_out() {
    let mut last_busy = Instant::now();
    let mut size = 0;
    let mut pause = LOOK;
    let mut ending = JoinSet::new();
    loop {
        if LOOKOUT.rests(last_busy) {
            LOOKOUT.wanted.notified().await;
            last_busy = Instant::now();
        }
        sleep(pause).await;
        while ending.try_join_next().is_some() {}
        let now = resident();
        let before = std::mem::replace(&mut size, now.unwrap_or_default());
        pause = if size > before + FAST { CLOSE_LOOK } else { LOOK };
        let (busy, outgrown) = LOOKOUT.look(now);
        if busy {
            last_busy = Instant::now();
        }
        for query in outgrown {
            ending.spawn(timeout(END_MAX, (query.end)()));
        }
    }
}

impl Lookout {
    /// Whether no query has been under way for a while. Waking the thread for each would cost more than looking.
    fn rests(&self, last_busy: Instant) -> bool {
        let Ok(mut queries) = self.queries.lock() else { return false };
        queries.is_at_rest = queries.under_way.is_empty() && last_busy.elapsed() > REST;
        queries.is_at_rest
    }

    /// Whether a query is under way, and which of them have to be ended.
    fn look(&self, size: Option<u64>) -> (bool, Vec<Query>) {
        let Ok(mut queries) = self.queries.lock() else { return (false, Vec::new()) };
        let busy = !queries.under_way.is_empty();
        let Some(now) = size.filter(|_| busy) else { return (busy, Vec::new()) };
        let reading: BTreeSet<u64> = queries
            .under_way
            .iter_mut()
            .filter_map(|(number, query)| query.has_read().then_some(*number))
            .collect();
        // What waits for its server did not make the process grow, where another one reads.
        let is_to_end = |number: &u64, query: &mut Query| {
            query.is_outgrown(now) && (reading.is_empty() || reading.contains(number))
        };
        let outgrown = queries.under_way.extract_if(.., is_to_end);
        let told = outgrown.map(|(_, query)| {
            // Under the lock: a query that ends after this knows that its session is being ended.
            query.outgrown.cancel();
            query
        });
        (busy, told.collect())
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
    async fn a_process_that_outgrows_itself_ends_the_query_and_sqlite_is_allowed_for() {
        let (end, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        let guard = Guard::over(Box::new(move || {
            Box::pin(async move {
                end.send(()).await.unwrap();
            })
        }));
        let soon = Duration::from_millis(100);
        assert!(timeout(soon, guard.outgrown()).await.is_err(), "nothing has grown");
        let megabytes = |count: usize| vec![1_u8; count << 20];
        let attempt = InProcess::begin();
        // Other tests of this process take some memory too.
        let large = megabytes(110);
        assert!(timeout(soon, guard.outgrown()).await.is_err(), "SQLite may take that");
        drop(attempt);
        assert!(timeout(soon, guard.outgrown()).await.is_err(), "it may be kept for a while");
        let more = megabytes(200);
        timeout(Duration::from_secs(10), guard.outgrown()).await.unwrap();
        timeout(Duration::from_secs(10), ended.recv()).await.unwrap().unwrap();
        drop((large, more));
    }
}
