//! What people, and new rules of a zone, say beside the data: waivers, reruns, supersession.

use chrono::{DateTime, Utc};

use crate::domain::life::{Kind, Recorded, Row, Ruling, Said, State};
use crate::domain::supersession::{Bounds, Supersession};
use crate::domain::verdict::Cause;
use crate::ledger::conn::{Conn, Wait, args};
use crate::ledger::entry::{Entry, columns, stored};
use crate::ledger::memory::event;
use crate::ledger::turn::Turning;
use crate::ledger::{
    Happened, LONG, RowKey, SeriesRecord, Store, StoreSettings, Terms, Trouble, Turned, Work,
};

/// The most rows that one order touches.
const TOUCHED: i64 = 10_000;

/// Which rows are meant.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Of which series, and those of its rows that begin at or after an instant, and before another.
    pub rows: Vec<(i64, DateTime<Utc>, DateTime<Utc>)>,
    /// The selection in words, for the record.
    pub words: String,
}

/// Somebody's word for rows that are open.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Who gives it.
    pub by: String,
    /// Why.
    pub because: String,
    /// Until when. Waivers of earlier releases may have no end.
    pub until: Option<DateTime<Utc>>,
}

/// Who takes waivers back, and why.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Which rows of a selection an order reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// Those that may be open.
    Live,
    /// Those that a waiver covers.
    Waived,
}

type TermsOf<'a> = &'a (dyn Fn(i64) -> Option<Terms> + Sync);

impl Store {
    /// Vouches for every row of a selection that is open; returns how many there were.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn waive(
        &mut self,
        selected: &Selected,
        waiver: &Waiver,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<(u64, Turned), Trouble> {
        let rule = async |turning: &mut Turning<'_>, entries: Vec<Entry>| {
            let open: Vec<Entry> =
                entries.into_iter().filter(|e| e.row.open(turning.now).is_some()).collect();
            if open.is_empty() {
                return Ok(0);
            }
            let id = store_waiver(turning, selected, waiver, open.len()).await?;
            let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
            for entry in open {
                let was = super::tally::is_open(&entry.row, turning.now);
                let ruling = Ruling::Waived { until: waiver.until };
                let row = Row { ruling, ..entry.row };
                let entry = Entry { row, waiver: Some(id), ..entry };
                turning.write(&entry).await?;
                turning.opened(entry.key(), was, None, &entry).await?;
            }
            Ok(count)
        };
        self.on(LONG, async |conn, settings| {
            rule_on(conn, settings, selected, work, terms, Rows::Live, rule).await
        })
        .await
    }

    /// Takes the waivers of a selection back: what they covered is open again; returns how many rows there
    /// were.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn revoke(
        &mut self,
        selected: &Selected,
        revocation: &Revocation,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<(u64, Turned), Trouble> {
        let rule = async |turning: &mut Turning<'_>, entries: Vec<Entry>| {
            let is_waived = |entry: &Entry| matches!(entry.row.ruling, Ruling::Waived { .. });
            let mut count = 0;
            for entry in entries.into_iter().filter(is_waived) {
                let was = super::tally::is_open(&entry.row, turning.now);
                let row = Row { ruling: Ruling::Standing, ..entry.row };
                let is = super::tally::is_open(&row, turning.now);
                let entry = Entry { row, ..entry };
                turning.write(&entry).await?;
                turning.opened(entry.key(), was, is, &entry).await?;
                count += 1;
            }
            let Revocation { by, because } = revocation;
            let happened = Happened {
                kind: "waiver",
                check: None,
                tz: None,
                was: format!("{count} rows"),
                becomes: "revoked".to_owned(),
                note: format!("{} by {by}: {because}", selected.words),
            };
            event(turning.conn, turning.settings, turning.now, &happened, None).await?;
            Ok(count)
        };
        self.on(LONG, async |conn, settings| {
            rule_on(conn, settings, selected, work, terms, Rows::Waived, rule).await
        })
        .await
    }

    /// Has every recorded row of a selection tried again, as soon as there is a place; returns how
    /// many there are.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn rerun(
        &mut self,
        selected: &Selected,
        by: &str,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<(u64, Turned), Trouble> {
        let rule = async |turning: &mut Turning<'_>, entries: Vec<Entry>| {
            let mut count = 0;
            for entry in entries {
                // What is past of the present cannot be looked at.
                if !turning.is_newest(&entry).await? {
                    continue;
                }
                let row = match entry.row.state {
                    State::Running { .. } => continue,
                    // However often it was in vain before.
                    State::Recorded(_) => Row { vain: 0, ..entry.row },
                    State::Waiting { last, .. } => {
                        let state = State::Waiting { not_before: turning.now, last };
                        Row { state, ..entry.row }
                    }
                };
                turning.write(&Entry { row, asked: true, ..entry }).await?;
                count += 1;
            }
            let happened = Happened {
                kind: "rerun",
                check: None,
                tz: None,
                was: String::new(),
                becomes: format!("{count} rows"),
                note: format!("{} by {by}", selected.words),
            };
            event(turning.conn, turning.settings, turning.now, &happened, None).await?;
            Ok(count)
        };
        self.on(LONG, async |conn, settings| {
            rule_on(conn, settings, selected, work, terms, Rows::All, rule).await
        })
        .await
    }

    /// Returns the bounds of the windows of a series that are recorded or wait, in order.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn bounds(
        &mut self,
        series: i64,
        since: DateTime<Utc>,
    ) -> Result<Vec<Bounds>, Trouble> {
        const BOUNDS: &str = "SELECT start_at, end_at FROM entries WHERE series = $1 \
            AND kind = 'window' AND end_at > $2 AND ruling NOT IN ('superseded', 'replaced') \
            ORDER BY start_at";
        self.on(LONG, async |conn, _| {
            let rows = conn.all(BOUNDS, args![series, since]).await?;
            rows.iter().map(|row| Ok((row.at(0)?, row.at(1)?))).collect()
        })
        .await
    }

    /// Writes down what new rules of a zone do to a series: what stands for what. The new windows are
    /// promised by `work`.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn supersede(
        &mut self,
        series: i64,
        what: &Supersession,
        work: &Work,
        terms: TermsOf<'_>,
    ) -> Result<Turned, Trouble> {
        self.on(LONG, async |conn, settings| {
            conn.begin().await?;
            let now = conn.now(work.host_now).await?;
            let mut turning = Turning::new(conn, settings, work, terms, now);
            turning.conn.lock(vec![series], Wait::ForThem).await?;
            supersede(&mut turning, series, what).await?;
            turning.weigh_all().await?;
            let done = turning.done;
            conn.commit().await?;
            Ok(done)
        })
        .await
    }

    /// Says that the windows of a series are cut by a release of zone rules from now on.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn cut_by(&mut self, series: Vec<i64>, tz_release: &str) -> Result<(), Trouble> {
        const CUT: &str = "UPDATE series SET tz_release = $1 WHERE id = $2";
        self.on(LONG, async |conn, _| {
            conn.begin().await?;
            for id in series {
                conn.run(CUT, args![tz_release, id]).await?;
            }
            conn.commit().await
        })
        .await
    }
}

