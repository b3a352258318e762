//! Which columns a query compares with the bounds of its window, and whether they are dates: asked once per query.
//!
//! MySQL infers no types for placeholders; what its catalogue says of the columns' names has to do.

use sqlx::{AssertSqlSafe, MySqlConnection};

use crate::domain::check::reason::Reason;
use crate::domain::sql::lint::columns_at_bounds;
use crate::source::ask::Question;
use crate::source::known::{Known, dated};

/// Says why a query proves nothing, where an instant is compared with a date.
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
                let Ok(found) = dates(conn, question).await else { continue };
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

#[expect(clippy::disallowed_methods, reason = "the names are bound, and the rest is ours")]
async fn dates(
    conn: &mut MySqlConnection,
    question: &Question,
) -> Result<Option<Reason>, sqlx::Error> {
    let (tables, columns) = columns_at_bounds(&question.query);
    if tables.is_empty() || columns.is_empty() {
        return Ok(None);
    }
    let marks = |count: usize| vec!["?"; count].join(", ");
    let sql = format!(
        "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND LOWER(table_name) IN ({}) \
         AND column_name IN ({}) GROUP BY column_name HAVING MIN(data_type = 'date') = 1 LIMIT 1",
        marks(tables.len()),
        marks(columns.len())
    );
    let query = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).persistent(false);
    let query = tables.iter().chain(&columns).fold(query, |query, name| query.bind(name.clone()));
    let column = query.fetch_optional(conn).await?;
    Ok(column.map(|column| dated(&format!("a bound of the window (beside `{column}`)"))))
}
