//! The daemon's door: health, API and metrics, and the few things that an operator may order.
//!
//! What is shown comes from the engine's picture and from the ledger's reader; what is ordered goes
//! to the engine. It listens on this machine only, unless the settings say otherwise.

mod access;
mod operator;
mod look;
mod orders;
mod adopted;
mod shrink;
mod quiet;
mod forget;
mod generations;
mod plan;
mod deps;
mod drills;
mod outgoing;
mod api;
mod instants;
mod config;
mod health;
mod listen;
mod unread;
mod metrics;
mod problem;
pub mod watchdog;
mod filter;
mod history;
mod origin;
mod pages;
mod proxy;
mod ranges;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::order::Orders;
use crate::engine::ports::Watched;
use crate::engine::snapshot::Snapshot;
use crate::ledger::Reader;
use crate::notify::alert_path::Paths;
use crate::notify::nonces::Nonces;
use crate::web::problem::Problem;

pub use access::{Access, Tokens};
pub use config::{WebConfig, read as read_config};
pub use listen::{Listener, bind};
pub use proxy::{Network, Proxy};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// How many answers that ask the ledger are made at once; health and metrics are not counted.
const AT_ONCE: usize = 16;

/// Somebody's wish that the catalogue is loaded anew, and where he hears of it.
pub type ReloadWish = oneshot::Sender<Result<String, String>>;

/// What the door knows.
#[derive(Debug)]
pub struct Server {
    /// The engine's picture.
    pub pictures: watch::Receiver<Arc<Snapshot>>,
    /// The ledger's reader.
    pub reader: Reader,
    /// The way to order.
    pub orders: Orders<Watched>,
    /// The way to have the catalogue loaded anew.
    pub reloads: mpsc::Sender<ReloadWish>,
    /// Who may look, and who may act.
    pub access: Access,
    /// The ways out.
    pub paths: Paths,
    /// How the ways out are proved.
    pub nonces: Option<Nonces>,
    /// Whether `POST /-/reload` does something.
    pub lifecycle: bool,
    /// Which pages there are, and where.
    pub pages: Pages,
    /// Headers that the operator wants on each answer.
    pub headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// Which pages there are, and where.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Whether there are any.
    pub are_shown: bool,
    /// Whether everybody sees badges, where viewers need a token otherwise.
    pub has_badges: bool,
    /// How people reach them.
    pub public_url: Option<String>,
}

/// How often a wrong token is told.
const BAD_TOKEN_EACH: Duration = Duration::from_secs(60);

/// What handlers share.
#[derive(Debug)]
struct Shared {
    door: Server,
    busy: Semaphore,
    /// Where windows are open, as it was read last for the first page.
    maps: tokio::sync::Mutex<Option<pages::Maps>>,
    /// What one picture says of all checks together, as it was counted last.
    surveys: pages::Surveys,
    /// What came back of drills.
    drills: drills::Drills,
    /// What was compared in shadow last.
    comparison: plan::Comparison,
    /// When it was last told that a message came with a wrong token.
    bad_token_at: std::sync::Mutex<Option<tokio::time::Instant>>,
}

impl Shared {
    fn picture(&self) -> Arc<Snapshot> {
        self.door.pictures.borrow().clone()
    }

    /// A message came to where Alertmanager's come, with a wrong token: that is told now and then.
    fn log_bad_token(&self) {
        let now = tokio::time::Instant::now();
        let Ok(mut logged_at) = self.bad_token_at.lock() else { return };
        if logged_at.is_none_or(|at| now - at >= BAD_TOKEN_EACH) {
            *logged_at = Some(now);
            tracing::warn!(
                "something comes to /webhooks/alertmanager with a wrong token: has Alertmanager's receiver \
                 the same as `watchdog`?"
            );
        }
    }
}

type Here = State<Arc<Shared>>;

