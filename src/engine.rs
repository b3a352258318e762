//! From checks to verdicts: attempts, a round of them, and the watch that never ends.

pub mod attempt;
mod probe;
pub mod plan;
pub mod progress;
pub mod round;
pub mod reconcile;
mod table;
pub mod zone_list;

pub mod gate;
pub mod load;
pub mod meaning;
pub mod order;
pub mod ports;
pub mod roster;
pub mod snapshot;
pub mod shadow;
mod under_way;
pub mod watch;
pub mod asking;
pub mod testing;
