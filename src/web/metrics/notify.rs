//! What Prometheus hears of the ways out: who is told, and whether that is proved.

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::engine::snapshot::Snapshot;
use crate::notify::alert_path::Paths;
use crate::web::metrics::seconds;

/// Registers what is known of the ways out.
pub(super) fn register(
    picture: &Snapshot,
    paths: &Paths,
    registry: &Registry,
) -> Result<(), prometheus::Error> {
    let now = picture.now();
    let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["alertmanager"]);
    let help = "Alerts that were sent to the Alertmanager, by what became of them.";
    let sent =
        IntCounterVec::new(Opts::new("alerts_sent_total", help), &["alertmanager", "outcome"])?;
    let standing = gauge("alerts_standing", "Alerts that stand.")?;
    let unknown = gauge("alerts_unknown", "Alerts that stand, and that it has not taken yet.")?;
    let refused = gauge("alerts_refused", "Alerts that it refuses.")?;
    let help = "1 where alerts do not get through, or nothing proves that they do.";
    let broken = gauge("alert_path_broken", help)?;
    let help =
        "1 where one of its routes waits longer than alerts are held: some are told late or never.";
    let slow = gauge("alert_hold_too_short", help)?;
    let float = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["alertmanager"]);
    let help = "How long the newest proof took that came back.";
    let took = float("alert_roundtrip_seconds", help)?;
    let help = "When the newest proof came back from the Alertmanager.";
    let received = float("watchdog_received_timestamp_seconds", help)?;
    for path in paths.at(picture, now) {
        let name = [path.health.name.as_str()];
        let counts = [
            ("accepted", path.health.accepted),
            ("failed", path.health.failed),
            ("refused", path.health.refused),
        ];
        for (outcome, count) in counts {
            sent.with_label_values(&[name[0], outcome]).inc_by(count);
        }
        let (all, not_yet, not_at_all) = path.health.standing;
        standing.with_label_values(&name).set(of(all));
        unknown.with_label_values(&name).set(of(not_yet));
        refused.with_label_values(&name).set(of(not_at_all));
        broken.with_label_values(&name).set(i64::from(path.broken.is_some()));
        slow.with_label_values(&name).set(i64::from(path.slow.is_some()));
        if let Some((sent_at, received_at)) = path.proof {
            took.with_label_values(&name).set(seconds(received_at) - seconds(sent_at));
            received.with_label_values(&name).set(seconds(received_at));
        }
    }
    for gauge in [standing, unknown, refused, broken, slow] {
        registry.register(Box::new(gauge))?;
    }
    registry.register(Box::new(sent))?;
    registry.register(Box::new(took))?;
    registry.register(Box::new(received))?;
    webhooks(paths, now, registry)?;
    heartbeat(paths, registry)
}

fn webhooks(
    paths: &Paths,
    now: DateTime<Utc>,
    registry: &Registry,
) -> Result<(), prometheus::Error> {
    let help = "1 where notices do not get through to the receiver of webhooks.";
    let broken = IntGaugeVec::new(Opts::new("webhook_broken", help), &["webhook"])?;
    let help = "Messages to the receiver of webhooks, by what became of them.";
    let sent = IntCounterVec::new(Opts::new("webhooks_sent_total", help), &["webhook", "outcome"])?;
    for health in &paths.webhooks {
        let health = health.borrow();
        let counts = [
            ("accepted", health.accepted),
            ("failed", health.failed),
            ("given_up", health.given_up),
        ];
        for (outcome, count) in counts {
            sent.with_label_values(&[health.name.as_str(), outcome]).inc_by(count);
        }
        let broken_now = i64::from(health.broken(now).is_some());
        broken.with_label_values(&[health.name.as_str()]).set(broken_now);
    }
    registry.register(Box::new(sent))?;
    registry.register(Box::new(broken))
}

fn heartbeat(paths: &Paths, registry: &Registry) -> Result<(), prometheus::Error> {
    let Some(heartbeat) = &paths.heartbeat else { return Ok(()) };
    let earned_at: Option<DateTime<Utc>> = heartbeat.borrow().earned_at;
    let help = "When a heartbeat that was earned got through last.";
    let gauge = prometheus::Gauge::new("heartbeat_timestamp_seconds", help)?;
    gauge.set(earned_at.map_or(0.0, seconds));
    registry.register(Box::new(gauge))
}
