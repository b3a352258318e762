//! Whether a ledger's file is sound: SQLite reads it as a whole to say so, which takes as long as the file is large.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ledger::conn::Conn;
use crate::ledger::errors::LedgerError;

/// How long the start waits for the answer. After that the work begins, and goes on until the file is found damaged.
pub(super) const WAIT: Duration = Duration::from_secs(2);

/// The look at a file, as long as it takes.
#[derive(Default)]
pub(super) struct FileCheck {
    under_way: JoinSet<Result<(), LedgerError>>,
    damaged: Option<String>,
}

impl FileCheck {
    /// Looks at a file that is there, over a connection of its own.
    pub(super) fn begin(path: &Path) -> Self {
        let path = path.to_owned();
        let mut under_way = JoinSet::new();
        under_way.spawn(async move {
            let mut conn = Conn::sqlite(&path, true).await?;
            let row = conn.first("PRAGMA quick_check(1)", Vec::new()).await?;
            let found = row.map_or(Ok(String::new()), |r| r.text("quick_check").map(str::to_owned));
            match found? {
                found if found == "ok" => Ok(()),
                found => Err(LedgerError::Damaged(found)),
            }
        });
        Self { under_way, damaged: None }
    }

    /// Waits for the answer, but not for longer than that.
    ///
    /// # Errors
    /// Where the file is damaged, or could not be read.
    pub(super) async fn wait(&mut self, wait: Duration) -> Result<(), LedgerError> {
        match timeout(wait, self.under_way.join_next()).await {
            Ok(Some(looked)) => looked.unwrap_or(Err(LedgerError::Garbled)),
            Ok(None) => Ok(()),
            Err(_) => {
                tracing::info!(
                    "the ledger's file is large: it is looked through while the work goes on"
                );
                Ok(())
            }
        }
    }

    /// Fails once the file is known to be damaged.
    pub(super) fn is_sound(&mut self) -> Result<(), LedgerError> {
        if let Some(looked) = self.under_way.try_join_next() {
            let looked = looked.unwrap_or(Err(LedgerError::Garbled));
            match looked {
                Err(LedgerError::Damaged(found)) => self.damaged = Some(found),
                Err(error) if is_damage(&error) => self.damaged = Some(error.to_string()),
                Err(error) => tracing::warn!("the ledger's file was not looked through: {error}"),
                Ok(()) => {}
            }
        }
        match &self.damaged {
            Some(found) => Err(LedgerError::Damaged(found.clone())),
            None => Ok(()),
        }
    }
}

/// Whether SQLite says so: `SQLITE_CORRUPT` and `SQLITE_NOTADB`, result codes 11 and 26. Memory and locks pass.
fn is_damage(error: &LedgerError) -> bool {
    let LedgerError::Store(sqlx::Error::Database(error)) = error else { return false };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_damaged_file_is_known_to_who_waits_and_later_to_who_does_not() {
        let name = format!("allswell-file-check-{}.db", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut conn = Conn::sqlite(&path, false).await.unwrap();
        conn.batch(
            "CREATE TABLE t (a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < 5000) INSERT INTO t SELECT hex(randomblob(40)) FROM n; PRAGMA wal_checkpoint(truncate)",
        )
        .await
        .unwrap();
        FileCheck::begin(&path).wait(WAIT).await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(FileCheck::begin(&path).wait(WAIT).await.is_err());
        let mut check = FileCheck::begin(&path);
        // Nobody waited for it.
        while check.is_sound().is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(check.is_sound(), Err(LedgerError::Damaged(_))), "it stays damaged");
        for more in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{more}", path.display())));
        }
    }
}
