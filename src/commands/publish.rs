//! `mqttx pub`: messages from words, a file or standard input, and not one of them lost.
//!
//! The connection asks for messages while it has room, so a slow broker slows the reading of
//! standard input, and memory stays flat. The exit status is 0 only after the last message was
//! written (QoS 0) or acknowledged; what was not is counted and told. A connection that is lost in
//! the middle is taken up again, and the client layer repeats what was not acknowledged.

use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::cli::args::publish::Publish;
use crate::cli::encoding::Format;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::relations;
use crate::cli::usage;
use crate::cli::{Caller, Manner};
use crate::client::{Acked, End, Engine, Event, Feed, Handler, Message, Refused, Way};
use crate::commands::connect;
use crate::commands::connect::Asked;
use crate::commands::drive::{Sources, Wishes, drive};
use crate::commands::feeding::{Feeding, feeding};
use crate::commands::lines::Next;
use crate::commands::making::{Made, Maker, Pace};
use crate::commands::outcome;
use crate::commands::reach;
use crate::commands::stdout::Stdout;
use crate::commands::template::Template;
use crate::commands::terminal;
use crate::commands::trace::Tracer;
use crate::mqtt::property::{PropertiesBuf, PropertyId};
use crate::mqtt::{Packet, QoS, Reason};

/// Refused messages told one by one; of more than that there is a count at the end.
const REFUSALS_TOLD: u64 = 5;

pub(crate) fn run(caller: Caller, args: &Publish) -> Result<ExitCode, Error> {
    let quiet = args.connection.quiet;
    let hushed = |error: Error| if quiet { error.silent() } else { error };
    let feeding = feeding(args).map_err(hushed)?;
    let Some(feeding) = feeding.filter(|_| args.is_complete()) else {
        terminal::print_out(&usage::of_link(caller.program));
        return Err(relations::incomplete_publish());
    };
    let topic = args.topic.clone().unwrap_or_default();
    let mut options = connect::options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: caller.program.version(),
        receive_max: (caller.manner == Manner::Mosquitto).then_some(20),
    })?;
    if matches!(feeding, Feeding::Lines { .. }) || caller.manner == Manner::Mqttx {
        options.retry = reach::publishing();
    }
    connect::period(&args.connection, &mut options.retry);
    reach::apply(&args.beyond.reach, &mut options);
    let place = options.dial.address.to_string();
    let mut publisher = Publisher {
        caller,
        quiet,
        topic,
        qos: connect::qos(args.qos),
        retain: args.retain,
        properties: property::collect(&args.connection.property, Target::Publish),
        parting: property::collect(&args.connection.property, Target::Disconnect),
        feeding,
        pace: args.beyond.making.rate.map(Pace::new),
        confirming: args.beyond.making.confirm.then_some(Confirming::Due),
        wishes: args.is_endless().then(Wishes::default),
        taken: 0,
        refused: None,
        refusals: 0,
        failed: None,
        tracer: args
            .connection
            .debug
            .then(|| Tracer::new(&options.client_id)),
        out: Stdout::new().map_err(|error| Error::new(Kind::Failed, error.to_string()))?,
    };
    let mut session = connect::session(options)?;
    let runtime = connect::runtime()?;
    let end = match publisher.wishes.clone() {
        None => Some(runtime.block_on(session.run(&mut publisher))),
        Some(wishes) => runtime.block_on(async {
            let sources = Sources::new(None, true)
                .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
            Ok(drive(&mut session, &mut publisher, &wishes, sources).await)
        })?,
    };
    publisher.out.flush();
    let verdict = publisher.verdict(end.as_ref(), session.engine(), &place);
    match verdict {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(hushed(error)),
    }
}

