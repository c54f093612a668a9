//! Retained messages: searched a part at a time, read, taken away.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::daemon::http::answer::{Answer, Fault, Json, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::payload;
use crate::daemon::http::query::Query;
use crate::daemon::http::sample::{rounded, time};
use crate::mqtt::message::Message;
use crate::mqtt::property::PropertyId;
use crate::mqtt::topic;

/// Rows of a page.
const PAGE_MAX: usize = 1_000;

/// Parts that are searched for one page; what is beyond is for the next.
const PARTS_MAX: usize = 64;

/// Bytes of a payload in a list, and of one that is asked for by its topic.
const SHOWN_MAX: usize = 4_096;
const WHOLE_MAX: usize = 1_048_576;

/// Messages taken away in a turn.
const CLEARED_MAX: usize = 256;

/// The broker's own topics come again.
const OWN: &str = "$SYS/";

pub(super) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::read(query.as_deref(), &["filter", "limit", "from"])?;
    let filter = query.one("filter")?.unwrap_or("#");
    check(filter)?;
    let limit = query.number("limit", 1..=PAGE_MAX, 100)?;
    let mut next = Some(query.number("from", 0..=u32::MAX, 0)?);
    let mut rows = Vec::new();
    for _ in 0..PARTS_MAX {
        let Some(from) = next else { break };
        let most = limit - rows.len();
        if most == 0 {
            break;
        }
        let page = app
            .core
            .shared
            .retained_page(filter, from, most, Instant::now());
        rows.extend(
            page.rows
                .iter()
                .map(|(message, age)| Value::Object(row(message, *age))),
        );
        next = page.next;
        // Others have their turn.
        tokio::task::yield_now().await;
    }
    let (total, bytes) = app.core.shared.retained_totals();
    Ok(Json(json!({
        "filter": filter,
        "total": total,
        "bytes": bytes,
        "next": next.map(|next| next.to_string()),
        "rows": rows,
    })))
}

pub(super) async fn message(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::read(query.as_deref(), &["topic"])?;
    let topic = query
        .one("topic")?
        .ok_or_else(|| Fault::bad("topic is wanted"))?;
    topic::check_name(topic).map_err(|what| Fault::bad(format!("topic: {what}")))?;
    let page = app.core.shared.retained_page(topic, 0, 1, Instant::now());
    let found = page.rows.first();
    let missing = || Fault::not_found(format!("nothing is retained for {topic:?}"));
    let (message, age) = found.ok_or_else(missing)?;
    let mut all = row(message, *age);
    payload::put(&mut all, message.payload(), WHOLE_MAX);
    let properties = message.properties();
    let correlation = properties.binary(PropertyId::CorrelationData);
    let users: Vec<[&str; 2]> = properties.user_properties().map(|(k, v)| [k, v]).collect();
    all.insert(
        "response_topic".to_owned(),
        json!(properties.text(PropertyId::ResponseTopic)),
    );
    let correlation = correlation.map(|data| BASE64_STANDARD.encode(data));
    all.insert("correlation_data".to_owned(), json!(correlation));
    all.insert("user_properties".to_owned(), json!(users));
    Ok(Json(Value::Object(all)))
}

pub(super) async fn clear(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::read(query.as_deref(), &["filter"])?;
    let filter = query
        .one("filter")?
        .ok_or_else(|| Fault::bad("filter is wanted"))?;
    check(filter)?;
    let (mut next, mut deleted) = (Some(0), 0);
    while let Some(from) = next {
        let page = app
            .core
            .shared
            .retained_page(filter, from, CLEARED_MAX, Instant::now());
        let topics = page
            .rows
            .iter()
            .map(|(message, _)| message.topic().to_owned());
        let topics: Vec<String> = topics.filter(|topic| !topic.starts_with(OWN)).collect();
        deleted += topics.len();
        if !topics.is_empty() {
            let clear = move |worker: &mut crate::daemon::worker::Worker| {
                worker.broker.clear_topics(&topics, worker.now)
            };
            if !asking::ask(app.workers(), 0, clear).await? {
                return Err(Fault::new(
                    Kind::Busy,
                    "the store cannot note it at present",
                ));
            }
        }
        next = page.next;
        tokio::task::yield_now().await;
    }
    Ok(Json(json!({ "deleted": deleted })))
}

fn check(filter: &str) -> Result<(), Fault> {
    let shared = topic::split_share(filter).is_some();
    match topic::check_filter(filter) {
        Ok(()) if !shared => Ok(()),
        Ok(()) => Err(Fault::bad(
            "filter: nothing is retained for Shared Subscriptions",
        )),
        Err(what) => Err(Fault::bad(format!("filter: {what}"))),
    }
}

fn row(message: &Message, age: Duration) -> Map<String, Value> {
    let mut all = Map::new();
    let now = Instant::now();
    let at = SignedDuration::try_from(age).ok();
    let at = at.and_then(|age| Timestamp::now().checked_sub(age).ok());
    let left = message
        .expires()
        .map(|at| at.saturating_duration_since(now));
    all.insert("topic".to_owned(), json!(message.topic()));
    all.insert("qos".to_owned(), json!(message.qos().bits()));
    payload::put(&mut all, message.payload(), SHOWN_MAX);
    let kind = message.properties().text(PropertyId::ContentType);
    all.insert("content_type".to_owned(), json!(kind));
    let left = left.map(|left| rounded(left.as_secs_f64()));
    all.insert("expires_in_s".to_owned(), json!(left));
    all.insert("at".to_owned(), json!(at.map(time)));
    all
}
