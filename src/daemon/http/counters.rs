//! What is counted, and the numbers that bound it.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use crate::broker::Stats;
use crate::broker::limits::ROWS;
use crate::daemon::http::answer::{Answer, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;

pub(super) async fn limits(State(app): State<Arc<App>>) -> Answer {
    let limits = asking::ask(app.workers(), 0, |worker| worker.broker.limits().clone()).await?;
    let rows = ROWS.iter().map(|row| {
        json!({
            "name": row.name,
            "value": limits.value(row.name),
            "default": row.default,
            "least": row.least,
            "most": row.most,
            "why": row.why.trim(),
        })
    });
    Ok(Json(json!({ "limits": rows.collect::<Vec<Value>>() })))
}

pub(super) async fn counters(State(app): State<Arc<App>>) -> Answer {
    let mut stats = Stats::default();
    for part in asking::ask_all(app.workers(), |worker| worker.broker.stats()).await? {
        stats.add(&part);
    }
    let whats = Stats::whats();
    let rows = stats
        .rows()
        .zip(whats)
        .map(|((name, value), what)| json!({ "name": name, "value": value, "what": what.trim() }));
    Ok(Json(json!({ "counters": rows.collect::<Vec<Value>>() })))
}
