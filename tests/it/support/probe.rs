//! A client in a test's hand: publishes what it is given, writes down what it is told, and does
//! what the test wants at each step.

use std::collections::VecDeque;
use std::task::Context;
use std::time::Duration;

use mqttx::client::Backoff;
use mqttx::client::{End, Engine, Event, Feed, Handler, Message, Options, Retry, Session};
use mqttx::mqtt::property::{PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::{QoS, Version};
use mqttx::net::Dial;
use mqttx::net::address::Address;

/// The client `tester`, which does not connect a second time.
pub(crate) fn options(port: u16, version: Version) -> Options {
    let mut options = Options::new(Dial::new(Address::tcp("127.0.0.1", port)));
    options.version = version;
    options.client_id = "tester".to_owned();
    options
}

/// The same, coming back at once after a connection that stood.
pub(crate) fn returning(port: u16, version: Version) -> Options {
    let mut options = options(port, version);
    options.clean_start = false;
    options.retry = Retry {
        // A script that failed listens no more, and the test must come to its end.
        attempts_max: Some(50),
        backoff: Backoff::every(Duration::from_millis(1)),
        ..Retry::once_connected()
    };
    options
}

/// Runs a session to its end on this thread.
pub(crate) fn run<H: Handler>(options: Options, handler: &mut H) -> (End, Session) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut session = Session::new(options).unwrap();
    let end = runtime.block_on(session.run(handler));
    (end, session)
}

/// Properties in this order.
pub(crate) fn properties(list: &[(PropertyId, Value<'_>)]) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    for (id, value) in list {
        properties.push(*id, *value);
    }
    properties
}

type Step = Box<dyn FnMut(&str, &mut Engine)>;

/// A handler that writes down every event as a line.
pub(crate) struct Probe {
    outbox: VecDeque<(QoS, String)>,
    ends: bool,
    step: Step,
    pub(crate) seen: Vec<String>,
}

impl Probe {
    /// Told each line as it is written.
    pub(crate) fn new(step: impl FnMut(&str, &mut Engine) + 'static) -> Self {
        Self {
            outbox: VecDeque::new(),
            ends: false,
            step: Box::new(step),
            seen: Vec::new(),
        }
    }

    /// Publishes these payloads to `t`, then finishes.
    pub(crate) fn publishing(messages: &[(QoS, &str)]) -> Self {
        let mut probe = Self::new(|_, _| {});
        probe.outbox = messages
            .iter()
            .map(|(qos, text)| (*qos, (*text).to_owned()))
            .collect();
        probe.ends = true;
        probe
    }

    /// Only looks and waits for the broker to end it.
    pub(crate) fn watching() -> Self {
        Self::new(|_, _| {})
    }
}

impl Handler for Probe {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        let line = match event {
            Event::Connack(connack) => {
                format!(
                    "connack {} {:02x}",
                    connack.session_present,
                    connack.reason.value()
                )
            }
            Event::Message(message) => {
                let text = String::from_utf8_lossy(message.payload);
                let dup = if message.dup { " dup" } else { "" };
                format!("{} {} {text}{dup}", message.topic, message.qos.bits())
            }
            Event::Acked(acked) => format!("acked {} {:02x}", acked.ticket, acked.reason.value()),
            Event::Suback(suback) => format!("suback {} {:?}", suback.packet_id, suback.reasons),
            Event::Unsuback(unsuback) => format!("unsuback {}", unsuback.packet_id),
            Event::Pong => "pong".to_owned(),
            Event::Disconnect(disconnect) => {
                format!("disconnect {:02x}", disconnect.reason.value())
            }
            Event::Auth(auth) => format!("auth {:02x}", auth.reason.value()),
        };
        (self.step)(&line, client);
        self.seen.push(line);
    }

    fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
        match self.outbox.pop_front() {
            Some((qos, text)) => {
                client
                    .publish(&Message::new("t", text.as_bytes()).qos(qos))
                    .unwrap();
                Feed::More
            }
            None if self.ends => Feed::End,
            None => Feed::Idle,
        }
    }
}
