//! PostgreSQL's errors as causes, without a word that could be data.
//!
//! A server's message may quote a value (`invalid input syntax for type integer: "…"`). It is
//! repeated only where the server wrote it while it parsed the check's own text: then every word of
//! it stands in the check or names a column.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's errors are a foreign, growing list"
)]

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgSeverity};

use crate::domain::check::reason::{Cause, Reason};
use crate::source::postgres::wrapped::Wrapped;
use crate::source::reach;
use crate::source::watch::late;

/// What we were doing when it happened.
#[derive(Clone, Copy)]
pub(super) enum Phase<'a> {
    Connecting,
    /// A statement of ours.
    Ours,
    /// The check's statement, with its limit and how long it ran.
    Theirs {
        wrapped: &'a Wrapped,
        limit: Duration,
        ran: Duration,
    },
}

/// Says whether the server is going away or coming up.
pub(super) fn is_shutdown(error: &sqlx::Error) -> bool {
    database(error).is_some_and(|e| matches!(e.code(), "57P01" | "57P02" | "57P05" | "25P03"))
}

/// Says whether the server does not know the statement that it was just given.
pub(super) fn is_lost_statement(error: &sqlx::Error) -> bool {
    // A function that says so has a context; a remote server of a foreign table too.
    database(error).is_some_and(|e| e.code() == "26000" && e.r#where().is_none())
}

fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    match error {
        sqlx::Error::Database(e) => e.try_downcast_ref::<PgDatabaseError>(),
        _ => None,
    }
}

/// Finds the cause.
pub(super) fn reason(error: &sqlx::Error, phase: Phase<'_>) -> Reason {
    match database(error) {
        Some(error) => from_server(error, phase),
        None => match phase {
            Phase::Theirs { .. } => reach::of_query(error),
            Phase::Connecting | Phase::Ours => reach::reason(error),
        },
    }
}

/// Says whether the session goes on after an error of this SQLSTATE that a query raised: then it was another server
/// that did not answer, or a function that says so.
fn is_raised(error: &PgDatabaseError, phase: Phase<'_>) -> bool {
    let goes_on = !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    matches!(phase, Phase::Theirs { .. }) && goes_on
}

fn from_server(error: &PgDatabaseError, phase: Phase<'_>) -> Reason {
    let code = error.code();
    let with = |cause, note: &str| Reason::new(cause, format!("{note} (SQLSTATE {code})"));
    match code {
        "57014" => match phase {
            Phase::Theirs { limit, ran, .. } if ran >= limit.mul_f32(0.9) => late(limit),
            Phase::Theirs { .. } | Phase::Ours | Phase::Connecting => with(
                Cause::Interrupted,
                "the query was cancelled at the server, and not by allswell",
            ),
        },
        "25P04" => with(Cause::Timeout, "the transaction ran into the server's limit"),
        "55P03" => with(Cause::Busy, "a lock was not free within 1s"),
        "40001" | "40P01" => with(Cause::Busy, "the server gave other work precedence"),
        "25006" => with(Cause::Refused, "the query writes, and a check only reads"),
        "42501" => match phase {
            // Others may read what they ask for.
            Phase::Theirs { .. } => denied(error).of_query(),
            Phase::Connecting | Phase::Ours => denied(error),
        },
        _ if is_raised(error, phase) && is_of_a_way(code) => with(
            Cause::QueryError,
            "the query itself reports a connection that failed: it reads from another server, or a function of it says so",
        ),
        "3D000" => with(Cause::Auth, "there is no such database"),
        "28P01" => with(Cause::Auth, "the role or the password is wrong, or none was given"),
        _ if code.starts_with("28") => {
            with(Cause::Auth, "the server does not let this role in from here (pg_hba.conf)")
        }
        "53300" => with(Cause::Connect, "the server, or the role, has no connection left"),
        "57P01" | "57P02" | "57P05" | "25P03" => {
            with(Cause::Connect, "the server ended the session")
        }
        "57P03" => with(Cause::Connect, "the server is starting, stopping or recovering"),
        "08P01" => match phase {
            // Poolers say it like this: PgBouncer before 1.21.
            Phase::Connecting if is_about_a_password(error.message()) => {
                with(Cause::Auth, "the pooler does not take the role or the password")
            }
            Phase::Connecting => {
                with(Cause::Connect, "the server or pooler refused the connection")
            }
            Phase::Ours | Phase::Theirs { .. } => with(Cause::Connect, "the protocol was broken"),
        },
        _ if code.starts_with("08") => with(Cause::Connect, "the connection failed"),
        "58P01" if matches!(phase, Phase::Theirs { .. }) => {
            with(Cause::QueryError, "a file that the query reads is not there")
        }
        _ if code.starts_with("53") || code.starts_with("58") => {
            with(Cause::Busy, "the server is out of a resource")
        }
        _ => match phase {
            Phase::Theirs { wrapped, .. } => from_query(error, wrapped),
            Phase::Connecting | Phase::Ours => {
                with(Cause::QueryError, "the server refused a statement of allswell's own")
            }
        },
    }
}

