//! What all handlers share, and TABLE: which path leads to which of them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::broker::Shared;
use crate::daemon::auth::Authenticator;
use crate::daemon::bridge::failures::Failures;
use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::asked::Asked;
use crate::daemon::http::events::{self, Sampler};
use crate::daemon::http::latency::Latencies;
use crate::daemon::http::listening::Door;
use crate::daemon::http::login::Logins;
use crate::daemon::http::refusals::Refusals;
use crate::daemon::http::sample::Own;
use crate::daemon::http::seats::Seats;
use crate::daemon::http::serve::Arrival;
use crate::daemon::http::topics::{self, Topics};
use crate::daemon::http::{Service, bridges, client, clients, counters, gate, listeners, metrics};
use crate::daemon::http::{mosquitto, overview, pages, publish, retained, subscribe, tail};
use crate::daemon::log::Log;
use crate::daemon::workers::Workers;

/// What the thread is given of the broker.
pub(crate) struct Core {
    pub(crate) workers: Workers,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) authenticator: Authenticator,
    /// What went wrong with bridges.
    pub(crate) failures: Failures,
    /// What is kept survives a restart.
    pub(crate) persists: bool,
    /// Thirty-two bytes nobody can guess.
    pub(crate) chance: [u8; 32],
}

/// See the module.
pub(super) struct App {
    pub(super) core: Core,
    pub(super) logins: Logins,
    pub(super) begun: Instant,
    pub(super) started_at: Timestamp,
    pub(super) sampler: Sampler,
    pub(super) topics: Topics,
    pub(super) own: Own,
    /// Until a worker came to a question, and until a request had its answer.
    pub(super) answers: Latencies,
    pub(super) requests: Latencies,
    /// Room for connections, for pages that look, and for readers of messages.
    pub(super) connections: Seats,
    pub(super) watchers: Seats,
    pub(super) readers: Seats,
    pub(super) refusals: Refusals,
    asked: watch::Receiver<Arc<Asked>>,
    stopping: watch::Receiver<bool>,
}

impl App {
    pub(super) fn new(
        core: Core,
        asked: watch::Receiver<Arc<Asked>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let guard = core.authenticator.clone();
        let judge = move |login| guard.log_in(login);
        Self {
            logins: Logins::new(judge, asked.clone(), core.chance),
            core,
            begun: Instant::now(),
            started_at: Timestamp::now(),
            sampler: Sampler::new(),
            topics: Topics::default(),
            own: Own::default(),
            answers: Latencies::default(),
            requests: Latencies::default(),
            connections: Seats::default(),
            watchers: Seats::default(),
            readers: Seats::default(),
            refusals: Refusals::default(),
            asked,
            stopping,
        }
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.core.workers
    }

    /// What the configuration says now.
    pub(super) fn asked(&self) -> Arc<Asked> {
        Arc::clone(&self.asked.borrow())
    }

    /// Tells when that changes.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Asked>> {
        let mut changes = self.asked.clone();
        changes.mark_unchanged();
        changes
    }

    /// Tells when that has changed since an edition.
    pub(super) fn changes_since(&self, since: u64) -> watch::Receiver<Arc<Asked>> {
        let mut changes = self.asked.clone();
        if changes.borrow_and_update().edition != since {
            changes.mark_changed();
        }
        changes
    }

    pub(super) fn log(&self) -> &Log {
        &self.core.log
    }

    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.core.authenticator
    }

    /// Tells when it is time to stop.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }
}

