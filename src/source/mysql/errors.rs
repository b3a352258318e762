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
///
/// What is not known counts as misread, but for notes: of those the listed ones alone say something of a value.
pub(super) fn warned(code: u32, is_note: bool) -> Option<(Warned, &'static str)> {
    use Warned::{Cut, Misread};
    Some(match code {
        1260 => (Cut, "cut a list at `group_concat_max_len`"),
        1265 | 1406 => (Cut, "cut a value short"),
        1301 => (Cut, "made a value NULL, because it is larger than `max_allowed_packet`"),
        1292 | 1366 | 1411 | 1441 => (Misread, "read a value as a number or a date that it is not"),
        1139 => (Misread, "gave a regular expression up"),
        1365 => (Misread, "divided by zero, and went on with NULL"),
        1264 | 1916 => (Misread, "brought a number into a range that it is outside of"),
        1300 | 1977 => (Misread, "read a text that its character set does not have"),
        4037 | 4038 | 4041 | 4048 => (Misread, "read something as JSON that it is not"),
        1256 | 1958 | 1525 => (Misread, "could not read a value, and went on with NULL"),
        1931 => {
            (Cut, "stopped before the end, at `max_recursive_iterations` or at a limit of rows")
        }
        _ if is_note || is_of_the_text(code) => return None,
        _ => (Misread, "warned of something that allswell does not know"),
    })
}

/// Warnings of how a query is written or planned, and not of what it read: words that will go, hints, aliases of character
/// sets, and an index that cannot be used.
fn is_of_the_text(code: u32) -> bool {
    matches!(
        code,
        1003 | 1064 | 1105 | 1249 | 1276 | 1287 | 1618 | 1681 | 1739 | 3005 | 3090 | 3123
            ..=3135 | 3170 | 3515 | 3575 | 3576 | 3637 | 3638 | 3719 | 3720 | 3778 | 4202
    )
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
        1290 if !error.message().contains("read") => {
            with(Cause::Busy, "an option of the server refuses the statement")
        }
        1792 | 1290 => with(Cause::Refused, "the query writes, and a check only reads"),
        1045 | 1698 | 1873 => with(Cause::Auth, "the user or the password is wrong"),
        1820 | 1862 => with(Cause::Auth, "the password of this user has expired"),
        3118 | 3955 | 4151 => with(Cause::Auth, "this user is locked"),
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
        1227 if matches!(phase, Phase::Ours) => {
            with(Cause::Auth, "this user may not run a statement that allswell needs")
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
        1461 => with(Cause::Busy, "the server has no room for another prepared statement"),
        1021 | 1037 | 1038 | 1041 | 1114 | 1135 => {
            with(Cause::Busy, "the server is out of a resource")
        }
        1242 => with(Cause::QueryError, "a subquery brings more than one row"),
        1365 => with(Cause::QueryError, "the query divides by zero"),
        // MySQL's library of regular expressions: too deep, too long, not understood.
        3685..=3700 => with(Cause::QueryError, "the server gave a regular expression up"),
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
