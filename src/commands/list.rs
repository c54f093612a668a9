//! `mqttx ls`: the topics known now, those of retained messages and those that speak while it looks.
//!
//! It looks for -W seconds; without -W until half a second has passed in silence, ten seconds at most.
//! Topics come sorted, once each; past a million it stops and says so.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::cli::Caller;
use crate::cli::args::record::List;
use crate::cli::error::{Error, Kind};
use crate::cli::expect::show;
use crate::cli::format::on_one_line;
use crate::client::{End, Engine, Event, Feed, Handler, Retry};
use crate::commands::connect;
use crate::commands::drive::{Wishes, drive_alone};
use crate::commands::outcome;
use crate::commands::record::{refusal, subscribe};
use crate::commands::terminal;
use crate::mqtt::Reason;

/// Silence after which all retained messages have come.
const SILENCE: Duration = Duration::from_millis(500);

/// How long to look where it is never silent.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Topics kept.
const TOPICS_MAX: usize = 1_000_000;

/// Bytes of a last payload kept; more is not shown anyway.
const PAYLOAD_MAX: usize = 512;

pub(crate) fn run(caller: Caller, args: &List) -> Result<ExitCode, Error> {
    let quiet = args.approach.connection.quiet;
    let options = connect::approach(caller, &args.approach, Retry::never())?;
    let place = options.dial.address.to_string();
    let wishes = Wishes::default();
    let mut lister = Lister {
        args,
        topics: BTreeMap::new(),
        is_cut: false,
        failed: None,
        looking: None,
        is_subscribed: false,
        wishes: wishes.clone(),
    };
    let mut session = connect::session(options)?;
    let end = drive_alone(&mut session, &mut lister, &wishes, None)?;
    let printed = terminal::print_out(&lister.text());
    let verdict = lister.verdict(caller, end.as_ref(), &place);
    let verdict = verdict.map(|code| match printed == ExitCode::SUCCESS {
        true => code,
        false => printed,
    });
    verdict.map_err(|error| if quiet { error.silent() } else { error })
}

struct Lister<'a> {
    args: &'a List,
    /// The beginning of the last payload of each topic, kept only where it is shown.
    topics: BTreeMap<String, Vec<u8>>,
    is_cut: bool,
    failed: Option<Error>,
    looking: Option<Looking>,
    is_subscribed: bool,
    wishes: Wishes,
}

/// When it has been looked for long enough.
struct Looking {
    until: Instant,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Looking {
    fn new(seconds: Option<u32>) -> Self {
        let now = Instant::now();
        let look = seconds.map_or(LOOK_MAX, |seconds| Duration::from_secs(seconds.into()));
        let first = if seconds.is_some() { look } else { SILENCE };
        Self {
            until: now + look,
            last: now,
            timer: Box::pin(tokio::time::sleep(first)),
        }
    }

    fn is_over(&mut self, waits_for_silence: bool, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let silent = self.last + SILENCE;
            let due = if waits_for_silence {
                silent.min(self.until)
            } else {
                self.until
            };
            if due <= Instant::now() {
                return true;
            }
            self.timer.as_mut().reset(due);
        }
        false
    }
}

impl Lister<'_> {
    fn message(&mut self, topic: &str, payload: &[u8]) {
        if let Some(looking) = &mut self.looking {
            looking.last = Instant::now();
        }
        let payload = match self.args.verbose {
            true => &payload[..payload.len().min(PAYLOAD_MAX)],
            false => &[],
        };
        if let Some(last) = self.topics.get_mut(topic) {
            payload.clone_into(last);
        } else if self.topics.len() < TOPICS_MAX {
            self.topics.insert(topic.to_owned(), payload.to_vec());
        } else {
            self.is_cut = true;
        }
    }

    fn look(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        let waits_for_silence = self.args.timeout.is_none();
        let is_over = self
            .looking
            .as_mut()
            .is_some_and(|looking| looking.is_over(waits_for_silence, cx));
        if is_over && !self.is_subscribed {
            let told = "timed out: the broker did not answer SUBSCRIBE";
            self.failed = Some(Error::new(Kind::Timeout, told));
        }
        if is_over {
            client.hurry();
        }
        if is_over || self.wishes.is_parting_due(client) {
            self.looking = None;
            client.finish();
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let mut above: Vec<&str> = Vec::new();
        for (topic, payload) in &self.topics {
            let shown = on_one_line(topic);
            let tail = match self.args.verbose {
                true => format!("  {}", show(payload)),
                false => String::new(),
            };
            if !self.args.tree {
                out.push_str(&format!("{shown}{tail}\n"));
                continue;
            }
            let levels: Vec<&str> = topic.split('/').collect();
            let same = levels
                .iter()
                .zip(&above)
                .take_while(|(one, other)| one == other)
                .count();
            for (depth, level) in levels.iter().enumerate().skip(same.min(levels.len() - 1)) {
                let is_last = depth + 1 == levels.len();
                let level = on_one_line(level);
                let tail = if is_last { tail.as_str() } else { "/" };
                out.push_str(&format!("{}{level}{tail}\n", "  ".repeat(depth)));
            }
            above = levels;
        }
        out
    }

    fn verdict(self, caller: Caller, end: Option<&End>, place: &str) -> Result<ExitCode, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.is_cut {
            let told = format!("more than {TOPICS_MAX} topics; the first of them are shown");
            return Err(Error::new(Kind::Failed, told).hint("a narrower -t"));
        }
        match end.and_then(|end| outcome::error(caller, end, place)) {
            None => Ok(ExitCode::SUCCESS),
            Some(error) => Err(error),
        }
    }
}

impl Handler for Lister<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => self.message(publish.topic, publish.payload),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => {
                self.wishes.set_up(true);
                let patience = self.args.timeout.unwrap_or(LOOK_MAX.as_secs() as u32);
                self.looking = Some(Looking::new(Some(patience)));
                if let Err(told) = subscribe(client, &self.args.topic, 0) {
                    self.failed = Some(Error::new(Kind::Failed, told));
                    client.finish();
                }
            }
            Event::Suback(suback) => match refusal(suback.reasons) {
                Some((_, error)) => {
                    self.failed = Some(error);
                    client.finish();
                }
                None => {
                    self.is_subscribed = true;
                    self.looking = Some(Looking::new(self.args.timeout));
                }
            },
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.look(client, cx);
        Feed::Idle
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        self.look(client, cx);
    }
}
