//! `mqttx ping`: how long a connection, CONNECT and each PINGREQ take.
//!
//! One connection; the first line tells its beginning, then a line an answer, then a summary, also
//! after Ctrl-C. With `--wait` this is how a script waits for a broker.

use std::cell::Cell;
use std::process::ExitCode;
use std::task::Context;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::Caller;
use crate::cli::args::ping::Ping;
use crate::cli::error::{Error, Kind};
use crate::client::{End, Engine, Event, Feed, Handler, Retry, Way};
use crate::commands::connect;
use crate::commands::drive::{Ask, Wishes, drive_alone};
use crate::commands::outcome;
use crate::commands::terminal;
use crate::commands::trace::Tracer;
use crate::mqtt::property::Properties;
use crate::mqtt::{Packet, Reason};

pub(crate) fn run(caller: Caller, args: &Ping) -> Result<ExitCode, Error> {
    let mut options = connect::approach(caller, &args.approach, Retry::never())?;
    // Only so is the moment seen at which CONNECT leaves.
    options.trace = true;
    let place = options.dial.address.to_string();
    let wishes = Wishes::default();
    let mut pinger = Pinger {
        args,
        tracer: args
            .approach
            .connection
            .debug
            .then(|| Tracer::new(&options.client_id)),
        place,
        wishes: wishes.clone(),
        begun: Instant::now(),
        dialled: None,
        connected: None,
        due: None,
        sent: 0,
        open: None,
        has_given_up: false,
        is_stuck: Cell::new(false),
        answers: Answers::default(),
    };
    let mut session = connect::session(options)?;
    let end = drive_alone(&mut session, &mut pinger, &wishes, None)?;
    pinger.summarise();
    pinger.verdict(caller, end.as_ref()).map_err(|error| {
        if args.approach.connection.quiet {
            error.silent()
        } else {
            error
        }
    })
}

struct Pinger<'a> {
    args: &'a Ping,
    tracer: Option<Tracer>,
    place: String,
    wishes: Wishes,
    /// When the attempt that led to the connection began.
    begun: Instant,
    /// How long the way to the broker took: name, TCP, TLS, WebSocket.
    dialled: Option<Duration>,
    /// How long CONNECT took from then on.
    connected: Option<Duration>,
    /// When the next PINGREQ is to leave.
    due: Option<Instant>,
    sent: u32,
    /// When the PINGREQ left that is not answered yet.
    open: Option<Instant>,
    /// The time for an answer was over.
    has_given_up: bool,
    /// Standard output takes nothing any more.
    is_stuck: Cell<bool>,
    answers: Answers,
}

#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    count: u32,
    sum: Duration,
    least: Duration,
    most: Duration,
}

impl Answers {
    fn add(&mut self, took: Duration) {
        self.least = if self.count == 0 {
            took
        } else {
            self.least.min(took)
        };
        self.most = self.most.max(took);
        self.sum += took;
        self.count += 1;
    }
}

