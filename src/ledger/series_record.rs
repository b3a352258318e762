//! The row of a series: what its summary holds, read from the store.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::check::name::CheckId;
use crate::domain::check::reason::Cause;
use crate::domain::check::{Check, Severity};
use crate::domain::record::standing::{Alarm, Lease, Standing, Standings};
use crate::domain::record::window_state::VerdictKind;
use crate::ledger::cells::Record;
use crate::ledger::conn::{Conn, args};
use crate::ledger::entry::{read_cause, read_said};
use crate::ledger::{LedgerError, Role};

/// A series, and what the ledger says of it as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRecord {
    /// Its number in the store.
    pub id: i64,
    /// Its check.
    pub check: CheckId,
    /// Its zone, where the check fans out.
    pub tz: Option<String>,
    /// Its part.
    pub role: Role,
    /// The release of the zone rules by which its windows were cut.
    pub tz_release: String,
    /// When it came to be known, or got its present meaning.
    pub since: DateTime<Utc>,
    /// When what is proved of it changed last; the beginning of time where that is not known.
    pub meaning_at: DateTime<Utc>,
    /// Up to where everything due is recorded; nowhere while it is new.
    pub watermark: Option<DateTime<Utc>>,
    /// When it ended, where it did.
    pub retired_at: Option<DateTime<Utc>>,
    /// What has been said about it.
    pub standings: Standings,
    /// How long its proofs speak for it.
    pub lease: Lease,
    /// When a window or slot of it was last confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// How many of its rows are violated and open.
    pub open_violated: u64,
    /// How many of its rows are unconfirmed and open.
    pub open_unconfirmed: u64,
    /// How many of its rows are waived.
    pub waived: u64,
    /// Its last attempt, where there was one.
    pub last: Option<LastAttempt>,
    /// How many attempts said that it is confirmed, violated, unconfirmed.
    pub totals: [u64; 3],
    /// Its newest violated rows that are open, in words.
    pub newest_violated: Vec<String>,
    /// Its newest unconfirmed rows that are open, in words.
    pub newest_unconfirmed: Vec<String>,
    /// How many of its windows are open, by offset from UTC in seconds: violated, and unconfirmed.
    pub by_offset: Vec<(i32, u64, u64)>,
    /// Whether something is open that was critical when it opened: of data that is wrong, and of proofs that are missing.
    pub open_critical: [bool; 2],
    /// Of a list of zones: whether the next one is taken as it is.
    pub accepts_zones: bool,
    /// Of a list of zones: when one was taken as it was. Zones that vanished before do not count.
    pub zones_accepted_at: Option<DateTime<Utc>>,
    /// What proving again said last, where that was nothing: rows may be purged.
    pub changed: Option<String>,
    /// How little the newest window that was held against earlier ones looked at, where that is less than usual.
    pub thin: Option<String>,
    /// By which generation its last bad window was proved, where another one had found it.
    pub closed: Option<String>,
    /// Whether its newest settled window is waived: a person's word, and no proof.
    pub is_waived: bool,
    /// Since when its attempts fail in a row with what no waiting mends.
    pub failing_since: Option<DateTime<Utc>>,
    /// The cause that its alert about missing proofs began with, where no waiting mends it: the alert keeps it.
    pub fired_cause: Option<Cause>,
}

/// What the last attempt at a series said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What it said.
    pub said: VerdictKind,
    /// How much was looked at.
    pub evidence: Option<u64>,
    /// How many rows were wrong, where that is known.
    pub bad_rows: Option<u64>,
    /// How long the sources were asked.
    pub took: Duration,
    /// The finding, or the note of what went wrong.
    pub note: Option<String>,
}

/// The columns of a series.
macro_rules! series_columns {
    () => {
        "id, check_id, tz, role, tz_release, since, watermark, retired_at, violated_since, \
         unconfirmed_since, lease_until, confirmed_at, open_violated, open_unconfirmed, waived, \
         last_at, last_said, last_cause, last_evidence, last_bad_rows, last_took_us, last_note, \
         confirmed_total, violated_total, unconfirmed_total, newest_violated, newest_unconfirmed, \
         by_offset, failing_since, unconfirmed_cause, newest_waived, \
         changed_note, thin_note, closed_note, accepts_zones, zones_accepted_at, \
         open_critical, meaning_at"
    };
}

