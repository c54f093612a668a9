//! `mqttx rr`: subscribe to the response topic, publish the request, print the response.

use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::cli::args::message::Source;
use crate::cli::args::request::Request;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::relations;
use crate::cli::{Caller, Manner};
use crate::client::{End, Engine, Event, Feed, Handler, Message, Refused, Way};
use crate::commands::connect;
use crate::commands::connect::Asked;
use crate::commands::drive::{Ask, Sources, Wishes, drive};
use crate::commands::feeding::{read_file, read_stdin};
use crate::commands::outcome;
use crate::commands::printer::Printer;
use crate::commands::reach;
use crate::commands::remedy;
use crate::commands::subscribe::subscribe_options;
use crate::commands::trace::Tracer;
use crate::mqtt::property::{PropertiesBuf, PropertyId, Value};
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::Suback;
use crate::mqtt::{Packet, Reason, Version};

pub(crate) fn run(caller: Caller, args: &Request) -> Result<ExitCode, Error> {
    let quiet = args.connection.quiet;
    let silent = move |error: Error| if quiet { error.silent() } else { error };
    let payload = payload(args).map_err(silent)?;
    if !args.is_complete() {
        return Err(relations::incomplete_request());
    }
    let properties = properties(args).map_err(silent)?;
    let mut options = connect::options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: caller.program.version(),
        receive_max: (caller.manner == Manner::Mosquitto).then_some(1),
    })?;
    reach::apply(&args.reach, &mut options);
    let place = options.dial.address.to_string();
    let version = options.version;
    let tracer = args
        .connection
        .debug
        .then(|| Tracer::new(&options.client_id));
    let wishes = Wishes::default();
    let mut requester = Requester {
        args,
        version,
        payload,
        properties,
        parting: property::collect(&args.connection.property, Target::Disconnect),
        subscribe: property::collect(&args.connection.property, Target::Subscribe),
        printer: Printer::new(caller, quiet, &args.output, tracer)?,
        wishes: wishes.clone(),
        sent: None,
        answered: None,
        denied: None,
        failed: None,
    };
    let mut session = connect::session(options)?;
    let end = connect::runtime()?.block_on(async {
        let sources = Sources::new(args.timeout, false)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        Ok(drive(&mut session, &mut requester, &wishes, sources).await)
    })?;
    requester.report_latency();
    requester.printer.out.flush();
    requester.verdict(end.as_ref(), &place).map_err(silent)
}

fn payload(args: &Request) -> Result<Vec<u8>, Error> {
    match args.message.source() {
        Some(Source::Words(words)) => Ok(words.as_encoded_bytes().to_vec()),
        Some(Source::File(path)) => read_file(&path),
        Some(Source::Stdin) => read_stdin(),
        Some(_) | None => Ok(Vec::new()),
    }
}

/// What was typed, and the Response Topic behind it.
fn properties(args: &Request) -> Result<PropertiesBuf, Error> {
    let mut properties = property::collect(&args.connection.property, Target::Publish);
    if properties
        .properties()
        .text(PropertyId::ResponseTopic)
        .is_some()
    {
        let told = "Error in PUBLISH properties: Duplicate response topic.";
        return Err(Error::new(Kind::Failed, told).without_prefix());
    }
    if let Some(topic) = &args.response_topic {
        properties.push(PropertyId::ResponseTopic, Value::String(topic));
    }
    Ok(properties)
}

struct Requester<'a> {
    args: &'a Request,
    version: Version,
    payload: Vec<u8>,
    properties: PropertiesBuf,
    subscribe: PropertiesBuf,
    parting: PropertiesBuf,
    printer: Printer,
    wishes: Wishes,
    sent: Option<Instant>,
    answered: Option<Instant>,
    denied: Option<Reason>,
    failed: Option<Error>,
}

