//! The daemon: settings, then everything opened and bound, then watching, then an end in order.
//!
//! The engine has a thread of its own; the server, reloads and the watchdog have another: what
//! crowds the server holds up no check.

pub mod drill;
mod files;
mod loader;
mod log;
mod senders;
mod systemd;
mod begin;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::begin::{Begin, Begun, NotBegun};
use crate::daemon::loader::Loader;
use crate::daemon::log::Log;
use crate::daemon::senders::Senders;
use crate::domain::check::fault::Fault;
use crate::domain::check::succession::Removals;
use crate::engine::order::orders;
use crate::engine::ports::Watched;
use crate::engine::snapshot::Snapshot;
use crate::ledger::{LedgerError, Reader, Store, StoreSettings, lasting_name};
use crate::notify::links::Links;
use crate::settings::Settings;
use crate::web::{self, Access, Listener, Pages, Server, WebConfig};
use crate::zones::Zones;

/// How long each part may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Within how long another daemon under the same labels is seen at an Alertmanager, however often it sends.
const SHOWN_WITHIN: TimeDelta = TimeDelta::seconds(45);
/// What a process gets that writes past the limit of a file's size (Linux). A handler of tokio's stays.
const SIGXFSZ: i32 = 25;

/// How the daemon is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The settings file.
    pub config: PathBuf,
    /// Files and folders of checks, instead of those that the settings name.
    pub paths: Vec<PathBuf>,
    /// Whether the first catalogue may remove checks without `removed`.
    pub removals: Removals,
    /// Where the host's zone rules are, where the environment says so.
    pub tzdir: Option<PathBuf>,
    /// What time it is: the host's clock, but for a demo of another year.
    pub clock: Clock,
}

/// Why the daemon did not start.
#[derive(Debug)]
pub enum NotStarted {
    /// What was given is not valid.
    Invalid(Vec<Fault>),
    /// What was given is not valid as a whole.
    Refused(String),
    /// Something could not be opened.
    Io(String),
}

impl From<LedgerError> for NotStarted {
    fn from(trouble: LedgerError) -> Self {
        Self::Io(format!("the ledger: {trouble}"))
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => faults.iter().try_for_each(|fault| writeln!(f, "{fault}\n")),
            Self::Refused(why) | Self::Io(why) => f.write_str(why),
        }
    }
}

/// What is open before anything runs.
struct Opened {
    senders: Senders,
    listener: Listener,
    web: WebConfig,
    access: Access,
    /// Nothing where it is a server that does not answer.
    store: Option<Store>,
    ledger: StoreSettings,
    loader: Loader,
    settings: Settings,
}

