//! Rows that flow from PostgreSQL: in the order of a key by segments, or as they come.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Utc};
use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Cell;
use crate::domain::sql::Engine;
use crate::domain::sql::collation_merge::Words;
use crate::source::ask::{Ask, Question};
use crate::source::bind::{Prepared, Style, bind_typed};
use crate::source::collect::VALUE_BYTES_MAX;
use crate::source::flow::segments::{Segments, bind_key, keyset};
use crate::source::flow::{After, Batcher, Flow, FlowDemand, Segment, merges, no_order};
use crate::source::memory::Guard;
use crate::source::postgres::collation_merge;
use crate::source::postgres::control::Identity;
use crate::source::postgres::decode::{self, Reading};
use crate::source::postgres::errors::{self, Phase};
use crate::source::postgres::wrapped::{Wrapped, quote};
use crate::source::postgres::{Failure, Postgres};
use crate::source::watch::Watched;

/// What a column is there.
#[derive(Debug)]
struct Kind {
    name: String,
    /// An enum, or another type whose values are sent as text.
    is_text: bool,
    /// Whether it is sorted by a collation.
    collates: bool,
    /// The collation, where it takes different texts for one.
    merges_by: Option<String>,
}

/// How a question's rows are asked for.
struct Plan {
    kinds: Vec<Kind>,
    columns: Vec<ColumnName>,
    key: usize,
    ordered: bool,
}

impl Postgres {
    /// Lets the rows of a question flow; says whether the server has sent all that it would.
    pub(super) async fn flow(
        &self,
        conn: &mut PgConnection,
        (ask, question, flow): (&Ask, &Question, &Flow),
        identity: &Identity,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        if !flow.is_wanted(stop).await? {
            return Ok(true);
        }
        let bound = Prepared::new(question, Style::Dollar);
        let words = Words::of(question.query.text(), Engine::Postgres);
        let plan = learn(conn, (&bound, words.as_ref()), flow, ask.timeout);
        let plan = Box::pin(self.watched(plan, ask, identity, stop)).await?;
        // A copy is read faster, and nothing can be bound to it.
        let copies = plan.copied().filter(|_| flow.ordered && bound.values.is_empty());
        let mut segments = Segments::new(flow, stop);
        loop {
            let limit = segments.begin().await?;
            let written = segments.after().is_none_or(|after| after.key.iter().all(is_written));
            let segment = if let Some(readings) = copies.as_ref().filter(|_| written) {
                let limits = (limit, ask.timeout);
                let work = copy(conn, &plan, &bound.text, segments.after(), flow, readings, limits);
                Box::pin(self.watched(work, ask, identity, stop)).await?
            } else {
                let work = fetch(conn, &plan, &bound, segments.after(), limit, flow, ask.timeout);
                Box::pin(self.watched(work, ask, identity, stop)).await?
            };
            if let Some(drained) = segments.end(segment).await? {
                return Ok(drained);
            }
        }
    }

    async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
        ask: &Ask,
        identity: &Identity,
        stop: &CancellationToken,
    ) -> Result<T, Failure> {
        let watched = Watched {
            work,
            limit: ask.timeout,
            stop,
            in_the_way: self.control.somebody_waits_for(identity),
            memory: Guard::over(self.control.ending(identity)),
            cancel: self.control.cancel(identity),
            terminate: self.control.terminate(identity),
        };
        watched.end().await
    }
}

