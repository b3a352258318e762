//! A transaction under way: what it read, what it is to write, and what follows for the series that it touches.
//!
//! Rows, attempts and events are kept until they are written together, one statement for all rows of a kind: a
//! transaction costs as many round trips as it has steps, however many rows it moves.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::record::failing::failing_since;
use crate::domain::record::standing::Alarm;
use crate::domain::record::window_state::{State, VerdictKind, WindowKind};
use crate::ledger::attempts::{Noted, note_attempts};
use crate::ledger::cells::Arg;
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::entry::{Entry, cause_of, columns, kind_word, said_word, stored};
use crate::ledger::events::{add_events, event_values, standing};
use crate::ledger::summary::{is_open, recompute_each};
use crate::ledger::times::{Newest, Times};
use crate::ledger::{
    Ended, Happened, LedgerError, RowKey, StandingChange, StoreSettings, Terms, TxOutcome, Work,
};

/// Something that is to be remembered: of which series, where it is of one, and of which row.
type Event = (Option<i64>, Happened, Option<(DateTime<Utc>, DateTime<Utc>)>);

/// A transaction that is under way.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) settings: &'a StoreSettings,
    pub(super) work: &'a Work,
    pub(super) terms: &'a (dyn Fn(i64) -> Option<Terms> + Sync),
    pub(super) now: DateTime<Utc>,
    /// Series whose rows changed.
    pub(super) touched: BTreeSet<i64>,
    /// Rows of which an attempt was recorded, and not fenced off.
    pub(super) accepted: BTreeSet<RowKey>,
    pub(super) done: TxOutcome,
    /// Rows as they are by now; those of `dirty` are to be written.
    rows: BTreeMap<RowKey, Option<Entry>>,
    dirty: BTreeSet<RowKey>,
    /// The last slot of each series, where it was asked for.
    last_slots: BTreeMap<i64, Option<DateTime<Utc>>>,
    attempts: Vec<Vec<Arg>>,
    pub(super) noted: BTreeMap<i64, Noted>,
    /// Since when the attempts of series fail in a row, as far as it was read.
    failing: BTreeMap<i64, Option<DateTime<Utc>>>,
    events: Vec<Event>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        conn: &'a mut Conn,
        settings: &'a StoreSettings,
        work: &'a Work,
        terms: &'a (dyn Fn(i64) -> Option<Terms> + Sync),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            conn,
            settings,
            work,
            terms,
            now,
            touched: BTreeSet::new(),
            accepted: BTreeSet::new(),
            done: TxOutcome { now, ..TxOutcome::default() },
            rows: BTreeMap::new(),
            dirty: BTreeSet::new(),
            last_slots: BTreeMap::new(),
            attempts: Vec::new(),
            noted: BTreeMap::new(),
            failing: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn terms_of(&self, series: i64) -> Terms {
        // A series that is gone is due no more, and nothing of it is tried on.
        (self.terms)(series).unwrap_or(Terms::gone(self.now))
    }

    /// Reads rows that are asked for one by one afterwards.
    pub(super) async fn load(
        &mut self,
        keys: impl Iterator<Item = RowKey>,
    ) -> Result<(), LedgerError> {
        const FIND: Each = each!(
            ["SELECT ", columns!(), " FROM entries JOIN"],
            (0 "wanted" "bigint", 1 "wanted_kind" "text", 2 "wanted_start" "bigint",
             3 "wanted_end" "bigint"),
            ["ON series = r.wanted AND kind = r.wanted_kind AND start_at = r.wanted_start \
              AND end_at = r.wanted_end"]
        );
        let keys: BTreeSet<RowKey> = keys.filter(|key| !self.rows.contains_key(key)).collect();
        let wanted: Vec<_> = keys.iter().map(|key| key.args()).collect();
        for record in self.conn.all_each(&FIND, &wanted, &[]).await? {
            let entry = Entry::read(&record)?;
            self.rows.insert(entry.key(), Some(entry));
        }
        for key in keys {
            self.rows.entry(key).or_insert(None);
        }
        Ok(())
    }

    /// One row, as it is by now.
    pub(super) async fn find(&mut self, key: RowKey) -> Result<Option<Entry>, LedgerError> {
        if !self.rows.contains_key(&key) {
            self.load(std::iter::once(key)).await?;
        }
        Ok(self.rows.get(&key).cloned().flatten())
    }

    /// Writes a row, with what follows from it.
    pub(super) fn write(&mut self, entry: &Entry) {
        self.touched.insert(entry.series);
        self.write_quietly(entry);
    }

    /// Writes a row of which nothing changes that is said of its series.
    pub(super) fn write_quietly(&mut self, entry: &Entry) {
        self.rows.insert(entry.key(), Some(entry.clone()));
        self.dirty.insert(entry.key());
    }

    /// Says whether a row is open, and is or was critical since it is.
    pub(super) fn is_critical(&self, entry: &Entry) -> bool {
        let open = is_open(&entry.row, self.now);
        let terms = self.terms_of(entry.series);
        open.is_some_and(|alarm| entry.critical || terms.is_critical(alarm))
    }

    /// Writes everything that is to be written of rows: what is read from the store after it is as it is.
    pub(super) async fn flush(&mut self) -> Result<(), LedgerError> {
        let dirty = std::mem::take(&mut self.dirty);
        let rows = std::mem::take(&mut self.rows);
        let mut entries: Vec<Entry> =
            dirty.iter().filter_map(|key| rows.get(key).cloned().flatten()).collect();
        for entry in &mut entries {
            entry.critical = self.is_critical(entry);
        }
        let matters = |entry: &&Entry| match (entry.row.kind, entry.row.state) {
            (WindowKind::Slot, State::Recorded(recorded)) => {
                recorded.said != VerdictKind::Confirmed
            }
            (WindowKind::Slot | WindowKind::Window, _) => false,
        };
        let slots = entries.iter().filter(matters).map(|entry| entry.series).collect();
        self.read_last_slots(slots).await?;
        let mut values = Vec::with_capacity(entries.len());
        for entry in &entries {
            let newest =
                if matters(&entry) && !self.is_newest(entry) { Newest::No } else { Newest::Yes };
            let times = Times::of(entry, &self.terms_of(entry.series), newest, self.now);
            values.push(entry.values(&times));
        }
        Entry::write_each(self.conn, &values).await
    }

    /// Reads which slot is the last one, of each of these series.
    pub(super) async fn read_last_slots(
        &mut self,
        series: BTreeSet<i64>,
    ) -> Result<(), LedgerError> {
        const LAST: Each = each!(
            ["SELECT r.wanted AS series, (SELECT MAX(start_at) FROM entries WHERE series = r.wanted \
              AND kind = 'slot') AS last FROM"],
            (0 "wanted" "bigint"),
            [""]
        );
        let unknown = series.into_iter().filter(|id| !self.last_slots.contains_key(id));
        let unknown: Vec<_> = unknown.map(|id| args![id]).collect();
        for record in self.conn.all_each(&LAST, &unknown, &[]).await? {
            self.last_slots.insert(record.int("series")?, record.maybe_at("last")?);
        }
        Ok(())
    }

    /// There may be later slots by now.
    pub(super) fn forget_last_slots(&mut self) {
        self.last_slots.clear();
    }

    /// Says whether a row may be looked at: a window, or the last slot of its series, which was read before.
    pub(super) fn is_newest(&self, entry: &Entry) -> bool {
        let last = self.last_slots.get(&entry.series).copied().flatten();
        entry.row.kind == WindowKind::Window || last.is_none_or(|last| last <= entry.row.start)
    }

    /// Until when a row is left alone, because it waits and its check is paused.
    pub(super) fn pause_of(&self, entry: &Entry) -> Option<DateTime<Utc>> {
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

    /// Remembers an attempt.
    pub(super) fn attempt(&mut self, ended: &Ended, outcome: &str) {
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
        self.attempts.push(values);
    }

    /// Takes note of an attempt that was recorded, for what is said of its series.
    pub(super) fn note(&mut self, ended: &Ended) {
        let failing = self.failing.get(&ended.key.series).copied().flatten();
        self.noted.entry(ended.key.series).or_default().add(ended, failing);
    }

    /// Takes note of what proving again said, for what is said of the series: rows that were purged show there.
    pub(super) fn note_change(&mut self, ended: &Ended) {
        let changed = cause_of(ended.said).map(|cause| {
            let note = ended.note.as_deref().and_then(|note| note.lines().next());
            let (start, note) = (ended.key.start, note.unwrap_or_default());
            format!(
                "the window of {} was confirmed, and says nothing now: {cause}: {note}",
                start.format("%Y-%m-%dT%H:%MZ")
            )
        });
        // What says something is no news of another window that says nothing.
        let noted = self.noted.entry(ended.key.series).or_default();
        let start = ended.key.start;
        let is_news = noted
            .changed
            .as_ref()
            .is_none_or(|(before, note)| note.is_none() || changed.is_some() || *before == start);
        if is_news {
            noted.changed = Some((start, changed));
        }
    }

    /// Reads since when the attempts of series fail in a row, of those that go on failing.
    pub(super) async fn read_failing(&mut self, series: BTreeSet<i64>) -> Result<(), LedgerError> {
        const SINCE: Each = each!(
            ["SELECT id, failing_since FROM series JOIN"],
            (0 "wanted" "bigint"),
            ["ON id = r.wanted"]
        );
        let series: Vec<_> = series.into_iter().map(|id| args![id]).collect();
        for record in self.conn.all_each(&SINCE, &series, &[]).await? {
            self.failing.insert(record.int("id")?, record.maybe_at("failing_since")?);
        }
        Ok(())
    }

    /// Since when the attempts of a series fail in a row, with one that said this.
    pub(super) fn failing(&mut self, series: i64, said: VerdictKind) -> Option<DateTime<Utc>> {
        let before = self.failing.get(&series).copied().flatten();
        let since = failing_since(before, said, self.now);
        self.failing.insert(series, since);
        since
    }

    /// Writes what attempts said: of each, and of their series.
    pub(super) async fn flush_attempts(&mut self) -> Result<(), LedgerError> {
        const ADD: Each = each!(
            ["INSERT INTO attempts (series, kind, start_at, end_at, epoch, owner, began_at, ended_at, \
              took_us, said, cause, evidence, note, generation, outcome) SELECT series, kind, \
              start_at, end_at, epoch, owner, began_at, ended_at, took_us, said, cause, evidence, \
              note, generation, outcome FROM"],
            (0 "series" "bigint", 1 "kind" "text", 2 "start_at" "bigint", 3 "end_at" "bigint",
             4 "epoch" "bigint", 5 "owner" "text", 6 "began_at" "bigint", 7 "ended_at" "bigint",
             8 "took_us" "bigint", 9 "said" "text", 10 "cause" "text", 11 "evidence" "bigint",
             12 "note" "text", 13 "generation" "bigint", 14 "outcome" "text"),
            [""]
        );
        let attempts = std::mem::take(&mut self.attempts);
        self.conn.run_each(&ADD, &attempts, &[]).await?;
        let noted = std::mem::take(&mut self.noted);
        note_attempts(self.conn, &noted, self.now).await
    }

    /// Remembers that a row became bad, or is not bad any more.
    pub(super) fn opened(
        &mut self,
        key: RowKey,
        was: Option<Alarm>,
        is: Option<Alarm>,
        (entry, found_by): (&Entry, i64),
    ) {
        if was == is {
            return;
        }
        let note = match is {
            Some(_) => {
                let cause = entry.row.recorded().and_then(|recorded| cause_of(recorded.said));
                let cause = cause.map(|cause| cause.to_string());
                // What happened is kept for long: rows are not.
                let finding = entry.note.as_deref().and_then(|note| note.lines().next());
                [cause, finding.map(str::to_owned)]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(": ")
            }
            None => {
                let note = entry.closing_note(found_by);
                self.noted.entry(key.series).or_default().closed = Some(note.clone());
                note
            }
        };
        let word = |alarm| match alarm {
            Some(Alarm::Violated) => "violated",
            Some(Alarm::Unconfirmed) => "unconfirmed",
            None => "closed",
        };
        self.remember(key, kind_word(key.kind), word(was), word(is), note);
    }

    /// Remembers something about a row.
    pub(super) fn remember(
        &mut self,
        key: RowKey,
        kind: &'static str,
        was: &str,
        becomes: &str,
        note: String,
    ) {
        let (was, becomes) = (was.to_owned(), becomes.to_owned());
        let happened = Happened { kind, check: None, tz: None, was, becomes, note };
        self.happened(Some(key.series), happened, Some((key.start, key.end)));
    }

    /// Remembers something: of a series, where one is named.
    pub(super) fn happened(
        &mut self,
        series: Option<i64>,
        happened: Happened,
        bounds: Option<(DateTime<Utc>, DateTime<Utc>)>,
    ) {
        self.events.push((series, happened, bounds));
    }

    /// Weighs every series whose rows changed.
    pub(super) async fn recompute_all(&mut self) -> Result<(), LedgerError> {
        self.flush().await?;
        self.flush_attempts().await?;
        let touched = std::mem::take(&mut self.touched);
        let terms: BTreeMap<i64, Option<Terms>> = touched
            .into_iter()
            .filter_map(|series| Some((series, Some((self.terms)(series)?))))
            .collect();
        let from = self.done.told.len();
        let records = recompute_each(self.conn, &terms, self.now, &mut self.done.told).await?;
        self.done.series.extend(records);
        let told = self.done.told[from..].iter();
        self.events.extend(
            told.map(|StandingChange { series, notice }| (Some(*series), standing(*notice), None)),
        );
        Ok(())
    }

    /// Writes what happened.
    pub(super) async fn flush_events(&mut self) -> Result<(), LedgerError> {
        const NAMES: Each = each!(
            ["SELECT id, check_id, tz FROM series JOIN"],
            (0 "wanted" "bigint"),
            ["ON id = r.wanted"]
        );
        let events = std::mem::take(&mut self.events);
        let series: BTreeSet<i64> = events.iter().filter_map(|(series, ..)| *series).collect();
        let series: Vec<_> = series.into_iter().map(|id| args![id]).collect();
        let mut names = BTreeMap::new();
        for record in self.conn.all_each(&NAMES, &series, &[]).await? {
            let tz = Some(record.text("tz")?.to_owned()).filter(|tz| !tz.is_empty());
            names.insert(record.int("id")?, (record.text("check_id")?.to_owned(), tz));
        }
        let mut rows = Vec::with_capacity(events.len());
        for (series, happened, bounds) in events {
            let (check, tz) = match series {
                Some(id) => {
                    let name = names.get(&id).cloned();
                    let (check, tz) = name.ok_or_else(|| LedgerError::odd("a row of no series"))?;
                    (Some(check), tz)
                }
                None => (happened.check, happened.tz),
            };
            let happened = Happened { check, tz, ..happened };
            rows.push(event_values(self.settings, self.now, happened, bounds));
        }
        add_events(self.conn, &rows).await
    }

    /// Ends the transaction: all of it is there from now on.
    pub(super) async fn commit(mut self) -> Result<TxOutcome, LedgerError> {
        self.flush().await?;
        self.flush_attempts().await?;
        self.flush_events().await?;
        self.conn.commit().await?;
        Ok(self.done)
    }
}
