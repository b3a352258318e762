//! What one transaction of the engine does, and what comes of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::reason::Cause;
use crate::domain::check::share::Share;
use crate::domain::record::standing::Notice;
use crate::domain::record::window_state::VerdictKind;
use crate::domain::time::owed::Batch;
use crate::ledger::{Entry, Listing, RowKey, SeriesRecord};

/// What earlier windows are to be held against one that was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Where earlier ones may begin.
    pub starts: Vec<DateTime<Utc>>,
    /// Which part of what is usual the check wants.
    pub wanted: Option<Share>,
}

/// An attempt that ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which row.
    pub key: RowKey,
    /// Under which claim.
    pub epoch: u64,
    /// Under which generation.
    pub generation: i64,
    /// What it said.
    pub said: VerdictKind,
    /// How much was looked at.
    pub evidence: Option<u64>,
    /// How many rows were wrong, where that is known.
    pub bad_rows: Option<u64>,
    /// The finding, or the note of what went wrong.
    pub note: Option<String>,
    /// When it began.
    pub began: DateTime<Utc>,
    /// How long the sources were asked.
    pub took: Duration,
    /// Which earlier windows it is held against, where it was confirmed.
    pub compared: Option<Compared>,
}

/// What became due for a series.
#[derive(Debug, Clone)]
pub struct DueBatch {
    /// The series.
    pub series: i64,
    /// Where its record ended when this was computed.
    pub from: Option<DateTime<Utc>>,
    /// What is owed.
    pub batch: Batch,
    /// How far attempts are moved, so that not all begin at once.
    pub splay: TimeDelta,
    /// Which source it asks.
    pub source: String,
    /// How urgent it is: the smaller, the more.
    pub priority: i64,
    /// How long its absence is no alarm: for slots that were not looked at.
    pub patience: TimeDelta,
}

/// A row that may be claimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// How urgent it is.
    pub priority: i64,
    /// By when its absence is an alarm.
    pub deadline: DateTime<Utc>,
    /// Which row.
    pub key: RowKey,
    /// Whether it was tried in vain before.
    pub retry: bool,
    /// Whether it proves again what was proved: then everything else goes first.
    pub recheck: bool,
}

/// Free places at a source, and who may take them, in order.
#[derive(Debug, Clone)]
pub struct Offer {
    /// How many places.
    pub places: usize,
    /// Who.
    pub candidates: Vec<Candidate>,
    /// Series of which an attempt ended: where there are places left, their next windows are taken at once.
    pub followers: Vec<i64>,
}

/// Rows that are held back.
#[derive(Debug, Clone)]
pub struct Deferral {
    /// Which row.
    pub key: RowKey,
    /// Why; where nothing is said, for what it waits already.
    pub cause: Option<Cause>,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// Everything that one transaction does.
#[derive(Debug, Default)]
pub struct Work {
    /// The host's clock: the store's, where it has none.
    pub host_now: DateTime<Utc>,
    /// Since when nothing stopped us from looking: what is late since then was shed.
    pub watching_since: DateTime<Utc>,
    /// The generation that we run.
    pub generation: i64,
    /// The release of our zone rules.
    pub tz_release: String,
    /// Attempts that ended.
    pub ended: Vec<Ended>,
    /// What became due.
    pub due_batches: Vec<DueBatch>,
    /// Free places.
    pub offers: Vec<Offer>,
    /// Who is held back.
    pub holds: Vec<Deferral>,
    /// Sources of which more candidates are wanted.
    pub refill: Vec<String>,
    /// Where it is time for that: our presence is renewed, and our claims of these rows. A claim of
    /// which this replica does not know runs out.
    pub renew: Option<Vec<(RowKey, u64)>>,
    /// Zones that were found for checks that fan out over a list.
    pub listings: Vec<Listing>,
    /// What happened to breakers and the like: kind, subject, before, after.
    pub events: Vec<Happened>,
    /// The most rows that time may move in one transaction.
    pub rows_max: i64,
    /// Random bits.
    pub seed: u64,
}

/// Something that is to be remembered.
#[derive(Debug, Clone)]
pub struct Happened {
    /// What kind of thing.
    pub kind: &'static str,
    /// Whom it is about, where that is a series' check.
    pub check: Option<String>,
    /// Its zone.
    pub tz: Option<String>,
    /// What was before.
    pub was: String,
    /// What is now.
    pub becomes: String,
    /// What a person should know.
    pub note: String,
}

/// A row that is ours to attempt.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The row.
    pub entry: Entry,
    /// Until when no other replica takes it.
    pub lease_until: DateTime<Utc>,
}

/// A standing that changed.
#[derive(Debug, Clone)]
pub struct StandingChange {
    /// Whose.
    pub series: i64,
    /// What is to be said.
    pub notice: Notice,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct TxOutcome {
    /// The store's clock.
    pub now: DateTime<Utc>,
    /// The generation that is active.
    pub active: i64,
    /// Rows that are ours now.
    pub claims: Vec<Claim>,
    /// The next rows of series of which an attempt ended, with their sources.
    pub next: Vec<(String, Candidate)>,
    /// Rows that may be claimed, of each source that asked: one of each series.
    pub candidates: Vec<(String, Vec<Candidate>)>,
    /// Series as they are now.
    pub series: Vec<SeriesRecord>,
    /// Standings that changed.
    pub told: Vec<StandingChange>,
    /// How many attempts were recorded, by what they said.
    pub recorded: [u64; 3],
    /// How many attempts proved again what was proved, by what they said.
    pub rechecked: [u64; 3],
    /// How many writes were fenced off.
    pub fenced: u64,
    /// How many rows were recorded because time ran out.
    pub lapsed: u64,
    /// Whether there is more that time ran out for.
    pub more_lapses: bool,
    /// Series of which another replica wrote meanwhile: what became due is to be computed anew.
    pub contended: Vec<i64>,
    /// How many replicas write, where that was looked at.
    pub replicas: u64,
    /// The newest release of zone rules among those who write.
    pub tz_release: Option<String>,
}
