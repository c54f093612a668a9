//! One client whole: its Session, its Subscriptions, and what waits for it.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

use crate::broker::InflightRow;
use crate::broker::QueuedRow;
use crate::broker::SubscriptionRow;
use crate::daemon::http::answer::{Answer, Fault, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::clients;
use crate::daemon::http::listeners;
use crate::daemon::http::payload;

/// Subscriptions that are shown.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// Messages of a queue that are shown, and those in flight.
const MESSAGES_MAX: usize = 100;

/// Bytes of a payload that are shown in a list.
const SHOWN_MAX: usize = 4_096;

pub(super) async fn client(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer {
    let unknown = || Fault::not_found(format!("there is no client {id:?}"));
    let found = clients::find(&app, &id).await?.ok_or_else(unknown)?;
    let name: Arc<str> = id.as_str().into();
    let parts = asking::ask_all(app.workers(), move |worker| {
        let held = worker
            .broker
            .subscriptions_of(&name, 0, SUBSCRIPTIONS_MAX)?;
        Some((held, worker.broker.waiting_for(&name, MESSAGES_MAX)?))
    });
    let parts = parts.await?.into_iter().flatten().next();
    let (subscriptions, waiting) = parts.ok_or_else(unknown)?;
    let known = listeners::known(&app).await?;
    let row = &found.row;
    Ok(Json(json!({
        "client": clients::row(&found, &known),
        "subscriptions": {
            "total": row.subscriptions,
            "rows": subscriptions.rows.iter().map(subscription).collect::<Vec<Value>>(),
        },
        "queue": {
            "total": row.queued,
            "rows": waiting.queue.iter().map(queued).collect::<Vec<Value>>(),
        },
        "inflight": {
            "total": row.inflight,
            "rows": waiting.inflight.iter().map(inflight).collect::<Vec<Value>>(),
        },
    })))
}

fn subscription(row: &SubscriptionRow) -> Value {
    let options = &row.options;
    json!({
        "filter": row.filter,
        "qos": options.qos.bits(),
        "no_local": options.no_local,
        "retain_as_published": options.retain_as_published,
        "retain_handling": options.retain_handling as u8,
        "subscription_id": (row.subscription_id != 0).then_some(row.subscription_id),
    })
}

fn queued(row: &QueuedRow) -> Value {
    let mut all = Map::new();
    let topic = row.message.as_ref().map(|message| message.topic());
    all.insert("topic".to_owned(), json!(topic));
    all.insert("qos".to_owned(), json!(row.qos.bits()));
    all.insert("retain".to_owned(), json!(row.retain));
    all.insert("in_store".to_owned(), json!(row.message.is_none()));
    match &row.message {
        Some(message) => payload::put(&mut all, message.payload(), SHOWN_MAX),
        None => {
            all.insert("payload".to_owned(), Value::Null);
            all.insert("size".to_owned(), json!(row.size));
            all.insert("cut".to_owned(), json!(false));
        }
    }
    Value::Object(all)
}

fn inflight(row: &InflightRow) -> Value {
    let message = row.message.as_ref();
    json!({
        "packet_id": row.packet_id.value(),
        "state": if row.qos.is_some() { "publish" } else { "pubrel" },
        // Only QoS 2 has a PUBREL.
        "qos": row.qos.map_or(2, |qos| qos.bits()),
        "topic": message.map(|message| message.topic()),
        "size": message.map(|message| message.payload().len()),
    })
}
