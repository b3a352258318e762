//! The row of a series: what its summary holds, read from the store.

use std::time::Duration;

use crate::domain::check::name::CheckId;
use crate::domain::record::standing::{Lease, Standing, Standings};
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, args};
use crate::ledger::entry::read_said;
use crate::ledger::{LastAttempt, LedgerError, Role, SeriesRecord};

/// The columns of a series, in the order in which they are read.
macro_rules! series_columns {
    () => {
        "id, check_id, tz, role, tz_release, since, watermark, retired_at, violated_since, \
         unconfirmed_since, lease_until, confirmed_at, open_violated, open_unconfirmed, waived, \
         last_at, last_said, last_cause, last_evidence, last_bad_rows, last_took_us, last_note, \
         confirmed_total, violated_total, unconfirmed_total, newest_violated, newest_unconfirmed, \
         by_offset"
    };
}

pub(super) use series_columns;

impl SeriesRecord {
    pub(super) fn read(record: &Record) -> Result<Self, LedgerError> {
        let standing = |place| -> Result<Standing, LedgerError> {
            Ok(record.maybe_at(place)?.map_or(Standing::Calm, |since| Standing::Firing { since }))
        };
        let tz = record.text(2)?;
        let role = if record.text(3)? == "list" { Role::List } else { Role::Data };
        let last = match record.maybe_at(15)? {
            None => None,
            Some(at) => Some(LastAttempt {
                at,
                said: read_said(record.text(16)?, record.maybe_text(17)?)?,
                evidence: record.maybe_int(18)?.and_then(|n| u64::try_from(n).ok()),
                bad_rows: record.maybe_int(19)?.and_then(|n| u64::try_from(n).ok()),
                took: Duration::from_micros(record.count(20)?),
                note: record.maybe_text(21)?.map(str::to_owned),
            }),
        };
        Ok(Self {
            id: record.int(0)?,
            check: CheckId::parse(record.text(1)?).map_err(LedgerError::odd)?,
            tz: (!tz.is_empty()).then(|| tz.to_owned()),
            role,
            tz_release: record.text(4)?.to_owned(),
            since: record.at(5)?,
            watermark: record.maybe_at(6)?,
            retired_at: record.maybe_at(7)?,
            standings: Standings { violated: standing(8)?, unconfirmed: standing(9)? },
            lease: record.maybe_at(10)?.map_or(Lease::Never, Lease::Until),
            confirmed_at: record.maybe_at(11)?,
            open_violated: record.count(12)?,
            open_unconfirmed: record.count(13)?,
            waived: record.count(14)?,
            last,
            totals: [record.count(22)?, record.count(23)?, record.count(24)?],
            newest_violated: lines(record.text(25)?),
            newest_unconfirmed: lines(record.text(26)?),
            by_offset: record.text(27)?.lines().filter_map(read_offset).collect(),
        })
    }

    /// Reads one series.
    pub(super) async fn find(conn: &mut Conn, id: i64) -> Result<Option<Self>, LedgerError> {
        const FIND: &str = concat!("SELECT ", series_columns!(), " FROM series WHERE id = $1");
        conn.first(FIND, args![id]).await?.as_ref().map(Self::read).transpose()
    }
}

pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

pub(super) fn read_offset(line: &str) -> Option<(i32, u64, u64)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    Some((next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?))
}
