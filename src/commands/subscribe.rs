//! `mqttx sub`: subscribe, print what comes, end when told.
//!
//! Comes back for ever when a connection that stood is lost. Ends with DISCONNECT after `-C` messages,
//! after `-W` seconds, at SIGINT or SIGTERM (reason 4, so that a Will is published), when every
//! subscription was refused, or when the reader of standard output has gone.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::cli::args::subscribe::Subscribe;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::{Caller, Manner};
use crate::client::{Backoff, End, Engine, Event, Feed, Handler, Message, Retry, Session, Way};
use crate::commands::connect;
use crate::commands::connect::Asked;
use crate::commands::drive::{Ask, Sources, Wishes, drive};
use crate::commands::outcome;
use crate::commands::printer::Printer;
use crate::commands::trace::Tracer;
use crate::mqtt::property::PropertiesBuf;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{RetainHandling, SubscribeOptions};
use crate::mqtt::topic::matches;
use crate::mqtt::{Packet, QoS, Reason, Version};

/// mosquitto's clients take this many messages at once, or fewer when `-C` asks for fewer.
const RECEIVE_MAX: u32 = 20;

pub(crate) fn run(caller: Caller, args: &Subscribe) -> Result<ExitCode, Error> {
    let receive_max = args.count.unwrap_or(RECEIVE_MAX).min(RECEIVE_MAX) as u16;
    let mut options = connect::options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: Version::V311,
        receive_max: (caller.manner == Manner::Mosquitto || args.count.is_some())
            .then_some(receive_max),
    })?;
    options.retry = Retry {
        backoff: Backoff::every(Duration::from_secs(1)),
        ..Retry::once_connected()
    };
    let place = options.dial.address.to_string();
    let mut tracer = args
        .connection
        .debug
        .then(|| Tracer::new(&options.client_id));
    if let Some(tracer) = &mut tracer {
        tracer.tells_granted = true;
    }
    let printer = Printer::new(caller, args.connection.quiet, &args.output, tracer)?;
    let wishes = Wishes::default();
    let mut subscriber = Subscriber::new(args, options.version, printer, wishes.clone());
    subscriber.watch_header(&args.connection.host);
    let mut session = Session::new(options).map_err(|told| Error::new(Kind::Failed, told))?;
    let end = connect::runtime()?.block_on(async {
        let sources = Sources::new(args.timeout, true)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        if args.message_rate {
            subscriber.rate = Some(Rate::new());
        }
        Ok(drive(&mut session, &mut subscriber, &wishes, sources).await)
    })?;
    subscriber.printer.out.flush();
    subscriber.verdict(end.as_ref(), &place)
}

struct Subscriber<'a> {
    args: &'a Subscribe,
    version: Version,
    printer: Printer,
    wishes: Wishes,
    unsubscribe: PropertiesBuf,
    subscribe: PropertiesBuf,
    parting: PropertiesBuf,
    /// Messages that counted for `-C`.
    count: u32,
    /// UNSUBACKs still due.
    unsubacks: usize,
    /// Nothing more is printed.
    is_done: bool,
    /// DISCONNECT waits only for the acknowledgements of what `--remove-retained` published.
    is_leaving: bool,
    /// The Reason Code of the first filter, when all were refused.
    denied: Option<Reason>,
    chance: Chance,
    rate: Option<Rate>,
    screen: Screen,
}

impl<'a> Subscriber<'a> {
    fn new(args: &'a Subscribe, version: Version, printer: Printer, wishes: Wishes) -> Self {
        let typed = |target| property::collect(&args.connection.property, target);
        Self {
            args,
            version,
            printer,
            wishes,
            unsubscribe: typed(Target::Unsubscribe),
            subscribe: typed(Target::Subscribe),
            parting: typed(Target::Disconnect),
            count: 0,
            unsubacks: 0,
            is_done: false,
            is_leaving: false,
            denied: None,
            chance: Chance::new(),
            rate: None,
            screen: Screen {
                lines: HashMap::new(),
                next: 2,
            },
        }
    }