/// Serves until it is told to stop; then what is under way ends.
pub fn serve(
    door: Server,
    listener: Listener,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let shared = Arc::new(Shared {
        door,
        busy: Semaphore::new(AT_ONCE),
        maps: tokio::sync::Mutex::default(),
        surveys: pages::Surveys::default(),
        drills: drills::Drills::default(),
        comparison: plan::Comparison::default(),
        bad_token_at: std::sync::Mutex::new(None),
    });
    listen::serve(router(shared), listener, stop)
}

fn router(shared: Arc<Shared>) -> Router {
    let Pages { are_shown, has_badges, .. } = shared.door.pages;
    let api = Router::new()
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/checks", get(api::checks))
        .route("/api/v1/checks/{id}/windows", get(history::windows))
        .route("/api/v1/events", get(history::events))
        .route("/api/v1/generations", get(generations::generations))
        .route("/api/v1/generations/{id}", get(generations::generation))
        .route("/api/v1/generations/{id}/approve", post(generations::approve))
        .route("/api/v1/generations/{id}/reject", post(generations::reject))
        .route("/api/v1/rollback", post(generations::roll_back))
        .route("/api/v1/settings", get(plan::settings))
        .route("/api/v1/waivers", get(history::waivers))
        .route("/api/v1/rerun", post(operator::rerun))
        .route("/api/v1/waive", post(operator::waive))
        .route("/api/v1/accept-zones", post(shrink::accept))
        .route("/api/v1/adopted", get(adopted::adopted))
        .route("/api/v1/adopted/end", post(adopted::end))
        .route("/api/v1/quiet", get(quiet::quiets))
        .route("/api/v1/quiet", post(quiet::quiet))
        .route("/api/v1/deps", get(deps::deps))
        .route("/api/v1/drills", get(drills::drills))
        .route("/api/v1/drills", post(drills::note))
        .route("/api/v1/drills/heard", post(drills::heard))
        .route("/api/v1/drills/{drill}", get(drills::drill))
        .route("/api/v1/forget", post(forget::forget))
        .route("/api/v1/looks", get(look::looks))
        .route("/api/v1/orders", get(orders::orders))
        .route("/api/v1/orders/{id}", get(orders::order))
        .merge(if are_shown { pages::of_the_ledger() } else { Router::new() })
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), limited));
    let guarded = Router::new()
        .merge(api)
        .route("/api/v1/look", post(look::look))
        .route("/api/v1/plan", post(plan::begin))
        .route("/api/v1/plan/{id}", get(plan::result))
        .route("/allswell", get(health::allswell))
        .route("/metrics", get(metrics::metrics))
        .route("/-/reload", post(operator::reload))
        .merge(match are_shown {
            true => pages::of_the_picture(),
            false => Router::new().route("/", get(health::index)),
        })
        .merge(if has_badges { Router::new() } else { pages::badges() })
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), access::guard));
    Router::new()
        .merge(guarded)
        .merge(if are_shown { pages::open() } else { Router::new() })
        .merge(if has_badges { pages::badges() } else { Router::new() })
        .route("/webhooks/alertmanager", post(watchdog::receive))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), dressed))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), finished))
        .with_state(shared)
}

/// Puts what went wrong on a page, where there are pages.
async fn dressed(state: Here, request: Request, next: Next) -> Response {
    match state.0.door.pages.are_shown {
        true => pages::dressed(state, request, next).await,
        false => next.run(request).await,
    }
}

/// Refuses at once what would only wait.
async fn limited(State(shared): Here, request: Request, next: Next) -> Response {
    match shared.busy.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => {
            let detail = "too many answers are being made; try again in a moment";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            ([(header::RETRY_AFTER, "1")], problem).into_response()
        }
    }
}

/// Ends each answer in time, with the headers that keep browsers from making something of it.
async fn finished(State(shared): Here, request: Request, next: Next) -> Response {
    let mut response = match timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "the answer took too long").into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in &shared.door.headers {
        headers.insert(name.clone(), value.clone());
    }
    response
}
