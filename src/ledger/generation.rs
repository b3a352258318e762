//! Generations: a catalogue is stored whole, one is active, and every replica runs that one.
//!
//! Activating one moves the series with it, in the same transaction: new ones begin, renamed ones go
//! on, those that mean something else are proved again, those that are gone take their rows along.

use chrono::{DateTime, Utc};

use crate::ledger::activation::Activating;
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, Wait, args};
use crate::ledger::series_record::series_columns;
use crate::ledger::{Activation, LONG, LedgerError, PATIENCE, SeriesRecord, Store, StoreSettings};

/// A catalogue as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number in the store.
    pub id: i64,
    /// The digest of its text.
    pub digest: String,
    /// Its files.
    pub text: String,
    /// When it was first loaded.
    pub loaded_at: DateTime<Utc>,
    /// By whom.
    pub loaded_by: String,
}

impl Generation {
    /// Reads a row of `generations` with its text.
    pub(super) fn read(row: &Record) -> Result<Self, LedgerError> {
        Ok(Self {
            id: row.int("id")?,
            digest: row.text("digest")?.to_owned(),
            text: row.text("text")?.to_owned(),
            loaded_at: row.at("loaded_at")?,
            loaded_by: row.text("loaded_by")?.to_owned(),
        })
    }
}

impl Store {
    /// Returns the active generation, where there is one.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn active(&mut self) -> Result<Option<Generation>, LedgerError> {
        const ACTIVE: &str = "SELECT id, digest, text, loaded_at, loaded_by FROM generations \
                              WHERE active = 1";
        self.on(PATIENCE, async |conn, _| {
            let row = conn.first(ACTIVE, Vec::new()).await?;
            row.as_ref().map(Generation::read).transpose()
        })
        .await
    }

    /// Returns every series, those that ended included.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn series(&mut self) -> Result<Vec<SeriesRecord>, LedgerError> {
        self.on(LONG, async |conn, _| all_series(conn).await).await
    }

    /// Returns the series of which something was written since an instant of the store's clock.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn changed_since(
        &mut self,
        at: DateTime<Utc>,
    ) -> Result<Vec<SeriesRecord>, LedgerError> {
        const CHANGED: &str =
            concat!("SELECT ", series_columns!(), " FROM series WHERE changed_at >= $1");
        self.on(PATIENCE, async |conn, _| {
            conn.all(CHANGED, args![at]).await?.iter().map(SeriesRecord::read).collect()
        })
        .await
    }

    /// Makes a catalogue the active one; returns its generation, or nothing where another became
    /// active meanwhile.
    ///
    /// # Errors
    /// Where the store failed: then the old one stays.
    pub async fn activate(
        &mut self,
        activation: &Activation,
        host_now: DateTime<Utc>,
    ) -> Result<Option<i64>, LedgerError> {
        self.on(LONG, async |conn, settings| activate(conn, settings, activation, host_now).await)
            .await
    }
}

async fn all_series(conn: &mut Conn) -> Result<Vec<SeriesRecord>, LedgerError> {
    const ALL: &str = concat!("SELECT ", series_columns!(), " FROM series ORDER BY id");
    conn.all(ALL, Vec::new()).await?.iter().map(SeriesRecord::read).collect()
}

async fn activate(
    conn: &mut Conn,
    settings: &StoreSettings,
    activation: &Activation,
    host_now: DateTime<Utc>,
) -> Result<Option<i64>, LedgerError> {
    const ACTIVE: &str = "SELECT id FROM generations WHERE active = 1";
    const STAND_DOWN: &str = "UPDATE generations SET active = 0 WHERE active = 1 AND id = $1";
    conn.begin().await?;
    if activation.expected.is_none() && conn.is_server() {
        // Of two that find none active there is no row that one of them could lock.
        conn.batch("LOCK TABLE generations IN SHARE ROW EXCLUSIVE MODE").await?;
    }
    let now = conn.now(host_now).await?;
    let active = conn.first(ACTIVE, Vec::new()).await?.map(|row| row.int("id")).transpose()?;
    let free = match activation.expected {
        Some(expected) => conn.run(STAND_DOWN, args![expected]).await? == 1,
        None => active.is_none(),
    };
    if !free {
        conn.batch("ROLLBACK").await?;
        return Ok(None);
    }
    // What records waits for all of this, never for half of it.
    let all = conn.all("SELECT id FROM series ORDER BY id", Vec::new()).await?;
    let all = all.iter().map(|row| row.int("id")).collect::<Result<Vec<_>, _>>()?;
    conn.lock(all, Wait::ForThem).await?;
    let mut activating = Activating::new(conn, settings, now);
    let id = activating.store(activation).await?;
    activating.succeed(&activation.succession).await?;
    activating.settle(activation).await?;
    let note = format!("{} checks, loaded by {}", activation.checks.len(), activation.loaded_by);
    let was = active.map(|id| id.to_string()).unwrap_or_default();
    activating.remember("generation", None, None, &was, &id.to_string(), note);
    activating.flush().await?;
    conn.commit().await?;
    Ok(Some(id))
}
