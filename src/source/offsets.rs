//! Which offsets a database computes with: asked at given instants, to be held against our rules.

use std::fmt::Write as _;

use tokio_util::sync::CancellationToken;

use crate::domain::check::name::{CheckId, ColumnName};
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::check::value::Value;
use crate::domain::sql::{Binding, Engine, Query};
use crate::domain::time::zone::ZoneName;
use crate::source::Source;
use crate::source::ask::{Ask, Part, Question, Reply, ResultShape};

/// How many instants one statement asks for.
const BATCH: usize = 2_000;

/// What a database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownOffsets {
    /// It has no named zones; it only gets bounds in UTC.
    NoZones,
    /// For each instant the offset in seconds, or nothing where it does not know the zone.
    Offsets(Vec<Option<i64>>),
}

/// Asks for the offsets at some instants, in seconds since 1970.
///
/// Do not drop the future: cancel `stop`, and it ends within seconds.
///
/// # Errors
/// Why the database could not be asked.
pub async fn offsets(
    source: &Source,
    probes: &[(ZoneName, i64)],
    stop: &CancellationToken,
) -> Result<KnownOffsets, Reason> {
    let mut offsets = Vec::with_capacity(probes.len());
    for batch in probes.chunks(BATCH) {
        let sql = match source.engine() {
            Engine::Sqlite => return Ok(KnownOffsets::NoZones),
            Engine::Postgres => postgres(batch),
            Engine::MySql => mysql(batch),
        };
        let unclear =
            || Reason::new(Cause::QueryError, "the question for offsets is not understood");
        let query = Query::parse(&sql, source.engine(), Binding::Nothing).map_err(|_| unclear())?;
        let column = |name| ColumnName::parse(name).map_err(|_| unclear());
        let question = Question {
            part: Part::Body,
            query,
            bounds: None,
            wanted: ResultShape::Rows {
                columns: vec![column("place")?, column("difference")?],
                rows_max: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            },
        };
        let check = CheckId::parse("zones").map_err(|_| unclear())?;
        let ask = Ask::about(check, source.timeout(), question);
        let slot = source.slot(stop).await?;
        let Some(Reply::Rows(rows)) = source.observe(&slot, &ask, stop).await?.pop() else {
            return Err(unclear());
        };
        let mut said = vec![None; batch.len()];
        for row in rows.rows() {
            let number = |value: &Value| match value {
                Value::Number(number) => number.to_string().parse::<i64>().ok(),
                Value::Null
                | Value::NonFinite(_)
                | Value::Text(_)
                | Value::Bool(_)
                | Value::Date(_)
                | Value::Instant(_)
                | Value::NoDate(_) => None,
            };
            let place = row.first().and_then(number).and_then(|n| usize::try_from(n).ok());
            let place = place.and_then(|place| said.get_mut(place));
            if let (Some(place), Some(value)) = (place, row.get(1)) {
                *place = number(value);
            }
        }
        offsets.extend(said);
    }
    Ok(KnownOffsets::Offsets(offsets))
}

/// The names are known to our rules, and none of those has a quote in it; they are doubled anyway.
fn quoted(zone: &ZoneName) -> String {
    format!("'{}'", zone.as_str().replace('\'', "''"))
}

/// A name that the server does not know is an error there, so it is looked up first.
fn postgres(probes: &[(ZoneName, i64)]) -> String {
    let mut values = String::new();
    for (place, (zone, at)) in probes.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let _ = write!(values, "{comma}({place}, {}, {at}::bigint)", quoted(zone));
    }
    format!(
        "select v.place, case when v.zone in (select name from pg_catalog.pg_timezone_names) \
         then extract(epoch from (pg_catalog.to_timestamp(v.at) at time zone v.zone))::bigint - v.at \
         end as difference from (values {values}) as v (place, zone, at)"
    )
}

fn mysql(probes: &[(ZoneName, i64)]) -> String {
    let mut values = String::new();
    for (place, (zone, at)) in probes.iter().enumerate() {
        let union = if place > 0 { " union all " } else { "" };
        let _ =
            write!(values, "{union}select {place} as place, {} as zone, {at} as at", quoted(zone));
    }
    format!(
        "select v.place, timestampdiff(second, from_unixtime(v.at), \
         convert_tz(from_unixtime(v.at), '+00:00', v.zone)) as difference from ({values}) as v"
    )
}
