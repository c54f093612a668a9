//! The commands of `$CONTROL/broker/v1`, a row each: mosquitto's two, and those about clients,
//! Sessions, Subscriptions, retained messages and figures. Lists come a page at a time: an answer
//! with `next` goes on where the same command is asked with that as `after`.

use std::time::Instant;

use serde_json::{Value, json};

use crate::broker::ClientRow;
use crate::broker::access::Whom;
use crate::daemon::control::form::Reply;
use crate::daemon::control::{Desk, rows};
use crate::daemon::worker::Worker;
use crate::mqtt::topic;

/// Rows of a page: without `count`, and at most.
const COUNT: usize = 100;
const COUNT_MAX: usize = 1_000;

/// Bytes of JSON after which a page ends before its count.
const PAGE_BYTES: usize = 262_144;

/// Rows asked of a worker at a time.
const CHUNK: usize = 50;

/// Retained messages cleared at a time: between two chunks others have their turn.
const CLEARED_AT_ONCE: usize = 1_000;

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Another name of it.
    alias: Option<&'static str>,
    pub(crate) meant_for: For,
    pub(crate) obey: fn(&mut Order<'_>) -> Reply,
}

/// Who may give a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Who may publish there.
    Everybody,
    /// Administrators: it only shows.
    Shows,
    /// Administrators: the log tells of it.
    Changes,
}

/// What one command works on.
pub(crate) struct Order<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) json: &'a Value,
    pub(crate) now: Instant,
    /// Who is to go, after the answer.
    pub(crate) kicks: Vec<Kick>,
}

/// Clients that are sent away.
#[derive(Clone)]
pub(crate) enum Kick {
    Client(String),
    User(String),
}

impl Kick {
    pub(crate) fn whom(&self) -> Whom<'_> {
        match self {
            Self::Client(id) => Whom::Client(id),
            Self::User(name) => Whom::User(Some(name)),
        }
    }
}

impl Command {
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let known = std::iter::once(self.name).chain(self.alias);
        known
            .into_iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }
}

const fn row(name: &'static str, meant_for: For, obey: fn(&mut Order<'_>) -> Reply) -> Command {
    Command {
        name,
        alias: None,
        meant_for,
        obey,
    }
}

/// Every command there is.
pub(crate) const COMMANDS: &[Command] = &[
    row("listPlugins", For::Everybody, list_plugins),
    row("listListeners", For::Everybody, list_listeners),
    row("listClients", For::Shows, list_clients),
    row("getClient", For::Shows, tell_client),
    Command {
        alias: Some("disconnectClient"),
        ..row("kickClient", For::Changes, kick_client)
    },
    row("listSessions", For::Shows, list_sessions),
    row("listSubscriptions", For::Shows, list_subscriptions),
    row("listRetained", For::Shows, list_retained),
    row("deleteRetained", For::Changes, delete_retained),
    row("getStats", For::Shows, tell_stats),
];

impl Order<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.json.get(key).and_then(Value::as_str)
    }

    fn count(&self) -> Result<usize, String> {
        match self.json.get("count") {
            None => Ok(COUNT),
            Some(value) => match value.as_u64() {
                Some(count) if count > 0 => {
                    Ok(usize::try_from(count).map_or(COUNT_MAX, |count| count.min(COUNT_MAX)))
                }
                _ => Err("Invalid count".to_owned()),
            },
        }
    }

    /// Where a page begins: `N` numbers, written with dots between them.
    fn after<const N: usize>(&self) -> Result<[u32; N], String> {
        let mut place = [0; N];
        if let Some(value) = self.json.get("after") {
            let wrong = || "Invalid after".to_owned();
            let text = value.as_str().ok_or_else(wrong)?;
            let mut words = text.split('.');
            for number in &mut place {
                let word = words.next().ok_or_else(wrong)?;
                *number = word.parse().map_err(|_| wrong())?;
            }
            if words.next().is_some() {
                return Err(wrong());
            }
        }
        Ok(place)
    }

    /// A Topic Filter; `#` where there is none and that will do.
    fn filter(&self) -> Result<Option<&str>, String> {
        let Some(value) = self.json.get("topic") else {
            return Ok(None);
        };
        let filter = value.as_str().ok_or("Invalid topic")?;
        match topic::check_filter(filter).is_ok() && topic::split_share(filter).is_none() {
            true => Ok(Some(filter)),
            false => Err("Invalid topic".to_owned()),
        }
    }
}

