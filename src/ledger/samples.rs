//! Values of the data that findings were kept with: they live for a while, or until an operator has them forgotten.
//!
//! The first line of a note holds none; the lines after it do. What is cut is cut wherever it was kept: in windows, in
//! attempts, in what is said of the series, and in alerts that were adopted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::duration::delta;
use crate::ledger::adopted::Words;
use crate::ledger::cells::micros;
use crate::ledger::conn::{Conn, Each, Wait, args, each};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::summary::recompute_each;
use crate::ledger::{
    Happened, LONG, LedgerError, PATIENCE, RowKey, Store, Terms, TxOutcome, schema,
};

/// Up to which end attempts have been looked through.
const MARK: &str = "samples_cut_to";
/// How many attempts are looked through at once, and how many rows are cut.
const LOOKED_AT: i64 = 2_000;
const BATCH: usize = 200;
/// How far it is gone on, in microseconds, before that is written down though nothing was cut: an hour.
const MARKED_EACH: i64 = 3_600_000_000;
/// What ends the first line of a note.
const LINE_END: &str = "\n";

/// What was cut.
#[derive(Debug, Default)]
pub struct Cut {
    /// What that changed in what is said of their series.
    pub outcome: TxOutcome,
    /// How many notes that were.
    pub notes: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl Store {
    /// Cuts the values of what is older than they are kept, a part at a time.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn cut_samples(
        &mut self,
        terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
        host_now: DateTime<Utc>,
    ) -> Result<Cut, LedgerError> {
        const NEXT: &str = "SELECT series, kind, start_at, end_at, ended_at, CASE WHEN note LIKE $3 THEN 1 ELSE 0 END \
            AS holds FROM attempts WHERE ended_at >= $1 AND ended_at < $2 ORDER BY ended_at LIMIT $4";
        // What is tried in vain goes on with what was found long before.
        const OPEN: &str = "SELECT series, kind, start_at, end_at FROM entries \
            WHERE live = 1 AND recorded_at < $1 AND note LIKE $2 LIMIT $3";
        self.on(PATIENCE, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let before = now - delta(settings.samples_for);
            let mark = schema::get(conn, MARK).await?.and_then(|mark| mark.parse::<i64>().ok());
            let mark = mark.unwrap_or(0);
            let next = conn.all(NEXT, args![mark, before, LINES, LOOKED_AT]).await?;
            let mut keys = BTreeSet::new();
            let mut reached = mark;
            let mut is_whole = true;
            for row in &next {
                if row.int("holds")? == 1 {
                    if keys.len() >= BATCH {
                        is_whole = false;
                        break;
                    }
                    keys.insert(RowKey::read(row)?);
                }
                reached = row.int("ended_at")?;
            }
            is_whole &= next.len() < usize::try_from(LOOKED_AT).unwrap_or(usize::MAX);
            // Of those that ended at once, some may be in the next part.
            let reached = if is_whole { micros(before) } else { reached.max(mark + 1) };
            for row in
                conn.all(OPEN, args![before, LINES, i64::try_from(BATCH).unwrap_or(0)]).await?
            {
                keys.insert(RowKey::read(&row)?);
            }
            let mut cut = cut_rows(conn, &keys, before, terms, now).await?;
            cut.more = !is_whole;
            cut_adopted(conn, None, before).await?;
            if !is_whole || !keys.is_empty() || reached - mark >= MARKED_EACH {
                schema::put(conn, MARK, &reached.to_string()).await?;
            }
            conn.commit().await?;
            // What was overwritten stands in the log of a file still.
            if cut.notes > 0 && !conn.is_server() {
                conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").await?;
            }
            Ok(cut)
        })
        .await
    }

    /// Cuts the values that are kept of a check, however young they are, a part at a time.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn forget_samples(
        &mut self,
        check: &str,
        terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
        host_now: DateTime<Utc>,
    ) -> Result<Cut, LedgerError> {
        const ALL: &str = "SELECT series, kind, start_at, end_at FROM attempts WHERE note LIKE $2 AND series IN \
            (SELECT id FROM series WHERE check_id = $1) UNION SELECT series, kind, start_at, end_at FROM entries \
            WHERE note LIKE $2 AND series IN (SELECT id FROM series WHERE check_id = $1) LIMIT $3";
        self.on(LONG, async |conn, _| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let most = i64::try_from(BATCH).unwrap_or(0);
            let rows = conn.all(ALL, args![check, LINES, most]).await?;
            let keys = rows.iter().map(RowKey::read).collect::<Result<BTreeSet<_>, _>>()?;
            let later = now + TimeDelta::days(1);
            let mut cut = cut_rows(conn, &keys, later, terms, now).await?;
            cut.more = rows.len() >= BATCH;
            cut_adopted(conn, Some(check), later).await?;
            conn.commit().await?;
            Ok(cut)
        })
        .await
    }

    /// Remembers that the values of a check were forgotten, by whose word, and how many notes that were.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn note_forgotten(
        &mut self,
        check: &str,
        (by, because): (&str, &str),
        notes: u64,
        host_now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        self.on(LONG, async |conn, settings| {
            let now = conn.now(host_now).await?;
            let happened = Happened {
                kind: "forget",
                check: Some(check.to_owned()),
                tz: None,
                was: String::new(),
                becomes: "forgotten".to_owned(),
                note: format!("values of {notes} notes, by {by}: {because}"),
            };
            add_events(conn, &[event_values(settings, now, happened, None)]).await?;
            // What was overwritten stands in the log of a file still.
            match conn.is_server() {
                true => Ok(()),
                false => conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").await,
            }
        })
        .await
    }
}

