//! What a check asks, when and what for, in words.

use std::fmt::Write as _;

use crate::domain::check::evidence::Measure;
use crate::domain::check::{Body, Check, Expect};
use crate::domain::reconcile::Reconcile;
use crate::domain::sql::Query;
use crate::domain::sql::bounds::{Bound, Bounds};
use crate::domain::sql::parameter::Parameter;
use crate::domain::time::duration;
use crate::domain::time::schedule::Schedule;
use crate::domain::time::window::{Frame, Period, ZoneChoice};

/// When a check looks: "each local day in 12 zones, two hours after its end".
pub(super) fn schedule(check: &Check, zones: usize) -> String {
    let mut text = String::new();
    let mut after = String::new();
    if let Some(rule) = &check.window {
        let noun = match rule.frame {
            Frame::Calendar(Period::Day) => "each local day".to_owned(),
            Frame::Calendar(period) => format!("each local {}", Frame::Calendar(period)),
            Frame::Grid(step) => format!("each {} of UTC", Frame::Grid(step)),
        };
        let place = match &rule.zones {
            ZoneChoice::Nowhere => String::new(),
            ZoneChoice::One(zone) => format!(" in {zone}"),
            ZoneChoice::Each(_) => format!(" in {zones} zones"),
            ZoneChoice::From(from) => {
                format!(" in {zones} zones, as source {} lists them", from.source)
            }
        };
        let _ = write!(text, "{noun}{place}");
        if !rule.settle.is_zero() {
            after = format!(", {} after its end", duration::show(rule.settle));
        }
    }
    let when = match &check.schedule {
        Schedule::WindowEnd => after,
        Schedule::Every(every) => {
            let period = every.period().to_std().unwrap_or_default();
            let comma = if text.is_empty() { "" } else { ", looked at " };
            format!("{comma}every {}", duration::show(period))
        }
        Schedule::Cron(cron) => {
            let zone = cron
                .zone
                .as_ref()
                .map_or_else(|| "the zone of each series".to_owned(), ToString::to_string);
            let comma = if text.is_empty() { "" } else { ", looked at " };
            format!("{comma}by the crontab line `{}` in {zone}", cron.line)
        }
    };
    text + &when
}

/// What has to hold, a line each.
pub(super) fn expected(check: &Check) -> Vec<String> {
    let mut lines = Vec::new();
    match &check.body {
        Body::Sql { expect, .. } => {
            if let Some(rows) = expect.rows() {
                lines.push(format!("rows: {rows}"));
            }
            lines
                .extend(expect.values().iter().map(|(column, limit)| format!("{column}: {limit}")));
            if let Some(keys) = expect.keys() {
                let columns: Vec<&str> =
                    keys.columns.iter().map(|column| column.as_str()).collect();
                lines.push(format!("every {} of {} appears", columns.join(", "), keys.source));
            }
        }
        Body::Reconcile(reconcile) => lines.push(format!(
            "the rows of {} and of {} are the same",
            reconcile.left.source, reconcile.right.source
        )),
    }
    lines
}

/// The queries of a check, each with what it is for and whom it asks.
pub(super) fn queries(check: &Check) -> Vec<(String, &Query)> {
    let mut queries = Vec::new();
    match &check.body {
        Body::Sql { query, .. } => queries.push((format!("asks {}", check.source), query)),
        Body::Reconcile(reconcile) => {
            let Reconcile { left, right, detail, .. } = &**reconcile;
            queries.push((format!("left, asks {}", left.source), &left.query));
            queries.push((format!("right, asks {}", right.source), &right.query));
            if let Some(detail) = detail {
                queries.push((format!("rows of the left, asks {}", left.source), &detail.left));
                queries.push((format!("rows of the right, asks {}", right.source), &detail.right));
            }
        }
    }
    if let Measure::Query(query) = &check.evidence.measure {
        queries.push((format!("evidence, asks {}", check.source), query));
    }
    if let Some(keys) = check.expect().and_then(Expect::keys) {
        queries.push((format!("who must appear, asks {}", keys.source), &keys.from));
    }
    queries
}

/// The query that lists the zones of a check, where one does.
pub(super) fn list_of_zones(check: &Check) -> Option<(String, &Query)> {
    match check.window.as_ref().map(|rule| &rule.zones) {
        Some(ZoneChoice::From(from)) => Some((format!("asks {}", from.source), &from.query)),
        Some(ZoneChoice::Nowhere | ZoneChoice::One(_) | ZoneChoice::Each(_)) | None => None,
    }
}

/// What was bound, and the query with it written where parameters stand.
pub(super) fn bound(query: &Query, bounds: Option<&Bounds>) -> (Vec<String>, String) {
    let Some(bounds) = bounds else { return (Vec::new(), query.text().to_owned()) };
    let mut named: Vec<Parameter> = query.parameters().collect();
    named.sort();
    named.dedup();
    let values = named.iter().map(|p| format!("{p} = {}", bounds.value(*p))).collect();
    let text = query.with_parameters(|_, parameter| literal(&bounds.value(parameter)));
    (values, text)
}

/// A value as SQL has it: an instant is a text in UTC.
fn literal(bound: &Bound<'_>) -> String {
    match bound {
        Bound::Instant(at) => format!("'{}'", at.format("%Y-%m-%d %H:%M:%S+00:00")),
        Bound::Date(date) => format!("'{date}'"),
        Bound::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Bound::Secs(_) | Bound::Hours(_) => bound.to_string(),
    }
}
