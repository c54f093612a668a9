//! Messages as server-sent events, in a visitor's name: `curl -N` is a subscriber. What the reader
//! is too slow for is dropped and counted, and the reader is told; the broker waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::{interval, timeout};

use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::line::{Line, qos};
use crate::daemon::http::login::{self, Visitor};
use crate::daemon::http::payload;
use crate::daemon::http::query::{Query, YES_OR_NO};
use crate::daemon::http::refusals::Refusals;
use crate::daemon::http::rows;
use crate::daemon::http::seats::Seat;
use crate::daemon::http::serve::Arrival;
use crate::daemon::http::stream::{self, ALIVE, ALIVE_EVERY, Events};
use crate::daemon::worker::Worker;
use crate::mqtt::Packet;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::ack;
use crate::mqtt::property::{Properties, PropertyId};
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{RetainHandling, SubscribeOptions};
use crate::mqtt::topic;

/// Filters of one reader.
const FILTERS_MAX: usize = 64;

/// Bytes of a payload that are told.
const SHOWN_MAX: usize = 65_536;

/// A reader that takes nothing for so long is gone.
const STALL_TIME: Duration = Duration::from_secs(30);

/// How often a reader is told what it has lost.
const LOST_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn subscribe(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Query::read(query.as_deref(), &["filter", "qos", "retained"])?;
    let options = SubscribeOptions {
        qos: qos(query.number("qos", 0..=2, 0)?),
        no_local: false,
        retain_as_published: true,
        retain_handling: match query.word("retained", &[YES_OR_NO[1], YES_OR_NO[0]])? {
            true => RetainHandling::Send,
            false => RetainHandling::DoNotSend,
        },
    };
    let filters: Vec<(&str, SubscribeOptions)> = query
        .all("filter")
        .map(|filter| (filter, options))
        .collect();
    if filters.is_empty() || filters.len() > FILTERS_MAX {
        return Err(Fault::bad(format!("filter: 1 to {FILTERS_MAX} are wanted")));
    }
    for (filter, _) in &filters {
        topic::check_filter(filter)
            .map_err(|what| Fault::bad(format!("filter {filter:?}: {what}")))?;
    }
    let Some(seat) = app.readers.take(app.asked().limits.http_readers_max) else {
        Refusals::note(&app, |stats| stats.http_streams_refused += 1);
        return Err(Fault::new(Kind::TooMany, "too many readers at once"));
    };
    let mut line = Line::of(&app, &visitor, &arrival).await?;
    let granted = line.subscribe(&filters).await?;
    if granted.iter().all(|reason| reason.is_error()) {
        let reason = granted
            .first()
            .copied()
            .unwrap_or(Reason::UNSPECIFIED_ERROR);
        return Err(Fault::new(Kind::Refused, reason.name()));
    }
    let rows = filters.iter().zip(&granted).map(|((filter, _), reason)| {
        let refused = reason.is_error().then(|| reason.name());
        let qos = refused.is_none().then_some(reason.value());
        json!({ "filter": filter, "qos": qos, "refused": refused })
    });
    let (events, response) = stream::open();
    let told = json!({ "filters": rows.collect::<Vec<Value>>() });
    // There is room in a queue that is new.
    let _ = events.try_send(stream::event("subscribed", &told));
    let reader = Reading {
        app,
        line,
        events,
        told: 0,
        shown: login::only(&headers),
        arrival,
        edition: visitor.edition,
    };
    tokio::spawn(reader.run(seat));
    Ok(response)
}

struct Reading {
    app: Arc<App>,
    line: Line,
    events: Events,
    /// Messages that the broker dropped, as far as the reader knows.
    told: u64,
    shown: HeaderMap,
    arrival: Arrival,
    edition: u64,
}

impl Reading {
    async fn run(mut self, seat: Seat) {
        let mut stopping = self.app.stopping();
        let why = tokio::select! {
            why = self.read() => why,
            _ = stopping.wait_for(|stop| *stop) => "the broker stops",
        };
        let _ = self
            .events
            .try_send(stream::event("end", &json!({ "reason": why })));
        self.line.close().await;
        drop(seat);
    }