/// Feeds the connection and keeps account.
struct Publisher {
    caller: Caller,
    quiet: bool,
    topic: String,
    qos: QoS,
    retain: bool,
    properties: PropertiesBuf,
    /// The properties of DISCONNECT.
    parting: PropertiesBuf,
    feeding: Feeding,
    pace: Option<Pace>,
    confirming: Option<Confirming>,
    /// How somebody ends what has no end of its own.
    wishes: Option<Wishes>,
    /// Messages the client layer took.
    taken: u64,
    /// The first Reason Code with which a broker refused a message.
    refused: Option<Reason>,
    refusals: u64,
    /// Why nothing more is published.
    failed: Option<Error>,
    tracer: Option<Tracer>,
    out: Stdout,
}

/// How far the proof is that the broker has read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirming {
    Due,
    /// The PINGREQ is on its way.
    Asked,
    Done,
}

impl Publisher {
    fn publish(&mut self, client: &mut Engine, payload: &[u8]) -> Result<u64, Refused> {
        // mosquitto tells the topic once and only the alias from then on.
        let has_alias = self.taken > 0
            && self
                .properties
                .properties()
                .two(PropertyId::TopicAlias)
                .is_some();
        let message = Message {
            topic: if has_alias { "" } else { &self.topic },
            payload,
            qos: self.qos,
            // mosquitto_pub drops the flag where the broker keeps no retained messages.
            retain: self.retain && (self.caller.manner == Manner::Mqttx || client.keeps_retained()),
            properties: self.properties.properties(),
        };
        let ticket = client.publish(&message)?;
        self.taken += 1;
        Ok(ticket)
    }

    fn publish_made(&mut self, client: &mut Engine, made: &Made) -> Result<(), String> {
        let topic = made.topic.as_deref().unwrap_or(&self.topic);
        if topic.is_empty() {
            return Err("no topic, neither here nor as -t".to_owned());
        }
        let own = made.properties.as_ref();
        if own.is_some_and(|own| !own.is_empty()) && !client.options().version.is_v5() {
            return Err("properties need version 5: -V 5".to_owned());
        }
        let message = Message {
            topic,
            payload: &made.payload,
            qos: made.qos.unwrap_or(self.qos),
            retain: made.retain.unwrap_or(self.retain),
            properties: own.unwrap_or(&self.properties).properties(),
        };
        client
            .publish(&message)
            .map_err(|refused| refused.to_string())?;
        self.taken += 1;
        Ok(())
    }

    fn is_waiting(&self, client: &Engine) -> bool {
        self.caller.manner == Manner::Mosquitto && client.unacknowledged() > 0
    }

    /// Nothing more comes: parts after the last acknowledgement.
    fn end(&mut self, client: &mut Engine) -> Feed {
        match self.confirming {
            Some(Confirming::Due) => {
                self.confirming = Some(Confirming::Asked);
                client.ping();
                return Feed::Idle;
            }
            Some(Confirming::Asked) => return Feed::Idle,
            Some(Confirming::Done) | None => {}
        }
        if self.parting.is_empty() {
            return Feed::End;
        }
        if client.unacknowledged() == 0 {
            client.disconnect(Reason::NORMAL_DISCONNECTION, self.parting.properties());
        }
        Feed::Idle
    }

    fn give_up(&mut self, told: String) -> Feed {
        self.give_up_as(Kind::Failed, told)
    }

    /// mosquitto_pub hangs up where it may not send its only message, and tells that, too.
    fn give_up_at_all(&mut self, refused: Refused) -> Feed {
        let told = sentence(self.caller, refused);
        match (self.caller.manner, refused) {
            (Manner::Mosquitto, Refused::TooLarge | Refused::QosNotSupported) => {
                let told = format!("{told}\nError: The connection was lost");
                self.give_up_as(Kind::Lost, told)
            }
            _ => self.give_up(told),
        }
    }

    fn give_up_as(&mut self, kind: Kind, told: String) -> Feed {
        self.failed.get_or_insert_with(|| Error::new(kind, told));
        Feed::End
    }