    fn connected(&mut self, client: &mut Engine) {
        self.wishes.set_up(true);
        if !client.is_first_connection() {
            return;
        }
        let options = options(self.args, self.version);
        let filters: Vec<_> = self
            .args
            .topic
            .iter()
            .map(|t| (t.as_str(), options))
            .collect();
        let mut told = None;
        if !filters.is_empty() {
            told = client
                .subscribe(&filters, self.subscribe.properties())
                .err();
        }
        for filter in &self.args.unsubscribe {
            let asked = client.unsubscribe(&[filter], self.unsubscribe.properties());
            self.unsubacks += usize::from(asked.is_ok());
            told = told.or_else(|| asked.err());
        }
        if let Some(refused) = told {
            self.printer
                .tell(&Error::new(Kind::Failed, refused.to_string()));
            self.denied = Some(Reason::UNSPECIFIED_ERROR);
            self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
    }

    fn suback(&mut self, reasons: &[u8], client: &mut Engine) {
        let denied = reasons.iter().all(|&code| Reason(code).is_error());
        if denied {
            self.denied = reasons.first().map(|&code| Reason(code));
            let told = "All subscription requests were denied.";
            let mut error = Error::new(Kind::Failed, told).without_prefix();
            if self.printer.caller.manner == Manner::Mqttx
                && let Some(reason) = self.denied
            {
                error = error.hint(format!("the broker says: {}", reason.name().to_lowercase()));
            }
            self.printer.out.flush();
            self.printer.tell(&error);
        }
        if denied || self.args.exit_after_subscribe {
            self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
    }

    fn message(&mut self, publish: &Publish<'_>, client: &mut Engine) {
        if self.is_done {
            return;
        }
        if self.args.retained_only && !publish.retain {
            return self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
        if publish.retain && self.args.retained.no_retained
            || self
                .args
                .filter_out
                .iter()
                .any(|filter| matches(filter, publish.topic))
        {
            return;
        }
        if publish.retain && self.args.remove_retained {
            let message = Message {
                retain: true,
                ..Message::new(publish.topic, b"")
            }
            .qos(QoS::AtLeastOnce);
            if let Err(refused) = client.publish(&message) {
                let told = format!("{} was not cleared: {refused}", publish.topic);
                self.printer.tell(&Error::new(Kind::Failed, told));
            }
        }
        self.print(publish);
        if self.printer.out.failed.is_some() {
            return self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
        self.count = self.count.saturating_add(1);
        if self.args.count == Some(self.count) {
            self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
    }

    fn print(&mut self, publish: &Publish<'_>) {
        if let Some(rate) = &mut self.rate {
            rate.count += 1;
            return;
        }
        if self.args.watch {
            let line = self.screen.line(publish.topic);
            self.printer
                .out
                .buffer
                .extend_from_slice(format!("\x1b[{line};1H").as_bytes());
        }
        let is_chosen = self
            .args
            .random_filter
            .is_none_or(|share| self.chance.of_1000() < share);
        if is_chosen {
            self.printer.message(publish);
        }
        if is_chosen && self.args.watch {
            let last = self.screen.next - 1;
            self.printer
                .out
                .buffer
                .extend_from_slice(format!("\x1b[{last};1H\n").as_bytes());
        }
    }

    fn watch_header(&mut self, host: &str) {
        if self.args.watch {
            let header = format!("\x1b[2J\x1b[1;1HBroker: {host}\n");
            self.printer.out.buffer.extend_from_slice(header.as_bytes());
            self.printer.out.flush();
        }
    }

    /// Prints no more and disconnects: with a reason at once, otherwise when every handshake that
    /// has begun is through.
    fn leave(&mut self, client: &mut Engine, reason: Reason) {
        self.is_done = true;
        self.printer.out.flush();
        if reason != Reason::NORMAL_DISCONNECTION {
            client.disconnect(reason, self.parting.properties());
        } else if self.parting.is_empty() {
            client.finish();
        } else if client.unacknowledged() == 0 {
            client.disconnect(reason, self.parting.properties());
        } else {
            self.is_leaving = true;
        }
    }

    fn verdict(self, end: Option<&End>, place: &str) -> Result<ExitCode, Error> {
        let quiet = self.printer.quiet;
        let silent = move |error: Error| if quiet { error.silent() } else { error };
        let ours = self.printer.caller.manner == Manner::Mqttx;
        match self.wishes.ask() {
            // mosquitto_sub gives up with -1 while it has no connection.
            Some(_) if end.is_none() && !ours => return Ok(ExitCode::from(255)),
            Some(Ask::Timeout) => return Err(silent(self.timed_out())),
            Some(Ask::Signal) => return Ok(ExitCode::SUCCESS),
            None => {}
        }
        if let Some(reason) = self.denied.filter(|_| ours) {
            return Ok(ExitCode::from(reason.value()));
        }
        if self.is_done {
            return Ok(ExitCode::SUCCESS);
        }
        match end.and_then(|end| outcome::error(self.printer.caller, end, place)) {
            None => Ok(ExitCode::SUCCESS),
            Some(error) => Err(silent(error)),
        }
    }

    fn timed_out(&self) -> Error {
        if self.printer.caller.manner == Manner::Mosquitto {
            return Error::new(Kind::Timeout, "Timed out").without_prefix();
        }
        let (seconds, came) = (self.args.timeout.unwrap_or_default(), self.count);
        let messages = |count| if count == 1 { "message" } else { "messages" };
        let told = match self.args.count {
            Some(count) => format!(
                "timed out after {seconds} s with {came} of {count} {}",
                messages(count)
            ),
            None => format!("timed out after {seconds} s with {came} {}", messages(came)),
        };
        Error::new(Kind::Timeout, told)
    }
}

impl Handler for Subscriber<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => self.message(&publish, client),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(client),
            Event::Suback(suback) => self.suback(suback.reasons, client),
            Event::Unsuback(_) => {
                self.unsubacks = self.unsubacks.saturating_sub(1);
                if self.unsubacks == 0 && self.args.topic.is_empty() {
                    self.leave(client, Reason::NORMAL_DISCONNECTION);
                }
            }
            Event::Acked(_) if self.is_leaving && client.unacknowledged() == 0 => {
                self.leave(client, Reason::NORMAL_DISCONNECTION);
            }
            _ => {}
        }
    }

    /// Asked whenever the connection has been read empty: what was rendered leaves now.
    fn feed(&mut self, client: &mut Engine, _cx: &mut Context<'_>) -> Feed {
        self.printer.out.flush();
        if self.printer.out.failed.is_some() && !self.is_done {
            self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
        Feed::Idle
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        if let Some(rate) = &mut self.rate
            && let Some(line) = rate.tick(cx)
        {
            self.printer.out.buffer.extend_from_slice(line.as_bytes());
            self.printer.out.flush();
        }
        if self.wishes.is_parting_due() && !self.is_done {
            self.leave(client, Reason::DISCONNECT_WITH_WILL);
        }
    }

    fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        self.printer.packet(way, packet);
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        self.wishes.set_up(false);
        self.printer.out.flush();
        if self.printer.caller.manner == Manner::Mqttx {
            let told = format!("{end}; trying again in {pause:?}");
            self.printer.tell(&Error::new(Kind::Lost, told));
        }
    }
}

fn options(args: &Subscribe, version: Version) -> SubscribeOptions {
    subscribe_options(args.qos, &args.retained, version)
}

/// Before version 5 a subscription has a QoS and nothing else.
pub(crate) fn subscribe_options(
    qos: u8,
    retained: &crate::cli::args::subscribe::Retained,
    version: Version,
) -> SubscribeOptions {
    let v5 = version == Version::V5;
    let handling = match retained.retain_handling.as_deref() {
        Some("new") if v5 => RetainHandling::SendIfNew,
        Some("never") if v5 => RetainHandling::DoNotSend,
        _ => RetainHandling::Send,
    };
    SubscribeOptions {
        qos: connect::qos(qos),
        no_local: false,
        retain_as_published: v5 && retained.retain_as_published,
        retain_handling: handling,
    }
}

/// Which screen line a topic has for `-w`.
struct Screen {
    lines: HashMap<String, usize>,
    next: usize,
}

impl Screen {
    fn line(&mut self, topic: &str) -> usize {
        if let Some(line) = self.lines.get(topic) {
            return *line;
        }
        let line = self.next;
        self.next += 1;
        self.lines.insert(topic.to_owned(), line);
        line
    }
}

/// Messages of the current second, for `--message-rate`.
struct Rate {
    count: u64,
    timer: Pin<Box<Sleep>>,
}

impl Rate {
    const EVERY: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self {
            count: 0,
            timer: Box::pin(tokio::time::sleep(Self::EVERY)),
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Option<String> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return None;
        }
        let next = self.timer.deadline() + Self::EVERY;
        self.timer.as_mut().reset(next.max(Instant::now()));
        // Polled once more, so that the new deadline wakes the task.
        let _ = self.timer.as_mut().poll(cx);
        Some(format!("{} msgs/s\n", std::mem::take(&mut self.count)))
    }
}

/// Chance enough to thin out messages: xorshift, seeded by the standard library's hasher.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    fn of_1000(&mut self) -> u16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % 1000) as u16
    }
}