/// Learns what the columns are, without running the query: nothing is read of a LIMIT of 0.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn learn(
    conn: &mut PgConnection,
    (bound, words): (&Prepared<'_>, Option<&Words>),
    flow: &Flow,
    limit: Duration,
) -> Result<Plan, Failure> {
    let wrapped = asking(bound, flow, conn.server_version_num().unwrap_or(0));
    let started = Instant::now();
    let query = sqlx::query(AssertSqlSafe(wrapped.sql.clone())).persistent(false);
    let row = bind_typed!(query, bound.values).fetch_one(&mut *conn).await;
    let row = row.map_err(|e| failure(&e, &wrapped, limit, started))?;
    let mut kinds = Vec::with_capacity(flow.columns.len());
    for number in 0..flow.columns.len() {
        let text =
            |place: usize| row.try_get::<Option<String>, _>(number * 4 + place).ok().flatten();
        let name = text(0).unwrap_or_default();
        let yes = |place: usize| text(place).is_some_and(|word| word == "true" || word == "t");
        let builtin = ["text", "varchar", "bpchar", "name", "char", "unknown"];
        let merges_by = if name == "citext" { Some("citext".to_owned()) } else { text(3) };
        let is_text = yes(1) && !builtin.contains(&name.as_str());
        if name.starts_with('_') {
            let kind = format!("{}[]", name.trim_start_matches('_'));
            return Err(decode::unsupported(flow.columns[number].as_str(), &kind).into());
        }
        kinds.push(Kind { name, is_text, collates: yes(2), merges_by });
    }
    let keys = flow.columns.iter().zip(&kinds).take(flow.key);
    let merges_rows = !flow.ordered || words.is_none_or(Words::merge);
    for (column, kind) in keys.clone() {
        if let (Some(collation), true) = (&kind.merges_by, merges_rows) {
            return Err(merges(column, collation, &format!("{column} collate \"C\"")).into());
        }
    }
    let text = keys.clone().find(|(_, kind)| kind.collates || kind.is_text);
    if let Some((column, _)) = text {
        collation_merge::refuse(conn, bound, column).await?;
    }
    let (columns, key, ordered) = (flow.columns.clone(), flow.key, flow.ordered);
    Ok(Plan { kinds, columns, key, ordered })
}

/// The query that says what the columns are; four texts of each.
fn asking(bound: &Prepared<'_>, flow: &Flow, version: u32) -> Wrapped {
    let head = "WITH q AS (\n";
    let mut sql = format!("{head}{}\n) SELECT ", bound.text);
    for (number, column) in flow.columns.iter().enumerate() {
        let value = format!("(SELECT q.{} FROM q LIMIT 0)", quote(column.as_str()));
        let kind = format!("pg_catalog.pg_typeof({value})");
        let comma = if number > 0 { ", " } else { "" };
        // What a domain is of, and of that what is asked.
        let base = |what: &str| {
            format!(
                "(WITH RECURSIVE b AS (SELECT t.* FROM pg_catalog.pg_type t WHERE t.oid = {kind} \
                 UNION ALL SELECT t.* FROM pg_catalog.pg_type t JOIN b ON t.oid = b.typbasetype \
                 WHERE b.typtype = 'd') SELECT {what} FROM b WHERE b.typtype <> 'd')::text"
            )
        };
        let _ = write!(
            sql,
            "{comma}{}, {}, {}, ",
            base("b.typname"),
            base("b.typtype = 'e' OR b.typcategory = 'S'"),
            base("b.typcollation <> 0")
        );
        let collation = format!(
            "(CASE WHEN {kind}::oid IN (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typcollation <> 0) \
             THEN pg_catalog.pg_collation_for({value}) END)"
        );
        // Release 13 and later look collations up by name.
        let named = if version >= 130_000 {
            format!("c.oid = pg_catalog.to_regcollation{collation}")
        } else {
            let name = "pg_catalog.quote_ident(c.collname)";
            let schema = "c.collnamespace::pg_catalog.regnamespace::text";
            format!("{collation} COLLATE \"C\" IN ({name}, {schema} || '.' || {name})")
        };
        let _ = if number < flow.key {
            write!(
                sql,
                "(SELECT c.collname::text FROM pg_catalog.pg_collation c WHERE NOT c.collisdeterministic \
                 AND {named} LIMIT 1)"
            )
        } else {
            write!(sql, "NULL::text")
        };
    }
    let start = head.chars().count();
    Wrapped {
        sql,
        inner: start..start + bound.text.chars().count(),
        inner_text: bound.text.clone(),
        columns: flow.columns.iter().map(ToString::to_string).collect(),
    }
}

impl Plan {
    /// What the key is ordered by: the daemon's order, whatever the database's is.
    fn expressions(&self) -> Vec<String> {
        let key = self.columns.iter().zip(&self.kinds).take(self.key);
        key.map(|(column, kind)| {
            let column = format!("q.{}", quote(column.as_str()));
            let by_bytes = kind.collates || kind.is_text;
            if by_bytes { format!("{column}::text COLLATE \"C\"") } else { column }
        })
        .collect()
    }

