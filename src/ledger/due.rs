//! What became due is written down, exactly once: rows and watermark move together, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::window_state::{
    Override, Recorded, State, VerdictKind, WindowKind, WindowState,
};
use crate::domain::time::agenda::{Event, Omission, Target};
use crate::domain::time::owed::{Fate, Owed};
use crate::ledger::conn::{Each, Wait, args, each};
use crate::ledger::entry::Entry;
use crate::ledger::times::{Newest, Times};
use crate::ledger::tx::Tx;
use crate::ledger::{DueBatch, Happened, LedgerError, SeriesRecord, draw};

/// Writes down what became due.
pub(super) async fn materialise_all(tx: &mut Tx<'_>) -> Result<(), LedgerError> {
    let due_batches = &tx.work.due_batches;
    let by_series: BTreeMap<i64, &DueBatch> =
        due_batches.iter().map(|due_batch| (due_batch.series, due_batch)).collect();
    let free = tx.conn.lock(by_series.keys().copied().collect(), Wait::Never).await?;
    let ours = by_series.iter().filter(|(id, due_batch)| {
        // By the store's clock nothing may be due yet: ours ran ahead.
        let is_early = due_batch.batch.watermark > tx.now + TimeDelta::seconds(1);
        free.binary_search(id).is_ok() && !is_early
    });
    let ours: Vec<&DueBatch> = ours.map(|(_, due_batch)| *due_batch).collect();
    let moved = move_watermarks(tx, &ours).await?;
    let mut entries = Vec::new();
    for due_batch in ours.iter().filter(|due_batch| moved.contains(&due_batch.series)) {
        let batch = &due_batch.batch;
        let owed = batch.owed.iter().enumerate();
        entries.extend(owed.map(|(place, owed)| entry(tx, due_batch, owed, place)));
        let hole = batch.missed_slots;
        entries.extend(hole.map(|(first, last)| missed(tx, due_batch, first, last)));
        for omitted in &batch.events {
            remember(tx, due_batch.series, omitted);
        }
    }
    add_each(tx, &entries).await?;
    for series in by_series.into_keys().filter(|series| !moved.contains(series)) {
        tx.done.contended.push(series);
        // Another replica wrote of it: what it wrote is what counts.
        tx.done.series.extend(SeriesRecord::find(tx.conn, series).await?);
    }
    Ok(())
}

/// Moves the watermarks of series, each from where it was when the batch was computed; returns those that moved.
async fn move_watermarks(
    tx: &mut Tx<'_>,
    due_batches: &[&DueBatch],
) -> Result<BTreeSet<i64>, LedgerError> {
    const MOVE: Each = each!(
        ["UPDATE series SET watermark = r.to_at, changed_at = r.now_at FROM"],
        (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint", 3 "now_at" "bigint"),
        ["WHERE id = r.wanted AND (watermark = r.from_at \
          OR (watermark IS NULL AND r.from_at IS NULL)) RETURNING id"]
    );
    let now = tx.now;
    let row = |due_batch: &&DueBatch| {
        args![due_batch.series, due_batch.from, due_batch.batch.watermark, now]
    };
    let rows: Vec<_> = due_batches.iter().map(row).collect();
    let moved = tx.conn.all_each(&MOVE, &rows, &[]).await?;
    moved.iter().map(|record| record.int("id")).collect()
}

/// Writes down windows that new rules make, without moving the watermark.
pub(super) async fn materialise_new(tx: &mut Tx<'_>, series: i64) -> Result<(), LedgerError> {
    let due_batches = tx.work.due_batches.iter().filter(|due_batch| due_batch.series == series);
    let mut entries = Vec::new();
    for due_batch in due_batches {
        let owed = due_batch.batch.owed.iter().enumerate();
        entries.extend(owed.map(|(place, owed)| entry(tx, due_batch, owed, place)));
    }
    add_each(tx, &entries).await
}

async fn add_each(tx: &mut Tx<'_>, entries: &[Entry]) -> Result<(), LedgerError> {
    // The slots before look at the same present. `kind || ''` keeps SQLite from the key of all rows: few of them are live.
    const OLDER: Each = each!(
        ["UPDATE entries SET wake_at = NULL FROM"],
        (0 "wanted" "bigint", 1 "before" "bigint"),
        ["WHERE series = r.wanted AND live = 1 AND kind || '' = 'slot' AND start_at < r.before \
          AND state = 'recorded' AND wake_at IS NOT NULL"]
    );
    if entries.is_empty() {
        return Ok(());
    }
    let values = |entry: &Entry| {
        let entry = Entry { critical: tx.is_critical(entry), ..entry.clone() };
        entry.values(&Times::of(&entry, &tx.terms_of(entry.series), Newest::Yes, tx.now))
    };
    let rows: Vec<_> = entries.iter().map(values).collect();
    let mut new = Entry::add_each(tx.conn, &rows).await?;
    let there = || entries.iter().filter(|entry| !new.contains(&entry.key()));
    tx.load(there().map(Entry::key)).await?;
    let mut again = BTreeSet::new();
    for entry in there() {
        let there = tx.find(entry.key()).await?;
        if let Some(there) = there.filter(|there| there.row.overridden == Override::Removed) {
            // Its check was removed, and is there again.
            let row = WindowState { epoch: there.row.epoch + 1, ..entry.row };
            tx.write_quietly(&Entry { row, attempts: there.attempts, ..entry.clone() });
            again.insert(entry.key());
        }
    }
    new.extend(again);
    tx.forget_last_slots();
    tx.flush().await?;
    let mut slots: BTreeMap<i64, DateTime<Utc>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.row.kind == WindowKind::Slot) {
        let last = slots.entry(entry.series).or_insert(entry.row.start);
        *last = (*last).max(entry.row.start);
    }
    let slots: Vec<_> = slots.into_iter().map(|(series, last)| args![series, last]).collect();
    tx.conn.run_each(&OLDER, &slots, &[]).await?;
    let recorded = entries.iter().filter(|entry| entry.row.recorded().is_some());
    for entry in recorded.filter(|entry| new.contains(&entry.key())) {
        tx.touched.insert(entry.series);
        let is = super::summary::is_open(&entry.row, tx.now);
        tx.opened(entry.key(), None, is, (entry, entry.generation));
    }
    Ok(())
}

