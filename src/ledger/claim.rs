//! Who attempts what: a row is claimed with a lease and a new epoch, one row of a series at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::record::window_state::{State, WindowKind};
use crate::ledger::cells::Record;
use crate::ledger::conn::{Each, Wait, args, each};
use crate::ledger::entry::{Entry, columns};
use crate::ledger::transaction::lease;
use crate::ledger::tx::Tx;
use crate::ledger::{Candidate, Claim, Deferral, LedgerError, RowKey};

/// How many candidates of one source are read at once.
const CANDIDATES: i64 = 256;
/// By how much what was proved already is less urgent than anything that was not.
const RECHECKS_LAST: i64 = 10;
/// The same for what was proved, and an order asks for again.
const RERUNS_LATER: i64 = 5;

/// Takes free places for rows that are ready.
pub(super) async fn claim_all(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    const READY: Each = each!(
        ["SELECT ", columns!(), " FROM entries JOIN"],
        (0 "wanted" "bigint", 1 "wanted_kind" "text", 2 "wanted_start" "bigint",
         3 "wanted_end" "bigint"),
        ["ON series = r.wanted AND kind = r.wanted_kind AND start_at = r.wanted_start \
          AND end_at = r.wanted_end WHERE wake_at <= $2"]
    );
    const BUSY: Each = each!(
        ["SELECT DISTINCT series FROM entries JOIN"],
        (0 "wanted" "bigint"),
        ["ON series = r.wanted WHERE live = 1 AND state = 'running'"]
    );
    let offers = &tx.work.offers;
    let all = || offers.iter().flat_map(|offer| &offer.candidates);
    // Another replica that holds a series does something about it: its rows are ready again after that.
    let free = tx.conn.lock(all().map(|c| c.key.series).collect(), Wait::Never).await?;
    let is_free = |candidate: &&Candidate| free.binary_search(&candidate.key.series).is_ok();
    let wanted: BTreeSet<RowKey> = all().filter(is_free).map(|c| c.key).collect();
    let wanted: Vec<_> = wanted.into_iter().map(RowKey::args).collect();
    let mut ready = BTreeMap::new();
    for record in tx.conn.all_each(&READY, &wanted, &[tx.now.into()]).await? {
        let entry = Entry::read(&record)?;
        ready.insert(entry.key(), entry);
    }
    let series: Vec<_> = free.iter().map(|series| args![*series]).collect();
    let busy = tx.conn.all_each(&BUSY, &series, &[]).await?;
    let mut busy: BTreeSet<i64> = busy.iter().map(|r| r.int("series")).collect::<Result<_, _>>()?;
    let mut left = Vec::new();
    for offer in offers {
        let mut places = offer.places;
        for candidate in offer.candidates.iter().filter(is_free) {
            if places == 0 {
                break;
            }
            let Some(entry) = ready.remove(&candidate.key) else { continue };
            if !busy.contains(&entry.series) && claim(tx, entry) {
                busy.insert(candidate.key.series);
                places -= 1;
            }
        }
        let followers = offer.followers.iter().copied().filter(|series| !busy.contains(series));
        left.push((places, followers.collect::<BTreeSet<i64>>()));
    }
    claim_followers(tx, left).await?;
    tx.flush().await
}

/// Takes the places that are left for the next windows of series whose attempts were recorded a moment ago, so that what is
/// behind is caught up with one transaction a window, and not with two. What was in vain before waits its turn.
async fn claim_followers(
    tx: &mut Tx<'_>,
    left: Vec<(usize, BTreeSet<i64>)>,
) -> Result<(), LedgerError> {
    const FIRST: Each = each!(
        ["SELECT ", columns!(), " FROM entries JOIN"],
        (0 "wanted" "bigint"),
        ["ON series = r.wanted AND live = 1 AND kind = 'window' AND wake_at <= $2 AND said IS NULL \
          AND vain = 0 AND start_at = (SELECT MIN(n.start_at) FROM entries n WHERE n.series = r.wanted \
          AND n.live = 1 AND n.wake_at <= $2 AND n.said IS NULL) \
          WHERE NOT EXISTS (SELECT 1 FROM entries o WHERE o.series = r.wanted AND o.live = 1 \
          AND o.state = 'running')"]
    );
    let wanted = left.iter().filter(|(places, _)| *places > 0).flat_map(|(_, series)| series);
    let wanted: Vec<_> = wanted.map(|series| args![*series]).collect();
    let mut next = BTreeMap::new();
    for record in tx.conn.all_each(&FIRST, &wanted, &[tx.now.into()]).await? {
        let entry = Entry::read(&record)?;
        next.entry(entry.series).or_insert(entry);
    }
    for (places, followers) in left {
        let next = followers.iter().filter_map(|series| next.remove(series));
        let mut taken = 0;
        for entry in next.collect::<Vec<_>>() {
            if taken < places && claim(tx, entry) {
                taken += 1;
            }
        }
    }
    Ok(())
}

fn claim(tx: &mut Tx<'_>, entry: Entry) -> bool {
    let entry = tx.resumed(entry);
    // What is late lapses first, so that what is told of it is weighed.
    if entry.row.recorded().is_none() && entry.row.deadline <= tx.now {
        return false;
    }
    let lease_until = tx.now + lease(tx.settings);
    let Ok(row) = entry.row.claim(entry.row.epoch + 1, lease_until, tx.now) else {
        return false;
    };
    let owner = Some(tx.settings.replica.clone());
    let entry = Entry { row, owner, ..entry };
    tx.write_quietly(&entry);
    tx.done.claims.push(Claim { entry, lease_until });
    true
}

