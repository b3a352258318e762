//! How far a PostgreSQL standby has followed its primary.
//!
//! The last transaction that was replayed says it, without any privilege. Where the primary was idle since, only the
//! connection to it can: what the primary had written when it last wrote to us is replayed. A standby behind another
//! standby looks caught up by its own connection while the one before it was cut off, so that is believed only where the
//! operator says that it streams from the primary itself.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::domain::check::freshness::{Needed, shown};
use crate::domain::check::reason::{Cause, Reason};

/// What is known of a server as a standby.
pub(super) struct Standby {
    /// Whether it streams from the primary itself, by its operator's word.
    is_direct: bool,
    known: AtomicBool,
}

/// How far a standby has followed.
#[derive(Debug)]
pub(super) struct Followed {
    /// When the last transaction that was replayed was committed.
    replayed: Option<DateTime<Utc>>,
    is_paused: bool,
    /// When the primary last wrote to it, where a connection is there and the role may see it.
    heard: Option<DateTime<Utc>>,
    /// Whether all is replayed that the primary had written then.
    caught_up: bool,
    /// Whether the role may see the connection to the primary.
    may_see: bool,
}

impl Standby {
    pub(super) fn new(is_direct: bool) -> Self {
        Self { is_direct, known: AtomicBool::new(false) }
    }

    /// Whether it was a standby when it was last asked.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Takes note of what it is.
    pub(super) fn learn(&self, in_recovery: bool) {
        self.known.store(in_recovery, Ordering::Relaxed);
    }

    /// Says why it does not prove anything about what is asked, where it has not followed so far.
    pub(super) fn judge(&self, followed: &Followed, needed: &Needed) -> Result<(), Reason> {
        let end = needed.settled();
        let reaches = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at >= end);
        let streamed = self.is_direct && followed.caught_up && reaches(followed.heard);
        if reaches(followed.replayed) || streamed {
            return Ok(());
        }
        let so_far = match followed.replayed {
            Some(at) => format!("has followed its primary up to {}", shown(at)),
            None => "has replayed nothing since its start".to_owned(),
        };
        let why = if followed.is_paused && followed.heard.is_none() && followed.may_see {
            // Where a restore has reached its target, to resume is to promote it.
            "replay is paused there, and nothing streams to it".to_owned()
        } else if followed.is_paused {
            "replay is paused there: `select pg_wal_replay_resume()`".to_owned()
        } else if !self.is_direct {
            "where the primary was idle since then, say how far its data is complete: `complete_until` in the settings of \
             this source, or `standby: direct` where it streams from the primary itself"
                .to_owned()
        } else if !followed.may_see {
            "`standby: direct` needs the role `pg_monitor`, and to inherit it, to see the connection to the primary"
                .to_owned()
        } else {
            match followed.heard {
                None => "nothing streams to it".to_owned(),
                Some(at) if followed.caught_up => {
                    let at = shown(at);
                    format!(
                        "it last heard of the primary at {at}; an idle one speaks each half of its `wal_sender_timeout`"
                    )
                }
                Some(_) => "it has more to replay".to_owned(),
            }
        };
        let note = format!(
            "this server is a standby that {so_far}, and {}; {why}",
            needed.settled_words()
        );
        Err(Reason::new(Cause::Stale, note))
    }
}

/// Asks how far it has followed. The position that the primary had reached is read before the one that was replayed.
pub(super) const FOLLOWED: &str = "\
    WITH received AS MATERIALIZED (\
      SELECT latest_end_lsn, last_msg_send_time FROM pg_catalog.pg_stat_wal_receiver \
      WHERE status = 'streaming' OR status IS NULL) \
    SELECT (extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::bigint::text, \
      (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END)::text, \
      (SELECT (extract(epoch FROM last_msg_send_time) * 1000000)::bigint::text FROM received), \
      (SELECT (pg_catalog.pg_last_wal_replay_lsn() >= latest_end_lsn)::text FROM received), \
      pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')::text";

impl Followed {
    /// Reads the answer to [`FOLLOWED`].
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let is = |place| row.try_get::<Option<&str>, _>(place).map(|text| text == Some("true"));
        let at = |place| {
            let micros = row.try_get::<Option<&str>, _>(place)?;
            let micros = micros.and_then(|micros| micros.parse().ok());
            Ok::<_, sqlx::Error>(micros.and_then(DateTime::from_timestamp_micros))
        };
        Ok(Self {
            replayed: at(0)?,
            is_paused: is(1)?,
            heard: at(2)?,
            caught_up: is(3)?,
            may_see: is(4)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(secs: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + secs, 0).unwrap()
    }

    const UNHEARD: Followed =
        Followed { replayed: None, is_paused: false, heard: None, caught_up: false, may_see: true };

    #[test]
    fn a_window_that_a_standby_lacks_is_not_proved_on_it() {
        let needed = Needed::Window { end: at(0), settled: at(60) };
        let said = |is_direct, followed: &Followed| {
            Standby::new(is_direct).judge(followed, &needed).map_err(|reason| reason.note)
        };
        let replayed = |secs| Followed { replayed: Some(at(secs)), ..UNHEARD };
        let heard = |secs, caught_up| Followed { heard: Some(at(secs)), caught_up, ..replayed(-5) };
        for (is_direct, followed, wanted) in [
            (false, UNHEARD, Some("replayed nothing")),
            (false, replayed(59), Some("`standby: direct` where")),
            (false, replayed(60), None),
            (false, heard(61, true), Some("`complete_until`")),
            (true, heard(60, true), None),
            (true, heard(59, true), Some("last heard of the primary")),
            (true, heard(61, false), Some("more to replay")),
            (true, replayed(0), Some("nothing streams to it")),
            (true, Followed { may_see: false, ..replayed(0) }, Some("pg_monitor")),
            (true, Followed { is_paused: true, ..replayed(0) }, Some("replay is paused")),
        ] {
            let said = said(is_direct, &followed);
            match wanted {
                None => assert_eq!(said, Ok(()), "{followed:?}"),
                Some(words) => assert!(said.clone().is_err_and(|n| n.contains(words)), "{said:?}"),
            }
        }
    }

    #[test]
    fn a_look_at_the_present_takes_a_standby_that_is_as_fresh_as_it_has_to_be() {
        let needed = Needed::Present { now: at(0), max_lag: Duration::from_secs(60) };
        let standby = Standby::new(false);
        let replayed = |secs| Followed { replayed: Some(at(secs)), ..UNHEARD };
        assert!(standby.judge(&replayed(-60), &needed).is_ok());
        assert!(standby.judge(&replayed(-61), &needed).is_err());
    }
}
