//! Rows that flow from SQLite: in the order of a key by segments, or as they come.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement};
use tokio_util::sync::CancellationToken;

use crate::domain::check::name::ColumnName;
use crate::domain::check::reason::Reason;
use crate::domain::reconcile::cell::{Cell, Epoch};
use crate::domain::sql::collation_merge::Words;
use crate::domain::sql::{self, Engine};
use crate::source::ask::{Ask, Question};
use crate::source::bind::{Instants, Prepared, Style};
use crate::source::columns::position;
use crate::source::flow::segments::{KeyValue, Segments, keyset};
use crate::source::flow::{After, Batcher, Flow, FlowDemand, Segment, no_order};
use crate::source::memory::Guard;
use crate::source::sqlite::{Phase, Query, bind, decode, reason};
use crate::source::watch::Watched;

/// What a flow needs of its connection.
pub(super) struct Flows<'c> {
    pub(super) conn: &'c mut SqliteConnection,
    pub(super) ended: &'c Arc<AtomicBool>,
    pub(super) instants: Option<Instants>,
    pub(super) stop: &'c CancellationToken,
}

impl Flows<'_> {
    /// Lets the rows of a question flow; says whether all of it has come.
    pub(super) async fn flow(
        &mut self,
        ask: &Ask,
        question: &Question,
        flow: &Flow,
    ) -> Result<bool, Reason> {
        if !flow.is_wanted(self.stop).await? {
            return Ok(true);
        }
        let bound = Prepared::new(question, Style::NumberedMark);
        let merges_by = self.learn((&bound, &question.query), flow).await?;
        let (ended, stop, instants) = (self.ended, self.stop, self.instants);
        let mut segments = Segments::new(flow, stop);
        loop {
            let limit = segments.begin().await?;
            let watched = Watched {
                work: fetch(
                    self.conn,
                    &bound,
                    segments.after(),
                    limit,
                    flow,
                    (instants, merges_by),
                ),
                limit: ask.timeout,
                stop,
                in_the_way: std::future::pending(),
                // Its memory has a limit of its own.
                memory: Guard::none(),
                cancel: async { ended.store(true, Ordering::Relaxed) },
                terminate: std::future::ready(()),
            };
            let segment = watched.end().await?;
            if let Some(drained) = segments.end(segment).await? {
                return Ok(drained);
            }
        }
    }

    /// Looks whether the columns are there; returns the collation, where the query puts texts together by one
    /// that takes different ones for one: the program that SQLite makes of it says so.
    #[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
    async fn learn(
        &mut self,
        (bound, query): (&Prepared<'_>, &sql::Query),
        flow: &Flow,
    ) -> Result<Option<&'static str>, Reason> {
        let sql = AssertSqlSafe(bound.text.clone()).into_sql_str();
        let prepared = self.conn.prepare(sql).await.map_err(|e| reason(&e, Phase::Preparing))?;
        let brought: Vec<&str> = prepared.columns().iter().map(Column::name).collect();
        for column in &flow.columns {
            position(&brought, column)?;
        }
        drop(prepared);
        let views = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'view'");
        let views = views.persistent(false).fetch_all(&mut *self.conn).await;
        let views: Vec<String> = views.map_err(|e| reason(&e, Phase::Ours))?;
        let sql = AssertSqlSafe(format!("EXPLAIN {}", bound.text)).into_sql_str();
        let prepared = self.conn.prepare(sql).await.map_err(|e| reason(&e, Phase::Preparing))?;
        let steps = bind(prepared.query(), &bound.values, self.instants)?;
        let steps = steps.fetch_all(&mut *self.conn).await.map_err(|e| reason(&e, Phase::Ours))?;
        // A view puts together too, and has no word of it in the query. Where rows come each by itself, a
        // collation that only filters them puts nothing together.
        let words = Words::of(query.text(), Engine::Sqlite);
        let any = !flow.ordered
            || words.as_ref().is_none_or(Words::merge)
            || words.is_some_and(|words| !words.tables(&views).is_empty());
        let named = |step: &SqliteRow| {
            let text = |name: &str| step.try_get::<String, _>(name).unwrap_or_default();
            let (opcode, what) = (text("opcode"), text("p4"));
            let sorts = ["Compare", "SorterOpen", "OpenEphemeral"].contains(&opcode.as_str());
            let named = ["NOCASE", "RTRIM"].into_iter().find(|name| what.contains(name));
            named.filter(|_| any || sorts)
        };
        Ok(steps.iter().find_map(named))
    }
}