/// Runs the daemon until a signal ends it. `announce` gets one line, once everything runs.
///
/// # Errors
/// Where it could not start: then nothing ran.
#[expect(clippy::too_many_lines, reason = "the order in which everything comes up, and goes down")]
pub fn serve(start: Start, announce: impl FnOnce(&str)) -> Result<(), NotStarted> {
    let io = |what: &str, e: &dyn fmt::Display| NotStarted::Io(format!("{what}: {e}"));
    let (io_runtime, engine_runtime) = runtimes().map_err(|e| io("threads", &e))?;
    let (removals, clock) = (start.removals, start.clock.clone());
    // A file that may not grow any more is an error that is told, and no reason to die in silence.
    let too_large = io_runtime.block_on(async { signal(SignalKind::from_raw(SIGXFSZ)) });
    drop(too_large.map_err(|e| io("signals", &e))?);
    let opened = open(start, &io_runtime, &engine_runtime)?;
    let Opened { senders, listener, web, access, store, ledger, mut loader, settings } = opened;
    let address = listener.address().map_err(|e| io("the door", &e))?;
    let (ends_on, hup) = signals_of(&io_runtime).map_err(|e| io("signals", &e))?;
    let (orders, mut inbox) = orders::<Watched>();
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let (shown, pictures) = watch::channel(Arc::new(Snapshot::empty(clock.now())));
    let (written, own) = watch::channel(None);
    let (alertmanagers, webhooks) =
        (senders.paths.alertmanagers.clone(), senders.paths.webhooks.clone());
    let another = senders.paths.another.clone();
    // Another daemon has sent what it says a few times by then.
    let patience = (settings.notices.rhythm.resend * 4).max(SHOWN_WITHIN);
    let begin = Begin {
        first: loader.read(removals, "start"),
        reading: loader.current(),
        log: Log { alertmanagers, webhooks, another, patience, own },
        clock,
        shown,
    };
    // A catalogue that cannot be run is known before anybody can ask for it.
    let begun = match store
        .map(|store| engine_runtime.block_on(systemd::while_starting(begin.engine(store))))
    {
        Some(Ok(begun)) => Some(begun),
        Some(Err(NotBegun::Away(trouble))) if settings.ledger.is_shared() => {
            tracing::error!("the ledger failed at the start: {trouble}. It is tried again");
            None
        }
        Some(Err(error)) => return Err(error.into()),
        None => None,
    };
    let (reloads, wishes) = mpsc::channel(1);
    let door = Server {
        pictures: pictures.clone(),
        reader: Reader::new(ledger.clone()),
        orders: orders.clone(),
        reloads,
        access,
        paths: senders.paths.clone(),
        nonces: senders.nonces.clone(),
        lifecycle: settings.web.switches.lifecycle,
        pages: Pages {
            are_shown: settings.web.switches.pages,
            has_badges: settings.web.switches.badges,
            public_url: settings.web.public_url.clone(),
        },
        headers: web.headers,
    };
    let replica = ledger.replica.clone();
    // The door stays open while attempts end, so that people see what happens.
    let (closing, silent) = (CancellationToken::new(), CancellationToken::new());
    let links = Links::new(settings.web.public_url.clone(), settings.web.switches.pages);
    let own = (lasting_name(&replica).to_owned(), written);
    let labels = loader.labels();
    let notices = senders.run(pictures.clone(), labels, links, own, silent.clone());
    let mut handles = vec![
        io_runtime.spawn(ends(web::serve(door, listener, closing.clone()), stop.clone())),
        io_runtime.spawn(ends(systemd::watchdog(pictures, stop.clone()), stop.clone())),
        io_runtime.spawn(signals(ends_on, stop.clone(), hurry.clone())),
    ];
    let told = io_runtime.spawn(ends(notices, stop.clone()));
    announce(&ready_line(address, &replica));
    systemd::ready();
    let begun = match begun {
        Some(begun) => Ok(Some(begun)),
        None => engine_runtime.block_on(begin.once_there(ledger, &stop)),
    };
    let ended = begun.map(|begun| {
        let (mut engine, again) = begun?;
        if again == Begun::TryAgain {
            loader.try_again();
        }
        handles.push(
            io_runtime.spawn(ends(loader.run(orders, wishes, hup, stop.clone()), stop.clone())),
        );
        engine_runtime.block_on(engine.run(&mut inbox, &stop, &hurry, settings.grace.get()));
        Some(engine)
    });
    // Orders that are not carried out any more are answered by that.
    drop(inbox);
    for token in [&stop, &closing, &hurry, &silent] {
        // What was recorded last is told before the end.
        token.cancel();
    }
    handles.push(told);
    wait_for(&io_runtime, handles);
    let ended = ended.map(|engine| {
        if let Some(mut engine) = engine {
            // The next process need not wait until this one is taken for dead.
            engine_runtime.block_on(engine.sign_off());
        }
    });
    tracing::info!("stopped");
    io_runtime.shutdown_background();
    engine_runtime.shutdown_background();
    ended
}

/// Waits for the parts that were told to end, for no longer than each may take.
fn wait_for(io_runtime: &Runtime, handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        // One that panicked has said so, one that hangs is left behind; the end goes on.
        drop(io_runtime.block_on(async { timeout(FAREWELL, handle).await }));
    }
}

/// The line by which the program that started us learns where we are.
fn ready_line(address: SocketAddr, replica: &str) -> String {
    let line = json!({
        "format": 1,
        "listen": address.to_string(),
        "replica": replica,
        "pid": std::process::id(),
    });
    line.to_string()
}

/// The threads of the door, and of the engine.
fn runtimes() -> std::io::Result<(Runtime, Runtime)> {
    let io_runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    Ok((io_runtime, Builder::new_current_thread().enable_all().build()?))
}

type Ends = (Signal, Signal);

/// Listens for signals before the daemon says that it is there: one that is not listened for ends the process. The first two end
/// the daemon in order, the last one has it read its files.
fn signals_of(io_runtime: &Runtime) -> std::io::Result<(Ends, Signal)> {
    let hears = |kind| io_runtime.block_on(async { signal(kind) });
    let ends_on = (hears(SignalKind::interrupt())?, hears(SignalKind::terminate())?);
    Ok((ends_on, hears(SignalKind::hangup())?))
}

