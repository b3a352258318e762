//! What the engine shows of itself: a picture that readers keep as long as they like.

mod comparing;
mod counts;
mod dependencies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::domain::alerting::outbox::AlertId;
use crate::domain::alerting::quiet::Quiet;
use crate::domain::check::freshness::shown;
use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::reason::Cause;
use crate::domain::check::{Check, Severity};
use crate::domain::record::series::Zone;
use crate::domain::record::standing::Lease;
use crate::domain::sql::instant_form::InstantForm;
use crate::domain::time::breaker::Breaker;
use crate::ledger::{AlertRow, Drilled, Notified, Returned, SelfAlert, SeriesRecord};
use crate::manifest::TestedCheck;
use crate::source::protections::Protection;

pub use comparing::Comparing;
pub use counts::{Counts, LAG_BOUNDS_MS};
pub use dependencies::DependencyHealth;

/// How old a picture may be before it says nothing any more.
pub const FRESH: std::time::Duration = std::time::Duration::from_secs(10);

/// How far a record may reach into the future, and the host's clock may be from the ledger's.
const SLACK: TimeDelta = TimeDelta::seconds(60);

/// A series and its check.
#[derive(Debug, Clone)]
pub struct SeriesHealth {
    /// What the ledger says of it.
    pub record: Arc<SeriesRecord>,
    /// Its check.
    pub check: Arc<Check>,
    /// Where its windows are.
    pub home: Zone,
    /// When it is due next.
    pub next_due: Option<DateTime<Utc>>,
    /// By when the next result is due.
    pub next_deadline: DateTime<Utc>,
    /// Until when it is paused, where it is.
    pub paused_until: Option<DateTime<Utc>>,
}

/// A source as the engine sees it.
#[derive(Debug, Clone)]
pub struct SourceHealth {
    /// Whether it is left alone.
    pub breaker: Breaker,
    /// How many attempts it takes at once.
    pub places: usize,
    /// How many are under way.
    pub running: usize,
    /// How many wait for it in memory.
    pub waiting: usize,
    /// What went wrong there last.
    pub trouble: Option<String>,
    /// What its role could do beyond reading.
    pub remark: Option<String>,
    /// What protects it from its checks.
    pub protections: Vec<Protection>,
    /// Where it is, for people.
    pub place: Option<String>,
    /// How instants are written in its SQL, where a person types it.
    pub instant_form: InstantForm,
    /// Which database it is, as it says itself.
    pub identity: Option<String>,
    /// Since when it is another database than it ever was, where it is.
    pub moved_at: Option<DateTime<Utc>>,
    /// How many attempts ended.
    pub attempts: u64,
    /// How long they asked it, summed up.
    pub took: std::time::Duration,
    /// How many asked it no longer than each of [`TOOK_BOUNDS_SECS`].
    pub took_buckets: [u64; TOOK_BOUNDS_SECS.len()],
    /// Attempts that said nothing, by cause.
    pub unconfirmed: BTreeMap<Cause, u64>,
}

/// Whether the ledger can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerHealth {
    /// It can.
    Up,
    /// It cannot.
    Down {
        /// Since when, by our clock.
        since: DateTime<Utc>,
        /// Why.
        why: String,
    },
}

/// What became of the last catalogue that was to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LastLoad {
    /// Nobody wanted to.
    #[default]
    Never,
    /// It is the active one.
    Good {
        /// When.
        at: DateTime<Utc>,
    },
    /// It waits for approval: what was active goes on.
    Waits {
        /// Since when.
        at: DateTime<Utc>,
        /// Its number as a generation.
        id: i64,
        /// For what.
        why: String,
    },
    /// It is not: what was active goes on.
    Bad {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        why: String,
    },
}

/// The bounds of how long attempts ask a source, in seconds.
pub const TOOK_BOUNDS_SECS: [f64; 9] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0];

