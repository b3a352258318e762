//! What the ledger says of a series as a whole: what stands, how long its proofs speak for it.
//!
//! Decided in `domain` from the rows that still matter; one confirmed row stands for all that do not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::alert::cut;
use crate::domain::life::{Kind, Row, Ruling, Said};
use crate::domain::name::CheckId;
use crate::domain::standing::{Alarm, Lease, Notice, Standing, Standings, bad, lease};
use crate::ledger::conn::{Conn, Record, args, instant};
use crate::ledger::entry::{Entry, cause_of, columns, read_said, said_word, stored};
use crate::ledger::{Ended, LastAttempt, Role, SeriesRecord, Terms, Told, Trouble, confirmed};

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

/// How many open rows an alert names, and how long it is about each, in bytes.
const NEWEST: usize = 5;
const WORDS_MAX: usize = 500;
/// The most rows of one series that are weighed at once. Where there are more, nothing is resolved.
const WEIGHED: i64 = 5_000;
/// Of slots the newest matter, and the oldest: no more in a row are counted than this.
const SLOTS: i64 = 128;

impl SeriesRecord {
    pub(super) fn read(record: &Record) -> Result<Self, Trouble> {
        let standing = |place| -> Result<Standing, Trouble> {
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
            check: CheckId::parse(record.text(1)?).map_err(Trouble::odd)?,
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
    pub(super) async fn find(conn: &mut Conn, id: i64) -> Result<Option<Self>, Trouble> {
        const FIND: &str = concat!("SELECT ", series_columns!(), " FROM series WHERE id = $1");
        conn.first(FIND, args![id]).await?.as_ref().map(Self::read).transpose()
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn read_offset(line: &str) -> Option<(i32, u64, u64)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    Some((next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?))
}

/// A row in words: the civil date that it is called by, its offset, and what was found.
fn in_words(entry: &Entry) -> String {
    let secs = entry.utc_offset;
    let local = entry.row.start + chrono::TimeDelta::seconds(i64::from(secs));
    let mut words = match entry.row.kind {
        Kind::Window => {
            let day = entry.row.end - entry.row.start >= chrono::TimeDelta::hours(20);
            let civil = if day { local.format("%Y-%m-%d") } else { local.format("%Y-%m-%d %H:%M") };
            format!("{civil} (UTC{:+03}:{:02})", secs / 3_600, secs.abs() % 3_600 / 60)
        }
        Kind::Slot => format!("{}", entry.row.start.format("%Y-%m-%dT%H:%M:%SZ")),
    };
    let cause = entry.row.recorded().and_then(|recorded| cause_of(recorded.said));
    if let Some(cause) = cause {
        let _ = write!(words, " {cause}");
    }
    if let Some(note) = &entry.note {
        let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = write!(words, ": {note}");
    }
    cut(&words, WORDS_MAX)
}

/// What an alert tells of a series' open rows, and where on the map of offsets they are.
fn describe(record: &mut SeriesRecord, entries: &[Entry], now: DateTime<Utc>) {
    let of = |alarm| -> Vec<String> {
        let open = entries.iter().rev().filter(|entry| is_open(&entry.row, now) == Some(alarm));
        open.take(NEWEST).map(in_words).collect()
    };
    record.newest_violated = of(Alarm::Violated);
    record.newest_unconfirmed = of(Alarm::Unconfirmed);
    let mut by_offset: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.row.kind == Kind::Window) {
        match is_open(&entry.row, now) {
            Some(Alarm::Violated) => by_offset.entry(entry.utc_offset).or_default().0 += 1,
            Some(Alarm::Unconfirmed) => by_offset.entry(entry.utc_offset).or_default().1 += 1,
            None => {}
        }
    }
    record.by_offset = by_offset.into_iter().map(|(offset, (v, u))| (offset, v, u)).collect();
}

/// Takes note of an attempt at a series.
pub(super) async fn attempted(
    conn: &mut Conn,
    ended: &Ended,
    at: DateTime<Utc>,
) -> Result<(), Trouble> {
    const NOTE: &str = "UPDATE series SET last_at = $1, last_said = $2, last_cause = $3, \
        last_evidence = $4, last_bad_rows = $5, last_took_us = $6, last_note = $7, \
        confirmed_total = confirmed_total + $8, violated_total = violated_total + $9, \
        unconfirmed_total = unconfirmed_total + $10, \
        confirmed_at = CASE WHEN $8 = 1 THEN $1 ELSE confirmed_at END, \
        confirmed_slot = CASE WHEN $8 = 1 AND $11 = 'slot' \
            AND (confirmed_slot IS NULL OR confirmed_slot < $12) THEN $12 ELSE confirmed_slot END \
        WHERE id = $13";
    let is = |wanted: &str| i64::from(said_word(ended.said) == wanted);
    let took = i64::try_from(ended.took.as_micros()).unwrap_or(i64::MAX);
    let args = args![
        at,
        said_word(ended.said),
        cause_of(ended.said).map(|cause| cause.as_str().to_owned()),
        ended.evidence.map(stored),
        ended.bad_rows.map(stored),
        took,
        ended.note.clone(),
        is("confirmed"),
        is("violated"),
        is("unconfirmed"),
        super::entry::kind_word(ended.key.kind),
        ended.key.start,
        ended.key.series,
    ];
    conn.run(NOTE, args).await.map(drop)
}

/// Closes the slots that a later confirmed one makes good.
pub(super) async fn close_slots(
    conn: &mut Conn,
    series: i64,
    before: DateTime<Utc>,
) -> Result<(), Trouble> {
    const CLOSE: &str = "UPDATE entries SET live = 0, wake_at = NULL, lapse_at = NULL, \
        reproof_by = NULL WHERE series = $1 \
        AND live = 1 AND kind = 'slot' AND start_at < $2 AND state = 'recorded'";
    conn.run(CLOSE, args![series, before]).await.map(drop)
}

/// The rows of a series that still matter, in the order of time; and whether those are all.
async fn live(conn: &mut Conn, series: i64) -> Result<(Vec<Entry>, bool), Trouble> {
    const SLOTS_FIRST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND live = 1 AND kind = 'slot' ORDER BY start_at LIMIT 1"
    );
    const SLOTS_LAST: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND live = 1 AND kind = 'slot' \
         ORDER BY start_at DESC LIMIT $2"
    );
    const WINDOWS: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND live = 1 AND kind = 'window' ORDER BY start_at LIMIT $2"
    );
    let mut records = conn.all(SLOTS_LAST, args![series, SLOTS]).await?;
    if records.len() >= usize::try_from(SLOTS).unwrap_or(usize::MAX) {
        records.extend(conn.all(SLOTS_FIRST, args![series]).await?);
    }
    let windows = conn.all(WINDOWS, args![series, WEIGHED]).await?;
    let whole = windows.len() < usize::try_from(WEIGHED).unwrap_or(usize::MAX);
    records.extend(windows);
    let mut entries = records.iter().map(Entry::read).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| (entry.row.start, entry.row.end));
    entries.dedup_by_key(|entry| entry.key());
    Ok((entries, whole))
}

