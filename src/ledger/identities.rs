//! Which databases each source has been: who reads one for another proves nothing about the first.

use chrono::{DateTime, TimeDelta, Utc};

use crate::ledger::conn::{Conn, args};
use crate::ledger::{LedgerError, PATIENCE, Store};

/// How long a database of a source is known after it was last seen: a failover back to it is no surprise.
const KNOWN_FOR: TimeDelta = TimeDelta::days(35);

/// What is known of a database that a source turns out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which one the source was before, where it was another one.
    pub before: Option<String>,
    /// Whether it was known.
    pub is_known: bool,
    /// Since when the source is one that it never was before, where it was another one before that.
    pub moved_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Takes note of which database a source is, and says what was known of that.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn see_source(
        &mut self,
        source: &str,
        identity: &str,
        host_now: DateTime<Utc>,
    ) -> Result<Sighting, LedgerError> {
        const FORGET: &str =
            "DELETE FROM source_identities WHERE source = $1 AND seen_at < $2 AND identity <> $3";
        const PUT: &str = "INSERT INTO source_identities (source, identity, first_at, seen_at) \
            VALUES ($1, $2, $3, $4) ON CONFLICT (source, identity) \
            DO UPDATE SET first_at = excluded.first_at, seen_at = excluded.seen_at";
        self.on(PATIENCE, async |conn, _| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let (sighting, first) = sighting(conn, source, identity, now).await?;
            let oldest = now - KNOWN_FOR;
            conn.run(FORGET, args![source, oldest, identity]).await?;
            conn.run(PUT, args![source, identity, first, now]).await?;
            conn.commit().await?;
            Ok(sighting)
        })
        .await
    }

    /// What it says that a source is this database now, of which nothing is written down.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] for anything the database does not do.
    pub async fn sighting(
        &mut self,
        source: &str,
        identity: &str,
        host_now: DateTime<Utc>,
    ) -> Result<Sighting, LedgerError> {
        self.on(PATIENCE, async |conn, _| {
            let now = conn.now(host_now).await?;
            Ok(sighting(conn, source, identity, now).await?.0)
        })
        .await
    }
}

/// What it says that a source is this database, and since when it is known as that one.
async fn sighting(
    conn: &mut Conn,
    source: &str,
    identity: &str,
    now: DateTime<Utc>,
) -> Result<(Sighting, DateTime<Utc>), LedgerError> {
    const SEEN: &str = "SELECT identity, first_at, seen_at FROM source_identities \
        WHERE source = $1 ORDER BY seen_at DESC, identity";
    let oldest = now - KNOWN_FOR;
    let mut known = Vec::new();
    for row in conn.all(SEEN, args![source]).await? {
        let (first, seen) = (row.at("first_at")?, row.at("seen_at")?);
        known.push((row.text("identity")?.to_owned(), first, seen));
    }
    let own = known.iter().find(|(known, ..)| known == identity);
    let own = own.filter(|(_, _, seen)| *seen >= oldest).map(|(_, first, _)| *first);
    let others = || known.iter().filter(|(known, ..)| known != identity);
    let first = own.unwrap_or(now);
    let latest = known.first().filter(|(_, _, seen)| *seen >= oldest);
    let sighting = Sighting {
        before: latest.map(|(known, ..)| known.clone()).filter(|known| known != identity),
        is_known: own.is_some(),
        // What it was before is remembered for as long as it is known.
        moved_at: others()
            .any(|(_, other, seen)| *other < first && *seen >= first - KNOWN_FOR)
            .then_some(first),
    };
    Ok((sighting, first))
}
