//! What attempts brought beside their windows: when each series was last looked at, and slots that a later proof closes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::record::window_state::{VerdictKind, WindowKind};
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::entry::{cause_of, said_word, stored};
use crate::ledger::{Ended, LedgerError, RowKey};

/// What attempts of one transaction say of a series.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) last: Option<Ended>,
    /// How many said that it is confirmed, violated, unconfirmed.
    pub(super) counts: [i64; 3],
    pub(super) confirmed_slot: Option<DateTime<Utc>>,
    /// What proving again said that said nothing, of the newest such window: when it begins; the inner nothing where it
    /// said something.
    pub(super) changed: Option<(DateTime<Utc>, Option<String>)>,
    /// Of the newest window that was held against earlier ones: when it begins, and how little it looked at, where that
    /// is to be told.
    pub(super) thin: Option<(DateTime<Utc>, Option<String>)>,
    /// What is said where a window was closed that was bad: by which generation, where another one found it.
    pub(super) closed: Option<String>,
    /// Since when they fail in a row.
    pub(super) failing_since: Option<DateTime<Utc>>,
}

impl Noted {
    /// Adds one that was recorded.
    pub(super) fn add(&mut self, ended: &Ended, failing_since: Option<DateTime<Utc>>) {
        let place = match ended.said {
            VerdictKind::Confirmed => 0,
            VerdictKind::Violated => 1,
            VerdictKind::Unconfirmed(_) => 2,
        };
        self.counts[place] += 1;
        if ended.said == VerdictKind::Confirmed && ended.key.kind == WindowKind::Slot {
            self.confirmed_slot = self.confirmed_slot.max(Some(ended.key.start));
        }
        self.failing_since = failing_since;
        self.last = Some(ended.clone());
    }
}

/// Takes note of attempts at series.
pub(super) async fn note_attempts(
    conn: &mut Conn,
    noted: &BTreeMap<i64, Noted>,
    at: DateTime<Utc>,
) -> Result<(), LedgerError> {
    const NOTE: Each = each!(
        ["UPDATE series SET last_at = r.at, last_said = r.said, last_cause = r.cause, \
          last_evidence = r.evidence, last_bad_rows = r.bad_rows, last_took_us = r.took_us, \
          last_note = r.note, confirmed_total = confirmed_total + r.confirmed, \
          violated_total = violated_total + r.violated, \
          unconfirmed_total = unconfirmed_total + r.unconfirmed, \
          confirmed_at = CASE WHEN r.confirmed > 0 THEN r.at ELSE confirmed_at END, \
          confirmed_slot = CASE WHEN r.slot IS NOT NULL AND (confirmed_slot IS NULL \
          OR confirmed_slot < r.slot) THEN r.slot ELSE confirmed_slot END, failing_since = r.failing, \
          changed_note = CASE WHEN r.rechecked IS NULL OR r.changed IS NULL AND r.rechecked <> COALESCE(changed_start, 0) \
          THEN changed_note ELSE r.changed END, \
          changed_start = CASE WHEN r.rechecked IS NULL OR r.changed IS NULL AND r.rechecked <> COALESCE(changed_start, 0) \
          THEN changed_start ELSE r.rechecked END, \
          thin_note = CASE WHEN r.compared IS NULL OR r.compared < COALESCE(thin_at, 0) THEN thin_note ELSE r.thin END, \
          thin_at = CASE WHEN r.compared IS NULL OR r.compared < COALESCE(thin_at, 0) THEN thin_at ELSE r.compared END, \
          closed_note = COALESCE(r.closed, closed_note) FROM"],
        (0 "wanted" "bigint", 1 "at" "bigint", 2 "said" "text", 3 "cause" "text",
         4 "evidence" "bigint", 5 "bad_rows" "bigint", 6 "took_us" "bigint", 7 "note" "text",
         8 "confirmed" "bigint", 9 "violated" "bigint", 10 "unconfirmed" "bigint",
         11 "slot" "bigint", 12 "failing" "bigint", 13 "rechecked" "bigint", 14 "changed" "text",
         15 "compared" "bigint", 16 "thin" "text", 17 "closed" "text"),
        ["WHERE id = r.wanted"]
    );
    let row = |(series, noted): (&i64, &Noted)| {
        let last = noted.last.as_ref()?;
        Some(args![
            *series,
            at,
            said_word(last.said),
            cause_of(last.said).map(|cause| cause.as_str().to_owned()),
            last.evidence.map(stored),
            last.bad_rows.map(stored),
            i64::try_from(last.took.as_micros()).unwrap_or(i64::MAX),
            last.note.clone(),
            noted.counts[0],
            noted.counts[1],
            noted.counts[2],
            noted.confirmed_slot,
            noted.failing_since,
            noted.changed.as_ref().map(|(start, _)| *start),
            noted.changed.clone().and_then(|(_, note)| note),
            noted.thin.as_ref().map(|(at, _)| *at),
            noted.thin.clone().and_then(|(_, note)| note),
            noted.closed.clone(),
        ])
    };
    const CLOSED: Each = each!(
        ["UPDATE series SET closed_note = r.closed FROM"],
        (0 "wanted" "bigint", 1 "closed" "text"),
        ["WHERE id = r.wanted"]
    );
    // A waiver or time closes and opens windows without an attempt.
    let unseen = noted.iter().filter(|(_, noted)| noted.last.is_none());
    let closed = unseen.filter_map(|(id, noted)| Some(args![*id, noted.closed.clone()?]));
    conn.run_each(&CLOSED, &closed.collect::<Vec<_>>(), &[]).await?;
    let rows: Vec<_> = noted.iter().filter_map(row).collect();
    conn.run_each(&NOTE, &rows, &[]).await.map(drop)
}

/// Closes the slots that later confirmed ones make good.
pub(super) async fn close_slots(conn: &mut Conn, confirmed: &[RowKey]) -> Result<(), LedgerError> {
    // As in `add_each`: few rows are live.
    const CLOSE: Each = each!(
        ["UPDATE entries SET live = 0, wake_at = NULL, lapse_at = NULL, reproof_by = NULL FROM"],
        (0 "wanted" "bigint", 1 "before" "bigint"),
        ["WHERE series = r.wanted AND live = 1 AND kind || '' = 'slot' AND start_at < r.before \
          AND state = 'recorded'"]
    );
    let rows: Vec<_> = confirmed.iter().map(|key| args![key.series, key.start]).collect();
    conn.run_each(&CLOSE, &rows, &[]).await.map(drop)
}
