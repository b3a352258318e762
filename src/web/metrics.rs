//! The daemon's own health for Prometheus: instants rather than ages, counts since the start.

mod comparing;
mod dependencies;
mod notify;
mod series;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{
    Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::domain::check::name::CheckId;
use crate::domain::time::breaker::Breaker;
use crate::engine::snapshot::{
    Counts, LAG_BOUNDS_MS, LastLoad, LedgerHealth, Snapshot, TOOK_BOUNDS_SECS,
};
use crate::notify::alert_path::Paths;
use crate::web::Here;
use crate::web::problem::Problem;

/// Answers a scrape.
pub(super) async fn metrics(State(shared): Here) -> Response {
    let picture = shared.picture();
    match text(&picture, &shared.door.paths) {
        Ok(text) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an instant in seconds is far below 2^52")]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1_000.0
}

/// Writes the picture in Prometheus' text form.
fn text(picture: &Snapshot, paths: &Paths) -> Result<String, prometheus::Error> {
    let registry = Registry::new_custom(Some("allswell".into()), None)?;
    let gauge = |name: &str, help: &str, value: f64| -> Result<(), prometheus::Error> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    let counter = |name: &str, help: &str, value: u64| -> Result<(), prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        registry.register(Box::new(counter))
    };
    let yes = |yes: bool| if yes { 1.0 } else { 0.0 };
    infos(picture, &registry)?;
    gauge(
        "ready",
        "1 if the daemon looks at its checks and can write its ledger.",
        yes(picture.unready().is_none()),
    )?;
    gauge(
        "engine_seen_timestamp_seconds",
        "When the engine published its last snapshot.",
        seconds(picture.as_of),
    )?;
    let up = picture.ledger == LedgerHealth::Up;
    gauge("ledger_up", "Whether the ledger can be written.", yes(up))?;
    let series = || picture.series.iter().filter(|series| !series.is_over());
    let count = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    let declared = picture.generation.as_ref().map_or(0, |generation| generation.checks);
    gauge("checks_declared", "Checks of the active catalogue.", count(declared))?;
    let checks = Checks::of(picture);
    gauge(
        "checks_loaded",
        "Checks with at least one series that is watched.",
        count(checks.loaded),
    )?;
    gauge("checks_scheduled", "Checks that have a next due time.", count(checks.scheduled))?;
    let help = "Checks whose series are all inside their lease of health.";
    gauge("checks_confirmed", help, count(checks.confirmed))?;
    gauge("series", "Series that are watched.", count(series().count()))?;
    let healthy = series().filter(|series| picture.is_healthy(series)).count();
    gauge("series_healthy", "Series inside their lease of health.", count(healthy))?;
    notify::register(picture, paths, &registry)?;
    comparing::register(picture, &registry)?;
    dependencies::register(picture, &registry)?;
    loads(picture, &gauge)?;
    let help = "1 while changed files wait for approval.";
    gauge("catalogue_waits", help, yes(matches!(picture.last_load, LastLoad::Waits { .. })))?;
    let help = "1 while the files do not count, because an operator went back behind them.";
    gauge("catalogue_pinned", help, yes(picture.is_pinned))?;
    counts(&picture.counts, &registry, &counter)?;
    sources(picture, &registry)?;
    let mut families = registry.gather();
    families.push(lag(&picture.counts));
    families.extend(durations(picture));
    let mut own = Vec::new();
    TextEncoder::new().encode(&families, &mut own)?;
    let mut text = String::from_utf8(own)
        .map_err(|_| prometheus::Error::Msg("metrics are not UTF-8".into()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#')).count() + 1;
    let lines = lines + series::write(&mut text, picture);
    let name = "allswell_metrics_exposed";
    let _ = writeln!(
        text,
        "# HELP {name} Samples on this page, this one included.\n# TYPE {name} gauge\n{name} {lines}"
    );
    Ok(text)
}

/// What runs here, for whom, and by which rules.
fn infos(picture: &Snapshot, registry: &Registry) -> Result<(), prometheus::Error> {
    let build =
        GaugeVec::new(Opts::new("build_info", "The version of the program."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    registry.register(Box::new(build))?;
    let labels: Vec<(&str, &str)> =
        picture.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (names, values): (Vec<&str>, Vec<&str>) = labels.into_iter().unzip();
    let help = "The labels of the settings, which every alert carries.";
    let installation = GaugeVec::new(Opts::new("installation_info", help), &names)?;
    installation.with_label_values(&values).set(1.0);
    registry.register(Box::new(installation))?;
    let tz = GaugeVec::new(
        Opts::new("tzdata_info", "The release of the time zone rules in use."),
        &["release"],
    )?;
    tz.with_label_values(&[picture.tz_release.as_str()]).set(1.0);
    registry.register(Box::new(tz))
}

/// How many checks come how far.
struct Checks {
    loaded: usize,
    scheduled: usize,
    confirmed: usize,
}

impl Checks {
    fn of(picture: &Snapshot) -> Self {
        let mut checks: BTreeMap<&CheckId, (bool, bool)> = BTreeMap::new();
        for series in picture.series.iter().filter(|series| !series.is_over()) {
            let check = checks.entry(&series.check.id).or_insert((false, true));
            check.0 |= series.next_due.is_some();
            check.1 &= picture.is_healthy(series);
        }
        Self {
            loaded: checks.len(),
            scheduled: checks.values().filter(|(scheduled, _)| *scheduled).count(),
            confirmed: checks.values().filter(|(_, confirmed)| *confirmed).count(),
        }
    }
}

fn loads(
    picture: &Snapshot,
    gauge: &dyn Fn(&str, &str, f64) -> Result<(), prometheus::Error>,
) -> Result<(), prometheus::Error> {
    let (good, at) = match &picture.last_load {
        LastLoad::Never => return Ok(()),
        LastLoad::Good { at } => (1.0, *at),
        // What waits is in order; that it waits, a metric of its own says.
        LastLoad::Waits { at, .. } => (1.0, *at),
        LastLoad::Bad { at, .. } => (0.0, *at),
    };
    let help = "1 if the last load of a catalogue succeeded.";
    gauge("config_last_reload_successful", help, good)?;
    let help = "When a catalogue was loaded last, or refused.";
    gauge("config_last_reload_timestamp_seconds", help, seconds(at))
}

fn counts(
    counts: &Counts,
    registry: &Registry,
    counter: &dyn Fn(&str, &str, u64) -> Result<(), prometheus::Error>,
) -> Result<(), prometheus::Error> {
    let help = "Attempts recorded since the start, by verdict.";
    let attempts = IntCounterVec::new(Opts::new("attempts_total", help), &["verdict"])?;
    for (verdict, count) in ["confirmed", "violated", "unconfirmed"].iter().zip(counts.recorded) {
        attempts.with_label_values(&[*verdict]).inc_by(count);
    }
    registry.register(Box::new(attempts))?;
    let help = "Windows that were proved and are proved again, by verdict.";
    let rechecks = IntCounterVec::new(Opts::new("rechecks_total", help), &["verdict"])?;
    for (verdict, count) in ["confirmed", "violated", "unconfirmed"].iter().zip(counts.rechecked) {
        rechecks.with_label_values(&[*verdict]).inc_by(count);
    }
    registry.register(Box::new(rechecks))?;
    counter("fenced_total", "Writes by a stalled claim that were fenced off.", counts.fenced)?;
    counter(
        "lapsed_total",
        "Windows and slots that were recorded because their deadline passed.",
        counts.lapsed,
    )?;
    counter("ledger_transactions_total", "Transactions of the ledger.", counts.turns)?;
    let help = "Transactions of the ledger that failed.";
    counter("ledger_transactions_failed_total", help, counts.failed_turns)?;
    let help = "How often the host's clock was found to be set.";
    counter("clock_steps_total", help, counts.clock_steps)
}

fn sources(picture: &Snapshot, registry: &Registry) -> Result<(), prometheus::Error> {
    let gauges = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["source"]);
    let up = gauges(
        "source_up",
        "1 while attempts are let through to the source, 0 while its breaker is open; absent before the first attempt.",
    )?;
    let running = gauges("source_running", "Attempts that run now.")?;
    let places =
        gauges("source_connections", "The most attempts that run at once (`connections`).")?;
    let waiting = gauges("source_waiting", "Due rows that wait for a free connection, in memory.")?;
    let open = gauges("source_breaker_state", "0 where attempts are let through, 1 where not.")?;
    let help = "Unconfirmed attempts since the start, by cause.";
    let causes = Opts::new("source_unconfirmed_total", help);
    let causes = IntCounterVec::new(causes, &["source", "cause"])?;
    let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    for (name, source) in &picture.sources {
        let name = [name.as_str()];
        let closed = source.breaker.is_closed();
        // Nothing is known of a source that was not asked yet.
        if !matches!(source.breaker, Breaker::Unasked { .. }) {
            up.with_label_values(&name).set(i64::from(closed));
        }
        open.with_label_values(&name).set(i64::from(!closed));
        running.with_label_values(&name).set(of(source.running));
        places.with_label_values(&name).set(of(source.places));
        waiting.with_label_values(&name).set(of(source.waiting));
        for (cause, count) in &source.unconfirmed {
            causes.with_label_values(&[name[0], cause.as_str()]).inc_by(*count);
        }
    }
    for gauge in [up, running, places, waiting, open] {
        registry.register(Box::new(gauge))?;
    }
    registry.register(Box::new(causes))
}

/// How long attempts asked each source.
fn durations(picture: &Snapshot) -> Option<MetricFamily> {
    let metrics: Vec<Metric> = picture
        .sources
        .iter()
        .map(|(name, source)| {
            let mut histogram = Histogram::default();
            histogram.set_sample_count(source.attempts);
            histogram.set_sample_sum(source.took.as_secs_f64());
            let buckets = TOOK_BOUNDS_SECS.iter().zip(source.took_buckets).map(|(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            histogram.set_bucket(buckets.collect());
            let mut label = LabelPair::default();
            label.set_name("source".into());
            label.set_value(name.to_string());
            let mut metric = Metric::default();
            metric.set_label(vec![label]);
            metric.set_histogram(histogram);
            metric
        })
        .collect();
    if metrics.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name("allswell_source_query_duration_seconds".into());
    family.set_help("Duration of the queries of attempts, by source.".into());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(metrics);
    Some(family)
}

/// How late first attempts began.
#[expect(clippy::cast_precision_loss, reason = "microseconds of lag add up to far below 2^52")]
fn lag(counts: &Counts) -> MetricFamily {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(counts.began);
    histogram.set_sample_sum(counts.lag_us as f64 / 1e6);
    let buckets = LAG_BOUNDS_MS.iter().zip(counts.lag_buckets).map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e3);
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name("allswell_scheduler_lag_seconds".into());
    family.set_help("How long after its due time the first attempt of a row began.".into());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}
