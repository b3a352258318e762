//! Watched databases: reading from them without harming them.
//!
//! The only place that runs SQL which is not part of the program. Every attempt is one read-only
//! transaction with limits that the server enforces, a deadline of ours beyond them, and an order to
//! the server to stop when either runs out. A connection that saw any trouble is thrown away.

pub mod ask;

mod bind;
mod collect;
mod columns;
pub mod flow;
mod learn;
mod memory;
mod mysql;
pub mod offsets;
mod postgres;
pub mod protections;
mod reach;
pub mod scratch;
mod role;
mod server;
mod their_clock;
mod known;
mod sqlite;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::domain::check::freshness::Freshness;
use crate::domain::check::name::SourceName;
use crate::domain::check::reason::{Cause, Reason};
use crate::domain::reconcile::cell::Epoch;
use crate::domain::sql::Engine;
use crate::domain::sql::instant_form::InstantForm;
use crate::dsn::Dsn;
use crate::secret::{PasswordFrom, ReadAgain};
use crate::source::ask::{Ask, Question, Reply, ResultShape};

pub use bind::Instants;

/// What a source is opened with.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its name.
    pub name: SourceName,
    /// Its address.
    pub dsn: Dsn,
    /// Its password, where it needs one, or why that cannot be read.
    pub password: Result<Option<SecretString>, String>,
    /// Where that is, so that it is read again when it does not fit any more.
    pub password_from: PasswordFrom,
    /// How many connections may be open at once.
    pub connections: u16,
    /// How long a statement may run where the check does not say.
    pub timeout: Duration,
    /// How instants are stored, where the database has no type for them.
    pub instants: Option<Instants>,
    /// How far its data is complete, as its owner can tell.
    pub freshness: Freshness,
    /// The schemas in which PostgreSQL looks for names without one; its own order where none are named.
    pub search_path: Vec<String>,
    /// Whether it is a standby that streams from the primary itself.
    pub standby_is_direct: bool,
    /// Whether a role may watch that could write files on the server or is a superuser.
    pub allow_superuser: bool,
}

impl SourceSettings {
    /// What is opened where nothing else is said: one connection, half a minute for a statement.
    pub fn new(name: SourceName, dsn: Dsn) -> Self {
        Self {
            name,
            dsn,
            password: Ok(None),
            password_from: PasswordFrom::Nowhere,
            connections: 1,
            timeout: Duration::from_secs(30),
            instants: None,
            freshness: Freshness::default(),
            search_path: Vec::new(),
            standby_is_direct: false,
            allow_superuser: false,
        }
    }

    /// Says whether they open the same database in the same way.
    pub fn is_same(&self, other: &Self) -> bool {
        let password = |settings: &Self| {
            let shown = |password: &Option<SecretString>| {
                password.as_ref().map(|password| password.expose_secret().to_owned())
            };
            settings.password.as_ref().map(shown).map_err(Clone::clone)
        };
        self.name == other.name
            && self.dsn == other.dsn
            && self.connections == other.connections
            && self.timeout == other.timeout
            && self.instants == other.instants
            && self.freshness == other.freshness
            && self.search_path == other.search_path
            && self.standby_is_direct == other.standby_is_direct
            && self.allow_superuser == other.allow_superuser
            && password(self) == password(other)
            && self.password_from == other.password_from
    }
}

/// A watched database. Nothing is connected until the first question.
pub struct Source {
    settings: SourceSettings,
    slots: Semaphore,
    opened: RwLock<Arc<Opened>>,
    /// What was found of queries once, and holds for as long as they do: why they prove nothing, where that is so.
    notes: Mutex<BTreeMap<u64, Option<Reason>>>,
}

/// What a source is asked through, with the password that was read last.
struct Opened {
    dsn: Dsn,
    password: Result<Option<SecretString>, String>,
    keeper: Keeper,
}

/// Of how many queries something is kept.
const NOTES_MAX: usize = 100_000;

/// The right to use one connection of a source, for as long as it is held.
#[derive(Debug)]
pub struct Slot<'s>(#[expect(dead_code, reason = "it is held, not read")] SemaphorePermit<'s>);

enum Keeper {
    Postgres(Box<postgres::Postgres>),
    MySql(Box<mysql::MySql>),
    Sqlite(sqlite::Sqlite),
}

