//! From checks to verdicts: attempts, and a round of them.

pub mod attempt;
pub mod round;
pub mod zone_list;
