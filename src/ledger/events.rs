//! What is remembered: every transition that a person may ask about.

use chrono::{DateTime, Utc};

use crate::domain::record::standing::{Alarm, Notice};
use crate::ledger::cells::Arg;
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::{Happened, LedgerError, StoreSettings};

/// The check of a series, and its zone.
async fn names(conn: &mut Conn, series: i64) -> Result<(String, Option<String>), LedgerError> {
    const NAMES: &str = "SELECT check_id, tz FROM series WHERE id = $1";
    let Some(row) = conn.first(NAMES, args![series]).await? else {
        return Err(LedgerError::odd("a row of no series"));
    };
    let tz = Some(row.text("tz")?.to_owned()).filter(|tz| !tz.is_empty());
    Ok((row.text("check_id")?.to_owned(), tz))
}

/// Remembers that an alert is sent, or that it is over.
pub(super) async fn standing_event(
    conn: &mut Conn,
    settings: &StoreSettings,
    now: DateTime<Utc>,
    series: i64,
    notice: Notice,
) -> Result<(), LedgerError> {
    let (check, tz) = names(conn, series).await?;
    let happened = Happened { check: Some(check), tz, ..standing(notice) };
    event(conn, settings, now, &happened, None).await
}

/// That an alert about a series begins or ends.
pub(super) fn standing(notice: Notice) -> Happened {
    let word = |alarm| match alarm {
        Alarm::Violated => "violated",
        Alarm::Unconfirmed => "unconfirmed",
    };
    let (was, becomes) = match notice {
        Notice::Firing(alarm) => ("calm".to_owned(), format!("firing {}", word(alarm))),
        Notice::Resolved(alarm) => (format!("firing {}", word(alarm)), "resolved".to_owned()),
    };
    Happened { kind: "standing", check: None, tz: None, was, becomes, note: String::new() }
}

/// Remembers something.
pub(super) async fn event(
    conn: &mut Conn,
    settings: &StoreSettings,
    now: DateTime<Utc>,
    happened: &Happened,
    bounds: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Result<(), LedgerError> {
    add_events(conn, &[event_values(settings, now, happened.clone(), bounds)]).await
}

/// What is stored of something that happened.
pub(super) fn event_values(
    settings: &StoreSettings,
    now: DateTime<Utc>,
    happened: Happened,
    bounds: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Vec<Arg> {
    args![
        now,
        happened.kind,
        happened.check,
        happened.tz,
        bounds.map(|(start, _)| start),
        bounds.map(|(_, end)| end),
        happened.was,
        happened.becomes,
        Some(happened.note).filter(|note| !note.is_empty()),
        settings.replica.as_str(),
    ]
}

/// Stores what happened.
pub(super) async fn add_events(conn: &mut Conn, events: &[Vec<Arg>]) -> Result<(), LedgerError> {
    const ADD: Each = each!(
        ["INSERT INTO events (at, kind, check_id, tz, start_at, end_at, was, becomes, note, replica) \
          SELECT at, kind, check_id, tz, start_at, end_at, was, becomes, note, replica FROM"],
        (0 "at" "bigint", 1 "kind" "text", 2 "check_id" "text", 3 "tz" "text",
         4 "start_at" "bigint", 5 "end_at" "bigint", 6 "was" "text", 7 "becomes" "text",
         8 "note" "text", 9 "replica" "text"),
        [""]
    );
    conn.run_each(&ADD, events, &[]).await.map(drop)
}
