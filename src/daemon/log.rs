//! The log: one line an event, written by a thread of its own, so that a terminal that is
//! scrolled back or a full pipe never stops a worker. What it cannot write in time it counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::broker::Cause;
use crate::broker::Event;
use crate::broker::What;
use crate::daemon::Listening;
use crate::daemon::conf::{Conf, Endpoint};
use crate::daemon::socket::From;
use crate::mqtt::Reason;

/// Bytes that wait for the log thread; lines beyond it are dropped and counted.
const WAITING_MAX: usize = 1_048_576;

/// How long a stopping broker waits for its last lines.
const FLUSH_TIME: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Log {
    inner: Arc<Inner>,
    quiet: bool,
}

struct Inner {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    text: String,
    dropped: u64,
    writing: bool,
}

impl Log {
    pub(crate) fn start(_verbose: bool, quiet: bool) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        if !quiet {
            let inner = Arc::clone(&inner);
            std::thread::Builder::new()
                .name("log".to_owned())
                .spawn(move || inner.write_for_ever())?;
        }
        Ok(Self { inner, quiet })
    }

    /// Appends a line.
    pub(crate) fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        let mut waiting = self.inner.lock();
        if waiting.text.len() + line.len() > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.text.push_str(line);
        waiting.text.push('\n');
        if !waiting.writing {
            self.inner.changed.notify_all();
        }
    }

    /// Waits, for a moment at most, until everything is written.
    pub(crate) fn flush(&self) {
        if self.quiet {
            return;
        }
        let waiting = self.inner.lock();
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.text.is_empty();
        let _ = self
            .inner
            .changed
            .wait_timeout_while(waiting, FLUSH_TIME, busy);
    }

    pub(crate) fn banner(&self, conf: &Conf, listening: &[Listening], workers: usize) {
        let list: Vec<String> = listening
            .iter()
            .map(|one| match one.protocol {
                "mqtt" => one.place.to_string(),
                protocol => format!("{} ({protocol})", one.place),
            })
            .collect();
        let threads = if workers == 1 {
            "1 worker"
        } else {
            &format!("{workers} workers")
        };
        self.line(&format!(
            "mqttx {} broker: MQTT 3.1, 3.1.1 and 5.0 on {} ({threads})",
            env!("CARGO_PKG_VERSION"),
            list.join(", "),
        ));
        let local = !conf.listeners.iter().any(Endpoint::is_open);
        self.line(
            match (conf.anonymous, conf.password_file.is_some(), local) {
                (true, _, true) => "anonymous clients from this machine only are allowed",
                (true, false, false) => "anonymous clients from everywhere are allowed",
                (true, true, false) => "anonymous clients and users with a password are allowed",
                (false, ..) => "users with a password are allowed, anonymous clients are not",
            },
        );
    }

    /// The line of an event on the connection from `address`.
    pub(crate) fn event(&self, address: Option<From>, event: &Event) {
        if !self.quiet {
            self.line(&render(address, event));
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_for_ever(&self) {
        loop {
            let mut waiting = self.lock();
            waiting.writing = false;
            self.changed.notify_all();
            let idle = |waiting: &mut Waiting| waiting.text.is_empty();
            waiting = self
                .changed
                .wait_while(waiting, idle)
                .unwrap_or_else(PoisonError::into_inner);
            let mut text = std::mem::take(&mut waiting.text);
            let dropped = std::mem::take(&mut waiting.dropped);
            waiting.writing = true;
            drop(waiting);
            if dropped > 0 {
                let _ = writeln!(
                    text,
                    "{dropped} log lines were dropped: the log is not read"
                );
            }
            // Nobody is left to tell when stderr is closed.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }
}

fn render(address: Option<From>, event: &Event) -> String {
    let mut line = String::new();
    let who = match (&*event.client_id, address) {
        ("", Some(address)) => format!("{address}"),
        (id, Some(address)) => format!("{id:?} {address}"),
        (id, None) => format!("{id:?}"),
    };
    let _ = match &event.what {
        What::Connected {
            version,
            clean_start,
            keep_alive,
            user_name,
            session_present,
        } => {
            let user = user_name.as_ref().map(|name| format!(", user {name:?}"));
            let session = match (clean_start, session_present) {
                (_, true) => "resumed",
                (true, false) => "clean",
                (false, false) => "new",
            };
            write!(
                line,
                "{who} connected: MQTT {version}, {session} session, keep alive {keep_alive} s{}",
                user.unwrap_or_default()
            )
        }
        What::Closed(cause) => write!(line, "{who} {}", render_cause(cause)),
        What::Denied(denied) => write!(
            line,
            "Denied PUBLISH from {who} (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
            u8::from(denied.dup),
            denied.qos.bits(),
            u8::from(denied.retain),
            denied.packet_id,
            denied.topic,
            denied.payload
        ),
        What::Subscribed { filter, reason } if *reason < 0x80 => {
            write!(line, "{who} subscribed to {filter:?} at QoS {reason}")
        }
        What::Subscribed { filter, reason } => {
            write!(
                line,
                "{who} may not subscribe to {filter:?}: {}",
                Reason(*reason).name()
            )
        }
        What::Unsubscribed { filter } => write!(line, "{who} unsubscribed from {filter:?}"),
        What::Published {
            topic,
            qos,
            retain,
            payload,
        } => {
            let retain = if *retain { ", retained" } else { "" };
            write!(
                line,
                "{who} published {payload} bytes to {topic:?} at QoS {}{retain}",
                qos.bits()
            )
        }
    };
    line
}

fn render_cause(cause: &Cause) -> String {
    match cause {
        Cause::Disconnected(reason) if reason.is_error() || reason.value() > 0 => {
            format!("disconnected: {} (0x{:02x})", reason.name(), reason.value())
        }
        Cause::Disconnected(_) => "disconnected".to_owned(),
        Cause::Lost => "lost: the connection was closed without DISCONNECT".to_owned(),
        Cause::KeepAlive => "closed: silent for longer than its keep alive allows".to_owned(),
        Cause::NoConnect => "closed: no CONNECT came in time".to_owned(),
        Cause::Violation(reason, what) => {
            format!(
                "closed: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
        Cause::Refused(reason, what) => {
            format!(
                "refused: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
        Cause::TakenOver => "closed: a new connection took its session over".to_owned(),
        Cause::ShuttingDown => "closed: the broker stops".to_owned(),
        Cause::Dropped(reason, what) => {
            format!(
                "dropped: {what} ({}, 0x{:02x})",
                reason.name(),
                reason.value()
            )
        }
    }
}
