//! What Prometheus hears of the ways out: who is told, and whether that is proved.

use chrono::{DateTime, Utc};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::engine::snapshot::Snapshot;
use crate::notify::alert_path::Paths;
use crate::notify::deliveries::Deliveries;
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
    let help = "Alerts sent to the Alertmanager, by outcome.";
    let sent =
        IntCounterVec::new(Opts::new("alerts_sent_total", help), &["alertmanager", "outcome"])?;
    let standing = gauge("alerts_standing", "Alerts that fire.")?;
    let unknown = gauge(
        "alerts_unknown",
        "Alerts that fire and that the Alertmanager has not accepted yet.",
    )?;
    let refused = gauge("alerts_refused", "Alerts that the Alertmanager refuses.")?;
    let help = "1 if alerts do not get through, or nothing proves that they do.";
    let broken = gauge("alert_path_broken", help)?;
    let help = "1 if one of its routes waits longer than `hold`: some alerts arrive late or never.";
    let slow = gauge("alert_hold_too_short", help)?;
    let float = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["alertmanager"]);
    let help = "Round trip of the newest watchdog alert that came back.";
    let took = float("alert_roundtrip_seconds", help)?;
    let help = "When the newest watchdog alert came back from the Alertmanager.";
    let received = float("watchdog_received_timestamp_seconds", help)?;
    let help = "Alerts that stand, by what the Alertmanager did with them.";
    let opts = Opts::new("alerts_by_delivery", help);
    let delivery = IntGaugeVec::new(opts, &["alertmanager", "delivery"])?;
    let deliveries = Deliveries::read(paths);
    for path in paths.at(picture, now) {
        for (kind, count) in deliveries.counts(&path.health.name, picture) {
            delivery.with_label_values(&[path.health.name.as_str(), kind.as_str()]).set(of(count));
        }
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
    for gauge in [standing, unknown, refused, broken, slow, delivery] {
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
    let help = "1 if notices do not get through to the webhook.";
    let broken = IntGaugeVec::new(Opts::new("webhook_broken", help), &["webhook"])?;
    let help = "Messages to the webhook, by outcome.";
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
    let help = "When the last heartbeat got through.";
    let gauge = prometheus::Gauge::new("heartbeat_timestamp_seconds", help)?;
    gauge.set(earned_at.map_or(0.0, seconds));
    registry.register(Box::new(gauge))
}