    /// A line, by itself or as what it says; its number is told where it is wrong.
    fn publish_line(
        &mut self,
        client: &mut Engine,
        line: &[u8],
        number: u64,
        maker: Option<&Maker>,
    ) -> Feed {
        let Some(maker) = maker else {
            return match self.publish(client, line) {
                Ok(_) => Feed::More,
                Err(refused) => {
                    let kind = outcome::not_sent(self.caller, refused).kind;
                    let told = sentence(self.caller, refused);
                    self.give_up_as(kind, format!("line {number}: {told}"))
                }
            };
        };
        let made = maker.line(line);
        match made.and_then(|made| self.publish_made(client, &made)) {
            Ok(()) => Feed::More,
            Err(told) => self.give_up_as(Kind::Data, format!("line {number}: {told}")),
        }
    }

    fn publish_template(
        &mut self,
        client: &mut Engine,
        template: &mut Template,
        format: Option<Format>,
    ) -> Feed {
        let payload = template.make().and_then(|text| match format {
            None => Ok(text.into_bytes()),
            Some(format) => format.encode(text.as_bytes()),
        });
        match payload {
            Err(told) => self.give_up_as(Kind::Data, format!("--template: {told}")),
            Ok(payload) => match self.publish(client, &payload) {
                Ok(_) => Feed::More,
                Err(refused) => self.give_up(sentence(self.caller, refused)),
            },
        }
    }

    /// Somebody wants what has no end to end.
    fn is_stopped(&self) -> bool {
        self.wishes
            .as_ref()
            .is_some_and(|wishes| wishes.ask().is_some())
    }

    /// What is told at the end, if not all went well.
    fn verdict(self, end: Option<&End>, client: &Engine, place: &str) -> Option<Error> {
        let left = client.unacknowledged() + client.unwritten();
        let ending = self
            .failed
            .or_else(|| outcome::error(self.caller, end?, place));
        let unproved = self
            .confirming
            .is_some_and(|proof| proof != Confirming::Done);
        let ending = ending.map(|error| match unproved && self.taken > 0 {
            true => error.and(format!("{} not confirmed", messages(self.taken))),
            false => error,
        });
        if let Some(error) = ending {
            let is_told = left > 0 && self.taken > 0;
            return Some(match is_told {
                true => error.and(format!("{} not delivered", messages(left as u64))),
                false => error,
            });
        }
        let reason = self.refused?;
        if self.caller.manner == Manner::Mosquitto {
            // mosquitto_pub warns about a refused message and succeeds all the same.
            return None;
        }
        let (count, taken) = (self.refusals, self.taken);
        let name = reason.name().to_lowercase();
        let told = format!("{count} of {taken} messages were refused, the first one: {name}");
        let error = Error::new(Kind::Reason(reason.value()), told);
        Some(if count > REFUSALS_TOLD {
            error
        } else {
            error.silent()
        })
    }

    fn acked(&mut self, acked: &Acked<'_>) {
        if !acked.reason.is_error() {
            return;
        }
        self.refused.get_or_insert(acked.reason);
        self.refusals += 1;
        if self.quiet {
            return;
        }
        let (name, told) = (
            acked.reason.name(),
            acked.properties.text(PropertyId::ReasonString),
        );
        match self.caller.manner {
            Manner::Mosquitto => {
                let told = told.map(|text| format!("{text}\n")).unwrap_or_default();
                let id = acked.packet_id.value();
                terminal::print_err(&format!("Warning: Publish {id} failed: {name}.\n{told}"));
            }
            Manner::Mqttx if self.refusals > REFUSALS_TOLD => {}
            Manner::Mqttx => {
                let told = told.map(|text| format!(": {text}")).unwrap_or_default();
                let (number, code) = (acked.ticket + 1, acked.reason.value());
                terminal::print_err(&format!(
                    "mqttx pub: message {number} refused: {} ({code}){told}\n",
                    name.to_lowercase()
                ));
            }
        }
    }
}

