//! One request to an Alertmanager: a batch of alerts, what came of it, and those that keep others from arriving.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use tokio::time::Instant;

use crate::alertmanager::{AGAIN, Alertmanager, CLOCKS_APART, Health, payload};
use crate::domain::alerting::alert_to_send::AlertToSend;
use crate::domain::time::backoff::{Draw, doubled};

/// What became of a request.
pub(super) enum Sent {
    Accepted,
    /// Something in it is refused.
    Poison(String),
    /// Something in it is refused, or all of it, by a proxy in between.
    Barred(String),
    Failed(String),
}

impl Alertmanager {
    /// Sends a batch; where something in it is refused, halves of it, until the culprit is alone.
    pub(super) async fn send_all(&mut self, batch: Vec<AlertToSend>) -> bool {
        let mut batches = vec![batch];
        let mut passed = false;
        while let Some(mut batch) = batches.pop() {
            let sent = match self.send(&batch).await {
                Sent::Barred(words) if passed || self.passes_in_part(&batch).await => {
                    passed = true;
                    Sent::Poison(words)
                }
                Sent::Barred(words) => Sent::Failed(words),
                sent @ (Sent::Accepted | Sent::Poison(_) | Sent::Failed(_)) => sent,
            };
            match sent {
                Sent::Accepted => {
                    passed = true;
                    let count = u64::try_from(batch.len()).unwrap_or(0);
                    self.outbox.accepted(&batch, self.now());
                    self.reached(|health| health.accepted += count);
                }
                Sent::Poison(words) if batch.len() == 1 => {
                    // A bad link is no reason to send no alert.
                    let linked = batch[0].alert.link.is_some();
                    let bare = [batch[0].without_link()];
                    if linked && matches!(self.send(&bare).await, Sent::Accepted) {
                        self.outbox.accepted(&batch, self.now());
                        self.reached(|health| health.accepted += 1);
                    } else {
                        self.quarantine(&batch[0], &words);
                    }
                }
                Sent::Poison(_) => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.push(half);
                    batches.push(batch);
                }
                Sent::Failed(why) | Sent::Barred(why) => {
                    self.failed(batch.len(), why);
                    return false;
                }
            }
        }
        true
    }

    /// Says whether the first or the last alone is taken: then it is not the way that is barred.
    pub(super) async fn passes_in_part(&mut self, batch: &[AlertToSend]) -> bool {
        if batch.len() < 2 {
            return false;
        }
        for one in [&batch[..1], &batch[batch.len() - 1..]] {
            if matches!(self.send(one).await, Sent::Accepted) {
                return true;
            }
        }
        false
    }

    /// Alerts stand and end by its clock, and its answers say what that is.
    pub(super) fn note_clock(&mut self) {
        // Without an answer there is no time either.
        let Some(date) = self.peer.take_date() else { return };
        self.their_clock = Some((date, Instant::now()));
        let ahead = self.ahead();
        let before = self.health.borrow().ahead;
        // It says whole seconds: what is a little more or less is the same.
        if (ahead - before).abs() > CLOCKS_APART {
            let secs = ahead.num_seconds();
            tracing::warn!("the clock of Alertmanager {} is {secs} s ahead of ours", self.name);
            self.health.send_modify(|health| health.ahead = ahead);
        }
    }

    /// How far its clock is ahead of ours by now: ours may have been set since it answered.
    pub(super) fn ahead(&self) -> TimeDelta {
        let Some((said, at)) = self.their_clock else { return TimeDelta::zero() };
        let passed = TimeDelta::from_std(at.elapsed()).unwrap_or_default();
        let ahead = said + passed - self.clock.now();
        if ahead.abs() > CLOCKS_APART { ahead } else { TimeDelta::zero() }
    }

    pub(super) fn quarantine(&mut self, alert_to_send: &AlertToSend, words: &str) {
        let labels = &alert_to_send.alert.labels;
        let name = format!("{} {}", labels.get("alertname"), labels.get("check"));
        let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
        tracing::error!("Alertmanager {} refuses the alert {name}: {words}", self.name);
        self.outbox.refused(alert_to_send, self.now());
        self.reached(|health| {
            health.refused += 1;
            health.why = Some(format!("it refuses the alert {name}: {words}"));
        });
    }

    pub(super) async fn send(&mut self, batch: &[AlertToSend]) -> Sent {
        let now = self.clock.now() + self.ahead();
        let alerts = batch.iter().map(|alert_to_send| payload::alert(alert_to_send, now)).collect();
        let answer = self.peer.deliver("/api/v2/alerts", Value::Array(alerts).to_string()).await;
        self.note_clock();
        match answer {
            Err(error) => Sent::Failed(error.to_string()),
            Ok(receipt) => match receipt.status {
                200..=299 => Sent::Accepted,
                400 | 413 | 422 => Sent::Poison(receipt.words),
                status @ (403 | 406 | 410 | 414 | 415 | 431) => {
                    Sent::Barred(format!("it answers with status {status}"))
                }
                404 => Sent::Failed(
                    "it answers with status 404: name its address without /api/…".to_owned(),
                ),
                status => Sent::Failed(format!("it answers with status {status}")),
            },
        }
    }

    pub(super) fn reached(&mut self, more: impl FnOnce(&mut Health)) {
        if self.failures > 0 {
            tracing::info!("Alertmanager {} answers again", self.name);
        }
        (self.failures, self.untaken) = (0, false);
        self.again_at = Instant::now();
        let now = self.clock.now();
        self.health.send_modify(|health| {
            health.reached_at = Some(now);
            if health.failing_since.take().is_some() {
                health.why = None;
            }
            more(health);
        });
    }

    pub(super) fn failed(&mut self, count: usize, why: String) {
        if self.failures == 0 {
            tracing::error!("Alertmanager {} is not told: {why}", self.name);
        }
        self.failures = self.failures.saturating_add(1);
        self.untaken |= count > 0;
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(Self::bits());
        let pause = Draw::new(self.drawn).of(doubled(AGAIN.0, AGAIN.1, self.failures));
        let pause = pause.to_std().unwrap_or_default().max(Duration::from_millis(100));
        self.again_at = Instant::now() + pause;
        self.look_at = self.look_at.max(self.again_at);
        let now = self.clock.now();
        self.health.send_modify(|health| {
            health.failed += u64::try_from(count).unwrap_or(0);
            health.failing_since.get_or_insert(now);
            health.seen = None;
            health.why = Some(why);
        });
    }
}
