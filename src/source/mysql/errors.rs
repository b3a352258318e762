//! MySQL's and MariaDB's errors as causes, without a word that could be data.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's errors are a foreign, growing list"
)]

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

use crate::domain::check::reason::{Cause, Reason};
use crate::source::reach;
use crate::source::watch::late;

/// What we were doing when it happened.
pub(super) enum Phase {
    Connecting,
    /// A statement of ours.
    Ours,
    /// The check's statement was parsed; no data was read yet.
    Preparing,
    /// The check's statement ran, for so long.
    Running {
        limit: Duration,
        ran: Duration,
    },
}

/// Finds the cause.
pub(super) fn reason(error: &sqlx::Error, phase: &Phase) -> Reason {
    match error {
        sqlx::Error::Database(e) => match e.try_downcast_ref::<MySqlDatabaseError>() {
            Some(e) => from_server(e, phase),
            None => reach::reason(error),
        },
        _ => match phase {
            Phase::Preparing | Phase::Running { .. } => reach::of_query(error),
            Phase::Connecting | Phase::Ours => reach::reason(error),
        },
    }
}

/// The same reason, of a session that goes on after it: it was another server that did not answer, or a function of
/// the query says so.
pub(super) fn of_query(reason: Reason) -> Reason {
    match reason.cause {
        Cause::Connect => Reason::new(
            Cause::QueryError,
            format!(
                "the query itself reports a connection that failed: it reads from another server, or a function of it \
                 says so; {}",
                reason.note
            ),
        ),
        _ => reason.of_query(),
    }
}

/// What a warning says of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warned {
    /// It is not what the query asks for.
    Cut,
    /// It proves nothing; what is wrong in it is wrong.
    Misread,
}

/// What the server's warnings say of a result that it cut, or computed from what it could not read: errors 1260 and
/// following of MySQL's and MariaDB's manuals.
pub(super) fn warned(code: u32) -> Option<(Warned, &'static str)> {
    use Warned::{Cut, Misread};
    Some(match code {
        1260 => (Cut, "cut a list at `group_concat_max_len`"),
        1265 | 1406 => (Cut, "cut a value short"),
        1301 => (Cut, "made a value NULL, because it is larger than `max_allowed_packet`"),
        1292 | 1366 | 1411 | 1441 => (Misread, "read a value as a number or a date that it is not"),
        1139 => (Misread, "gave a regular expression up"),
        1365 => (Misread, "divided by zero, and went on with NULL"),
        1931 => {
            (Cut, "stopped before the end, at `max_recursive_iterations` or at a limit of rows")
        }
        _ => return None,
    })
}

fn from_server(error: &MySqlDatabaseError, phase: &Phase) -> Reason {
    let number = error.number();
    let state = error.code().unwrap_or("HY000");
    let with = |cause, note: &str| {
        Reason::new(cause, format!("{note} (SQLSTATE {state}, error {number})"))
    };
    match number {
        // Statement limits of MariaDB and MySQL.
        1969 | 3024 => match phase {
            Phase::Running { limit, .. } => late(*limit),
            Phase::Connecting | Phase::Ours | Phase::Preparing => {
                with(Cause::Timeout, "the server's limit was reached")
            }
        },
        1317 | 1927 => match phase {
            Phase::Running { limit, ran } if *ran >= limit.mul_f32(0.9) => late(*limit),
            Phase::Running { .. } | Phase::Connecting | Phase::Ours | Phase::Preparing => {
                with(Cause::Interrupted, "the query was stopped at the server, and not by allswell")
            }
        },
        1205 => with(Cause::Busy, "a lock was not free within 1s"),
        1213 => with(Cause::Busy, "the server gave other work precedence"),
        1792 | 1290 => with(Cause::Refused, "the query writes, and a check only reads"),
        1045 | 1698 | 1873 => with(Cause::Auth, "the user or the password is wrong"),
        1044 => with(Cause::Auth, "there is no such database, or this user may not see it"),
        1049 => with(Cause::Auth, "there is no such database"),
        1142 | 1143 => {
            let what = match (phase, error.message().rsplit_once(" for ")) {
                // No function of the query has run yet, which could have put data into the message.
                (Phase::Preparing, Some((_, object))) => object,
                _ => "a table or column of the query",
            };
            with(Cause::Auth, &format!("this user may not read {what}: GRANT SELECT"))
        }
        1227 | 1370 => {
            with(Cause::Auth, "this user may not call a function of the query, or there is none")
        }
        1040 | 1203 | 1226 => {
            with(Cause::Connect, "the server, or the user, has no connection left")
        }
        1053 | 1077 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 => {
            with(Cause::Connect, "the server ended the session")
        }
        1021 | 1037 | 1038 | 1041 | 1114 | 1135 => {
            with(Cause::Busy, "the server is out of a resource")
        }
        1242 => with(Cause::QueryError, "a subquery brings more than one row"),
        1365 => with(Cause::QueryError, "the query divides by zero"),
        _ => match phase {
            // Written while the text was parsed: every word of it stands in the check.
            Phase::Preparing if repeats_only_the_text(number) => Reason::new(
                Cause::QueryError,
                format!("{} (SQLSTATE {state}, error {number})", error.message()),
            ),
            Phase::Preparing => with(Cause::QueryError, "the server does not understand the query"),
            Phase::Running { .. } => {
                with(Cause::QueryError, "the query failed; the server's log says more")
            }
            Phase::Connecting => with(Cause::Connect, "the server refused the connection"),
            Phase::Ours => {
                with(Cause::QueryError, "the server refused a statement of allswell's own")
            }
        },
    }
}

/// Unknown columns, tables, functions; syntax; ambiguity.
fn repeats_only_the_text(number: u16) -> bool {
    matches!(
        number,
        1051 | 1052 | 1054 | 1055 | 1056 | 1060 | 1064 | 1066 | 1128 | 1146 | 1222 | 1305
    )
}