fn entry(tx: &Tx<'_>, due_batch: &DueBatch, owed: &Owed, place: usize) -> Entry {
    let now = tx.now;
    let (kind, start, end, period_start, utc_offset) = match owed.due.target {
        Target::Window(window) => {
            let offset = window.utc_offset.secs();
            (WindowKind::Window, window.start, window.end, window.span.start, offset)
        }
        Target::Slot(at) => (WindowKind::Slot, at, at, at, 0),
    };
    let missed = Recorded { said: VerdictKind::Unconfirmed(Cause::Missed), at: now, tried: now };
    let (state, overridden) = match owed.fate {
        Fate::Wait => {
            let pause = tx.terms_of(due_batch.series).pause(now);
            let held = pause.map_or(owed.due.at, |until| until.max(owed.due.at));
            let not_before = held + draw(tx.work.seed, place).of(due_batch.splay);
            let last = pause.map(|_| Cause::Paused);
            (State::Waiting { not_before, last }, Override::Standing)
        }
        Fate::Missed { open: true } => (State::Recorded(missed), Override::Standing),
        Fate::Missed { open: false } => (State::Recorded(missed), Override::Excused),
    };
    let row = WindowState {
        kind,
        start,
        end,
        due: owed.due.at,
        deadline_nominal: owed.deadline_nominal,
        deadline: owed.deadline,
        state,
        epoch: 0,
        failed_attempts: 0,
        overridden,
    };
    Entry { period_start, utc_offset, ..fresh(tx, due_batch, row) }
}

/// A row of which nothing is known yet.
fn fresh(tx: &Tx<'_>, due_batch: &DueBatch, row: WindowState) -> Entry {
    Entry {
        series: due_batch.series,
        row,
        period_start: row.start,
        utc_offset: 0,
        owner: None,
        evidence: None,
        note: None,
        waiver: None,
        source: due_batch.source.clone(),
        priority: due_batch.priority,
        generation: tx.work.generation,
        tz_release: tx.work.tz_release.clone(),
        attempts: 0,
        asked: false,
        reproof_by: None,
        critical: false,
    }
}

/// The hole in which the daemon did not look at the present, as one row.
fn missed(tx: &Tx<'_>, due_batch: &DueBatch, first: DateTime<Utc>, last: DateTime<Utc>) -> Entry {
    let now = tx.now;
    let said = VerdictKind::Unconfirmed(Cause::Missed);
    let state = State::Recorded(Recorded { said, at: now, tried: now });
    let row = WindowState {
        kind: WindowKind::Slot,
        start: first,
        end: last,
        due: first,
        deadline_nominal: first + due_batch.patience,
        deadline: last + due_batch.patience,
        state,
        epoch: 0,
        failed_attempts: 0,
        overridden: Override::Standing,
    };
    let note = "not looked at: the daemon did not run, or could not";
    Entry { note: Some(note.into()), ..fresh(tx, due_batch, row) }
}

/// Remembers what is not due, and why.
fn remember(tx: &mut Tx<'_>, series: i64, omitted: &Event) {
    let (becomes, note) = match omitted.what {
        Omission::Civil(happening) => {
            let word = if happening.is_slot() { "moved" } else { "dropped" };
            (word, happening.to_string())
        }
        Omission::NoSuchDate(date) => ("no_such_date", format!("clocks leave {date} out")),
        Omission::Excepted(date) => ("excepted", format!("its owner takes {date} out")),
    };
    let happened = Happened {
        kind: "calendar",
        check: None,
        tz: None,
        was: String::new(),
        becomes: becomes.to_owned(),
        note,
    };
    tx.happened(Some(series), happened, Some((omitted.at, omitted.at)));
}