impl Pinger<'_> {
    fn connected(&mut self) {
        self.wishes.set_up(true);
        let dialled = self.dialled.unwrap_or_default();
        let connected = self.begun.elapsed().saturating_sub(dialled);
        self.connected = Some(connected);
        self.due = Some(Instant::now());
        self.tell(&format!(
            "{}: connected in {} (network {}, CONNECT {})\n",
            self.place,
            millis(dialled + connected),
            millis(dialled),
            millis(connected)
        ));
    }

    fn pong(&mut self, client: &mut Engine) {
        // One that answers the engine's own keep alive was not asked for here.
        let Some(since) = self.open.take() else {
            return;
        };
        let took = since.elapsed();
        self.answers.add(took);
        let number = self.answers.count;
        self.tell(&format!(
            "{}: answer {number} in {}\n",
            self.place,
            millis(took)
        ));
        if self.sent == self.args.count {
            client.finish();
        } else {
            self.due = Some(since + self.args.interval);
        }
    }

    fn tell(&self, line: &str) {
        if !self.args.json && !self.args.approach.connection.quiet {
            self.print(line);
        }
    }

    /// What cannot be written is told once.
    fn print(&self, line: &str) {
        if !self.is_stuck.get() && terminal::print_out(line) != ExitCode::SUCCESS {
            self.is_stuck.set(true);
        }
    }

    fn summarise(&self) {
        let Some(connect) = self.connected else {
            return;
        };
        let network = self.dialled.unwrap_or_default();
        let Answers {
            count,
            sum,
            least,
            most,
        } = self.answers;
        let mean = sum / count.max(1);
        if self.args.json {
            let of = |time: Duration| {
                if count == 0 {
                    None
                } else {
                    Some(in_millis(time))
                }
            };
            let summary = json!({
                "broker": self.place,
                "network_ms": in_millis(network),
                "connect_ms": in_millis(connect),
                "sent": self.sent,
                "answered": count,
                "min_ms": of(least),
                "mean_ms": of(mean),
                "max_ms": of(most),
            });
            return self.print(&format!("{summary}\n"));
        }
        if self.sent == 0 {
            return;
        }
        if count == 0 {
            return self.tell(&format!(
                "{}: no answer to {} PINGREQ\n",
                self.place, self.sent
            ));
        }
        self.tell(&format!(
            "{}: {count} of {} answered; min {}, mean {}, max {}\n",
            self.place,
            self.sent,
            millis(least),
            millis(mean),
            millis(most)
        ));
    }

    fn verdict(&self, caller: Caller, end: Option<&End>) -> Result<ExitCode, Error> {
        if self.is_stuck.get() {
            return Ok(ExitCode::FAILURE);
        }
        if self.wishes.ask() == Some(Ask::Signal) && self.answers.count > 0 {
            return Ok(ExitCode::SUCCESS);
        }
        if self.has_given_up {
            let seconds = self.args.timeout;
            let told = format!("{} did not answer PINGREQ within {seconds} s", self.place);
            return Err(Error::new(Kind::Timeout, told));
        }
        match end {
            None => Err(Error::new(Kind::Failed, "interrupted before any answer")),
            Some(End::KeepAliveTimeout) => {
                let told = format!("{} did not answer PINGREQ", self.place);
                Err(Error::new(Kind::Timeout, told))
            }
            Some(end) => match outcome::error(caller, end, &self.place) {
                None => Ok(ExitCode::SUCCESS),
                Some(error) => Err(error),
            },
        }
    }
}

impl Handler for Pinger<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(),
            Event::Pong => self.pong(client),
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, _cx: &mut Context<'_>) -> Feed {
        let now = Instant::now();
        if let Some(due) = self.due {
            if now < due {
                return Feed::At(due);
            }
            self.due = None;
            self.sent += 1;
            self.open = Some(now);
            client.ping();
            return Feed::More;
        }
        let Some(since) = self.open else {
            return Feed::Idle;
        };
        let last = since + Duration::from_secs(self.args.timeout.into());
        if now < last {
            return Feed::At(last);
        }
        self.has_given_up = true;
        client.hurry();
        client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
        Feed::Idle
    }

    fn wake(&mut self, client: &mut Engine, _cx: &mut Context<'_>) {
        if self.wishes.is_parting_due(client) {
            client.finish();
        }
    }

    fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        if way == Way::Sent && matches!(packet, Packet::Connect(_)) {
            self.dialled = Some(self.begun.elapsed());
        }
        if let Some(tracer) = &mut self.tracer {
            let mut lines = Vec::new();
            tracer.packet(way, packet, &mut lines);
            terminal::print_out_bytes(&lines);
        }
    }

    fn waiting(&mut self, _end: &End, pause: Duration) {
        self.begun = Instant::now() + pause;
    }
}

fn in_millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// `0.123 ms`: microseconds are the most that can be relied on.
fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