    /// Reads until somebody has enough; who and why.
    async fn read(&mut self) -> &'static str {
        let (mut alive, mut look) = (interval(ALIVE_EVERY), interval(LOST_EVERY));
        let mut changes = self.app.changes_since(self.edition);
        loop {
            let part = tokio::select! {
                filled = self.line.reader.fill() => match filled {
                    Ok(()) => self.take().await,
                    Err(_) => Err("the broker ended the connection"),
                },
                () = self.events.closed() => return "the reader is gone",
                _ = alive.tick() => Ok(ALIVE),
                _ = look.tick() => Ok(self.lost().await),
                _ = changes.changed() => tokio::select! {
                    visitor = self.app.logins.again(&self.shown, &self.arrival) => match visitor {
                        Some(_) => Ok(Bytes::new()),
                        None => Err("the login does not count any more"),
                    },
                    () = self.events.closed() => return "the reader is gone",
                },
            };
            let part = match part {
                Ok(part) if part.is_empty() => continue,
                Ok(part) => part,
                Err(why) => return why,
            };
            // While this waits, what comes waits with the broker, which drops what is too much.
            match timeout(STALL_TIME, self.events.send(part)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return "the reader is gone",
                Err(_) => return "the reader reads nothing",
            }
            rows::pause().await;
        }
    }

    /// Takes what is here; why it is over, if it is.
    async fn take(&mut self) -> Result<Bytes, &'static str> {
        let (mut over, mut acks, mut part) = (None, Vec::new(), Vec::new());
        let at = Timestamp::now();
        let taken = self.line.reader.packets(|packet| {
            match packet {
                Packet::Publish(publish) => {
                    acknowledge(publish, &mut acks);
                    put_message(&mut part, publish, at);
                }
                Packet::Pubrel(pubrel) => {
                    ack::put_ack(PacketType::Pubcomp, pubrel.packet_id, &mut acks);
                }
                Packet::Disconnect(disconnect) => over = Some(disconnect.reason.name()),
                _ => {}
            }
            over.is_none()
        });
        if taken.is_err() || (!acks.is_empty() && self.line.writer.put(&acks).await.is_err()) {
            return Err("the broker ended the connection");
        }
        match over {
            Some(why) => Err(why),
            None => Ok(part.into()),
        }
    }

    /// Tells of messages that the broker dropped since it was told last.
    async fn lost(&mut self) -> Bytes {
        let id = Arc::clone(&self.line.client_id);
        let task = move |worker: &mut Worker| worker.broker.lost_by(&id);
        let answers = asking::ask_all(self.app.workers(), task).await;
        let lost = answers.into_iter().flatten().flatten().sum::<u64>();
        let news = lost.saturating_sub(self.told);
        self.told = lost.max(self.told);
        match news {
            0 => Bytes::new(),
            _ => stream::event("lost", &json!({ "lost": news })),
        }
    }
}

fn acknowledge(publish: &Publish<'_>, acks: &mut Vec<u8>) {
    let kind = match publish.qos {
        QoS::AtMostOnce => return,
        QoS::AtLeastOnce => PacketType::Puback,
        QoS::ExactlyOnce => PacketType::Pubrec,
    };
    if let Some(id) = publish.packet_id {
        ack::put_ack(kind, id, acks);
    }
}

/// Writes the event of a message that came `at` a moment.
fn put_message(part: &mut Vec<u8>, publish: &Publish<'_>, at: Timestamp) {
    part.extend_from_slice(b"event: message\ndata: ");
    rows::put(part, |all| {
        all.text("topic", publish.topic);
        let payload = publish.payload;
        payload::write(all, payload, payload.len(), SHOWN_MAX);
        all.value("qos", &json!(publish.qos.bits()));
        all.value("retain", &json!(publish.retain));
        all.time_or_null("at", Some(at));
        all.value("properties", &properties(&publish.properties));
    });
    part.extend_from_slice(b"\n\n");
}

/// Those that are there, by the names that `publish` takes.
fn properties(given: &Properties<'_>) -> Value {
    let mut all = Map::new();
    if let Some(format) = given.byte(PropertyId::PayloadFormatIndicator) {
        all.insert("payload_format_utf8".to_owned(), json!(format == 1));
    }
    if let Some(seconds) = given.four(PropertyId::MessageExpiryInterval) {
        all.insert("message_expiry_s".to_owned(), json!(seconds));
    }
    for (name, id) in [
        ("content_type", PropertyId::ContentType),
        ("response_topic", PropertyId::ResponseTopic),
    ] {
        if let Some(text) = given.text(id) {
            all.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(data) = given.binary(PropertyId::CorrelationData) {
        let data = BASE64_STANDARD.encode(data);
        all.insert("correlation_data_base64".to_owned(), json!(data));
    }
    let pairs: Vec<[&str; 2]> = given.user_properties().map(|(k, v)| [k, v]).collect();
    if !pairs.is_empty() {
        all.insert("user_properties".to_owned(), json!(pairs));
    }
    Value::Object(all)
}
