//! The beginning: an engine over the ledger, waited for where the ledger is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::NotStarted;
use crate::daemon::log::Log;
use crate::domain::check::fault::Fault;
use crate::engine::load::{NotLoaded, Reading, Shown};
use crate::engine::order::Load;
use crate::engine::ports::Watched;
use crate::engine::snapshot::{LedgerHealth, Snapshot};
use crate::engine::watch::Engine;
use crate::ledger::{LedgerError, Store, StoreSettings};

/// What is needed to begin, once there is a ledger.
pub(super) struct Begin {
    pub(super) first: Result<Load<Watched>, Vec<Fault>>,
    pub(super) reading: (Arc<Reading>, Arc<Watched>),
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) shown: watch::Sender<Arc<Snapshot>>,
}

/// Why watching did not begin.
pub(super) enum NotBegun {
    /// The ledger failed, and may not the next time.
    Away(LedgerError),
    /// It never will by itself.
    Never(NotStarted),
}

impl From<LedgerError> for NotBegun {
    fn from(trouble: LedgerError) -> Self {
        if trouble.may_pass() { Self::Away(trouble) } else { Self::Never(trouble.into()) }
    }
}

impl From<NotBegun> for NotStarted {
    fn from(error: NotBegun) -> Self {
        match error {
            NotBegun::Away(trouble) => trouble.into(),
            NotBegun::Never(error) => error,
        }
    }
}

pub(super) type Begins = (Engine<Watched, Log>, Begun);

impl Begin {
    pub(super) async fn engine(&self, store: Store) -> Result<Begins, NotBegun> {
        let (reading, queries) = self.reading.clone();
        let (log, clock, shown) = (self.log.clone(), self.clock.clone(), self.shown.clone());
        let mut engine = Engine::new(store, queries, log, reading, clock, shown);
        let begun = begin(&mut engine, self.first.clone()).await?;
        // Whoever asks now sees what is loaded.
        engine.show();
        Ok((engine, begun))
    }

    /// Waits for a ledger that is away, unready and telling so. Nothing where it was told to stop before.
    pub(super) async fn once_there(
        self,
        settings: StoreSettings,
        stop: &CancellationToken,
    ) -> Result<Option<Begins>, NotStarted> {
        let (since, mut failures) = (self.clock.now(), 0);
        let mut why = "it did not answer at the start".to_owned();
        loop {
            let mut opened = std::pin::pin!(async {
                let store = Store::open(settings.clone()).await?;
                self.engine(store).await
            });
            let opened = loop {
                let ledger = LedgerHealth::Down { since, why: why.clone() };
                let picture = Snapshot { ledger, idle: None, ..Snapshot::empty(self.clock.now()) };
                self.shown.send_replace(Arc::new(picture));
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(None),
                    opened = &mut opened => break opened,
                    () = sleep(Duration::from_secs(1)) => {}
                }
            };
            match opened {
                Ok(begun) => {
                    tracing::info!("the ledger is there: watching begins");
                    return Ok(Some(begun));
                }
                Err(NotBegun::Away(trouble)) => why = trouble.to_string(),
                Err(NotBegun::Never(error)) => return Err(error),
            }
            failures += 1;
            let pause = Duration::from_millis(250) * (1 << failures.min(4));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(None),
                () = sleep(pause) => {}
            }
        }
    }
}

/// Whether the files are to be looked at again, though they did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// They are not.
    AsItIs,
    /// They are: what went wrong may pass.
    TryAgain,
}

/// Begins with what is stored, then with what the files say; a bad catalogue leaves the stored one.
pub(super) async fn begin(
    engine: &mut Engine<Watched, Log>,
    first: Result<Load<Watched>, Vec<Fault>>,
) -> Result<Begun, NotBegun> {
    let never = |error| Err(NotBegun::Never(error));
    engine.resume().await?;
    match first {
        Err(faults) if engine.is_loaded() => {
            engine.refuse(format!("the catalogue cannot be read:\n{}", Shown(&faults)));
        }
        Err(faults) => return never(NotStarted::Invalid(faults)),
        Ok(load) => match engine.load(load).await {
            Ok(_) => {}
            // The alarm was raised; what is stored goes on.
            Err(error) if engine.is_loaded() => {
                return Ok(if error.may_pass() { Begun::TryAgain } else { Begun::AsItIs });
            }
            Err(NotLoaded::Faulty(faults)) => return never(NotStarted::Invalid(faults)),
            Err(NotLoaded::Store(trouble)) => return Err(trouble.into()),
            Err(
                error @ (NotLoaded::Refused(_)
                | NotLoaded::Contended
                | NotLoaded::Waits { .. }
                | NotLoaded::Rejected { .. }
                | NotLoaded::NotKept(_)),
            ) => {
                return never(NotStarted::Refused(error.to_string()));
            }
        },
    }
    Ok(Begun::AsItIs)
}
