//! `mqttx pub`: messages from words, a file or standard input, and not one of them lost.
//!
//! The connection asks for messages while it has room, so a slow broker slows the reading of
//! standard input, and memory stays flat. The exit status is 0 only after the last message was
//! written (QoS 0) or acknowledged; what was not is counted and told. A connection that is lost in
//! the middle is taken up again, and the client layer repeats what was not acknowledged.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::cli::args::message::Source;
use crate::cli::args::publish::Publish;
use crate::cli::error::{Error, Kind};
use crate::cli::property;
use crate::cli::property::Target;
use crate::cli::relations;
use crate::cli::usage;
use crate::cli::{Caller, Manner};
use crate::client::{
    Acked, Backoff, End, Engine, Event, Feed, Handler, Message, Refused, Retry, Session, Way,
};
use crate::commands::connect;
use crate::commands::connect::Asked;
use crate::commands::lines::{Lines, Next};
use crate::commands::outcome;
use crate::commands::reach;
use crate::commands::stdout::Stdout;
use crate::commands::terminal;
use crate::commands::trace::Tracer;
use crate::mqtt::property::{PropertiesBuf, PropertyId};
use crate::mqtt::{Packet, QoS, Reason, Version, limits};

/// How often a broker that went away in the middle is tried again before what is left counts as
/// lost: with pauses of 1, 2, 4 … 30 seconds about four minutes.
const ATTEMPTS_MAX: u32 = 12;

/// Refused messages told one by one; of more than that there is a count at the end.
const REFUSALS_TOLD: u64 = 5;

pub(crate) fn run(caller: Caller, args: &Publish) -> Result<ExitCode, Error> {
    let quiet = args.connection.quiet;
    let hushed = |error: Error| if quiet { error.silent() } else { error };
    let feeding = feeding(args).map_err(hushed)?;
    let (Some(feeding), Some(topic)) = (feeding, args.topic.clone()) else {
        terminal::print_out(&usage::of_link(caller.program));
        return Err(relations::incomplete_publish());
    };
    let mut options = connect::options(&Asked {
        caller,
        connection: &args.connection,
        tls: &args.tls,
        will: &args.will,
        version: Version::V311,
        receive_max: (caller.manner == Manner::Mosquitto).then_some(20),
    })?;
    if matches!(feeding, Feeding::Lines { .. }) || caller.manner == Manner::Mqttx {
        let backoff = Backoff::doubling();
        options.retry = Retry {
            backoff,
            attempts_max: Some(ATTEMPTS_MAX),
            ..Retry::once_connected()
        };
    }
    connect::period(&args.connection, &mut options.retry);
    reach::apply(&args.reach, &mut options);
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
    let mut session = Session::new(options).map_err(|told| Error::new(Kind::Failed, told))?;
    let end = connect::runtime()?.block_on(session.run(&mut publisher));
    publisher.out.flush();
    let verdict = publisher.verdict(&end, session.engine(), &place);
    match verdict {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(hushed(error)),
    }
}

/// Where the payloads come from.
#[derive(Debug)]
enum Feeding {
    Repeat {
        payload: Vec<u8>,
        left: u32,
        delay: Duration,
        next: Option<Instant>,
    },
    Lines {
        lines: Lines,
        number: u64,
    },
}

fn feeding(args: &Publish) -> Result<Option<Feeding>, Error> {
    let payload = match args.source() {
        None => return Ok(None),
        Some(Source::Lines) => {
            let lines = Lines::new(std::io::stdin());
            return Ok(Some(Feeding::Lines { lines, number: 0 }));
        }
        Some(Source::Words(words)) => words.as_encoded_bytes().to_vec(),
        Some(Source::Empty) => Vec::new(),
        Some(Source::File(path)) => read_file(&path)?,
        Some(Source::Stdin) => read_stdin()?,
    };
    let delay = args.repeat_delay.unwrap_or_default();
    Ok(Some(Feeding::Repeat {
        payload,
        left: args.repeat,
        delay,
        next: None,
    }))
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let shown = path.display();
        let words = outcome::system_words(&error);
        Error::new(
            Kind::Failed,
            format!(
                "Unable to read file \"{shown}\": {words}.\nError loading input file \"{shown}\"."
            ),
        )
    })
}

pub(crate) fn read_stdin() -> Result<Vec<u8>, Error> {
    let failed = |told: &str| {
        Error::new(
            Kind::Failed,
            format!("{told}\nError loading input from stdin."),
        )
    };
    let mut payload = Vec::new();
    let most = limits::PACKET_SIZE_MAX as u64;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut payload)
        .map_err(|error| failed(&outcome::system_words(&error)))?;
    if payload.is_empty() {
        return Err(failed("Zero length input."));
    }
    Ok(payload)
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
            retain: self.retain,
            properties: self.properties.properties(),
        };
        let ticket = client.publish(&message)?;
        self.taken += 1;
        Ok(ticket)
    }

    fn is_waiting(&self, client: &Engine) -> bool {
        self.caller.manner == Manner::Mosquitto && client.unacknowledged() > 0
    }

    /// Nothing more comes: parts after the last acknowledgement.
    fn end(&self, client: &mut Engine) -> Feed {
        if self.parting.is_empty() {
            return Feed::End;
        }
        if client.unacknowledged() == 0 {
            client.disconnect(Reason::NORMAL_DISCONNECTION, self.parting.properties());
        }
        Feed::Idle
    }

    fn give_up(&mut self, told: String) -> Feed {
        self.failed
            .get_or_insert_with(|| Error::new(Kind::Failed, told));
        Feed::End
    }

    /// What is told at the end, if not all went well.
    fn verdict(self, end: &End, client: &Engine, place: &str) -> Option<Error> {
        let left = client.unacknowledged() + client.unwritten();
        let ending = self
            .failed
            .or_else(|| outcome::error(self.caller, end, place));
        if let Some(error) = ending {
            let many = if left == 1 {
                "message was"
            } else {
                "messages were"
            };
            let is_told = left > 0 && self.taken > 0;
            return Some(match is_told {
                true => error.and(format!("{left} {many} not delivered")),
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
        if let Event::Acked(acked) = event {
            self.acked(&acked);
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.out.flush();
        if self.failed.is_some() {
            return Feed::End;
        }
        // Taken out, so that a payload can be borrowed while the rest of `self` publishes it.
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
                Err(refused) => self.give_up(sentence(self.caller, refused)),
            },
            Feeding::Lines { lines, number } => match lines.next(cx) {
                Next::Wait => Feed::Idle,
                Next::End => self.end(client),
                Next::Failed(error) => self.give_up(format!("standard input: {error}")),
                Next::Line(line) => {
                    *number += 1;
                    match self.publish(client, line) {
                        Ok(_) => Feed::More,
                        Err(refused) => self
                            .give_up(format!("line {number}: {}", sentence(self.caller, refused))),
                    }
                }
            },
        };
        self.feeding = feeding;
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
        if !self.quiet && self.caller.manner == Manner::Mqttx {
            terminal::print_err(&format!("mqttx pub: {end}; trying again in {pause:?}\n"));
        }
    }
}

impl Feeding {
    const NOTHING: Self = Self::Repeat {
        payload: Vec::new(),
        left: 0,
        delay: Duration::ZERO,
        next: None,
    };
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
