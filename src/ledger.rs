//! The ledger: the durable record of everything that was due, one row for each window and slot.
//!
//! SQLite for one daemon, PostgreSQL for several replicas, one design: what moves a row is decided in
//! `domain`; here it is read, moved and written in one transaction, under the lock of its series.
//! Claims carry an epoch, so that a replica that stalled is fenced off when it comes back.

mod work;
mod transaction;
mod tx;
mod due;
mod claim;
mod entry;
mod times;
mod usual;
mod summary;
mod alerts;
mod slices;
mod orders;
mod waive;
mod rerun;
mod supersede;
mod declared;
mod generation;
mod activation;
mod retention;
mod read;
mod matrix;
mod attempt_list;
mod looks;
mod events;
mod file_check;
mod schema;
mod conn;
mod candidates;
mod lock_file;
mod errors;
mod identities;
mod relations;
mod drills;
mod quiets;
mod samples;
mod adopted;
mod zones_accepted;
mod series_record;
mod attempts;
mod cells;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::domain::check::recheck::Recheck;
use crate::domain::record::standing::Alarm;
use crate::domain::record::window_state::{VerdictKind, WindowKind, WindowState};
use crate::domain::sql::Engine;
use crate::domain::time::backoff::Draw;
use crate::dsn::Dsn;
use crate::ledger::conn::{Conn, args};
use crate::ledger::file_check::FileCheck;
use crate::ledger::lock_file::LockFile;

pub use adopted::{Adopted, Words};
pub use alerts::{AlertChanges, AlertRow, Notified, Returned, SelfAlert, lasting_name};
pub use attempt_list::AttemptRow;
pub use candidates::{Fate, PendingCatalogue};
pub use declared::{Activation, Listing, Planned, Traits};
pub use drills::{DrillKind, Drilled};
pub use entry::Entry;
pub use errors::LedgerError;
pub use generation::Generation;
pub use identities::Sighting;
pub use matrix::{DayCell, Matrix, OpenDays};
pub use orders::{OrderRecord, Revocation, RowOrder, Selected, Waiver};
pub use quiets::{EndQuiet, KeepQuiet};
pub use read::{
    EventQuery, Given, History, HistoryQuery, Listed, OfCheck, Page, Reader, WaivedBy,
    is_page_by_number, is_page_of_windows,
};
pub use relations::{Learnt, engine_of, object_json, object_of, relations_json, relations_of};
pub use retention::Tidied;
pub use samples::Cut;
pub use schema::VERSION;
pub use series_record::{LastAttempt, SeriesRecord};
pub use work::{
    Candidate, Claim, Compared, Deferral, DueBatch, Ended, Happened, Offer, StandingChange,
    TxOutcome, Work,
};

/// How long one transaction may take as a whole; the server's own limits are shorter.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long a pause is looked at again.
const PAUSE_SEEN: TimeDelta = TimeDelta::minutes(1);
/// How long it may take to say that a replica leaves.
const LEAVING: Duration = Duration::from_secs(1);
/// How long a catalogue may take to be stored, retention a batch to be dropped.
const LONG: Duration = Duration::from_secs(120);

/// Where the record is kept, and by whom.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Its address.
    pub dsn: Dsn,
    /// Its password, where it needs one.
    pub password: Option<SecretString>,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long recorded windows stay.
    pub retention: Duration,
    /// How long values of the data stay that findings were kept with.
    pub samples_for: Duration,
    /// Who writes: no two replicas, and no two starts, have the same name.
    pub replica: String,
}

/// The name of a row: what it is of, and of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The series, by its number in the store.
    pub series: i64,
    /// Of a window or of a slot.
    pub kind: WindowKind,
    /// Its first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// What part a series plays for its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It looks at data.
    Data,
    /// It judges the list of zones over which its check fans out.
    List,
}

