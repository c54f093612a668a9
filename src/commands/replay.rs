//! `mqttx replay`: what was recorded, published again at its own pace or another.
//!
//! Lines are those of `mqttx record`, `mqttx sub --jsonl` too. A broken line ends it with 65 and its
//! number; what stood before it was delivered.

use std::fs::File;
use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant};

use crate::cli::Caller;
use crate::cli::args::record::Replay;
use crate::cli::error::{Error, Kind};
use crate::cli::jsonl::Line;
use crate::client::{End, Engine, Event, Feed, Handler, Message};
use crate::commands::connect;
use crate::commands::drive::{Wishes, drive_alone};
use crate::commands::lines::{Lines, Next};
use crate::commands::outcome;
use crate::commands::reach;
use crate::commands::terminal;
use crate::mqtt::property::Properties;
use crate::mqtt::{QoS, Reason};
use crate::net::system_words;

pub(crate) fn run(caller: Caller, args: &Replay) -> Result<ExitCode, Error> {
    let quiet = args.approach.connection.quiet;
    let lines = open(args)?;
    let options = connect::approach(caller, &args.approach, reach::publishing())?;
    let place = options.dial.address.to_string();
    let wishes = Wishes::default();
    let mut replayer = Replayer {
        caller,
        args,
        lines,
        number: 0,
        next: None,
        begun: None,
        rounds: 0,
        taken: 0,
        refused: None,
        refusals: 0,
        failed: None,
        wishes: wishes.clone(),
    };
    let mut session = connect::session(options)?;
    let end = drive_alone(&mut session, &mut replayer, &wishes, None)?;
    let verdict = replayer.verdict(end.as_ref(), session.engine(), &place);
    verdict.map_err(|error| if quiet { error.silent() } else { error })
}

fn open(args: &Replay) -> Result<Lines, Error> {
    let Some(path) = &args.file else {
        return Ok(Lines::new(std::io::stdin()));
    };
    let opened = File::open(path).and_then(|file| {
        // A directory opens, and cannot be read.
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Ok(file)
    });
    match opened {
        Ok(file) => Ok(Lines::new(file)),
        Err(error) => {
            let (shown, words) = (path.display(), system_words(&error));
            Err(Error::new(
                Kind::Failed,
                format!("cannot read {shown}: {words}"),
            ))
        }
    }
}

struct Replayer<'a> {
    caller: Caller,
    args: &'a Replay,
    lines: Lines,
    number: u64,
    /// Read, and not due yet.
    next: Option<Line>,
    begun: Option<Instant>,
    /// Messages of this round, so that a loop over nothing ends.
    rounds: u64,
    taken: u64,
    refused: Option<Reason>,
    refusals: u64,
    failed: Option<Error>,
    wishes: Wishes,
}

impl Replayer<'_> {
    /// Reads the next message, or says what to do in its place.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Line, Feed> {
        loop {
            match self.lines.next(cx) {
                Next::Wait => return Err(Feed::Idle),
                Next::Failed(error) => return Err(self.give_up(Kind::Failed, error.to_string())),
                Next::End if self.args.r#loop && self.rounds > 0 => {
                    self.rounds = 0;
                    self.number = 0;
                    self.begun = None;
                    match open(self.args) {
                        Ok(lines) => self.lines = lines,
                        Err(error) => {
                            self.failed.get_or_insert(error);
                            return Err(Feed::End);
                        }
                    }
                }
                Next::End => return Err(Feed::End),
                Next::Line(line) => {
                    self.number += 1;
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    return Line::parse(line).map_err(|told| {
                        let told = format!("line {}: {told}", self.number);
                        self.give_up(Kind::Data, told)
                    });
                }
            }
        }
    }

    fn give_up(&mut self, kind: Kind, told: String) -> Feed {
        self.failed.get_or_insert_with(|| Error::new(kind, told));
        Feed::End
    }

    fn publish(&mut self, line: &Line, client: &mut Engine) -> Feed {
        let Some(topic) = &line.topic else {
            return self.give_up(Kind::Data, format!("line {}: no topic", self.number));
        };
        let mapped = self.args.map.iter().find_map(|map| map.apply(topic));
        let is_v5 = client.options().version.is_v5();
        let properties = line.properties.as_ref().filter(|_| is_v5);
        let message = Message {
            topic: mapped.as_deref().unwrap_or(topic),
            payload: &line.payload,
            qos: line.qos.and_then(QoS::from_bits).unwrap_or(QoS::AtMostOnce),
            retain: line.retain.unwrap_or(false),
            properties: properties.map_or(Properties::EMPTY, |own| own.properties()),
        };
        match client.publish(&message) {
            Ok(_) => {
                self.taken += 1;
                self.rounds += 1;
                Feed::More
            }
            Err(refused) => self.give_up(Kind::Data, format!("line {}: {refused}", self.number)),
        }
    }

    fn verdict(self, end: Option<&End>, client: &Engine, place: &str) -> Result<ExitCode, Error> {
        let left = client.unacknowledged() + client.unwritten();
        let ending = self
            .failed
            .or_else(|| outcome::error(self.caller, end?, place));
        match ending {
            Some(error) if left > 0 => {
                Err(error.and(format!("{left} of {} messages not delivered", self.taken)))
            }
            Some(error) => Err(error),
            None => match self.refused {
                None => Ok(ExitCode::SUCCESS),
                Some(reason) => {
                    let (name, count) = (reason.name().to_lowercase(), self.refusals);
                    let told = format!("{count} of {} messages were refused: {name}", self.taken);
                    Err(Error::new(Kind::Reason(reason.value()), told))
                }
            },
        }
    }
}

impl Handler for Replayer<'_> {
    fn handle(&mut self, event: Event<'_>, _client: &mut Engine) {
        match event {
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => {
                self.wishes.set_up(true);
            }
            Event::Acked(acked) if acked.reason.is_error() => {
                self.refused.get_or_insert(acked.reason);
                self.refusals += 1;
            }
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        if self.failed.is_some() || self.wishes.ask().is_some() {
            return Feed::End;
        }
        let line = match self.next.take() {
            Some(line) => line,
            None => match self.read(cx) {
                Ok(line) => line,
                Err(feed) => return feed,
            },
        };
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let due = begun.checked_add(self.args.speed.due(line.at.unwrap_or_default()));
        match due {
            Some(due) if due <= now => self.publish(&line, client),
            Some(due) => {
                self.next = Some(line);
                Feed::At(due)
            }
            None => self.give_up(
                Kind::Data,
                format!("line {}: at lies too far ahead", self.number),
            ),
        }
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        self.wishes.set_up(false);
        if !self.args.approach.connection.quiet {
            terminal::print_err(&format!("mqttx replay: {end}; trying again in {pause:?}\n"));
        }
    }
}
