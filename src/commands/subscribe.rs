//! `mqttx sub`: subscribe, print what comes, end when told.
//!
//! Comes back for ever when a connection that stood is lost. Ends with DISCONNECT after `-C` messages,
//! after `-W` seconds, at SIGINT or SIGTERM (reason 4, so that a Will is published), when every
//! subscription was refused, or when the reader of standard output has gone.

mod awaiting;
mod glance;

use std::process::ExitCode;
use std::task::Context;
use std::time::Duration;

use crate::cli::args::subscribe::Subscribe;
use crate::cli::error::{Error, Kind};
use crate::cli::expect::{Judgment, show};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::{Caller, Manner};
use crate::client::{End, Engine, Event, Feed, Handler, Message, Way};
use crate::commands::broker::status_of;
use crate::commands::connect;
use crate::commands::connect::Asked;
use crate::commands::drive::{Ask, Sources, Wishes, drive};
use crate::commands::outcome;
use crate::commands::printer::Printer;
use crate::commands::reach;
use crate::commands::remedy;
use crate::commands::subscribe::awaiting::{Awaiting, Happened};
use crate::commands::subscribe::glance::{Chance, Rate, Screen};
use crate::commands::trace::Tracer;
use crate::mqtt::property::PropertiesBuf;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{RetainHandling, Suback, SubscribeOptions};
use crate::mqtt::topic::matches;
use crate::mqtt::{Packet, QoS, Reason, Version};
use crate::net::address::Transport;

/// mosquitto's clients take this many messages at once, or fewer when `-C` asks for fewer.
const RECEIVE_MAX: u32 = 20;

