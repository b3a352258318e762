//! How far an attempt is that compares rows: for people who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many differences are kept where nobody asks for more.
const KEPT: usize = 10_000;

/// How many rows came from each side, and how many are expected of the larger one.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    left: Arc<AtomicU64>,
    right: Arc<AtomicU64>,
    expected: Arc<AtomicU64>,
}

impl Progress {
    /// How many rows came from the left and from the right.
    pub fn rows(&self) -> [u64; 2] {
        [self.left.load(Ordering::Relaxed), self.right.load(Ordering::Relaxed)]
    }

    /// How many rows a side is expected to have; nothing where nobody knows.
    pub fn expected(&self) -> Option<u64> {
        Some(self.expected.load(Ordering::Relaxed)).filter(|rows| *rows > 0)
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
#[derive(Debug, Clone)]
pub struct Watching {
    /// Sees how far it is.
    pub progress: Progress,
    /// How many differences are kept at most.
    pub kept_max: usize,
}

impl Default for Watching {
    fn default() -> Self {
        Self { progress: Progress::default(), kept_max: KEPT }
    }
}
