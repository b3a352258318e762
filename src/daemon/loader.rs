//! Loading catalogues: at start, on SIGHUP, when files change, and when an operator asks by HTTP. All
//! of it is read before the engine hears of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::daemon::files::fingerprint;
use crate::daemon::systemd;
use crate::domain::check::fault::Fault;
use crate::domain::check::succession::Removals;
use crate::engine::asking::Sources;
use crate::engine::load::{Reading, Shown};
use crate::engine::order::{Load, NotTaken, Orders};
use crate::engine::ports::Watched;
use crate::manifest::{self, Results, Text};
use crate::settings::Settings;
use crate::source::{Source, SourceSettings};
use crate::web::ReloadWish;
use crate::zones::Zones;

/// How long it takes until files are loaded again that were not at fault.
const AGAIN: Duration = Duration::from_secs(5);
/// How often files are looked at.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// Whoever reads settings and checks.
pub(super) struct Loader {
    config: PathBuf,
    paths: Vec<PathBuf>,
    zones: Arc<Zones>,
    sources: Vec<(SourceSettings, Arc<Source>)>,
    reading: Arc<Reading>,
    queries: Arc<Watched>,
    /// The settings and the paths that were read last.
    watched: Vec<PathBuf>,
    /// The settings with which the daemon started, and whether people were told that others wait.
    started: Settings,
    labels: watch::Sender<BTreeMap<String, String>>,
    told_to_restart: bool,
    seen: u64,
    /// When the same files are loaded again, because what went wrong may pass.
    again_at: Option<Instant>,
}

/// Why a catalogue was not loaded, and whether that may pass.
struct Failed {
    why: String,
    may_pass: bool,
}

impl Loader {
    /// Prepares to load what settings name.
    ///
    /// # Errors
    /// Where a password was looked for and not found.
    pub(super) fn new(
        config: PathBuf,
        paths: Vec<PathBuf>,
        settings: &Settings,
        zones: Arc<Zones>,
    ) -> Result<Self, String> {
        let mut reading = reading(settings, (results(settings), Vec::new()), &zones);
        reading.shared = Arc::new(settings.shared(folder(&config)));
        let reading = Arc::new(reading);
        let sources = sources(settings, &[])?;
        let queries = Arc::new(watched(&sources, &zones));
        let watched = vec![config.clone()];
        Ok(Self {
            config,
            paths,
            zones,
            sources,
            reading,
            queries,
            watched,
            started: settings.clone(),
            labels: watch::channel(settings.notices.labels.clone()).0,
            told_to_restart: false,
            seen: 0,
            again_at: None,
        })
    }

    /// What catalogues are read with, and who is asked.
    pub(super) fn current(&self) -> (Arc<Reading>, Arc<Watched>) {
        (Arc::clone(&self.reading), Arc::clone(&self.queries))
    }

    /// The installation's labels, as they are read.
    pub(super) fn labels(&self) -> watch::Receiver<BTreeMap<String, String>> {
        self.labels.subscribe()
    }

    /// Has the same files loaded again soon.
    pub(super) fn try_again(&mut self) {
        self.again_at = Some(Instant::now() + AGAIN);
    }

    /// Reads settings and checks.
    ///
    /// # Errors
    /// All faults of what could not be read; the checks themselves are parsed by the engine.
    pub(super) fn read(
        &mut self,
        removals: Removals,
        by: &str,
    ) -> Result<Load<Watched>, Vec<Fault>> {
        // What cannot be read is seen too: it is not read again before it changes.
        self.seen = fingerprint(&self.watched);
        let settings = Settings::read(&self.config)?;
        let same = settings.opens_the_same(&self.started);
        if !same && !self.told_to_restart {
            tracing::warn!(
                "settings other than `checks`, `sources` and `labels` changed: they are read at the start \
                 only, so start the daemon anew"
            );
        }
        self.told_to_restart = !same;
        let whole = |why: String| vec![Fault::of_file(self.config.display().to_string(), why, "")];
        let sources = sources(&settings, &self.sources).map_err(whole)?;
        let paths =
            if self.paths.is_empty() { settings.checks.clone() } else { self.paths.clone() };
        let results_file = settings.results.iter().cloned();
        let files = std::iter::once(self.config.clone()).chain(paths.iter().cloned());
        self.watched = files.chain(results_file).collect();
        self.seen = fingerprint(&self.watched);
        let texts = manifest::texts(&paths)?;
        let changed = sources.len() != self.sources.len()
            || sources.iter().zip(&self.sources).any(|((_, a), (_, b))| !Arc::ptr_eq(a, b));
        let tests = match settings.results {
            Some(_) => manifest::test_texts(&paths)?,
            None => Vec::new(),
        };
        let tested = (results(&settings), tests);
        let mut reading = reading(&settings, tested, &self.zones);
        // Who is told is as it was at the start; the labels are read anew.
        let mut runs = settings.clone();
        runs.notices = self.started.notices.clone();
        runs.notices.labels.clone_from(&settings.notices.labels);
        reading.shared = Arc::new(runs.shared(folder(&self.config)));
        self.reading = Arc::new(reading);
        self.labels.send_replace(settings.notices.labels.clone());
        if changed {
            self.queries = Arc::new(watched(&sources, &self.zones));
            self.sources = sources;
        }
        let (reading, queries) = self.current();
        Ok(Load { texts, reading, queries, removals, by: by.to_owned() })
    }

