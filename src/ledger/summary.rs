//! What the ledger says of a series as a whole: what stands, how long its proofs speak for it.
//!
//! Decided in `domain` from the rows that still matter; one confirmed row stands for all that do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::domain::alerting::alert::cut;
use crate::domain::check::plain::in_one_line;
use crate::domain::check::reason::Cause;
use crate::domain::record::standing::{Alarm, Lease, Notice, Standing, bad, lease};
use crate::domain::record::window_state::{Override, VerdictKind, WindowKind, WindowState};
use crate::ledger::cells::{Arg, instant, micros};
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::entry::{Entry, cause_of, columns, stored};
use crate::ledger::series_record::series_columns;
use crate::ledger::{LedgerError, SeriesRecord, StandingChange, Terms, confirmed};

/// How many open rows an alert names, and how long it is about each, in bytes.
const NEWEST: usize = 5;
const WORDS_MAX: usize = 500;
/// The most rows of one series that are weighed at once. Where there are more, nothing is resolved.
const WEIGHED: i64 = 5_000;
/// Of slots the newest matter, and the oldest: no more in a row are counted than this.
const SLOTS: i64 = 128;

/// A row in words: the civil date that it is called by, its offset, and what was found.
fn in_words(entry: &Entry) -> String {
    let secs = entry.utc_offset;
    let local = entry.row.start + chrono::TimeDelta::seconds(i64::from(secs));
    let mut words = match entry.row.kind {
        WindowKind::Window => {
            let day = entry.row.end - entry.row.start >= chrono::TimeDelta::hours(20);
            let civil = if day { local.format("%Y-%m-%d") } else { local.format("%Y-%m-%d %H:%M") };
            format!("{civil} (UTC{:+03}:{:02})", secs / 3_600, secs.abs() % 3_600 / 60)
        }
        WindowKind::Slot => format!("{}", entry.row.start.format("%Y-%m-%dT%H:%M:%SZ")),
    };
    let cause = entry.row.recorded().and_then(|recorded| cause_of(recorded.said));
    if let Some(cause) = cause {
        let _ = write!(words, " {cause}");
    }
    if let Some(note) = &entry.note {
        let note = in_one_line(note);
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
    for entry in entries.iter().filter(|entry| entry.row.kind == WindowKind::Window) {
        match is_open(&entry.row, now) {
            Some(Alarm::Violated) => by_offset.entry(entry.utc_offset).or_default().0 += 1,
            Some(Alarm::Unconfirmed) => by_offset.entry(entry.utc_offset).or_default().1 += 1,
            None => {}
        }
    }
    record.by_offset = by_offset.into_iter().map(|(offset, (v, u))| (offset, v, u)).collect();
}

/// The rows of a series that still matter.
#[derive(Debug, Default)]
struct Live {
    /// All but the windows that wait, in the order of time.
    entries: Vec<Entry>,
    /// By when the first window that waits should be proved.
    waits_until: Option<DateTime<Utc>>,
    /// How many are waived for good: those are not read.
    waived: u64,
}

impl Live {
    /// Says whether all of them were read.
    fn is_whole(&self) -> bool {
        let windows =
            self.entries.iter().filter(|entry| entry.row.kind == WindowKind::Window).count();
        windows < usize::try_from(WEIGHED).unwrap_or(usize::MAX)
    }
}

/// Reads the rows of series that still matter. Of windows that wait, as many as there may be, only the first
/// deadline matters.
async fn live_each(
    conn: &mut Conn,
    wanted: &[Vec<Arg>],
) -> Result<BTreeMap<i64, Live>, LedgerError> {
    const ROWS: Each = each!(
        ["SELECT ", columns!(), " FROM (SELECT e.*, \
          ROW_NUMBER() OVER (PARTITION BY e.series, e.kind ORDER BY e.start_at) AS place, \
          ROW_NUMBER() OVER (PARTITION BY e.series, e.kind ORDER BY e.start_at DESC) AS place_back \
          FROM entries e JOIN"],
        (0 "wanted" "bigint"),
        ["ON e.series = r.wanted WHERE e.live = 1 AND NOT (e.kind = 'window' \
          AND e.state = 'waiting' AND e.ruling = 'standing')) AS live_rows \
          WHERE (kind = 'window' AND place <= $2) OR (kind = 'slot' AND (place_back <= $3 \
          OR place = 1)) ORDER BY series, start_at, end_at"]
    );
    const WAITING: Each = each!(
        ["SELECT series, MIN(deadline_nominal) AS waits_until FROM entries JOIN"],
        (0 "wanted" "bigint"),
        ["ON series = r.wanted WHERE live = 1 AND kind || '' = 'window' AND state = 'waiting' \
          AND ruling = 'standing' GROUP BY series"]
    );
    const FOR_GOOD: Each = each!(
        ["SELECT series, COUNT(*) AS waived FROM entries JOIN"],
        (0 "wanted" "bigint"),
        ["ON series = r.wanted WHERE waiver IS NOT NULL AND ruling = 'waived' AND live = 0 \
          GROUP BY series"]
    );
    let mut all: BTreeMap<i64, Live> = BTreeMap::new();
    for record in conn.all_each(&ROWS, wanted, &[WEIGHED.into(), SLOTS.into()]).await? {
        let entry = Entry::read(&record)?;
        all.entry(entry.series).or_default().entries.push(entry);
    }
    for record in conn.all_each(&WAITING, wanted, &[]).await? {
        all.entry(record.int("series")?).or_default().waits_until =
            record.maybe_at("waits_until")?;
    }
    for record in conn.all_each(&FOR_GOOD, wanted, &[]).await? {
        all.entry(record.int("series")?).or_default().waived = record.count("waived")?;
    }
    Ok(all)
}

/// Finds, between two bad windows of a series each, the first that does not matter any more: it was proved.
/// They are named by their places among the rows.
async fn between_each(
    conn: &mut Conn,
    pairs: &[Vec<Arg>],
) -> Result<BTreeMap<(i64, i64), DateTime<Utc>>, LedgerError> {
    const BETWEEN: Each = each!(
        ["SELECT r.wanted AS series, r.from_at AS from_at, (SELECT MIN(e.start_at) FROM entries e WHERE e.series = r.wanted \
          AND e.kind = 'window' AND e.start_at > r.from_at AND e.start_at < r.to_at \
          AND e.live = 0) AS proved FROM"],
        (0 "wanted" "bigint", 1 "from_at" "bigint", 2 "to_at" "bigint"),
        [""]
    );
    let mut between = BTreeMap::new();
    for record in conn.all_each(&BETWEEN, pairs, &[]).await? {
        if let Some(at) = record.maybe_at("proved")? {
            between.insert((record.int("series")?, record.int("from_at")?), at);
        }
    }
    Ok(between)
}

/// Weighs a series anew and writes down what stands. It must be locked.
pub(super) async fn recompute(
    conn: &mut Conn,
    series: i64,
    terms: Option<&Terms>,
    now: DateTime<Utc>,
    told: &mut Vec<StandingChange>,
) -> Result<Option<SeriesRecord>, LedgerError> {
    let terms = BTreeMap::from([(series, terms.copied())]);
    Ok(recompute_each(conn, &terms, now, told).await?.pop())
}

/// Weighs series anew and writes down what stands. They must be locked.
pub(super) async fn recompute_each(
    conn: &mut Conn,
    terms: &BTreeMap<i64, Option<Terms>>,
    now: DateTime<Utc>,
    told: &mut Vec<StandingChange>,
) -> Result<Vec<SeriesRecord>, LedgerError> {
    const FIND: Each = each!(
        ["SELECT ", series_columns!(), ", confirmed_slot FROM series JOIN"],
        (0 "wanted" "bigint"),
        ["ON id = r.wanted ORDER BY id"]
    );
    let wanted: Vec<_> = terms.keys().map(|id| args![*id]).collect();
    let found = conn.all_each(&FIND, &wanted, &[]).await?;
    let mut live = live_each(conn, &wanted).await?;
    let after = |id: i64| terms.get(&id).copied().flatten().map_or(1, |terms| terms.after);
    let mut pairs = Vec::new();
    for (id, live) in live.iter().filter(|(id, _)| after(**id) > 1) {
        let windows = live.entries.windows(2);
        pairs.extend(windows.map(|two| args![*id, two[0].row.start, two[1].row.start]));
    }
    let between = between_each(conn, &pairs).await?;
    let mut records = Vec::with_capacity(found.len());
    for found in found {
        let record = SeriesRecord::read(&found)?;
        let live = live.remove(&record.id).unwrap_or_default();
        let mut rows = Vec::with_capacity(live.entries.len() + 3);
        for (place, entry) in live.entries.iter().enumerate() {
            rows.push(entry.row);
            // Two that begin at once, since the rules of their zone changed, have nothing between them.
            let next = live.entries.get(place + 1);
            if next.is_some_and(|next| next.row.start == entry.row.start) {
                continue;
            }
            if let Some(at) = between.get(&(record.id, micros(entry.row.start))) {
                rows.push(confirmed(WindowKind::Window, *at));
            }
        }
        let terms = terms.get(&record.id).copied().flatten();
        let record =
            recomputed(record, rows, &live, found.maybe_at("confirmed_slot")?, terms, now, told);
        records.push(record);
    }
    let newest_waived = newest_waived_each(conn, &records, now).await?;
    for record in &mut records {
        record.is_waived = newest_waived.contains(&record.id);
    }
    write_each(conn, &records, now).await?;
    Ok(records)
}

/// Of which series the newest settled window, or look, is waived.
async fn newest_waived_each(
    conn: &mut Conn,
    records: &[SeriesRecord],
    now: DateTime<Utc>,
) -> Result<BTreeSet<i64>, LedgerError> {
    const NEWEST: Each = each!(
        ["SELECT r.wanted AS series, COALESCE((SELECT CASE WHEN e.ruling = 'waived' AND (e.waived_until IS NULL \
          OR e.waived_until > $2) THEN 1 ELSE 0 END FROM entries e WHERE e.series = r.wanted AND e.kind = 'window' \
          AND (e.said IS NOT NULL OR e.ruling = 'waived') AND e.ruling NOT IN ('replaced', 'removed') \
          ORDER BY e.start_at DESC LIMIT 1), (SELECT CASE WHEN e.ruling = 'waived' AND (e.waived_until IS NULL \
          OR e.waived_until > $2) THEN 1 ELSE 0 END FROM entries e WHERE e.series = r.wanted AND e.kind = 'slot' \
          AND (e.said IS NOT NULL OR e.ruling = 'waived') AND e.ruling NOT IN ('replaced', 'removed') \
          ORDER BY e.start_at DESC LIMIT 1)) AS newest FROM"],
        (0 "wanted" "bigint"),
        [""]
    );
    let waived = records.iter().filter(|record| record.waived > 0);
    let waived: Vec<_> = waived.map(|record| args![record.id]).collect();
    let mut newest = BTreeSet::new();
    if waived.is_empty() {
        return Ok(newest);
    }
    for record in conn.all_each(&NEWEST, &waived, &[now.into()]).await? {
        if record.maybe_int("newest")? == Some(1) {
            newest.insert(record.int("series")?);
        }
    }
    Ok(newest)
}

/// What stands of a series with these rows.
fn recomputed(
    mut record: SeriesRecord,
    mut rows: Vec<WindowState>,
    live: &Live,
    confirmed_slot: Option<DateTime<Utc>>,
    terms: Option<Terms>,
    now: DateTime<Utc>,
    told: &mut Vec<StandingChange>,
) -> SeriesRecord {
    let (series, whole) = (record.id, live.is_whole());
    let after = terms.map_or(1, |terms| terms.after);
    // What was confirmed stands before everything that is open, but for slots: there its place counts.
    if record.confirmed_at.is_some() {
        rows.insert(0, confirmed(WindowKind::Window, instant(0)));
    }
    if let Some(at) = confirmed_slot {
        let place = rows.partition_point(|row| row.start < at);
        rows.insert(place, confirmed(WindowKind::Slot, at));
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
    record.fired_cause = match record.standings.unconfirmed {
        Standing::Calm => None,
        Standing::Firing { .. } if notices.contains(&Notice::Firing(Alarm::Unconfirmed)) => {
            lasting_cause(&live.entries, now)
        }
        Standing::Firing { .. } => record.fired_cause,
    };
    told.extend(notices.iter().map(|notice| StandingChange { series, notice: *notice }));
    let of = |alarm| {
        let count = bad(&rows, now).iter().filter(|bad| **bad == Some(alarm)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    record.open_violated = of(Alarm::Violated);
    record.open_unconfirmed = of(Alarm::Unconfirmed);
    let is_waived = |row: &&WindowState| {
        matches!(row.overridden, Override::Waived { .. }) && row.is_settled(now)
    };
    let waived = rows.iter().filter(is_waived).count();
    record.waived = u64::try_from(waived).unwrap_or(u64::MAX) + live.waived;
    let next_deadline = terms.map_or(now, |terms| terms.next_deadline);
    let next_deadline = live.waits_until.map_or(next_deadline, |until| until.min(next_deadline));
    let reproof = live.entries.iter().filter_map(|entry| entry.reproof_by).min();
    record.lease = match (lease(&rows, next_deadline, now), reproof) {
        // Among those that were not read may be one without a proof.
        (Lease::Until(until), _) if !whole => Lease::Until(until.min(now)),
        (Lease::Until(until), Some(reproof)) => Lease::Until(until.min(reproof)),
        (lease, _) => lease,
    };
    let critical = |alarm| {
        let mut open = live.entries.iter().filter(|entry| is_open(&entry.row, now) == Some(alarm));
        open.any(|entry| entry.critical)
    };
    record.open_critical = [critical(Alarm::Violated), critical(Alarm::Unconfirmed)];
    describe(&mut record, &live.entries, now);
    record
}

/// The cause of the newest row that is not proved, where no waiting mends it.
fn lasting_cause(entries: &[Entry], now: DateTime<Utc>) -> Option<Cause> {
    let open = |entry: &&Entry| is_open(&entry.row, now) == Some(Alarm::Unconfirmed);
    let newest = entries.iter().rev().find(open)?;
    cause_of(newest.row.recorded()?.said).filter(|cause| cause.is_lasting())
}

async fn write_each(
    conn: &mut Conn,
    records: &[SeriesRecord],
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    const WRITE: Each = each!(
        ["UPDATE series SET violated_since = r.violated_at, unconfirmed_since = r.unconfirmed_at, \
          lease_until = r.until_at, open_violated = r.violated, open_unconfirmed = r.unconfirmed, \
          waived = r.waivers, changed_at = r.now_at, newest_violated = r.violated_words, \
          newest_unconfirmed = r.unconfirmed_words, by_offset = r.offsets, \
          unconfirmed_cause = r.fired_cause, newest_waived = r.newest_is_waived, \
          open_critical = r.critical_bits FROM"],
        (0 "violated_at" "bigint", 1 "unconfirmed_at" "bigint", 2 "until_at" "bigint",
         3 "violated" "bigint", 4 "unconfirmed" "bigint", 5 "waivers" "bigint", 6 "now_at" "bigint",
         7 "violated_words" "text", 8 "unconfirmed_words" "text", 9 "offsets" "text",
         10 "fired_cause" "text", 11 "newest_is_waived" "bigint",
         12 "critical_bits" "bigint", 13 "wanted" "bigint"),
        ["WHERE id = r.wanted"]
    );
    let since = |standing| match standing {
        Standing::Calm => None,
        Standing::Firing { since } => Some(since),
    };
    let row = |record: &SeriesRecord| {
        let lease = match record.lease {
            Lease::Never => None,
            Lease::Until(until) => Some(until),
        };
        let by_offset: Vec<String> =
            record.by_offset.iter().map(|(offset, v, u)| format!("{offset} {v} {u}")).collect();
        args![
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
            record.fired_cause.map(|cause| cause.as_str().to_owned()),
            i64::from(record.is_waived),
            i64::from(record.open_critical[0]) + 2 * i64::from(record.open_critical[1]),
            record.id,
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    conn.run_each(&WRITE, &rows, &[]).await.map(drop)
}

/// Says whether a row is bad by now.
pub(super) fn is_open(row: &WindowState, now: DateTime<Utc>) -> Option<Alarm> {
    match row.open(now)? {
        VerdictKind::Confirmed => None,
        VerdictKind::Violated => Some(Alarm::Violated),
        VerdictKind::Unconfirmed(_) => Some(Alarm::Unconfirmed),
    }
}
