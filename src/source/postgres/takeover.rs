//! Which server a new connection is at: another database than before, or a primary from which another server took over.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::dial::Taker;
use crate::source::postgres::Postgres;
use crate::source::postgres::role::identity;

/// Which server it is.
struct Server {
    /// Which database: as `Powers` has it.
    identity: String,
    /// The timeline that it writes, where it is a primary: each that takes over begins one.
    timeline: Option<i64>,
}

impl Server {
    /// Asks it.
    async fn of(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        const TIMELINE: &str = "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN ('x' || \
            pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::bigint::text END";
        let identity = identity(conn).await?;
        let row = sqlx::raw_sql(TIMELINE).fetch_one(conn).await?;
        let timeline = row.try_get::<Option<&str>, _>(0)?.and_then(|text| text.parse().ok());
        Ok(Self { identity, timeline })
    }
}

impl Taker for Postgres {
    /// Looks which server a new connection is at: one that is another than before is looked at as a whole, and one that was
    /// a primary before another took over is not taken.
    async fn take(&self, conn: &mut PgConnection) -> Result<(), String> {
        // What may not be asked for is not known.
        let Ok(Server { identity, timeline }) = Server::of(conn).await else { return Ok(()) };
        if let (Some(timeline), Ok(mut newest)) = (timeline, self.newest.lock()) {
            match &*newest {
                Some((known, later)) if *known == identity && timeline < *later => {
                    return Err(format!(
                        "is an earlier primary of its cluster: it is on timeline {timeline}, and {later} was seen, so that \
                         another server took over from it"
                    ));
                }
                _ => *newest = Some((identity.clone(), timeline)),
            }
        }
        if self.role.identity().is_some_and(|known| known != identity) {
            self.role.forget();
        }
        Ok(())
    }
}
