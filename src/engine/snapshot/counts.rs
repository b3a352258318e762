//! Counts since the start, and the bounds of how late attempts begin.

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Attempts that were recorded, by what they said.
    pub recorded: [u64; 3],
    /// Attempts that proved again what was proved, by what they said.
    pub rechecked: [u64; 3],
    /// Writes that were fenced off.
    pub fenced: u64,
    /// Rows that were recorded because time ran out.
    pub lapsed: u64,
    /// Transactions of the ledger.
    pub turns: u64,
    /// Those that failed.
    pub failed_turns: u64,
    /// How late attempts began, in microseconds, summed up.
    pub lag_us: u64,
    /// How many attempts began.
    pub began: u64,
    /// How late the latest attempt began, in microseconds.
    pub last_lag_us: u64,
    /// Upper bounds of lag that attempts stayed within.
    pub lag_buckets: [u64; LAG_BOUNDS_MS.len()],
    /// Times that the host's clock and the store's were more than half a minute apart.
    pub clock_steps: u64,
}

/// The bounds of [`Counts::lag_buckets`], in milliseconds.
pub const LAG_BOUNDS_MS: [u64; 8] = [10, 50, 100, 250, 500, 1_000, 5_000, 30_000];
