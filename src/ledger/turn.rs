//! One transaction of the engine: what ended is recorded, what time ran out for lapses, what became
//! due is written down, who is ready is claimed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::life::{Kind, Recorded, Row, Said, State};
use crate::domain::standing::Alarm;
use crate::domain::verdict::Cause;
use crate::ledger::conn::{Conn, Wait, args};
use crate::ledger::entry::{Entry, Newest, Times, cause_of, kind_word, said_word, stored};
use crate::ledger::memory::{event, names, standing_event};
use crate::ledger::tally::{attempted, close_slots, is_open, weigh};
use crate::ledger::{
    Ended, Happened, RowKey, StoreSettings, Terms, Told, Trouble, Turned, Work, claim, draw,
    moving, promise,
};

/// How many rows lapse in one transaction.
const LAPSES: i64 = 200;
/// How many times as many are looked through for rows of series that we know.
const PAGES: i64 = 20;

/// How often a row is tried in vain that somebody asked for: an hour, all in all.
const ASKED_MAX: u32 = 12;

/// A transaction that is under way.
pub(super) struct Turning<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) settings: &'a StoreSettings,
    pub(super) work: &'a Work,
    pub(super) terms: &'a (dyn Fn(i64) -> Option<Terms> + Sync),
    pub(super) now: DateTime<Utc>,
    /// Series whose rows changed.
    pub(super) touched: BTreeSet<i64>,
    /// Rows of which an attempt was recorded, and not fenced off.
    pub(super) accepted: BTreeSet<RowKey>,
    pub(super) done: Turned,
}

pub(super) async fn turn(
    conn: &mut Conn,
    settings: &StoreSettings,
    work: &Work,
    terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
) -> Result<Turned, Trouble> {
    conn.begin().await?;
    let now = conn.now(work.host_now).await?;
    let mut turning = Turning::new(conn, settings, work, terms, now);
    turning.read_active().await?;
    turning.record_all().await?;
    turning.lapse().await?;
    moving::settle_lists(&mut turning).await?;
    // Replicas run the active generation only: what an earlier one would ask is not asked any more.
    let is_ours = work.generation == 0 || turning.done.active == work.generation;
    if is_ours {
        promise::keep_all(&mut turning).await?;
        claim::hold_all(&mut turning).await?;
    } else {
        turning.done.contended = work.promises.iter().map(|promise| promise.series).collect();
    }
    turning.weigh_all().await?;
    if is_ours {
        claim::claim_all(&mut turning).await?;
    }
    claim::refill(&mut turning).await?;
    for happened in &work.events {
        event(turning.conn, settings, now, happened, None).await?;
    }
    if let Some(claims) = &work.renew {
        turning.renew(claims).await?;
    }
    let done = turning.done;
    conn.commit().await?;
    Ok(done)
}

impl<'a> Turning<'a> {
    pub(super) fn new(
        conn: &'a mut Conn,
        settings: &'a StoreSettings,
        work: &'a Work,
        terms: &'a (dyn Fn(i64) -> Option<Terms> + Sync),
        now: DateTime<Utc>,
    ) -> Self {
        let done = Turned { now, ..Turned::default() };
        Self {
            conn,
            settings,
            work,
            terms,
            now,
            touched: BTreeSet::new(),
            accepted: BTreeSet::new(),
            done,
        }
    }

    pub(super) fn terms_of(&self, series: i64) -> Terms {
        // A series that is gone is due no more, and nothing of it is tried on.
        (self.terms)(series).unwrap_or(Terms::gone(self.now))
    }

    /// Reads which generation is active, and keeps it so until we are done. While another one is being
    /// made active, nothing is known, and nothing is waited for.
    async fn read_active(&mut self) -> Result<(), Trouble> {
        const SQLITE: &str = "SELECT id FROM generations WHERE active = 1";
        const POSTGRES: &str = "SELECT id FROM generations WHERE active = 1 FOR SHARE SKIP LOCKED";
        let active = if self.conn.is_server() { POSTGRES } else { SQLITE };
        let active = self.conn.first(active, Vec::new()).await?;
        self.done.active = active.map_or(Ok(0), |row| row.int(0))?;
        Ok(())
    }

