//! Watching over a statement: it ends by itself, by its limit, by our order, or because it is in
//! the way of another session; and when it does not end by itself, the server is told.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::time::duration;
use crate::source::memory::Guard;

/// How much later than the server's limit ours is.
const SERVER_FIRST: Duration = Duration::from_millis(300);
/// How long the order to stop may take, connecting included.
const ORDER: Duration = Duration::from_millis(1500);
/// How long a statement that was told to stop may take to do so.
const GRACE: Duration = Duration::from_millis(500);
/// How long a connection may take to open.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long our own short statements may take.
pub(super) const SHORT: Duration = Duration::from_secs(5);

/// Which part of its limit a query may fall short of it, and still have run as long.
const NEARLY: u32 = 100;

/// What is watched over.
pub(super) struct Watched<'a, W, B, C, D> {
    /// The statement.
    pub(super) work: W,
    /// How long it may run; the server is given the same limit.
    pub(super) limit: Duration,
    /// Our order to stop.
    pub(super) stop: &'a CancellationToken,
    /// Ready when another session waits for us.
    pub(super) in_the_way: B,
    /// Looks how much memory the answer takes, and ends the query where it is too much.
    pub(super) memory: Guard,
    /// Tells the server to stop.
    pub(super) cancel: C,
    /// Tells the server to end the session: for what did not stop when it was told to.
    pub(super) terminate: D,
}

impl<W, B, C, D, T, F> Watched<'_, W, B, C, D>
where
    F: From<Reason>,
    W: Future<Output = Result<T, F>>,
    B: Future<Output = ()>,
    C: Future<Output = ()>,
    D: Future<Output = ()>,
{
    /// Waits for the end of the statement, whatever ends it.
    ///
    /// After an error the caller must throw the connection away: the order to stop may still be on
    /// its way, and would hit whatever runs next.
    pub(super) async fn end(self) -> Result<T, F> {
        let started = Instant::now();
        let mut work = pin!(self.memory.seen(self.work));
        let reason = tokio::select! {
            biased;
            () = self.memory.outgrown() => return Err(F::from(outgrown())),
            // What ran into its limit was stopped there, and a function of it went on all the same.
            done = &mut work => return match done {
                // Whatever it says: it was being ended.
                _ if self.memory.has_outgrown() => Err(F::from(outgrown())),
                // The server's clock may run faster than ours, or be set while it counts.
                Ok(_) if started.elapsed() >= self.limit - self.limit / NEARLY => {
                    Err(F::from(late(self.limit)))
                }
                done => done,
            },
            () = self.stop.cancelled() => interrupted(),
            () = sleep(self.limit + SERVER_FIRST) => late(self.limit),
            () = self.in_the_way => {
                let note = "another session waited for a lock that this query holds, so it gave way";
                Reason::new(Cause::Busy, note)
            }
        };
        // A result that arrives after the order is not used: a server may answer a stopped query
        // as if it had ended.
        let told = timeout(ORDER, self.cancel).await.is_ok();
        let ended = told && timeout(GRACE, &mut work).await.is_ok();
        if told && !ended {
            drop(timeout(ORDER, self.terminate).await);
        }
        Err(F::from(reason))
    }
}

/// Waits for a connection to open, or for our order to stop.
pub(super) async fn opening<T, E>(
    work: impl Future<Output = Result<T, E>>,
    stop: &CancellationToken,
    reason: impl FnOnce(&E) -> Reason,
) -> Result<T, Reason> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(interrupted()),
        opened = timeout(CONNECT, work) => match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err(Reason::new(
                Cause::Connect,
                format!(
                    "no connection within {}: is it the right host, port and kind of server?",
                    duration::show(CONNECT)
                ),
            )),
        },
    }
}

/// Waits for a short statement of our own, or for our order to stop.
///
/// After an error the caller must throw the connection away.
pub(super) async fn short<T, E, F: From<Reason>>(
    work: impl Future<Output = Result<T, E>>,
    stop: &CancellationToken,
    failure: impl FnOnce(&E) -> F,
) -> Result<T, F> {
    tokio::select! {
        biased;
        done = timeout(SHORT, work) => match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(F::from(Reason::new(
                Cause::Timeout,
                format!("the server did not answer within {}", duration::show(SHORT)),
            ))),
        },
        () = stop.cancelled() => Err(F::from(interrupted())),
    }
}

/// We were told to stop.
pub(super) fn interrupted() -> Reason {
    Reason::new(Cause::Interrupted, "stopped while it was looked at")
}

/// The process grew by more than it may.
fn outgrown() -> Reason {
    let note = "allswell's memory grew by more than it may while the query ran: this answer, or one beside it, holds a \
                value or a message that is huge";
    Reason::new(Cause::Busy, note)
}

/// A statement ran into its limit.
pub(super) fn late(limit: Duration) -> Reason {
    Reason::new(
        Cause::Timeout,
        format!(
            "the query did not end within {}: narrow it, give it an index, or raise `timeout`",
            duration::show(limit)
        ),
    )
}
