//! Whether the columns that a query compares with its window hold instants and dates as they should.
//!
//! SQLite's types say nothing of that: the first values of each column do. They are read anew each time, as a table that
//! was empty has values now.

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::domain::check::reason::Reason;
use crate::domain::sql::lint::columns_at_bounds;
use crate::source::ask::Question;
use crate::source::known::{Known, dated, instant};

/// How many rows of a table are read at most.
const ROWS_MAX: u32 = 1_000;
/// A text of a date alone, `2026-03-08`.
const IS_DATE: &str = "typeof(v) = 'text' and v glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'";
/// What has a time of the day that is not midnight, or counts since 1970.
const IS_INSTANT: &str = "typeof(v) <> 'text' or v glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]?*' \
    and substr(v, 12, 5) <> '00:00'";

/// Says why a query proves nothing, where an instant is compared with a date, or a date with an instant.
pub(super) async fn look(
    conn: &mut SqliteConnection,
    question: &Question,
) -> Result<Option<Reason>, sqlx::Error> {
    if !Known::concerns(question) {
        return Ok(None);
    }
    let timed = columns_at_bounds(&question.query);
    for column in &timed.with_instants {
        if holds(conn, &timed.tables, column, IS_DATE).await? {
            return Ok(Some(dated(&format!("a bound of the window (beside `{column}`)"))));
        }
    }
    for (column, parameter) in &timed.with_dates {
        if holds(conn, &timed.tables, column, IS_INSTANT).await? {
            return Ok(Some(instant(*parameter, Some(column))));
        }
    }
    Ok(None)
}

/// Says whether a column of this name holds such values in each of these tables that has it.
#[expect(clippy::disallowed_methods, reason = "the names are quoted, and the rest is ours")]
async fn holds(
    conn: &mut SqliteConnection,
    tables: &[String],
    column: &str,
    what: &str,
) -> Result<bool, sqlx::Error> {
    let mut is_found = false;
    for table in tables {
        let named = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
                     WHERE m.type = 'table' AND lower(m.name) = ? AND lower(c.name) = ?";
        let named = sqlx::query_as::<_, (String, String)>(named).bind(table).bind(column);
        let Some((table, column)) = named.fetch_optional(&mut *conn).await? else { continue };
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!(
            "SELECT 1 FROM (SELECT {} AS v FROM {} LIMIT {ROWS_MAX}) WHERE v IS NOT NULL AND ({what}) LIMIT 1",
            quoted(&column),
            quoted(&table)
        );
        let value = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).persistent(false);
        if value.fetch_optional(&mut *conn).await?.is_none() {
            return Ok(false);
        }
        is_found = true;
    }
    Ok(is_found)
}