    /// How a copy's columns are read, where all of them are of the server's own types.
    fn copied(&self) -> Option<Vec<Reading>> {
        let named = self.columns.iter().zip(&self.kinds);
        let named: Vec<(String, &str)> =
            named.map(|(column, kind)| (column.to_string(), kind.name.as_str())).collect();
        decode::forms(&named)
    }

    /// A segment of the query as a copy. The server has parsed the query by itself before: it is one
    /// statement, and cannot end ours.
    fn copy(&self, inner: &str, after: Option<&After>, limit: u64) -> Result<Wrapped, Reason> {
        let mut literals = Vec::new();
        for (column, cell) in self.columns.iter().zip(after.map_or(&[][..], |after| &after.key)) {
            literals.push(literal(column, cell)?);
        }
        let place = |number: usize| literals[number].clone();
        let segment = self.segment(inner, after.is_some().then_some(&place), limit);
        let head = "COPY (";
        let shift = head.chars().count();
        Ok(Wrapped {
            sql: format!("{head}{}) TO STDOUT (FORMAT binary)", segment.sql),
            inner: segment.inner.start + shift..segment.inner.end + shift,
            ..segment
        })
    }

    /// A segment of the query: what comes after a key, where `place` writes its values, in the order of the key.
    fn segment(&self, inner: &str, place: Option<&dyn Fn(usize) -> String>, limit: u64) -> Wrapped {
        let mut list = String::new();
        let mut sizes = Vec::new();
        for (number, (column, kind)) in self.columns.iter().zip(&self.kinds).enumerate() {
            let column = format!("q.{}", quote(column.as_str()));
            let cast = if kind.is_text { "::text" } else { "" };
            let comma = if number > 0 { ", " } else { "" };
            // Of what has a size of its own, the size is looked at before it is sent.
            let _ = if kind.collates {
                // Of a text that is kept compressed too, without unpacking it.
                let size = format!("coalesce(pg_catalog.octet_length({column}::text), 0)");
                sizes.push(format!("{size} <= {VALUE_BYTES_MAX}"));
                write!(list, "{comma}CASE WHEN {size} <= {VALUE_BYTES_MAX} THEN {column}{cast} END")
            } else {
                write!(list, "{comma}{column}{cast}")
            };
        }
        let fits =
            if sizes.is_empty() { String::new() } else { format!(", {}", sizes.join(" AND ")) };
        let head = format!("SELECT {list}{fits} FROM (\n");
        let start = head.chars().count();
        let mut sql = format!("{head}{inner}\n) AS q");
        if self.ordered {
            let expressions = self.expressions();
            if let Some(place) = place {
                let _ = write!(sql, " WHERE {}", keyset(&expressions, place));
            }
            let _ = write!(sql, " ORDER BY {}", expressions.join(", "));
        }
        let _ = write!(sql, " LIMIT {limit}");
        Wrapped {
            sql,
            inner: start..start + inner.chars().count(),
            inner_text: inner.to_owned(),
            columns: self.columns.iter().map(ToString::to_string).collect(),
        }
    }
}

fn failure(error: &sqlx::Error, wrapped: &Wrapped, limit: Duration, started: Instant) -> Failure {
    let ran = started.elapsed();
    Failure::Real(errors::reason(error, Phase::Theirs { wrapped, limit, ran }))
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut PgConnection,
    plan: &Plan,
    bound: &Prepared<'_>,
    after: Option<&After>,
    rows: u64,
    flow: &Flow,
    limit: Duration,
) -> Result<Segment, Failure> {
    let first = bound.values.len() + 1;
    let place = |number: usize| match plan.kinds[number].name.as_str() {
        "uuid" => format!("${}::text::uuid", first + number),
        _ => format!("${}", first + number),
    };
    let wrapped = plan.segment(&bound.text, after.is_some().then_some(&place), rows);
    let started = Instant::now();
    let query = sqlx::query(AssertSqlSafe(wrapped.sql.clone())).persistent(false);
    let mut query = bind_typed!(query, bound.values);
    for (column, cell) in plan.columns.iter().zip(after.map_or(&[][..], |after| &after.key)) {
        query = bind_key!(query, column, cell);
    }
    let mut stream = query.fetch(conn);
    let mut readings: Option<Vec<Reading>> = None;
    let mut batcher = Batcher::new(flow, after);
    let mut wanted = FlowDemand::More;
    while let Some(row) =
        stream.try_next().await.map_err(|e| failure(&e, &wrapped, limit, started))?
    {
        let readings = match &readings {
            Some(readings) => readings,
            None => readings.insert(decode::readings(&row, &wrapped.columns)?),
        };
        let bytes = decode::cells(&row, readings, &mut batcher.cells)?;
        batcher.is_named()?;
        wanted = batcher.row(bytes).await;
        if wanted == FlowDemand::Enough {
            break;
        }
    }
    drop(stream);
    Ok(batcher.finish(wanted).await)
}