impl Handler for Publisher {
    fn handle(&mut self, event: Event<'_>, _client: &mut Engine) {
        match event {
            Event::Acked(acked) => self.acked(&acked),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => {
                if let Some(wishes) = &self.wishes {
                    wishes.set_up(true);
                }
            }
            Event::Pong if self.confirming == Some(Confirming::Asked) => {
                self.confirming = Some(Confirming::Done);
            }
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.out.flush();
        if self.failed.is_some() {
            return Feed::End;
        }
        // Taken out, so that a payload can be borrowed while the rest of `self` publishes it.
        if self.is_stopped() {
            return self.end(client);
        }
        if let Some(due) = self.pace.as_ref().and_then(Pace::due) {
            return Feed::At(due);
        }
        let mut feeding = std::mem::replace(&mut self.feeding, Feeding::NOTHING);
        let feed = match &mut feeding {
            Feeding::Repeat { left: 0, .. } => self.end(client),
            // mosquitto_pub repeats a message only when the one before is acknowledged.
            Feeding::Repeat { .. } if self.is_waiting(client) => Feed::Idle,
            Feeding::Repeat {
                next: Some(next), ..
            } if *next > Instant::now() => Feed::At(*next),
            Feeding::Repeat {
                payload,
                left,
                delay,
                next,
            } => match self.publish(client, payload) {
                Ok(_) => {
                    *left -= 1;
                    *next = (!delay.is_zero()).then(|| Instant::now() + *delay);
                    Feed::More
                }
                Err(refused) => self.give_up_at_all(refused),
            },
            Feeding::Template { left: Some(0), .. } => self.end(client),
            Feeding::Template {
                template,
                format,
                left,
            } => {
                *left = left.map(|left| left - 1);
                self.publish_template(client, template, *format)
            }
            Feeding::Lines {
                lines,
                number,
                maker,
            } => match lines.next(cx) {
                Next::Wait => Feed::Idle,
                Next::End => self.end(client),
                Next::Failed(error) => self.give_up(format!("standard input: {error}")),
                Next::Line(line) => {
                    *number += 1;
                    self.publish_line(client, line, *number, maker.as_ref())
                }
            },
        };
        self.feeding = feeding;
        if let (Feed::More, Some(pace)) = (feed, &mut self.pace) {
            pace.sent();
        }
        feed
    }

    fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        if let Some(tracer) = &mut self.tracer {
            tracer.packet(way, packet, &mut self.out.buffer);
            self.out.settle();
        }
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        self.out.flush();
        if let Some(wishes) = &self.wishes {
            wishes.set_up(false);
        }
        // Whether what went out at QoS 0 was read cannot be asked any more.
        if self.confirming.is_some() && self.qos == QoS::AtMostOnce && self.taken > 0 {
            let told = format!("connection lost: {end}");
            self.failed
                .get_or_insert_with(|| Error::new(Kind::Lost, told));
        }
        if !self.quiet && self.caller.manner == Manner::Mqttx {
            terminal::print_err(&format!("mqttx pub: {end}; trying again in {pause:?}\n"));
        }
    }
}

fn sentence(caller: Caller, refused: Refused) -> String {
    match (caller.manner, refused) {
        (Manner::Mosquitto, Refused::Topic(_)) => {
            "Invalid input. Does your topic contain '+' or '#'?".to_owned()
        }
        (Manner::Mosquitto, Refused::TooLarge) => "Message payload is too large.".to_owned(),
        (Manner::Mosquitto, Refused::QosNotSupported) => {
            "Message QoS not supported on broker, try a lower QoS.".to_owned()
        }
        (_, refused) => refused.to_string(),
    }
}

fn messages(count: u64) -> String {
    let were = if count == 1 {
        "message was"
    } else {
        "messages were"
    };
    format!("{count} {were}")
}