/// Says whether a pooler refuses who connects, by its words: it has no SQLSTATE for that.
fn is_about_a_password(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["password", "auth", "no such user"].iter().any(|word| message.contains(word))
}

/// Connections, who may open them, and servers that come and go: appendix A of PostgreSQL's manual.
fn is_of_a_way(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("28")
        || matches!(
            code,
            "26000" | "3D000" | "53300" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03"
        )
}

/// The server names the object; a function in the query could name anything.
fn denied(error: &PgDatabaseError) -> Reason {
    let words = match error.r#where() {
        None => error.message(),
        Some(_) => "the role may not do what a function of the query does",
    };
    let hint = if words.contains("row-level security") {
        "the role would not see all rows: give it BYPASSRLS"
    } else {
        "GRANT it to the role"
    };
    Reason::new(Cause::Auth, format!("{words}; {hint} (SQLSTATE 42501)"))
}

fn from_query(error: &PgDatabaseError, wrapped: &Wrapped) -> Reason {
    let code = error.code();
    let what = match code {
        "0A000" => "the server does not support this here",
        "21000" => "the query must bring one row with one value, and it brings more",
        "22012" => "the query divides by zero",
        _ if code.starts_with("22") => {
            "a value could not be computed; the server's words may \
                                        quote it, so look in its log"
        }
        _ if code.starts_with("42") => "the server does not understand the query",
        _ => "the query failed; the server's log says more",
    };
    let parsed = code.starts_with("42") && error.r#where().is_none();
    let position = match error.position() {
        Some(PgErrorPosition::Original(position)) if parsed => position.saturating_sub(1),
        Some(_) | None => {
            return Reason::new(Cause::QueryError, format!("{what} (SQLSTATE {code})"));
        }
    };
    if !wrapped.inner.contains(&position) {
        return match (code, missing_column(wrapped, error.message())) {
            ("42703", Some(column)) => Reason::new(
                Cause::QueryError,
                format!("the query brings no column `{column}` (SQLSTATE {code})"),
            ),
            ("42702", _) => Reason::new(
                Cause::QueryError,
                format!(
                    "the query brings two columns of one name that is judged (SQLSTATE {code})"
                ),
            ),
            _ => Reason::new(Cause::QueryError, format!("{what} (SQLSTATE {code})")),
        };
    }
    let before: String = wrapped.inner_text.chars().take(position - wrapped.inner.start).collect();
    let line = before.matches('\n').count() + 1;
    Reason::new(
        Cause::QueryError,
        format!("{}, in line {line} of the SQL (SQLSTATE {code})", error.message()),
    )
}

/// Finds which of the columns that we asked for the server misses.
fn missing_column<'a>(wrapped: &'a Wrapped, message: &str) -> Option<&'a str> {
    let named =
        |c: &&String| message.contains(&format!("q.{c} ")) || message.contains(&format!("\"{c}\""));
    wrapped.columns.iter().find(named).map(String::as_str)
}
