//! Our own accept loop: slow headers, many idle connections and large requests cost little, and
//! a client that asks something is served.
//!
//! axum's own loop installs no timer, so that hyper's limit on headers does nothing
//! (docs/internals/resilience.md, "Slow clients").

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::web::proxy::Peer;
use crate::web::unread::{Noted, Unread};

/// How many connections are open at once, at most: fewer where descriptors are few, because the
/// databases need some too. For one more, the one that has been idle longest is closed.
const CONNECTIONS: usize = 1_024;
/// How long a new client is left alone before it has to make room for others: as long as it takes
/// it to send a request.
const WELCOME: Duration = Duration::from_millis(500);
/// How long a client may take for its headers, also between two requests, and for TLS.
const HEADERS: Duration = Duration::from_secs(10);
/// How long an answer may wait for a client that does not read it.
const UNREAD: Duration = Duration::from_secs(30);
/// How large the head of a request may be, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// How many headers a request may have.
const HEADERS_MAX: usize = 64;
/// How long what is under way may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// A bound socket, with how connections on it are encrypted.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// Where the socket does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Binds a socket; nothing is served yet.
///
/// # Errors
/// Where the address is taken, or not ours.
pub async fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<Listener> {
    Ok(Listener { socket: TcpListener::bind(address).await?, tls })
}

/// A connection, as far as others have to know of it.
#[derive(Debug, Clone)]
struct Connection {
    came: Instant,
    busy: Arc<AtomicBool>,
    leave: CancellationToken,
}

/// Who is connected, oldest first.
#[derive(Debug)]
struct Connections {
    most: usize,
    all: Mutex<BTreeMap<u64, Connection>>,
}

impl Connections {
    /// Waits for room, and asks an idle client to leave where there is none.
    async fn make_room(&self) {
        while let Some(pause) = self.crowded() {
            sleep(pause).await;
        }
    }

    /// How long to wait until there may be room; nothing where there is.
    fn crowded(&self) -> Option<Duration> {
        const ALL_BUSY: Duration = Duration::from_millis(50);
        let mut connections = self.all.lock().ok()?;
        if connections.len() < self.most {
            return None;
        }
        let idle =
            connections.iter().find(|(_, connection)| !connection.busy.load(Ordering::Relaxed));
        let Some((number, connection)) = idle.map(|(number, connection)| (*number, connection))
        else {
            return Some(ALL_BUSY);
        };
        let stays = WELCOME.saturating_sub(connection.came.elapsed());
        if !stays.is_zero() {
            return Some(stays.min(ALL_BUSY));
        }
        connection.leave.cancel();
        connections.remove(&number);
        None
    }

    fn enter(&self, number: u64) -> Option<Connection> {
        let connection = Connection {
            came: Instant::now(),
            busy: Arc::new(AtomicBool::new(false)),
            leave: CancellationToken::new(),
        };
        self.all.lock().ok()?.insert(number, connection.clone());
        Some(connection)
    }

    fn left(&self, number: u64) {
        if let Ok(mut connections) = self.all.lock() {
            connections.remove(&number);
        }
    }
}

/// A connection that is there; however it ends, its place is free again.
struct Entered {
    open: Arc<Connections>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.left(self.number);
    }
}

/// Takes as many descriptors as we may have, and says how many those are.
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// More than anything here needs.
    const PLENTY: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(PLENTY).min(PLENTY);
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        // What there is has to do.
        Err(_) => limit.current.unwrap_or(PLENTY),
    };
    usize::try_from(current).unwrap_or(usize::MAX)
}

pub(super) fn serve(
    router: Router,
    listener: Listener,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let Listener { socket, tls } = listener;
    let acceptor = tls.map(TlsAcceptor::from);
    async move {
        let most = CONNECTIONS.min(descriptors() / 2).max(16);
        let open = Arc::new(Connections { most, all: Mutex::new(BTreeMap::new()) });
        let mut tasks = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next() => {}
                // Whoever comes while there is no room waits outside.
                accepted = async { open.make_room().await; socket.accept().await } => match accepted {
                    Ok((stream, from)) => {
                        number += 1;
                        let peer = Peer { address: from.ip(), is_encrypted: acceptor.is_some() };
                        let Some(connection) = open.enter(number) else { continue };
                        let (open, router) = (Arc::clone(&open), router.clone());
                        let (acceptor, stop) = (acceptor.clone(), stop.clone());
                        tasks.spawn(async move {
                            let _entered = Entered { open, number };
                            serve_connection((stream, peer), acceptor, router, &connection, &stop).await;
                        });
                    }
                    // No descriptors left, or a client that went away: both pass.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
            }
        }
        drop(socket);
        let all = async { while tasks.join_next().await.is_some() {} };
        drop(timeout(FAREWELL, all).await);
    }
}

async fn serve_connection(
    (stream, peer): (TcpStream, Peer),
    acceptor: Option<TlsAcceptor>,
    router: Router,
    connection: &Connection,
    stop: &CancellationToken,
) {
    drop(stream.set_nodelay(true));
    match acceptor {
        None => serve_requests((stream, peer), router, connection, stop).await,
        Some(acceptor) => {
            let shaken = tokio::select! {
                () = connection.leave.cancelled() => return,
                shaken = timeout(HEADERS, acceptor.accept(stream)) => shaken,
            };
            if let Ok(Ok(stream)) = shaken {
                serve_requests((stream, peer), router, connection, stop).await;
            }
        }
    }
}

async fn serve_requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (stream, peer): (S, Peer),
    router: Router,
    connection: &Connection,
    stop: &CancellationToken,
) {
    let busy = Arc::clone(&connection.busy);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (router, busy) = (router.clone(), Arc::clone(&busy));
        async move {
            busy.store(true, Ordering::Relaxed);
            let answer = router.oneshot(request).await;
            busy.store(false, Ordering::Relaxed);
            answer
        }
    });
    let unread = Unread::default();
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Noted { stream, unread: unread.clone() }), service);
    let mut http = std::pin::pin!(http);
    // What a client does wrong is the client's: it is not logged.
    tokio::select! {
        _ = &mut http => return,
        () = connection.leave.cancelled() => return,
        () = unread.for_longer_than(UNREAD) => return,
        () = stop.cancelled() => http.as_mut().graceful_shutdown(),
    }
    drop(http.await);
}