/// Holds back rows that wait for another one: they say so when their time runs out.
pub(super) async fn defer_all(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    const LATER: Each = each!(
        ["UPDATE entries SET wake_at = r.until_at FROM"],
        (0 "wanted" "bigint", 1 "wanted_kind" "text", 2 "wanted_start" "bigint",
         3 "wanted_end" "bigint", 4 "until_at" "bigint"),
        ["WHERE series = r.wanted AND kind = r.wanted_kind AND start_at = r.wanted_start \
          AND end_at = r.wanted_end AND state = 'recorded' AND wake_at < r.until_at"]
    );
    let holds = &tx.work.holds;
    let series = holds.iter().map(|hold| hold.key.series).collect();
    let free = tx.conn.lock(series, Wait::Never).await?;
    let is_free = |hold: &&Deferral| free.binary_search(&hold.key.series).is_ok();
    tx.load(holds.iter().filter(is_free).map(|hold| hold.key)).await?;
    let mut later = Vec::new();
    for hold in holds.iter().filter(is_free) {
        let Some(entry) = tx.find(hold.key).await? else { continue };
        let entry = tx.resumed(entry);
        match entry.row.state {
            State::Waiting { not_before, last } if not_before < hold.until => {
                let Some(cause) = hold.cause.or(last) else { continue };
                let row = entry.row.put_off(cause, hold.until);
                tx.write(&Entry { row, ..entry });
            }
            State::Recorded(_) => {
                let mut values = hold.key.args();
                values.extend(args![hold.until]);
                later.push(values);
            }
            State::Waiting { .. } | State::Running { .. } => {}
        }
    }
    tx.conn.run_each(&LATER, &later, &[]).await?;
    tx.flush().await
}

/// Reads what may be claimed: of each series without an attempt under way the first row
/// that is ready. What was never recorded goes before what is tried again: the present before the past. Of what an operator
/// asked for the newest goes first.
pub(super) async fn refill(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    const READY: &str = "SELECT e.priority AS priority, e.deadline AS deadline, e.series AS series, \
        e.kind AS kind, e.start_at AS start_at, e.end_at AS end_at, e.vain AS vain, e.said AS said, \
        e.asked AS asked, e.reproof_by AS reproof_by FROM (SELECT series, \
        COALESCE(MIN(CASE WHEN said IS NULL THEN start_at END), MAX(CASE WHEN asked = 1 THEN start_at END), \
        MIN(CASE WHEN said <> 'confirmed' OR reproof_by IS NOT NULL THEN start_at END), MIN(start_at)) AS start_at \
        FROM entries WHERE source = $1 AND wake_at <= $2 GROUP BY series) f JOIN entries e \
        ON e.series = f.series AND e.kind IN ('window', 'slot') AND e.start_at = f.start_at AND e.wake_at <= $2 \
        WHERE NOT EXISTS (SELECT 1 FROM entries o WHERE o.series = e.series AND o.live = 1 \
        AND o.state = 'running') \
        ORDER BY CASE WHEN e.said = 'confirmed' AND e.reproof_by IS NULL THEN 2 - e.asked ELSE 0 END, \
        e.priority, e.deadline, e.series, e.start_at LIMIT $3";
    const NEXT: Each = each!(
        ["SELECT e.priority AS priority, e.deadline AS deadline, e.series AS series, e.kind AS kind, \
          e.start_at AS start_at, e.end_at AS end_at, e.vain AS vain, e.said AS said, e.asked AS asked, \
          e.reproof_by AS reproof_by, e.source AS source FROM"],
        (0 "wanted" "bigint"),
        ["JOIN entries e ON e.series = r.wanted AND e.live = 1 AND e.wake_at <= $2 \
          AND e.start_at = (SELECT COALESCE(MIN(CASE WHEN n.said IS NULL THEN n.start_at END), \
          MAX(CASE WHEN n.asked = 1 THEN n.start_at END), MIN(n.start_at)) FROM entries n WHERE n.series = r.wanted \
          AND n.live = 1 AND n.wake_at <= $2)"]
    );
    let windows = tx.work.ended.iter().filter(|ended| ended.key.kind == WindowKind::Window);
    let taken: BTreeSet<i64> = tx.done.claims.iter().map(|claim| claim.entry.series).collect();
    let series: BTreeSet<i64> =
        windows.map(|ended| ended.key.series).filter(|id| !taken.contains(id)).collect();
    let series: Vec<_> = series.into_iter().map(|series| args![series]).collect();
    for record in tx.conn.all_each(&NEXT, &series, &[tx.now.into()]).await? {
        let candidate = Candidate::read(&record)?;
        tx.done.next.push((record.text("source")?.to_owned(), candidate));
    }
    for source in &tx.work.refill {
        let args = args![source.as_str(), tx.now, CANDIDATES];
        let ready = tx.conn.all(READY, args).await?;
        let candidates = ready.iter().map(Candidate::read).collect::<Result<Vec<_>, _>>()?;
        tx.done.candidates.push((source.clone(), candidates));
    }
    Ok(())
}

impl Candidate {
    fn read(record: &Record) -> Result<Self, LedgerError> {
        let is_proved = record.maybe_text("said")? == Some("confirmed");
        let is_asked = record.int("asked")? != 0 || record.maybe_at("reproof_by")?.is_some();
        let recheck = is_proved && !is_asked;
        // An order over many proved windows holds up no other series either.
        let later = match (recheck, is_proved && record.maybe_at("reproof_by")?.is_none()) {
            (true, _) => RECHECKS_LAST,
            (false, true) => RERUNS_LATER,
            (false, false) => 0,
        };
        Ok(Self {
            priority: record.int("priority")? + later,
            deadline: record.at("deadline")?,
            key: RowKey::read(record)?,
            retry: record.int("vain")? > 0 && record.maybe_text("said")?.is_none(),
            recheck,
        })
    }
}