/// The query inside ours: what comes after a key, where there is one, in the order of the key.
fn segment(inner: &str, flow: &Flow, first: Option<usize>, limit: u64) -> String {
    let quoted = |column: &ColumnName| format!("q.\"{}\"", column.as_str().replace('"', "\"\""));
    let list: Vec<String> = flow.columns.iter().map(quoted).collect();
    let mut sql = format!("SELECT {} FROM (\n{inner}\n) AS q", list.join(", "));
    if flow.ordered {
        let key = list.iter().take(flow.key).map(|column| format!("{column} COLLATE BINARY"));
        let key: Vec<String> = key.collect();
        if let Some(first) = first {
            let _ = write!(sql, " WHERE {}", keyset(&key, |number| format!("?{}", first + number)));
        }
        let _ = write!(sql, " ORDER BY {}", key.join(", "));
    }
    let _ = write!(sql, " LIMIT {limit}");
    sql
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut SqliteConnection,
    bound: &Prepared<'_>,
    after: Option<&After>,
    limit: u64,
    flow: &Flow,
    (instants, merges_by): (Option<Instants>, Option<&'static str>),
) -> Result<Segment, Reason> {
    let first = after.map(|_| bound.values.len() + 1);
    let sql = AssertSqlSafe(segment(&bound.text, flow, first, limit)).into_sql_str();
    let prepared = conn.prepare(sql).await.map_err(|e| reason(&e, Phase::Preparing))?;
    let mut query = bind(prepared.query(), &bound.values, instants)?;
    for (column, cell) in flow.columns.iter().zip(after.map_or(&[][..], |after| &after.key)) {
        query = bind_key(query, column, cell)?;
    }
    let mut rows = query.fetch(&mut *conn);
    let mut batcher = Batcher::new(flow, after);
    let mut wanted = FlowDemand::More;
    while let Some(row) = rows.try_next().await.map_err(|e| reason(&e, Phase::Running))? {
        let bytes = decode::cells(&row, &flow.columns, &mut batcher.cells)?;
        if let Some(collation) = merges_by {
            batcher.has_no_text(collation)?;
        }
        batcher.is_named()?;
        wanted = batcher.row(bytes).await;
        if wanted == FlowDemand::Enough {
            break;
        }
    }
    drop(rows);
    Ok(batcher.finish(wanted).await)
}

/// Binds a value of the key after which a segment goes on: as it is stored here.
fn bind_key<'q>(query: Query<'q>, column: &ColumnName, cell: &Cell) -> Result<Query<'q>, Reason> {
    match KeyValue::of(column, cell)? {
        KeyValue::Integer(integer) => Ok(query.bind(integer)),
        KeyValue::Text(text) => Ok(query.bind(text)),
        // There are no others.
        KeyValue::Bool(_) | KeyValue::Decimal(_) | KeyValue::Date(_) | KeyValue::Instant(_) => {
            Err(no_order(column))
        }
    }
}

/// How the settings say that instants are stored, where that is as numbers.
pub(super) fn epoch(instants: Option<Instants>) -> Option<Epoch> {
    match instants? {
        Instants::EpochSecs => Some(Epoch::Seconds),
        Instants::EpochMillis => Some(Epoch::Millis),
        Instants::Sql | Instants::Rfc3339 => None,
    }
}
