//! Whether the columns that a query compares with its window are instants and dates as they should: asked once per query.
//!
//! MySQL infers no types for placeholders; what its catalogue says of the columns' names has to do.

use sqlx::{AssertSqlSafe, MySqlConnection};

use crate::domain::check::reason::Reason;
use crate::domain::sql::lint::columns_at_bounds;
use crate::domain::sql::parameter::Parameter;
use crate::source::ask::Question;
use crate::source::known::{Known, dated, instant};

/// Says why a query proves nothing, where an instant is compared with a date, or a date with an instant.
pub(super) async fn look(
    known: &Known,
    conn: &mut MySqlConnection,
    questions: &[Question],
) -> Result<(), Reason> {
    for question in questions.iter().filter(|question| Known::concerns(question)) {
        let found = match known.of(question) {
            Some(found) => found,
            None => {
                // Where the catalogue cannot be read, nothing is known.
                let Ok(found) = wrong(conn, question).await else { continue };
                known.keep(question, found.clone());
                found
            }
        };
        if let Some(reason) = found {
            return Err(question.blame(reason));
        }
    }
    Ok(())
}

/// What of a query's columns is not of the kind that it is compared with.
async fn wrong(
    conn: &mut MySqlConnection,
    question: &Question,
) -> Result<Option<Reason>, sqlx::Error> {
    let timed = columns_at_bounds(&question.query);
    if let Some(column) = of_types(conn, &timed.tables, &timed.with_instants, "'date'").await? {
        return Ok(Some(dated(&format!("a bound of the window (beside `{column}`)"))));
    }
    let columns: Vec<String> = timed.with_dates.iter().map(|(column, _)| column.clone()).collect();
    let found = of_types(conn, &timed.tables, &columns, "'datetime', 'timestamp'").await?;
    Ok(found.and_then(|name| {
        let is_it = |(column, _): &&(String, Parameter)| column.eq_ignore_ascii_case(&name);
        let (_, parameter) = timed.with_dates.iter().find(is_it)?;
        Some(instant(*parameter, Some(&name)))
    }))
}

/// The first of these columns that is of one of these types in each of the tables that has it.
#[expect(clippy::disallowed_methods, reason = "the names are bound, and the rest is ours")]
async fn of_types(
    conn: &mut MySqlConnection,
    tables: &[String],
    columns: &[String],
    types: &str,
) -> Result<Option<String>, sqlx::Error> {
    if tables.is_empty() || columns.is_empty() {
        return Ok(None);
    }
    let marks = |count: usize| vec!["?"; count].join(", ");
    let sql = format!(
        "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND LOWER(table_name) IN ({}) \
         AND column_name IN ({}) GROUP BY column_name HAVING MIN(data_type IN ({types})) = 1 LIMIT 1",
        marks(tables.len()),
        marks(columns.len())
    );
    let query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).persistent(false);
    let query = tables.iter().chain(columns).fold(query, |query, name| query.bind(name.clone()));
    query.fetch_optional(conn).await
}
