//! Where the broker listens, for clients and for visitors.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use crate::broker::listener;
use crate::daemon::conf::Place;
use crate::daemon::http::answer::{Answer, Fault, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::mqtt::Version;
use crate::net::tls::session::Server;

/// The path that speaks MQTT over WebSocket.
const WEBSOCKET: &str = "/mqtt";

/// A listener as a worker has it.
pub(super) struct Known {
    pub(super) protocol: &'static str,
    pub(super) place: Place,
    pub(super) listener: Arc<listener::Listener>,
    pub(super) tls: bool,
    /// Clients without a certificate are turned away.
    pub(super) certificate_wanted: bool,
}

pub(super) async fn listeners(State(app): State<Arc<App>>) -> Answer {
    Ok(Json(
        json!({ "listeners": rows(&app).await?, "websocket": WEBSOCKET }),
    ))
}

/// As answers show them.
pub(super) async fn rows(app: &App) -> Result<Vec<Value>, Fault> {
    let all = known(app).await?;
    Ok(all.iter().map(|one| row(app, one)).collect())
}

/// All of them, those of HTTP last.
pub(super) async fn known(app: &App) -> Result<Vec<Known>, Fault> {
    // The first worker accepts.
    let mut all = asking::ask(app.workers(), 0, |worker| {
        let listeners = worker.seat.listeners.iter();
        let known = listeners.map(|one| Known {
            protocol: one.endpoint.protocol(),
            place: one.place.clone(),
            listener: Arc::clone(&one.rules),
            tls: one.endpoint.tls.is_some(),
            certificate_wanted: wants_certificate(one.endpoint.tls.as_ref()),
        });
        known.collect::<Vec<_>>()
    })
    .await?;
    all.extend(app.asked().doors.iter().map(|door| Known {
        protocol: door.protocol(),
        place: door.place.clone(),
        listener: Arc::clone(&door.rules),
        tls: door.tls.is_some(),
        certificate_wanted: wants_certificate(door.tls.as_ref()),
    }));
    Ok(all)
}

fn wants_certificate(tls: Option<&Server>) -> bool {
    match tls {
        Some(Server::Certificate(server)) => server.options().client_cert_required,
        _ => false,
    }
}

fn row(app: &App, known: &Known) -> Value {
    let rules = &known.listener.rules;
    let versions = Version::ALL.iter();
    let versions = versions.filter(|version| rules.versions.has(**version));
    let most = rules.connections_max;
    json!({
        "protocol": known.protocol,
        "address": known.place.to_string(),
        "port": match &known.place {
            Place::Tcp(address) => Some(address.port()),
            Place::Unix(_) => None,
        },
        "tls": known.tls,
        "anonymous": rules.anonymous.unwrap_or(app.asked().anonymous),
        "connections": known.listener.connections(),
        "connections_max": (most != usize::MAX).then_some(most),
        "mount_point": rules.mount_point,
        "qos_max": rules.qos_max.bits(),
        "versions": versions.map(Version::to_string).collect::<Vec<String>>(),
    })
}
