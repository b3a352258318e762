//! The wall clock. Whoever needs the time of day asks here, or gets it as an argument.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Returns the present instant.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A clock for what needs the time again and again: the host's, or one that is
/// moved by hand.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The host's.
    pub fn host() -> Self {
        Self(Arc::new(now))
    }

    /// One that shows what a function says.
    pub fn of(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Returns the present instant.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
