//! Values of the data that findings were kept with: they live for a while, or until an operator has them forgotten.
//!
//! The first line of a note holds none; the lines after it do. What is cut is cut wherever it was kept: in windows, in
//! attempts, in what is said of the series, and in alerts that were adopted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::time::duration::delta;
use crate::ledger::adopted::Words;
use crate::ledger::cells::micros;
use crate::ledger::conn::{Conn, Wait, args};
use crate::ledger::events::{add_events, event_values};
use crate::ledger::summary::recompute_each;
use crate::ledger::{Happened, LONG, LedgerError, RowKey, Store, Terms, TxOutcome, schema};

/// Up to which end attempts have been looked through.
const MARK: &str = "samples_cut_to";
/// How far it is gone on, in microseconds, before that is written down though nothing was cut: an hour.
const MARKED_EACH: i64 = 3_600_000_000;
/// How many attempts are cut at once.
const BATCH: i64 = 500;
/// What ends the first line of a note.
const LINE_END: &str = "\n";

/// What was cut.
#[derive(Debug, Default)]
pub struct Cut {
    /// What that changed in what is said of their series.
    pub outcome: TxOutcome,
    /// How many attempts that were.
    pub attempts: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// A text for a server, and one for a file.
fn either(conn: &Conn, server: &'static str, file: &'static str) -> &'static str {
    if conn.is_server() { server } else { file }
}

impl Store {
    /// Cuts the values of what is older than they are kept.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn cut_samples(
        &mut self,
        terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
        host_now: DateTime<Utc>,
    ) -> Result<Cut, LedgerError> {
        const OLD: &str = "SELECT series, kind, start_at, end_at, ended_at FROM attempts \
            WHERE ended_at >= $1 AND ended_at < $2 AND strpos(note, $3) > 0 ORDER BY ended_at LIMIT $4";
        const OLD_FILE: &str = "SELECT series, kind, start_at, end_at, ended_at FROM attempts \
            WHERE ended_at >= $1 AND ended_at < $2 AND instr(note, $3) > 0 ORDER BY ended_at LIMIT $4";
        self.on(LONG, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(host_now).await?;
            let before = now - delta(settings.samples_for);
            let mark = schema::get(conn, MARK).await?.and_then(|mark| mark.parse::<i64>().ok());
            let mark = mark.unwrap_or(0);
            let old = either(conn, OLD, OLD_FILE);
            let rows = conn.all(old, args![mark, before, LINE_END, BATCH]).await?;
            let mut keys = BTreeSet::new();
            let mut reached = micros(before);
            for row in &rows {
                keys.insert(RowKey::read(row)?);
                reached = row.int("ended_at")?;
            }
            let full = rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
            // Of those that ended at once, the last may be in the next batch.
            let reached = if full { reached.max(mark + 1) } else { micros(before) };
            let mut cut = cut_rows(conn, &keys, before, terms, now).await?;
            cut.more = full;
            cut_adopted(conn, None, before).await?;
            if !rows.is_empty() || reached - mark >= MARKED_EACH {
                schema::put(conn, MARK, &reached.to_string()).await?;
            }
            conn.commit().await?;
            Ok(cut)
        })
        .await
    }

    /// Cuts the values that are kept of a check, however young they are.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn forget_samples(
        &mut self,
        check: &str,
        (by, because): (&str, &str),
        terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
        host_now: DateTime<Utc>,
    ) -> Result<Cut, LedgerError> {
        const ALL: &str = "SELECT a.series AS series, a.kind AS kind, a.start_at AS start_at, a.end_at AS end_at \
            FROM attempts a JOIN series s ON s.id = a.series WHERE s.check_id = $1 AND strpos(a.note, $2) > 0";
        const ALL_FILE: &str = "SELECT a.series AS series, a.kind AS kind, a.start_at AS start_at, a.end_at AS end_at \
            FROM attempts a JOIN series s ON s.id = a.series WHERE s.check_id = $1 AND instr(a.note, $2) > 0";
        let cut = self
            .on(LONG, async |conn, settings| {
                conn.begin().await?;
                let now = conn.now(host_now).await?;
                let all = either(conn, ALL, ALL_FILE);
                let rows = conn.all(all, args![check, LINE_END]).await?;
                let keys = rows.iter().map(RowKey::read).collect::<Result<BTreeSet<_>, _>>()?;
                let later = now + TimeDelta::days(1);
                let cut = cut_rows(conn, &keys, later, terms, now).await?;
                cut_adopted(conn, Some(check), later).await?;
                let happened = Happened {
                    kind: "forget",
                    check: Some(check.to_owned()),
                    tz: None,
                    was: String::new(),
                    becomes: "forgotten".to_owned(),
                    note: format!("values of {} attempts, by {by}: {because}", cut.attempts),
                };
                add_events(conn, &[event_values(settings, now, happened, None)]).await?;
                conn.commit().await?;
                Ok(cut)
            })
            .await?;
        // What was overwritten stands in the log of a file still.
        self.on(LONG, async |conn, _| match conn.is_server() {
            true => Ok(()),
            false => conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").await,
        })
        .await?;
        Ok(cut)
    }
}

