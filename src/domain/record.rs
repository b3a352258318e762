//! The record: the series that have health, the state of each of their windows, and what is to be said of them.

pub mod series;
pub mod window_state;
pub mod failing;
pub mod shrink;
pub mod standing;
pub mod supersession;
pub mod usual;