/// What of a series' calendar and rules the ledger needs to judge its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// After how many bad rows in a row an alert is sent.
    pub after: u32,
    /// When something is due next.
    pub next_due: Option<DateTime<Utc>>,
    /// Until when its absence is no alarm.
    pub next_deadline: DateTime<Utc>,
    /// How long after its due the absence of a result is no alarm.
    pub patience: TimeDelta,
    /// Until when it is paused, where it is.
    pub paused_until: Option<DateTime<Utc>>,
    /// Up to which age anything is tried again.
    pub age: TimeDelta,
    /// When windows that were proved are proved again.
    pub recheck: Recheck,
    /// Whether it is critical that data is wrong, and that a proof is missing.
    pub critical: [bool; 2],
}

impl Terms {
    /// Says whether it is critical that a row is open in one of the two ways.
    pub fn is_critical(&self, alarm: Alarm) -> bool {
        match alarm {
            Alarm::Violated => self.critical[0],
            Alarm::Unconfirmed => self.critical[1],
        }
    }

    /// Those of a series that is gone: it is due no more, and nothing of it is tried on.
    fn gone(now: DateTime<Utc>) -> Self {
        Self {
            after: 1,
            next_due: None,
            next_deadline: now,
            patience: TimeDelta::zero(),
            paused_until: None,
            age: TimeDelta::zero(),
            recheck: Recheck::default(),
            critical: [false; 2],
        }
    }

    /// Until when a row that waits for the end of a pause is left alone; nothing where there is none.
    /// Now and then it is looked at all the same: pauses are called off.
    pub fn pause(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.paused_until.filter(|until| *until > now)?;
        Some(until.min(now + PAUSE_SEEN))
    }
}

/// The store, held by one writer.
pub struct Store {
    settings: StoreSettings,
    conn: Option<Conn>,
    is_new: bool,
    id: String,
    /// The file, where it is one, and the look through it.
    file: Option<LockFile>,
    check: FileCheck,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dsn", &self.settings.dsn.to_string()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, and makes or migrates it.
    ///
    /// # Errors
    /// Where it cannot be reached, is damaged, not a ledger of ours, or from a later release.
    pub async fn open(settings: StoreSettings) -> Result<Self, LedgerError> {
        const ABANDONED: &str =
            "UPDATE entries SET lease_until = 0, lapse_at = 0 WHERE owner IS NOT NULL";
        let file = match &settings.dsn {
            Dsn::Sqlite(path) => Some(LockFile::take(path)?),
            Dsn::Postgres(_) | Dsn::MySql(_) => None,
        };
        let mut store = Self {
            settings,
            conn: None,
            is_new: false,
            id: String::new(),
            file,
            check: FileCheck::default(),
        };
        let mut conn = within(LONG, store.connect()).await?;
        if let Dsn::Sqlite(path) = &store.settings.dsn {
            store.check = FileCheck::begin(path);
            store.check.wait(file_check::WAIT).await?;
        }
        let version = within(LONG, schema::version(&mut conn)).await?;
        store.is_new = version.is_none();
        schema::check(version)?;
        // However long that takes.
        schema::keep_copy(&mut conn, version, &store.settings.dsn, store.file.as_ref()).await?;
        let opened = async {
            schema::migrate(&mut conn).await?;
            // Who had the file before us is gone, and his claims with him.
            if let Conn::Sqlite(_) = &conn {
                conn.run(ABANDONED, Vec::new()).await?;
            }
            adopted::id(&mut conn).await
        };
        store.id = within(LONG, opened).await?;
        if let Some(file) = &mut store.file {
            file.is_still_there()?;
        }
        store.conn = Some(conn);
        Ok(store)
    }

    /// Who writes.
    pub fn replica(&self) -> &str {
        &self.settings.replica
    }

    /// How long a claim holds without being renewed.
    pub fn lease(&self) -> Duration {
        self.settings.lease
    }

    /// Says whether it was made just now.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What tells this ledger from any other; a copy has the same.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Says whether several replicas may write.
    pub fn is_shared(&self) -> bool {
        matches!(self.settings.dsn, Dsn::Postgres(_))
    }