pub(super) use series_columns;

impl SeriesRecord {
    /// How bad it is that it is open in one of the two ways: what was critical when it opened stays so until it is closed.
    pub fn severity(&self, check: &Check, alarm: Alarm) -> Severity {
        let [violated, unconfirmed] = self.open_critical;
        let is_critical = match alarm {
            Alarm::Violated => violated,
            Alarm::Unconfirmed => unconfirmed,
        };
        if is_critical { Severity::Critical } else { alarm.severity(check) }
    }

    pub(super) fn read(record: &Record) -> Result<Self, LedgerError> {
        let standing = |name: &str| -> Result<Standing, LedgerError> {
            Ok(record.maybe_at(name)?.map_or(Standing::Calm, |since| Standing::Firing { since }))
        };
        let tz = record.text("tz")?;
        let open_critical = record.int("open_critical")?;
        let role = if record.text("role")? == "list" { Role::List } else { Role::Data };
        let last = match record.maybe_at("last_at")? {
            None => None,
            Some(at) => Some(LastAttempt {
                at,
                said: read_said(record.text("last_said")?, record.maybe_text("last_cause")?)?,
                evidence: record.maybe_int("last_evidence")?.and_then(|n| u64::try_from(n).ok()),
                bad_rows: record.maybe_int("last_bad_rows")?.and_then(|n| u64::try_from(n).ok()),
                took: Duration::from_micros(record.count("last_took_us")?),
                note: record.maybe_text("last_note")?.map(str::to_owned),
            }),
        };
        Ok(Self {
            id: record.int("id")?,
            check: CheckId::parse(record.text("check_id")?).map_err(LedgerError::odd)?,
            tz: (!tz.is_empty()).then(|| tz.to_owned()),
            role,
            tz_release: record.text("tz_release")?.to_owned(),
            since: record.at("since")?,
            meaning_at: record.at("meaning_at")?,
            watermark: record.maybe_at("watermark")?,
            retired_at: record.maybe_at("retired_at")?,
            standings: Standings {
                violated: standing("violated_since")?,
                unconfirmed: standing("unconfirmed_since")?,
            },
            lease: record.maybe_at("lease_until")?.map_or(Lease::Never, Lease::Until),
            confirmed_at: record.maybe_at("confirmed_at")?,
            open_violated: record.count("open_violated")?,
            open_unconfirmed: record.count("open_unconfirmed")?,
            waived: record.count("waived")?,
            last,
            totals: [
                record.count("confirmed_total")?,
                record.count("violated_total")?,
                record.count("unconfirmed_total")?,
            ],
            newest_violated: lines(record.text("newest_violated")?),
            newest_unconfirmed: lines(record.text("newest_unconfirmed")?),
            by_offset: record.text("by_offset")?.lines().filter_map(read_offset).collect(),
            open_critical: [1, 2].map(|bit| open_critical & bit != 0),
            accepts_zones: record.int("accepts_zones")? != 0,
            zones_accepted_at: record.maybe_at("zones_accepted_at")?,
            changed: record.maybe_text("changed_note")?.map(str::to_owned),
            thin: record.maybe_text("thin_note")?.map(str::to_owned),
            closed: record
                .maybe_text("closed_note")?
                .filter(|note| !note.is_empty())
                .map(str::to_owned),
            is_waived: record.int("newest_waived")? != 0,
            failing_since: record.maybe_at("failing_since")?,
            fired_cause: record.maybe_text("unconfirmed_cause")?.map(read_cause).transpose()?,
        })
    }

    /// Reads one series.
    pub(super) async fn find(conn: &mut Conn, id: i64) -> Result<Option<Self>, LedgerError> {
        const FIND: &str = concat!("SELECT ", series_columns!(), " FROM series WHERE id = $1");
        conn.first(FIND, args![id]).await?.as_ref().map(Self::read).transpose()
    }
}

pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

pub(super) fn read_offset(line: &str) -> Option<(i32, u64, u64)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    Some((next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?))
}
