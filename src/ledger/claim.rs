//! Who attempts what: a row is claimed with a lease and a new epoch, one row of a series at a time.

use crate::domain::life::State;
use crate::ledger::conn::{Wait, args};
use crate::ledger::entry::Entry;
use crate::ledger::turn::{Turning, lease};
use crate::ledger::{Claim, Trouble};

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
