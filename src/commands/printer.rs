//! Messages and trace lines of `sub` and `rr`, rendered into standard output.

use std::io::{ErrorKind, IsTerminal};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::args::output::Output;
use crate::cli::args::showing::Showing;
use crate::cli::error::{Error, Kind};
use crate::cli::format;
use crate::cli::format::{Arrival, Moment};
use crate::client::Way;
use crate::commands::show::{Show, unwritten};
use crate::commands::stdout::Stdout;
use crate::commands::terminal;
use crate::commands::trace::Tracer;
use crate::mqtt::Packet;
use crate::mqtt::publish::Publish;
use crate::net::system_words;

pub(crate) struct Printer {
    pub(crate) caller: Caller,
    pub(crate) quiet: bool,
    output: format::Output,
    /// Looked up only when a format asks for the time.
    zone: Option<TimeZone>,
    pub(crate) tracer: Option<Tracer>,
    pub(crate) out: Stdout,
    /// Forms that mosquitto's clients do not have.
    show: Option<Show>,
    /// A message could not be written where it belongs.
    pub(crate) failed: Option<Error>,
}

impl Printer {
    pub(crate) fn new(
        caller: Caller,
        quiet: bool,
        output: &Output,
        tracer: Option<Tracer>,
    ) -> Result<Self, Error> {
        let on_terminal = std::io::stdout().is_terminal();
        let output = output.render(caller.manner == Manner::Mqttx && on_terminal);
        let out = Stdout::new().map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        let zone = output.needs_time().then(TimeZone::system);
        Ok(Self {
            caller,
            quiet,
            output,
            zone,
            tracer,
            out,
            show: None,
            failed: None,
        })
    }

    /// Takes over what was asked for beyond mosquitto's words.
    pub(crate) fn showing(mut self, asked: &Showing) -> Result<Self, Error> {
        self.show = Show::new(asked)?;
        if let Some(path) = &asked.out {
            self.out = Stdout::to(path).map_err(|error| unwritten(path, &error))?;
        }
        Ok(self)
    }

    pub(crate) fn message(&mut self, publish: &Publish<'_>) {
        let arrival = Arrival::of(publish);
        let complaint = if let Some(show) = &mut self.show {
            let shown = show.message(&arrival, &self.output, now, &mut self.out.buffer);
            shown.unwrap_or_else(|error| {
                self.failed.get_or_insert(error);
                None
            })
        } else {
            let moment = self.zone.as_ref().map(now);
            self.output
                .write(&arrival, moment.as_ref(), &mut self.out.buffer)
        };
        self.out.settle();
        if let Some(told) = complaint
            && !self.quiet
        {
            terminal::print_err(&told);
        }
    }

    pub(crate) fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        if let Some(tracer) = &mut self.tracer {
            tracer.packet(way, packet, &mut self.out.buffer);
            self.out.settle();
        }
    }

    /// Why messages were lost on their way out; a reader that has gone is no failure, nor is any for
    /// mosquitto's clients.
    pub(crate) fn unwritten(&self) -> Option<Error> {
        let error = self.out.failed.as_ref()?;
        let is_told = self.caller.manner == Manner::Mqttx && error.kind() != ErrorKind::BrokenPipe;
        let told = || format!("cannot write the messages: {}", system_words(error));
        is_told.then(|| Error::new(Kind::Failed, told()))
    }

    /// One line of our own on stderr, where mosquitto's clients say nothing or theirs.
    pub(crate) fn tell(&self, error: &Error) {
        if !self.quiet {
            terminal::tell(self.caller, error);
        }
    }
}

fn now(zone: &TimeZone) -> Moment {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment::new(since.as_secs().cast_signed(), since.subsec_nanos(), zone)
}
