//! What Prometheus hears of attempts that compare rows, while they do.

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use crate::engine::snapshot::Snapshot;
use crate::web::metrics::seconds;

/// Registers how far each comparison of rows is.
pub(super) fn register(picture: &Snapshot, registry: &Registry) -> Result<(), prometheus::Error> {
    let of = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let help = "Rows read so far from a side of a running comparison.";
    let opts = Opts::new("comparing_rows", help);
    let rows = IntGaugeVec::new(opts, &["check", "tz", "side"])?;
    let help = "Rows that a side of a running comparison is expected to have, if known.";
    let opts = Opts::new("comparing_expected_rows", help);
    let expected = IntGaugeVec::new(opts, &["check", "tz"])?;
    let help = "When a running comparison began.";
    let opts = Opts::new("comparing_started_timestamp_seconds", help);
    let started = GaugeVec::new(opts, &["check", "tz"])?;
    for comparing in &picture.comparing {
        let series = picture.series.iter().find(|series| series.record.id == comparing.series);
        let tz = series.and_then(|series| series.record.tz.as_deref()).unwrap_or("");
        let labels = [comparing.check.as_str(), tz];
        for (side, count) in ["left", "right"].into_iter().zip(comparing.rows) {
            rows.with_label_values(&[labels[0], tz, side]).set(of(count));
        }
        if let Some(count) = comparing.expected {
            expected.with_label_values(&labels).set(of(count));
        }
        started.with_label_values(&labels).set(seconds(comparing.began));
    }
    registry.register(Box::new(rows))?;
    registry.register(Box::new(expected))?;
    registry.register(Box::new(started))
}