    /// Says that this replica is gone.
    ///
    /// # Errors
    /// Where the store failed.
    pub async fn leave(&mut self) -> Result<(), LedgerError> {
        const LEAVE: &str = "DELETE FROM replicas WHERE id = $1";
        self.on(LEAVING, async |conn, settings| {
            conn.run(LEAVE, args![settings.replica.as_str()]).await?;
            // A file that is copied, or put in the place of another, is whole by itself then.
            match settings.dsn.engine() {
                Engine::Sqlite => conn.batch("PRAGMA wal_checkpoint(TRUNCATE)").await,
                Engine::Postgres | Engine::MySql => Ok(()),
            }
        })
        .await
    }

    /// Opens a way to read beside the writer.
    pub fn reader(&self) -> Reader {
        Reader::new(self.settings.clone())
    }

    async fn connect(&self) -> Result<Conn, LedgerError> {
        connect(&self.settings, false).await
    }

    /// Runs something on the connection; whatever goes wrong, the connection goes with it.
    async fn on<T>(
        &mut self,
        patience: Duration,
        work: impl AsyncFnOnce(&mut Conn, &StoreSettings) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // Whatever is written goes where people look for it.
        if let Some(file) = &mut self.file {
            file.is_still_there()?;
        }
        self.check.is_sound()?;
        let conn = self.conn.take();
        let all = async {
            let mut conn = match conn {
                Some(conn) => conn,
                None => self.connect().await?,
            };
            let done = work(&mut conn, &self.settings).await?;
            Ok::<_, LedgerError>((conn, done))
        };
        let (conn, done) = within(patience, all).await?;
        self.conn = Some(conn);
        Ok(done)
    }

    /// Does everything that there is to do, in one transaction.
    ///
    /// # Errors
    /// Where the store failed: then nothing of it is done, or, where only the answer was lost, all of
    /// it; to do it again is harmless.
    pub async fn transact(
        &mut self,
        work: &Work,
        terms: &(dyn Fn(i64) -> Option<Terms> + Sync),
    ) -> Result<TxOutcome, LedgerError> {
        self.on(PATIENCE, async |conn, settings| {
            transaction::transact(conn, settings, work, terms).await
        })
        .await
    }
}

/// Waits for something of the store, no longer than that. A message that the driver cannot read makes it
/// panic: that is trouble of the store, and no end of the daemon.
async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    use futures_util::FutureExt as _;
    let work = std::panic::AssertUnwindSafe(work).catch_unwind();
    let done = timeout(patience, work).await.map_err(|_| LedgerError::Slow(patience))?;
    done.unwrap_or(Err(LedgerError::Garbled))
}

async fn connect(settings: &StoreSettings, read_only: bool) -> Result<Conn, LedgerError> {
    match &settings.dsn {
        Dsn::Sqlite(path) => Conn::sqlite(path, read_only).await,
        Dsn::Postgres(server) => Conn::postgres(server, settings.password.as_ref()).await,
        Dsn::MySql(_) => Err(LedgerError::odd("the ledger is kept in SQLite or PostgreSQL")),
    }
}

/// A draw for one of many things: the same bits, mixed with its place.
fn draw(seed: u64, place: usize) -> Draw {
    let place = u64::try_from(place).unwrap_or(0).wrapping_add(1);
    let mixed = seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Draw::new((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20)
}

/// The row of a key that is confirmed: it stands for those that are not read.
fn confirmed(kind: WindowKind, at: DateTime<Utc>) -> WindowState {
    use crate::domain::record::window_state::{Override, Recorded, State};
    let recorded = Recorded { said: VerdictKind::Confirmed, at, tried: at };
    WindowState {
        kind,
        start: at,
        end: at,
        due: at,
        deadline_nominal: at,
        deadline: at,
        state: State::Recorded(recorded),
        epoch: 0,
        failed_attempts: 0,
        overridden: Override::Standing,
    }
}
