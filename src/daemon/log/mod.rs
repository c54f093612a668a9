//! The log: lines are made by whoever has something to say and written by a thread of its own, so
//! that a terminal that is scrolled back, a full pipe or a slow disk never stops a worker. What it
//! cannot write in time it counts.

mod json;
mod mosquitto;
mod outlets;
mod own;
mod packets;
pub(crate) mod tail;

use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;

use crate::broker::Event;
use crate::broker::What;
use crate::daemon::Listening;
use crate::daemon::conf::Conf;
use crate::daemon::conf::log_words::{LogDest, LogType};
use crate::daemon::log::outlets::Outlets;
use crate::daemon::log::tail::{Part, Tail};
use crate::daemon::socket::From;
use crate::daemon::workers::Workers;

/// Bytes that wait for the log thread; lines beyond it are dropped and counted.
const WAITING_MAX: usize = 1_048_576;

/// How long a stopping broker waits for its last lines.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// What is logged, how, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConf {
    /// Where lines go; nowhere without any.
    pub dests: Vec<LogDest>,
    /// What is logged.
    pub types: Vec<LogType>,
    /// How a line looks.
    pub form: Form,
    /// Lines begin with the time, where the form leaves it open.
    pub timestamp: bool,
    /// The form of that time, as strftime has it; seconds since 1970 otherwise.
    pub timestamp_format: Option<String>,
    /// The facility of syslog, local0 to local7; `None` is daemon.
    pub facility: Option<u8>,
    /// Log who comes and goes.
    pub connection_messages: bool,
}

/// What a line begins with, the time if anything.
pub fn time(conf: &LogConf) -> String {
    outlets::time(conf)
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Our own words, for people.
    Own,
    /// As mosquitto's, for programs that know those.
    Mosquitto,
    /// An object a line.
    Json,
}

impl Default for LogConf {
    fn default() -> Self {
        Self {
            dests: vec![LogDest::Stderr],
            types: LogType::DEFAULT.to_vec(),
            form: Form::Own,
            timestamp: false,
            timestamp_format: None,
            facility: None,
            connection_messages: true,
        }
    }
}

impl LogConf {
    /// Each subscription, and each packet.
    pub fn verbose(&mut self) {
        self.types = LogType::all();
    }

    /// Nothing but errors.
    pub fn quiet(&mut self) {
        self.types = vec![LogType::Error];
    }

    pub(crate) fn wants(&self, kind: LogType) -> bool {
        !self.dests.is_empty() && self.types.contains(&kind)
    }

    /// Subscriptions are to be told of.
    pub(crate) fn wants_subscriptions(&self) -> bool {
        self.wants(LogType::Subscribe) || self.wants(LogType::Unsubscribe)
    }

    /// Packets are to be told of.
    pub(crate) fn wants_packets(&self) -> bool {
        self.wants(LogType::Debug)
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    conf: RwLock<Arc<LogConf>>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    bytes: usize,
    dropped: u64,
    writing: bool,
    reopen: bool,
    /// There is a thread that writes.
    has_writer: bool,
    /// Where lines go, those behind so many of `lines`; the ones before go where they did.
    outlets: Vec<(usize, Outlets)>,
    /// Who publishes lines as topics.
    workers: Option<Workers>,
    /// The last lines, where somebody wants to look at them.
    tail: Option<Tail>,
}

/// A line as it is written, and the part of it that is the same whatever the form.
pub(crate) struct Line {
    pub(crate) kind: LogType,
    pub(crate) text: String,
    /// Where in `text` the line begins, behind its time.
    pub(crate) bare: usize,
}

impl Log {
    pub(crate) fn start(conf: &LogConf) -> io::Result<Self> {
        let log = Self {
            inner: Arc::new(Inner {
                conf: RwLock::new(Arc::new(conf.clone())),
                waiting: Mutex::default(),
                changed: Condvar::new(),
            }),
        };
        log.lead_to(conf)?;
        Ok(log)
    }

