//! One transaction of the engine: what ended is recorded, what time ran out for lapses, what became
//! due is written down, who is ready is claimed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::failing::{failing_since, is_told};
use crate::domain::record::window_state::{Recorded, State, VerdictKind, WindowKind, WindowState};
use crate::ledger::attempts::close_slots;
use crate::ledger::conn::{Conn, Each, Wait, args, each};
use crate::ledger::entry::{Entry, stored};
use crate::ledger::summary::is_open;
use crate::ledger::tx::Tx;
use crate::ledger::usual::UsualOf;
use crate::ledger::{
    Ended, LedgerError, RowKey, StoreSettings, Terms, TxOutcome, Work, activation, claim, draw, due,
};

/// How the note of a window begins that was confirmed before it was violated, and where that ends.
const CONFIRMED_ON: &str = "confirmed on ";
const LEAD_END: &str = "): ";

/// How many rows lapse in one transaction.
const LAPSES: i64 = 200;
/// How many times as many are looked through for rows of series that we know.
const PAGES: i64 = 20;

/// How often a row that an operator asked for is tried without a fact: an hour, all in all.
const ASKED_MAX: u32 = 12;

pub(super) async fn transact(
    conn: &mut Conn,
    settings: &StoreSettings,
    work: &Work,
    terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
) -> Result<TxOutcome, LedgerError> {
    conn.begin().await?;
    let now = conn.now(work.host_now).await?;
    let mut tx = Tx::new(conn, settings, work, terms, now);
    tx.read_active().await?;
    tx.record_all().await?;
    tx.lapse().await?;
    tx.flush().await?;
    activation::settle_lists(&mut tx).await?;
    // Replicas run the active generation only: what an earlier one would ask is not asked any more.
    let is_ours = work.generation == 0 || tx.done.active == work.generation;
    if is_ours {
        due::materialise_all(&mut tx).await?;
        claim::defer_all(&mut tx).await?;
    } else {
        tx.done.contended = work.due_batches.iter().map(|due_batch| due_batch.series).collect();
    }
    tx.recompute_all().await?;
    if is_ours {
        claim::claim_all(&mut tx).await?;
    }
    claim::refill(&mut tx).await?;
    for happened in &work.events {
        tx.happened(None, happened.clone(), None);
    }
    if let Some(claims) = &work.renew {
        tx.renew(claims).await?;
    }
    tx.commit().await
}