/// The engine at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The ledger's clock.
    pub as_of: DateTime<Utc>,
    /// The same by the monotonic clock.
    pub taken: Instant,
    /// How far the ledger's clock is ahead of the host's.
    pub skew: TimeDelta,
    /// What tells the ledger from any other; empty before it is open.
    pub ledger_id: Arc<str>,
    /// Up to when it has attempts.
    pub sequence: Option<DateTime<Utc>>,
    /// When it was found to be older than it was, where that is so.
    pub went_back_at: Option<DateTime<Utc>>,
    /// Whether the ledger can be written.
    pub ledger: LedgerHealth,
    /// Since when that is so, by the monotonic clock.
    pub ledger_since: Instant,
    /// The generation that runs here; nothing before the first is loaded.
    pub generation: Option<GenerationHealth>,
    /// What became of the last catalogue.
    pub last_load: LastLoad,
    /// Whether files do not count, because an operator went back behind them.
    pub is_pinned: bool,
    /// Why this replica does not look, where it does not.
    pub idle: Option<String>,
    /// The release of the zone rules that are used here.
    pub tz_release: String,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// The sources.
    pub sources: BTreeMap<SourceName, SourceHealth>,
    /// Every series, in the order of the store.
    pub series: Vec<Arc<SeriesHealth>>,
    /// What came of the tests of the checks as they run here; nothing where no results are named or they do not read.
    pub tested: Option<Arc<BTreeMap<CheckId, TestedCheck>>>,
    /// The installation's labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The settings that teams share, by their places.
    pub shared: Arc<BTreeMap<String, String>>,
    /// The alerts that are written down: those that stand, and those that ended a while ago.
    pub alerts: Arc<Vec<AlertRow>>,
    /// Of which this process recorded the last change.
    pub recorded_here: Arc<BTreeSet<AlertId>>,
    /// What receivers acknowledged, as it is written down.
    pub notified: Arc<Notified>,
    /// The alerts of this replica about itself that are written down, and those of replicas that are gone; nothing
    /// before they were read.
    pub own: Option<Arc<Vec<SelfAlert>>>,
    /// Whether other replicas write the same record.
    pub has_others: bool,
    /// When the alerts were read, where other replicas write them too.
    pub alerts_read_at: Option<Instant>,
    /// The checks that are kept quiet, and those that were until a while ago.
    pub quiets: Arc<Vec<Quiet>>,
    /// When the ways to the Alertmanagers were proved last.
    pub proofs: Arc<Vec<Proof>>,
    /// What compares rows, and how far it is.
    pub comparing: Vec<Comparing>,
    /// What checks stand on.
    pub dependencies: Arc<DependencyHealth>,
    /// The last drill of each receiver and failure.
    pub drilled: Arc<Vec<Drilled>>,
    /// How long ago a drill may be, where that is told.
    pub drill_every: Option<std::time::Duration>,
    /// Counts since the start.
    pub counts: Counts,
}

/// A proof of the way to an Alertmanager and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// When it was sent, and came back.
    pub returned: Returned,
    /// When it was seen here, by the monotonic clock.
    pub seen_at: Instant,
}

/// The generation that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationHealth {
    /// Its number in the store.
    pub id: i64,
    /// The digest of its text.
    pub digest: String,
    /// How many checks it has.
    pub checks: usize,
    /// When it was loaded first.
    pub loaded_at: DateTime<Utc>,
    /// By whom.
    pub loaded_by: String,
}

impl Snapshot {
    /// Before anything is known.
    pub fn empty(now: DateTime<Utc>) -> Self {
        Self {
            as_of: now,
            taken: Instant::now(),
            skew: TimeDelta::zero(),
            ledger_id: Arc::from(""),
            sequence: None,
            went_back_at: None,
            ledger: LedgerHealth::Up,
            ledger_since: Instant::now(),
            generation: None,
            last_load: LastLoad::Never,
            is_pinned: false,
            idle: Some("it has not begun".into()),
            tz_release: String::new(),
            stopping: false,
            sources: BTreeMap::new(),
            series: Vec::new(),
            tested: None,
            labels: Arc::default(),
            shared: Arc::default(),
            alerts: Arc::default(),
            recorded_here: Arc::default(),
            notified: Arc::default(),
            own: None,
            has_others: false,
            alerts_read_at: None,
            quiets: Arc::default(),
            proofs: Arc::default(),
            comparing: Vec::new(),
            dependencies: Arc::default(),
            drilled: Arc::default(),
            drill_every: None,
            counts: Counts::default(),
        }
    }

    /// What came of the tests of a check as it runs here.
    pub fn tested(&self, check: &CheckId) -> Option<&TestedCheck> {
        self.tested.as_ref()?.get(check)
    }

