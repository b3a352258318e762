//! Lists of zones that an operator takes as they are, though many zones are gone.

use chrono::{DateTime, Utc};

use crate::domain::check::name::CheckId;
use crate::ledger::conn::{Conn, args};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::{Happened, LedgerError, PATIENCE, Store};

impl Store {
    /// Takes the next list of a check as it is.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn accept_zones(
        &mut self,
        check: &CheckId,
        (by, because): (&str, &str),
        host_now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        const ACCEPT: &str = "UPDATE series SET accepts_zones = 1, changed_at = $1 \
            WHERE check_id = $2 AND role = 'list'";
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            conn.run(ACCEPT, args![now, check.as_str()]).await?;
            let happened = Happened {
                kind: "zones",
                check: Some(check.to_string()),
                tz: None,
                was: String::new(),
                becomes: "accepted".to_owned(),
                note: format!("by {by}: {because}"),
            };
            add_events(conn, &[event_values(settings, now, happened, None)]).await?;
            conn.commit().await
        })
        .await
    }
}

/// A list was taken over that an operator accepted: what vanished before counts no more.
pub(super) async fn taken(
    conn: &mut Conn,
    check: &str,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    const TAKEN: &str = "UPDATE series SET accepts_zones = 0, zones_accepted_at = $1, changed_at = $1 \
        WHERE check_id = $2 AND role = 'list' AND accepts_zones = 1";
    conn.run(TAKEN, args![now, check]).await.map(drop)
}
