//! How far an attempt is that compares rows: for people who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many differences are kept where they are not asked for: of these the largest are told.
const KEPT: usize = 10_000;

/// How many rows came from each side, and how many are expected of the larger one.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    left: Arc<AtomicU64>,
    right: Arc<AtomicU64>,
    expected: Arc<AtomicU64>,
    /// How often it waited to look again.
    waits: Arc<AtomicU64>,
}

impl Progress {
    /// How many rows came from the left and from the right.
    pub fn rows(&self) -> [u64; 2] {
        [self.left.load(Ordering::Relaxed), self.right.load(Ordering::Relaxed)]
    }

    /// How many rows a side is expected to have; `None` where that is not known.
    pub fn expected(&self) -> Option<u64> {
        Some(self.expected.load(Ordering::Relaxed)).filter(|rows| *rows > 0)
    }

    /// How often it waited to look again at what differs.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Says that it waits to look again.
    pub(super) fn wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins to count rows anew.
    pub(super) fn begin(&self, expected: u64) {
        for counter in [&self.left, &self.right] {
            counter.store(0, Ordering::Relaxed);
        }
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// What counts the rows of the left and of the right.
    pub(super) fn counters(&self) -> [Arc<AtomicU64>; 2] {
        [Arc::clone(&self.left), Arc::clone(&self.right)]
    }
}

/// Whoever watches an attempt.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// Sees how far it is.
    pub progress: Progress,
    /// How many differences are kept for the caller; `None` where it wants none.
    pub kept_max: Option<usize>,
}

impl Watching {
    /// How many differences are kept to be told.
    pub(super) fn kept_max(&self) -> usize {
        self.kept_max.unwrap_or(KEPT)
    }
}