    /// The ledger's clock now.
    pub fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.taken.elapsed()).unwrap_or_default();
        self.as_of + passed
    }

    /// Why nothing may be called healthy by this picture, where that is so.
    pub fn blind(&self) -> Option<String> {
        let age = self.taken.elapsed();
        if age > FRESH {
            return Some(format!("the engine has not answered for {} s", age.as_secs()));
        }
        match &self.ledger {
            LedgerHealth::Down { since, why } => {
                return Some(format!("the ledger is down since {}: {why}", shown(*since)));
            }
            LedgerHealth::Up => {}
        }
        if self.generation.is_none() {
            return Some("no catalogue is loaded".into());
        }
        None
    }

    /// Says whether a series is healthy: nothing is while the engine or the ledger is away.
    pub fn is_healthy(&self, series: &SeriesHealth) -> bool {
        self.blind().is_none() && series.is_healthy(self.now())
    }

    /// The word for how a series is: nothing is confirmed while the engine or the ledger is away.
    pub fn state(&self, series: &SeriesHealth) -> &'static str {
        self.states()(series)
    }

    /// The same for many series, at one instant.
    pub fn states(&self) -> impl Fn(&SeriesHealth) -> &'static str + use<> {
        let (now, is_blind) = (self.now(), self.blind().is_some());
        move |series| match series.state(now) {
            "confirmed" if is_blind => "unconfirmed",
            state => state,
        }
    }

    /// What is wrong with a clock, where that is so: what was looked at in the future is not looked at again, and what
    /// is told outside begins and ends by a clock that others do not have.
    pub fn clock_is_wrong(&self) -> Option<String> {
        let now = self.now();
        let live = self.series.iter().filter(|series| !series.is_over());
        let ahead = live.filter(|series| series.is_from_the_future(now));
        let mut ahead = ahead.filter_map(|series| Some((series.reaches()?, &series.check.id)));
        if let Some(first) = ahead.next() {
            let (count, (at, check)) = ahead.fold((1, first), |(n, most), s| (n + 1, most.max(s)));
            return Some(format!(
                "the clock was set back: {check} was looked at up to {at:.0?}, which is still to come; {count} series \
                 are not looked at before that: set the clock right, or, where it was ahead before and is right \
                 now, begin with a new ledger"
            ));
        }
        self.clocks_differ()
    }

    /// What is wrong where the host's clock and the ledger's differ.
    pub fn clocks_differ(&self) -> Option<String> {
        (self.skew.abs() > SLACK).then(|| {
            let how = if self.skew > TimeDelta::zero() { "behind" } else { "ahead of" };
            let minutes = self.skew.abs().num_minutes();
            format!("the host's clock is {minutes} min {how} the ledger's: set the wrong one right")
        })
    }

    /// Why this replica is not ready to look, where it is not.
    pub fn unready(&self) -> Option<String> {
        if self.stopping {
            return Some("it was told to stop".into());
        }
        self.blind().or_else(|| self.idle.clone())
    }
}

impl SeriesHealth {
    /// Says whether its proofs speak for it at an instant. Those of a record that reaches into the
    /// future do not: the clock was set back since, and nothing is looked at until it comes there again.
    fn is_healthy(&self, now: DateTime<Utc>) -> bool {
        // While the engine does not look, nothing is proved.
        if self.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        match self.record.lease {
            Lease::Never => false,
            Lease::Until(until) => now < until && !self.is_from_the_future(now),
        }
    }

    /// Up to when it was looked at.
    fn reaches(&self) -> Option<DateTime<Utc>> {
        self.record.confirmed_at.max(self.record.watermark)
    }

    /// Says whether it was looked at in the future: a clock was set back since.
    pub fn is_from_the_future(&self, now: DateTime<Utc>) -> bool {
        self.reaches().is_some_and(|at| at > now + SLACK)
    }

    /// The word for how it is: one of six.
    fn state(&self, now: DateTime<Utc>) -> &'static str {
        let record = &self.record;
        if record.open_violated > 0 {
            "violated"
        } else if self.paused_until.is_some() {
            "paused"
        } else if record.is_waived && record.open_unconfirmed == 0 {
            "waived"
        } else if record.lease == Lease::Never && record.open_unconfirmed == 0 {
            "new"
        } else if record.open_unconfirmed > 0 || !self.is_healthy(now) {
            "unconfirmed"
        } else {
            "confirmed"
        }
    }

    /// Says whether it is critical, or something of it is open that was when it opened.
    pub fn is_critical(&self) -> bool {
        self.check.severity == Severity::Critical || self.record.open_critical.contains(&true)
    }

    /// Says whether it ended, and nothing of it is open.
    pub fn is_over(&self) -> bool {
        self.record.retired_at.is_some()
            && self.record.open_violated + self.record.open_unconfirmed == 0
    }
}