async fn rule_on(
    conn: &mut Conn,
    settings: &StoreSettings,
    selected: &Selected,
    work: &Work,
    terms: TermsOf<'_>,
    which: Rows,
    rule: impl AsyncFnOnce(&mut Turning<'_>, Vec<Entry>) -> Result<u64, Trouble>,
) -> Result<(u64, Turned), Trouble> {
    const LIVE: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND live = 1 AND start_at >= $2 AND start_at < $3 \
         ORDER BY start_at LIMIT $4"
    );
    const WAIVED: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND waiver IS NOT NULL AND ruling = 'waived' \
         AND start_at >= $2 AND start_at < $3 ORDER BY start_at LIMIT $4"
    );
    const ALL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM entries WHERE series = $1 AND start_at >= $2 AND start_at < $3 \
         ORDER BY start_at DESC LIMIT $4"
    );
    conn.begin().await?;
    let now = conn.now(work.host_now).await?;
    let mut turning = Turning::new(conn, settings, work, terms, now);
    let series = selected.rows.iter().map(|(series, ..)| *series).collect();
    turning.conn.lock(series, Wait::ForThem).await?;
    let mut entries = Vec::new();
    for (series, from, to) in &selected.rows {
        let sql = match which {
            Rows::All => ALL,
            Rows::Live => LIVE,
            Rows::Waived => WAIVED,
        };
        let left = TOUCHED - i64::try_from(entries.len()).unwrap_or(TOUCHED);
        let rows = turning.conn.all(sql, args![*series, *from, *to, left]).await?;
        for row in &rows {
            entries.push(Entry::read(row)?);
        }
    }
    let count = rule(&mut turning, entries).await?;
    turning.weigh_all().await?;
    let done = turning.done;
    conn.commit().await?;
    Ok((count, done))
}

