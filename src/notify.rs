//! What is said to people: the alerts that stand, of series and of the daemon itself, handed to each sender, and
//! whether an alert's way to its receiver is proved.
//!
//! The senders themselves (`alertmanager`, `webhook`, `heartbeat`) lie below; `web` only receives what comes back.

pub mod notifier;
pub mod self_alerts;
pub mod alert_path;
pub mod another;
pub mod deliveries;
pub mod ledgers;
pub mod overdue;
pub mod reached;
pub mod links;
pub mod nonces;