async fn copy(
    conn: &mut PgConnection,
    plan: &Plan,
    inner: &str,
    after: Option<&After>,
    flow: &Flow,
    readings: &[Reading],
    (rows, limit): (u64, Duration),
) -> Result<Segment, Failure> {
    // Signature, flags, and the length of an extension that there is not; and what ends the rows.
    const HEAD: usize = 19;
    const END: [u8; 2] = [0xff, 0xff];
    let wrapped = plan.copy(inner, after, rows)?;
    let started = Instant::now();
    let failed = |e: &sqlx::Error| failure(e, &wrapped, limit, started);
    // Before it: the server says that it copies only when the first rows come, after it has sorted.
    let mut batcher = Batcher::new(flow, after);
    let mut stream = conn.copy_out_raw(&wrapped.sql).await.map_err(|e| failed(&e))?;
    let (mut wanted, mut head, mut whole) = (FlowDemand::More, true, false);
    while let Some(chunk) = stream.try_next().await.map_err(|e| failed(&e))? {
        let row = if head { chunk.get(HEAD..).unwrap_or_default() } else { &chunk[..] };
        head = false;
        if row.is_empty() {
            continue;
        }
        if row == END {
            whole = true;
            continue;
        }
        let bytes = decode::copied(row, readings, &mut batcher.cells)?;
        batcher.is_named()?;
        wanted = batcher.row(bytes).await;
        if wanted == FlowDemand::Enough {
            break;
        }
    }
    drop(stream);
    if !whole && wanted == FlowDemand::More {
        return Err(Reason::new(Cause::Connect, "the server ended a copy before its end").into());
    }
    Ok(batcher.finish(wanted).await)
}

/// Says whether a value can be written into SQL: years of four digits are read the same everywhere.
fn is_written(cell: &Cell) -> bool {
    let year = match cell {
        Cell::Date(date) => date.year(),
        Cell::Instant(micros) => {
            DateTime::<Utc>::from_timestamp_micros(*micros).map_or(0, |at| at.year())
        }
        Cell::Null
        | Cell::Bool(_)
        | Cell::Decimal(_)
        | Cell::Wide(_)
        | Cell::Float(_)
        | Cell::NonFinite(_)
        | Cell::Text(_)
        | Cell::NoDate(_) => return true,
    };
    (1..=9_999).contains(&year)
}

/// Writes a value of the key after which a copy goes on.
fn literal(column: &ColumnName, cell: &Cell) -> Result<String, Reason> {
    Ok(match cell {
        Cell::Bool(value) => value.to_string(),
        Cell::Decimal(number) => format!("({})", number.number().plain()),
        Cell::Wide(number) => format!("({})", number.plain()),
        Cell::Date(date) => format!("date '{date}'"),
        Cell::Instant(micros) => match DateTime::<Utc>::from_timestamp_micros(*micros) {
            Some(at) => format!("timestamptz '{}+00'", at.format("%Y-%m-%d %H:%M:%S%.6f")),
            None => return Err(no_order(column)),
        },
        // A text in an E'' string, whatever the server takes a backslash for, and whether or not it lets one stand
        // before a quote.
        Cell::Text(text) => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        Cell::Float(_) | Cell::Null | Cell::NonFinite(_) | Cell::NoDate(_) => {
            return Err(no_order(column));
        }
    })
}