/// A page of rows that all workers have, each in an order of its own. A row is known by where it
/// is: the worker, and one or two places there.
struct Page {
    rows: Vec<Value>,
    bytes: usize,
    count: usize,
}

impl Page {
    fn new(count: usize) -> Self {
        Self {
            rows: Vec::new(),
            bytes: 0,
            count,
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.count || self.bytes >= PAGE_BYTES
    }

    fn room(&self) -> usize {
        (self.count - self.rows.len()).min(CHUNK)
    }

    fn put(&mut self, row: Value) {
        self.bytes += row.to_string().len();
        self.rows.push(row);
    }

    fn answer(self, key: &str, next: Option<String>) -> Value {
        let mut data = json!({ key: self.rows });
        if let Some(next) = next {
            data["next"] = json!(next);
        }
        data
    }
}

const GONE: &str = "The broker is about to stop";

fn list_plugins(order: &mut Order<'_>) -> Reply {
    let plugins = order.desk.plugins.iter().map(rows::plugin);
    Ok(json!({ "plugins": plugins.collect::<Value>() }))
}

fn list_listeners(order: &mut Order<'_>) -> Reply {
    let listeners = order.desk.workers.ask(0, |worker| {
        let listeners = worker.seat.listeners.iter();
        listeners.map(rows::listener).collect::<Value>()
    });
    Ok(json!({ "listeners": listeners.ok_or(GONE)? }))
}

fn list_clients(order: &mut Order<'_>) -> Reply {
    page_of_clients(order, "clients", |_, connected| connected)
}

fn list_sessions(order: &mut Order<'_>) -> Reply {
    page_of_clients(order, "sessions", |_, _| true)
}

fn page_of_clients(
    order: &Order<'_>,
    key: &str,
    wanted: impl Fn(&str, bool) -> bool + Copy + Send + 'static,
) -> Reply {
    let mut page = Page::new(order.count()?);
    let [first, mut place] = order.after()?;
    let workers = &order.desk.workers;
    let mut number = first as usize;
    while number < workers.len() {
        let (from, most) = (place, page.room());
        let found = workers.ask(number, move |worker| {
            let found = worker.broker.clients(from, most, wanted, worker.now);
            let addressed = |row: ClientRow| rows::client(&row, address(worker, &row));
            let rows: Vec<Value> = found.rows.into_iter().map(addressed).collect();
            (rows, found.next)
        });
        let (rows, next) = found.ok_or(GONE)?;
        rows.into_iter().for_each(|row| page.put(row));
        (number, place) = match next {
            Some(next) => (number, next),
            None => (number + 1, 0),
        };
        if page.is_full() && number < workers.len() {
            return Ok(page.answer(key, Some(format!("{number}.{place}"))));
        }
    }
    Ok(page.answer(key, None))
}

fn address(worker: &Worker, row: &ClientRow) -> Option<String> {
    let connection = row.connection.as_ref()?;
    let peer = worker.peer_ref(connection.id)?;
    Some(peer.from.to_string())
}

const NO_CLIENT: &str = "Client not found";

fn tell_client(order: &mut Order<'_>) -> Reply {
    let id: String = order.text("clientid").ok_or(NO_ID)?.to_owned();
    let found = order.desk.workers.ask_all(move |worker| {
        let row = worker.broker.client(&id, worker.now)?;
        Some(rows::client(&row, address(worker, &row)))
    });
    let client = found.into_iter().flatten().next().ok_or(NO_CLIENT)?;
    Ok(json!({ "client": client }))
}

const NO_ID: &str = "Invalid/missing clientid";

fn kick_client(order: &mut Order<'_>) -> Reply {
    let kick = match (order.text("clientid"), order.text("username")) {
        (Some(id), None) => Kick::Client(id.to_owned()),
        (None, Some(name)) => Kick::User(name.to_owned()),
        (Some(_), Some(_)) => return Err("Either clientid or username".to_owned()),
        (None, None) => return Err(NO_ID.to_owned()),
    };
    let meant = kick.clone();
    let counts = order
        .desk
        .workers
        .ask_all(move |worker| worker.broker.count(meant.whom()));
    let count: usize = counts.iter().sum();
    if count == 0 {
        return Err(NO_CLIENT.to_owned());
    }
    order.kicks.push(kick);
    Ok(json!({ "disconnected": count }))
}

fn list_subscriptions(order: &mut Order<'_>) -> Reply {
    match order.text("clientid") {
        Some(id) => subscriptions_of(order, id),
        None => all_subscriptions(order),
    }
}

fn subscriptions_of(order: &Order<'_>, id: &str) -> Reply {
    let mut page = Page::new(order.count()?);
    let [mut place] = order.after()?;
    loop {
        let (wanted, from, most) = (id.to_owned(), place, page.room());
        let found = order
            .desk
            .workers
            .ask_all(move |worker| worker.broker.subscriptions_of(&wanted, from, most));
        let found = found.into_iter().flatten().next().ok_or(NO_CLIENT)?;
        for row in found.rows {
            page.put(rows::subscription(id, &row));
        }
        match found.next {
            None => return Ok(page.answer("subscriptions", None)),
            Some(next) if page.is_full() => {
                return Ok(page.answer("subscriptions", Some(next.to_string())));
            }
            Some(next) => place = next,
        }
    }
}

fn all_subscriptions(order: &Order<'_>) -> Reply {
    let mut page = Page::new(order.count()?);
    let [first, mut place, mut part] = order.after()?;
    let workers = &order.desk.workers;
    let mut number = first as usize;
    while number < workers.len() {
        let (from, most) = ((place, part), page.room());
        let found = workers.ask(number, move |worker| {
            worker.broker.all_subscriptions(from, most)
        });
        let found = found.ok_or(GONE)?;
        for (id, row) in &found.rows {
            page.put(rows::subscription(id, row));
        }
        (number, (place, part)) = match found.next {
            Some(next) => (number, next),
            None => (number + 1, (0, 0)),
        };
        if page.is_full() && number < workers.len() {
            let next = format!("{number}.{place}.{part}");
            return Ok(page.answer("subscriptions", Some(next)));
        }
    }
    Ok(page.answer("subscriptions", None))
}

fn list_retained(order: &mut Order<'_>) -> Reply {
    let filter = order.filter()?.unwrap_or("#");
    let mut page = Page::new(order.count()?);
    let [skipped] = order.after::<1>()?;
    let mut skip = skipped as usize;
    loop {
        let most = page.room();
        let shared = &order.desk.shared;
        let found = shared.retained_part(filter, skip, most, order.now);
        skip += found.len();
        found.iter().for_each(|row| page.put(rows::retained(row)));
        if found.len() < most {
            return Ok(page.answer("retained", None));
        }
        if page.is_full() {
            return Ok(page.answer("retained", Some(skip.to_string())));
        }
    }
}

fn delete_retained(order: &mut Order<'_>) -> Reply {
    let filter = order.filter()?.ok_or("Invalid/missing topic")?;
    if filter.split('/').next() == Some("$SYS") {
        return Err("The broker's own topics cannot be deleted".to_owned());
    }
    let mut deleted = 0;
    loop {
        let filter = filter.to_owned();
        let cleared = order.desk.workers.ask(0, move |worker| {
            let now = worker.now;
            worker.broker.clear_retained(&filter, CLEARED_AT_ONCE, now)
        });
        let cleared = cleared.ok_or(GONE)?;
        let cleared = cleared.ok_or("The store cannot be written to at present")?;
        deleted += cleared;
        if cleared < CLEARED_AT_ONCE {
            return Ok(json!({ "deleted": deleted }));
        }
    }
}

fn tell_stats(order: &mut Order<'_>) -> Reply {
    Ok(rows::stats(&order.desk.workers.snapshot()))
}
