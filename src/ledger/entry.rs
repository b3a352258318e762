//! A row of the ledger, as it is stored: the pure row, and what stands beside it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::record::window_state::{
    Override, Recorded, State, VerdictKind, WindowKind, WindowState,
};
use crate::ledger::cells::{Arg, Record};
use crate::ledger::conn::{Conn, Each, args, each};
use crate::ledger::times::Times;
use crate::ledger::{LedgerError, RowKey};

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The series, by its number in the store.
    pub series: i64,
    /// What is decided about it.
    pub row: WindowState,
    /// The beginning of the period that it is, or lies in.
    pub period_start: DateTime<Utc>,
    /// The offset from UTC with which it begins, in seconds.
    pub utc_offset: i32,
    /// Who attempts it.
    pub owner: Option<String>,
    /// How much was looked at.
    pub evidence: Option<u64>,
    /// The finding, or the note of what went wrong.
    pub note: Option<String>,
    /// The waiver that vouches for it.
    pub waiver: Option<i64>,
    /// Which source it asks.
    pub source: String,
    /// How urgent it is: the smaller, the more.
    pub priority: i64,
    /// The generation under which it was written last.
    pub generation: i64,
    /// The release of the zone rules by which it was cut.
    pub tz_release: String,
    /// How many attempts there were.
    pub attempts: u64,
    /// Whether an operator asked for an attempt.
    pub asked: bool,
    /// By when it is to be proved again, because its check means something else since.
    pub reproof_by: Option<DateTime<Utc>>,
    /// Whether it was open while that was critical: it stays so until it is closed.
    pub critical: bool,
}

/// The columns of a row.
macro_rules! columns {
    () => {
        "series, kind, start_at, end_at, period_start, utc_offset, due, deadline_nominal, \
         deadline, state, not_before, lease_until, owner, epoch, vain, waits_for, said, cause, \
         recorded_at, tried_at, evidence, note, ruling, waiver, waived_until, source, priority, \
         generation, tz_release, attempts, asked, reproof_by, critical"
    };
}
pub(super) use columns;

pub(super) fn kind_word(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Window => "window",
        WindowKind::Slot => "slot",
    }
}

pub(super) fn said_word(said: VerdictKind) -> &'static str {
    match said {
        VerdictKind::Confirmed => "confirmed",
        VerdictKind::Violated => "violated",
        VerdictKind::Unconfirmed(_) => "unconfirmed",
    }
}

pub(super) fn cause_of(said: VerdictKind) -> Option<Cause> {
    match said {
        VerdictKind::Confirmed | VerdictKind::Violated => None,
        VerdictKind::Unconfirmed(cause) => Some(cause),
    }
}

pub(super) fn read_kind(word: &str) -> Result<WindowKind, LedgerError> {
    match word {
        "window" => Ok(WindowKind::Window),
        "slot" => Ok(WindowKind::Slot),
        _ => Err(LedgerError::odd("a row of an unknown kind")),
    }
}

pub(super) fn read_cause(word: &str) -> Result<Cause, LedgerError> {
    let cause = Cause::ALL.iter().find(|cause| cause.as_str() == word);
    cause.copied().ok_or_else(|| LedgerError::odd("an unknown cause"))
}

pub(super) fn read_said(said: &str, cause: Option<&str>) -> Result<VerdictKind, LedgerError> {
    match (said, cause) {
        ("confirmed", _) => Ok(VerdictKind::Confirmed),
        ("violated", _) => Ok(VerdictKind::Violated),
        ("unconfirmed", Some(cause)) => read_cause(cause).map(VerdictKind::Unconfirmed),
        _ => Err(LedgerError::odd("an unknown verdict")),
    }
}

/// The words of a ruling, and until when it holds.
fn ruling_words(overridden: Override) -> (&'static str, Option<DateTime<Utc>>) {
    match overridden {
        Override::Standing => ("standing", None),
        Override::Excused => ("excused", None),
        Override::Waived { until } => ("waived", until),
        Override::Superseded { replaced: false } => ("superseded", None),
        Override::Superseded { replaced: true } => ("replaced", None),
        Override::Removed => ("removed", None),
    }
}

impl Entry {
    /// What is said where it is closed: by which generation, where another one found it.
    pub(super) fn closing_note(&self, found_by: i64) -> String {
        match self.generation {
            same if same == found_by => String::new(),
            other => {
                format!("proved under generation {other}; it was open under generation {found_by}")
            }
        }
    }

    /// Says whether an attempt at it proves again what was proved: neither asked for, nor because its check changed.
    pub fn is_recheck(&self) -> bool {
        let said = self.row.recorded().map(|recorded| recorded.said);
        said == Some(VerdictKind::Confirmed) && !self.asked && self.reproof_by.is_none()
    }

    /// Its name.
    pub fn key(&self) -> RowKey {
        let WindowState { kind, start, end, .. } = self.row;
        RowKey { series: self.series, kind, start, end }
    }

