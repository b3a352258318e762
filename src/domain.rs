//! The pure ground: what a check says, what an attempt saw, and what follows from it.
//!
//! Nothing here waits, reads, logs or knows the time.

pub mod check;
pub mod sql;
pub mod time;
pub mod record;
pub mod alerting;
pub mod reconcile;
pub mod table;
pub mod testing;
pub mod change;
pub mod dependency;
