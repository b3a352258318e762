//! What became due is written down, exactly once: rows and watermark move together, or not at all.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::agenda::{Event, Fate, Omission, Owed, Target};
use crate::domain::life::{Kind, Recorded, Row, Ruling, Said, State};
use crate::domain::verdict::Cause;
use crate::ledger::conn::{Wait, args};
use crate::ledger::entry::{Entry, Newest, Times};
use crate::ledger::memory::{event, names};
use crate::ledger::turn::Turning;
use crate::ledger::{Happened, Promise, SeriesRecord, Trouble, draw};

/// Writes down what became due.
pub(super) async fn keep_all(turning: &mut Turning<'_>) -> Result<(), Trouble> {
    let promises = &turning.work.promises;
    let by_series: BTreeMap<i64, usize> =
        promises.iter().enumerate().map(|(place, promise)| (promise.series, place)).collect();
    let free = turning.conn.lock(by_series.keys().copied().collect(), Wait::Never).await?;
    for (series, place) in by_series {
        if free.binary_search(&series).is_err() || !keep(turning, &promises[place]).await? {
            turning.done.contended.push(series);
            // Somebody else wrote of it: what he wrote is what counts.
            turning.done.series.extend(SeriesRecord::find(turning.conn, series).await?);
        }
    }
    Ok(())
}

/// Writes down one series' promise; says whether it was still the next one.
async fn keep(turning: &mut Turning<'_>, promise: &Promise) -> Result<bool, Trouble> {
    const MOVE: &str = "UPDATE series SET watermark = $1, changed_at = $2 WHERE id = $3 \
        AND watermark = $4";
    const MOVE_FIRST: &str = "UPDATE series SET watermark = $1, changed_at = $2 WHERE id = $3 \
        AND watermark IS NULL";
    let batch = &promise.batch;
    // By the store's clock nothing is due yet: ours ran ahead.
    if batch.watermark > turning.now + TimeDelta::seconds(1) {
        return Ok(false);
    }
    let moved = match promise.from {
        Some(from) => {
            let values = args![batch.watermark, turning.now, promise.series, from];
            turning.conn.run(MOVE, values).await?
        }
        None => {
            let values = args![batch.watermark, turning.now, promise.series];
            turning.conn.run(MOVE_FIRST, values).await?
        }
    };
    if moved == 0 {
        return Ok(false);
    }
    for (place, owed) in batch.owed.iter().enumerate() {
        let entry = entry(turning, promise, owed, place);
        add(turning, &entry).await?;
    }
    if let Some((first, last)) = batch.missed_slots {
        let entry = missed(turning, promise, first, last);
        add(turning, &entry).await?;
    }
    for omitted in &batch.events {
        tell(turning, promise.series, omitted).await?;
    }
    Ok(true)
}

/// Writes down windows that new rules make, without moving the watermark.
pub(super) async fn keep_new(turning: &mut Turning<'_>, series: i64) -> Result<(), Trouble> {
    let promises = turning.work.promises.iter().filter(|promise| promise.series == series);
    for promise in promises {
        for (place, owed) in promise.batch.owed.iter().enumerate() {
            let entry = entry(turning, promise, owed, place);
            add(turning, &entry).await?;
        }
    }
    Ok(())
}

async fn add(turning: &mut Turning<'_>, entry: &Entry) -> Result<(), Trouble> {
    // The slots before look at the same present.
    const OLDER: &str = "UPDATE entries SET wake_at = NULL WHERE series = $1 AND live = 1 \
        AND kind = 'slot' AND start_at < $2 AND state = 'recorded' AND wake_at IS NOT NULL";
    let times = Times::of(entry, &turning.terms_of(entry.series), Newest::Yes, turning.now);
    let mut is_new = entry.add(turning.conn, &times).await?;
    if !is_new {
        let there = Entry::find(turning.conn, entry.key()).await?;
        if let Some(there) = there.filter(|there| there.row.ruling == Ruling::Removed) {
            // Its check was removed, and is there again.
            let row = Row { epoch: there.row.epoch + 1, ..entry.row };
            Entry { row, attempts: there.attempts, ..entry.clone() }
                .write(turning.conn, &times)
                .await?;
            is_new = true;
        }
    }
    if entry.row.kind == Kind::Slot {
        turning.conn.run(OLDER, args![entry.series, entry.row.start]).await?;
    }
    if is_new && entry.row.recorded().is_some() {
        turning.touched.insert(entry.series);
        let is = super::tally::is_open(&entry.row, turning.now);
        turning.opened(entry.key(), None, is, entry).await?;
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
async fn tell(turning: &mut Turning<'_>, series: i64, omitted: &Event) -> Result<(), Trouble> {
    let (check, tz) = names(turning.conn, series).await?;
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
        check: Some(check),
        tz,
        was: String::new(),
        becomes: becomes.to_owned(),
        note,
    };
    let at = Some((omitted.at, omitted.at));
    event(turning.conn, turning.settings, turning.now, &happened, at).await
}