/// Opens and binds everything that the daemon needs.
fn open(
    start: Start,
    io_runtime: &Runtime,
    engine_runtime: &Runtime,
) -> Result<Opened, NotStarted> {
    let settings = Settings::read(&start.config).map_err(NotStarted::Invalid)?;
    log::begin(settings.log);
    let web = match &settings.web.config_file {
        Some(path) => web::read_config(path).map_err(NotStarted::Invalid)?,
        None => WebConfig::default(),
    };
    let tokens = settings.web.tokens().map_err(NotStarted::Refused)?;
    let access = Access::new(tokens, web.users.clone(), settings.web.proxy.clone());
    let ledger = &settings.ledger;
    let senders = Senders::open(&settings, &start.clock).map_err(NotStarted::Refused)?;
    let listen = settings.web.listen;
    let listener = io_runtime.block_on(web::bind(listen, web.tls.clone()));
    let listener = listener.map_err(|e| {
        NotStarted::Io(format!("cannot listen on {listen}: {e}; `web: {{listen: …}}` says where"))
    })?;
    let port = listener.address().map_or(listen.port(), |address| address.port());
    let store = StoreSettings {
        dsn: ledger.dsn.clone(),
        password: ledger.password().map_err(NotStarted::Refused)?,
        lease: ledger.lease,
        retention: ledger.retention,
        samples_for: ledger.samples_for,
        replica: replica(port),
    };
    let zones = Arc::new(Zones::open(start.tzdir.as_deref()));
    let loader =
        Loader::new(start.config, start.paths, &settings, zones).map_err(NotStarted::Refused)?;
    if !listen.ip().is_loopback() && !access.is_asked() {
        tracing::warn!(
            "everybody who reaches {listen} may look: `web` names neither `viewer_token` nor users"
        );
    }
    for warning in settings.notices.warnings() {
        tracing::warn!("{warning}");
    }
    let (ledger, dsn) = (store, settings.ledger.dsn.to_string());
    let opened = systemd::while_starting(Store::open(ledger.clone()));
    let store = match engine_runtime.block_on(opened) {
        Ok(store) => Some(store),
        // A server comes back; what is wrong with a file does not pass by itself.
        Err(trouble) if trouble.may_pass() && settings.ledger.is_shared() => {
            tracing::error!(
                "the ledger, {dsn}, is not there: {trouble}. Nothing is looked at until it is"
            );
            None
        }
        Err(trouble) => return Err(NotStarted::Io(format!("the ledger, {dsn}: {trouble}"))),
    };
    if store.as_ref().is_some_and(Store::is_new) {
        tracing::warn!("the ledger is new, and nothing is known of before: {dsn}");
    }
    Ok(Opened { senders, listener, web, access, store, ledger, loader, settings })
}

/// A part that ends by itself is a fault, and stops the rest.
async fn ends(part: impl Future<Output = ()>, stop: CancellationToken) {
    part.await;
    if !stop.is_cancelled() {
        tracing::error!("a part of the daemon ended by itself: stopping");
        stop.cancel();
    }
}

/// SIGTERM and Ctrl-C: once to stop in order, twice to stop at once.
async fn signals(
    (mut int, mut term): (Signal, Signal),
    stop: CancellationToken,
    hurry: CancellationToken,
) {
    loop {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            () = hurry.cancelled() => return,
        }
        if stop.is_cancelled() {
            tracing::warn!("stopping at once: what runs is cancelled at the servers");
            hurry.cancel();
        } else {
            systemd::stopping();
            tracing::info!("stopping: what runs may end; a second signal stops it");
            stop.cancel();
        }
    }
}

/// A name that no other start has. What stands before its last two parts is the same for each start at a port.
fn replica(port: u16) -> String {
    // The kernel's word is hidden from a unit that sees only its own processes.
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let read = |file: &&str| std::fs::read_to_string(file).ok().map(|name| name.trim().to_owned());
    let host = files.iter().filter_map(read).find(|name| !name.is_empty());
    let host = host.as_deref().unwrap_or("replica");
    let nonce = RandomState::new().hash_one(std::process::id()) & 0xffff_ffff;
    format!("{host}:{port}-{}-{nonce:08x}", std::process::id())
}
