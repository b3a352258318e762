//! What became due is written down, exactly once: rows and watermark move together, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::life::{Kind, Recorded, Row, Ruling, Said, State};
use crate::domain::time::agenda::{Event, Fate, Omission, Owed, Target};
use crate::ledger::conn::{Each, Wait, args, each};
use crate::ledger::entry::{Entry, Newest, Times};
use crate::ledger::tx::Turning;
use crate::ledger::{Happened, Promise, SeriesRecord, Trouble, draw};

/// Writes down what became due.
pub(super) async fn keep_all(turning: &mut Turning<'_>) -> Result<(), Trouble> {
    let promises = &turning.work.promises;
    let by_series: BTreeMap<i64, &Promise> =
        promises.iter().map(|promise| (promise.series, promise)).collect();
    let free = turning.conn.lock(by_series.keys().copied().collect(), Wait::Never).await?;
    let ours = by_series.iter().filter(|(id, promise)| {
        // By the store's clock nothing may be due yet: ours ran ahead.
        let is_early = promise.batch.watermark > turning.now + TimeDelta::seconds(1);
        free.binary_search(id).is_ok() && !is_early
    });
    let ours: Vec<&Promise> = ours.map(|(_, promise)| *promise).collect();
    let moved = move_watermarks(turning, &ours).await?;
    let mut entries = Vec::new();
    for promise in ours.iter().filter(|promise| moved.contains(&promise.series)) {
        let batch = &promise.batch;
        let owed = batch.owed.iter().enumerate();
        entries.extend(owed.map(|(place, owed)| entry(turning, promise, owed, place)));
        let hole = batch.missed_slots;
        entries.extend(hole.map(|(first, last)| missed(turning, promise, first, last)));
        for omitted in &batch.events {
            tell(turning, promise.series, omitted);
        }
    }
    add_each(turning, &entries).await?;
    for series in by_series.into_keys().filter(|series| !moved.contains(series)) {
        turning.done.contended.push(series);
        // Another replica wrote of it: what it wrote is what counts.
        turning.done.series.extend(SeriesRecord::find(turning.conn, series).await?);
    }
    Ok(())
}

/// Moves the watermarks of series, each from where it was when the promise was computed; returns those that moved.
async fn move_watermarks(
    turning: &mut Turning<'_>,
    promises: &[&Promise],
) -> Result<BTreeSet<i64>, Trouble> {
    const MOVE: Each = each!(
        ["UPDATE series SET watermark = r.to_at, changed_at = r.now_at FROM"],
        (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint", 3 "now_at" "bigint"),
        ["WHERE id = r.wanted AND (watermark = r.from_at \
          OR (watermark IS NULL AND r.from_at IS NULL)) RETURNING id"]
    );
    let now = turning.now;
    let row =
        |promise: &&Promise| args![promise.series, promise.from, promise.batch.watermark, now];
    let rows: Vec<_> = promises.iter().map(row).collect();
    let moved = turning.conn.all_each(&MOVE, &rows, &[]).await?;
    moved.iter().map(|record| record.int(0)).collect()
}

/// Writes down windows that new rules make, without moving the watermark.
pub(super) async fn keep_new(turning: &mut Turning<'_>, series: i64) -> Result<(), Trouble> {
    let promises = turning.work.promises.iter().filter(|promise| promise.series == series);
    let mut entries = Vec::new();
    for promise in promises {
        let owed = promise.batch.owed.iter().enumerate();
        entries.extend(owed.map(|(place, owed)| entry(turning, promise, owed, place)));
    }
    add_each(turning, &entries).await
}

async fn add_each(turning: &mut Turning<'_>, entries: &[Entry]) -> Result<(), Trouble> {
    // The slots before look at the same present.
    const OLDER: Each = each!(
        ["UPDATE entries SET wake_at = NULL FROM"],
        (0 "wanted" "bigint", 1 "before" "bigint"),
        ["WHERE series = r.wanted AND live = 1 AND kind = 'slot' AND start_at < r.before \
          AND state = 'recorded' AND wake_at IS NOT NULL"]
    );
    if entries.is_empty() {
        return Ok(());
    }
    let values = |entry: &Entry| {
        entry.values(&Times::of(entry, &turning.terms_of(entry.series), Newest::Yes, turning.now))
    };
    let rows: Vec<_> = entries.iter().map(values).collect();
    let mut new = Entry::add_each(turning.conn, &rows).await?;
    let there = || entries.iter().filter(|entry| !new.contains(&entry.key()));
    turning.load(there().map(Entry::key)).await?;
    let mut again = BTreeSet::new();
    for entry in there() {
        let there = turning.find(entry.key()).await?;
        if let Some(there) = there.filter(|there| there.row.ruling == Ruling::Removed) {
            // Its check was removed, and is there again.
            let row = Row { epoch: there.row.epoch + 1, ..entry.row };
            turning.write_quietly(&Entry { row, attempts: there.attempts, ..entry.clone() });
            again.insert(entry.key());
        }
    }
    new.extend(again);
    turning.forget_last_slots();
    turning.flush().await?;
    let mut slots: BTreeMap<i64, DateTime<Utc>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.row.kind == Kind::Slot) {
        let last = slots.entry(entry.series).or_insert(entry.row.start);
        *last = (*last).max(entry.row.start);
    }
    let slots: Vec<_> = slots.into_iter().map(|(series, last)| args![series, last]).collect();
    turning.conn.run_each(&OLDER, &slots, &[]).await?;
    let recorded = entries.iter().filter(|entry| entry.row.recorded().is_some());
    for entry in recorded.filter(|entry| new.contains(&entry.key())) {
        turning.touched.insert(entry.series);
        let is = super::tally::is_open(&entry.row, turning.now);
        turning.opened(entry.key(), None, is, entry);
    }
    Ok(())
}