/// Puts a confirmed row between two bad windows wherever there is one in the store.
async fn separated(conn: &mut Conn, entries: &[Entry]) -> Result<Vec<Row>, Trouble> {
    const BETWEEN: &str = "SELECT start_at FROM entries WHERE series = $1 AND kind = 'window' \
        AND start_at > $2 AND start_at < $3 AND live = 0 LIMIT 1";
    let mut rows = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        rows.push(entry.row);
        let Some(next) = entries.get(place + 1) else { break };
        let (from, to) = (entry.row.start, next.row.start);
        if let Some(record) = conn.first(BETWEEN, args![entry.series, from, to]).await? {
            rows.push(confirmed(Kind::Window, record.at(0)?));
        }
    }
    Ok(rows)
}

/// Weighs a series anew and writes down what stands. It must be locked.
pub(super) async fn weigh(
    conn: &mut Conn,
    series: i64,
    terms: Option<&Terms>,
    now: DateTime<Utc>,
    told: &mut Vec<Told>,
) -> Result<Option<SeriesRecord>, Trouble> {
    const FOR_GOOD: &str = "SELECT COUNT(*) FROM entries WHERE series = $1 \
        AND waiver IS NOT NULL AND ruling = 'waived' AND live = 0";
    const MARKS: &str = "SELECT confirmed_at, confirmed_slot FROM series WHERE id = $1";
    let Some(mut record) = SeriesRecord::find(conn, series).await? else { return Ok(None) };
    let Some(marks) = conn.first(MARKS, args![series]).await? else { return Ok(None) };
    let (entries, whole) = live(conn, series).await?;
    let after = terms.map_or(1, |terms| terms.after);
    let mut rows = if after > 1 {
        separated(conn, &entries).await?
    } else {
        entries.iter().map(|entry| entry.row).collect()
    };
    // What was confirmed stands before everything that is open, but for slots: there its place counts.
    if marks.maybe_at(0)?.is_some() {
        rows.insert(0, confirmed(Kind::Window, instant(0)));
    }
    if let Some(at) = marks.maybe_at(1)? {
        let place = rows.partition_point(|row| row.start < at);
        rows.insert(place, confirmed(Kind::Slot, at));
    }
    let (standings, mut notices) = record.standings.after(&rows, after, now);
    let resolves = |notice: &Notice| matches!(notice, Notice::Resolved(_));
    if !whole && notices.iter().any(resolves) {
        // More rows than can be weighed: among those that were not read may be bad ones.
        notices.retain(|notice| !resolves(notice));
        let keep = |old, new| if new == Standing::Calm { old } else { new };
        record.standings.violated = keep(record.standings.violated, standings.violated);
        record.standings.unconfirmed = keep(record.standings.unconfirmed, standings.unconfirmed);
    } else {
        record.standings = standings;
    }
    told.extend(notices.iter().map(|notice| Told { series, notice: *notice }));
    let of = |alarm| {
        let count = bad(&rows, now).iter().filter(|bad| **bad == Some(alarm)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    record.open_violated = of(Alarm::Violated);
    record.open_unconfirmed = of(Alarm::Unconfirmed);
    let is_waived = |row: &&Row| matches!(row.ruling, Ruling::Waived { .. }) && row.is_settled(now);
    let for_good = conn.first(FOR_GOOD, args![series]).await?;
    record.waived = u64::try_from(rows.iter().filter(is_waived).count()).unwrap_or(u64::MAX)
        + for_good.map_or(Ok(0), |row| row.count(0))?;
    let next_deadline = terms.map_or(now, |terms| terms.next_deadline);
    let reproof = entries.iter().filter_map(|entry| entry.reproof_by).min();
    record.lease = match (lease(&rows, next_deadline, now), reproof) {
        // Among those that were not read may be one that nobody proved.
        (Lease::Until(until), _) if !whole => Lease::Until(until.min(now)),
        (Lease::Until(until), Some(reproof)) => Lease::Until(until.min(reproof)),
        (lease, _) => lease,
    };
    describe(&mut record, &entries, now);
    write(conn, &record, now).await?;
    Ok(Some(record))
}

async fn write(conn: &mut Conn, record: &SeriesRecord, now: DateTime<Utc>) -> Result<(), Trouble> {
    const WRITE: &str = "UPDATE series SET violated_since = $1, unconfirmed_since = $2, \
        lease_until = $3, open_violated = $4, open_unconfirmed = $5, waived = $6, changed_at = $7, \
        newest_violated = $8, newest_unconfirmed = $9, by_offset = $10 WHERE id = $11";
    let since = |standing| match standing {
        Standing::Calm => None,
        Standing::Firing { since } => Some(since),
    };
    let lease = match record.lease {
        Lease::Never => None,
        Lease::Until(until) => Some(until),
    };
    let by_offset: Vec<String> =
        record.by_offset.iter().map(|(offset, v, u)| format!("{offset} {v} {u}")).collect();
    let args = args![
        since(record.standings.violated),
        since(record.standings.unconfirmed),
        lease,
        stored(record.open_violated),
        stored(record.open_unconfirmed),
        stored(record.waived),
        now,
        record.newest_violated.join("\n"),
        record.newest_unconfirmed.join("\n"),
        by_offset.join("\n"),
        record.id,
    ];
    conn.run(WRITE, args).await.map(drop)
}

/// Says whether a row is bad by now.
pub(super) fn is_open(row: &Row, now: DateTime<Utc>) -> Option<Alarm> {
    match row.open(now)? {
        Said::Confirmed => None,
        Said::Violated => Some(Alarm::Violated),
        Said::Unconfirmed(_) => Some(Alarm::Unconfirmed),
    }
}
