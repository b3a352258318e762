//! Metrics of what checks stand on, and of drills.

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use crate::engine::snapshot::Snapshot;
use crate::ledger::DrillKind;
use crate::web::metrics::seconds;

/// Adds them to the others.
pub(super) fn register(picture: &Snapshot, registry: &Registry) -> Result<(), prometheus::Error> {
    let help = "Tables of a source that a check reaches (yes), that none reaches (no), or that need none (ignored).";
    let tables = IntGaugeVec::new(Opts::new("tables", help), &["source", "covered"])?;
    let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for (source, count) in &picture.dependencies.coverage {
        let counts = [("yes", count.covered), ("no", count.uncovered), ("ignored", count.ignored)];
        for (covered, count) in counts {
            tables.with_label_values(&[source.as_str(), covered]).set(of(count));
        }
    }
    let help = "When what a source's tables are was learnt last.";
    let learnt = Opts::new("relations_learnt_timestamp_seconds", help);
    let learnt = GaugeVec::new(learnt, &["source"])?;
    for (source, known) in &picture.dependencies.graph.sources {
        learnt.with_label_values(&[source.as_str()]).set(seconds(known.learnt_at));
    }
    let help = "When a ring of this receiver was last said to be heard.";
    let rung = Opts::new("route_rung_timestamp_seconds", help);
    let rung = GaugeVec::new(rung, &["receiver"])?;
    let help = "When this failure was drilled last, and every critical check rang in time.";
    let faults = Opts::new("drill_timestamp_seconds", help);
    let faults = GaugeVec::new(faults, &["fault"])?;
    for drilled in picture.drilled.iter() {
        let Some(at) = drilled.proved_at else { continue };
        let gauge = match drilled.kind {
            DrillKind::Ring => &rung,
            DrillKind::Fault => &faults,
        };
        gauge.with_label_values(&[drilled.name.as_str()]).set(seconds(at));
    }
    registry.register(Box::new(tables))?;
    registry.register(Box::new(learnt))?;
    registry.register(Box::new(rung))?;
    registry.register(Box::new(faults))
}
