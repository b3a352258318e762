//! The pure ground: what a check says, what an attempt saw, and what follows from it.
//!
//! Nothing here waits, reads, logs or knows the time.

pub mod check;
pub mod evidence;
pub mod judge;
pub mod limit;
mod literal;
pub mod observation;
pub mod reconcile;
pub mod verdict;

pub mod crontab;
pub mod schedule;
pub mod timetable;
pub mod window;
pub mod zone;

pub mod agenda;
pub mod series;

pub mod alert;
pub mod life;
pub mod outbox;
pub mod parcel;
pub mod plain;
pub mod routing;
pub mod standing;
pub mod succession;
pub mod supersession;

pub mod backoff;
pub mod breaker;
pub mod budget;

pub mod catalogue;
pub mod duration;
pub mod fault;

pub mod aggregate;
pub mod cell;
mod effects;
pub mod merging;
pub mod name;
pub mod nearest;
pub mod number;
pub mod parameter;
pub mod sql;
pub mod value;