pub(crate) fn run(caller: Caller, args: &Subscribe) -> Result<ExitCode, Error> {
    let receive_max = args.count.unwrap_or(RECEIVE_MAX).min(RECEIVE_MAX) as u16;
    let mut options = connect::options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: caller.program.version(),
        receive_max: (caller.manner == Manner::Mosquitto || args.count.is_some())
            .then_some(receive_max),
    })?;
    options.retry = reach::receiving();
    // A door without a broker behind it yet, such as a container's, opens and closes.
    options.retry.unanswered = caller.manner == Manner::Mosquitto;
    connect::period(&args.connection, &mut options.retry);
    reach::apply(&args.beyond.reach, &mut options);
    let place = options.dial.address.to_string();
    let mut tracer = args
        .connection
        .debug
        .then(|| Tracer::new(&options.client_id));
    if let Some(tracer) = &mut tracer {
        tracer.tells_granted = true;
    }
    let printer = Printer::new(caller, args.connection.quiet, &args.output, tracer)?
        .showing(&args.beyond.showing)?;
    let wishes = Wishes::default();
    let address = &options.dial.address;
    let reachable =
        (address.transport == Transport::Tcp).then(|| (address.host.clone(), address.port));
    let awaiting = Awaiting::new(&args.beyond.expect, reachable)?;
    let mut subscriber = Subscriber::new(args, options.version, printer, wishes.clone(), awaiting);
    subscriber.watch_header(&args.connection.host);
    let mut session = connect::session(options)?;
    let end = connect::runtime()?.block_on(async {
        let sources = Sources::new(args.timeout, true)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        if args.message_rate {
            subscriber.rate = Some(Rate::new());
        }
        let end = drive(&mut session, &mut subscriber, &wishes, sources).await;
        subscriber.awaiting.end_command().await;
        Ok(end)
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
    awaiting: Awaiting,
    /// Messages that counted for `-C`.
    count: u32,
    /// The payload that came last, kept only while there are expectations.
    last: Vec<u8>,
    /// A failure that no further message can mend.
    failed: Option<Error>,
    /// A PINGREQ went out behind the end of the command.
    is_flushing: bool,
    /// UNSUBACKs still due.
    unsubacks: usize,
    /// Nothing more is printed.
    is_done: bool,
    /// DISCONNECT waits only for the acknowledgements of what `--remove-retained` published.
    is_leaving: bool,
    /// The Reason Code of the first filter, when all were refused.
    denied: Option<Reason>,
    /// The first filter that was refused while others were granted, as an exit status.
    refused: Option<Kind>,
    chance: Chance,
    rate: Option<Rate>,
    screen: Screen,
}

impl<'a> Subscriber<'a> {
    fn new(
        args: &'a Subscribe,
        version: Version,
        printer: Printer,
        wishes: Wishes,
        awaiting: Awaiting,
    ) -> Self {
        let typed = |target| property::collect(&args.connection.property, target);
        Self {
            args,
            version,
            printer,
            wishes,
            unsubscribe: typed(Target::Unsubscribe),
            subscribe: typed(Target::Subscribe),
            parting: typed(Target::Disconnect),
            awaiting,
            count: 0,
            last: Vec::new(),
            failed: None,
            is_flushing: false,
            unsubacks: 0,
            is_done: false,
            is_leaving: false,
            denied: None,
            refused: None,
            chance: Chance::new(),
            rate: None,
            screen: Screen::new(),
        }
    }

    fn connected(&mut self, client: &mut Engine) {
        self.wishes.set_up(true);
        if !client.is_first_connection() {
            return;
        }
        // Of a test the outcome is waited for, whoever reads along.
        if !self.is_test() {
            self.printer.out.watch();
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
            self.fail(client, Error::new(Kind::Failed, refused.to_string()));
        }
    }

    fn suback(&mut self, suback: &Suback<'_>, client: &mut Engine) {
        let reasons = suback.reasons;
        if reasons.iter().all(|&code| Reason(code).is_error()) {
            return self.all_denied(suback, client);
        }
        let filters = self.args.topic.iter().map(String::as_str);
        let granted = filters.zip(reasons.iter().map(|&code| Reason(code)));
        for (filter, reason) in granted.clone().filter(|(_, reason)| reason.is_error()) {
            let error = outcome::refused_filter(self.version, filter, reason, suback.properties);
            if self.args.beyond.expect.needs_all_granted() {
                return self.fail(client, error);
            }
            // mosquitto_sub goes on without a word.
            if self.printer.caller.manner == Manner::Mqttx {
                self.refused.get_or_insert(error.kind);
                self.printer.out.flush();
                self.printer.tell(&error);
            }
        }
        if let Err(error) = self.awaiting.ready(granted) {
            return self.fail(client, error);
        }
        if self.args.exit_after_subscribe {
            self.settle(client);
        }
    }

    fn all_denied(&mut self, suback: &Suback<'_>, client: &mut Engine) {
        self.denied = suback.reasons.first().map(|&code| Reason(code));
        let told = "All subscription requests were denied.";
        let mut error = Error::new(Kind::Failed, told).without_prefix();
        if let Some(reason) = self.denied {
            let told = outcome::not_granted(self.version, reason, suback.properties);
            let hint = remedy::of_reason(self.version, reason, &End::Finished);
            error = error.in_short(told).maybe_hint(hint);
        }
        self.printer.out.flush();
        self.printer.tell(&error);
        self.leave(client, Reason::NORMAL_DISCONNECTION);
    }

    fn fail(&mut self, client: &mut Engine, error: Error) {
        self.failed.get_or_insert(error);
        self.leave(client, Reason::NORMAL_DISCONNECTION);
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
        if let Some(error) = self.printer.failed.take() {
            return self.fail(client, error);
        }
        if self.printer.out.failed.is_some() {
            return self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
        self.count = self.count.saturating_add(1);
        self.judge(publish.payload, client);
    }

    fn judge(&mut self, payload: &[u8], client: &mut Engine) {
        if let Judgment::Wrong(told) = self.awaiting.judge(payload) {
            return self.fail(client, Error::new(Kind::Unexpected, told));
        }
        let expectations = &self.awaiting.expectations;
        if expectations.wants_some() {
            payload.clone_into(&mut self.last);
        }
        let is_last = self.args.count == Some(self.count);
        if is_last && let Some(progress) = expectations.progress() {
            let told = format!("{progress}; the last message was: {}", show(&self.last));
            return self.fail(client, Error::new(Kind::Unexpected, told));
        }
        let is_all = self.args.count.is_none() && expectations.wants_some();
        if is_last || (is_all && expectations.are_met()) {
            self.settle(client);
        }
    }

    /// All messages awaited have come: parts, once the command has ended too.
    fn settle(&mut self, client: &mut Engine) {
        self.is_done = true;
        if !self.awaiting.is_command_open() {
            self.leave(client, Reason::NORMAL_DISCONNECTION);
        }
    }

    fn look(&mut self, cx: &mut Context<'_>, client: &mut Engine) {
        if let Some(what) = self.awaiting.poll(cx) {
            self.happened(&what, client);
        }
    }

    fn happened(&mut self, what: &Happened, client: &mut Engine) {
        match what {
            Happened::Silence if self.is_done => {}
            Happened::Silence => match self.missing() {
                None => self.settle(client),
                Some(missing) => {
                    let idle = self.args.beyond.expect.idle.unwrap_or_default();
                    let told = format!("timed out: {idle:?} of silence, {missing}");
                    self.fail(client, Error::new(Kind::Timeout, told));
                }
            },
            Happened::CommandEnded(status) if !status.success() => {
                let told = format!("the command failed: {status}");
                self.fail(client, Error::new(Kind::Failed, told));
            }
            Happened::CommandEnded(_) if self.is_done => {
                self.leave(client, Reason::NORMAL_DISCONNECTION);
            }
            Happened::CommandEnded(_) => {
                let waits_on = self.args.count.is_some()
                    || self.args.beyond.expect.idle.is_some()
                    || self.awaiting.expectations.wants_some();
                if !waits_on {
                    self.is_flushing = true;
                    client.ping();
                }
            }
        }
    }

    /// What was awaited and has not come.
    fn missing(&self) -> Option<String> {
        let messages = |count| if count == 1 { "message" } else { "messages" };
        let progress = self.awaiting.expectations.progress();
        match (
            self.args.count.filter(|&count| count > self.count),
            progress,
        ) {
            (None, None) => None,
            (Some(count), None) => Some(format!("{} of {count} {}", self.count, messages(count))),
            (None, Some(progress)) => Some(format!(
                "{} {}, {progress}",
                self.count,
                messages(self.count)
            )),
            (Some(count), Some(progress)) => {
                let (came, noun) = (self.count, messages(count));
                Some(format!("{came} of {count} {noun}, {progress}"))
            }
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
        if self.args.watch && !self.args.message_rate {
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
        if let Some(error) = self.failed {
            let status = self.awaiting.status.filter(|status| !status.success());
            return match status {
                None => Err(silent(error)),
                Some(status) => {
                    self.printer.tell(&error);
                    Ok(status_of(status))
                }
            };
        }
        if let Some(error) = self.printer.unwritten() {
            return Err(silent(error));
        }
        match self.wishes.ask() {
            // mosquitto_sub gives up with -1 while it has no connection.
            Some(_) if end.is_none() && !ours => return Ok(ExitCode::from(255)),
            Some(Ask::Timeout) => return Err(silent(self.timed_out(end, place))),
            Some(Ask::Signal) if !self.is_test() => return Ok(self.done()),
            Some(Ask::Signal) => {
                let told = "interrupted before everything awaited had come";
                return Err(silent(Error::new(Kind::Failed, told)));
            }
            None => {}
        }
        if let Some(reason) = self.denied.filter(|_| ours) {
            return Ok(ExitCode::from(reason.value()));
        }
        if self.is_done {
            return match self.awaiting.expectations.progress() {
                None => Ok(self.done()),
                Some(progress) => Err(silent(Error::new(Kind::Unexpected, progress))),
            };
        }
        match end.and_then(|end| outcome::error(self.printer.caller, end, place)) {
            None => Ok(self.done()),
            Some(error) => Err(silent(error)),
        }
    }

    /// It ended well, but for the filters that were refused.
    fn done(&self) -> ExitCode {
        let refused = self.refused.map(Kind::exit_status);
        refused.map_or(ExitCode::SUCCESS, ExitCode::from)
    }

    fn timed_out(&self, end: Option<&End>, place: &str) -> Error {
        if self.printer.caller.manner == Manner::Mosquitto {
            return Error::new(Kind::Timeout, "Timed out").without_prefix();
        }
        let (seconds, came) = (self.args.timeout.unwrap_or_default(), self.count);
        if !self.awaiting.is_ready && end.is_none() {
            let told = format!("timed out after {seconds} s without a connection to {place}");
            return Error::new(Kind::Timeout, told).hint(remedy::UNANSWERED);
        }
        if !self.awaiting.is_ready && !self.args.topic.is_empty() && came == 0 {
            let told = format!("timed out after {seconds} s without an answer to SUBSCRIBE");
            return Error::new(Kind::Timeout, told);
        }
        let noun = if came == 1 { "message" } else { "messages" };
        let mut told = format!("timed out after {seconds} s with ");
        told += &self.missing().unwrap_or_else(|| format!("{came} {noun}"));
        if self.awaiting.is_ready && self.awaiting.is_command_open() {
            told += "; the command was still running";
        }
        Error::new(Kind::Timeout, told)
    }

    /// Whether somebody relies on what is awaited, so that an interruption is no success.
    fn is_test(&self) -> bool {
        self.awaiting.has_command() || self.awaiting.expectations.wants_some()
    }
}

impl Handler for Subscriber<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => self.message(&publish, client),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(client),
            Event::Suback(suback) => self.suback(&suback, client),
            Event::Pong if self.is_flushing && !self.is_done => {
                self.leave(client, Reason::NORMAL_DISCONNECTION);
            }
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
    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.printer.out.flush();
        self.printer.out.look(cx);
        // What the SUBACK set going has to be polled once before it can wake the task.
        self.look(cx, client);
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
        self.look(cx, client);
        // One that is done and waits for its command parts properly too.
        if self.wishes.is_parting_due(client) && (!self.is_done || self.awaiting.is_command_open())
        {
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
    SubscribeOptions {
        no_local: args.no_local && version == Version::V5,
        ..subscribe_options(args.qos, &args.retained, version)
    }
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
