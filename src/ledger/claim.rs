//! Who attempts what: a row is claimed with a lease and a new epoch, one row of a series at a time.

use std::collections::BTreeSet;

use crate::domain::life::{Kind, State};
use crate::ledger::conn::{Record, Wait, args};
use crate::ledger::entry::Entry;
use crate::ledger::turn::{Turning, lease};
use crate::ledger::{Candidate, Claim, RowKey, Trouble};

/// How many candidates of one source are read at once.
const CANDIDATES: i64 = 256;

/// Takes free places for rows that are ready.
pub(super) async fn claim_all(turning: &mut Turning<'_>) -> Result<(), Trouble> {
    let offers = &turning.work.offers;
    let series = offers.iter().flat_map(|offer| &offer.candidates).map(|c| c.key.series).collect();
    // Whoever holds a series does something about it: its rows are ready again when he is done.
    let free = turning.conn.lock(series, Wait::Never).await?;
    for offer in offers {
        let mut places = offer.places;
        let candidates = offer.candidates.iter();
        for candidate in candidates.filter(|c| free.binary_search(&c.key.series).is_ok()) {
            if places == 0 {
                break;
            }
            let Some(entry) = Entry::find(turning.conn, candidate.key).await? else { continue };
            if claim(turning, entry).await? {
                places -= 1;
            }
        }
    }
    Ok(())
}

async fn claim(turning: &mut Turning<'_>, entry: Entry) -> Result<bool, Trouble> {
    const BUSY: &str = "SELECT start_at FROM entries WHERE series = $1 AND live = 1 \
        AND state = 'running' LIMIT 1";
    const WAKE: &str = "SELECT wake_at FROM entries WHERE series = $1 AND kind = $2 \
        AND start_at = $3 AND end_at = $4 AND wake_at <= $5";
    let entry = turning.resumed(entry);
    // What is late lapses first, so that what is told of it is weighed.
    if entry.row.recorded().is_none() && entry.row.deadline <= turning.now {
        return Ok(false);
    }
    let mut name = entry.key().args();
    name.push(turning.now.into());
    if turning.conn.first(WAKE, name).await?.is_none()
        || turning.conn.first(BUSY, args![entry.series]).await?.is_some()
    {
        return Ok(false);
    }
    let lease_until = turning.now + lease(turning.settings);
    let Ok(row) = entry.row.claim(entry.row.epoch + 1, lease_until, turning.now) else {
        return Ok(false);
    };
    let owner = Some(turning.settings.replica.clone());
    let entry = Entry { row, owner, ..entry };
    turning.write_quietly(&entry).await?;
    turning.done.claims.push(Claim { entry, lease_until });
    Ok(true)
}

/// Holds back rows that wait for somebody else: they say so when their time runs out.
pub(super) async fn hold_all(turning: &mut Turning<'_>) -> Result<(), Trouble> {
    const LATER: &str = "UPDATE entries SET wake_at = $1 WHERE series = $2 AND kind = $3 \
        AND start_at = $4 AND end_at = $5 AND state = 'recorded' AND wake_at < $1";
    let holds = &turning.work.holds;
    let series = holds.iter().map(|hold| hold.key.series).collect();
    let free = turning.conn.lock(series, Wait::Never).await?;
    for hold in holds.iter().filter(|hold| free.binary_search(&hold.key.series).is_ok()) {
        let Some(entry) = Entry::find(turning.conn, hold.key).await? else { continue };
        let entry = turning.resumed(entry);
        match entry.row.state {
            State::Waiting { not_before, last } if not_before < hold.until => {
                let Some(cause) = hold.cause.or(last) else { continue };
                let row = entry.row.put_off(cause, hold.until);
                turning.write(&Entry { row, ..entry }).await?;
            }
            State::Recorded(_) => {
                let mut values = args![hold.until];
                values.extend(hold.key.args());
                turning.conn.run(LATER, values).await?;
            }
            State::Waiting { .. } | State::Running { .. } => {}
        }
    }
    Ok(())
}

/// Reads who may be claimed: of each series that nobody attempts the first row that is ready.
pub(super) async fn refill(turning: &mut Turning<'_>) -> Result<(), Trouble> {
    const READY: &str = "SELECT e.priority, e.deadline, e.series, e.kind, e.start_at, e.end_at, \
        e.vain, e.said FROM (SELECT series, MIN(start_at) AS start_at FROM entries \
        WHERE source = $1 AND wake_at <= $2 GROUP BY series) f JOIN entries e \
        ON e.series = f.series AND e.start_at = f.start_at AND e.wake_at <= $2 \
        WHERE NOT EXISTS (SELECT 1 FROM entries o WHERE o.series = e.series AND o.live = 1 \
        AND o.state = 'running') \
        ORDER BY e.priority, e.deadline, e.series, e.start_at LIMIT $3";
    const NEXT: &str = "SELECT priority, deadline, series, kind, start_at, end_at, vain, said, \
        source FROM entries WHERE series = $1 AND live = 1 AND wake_at <= $2 \
        ORDER BY start_at LIMIT 1";
    let windows = turning.work.ended.iter().filter(|ended| ended.key.kind == Kind::Window);
    let series: BTreeSet<i64> = windows.map(|ended| ended.key.series).collect();
    for series in series {
        if let Some(record) = turning.conn.first(NEXT, args![series, turning.now]).await? {
            let candidate = Candidate::read(&record)?;
            turning.done.next.push((record.text(8)?.to_owned(), candidate));
        }
    }
    for source in &turning.work.refill {
        let args = args![source.as_str(), turning.now, CANDIDATES];
        let ready = turning.conn.all(READY, args).await?;
        let candidates = ready.iter().map(Candidate::read).collect::<Result<Vec<_>, _>>()?;
        turning.done.candidates.push((source.clone(), candidates));
    }
    Ok(())
}

impl Candidate {
    fn read(record: &Record) -> Result<Self, Trouble> {
        Ok(Self {
            priority: record.int(0)?,
            deadline: record.at(1)?,
            key: RowKey::read(record, 2)?,
            retry: record.int(6)? > 0 && record.maybe_text(7)?.is_none(),
        })
    }
}
