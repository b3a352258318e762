//! Answers that a client does not read: for how long one waits to be taken, from the first byte that found no room.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// Since when an answer waits, where one does.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Mutex<Option<Instant>>>);

impl Unread {
    /// Waits until an answer has waited for so long.
    pub(super) async fn for_longer_than(&self, limit: Duration) {
        loop {
            sleep(limit / 8).await;
            let since = self.0.lock().ok().and_then(|since| *since);
            if since.is_some_and(|since| since.elapsed() > limit) {
                return;
            }
        }
    }

    fn begin(&self) {
        if let Ok(mut since) = self.0.lock() {
            since.get_or_insert_with(Instant::now);
        }
    }

    fn end(&self) {
        if let Ok(mut since) = self.0.lock() {
            *since = None;
        }
    }
}

/// A connection that takes note of answers that wait.
pub(super) struct Noted<S> {
    pub(super) stream: S,
    pub(super) unread: Unread,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_pending() {
            self.unread.begin();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        if written.is_pending() {
            self.unread.begin();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// What is flushed was written to its end.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.unread.end();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
