//! What can go wrong with the ledger, and whether it may pass by itself.

use std::borrow::Cow;
use std::time::Duration;

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store could not be reached, or refused.
    #[error("the store failed: {0}{hint}", hint = hint(.0))]
    Store(#[from] sqlx::Error),
    /// The store did not answer in time.
    #[error("the store did not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// Somebody else keeps his record there.
    #[error("another daemon keeps its record in {0}: stop it, or name another file under `ledger`")]
    Taken(String),
    /// The store was made by a later release.
    #[error(
        "the store has version {version}, and this program knows {ours}: use the newer program"
    )]
    Version {
        /// The store's.
        version: i64,
        /// Ours.
        ours: i64,
    },
    /// The file is damaged.
    #[error("the file is damaged ({0}): restore a copy, or put it aside to begin anew")]
    Damaged(String),
    /// The file cannot be made or locked.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file holds other data.
    #[error("the file holds other tables than a ledger's: name a file of its own under `ledger`")]
    Foreign,
    /// Its file is not there any more.
    #[error(
        "{0} is gone: put it back, or start the daemon anew to begin a record that knows nothing of before"
    )]
    Gone(String),
    /// Another file has its name now.
    #[error("{0} is another file than the one that was opened: start the daemon anew")]
    Replaced(String),
    /// What came from the store could not be read, and stopped the driver.
    #[error("the store answered something that is no answer: the connection was thrown away")]
    Garbled,
    /// What is stored is not what was written.
    #[error("the store holds something odd: {0}")]
    Odd(Cow<'static, str>),
}

/// What helps where a server does not write.
fn hint(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some("25006") => {
            "; a ledger needs a primary, and another role than the one that watches: that one only reads"
        }
        Some(_) | None => "",
    }
}

impl LedgerError {
    /// Says whether it may be over soon, because a server is away or overloaded, and nothing is wrong with
    /// what was given.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Slow(_) | Self::Garbled => true,
            Self::Store(sqlx::Error::Database(error)) => {
                // A wrong password, no such database, no right to it: PostgreSQL's manual, appendix A.
                let code = error.code().unwrap_or_default();
                !["28", "3D", "3F", "42"].iter().any(|class| code.starts_with(class))
            }
            Self::Store(sqlx::Error::Configuration(_)) => false,
            Self::Store(_) => true,
            Self::Taken(_)
            | Self::Version { .. }
            | Self::Damaged(_)
            | Self::File { .. }
            | Self::Foreign
            | Self::Gone(_)
            | Self::Replaced(_)
            | Self::Odd(_) => false,
        }
    }

    pub(super) fn odd(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Odd(what.into())
    }
}