impl Tx<'_> {
    /// Reads which generation is active, and keeps it so until we are done. While another one is being
    /// made active, nothing is known, and nothing is waited for.
    async fn read_active(&mut self) -> Result<(), LedgerError> {
        const SQLITE: &str = "SELECT id FROM generations WHERE active = 1";
        const POSTGRES: &str = "SELECT id FROM generations WHERE active = 1 FOR SHARE SKIP LOCKED";
        let active = if self.conn.is_server() { POSTGRES } else { SQLITE };
        let active = self.conn.first(active, Vec::new()).await?;
        self.done.active = active.map_or(Ok(0), |row| row.int("id"))?;
        Ok(())
    }

    /// Records what attempts said.
    async fn record_all(&mut self) -> Result<(), LedgerError> {
        let series = self.work.ended.iter().map(|ended| ended.key.series).collect();
        self.conn.lock(series, Wait::ForThem).await?;
        let work = self.work;
        let failed =
            work.ended.iter().filter(|ended| failing_since(None, ended.said, self.now).is_some());
        self.read_failing(failed.map(|ended| ended.key.series).collect()).await?;
        self.load(work.ended.iter().map(|ended| ended.key)).await?;
        let usual = self.read_usual().await?;
        let mut order: Vec<usize> = (0..work.ended.len()).collect();
        order.sort_by_key(|place| work.ended[*place].key);
        for place in order {
            self.record(place, &usual).await?;
        }
        self.flush().await?;
        let confirmed = work.ended.iter().filter(|ended| {
            ended.said == VerdictKind::Confirmed && self.accepted.contains(&ended.key)
        });
        let (windows, slots): (Vec<RowKey>, Vec<RowKey>) =
            confirmed.map(|ended| ended.key).partition(|key| key.kind == WindowKind::Window);
        close_slots(self.conn, &slots).await?;
        super::supersede::replace(self, &windows).await
    }

    async fn record(&mut self, place: usize, usual: &UsualOf) -> Result<(), LedgerError> {
        let ended = &self.work.ended[place];
        let Some(entry) = self.find(ended.key).await? else {
            return self.fence(ended).await;
        };
        let thinner = thinner(&entry, ended).or_else(|| self.hold_against_usual(ended, usual));
        let ended = thinner.as_ref().unwrap_or(ended);
        let Ok(row) = entry.row.ended(ended.epoch, ended.said, self.now) else {
            return self.fence(ended).await;
        };
        let row = row.scattered(self.now, draw(self.work.seed, place));
        let before = entry.row;
        // What an operator asked for is tried on for a while, where what went wrong may pass.
        let asked = entry.asked
            && row.recorded().is_some()
            && row.failed_attempts < ASKED_MAX
            && may_pass(ended.said);
        let (is_recheck, found_by) = (entry.is_recheck(), entry.generation);
        let found_since = found_since(&entry, ended);
        let mut after = Entry { row, owner: None, asked, ..entry };
        after.attempts += 1;
        let is_said = row.recorded().is_none_or(|recorded| recorded.said == ended.said);
        if is_said {
            // What was found goes on under the generation that found it.
            after.generation = ended.generation;
            (after.evidence, after.note) = (ended.evidence, ended.note.clone());
        }
        if let Some(note) = found_since {
            after.note = Some(note);
        }
        if is_recheck {
            self.rechecked(ended);
        }
        if ended.said.is_fact() {
            after.reproof_by = None;
        }
        let since = self.failing(ended.key.series, ended.said);
        if let (VerdictKind::Unconfirmed(cause), true) = (ended.said, is_told(since, self.now)) {
            after = Self::overdue(after, cause, ended, self.now);
        }
        let outcome = match row.state {
            State::Waiting { .. } => "waiting",
            State::Running { .. } | State::Recorded(_) if is_said => "recorded",
            State::Running { .. } | State::Recorded(_) => "kept",
        };
        self.write(&after);
        self.attempt(ended, outcome);
        self.accepted.insert(ended.key);
        self.note(ended);
        let said = match ended.said {
            VerdictKind::Confirmed => 0,
            VerdictKind::Violated => 1,
            VerdictKind::Unconfirmed(_) => 2,
        };
        self.done.recorded[said] += 1;
        self.opened(
            ended.key,
            is_open(&before, self.now),
            is_open(&after.row, self.now),
            (&after, found_by),
        );
        Ok(())
    }

    /// A row whose series has failed for a while: it is bad now.
    fn overdue(entry: Entry, cause: Cause, ended: &Ended, now: DateTime<Utc>) -> Entry {
        let row = entry.row.overdue(cause, entry.reproof_by.is_some(), now);
        if row.state == entry.row.state {
            return Entry { row, ..entry };
        }
        // A proof of what the check meant before is gone.
        let note = ended.note.clone();
        Entry { row, reproof_by: None, evidence: None, note, ..entry }
    }

    /// Takes note of what came of proving again what was proved. What says nothing changes no state: it is an event.
    fn rechecked(&mut self, ended: &Ended) {
        let place = match ended.said {
            VerdictKind::Confirmed => 0,
            VerdictKind::Violated => 1,
            VerdictKind::Unconfirmed(_) => 2,
        };
        self.done.rechecked[place] += 1;
        if let VerdictKind::Unconfirmed(cause) = ended.said {
            let note = ended.note.as_deref().and_then(|note| note.lines().next());
            let note = format!("looked at again: {cause}: {}", note.unwrap_or_default());
            self.remember(ended.key, "recheck", "confirmed", "unconfirmed", note);
        }
        self.note_change(ended);
    }

    /// Takes note of an attempt whose row went on without it.
    async fn fence(&mut self, ended: &Ended) -> Result<(), LedgerError> {
        const KNOWN: &str = "SELECT owner FROM attempts WHERE series = $1 AND kind = $2 \
            AND start_at = $3 AND end_at = $4 AND epoch = $5";
        let mut name = ended.key.args();
        name.push(stored(ended.epoch).into());
        if self.conn.first(KNOWN, name).await?.is_some() {
            // It is recorded; only the answer to that was lost.
            return Ok(());
        }
        self.done.fenced += 1;
        self.attempt(ended, "fenced");
        Ok(())
    }

    /// The rows for which time ran out, of series that we know and hold now.
    async fn late(&mut self) -> Result<Vec<RowKey>, LedgerError> {
        const LATE: &str = "SELECT series, kind, start_at, end_at FROM entries \
            WHERE lapse_at <= $1 ORDER BY lapse_at LIMIT $2 OFFSET $3";
        let mut keys = Vec::new();
        for page in 0..PAGES {
            let most = LAPSES.min(self.work.rows_max);
            let late = self.conn.all(LATE, args![self.now, most, page * most]).await?;
            let full = late.len() >= usize::try_from(most).unwrap_or(usize::MAX);
            for record in &late {
                let key = RowKey::read(record)?;
                // A series that this replica does not know is left to another one.
                if (self.terms)(key.series).is_some() {
                    keys.push(key);
                }
            }
            self.done.more_lapses = full && !keys.is_empty();
            if !full || !keys.is_empty() {
                break;
            }
        }
        keys.sort();
        let series = keys.iter().map(|key| key.series).collect();
        let ours: BTreeSet<i64> = self.conn.lock(series, Wait::Never).await?.into_iter().collect();
        keys.retain(|key| ours.contains(&key.series));
        Ok(keys)
    }

    /// Lets time pass for rows whose deadline, lease or waiver ran out.
    async fn lapse(&mut self) -> Result<(), LedgerError> {
        let late = self.late().await?;
        self.load(late.iter().copied()).await?;
        for key in late {
            let Some(entry) = self.find(key).await? else { continue };
            let entry = self.resumed(entry);
            let before = entry.row;
            let terms = self.terms_of(key.series);
            if entry.reproof_by.is_some() && terms.pause(self.now).is_some() {
                // Nobody may prove it now: it has its time when he may.
                let by = before.recorded().map(|_| self.now + terms.patience);
                if let Some(by) = by {
                    self.write_quietly(&Entry { reproof_by: Some(by), ..entry });
                    continue;
                }
            }
            if let Some(until) = self.pause_of(&entry) {
                let row = before.put_off(Cause::Paused, until);
                self.write_quietly(&Entry { row, ..entry });
                continue;
            }
            let unseen = matches!(before.state, State::Waiting { last: None, .. });
            // Nothing kept us from looking but other work.
            let shed =
                unseen && before.due >= self.work.watching_since && before.deadline <= self.now;
            let row = if shed { before.put_off(Cause::Shed, before.deadline) } else { before };
            let row = row.at(self.now);
            let unproved = entry.reproof_by.is_some_and(|by| by <= self.now);
            let row = if unproved { forgotten(row, self.now) } else { row };
            let abandoned = matches!(before.state, State::Running { lease_until, .. } if lease_until <= self.now);
            let mut after = Entry { row, ..entry };
            if unproved && !matches!(row.state, State::Running { .. }) {
                after.reproof_by = None;
                after.note =
                    Some("its check means something else since, and was not proved".into());
            }
            if abandoned {
                after.attempts += 1;
                let owner = after.owner.take().unwrap_or_default();
                let note = "its claim ran out: the replica that held it died or stalled".to_owned();
                self.remember(key, "claim", &owner, "abandoned", note);
            }
            if before.recorded().is_none() && row.recorded().is_some() {
                self.done.lapsed += 1;
                if after.note.is_none() && shed {
                    after.note = Some("there was more to look at than could be in time".into());
                }
            }
            self.write(&after);
            // What was recorded before becomes open by time alone.
            let was = if let State::Recorded(_) = before.state {
                None
            } else {
                is_open(&before, self.now)
            };
            self.opened(key, was, is_open(&row, self.now), (&after, after.generation));
        }
        Ok(())
    }

    /// Renews our claims, and says that we are here.
    async fn renew(&mut self, claims: &[(RowKey, u64)]) -> Result<(), LedgerError> {
        const CLAIMS: Each = each!(
            ["UPDATE entries SET lease_until = r.until_at, lapse_at = CASE WHEN said IS NULL \
              AND deadline < r.until_at AND deadline > r.now_at THEN deadline ELSE r.until_at END FROM"],
            (0 "series" "bigint", 1 "kind" "text", 2 "start_at" "bigint", 3 "end_at" "bigint",
             4 "epoch" "bigint", 5 "until_at" "bigint", 6 "now_at" "bigint"),
            ["WHERE entries.series = r.series AND entries.kind = r.kind \
              AND entries.start_at = r.start_at AND entries.end_at = r.end_at \
              AND entries.epoch = r.epoch AND entries.state = 'running' \
              AND entries.lease_until > r.now_at"]
        );
        const HERE: &str = "INSERT INTO replicas (id, started_at, seen_at, version, generation, \
            tz_release) VALUES ($1, $2, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
            seen_at = excluded.seen_at, generation = excluded.generation";
        // Who has not been here for so long left no claim behind that is not taken over.
        const GONE: &str = "DELETE FROM replicas WHERE seen_at < $1";
        const NEWEST: &str = "SELECT MAX(tz_release) AS newest, COUNT(*) AS replicas FROM replicas WHERE seen_at >= $1";
        let until = self.now + lease(self.settings);
        let replica = self.settings.replica.as_str();
        // What was claimed a moment ago has to be there.
        self.flush().await?;
        let claim = |(key, epoch): &(RowKey, u64)| {
            let mut values = key.args();
            values.extend(args![stored(*epoch), until, self.now]);
            values
        };
        let claims: Vec<_> = claims.iter().map(claim).collect();
        self.conn.run_each(&CLAIMS, &claims, &[]).await?;
        let work = self.work;
        let version = env!("CARGO_PKG_VERSION");
        let values = args![replica, self.now, version, work.generation, work.tz_release.as_str()];
        self.conn.run(HERE, values).await?;
        self.conn.run(GONE, args![self.now - chrono::TimeDelta::days(1)]).await?;
        let recent = self.now - lease(self.settings) * 2;
        let newest = self.conn.first(NEWEST, args![recent]).await?;
        self.done.replicas = newest.as_ref().map_or(Ok(1), |row| row.count("replicas"))?;
        self.done.tz_release = newest
            .map(|row| row.maybe_text("newest").map(|t| t.map(str::to_owned)))
            .transpose()?
            .flatten();
        Ok(())
    }
}

