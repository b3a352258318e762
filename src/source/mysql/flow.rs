//! Rows that flow from MySQL or MariaDB: in the order of a key by segments, or as they come.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::check::reason::Reason;
use crate::domain::reconcile::cell::Cell;
use crate::domain::sql::Engine;
use crate::domain::sql::collation_merge::Words;
use crate::source::ask::{Ask, Question};
use crate::source::bind::{Prepared, Style, bind_typed};
use crate::source::columns::position;
use crate::source::flow::segments::{Segments, bind_key, keyset};
use crate::source::flow::{
    After, Batcher, Flow, FlowDemand, Segment, groups_otherwise, hidden, merges,
};
use crate::source::memory::Guard;
use crate::source::mysql::decode::{self, Reading};
use crate::source::mysql::errors::{self, Phase};
use crate::source::mysql::guards::SORTED_BYTES;
use crate::source::mysql::waiters::somebody_waits;
use crate::source::mysql::{Flavour, MySql, Session, warned};
use crate::source::watch::Watched;

/// How a question's rows are asked for.
struct Plan {
    /// Where the columns stand in the check's own result.
    positions: Vec<usize>,
    /// What the result calls them.
    names: Vec<String>,
    /// What the key is ordered by: the daemon's order, whatever the database's is.
    expressions: Vec<String>,
    /// Which columns of the key are texts.
    texts: Vec<bool>,
}

impl MySql {
    /// Lets the rows of a question flow; says whether the server has sent all that it would.
    pub(super) async fn flow(
        &self,
        session: &mut Session,
        (ask, question, flow): (&Ask, &Question, &Flow),
        stop: &CancellationToken,
    ) -> Result<bool, Reason> {
        if !flow.is_wanted(stop).await? {
            return Ok(true);
        }
        let bound = Prepared::new(question, Style::Mark);
        let id = session.id;
        let words = Words::of(question.query.text(), Engine::MySql);
        let learnt = (session.flavour, words.as_ref());
        let plan = learn(&mut session.conn, &bound, learnt, flow, ask.timeout);
        let plan = Box::pin(self.watched(plan, ask, id, stop)).await?;
        let mut segments = Segments::new(flow, stop);
        loop {
            let limit = segments.begin().await?;
            let next = Next { plan: &plan, bound: &bound, after: segments.after(), limit };
            let work = fetch(&mut session.conn, &next, flow, ask.timeout);
            let segment = Box::pin(self.watched(work, ask, id, stop)).await?;
            if !segment.enough {
                // Before anybody takes it for the last one.
                if let Some(reason) = warned(&mut session.conn, "DO 0", stop).await? {
                    return Err(reason);
                }
            }
            if let Some(drained) = segments.end(segment).await? {
                return Ok(drained);
            }
        }
    }

    async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, Reason>>,
        ask: &Ask,
        id: u64,
        stop: &CancellationToken,
    ) -> Result<T, Reason> {
        let watched = Watched {
            work,
            limit: ask.timeout,
            stop,
            in_the_way: Box::pin(somebody_waits(&self.options, self.role.sees_others(), id)),
            memory: Guard::over(self.ending(id)),
            cancel: self.cancel(id),
            terminate: std::future::ready(()),
        };
        watched.end().await
    }
}

/// Learns what the columns are: from the prepared statement, and of texts in the key which collation they have.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn learn(
    conn: &mut MySqlConnection,
    bound: &Prepared<'_>,
    (flavour, words): (Flavour, Option<&Words>),
    flow: &Flow,
    limit: Duration,
) -> Result<Plan, Reason> {
    let started = Instant::now();
    let sql = AssertSqlSafe(bound.text.clone()).into_sql_str();
    let prepared = conn.prepare(sql).await.map_err(|e| errors::reason(&e, &Phase::Preparing))?;
    let brought: Vec<&str> = prepared.columns().iter().map(Column::name).collect();
    let positions: Vec<usize> =
        flow.columns.iter().map(|column| position(&brought, column)).collect::<Result<_, _>>()?;
    let names: Vec<String> = positions.iter().map(|at| brought[*at].to_owned()).collect();
    let texts: Vec<bool> = positions
        .iter()
        .take(flow.key)
        .map(|at| decode::is_text(prepared.columns()[*at].type_info()))
        .collect();
    drop(prepared);
    for (number, name) in names.iter().enumerate().take(flow.key) {
        if !texts[number] {
            continue;
        }
        let column = &flow.columns[number];
        let exact = exact(flavour);
        if let Some(view) = view_that_merges(conn, words).await? {
            return Err(hidden(
                &format!("the view `{view}`"),
                &format!("{column} collate {exact}"),
            ));
        }
        if words.is_some_and(Words::casts_elsewhere) {
            return Err(groups_otherwise(column, &format!("{column} collate {exact}")));
        }
        // Rows that are not put together come each by itself, whatever the collation takes for one.
        if flow.ordered && words.is_some_and(|words| !words.merge()) {
            continue;
        }
        // Nothing is read of a LIMIT of 0.
        let sql = format!(
            "SELECT COLLATION((SELECT {} FROM (\n{}\n) AS q LIMIT 0))",
            quoted(name),
            bound.text
        );
        let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let row = bind_typed!(query, bound.values).fetch_one(&mut *conn).await;
        let ran = started.elapsed();
        let row = row.map_err(|e| errors::reason(&e, &Phase::Running { limit, ran }))?;
        let collation: Option<String> = row.try_get_unchecked(0).ok();
        // The others that are binary take spaces at the end for nothing.
        let is_exact = |name: &str| {
            name == "binary" || name.ends_with("_nopad_bin") || name.ends_with("_0900_bin")
        };
        if let Some(collation) = collation.filter(|name| !is_exact(name)) {
            let cast = if collation.starts_with("utf8mb4") {
                format!("{column} collate {exact}")
            } else {
                format!("convert({column} using utf8mb4) collate {exact}")
            };
            return Err(merges(column, &collation, &cast));
        }
    }
    let expressions = names.iter().zip(&texts).map(|(name, is_text)| {
        let column = quoted(name);
        if *is_text { format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)") } else { column }
    });
    let expressions = expressions.collect();
    Ok(Plan { positions, names, expressions, texts })
}