async fn store_waiver(
    turning: &mut Turning<'_>,
    selected: &Selected,
    waiver: &Waiver,
    entries: usize,
) -> Result<i64, Trouble> {
    const ADD: &str = "INSERT INTO waivers (at, by_whom, because, until_at, selection, entries) \
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let count = i64::try_from(entries).unwrap_or(i64::MAX);
    let values = args![
        turning.now,
        waiver.by.as_str(),
        waiver.because.as_str(),
        waiver.until,
        selected.words.as_str(),
        count,
    ];
    let row = turning.conn.first(ADD, values).await?;
    let id = row.ok_or_else(|| Trouble::odd("a waiver was not stored"))?.int(0)?;
    let happened = Happened {
        kind: "waiver",
        check: None,
        tz: None,
        was: String::new(),
        becomes: format!("{count} rows"),
        note: format!("{} by {}: {}", selected.words, waiver.by, waiver.because),
    };
    event(turning.conn, turning.settings, turning.now, &happened, None).await?;
    Ok(id)
}

/// Closes rows for which others stand since the rules of their zone changed, once all of those are
/// confirmed.
pub(super) async fn replace(turning: &mut Turning<'_>, key: RowKey) -> Result<(), Trouble> {
    const OLD: &str = "SELECT old_start, old_end FROM successors WHERE series = $1 \
        AND start_at = $2 AND end_at = $3";
    const LEFT: &str = "SELECT s.start_at FROM successors s LEFT JOIN entries e \
        ON e.series = s.series AND e.kind = 'window' AND e.start_at = s.start_at \
        AND e.end_at = s.end_at AND e.said = 'confirmed' \
        WHERE s.series = $1 AND s.old_start = $2 AND s.old_end = $3 AND e.series IS NULL LIMIT 1";
    let old = turning.conn.all(OLD, args![key.series, key.start, key.end]).await?;
    for record in old {
        let (start, end) = (record.at(0)?, record.at(1)?);
        if turning.conn.first(LEFT, args![key.series, start, end]).await?.is_some() {
            continue;
        }
        let old = Entry::find(turning.conn, RowKey { start, end, ..key }).await?;
        if let Some(entry) = old {
            let was = super::tally::is_open(&entry.row, turning.now);
            let ruling = Ruling::Superseded { replaced: true };
            let row = Row { ruling, ..entry.row };
            let entry = Entry { row, ..entry };
            turning.write(&entry).await?;
            turning.opened(entry.key(), was, None, &entry).await?;
        }
    }
    Ok(())
}

async fn supersede(
    turning: &mut Turning<'_>,
    series: i64,
    what: &Supersession,
) -> Result<(), Trouble> {
    const ADD: &str = "INSERT INTO successors (series, old_start, old_end, start_at, end_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    for ((start, end), by) in &what.old {
        let key = RowKey { series, kind: Kind::Window, start: *start, end: *end };
        let Some(entry) = Entry::find(turning.conn, key).await? else { continue };
        let confirmed = entry.row.recorded().is_some_and(|r| r.said == Said::Confirmed);
        let ruling = Ruling::Superseded { replaced: confirmed };
        // Who waited is not looked at any more: the windows that stand for it are.
        let state = match entry.row.state {
            State::Waiting { .. } | State::Running { .. } if entry.row.recorded().is_none() => {
                let said = Said::Unconfirmed(Cause::Missed);
                let (at, tried) = (turning.now, turning.now);
                State::Recorded(Recorded { said, at, tried })
            }
            state @ (State::Waiting { .. } | State::Running { .. } | State::Recorded(_)) => state,
        };
        let row = Row { state, ruling, epoch: entry.row.epoch + 1, ..entry.row };
        turning.write(&Entry { row, owner: None, ..entry }).await?;
        for window in by {
            turning.conn.run(ADD, args![series, *start, *end, window.start, window.end]).await?;
        }
    }
    super::promise::keep_new(turning, series).await?;
    turning.done.series.extend(SeriesRecord::find(turning.conn, series).await?);
    let happened = Happened {
        kind: "rules",
        check: None,
        tz: None,
        was: format!("{} windows", what.old.len()),
        becomes: format!("{} windows", what.new.len()),
        note: format!("series {}: the rules of its zone changed", stored(series.unsigned_abs())),
    };
    event(turning.conn, turning.settings, turning.now, &happened, None).await
}
