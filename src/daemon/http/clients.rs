//! Clients: found, sorted and shown a page at a time, one of them whole, and sent away. Workers are
//! asked for some hundred Sessions a turn, so a broker with many answers little by little.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, RawQuery, State};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::broker::ClientRow;
use crate::broker::access::Whom;
use crate::broker::listener;
use crate::daemon::http::answer::{Answer, Fault, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::asking;
use crate::daemon::http::listeners::{self, Known};
use crate::daemon::http::query::{Query, YES_OR_NO};
use crate::daemon::http::rows::{self, Listed, Rows};
use crate::daemon::http::sample::{rounded, time};
use crate::daemon::socket::From;
use crate::daemon::worker::Worker;
use crate::mqtt::Reason;

/// Sessions a worker shows in a turn.
const TURN_MAX: usize = 512;

/// Sessions looked at for one answer.
const LOOKED_AT_MAX: usize = 100_000;

/// Rows of a page.
const PAGE_MAX: usize = 1_000;

/// Rows that are made between two pauses.
const PART_MAX: usize = 32;

/// A client, with what only its worker knows.
pub(super) struct Found {
    pub(super) row: ClientRow,
    from: Option<From>,
    listener: Option<Arc<listener::Listener>>,
}

type Order = fn(&Found, &Found) -> Ordering;

macro_rules! by_traffic {
    ($field:ident) => {
        |a, b| traffic(a, |row| row.$field).cmp(&traffic(b, |row| row.$field))
    };
}

/// TABLE: what clients can be sorted by; those that are equal by their identifiers.
const ORDERS: &[(&str, Order)] = &[
    ("id", |_, _| Ordering::Equal),
    ("user", |a, b| user(a).cmp(&user(b))),
    ("address", |a, b| address(a).cmp(&address(b))),
    ("connected_at", |a, b| age(b).cmp(&age(a))),
    ("subscriptions", |a, b| {
        a.row.subscriptions.cmp(&b.row.subscriptions)
    }),
    ("queued", |a, b| a.row.queued.cmp(&b.row.queued)),
    ("inflight", |a, b| a.row.inflight.cmp(&b.row.inflight)),
    ("messages_in", by_traffic!(publish_received)),
    ("messages_out", by_traffic!(publish_sent)),
    ("bytes_in", by_traffic!(bytes_received)),
    ("bytes_out", by_traffic!(bytes_sent)),
    ("unsent_bytes", |a, b| unsent(a).cmp(&unsent(b))),
];

/// A list of clients that is asked for.
struct Asked {
    text: String,
    connected: Option<bool>,
    order: Order,
    descending: bool,
    offset: usize,
    limit: usize,
}

impl Asked {
    fn read(query: Option<&str>) -> Result<Self, Fault> {
        let known = ["q", "state", "sort", "order", "offset", "limit"];
        let query = Query::read(query, &known)?;
        let states = [
            ("all", None),
            ("connected", Some(true)),
            ("disconnected", Some(false)),
        ];
        Ok(Self {
            text: query.one("q")?.unwrap_or_default().to_lowercase(),
            connected: query.word("state", &states)?,
            order: query.word("sort", ORDERS)?,
            descending: query.word("order", &[("asc", false), ("desc", true)])?,
            offset: query.number("offset", 0..=LOOKED_AT_MAX, 0)?,
            limit: query.number("limit", 1..=PAGE_MAX, 100)?,
        })
    }

    fn wants(&self, found: &Found) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        has(&found.row.client_id) || user(found).is_some_and(has) || has(&address(found))
    }

    fn compare(&self, a: &Found, b: &Found) -> Ordering {
        let by_id = || a.row.client_id.cmp(&b.row.client_id);
        let order = (self.order)(a, b).then_with(by_id);
        match self.descending {
            true => order.reverse(),
            false => order,
        }
    }

    /// Leaves out what cannot be on the page any more.
    fn thin(&self, rows: &mut Vec<Found>) {
        let end = self.offset + self.limit;
        if rows.len() > 2 * end + TURN_MAX {
            rows.select_nth_unstable_by(end, |a, b| self.compare(a, b));
            rows.truncate(end);
        }
    }
}

pub(super) async fn clients(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Listed, Fault> {
    let asked = Asked::read(query.as_deref())?;
    let (mut rows, mut looked_at, mut matched, mut complete) = (Vec::new(), 0, 0, true);
    'workers: for worker in 0..app.workers().len() {
        let mut next = Some(0);
        while let Some(from) = next {
            if looked_at >= LOOKED_AT_MAX {
                complete = false;
                break 'workers;
            }
            let connected = asked.connected;
            let task = move |worker: &mut Worker| some(worker, from, connected);
            let (found, further) = asking::ask(app.workers(), worker, task).await?;
            looked_at += found.len();
            let before = rows.len();
            rows.extend(found.into_iter().filter(|found| asked.wants(found)));
            matched += rows.len() - before;
            asked.thin(&mut rows);
            next = further;
        }
    }
    rows.sort_unstable_by(|a, b| asked.compare(a, b));
    let total = asking::ask_all(app.workers(), |worker| worker.broker.sessions()).await?;
    let known = listeners::known(&app).await?;
    let mut page = Rows::default();
    for found in rows.iter().skip(asked.offset).take(asked.limit) {
        page.add_value(&row(found, &known));
        if page.count() % PART_MAX == 0 {
            rows::pause().await;
        }
    }
    Ok(Listed {
        about: json!({
            "total": total.iter().sum::<usize>(),
            "matched": matched,
            "offset": asked.offset,
            "complete": complete,
        }),
        name: "clients",
        rows: page,
    })
}

