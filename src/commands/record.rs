//! `mqttx record`: messages as JSON lines with the time since the first of them, for `mqttx replay`.
//!
//! What arrives is written before more is read, so a slow disk slows the broker down and nothing is
//! dropped here. Ends with 0 after -C, after -W, and at Ctrl-C; a file that cannot be written is 1.

use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::cli::Caller;
use crate::cli::args::record::Record;
use crate::cli::error::{Error, Kind};
use crate::cli::format::{Arrival, Moment};
use crate::cli::jsonl;
use crate::client::{End, Engine, Event, Feed, Handler};
use crate::commands::connect;
use crate::commands::drive::{Wishes, drive_alone};
use crate::commands::outcome;
use crate::commands::reach;
use crate::commands::show::unwritten;
use crate::commands::stdout::Stdout;
use crate::commands::terminal;
use crate::mqtt::Reason;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::net::system_words;

pub(crate) fn run(caller: Caller, args: &Record) -> Result<ExitCode, Error> {
    let quiet = args.approach.connection.quiet;
    let options = connect::approach(caller, &args.approach, reach::receiving())?;
    let place = options.dial.address.to_string();
    let out = match &args.out {
        Some(path) => Stdout::to(path).map_err(|error| unwritten(path, &error))?,
        None => Stdout::new().map_err(|error| Error::new(Kind::Failed, error.to_string()))?,
    };
    let wishes = Wishes::default();
    let mut recorder = Recorder {
        caller,
        args,
        out,
        zone: TimeZone::system(),
        begun: None,
        count: 0,
        denied: None,
        wishes: wishes.clone(),
    };
    let mut session = connect::session(options)?;
    let end = drive_alone(&mut session, &mut recorder, &wishes, args.timeout)?;
    recorder.out.flush();
    let verdict = recorder.verdict(end.as_ref(), &place);
    verdict.map_err(|error| if quiet { error.silent() } else { error })
}

struct Recorder<'a> {
    caller: Caller,
    args: &'a Record,
    out: Stdout,
    zone: TimeZone,
    /// When the first message came.
    begun: Option<Instant>,
    count: u32,
    denied: Option<Reason>,
    wishes: Wishes,
}

impl Recorder<'_> {
    fn connected(&mut self, client: &mut Engine) {
        self.wishes.set_up(true);
        if !client.is_first_connection() {
            return;
        }
        if let Err(refused) = subscribe(client, &self.args.topic, self.args.qos) {
            self.tell(&Error::new(Kind::Failed, refused));
            self.denied = Some(Reason::UNSPECIFIED_ERROR);
            client.finish();
        }
    }

    fn message(&mut self, publish: &Publish<'_>, client: &mut Engine) {
        if publish.retain && self.args.no_retained || self.args.count == Some(self.count) {
            return;
        }
        let now = Instant::now();
        let at = now - *self.begun.get_or_insert(now);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let moment = Moment::new(
            since.as_secs().cast_signed(),
            since.subsec_nanos(),
            &self.zone,
        );
        let arrival = Arrival::of(publish);
        let out = &mut self.out.buffer;
        jsonl::write(&arrival, &moment, Some(at.as_secs_f64()), out);
        out.push(b'\n');
        self.out.settle();
        self.count = self.count.saturating_add(1);
        if self.args.count == Some(self.count) || self.out.failed.is_some() {
            client.finish();
        }
    }

    fn tell(&self, error: &Error) {
        if !self.args.approach.connection.quiet {
            terminal::tell(self.caller, error);
        }
    }

    fn verdict(self, end: Option<&End>, place: &str) -> Result<ExitCode, Error> {
        if let Some(error) = &self.out.failed
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            let told = format!("cannot write the recording: {}", system_words(error));
            return Err(Error::new(Kind::Failed, told));
        }
        if let Some(reason) = self.denied {
            return Ok(ExitCode::from(reason.value()));
        }
        if self.wishes.ask().is_some() && self.begun.is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        match end {
            // Without a connection nothing could be recorded.
            None if self.wishes.ask().is_some() && self.begun.is_none() => {
                let told = format!("no connection to {place} yet");
                Err(Error::new(Kind::Timeout, told))
            }
            None => Ok(ExitCode::SUCCESS),
            Some(end) => outcome::error(self.caller, end, place).map_or(Ok(ExitCode::SUCCESS), Err),
        }
    }
}

/// Asks for these filters, or for everything.
pub(crate) fn subscribe(client: &mut Engine, filters: &[String], qos: u8) -> Result<(), String> {
    let options = SubscribeOptions {
        qos: connect::qos(qos),
        ..SubscribeOptions::default()
    };
    let mut asked: Vec<_> = filters
        .iter()
        .map(|filter| (filter.as_str(), options))
        .collect();
    if asked.is_empty() {
        asked.push(("#", options));
    }
    let properties = crate::mqtt::property::Properties::EMPTY;
    match client.subscribe(&asked, properties) {
        Ok(_) => Ok(()),
        Err(refused) => Err(refused.to_string()),
    }
}

/// The first Reason Code of a SUBACK that refuses, with its sentence.
pub(crate) fn refusal(reasons: &[u8]) -> Option<(Reason, Error)> {
    let reason = reasons
        .iter()
        .map(|&code| Reason(code))
        .find(|reason| reason.is_error())?;
    let (name, code) = (reason.name().to_lowercase(), reason.value());
    let told = format!("the subscription was refused: {name} ({code})");
    Some((reason, Error::new(Kind::Reason(code), told)))
}

impl Handler for Recorder<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => self.message(&publish, client),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(client),
            Event::Suback(suback) => {
                if let Some((reason, error)) = refusal(suback.reasons) {
                    self.tell(&error);
                    self.denied = Some(reason);
                    client.finish();
                }
            }
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, _cx: &mut Context<'_>) -> Feed {
        self.out.flush();
        if self.out.failed.is_some() {
            client.finish();
        }
        Feed::Idle
    }

    fn wake(&mut self, client: &mut Engine, _cx: &mut Context<'_>) {
        if self.wishes.is_parting_due(client) {
            client.finish();
        }
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        self.wishes.set_up(false);
        self.out.flush();
        self.tell(&Error::new(
            Kind::Lost,
            format!("{end}; trying again in {pause:?}"),
        ));
    }
}