    pub(super) fn read(record: &Record) -> Result<Self, LedgerError> {
        let kind = read_kind(record.text("kind")?)?;
        let said = record.maybe_text("said")?;
        let recorded = match said {
            None => None,
            Some(said) => Some(Recorded {
                said: read_said(said, record.maybe_text("cause")?)?,
                at: record.at("recorded_at")?,
                tried: record.at("tried_at")?,
            }),
        };
        let last = record.maybe_text("waits_for")?.map(read_cause).transpose()?;
        let state = match (record.text("state")?, recorded) {
            ("waiting", None) => State::Waiting { not_before: record.at("not_before")?, last },
            ("running", before) => {
                State::Running { lease_until: record.at("lease_until")?, before, last }
            }
            ("recorded", Some(recorded)) => State::Recorded(recorded),
            _ => return Err(LedgerError::odd("a row in an unknown state")),
        };
        let overridden = match record.text("ruling")? {
            "standing" => Override::Standing,
            "excused" => Override::Excused,
            "waived" => Override::Waived { until: record.maybe_at("waived_until")? },
            "superseded" => Override::Superseded { replaced: false },
            "replaced" => Override::Superseded { replaced: true },
            "removed" => Override::Removed,
            _ => return Err(LedgerError::odd("an unknown ruling")),
        };
        Ok(Self {
            series: record.int("series")?,
            row: WindowState {
                kind,
                start: record.at("start_at")?,
                end: record.at("end_at")?,
                due: record.at("due")?,
                deadline_nominal: record.at("deadline_nominal")?,
                deadline: record.at("deadline")?,
                state,
                epoch: record.count("epoch")?,
                failed_attempts: u32::try_from(record.count("vain")?).unwrap_or(u32::MAX),
                overridden,
            },
            period_start: record.at("period_start")?,
            utc_offset: record.small("utc_offset")?,
            owner: record.maybe_text("owner")?.map(str::to_owned),
            evidence: record.maybe_int("evidence")?.and_then(|n| u64::try_from(n).ok()),
            note: record.maybe_text("note")?.map(str::to_owned),
            waiver: record.maybe_int("waiver")?,
            source: record.text("source")?.to_owned(),
            priority: record.int("priority")?,
            generation: record.int("generation")?,
            tz_release: record.text("tz_release")?.to_owned(),
            attempts: record.count("attempts")?,
            asked: record.int("asked")? != 0,
            reproof_by: record.maybe_at("reproof_by")?,
            critical: record.int("critical")? != 0,
        })
    }

    /// The values of all columns but the key, then the key.
    pub(super) fn values(&self, times: &Times) -> Vec<Arg> {
        let WindowState {
            due, deadline_nominal, deadline, epoch, failed_attempts, overridden, ..
        } = self.row;
        let (state, not_before, lease_until, last) = match self.row.state {
            State::Waiting { not_before, last } => ("waiting", Some(not_before), None, last),
            State::Running { lease_until, last, .. } => ("running", None, Some(lease_until), last),
            State::Recorded(_) => ("recorded", None, None, None),
        };
        let recorded = self.row.recorded();
        let (overridden, waived_until) = ruling_words(overridden);
        let mut values = args![
            self.period_start,
            i64::from(self.utc_offset),
            due,
            deadline_nominal,
            deadline,
            state,
            not_before,
            lease_until,
            self.owner.clone(),
            stored(epoch),
            i64::from(failed_attempts),
            last.map(|cause| cause.as_str().to_owned()),
            recorded.map(|r| said_word(r.said).to_owned()),
            recorded.and_then(|r| cause_of(r.said)).map(|cause| cause.as_str().to_owned()),
            recorded.map(|r| r.at),
            recorded.map(|r| r.tried),
            self.evidence.map(stored),
            self.note.clone(),
            overridden,
            self.waiver,
            waived_until,
            self.source.clone(),
            self.priority,
            self.generation,
            self.tz_release.clone(),
            stored(self.attempts),
            times.wake_at,
            times.lapse_at,
            times.live,
            self.asked,
            self.reproof_by,
            self.critical,
        ];
        values.extend(self.key().args());
        values
    }