impl Opened {
    fn new(
        settings: &SourceSettings,
        dsn: Dsn,
        password: Result<Option<SecretString>, String>,
    ) -> Self {
        let known = password.as_ref().ok().and_then(Option::as_ref);
        let keeper = match &dsn {
            Dsn::Postgres(server) => {
                Keeper::Postgres(Box::new(postgres::Postgres::new(server, known, settings)))
            }
            Dsn::MySql(server) => {
                Keeper::MySql(Box::new(mysql::MySql::new(server, known, settings.allow_superuser)))
            }
            Dsn::Sqlite(path) => Keeper::Sqlite(sqlite::Sqlite::new(
                path.clone(),
                settings.instants,
                settings.connections,
            )),
        };
        Self { dsn, password, keeper }
    }

    async fn observe(&self, ask: &Ask, stop: &CancellationToken) -> Result<Vec<Reply>, Reason> {
        if let Err(why) = &self.password {
            return Err(Reason::new(Cause::Auth, why.clone()));
        }
        let observed = match &self.keeper {
            Keeper::Postgres(keeper) => keeper.observe(ask, stop).await,
            Keeper::MySql(keeper) => keeper.observe(ask, stop).await,
            Keeper::Sqlite(keeper) => keeper.observe(ask, stop).await,
        };
        observed.map_err(|reason| reach::naming_files(reason, &self.dsn))
    }
}

impl Source {
    /// Prepares to watch a database.
    pub fn new(settings: SourceSettings) -> Self {
        let settings = SourceSettings { connections: settings.connections.max(1), ..settings };
        let opened = Opened::new(&settings, settings.dsn.clone(), settings.password.clone());
        Self {
            slots: Semaphore::new(usize::from(settings.connections)),
            opened: RwLock::new(Arc::new(opened)),
            settings,
            notes: Mutex::default(),
        }
    }

    fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the password again after it was refused to `used`; where it is another one by now, that is used from now on.
    fn read_password_again(&self, used: &Arc<Opened>) -> Option<Arc<Opened>> {
        let from = &self.settings.password_from;
        let ReadAgain { dsn, password } = from.read_again().ok().flatten()?;
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        // Another attempt met the same a moment ago.
        if !Arc::ptr_eq(&opened, used) {
            return Some(Arc::clone(&opened));
        }
        let shown = |password: &Option<SecretString>| {
            password.as_ref().map(|password| password.expose_secret().to_owned())
        };
        let same = opened.password.as_ref().is_ok_and(|known| shown(known) == shown(&password));
        let dsn = dsn.unwrap_or_else(|| opened.dsn.clone());
        // The checks are written for one engine: another one is for a reload to take.
        if (same && dsn == opened.dsn) || dsn.engine() != self.engine() {
            return None;
        }
        *opened = Arc::new(Opened::new(&self.settings, dsn, Ok(password)));
        Some(Arc::clone(&opened))
    }

    /// The name in the settings.
    pub fn name(&self) -> &SourceName {
        &self.settings.name
    }

    /// How long a statement may run where the check does not say.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// What was found of a query; nothing where it was not looked at yet.
    pub fn noted(&self, query: u64) -> Option<Option<Reason>> {
        self.notes.lock().ok()?.get(&query).cloned()
    }

    /// Keeps what was found of a query.
    pub fn note(&self, query: u64, found: Option<Reason>) {
        if let Ok(mut notes) = self.notes.lock() {
            if notes.len() >= NOTES_MAX {
                notes.clear();
            }
            notes.insert(query, found);
        }
    }

    /// How far its data is complete, as its owner can tell.
    pub fn freshness(&self) -> &Freshness {
        &self.settings.freshness
    }

    /// How many connections may be open at once.
    pub fn connections(&self) -> usize {
        usize::from(self.settings.connections)
    }