fn entry(turning: &Turning<'_>, promise: &Promise, owed: &Owed, place: usize) -> Entry {
    let now = turning.now;
    let (kind, start, end, period_start, utc_offset) = match owed.due.target {
        Target::Window(window) => {
            let offset = window.utc_offset.secs();
            (Kind::Window, window.start, window.end, window.span.start, offset)
        }
        Target::Slot(at) => (Kind::Slot, at, at, at, 0),
    };
    let missed = Recorded { said: Said::Unconfirmed(Cause::Missed), at: now, tried: now };
    let (state, ruling) = match owed.fate {
        Fate::Wait => {
            let pause = turning.terms_of(promise.series).pause(now);
            let held = pause.map_or(owed.due.at, |until| until.max(owed.due.at));
            let not_before = held + draw(turning.work.seed, place).of(promise.splay);
            let last = pause.map(|_| Cause::Paused);
            (State::Waiting { not_before, last }, Ruling::Standing)
        }
        Fate::Missed { open: true } => (State::Recorded(missed), Ruling::Standing),
        Fate::Missed { open: false } => (State::Recorded(missed), Ruling::Excused),
    };
    let row = Row {
        kind,
        start,
        end,
        due: owed.due.at,
        deadline_nominal: owed.deadline_nominal,
        deadline: owed.deadline,
        state,
        epoch: 0,
        vain: 0,
        ruling,
    };
    Entry { period_start, utc_offset, ..fresh(turning, promise, row) }
}

/// A row of which nothing is known yet.
fn fresh(turning: &Turning<'_>, promise: &Promise, row: Row) -> Entry {
    Entry {
        series: promise.series,
        row,
        period_start: row.start,
        utc_offset: 0,
        owner: None,
        evidence: None,
        note: None,
        waiver: None,
        source: promise.source.clone(),
        priority: promise.priority,
        generation: turning.work.generation,
        tz_release: turning.work.tz_release.clone(),
        attempts: 0,
        asked: false,
        reproof_by: None,
    }
}

/// The hole in which nobody looked at the present, as one row.
fn missed(
    turning: &Turning<'_>,
    promise: &Promise,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
) -> Entry {
    let now = turning.now;
    let said = Said::Unconfirmed(Cause::Missed);
    let state = State::Recorded(Recorded { said, at: now, tried: now });
    let row = Row {
        kind: Kind::Slot,
        start: first,
        end: last,
        due: first,
        deadline_nominal: first + promise.patience,
        deadline: last + promise.patience,
        state,
        epoch: 0,
        vain: 0,
        ruling: Ruling::Standing,
    };
    let note = "nobody looked: the daemon did not run, or could not";
    Entry { note: Some(note.into()), ..fresh(turning, promise, row) }
}

/// Remembers what is not due, and why.
fn tell(turning: &mut Turning<'_>, series: i64, omitted: &Event) {
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
    turning.happened(Some(series), happened, Some((omitted.at, omitted.at)));
}