/// Some Sessions of a worker, and where the next ones are.
fn some(worker: &mut Worker, from: u32, connected: Option<bool>) -> (Vec<Found>, Option<u32>) {
    let wanted = |_: &str, is: bool| connected.is_none_or(|connected| connected == is);
    let page = worker
        .broker
        .clients(from, TURN_MAX, wanted, Instant::now());
    let rows = page.rows.into_iter().map(|row| found(worker, row));
    (rows.collect(), page.next)
}

fn found(worker: &Worker, row: ClientRow) -> Found {
    let id = row.connection.as_ref().map(|connection| connection.id);
    let standing = id.and_then(|id| worker.broker.standing_of(id));
    Found {
        row,
        from: id.and_then(|id| worker.peer_ref(id)).map(|peer| peer.from),
        listener: standing.map(|(listener, _)| listener),
    }
}

/// The client, at whichever worker it is.
pub(super) async fn find(app: &App, id: &str) -> Result<Option<Found>, Fault> {
    let id: Arc<str> = id.into();
    let task = move |worker: &mut Worker| {
        let row = worker.broker.client(&id, Instant::now())?;
        Some(found(worker, row))
    };
    let found = asking::ask_all(app.workers(), task).await?;
    Ok(found.into_iter().flatten().next())
}

/// Sends a client away.
pub(super) async fn kick(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::read(query.as_deref(), &["session"])?;
    let with_session = query.word("session", &YES_OR_NO)?;
    let known: Arc<str> = id.as_str().into();
    let task = move |worker: &mut Worker| {
        if worker.broker.client(&known, worker.now).is_none() {
            return (0, false);
        }
        let (reason, why) = (
            Reason::ADMINISTRATIVE_ACTION,
            "an administrator sent it away",
        );
        let whom = Whom::Client(&known);
        let gone = worker.broker.disconnect(whom, reason, why, worker.now);
        (
            gone,
            with_session && worker.broker.end_session_of(&known, worker.now),
        )
    };
    let gone = asking::ask_all(app.workers(), task).await?;
    let disconnected = gone.iter().any(|&(count, _)| count > 0);
    let ended = gone.iter().any(|&(_, ended)| ended);
    if !disconnected && !ended {
        return Err(Fault::not_found(format!("no client {id:?} is connected")));
    }
    Ok(Json(match with_session {
        true => json!({ "disconnected": disconnected, "session_ended": ended }),
        false => json!({ "disconnected": true }),
    }))
}

/// A client as all answers show it.
pub(super) fn row(found: &Found, known: &[Known]) -> Value {
    let (row, connection) = (&found.row, found.row.connection.as_ref());
    let traffic = connection.map(|connection| connection.traffic);
    let traffic = traffic.unwrap_or_default();
    let since = connection.and_then(|connection| {
        let age = SignedDuration::try_from(connection.age).ok()?;
        Timestamp::now().checked_sub(age).ok()
    });
    json!({
        "id": &*row.client_id,
        "connected": connection.is_some(),
        "user": user(found),
        "address": found.from.map(|from| from.to_string()),
        "listener": listener_of(found, known),
        "version": row.version.to_string(),
        "connected_at": since.map(time),
        "keep_alive_s": connection.map(|connection| connection.keep_alive),
        "clean_start": connection.map(|connection| connection.clean_start),
        "session_expiry_s": row.session_expiry,
        "expires_in_s": row.expires_in.map(|left| rounded(left.as_secs_f64())),
        "subscriptions": row.subscriptions,
        "queued": row.queued,
        "inflight": row.inflight,
        "unreleased": row.unreleased,
        "held_bytes": row.held_bytes,
        "unsent_bytes": unsent(found),
        "slow": connection.is_some_and(|connection| connection.slow),
        "will_topic": row.will_topic,
        "messages_in": traffic.publish_received,
        "messages_out": traffic.publish_sent,
        "bytes_in": traffic.bytes_received,
        "bytes_out": traffic.bytes_sent,
    })
}

fn listener_of(found: &Found, known: &[Known]) -> Option<String> {
    let own = found.listener.as_ref()?;
    let known = known.iter().find(|known| known.listener.is_same(own));
    known.map(|known| format!("{} {}", known.protocol, known.place))
}

fn user(found: &Found) -> Option<&str> {
    found.row.connection.as_ref()?.user_name.as_deref()
}

fn address(found: &Found) -> String {
    found.from.map(|from| from.to_string()).unwrap_or_default()
}

fn age(found: &Found) -> Option<std::time::Duration> {
    Some(found.row.connection.as_ref()?.age)
}

fn unsent(found: &Found) -> usize {
    let connection = found.row.connection.as_ref();
    connection.map_or(0, |connection| connection.unsent_bytes)
}

fn traffic(found: &Found, of: fn(&crate::broker::Traffic) -> u64) -> u64 {
    let connection = found.row.connection.as_ref();
    connection.map_or(0, |connection| of(&connection.traffic))
}
