//! Retained messages: searched a part at a time, read, taken away.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::daemon::http::answer::{Answer, Fault, Json, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::payload;
use crate::daemon::http::query::Query;
use crate::daemon::http::rows::{self, Listed, Object, Rows};
use crate::daemon::http::sample::rounded;
use crate::mqtt::message::Message;
use crate::mqtt::property::PropertyId;
use crate::mqtt::topic;

/// Rows of a page.
const PAGE_MAX: usize = 1_000;

/// Rows that are made between two pauses.
const PART_MAX: usize = 128;

/// Parts that are searched for one page; what is beyond is for the next.
const PARTS_MAX: usize = 256;

/// Bytes of a payload in a list, and of one that is asked for by its topic.
const SHOWN_MAX: usize = 4_096;
const WHOLE_MAX: usize = 1_048_576;

/// Messages taken away in a turn.
const CLEARED_MAX: usize = 256;

/// The broker's own topics come again.
const OWN: &str = "$SYS/";

pub(super) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Listed, Fault> {
    let query = Query::read(query.as_deref(), &["filter", "limit", "from"])?;
    let filter = query.one("filter")?.unwrap_or("#");
    check(filter)?;
    let limit = query.number("limit", 1..=PAGE_MAX, 100)?;
    let mut next = Some(query.number("from", 0..=u32::MAX, 0)?);
    let mut rows = Rows::default();
    let mut parts = 0;
    while let Some(from) = next.filter(|_| rows.count() < limit && parts < PARTS_MAX) {
        let most = (limit - rows.count()).min(PART_MAX);
        let seen = Seen::now();
        let page = app.core.shared.retained_page(filter, from, most, seen.now);
        for (message, age) in &page.rows {
            rows.add(|row| seen.put(row, message, *age, SHOWN_MAX));
        }
        // A part is one that looked at as much as it may; the others are as short as they are full.
        parts += usize::from(page.rows.len() < most);
        next = page.next;
        rows::pause().await;
    }
    let (total, bytes) = app.core.shared.retained_totals();
    Ok(Listed {
        about: json!({
            "filter": filter,
            "total": total,
            "bytes": bytes,
            "next": next.map(|next| next.to_string()),
        }),
        name: "rows",
        rows,
    })
}

pub(super) async fn message(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Query::read(query.as_deref(), &["topic"])?;
    let topic = query
        .one("topic")?
        .ok_or_else(|| Fault::bad("topic is wanted"))?;
    topic::check_name(topic).map_err(|what| Fault::bad(format!("topic: {what}")))?;
    let seen = Seen::now();
    let page = app.core.shared.retained_page(topic, 0, 1, seen.now);
    let found = page.rows.first();
    let missing = || Fault::not_found(format!("nothing is retained for {topic:?}"));
    let (message, age) = found.ok_or_else(missing)?;
    let properties = message.properties();
    let correlation = properties.binary(PropertyId::CorrelationData);
    let correlation = correlation.map(|data| BASE64_STANDARD.encode(data));
    let users: Vec<[&str; 2]> = properties.user_properties().map(|(k, v)| [k, v]).collect();
    Ok(rows::one(|all| {
        seen.put(all, message, *age, WHOLE_MAX);
        all.text_or_null("response_topic", properties.text(PropertyId::ResponseTopic));
        all.text_or_null("correlation_data", correlation.as_deref());
        all.value("user_properties", &json!(users));
    }))
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
        rows::pause().await;
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

/// The moment of a look, by both clocks.
struct Seen {
    now: Instant,
    at: Timestamp,
}

impl Seen {
    fn now() -> Self {
        Self {
            now: Instant::now(),
            at: Timestamp::now(),
        }
    }

    fn put(&self, all: &mut Object<'_>, message: &Message, age: Duration, shown_max: usize) {
        let age = SignedDuration::try_from(age).ok();
        let at = age.and_then(|age| self.at.checked_sub(age).ok());
        let left = message
            .expires()
            .map(|at| at.saturating_duration_since(self.now));
        let left = left.map(|left| rounded(left.as_secs_f64()));
        let payload = message.payload();
        all.text("topic", message.topic());
        all.value("qos", &json!(message.qos().bits()));
        payload::write(all, payload, payload.len(), shown_max);
        let kind = message.properties().text(PropertyId::ContentType);
        all.text_or_null("content_type", kind);
        all.value("expires_in_s", &json!(left));
        all.time_or_null("at", at);
    }
}