/// The paths of a listener.
pub(super) fn router(app: &Arc<App>, door: &Door) -> Router {
    if door.service != Service::Whole {
        let whole = Router::new().fallback(mosquitto::answer);
        return whole.with_state(Arc::clone(app));
    }
    let guarded = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/overview", get(overview::overview))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/history", get(events::history))
        .route("/api/v1/listeners", get(listeners::listeners))
        .route("/api/v1/clients", get(clients::clients))
        .route(
            "/api/v1/clients/{id}",
            get(client::client).delete(clients::kick),
        )
        .route(
            "/api/v1/retained",
            get(retained::list).delete(retained::clear),
        )
        .route("/api/v1/retained/message", get(retained::message))
        .route("/api/v1/topics", get(topics::topics))
        .route("/api/v1/bridges", get(bridges::bridges))
        .route("/api/v1/log", get(tail::log))
        .route("/api/v1/limits", get(counters::limits))
        .route("/api/v1/counters", get(counters::counters))
        .route_layer(middleware::from_fn_with_state(Arc::clone(app), for_admins));
    let known = Router::new()
        .route("/api/v1/me", get(overview::me))
        .route("/api/v1/publish", post(publish::publish))
        .route("/api/v1/subscribe", get(subscribe::subscribe))
        .route_layer(middleware::from_fn_with_state(Arc::clone(app), for_users));
    Router::new()
        .route("/", get(pages::dashboard))
        .route("/client", get(pages::client))
        .route("/assets/{name}", get(pages::asset))
        .route("/healthz", get(overview::healthz))
        .route("/readyz", get(overview::readyz))
        .route("/api/v1/openapi.json", get(overview::openapi))
        .merge(guarded)
        .merge(known)
        .route("/mqtt", get(no_websocket))
        .fallback(nothing)
        .method_not_allowed_fallback(not_that)
        .layer(middleware::from_fn(own_pages))
        .layer(middleware::from_fn(pages::dressed))
        .layer(middleware::from_fn_with_state(Arc::clone(app), timed))
        .with_state(Arc::clone(app))
}

async fn nothing(request: Request<Body>) -> Fault {
    Fault::not_found(format!("there is no {}", request.uri().path()))
}

async fn not_that(request: Request<Body>) -> Fault {
    let (method, path) = (request.method(), request.uri().path());
    let what = format!("{path} does not take {method}");
    Fault::new(Kind::MethodNotAllowed, what)
}

/// Notes how long an answer took.
async fn timed(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    app.requests.note(begun.elapsed());
    response
}

/// Turns requests of other sites' pages away.
async fn own_pages(request: Request<Body>, next: Next) -> Response {
    let local_only = match request.extensions().get::<Arrival>() {
        Some(arrival) => arrival.is_local_only(),
        None => false,
    };
    match gate::check(request.headers(), local_only) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

/// Lets administrators pass, and leaves word of who it is.
async fn for_admins(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let mut request = request;
    match identify(&app, &mut request).await {
        Err(refused) => refused,
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let what = "the user may not administrate: the right to publish to $CONTROL/broker/v1 \
                        is wanted";
            Fault::new(Kind::Forbidden, what).into_response()
        }
    }
}

/// Lets everybody pass who is somebody.
async fn for_users(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let mut request = request;
    match identify(&app, &mut request).await {
        Err(refused) => refused,
        Ok(_) => next.run(request).await,
    }
}

/// Requests that are as they should be go another way.
async fn no_websocket() -> Fault {
    let what = "a WebSocket is wanted here, from a page of this server";
    Fault::new(Kind::UpgradeWanted, what)
}

/// Leaves word of who asks; whether it is an administrator.
async fn identify(app: &App, request: &mut Request<Body>) -> Result<bool, Response> {
    let Some(arrival) = request.extensions().get::<Arrival>().cloned() else {
        return Err(Fault::busy().into_response());
    };
    let by_page = request.headers().contains_key("x-requested-with");
    match app.logins.visitor(request.headers(), &arrival).await {
        Ok(visitor) => {
            let is_admin = visitor.is_admin;
            request.extensions_mut().insert(visitor);
            Ok(is_admin)
        }
        Err(fault) if fault.is_about_login() => Err(fault.with_challenge(by_page)),
        Err(fault) => Err(fault.into_response()),
    }
}