/// A proof of what the check meant before, which has not been proved since.
fn forgotten(row: WindowState, now: DateTime<Utc>) -> WindowState {
    match row.state {
        State::Recorded(recorded) if recorded.said == VerdictKind::Confirmed => {
            let said = VerdictKind::Unconfirmed(Cause::Missed);
            let recorded = Recorded { said, at: now, tried: recorded.tried };
            WindowState { state: State::Recorded(recorded), ..row }
        }
        State::Recorded(_) | State::Waiting { .. } | State::Running { .. } => row,
    }
}

/// The attempt as one that said nothing, where it would close a violated window on less than half of the evidence that
/// violated it: rows that are deleted are no proof.
fn thinner(entry: &Entry, ended: &Ended) -> Option<Ended> {
    let violated = entry.row.recorded()?.said == VerdictKind::Violated;
    let (then, now) = (entry.evidence?, ended.evidence?);
    let is_thin = now.saturating_mul(2) < then && ended.key.kind == WindowKind::Window;
    (violated && is_thin && ended.said == VerdictKind::Confirmed).then(|| {
        let note = format!(
            "it was violated on {then} and would be confirmed on {now}: rows are gone. If that is meant: allswell rerun \
             CHECK --accept-evidence --because WHY"
        );
        let said = VerdictKind::Unconfirmed(Cause::NoEvidence);
        Ended { said, note: Some(note), ..ended.clone() }
    })
}