/// The collation that takes no two texts for one.
fn exact(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::MariaDb => "utf8mb4_nopad_bin",
        Flavour::MySql => "utf8mb4_0900_bin",
    }
}

/// A view that is named and that puts rows together, itself or by another view; or whose text we may not read.
async fn view_that_merges(
    conn: &mut MySqlConnection,
    words: Option<&Words>,
) -> Result<Option<String>, Reason> {
    const VIEWS: &str = "SELECT TABLE_NAME, VIEW_DEFINITION, TABLE_SCHEMA, DATABASE() FROM information_schema.VIEWS \
        WHERE TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')";
    let rows = sqlx::query(VIEWS).persistent(false).fetch_all(conn).await;
    let rows = rows.map_err(|e| errors::reason(&e, &Phase::Ours))?;
    let text = |row: &MySqlRow, place: usize| {
        row.try_get_unchecked::<String, _>(place).unwrap_or_default()
    };
    let here = rows.first().map_or_else(String::new, |row| text(row, 3));
    // By schema and name.
    let views: Vec<([String; 2], String)> =
        rows.iter().map(|row| ([text(row, 2), text(row, 0)], text(row, 1))).collect();
    let names: Vec<String> = views.iter().map(|([_, name], _)| name.clone()).collect();
    let named = |words: &Words| -> Vec<[String; 2]> {
        let schema = |schema: Option<&str>| schema.unwrap_or(&here).to_owned();
        words.tables(&names).into_iter().map(|(name, of)| [schema(of), name.clone()]).collect()
    };
    let Some(words) = words else { return Ok(names.into_iter().next()) };
    let (mut next, mut seen) = (named(words), Vec::new());
    while let Some(view) = next.pop() {
        if seen.contains(&view) {
            continue;
        }
        let is = |known: &[String; 2]| {
            known.iter().zip(&view).all(|(known, wanted)| known.eq_ignore_ascii_case(wanted))
        };
        for (_, definition) in views.iter().filter(|(known, _)| is(known)) {
            let exact = ["_nopad_bin", "_0900_bin"].iter().any(|name| definition.contains(name));
            match Words::of(definition, Engine::MySql).filter(|_| !definition.is_empty()) {
                Some(words) if !words.merge() || exact && !words.casts_elsewhere() => {
                    next.extend(named(&words));
                }
                Some(_) | None => return Ok(Some(view[1].clone())),
            }
        }
        seen.push(view);
    }
    Ok(None)
}

fn quoted(name: &str) -> String {
    format!("q.`{}`", name.replace('`', "``"))
}

/// A segment that is to be asked for.
struct Next<'n> {
    plan: &'n Plan,
    bound: &'n Prepared<'n>,
    after: Option<&'n After>,
    limit: u64,
}

impl Next<'_> {
    /// The SQL, and which value of the last key stands at each of our places.
    fn sql(&self) -> (String, Vec<usize>) {
        let plan = self.plan;
        let list: Vec<String> = plan.names.iter().map(|name| quoted(name)).collect();
        let mut sql = format!("SELECT {} FROM (\n{}\n) AS q", list.join(", "), self.bound.text);
        let mut places = Vec::new();
        if self.after.is_some() {
            let condition = keyset(&plan.expressions, |number| {
                places.push(number);
                if plan.texts[number] { "CAST(? AS BINARY)".to_owned() } else { "?".to_owned() }
            });
            let _ = write!(sql, " WHERE {condition}");
        }
        let _ = write!(sql, " ORDER BY {} LIMIT {}", plan.expressions.join(", "), self.limit);
        (sql, places)
    }
}

#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn fetch(
    conn: &mut MySqlConnection,
    next: &Next<'_>,
    flow: &Flow,
    limit: Duration,
) -> Result<Segment, Reason> {
    let started = Instant::now();
    let (sql, places, positions) = if flow.ordered {
        let (sql, places) = next.sql();
        (sql, places, (0..flow.columns.len()).collect())
    } else {
        // As it is: a derived table may change its plan.
        (next.bound.text.clone(), Vec::new(), next.plan.positions.clone())
    };
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let mut query = bind_typed!(query, next.bound.values);
    for place in places {
        let cell = next.after.and_then(|after| after.key.get(place));
        query = bind_key!(query, &flow.columns[place], cell.unwrap_or(&Cell::Null));
    }
    let mut rows = query.fetch(&mut *conn);
    let mut readings: Option<Vec<Reading>> = None;
    let mut batcher = Batcher::new(flow, next.after);
    let mut wanted = FlowDemand::More;
    let trouble =
        |e: &sqlx::Error| errors::reason(e, &Phase::Running { limit, ran: started.elapsed() });
    while let Some(row) = rows.try_next().await.map_err(|e| trouble(&e))? {
        let readings = match &readings {
            Some(readings) => readings,
            None => readings.insert(decode::readings(&row, &positions)?),
        };
        let bytes = decode::cells(&row, readings, &mut batcher.cells)?;
        batcher.is_named()?;
        batcher.is_sorted_whole(SORTED_BYTES)?;
        wanted = batcher.row(bytes).await;
        if wanted == FlowDemand::Enough {
            break;
        }
    }
    drop(rows);
    Ok(batcher.finish(wanted).await)
}
