//! What the server takes the bounds of a window for: asked once per query, before it is run.
//!
//! A bound that is compared with a DATE column becomes a date, by UTC: west of Greenwich each day would be proved by the
//! rows of the next. The types that the server infers say so before any row is read.

use sqlx::postgres::PgConnection;
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

use crate::domain::check::reason::{Cause, Reason};
use crate::domain::sql::parameter::Parameter;
use crate::source::ask::Question;
use crate::source::known::{Known, dated, instant};

/// Says why a query proves nothing, where its bounds are not taken as what they are.
pub(super) async fn look(
    known: &Known,
    conn: &mut PgConnection,
    question: &Question,
    search_path: &str,
) -> Result<(), Reason> {
    if !Known::concerns(question) {
        return Ok(());
    }
    let found = match known.of(question) {
        Some(found) => found,
        None => {
            // A connection that is broken says nothing: the attempt finds that out.
            let Ok(types) = inferred(conn, question, search_path).await else { return Ok(()) };
            let found = types.and_then(|types| wrong(question, &types));
            known.keep(question, found.clone());
            found
        }
    };
    found.map_or(Ok(()), |reason| Err(question.blame(reason)))
}

/// The types that the server infers, one for each place of a parameter; nothing where it infers none: sound SQL like
/// `$1 - interval '7 days'` cannot be prepared without types.
#[expect(clippy::disallowed_methods, reason = "source/ is where SQL from outside is run")]
async fn inferred(
    conn: &mut PgConnection,
    question: &Question,
    search_path: &str,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    let sql = question.query.with_parameters(|number, _| format!("${number}"));
    let begin = format!("BEGIN READ ONLY{search_path}");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(begin))).await?;
    let types = match conn.prepare(AssertSqlSafe(sql).into_sql_str()).await {
        Ok(statement) => match statement.parameters() {
            Some(Either::Left(types)) => {
                Some(types.iter().map(|kind| kind.name().to_uppercase()).collect())
            }
            Some(Either::Right(_)) | None => None,
        },
        Err(sqlx::Error::Database(_)) => None,
        Err(other) => return Err(other),
    };
    // Behind a pooler the connection is another one after the transaction: nothing is left there.
    conn.clear_cached_statements().await?;
    conn.execute("ROLLBACK").await?;
    Ok(types)
}

/// Why a bound of this type is not what was meant.
fn wrong(question: &Question, types: &[String]) -> Option<Reason> {
    question.query.parameters().zip(types).find_map(|(parameter, kind)| {
        let text = matches!(kind.as_str(), "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME");
        let note = match parameter {
            Parameter::WindowStart
            | Parameter::WindowEnd
            | Parameter::PastStart
            | Parameter::PastEnd
                if kind == "DATE" =>
            {
                return Some(dated(&format!("`{parameter}`")));
            }
            Parameter::WindowStart
            | Parameter::WindowEnd
            | Parameter::PastStart
            | Parameter::PastEnd
                if text =>
            format!(
                "`{parameter}` is compared with a text, or with another parameter: compare a column of instants with it"
            ),
            Parameter::WindowDate | Parameter::WindowEndDate | Parameter::PastDate
                if kind.starts_with("TIMESTAMP") =>
            {
                return Some(instant(parameter, None));
            }
            Parameter::WindowStart
            | Parameter::WindowEnd
            | Parameter::WindowDate
            | Parameter::WindowEndDate
            | Parameter::Zone
            | Parameter::UtcOffset
            | Parameter::WindowHours
            | Parameter::PastStart
            | Parameter::PastEnd
            | Parameter::PastDate => return None,
        };
        Some(Reason::new(Cause::QueryError, note))
    })
}