    /// Loads whenever there is a reason to, until it is told to stop.
    pub(super) async fn run(
        mut self,
        orders: Orders<Watched>,
        mut wishes: mpsc::Receiver<ReloadWish>,
        mut hup: Signal,
        stop: CancellationToken,
    ) {
        let mut unsettled = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = hup.recv() => {
                    tracing::info!("SIGHUP: the catalogue is loaded anew");
                    drop(self.reload(&orders, "SIGHUP").await);
                }
                Some(wish) = wishes.recv() => {
                    let done = self.reload(&orders, "HTTP").await;
                    // Whoever wished it may be gone: it is done all the same.
                    drop(wish.send(done));
                }
                () = sleep(LOOK_EACH) => {
                    if self.again_at.is_some_and(|at| Instant::now() >= at) {
                        drop(self.reload(&orders, "another try").await);
                        continue;
                    }
                    let paths = self.watched.clone();
                    let look = tokio::task::spawn_blocking(move || fingerprint(&paths));
                    let Ok(now) = look.await else { continue };
                    if now == self.seen {
                        unsettled = None;
                    } else if unsettled == Some(now) {
                        unsettled = None;
                        drop(self.reload(&orders, "changed files").await);
                    } else {
                        unsettled = Some(now);
                    }
                }
            }
        }
    }

    async fn reload(&mut self, orders: &Orders<Watched>, by: &str) -> Result<String, String> {
        systemd::reloading();
        let loaded = self.load(orders, by).await;
        systemd::ready();
        self.again_at = None;
        loaded.map_err(|failed| {
            if failed.may_pass {
                self.try_again();
            }
            failed.why
        })
    }

    async fn load(&mut self, orders: &Orders<Watched>, by: &str) -> Result<String, Failed> {
        let gone = |error: NotTaken| Failed { why: error.to_string(), may_pass: true };
        // Files may be on a disk that hangs: nothing else waits for that.
        match tokio::task::block_in_place(|| self.read(Removals::AsDeclared, by)) {
            Ok(load) => match orders.load(load).await.map_err(gone)? {
                Ok(loaded) => Ok(format!(
                    "generation {} with {} checks is active{}",
                    loaded.generation,
                    loaded.checks,
                    if self.told_to_restart {
                        "; settings changed that wait for a new start"
                    } else {
                        ""
                    }
                )),
                Err(error) => Err(Failed { why: error.to_string(), may_pass: error.may_pass() }),
            },
            Err(faults) => {
                let why = format!("the catalogue cannot be read:\n{}", Shown(&faults));
                orders.unreadable(why.clone()).await.map_err(gone)?;
                Err(Failed { why, may_pass: false })
            }
        }
    }
}

/// From where relative paths of settings count.
fn folder(config: &Path) -> &Path {
    config.parent().unwrap_or(Path::new(""))
}

fn reading(
    settings: &Settings,
    (tested, tests): (Option<Results>, Vec<Text>),
    zones: &Arc<Zones>,
) -> Reading {
    Reading {
        rollout: settings.rollout,
        shared: Arc::default(),
        tested,
        tests,
        engines: settings.engines(),
        without_instants: settings.without_instants(),
        labels: settings.notices.labels.clone(),
        relations: Some(settings.relations()),
        drill_every: settings.drill_every,
        zones: Arc::clone(zones),
    }
}

/// Reads what came of tests, where it is named. What does not read says nothing of any check: none is called tested.
fn results(settings: &Settings) -> Option<Results> {
    let read = Results::read(settings.results.as_deref()?);
    read.map_err(|fault| tracing::warn!("{fault}")).ok()
}

/// Opens the sources of the settings; those that did not change are kept, with their connections.
fn sources(
    settings: &Settings,
    known: &[(SourceSettings, Arc<Source>)],
) -> Result<Vec<(SourceSettings, Arc<Source>)>, String> {
    let open = |entry: &crate::settings::SourceEntry| {
        let opened = entry.open();
        if let Err(why) = &opened.password {
            tracing::error!("{why}: nothing of this source is known until it can be");
        }
        let same = known.iter().find(|(settings, _)| settings.is_same(&opened));
        let source = match same {
            Some((_, source)) => Arc::clone(source),
            None => Arc::new(Source::new(opened.clone())),
        };
        Ok((opened, source))
    };
    settings.sources.iter().map(open).collect()
}

fn watched(sources: &[(SourceSettings, Arc<Source>)], zones: &Arc<Zones>) -> Watched {
    let sources: Sources = sources
        .iter()
        .map(|(settings, source)| (settings.name.clone(), Arc::clone(source)))
        .collect();
    Watched::new(sources, Arc::clone(zones))
}
