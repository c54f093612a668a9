//! What the broker is and how it is, and whether it is at all.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use crate::daemon::http::answer::{Answer, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::listeners;
use crate::daemon::http::login::Visitor;
use crate::daemon::http::process;
use crate::daemon::http::sample::{Sample, rounded, time};
use crate::daemon::http::serve::Arrival;

pub(super) async fn overview(State(app): State<Arc<App>>) -> Answer {
    let sample = Sample::take(&app).await?;
    let listeners = listeners::rows(&app).await?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time(app.started_at),
        "now": time(Timestamp::now()),
        "uptime_s": rounded(sample.uptime_s),
        "workers": app.workers().len(),
        "node": process::node(),
        "persistence": app.core.persists,
        "anonymous": app.asked().anonymous,
        "listeners": listeners,
        "sample": sample.json(),
    })))
}

/// Who asks, and what that lets him do.
pub(super) async fn me(
    Extension(arrival): Extension<Arrival>,
    Extension(visitor): Extension<Visitor>,
) -> Json {
    Json(json!({
        "user": visitor.user.as_deref(),
        "token": visitor.by_token,
        "admin": visitor.is_admin,
        "login_wanted": arrival.door.is_open(),
    }))
}

/// All of this, for programs; the tests hold it against what is answered.
pub(super) async fn openapi() -> Response {
    let text = include_str!("openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Every worker comes to the end of its turn.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    match asking::ask_all(app.workers(), |_| ()).await {
        Ok(_) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}