    /// Writes rows that are there, by their values.
    pub(super) async fn write_each(conn: &mut Conn, rows: &[Vec<Arg>]) -> Result<(), LedgerError> {
        const WRITE: Each = each!(
            ["UPDATE entries SET period_start = r.period_start, utc_offset = r.utc_offset, due = r.due, \
              deadline_nominal = r.deadline_nominal, deadline = r.deadline, state = r.state, \
              not_before = r.not_before, lease_until = r.lease_until, owner = r.owner, epoch = \
              r.epoch, vain = r.vain, waits_for = r.waits_for, said = r.said, cause = r.cause, \
              recorded_at = r.recorded_at, tried_at = r.tried_at, evidence = r.evidence, note = \
              r.note, ruling = r.ruling, waiver = r.waiver, waived_until = r.waived_until, source \
              = r.source, priority = r.priority, generation = r.generation, tz_release = \
              r.tz_release, attempts = r.attempts, wake_at = r.wake_at, lapse_at = r.lapse_at, \
              live = r.live, asked = r.asked, reproof_by = r.reproof_by, critical = r.critical FROM"],
            (0 "period_start" "bigint", 1 "utc_offset" "bigint", 2 "due" "bigint",
                 3 "deadline_nominal" "bigint", 4 "deadline" "bigint", 5 "state" "text",
                 6 "not_before" "bigint", 7 "lease_until" "bigint", 8 "owner" "text",
                 9 "epoch" "bigint", 10 "vain" "bigint", 11 "waits_for" "text",
                 12 "said" "text", 13 "cause" "text", 14 "recorded_at" "bigint",
                 15 "tried_at" "bigint", 16 "evidence" "bigint", 17 "note" "text",
                 18 "ruling" "text", 19 "waiver" "bigint", 20 "waived_until" "bigint",
                 21 "source" "text", 22 "priority" "bigint", 23 "generation" "bigint",
                 24 "tz_release" "text", 25 "attempts" "bigint", 26 "wake_at" "bigint",
                 27 "lapse_at" "bigint", 28 "live" "bigint", 29 "asked" "bigint",
                 30 "reproof_by" "bigint", 31 "critical" "bigint", 32 "series" "bigint",
                 33 "kind" "text", 34 "start_at" "bigint", 35 "end_at" "bigint"),
            ["WHERE entries.series = r.series AND entries.kind = r.kind \
              AND entries.start_at = r.start_at AND entries.end_at = r.end_at"]
        );
        let written = conn.run_each(&WRITE, rows, &[]).await?;
        if written == u64::try_from(rows.len()).unwrap_or(u64::MAX) {
            Ok(())
        } else {
            Err(LedgerError::odd("a row vanished while it was written"))
        }
    }

    /// Writes a row that is there.
    pub(super) async fn write(&self, conn: &mut Conn, times: &Times) -> Result<(), LedgerError> {
        Self::write_each(conn, &[self.values(times)]).await
    }

    /// Adds rows by their values, unless they are there; returns those that were not.
    pub(super) async fn add_each(
        conn: &mut Conn,
        rows: &[Vec<Arg>],
    ) -> Result<BTreeSet<RowKey>, LedgerError> {
        const ADD: Each = each!(
            ["INSERT INTO entries (period_start, utc_offset, due, deadline_nominal, deadline, state, not_before, \
              lease_until, owner, epoch, vain, waits_for, said, cause, recorded_at, tried_at, \
              evidence, note, ruling, waiver, waived_until, source, priority, generation, \
              tz_release, attempts, wake_at, lapse_at, live, asked, reproof_by, critical, series, kind, \
              start_at, end_at) SELECT period_start, utc_offset, due, deadline_nominal, deadline, state, not_before, \
              lease_until, owner, epoch, vain, waits_for, said, cause, recorded_at, tried_at, \
              evidence, note, ruling, waiver, waived_until, source, priority, generation, \
              tz_release, attempts, wake_at, lapse_at, live, asked, reproof_by, critical, series, kind, \
              start_at, end_at FROM"],
            (0 "period_start" "bigint", 1 "utc_offset" "bigint", 2 "due" "bigint",
                 3 "deadline_nominal" "bigint", 4 "deadline" "bigint", 5 "state" "text",
                 6 "not_before" "bigint", 7 "lease_until" "bigint", 8 "owner" "text",
                 9 "epoch" "bigint", 10 "vain" "bigint", 11 "waits_for" "text",
                 12 "said" "text", 13 "cause" "text", 14 "recorded_at" "bigint",
                 15 "tried_at" "bigint", 16 "evidence" "bigint", 17 "note" "text",
                 18 "ruling" "text", 19 "waiver" "bigint", 20 "waived_until" "bigint",
                 21 "source" "text", 22 "priority" "bigint", 23 "generation" "bigint",
                 24 "tz_release" "text", 25 "attempts" "bigint", 26 "wake_at" "bigint",
                 27 "lapse_at" "bigint", 28 "live" "bigint", 29 "asked" "bigint",
                 30 "reproof_by" "bigint", 31 "critical" "bigint", 32 "series" "bigint",
                 33 "kind" "text", 34 "start_at" "bigint", 35 "end_at" "bigint"),
            ["WHERE true ON CONFLICT DO NOTHING RETURNING series, kind, start_at, end_at"]
        );
        let added = conn.all_each(&ADD, rows, &[]).await?;
        added.iter().map(RowKey::read).collect()
    }
}

impl RowKey {
    pub(super) fn args(self) -> Vec<Arg> {
        args![self.series, kind_word(self.kind), self.start, self.end]
    }

    pub(super) fn read(record: &Record) -> Result<Self, LedgerError> {
        Ok(Self {
            series: record.int("series")?,
            kind: read_kind(record.text("kind")?)?,
            start: record.at("start_at")?,
            end: record.at("end_at")?,
        })
    }
}

/// A count as it is stored.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