/// A note of several lines.
const LINES: &str = "%\n%";

macro_rules! cut_notes {
    ($table:literal, $time:literal, $first:literal) => {
        each!(
            ["UPDATE ", $table, " SET note = ", $first, " FROM"],
            (0 "wanted" "bigint", 1 "sort" "text", 2 "began" "bigint", 3 "ends" "bigint"),
            ["WHERE ", $table, ".series = r.wanted AND ", $table, ".kind = r.sort AND ", $table,
             ".start_at = r.began AND ", $table, ".end_at = r.ends AND ", $time, " < $3 AND note LIKE $4"]
        )
    };
}

/// Cuts the notes of rows and of their attempts that were made before an instant.
async fn cut_rows(
    conn: &mut Conn,
    keys: &BTreeSet<RowKey>,
    before: DateTime<Utc>,
    terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
    now: DateTime<Utc>,
) -> Result<Cut, LedgerError> {
    // For a server, and for a file: neither has the other one's function.
    const ATTEMPTS: [Each; 2] = [
        cut_notes!("attempts", "ended_at", "split_part(note, $2, 1)"),
        cut_notes!("attempts", "ended_at", "substr(note, 1, instr(note, $2) - 1)"),
    ];
    const ENTRIES: [Each; 2] = [
        cut_notes!("entries", "COALESCE(recorded_at, tried_at, 0)", "split_part(note, $2, 1)"),
        cut_notes!(
            "entries",
            "COALESCE(recorded_at, tried_at, 0)",
            "substr(note, 1, instr(note, $2) - 1)"
        ),
    ];
    const LAST: &str = "UPDATE series SET last_note = split_part(last_note, $1, 1), changed_at = $4 \
        WHERE id = $2 AND last_at < $3 AND strpos(last_note, $1) > 0";
    const LAST_FILE: &str = "UPDATE series SET last_note = substr(last_note, 1, instr(last_note, $1) - 1), \
        changed_at = $4 WHERE id = $2 AND last_at < $3 AND instr(last_note, $1) > 0";
    const UNKNOWN: &str = "UPDATE series SET newest_violated = '', newest_unconfirmed = '', \
        changed_at = $2 WHERE id = $1";
    let mut cut = Cut { outcome: TxOutcome { now, ..TxOutcome::default() }, ..Cut::default() };
    if keys.is_empty() {
        return Ok(cut);
    }
    let series: BTreeSet<i64> = keys.iter().map(|key| key.series).collect();
    conn.lock(series.iter().copied().collect(), Wait::ForThem).await?;
    let rows: Vec<_> = keys.iter().map(|key| key.args()).collect();
    let place = usize::from(!conn.is_server());
    let more = args![LINE_END, before, LINES];
    cut.notes = conn.run_each(&ATTEMPTS[place], &rows, &more).await?;
    cut.notes = cut.notes.max(conn.run_each(&ENTRIES[place], &rows, &more).await?);
    let mut known = BTreeMap::new();
    for id in series {
        let last = if conn.is_server() { LAST } else { LAST_FILE };
        conn.run(last, args![LINE_END, id, before, now]).await?;
        // What is said of a series repeats what its rows say.
        match terms(id) {
            Some(terms) => drop(known.insert(id, Some(terms))),
            None => drop(conn.run(UNKNOWN, args![id, now]).await?),
        }
    }
    let mut told = Vec::new();
    cut.outcome.series = recompute_each(conn, &known, now, &mut told).await?;
    cut.outcome.told = told;
    Ok(cut)
}

/// Cuts what alerts said that were adopted before an instant: of one check, or of all.
async fn cut_adopted(
    conn: &mut Conn,
    check: Option<&str>,
    before: DateTime<Utc>,
) -> Result<(), LedgerError> {
    const ADOPTED: &str = "SELECT fingerprint, starts_at, labels, adopted_words FROM alerts \
        WHERE adopted_at < $1 AND adopted_words IS NOT NULL";
    const PUT: &str =
        "UPDATE alerts SET adopted_words = $1 WHERE fingerprint = $2 AND starts_at = $3";
    for row in conn.all(ADOPTED, args![before]).await? {
        let is_meant = check.is_none_or(|check| {
            let labels = row.text("labels").unwrap_or_default();
            serde_json::from_str::<serde_json::Value>(labels).is_ok_and(|l| l["check"] == check)
        });
        let words = row.text("adopted_words")?;
        let words = serde_json::from_str::<Words>(words).unwrap_or_default();
        if !is_meant || words.description.is_empty() {
            continue;
        }
        let short = Words { description: String::new(), ..words };
        let text = serde_json::to_string(&short);
        let text = text.map_err(|_| LedgerError::odd("words that are no text"))?;
        let key = args![text, row.text("fingerprint")?, row.int("starts_at")?];
        conn.run(PUT, key).await?;
    }
    Ok(())
}