    /// Records what attempts said.
    async fn record_all(&mut self) -> Result<(), Trouble> {
        let series = self.work.ended.iter().map(|ended| ended.key.series).collect();
        self.conn.lock(series, Wait::ForThem).await?;
        let mut order: Vec<usize> = (0..self.work.ended.len()).collect();
        order.sort_by_key(|place| self.work.ended[*place].key);
        for place in order {
            self.record(place).await?;
        }
        Ok(())
    }

    async fn record(&mut self, place: usize) -> Result<(), Trouble> {
        let ended = &self.work.ended[place];
        let Some(entry) = Entry::find(self.conn, ended.key).await? else {
            return self.fence(ended).await;
        };
        let Ok(row) = entry.row.ended(ended.epoch, ended.said, self.now) else {
            return self.fence(ended).await;
        };
        let row = row.scattered(self.now, draw(self.work.seed, place));
        let before = entry.row;
        // Whom somebody asked for is tried on for a while, where what went wrong may pass.
        let asked =
            entry.asked && row.recorded().is_some() && row.vain < ASKED_MAX && may_pass(ended.said);
        let mut after = Entry { row, owner: None, asked, ..entry };
        after.attempts += 1;
        after.generation = ended.generation;
        let is_said = row.recorded().is_none_or(|recorded| recorded.said == ended.said);
        if is_said {
            (after.evidence, after.note) = (ended.evidence, ended.note.clone());
        }
        if ended.said.is_fact() {
            after.reproof_by = None;
        }
        let outcome = match row.state {
            State::Waiting { .. } => "waiting",
            State::Running { .. } | State::Recorded(_) if is_said => "recorded",
            State::Running { .. } | State::Recorded(_) => "kept",
        };
        self.write(&after).await?;
        self.attempt(ended, outcome).await?;
        self.accepted.insert(ended.key);
        attempted(self.conn, ended, self.now).await?;
        if ended.said == Said::Confirmed && ended.key.kind == Kind::Slot {
            close_slots(self.conn, ended.key.series, ended.key.start).await?;
        }
        if ended.said == Said::Confirmed && ended.key.kind == Kind::Window {
            super::ruling::replace(self, ended.key).await?;
        }
        let said = match ended.said {
            Said::Confirmed => 0,
            Said::Violated => 1,
            Said::Unconfirmed(_) => 2,
        };
        self.done.recorded[said] += 1;
        self.opened(ended.key, is_open(&before, self.now), is_open(&row, self.now), &after).await
    }

    /// Takes note of an attempt whose row went on without it.
    async fn fence(&mut self, ended: &Ended) -> Result<(), Trouble> {
        const KNOWN: &str = "SELECT owner FROM attempts WHERE series = $1 AND kind = $2 \
            AND start_at = $3 AND end_at = $4 AND epoch = $5";
        let mut name = ended.key.args();
        name.push(stored(ended.epoch).into());
        if self.conn.first(KNOWN, name).await?.is_some() {
            // It is recorded; only the answer to that was lost.
            return Ok(());
        }
        self.done.fenced += 1;
        self.attempt(ended, "fenced").await
    }

    async fn attempt(&mut self, ended: &Ended, outcome: &str) -> Result<(), Trouble> {
        const ADD: &str = "INSERT INTO attempts (series, kind, start_at, end_at, epoch, owner, \
            began_at, ended_at, took_us, said, cause, evidence, note, generation, outcome) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let mut values = ended.key.args();
        values.extend(args![
            stored(ended.epoch),
            self.settings.replica.as_str(),
            ended.began,
            self.now,
            i64::try_from(ended.took.as_micros()).unwrap_or(i64::MAX),
            said_word(ended.said),
            cause_of(ended.said).map(|cause| cause.as_str().to_owned()),
            ended.evidence.map(stored),
            ended.note.clone(),
            ended.generation,
            outcome,
        ]);
        self.conn.run(ADD, values).await.map(drop)
    }