/// What is found in a window that was confirmed before it was violated: as long as it is, that is said.
fn found_since(entry: &Entry, ended: &Ended) -> Option<String> {
    let finding = ended.note.as_deref().filter(|_| ended.said == VerdictKind::Violated)?;
    let before = entry.row.recorded()?;
    if before.said == VerdictKind::Confirmed {
        let count = |evidence: Option<u64>| evidence.map_or("?".to_owned(), |n| n.to_string());
        let (then, now) = (count(entry.evidence), count(ended.evidence));
        let at = before.at.format("%Y-%m-%dT%H:%M:%SZ");
        return Some(format!(
            "{CONFIRMED_ON}{at}, violated now (evidence {then} then, {now} now{LEAD_END}{finding}"
        ));
    }
    let note = entry.note.as_deref().filter(|note| note.starts_with(CONFIRMED_ON))?;
    let end = note.find(LEAD_END)? + LEAD_END.len();
    Some(format!("{}{finding}", &note[..end]))
}

/// How long a claim holds.
pub(super) fn lease(settings: &StoreSettings) -> chrono::TimeDelta {
    crate::domain::time::duration::delta(settings.lease)
}

fn may_pass(said: VerdictKind) -> bool {
    match said {
        VerdictKind::Confirmed | VerdictKind::Violated => false,
        VerdictKind::Unconfirmed(cause) => cause.may_pass(),
    }
}
