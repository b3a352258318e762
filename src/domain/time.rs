//! Time: windows and schedules of a zone, what is due when, and how long to wait before something is tried again.

pub mod zone;
pub mod period;
pub mod window;
pub mod crontab;
pub mod timetable;
pub mod schedule;
pub mod agenda;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod duration;
pub mod owed;
