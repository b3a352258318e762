//! Alerting: what an alert says, what each receiver still has to be told, and how an Alertmanager routes it.

pub mod alert;
pub mod alert_to_send;
pub mod delivery;
pub mod drill;
pub mod outbox;
pub mod quiet;
pub mod routing;
pub mod seen;