/// Cuts the notes of rows and of their attempts that ended before an instant.
async fn cut_rows(
    conn: &mut Conn,
    keys: &BTreeSet<RowKey>,
    before: DateTime<Utc>,
    terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
    now: DateTime<Utc>,
) -> Result<Cut, LedgerError> {
    const ATTEMPTS: &str = "UPDATE attempts SET note = split_part(note, $1, 1) WHERE series = $2 AND kind = $3 \
        AND start_at = $4 AND end_at = $5 AND ended_at < $6 AND strpos(note, $1) > 0";
    const ATTEMPTS_FILE: &str = "UPDATE attempts SET note = substr(note, 1, instr(note, $1) - 1) WHERE series = $2 \
        AND kind = $3 AND start_at = $4 AND end_at = $5 AND ended_at < $6 AND instr(note, $1) > 0";
    const ENTRIES: &str = "UPDATE entries SET note = split_part(note, $1, 1) WHERE series = $2 AND kind = $3 \
        AND start_at = $4 AND end_at = $5 AND COALESCE(tried_at, recorded_at, 0) < $6 AND strpos(note, $1) > 0";
    const ENTRIES_FILE: &str = "UPDATE entries SET note = substr(note, 1, instr(note, $1) - 1) WHERE series = $2 \
        AND kind = $3 AND start_at = $4 AND end_at = $5 AND COALESCE(tried_at, recorded_at, 0) < $6 \
        AND instr(note, $1) > 0";
    const LAST: &str = "UPDATE series SET last_note = split_part(last_note, $1, 1), changed_at = $4 \
        WHERE id = $2 AND last_at < $3 AND strpos(last_note, $1) > 0";
    const LAST_FILE: &str = "UPDATE series SET last_note = substr(last_note, 1, instr(last_note, $1) - 1), \
        changed_at = $4 WHERE id = $2 AND last_at < $3 AND instr(last_note, $1) > 0";
    const UNKNOWN: &str = "UPDATE series SET newest_violated = '', newest_unconfirmed = '', \
        changed_at = $2 WHERE id = $1";
    let series: BTreeSet<i64> = keys.iter().map(|key| key.series).collect();
    conn.lock(series.iter().copied().collect(), Wait::ForThem).await?;
    let mut cut = Cut::default();
    for key in keys {
        for (place, (server, file)) in
            [(ATTEMPTS, ATTEMPTS_FILE), (ENTRIES, ENTRIES_FILE)].into_iter().enumerate()
        {
            let mut values = args![LINE_END];
            values.extend(key.args());
            values.extend(args![before]);
            let count = conn.run(either(conn, server, file), values).await?;
            cut.attempts += if place == 0 { count } else { 0 };
        }
    }
    for id in &series {
        conn.run(either(conn, LAST, LAST_FILE), args![LINE_END, *id, before, now]).await?;
    }
    // What is said of a series repeats what its rows say.
    let mut known = BTreeMap::new();
    for id in series {
        match terms(id) {
            Some(terms) => drop(known.insert(id, Some(terms))),
            None => drop(conn.run(UNKNOWN, args![id, now]).await?),
        }
    }
    let mut told = Vec::new();
    let series = recompute_each(conn, &known, now, &mut told).await?;
    cut.outcome = TxOutcome { now, series, told, ..TxOutcome::default() };
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