    /// Asks whether the database answers at all.
    ///
    /// Do not drop the future: cancel `stop`, and it ends within seconds.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn probe(&self, stop: &CancellationToken) -> Result<(), Reason> {
        let slot = self.slot(stop).await?;
        self.observe(&slot, &Ask::probe(self.engine()), stop).await.map(drop)
    }

    /// Asks whether the database would answer how far its data is complete, where the settings have a query for that.
    ///
    /// Do not drop the future: cancel `stop`, and it ends within seconds.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn plan_complete_until(&self, stop: &CancellationToken) -> Result<(), Reason> {
        let Some(query) = &self.settings.freshness.complete_until else { return Ok(()) };
        let mut ask = Ask::probe(self.engine());
        let question = Question::complete_until(query);
        let wanted = ResultShape::Plan(Box::new(question.wanted.clone()));
        ask.questions.push(Question { wanted, ..question });
        let slot = self.slot(stop).await?;
        self.observe(&slot, &ask, stop).await.map(drop)
    }

    /// The dialect that is spoken here.
    pub fn engine(&self) -> Engine {
        self.settings.dsn.engine()
    }

    /// What had better be otherwise there, where anything is: what its role could do and does not need, and how far
    /// its clock is from ours.
    pub fn remark(&self) -> Option<String> {
        let (role, clock) = match &self.opened().keeper {
            Keeper::Postgres(keeper) => (keeper.role.needless(), keeper.clock.remark()),
            Keeper::MySql(keeper) => (keeper.role.needless(), keeper.clock.remark()),
            Keeper::Sqlite(_) => (None, None),
        };
        let all: Vec<String> = role.into_iter().chain(clock).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What the server calls itself, once it was asked.
    pub fn server(&self) -> Option<String> {
        match &self.opened().keeper {
            Keeper::Postgres(keeper) => keeper.role.server(),
            Keeper::MySql(keeper) => keeper.role.server(),
            Keeper::Sqlite(_) => Some("SQLite".to_owned()),
        }
    }

    /// Its address, with what was read last.
    fn dsn(&self) -> Dsn {
        self.opened().dsn.clone()
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.opened().dsn.place()
    }

    /// How instants are written in the SQL of a person who asks it.
    pub fn instant_form(&self) -> InstantForm {
        match (self.engine(), self.settings.instants) {
            (Engine::Postgres, _) => InstantForm::WithOffset,
            (Engine::Sqlite, Some(Instants::Rfc3339)) => InstantForm::Rfc3339,
            (Engine::Sqlite, Some(Instants::EpochSecs)) => InstantForm::EpochSecs,
            (Engine::Sqlite, Some(Instants::EpochMillis)) => InstantForm::EpochMillis,
            (Engine::MySql, _) | (Engine::Sqlite, Some(Instants::Sql) | None) => InstantForm::Plain,
        }
    }

    /// Which database it is, as it says itself; nothing where that is not known.
    pub fn identity(&self) -> Option<String> {
        match &self.opened().keeper {
            Keeper::Postgres(keeper) => keeper.role.identity(),
            Keeper::MySql(keeper) => keeper.role.identity(),
            Keeper::Sqlite(keeper) => keeper.identity(),
        }
    }

    /// How instants are stored here as numbers, where there is no type for them and they are.
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.opened().keeper {
            Keeper::Postgres(_) | Keeper::MySql(_) => None,
            Keeper::Sqlite(keeper) => keeper.epoch(),
        }
    }

    /// Waits for a connection to be free.
    ///
    /// # Errors
    /// Where our order to stop comes first.
    pub async fn slot(&self, stop: &CancellationToken) -> Result<Slot<'_>, Reason> {
        let interrupted = || Reason::new(Cause::Interrupted, "stopped before it was looked at");
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(interrupted()),
            slot = self.slots.acquire() => slot.map(Slot).map_err(|_| interrupted()),
        }
    }

    /// Waits for two connections to be free at once: one after the other, two who wait could wait for each
    /// other.
    ///
    /// # Errors
    /// Where there are never two, or our order to stop comes first.
    pub async fn two_slots(&self, stop: &CancellationToken) -> Result<Slot<'_>, Reason> {
        if self.settings.connections < 2 {
            let name = self.name();
            let note = format!("both sides ask `{name}` at once: give it `connections: 2`");
            return Err(Reason::new(Cause::Refused, note));
        }
        let interrupted = || Reason::new(Cause::Interrupted, "stopped before it was looked at");
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(interrupted()),
            slots = self.slots.acquire_many(2) => slots.map(Slot).map_err(|_| interrupted()),
        }
    }

    /// Asks all questions of an attempt in one snapshot.
    ///
    /// Do not drop the future: cancel `stop`, and it ends within seconds, having told the server.
    ///
    /// # Errors
    /// Why nothing can be said about the data.
    pub async fn observe(
        &self,
        _slot: &Slot<'_>,
        ask: &Ask,
        stop: &CancellationToken,
    ) -> Result<Vec<Reply>, Reason> {
        let asked_first = match (&self.settings.freshness.complete_until, ask.unsaid()) {
            (Some(query), Some(_)) => Some(ask.after(query)),
            (_, _) => None,
        };
        let ask = asked_first.as_ref().unwrap_or(ask);
        let opened = self.opened();
        let replies = match opened.observe(ask, stop).await {
            // Secrets are rotated while we run. A right that a query lacks is another matter.
            Err(reason) if reason.cause == Cause::Auth && !reason.of_query => {
                match self.read_password_again(&opened) {
                    Some(opened) => opened.observe(ask, stop).await,
                    None => Err(reason),
                }
            }
            replies => replies,
        };
        replies.map(|replies| ask.answers(replies))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