    /// The rows for which time ran out, of series that we know and hold now.
    async fn late(&mut self) -> Result<Vec<RowKey>, Trouble> {
        const LATE: &str = "SELECT series, kind, start_at, end_at FROM entries \
            WHERE lapse_at <= $1 ORDER BY lapse_at LIMIT $2 OFFSET $3";
        let mut keys = Vec::new();
        for page in 0..PAGES {
            let late = self.conn.all(LATE, args![self.now, LAPSES, page * LAPSES]).await?;
            let full = late.len() >= usize::try_from(LAPSES).unwrap_or(usize::MAX);
            for record in &late {
                let key = RowKey::read(record, 0)?;
                // Of whom we know nothing, somebody else takes care.
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
    async fn lapse(&mut self) -> Result<(), Trouble> {
        for key in self.late().await? {
            let Some(entry) = Entry::find(self.conn, key).await? else { continue };
            let entry = self.resumed(entry);
            let before = entry.row;
            let terms = self.terms_of(key.series);
            if entry.reproof_by.is_some() && terms.pause(self.now).is_some() {
                // Nobody may prove it now: it has its time when he may.
                let by = before.recorded().map(|_| self.now + terms.patience);
                if let Some(by) = by {
                    self.write_quietly(&Entry { reproof_by: Some(by), ..entry }).await?;
                    continue;
                }
            }
            if let Some(until) = self.pause_of(&entry) {
                let row = before.put_off(Cause::Paused, until);
                self.write_quietly(&Entry { row, ..entry }).await?;
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
                let note = "its claim ran out: whoever held it died or stalled".to_owned();
                self.tell(key, "claim", &owner, "abandoned", note).await?;
            }
            if before.recorded().is_none() && row.recorded().is_some() {
                self.done.lapsed += 1;
                if after.note.is_none() && shed {
                    after.note = Some("there was more to look at than could be in time".into());
                }
            }
            self.write(&after).await?;
            // What was recorded before becomes open by time alone.
            let was = if let State::Recorded(_) = before.state {
                None
            } else {
                is_open(&before, self.now)
            };
            self.opened(key, was, is_open(&row, self.now), &after).await?;
        }
        Ok(())
    }

    /// Writes a row, with what follows from it.
    pub(super) async fn write(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let newest = self.newest(entry).await?;
        let times = Times::of(entry, &self.terms_of(entry.series), newest, self.now);
        self.touched.insert(entry.series);
        entry.write(self.conn, &times).await
    }

    /// Writes a row of which nothing changes that is said of its series.
    pub(super) async fn write_quietly(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let touched = self.touched.contains(&entry.series);
        self.write(entry).await?;
        if !touched {
            self.touched.remove(&entry.series);
        }
        Ok(())
    }

    /// Until when a row is left alone, because it waits and its check is paused.
    fn pause_of(&self, entry: &Entry) -> Option<DateTime<Utc>> {
        let waits = matches!(entry.row.state, State::Waiting { .. });
        self.terms_of(entry.series).pause(self.now).filter(|_| waits)
    }

    /// The row, which goes on where it waited for a pause that is over.
    pub(super) fn resumed(&self, entry: Entry) -> Entry {
        let terms = self.terms_of(entry.series);
        if terms.pause(self.now).is_some() {
            return entry;
        }
        Entry { row: entry.row.resumed(self.now, terms.patience), ..entry }
    }

    /// Says whether a row may be looked at: a window, or the last slot of its series.
    pub(super) async fn is_newest(&mut self, entry: &Entry) -> Result<bool, Trouble> {
        const LATER: &str = "SELECT start_at FROM entries WHERE series = $1 AND kind = 'slot' \
            AND start_at > $2 LIMIT 1";
        if entry.row.kind == Kind::Window {
            return Ok(true);
        }
        let later = self.conn.first(LATER, args![entry.series, entry.row.start]).await?;
        Ok(later.is_none())
    }

    async fn newest(&mut self, entry: &Entry) -> Result<Newest, Trouble> {
        let matters = match (entry.row.kind, entry.row.state) {
            (Kind::Slot, State::Recorded(recorded)) => recorded.said != Said::Confirmed,
            (Kind::Slot | Kind::Window, _) => false,
        };
        if !matters {
            return Ok(Newest::Yes);
        }
        Ok(if self.is_newest(entry).await? { Newest::Yes } else { Newest::No })
    }

    /// Remembers that a row became bad, or is not bad any more.
    pub(super) async fn opened(
        &mut self,
        key: RowKey,
        was: Option<Alarm>,
        is: Option<Alarm>,
        entry: &Entry,
    ) -> Result<(), Trouble> {
        if was == is {
            return Ok(());
        }
        let note = match is {
            Some(_) => {
                let cause = entry.row.recorded().and_then(|recorded| cause_of(recorded.said));
                let cause = cause.map(|cause| cause.to_string());
                [cause, entry.note.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
            }
            None => String::new(),
        };
        let word = |alarm| match alarm {
            Some(Alarm::Violated) => "violated",
            Some(Alarm::Unconfirmed) => "unconfirmed",
            None => "closed",
        };
        self.tell(key, kind_word(key.kind), word(was), word(is), note).await
    }

    async fn tell(
        &mut self,
        key: RowKey,
        kind: &'static str,
        was: &str,
        becomes: &str,
        note: String,
    ) -> Result<(), Trouble> {
        let (check, tz) = names(self.conn, key.series).await?;
        let (was, becomes) = (was.to_owned(), becomes.to_owned());
        let happened = Happened { kind, check: Some(check), tz, was, becomes, note };
        event(self.conn, self.settings, self.now, &happened, Some((key.start, key.end))).await
    }

    /// Weighs every series whose rows changed.
    pub(super) async fn weigh_all(&mut self) -> Result<(), Trouble> {
        for series in std::mem::take(&mut self.touched) {
            let Some(terms) = (self.terms)(series) else { continue };
            let told = &mut self.done.told;
            let from = told.len();
            let record = weigh(self.conn, series, Some(&terms), self.now, told).await?;
            let told: Vec<Told> = self.done.told[from..].to_vec();
            for Told { notice, .. } in told {
                standing_event(self.conn, self.settings, self.now, series, notice).await?;
            }
            self.done.series.extend(record);
        }
        Ok(())
    }

    /// Renews our claims, and says that we are here.
    async fn renew(&mut self, claims: &[(RowKey, u64)]) -> Result<(), Trouble> {
        const CLAIMS: &str = "UPDATE entries SET lease_until = $1, lapse_at = \
            CASE WHEN said IS NULL AND deadline < $1 AND deadline > $7 THEN deadline ELSE $1 END \
            WHERE series = $2 AND kind = $3 AND start_at = $4 AND end_at = $5 AND epoch = $6 \
            AND state = 'running' AND lease_until > $7";
        const HERE: &str = "INSERT INTO replicas (id, started_at, seen_at, version, generation, \
            tz_release) VALUES ($1, $2, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
            seen_at = excluded.seen_at, generation = excluded.generation";
        // Who has not been here for so long left no claim behind that is not taken over.
        const GONE: &str = "DELETE FROM replicas WHERE seen_at < $1";
        const NEWEST: &str = "SELECT MAX(tz_release) FROM replicas WHERE seen_at >= $1";
        let until = self.now + lease(self.settings);
        let replica = self.settings.replica.as_str();
        for (key, epoch) in claims {
            let mut values = args![until];
            values.extend(key.args());
            values.extend(args![stored(*epoch), self.now]);
            self.conn.run(CLAIMS, values).await?;
        }
        let work = self.work;
        let version = env!("CARGO_PKG_VERSION");
        let values = args![replica, self.now, version, work.generation, work.tz_release.as_str()];
        self.conn.run(HERE, values).await?;
        self.conn.run(GONE, args![self.now - chrono::TimeDelta::days(1)]).await?;
        let recent = self.now - lease(self.settings) * 2;
        let newest = self.conn.first(NEWEST, args![recent]).await?;
        self.done.tz_release = newest
            .map(|row| row.maybe_text(0).map(|t| t.map(str::to_owned)))
            .transpose()?
            .flatten();
        Ok(())
    }
}

/// A proof of what the check meant before, which nobody has proved since.
fn forgotten(row: Row, now: DateTime<Utc>) -> Row {
    match row.state {
        State::Recorded(recorded) if recorded.said == Said::Confirmed => {
            let said = Said::Unconfirmed(Cause::Missed);
            let recorded = Recorded { said, at: now, tried: recorded.tried };
            Row { state: State::Recorded(recorded), ..row }
        }
        State::Recorded(_) | State::Waiting { .. } | State::Running { .. } => row,
    }
}

/// How long a claim holds.
pub(super) fn lease(settings: &StoreSettings) -> chrono::TimeDelta {
    crate::domain::agenda::delta(settings.lease)
}

fn may_pass(said: Said) -> bool {
    match said {
        Said::Confirmed | Said::Violated => false,
        Said::Unconfirmed(cause) => cause.may_pass(),
    }
}
