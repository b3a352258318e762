//! The heartbeat: a ping to a service outside that wakes people when it does not come. It is earned each
//! time; where it is not, the reason goes to `/fail`, as Healthchecks has it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::Peer;

/// How the heartbeat does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// When one that was earned got through last.
    pub earned_at: Option<DateTime<Utc>>,
    /// Since when none gets through, where that is so.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last one was not earned, or did not get through.
    pub why: Option<String>,
}

/// The heartbeat.
pub struct Heartbeat {
    peer: Peer,
    every: Duration,
    clock: Clock,
    health: watch::Sender<Health>,
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Heartbeat {
    /// Prepares to ping a service; and a way to see how that goes.
    pub fn new(peer: Peer, every: Duration, clock: Clock) -> (Self, watch::Receiver<Health>) {
        let (health, seen) = watch::channel(Health::default());
        (Self { peer, every, clock, health }, seen)
    }

    /// Pings until it is stopped; `earned` says each time whether, and why not.
    pub async fn run(self, earned: impl Fn() -> Result<(), String>, stop: CancellationToken) {
        let mut next = Instant::now();
        while !stop.is_cancelled() {
            let earned = earned();
            let delivered = self.ping(&earned).await;
            self.note(earned, delivered);
            // What did not get through is tried again sooner.
            let again = self.every.min(Duration::from_secs(5));
            let failing = self.health.borrow().failing_since.is_some();
            next += if failing { again } else { self.every };
            next = next.max(Instant::now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(next) => {}
            }
        }
    }

    async fn ping(&self, earned: &Result<(), String>) -> Result<(), String> {
        let (path, body) = match earned {
            Ok(()) => ("", String::new()),
            Err(why) => ("/fail", why.clone()),
        };
        match self.peer.deliver(path, body).await {
            Ok(receipt) if (200..300).contains(&receipt.status) => Ok(()),
            Ok(receipt) => Err(format!("the heartbeat is answered with status {}", receipt.status)),
            // Its address may be a secret by itself.
            Err(_) => {
                Err("the receiver of the heartbeat does not answer: look at `url` of `heartbeat`, \
                           and at the network"
                    .to_owned())
            }
        }
    }

    fn note(&self, earned: Result<(), String>, delivered: Result<(), String>) {
        let now = self.clock.now();
        let before = self.health.borrow().clone();
        let mut health = before.clone();
        match &delivered {
            Ok(()) => health.failing_since = None,
            Err(_) => {
                health.failing_since.get_or_insert(now);
            }
        }
        if earned.is_ok() && delivered.is_ok() {
            health.earned_at = Some(now);
        }
        health.why = earned.and(delivered).err();
        match (&before.why, &health.why) {
            (before, Some(why)) if before.as_ref() != Some(why) => {
                tracing::error!("no heartbeat: {why}");
            }
            (Some(_), None) => tracing::info!("the heartbeat goes out again"),
            (_, _) => {}
        }
        self.health.send_replace(health);
    }
}
