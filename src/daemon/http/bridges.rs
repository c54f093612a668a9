//! Bridges: what they are asked to be, and how they are, which their Sessions here tell.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::bridge::failures::Failed;
use crate::daemon::conf::bridge_words::{BridgeTopic, Direction};
use crate::daemon::http::answer::{Answer, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::clients;
use crate::daemon::http::sample::time;

pub(super) async fn bridges(State(app): State<Arc<App>>) -> Answer {
    let asked = app.asked();
    let confs = &asked.bridges;
    let mut rows = Vec::with_capacity(confs.len());
    for conf in confs.iter() {
        let found = clients::find(&app, &conf.local_id).await?;
        let client = found.map(|found| clients::row(&found, &[]));
        let failed = app.core.failures.of(&conf.name);
        rows.push(row(conf, client.unwrap_or_default(), failed.as_ref()));
    }
    Ok(Json(json!({ "bridges": rows })))
}

/// A bridge is connected here as long as it is there.
fn row(conf: &BridgeConf, client: Value, failed: Option<&Failed>) -> Value {
    let addresses = conf.addresses.iter();
    json!({
        "name": conf.name,
        "addresses": addresses.map(|one| format!("{}:{}", one.host, one.port)).collect::<Vec<_>>(),
        "connected": client["connected"] == true,
        "since": client["connected_at"],
        "topics": conf.topics.iter().map(topic).collect::<Vec<Value>>(),
        "local_id": conf.local_id,
        "remote_id": conf.remote_id,
        "queued": client["queued"].as_u64().unwrap_or(0),
        "inflight": client["inflight"].as_u64().unwrap_or(0),
        "messages_in": client["messages_in"].as_u64().unwrap_or(0),
        "messages_out": client["messages_out"].as_u64().unwrap_or(0),
        "failures": failed.map_or(0, |failed| failed.count),
        "last_error": failed.map(last),
    })
}

fn last(failed: &Failed) -> Value {
    let at = Timestamp::try_from(failed.at).ok();
    json!({ "at": at.map(time), "text": failed.what })
}

fn topic(topic: &BridgeTopic) -> Value {
    json!({
        "pattern": topic.pattern,
        "direction": match topic.direction {
            Direction::Out => "out",
            Direction::In => "in",
            Direction::Both => "both",
        },
        "qos": topic.qos.bits(),
        "local_prefix": topic.local_prefix,
        "remote_prefix": topic.remote_prefix,
    })
}