impl Requester<'_> {
    fn connected(&mut self, client: &mut Engine) {
        self.wishes.set_up(true);
        let options = subscribe_options(self.args.qos, &self.args.retained, self.version);
        let filter = self.args.response_topic.as_deref().unwrap_or_default();
        if let Err(refused) = client.subscribe(&[(filter, options)], self.subscribe.properties()) {
            self.give_up(client, refused);
        }
    }

    fn suback(&mut self, suback: &Suback<'_>, client: &mut Engine) {
        let code = suback.reasons.first();
        let reason = code.map_or(Reason::UNSPECIFIED_ERROR, |&code| Reason(code));
        if reason.is_error() {
            let filter = self.args.response_topic.as_deref().unwrap_or_default();
            let error = outcome::refused_filter(self.version, filter, reason, suback.properties);
            return self.fail(client, reason, error);
        }
        let message = Message {
            topic: self.args.topic.as_deref().unwrap_or_default(),
            payload: &self.payload,
            qos: connect::qos(self.args.qos),
            retain: false,
            properties: self.properties.properties(),
        };
        self.sent = Some(Instant::now());
        if let Err(refused) = client.publish(&message) {
            self.give_up(client, refused);
        }
    }

    /// The broker has said that it would not take this.
    fn give_up(&mut self, client: &mut Engine, refused: Refused) {
        self.failed = Some(outcome::not_sent(self.printer.caller, refused));
        client.disconnect(Reason::NORMAL_DISCONNECTION, self.parting.properties());
    }

    fn fail(&mut self, client: &mut Engine, reason: Reason, error: Error) {
        self.denied = Some(reason);
        self.printer.out.flush();
        self.printer.tell(&error);
        client.disconnect(Reason::NORMAL_DISCONNECTION, self.parting.properties());
    }

    fn message(&mut self, publish: &Publish<'_>, client: &mut Engine) {
        if self.answered.is_some()
            || (publish.retain && self.args.retained.no_retained)
            || self.is_anothers(publish)
        {
            return;
        }
        self.answered = Some(Instant::now());
        self.printer.message(publish);
        self.printer.out.flush();
        if self.parting.is_empty() {
            client.finish();
        } else {
            client.disconnect(Reason::NORMAL_DISCONNECTION, self.parting.properties());
        }
    }

    /// A response to somebody else's request: it carries Correlation Data, and not ours.
    /// mosquitto_rr takes any response.
    fn is_anothers(&self, publish: &Publish<'_>) -> bool {
        let ours = self
            .properties
            .properties()
            .binary(PropertyId::CorrelationData);
        let theirs = publish.properties.binary(PropertyId::CorrelationData);
        self.printer.caller.manner == Manner::Mqttx && theirs.is_some() && theirs != ours
    }

    fn report_latency(&mut self) {
        if let (true, Some(sent), Some(answered)) = (self.args.latency, self.sent, self.answered) {
            let line = latency(answered.duration_since(sent));
            self.printer.out.buffer.extend_from_slice(line.as_bytes());
        }
    }

    fn verdict(self, end: Option<&End>, place: &str) -> Result<ExitCode, Error> {
        if let Some(error) = self.printer.unwritten() {
            return Err(error);
        }
        if self.answered.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        let ours = self.printer.caller.manner == Manner::Mqttx;
        if self.wishes.ask() == Some(Ask::Timeout) {
            let seconds = self.args.timeout.unwrap_or_default();
            if !ours {
                return Err(Error::new(Kind::Timeout, "Timed out").without_prefix());
            }
            let told = |what| {
                let told = format!("timed out: no {what} within {seconds} s");
                Error::new(Kind::Timeout, told)
            };
            return Err(match (self.sent, end) {
                (Some(_), _) => told("response"),
                (None, Some(_)) => told("answer to SUBSCRIBE"),
                (None, None) => told(&format!("connection to {place}")).hint(remedy::UNANSWERED),
            });
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(reason) = self.denied {
            return Ok(if ours {
                ExitCode::from(reason.value())
            } else {
                ExitCode::SUCCESS
            });
        }
        match end.and_then(|end| outcome::error(self.printer.caller, end, place)) {
            None => Ok(ExitCode::SUCCESS),
            Some(error) => Err(error),
        }
    }
}

impl Handler for Requester<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(client),
            Event::Suback(suback) => self.suback(&suback, client),
            Event::Message(publish) => self.message(&publish, client),
            _ => {}
        }
    }

    fn feed(&mut self, _client: &mut Engine, _cx: &mut Context<'_>) -> Feed {
        self.printer.out.flush();
        Feed::Idle
    }

    fn wake(&mut self, client: &mut Engine, _cx: &mut Context<'_>) {
        if self.wishes.is_parting_due(client) && self.answered.is_none() {
            client.disconnect(Reason::DISCONNECT_WITH_WILL, self.parting.properties());
        }
    }

    fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        self.printer.packet(way, packet);
    }

    fn retry(&mut self, _end: &End, _pause: Duration) {
        self.wishes.set_up(false);
    }
}

/// `Latency: 123ns`, in the unit that fits.
fn latency(took: Duration) -> String {
    let nanos = took.subsec_nanos();
    match took.as_secs() {
        0 if nanos < 1_000 => format!("Latency: {nanos}ns\n"),
        0 if nanos < 1_000_000 => format!("Latency: {:.6}µs\n", f64::from(nanos) / 1e3),
        0 => format!("Latency: {:.6}ms\n", f64::from(nanos) / 1e6),
        seconds => format!("Latency: {seconds}.{nanos:09}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies() {
        for (nanos, line) in [
            (123, "Latency: 123ns\n"),
            (12_345, "Latency: 12.345000µs\n"),
            (1_234_567, "Latency: 1.234567ms\n"),
            (2_000_000_003, "Latency: 2.000000003\n"),
        ] {
            assert_eq!(latency(Duration::from_nanos(nanos)), line);
        }
    }
}