    /// Lines go there from now on, by a thread that is made for the first of them.
    fn lead_to(&self, conf: &LogConf) -> io::Result<()> {
        let outlets = Outlets::open(conf)?;
        let mut waiting = self.inner.lock();
        if !waiting.has_writer && !conf.dests.is_empty() {
            let inner = Arc::clone(&self.inner);
            std::thread::Builder::new()
                .name("log".to_owned())
                .spawn(move || inner.write_for_ever())?;
            waiting.has_writer = true;
        }
        let before = waiting.lines.len();
        waiting.outlets.push((before, outlets));
        Ok(())
    }

    /// What is logged, how and where to is another from now on. An error leaves it as it was.
    pub(crate) fn renew(&self, conf: &LogConf, workers: &Workers) -> io::Result<()> {
        if *self.conf() == *conf {
            return Ok(());
        }
        self.lead_to(conf)?;
        let conf = Arc::new(conf.clone());
        *self
            .inner
            .conf
            .write()
            .unwrap_or_else(PoisonError::into_inner) = conf;
        self.attach(workers);
        self.inner.changed.notify_all();
        Ok(())
    }

    /// What is logged now.
    pub(crate) fn conf(&self) -> Arc<LogConf> {
        let conf = self.inner.conf.read();
        Arc::clone(&conf.unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on lines can be published as topics.
    pub(crate) fn attach(&self, workers: &Workers) {
        let is_wanted = self.conf().dests.contains(&LogDest::Topic);
        self.inner.lock().workers = is_wanted.then(|| workers.clone());
    }

    /// Something an operator wants to know, of the kind that its first word says.
    pub(crate) fn line(&self, line: &str) {
        let kind = match line.split_once(':') {
            Some(("Error" | "password-file", _)) => LogType::Error,
            Some(("Warning", _)) => LogType::Warning,
            _ => LogType::Notice,
        };
        self.say(kind, line);
    }

    /// A step of the broker's own life.
    pub(crate) fn step(&self, line: &str) {
        match line.starts_with("Warning: ") {
            true => self.say(LogType::Warning, line),
            false => self.say(LogType::Information, line),
        }
    }

    /// What goes wrong, or may do so.
    pub(crate) fn say(&self, kind: LogType, line: &str) {
        let conf = self.conf();
        if conf.wants(kind) {
            let line = match conf.form {
                Form::Json => json::plain(kind, line),
                _ => escaped(line),
            };
            self.push(&conf, kind, &line);
        }
    }

    /// From now on the last lines are kept.
    pub(crate) fn keep_tail(&self) {
        self.inner.lock().tail.get_or_insert_default();
    }

    /// The last lines, those behind number `after` or else all, `most` at most.
    pub(crate) fn tail(&self, after: Option<u64>, most: usize) -> Part {
        let waiting = self.inner.lock();
        let tail = waiting.tail.as_ref();
        tail.map_or_else(Part::default, |tail| tail.part(after, most))
    }

    fn push(&self, conf: &LogConf, kind: LogType, line: &str) {
        let mut text = outlets::time(conf);
        let bare = text.len();
        text.push_str(line);
        text.push('\n');
        let mut waiting = self.inner.lock();
        if let Some(tail) = &mut waiting.tail {
            tail.push(kind, line);
        }
        if waiting.bytes + text.len() > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += text.len();
        waiting.lines.push(Line { kind, text, bare });
        if !waiting.writing {
            self.inner.changed.notify_all();
        }
    }

    /// Closes and opens its files: somebody has moved them away.
    pub(crate) fn reopen(&self) {
        self.inner.lock().reopen = true;
        self.inner.changed.notify_all();
    }

    /// Waits, for a moment at most, until everything is written.
    pub(crate) fn flush(&self) {
        if self.conf().dests.is_empty() {
            return;
        }
        let waiting = self.inner.lock();
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let _ = self
            .inner
            .changed
            .wait_timeout_while(waiting, FLUSH_TIME, busy);
    }

    /// Whether another line tells of this event of several.
    pub(crate) fn is_retold(events: &[Event], at: usize) -> bool {
        mosquitto::is_retold(events, at)
    }

    pub(crate) fn banner(&self, conf: &Conf, listening: &[Listening], workers: usize) {
        for line in own::banner(conf, listening, workers) {
            self.line(&line);
        }
    }

    /// A connection was made to the listener at this port; zero is a Unix socket.
    pub(crate) fn accepted(&self, from: &From, port: u16) {
        let conf = self.conf();
        if conf.form == Form::Mosquitto && conf.connection_messages {
            let from = mosquitto::address(from);
            self.line(&format!("New connection from {from} on port {port}."));
        }
    }

    /// A connection was closed at once: there are as many as may be.
    pub(crate) fn full(&self, from: &From) {
        self.line(&match self.conf().form {
            Form::Mosquitto => mosquitto::full(from),
            _ => format!("{from} refused: as many connections as are allowed"),
        });
    }

    /// The line of an event on the connection from `address`.
    pub(crate) fn event(&self, address: Option<From>, event: &Event) {
        let (conf, kind) = (self.conf(), kind_of(&event.what));
        if !conf.wants(kind) {
            return;
        }
        let quiet = !conf.connection_messages;
        if quiet && matches!(event.what, What::Connected { .. } | What::Closed(_)) {
            return;
        }
        let lines = match conf.form {
            Form::Own => vec![own::render(address, event)],
            Form::Json => json::render(kind, address, event).into_iter().collect(),
            Form::Mosquitto => mosquitto::render(address, event),
        };
        for line in lines.iter().filter(|line| !line.is_empty()) {
            self.push(&conf, kind, line);
        }
    }
}

fn kind_of(what: &What) -> LogType {
    match what {
        What::Connected { .. } | What::Closed(_) | What::Expired => LogType::Notice,
        What::HeldBack => LogType::Notice,
        What::Denied(_) => LogType::Debug,
        What::Subscribed { .. } => LogType::Subscribe,
        What::Unsubscribed { .. } => LogType::Unsubscribe,
        What::Published { .. } | What::Packet { .. } => LogType::Debug,
    }
}

/// Control characters would let a client forge lines, or write on an operator's terminal.
pub(crate) fn escaped(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for (at, letter) in text.char_indices() {
        // The lists of SUBSCRIBE begin with one.
        if letter.is_control() && !(at == 0 && letter == '\t') {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self) {
        let mut outlets: Option<Outlets> = None;
        loop {
            let mut waiting = self.lock();
            waiting.writing = false;
            self.changed.notify_all();
            let idle = |waiting: &mut Waiting| {
                waiting.lines.is_empty() && !waiting.reopen && waiting.outlets.is_empty()
            };
            waiting = self
                .changed
                .wait_while(waiting, idle)
                .unwrap_or_else(PoisonError::into_inner);
            let lines = std::mem::take(&mut waiting.lines);
            let dropped = std::mem::take(&mut waiting.dropped);
            let reopen = std::mem::take(&mut waiting.reopen);
            let workers = waiting.workers.clone();
            let new = std::mem::take(&mut waiting.outlets);
            waiting.bytes = 0;
            waiting.writing = true;
            drop(waiting);
            if reopen && let Some(outlets) = &mut outlets {
                outlets.reopen();
            }
            let mut written = 0;
            for (before, next) in new {
                if let Some(outlets) = &mut outlets {
                    outlets.write(&lines[written..before], workers.as_ref());
                }
                (written, outlets) = (before, Some(next));
            }
            let Some(outlets) = &mut outlets else {
                continue;
            };
            outlets.write(&lines[written..], workers.as_ref());
            if dropped > 0 {
                outlets.tell_dropped(dropped, workers.as_ref());
            }
        }
    }
}
