//! One command to a `$CONTROL` topic, and its answer from the topic below: `{"commands": […]}` out,
//! `{"responses": […]}` back. Everybody who may read there sees all answers, so each command
//! carries Correlation Data of its own and takes no other answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Manner;
use crate::cli::error::{Error, Kind};
use crate::client::{Engine, Event, Handler, Message, Retry};
use crate::commands::connect;
use crate::commands::ctrl::Errand;
use crate::commands::drive::{Wishes, drive_alone};
use crate::commands::outcome;
use crate::commands::terminal;
use crate::commands::trace::Tracer;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::{Packet, Reason};

/// As long as mosquitto_ctrl is ready to wait.
const PATIENCE: u32 = 10;

/// What came back.
pub(crate) enum Answer {
    /// The response to the command, without an error in it.
    Done(Value),
    /// The broker's own words about why not.
    Refused(String),
}

/// Sends `command` to `$CONTROL/{topic}` and waits for what is said to it.
pub(crate) fn ask(errand: &Errand<'_>, topic: &str, mut command: Value) -> Result<Answer, Error> {
    let args = errand.args;
    let options = connect::approach(errand.caller, &args.approach, Retry::never())?;
    warn(errand, options.dial.tls.is_none());
    let correlation = correlation();
    command["correlationData"] = json!(correlation);
    let place = options.dial.address.to_string();
    let tracer = args
        .approach
        .connection
        .debug
        .then(|| Tracer::new(&options.client_id));
    let wishes = Wishes::default();
    let mut courier = Courier {
        topic: format!("$CONTROL/{topic}"),
        response_topic: format!("$CONTROL/{topic}/response"),
        payload: json!({ "commands": [command] }).to_string(),
        correlation,
        options: SubscribeOptions::with_qos(connect::qos(args.qos)),
        tracer,
        wishes: wishes.clone(),
        refused: None,
        answer: None,
    };
    let mut session = connect::session(options)?;
    let end = drive_alone(&mut session, &mut courier, &wishes, Some(PATIENCE))?;
    if let Some(answer) = courier.answer {
        return Ok(reading(answer));
    }
    if let Some(reason) = courier.refused {
        let told = format!("the broker refuses the command: {}", reason.name());
        return Err(Error::new(Kind::Reason(reason.value()), told));
    }
    let ended = end.and_then(|end| outcome::error(errand.caller, &end, &place));
    Err(ended.unwrap_or_else(|| {
        let told = format!("no answer on $CONTROL/{topic} within {PATIENCE} s");
        Error::new(Kind::Timeout, told)
    }))
}

/// Passwords cross the network with these commands.
fn warn(errand: &Errand<'_>, plain: bool) {
    let connection = &errand.args.approach.connection;
    let local = connection.unix.is_some() || connection.port == Some(0);
    if plain && !local && !connection.quiet && errand.caller.manner == Manner::Mosquitto {
        terminal::print_err(
            "Warning: You are running mosquitto_ctrl without encryption.\n\
             This means all of the configuration changes you are making are visible on the \
             network, including passwords.\n\n",
        );
    }
}

/// Nobody else's: the process and the time, to the nanosecond.
fn correlation() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or(Duration::ZERO).as_nanos();
    format!("{:x}-{nanos:x}", std::process::id())
}

fn reading(mut response: Value) -> Answer {
    match response.get("error").and_then(Value::as_str) {
        Some(error) => Answer::Refused(error.to_owned()),
        None => Answer::Done(response["data"].take()),
    }
}

struct Courier {
    topic: String,
    response_topic: String,
    payload: String,
    correlation: String,
    options: SubscribeOptions,
    tracer: Option<Tracer>,
    wishes: Wishes,
    refused: Option<Reason>,
    answer: Option<Value>,
}

impl Courier {
    fn refuse(&mut self, reason: Reason, client: &mut Engine) {
        self.refused = Some(reason);
        client.finish();
    }

    fn send(&mut self, client: &mut Engine) {
        let message = Message {
            topic: &self.topic,
            payload: self.payload.as_bytes(),
            qos: self.options.qos,
            retain: false,
            properties: Properties::EMPTY,
        };
        if client.publish(&message).is_err() {
            self.refuse(Reason::PACKET_TOO_LARGE, client);
        }
    }

    /// The response to this very command, if it is in there.
    fn take(&mut self, publish: &Publish<'_>, client: &mut Engine) {
        let Ok(mut whole) = serde_json::from_slice::<Value>(publish.payload) else {
            return;
        };
        let Some(responses) = whole["responses"].as_array_mut() else {
            return;
        };
        let ours = |one: &&mut Value| {
            let correlation = one.get("correlationData");
            correlation.and_then(Value::as_str) == Some(&self.correlation)
        };
        if let Some(response) = responses.iter_mut().find(ours) {
            self.answer = Some(response.take());
            client.finish();
        }
    }
}

impl Handler for Courier {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => {
                self.wishes.set_up(true);
                let filters = [(&*self.response_topic, self.options)];
                if client.subscribe(&filters, Properties::EMPTY).is_err() {
                    self.refuse(Reason::PACKET_TOO_LARGE, client);
                }
            }
            Event::Suback(suback) => match suback.reasons.first() {
                Some(&code) if Reason(code).is_error() => self.refuse(Reason(code), client),
                _ => self.send(client),
            },
            Event::Acked(acked) if acked.reason.is_error() => self.refuse(acked.reason, client),
            Event::Message(publish) => self.take(&publish, client),
            _ => {}
        }
    }

    fn wake(&mut self, client: &mut Engine, _cx: &mut std::task::Context<'_>) {
        if self.wishes.is_parting_due(client) {
            client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
        }
    }

    fn packet(&mut self, way: crate::client::Way, packet: &Packet<'_>) {
        if let Some(tracer) = &mut self.tracer {
            let mut lines = Vec::new();
            tracer.packet(way, packet, &mut lines);
            terminal::print_out_bytes(&lines);
        }
    }
}
